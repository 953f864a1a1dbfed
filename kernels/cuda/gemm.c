/*
 * gemm.c - matrix products, through cuBLAS in tiles of MBK_CU_ROWS rows; few rows go through a kernel of our own.
 *
 * cuBLAS counts columns first: what we call y (rows, n_out) = x (rows, n_in) W^T is to it y^T = W x^T, with W read as
 * it stands and no copy of anything.
 */
#include "cuda/context.h"

/* A product of whole tiles. The operands are of one type. */
typedef struct cuda_product {
    const mbk_weight *w;
    const void *weights; /* as they are multiplied */
    int bf16;            /* operands; else f32 */
    mbk_cu_view x, y;
    int old; /* the old y is added */
} cuda_product;

static size_t operand_size(int bf16) {
    return bf16 ? 2 : 4;
}

/* All that decides about cuBLAS's choice of code is the same for every tile of a weight: its sizes, and where rows
 * begin. */
static mbk_status tile(cuda_ctx *c, const cuda_product *p, const void *x, int64_t ldx, void *y, int64_t ldy, int old) {
    const cudaDataType to = p->y.type == MBK_CU_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const float one = 1.0f;
    const float beta = old ? 1.0f : 0.0f;
    const cudaDataType type = p->bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasComputeType_t how = !p->bf16 && c->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const int n_in = (int)p->w->m.n_in;
    if (ldx > INT32_MAX || ldy > INT32_MAX) {
        return MBS_ERR_INTERNAL;
    }
    cublasStatus_t e =
        c->blas.gemm(c->handle, CUBLAS_OP_T, CUBLAS_OP_N, (int)p->w->m.n_out, MBK_CU_ROWS, n_in, &one, p->weights, type,
                     n_in, x, type, (int)ldx, &beta, y, to, (int)ldy, how, CUBLAS_GEMM_DEFAULT);
    return mbk_cuda_check_blas(c, e, "a matrix product");
}

static void *row_of(const mbk_cu_view *v, int64_t row) {
    size_t each = operand_size(v->type == MBK_CU_BF16);
    return (char *)v->p + (size_t)(row * v->ld) * each;
}

static mbk_cu_view rows_of(const mbk_cu_view *v, int64_t from, int64_t rows) {
    mbk_cu_view part = *v;
    part.p = row_of(v, from);
    part.rows = rows;
    return part;
}

static mbk_cu_view fresh(void *p, int64_t rows, int64_t cols, mbk_cu_type type) {
    return (mbk_cu_view){p, rows, cols, cols, type};
}

/* What is beside the product itself: y = y * scale + bias. */
static mbk_status finish(cuda_ctx *c, mbk_cu_view y, const mbk_weight *w, mbk_cu_view bias) {
    const mbk_cu_view none = {0};
    if (!w->scale && !bias.p) {
        return MBS_OK;
    }
    mbk_cu_error e = mbk_cu_gemm_finish(&c->queue, y, w->scale, bias.p, none);
    return mbk_cuda_check(c, (cudaError_t)e, "a matrix product");
}

static mbk_status queue(cuda_ctx *c, mbk_cu_error e) {
    return mbk_cuda_check(c, (cudaError_t)e, "a matrix product");
}

/* --- few rows ------------------------------------------------------------------------------------------------------
 */

static mbk_status few(cuda_ctx *c, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x, mbk_cu_view bias, int old) {
    mbk_cu_view to = y;
    mbk_status st = MBS_OK;
    if (old) {
        st = mbk_cuda_scratch(c, (size_t)(MBK_CU_FEW * w->m.n_out) * sizeof(float));
        to = fresh(c->queue.scratch, x.rows, w->m.n_out, MBK_CU_F32);
    }
    st = st < 0 ? st : queue(c, mbk_cu_gemv(&c->queue, to, x, &w->m, w->math == MBK_MATH_BF16));
    st = st < 0 ? st : finish(c, to, w, bias);
    return st < 0 || !old ? st : queue(c, mbk_cu_add(&c->queue, y, to, y));
}

/* --- many rows -----------------------------------------------------------------------------------------------------
 */

/* Parts of the scratch. */
typedef struct cuda_parts {
    void *weights; /* widened, or rounded to bf16 */
    void *x;       /* rows rounded, or the last tile filled up */
    void *y;       /* a tile */
} cuda_parts;

/* Whether W must become other numbers before cuBLAS can read it: int8 and, under f32 math, bf16. */
static int needs_unpacking(const mbk_weight *w) {
    return w->head.dtype == MBK_I8 || (w->head.dtype == MBK_BF16 && w->math == MBK_MATH_F32);
}

