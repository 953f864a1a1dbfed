/*
 * load.c - in the emulator: where the environment names a library of translated PTX (MBK_SIMT_PTX), its kernels run in
 * place of the compiled source.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "simt/ptx/host.h"

extern simt_dim threadIdx, blockIdx, blockDim, gridDim;

void ptx_load(void) {
    static const struct ptx_host host = {
        .threadIdx = &threadIdx,
        .blockIdx = &blockIdx,
        .blockDim = &blockDim,
        .gridDim = &gridDim,
        .memory_has = simt_memory_has,
        .shared = simt_shared,
        .dynamic = simt_dynamic,
        .barrier = simt_barrier,
        .warp = simt_warp,
        .exchange = simt_exchange,
        .yield = simt_yield,
        .copy_add = simt_copy_add,
        .copy_commit = simt_copy_commit,
        .copy_due = simt_copy_due,
        .fail = simt_fail,
        .symbol = simt_symbol,
        .thread = simt_thread,
        .counted = simt_counted,
    };
    const char *path = getenv("MBK_SIMT_PTX");
    if (!path || !*path) {
        return;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ptx_open_fn open = NULL;
    if (library) {
        *(void **)&open = dlsym(library, "ptx_open");
    }
    if (!open) {
        simt_fail((simt_site){0}, "MBK_SIMT_PTX: %s", dlerror());
    }
    simt_find_set(open(&host), NULL);
}
