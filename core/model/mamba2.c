/*
 * mamba2.c - the Mamba-2 block: in_proj -> causal conv and silu over x, B and C together -> state space dual form ->
 * gated norm -> out_proj. Channels stand last everywhere; the state of a head is kept as (state, channel).
 *
 * The stream's state: conv (W, conv channels), the state of each head before the open block, and the rows of the open
 * block (mbk.h, mbk_ssd_args). Canonical is conv (channel, tap) and the heads' (channel, state); the open block, of
 * which the reference knows nothing, stands behind them as it is.
 */
#include "model/mamba2.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/mixer_kit.h"

#define Q ((int64_t)MBK_SSD_BLOCK)

/* --- tensors --------------------------------------------------------------------------------------------------------
 */

/* The logarithm of a number between 1 and 16. */
static double draw_a_log(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)spec;
    return log(1 + 15 * mbs_rng_uniform(seed, stream, (uint64_t)i));
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    double in = 1 / sqrt((double)z.d_model);
    double taps = 1 / sqrt((double)z.d_conv);
    const mbs_layer_sizes *l = mbs_config_sizes(c, index);
    double out = 1 / sqrt((double)z.d_inner * (double)c->n_layer);
    mbs_specs_add_matrix(s, "in_proj.weight", mbs_draw_uniform, in, z.in_rows, z.d_model);
    if (l->use_bias) {
        mbs_specs_add(s, "in_proj.bias", mbs_draw_constant, 0, z.in_rows, 0, 0);
    }
    mbs_specs_add(s, "conv1d.weight", mbs_draw_uniform, taps, z.conv, 1, z.d_conv);
    mbs_specs_turned(s);
    mbs_specs_decays(s);
    if (l->use_conv_bias) {
        mbs_specs_add(s, "conv1d.bias", mbs_draw_uniform, taps, z.conv, 0, 0);
    }
    mbs_specs_add(s, "dt_bias", mbs_kit_draw_dt_bias, 0, z.heads, 0, 0);
    mbs_specs_add(s, "A_log", draw_a_log, 0, z.heads, 0, 0);
    mbs_specs_add(s, "D", mbs_draw_constant, 1, z.wide_d ? z.d_ssm : z.heads, 0, 0);
    if (z.gated_norm) {
        mbs_specs_add(s, "norm.weight", mbs_draw_constant, 1, z.d_ssm, 0, 0);
    }
    mbs_specs_add_matrix(s, "out_proj.weight", mbs_draw_uniform, out, z.d_model, z.d_inner);
    if (l->use_bias) {
        mbs_specs_add(s, "out_proj.bias", mbs_draw_constant, 0, z.d_model, 0, 0);
    }
}

/* As with Mamba-1, what a config leaves out of its biases the tensors say. */
static void detect(const mbs_st_set *set, const char *layer, mbs_layer_sizes *z) {
    z->use_bias = z->use_bias || mbs_kit_has(set, layer, "in_proj.bias") || mbs_kit_has(set, layer, "out_proj.bias");
    z->use_conv_bias = z->use_conv_bias || mbs_kit_has(set, layer, "conv1d.bias");
}

static void unload(mbk_ctx *ctx, void *layer) {
    mamba2 *m = layer;
    if (!m) {
        return;
    }
    mbk_buf *bufs[] = {m->in_bias.buf, m->out_bias.buf, m->conv_w.buf, m->conv_b.buf,
                       m->dt_bias.buf, m->a.buf,        m->d.buf,      m->norm.buf};
    ctx->ops->weight_free(ctx, m->in_proj);
    ctx->ops->weight_free(ctx, m->out_proj);
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        ctx->ops->buf_free(ctx, bufs[i]);
    }
    mbs_free(m);
}

