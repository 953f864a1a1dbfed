/*
 * attention.c - causal attention: in_proj -> [causal convolution over q, k and v] -> rotation -> heads -> out_proj, and
 * beside them, where mlp_dim says so, a gated MLP of the same in_proj and out_proj.
 *
 * What is carried: the convolution's ring of raw inputs, as fir has it, and the rotated keys and the values of all
 * positions that a row may still see. Those grow with the sequence (`past` of mixer.h): the one mixer that does not
 * run in constant memory, unless it has a window.
 */
#include "model/attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/mixer_kit.h"
#include "model/place.h"

#define MLP_MULTIPLE 256
#define HEAD_USUAL 64

static const mbs_mixer_key keys[] = {
    {"num_heads", MBS_KEY_INTEGER, MBS_SIZE_AT(n_heads), 1, 1 << 20, 0, "auto",
     "attention: heads; auto: d_model / 64, or one"},
    {"num_heads_kv", MBS_KEY_INTEGER, MBS_SIZE_AT(n_key_heads), 1, 1 << 20, 0, "auto",
     "attention: heads of keys and values, which several heads share; auto: num_heads"},
    {"head_dim", MBS_KEY_INTEGER, MBS_SIZE_AT(head_dim), 1, 1 << 20, 0, "auto",
     "attention: channels of a head; auto: d_model / num_heads"},
    {"rotary_emb_dim", MBS_KEY_INTEGER, MBS_SIZE_AT(rotary), 0, 1 << 20, 0, NULL,
     "attention: channels of a head that are rotated by the position"},
    {"rotary_emb_base", MBS_KEY_NUMBER, MBS_SIZE_AT(rotary_base), 1, 1e12, 10000, NULL,
     "attention: base of the angles"},
    {"rotary_emb_interleaved", MBS_KEY_BOOLEAN, MBS_SIZE_AT(rotary_interleaved), 0, 1, 0, NULL,
     "attention: neighbours are rotated together, not the two halves"},
    {"softmax_scale", MBS_KEY_NUMBER, MBS_SIZE_AT(softmax_scale), 0, 1e6, 0, NULL,
     "attention: what q k is multiplied by; 0: 1 / sqrt(head_dim)"},
    {"window", MBS_KEY_INTEGER, MBS_SIZE_AT(window), 0, 1 << 30, 0, NULL,
     "attention: positions that a row sees; 0: all, and memory grows with the record"},
    {"d_conv", MBS_KEY_INTEGER, MBS_SIZE_AT(d_conv), 0, 16, 0, NULL, "taps of the convolution"},
    {"mlp_dim", MBS_KEY_INTEGER, MBS_SIZE_AT(mlp_dim), 0, 1 << 20, 0, NULL,
     "attention: columns of a gated MLP beside the heads, rounded up to 256"},
    {"qkv_proj_bias", MBS_KEY_BOOLEAN, MBS_SIZE_AT(use_bias), 0, 1, 0, NULL, "attention: in_proj has a bias"},
    {"out_proj_bias", MBS_KEY_BOOLEAN, MBS_SIZE_AT(out_bias), 0, 1, 0, NULL, "attention: out_proj has a bias"},
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

static mbs_status refuse(const char *why, const char *fix, mbs_err *err) {
    mbs_fail(err, MBS_ERR_CONFIG, NULL, "%s", why);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_CONFIG;
}

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    if (z->n_heads == 0) {
        z->n_heads = c->d_model % HEAD_USUAL == 0 ? c->d_model / HEAD_USUAL : 1;
    }
    z->n_key_heads = z->n_key_heads > 0 ? z->n_key_heads : z->n_heads;
    if (z->head_dim == 0 && c->d_model % z->n_heads != 0) {
        return refuse("'d_model' does not divide into 'num_heads' heads", "say head_dim, or take another num_heads",
                      err);
    }
    z->head_dim = z->head_dim > 0 ? z->head_dim : c->d_model / z->n_heads;
    z->mlp_dim = (z->mlp_dim + MLP_MULTIPLE - 1) / MLP_MULTIPLE * MLP_MULTIPLE;
    z->use_conv_bias = z->d_conv > 0; /* the original code has it in any case */
    if (z->n_heads % z->n_key_heads != 0) {
        return refuse("'num_heads' is no multiple of 'num_heads_kv'",
                      "take a number of key heads that divides the heads", err);
    }
    if (!MBK_ATTENTION_FITS(z->head_dim)) {
        return refuse("'head_dim' is above 512", "take more and smaller heads", err);
    }
    if (z->n_heads * z->head_dim > MBS_CONFIG_MAX_WIDTH) {
        return refuse("'num_heads' times 'head_dim' is too large", "take fewer or smaller heads", err);
    }
    if (z->rotary > z->head_dim || z->rotary % 2 != 0) {
        return refuse("'rotary_emb_dim' is odd, or more than 'head_dim'", "take an even number up to head_dim", err);
    }
    return MBS_OK;
}

