/*
 * mamba1_grad.c - back through the Mamba-1 block.
 *
 * Of the forward pass a row keeps xz, u, p, dt and the output of the scan, and one state in MBK_SCAN_BLOCK, from which
 * the others are made again.
 */
#include <string.h>

#include "base/mem.h"
#include "model/mamba1.h"
#include "model/mixer_kit.h"

enum { IN_W, IN_B, CONV_W, CONV_B, X_W, DT_W, DT_B, A_LOG, D_SKIP, OUT_W, OUT_B, TENSORS };

typedef struct mamba1_train {
    mamba1 m; /* first: forward takes it */
    mbs_mixer_param param[TENSORS];
    mbk_weight *in_t; /* transposes, through which gradients of rows go; NULL where nothing is trained */
    mbk_weight *x_t;
    mbk_weight *dt_t;
    mbk_weight *out_t;
    mbk_math math;
    mbk_buf *a;
} mamba1_train;

static int64_t saved_rows(int64_t rows, int64_t n) {
    return (rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * n;
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return mbs_kit_apart(rows, 2 * z->d_inner) + 3 * mbs_kit_apart(rows, z->d_inner) +
           mbs_kit_apart(rows, mbs_mamba1_p_cols(z->dt_rank, z->d_state)) +
           mbs_kit_lines(saved_rows(rows, z->d_state) * z->d_inner) + mbs_kit_lines(z->d_conv * z->d_inner);
}

mamba1_rows mbs_mamba1_kept(const mamba1 *m, const mbs_mixer_call *call) {
    mbs_mixer_call place = *call; /* carved as a scratch is */
    int64_t c = m->d_inner;
    int64_t at = call->keep_at;
    place.scratch = call->keep;
    mamba1_rows r = {.xz = mbs_kit_carve_apart(&place, &at, 2 * c)};
    r.u = mbs_kit_carve_apart(&place, &at, c);
    r.dt = mbs_kit_carve_apart(&place, &at, c);
    r.y = mbs_kit_carve_apart(&place, &at, c);
    r.p = mbs_kit_carve_apart(&place, &at, mbs_mamba1_p_cols(m->dt_rank, m->d_state));
    r.saved = (mbk_mat){call->keep, at, saved_rows(call->in.rows, m->d_state), c, c};
    at += mbs_kit_lines(saved_rows(call->scratch_rows, m->d_state) * c);
    r.conv_state = (mbk_mat){call->keep, at, m->d_conv, c, c};
    return r;
}

/* --- a layer over masters -------------------------------------------------------------------------------------------
 */

static void unmake(mbk_ctx *ctx, void *layer) {
    mamba1_train *t = layer;
    if (!t) {
        return;
    }
    mbk_weight *weights[] = {t->m.in_proj, t->m.x_proj, t->m.dt_proj, t->m.out_proj,
                             t->in_t,      t->x_t,      t->dt_t,      t->out_t};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        ctx->ops->weight_free(ctx, weights[i]);
    }
    ctx->ops->buf_free(ctx, t->a);
    mbs_free(t);
}

