#include "plug/slab.h"

#include <pthread.h>
#include <stdint.h>

#include "base/mem.h"

#define ALIGNMENT 64u
#define SMALLEST 256u          /* class 0; each class doubles */
#define CLASSES 17             /* the last: 16 MiB */
#define KEEP_BYTES (32u << 20) /* all classes together */
#define KEEP_IN_CLASS 64u      /* pieces; of small ones as many as fit KEEP_SMALL */
#define KEEP_SMALL (1u << 20)  /* bytes: hundreds of short records wait for each other */

/* Reuse hides a use after free from AddressSanitizer, so nothing is kept under it. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

/* Stands right before the aligned memory. */
typedef struct piece {
    void *raw; /* what the allocator gave */
    struct piece *next;
    size_t bytes;
    uint32_t size_class; /* CLASSES: too large to keep */
} piece;

/* Blocks cross between plugins, threads and runs of one process and any of them may drop the last reference, so the
 * store is the process's, like the allocator below it. */
static struct {
    pthread_mutex_t lock;
    piece *head[CLASSES];
    uint32_t count[CLASSES];
    size_t kept;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t class_of(size_t bytes, size_t *rounded) {
    size_t size = SMALLEST;
    for (uint32_t c = 0; c < CLASSES; c++, size *= 2) {
        if (bytes <= size) {
            *rounded = size;
            return c;
        }
    }
    *rounded = bytes;
    return CLASSES;
}

static piece *piece_of(void *p) {
    return (piece *)(void *)((char *)p - sizeof(piece));
}

void *mbs_slab_get(size_t bytes) {
    size_t size = 0;
    size_t total = 0;
    uint32_t c = class_of(bytes, &size);
    if (c < CLASSES) {
        pthread_mutex_lock(&store.lock);
        piece *kept = store.head[c];
        if (kept) {
            store.head[c] = kept->next;
            store.count[c]--;
            store.kept -= kept->bytes;
        }
        pthread_mutex_unlock(&store.lock);
        if (kept) {
            return (char *)kept + sizeof(piece);
        }
    }
    if (mbs_add_overflow(size, sizeof(piece) + ALIGNMENT, &total)) {
        return NULL;
    }
    void *raw = mbs_alloc(total);
    if (!raw) {
        return NULL;
    }
    uintptr_t at = ((uintptr_t)raw + sizeof(piece) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    void *p = (char *)raw + (at - (uintptr_t)raw);
    *piece_of(p) = (piece){.raw = raw, .bytes = size, .size_class = c};
    return p;
}

void mbs_slab_put(void *p) {
    if (!p) {
        return;
    }
    piece *was = piece_of(p);
    uint32_t c = was->size_class;
    int keep = 0;
    if (KEEPS && c < CLASSES) {
        pthread_mutex_lock(&store.lock);
        size_t small = KEEP_SMALL / was->bytes;
        keep =
            store.count[c] < (small > KEEP_IN_CLASS ? small : KEEP_IN_CLASS) && store.kept + was->bytes <= KEEP_BYTES;
        if (keep) {
            was->next = store.head[c];
            store.head[c] = was;
            store.count[c]++;
            store.kept += was->bytes;
        }
        pthread_mutex_unlock(&store.lock);
    }
    if (!keep) {
        mbs_free(was->raw);
    }
}

size_t mbs_slab_kept(void) {
    pthread_mutex_lock(&store.lock);
    size_t kept = store.kept;
    pthread_mutex_unlock(&store.lock);
    return kept;
}

void mbs_slab_trim(void) {
    pthread_mutex_lock(&store.lock);
    for (int c = 0; c < CLASSES; c++) {
        while (store.head[c]) {
            piece *was = store.head[c];
            store.head[c] = was->next;
            mbs_free(was->raw);
        }
        store.count[c] = 0;
    }
    store.kept = 0;
    pthread_mutex_unlock(&store.lock);
}
