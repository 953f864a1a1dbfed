/*
 * s4.c - state spaces that do not change with time: S4D (diagonal) and S4 (HiPPO-LegS, diagonal plus low rank), run as
 * recurrences or, where the config says `convolve`, as convolutions (s4_conv.c). y = SSM(x) + D x -> GELU ->
 * output_linear to twice the width -> gated linear unit.
 *
 * The numbers of the recurrence follow from those that are trained (log_dt, A, C, and B and P of S4) by `discretize`.
 * The C of a mode is 2 N numbers a channel in the order of the reference: (channels, modes, 2).
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/hippo.h"
#include "model/s4.h"

/* --- tensors --------------------------------------------------------------------------------------------------------
 */

int mbs_s4_joint(const mbs_model_config *c, int64_t index) {
    return mbs_mixer_of_layer(c, index) == &mbs_mixer_s4;
}

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    (void)c;
    if (z->d_state % 2 != 0) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'d_state' is odd: states come in pairs");
        mbs_err_fix(err, "take an even number of states");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* Even on a logarithmic scale from 1e-3 to 1e-1. */
double mbs_s4_draw_log_dt(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)spec;
    return log(1e-3) + mbs_rng_uniform(seed, stream, (uint64_t)i) * (log(1e-1) - log(1e-3));
}

/* `scale` of these specs is the start, of mbs_hippo. */
static mbs_hippo_mode mode_of(const mbs_spec *spec, int64_t i) {
    const int64_t each = spec->ndim == 3 ? 2 : 1;
    return mbs_hippo_of((mbs_hippo)(int)spec->scale, spec->dims[1], i / each % spec->dims[1]);
}

static double draw_log_a(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)seed;
    (void)stream;
    return log(mode_of(spec, i).re);
}

static double draw_a_imag(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)seed;
    (void)stream;
    return mode_of(spec, i).im;
}

/* Complex normal numbers of size 1. */
static double draw_c(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    mbs_spec plain = *spec;
    plain.scale = sqrt(0.5);
    return mbs_draw_normal(&plain, seed, stream, i);
}

static double draw_b(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)seed;
    (void)stream;
    const mbs_hippo_mode m = mode_of(spec, i);
    return i % 2 ? m.b_im : m.b_re;
}

static double draw_p(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    return draw_b(spec, seed, stream, i) * sqrt(0.5);
}

void mbs_s4_declare_kernel(const char *prefix, const char *log_a, int start, int joint, int64_t channels, int64_t modes,
                           mbs_specs *s) {
    char name[64];
    const struct {
        const char *name;
        mbs_draw draw;
        int64_t modes, parts;
        int there;
    } tensor[] = {
        {"log_dt", mbs_s4_draw_log_dt, 0, 0, 1}, {log_a, draw_log_a, modes, 0, 1},
        {"A_imag", draw_a_imag, modes, 0, 1},    {"C", draw_c, modes, 2, 1},
        {"B", draw_b, modes, 2, joint},          {"P", draw_p, modes, 2, joint},
    };
    for (size_t i = 0; i < sizeof tensor / sizeof tensor[0]; i++) {
        if (tensor[i].there) {
            snprintf(name, sizeof name, "%s%s", prefix, tensor[i].name);
            mbs_specs_add(s, name, tensor[i].draw, (double)start, channels, tensor[i].modes, tensor[i].parts);
            if (tensor[i].modes > 0) {
                mbs_specs_turned(s);
            }
            (tensor[i].draw == draw_c ? mbs_specs_decays : mbs_specs_slow)(s);
            if (tensor[i].modes > 0 && tensor[i].draw != draw_c) { /* the same for every channel */
                mbs_specs_repeats(s, modes * (tensor[i].parts > 0 ? tensor[i].parts : 1));
            }
        }
    }
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t d = c->d_model;
    const int joint = mbs_s4_joint(c, index);
    const double in = 1 / sqrt((double)d);
    mbs_specs_add(s, "D", mbs_draw_normal, 1, d, 0, 0);
    mbs_specs_add_matrix(s, "output_linear.weight", mbs_draw_uniform, in / sqrt((double)c->n_layer), 2 * d, d);
    mbs_specs_add(s, "output_linear.bias", mbs_draw_constant, 0, 2 * d, 0, 0);
    mbs_s4_declare_kernel("kernel.", "log_A_real", joint ? MBS_HIPPO_LEGS : z->ssm_init, joint, d, z->d_state / 2, s);
}