attention_sizes mbs_attention_sizes(const mbs_model_config *c, int64_t index) {
    const mbs_layer_sizes *l = mbs_config_sizes(c, index);
    attention_sizes z = {
        .d_model = c->d_model,
        .heads = l->n_heads,
        .key_heads = l->n_key_heads,
        .head_dim = l->head_dim,
        .q = l->n_heads * l->head_dim,
        .kv = l->n_key_heads * l->head_dim,
        .mlp = l->mlp_dim,
        .d_conv = l->d_conv,
        .window = l->window,
        .rotary = l->rotary,
        .rotary_base = l->rotary_base,
        .interleaved = l->rotary_interleaved,
        .scale = (float)(l->softmax_scale > 0 ? l->softmax_scale : 1 / sqrt((double)l->head_dim)),
    };
    z.qkv = z.q + 2 * z.kv;
    z.in = z.qkv + z.mlp;
    z.out = z.q + z.mlp / 2;
    return z;
}

/* --- tensors --------------------------------------------------------------------------------------------------------
 */

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    const mbs_layer_sizes *l = mbs_config_sizes(c, index);
    double in = 1 / sqrt((double)z.d_model);
    mbs_specs_add_matrix(s, "in_proj.weight", mbs_draw_uniform, in, z.in, z.d_model);
    if (l->use_bias) {
        mbs_specs_add(s, "in_proj.bias", mbs_draw_constant, 0, z.in, 0, 0);
    }
    if (z.d_conv > 0) {
        double taps = 1 / sqrt((double)z.d_conv);
        mbs_specs_add(s, "conv1d.weight", mbs_draw_uniform, taps, z.qkv, 1, z.d_conv);
        mbs_specs_turned(s);
        mbs_specs_decays(s);
        if (l->use_conv_bias) {
            mbs_specs_add(s, "conv1d.bias", mbs_draw_uniform, taps, z.qkv, 0, 0);
        }
    }
    mbs_specs_add_matrix(s, "out_proj.weight", mbs_draw_uniform, 1 / sqrt((double)z.out * (double)c->n_layer),
                         z.d_model, z.out);
    if (l->out_bias) {
        mbs_specs_add(s, "out_proj.bias", mbs_draw_constant, 0, z.d_model, 0, 0);
    }
}

static void detect(const mbs_st_set *set, const char *layer, mbs_layer_sizes *z) {
    z->use_bias = mbs_kit_has(set, layer, "in_proj.bias");
    z->out_bias = mbs_kit_has(set, layer, "out_proj.bias");
    z->use_conv_bias = mbs_kit_has(set, layer, "conv1d.bias");
}

static void unload(mbk_ctx *ctx, void *layer) {
    attention *m = layer;
    if (!m) {
        return;
    }
    mbk_buf *bufs[] = {m->in_bias.buf, m->out_bias.buf, m->conv_w.buf, m->conv_b.buf};
    ctx->ops->weight_free(ctx, m->in_proj);
    ctx->ops->weight_free(ctx, m->out_proj);
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        ctx->ops->buf_free(ctx, bufs[i]);
    }
    mbs_free(m);
}

static mbs_status fits(const mbs_model_config *c, int64_t index, const mbk_ctx *ctx, mbs_err *err) {
    return mbs_config_sizes(c, index)->d_conv == 0 || ctx->ops->fir
               ? MBS_OK
               : mbs_backend_cannot(ctx, err, "compute attention with a convolution (d_conv)");
}

