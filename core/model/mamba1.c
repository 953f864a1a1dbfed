/*
 * mamba1.c - the Mamba-1 block: in_proj -> causal conv and silu -> x_proj -> dt_proj -> selective scan with gate ->
 * out_proj. Channels stand last everywhere: conv weights and both states are kept transposed to (tap, channel) and
 * (state, channel).
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "model/mamba1.h"
#include "model/mixer_kit.h"
#include "model/place.h"

/* --- tensors --------------------------------------------------------------------------------------------------------
 */

static void read_keys(const mbs_json *doc, const mbs_json *ssm, mbs_model_config *c, mbs_err *err) {
    const int original = c->layout == MBS_LAYOUT_ORIGINAL;
    const char *key = original ? "dt_rank" : "time_step_rank";
    c->dt_rank = mbs_json_int_auto(original ? ssm : doc, key, -1, -1, err);
    if (err->status >= 0 && c->dt_rank != -1 && (c->dt_rank < 1 || c->dt_rank > MBS_CONFIG_MAX_WIDTH)) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "the rank of the time step, %lld, is not within 1 and %lld",
                 (long long)c->dt_rank, (long long)MBS_CONFIG_MAX_WIDTH);
    }
}

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    if (z->head_dim > 0 || z->n_groups > 0 || z->norm_whole) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'head_dim', 'n_groups' and 'norm_group' mean nothing to mamba1");
    }
    z->dt_rank = z->dt_rank > 0 ? z->dt_rank : (c->d_model + 15) / 16;
    return MBS_OK;
}

static void write_keys(const mbs_model_config *c, const mbs_layer_sizes *z, const char *indent, mbs_buf *out) {
    /* Caduceus hands its ssm_cfg to the original's mixer. */
    const int original = c->layout == MBS_LAYOUT_ORIGINAL || c->layout == MBS_LAYOUT_CADUCEUS;
    const char *key = original ? "dt_rank" : "time_step_rank";
    mbs_buf_printf(out, "%s\"%s\": %lld,\n", indent, key, (long long)z->dt_rank);
}

static const mbs_mixer_key keys[] = {
    MBS_KEY_D_STATE(16),
    MBS_KEY_EXPAND,
    MBS_KEY_D_CONV,
    {"dt_rank", MBS_KEY_INTEGER, MBS_SIZE_AT(dt_rank), 1, 1 << 20, 0, "auto",
     "mamba1: rank of the time step; auto: d_model / 16, rounded up"},
    MBS_KEY_BIAS,
    MBS_KEY_CONV_BIAS,
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

/* ln(1..N) for every channel. */
static double draw_a_log(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)seed;
    (void)stream;
    return log((double)(i % spec->dims[1] + 1));
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    double in = 1 / sqrt((double)c->d_model);
    double inner = 1 / sqrt((double)z->d_inner);
    double taps = 1 / sqrt((double)z->d_conv);
    mbs_specs_add_matrix(s, "in_proj.weight", mbs_draw_uniform, in, 2 * z->d_inner, c->d_model);
    if (z->use_bias) {
        mbs_specs_add(s, "in_proj.bias", mbs_draw_constant, 0, 2 * z->d_inner, 0, 0);
    }
    mbs_specs_add(s, "conv1d.weight", mbs_draw_uniform, taps, z->d_inner, 1, z->d_conv);
    mbs_specs_turned(s);
    mbs_specs_decays(s);
    if (z->use_conv_bias) {
        mbs_specs_add(s, "conv1d.bias", mbs_draw_uniform, taps, z->d_inner, 0, 0);
    }
    mbs_specs_add_matrix(s, "x_proj.weight", mbs_draw_uniform, inner, mbs_mamba1_p_cols(z->dt_rank, z->d_state),
                         z->d_inner);
    mbs_specs_add_matrix(s, "dt_proj.weight", mbs_draw_uniform, 1 / sqrt((double)z->dt_rank), z->d_inner, z->dt_rank);
    mbs_specs_add(s, "dt_proj.bias", mbs_kit_draw_dt_bias, 0, z->d_inner, 0, 0);
    mbs_specs_add(s, "A_log", draw_a_log, 0, z->d_inner, z->d_state, 0);
    mbs_specs_turned(s);
    mbs_specs_add(s, "D", mbs_draw_constant, 1, z->d_inner, 0, 0);
    mbs_specs_add_matrix(s, "out_proj.weight", mbs_draw_uniform, inner / sqrt((double)c->n_layer), c->d_model,
                         z->d_inner);
    if (z->use_bias) {
        mbs_specs_add(s, "out_proj.bias", mbs_draw_constant, 0, c->d_model, 0, 0);
    }
}