/* --- the numbers of the recurrence ----------------------------------------------------------------------------------
 */

mbs_status mbs_s4_kernel_room(mbk_ctx *ctx, int64_t channels, int64_t modes, int joint, mbs_s4_kernel *k,
                              mbs_err *err) {
    const int64_t each = mbs_kit_lines(2 * modes * channels);
    k->modes = modes;
    k->joint = joint;
    mbk_status st = ctx->ops->buf_new(ctx, (size_t)(5 * each) * sizeof(float), &k->made);
    if (st < 0) {
        return mbs_backend_fail(ctx, err, st, NULL, "making room for the weights");
    }
    mbk_mat *part[] = {&k->a, &k->b, &k->w, &k->f, &k->g};
    for (int i = 0; i < (joint ? 5 : 3); i++) {
        *part[i] = (mbk_mat){k->made, i * each, 2 * modes, channels, channels};
    }
    return MBS_OK;
}

mbk_discretize_args mbs_s4_kernel_args(const mbs_s4_kernel *k, const mbs_held_item *t) {
    return (mbk_discretize_args){
        .a = k->a,
        .b = k->b,
        .w = k->w,
        .f = k->f,
        .g = k->g,
        .log_dt = t[S4_LOG_DT].p.w,
        .a_log = t[S4_LOG_A].p.w,
        .a_im = t[S4_A_IMAG].p.w,
        .in_c = t[S4_C].p.w,
        .in_b = k->joint ? t[S4_B].p.w : (mbk_mat){0},
        .p = k->joint ? t[S4_P].p.w : (mbk_mat){0},
        .rule = k->rule,
    };
}

/* Positions that a convolution has room for; 0: a recurrence. */
static int64_t taps_of(const mbs_model_config *c, int64_t index) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return z->reach > 0 && z->reach < z->l_max ? z->reach : z->l_max;
}

static mbs_status start_layer(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, s4 *m, mbs_err *err) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int joint = mbs_s4_joint(c, index);
    m->d = c->d_model;
    m->taps = taps_of(c, index);
    m->k.rule = joint ? MBK_BILINEAR : (mbk_rule)z->ssm_rule;
    return mbs_s4_kernel_room(ctx, c->d_model, z->d_state / 2, joint, &m->k, err);
}

void mbs_s4_unload(mbk_ctx *ctx, void *layer) {
    s4 *m = layer;
    if (m) {
        mbs_held_free(ctx, &m->t);
        ctx->ops->buf_free(ctx, m->k.made);
        mbs_s4_conv_free(ctx, m, 1);
        mbs_free(m);
    }
}

