/*
 * mamba1.c - a layer of Mamba-1 under bf16 math: what goes from one operation to the next is bf16, as cuBLAS gives it
 * and takes it, and the time steps are made where the scan needs them. States are f32, and so is what is added to the
 * residual stream. Half of the bytes of the operations one by one, which products would round to bf16 anyway.
 */
#include "cuda/context.h"

/* What the rows of a call go through, in the scratch: room for rows of whole tiles, and for few behind them. */
typedef struct layer_rows {
    int64_t first, last; /* rows of whole and of filled-up tiles, and few behind them */
    mbk_cu_view in, xz, u, p, dt;
    void *room;           /* of products */
    mbk_cu_queue kernels; /* what conv and scan have of the scratch */
} layer_rows;

static int suits(const mbk_mamba1_args *s) {
    const mbk_weight *all[] = {s->in_proj, s->x_proj, s->dt_proj, s->out_proj};
    for (int i = 0; i < 4; i++) {
        if (all[i]->math != MBK_MATH_BF16 || all[i]->head.dtype != MBK_BF16) {
            return 0;
        }
    }
    return 1;
}

/* Whether the scan makes its own time steps. */
static int makes_steps(const mbk_mamba1_args *s) {
    return s->a.rows <= 16 && s->dt_proj->m.n_in <= MBK_CU_SCAN_RANK;
}

static mbk_cu_view take(size_t *at, int64_t room, int64_t rows, int64_t cols) {
    const int64_t ld = (cols + 7) / 8 * 8; /* so that every row begins at 16 bytes */
    mbk_cu_view v = {NULL, rows, cols, ld, MBK_CU_BF16};
    v.p = (void *)(uintptr_t)*at; /* an offset, until there is a base */
    *at += cuda_lines((size_t)(room * ld) * 2);
    return v;
}

static void *from_base(void *base, const void *offset) {
    return (char *)base + (size_t)(uintptr_t)offset;
}

static mbk_cu_view columns(mbk_cu_view v, int64_t from, int64_t cols) {
    v.p = (char *)v.p + from * 2;
    v.cols = cols;
    return v;
}

static mbk_cu_conv conv_of(const mbk_mamba1_args *s, const layer_rows *r) {
    return (mbk_cu_conv){.y = r->u,
                         .x = columns(r->xz, 0, r->u.cols),
                         .w = cuda_view(s->conv_w),
                         .bias = cuda_view(s->conv_b),
                         .state = cuda_view(s->conv_state),
                         .starts = cuda_starts(s->starts)};
}

