#include "plug/block.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "plug/instance.h"
#include "plug/slab.h"

#define DATA_AT 64u /* data of a block stands behind the header, at the next multiple of this */

typedef struct block {
    mbs_block pub; /* first: a plugin holds a pointer to it */
    atomic_int refs;
    int64_t rows_made;
    void *data;
    size_t data_bytes;
    mbs_record *record; /* a reference of the block's own, or NULL */
    int32_t n_sides;    /* and the side channels as they were made */
    mbs_side sides[MBS_MAX_SIDES];
    const void *owner;
    struct block *next; /* in its bucket */
} block;

/* Which blocks are alive, so that a pointer from a plugin can be told before it is followed. There are few at a time.
 */
#define BUCKETS 256u
static struct {
    pthread_mutex_t lock;
    block *bucket[BUCKETS];
} live = {.lock = PTHREAD_MUTEX_INITIALIZER};

static block **bucket_of(const void *p) {
    uintptr_t at = (uintptr_t)p >> 6;
    return &live.bucket[(at ^ at >> 8 ^ at >> 16) % BUCKETS];
}

static void live_add(block *b) {
    pthread_mutex_lock(&live.lock);
    block **to = bucket_of(b);
    b->next = *to;
    *to = b;
    pthread_mutex_unlock(&live.lock);
}

static void live_remove(const block *b) {
    pthread_mutex_lock(&live.lock);
    block **at = bucket_of(b);
    while (*at && *at != b) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = b->next;
    }
    pthread_mutex_unlock(&live.lock);
}

int mbs_block_is_live(const mbs_block *b) {
    pthread_mutex_lock(&live.lock);
    const block *at = *bucket_of(b);
    while (at && &at->pub != b) {
        at = at->next;
    }
    pthread_mutex_unlock(&live.lock);
    return at != NULL;
}

int mbs_block_owned(const void *owner) {
    int n = 0;
    pthread_mutex_lock(&live.lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const block *b = live.bucket[i]; b; b = b->next) {
            n += b->owner == owner;
        }
    }
    pthread_mutex_unlock(&live.lock);
    return n;
}

static block *mine(mbs_block *b) {
    return (block *)(void *)b;
}

static const block *mine_const(const mbs_block *b) {
    return (const block *)(const void *)b;
}

void mbs_block_own(mbs_block *b, const void *owner) {
    pthread_mutex_lock(&live.lock);
    mine(b)->owner = owner;
    pthread_mutex_unlock(&live.lock);
}

size_t mbs_dtype_size(int32_t dtype) {
    switch (dtype) {
    case MBS_U8:
        return 1;
    case MBS_I32:
    case MBS_F32:
        return 4;
    case MBS_I64:
    case MBS_F64:
        return 8;
    default:
        return 0;
    }
}

int32_t mbs_type_dtype(const char *type) {
    static const struct {
        const char *name;
        int32_t dtype;
    } names[] = {{"u8", MBS_U8}, {"i32", MBS_I32}, {"i64", MBS_I64}, {"f32", MBS_F32}, {"f64", MBS_F64}};
    if (strcmp(type, "edits") == 0) {
        return MBS_I64;
    }
    const char *slash = strrchr(type, '/');
    for (size_t i = 0; slash && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(slash + 1, names[i].name) == 0) {
            return names[i].dtype;
        }
    }
    return 0;
}

/* Bytes of an array of that shape; nonzero where it is none or too large. */
static int shape_bytes(int32_t dtype, int32_t ndim, const int64_t *shape, size_t *bytes) {
    size_t total = mbs_dtype_size(dtype);
    if (total == 0 || ndim < 1 || ndim > MBS_MAX_DIMS) {
        return -1;
    }
    for (int32_t d = 0; d < ndim; d++) {
        if (shape[d] < 0 || (uint64_t)shape[d] > SIZE_MAX || mbs_mul_overflow(total, (size_t)shape[d], &total)) {
            return -1;
        }
    }
    *bytes = total;
    return 0;
}

