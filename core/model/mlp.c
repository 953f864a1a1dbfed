/* mlp.c - the MLPs behind a mixer: forward and back. */
#include "model/mlp.h"

#include <math.h>

#include "base/mem.h"
#include "model/config_impl.h"
#include "model/mixer_kit.h"
#include "model/place.h"

enum { FC1, FC1_B, FC2, FC2_B, TENSORS };

typedef struct mlp {
    mbs_mlp_kind kind;
    int64_t width;
    mbk_weight *fc1; /* (up_cols, d) */
    mbk_weight *fc2; /* (d, width) */
    mbk_mat fc1_b;   /* buf NULL: none */
    mbk_mat fc2_b;
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
    mbk_mat up;  /* (L, up_cols): y, gate */
    mbk_mat mid; /* (L, width): what fc2 takes */
} mlp_rows;

static int64_t up_cols(mbs_mlp_kind kind, int64_t width) {
    return kind == MBS_MLP_GATED ? 2 * width : width;
}

static mbk_function function_of(mbs_mlp_kind kind) {
    return kind == MBS_MLP_GELU ? MBK_GELU : MBK_GELU_TANH;
}

/* Of the blocks with gelu, what not every backend has. */
static mbs_status fits(const mbs_model_config *c, int64_t index, const mbk_ctx *ctx, mbs_err *err) {
    (void)index;
    return c->mlp == MBS_MLP_GATED || ctx->ops->unary
               ? MBS_OK
               : mbs_backend_cannot(ctx, err, "compute an MLP with %s", mbs_config_mlp_name(c->mlp));
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    (void)index;
    double in = 1 / sqrt((double)c->d_model);
    double out = 1 / sqrt((double)c->d_mlp * (double)c->n_layer);
    mbs_specs_add_matrix(s, "fc1.weight", mbs_draw_uniform, in, up_cols(c->mlp, c->d_mlp), c->d_model);
    if (c->mlp != MBS_MLP_GATED) {
        mbs_specs_add(s, "fc1.bias", mbs_draw_constant, 0, c->d_mlp, 0, 0);
    }
    mbs_specs_add_matrix(s, "fc2.weight", mbs_draw_uniform, out, c->d_model, c->d_mlp);
    if (c->mlp != MBS_MLP_GATED) {
        mbs_specs_add(s, "fc2.bias", mbs_draw_constant, 0, c->d_model, 0, 0);
    }
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
    return mbs_kit_apart(rows, up_cols(c->mlp, c->d_mlp)) + mbs_kit_apart(rows, c->d_mlp);
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    (void)index;
    return up_cols(c->mlp, c->d_mlp);
}

