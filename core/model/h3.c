/*
 * h3.c - H3 (Fu et al. 2023) with heads of one channel: two state spaces between gates.
 *
 *   q, k, v = Linear(x);  k' = shift(k) + D_k k;  y = SSM(k' v) + D k' v;  out = Linear(q y)
 *
 * The shift state space is a filter of as many taps as there are states (its B is the first unit vector, so that the
 * taps are its C); the other is diagonal, bilinear, and begins as S4D-Lin.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/hippo.h"
#include "model/s4.h"

enum { Q_W, Q_B, K_W, K_B, V_W, V_B, OUT_W, OUT_B, SHIFT, SHIFT_D, SKIP, KERNEL };

typedef struct h3 {
    int64_t d, taps;
    mbs_held t;
    mbs_s4_kernel k;
    mbk_buf *made;
    mbk_mat filter; /* (taps, d): shift, with D_k in its first tap */
} h3;

/* What the rows of a call go through; all but z is kept. */
typedef struct h3_rows {
    mbk_mat z; /* (L, d): q y; scratch */
    mbk_mat q, k, v, shifted, kv, y;
    mbk_mat saved, ring; /* kept only */
} h3_rows;

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    (void)c;
    if (z->d_state % 2 != 0) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'d_state' is odd: states come in pairs");
        mbs_err_fix(err, "take an even number of states");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    static const char *const linear[] = {"q_proj", "k_proj", "v_proj", "output_linear"};
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    const int64_t d = c->d_model;
    const double size = 1 / sqrt((double)d);
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.weight", linear[i]);
        mbs_specs_add_matrix(s, name, mbs_draw_uniform, i < 3 ? size : size / sqrt((double)c->n_layer), d, d);
        snprintf(name, sizeof name, "%s.bias", linear[i]);
        mbs_specs_add(s, name, mbs_draw_constant, 0, d, 0, 0);
    }
    mbs_specs_add(s, "ssm_k_kernel.kernel.C", mbs_draw_normal, 1 / sqrt((double)n), d, n, 0);
    mbs_specs_decays(s);
    mbs_specs_turned(s);
    mbs_specs_add(s, "ssm_k_D", mbs_draw_normal, 1, d, 0, 0);
    mbs_specs_add(s, "D", mbs_draw_normal, 1, d, 0, 0);
    mbs_s4_declare_kernel("kernel.kernel.", "inv_A_real", MBS_HIPPO_LIN, 0, d, n / 2, s);
}

static void unload(mbk_ctx *ctx, void *layer) {
    h3 *m = layer;
    if (m) {
        mbs_held_free(ctx, &m->t);
        ctx->ops->buf_free(ctx, m->k.made);
        ctx->ops->buf_free(ctx, m->made);
        mbs_free(m);
    }
}

/* The numbers that follow from the tensors. */
static mbk_status derive(mbk_ctx *ctx, h3 *m) {
    const mbk_discretize_args args = mbs_s4_kernel_args(&m->k, m->t.item + KERNEL);
    mbk_mat first = m->filter;
    first.rows = 1;
    mbk_status st = ctx->ops->copy(ctx, m->filter, m->t.item[SHIFT].p.w);
    st = st < 0 ? st : ctx->ops->add(ctx, first, first, m->t.item[SHIFT_D].p.w);
    return st < 0 ? st : ctx->ops->discretize(ctx, &args);
}

