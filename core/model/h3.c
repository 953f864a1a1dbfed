/*
 * h3.c - H3 (Fu et al. 2023): two state spaces between gates.
 *
 *   q, k, v = Linear(x);  k' = shift(k) + D_k k;  y = SSM(k' v) + D k' v;  out = Linear(q y)
 *
 * Heads of p = head_dim channels: k' v are the p x p products of a head, all of which go through the head's space, and
 * q y sums over the channel of k'. Channel i of head h is h p + i of q, k and v, and i d / p + h of q y. Here the
 * products stand in blocks of d / p heads, (i, j) at i p + j, and q, k' and v are split into their channels i; with p =
 * 1 all of this is the rows as they are.
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
    int64_t d, p, heads, taps;
    mbs_held t;
    mbs_s4_kernel k;
    mbk_buf *made;
    mbk_mat filter; /* (taps, d): shift, with D_k in its first tap */
} h3;

/* What the rows of a call go through; all but z is kept. */
typedef struct h3_rows {
    mbk_mat z;                /* (L, d): q y; scratch */
    mbk_mat split[3], room;   /* (p L, d / p): q, shifted, v; (L, d / p); scratch, p > 1 alone */
    mbk_mat q, k, v, shifted; /* (L, d) */
    mbk_mat kv, y;            /* (L, p d) */
    mbk_mat saved, ring;      /* kept only; saved: (p p states, d / p) */
} h3_rows;

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    if (c->d_model % z->head_dim != 0) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'head_dim' %lld does not divide 'd_model' %lld", (long long)z->head_dim,
                 (long long)c->d_model);
        mbs_err_fix(err, "take a divisor of d_model");
        return MBS_ERR_CONFIG;
    }
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
    const int64_t heads = d / mbs_config_sizes(c, index)->head_dim;
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
    mbs_specs_add(s, "D", mbs_draw_normal, 1, heads, 0, 0);
    mbs_s4_declare_kernel("kernel.kernel.", "inv_A_real", MBS_HIPPO_LIN, 0, heads, n / 2, s);
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
    m->p = mbs_config_sizes(c, index)->head_dim;
    m->heads = m->d / m->p;
    m->taps = mbs_config_sizes(c, index)->d_state;
    m->k.rule = MBK_BILINEAR;
    mbs_status st = mbs_s4_kernel_room(ctx, m->heads, m->taps / 2, 0, &m->k, err);
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

static int64_t head_dim(const mbs_model_config *c, int64_t index) {
    return mbs_config_sizes(c, index)->head_dim;
}

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    return (1 + head_dim(c, index)) * mbs_config_sizes(c, index)->d_state * c->d_model;
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    return head_dim(c, index) * c->d_model;
}

static int64_t split_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t p = head_dim(c, index);
    return p > 1 ? 3 * mbs_kit_lines(rows * c->d_model) + mbs_kit_lines(rows * (c->d_model / p)) : 0;
}

static int64_t rows_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    return 4 * mbs_kit_apart(rows, c->d_model) + 2 * mbs_kit_apart(rows, head_dim(c, index) * c->d_model);
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    return mbs_kit_apart(rows, c->d_model) + split_floats(c, index, rows) + rows_floats(c, index, rows);
}

/* Rows that can be split into channels: with more than one of a head, nothing lies between two rows. */
static mbk_mat carve(const h3 *m, const mbs_mixer_call *call, int64_t *at) {
    mbk_mat x = mbs_kit_carve_apart(call, at, m->d);
    x.ld = m->p > 1 ? m->d : x.ld;
    return x;
}

static void carve_split(const h3 *m, const mbs_mixer_call *call, int64_t *at, mbk_mat split[3], mbk_mat *room) {
    for (int i = 0; i < 3 && m->p > 1; i++) {
        split[i] = mbs_held_carve(call->scratch, at, call->in.rows * m->p, m->heads);
    }
    *room = m->p > 1 ? mbs_held_carve(call->scratch, at, call->in.rows, m->heads) : (mbk_mat){0};
}

