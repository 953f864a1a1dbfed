/*
 * mamba2_grad.c - back through the Mamba-2 block.
 *
 * Of the forward pass a row keeps what in_proj gave, what the convolution and the state space dual form made of it, and
 * what out_proj got; and one state in MBK_SSD_BLOCK rows. The gradient of the stream's state is that of the
 * recurrence's state, in the place of the heads; the rows of the open block have none of their own.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "model/mamba2.h"
#include "model/mixer_kit.h"

enum { IN_W, IN_B, CONV_W, CONV_B, DT_B, A_LOG, D_SKIP, NORM, OUT_W, OUT_B, TENSORS };

typedef struct mamba2_train {
    mamba2 m; /* first: forward takes it */
    mbs_mixer_param param[TENSORS];
    mbk_weight *in_t; /* transposes, through which gradients of rows go; NULL where nothing is trained */
    mbk_weight *out_t;
    mbk_math math;
    mbk_buf *a;
} mamba2_train;

static int64_t saved_rows(const mamba2_sizes *z, int64_t rows) {
    return MBK_SSD_SAVED(rows) * z->heads * z->d_state;
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    return mbs_kit_apart(rows, z.in_rows) + mbs_kit_apart(rows, z.conv) + mbs_kit_apart(rows, z.d_ssm) +
           mbs_kit_apart(rows, z.d_inner) + mbs_kit_lines(saved_rows(&z, rows) * z.head_dim) +
           mbs_kit_lines(z.d_conv * z.conv);
}

mamba2_rows mbs_mamba2_kept(const mamba2_sizes *z, const mbs_mixer_call *call) {
    mbs_mixer_call place = *call; /* carved as a scratch is */
    int64_t at = call->keep_at;
    place.scratch = call->keep;
    mamba2_rows r = {.p = mbs_kit_carve_apart(&place, &at, z->in_rows)};
    r.xbc = mbs_kit_carve_apart(&place, &at, z->conv);
    r.y = mbs_kit_carve_apart(&place, &at, z->d_ssm);
    r.all = mbs_kit_carve_apart(&place, &at, z->d_inner);
    r.saved = (mbk_mat){call->keep, at, saved_rows(z, call->in.rows), z->head_dim, z->head_dim};
    at += mbs_kit_lines(saved_rows(z, call->scratch_rows) * z->head_dim);
    r.conv_state = (mbk_mat){call->keep, at, z->d_conv, z->conv, z->conv};
    return r;
}

/* --- a layer over masters -------------------------------------------------------------------------------------------
 */

static void unmake(mbk_ctx *ctx, void *layer) {
    mamba2_train *t = layer;
    if (!t) {
        return;
    }
    mbk_weight *weights[] = {t->m.in_proj, t->m.out_proj, t->in_t, t->out_t};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        ctx->ops->weight_free(ctx, weights[i]);
    }
    ctx->ops->buf_free(ctx, t->a);
    mbs_free(t);
}

/* In the order of declare, which leaves out what a model has not. */
static void take_params(const mbs_layer_sizes *l, const mbs_mixer_param *params, mamba2_train *t) {
    const int there[TENSORS] = {1, l->use_bias, 1, l->use_conv_bias, 1, 1, 1, l->gated_norm, 1, l->use_bias};
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
    t->m.norm = t->param[NORM].w;
}

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    const mbs_layer_sizes *l = mbs_config_sizes(c, index);
    if (!MBK_SSD_GRAD_FITS(l->d_state, l->head_dim)) {
        return mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL,
                        "heads of %" PRId64 " channels with %" PRId64 " states run but are too large to be trained",
                        l->head_dim, l->d_state);
    }
    mamba2_train *t = mbs_calloc(1, sizeof *t);
    if (!t) {
        return mbs_fail_memory(err, NULL, sizeof *t);
    }
    t->math = format.math;
    t->m.s = mbs_mamba2_sizes(c, index);
    take_params(l, params, t);
    mbs_status st = mbs_kit_pair_room(ctx, format, &t->param[IN_W], &t->m.in_proj, &t->in_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->param[OUT_W], &t->m.out_proj, &t->out_t, err);
    if (st >= 0) {
        mbk_status made = ctx->ops->buf_new(ctx, (size_t)t->m.s.heads * sizeof(float), &t->a);
        st = made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making room for the weights") : MBS_OK;
    }
    if (st < 0) {
        unmake(ctx, t);
        return st;
    }
    t->m.a = mbs_kit_matrix(t->a, 1, t->m.s.heads);
    *layer = t;
    return MBS_OK;
}