static mbs_status make_room(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, h3 *m, mbs_err *err) {
    m->d = c->d_model;
    m->taps = mbs_config_sizes(c, index)->d_state;
    m->k.rule = MBK_BILINEAR;
    mbs_status st = mbs_s4_kernel_room(ctx, m->d, m->taps / 2, 0, &m->k, err);
    if (st < 0) {
        return st;
    }
    mbk_status made = ctx->ops->buf_new(ctx, (size_t)(m->taps * m->d) * sizeof(float), &m->made);
    m->filter = mbs_kit_matrix(m->made, m->taps, m->d);
    return made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making room for the weights") : MBS_OK;
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    h3 *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    mbs_status st = mbs_held_load(&mbs_mixer_h3, c, index, ld, &m->t);
    st = st < 0 ? st : make_room(c, index, ld->ctx, m, ld->err);
    if (st >= 0) {
        mbk_status made = derive(ld->ctx, m);
        st = made < 0 ? mbs_backend_fail(ld->ctx, ld->err, made, NULL, "making the recurrence") : MBS_OK;
    }
    if (st < 0) {
        unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    return 2 * mbs_config_sizes(c, index)->d_state * c->d_model;
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    (void)index;
    return c->d_model;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    (void)index;
    return 7 * mbs_kit_apart(rows, c->d_model);
}

static h3_rows rows_of(const h3 *m, const mbs_mixer_call *call) {
    int64_t at = 0;
    h3_rows r = {.z = mbs_kit_carve_apart(call, &at, m->d)};
    mbk_mat *part[] = {&r.q, &r.k, &r.v, &r.shifted, &r.kv, &r.y};
    mbs_mixer_call place = *call;
    if (call->keep) {
        place = mbs_held_place(call, &at);
    }
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        *part[i] = mbs_kit_carve_apart(&place, &at, m->d);
    }
    if (call->keep) {
        r.ring = mbs_held_carve(call->keep, &at, m->taps, m->d);
        r.saved = mbs_held_carve(call->keep, &at, mbs_s4_saved_rows(call->in.rows, m->k.modes), m->d);
    }
    return r;
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const h3 *m = layer;
    mbk_ctx *ctx = call->ctx;
    const mbk_ops *ops = ctx->ops;
    const mbs_held_item *t = m->t.item;
    const h3_rows r = rows_of(m, call);
    const mbk_mat ring = {call->state, call->state_at, m->taps, m->d, m->d};
    const mbk_fir_args shift = {
        .y = r.shifted, .x = r.k, .w = m->filter, .ring = ring, .position = call->position, .starts = call->starts};
    const mbk_lti_args space = {
        .y = r.y,
        .u = r.kv,
        .a = m->k.a,
        .b = m->k.b,
        .w = m->k.w,
        .d = t[SKIP].p.w,
        .state = {call->state, call->state_at + m->taps * m->d, 2 * m->k.modes, m->d, m->d},
        .starts = call->starts,
        .saved = r.saved,
    };
    mbk_status st = ops->gemm(ctx, r.q, call->in, t[Q_W].w, t[Q_B].p.w, 0);
    st = st < 0 ? st : ops->gemm(ctx, r.k, call->in, t[K_W].w, t[K_B].p.w, 0);
    st = st < 0 ? st : ops->gemm(ctx, r.v, call->in, t[V_W].w, t[V_B].p.w, 0);
    st = st < 0 || !call->keep ? st : ops->copy(ctx, r.ring, ring);
    st = st < 0 ? st : ops->fir(ctx, &shift);
    st = st < 0 ? st : ops->mul(ctx, r.kv, r.shifted, r.v);
    st = st < 0 ? st : ops->lti(ctx, &space);
    st = st < 0 ? st : ops->mul(ctx, r.z, r.q, r.y);
    return st < 0 ? st : ops->gemm(ctx, call->out, r.z, t[OUT_W].w, t[OUT_B].p.w, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    const int64_t d = c->d_model;
    *w = (mbs_mixer_work){
        .matrix = {{"q_proj", d, d}, {"k_proj", d, d}, {"v_proj", d, d}, {"output_linear", d, d}},
        .matrices = 4,
        .conv = d,
        .scan = (double)d * (double)(8 * n + 4),
        .small = d * (3 * n + 8),
        .state = 2 * (double)state_floats(c, index),
    };
}

/* The ring as it is, its place a matter of the position alone; the modes as S4D has them. */
static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    memcpy(canonical, device, (size_t)(n * c->d_model) * sizeof *device);
    mbs_kit_transpose(device + n * c->d_model, canonical + n * c->d_model, n, c->d_model);
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    memcpy(device, canonical, (size_t)(n * c->d_model) * sizeof *device);
    mbs_kit_transpose(canonical + n * c->d_model, device + n * c->d_model, c->d_model, n);
}

