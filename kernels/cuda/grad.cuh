/*
 * grad.cuh - sums over the rows of a call, as every gradient of a parameter is one: first stage sums of bounded numbers
 * of rows in f32, kept in the queue's scratch, then a second stage that adds those in double in their order and the
 * result to what is there. How many partial sums there are depends on the shape alone, so a sum has the same bits on
 * every device.
 */
#ifndef MBK_CUDA_GRAD_CUH
#define MBK_CUDA_GRAD_CUH

#include "cuda/device.cuh"

/* What a kernel needs of a view. */
typedef struct mbk_rows {
    float *p;
    int64_t ld;
} mbk_rows;

static inline mbk_rows mbk_rows_of(mbk_cu_view v) {
    mbk_rows r = {(float *)v.p, v.ld};
    return r;
}

static inline int64_t mbk_least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
/* Whole parts of `each` in n, the last perhaps short. */
static inline int64_t mbk_parts(int64_t n, int64_t each) {
    return (n + each - 1) / each;
}

/* dst (rows, cols) += the sum of n dense partial tensors of that shape, `apart` floats from one to the next. */
mbk_cu_error mbk_add_partials(const mbk_cu_queue *q, mbk_cu_view dst, const float *partial, int64_t n, int64_t apart);

#endif