static mbk_status make_parts(cuda_ctx *c, const mbk_weight *w, int64_t rows, cuda_parts *parts) {
    const int bf16 = w->math == MBK_MATH_BF16;
    int64_t tiles = (rows + MBK_CU_ROWS - 1) / MBK_CU_ROWS;
    tiles = !bf16 ? 1 : tiles < MBK_CU_TILES ? tiles : MBK_CU_TILES;
    size_t weights = needs_unpacking(w) ? (size_t)(w->m.n_out * w->m.n_in) * operand_size(bf16) : 0;
    size_t x = (size_t)(tiles * MBK_CU_ROWS * w->m.n_in) * operand_size(bf16);
    size_t y = (size_t)(MBK_CU_ROWS * w->m.n_out) * sizeof(float);
    weights = cuda_lines(weights);
    x = cuda_lines(x);
    mbk_status st = mbk_cuda_scratch(c, weights + x + y);
    char *p = c->queue.scratch;
    *parts = (cuda_parts){p, p + weights, p + weights + x};
    return st;
}

/* Rows of x, filled up with zeros to whole tiles, as operands in the scratch. */
static mbk_status take_rows(cuda_ctx *c, const cuda_product *p, int64_t from, int64_t rows, void *to) {
    int64_t filled = (rows + MBK_CU_ROWS - 1) / MBK_CU_ROWS * MBK_CU_ROWS;
    mbk_cu_view all = fresh(to, filled, p->w->m.n_in, p->bf16 ? MBK_CU_BF16 : MBK_CU_F32);
    mbk_status st = queue(c, mbk_cu_copy(&c->queue, rows_of(&all, 0, rows), rows_of(&p->x, from, rows)));
    if (st >= 0 && rows < filled) {
        size_t bytes = (size_t)((filled - rows) * all.cols) * operand_size(p->bf16);
        cudaError_t e = cudaMemsetAsync(row_of(&all, rows), 0, bytes, c->compute);
        st = mbk_cuda_check(c, e, "a matrix product");
    }
    return st;
}

/* A tile by way of the scratch: one that y has no room for, or whose product is not yet what is added to y. */
static mbk_status tile_beside(cuda_ctx *c, const cuda_product *p, const void *x, int64_t ldx, int64_t at, int64_t rows,
                              mbk_cu_view bias, void *room) {
    mbk_cu_view y = rows_of(&p->y, at, rows);
    mbk_cu_view got = fresh(room, rows, p->y.cols, MBK_CU_F32);
    mbk_status st = tile(c, p, x, ldx, room, got.ld, 0);
    st = st < 0 ? st : finish(c, got, p->w, bias);
    return st < 0 ? st : p->old ? queue(c, mbk_cu_add(&c->queue, y, got, y)) : queue(c, mbk_cu_copy(&c->queue, y, got));
}

static mbk_status many(cuda_ctx *c, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x, mbk_cu_view bias, int old) {
    cuda_product p = {w, w->data, w->math == MBK_MATH_BF16, x, y, old};
    const int beside = old && (bias.p || w->scale);
    const int64_t step = p.bf16 ? MBK_CU_TILES * MBK_CU_ROWS : MBK_CU_ROWS;
    cuda_parts parts;
    mbk_status st = make_parts(c, w, x.rows, &parts);
    if (st >= 0 && needs_unpacking(w)) {
        mbk_cu_view wide = fresh(parts.weights, w->m.n_out, w->m.n_in, p.bf16 ? MBK_CU_BF16 : MBK_CU_F32);
        st = queue(c, mbk_cu_unpack(&c->queue, wide, &w->m, 0));
        p.weights = parts.weights;
    }
    for (int64_t at = 0; at < x.rows && st >= 0; at += step) {
        int64_t some = x.rows - at < step ? x.rows - at : step;
        const int taken = p.bf16 || some < MBK_CU_ROWS;
        st = taken ? take_rows(c, &p, at, some, parts.x) : st;
        for (int64_t r = 0; r < some && st >= 0; r += MBK_CU_ROWS) {
            int64_t rows = some - r < MBK_CU_ROWS ? some - r : MBK_CU_ROWS;
            int64_t ldx = taken ? w->m.n_in : x.ld;
            const void *from =
                taken ? (const char *)parts.x + (size_t)(r * ldx) * operand_size(p.bf16) : row_of(&x, at);
            st = beside || rows < MBK_CU_ROWS ? tile_beside(c, &p, from, ldx, at + r, rows, bias, parts.y)
                                              : tile(c, &p, from, ldx, row_of(&y, at + r), y.ld, old);
        }
    }
    int64_t left = beside ? 0 : x.rows / MBK_CU_ROWS * MBK_CU_ROWS; /* rows that went straight into y */
    return st < 0 || left == 0 ? st : finish(c, rows_of(&y, 0, left), w, bias);
}

static mbk_status gemm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, const mbk_weight *w, mbk_mat bias, int32_t accumulate) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    assert(x.cols == w->m.n_in && y.cols == w->m.n_out && x.rows == y.rows);
    assert(!bias.buf || bias.cols == w->m.n_out);
    if (!c || x.rows == 0) {
        return st;
    }
    /* Few rows behind whole tiles are what they would be in a call of their own: a cut there changes no bit. */
    const int64_t last = mbk_cuda_few(x.rows);
    const int64_t first = x.rows - last;
    mbk_cu_view to = cuda_view(y);
    mbk_cu_view from = cuda_view(x);
    if (first > 0) {
        st = many(c, w, rows_of(&to, 0, first), rows_of(&from, 0, first), cuda_view(bias), accumulate);
    }
    if (last > 0 && st >= 0) {
        st = few(c, w, rows_of(&to, first, last), rows_of(&from, first, last), cuda_view(bias), accumulate);
    }
    return st;
}

