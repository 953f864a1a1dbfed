/* attention_grad.c - back through the attention block. Of the forward pass a row keeps what in_proj gave, q, k and v as
 * they were attended to, what the heads gave, and the logarithm of each head's sum. */
#include "base/mem.h"
#include "model/attention.h"
#include "model/mixer_kit.h"

enum { IN_W, IN_B, CONV_W, CONV_B, OUT_W, OUT_B, TENSORS };

typedef struct attention_train {
    attention m; /* first: forward takes it */
    mbs_mixer_param param[TENSORS];
    mbk_weight *in_t;
    mbk_weight *out_t;
    mbk_math math;
} attention_train;

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    return mbs_kit_apart(rows, z.in) + (z.d_conv > 0 ? mbs_kit_apart(rows, z.qkv) : 0) + mbs_kit_apart(rows, z.out) +
           mbs_kit_apart(rows, z.heads) + mbs_kit_lines(z.d_conv * z.qkv);
}

static void unmake(mbk_ctx *ctx, void *layer) {
    attention_train *t = layer;
    if (!t) {
        return;
    }
    mbk_weight *weights[] = {t->m.in_proj, t->m.out_proj, t->in_t, t->out_t};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        ctx->ops->weight_free(ctx, weights[i]);
    }
    mbs_free(t);
}

/* In the order of declare, which leaves out what a layer has not. */
static void take_params(const mbs_layer_sizes *l, const mbs_mixer_param *params, attention_train *t) {
    const int conv = l->d_conv > 0;
    const int there[TENSORS] = {1, l->use_bias, conv, conv && l->use_conv_bias, 1, l->out_bias};
    for (int i = 0; i < TENSORS; i++) {
        if (there[i]) {
            t->param[i] = *params++;
        }
    }
    t->m.in_bias = t->param[IN_B].w;
    t->m.out_bias = t->param[OUT_B].w;
    t->m.conv_w = t->param[CONV_W].w;
    t->m.conv_b = t->param[CONV_B].w;
}

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    attention_train *t = mbs_calloc(1, sizeof *t);
    if (!t) {
        return mbs_fail_memory(err, NULL, sizeof *t);
    }
    t->math = format.math;
    t->m.s = mbs_attention_sizes(c, index);
    take_params(mbs_config_sizes(c, index), params, t);
    mbs_status st = mbs_kit_pair_room(ctx, format, &t->param[IN_W], &t->m.in_proj, &t->in_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->param[OUT_W], &t->m.out_proj, &t->out_t, err);
    if (st < 0) {
        unmake(ctx, t);
        return st;
    }
    *layer = t;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    attention_train *t = layer;
    mbk_status st = mbs_kit_pack(ctx, &t->param[IN_W], t->m.in_proj, t->in_t);
    return st < 0 ? st : mbs_kit_pack(ctx, &t->param[OUT_W], t->m.out_proj, t->out_t);
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    return mbs_kit_apart(rows, z.in) + (z.d_conv > 0 ? mbs_kit_apart(rows, z.qkv) : 0) + mbs_kit_apart(rows, z.out);
}

/* From dy of the heads to the gradients of q, k and v, as they came out of the convolution. */
static mbk_status back_heads(const attention_sizes *z, const mbs_mixer_back *back, const attention_rows *r,
                             mbk_mat dall, mbk_mat dmixed) {
    const mbs_mixer_call *call = &back->call;
    mbk_attention_grad_args a = {
        .dq = mbs_kit_columns(dmixed, 0, z->q),
        .dk = mbs_kit_columns(dmixed, z->q, z->kv),
        .dv = mbs_kit_columns(dmixed, z->q + z->kv, z->kv),
        .dcache_k = mbs_attention_cache(z, back->dpast, call->past_at, call->past_rows, 0),
        .dcache_v = mbs_attention_cache(z, back->dpast, call->past_at, call->past_rows, 1),
        .dy = mbs_kit_columns(dall, 0, z->q),
        .y = mbs_kit_columns(r->all, 0, z->q),
        .q = mbs_kit_columns(r->mixed, 0, z->q),
        .k = mbs_kit_columns(r->mixed, z->q, z->kv),
        .v = mbs_kit_columns(r->mixed, z->q + z->kv, z->kv),
        .cache_k = mbs_attention_cache(z, call->past, call->past_at, call->past_rows, 0),
        .cache_v = mbs_attention_cache(z, call->past, call->past_at, call->past_rows, 1),
        .saved = r->saved,
        .heads = z->heads,
        .key_heads = z->key_heads,
        .position = call->position,
        .window = z->window,
        .rotary = z->rotary,
        .rotary_base = z->rotary_base,
        .interleaved = z->interleaved,
        .scale = z->scale,
        .starts = call->starts,
    };
    return call->ctx->ops->attention_grad(call->ctx, &a);
}

static mbk_status back_conv(attention_train *t, const mbs_mixer_back *back, const attention_rows *r, mbk_mat dmixed,
                            mbk_mat dp) {
    const attention_sizes *z = &t->m.s;
    mbk_fir_grad_args f = {
        .dx = mbs_kit_columns(dp, 0, z->qkv),
        .dw = t->param[CONV_W].g,
        .dbias = t->param[CONV_B].g,
        .dring = {back->dstate, back->dstate_at, z->d_conv, z->qkv, z->qkv},
        .dy = dmixed,
        .x = mbs_kit_columns(r->p, 0, z->qkv),
        .w = t->m.conv_w,
        .ring = r->ring,
        .position = back->call.position,
        .newest_last = 1,
        .starts = back->call.starts,
    };
    return back->call.ctx->ops->fir_grad(back->call.ctx, &f);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    attention_train *t = layer;
    const attention_sizes *z = &t->m.s;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t half = z->mlp / 2;
    const mbk_mat none = {0};
    int64_t at = 0;
    attention_rows r = mbs_attention_rows(z, &back->call);
    mbk_mat dp = mbs_kit_carve_apart(&back->call, &at, z->in);
    mbk_mat dmixed = z->d_conv > 0 ? mbs_kit_carve_apart(&back->call, &at, z->qkv) : mbs_kit_columns(dp, 0, z->qkv);
    mbk_mat dall = mbs_kit_carve_apart(&back->call, &at, z->out);
    mbk_status st = mbs_kit_linear_grad(ctx, t->math, &t->param[OUT_W], &t->param[OUT_B], back->dout, r.all);
    st = st < 0 ? st : ops->gemm(ctx, dall, back->dout, t->out_t, none, 0);
    if (st >= 0 && half > 0) {
        st = ops->gate_grad(ctx, mbs_kit_columns(dp, z->qkv, half), mbs_kit_columns(dp, z->qkv + half, half),
                            mbs_kit_columns(dall, z->q, half), mbs_kit_columns(r.p, z->qkv, half),
                            mbs_kit_columns(r.p, z->qkv + half, half));
    }
    st = st < 0 ? st : back_heads(z, back, &r, dall, dmixed);
    st = st < 0 || z->d_conv == 0 ? st : back_conv(t, back, &r, dmixed, dp);
    st = st < 0 ? st : mbs_kit_linear_grad(ctx, t->math, &t->param[IN_W], &t->param[IN_B], dp, back->call.in);
    return st < 0 ? st : ops->gemm(ctx, back->din, dp, t->in_t, none, 0);
}

const mbs_mixer_train mbs_attention_train = {
    .make = make,
    .unmake = unmake,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = scratch_floats,
    .backward = backward,
};