static mbk_status pack(mbk_ctx *ctx, const mbs_mixer_param *p, mbk_weight *w, mbk_weight *t) {
    mbk_status st = ctx->ops->repack(ctx, w, p->w, 0);
    return st < 0 || !t ? st : ctx->ops->repack(ctx, t, p->w, 1);
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    mamba2_train *t = layer;
    mbk_status st = pack(ctx, &t->param[IN_W], t->m.in_proj, t->in_t);
    st = st < 0 ? st : pack(ctx, &t->param[OUT_W], t->m.out_proj, t->out_t);
    return st < 0 ? st : ctx->ops->neg_exp(ctx, t->m.a, t->param[A_LOG].w);
}

/* --- backward -------------------------------------------------------------------------------------------------------
 */

/* Gradients of rows. */
typedef struct back_rows {
    mbk_mat dp;   /* (L, in_rows) */
    mbk_mat dxbc; /* (L, conv) */
    mbk_mat dall; /* (L, d_inner) */
    mbk_mat da;   /* (1, heads) */
} back_rows;

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    return mbs_kit_apart(rows, z.in_rows) + mbs_kit_apart(rows, z.conv) + mbs_kit_apart(rows, z.d_inner) +
           mbs_kit_lines(z.heads);
}

static back_rows carve(const mamba2_sizes *z, const mbs_mixer_call *call) {
    int64_t at = 0;
    back_rows b = {.dp = mbs_kit_carve_apart(call, &at, z->in_rows)};
    b.dxbc = mbs_kit_carve_apart(call, &at, z->conv);
    b.dall = mbs_kit_carve_apart(call, &at, z->d_inner);
    b.da = (mbk_mat){call->scratch, at, 1, z->heads, z->heads};
    return b;
}

/* From what out_proj got to z0, x0 and z; the gradient of the mixed rows takes the place of that of the gated ones. */
static mbk_status back_gates(mamba2_train *t, mbk_ctx *ctx, const mamba2_rows *r, const back_rows *b) {
    const mamba2_sizes *z = &t->m.s;
    const int64_t at = 2 * z->d_gate;
    mbk_mat dy = mbs_kit_columns(b->dall, z->d_gate, z->d_ssm);
    mbk_mat gates = mbs_kit_columns(r->p, at, z->d_ssm);
    mbk_mat dgates = mbs_kit_columns(b->dp, at, z->d_ssm);
    mbk_status st = MBS_OK;
    if (z->d_gate > 0) {
        st = ctx->ops->gate_grad(ctx, mbs_kit_columns(b->dp, z->d_gate, z->d_gate),
                                 mbs_kit_columns(b->dp, 0, z->d_gate), mbs_kit_columns(b->dall, 0, z->d_gate),
                                 mbs_kit_columns(r->p, z->d_gate, z->d_gate), mbs_kit_columns(r->p, 0, z->d_gate));
    }
    if (st < 0 || !z->gated_norm) {
        return st < 0 ? st : ctx->ops->gate_grad(ctx, dy, dgates, dy, r->y, gates);
    }
    return ctx->ops->rmsnorm_gated_grad(ctx, dy, dgates, t->param[NORM].g, dy, r->y, gates, t->m.norm, z->gated_eps,
                                        z->norm_group, z->norm_first);
}