static mbs_status load_all(mbs_loader *ld, mamba2 *m) {
    const mamba2_sizes *z = &m->s;
    mbs_status st = mbs_loader_weight(ld, "in_proj.weight", z->in_rows, z->d_model, &m->in_proj);
    st = st < 0 ? st : mbs_loader_weight(ld, "out_proj.weight", z->d_model, z->d_inner, &m->out_proj);
    st = st < 0 ? st : mbs_kit_load_row(ld, "in_proj.bias", 1, z->in_rows, &m->in_bias);
    st = st < 0 ? st : mbs_kit_load_row(ld, "out_proj.bias", 1, z->d_model, &m->out_bias);
    st = st < 0 ? st : mbs_kit_load_turned(ld, "conv1d.weight", z->conv, z->d_conv, 0, &m->conv_w);
    st = st < 0 ? st : mbs_kit_load_row(ld, "conv1d.bias", 1, z->conv, &m->conv_b);
    st = st < 0 ? st : mbs_kit_load_row(ld, "dt_bias", 0, z->heads, &m->dt_bias);
    st = st < 0 ? st : mbs_kit_load_turned(ld, "A_log", z->heads, 1, 1, &m->a);
    st = st < 0 ? st : mbs_kit_load_row(ld, "D", 0, z->wide_d ? z->d_ssm : z->heads, &m->d);
    return st < 0 || !z->gated_norm ? st : mbs_kit_load_row(ld, "norm.weight", 0, z->d_ssm, &m->norm);
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    mamba2 *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    m->s = mbs_mamba2_sizes(c, index);
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

static mbk_mat part(mbk_buf *buf, int64_t *at, int64_t rows, int64_t cols) {
    mbk_mat m = {buf, *at, rows, cols, cols};
    *at += rows * cols;
    return m;
}

mamba2_state mbs_mamba2_state(const mamba2_sizes *z, mbk_buf *buf, int64_t *at) {
    mamba2_state s;
    s.conv = part(buf, at, z->d_conv, z->conv);
    s.heads = part(buf, at, z->heads * z->d_state, z->head_dim);
    s.open_x = part(buf, at, z->heads * Q, z->head_dim);
    s.open_b = part(buf, at, Q, z->bc);
    s.open_lam = part(buf, at, z->heads, 2 * Q);
    return s;
}

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    int64_t floats = 0;
    mbs_mamba2_state(&z, NULL, &floats);
    return floats;
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    return z.in_rows > z.d_inner ? z.in_rows : z.d_inner;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    return mbs_kit_apart(rows, z.in_rows) + mbs_kit_apart(rows, z.conv) +
           (z.d_gate > 0 ? mbs_kit_apart(rows, z.d_inner) : 0);
}

/* The gate, with or without its norm. */
static mbk_status gate(const mamba2 *m, mbk_ctx *ctx, mbk_mat out, mbk_mat y, mbk_mat z) {
    if (!m->s.gated_norm) {
        return ctx->ops->gate(ctx, out, y, z);
    }
    return ctx->ops->rmsnorm_gated(ctx, out, y, z, m->norm, m->s.gated_eps, m->s.norm_group, m->s.norm_first);
}

static mbk_status mix(const mamba2 *m, const mbs_mixer_call *call, const mamba2_state *s, const mamba2_rows *r) {
    const mamba2_sizes *z = &m->s;
    mbk_ssd_args ssd = {
        .y = r->y,
        .x = mbs_kit_columns(r->xbc, 0, z->d_ssm),
        .dt = mbs_kit_columns(r->p, z->in_rows - z->heads, z->heads),
        .b = mbs_kit_columns(r->xbc, z->d_ssm, z->bc),
        .c = mbs_kit_columns(r->xbc, z->d_ssm + z->bc, z->bc),
        .a = m->a,
        .d = m->d,
        .bias = m->dt_bias,
        .state = s->heads,
        .open_x = s->open_x,
        .open_b = s->open_b,
        .open_lam = s->open_lam,
        .groups = z->groups,
        .position = call->position,
        .starts = call->starts,
        .dt_min = z->dt_min,
        .dt_max = z->dt_max,
        .saved = r->saved,
    };
    return call->ctx->ops->ssd(call->ctx, &ssd);
}

