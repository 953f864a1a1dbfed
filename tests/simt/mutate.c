/*
 * mutate.c - takes one guarded line out of the kernels, for tests that such a fault is found.
 */
#include "simt/runtime.h"

#include <stdio.h>
#include <stdlib.h>

const char *simt_removed;
static int met;

static void say_if_never_met(void) {
    if (!met && simt_counted().launches > 0) {
        fprintf(stderr, "simt: %s, which MBK_SIMT_MUTATE removes, was never met\n", simt_removed);
    }
}

__attribute__((constructor)) static void choose(void) {
    const char *name = getenv("MBK_SIMT_MUTATE");
    if (name && *name) {
        simt_removed = name;
        atexit(say_if_never_met);
    }
}

int simt_keep(const char *name) {
    const char *p = simt_removed, *q = name;
    while (*p && *p == *q) {
        p++;
        q++;
    }
    met |= *p == *q;
    return *p != *q;
}
