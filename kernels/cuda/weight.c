/* weight.c - matrices as the device holds them: row-major, f32, bf16 or int8 with a scale for each row. */
#include <stdlib.h>

#include "cuda/context.h"

/* Numbers of rows that are on their way to be packed. */
#define PACK_FLOATS ((int64_t)4 << 20)

static void weight_free(mbk_ctx *ctx, mbk_weight *w) {
    if (w) {
        mbk_cuda_release((cuda_ctx *)(void *)ctx, w->data);
        mbk_cuda_release((cuda_ctx *)(void *)ctx, w->scale);
        free(w);
    }
}

static size_t size_of(mbk_dtype dtype) {
    return dtype == MBK_BF16 ? 2 : dtype == MBK_I8 ? 1 : 4;
}

static mbk_status make(cuda_ctx *c, int64_t n_out, int64_t n_in, mbk_format format, mbk_weight *w) {
    void *scale = NULL;
    size_t bytes;
    if (mbk_math_whole(format.math)) {
        return MBS_ERR_UNAVAILABLE; /* the CPU alone */
    }
    w->math = format.math;
    w->head.dtype = format.dtype == MBK_F32 && format.math == MBK_MATH_BF16 ? MBK_BF16 : format.dtype;
    w->m = (mbk_cu_matrix){NULL, NULL, n_out, n_in, (int)w->head.dtype};
    if (n_out > INT32_MAX || n_in > INT32_MAX || /* as cuBLAS counts */
        __builtin_mul_overflow((size_t)n_out, (size_t)n_in * size_of(w->head.dtype), &bytes)) {
        return MBS_ERR_MEMORY;
    }
    mbk_status st = mbk_cuda_alloc(c, bytes, &w->data);
    if (st >= 0 && w->head.dtype == MBK_I8) {
        st = mbk_cuda_alloc(c, (size_t)n_out * sizeof(float), &scale);
    }
    w->scale = scale;
    w->m.p = w->data;
    w->m.scale = scale;
    w->head.bytes = bytes + (scale ? (size_t)n_out * sizeof(float) : 0);
    return st;
}

/* Packs rows [first, first + src.rows) of w, or all of its transpose. */
static mbk_status pack(cuda_ctx *c, mbk_weight *w, int64_t first, mbk_cu_view src, int transposed) {
    char *to = (char *)w->data + (size_t)(first * w->m.n_in) * size_of(w->head.dtype);
    float *scale = w->scale ? w->scale + first : NULL;
    mbk_cu_error e = mbk_cu_pack(&c->queue, to, scale, w->m.dtype, src, transposed, c->bad);
    return mbk_cuda_check(c, (cudaError_t)e, "packing a weight");
}

static mbk_status begin_packing(cuda_ctx *c) {
    return mbk_cuda_check(c, cudaMemsetAsync(c->bad, 0, sizeof *c->bad, c->compute), "packing a weight");
}

/* Waits, for the one who asks wants to know; f32 holds everything. */
static mbk_status end_packing(cuda_ctx *c, const mbk_weight *w) {
    int32_t bad = 0;
    if (w->head.dtype == MBK_F32) {
        return MBS_OK;
    }
    mbk_status st = mbk_cuda_get(c, &bad, c->bad, sizeof bad);
    return st < 0 ? st : bad ? MBS_ERR_DATA : MBS_OK;
}

/* f32 as it stands; else some rows after the other through the scratch. */
static mbk_status fill(cuda_ctx *c, mbk_weight *w, const float *values) {
    int64_t n = w->m.n_in;
    if (w->head.dtype == MBK_F32) {
        return mbk_cuda_put(c, w->data, values, (size_t)(w->m.n_out * n) * sizeof(float));
    }
    int64_t rows = PACK_FLOATS / n > 1 ? PACK_FLOATS / n : 1;
    rows = rows < w->m.n_out ? rows : w->m.n_out;
    mbk_status st = mbk_cuda_scratch(c, (size_t)(rows * n) * sizeof(float));
    st = st < 0 ? st : begin_packing(c);
    for (int64_t r = 0; r < w->m.n_out && st >= 0; r += rows) {
        int64_t some = w->m.n_out - r < rows ? w->m.n_out - r : rows;
        mbk_cu_view src = {c->queue.scratch, some, n, n, MBK_CU_F32};
        st = mbk_cuda_put(c, c->queue.scratch, values + r * n, (size_t)(some * n) * sizeof(float));
        st = st < 0 ? st : pack(c, w, r, src, 0);
    }
    return st < 0 ? st : end_packing(c, w);
}

static mbk_status prepare(mbk_ctx *ctx, const float *values, int64_t n_out, int64_t n_in, mbk_format format,
                          mbk_weight **out) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    *out = NULL;
    assert(n_out > 0 && n_in > 0);
    mbk_weight *w = c ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        return c ? MBS_ERR_MEMORY : st;
    }
    st = make(c, n_out, n_in, format, w);
    st = st < 0 ? st : fill(c, w, values);
    if (st < 0) {
        weight_free(ctx, w);
        return st;
    }
    *out = w;
    return MBS_OK;
}

static mbk_status repack(mbk_ctx *ctx, mbk_weight *w, mbk_mat src, int32_t transposed) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    assert(src.rows == (transposed ? w->m.n_in : w->m.n_out) && src.cols == (transposed ? w->m.n_out : w->m.n_in));
    st = c ? begin_packing(c) : st;
    st = st < 0 ? st : pack(c, w, 0, cuda_view(src), transposed);
    return st < 0 ? st : end_packing(c, w);
}

void mbk_cuda_weight_ops(mbk_ops *ops) {
    ops->prepare = prepare;
    ops->weight_free = weight_free;
    ops->repack = repack;
}