/* From the mixed rows to x, B, C and dt. */
static mbk_status back_mix(mamba2_train *t, const mbs_mixer_back *back, const mamba2_rows *r, const back_rows *b,
                           mbk_mat dstate) {
    mbk_ctx *ctx = back->call.ctx;
    const mamba2_sizes *z = &t->m.s;
    const int64_t at_dt = z->in_rows - z->heads;
    mbk_ssd_grad_args ssd = {
        .dx = mbs_kit_columns(b->dxbc, 0, z->d_ssm),
        .ddt = mbs_kit_columns(b->dp, at_dt, z->heads),
        .db = mbs_kit_columns(b->dxbc, z->d_ssm, z->bc),
        .dc = mbs_kit_columns(b->dxbc, z->d_ssm + z->bc, z->bc),
        .da = b->da,
        .dd = t->param[D_SKIP].g,
        .dbias = t->param[DT_B].g,
        .dstate = dstate,
        .dy = mbs_kit_columns(b->dall, z->d_gate, z->d_ssm),
        .x = mbs_kit_columns(r->xbc, 0, z->d_ssm),
        .dt = mbs_kit_columns(r->p, at_dt, z->heads),
        .b = mbs_kit_columns(r->xbc, z->d_ssm, z->bc),
        .c = mbs_kit_columns(r->xbc, z->d_ssm + z->bc, z->bc),
        .a = t->m.a,
        .d = t->m.d,
        .bias = t->m.dt_bias,
        .saved = r->saved,
        .groups = z->groups,
        .position = back->call.position,
        .starts = back->call.starts,
        .dt_min = z->dt_min,
        .dt_max = z->dt_max,
    };
    mbk_mat a_log = t->param[A_LOG].g;
    mbk_status st = ctx->ops->zero(ctx, b->da);
    st = st < 0 ? st : ctx->ops->ssd_grad(ctx, &ssd);
    st = st < 0 ? st : ctx->ops->mul(ctx, b->da, b->da, t->m.a); /* of A to that of A_log */
    return st < 0 ? st : ctx->ops->add(ctx, a_log, a_log, b->da);
}

static mbk_status back_conv(mamba2_train *t, const mbs_mixer_back *back, const mamba2_rows *r, const back_rows *b,
                            mbk_mat dstate) {
    const mamba2_sizes *z = &t->m.s;
    const int64_t at = 2 * z->d_gate + z->d_ssm;
    mbk_conv_grad_args conv = {
        .dx = mbs_kit_columns(b->dp, at, z->conv),
        .dw = t->param[CONV_W].g,
        .dbias = t->param[CONV_B].g,
        .dstate = dstate,
        .dy = b->dxbc,
        .x = mbs_kit_columns(r->p, at, z->conv),
        .w = t->m.conv_w,
        .bias = t->m.conv_b,
        .state = r->conv_state,
        .starts = back->call.starts,
    };
    return back->call.ctx->ops->conv1d_silu_grad(back->call.ctx, &conv);
}

static mbk_status back_linear(mbk_ctx *ctx, mbk_math math, const mbs_mixer_param *w, const mbs_mixer_param *bias,
                              mbk_mat dy, mbk_mat x) {
    mbk_status st = ctx->ops->weight_grad(ctx, w->g, dy, x, math);
    return st < 0 || !bias->g.buf ? st : ctx->ops->bias_grad(ctx, bias->g, dy);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    mamba2_train *t = layer;
    mbk_ctx *ctx = back->call.ctx;
    mbk_mat none = {0};
    int64_t at = back->dstate_at;
    mamba2_rows r = mbs_mamba2_kept(&t->m.s, &back->call);
    back_rows b = carve(&t->m.s, &back->call);
    mamba2_state dstate = mbs_mamba2_state(&t->m.s, back->dstate, &at);
    mbk_status st = back_linear(ctx, t->math, &t->param[OUT_W], &t->param[OUT_B], back->dout, r.all);
    st = st < 0 ? st : ctx->ops->gemm(ctx, b.dall, back->dout, t->out_t, none, 0);
    st = st < 0 ? st : back_gates(t, ctx, &r, &b);
    st = st < 0 ? st : back_mix(t, back, &r, &b, dstate.heads);
    st = st < 0 ? st : back_conv(t, back, &r, &b, dstate.conv);
    st = st < 0 ? st : back_linear(ctx, t->math, &t->param[IN_W], &t->param[IN_B], b.dp, back->call.in);
    return st < 0 ? st : ctx->ops->gemm(ctx, back->din, b.dp, t->in_t, none, 0);
}

const mbs_mixer_train mbs_mamba2_train = {
    .make = make,
    .unmake = unmake,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = scratch_floats,
    .backward = backward,
};
