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

/* A page that several share begins with this. The memory of one that has gone is used again when all have. */
typedef struct page {
    size_t used;
    size_t live;
} page;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static page *open_page; /* the one that still has room */

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

static void *share(size_t room) {
    unsigned char *data = NULL;
    pthread_mutex_lock(&lock);
    if (!open_page || open_page->used + room > LARGE_PAGE) {
        page *p = aligned(LARGE_PAGE);
        if (p) {
            *p = (page){lines(sizeof *p), 0};
            open_page = p;
        }
    }
    if (open_page && open_page->used + room <= LARGE_PAGE) {
        data = (unsigned char *)open_page + open_page->used;
        open_page->used += room;
        open_page->live++;
    }
    pthread_mutex_unlock(&lock);
    return data;
}

static void leave(unsigned char *data) {
    page *p = (page *)(void *)(data - (uintptr_t)data % LARGE_PAGE);
    pthread_mutex_lock(&lock);
    p->live--;
    if (p->live == 0 && p == open_page) {
        p->used = lines(sizeof *p);
    } else if (p->live == 0) {
        free(p);
    }
    pthread_mutex_unlock(&lock);
}

unsigned char *mbk_zeroed(size_t bytes) {
    if (bytes > SIZE_MAX - 64) {
        return NULL;
    }
    const size_t room = lines(bytes);
    void *data = shares(room) ? share(room) : aligned(room);
    return data ? memset(data, 0, room) : NULL;
}

void mbk_give_back(unsigned char *data, size_t bytes) {
    if (data && shares(lines(bytes))) {
        leave(data);
    } else {
        free(data);
    }
}