mbs_block *mbs_block_new(const char *type, int32_t dtype, int32_t ndim, const int64_t *shape) {
    size_t head = (sizeof(block) + DATA_AT - 1) / DATA_AT * DATA_AT;
    size_t bytes = 0;
    size_t total = 0;
    if (!type || !shape || shape_bytes(dtype, ndim, shape, &bytes) || mbs_add_overflow(head, bytes, &total)) {
        return NULL;
    }
    block *b = mbs_slab_get(total);
    if (!b) {
        return NULL;
    }
    memset(b, 0, sizeof *b);
    atomic_init(&b->refs, 1);
    b->pub.struct_size = (uint32_t)sizeof(mbs_block);
    b->pub.type = type;
    b->pub.dtype = dtype;
    b->pub.ndim = ndim;
    memcpy(b->pub.shape, shape, (size_t)ndim * sizeof shape[0]);
    b->rows_made = shape[0];
    b->data = (char *)b + head;
    b->data_bytes = bytes;
    b->pub.data = b->data;
    live_add(b);
    return &b->pub;
}

void *mbs_block_side_new(mbs_block *b, const char *name, int32_t dtype, int32_t width) {
    int64_t shape[2] = {mine(b)->rows_made, width};
    size_t bytes = 0;
    block *m = mine(b);
    if (!name || width < 1 || m->n_sides >= MBS_MAX_SIDES || b->n_sides != m->n_sides || mbs_block_side_find(b, name) ||
        shape_bytes(dtype, 2, shape, &bytes)) {
        return NULL;
    }
    void *data = mbs_slab_get(bytes);
    if (data) {
        m->sides[m->n_sides++] = (mbs_side){.name = name, .dtype = dtype, .width = width, .data = data};
        b->sides[b->n_sides++] = m->sides[m->n_sides - 1];
    }
    return data;
}

const mbs_side *mbs_block_side_find(const mbs_block *b, const char *name) {
    for (int32_t i = 0; i < b->n_sides; i++) {
        if (strcmp(b->sides[i].name, name) == 0) {
            return &b->sides[i];
        }
    }
    return NULL;
}

mbs_block *mbs_block_ref(mbs_block *b) {
    atomic_fetch_add_explicit(&mine(b)->refs, 1, memory_order_relaxed);
    return b;
}

void mbs_block_unref(mbs_block *b) {
    if (!b || atomic_fetch_sub_explicit(&mine(b)->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    live_remove(mine(b));
    for (int32_t i = 0; i < mine(b)->n_sides; i++) {
        mbs_slab_put(mine(b)->sides[i].data);
    }
    mbs_record_free(mine(b)->record);
    mbs_slab_put(b);
}

void mbs_block_hold_record(mbs_block *b, mbs_record *r) {
    mbs_record *before = mine(b)->record;
    mine(b)->record = mbs_record_ref(r);
    b->record = r;
    mbs_record_free(before);
}

int64_t mbs_block_rows_made(const mbs_block *b) {
    return mine_const(b)->rows_made;
}

static int sides_are_sound(const mbs_block *b, const block *m) {
    if (b->n_sides != m->n_sides) {
        return 0;
    }
    for (int32_t i = 0; i < m->n_sides; i++) {
        const mbs_side *s = &b->sides[i];
        const mbs_side *made = &m->sides[i];
        if (s->name != made->name || s->dtype != made->dtype || s->width != made->width || s->data != made->data) {
            return 0;
        }
    }
    return 1;
}

int mbs_block_is_sound(const mbs_block *b) {
    size_t bytes = 0;
    const block *m = mine_const(b);
    return sides_are_sound(b, m) && b->data == m->data && b->shape[0] <= m->rows_made &&
           !shape_bytes(b->dtype, b->ndim, b->shape, &bytes) && bytes <= m->data_bytes;
}