/* Revisions of the config changed what use_bias means when it is not said, so only the tensors count. */
static void detect(const mbs_st_set *set, const char *layer, mbs_layer_sizes *z) {
    z->use_bias = z->use_bias || mbs_kit_has(set, layer, "in_proj.bias") || mbs_kit_has(set, layer, "out_proj.bias");
    z->use_conv_bias = z->use_conv_bias || mbs_kit_has(set, layer, "conv1d.bias");
}

static void unload(mbk_ctx *ctx, void *layer) {
    mamba1 *m = layer;
    if (!m) {
        return;
    }
    mbk_weight *weights[] = {m->in_proj, m->x_proj, m->dt_proj, m->out_proj};
    mbk_buf *bufs[] = {m->in_bias.buf, m->out_bias.buf, m->conv_w.buf, m->conv_b.buf,
                       m->dt_bias.buf, m->a.buf,        m->d.buf};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        ctx->ops->weight_free(ctx, weights[i]);
    }
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        ctx->ops->buf_free(ctx, bufs[i]);
    }
    mbs_free(m);
}

/* A longer step delta is a larger A and, as delta multiplies B too, a larger B: rows of x_proj behind those of dt. */
static mbs_status rescale(mbs_loader *ld, mamba1 *m) {
    const int64_t p = mbs_mamba1_p_cols(m->dt_rank, m->d_state);
    const float *values;
    float *scaled;
    int64_t n;
    mbs_status st = mbs_loader_room(ld, (size_t)(p * m->d_inner), &scaled);
    st = st < 0 ? st : mbs_loader_values(ld, "x_proj.weight", &values, &n);
    if (st < 0) {
        return st;
    }
    for (int64_t i = 0; i < p * m->d_inner; i++) {
        const int64_t row = i / m->d_inner;
        const int of_b = row >= m->dt_rank && row < m->dt_rank + m->d_state;
        scaled[i] = of_b ? (float)((double)values[i] * ld->rate_scale) : values[i];
    }
    st = mbs_loader_prepare(ld, "x_proj.weight", scaled, p, m->d_inner, &m->x_proj);
    return st < 0 ? st : mbs_kit_adjust(ld, m->a, ld->rate_scale, 0);
}

static mbs_status load_all(mbs_loader *ld, mamba1 *m) {
    int64_t p = mbs_mamba1_p_cols(m->dt_rank, m->d_state);
    mbs_status st = mbs_loader_weight(ld, "in_proj.weight", 2 * m->d_inner, m->d_model, &m->in_proj);
    if (st >= 0 && ld->rate_scale == 0) {
        st = mbs_loader_weight(ld, "x_proj.weight", p, m->d_inner, &m->x_proj);
    }
    st = st < 0 ? st : mbs_loader_weight(ld, "dt_proj.weight", m->d_inner, m->dt_rank, &m->dt_proj);
    st = st < 0 ? st : mbs_loader_weight(ld, "out_proj.weight", m->d_model, m->d_inner, &m->out_proj);
    st = st < 0 ? st : mbs_kit_load_row(ld, "in_proj.bias", 1, 2 * m->d_inner, &m->in_bias);
    st = st < 0 ? st : mbs_kit_load_row(ld, "out_proj.bias", 1, m->d_model, &m->out_bias);
    st = st < 0 ? st : mbs_kit_load_turned(ld, "conv1d.weight", m->d_inner, m->d_conv, 0, &m->conv_w);
    st = st < 0 ? st : mbs_kit_load_row(ld, "conv1d.bias", 1, m->d_inner, &m->conv_b);
    st = st < 0 ? st : mbs_kit_load_row(ld, "dt_proj.bias", 0, m->d_inner, &m->dt_bias);
    st = st < 0 ? st : mbs_kit_load_turned(ld, "A_log", m->d_inner, m->d_state, 1, &m->a);
    st = st < 0 ? st : mbs_kit_load_row(ld, "D", 0, m->d_inner, &m->d);
    return st < 0 || ld->rate_scale == 0 ? st : rescale(ld, m);
}

