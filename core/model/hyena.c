/*
 * hyena.c - Hyena (Poli et al. 2023). Of order o: x_0 .. x_{o-1}, v = a short filter of in_proj; v <- long filter of
 * (v x_i) for i = o - 1 .. 1, each with a filter of its own; out_proj of v x_0. A long filter has l_max taps, so a
 * sequence has that many positions at most, and what a stream carries is its inputs so far, a ring of l_max rows, and
 * what of their share in rows to come is summed up already (mbk.h, mbk_fir_args).
 */
#include "model/hyena.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

#define SHORT 3
#define FILTERS (HYENA_ORDER_MAX - 1)

typedef struct hyena {
    int64_t d, taps;
    int64_t order;
    mbs_held t;
    hyena_filter f;
} hyena;

/* What the rows of a call go through; all but z is kept. */
typedef struct hyena_rows {
    mbk_mat z;                              /* (L, d); scratch */
    mbk_mat work;                           /* of the long filters; scratch */
    mbk_mat p, c;                           /* (L, (order + 1) d): behind in_proj, behind the short filter */
    mbk_mat x[HYENA_ORDER_MAX + 1];         /* of c: x_0 .. x_{order-1}, v */
    mbk_mat v[FILTERS], y[FILTERS];         /* (L, d): before and behind each long filter, in their order */
    mbk_mat short_ring, long_ring[FILTERS]; /* kept only */
} hyena_rows;

static int64_t order_of(const mbs_model_config *c, int64_t index) {
    return mbs_config_sizes(c, index)->hyena_order;
}

/* Positions that there is room for. */
static int64_t taps_of(const mbs_model_config *c, int64_t index) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return z->reach > 0 && z->reach < z->l_max ? z->reach : z->l_max;
}

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    (void)c;
    if (z->emb_dim % 2 == 0) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'emb_dim' is even: one feature is the position, the others come in pairs");
        mbs_err_fix(err, "take an odd number of features");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* Which of the filter's own numbers a folder holds. */
static void detect(const mbs_st_set *set, const char *layer, mbs_layer_sizes *z) {
    z->filter_stored = (mbs_kit_has(set, layer, "filter_fn.pos_emb.z") ? HYENA_STORED_Z : 0) |
                       (mbs_kit_has(set, layer, "filter_fn.pos_emb.t") ? HYENA_STORED_T : 0) |
                       (mbs_kit_has(set, layer, "filter_fn.modulation.deltas") ? HYENA_STORED_DELTAS : 0) |
                       (mbs_kit_has(set, layer, "filter_fn.implicit_filter.3.freq") ? HYENA_STORED_ALIASES : 0);
}

static void declare_stored(const mbs_layer_sizes *z, int64_t channels, mbs_specs *s) {
    if (z->filter_stored & HYENA_STORED_Z) {
        mbs_specs_add(s, "filter_fn.pos_emb.z", mbs_draw_constant, 0, 1, z->l_max, z->emb_dim);
    }
    if (z->filter_stored & HYENA_STORED_T) {
        mbs_specs_add(s, "filter_fn.pos_emb.t", mbs_draw_constant, 0, 1, z->l_max, 1);
    }
    if (z->filter_stored & HYENA_STORED_DELTAS) {
        mbs_specs_add(s, "filter_fn.modulation.deltas", mbs_draw_constant, 0, 1, 1, channels);
    }
    for (int i = 3; i <= 5 && z->filter_stored & HYENA_STORED_ALIASES; i += 2) {
        char name[64];
        snprintf(name, sizeof name, "filter_fn.implicit_filter.%d.freq", i);
        mbs_specs_add(s, name, mbs_draw_constant, z->filter_w, 1, z->filter_order, 0);
        mbs_specs_again(s);
    }
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t d = c->d_model;
    const int64_t all = (z->hyena_order + 1) * d;
    const int64_t filters = (z->hyena_order - 1) * d;
    const double size = 1 / sqrt((double)d);
    const double taps = 1 / sqrt((double)SHORT);
    static const char *const name[] = {"filter_fn.implicit_filter.0", "filter_fn.implicit_filter.2",
                                       "filter_fn.implicit_filter.4", "filter_fn.implicit_filter.6"};
    mbs_specs_add_matrix(s, "in_proj.weight", mbs_draw_uniform, size, all, d);
    mbs_specs_add(s, "in_proj.bias", mbs_draw_uniform, size, all, 0, 0);
    mbs_specs_add(s, "short_filter.weight", mbs_draw_uniform, taps, all, 1, SHORT);
    mbs_specs_turned(s);
    mbs_specs_decays(s);
    mbs_specs_add(s, "short_filter.bias", mbs_draw_uniform, taps, all, 0, 0);
    mbs_specs_add_matrix(s, "out_proj.weight", mbs_draw_uniform, size / sqrt((double)c->n_layer), d, d);
    mbs_specs_add(s, "out_proj.bias", mbs_draw_constant, 0, d, 0, 0);
    mbs_specs_add(s, "filter_fn.bias", mbs_draw_normal, 1, filters, 0, 0);
    for (int i = 0; i < 4; i++) {
        char full[64];
        const int64_t in = i > 0 ? z->filter_order : z->emb_dim;
        const int64_t out = i < 3 ? z->filter_order : filters;
        snprintf(full, sizeof full, "%s.weight", name[i]);
        mbs_specs_add(s, full, mbs_draw_uniform, 1 / sqrt((double)in), out, in, 0);
        snprintf(full, sizeof full, "%s.bias", name[i]);
        if (i < 3) {
            mbs_specs_add(s, full, mbs_draw_uniform, 1 / sqrt((double)in), out, 0, 0);
        }
        if (i == 0) {
            mbs_specs_add(s, "filter_fn.implicit_filter.1.freq", mbs_draw_constant, z->filter_w, 1, z->filter_order, 0);
        }
    }
    declare_stored(z, filters, s);
}