static h3_rows rows_of(const h3 *m, const mbs_mixer_call *call) {
    int64_t at = 0;
    h3_rows r = {.z = mbs_kit_carve_apart(call, &at, m->d)};
    mbk_mat *part[] = {&r.q, &r.k, &r.v, &r.shifted};
    carve_split(m, call, &at, r.split, &r.room);
    mbs_mixer_call place = *call;
    if (call->keep) {
        place = mbs_held_place(call, &at);
    }
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        *part[i] = carve(m, &place, &at);
    }
    r.kv = mbs_kit_carve_apart(&place, &at, m->p * m->d);
    r.y = mbs_kit_carve_apart(&place, &at, m->p * m->d);
    if (call->keep) {
        r.ring = mbs_held_carve(call->keep, &at, m->taps, m->d);
        r.saved = mbs_held_carve(call->keep, &at, m->p * m->p * mbs_s4_saved_rows(call->in.rows, m->k.modes), m->heads);
        r.saved.rows /= m->p * m->p;
    }
    return r;
}

/* Channel i of all heads: of rows as they are, or as they were split. */
static mbk_mat channel(const h3 *m, mbk_mat x, mbk_mat split, int64_t i) {
    return m->p == 1 ? x : (mbk_mat){split.buf, split.off + i * x.rows * m->heads, x.rows, m->heads, m->heads};
}

/* Block (i, j) of the products. */
static mbk_mat block(const h3 *m, mbk_mat x, int64_t i, int64_t j) {
    return mbs_kit_columns(x, (i * m->p + j) * m->heads, m->heads);
}

/* Channels of heads apart, or with `back` together again. */
static mbk_status take_apart(mbk_ctx *ctx, const h3 *m, mbk_mat x, mbk_mat split, int back) {
    mbk_status st = MBS_OK;
    for (int64_t i = 0; i < m->p && m->p > 1 && st >= 0; i++) {
        const mbk_mat of = {x.buf, x.off + i, x.rows * m->heads, 1, m->p};
        const mbk_mat part = {split.buf, split.off + i * x.rows * m->heads, x.rows * m->heads, 1, 1};
        st = back ? ctx->ops->copy(ctx, of, part) : ctx->ops->copy(ctx, part, of);
    }
    return st;
}

/* out = a b, or with `more` out += a b. */
static mbk_status multiply(mbk_ctx *ctx, mbk_mat out, mbk_mat a, mbk_mat b, mbk_mat room, int more) {
    mbk_status st = ctx->ops->mul(ctx, more ? room : out, a, b);
    return st < 0 || !more ? st : ctx->ops->add(ctx, out, out, room);
}

/* z = q y, of each head the sum over the channel of k'. */
static mbk_status gather(mbk_ctx *ctx, const h3 *m, const h3_rows *r, mbk_mat z) {
    mbk_status st = MBS_OK;
    for (int64_t n = 0; n < m->p * m->p && st >= 0; n++) {
        const int64_t i = n / m->p;
        const int64_t j = n % m->p;
        st = multiply(ctx, mbs_kit_columns(z, j * m->heads, m->heads), channel(m, r->q, r->split[0], i),
                      block(m, r->y, i, j), r->room, i > 0);
    }
    return st;
}

static mbk_status spaces(const h3 *m, const mbs_mixer_call *call, const h3_rows *r) {
    mbk_ctx *ctx = call->ctx;
    mbk_lti_args space = {
        .a = m->k.a,
        .b = m->k.b,
        .w = m->k.w,
        .d = m->t.item[SKIP].p.w,
        .state = {call->state, call->state_at + m->taps * m->d, 2 * m->k.modes, m->heads, m->heads},
        .starts = call->starts,
        .saved = r->saved,
    };
    mbk_status st = MBS_OK;
    for (int64_t n = 0; n < m->p * m->p && st >= 0; n++) {
        const int64_t i = n / m->p;
        const int64_t j = n % m->p;
        space.y = block(m, r->y, i, j);
        space.u = block(m, r->kv, i, j);
        st = ctx->ops->mul(ctx, space.u, channel(m, r->shifted, r->split[1], i), channel(m, r->v, r->split[2], j));
        st = st < 0 ? st : ctx->ops->lti(ctx, &space);
        space.state.off += 2 * m->k.modes * m->heads;
        space.saved.off += r->saved.rows * m->heads;
    }
    return st;
}