/* In the order of declare, which leaves out the biases that a model has not. */
static void take_params(const mbs_layer_sizes *z, const mbs_mixer_param *params, mamba1_train *t) {
    const int there[TENSORS] = {1, z->use_bias, 1, z->use_conv_bias, 1, 1, 1, 1, 1, 1, z->use_bias};
    for (int i = 0; i < TENSORS; i++) {
        if (there[i]) {
            t->param[i] = *params++;
        }
    }
    t->m.in_bias = t->param[IN_B].w;
    t->m.out_bias = t->param[OUT_B].w;
    t->m.conv_w = t->param[CONV_W].w;
    t->m.conv_b = t->param[CONV_B].w;
    t->m.dt_bias = t->param[DT_B].w;
    t->m.d = t->param[D_SKIP].w;
}

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    mamba1_train *t = mbs_calloc(1, sizeof *t);
    if (!t) {
        return mbs_fail_memory(err, NULL, sizeof *t);
    }
    t->math = format.math;
    mbs_mamba1_sizes(c, index, &t->m);
    take_params(z, params, t);
    mbs_status st = mbs_kit_pair_room(ctx, format, &t->param[IN_W], &t->m.in_proj, &t->in_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->param[X_W], &t->m.x_proj, &t->x_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->param[DT_W], &t->m.dt_proj, &t->dt_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->param[OUT_W], &t->m.out_proj, &t->out_t, err);
    if (st >= 0) {
        mbk_status made = ctx->ops->buf_new(ctx, (size_t)(z->d_state * z->d_inner) * sizeof(float), &t->a);
        st = made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making room for the weights") : MBS_OK;
    }
    if (st < 0) {
        unmake(ctx, t);
        return st;
    }
    t->m.a = mbs_kit_matrix(t->a, z->d_state, z->d_inner);
    *layer = t;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    mamba1_train *t = layer;
    mbk_status st = mbs_kit_pack(ctx, &t->param[IN_W], t->m.in_proj, t->in_t);
    st = st < 0 ? st : mbs_kit_pack(ctx, &t->param[X_W], t->m.x_proj, t->x_t);
    st = st < 0 ? st : mbs_kit_pack(ctx, &t->param[DT_W], t->m.dt_proj, t->dt_t);
    st = st < 0 ? st : mbs_kit_pack(ctx, &t->param[OUT_W], t->m.out_proj, t->out_t);
    return st < 0 ? st : ctx->ops->neg_exp(ctx, t->m.a, t->param[A_LOG].w);
}

/* --- backward -------------------------------------------------------------------------------------------------------
 */

/* Gradients of rows. */
typedef struct back_rows {
    mbk_mat dy, du, ddt; /* (L, C) */
    mbk_mat dxz;         /* (L, 2 C) */
    mbk_mat dp;          /* (L, R + 2 N) */
    mbk_mat da;          /* (N, C) */
} back_rows;

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return 3 * mbs_kit_apart(rows, z->d_inner) + mbs_kit_apart(rows, 2 * z->d_inner) +
           mbs_kit_apart(rows, mbs_mamba1_p_cols(z->dt_rank, z->d_state)) + mbs_kit_lines(z->d_state * z->d_inner);
}

static back_rows carve(const mamba1 *m, const mbs_mixer_call *call) {
    int64_t c = m->d_inner;
    int64_t at = 0;
    back_rows b;
    b.dy = mbs_kit_carve_apart(call, &at, c);
    b.du = mbs_kit_carve_apart(call, &at, c);
    b.ddt = mbs_kit_carve_apart(call, &at, c);
    b.dxz = mbs_kit_carve_apart(call, &at, 2 * c);
    b.dp = mbs_kit_carve_apart(call, &at, mbs_mamba1_p_cols(m->dt_rank, m->d_state));
    b.da = (mbk_mat){call->scratch, at, m->d_state, c, c};
    return b;
}

