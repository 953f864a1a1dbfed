/* blas_linked.c - the cuBLAS that this program is linked with. */
#include "cuda/blas.h"

mbk_status mbk_cuda_blas_load(mbk_cuda_blas *out, char *why, size_t room) {
    (void)why;
    (void)room;
    *out = (mbk_cuda_blas){
        .create = cublasCreate,
        .destroy = cublasDestroy,
        .set_stream = cublasSetStream,
        .set_workspace = cublasSetWorkspace,
        .set_math_mode = cublasSetMathMode,
        .gemm = cublasGemmEx,
    };
    return 0;
}
