/*
 * launch.c - what a launch is checked for before it runs, and who runs it.
 */
#include "simt/engine.h"
#include "simt/ptx/host.h"

#include <dlfcn.h>
#include <driver_types.h>
#include <string.h>
#include <sys/mman.h>

enum { LIMITS = 256 };

static struct {
    const void *function;
    size_t bytes;
} limits[LIMITS];
static int n_limits;
static simt_hook hook;
static void *hook_user;
static simt_find find;
static void *find_user;

void simt_hook_set(simt_hook h, void *user) {
    hook = h;
    hook_user = user;
}

void simt_find_set(simt_find f, void *user) {
    find = f;
    find_user = user;
}

const char *simt_symbol(const void *function) {
    Dl_info info;
    return dladdr(function, &info) && info.dli_sname && info.dli_saddr == function ? info.dli_sname : "?";
}

simt_thunk simt_translated(const simt_call *call) {
    static int looked;
    if (!looked) {
        looked = 1;
        ptx_load();
    }
    simt_thunk t = find ? find(find_user, simt_symbol(call->function)) : NULL;
    return t ? t : call->signature->thunk;
}

int simt_shared_limit(const void *function, size_t bytes) {
    if (bytes > SIMT_SHARED_MAX) {
        return cudaErrorInvalidValue;
    }
    int i = 0;
    while (i < n_limits && limits[i].function != function) {
        i++;
    }
    if (i == LIMITS) {
        return cudaErrorMemoryAllocation;
    }
    n_limits += i == n_limits;
    limits[i].function = function;
    limits[i].bytes = bytes;
    return cudaSuccess;
}

static size_t limit_of(const void *function) {
    for (int i = 0; i < n_limits; i++) {
        if (limits[i].function == function) {
            return limits[i].bytes;
        }
    }
    return SIMT_SHARED_STATIC;
}

/* Memory of this process that is no device memory. Sizes and numbers are not taken for addresses: a word counts where
 * it lies as high as the heap, the stacks and the program do on 64-bit systems, and in a page that is there. */
static int is_host_address(uintptr_t p) {
    unsigned char there;
    if (p < (uintptr_t)0x550000000000 || p > (uintptr_t)0x7fffffffffff || simt_memory_has((void *)p, 0, NULL, NULL)) {
        return 0;
    }
    return mincore((void *)(p & ~(uintptr_t)4095), 1, &there) == 0;
}

static void check_argument(const simt_call *call, int i) {
    const simt_param *a = &call->signature->params[i];
    for (uint32_t k = 0; k + sizeof(void *) <= a->bytes; k += sizeof(void *)) {
        uintptr_t p;
        memcpy(&p, call->args + a->offset + k, sizeof p);
        int bad = a->is_pointer ? p && !simt_memory_has((void *)p, 0, NULL, NULL) : is_host_address(p);
        if (bad) {
            simt_fail((simt_site){0}, "%s is given %p, which is no device memory, in argument %d (byte %u of it)",
                      simt_symbol(call->function), (void *)p, i, k);
        }
    }
}

int simt_launch(const simt_call *call) {
    simt_dim g = call->grid, b = call->block;
    if (g.x < 1 || g.y < 1 || g.z < 1 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535 || b.x < 1 || b.y < 1 ||
        b.z < 1 || b.x > 1024 || b.y > 1024 || b.z > 64 || b.x * b.y * b.z > SIMT_MAX_THREADS) {
        return cudaErrorInvalidConfiguration;
    }
    if (call->shared_bytes > limit_of(call->function)) {
        return cudaErrorInvalidValue;
    }
    for (int i = 0; i < call->signature->n_params; i++) {
        check_argument(call, i);
    }
    if (hook) {
        return hook(hook_user, call);
    }
    simt_run(call);
    return cudaSuccess;
}
