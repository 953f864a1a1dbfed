/*
 * host.h - what a library of translated PTX asks of the emulator that loads it: the operations of simt/runtime.h, by
 * address, since the library is opened by programs and modules that may export nothing.
 */
#ifndef MBK_SIMT_PTX_HOST_H
#define MBK_SIMT_PTX_HOST_H

#include <stdarg.h>

#include "simt/runtime.h"

struct ptx_host {
    const simt_dim *threadIdx, *blockIdx, *blockDim, *gridDim;
    int (*memory_has)(const void *p, size_t bytes, const void **base, size_t *size);
    void *(*shared)(simt_slot *slot, size_t bytes, size_t align);
    void *(*dynamic)(size_t *bytes);
    int (*barrier)(simt_barrier_op op, int predicate, simt_site site);
    uint64_t (*warp)(simt_warp_op op, unsigned mask, uint64_t value, int arg, int width, int *in_range, simt_site site);
    void (*exchange)(const uint32_t *mine, int words, uint32_t *all, simt_site site);
    void (*yield)(void);
    int (*copy_add)(const simt_copy *c);
    void (*copy_commit)(void);
    int (*copy_due)(int keep, simt_copy *c);
    void (*fail)(simt_site site, const char *fmt, ...);
    const char *(*symbol)(const void *function);
    int (*thread)(void);
    simt_counts (*counted)(void);
};
extern const struct ptx_host *ptx_host; /* in the library */

/* What the library exports as "ptx_open": the kernels of all its files, until symbol == NULL; the finder of thunks for
 * simt_find_set. */
typedef simt_find (*ptx_open_fn)(const struct ptx_host *host);

/* load.c, in the emulator: where MBK_SIMT_PTX names a library, opens it and sets its finder; ends the program where it
 * cannot. Called by the first launch. */
void ptx_load(void);

#endif
