/* mlp.c - the gated MLP: forward and back. */
#include "model/mlp.h"

#include <math.h>

#include "base/mem.h"
#include "model/mixer_kit.h"

enum { FC1, FC2, TENSORS };

typedef struct mlp {
    int64_t width;
    mbk_weight *fc1; /* (2 width, d) */
    mbk_weight *fc2; /* (d, width) */
} mlp;

typedef struct mlp_train {
    mlp m; /* first: forward takes it */
    mbs_mixer_param param[TENSORS];
    mbk_weight *fc1_t;
    mbk_weight *fc2_t;
    mbk_math math;
} mlp_train;

/* What the rows of a call go through. */
typedef struct mlp_rows {
    mbk_mat up;  /* (L, 2 width): y, gate */
    mbk_mat mid; /* (L, width): y silu(gate) */
} mlp_rows;

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    (void)index;
    double in = 1 / sqrt((double)c->d_model);
    double out = 1 / sqrt((double)c->d_mlp * (double)c->n_layer);
    mbs_specs_add_matrix(s, "fc1.weight", mbs_draw_uniform, in, 2 * c->d_mlp, c->d_model);
    mbs_specs_add_matrix(s, "fc2.weight", mbs_draw_uniform, out, c->d_model, c->d_mlp);
}

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    (void)c;
    (void)z;
    (void)err;
    return MBS_OK;
}

static int64_t no_state(const mbs_model_config *c, int64_t index) {
    (void)c;
    (void)index;
    return 0;
}

static int64_t rows_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    (void)index;
    return mbs_kit_apart(rows, 2 * c->d_mlp) + mbs_kit_apart(rows, c->d_mlp);
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    (void)index;
    return 2 * c->d_mlp;
}

static void unload(mbk_ctx *ctx, void *layer) {
    mlp *m = layer;
    if (m) {
        ctx->ops->weight_free(ctx, m->fc1);
        ctx->ops->weight_free(ctx, m->fc2);
        mbs_free(m);
    }
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    (void)index;
    mlp *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    m->width = c->d_mlp;
    mbs_status st = mbs_loader_weight(ld, "fc1.weight", 2 * c->d_mlp, c->d_model, &m->fc1);
    st = st < 0 ? st : mbs_loader_weight(ld, "fc2.weight", c->d_model, c->d_mlp, &m->fc2);
    if (st < 0) {
        unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

/* In the scratch, or where backward finds it. */
static mlp_rows rows_of(const mlp *m, const mbs_mixer_call *call) {
    mbs_mixer_call place = *call;
    int64_t at = call->keep ? call->keep_at : 0;
    place.scratch = call->keep ? call->keep : call->scratch;
    mlp_rows r = {.up = mbs_kit_carve_apart(&place, &at, 2 * m->width)};
    r.mid = mbs_kit_carve_apart(&place, &at, m->width);
    return r;
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const mlp *m = layer;
    const mbk_ops *ops = call->ctx->ops;
    const mbk_mat none = {0};
    mlp_rows r = rows_of(m, call);
    mbk_status st = ops->gemm(call->ctx, r.up, call->in, m->fc1, none, 0);
    if (st >= 0) {
        st = ops->gate(call->ctx, r.mid, mbs_kit_columns(r.up, 0, m->width), mbs_kit_columns(r.up, m->width, m->width));
    }
    return st < 0 ? st : ops->gemm(call->ctx, call->out, r.mid, m->fc2, none, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    (void)index;
    *w = (mbs_mixer_work){
        .matrix = {{"fc1", 2 * c->d_mlp, c->d_model}, {"fc2", c->d_model, c->d_mlp}},
        .matrices = 2,
        .scan = (double)c->d_mlp * (MBS_MIXER_EXP + 4),
    };
}

static void nothing(const mbs_model_config *c, int64_t index, const float *from, float *to) {
    (void)c;
    (void)index;
    (void)from;
    (void)to;
}

/* --- training -------------------------------------------------------------------------------------------------------
 */

static void unmake(mbk_ctx *ctx, void *layer) {
    mlp_train *t = layer;
    if (!t) {
        return;
    }
    mbk_weight *weights[] = {t->m.fc1, t->m.fc2, t->fc1_t, t->fc2_t};
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        ctx->ops->weight_free(ctx, weights[i]);
    }
    mbs_free(t);
}

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    (void)index;
    mlp_train *t = mbs_calloc(1, sizeof *t);
    if (!t) {
        return mbs_fail_memory(err, NULL, sizeof *t);
    }
    t->math = format.math;
    t->m.width = c->d_mlp;
    t->param[FC1] = params[FC1];
    t->param[FC2] = params[FC2];
    mbs_status st = mbs_kit_pair_room(ctx, format, &t->param[FC1], &t->m.fc1, &t->fc1_t, err);
    st = st < 0 ? st : mbs_kit_pair_room(ctx, format, &t->param[FC2], &t->m.fc2, &t->fc2_t, err);
    if (st < 0) {
        unmake(ctx, t);
        return st;
    }
    *layer = t;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    mlp_train *t = layer;
    mbk_status st = mbs_kit_pack(ctx, &t->param[FC1], t->m.fc1, t->fc1_t);
    return st < 0 ? st : mbs_kit_pack(ctx, &t->param[FC2], t->m.fc2, t->fc2_t);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    mlp_train *t = layer;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t w = t->m.width;
    const mbk_mat none = {0};
    int64_t at = 0;
    mlp_rows r = rows_of(&t->m, &back->call);
    mbk_mat dup = mbs_kit_carve_apart(&back->call, &at, 2 * w);
    mbk_mat dmid = mbs_kit_carve_apart(&back->call, &at, w);
    mbk_status st = ops->weight_grad(ctx, t->param[FC2].g, back->dout, r.mid, t->math);
    st = st < 0 ? st : ops->gemm(ctx, dmid, back->dout, t->fc2_t, none, 0);
    if (st >= 0) {
        st = ops->gate_grad(ctx, mbs_kit_columns(dup, 0, w), mbs_kit_columns(dup, w, w), dmid,
                            mbs_kit_columns(r.up, 0, w), mbs_kit_columns(r.up, w, w));
    }
    st = st < 0 ? st : ops->weight_grad(ctx, t->param[FC1].g, dup, back->call.in, t->math);
    return st < 0 ? st : ops->gemm(ctx, back->din, dup, t->fc1_t, none, 0);
}

static const mbs_mixer_train train = {
    .make = make,
    .unmake = unmake,
    .refresh = refresh,
    .keep_floats = rows_floats,
    .scratch_floats = rows_floats,
    .backward = backward,
};

static const mbs_mixer_key no_keys[] = {{NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL}};

const mbs_mixer mbs_block_mlp = {
    .name = "mlp",
    .many = 1,
    .period = 1,
    .keys = no_keys,
    .settle = settle,
    .declare = declare,
    .state_floats = no_state,
    .scratch_floats = rows_floats,
    .widest = widest,
    .load = load,
    .unload = unload,
    .forward = forward,
    .work = work,
    .save = nothing,
    .restore = nothing,
    .train = &train,
};
