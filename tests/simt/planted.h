/*
 * planted.h - the kernels of planted.cu, by the first letter of their names.
 */
#ifndef MBK_SIMT_PLANTED_H
#define MBK_SIMT_PLANTED_H

enum { PLANTED_X = 256, PLANTED_Y = 64, PLANTED_BOUND = 60 };

#ifdef __cplusplus
extern "C"
#endif
    /* y: at least PLANTED_Y floats of device memory (of `bounds`: PLANTED_BOUND), x: PLANTED_X. A cudaError_t. */
    int
    planted_run(const char *what, float *y, const float *x);

#endif