static mbs_status load_all(mbs_loader *ld, attention *m) {
    const attention_sizes *z = &m->s;
    mbs_status st = mbs_loader_weight(ld, "in_proj.weight", z->in, z->d_model, &m->in_proj);
    st = st < 0 ? st : mbs_loader_weight(ld, "out_proj.weight", z->d_model, z->out, &m->out_proj);
    st = st < 0 ? st : mbs_kit_load_row(ld, "in_proj.bias", 1, z->in, &m->in_bias);
    st = st < 0 ? st : mbs_kit_load_row(ld, "out_proj.bias", 1, z->d_model, &m->out_bias);
    if (st >= 0 && z->d_conv > 0) {
        st = mbs_kit_load_turned(ld, "conv1d.weight", z->qkv, z->d_conv, 0, &m->conv_w);
        st = st < 0 ? st : mbs_kit_load_row(ld, "conv1d.bias", 1, z->qkv, &m->conv_b);
    }
    return st;
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    attention *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    m->s = mbs_attention_sizes(c, index);
    mbs_status st = load_all(ld, m);
    if (st < 0) {
        unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

/* --- running --------------------------------------------------------------------------------------------------------
 */

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    return z.d_conv * z.qkv;
}

static int64_t past_floats(const mbs_model_config *c, int64_t index) {
    return 2 * mbs_attention_sizes(c, index).kv;
}

static int64_t past_most(const mbs_model_config *c, int64_t index) {
    const int64_t window = mbs_config_sizes(c, index)->window;
    return window == 1 ? 1 : window > 0 ? window - 1 : 0;
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    return z.in > z.out ? z.in : z.out;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    return mbs_kit_apart(rows, z.in) + (z.d_conv > 0 ? mbs_kit_apart(rows, z.qkv) : 0) + mbs_kit_apart(rows, z.out);
}

attention_rows mbs_attention_rows(const attention_sizes *z, const mbs_mixer_call *call) {
    mbs_mixer_call place = *call;
    int64_t at = call->keep ? call->keep_at : 0;
    place.scratch = call->keep ? call->keep : call->scratch;
    attention_rows r = {.p = mbs_kit_carve_apart(&place, &at, z->in)};
    r.mixed = z->d_conv > 0 ? mbs_kit_carve_apart(&place, &at, z->qkv) : mbs_kit_columns(r.p, 0, z->qkv);
    r.all = mbs_kit_carve_apart(&place, &at, z->out);
    if (call->keep) {
        r.saved = mbs_kit_carve_apart(&place, &at, z->heads);
        r.ring = (mbk_mat){call->keep, at, z->d_conv, z->qkv, z->qkv};
    }
    return r;
}

mbk_mat mbs_attention_cache(const attention_sizes *z, mbk_buf *past, int64_t at, int64_t rows, int values) {
    return past ? (mbk_mat){past, at + (values ? z->kv : 0), rows, z->kv, 2 * z->kv} : (mbk_mat){0};
}

static mbk_status attend(const attention_sizes *z, const mbs_mixer_call *call, const attention_rows *r) {
    mbk_attention_args a = {
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
    return call->ctx->ops->attention(call->ctx, &a);
}

static mbk_status convolve(const attention *m, const mbs_mixer_call *call, const attention_rows *r) {
    const attention_sizes *z = &m->s;
    mbk_mat ring = {call->state, call->state_at, z->d_conv, z->qkv, z->qkv};
    mbk_fir_args f = {
        .y = r->mixed,
        .x = mbs_kit_columns(r->p, 0, z->qkv),
        .w = m->conv_w,
        .bias = m->conv_b,
        .ring = ring,
        .position = call->position,
        .newest_last = 1,
        .starts = call->starts,
    };
    mbk_status st = call->keep ? call->ctx->ops->copy(call->ctx, r->ring, ring) : MBS_OK;
    return st < 0 ? st : call->ctx->ops->fir(call->ctx, &f);
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const attention *m = layer;
    const attention_sizes *z = &m->s;
    const mbk_ops *ops = call->ctx->ops;
    attention_rows r = mbs_attention_rows(z, call);
    mbk_status st = ops->gemm(call->ctx, r.p, call->in, m->in_proj, m->in_bias, 0);
    st = st < 0 || z->d_conv == 0 ? st : convolve(m, call, &r);
    st = st < 0 ? st : attend(z, call, &r);
    if (st >= 0 && z->mlp > 0) {
        const int64_t half = z->mlp / 2;
        st = ops->gate(call->ctx, mbs_kit_columns(r.all, z->q, half), mbs_kit_columns(r.p, z->qkv, half),
                       mbs_kit_columns(r.p, z->qkv + half, half));
    }
    return st < 0 ? st : ops->gemm(call->ctx, call->out, r.all, m->out_proj, m->out_bias, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const attention_sizes z = mbs_attention_sizes(c, index);
    *w = (mbs_mixer_work){
        .matrix = {{"in_proj", z.in, z.d_model}, {"out_proj", z.d_model, z.out}},
        .matrices = 2,
        .scan = (double)(z.q + z.kv) * (double)z.rotary / (double)z.head_dim * 6 +
                (double)z.mlp * (MBS_MIXER_EXP + 4) / 2 + 2.0 * (double)(z.qkv * z.d_conv),
        .small = z.qkv * (z.d_conv + 1),
        .state = 2 * (double)(z.d_conv * z.qkv),
        .seen = 4 * (double)z.q + (double)z.heads * (MBS_MIXER_EXP + 3),
        .seen_state = 2 * (double)z.kv,
        .window = z.window,
    };
}

static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    memcpy(canonical, device, (size_t)state_floats(c, index) * sizeof *device);
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    memcpy(device, canonical, (size_t)state_floats(c, index) * sizeof *device);
}

const mbs_mixer mbs_mixer_attention = {
    .name = "attention",
    .many = 1,
    .keys = keys,
    .settle = settle,
    .detect = detect,
    .fits = fits,
    .declare = declare,
    .state_floats = state_floats,
    .past_floats = past_floats,
    .past_most = past_most,
    .scratch_floats = scratch_floats,
    .widest = widest,
    .load = load,
    .unload = unload,
    .forward = forward,
    .work = work,
    .save = save,
    .restore = restore,
    .train = &mbs_attention_train,
};