void mbs_mamba1_sizes(const mbs_model_config *c, int64_t index, mamba1 *m) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    m->d_model = c->d_model;
    m->d_inner = z->d_inner;
    m->d_state = z->d_state;
    m->d_conv = z->d_conv;
    m->dt_rank = z->dt_rank;
}

static mbs_status fits(const mbs_model_config *c, int64_t index, const mbk_ctx *ctx, mbs_err *err) {
    const int64_t most = ctx->ops->scan_states;
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    return most == 0 || n <= most
               ? MBS_OK
               : mbs_backend_cannot(ctx, err, "scan %" PRId64 " states a channel, %" PRId64 " are the most", n, most);
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    mamba1 *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    mbs_mamba1_sizes(c, index, m);
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
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return z->d_inner * (z->d_conv + z->d_state);
}

/* in_proj's rows, or x_proj's where the states are many. */
static int64_t widest(const mbs_model_config *c, int64_t index) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    int64_t p = mbs_mamba1_p_cols(z->dt_rank, z->d_state);
    return p > 2 * z->d_inner ? p : 2 * z->d_inner;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return mbs_kit_apart(rows, 2 * z->d_inner) + 2 * mbs_kit_apart(rows, z->d_inner) +
           mbs_kit_apart(rows, mbs_mamba1_p_cols(z->dt_rank, z->d_state));
}

/* What the rows of a call go through: in the scratch, or where backward finds it. */
static void rows_of(const mamba1 *m, const mbs_mixer_call *call, mamba1_rows *r) {
    int64_t c = m->d_inner;
    int64_t at = 0;
    if (call->keep) {
        *r = mbs_mamba1_kept(m, call);
        return;
    }
    r->xz = mbs_kit_carve_apart(call, &at, 2 * c);
    r->u = mbs_kit_carve_apart(call, &at, c);
    r->dt = mbs_kit_carve_apart(call, &at, c);
    r->p = mbs_kit_carve_apart(call, &at, mbs_mamba1_p_cols(m->dt_rank, m->d_state));
    r->y = r->u;
    r->saved = (mbk_mat){0};
}

/* All of it as one operation, of row i alone where each has a state of its own; MBS_END where the backend has none. */
static mbk_status forward_at_once(const mamba1 *m, const mbs_mixer_call *call, int64_t i) {
    const mbk_ops *ops = call->ctx->ops;
    if (!ops->mamba1 || call->keep || m->in_bias.buf || m->out_bias.buf) {
        return MBS_END;
    }
    const int64_t c = m->d_inner;
    const mbk_mamba1_args args = {
        .out = mbs_kit_part(call, call->out, i),
        .in = mbs_kit_part(call, call->in, i),
        .in_proj = m->in_proj,
        .x_proj = m->x_proj,
        .dt_proj = m->dt_proj,
        .out_proj = m->out_proj,
        .conv_w = m->conv_w,
        .conv_b = m->conv_b,
        .conv_state = {mbs_kit_state(call, i), call->state_at, m->d_conv, c, c},
        .dt_bias = m->dt_bias,
        .a = m->a,
        .d = m->d,
        .state = {mbs_kit_state(call, i), call->state_at + m->d_conv * c, m->d_state, c, c},
        .starts = call->starts,
        .streams = mbs_kit_calls(call),
    };
    return ops->mamba1(call->ctx, &args);
}