static void unload(mbk_ctx *ctx, void *layer) {
    hyena *m = layer;
    if (m) {
        mbs_held_free(ctx, &m->t);
        mbs_hyena_filter_free(ctx, &m->f);
        mbs_free(m);
    }
}

static void size_up(const mbs_model_config *c, int64_t index, hyena *m) {
    m->d = c->d_model;
    m->taps = taps_of(c, index);
    m->order = order_of(c, index);
}

static int64_t state_of(const mbs_model_config *c, int64_t index, int64_t taps) {
    const int64_t o = order_of(c, index);
    return ((o - 1) * (taps + mbk_fir_ahead_rows(taps)) + SHORT * (o + 1)) * c->d_model;
}

/* Filters, their transforms and the state are as long as the longest record. */
static double room(const mbs_model_config *c, int64_t index, int64_t positions, double *shared) {
    const int64_t all = mbs_config_sizes(c, index)->l_max;
    const int64_t most = positions < all ? positions : all;
    const int64_t each = most * c->d_model + mbk_fir_spectra_floats(most, c->d_model);
    *shared = 4 * (double)mbk_fir_work_floats(most, c->d_model);
    return 4 * ((double)(order_of(c, index) - 1) * (double)each + (double)state_of(c, index, most));
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    hyena *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    mbs_status st = mbs_held_load(&mbs_mixer_hyena, c, index, ld, &m->t);
    size_up(c, index, m);
    st = st < 0 ? st : mbs_hyena_filter_room(c, index, ld->ctx, &m->f, ld->err);
    st = st < 0 ? st : mbs_hyena_filter_exact(ld->ctx, &m->f, m->t.item, ld->err);
    if (st < 0) {
        unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

static int64_t longest(const mbs_model_config *c, int64_t index) {
    return taps_of(c, index);
}

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    return state_of(c, index, taps_of(c, index));
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    return (order_of(c, index) + 1) * c->d_model;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t o = order_of(c, index);
    return (2 * o - 1) * mbs_kit_apart(rows, c->d_model) + 2 * mbs_kit_apart(rows, (o + 1) * c->d_model) +
           mbs_kit_lines(mbk_fir_work_floats(taps_of(c, index), c->d_model));
}

static hyena_rows rows_of(const hyena *m, const mbs_mixer_call *call) {
    int64_t at = 0;
    hyena_rows r = {.z = mbs_kit_carve_apart(call, &at, m->d)};
    r.work = mbs_held_carve(call->scratch, &at, 1, mbk_fir_work_floats(m->taps, m->d));
    mbs_mixer_call place = *call;
    if (call->keep) {
        place = mbs_held_place(call, &at);
    }
    r.p = mbs_kit_carve_apart(&place, &at, (m->order + 1) * m->d);
    r.c = mbs_kit_carve_apart(&place, &at, (m->order + 1) * m->d);
    for (int64_t i = 0; i <= m->order; i++) {
        r.x[i] = mbs_kit_columns(r.c, i * m->d, m->d);
    }
    for (int64_t j = 0; j < m->order - 1; j++) {
        r.v[j] = mbs_kit_carve_apart(&place, &at, m->d);
        r.y[j] = mbs_kit_carve_apart(&place, &at, m->d);
    }
    if (call->keep) {
        r.short_ring = mbs_held_carve(call->keep, &at, SHORT, (m->order + 1) * m->d);
        for (int64_t j = 0; j < m->order - 1; j++) {
            r.long_ring[j] = mbs_held_carve(call->keep, &at, m->taps, m->d);
        }
    }
    return r;
}

/* The rings of a state, or of its gradient: first the short one, j < 0, then that of each long filter. */
static mbk_mat ring_of(const hyena *m, mbk_buf *buf, int64_t at, int64_t j) {
    const int64_t wide = (m->order + 1) * m->d;
    const int64_t each = (m->taps + mbk_fir_ahead_rows(m->taps)) * m->d;
    return j < 0 ? (mbk_mat){buf, at, SHORT, wide, wide}
                 : (mbk_mat){buf, at + SHORT * wide + j * each, m->taps, m->d, m->d};
}

static mbk_fir_args far_args(const hyena *m, const mbs_mixer_call *call, const hyena_rows *r, int64_t j) {
    mbk_fir_args a = {
        .y = r->y[j],
        .x = r->v[j],
        .w = m->f.w[j],
        .ring = ring_of(m, call->state, call->state_at, j),
        .position = call->position,
        .starts = call->starts,
    };
    if (m->f.far) {
        a.ahead = (mbk_mat){call->state, a.ring.off + m->taps * m->d, mbk_fir_ahead_rows(m->taps), m->d, m->d};
        a.spectra = m->f.spectra[j];
        a.work = r->work;
    }
    return a;
}

/* What filter j is given: what is behind the one before it, or v, times x_i. */
static mbk_mat before(const hyena *m, const hyena_rows *r, int64_t j) {
    return j > 0 ? r->y[j - 1] : r->x[m->order];
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const hyena *m = layer;
    mbk_ctx *ctx = call->ctx;
    const mbk_ops *ops = ctx->ops;
    const mbs_held_item *t = m->t.item;
    const hyena_rows r = rows_of(m, call);
    const int64_t filters = m->order - 1;
    const mbk_mat ring = ring_of(m, call->state, call->state_at, -1);
    const mbk_fir_args near = {
        .y = r.c,
        .x = r.p,
        .w = t[SHORT_W].p.w,
        .bias = t[SHORT_B].p.w,
        .ring = ring,
        .position = call->position,
        .newest_last = 1,
        .starts = call->starts,
    };
    mbk_status st = ops->gemm(ctx, r.p, call->in, t[IN_W].w, t[IN_B].p.w, 0);
    st = st < 0 || !call->keep ? st : ops->copy(ctx, r.short_ring, ring);
    st = st < 0 ? st : ops->fir(ctx, &near);
    for (int64_t j = 0; j < filters && st >= 0; j++) {
        const mbk_fir_args far = far_args(m, call, &r, j);
        st = !call->keep ? st : ops->copy(ctx, r.long_ring[j], far.ring);
        st = st < 0 ? st : ops->mul(ctx, r.v[j], before(m, &r, j), r.x[filters - j]);
        st = st < 0 ? st : ops->fir(ctx, &far);
    }
    st = st < 0 ? st : ops->mul(ctx, r.z, r.y[filters - 1], r.x[0]);
    return st < 0 ? st : ops->gemm(ctx, call->out, r.z, t[OUT_W].w, t[OUT_B].p.w, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const int64_t d = c->d_model;
    const int64_t o = order_of(c, index);
    const int64_t taps = taps_of(c, index);
    const int64_t near = taps < 2 * MBK_FIR_BASE ? taps : MBK_FIR_BASE;
    double far = 2 * (double)near; /* and for each level a transform of 2 B numbers there and one back, for B rows */
    for (int64_t i = 0; i < mbk_fir_levels(taps); i++) {
        far += 10 * (double)(7 + i) + 20;
    }
    *w = (mbs_mixer_work){
        .matrix = {{"in_proj", (o + 1) * d, d}, {"out_proj", d, d}},
        .matrices = 2,
        .conv = (o + 1) * d,
        .scan = (double)d * ((double)(o - 1) * far + (double)(2 * o)),
        .small = d * ((o - 1) * near + 4 * (o + 1)),
        .state = (double)d * (double)(o - 1) * (double)(2 + 12 * mbk_fir_levels(taps)),
    };
}

static void same_state(const mbs_model_config *c, int64_t index, const float *from, float *to) {
    memcpy(to, from, (size_t)state_floats(c, index) * sizeof *to);
}

/* The short ring, and of each long filter the inputs so far and what lies ahead of them. */
static int used(const mbs_model_config *c, int64_t index, int64_t positions, int i, int64_t *at, int64_t *floats) {
    const int64_t taps = taps_of(c, index);
    const int64_t first = SHORT * (order_of(c, index) + 1) * c->d_model;
    const int64_t each = (taps + mbk_fir_ahead_rows(taps)) * c->d_model;
    if (i == 0) {
        *at = 0;
        *floats = first;
        return 1;
    }
    *at = first + (i - 1) / 2 * each + (i % 2 ? 0 : taps * c->d_model);
    *floats = (i % 2 ? positions < taps ? positions : taps : mbk_fir_ahead_used(taps, positions)) * c->d_model;
    return (i - 1) / 2 < order_of(c, index) - 1;
}

/* --- training -------------------------------------------------------------------------------------------------------
 */

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    hyena *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(err, NULL, sizeof *m);
    }
    mbs_status st = mbs_held_make(&mbs_mixer_hyena, c, index, ctx, format, params, &m->t, err);
    size_up(c, index, m);
    st = st < 0 ? st : mbs_hyena_filter_room(c, index, ctx, &m->f, err);
    st = st < 0 ? st : mbs_hyena_filter_train_room(ctx, params[0].g.buf != NULL, &m->f, err);
    if (st < 0) {
        unload(ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    hyena *m = layer;
    mbk_status st = mbs_held_refresh(ctx, &m->t);
    return st < 0 ? st : mbs_hyena_filter_make(ctx, &m->f, m->t.item);
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t o = order_of(c, index);
    const int64_t d = c->d_model;
    return 2 * mbs_kit_apart(rows, (o + 1) * d) + 2 * (o - 1) * mbs_kit_apart(rows, d) +
           mbs_kit_lines(SHORT * (o + 1) * d) + (o - 1) * mbs_kit_lines(mbs_config_sizes(c, index)->l_max * d);
}

static int64_t back_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t wide = (z->hyena_order + 1) * c->d_model;
    const int64_t rest = mbs_hyena_filter_back_floats(z);
    const int64_t all = 3 * mbs_kit_apart(rows, c->d_model) + 2 * mbs_kit_apart(rows, wide) +
                        mbs_kit_lines(mbk_fir_grad_floats(z->l_max, z->l_max, c->d_model));
    return all > rest ? all : rest;
}

/* Through long filter j, from dy to dv, and to the gradient of its taps: of as many as there are rows. */
static mbk_status back_far(hyena *m, const mbs_mixer_back *back, const hyena_rows *r, int64_t j, mbk_mat dy, mbk_mat dv,
                           int64_t at) {
    mbk_ctx *ctx = back->call.ctx;
    const int64_t met = back->call.position + back->call.in.rows;
    const int64_t room = mbk_fir_grad_floats(m->taps, m->taps, m->d);
    const mbk_fir_grad_args far = {
        .work = room > 0 ? mbs_held_carve(back->call.scratch, &at, 1, room) : (mbk_mat){0},
        .dx = dv,
        .dw = m->f.dw[j],
        .dring = ring_of(m, back->dstate, back->dstate_at, j),
        .dy = dy,
        .x = r->v[j],
        .w = m->f.w[j],
        .ring = r->long_ring[j],
        .position = back->call.position,
        .starts = back->call.starts,
    };
    m->f.met[j] = met > m->f.met[j] ? met : m->f.met[j];
    m->f.met[j] = m->f.met[j] < m->taps ? m->f.met[j] : m->taps;
    return ctx->ops->fir_grad(ctx, &far);
}

/* Through all long filters and gates: from dz, of what out_proj takes, to dx of what the short filter gives. `dy` and
 * `dv` are room. */
static mbk_status back_gates(hyena *m, const mbs_mixer_back *back, const hyena_rows *r, mbk_mat dz, mbk_mat *dx,
                             mbk_mat dy, mbk_mat dv, int64_t at) {
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t filters = m->order - 1;
    mbk_status st = ops->mul(ctx, dx[0], dz, r->y[filters - 1]);
    st = st < 0 ? st : ops->mul(ctx, dy, dz, r->x[0]);
    for (int64_t j = filters - 1; j >= 0 && st >= 0; j--) {
        st = back_far(m, back, r, j, dy, dv, at);
        st = st < 0 ? st : ops->mul(ctx, dx[filters - j], dv, before(m, r, j));
        st = st < 0 ? st : ops->mul(ctx, j > 0 ? dy : dx[m->order], dv, r->x[filters - j]);
    }
    return st;
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    hyena *m = layer;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const hyena_rows r = rows_of(m, &back->call);
    const int64_t wide = (m->order + 1) * m->d;
    int64_t at = 0;
    mbk_mat z = mbs_kit_carve_apart(&back->call, &at, m->d); /* and then dy */
    mbk_mat dz = mbs_kit_carve_apart(&back->call, &at, m->d);
    mbk_mat dv = mbs_kit_carve_apart(&back->call, &at, m->d);
    mbk_mat dc = mbs_kit_carve_apart(&back->call, &at, wide);
    mbk_mat dp = mbs_kit_carve_apart(&back->call, &at, wide);
    mbk_mat dx[HYENA_ORDER_MAX + 1];
    for (int64_t i = 0; i <= m->order; i++) {
        dx[i] = mbs_kit_columns(dc, i * m->d, m->d);
    }
    const mbk_fir_grad_args near = {
        .dx = dp,
        .dw = m->t.item[SHORT_W].p.g,
        .dbias = m->t.item[SHORT_B].p.g,
        .dring = ring_of(m, back->dstate, back->dstate_at, -1),
        .dy = dc,
        .x = r.p,
        .w = m->t.item[SHORT_W].p.w,
        .ring = r.short_ring,
        .position = back->call.position,
        .newest_last = 1,
        .starts = back->call.starts,
    };
    mbk_status st = ops->mul(ctx, z, r.y[m->order - 2], r.x[0]);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, OUT_W, OUT_B, back->dout, z, &dz, 0);
    st = st < 0 ? st : back_gates(m, back, &r, dz, dx, z, dv, at);
    st = st < 0 ? st : ops->fir_grad(ctx, &near);
    return st < 0 ? st : mbs_held_linear_back(ctx, &m->t, IN_W, IN_B, dp, back->call.in, &back->din, 0);
}

