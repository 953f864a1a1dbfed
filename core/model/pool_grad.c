/* pool_grad.c - layers at a lower rate: training. */
#include <string.h>

#include "base/mem.h"
#include "model/pool.h"

enum { DOWN_W, DOWN_B, UP_W, UP_B, TENSORS };

typedef struct pool_train {
    mbs_pooled m; /* first: forward takes it */
    mbs_mixer_param down, up;
    mbk_weight *down_t, *up_t;
    mbk_math math;
} pool_train;

static void unmake(mbk_ctx *ctx, void *layer) {
    pool_train *t = layer;
    if (!t) {
        return;
    }
    mbk_weight *weights[] = {t->m.down, t->m.up, t->down_t, t->up_t};
    for (int64_t b = 0; b < t->m.n; b++) {
        mbs_pooled_block *k = &t->m.block[b];
        if (k->layer) {
            k->mixer->train->unmake(ctx, k->layer);
        }
    }
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        ctx->ops->weight_free(ctx, weights[i]);
    }
    mbs_pooled_end(&t->m);
    mbs_free(t);
}

/* Layer by layer in the order of declare; how many tensors a mixer has, that says. */
static mbs_status make_blocks(mbs_pooled *m, mbk_ctx *ctx, mbk_format format, const mbs_mixer_param *params,
                              mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t b = 0; b < m->n && st >= 0; b++) {
        mbs_pooled_block *k = &m->block[b];
        mbs_specs own = {0};
        if (!k->mixer->train) {
            mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL, "layers of kind '%s' run but cannot be trained", k->mixer->name);
            mbs_err_fix(err, "train a model of another kind");
            return MBS_ERR_UNAVAILABLE;
        }
        for (int i = 0; i < mbs_kit_norms(m->cfg, k->mixer); i++) {
            k->norm[i] = *params++;
        }
        k->mixer->declare(m->cfg, k->index, &own);
        st = own.failed ? mbs_fail_memory(err, NULL, sizeof(mbs_spec))
                        : k->mixer->train->make(m->cfg, k->index, ctx, format, params, &k->layer, err);
        params += own.n;
        mbs_specs_free(&own);
    }
    return st;
}

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    pool_train *t = mbs_calloc(1, sizeof *t);
    if (!t) {
        return mbs_fail_memory(err, NULL, sizeof *t);
    }
    t->math = format.math;
    t->down = params[DOWN_W];
    t->up = params[UP_W];
    t->m.bias[0] = params[DOWN_B];
    t->m.bias[1] = params[UP_B];
    mbs_status st = mbs_pooled_start(c, index, &t->m, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->down, &t->m.down, &t->down_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->up, &t->m.up, &t->up_t, err);
    st = st < 0 ? st : make_blocks(&t->m, ctx, format, params + TENSORS, err);
    if (st < 0) {
        unmake(ctx, t);
        return st;
    }
    *layer = t;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    pool_train *t = layer;
    mbk_status st = mbs_kit_pack(ctx, &t->down, t->m.down, t->down_t);
    st = st < 0 ? st : mbs_kit_pack(ctx, &t->up, t->m.up, t->up_t);
    for (int64_t b = 0; b < t->m.n && st >= 0; b++) {
        st = t->m.block[b].mixer->train->refresh(ctx, t->m.block[b].layer);
    }
    return st;
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t groups = mbs_pooled_groups(z, rows);
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    const int64_t each = mbs_config_blocks(&inner);
    const int64_t n = inner.n_layer * each;
    int64_t floats = mbs_kit_lines((rows + z->factor - 1) * c->d_model) + (n + 1) * mbs_kit_lines(groups * z->d_inner);
    for (int64_t b = 0; b < n; b++) {
        floats += mbs_mixer_of_block(&inner, b)->train->keep_floats(&inner, b / each, groups);
    }
    return floats;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t groups = mbs_pooled_groups(z, rows);
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    return mbs_pooled_within(&inner, groups, 1) + 3 * mbs_kit_lines(groups * z->d_inner) +
           mbs_kit_lines((groups + 1) * z->factor * c->d_model) + mbs_kit_lines((rows + z->factor - 1) * c->d_model);
}

/* Gradients of rows; scratch. */
typedef struct back_rows {
    mbk_mat normed, dx, dn; /* (groups, width) */
    mbk_mat lift;           /* (factor (groups + 1), d) */
    mbk_mat fed;            /* (begun + L, d) */
} back_rows;

static back_rows room(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_at *at) {
    int64_t free_at = mbs_pooled_within(m->cfg, at->groups, 1);
    back_rows b;
    b.normed = mbs_held_carve(call->scratch, &free_at, at->groups, m->width);
    b.dx = mbs_held_carve(call->scratch, &free_at, at->groups, m->width);
    b.dn = mbs_held_carve(call->scratch, &free_at, at->groups, m->width);
    b.lift = mbs_held_carve(call->scratch, &free_at, (at->groups + 1) * m->factor, m->d);
    b.fed = mbs_held_carve(call->scratch, &free_at, at->begun + call->in.rows, m->d);
    return b;
}