/* The scan of the rows, or of row i where each has a state of its own. */
static mbk_status scan_rows(const mamba1 *m, const mbs_mixer_call *call, const mamba1_rows *r, int64_t i) {
    const int64_t c = m->d_inner;
    const int64_t n = m->d_state;
    mbk_mat p = mbs_kit_part(call, r->p, i);
    mbk_scan_args scan = {
        .y = mbs_kit_part(call, r->y, i),
        .u = mbs_kit_part(call, r->u, i),
        .dt = mbs_kit_part(call, r->dt, i),
        .b = mbs_kit_columns(p, m->dt_rank, n),
        .c = mbs_kit_columns(p, m->dt_rank + n, n),
        .z = mbs_kit_columns(mbs_kit_part(call, r->xz, i), c, c),
        .a = m->a,
        .d = m->d,
        .bias = m->dt_bias,
        .state = {mbs_kit_state(call, i), call->state_at + m->d_conv * c, n, c, c},
        .starts = call->starts,
        .saved = r->saved,
    };
    return call->ctx->ops->selective_scan(call->ctx, &scan);
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const mamba1 *m = layer;
    const mbk_ops *ops = call->ctx->ops;
    const int64_t c = m->d_inner;
    const int64_t calls = mbs_kit_calls(call);
    mbk_status done = forward_at_once(m, call, 0);
    for (int64_t i = 1; i < calls && done >= 0 && done != MBS_END; i++) {
        done = forward_at_once(m, call, i);
        assert(done != MBS_END); /* or the first stream's row would be added twice */
    }
    if (done != MBS_END) {
        return done;
    }
    mamba1_rows r;
    rows_of(m, call, &r);
    mbk_mat none = {0};
    mbk_status st = ops->gemm(call->ctx, r.xz, call->in, m->in_proj, m->in_bias, 0);
    if (st >= 0 && call->keep) {
        st = ops->copy(call->ctx, r.conv_state, (mbk_mat){call->state, call->state_at, m->d_conv, c, c});
    }
    for (int64_t i = 0; i < calls && st >= 0; i++) {
        mbk_mat state = {mbs_kit_state(call, i), call->state_at, m->d_conv, c, c};
        mbk_mat x = mbs_kit_columns(mbs_kit_part(call, r.xz, i), 0, c);
        st = ops->conv1d_silu(call->ctx, mbs_kit_part(call, r.u, i), x, m->conv_w, m->conv_b, state, call->starts);
    }
    st = st < 0 ? st : ops->gemm(call->ctx, r.p, r.u, m->x_proj, none, 0);
    st = st < 0 ? st : ops->gemm(call->ctx, r.dt, mbs_kit_columns(r.p, 0, m->dt_rank), m->dt_proj, none, 0);
    for (int64_t i = 0; i < calls && st >= 0; i++) {
        st = scan_rows(m, call, &r, i);
    }
    return st < 0 ? st : ops->gemm(call->ctx, call->out, r.y, m->out_proj, m->out_bias, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const double each = (double)z->d_state * (6 + MBS_MIXER_EXP) + 3 * MBS_MIXER_EXP + 9;
    *w = (mbs_mixer_work){
        .matrix = {{"in_proj", 2 * z->d_inner, c->d_model},
                   {"x_proj", mbs_mamba1_p_cols(z->dt_rank, z->d_state), z->d_inner},
                   {"dt_proj", z->d_inner, z->dt_rank},
                   {"out_proj", c->d_model, z->d_inner}},
        .matrices = 4,
        .conv = z->d_inner,
        .scan = (double)z->d_inner * each,
        .small = z->d_inner * (z->d_state + z->d_conv + 3),
        .state = 2 * (double)state_floats(c, index),
    };
}

static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    int64_t conv = z->d_inner * z->d_conv;
    mbs_kit_transpose(device, canonical, z->d_conv, z->d_inner);
    mbs_kit_transpose(device + conv, canonical + conv, z->d_state, z->d_inner);
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    int64_t conv = z->d_inner * z->d_conv;
    mbs_kit_transpose(canonical, device, z->d_inner, z->d_conv);
    mbs_kit_transpose(canonical + conv, device + conv, z->d_inner, z->d_state);
}

const mbs_mixer mbs_mixer_mamba1 = {
    .name = "mamba1",
    .model_type = "mamba",
    .architecture = "MambaForCausalLM",
    .many = 1,
    .lanes = 1,
    .rescales = 1,
    .period = 1,
    .original = "Mamba1",
    .usual = {.d_model = 768, .n_layer = 32, .vocab_size = 50280, .d_state = 16, .d_conv = 4, .tie_embeddings = 1},
    .keys = keys,
    .read = read_keys,
    .settle = settle,
    .write = write_keys,
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
    .train = &mbs_mamba1_train,
    .fits = fits,
};