static void unload(mbk_ctx *ctx, void *layer) {
    mlp *m = layer;
    if (m) {
        ctx->ops->weight_free(ctx, m->fc1);
        ctx->ops->weight_free(ctx, m->fc2);
        ctx->ops->buf_free(ctx, m->fc1_b.buf);
        ctx->ops->buf_free(ctx, m->fc2_b.buf);
        mbs_free(m);
    }
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    (void)index;
    mlp *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    m->kind = c->mlp;
    m->width = c->d_mlp;
    mbs_status st = mbs_loader_weight(ld, "fc1.weight", up_cols(c->mlp, c->d_mlp), c->d_model, &m->fc1);
    st = st < 0 ? st : mbs_loader_weight(ld, "fc2.weight", c->d_model, c->d_mlp, &m->fc2);
    if (st >= 0 && c->mlp != MBS_MLP_GATED) {
        st = mbs_kit_load_row(ld, "fc1.bias", 0, c->d_mlp, &m->fc1_b);
        st = st < 0 ? st : mbs_kit_load_row(ld, "fc2.bias", 0, c->d_model, &m->fc2_b);
    }
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
    mlp_rows r = {.up = mbs_kit_carve_apart(&place, &at, up_cols(m->kind, m->width))};
    r.mid = mbs_kit_carve_apart(&place, &at, m->width);
    return r;
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const mlp *m = layer;
    const mbk_ops *ops = call->ctx->ops;
    const mbk_mat none = {0};
    mlp_rows r = rows_of(m, call);
    mbk_status st = ops->gemm(call->ctx, r.up, call->in, m->fc1, m->fc1_b, 0);
    if (st >= 0 && m->kind != MBS_MLP_GATED) {
        st = ops->unary(call->ctx, r.mid, r.up, none, function_of(m->kind));
    } else if (st >= 0) {
        st = ops->gate(call->ctx, r.mid, mbs_kit_columns(r.up, 0, m->width), mbs_kit_columns(r.up, m->width, m->width));
    }
    return st < 0 ? st : ops->gemm(call->ctx, call->out, r.mid, m->fc2, m->fc2_b, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    (void)index;
    *w = (mbs_mixer_work){
        .matrix = {{"fc1", up_cols(c->mlp, c->d_mlp), c->d_model}, {"fc2", c->d_model, c->d_mlp}},
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
    t->m.kind = c->mlp;
    t->m.width = c->d_mlp;
    for (int i = 0; i < TENSORS; i++) { /* in the order of declare */
        if (c->mlp != MBS_MLP_GATED || i == FC1 || i == FC2) {
            t->param[i] = *params++;
        }
    }
    t->m.fc1_b = t->param[FC1_B].w;
    t->m.fc2_b = t->param[FC2_B].w;
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
    mbk_mat dup = mbs_kit_carve_apart(&back->call, &at, up_cols(t->m.kind, w));
    mbk_mat dmid = mbs_kit_carve_apart(&back->call, &at, w);
    mbk_status st = mbs_kit_linear_grad(ctx, t->math, &t->param[FC2], &t->param[FC2_B], back->dout, r.mid);
    st = st < 0 ? st : ops->gemm(ctx, dmid, back->dout, t->fc2_t, none, 0);
    if (st >= 0 && t->m.kind != MBS_MLP_GATED) {
        st = ops->unary_grad(ctx, dup, none, dmid, r.up, none, function_of(t->m.kind));
    } else if (st >= 0) {
        st = ops->gate_grad(ctx, mbs_kit_columns(dup, 0, w), mbs_kit_columns(dup, w, w), dmid,
                            mbs_kit_columns(r.up, 0, w), mbs_kit_columns(r.up, w, w));
    }
    st = st < 0 ? st : mbs_kit_linear_grad(ctx, t->math, &t->param[FC1], &t->param[FC1_B], dup, back->call.in);
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
    .lanes = 1, /* it has no state */
    .period = 1,
    .keys = no_keys,
    .settle = settle,
    .fits = fits,
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

/* --- nothing --------------------------------------------------------------------------------------------------------
 */

static void declare_none(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    (void)c;
    (void)index;
    (void)s;
}

static int64_t no_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    (void)c;
    (void)index;
    (void)rows;
    return 0;
}

static mbs_status load_none(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    (void)c;
    (void)index;
    (void)ld;
    *layer = NULL;
    return MBS_OK;
}

static mbs_status make_none(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                            const mbs_mixer_param *params, void **layer, mbs_err *err) {
    (void)c;
    (void)index;
    (void)ctx;
    (void)format;
    (void)params;
    (void)err;
    *layer = NULL;
    return MBS_OK;
}

static void unload_none(mbk_ctx *ctx, void *layer) {
    (void)ctx;
    (void)layer;
}

static mbk_status refresh_none(mbk_ctx *ctx, void *layer) {
    (void)ctx;
    (void)layer;
    return MBS_OK;
}

static mbk_status forward_none(const void *layer, const mbs_mixer_call *call) {
    (void)layer;
    (void)call;
    return MBS_OK;
}

static mbk_status backward_none(void *layer, const mbs_mixer_back *back) {
    (void)layer;
    return back->call.ctx->ops->zero(back->call.ctx, back->din);
}

static void work_none(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    (void)c;
    (void)index;
    *w = (mbs_mixer_work){.matrices = 0};
}

static const mbs_mixer_train train_none = {
    .make = make_none,
    .unmake = unload_none,
    .refresh = refresh_none,
    .keep_floats = no_floats,
    .scratch_floats = no_floats,
    .backward = backward_none,
};

const mbs_mixer mbs_block_none = {
    .name = "none",
    .many = 1,
    .lanes = 1,
    .period = 1,
    .bare = 1,
    .keys = no_keys,
    .settle = settle,
    .declare = declare_none,
    .state_floats = no_state,
    .scratch_floats = no_floats,
    .widest = no_state,
    .load = load_none,
    .unload = unload_none,
    .forward = forward_none,
    .work = work_none,
    .save = nothing,
    .restore = nothing,
    .train = &train_none,
};
