/*
 * blas.h - the functions of cuBLAS that are used. In the module they are looked up when the first device is opened
 * (blas_dynamic.c), so that a machine without one does not load half a gigabyte of code; where cuBLAS is linked, they
 * are simply there (blas_linked.c).
 */
#ifndef MBK_CUDA_BLAS_H
#define MBK_CUDA_BLAS_H

#include <cublas_v2.h>

#include "mbk/mbk.h"

typedef struct mbk_cuda_blas {
    __typeof__(&cublasCreate) create;
    __typeof__(&cublasDestroy) destroy;
    __typeof__(&cublasSetStream) set_stream;
    __typeof__(&cublasSetWorkspace) set_workspace;
    __typeof__(&cublasSetMathMode) set_math_mode;
    __typeof__(&cublasGemmEx) gemm;
} mbk_cuda_blas;

/* -69 with words in `why` where there is none. */
mbk_status mbk_cuda_blas_load(mbk_cuda_blas *out, char *why, size_t room);

#endif