/* What the rows of a call go through: in the scratch, or where backward finds it. */
static mamba2_rows rows_of(const mamba2_sizes *z, const mbs_mixer_call *call) {
    if (call->keep) {
        return mbs_mamba2_kept(z, call);
    }
    int64_t at = 0;
    mamba2_rows r = {.p = mbs_kit_carve_apart(call, &at, z->in_rows)};
    r.xbc = mbs_kit_carve_apart(call, &at, z->conv);
    /* Where some channels are only gated, all of them meet in a matrix of their own. */
    r.all = z->d_gate > 0 ? mbs_kit_carve_apart(call, &at, z->d_inner) : mbs_kit_columns(r.xbc, 0, z->d_ssm);
    r.y = mbs_kit_columns(r.all, z->d_gate, z->d_ssm);
    return r;
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const mamba2 *m = layer;
    const mamba2_sizes *z = &m->s;
    const mbk_ops *ops = call->ctx->ops;
    int64_t state_at = call->state_at;
    mamba2_rows r = rows_of(z, call);
    mamba2_state s = mbs_mamba2_state(z, call->state, &state_at);
    mbk_status st = ops->gemm(call->ctx, r.p, call->in, m->in_proj, m->in_bias, 0);
    if (st >= 0 && call->keep) {
        st = ops->copy(call->ctx, r.conv_state, s.conv);
    }
    if (st >= 0) {
        mbk_mat raw = mbs_kit_columns(r.p, 2 * z->d_gate + z->d_ssm, z->conv);
        st = ops->conv1d_silu(call->ctx, r.xbc, raw, m->conv_w, m->conv_b, s.conv, call->starts);
    }
    st = st < 0 ? st : mix(m, call, &s, &r);
    if (st >= 0) {
        mbk_mat mixed = mbs_kit_columns(r.all, z->d_gate, z->d_ssm);
        st = gate(m, call->ctx, mixed, r.y, mbs_kit_columns(r.p, 2 * z->d_gate, z->d_ssm));
    }
    if (st >= 0 && z->d_gate > 0) {
        st = ops->gate(call->ctx, mbs_kit_columns(r.all, 0, z->d_gate), mbs_kit_columns(r.p, z->d_gate, z->d_gate),
                       mbs_kit_columns(r.p, 0, z->d_gate));
    }
    return st < 0 ? st : ops->gemm(call->ctx, call->out, r.all, m->out_proj, m->out_bias, 1);
}

/* In the mean over the rows of a block, each of which meets (Q + 1) / 2 of them. */
static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    const double met = ((double)Q + 1) / 2;
    const double states = (double)(z.d_ssm * z.d_state);
    const double pairs = 2 * met * (double)z.bc + met * (double)z.heads * (MBS_MIXER_EXP + 4);
    const double gates = (double)z.d_inner * (MBS_MIXER_EXP + 4) + (double)z.d_ssm * 8;
    *w = (mbs_mixer_work){
        .matrix = {{"in_proj", z.in_rows, z.d_model}, {"out_proj", z.d_model, z.d_inner}},
        .matrices = 2,
        .conv = z.conv,
        .scan = 4 * states + 2 * met * (double)z.d_ssm + pairs + gates,
        .small = z.conv * (z.d_conv + 1) + 3 * z.heads + z.d_ssm,
        .state = states * (1 + 2 / (double)Q) + met * (double)(z.d_ssm + z.bc) + 2 * (double)(z.conv * z.d_conv),
    };
}

/* conv and heads turned, the open block copied. `to_device` says which way. */
static void turn(const mbs_model_config *c, int64_t index, const float *from, float *to, int to_device) {
    const mamba2_sizes z = mbs_mamba2_sizes(c, index);
    const int64_t conv = z.conv * z.d_conv;
    const int64_t head = z.d_state * z.head_dim;
    const int64_t floats = state_floats(c, index);
    mbs_kit_transpose(from, to, to_device ? z.conv : z.d_conv, to_device ? z.d_conv : z.conv);
    int64_t at = conv;
    for (int64_t h = 0; h < z.heads; h++, at += head) {
        mbs_kit_transpose(from + at, to + at, to_device ? z.head_dim : z.d_state, to_device ? z.d_state : z.head_dim);
    }
    for (; at < floats; at++) {
        to[at] = from[at];
    }
}

static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    turn(c, index, device, canonical, 0);
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    turn(c, index, canonical, device, 1);
}

const mbs_mixer mbs_mixer_mamba2 = {
    .name = "mamba2",
    .model_type = "mamba2",
    .architecture = "Mamba2ForCausalLM",
    .many = 1,
    .period = MBK_SSD_BLOCK,
    .original = "Mamba2",
    .usual = {.d_model = 4096, .n_layer = 64, .vocab_size = 32768, .d_state = 128, .d_conv = 4, .eos = 2, .pad = 1},
    .keys = mbs_mamba2_keys,
    .read = mbs_mamba2_read,
    .settle = mbs_mamba2_settle,
    .write = mbs_mamba2_write,
    .detect = detect,
    .declare = declare,
    .state_floats = state_floats,
    .scratch_floats = scratch_floats,
    .widest = widest,
    .load = load,
    .unload = unload,
    .forward = forward,
    .work = work,
    .save = save,
    .restore = restore,
    .train = &mbs_mamba2_train,
};