/* Layers within, the last first: dx goes from behind them to before them. */
static mbk_status descend(const mbs_pooled *m, const mbs_mixer_back *back, const mbs_pooled_rows *r,
                          const back_rows *b) {
    mbk_ctx *ctx = back->call.ctx;
    int64_t keeps = 0;
    mbk_status st = MBS_OK;
    for (int64_t i = 0; i < m->n; i++) {
        keeps += m->block[i].mixer->train->keep_floats(m->cfg, m->block[i].index, r->x.rows);
    }
    for (int64_t i = m->n - 1; i >= 0 && st >= 0; i--) {
        const mbs_pooled_block *k = &m->block[i];
        keeps -= k->mixer->train->keep_floats(m->cfg, k->index, r->x.rows);
        mbs_mixer_back own = {
            .call = mbs_pooled_call(m, &back->call, r, i, keeps),
            .dout = b->dx,
            .din = b->dn,
            .dstate = back->dstate,
            .dstate_at = back->dstate_at + k->state_at,
        };
        mbk_mat x = r->x;
        x.off += i * r->slot;
        if (k->mixer->bare) {
            st = k->mixer->train->backward(k->layer, &own);
            st = st < 0 ? st : ctx->ops->add(ctx, b->dx, b->dx, b->dn);
            continue;
        }
        own.call.in = b->normed;
        st = mbs_kit_norm(ctx, m->cfg, b->normed, x, k->norm[0].w, k->norm[1].w);
        st = st < 0 ? st : k->mixer->train->backward(k->layer, &own);
        st = st < 0 ? st : mbs_kit_norm_grad(ctx, m->cfg, b->dx, b->dn, x, &k->norm[0], &k->norm[1], 1);
    }
    return st;
}

/* The way back through complete groups: from b->lift to b->fed. */
static mbk_status climb_back(pool_train *t, const mbs_mixer_back *back, const mbs_pooled_at *at, const back_rows *b) {
    const mbs_pooled *m = &t->m;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t full = at->groups * m->factor;
    const mbs_pooled_rows r = mbs_pooled_rows_of(m, &back->call, at);
    const mbk_mat up = mbs_pooled_joined(m, mbs_pooled_some(b->lift, m->factor, full));
    const mbk_mat fed = mbs_pooled_joined(m, mbs_pooled_some(r.fed, 0, full));
    mbk_mat last = r.x;
    last.off += m->n * r.slot;
    mbk_status st = mbs_kit_linear_grad(ctx, t->math, &t->up, &m->bias[1], up, last);
    st = st < 0 ? st : ops->gemm(ctx, b->dx, up, t->up_t, (mbk_mat){0}, 0);
    st = st < 0 ? st : descend(m, back, &r, b);
    st = st < 0 ? st : mbs_kit_linear_grad(ctx, t->math, &t->down, &m->bias[0], b->dx, fed);
    if (st >= 0) {
        st = ops->gemm(ctx, mbs_pooled_joined(m, mbs_pooled_some(b->fed, 0, full)), b->dx, t->down_t, (mbk_mat){0}, 0);
    }
    return st;
}

/* No group is complete: rows went to the open one, and what had come up was added. */
static mbk_status stay(const mbs_pooled *m, const mbs_mixer_back *back, int64_t begun) {
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t n = back->din.rows;
    const mbk_mat open = mbs_pooled_some(mbs_pooled_part(m, back->dstate, back->dstate_at, 0), begun, n);
    const mbk_mat last = mbs_pooled_some(mbs_pooled_part(m, back->dstate, back->dstate_at, 1), begun, n);
    mbk_status st = ops->copy(ctx, back->din, open);
    st = st < 0 ? st : ops->zero(ctx, open);
    return st < 0 ? st : ops->add(ctx, last, last, back->dout);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    pool_train *t = layer;
    const mbs_pooled *m = &t->m;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const mbs_pooled_at at = mbs_pooled_where(m, &back->call);
    const int64_t n = back->din.rows;
    const int64_t full = at.groups * m->factor;
    const mbk_mat open = mbs_pooled_part(m, back->dstate, back->dstate_at, 0);
    const mbk_mat last = mbs_pooled_part(m, back->dstate, back->dstate_at, 1);
    if (at.groups == 0) {
        return stay(m, back, at.begun);
    }
    const back_rows b = room(m, &back->call, &at);
    const mbk_mat newest = mbs_pooled_some(b.lift, full, m->factor);
    mbk_status st = ops->zero(ctx, b.lift);
    st = st < 0 ? st : ops->copy(ctx, mbs_pooled_some(b.lift, at.begun, n), back->dout);
    st = st < 0 ? st : ops->add(ctx, newest, newest, last);
    st = st < 0 ? st : climb_back(t, back, &at, &b);
    if (st >= 0 && at.rest > 0) {
        st = ops->copy(ctx, mbs_pooled_some(b.fed, full, at.rest), mbs_pooled_some(open, 0, at.rest));
    }
    st = st < 0 ? st : ops->copy(ctx, back->din, mbs_pooled_some(b.fed, at.begun, n));
    st = st < 0 ? st : ops->copy(ctx, last, mbs_pooled_some(b.lift, 0, m->factor));
    st = st < 0 ? st : ops->zero(ctx, open);
    if (st >= 0 && at.begun > 0) {
        st = ops->copy(ctx, mbs_pooled_some(open, 0, at.begun), mbs_pooled_some(b.fed, 0, at.begun));
    }
    return st;
}

const mbs_mixer_train mbs_pooled_train = {
    .make = make,
    .unmake = unmake,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = scratch_floats,
    .backward = backward,
};
