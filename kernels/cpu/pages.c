/* pages.c - the memory of buffers and weights. Decoding reads all weights a token, and training walks down the columns
 * of its rows, each on another small page: finding those costs up to a fifth of the time. So what is large stands on
 * large pages, where the system has them, and what is small shares one. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/cpu.h"

#define LARGE_PAGE ((size_t)2 << 20)
/* What is larger than this and no large page stands alone: little of a page may be lost. */
#define SHARE_MOST (LARGE_PAGE / 4)

/* What a page that several share begins with. The memory of one that has gone is used again when all have. */
typedef struct page {
    mbk_pages *of;
    size_t used;
    size_t live;
} page;

/* Weights may outlive the context that made them: whoever is the last, it or them, frees this. */
struct mbk_pages {
    pthread_mutex_t lock;
    page *open; /* the one that still has room; NULL: none */
    size_t live;
    int closed;
};

static size_t lines(size_t bytes) {
    return bytes ? (bytes + 63) / 64 * 64 : 64;
}

static int shares(size_t room) {
#if defined(__SANITIZE_ADDRESS__)
    (void)room; /* a neighbour would be no error */
    return 0;
#else
    return room <= SHARE_MOST;
#endif
}

static void *aligned(size_t bytes) {
    void *data = NULL;
    if (posix_memalign(&data, bytes >= LARGE_PAGE ? LARGE_PAGE : 64, bytes)) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE_PAGE) {
        (void)madvise(data, bytes, MADV_HUGEPAGE);
    }
#endif
    return data;
}

static void *share(mbk_pages *pages, size_t room) {
    unsigned char *data = NULL;
    pthread_mutex_lock(&pages->lock);
    page *p = pages->open;
    if (!p || p->used + room > LARGE_PAGE) {
        p = aligned(LARGE_PAGE);
        if (p) {
            *p = (page){pages, lines(sizeof *p), 0};
            pages->open = p;
        }
    }
    if (p) {
        data = (unsigned char *)p + p->used;
        p->used += room;
        p->live++;
        pages->live++;
    }
    pthread_mutex_unlock(&pages->lock);
    return data;
}

static void destroy(mbk_pages *pages) {
    free(pages->open);
    pthread_mutex_destroy(&pages->lock);
    free(pages);
}

static void leave(unsigned char *data) {
    page *p = (page *)(void *)(data - (uintptr_t)data % LARGE_PAGE);
    mbk_pages *pages = p->of;
    pthread_mutex_lock(&pages->lock);
    p->live--;
    if (p->live == 0 && p == pages->open) {
        p->used = lines(sizeof *p);
    } else if (p->live == 0) {
        free(p);
    }
    pages->live--;
    const int last = pages->live == 0 && pages->closed;
    pthread_mutex_unlock(&pages->lock);
    if (last) {
        destroy(pages);
    }
}

mbk_pages *mbk_pages_new(void) {
    mbk_pages *pages = calloc(1, sizeof *pages);
    if (pages && pthread_mutex_init(&pages->lock, NULL)) {
        free(pages);
        return NULL;
    }
    return pages;
}

void mbk_pages_close(mbk_pages *pages) {
    pthread_mutex_lock(&pages->lock);
    pages->closed = 1;
    const int last = pages->live == 0;
    pthread_mutex_unlock(&pages->lock);
    if (last) {
        destroy(pages);
    }
}

unsigned char *mbk_zeroed(mbk_pages *pages, size_t bytes) {
    if (bytes > SIZE_MAX - 64) {
        return NULL;
    }
    const size_t room = lines(bytes);
    void *data = shares(room) ? share(pages, room) : aligned(room);
    return data ? memset(data, 0, room) : NULL;
}

void mbk_give_back(unsigned char *data, size_t bytes) {
    if (data && shares(lines(bytes))) {
        leave(data);
    } else {
        free(data);
    }
}