/* --- training -------------------------------------------------------------------------------------------------------
 */

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    h3 *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(err, NULL, sizeof *m);
    }
    mbs_status st = mbs_held_make(&mbs_mixer_h3, c, index, ctx, format, params, &m->t, err);
    st = st < 0 ? st : make_room(c, index, ctx, m, err);
    if (st < 0) {
        unload(ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    h3 *m = layer;
    mbk_status st = mbs_held_refresh(ctx, &m->t);
    return st < 0 ? st : derive(ctx, m);
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    return 6 * mbs_kit_apart(rows, c->d_model) + mbs_kit_lines(n * c->d_model) +
           mbs_kit_lines(mbs_s4_saved_rows(rows, n / 2) * c->d_model);
}

static int64_t back_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    return 5 * mbs_kit_apart(rows, c->d_model) + mbs_kit_lines(n * c->d_model) + mbs_s4_back_floats(c->d_model, n / 2);
}

/* From dy of the filter to dk, and to the gradients of its taps. */
static mbk_status back_shift(h3 *m, const mbs_mixer_back *back, const h3_rows *r, mbk_mat dshifted, mbk_mat dk,
                             mbk_mat taps) {
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    mbk_mat c = m->t.item[SHIFT].p.g;
    mbk_mat first = taps;
    first.rows = 1;
    const mbk_fir_grad_args args = {
        .dx = dk,
        .dw = taps,
        .dring = {back->dstate, back->dstate_at, m->taps, m->d, m->d},
        .dy = dshifted,
        .x = r->k,
        .w = m->filter,
        .ring = r->ring,
        .position = back->call.position,
        .starts = back->call.starts,
    };
    mbk_status st = ops->zero(ctx, taps);
    st = st < 0 ? st : ops->fir_grad(ctx, &args);
    st = st < 0 ? st : ops->add(ctx, c, c, taps);
    return st < 0 ? st : ops->add(ctx, m->t.item[SHIFT_D].p.g, m->t.item[SHIFT_D].p.g, first);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    h3 *m = layer;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const h3_rows r = rows_of(m, &back->call);
    const mbk_mat x = back->call.in;
    int64_t at = 0;
    mbk_mat row[5];
    for (int i = 0; i < 5; i++) {
        row[i] = mbs_kit_carve_apart(&back->call, &at, m->d);
    }
    mbk_mat dy = row[0]; /* q y first, and its gradient in row[1] */
    mbk_mat dq = row[2];
    mbk_mat dkv = row[3];
    mbk_mat dv = row[4];
    mbk_mat taps = mbs_held_carve(back->call.scratch, &at, m->taps, m->d);
    const mbs_s4_back space = {
        .dy = dy,
        .du = dkv,
        .u = r.kv,
        .d = m->t.item[SKIP].p.w,
        .dd = m->t.item[SKIP].p.g,
        .saved = r.saved,
        .dstate = {back->dstate, back->dstate_at + m->taps * m->d, 2 * m->k.modes, m->d, m->d},
        .starts = back->call.starts,
        .scratch = back->call.scratch,
        .at = at,
    };
    mbk_status st = ops->mul(ctx, row[0], r.q, r.y);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, OUT_W, OUT_B, back->dout, row[0], &row[1], 0);
    st = st < 0 ? st : ops->mul(ctx, dq, row[1], r.y);
    st = st < 0 ? st : ops->mul(ctx, dy, row[1], r.q);
    st = st < 0 ? st : mbs_s4_kernel_back(ctx, &m->k, m->t.item + KERNEL, &space);
    st = st < 0 ? st : ops->mul(ctx, dv, dkv, r.shifted);
    st = st < 0 ? st : ops->mul(ctx, dkv, dkv, r.v);
    st = st < 0 ? st : back_shift(m, back, &r, dkv, row[1], taps);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, Q_W, Q_B, dq, x, &back->din, 0);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, K_W, K_B, row[1], x, &back->din, 1);
    return st < 0 ? st : mbs_held_linear_back(ctx, &m->t, V_W, V_B, dv, x, &back->din, 1);
}

static const mbs_mixer_train train = {
    .make = make,
    .unmake = unload,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = back_floats,
    .backward = backward,
};

static const mbs_mixer_key keys[] = {
    MBS_KEY_D_STATE(64),
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

const mbs_mixer mbs_mixer_h3 = {
    .name = "h3",
    .fits = mbs_held_fits,
    .many = 1,
    .keys = keys,
    .settle = settle,
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
    .train = &train,
};
