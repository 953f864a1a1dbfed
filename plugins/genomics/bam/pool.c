/* Memory of the C library, not of the host: the last record may come back when the reader is gone. */
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 64
#define KEPT_BYTES (1u << 20) /* of one record: a longer one is not kept */

typedef struct head {
    int refs; /* of records, and one while it is the current one */
    size_t len;
    char text[];
} head;

struct bm_pool {
    pthread_mutex_t lock;
    bm_read *free;
    int n_free;
    int64_t out;
    int closed;
    head *head;
};

bm_pool *bm_pool_new(void) {
    bm_pool *p = calloc(1, sizeof(*p));
    if (p && pthread_mutex_init(&p->lock, NULL) != 0) {
        free(p);
        p = NULL;
    }
    return p;
}

/* Under the lock. */
static void drop_head(head *h) {
    if (h && --h->refs == 0) {
        free(h);
    }
}

static void free_read(bm_read *r) {
    bam_destroy1(r->b);
    free(r);
}

static void free_pool(bm_pool *p) {
    while (p->free) {
        bm_read *r = p->free;
        p->free = r->next;
        free_read(r);
    }
    drop_head(p->head);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

int bm_pool_header(bm_pool *p, const char *text, size_t n) {
    head *h = malloc(sizeof(*h) + n + 1);
    if (!h) {
        return -1;
    }
    h->refs = 1;
    h->len = n;
    memcpy(h->text, text, n);
    h->text[n] = '\0';
    (void)pthread_mutex_lock(&p->lock);
    drop_head(p->head);
    p->head = h;
    (void)pthread_mutex_unlock(&p->lock);
    return 0;
}

static void ref(mbs_origin *o) {
    bm_read *r = (bm_read *)o;
    (void)pthread_mutex_lock(&r->pool->lock);
    r->refs++;
    (void)pthread_mutex_unlock(&r->pool->lock);
}

void bm_pool_give(bm_read *r) {
    bm_pool *p = r->pool;
    (void)pthread_mutex_lock(&p->lock);
    int last = --r->refs == 0;
    int over = 0;
    if (last) {
        drop_head(r->head);
        r->head = NULL;
        p->out--;
        over = p->closed && p->out == 0;
        if (!p->closed && p->n_free < KEPT && r->b->m_data <= KEPT_BYTES) {
            r->next = p->free;
            p->free = r;
            p->n_free++;
            last = 0;
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (last) {
        free_read(r);
    }
    if (over) {
        free_pool(p);
    }
}

static void unref(mbs_origin *o) {
    bm_pool_give((bm_read *)o);
}

bm_read *bm_pool_take(bm_pool *p) {
    (void)pthread_mutex_lock(&p->lock);
    bm_read *r = p->free;
    if (r) {
        p->free = r->next;
        p->n_free--;
    } else if ((r = calloc(1, sizeof(*r))) != NULL && !(r->b = bam_init1())) {
        free(r);
        r = NULL;
    }
    if (r) {
        head *h = p->head;
        h->refs++;
        p->out++;
        r->refs = 1;
        r->next = NULL;
        r->pool = p;
        r->head = h;
        r->data = (hu_alignment){(uint32_t)sizeof(r->data), 0, r->b, h->text, h->len};
        r->origin = (mbs_origin){(uint32_t)sizeof(r->origin), 0, HU_ALIGNMENT, &r->data, ref, unref};
    }
    (void)pthread_mutex_unlock(&p->lock);
    return r;
}

void bm_pool_close(bm_pool *p) {
    (void)pthread_mutex_lock(&p->lock);
    p->closed = 1;
    int over = p->out == 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (over) {
        free_pool(p);
    }
}