static mbk_status gather(mbk_ctx *ctx, void *layer, mbk_buf *scratch, int add) {
    hyena *m = layer;
    return mbs_hyena_filter_back(ctx, &m->f, m->t.item, scratch, add);
}

static const mbs_mixer_train train = {
    .make = make,
    .unmake = unload,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = back_floats,
    .backward = backward,
    .gather = gather,
};

static const mbs_mixer_key keys[] = {
    {"l_max", MBS_KEY_INTEGER, MBS_SIZE_AT(l_max), 2, 1 << 24, 1024, NULL, "hyena: most positions of a sequence"},
    {"filter_order", MBS_KEY_INTEGER, MBS_SIZE_AT(filter_order), 1, 4096, 64, NULL,
     "hyena: width of the network that makes the filter"},
    {"emb_dim", MBS_KEY_INTEGER, MBS_SIZE_AT(emb_dim), 3, 1025, 5, NULL,
     "hyena: features of a position, an odd number"},
    {"filter_w", MBS_KEY_NUMBER, MBS_SIZE_AT(filter_w), 1e-3, 1000, 10, NULL,
     "hyena: the frequency that the filter's sines begin with"},
    {"filter_shift", MBS_KEY_NUMBER, MBS_SIZE_AT(filter_shift), 0, 10, 0, NULL,
     "hyena: what is added to the window of the filter; HyenaDNA 0.05"},
    {"hyena_order", MBS_KEY_INTEGER, MBS_SIZE_AT(hyena_order), 2, HYENA_ORDER_MAX, 2, NULL,
     "hyena: how many projections gate; one filter less"},
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

const mbs_mixer mbs_mixer_hyena = {
    .name = "hyena",
    .fits = mbs_held_fits,
    .longest = longest,
    .room = room,
    .many = 1,
    .keys = keys,
    .settle = settle,
    .detect = detect,
    .declare = declare,
    .state_floats = state_floats,
    .scratch_floats = scratch_floats,
    .widest = widest,
    .load = load,
    .unload = unload,
    .forward = forward,
    .work = work,
    .save = same_state,
    .restore = same_state,
    .used = used,
    .outer = 1,
    .train = &train,
};
