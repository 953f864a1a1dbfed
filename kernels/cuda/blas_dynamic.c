/* blas_dynamic.c - the cuBLAS of this machine, of the major version that the module was built with. */
#include <dlfcn.h>
#include <stdio.h>

#include "cuda/blas.h"
#include "mambaseq/status.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define LIBRARY "libcublas.so." TEXT(CUBLAS_VER_MAJOR)

/* A function's address in a place of its own type; ISO C has no cast between the two kinds of pointers. */
static int look_up(void *library, const char *name, void *place) {
    *(void **)place = dlsym(library, name);
    return *(void **)place != NULL;
}

mbk_status mbk_cuda_blas_load(mbk_cuda_blas *out, char *why, size_t room) {
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *text = dlerror();
        (void)snprintf(why, room, "cuBLAS is not installed: %s", text ? text : LIBRARY);
        return MBS_ERR_UNAVAILABLE;
    }
    if (!look_up(library, "cublasCreate_v2", &out->create) || !look_up(library, "cublasDestroy_v2", &out->destroy) ||
        !look_up(library, "cublasSetStream_v2", &out->set_stream) ||
        !look_up(library, "cublasSetWorkspace_v2", &out->set_workspace) ||
        !look_up(library, "cublasSetMathMode", &out->set_math_mode) || !look_up(library, "cublasGemmEx", &out->gemm)) {
        (void)snprintf(why, room, LIBRARY " lacks a function that is used");
        return MBS_ERR_UNAVAILABLE;
    }
    return MBS_OK; /* it stays loaded: its threads may outlive us */
}