mbk_status mbs_s4_discretize(mbk_ctx *ctx, const s4 *m) {
    const mbk_discretize_args args = mbs_s4_kernel_args(&m->k, m->t.item + S4_KERNEL);
    return ctx->ops->discretize(ctx, &args);
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    s4 *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    mbs_status st = mbs_held_load(mbs_mixer_of_layer(c, index), c, index, ld, &m->t);
    st = st < 0 ? st : start_layer(c, index, ld->ctx, m, ld->err);
    st = st < 0 ? st : mbs_s4_conv_room(ld->ctx, 0, m, ld->err);
    if (st >= 0 && ld->rate_scale > 0) {
        st = mbs_kit_adjust(ld, m->t.item[S4_KERNEL + S4_LOG_DT].p.w, 1, log(ld->rate_scale));
    }
    if (st >= 0) {
        mbk_status made = mbs_s4_discretize(ld->ctx, m);
        made = made < 0 ? made : mbs_s4_conv_make(ld->ctx, m);
        mbs_s4_conv_free(ld->ctx, m, 0);
        st = made < 0 ? mbs_backend_fail(ld->ctx, ld->err, made, NULL, "making the recurrence") : MBS_OK;
    }
    if (st < 0) {
        mbs_s4_unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

mbs_status mbs_s4_make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    s4 *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(err, NULL, sizeof *m);
    }
    mbs_status st = mbs_held_make(mbs_mixer_of_layer(c, index), c, index, ctx, format, params, &m->t, err);
    st = st < 0 ? st : start_layer(c, index, ctx, m, err);
    st = st < 0 ? st : mbs_s4_conv_room(ctx, 1, m, err);
    if (st < 0) {
        mbs_s4_unload(ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

/* --- running --------------------------------------------------------------------------------------------------------
 */

static int64_t conv_state(const mbs_model_config *c, int64_t taps) {
    return (taps + mbk_fir_ahead_rows(taps)) * c->d_model;
}

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    const int64_t taps = taps_of(c, index);
    return taps > 0 ? conv_state(c, taps) : mbs_config_sizes(c, index)->d_state * c->d_model;
}

static int64_t longest(const mbs_model_config *c, int64_t index) {
    const int64_t taps = taps_of(c, index);
    return taps > 0 ? taps : INT64_MAX;
}

/* As a convolution: the filter, its transforms and the state; while it is made, the impulse and its answer. */
static double room(const mbs_model_config *c, int64_t index, int64_t positions, double *shared) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t most = positions < z->l_max ? positions : z->l_max;
    if (z->l_max == 0) {
        return 0;
    }
    *shared = 4 * (double)((most + z->d_state) * c->d_model + mbk_fir_work_floats(most, c->d_model));
    return 4 * (double)(most * c->d_model + mbk_fir_spectra_floats(most, c->d_model) + conv_state(c, most));
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    (void)index;
    return 2 * c->d_model;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    return 3 * mbs_kit_apart(rows, c->d_model) + mbs_kit_apart(rows, 2 * c->d_model) +
           mbs_kit_lines(mbk_fir_work_floats(taps_of(c, index), c->d_model));
}

s4_rows mbs_s4_rows(const s4 *m, const mbs_mixer_call *call) {
    int64_t at = 0;
    s4_rows r = {.mid = mbs_kit_carve_apart(call, &at, m->d)};
    r.res = mbs_kit_carve_apart(call, &at, m->d);
    r.work = mbs_held_carve(call->scratch, &at, 1, mbk_fir_work_floats(m->taps, m->d));
    mbs_mixer_call place = *call;
    if (call->keep) {
        place = mbs_held_place(call, &at);
    }
    r.y = mbs_kit_carve_apart(&place, &at, m->d);
    r.p = mbs_kit_carve_apart(&place, &at, 2 * m->d);
    if (call->keep) {
        const int64_t states = mbs_s4_saved_rows(call->in.rows, m->k.modes);
        r.saved = mbs_held_carve(call->keep, &at, m->taps > 0 ? m->taps : states, m->d);
    }
    return r;
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const s4 *m = layer;
    const mbk_ops *ops = call->ctx->ops;
    const mbs_held_item *t = m->t.item;
    const s4_rows r = mbs_s4_rows(m, call);
    const mbk_lti_args args = {
        .y = r.y,
        .u = call->in,
        .a = m->k.a,
        .b = m->k.b,
        .w = m->k.w,
        .f = m->k.f,
        .g = m->k.g,
        .d = t[S4_D].p.w,
        .state = {call->state, call->state_at, 2 * m->k.modes, m->d, m->d},
        .starts = call->starts,
        .saved = r.saved,
    };
    mbk_status st = m->taps > 0 ? mbs_s4_conv_forward(m, call, &r) : ops->lti(call->ctx, &args);
    st = st < 0 ? st : ops->unary(call->ctx, r.mid, r.y, (mbk_mat){0}, MBK_GELU);
    st = st < 0 ? st : ops->gemm(call->ctx, r.p, r.mid, t[S4_OUT_W].w, t[S4_OUT_B].p.w, 0);
    if (st >= 0) {
        st = ops->glu(call->ctx, r.res, mbs_kit_columns(r.p, 0, m->d), mbs_kit_columns(r.p, m->d, m->d));
    }
    return st < 0 ? st : ops->add(call->ctx, call->out, call->out, r.res);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    double each = (double)z->d_state / 2 * (mbs_s4_joint(c, index) ? 20 : 12);
    if (z->l_max > 0) { /* as hyena.c counts */
        each = (double)(z->l_max < 2 * MBK_FIR_BASE ? z->l_max : MBK_FIR_BASE) * 2;
        for (int64_t i = 0; i < mbk_fir_levels(z->l_max); i++) {
            each += 10 * (double)(7 + i) + 20;
        }
    }
    *w = (mbs_mixer_work){
        .matrix = {{"output_linear", 2 * c->d_model, c->d_model}},
        .matrices = 1,
        .scan = (double)c->d_model * (each + 2 * MBS_MIXER_EXP + 8),
        .small = c->d_model * (2 * z->d_state + 4),
        .state = 2 * (double)state_floats(c, index),
    };
}

/* (2 modes, channels) and (channels, modes, 2). */
static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    if (mbs_config_sizes(c, index)->l_max > 0) { /* rows, their places a matter of the position alone */
        memcpy(canonical, device, (size_t)state_floats(c, index) * sizeof *device);
        return;
    }
    mbs_kit_transpose(device, canonical, mbs_config_sizes(c, index)->d_state, c->d_model);
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    if (mbs_config_sizes(c, index)->l_max > 0) {
        memcpy(device, canonical, (size_t)state_floats(c, index) * sizeof *device);
        return;
    }
    mbs_kit_transpose(canonical, device, c->d_model, mbs_config_sizes(c, index)->d_state);
}

