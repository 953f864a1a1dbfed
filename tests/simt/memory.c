/*
 * memory.c - the ranges that count as device memory, sorted by address.
 */
#include "simt/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANGES = 65536 };

static struct {
    uintptr_t at;
    size_t bytes;
} ranges[RANGES];
static size_t n_ranges, last;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The first range that begins above p. */
static size_t above(uintptr_t p) {
    size_t lo = 0, hi = n_ranges;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ranges[mid].at > p) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

void simt_memory_add(const void *p, size_t bytes) {
    pthread_mutex_lock(&lock);
    size_t at = above((uintptr_t)p);
    if (n_ranges == RANGES || (at > 0 && ranges[at - 1].at + ranges[at - 1].bytes > (uintptr_t)p)) {
        fprintf(stderr, "simt: device memory at %p, which %s\n", p,
                n_ranges == RANGES ? "is one range too many" : "is there already");
        abort();
    }
    for (size_t i = n_ranges++; i > at; i--) {
        ranges[i] = ranges[i - 1];
    }
    ranges[at].at = (uintptr_t)p;
    ranges[at].bytes = bytes;
    pthread_mutex_unlock(&lock);
}

void simt_memory_remove(const void *p) {
    pthread_mutex_lock(&lock);
    size_t at = above((uintptr_t)p);
    if (at == 0 || ranges[at - 1].at != (uintptr_t)p) {
        fprintf(stderr, "simt: %p is no device memory\n", p);
        abort();
    }
    n_ranges--;
    for (size_t i = at - 1; i < n_ranges; i++) {
        ranges[i] = ranges[i + 1];
    }
    pthread_mutex_unlock(&lock);
}

/* Within a kernel nothing is added or removed, so this needs no lock. */
int simt_memory_has(const void *p, size_t bytes, const void **base, size_t *size) {
    uintptr_t at = (uintptr_t)p;
    size_t i = last;
    if (i >= n_ranges || at < ranges[i].at || at - ranges[i].at >= ranges[i].bytes) {
        i = above(at);
        if (i == 0) {
            return 0;
        }
        last = --i;
    }
    if (at - ranges[i].at > ranges[i].bytes || bytes > ranges[i].bytes - (at - ranges[i].at)) {
        return 0;
    }
    if (base) {
        *base = (const void *)ranges[i].at;
    }
    if (size) {
        *size = ranges[i].bytes;
    }
    return 1;
}

void *simt_malloc(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 256, bytes ? bytes : 1) != 0) {
        return NULL;
    }
    const uint32_t poison = SIMT_POISON;
    for (size_t i = 0; i < bytes; i++) {
        ((unsigned char *)p)[i] = (unsigned char)(poison >> i % 4 * 8);
    }
    simt_memory_add(p, bytes ? bytes : 1);
    return p;
}

void simt_free(void *p) {
    if (p) {
        simt_memory_remove(p);
        free(p);
    }
}