/* From dy to du, ddt, dz and the columns of dp for B and C. */
static mbk_status back_scan(mamba1_train *t, const mbs_mixer_back *back, const mamba1_rows *r, const back_rows *b) {
    mbk_ctx *ctx = back->call.ctx;
    const mamba1 *m = &t->m;
    int64_t c = m->d_inner;
    int64_t n = m->d_state;
    mbk_scan_grad_args scan = {
        .du = b->du,
        .ddt = b->ddt,
        .dz = mbs_kit_columns(b->dxz, c, c),
        .db = mbs_kit_columns(b->dp, m->dt_rank, n),
        .dc = mbs_kit_columns(b->dp, m->dt_rank + n, n),
        .da = b->da,
        .dd = t->param[D_SKIP].g,
        .dbias = t->param[DT_B].g,
        .dstate = {back->dstate, back->dstate_at + m->d_conv * c, n, c, c},
        .dy = b->dy,
        .u = r->u,
        .dt = r->dt,
        .b = mbs_kit_columns(r->p, m->dt_rank, n),
        .c = mbs_kit_columns(r->p, m->dt_rank + n, n),
        .z = mbs_kit_columns(r->xz, c, c),
        .a = m->a,
        .d = m->d,
        .bias = m->dt_bias,
        .saved = r->saved,
        .starts = back->call.starts,
    };
    mbk_mat a_log = t->param[A_LOG].g;
    mbk_status st = ctx->ops->zero(ctx, b->da);
    st = st < 0 ? st : ctx->ops->selective_scan_grad(ctx, &scan);
    st = st < 0 ? st : ctx->ops->mul(ctx, b->da, b->da, m->a); /* of A to that of A_log */
    return st < 0 ? st : ctx->ops->add(ctx, a_log, a_log, b->da);
}

/* Through dt_proj and x_proj: what they hand back is added to du. */
static mbk_status back_projections(mamba1_train *t, mbk_ctx *ctx, const mamba1_rows *r, const back_rows *b) {
    const mbk_ops *ops = ctx->ops;
    mbk_mat none = {0};
    mbk_mat low = mbs_kit_columns(r->p, 0, t->m.dt_rank);
    mbk_status st = ops->weight_grad(ctx, t->param[DT_W].g, b->ddt, low, t->math);
    st = st < 0 ? st : ops->gemm(ctx, mbs_kit_columns(b->dp, 0, t->m.dt_rank), b->ddt, t->dt_t, none, 0);
    st = st < 0 ? st : ops->weight_grad(ctx, t->param[X_W].g, b->dp, r->u, t->math);
    return st < 0 ? st : ops->gemm(ctx, b->du, b->dp, t->x_t, none, 1);
}

static mbk_status back_conv(mamba1_train *t, const mbs_mixer_back *back, const mamba1_rows *r, const back_rows *b) {
    int64_t c = t->m.d_inner;
    mbk_conv_grad_args conv = {
        .dx = mbs_kit_columns(b->dxz, 0, c),
        .dw = t->param[CONV_W].g,
        .dbias = t->param[CONV_B].g,
        .dstate = {back->dstate, back->dstate_at, t->m.d_conv, c, c},
        .dy = b->du,
        .x = mbs_kit_columns(r->xz, 0, c),
        .w = t->m.conv_w,
        .bias = t->m.conv_b,
        .state = r->conv_state,
        .starts = back->call.starts,
    };
    return back->call.ctx->ops->conv1d_silu_grad(back->call.ctx, &conv);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    mamba1_train *t = layer;
    mbk_ctx *ctx = back->call.ctx;
    mbk_mat none = {0};
    mamba1_rows r = mbs_mamba1_kept(&t->m, &back->call);
    back_rows b = carve(&t->m, &back->call);
    mbk_status st = mbs_kit_linear_grad(ctx, t->math, &t->param[OUT_W], &t->param[OUT_B], back->dout, r.y);
    st = st < 0 ? st : ctx->ops->gemm(ctx, b.dy, back->dout, t->out_t, none, 0);
    st = st < 0 ? st : back_scan(t, back, &r, &b);
    st = st < 0 ? st : back_projections(t, ctx, &r, &b);
    st = st < 0 ? st : back_conv(t, back, &r, &b);
    st = st < 0 ? st : mbs_kit_linear_grad(ctx, t->math, &t->param[IN_W], &t->param[IN_B], b.dxz, back->call.in);
    return st < 0 ? st : ctx->ops->gemm(ctx, back->din, b.dxz, t->in_t, none, 0);
}

const mbs_mixer_train mbs_mamba1_train = {
    .make = make,
    .unmake = unmake,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = scratch_floats,
    .backward = backward,
    .rows = 512,
};