static mbk_status split_rows(mbk_ctx *ctx, const h3 *m, const h3_rows *r) {
    mbk_status st = take_apart(ctx, m, r->q, r->split[0], 0);
    st = st < 0 ? st : take_apart(ctx, m, r->shifted, r->split[1], 0);
    return st < 0 ? st : take_apart(ctx, m, r->v, r->split[2], 0);
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
    mbk_status st = ops->gemm(ctx, r.q, call->in, t[Q_W].w, t[Q_B].p.w, 0);
    st = st < 0 ? st : ops->gemm(ctx, r.k, call->in, t[K_W].w, t[K_B].p.w, 0);
    st = st < 0 ? st : ops->gemm(ctx, r.v, call->in, t[V_W].w, t[V_B].p.w, 0);
    st = st < 0 || !call->keep ? st : ops->copy(ctx, r.ring, ring);
    st = st < 0 ? st : ops->fir(ctx, &shift);
    st = st < 0 ? st : split_rows(ctx, m, &r);
    st = st < 0 ? st : spaces(m, call, &r);
    st = st < 0 ? st : gather(ctx, m, &r, r.z);
    return st < 0 ? st : ops->gemm(ctx, call->out, r.z, t[OUT_W].w, t[OUT_B].p.w, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    const int64_t d = c->d_model;
    *w = (mbs_mixer_work){
        .matrix = {{"q_proj", d, d}, {"k_proj", d, d}, {"v_proj", d, d}, {"output_linear", d, d}},
        .matrices = 4,
        .conv = d,
        .scan = (double)d * (double)(2 * n + head_dim(c, index) * (6 * n + 4)),
        .small = d * (n + 8) + 2 * n * (d / head_dim(c, index)),
        .state = 2 * (double)state_floats(c, index),
    };
}

/* The ring as it is, its place a matter of the position alone; the modes of each block as S4D has them. */
static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    const int64_t heads = c->d_model / head_dim(c, index);
    memcpy(canonical, device, (size_t)(n * c->d_model) * sizeof *device);
    for (int64_t at = n * c->d_model; at < state_floats(c, index); at += n * heads) {
        mbs_kit_transpose(device + at, canonical + at, n, heads);
    }
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    const int64_t heads = c->d_model / head_dim(c, index);
    memcpy(device, canonical, (size_t)(n * c->d_model) * sizeof *device);
    for (int64_t at = n * c->d_model; at < state_floats(c, index); at += n * heads) {
        mbs_kit_transpose(canonical + at, device + at, heads, n);
    }
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
    return rows_floats(c, index, rows) + mbs_kit_lines(n * c->d_model) +
           mbs_kit_lines(mbs_s4_saved_rows(rows, n / 2) * head_dim(c, index) * c->d_model);
}

static int64_t back_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t n = mbs_config_sizes(c, index)->d_state;
    const int64_t p = head_dim(c, index);
    return 5 * mbs_kit_apart(rows, c->d_model) + 2 * mbs_kit_apart(rows, p * c->d_model) +
           split_floats(c, index, rows) + (p > 1 ? 2 * mbs_kit_lines(rows * c->d_model) : 0) +
           mbs_kit_lines(n * c->d_model) + mbs_s4_back_floats(c->d_model / p, n / 2);
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

/* Gradients on the way back; those of q, v and k' behind the shift are split as the rows are. */
typedef struct h3_grads {
    mbk_mat z, dz, dq, dv, dshifted; /* (L, d) */
    mbk_mat dy, dkv;                 /* (L, p d) */
    mbk_mat one, two;                /* (p L, d / p), p > 1 alone */
} h3_grads;