/* --- bf16 that is there already ------------------------------------------------------------------------------------
 */

int64_t mbk_cuda_few(int64_t rows) {
    const int64_t tail = rows % MBK_CU_ROWS;
    return tail <= MBK_CU_FEW ? tail : 0;
}

size_t mbk_cuda_product_room(const mbk_weight *w) {
    return cuda_lines((size_t)(MBK_CU_ROWS * w->m.n_out) * sizeof(float));
}

mbk_status mbk_cuda_product(cuda_ctx *c, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x, void *room) {
    const mbk_cu_view none = {0};
    const cuda_product p = {w, w->data, 1, x, y, y.type == MBK_CU_F32};
    mbk_status st = MBS_OK;
    for (int64_t at = 0; at < x.rows && st >= 0; at += MBK_CU_ROWS) {
        const int64_t rows = x.rows - at < MBK_CU_ROWS ? x.rows - at : MBK_CU_ROWS;
        const void *from = row_of(&x, at);
        st = p.old && rows < MBK_CU_ROWS ? tile_beside(c, &p, from, x.ld, at, rows, none, room)
                                         : tile(c, &p, from, x.ld, row_of(&y, at), y.ld, p.old);
    }
    return st;
}

mbk_status mbk_cuda_product_few(cuda_ctx *c, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x, void *room) {
    const int old = y.type == MBK_CU_F32;
    mbk_cu_view to = old ? fresh(room, x.rows, w->m.n_out, MBK_CU_F32) : y;
    mbk_status st = queue(c, mbk_cu_gemv(&c->queue, to, x, &w->m, 1));
    return st < 0 || !old ? st : queue(c, mbk_cu_add(&c->queue, y, to, y));
}

mbk_cu_view mbk_cuda_rows_of(const mbk_cu_view *v, int64_t from, int64_t rows) {
    return rows_of(v, from, rows);
}

/* --- gradients of weights ------------------------------------------------------------------------------------------
 */

/* dw += dy^T x over some rows: to cuBLAS dw^T += x^T dy. */
static mbk_status add_rows(cuda_ctx *c, mbk_cu_view dw, const void *dy, int64_t lddy, const void *x, int64_t ldx,
                           int64_t rows, int bf16) {
    const float one = 1.0f;
    const cudaDataType type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasComputeType_t how = !bf16 && c->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    if (dw.ld > INT32_MAX || lddy > INT32_MAX || ldx > INT32_MAX || dw.rows > INT32_MAX || dw.cols > INT32_MAX) {
        return MBS_ERR_INTERNAL;
    }
    cublasStatus_t e =
        c->blas.gemm(c->handle, CUBLAS_OP_N, CUBLAS_OP_T, (int)dw.cols, (int)dw.rows, (int)rows, &one, x, type,
                     (int)ldx, dy, type, (int)lddy, &one, dw.p, CUDA_R_32F, (int)dw.ld, how, CUBLAS_GEMM_DEFAULT);
    return mbk_cuda_check_blas(c, e, "the gradient of a weight");
}

static mbk_status weight_grad(mbk_ctx *ctx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_math math) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    const int bf16 = math == MBK_MATH_BF16;
    assert(dw.rows == dy.cols && dw.cols == x.cols && dy.rows == x.rows);
    if (!c || x.rows == 0) {
        return st;
    }
    mbk_cu_view g = cuda_view(dy);
    mbk_cu_view in = cuda_view(x);
    size_t first = cuda_lines((size_t)(MBK_CU_ROWS * g.cols) * 2);
    st = bf16 ? mbk_cuda_scratch(c, first + (size_t)(MBK_CU_ROWS * in.cols) * 2) : st;
    for (int64_t at = 0; at < x.rows && st >= 0; at += MBK_CU_ROWS) {
        int64_t rows = x.rows - at < MBK_CU_ROWS ? x.rows - at : MBK_CU_ROWS;
        mbk_cu_view dy_part = rows_of(&g, at, rows);
        mbk_cu_view x_part = rows_of(&in, at, rows);
        if (bf16) {
            mbk_cu_view dy_short = fresh(c->queue.scratch, rows, g.cols, MBK_CU_BF16);
            mbk_cu_view x_short = fresh((char *)c->queue.scratch + first, rows, in.cols, MBK_CU_BF16);
            st = queue(c, mbk_cu_copy(&c->queue, dy_short, dy_part));
            st = st < 0 ? st : queue(c, mbk_cu_copy(&c->queue, x_short, x_part));
            dy_part = dy_short;
            x_part = x_short;
        }
        st = st < 0 ? st : add_rows(c, cuda_view(dw), dy_part.p, dy_part.ld, x_part.p, x_part.ld, rows, bf16);
    }
    return st;
}

void mbk_cuda_gemm_ops(mbk_ops *ops) {
    ops->gemm = gemm;
    ops->weight_grad = weight_grad;
}