static mbk_cu_scan scan_of(const mbk_mamba1_args *s, const layer_rows *r) {
    const int64_t rank = s->dt_proj->m.n_in;
    const int64_t n = s->a.rows;
    mbk_cu_scan a = {.y = r->u,
                     .u = r->u,
                     .z = columns(r->xz, r->u.cols, r->u.cols),
                     .b = columns(r->p, rank, n),
                     .c = columns(r->p, rank + n, n),
                     .a = cuda_view(s->a),
                     .d = cuda_view(s->d),
                     .bias = cuda_view(s->dt_bias),
                     .state = cuda_view(s->state),
                     .starts = cuda_starts(s->starts)};
    if (makes_steps(s)) {
        a.low = columns(r->p, 0, rank);
        a.weight = (mbk_cu_view){s->dt_proj->data, r->u.cols, rank, rank, MBK_CU_BF16};
    } else {
        a.dt = r->dt;
    }
    return a;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static mbk_status make_rows(cuda_ctx *c, const mbk_mamba1_args *s, layer_rows *r) {
    const int64_t rows = s->in.rows;
    const int64_t d = s->in.cols;
    const int64_t inner = s->conv_w.cols;
    size_t at = 0;
    r->last = mbk_cuda_few(rows);
    r->first = rows - r->last;
    const int64_t room = (r->first + MBK_CU_ROWS - 1) / MBK_CU_ROWS * MBK_CU_ROWS + MBK_CU_FEW;
    r->in = take(&at, r->first > 0 ? room : 0, rows, d);
    r->xz = take(&at, room, rows, 2 * inner);
    r->u = take(&at, room, rows, inner);
    r->p = take(&at, room, rows, s->x_proj->m.n_out);
    r->dt = take(&at, makes_steps(s) ? 0 : room, rows, inner);
    const size_t product = at;
    at += mbk_cuda_product_room(s->out_proj);
    const size_t kernels = at;
    const mbk_cu_conv conv = conv_of(s, r);
    const mbk_cu_scan scan = scan_of(s, r);
    at += larger(mbk_cu_conv1d_silu_scratch(&conv), mbk_cu_selective_scan_scratch(&scan));
    mbk_status st = mbk_cuda_scratch(c, at);
    if (st < 0) {
        return st;
    }
    char *base = c->queue.scratch;
    mbk_cu_view *views[] = {&r->in, &r->xz, &r->u, &r->p, &r->dt};
    for (int i = 0; i < 5; i++) {
        views[i]->p = from_base(base, views[i]->p);
    }
    r->room = base + product;
    r->kernels = c->queue;
    r->kernels.scratch = base + kernels;
    r->kernels.scratch_bytes = at - kernels;
    return MBS_OK;
}

/* y = x W^T over all rows; the last few of x from `few`, which counts from the first row too. */
static mbk_status product(cuda_ctx *c, const layer_rows *r, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x,
                          mbk_cu_view few) {
    mbk_status st = MBS_OK;
    if (r->first > 0) {
        st = mbk_cuda_product(c, w, mbk_cuda_rows_of(&y, 0, r->first), mbk_cuda_rows_of(&x, 0, r->first), r->room);
    }
    if (st >= 0 && r->last > 0) {
        st = mbk_cuda_product_few(c, w, mbk_cuda_rows_of(&y, r->first, r->last),
                                  mbk_cuda_rows_of(&few, r->first, r->last), r->room);
    }
    return st;
}

static mbk_status check(cuda_ctx *c, mbk_cu_error e, const char *what) {
    return mbk_cuda_check(c, (cudaError_t)e, what);
}

static mbk_status mamba1(mbk_ctx *ctx, const mbk_mamba1_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->in.rows, &st);
    layer_rows r;
    if (!c) {
        return st;
    }
    if (!suits(s)) {
        return MBS_END;
    }
    st = make_rows(c, s, &r);
    const mbk_cu_view in = cuda_view(s->in);
    if (st >= 0 && r.first > 0) {
        st = check(c, mbk_cu_copy(&c->queue, mbk_cuda_rows_of(&r.in, 0, r.first), mbk_cuda_rows_of(&in, 0, r.first)),
                   "mamba1");
    }
    st = st < 0 ? st : product(c, &r, s->in_proj, r.xz, r.in, in);
    if (st >= 0) {
        const mbk_cu_conv conv = conv_of(s, &r);
        st = check(c, mbk_cu_conv1d_silu(&r.kernels, &conv), "conv1d_silu");
    }
    st = st < 0 ? st : product(c, &r, s->x_proj, r.p, r.u, r.u);
    if (st >= 0 && !makes_steps(s)) {
        const mbk_cu_view low = columns(r.p, 0, s->dt_proj->m.n_in);
        st = product(c, &r, s->dt_proj, r.dt, low, low);
    }
    if (st >= 0) {
        const mbk_cu_scan scan = scan_of(s, &r);
        st = check(c, mbk_cu_selective_scan(&r.kernels, &scan), "selective_scan");
    }
    return st < 0 ? st : product(c, &r, s->out_proj, cuda_view(s->out), r.u, r.u);
}

void mbk_cuda_mamba1_ops(mbk_ops *ops) {
    ops->mamba1 = mamba1;
}