/* Of a convolution the inputs so far, and what lies ahead of them. */
static int used(const mbs_model_config *c, int64_t index, int64_t positions, int i, int64_t *at, int64_t *floats) {
    const int64_t taps = taps_of(c, index);
    *at = i * taps * c->d_model;
    *floats = taps == 0 ? state_floats(c, index)
              : i == 0  ? (positions < taps ? positions : taps) * c->d_model
                        : mbk_fir_ahead_used(taps, positions) * c->d_model;
    return i < (taps > 0 ? 2 : 1);
}

#define KEY_CONVOLVE                                                                                                   \
    {                                                                                                                  \
        "convolve", MBS_KEY_INTEGER, MBS_SIZE_AT(l_max), 2, 1 << 24, 0, "none",                                        \
            "s4, s4d: most positions of a sequence, run as a convolution by transforms; none: a recurrence, any "      \
            "length"                                                                                                   \
    }

static const mbs_mixer_key s4d_keys[] = {
    MBS_KEY_D_STATE(64),
    KEY_CONVOLVE,
    {"init", MBS_KEY_WORD, MBS_SIZE_AT(ssm_init), 0, 3, MBS_HIPPO_LEGS, MBS_HIPPO_WORDS, "s4d: where the modes begin"},
    {"rule", MBS_KEY_WORD, MBS_SIZE_AT(ssm_rule), 0, 1, MBK_ZOH, "zoh|bilinear", "s4d: how time becomes steps"},
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

static const mbs_mixer_key s4_keys[] = {
    MBS_KEY_D_STATE(64),
    KEY_CONVOLVE,
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

#define S4_MIXER(NAME, KEYS)                                                                                           \
    {                                                                                                                  \
        .name = (NAME), .fits = mbs_held_fits, .rescales = 1, .longest = longest, .many = 1, .keys = (KEYS),           \
        .settle = settle, .declare = declare, .state_floats = state_floats, .scratch_floats = scratch_floats,          \
        .widest = widest, .load = load, .unload = mbs_s4_unload, .forward = forward, .work = work, .save = save,       \
        .restore = restore, .room = room, .used = used, .train = &mbs_s4_train                                         \
    }

const mbs_mixer mbs_mixer_s4d = S4_MIXER("s4d", s4d_keys);
const mbs_mixer mbs_mixer_s4 = S4_MIXER("s4", s4_keys);