/* From dz to dq and to dy. */
static mbk_status back_gate(mbk_ctx *ctx, const h3 *m, const h3_rows *r, const h3_grads *g) {
    mbk_status st = MBS_OK;
    for (int64_t n = 0; n < m->p * m->p && st >= 0; n++) {
        const int64_t i = n / m->p;
        const int64_t j = n % m->p;
        const mbk_mat dz = mbs_kit_columns(g->dz, j * m->heads, m->heads);
        st = multiply(ctx, channel(m, g->dq, g->one, i), dz, block(m, r->y, i, j), r->room, j > 0);
        st = st < 0 ? st : ctx->ops->mul(ctx, block(m, g->dy, i, j), dz, channel(m, r->q, r->split[0], i));
    }
    return st < 0 ? st : take_apart(ctx, m, g->dq, g->one, 1);
}

/* From dkv to dv and to dshifted. */
static mbk_status back_products(mbk_ctx *ctx, const h3 *m, const h3_rows *r, const h3_grads *g) {
    mbk_status st = MBS_OK;
    for (int64_t n = 0; n < m->p * m->p && st >= 0; n++) {
        const int64_t i = n / m->p;
        const int64_t j = n % m->p;
        const mbk_mat dkv = block(m, g->dkv, i, j);
        st = multiply(ctx, channel(m, g->dv, g->one, j), dkv, channel(m, r->shifted, r->split[1], i), r->room, i > 0);
        st = st < 0 ? st
                    : multiply(ctx, channel(m, g->dshifted, g->two, i), dkv, channel(m, r->v, r->split[2], j), r->room,
                               j > 0);
    }
    st = st < 0 ? st : take_apart(ctx, m, g->dv, g->one, 1);
    return st < 0 ? st : take_apart(ctx, m, g->dshifted, g->two, 1);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    h3 *m = layer;
    mbk_ctx *ctx = back->call.ctx;
    h3_rows r = rows_of(m, &back->call);
    const mbk_mat x = back->call.in;
    int64_t at = 0;
    h3_grads g = {0};
    mbk_mat *part[] = {&g.z, &g.dz, &g.dq, &g.dv, &g.dshifted};
    for (int i = 0; i < 5; i++) {
        *part[i] = carve(m, &back->call, &at);
    }
    g.dy = mbs_kit_carve_apart(&back->call, &at, m->p * m->d);
    g.dkv = mbs_kit_carve_apart(&back->call, &at, m->p * m->d);
    carve_split(m, &back->call, &at, r.split, &r.room);
    if (m->p > 1) {
        g.one = mbs_held_carve(back->call.scratch, &at, x.rows * m->p, m->heads);
        g.two = mbs_held_carve(back->call.scratch, &at, x.rows * m->p, m->heads);
    }
    mbk_mat taps = mbs_held_carve(back->call.scratch, &at, m->taps, m->d);
    const mbs_s4_back space = {
        .dy = g.dy,
        .du = g.dkv,
        .u = r.kv,
        .d = m->t.item[SKIP].p.w,
        .dd = m->t.item[SKIP].p.g,
        .saved = r.saved,
        .dstate = {back->dstate, back->dstate_at + m->taps * m->d, 2 * m->k.modes, m->heads, m->heads},
        .blocks = m->p * m->p,
        .starts = back->call.starts,
        .scratch = back->call.scratch,
        .at = at,
    };
    mbk_mat dk = g.z;
    mbk_status st = split_rows(ctx, m, &r);
    st = st < 0 ? st : gather(ctx, m, &r, g.z);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, OUT_W, OUT_B, back->dout, g.z, &g.dz, 0);
    st = st < 0 ? st : back_gate(ctx, m, &r, &g);
    st = st < 0 ? st : mbs_s4_kernel_back(ctx, &m->k, m->t.item + KERNEL, &space);
    st = st < 0 ? st : back_products(ctx, m, &r, &g);
    st = st < 0 ? st : back_shift(m, back, &r, g.dshifted, dk, taps);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, Q_W, Q_B, g.dq, x, &back->din, 0);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, K_W, K_B, dk, x, &back->din, 1);
    return st < 0 ? st : mbs_held_linear_back(ctx, &m->t, V_W, V_B, g.dv, x, &back->din, 1);
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
    {"head_dim", MBS_KEY_INTEGER, MBS_SIZE_AT(head_dim), 1, 64, 1, NULL,
     "h3: channels of a head, a divisor of d_model; each meets each other"},
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
