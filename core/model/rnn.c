/*
 * rnn.c - recurrent cells as mixers, LSTM and GRU: the cell's own matrices with the names that PyTorch gives them, and
 * out_proj back to the width of the model.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/mixer_held.h"

enum { W_IH, W_HH, B_IH, B_HH, OUT_W, TENSORS };

typedef struct rnn {
    mbk_cell cell;
    int64_t h;
    mbs_held t;
} rnn;

/* What the rows of a call go through. */
typedef struct rnn_rows {
    mbk_mat y;     /* (L, H) */
    mbk_mat saved; /* kept only */
    mbk_mat x;     /* (L, gates H); scratch */
    mbk_mat work;
} rnn_rows;

static mbk_cell cell_of(const mbs_model_config *c, int64_t index) {
    return mbs_mixer_of_layer(c, index) == &mbs_mixer_gru ? MBK_GRU : MBK_LSTM;
}

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    (void)c;
    return z->d_inner > 0 ? MBS_OK : mbs_fail(err, MBS_ERR_CONFIG, NULL, "a cell needs an inner width");
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const int64_t h = mbs_config_sizes(c, index)->d_inner;
    const int64_t gates = MBK_RNN_GATES(cell_of(c, index)) * h;
    const double size = 1 / sqrt((double)h);
    mbs_specs_add_matrix(s, "weight_ih_l0", mbs_draw_uniform, size, gates, c->d_model);
    mbs_specs_add_matrix(s, "weight_hh_l0", mbs_draw_uniform, size, gates, h);
    mbs_specs_add(s, "bias_ih_l0", mbs_draw_uniform, size, gates, 0, 0);
    mbs_specs_add(s, "bias_hh_l0", mbs_draw_uniform, size, gates, 0, 0);
    mbs_specs_add_matrix(s, "out_proj.weight", mbs_draw_uniform, size / sqrt((double)c->n_layer), c->d_model, h);
}

static void unload(mbk_ctx *ctx, void *layer) {
    rnn *m = layer;
    if (m) {
        mbs_held_free(ctx, &m->t);
        mbs_free(m);
    }
}

static rnn *new_layer(const mbs_model_config *c, int64_t index, mbs_err *err) {
    rnn *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        mbs_fail_memory(err, NULL, sizeof *m);
        return NULL;
    }
    m->cell = cell_of(c, index);
    m->h = mbs_config_sizes(c, index)->d_inner;
    return m;
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    rnn *m = new_layer(c, index, ld->err);
    if (!m) {
        return MBS_ERR_MEMORY;
    }
    mbs_status st = mbs_held_load(mbs_mixer_of_layer(c, index), c, index, ld, &m->t);
    if (st < 0) {
        unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    return MBK_RNN_STATES(cell_of(c, index)) * mbs_config_sizes(c, index)->d_inner;
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    const int64_t gates = MBK_RNN_GATES(cell_of(c, index)) * mbs_config_sizes(c, index)->d_inner;
    return gates > c->d_model ? gates : c->d_model;
}

static int64_t work_floats(mbk_cell cell, int64_t h) {
    return mbs_kit_lines(MBK_RNN_LANES * MBK_RNN_WORK(cell) * h);
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbk_cell cell = cell_of(c, index);
    const int64_t h = mbs_config_sizes(c, index)->d_inner;
    return mbs_kit_apart(rows, MBK_RNN_GATES(cell) * h) + mbs_kit_apart(rows, h) + work_floats(cell, h);
}

static rnn_rows rows_of(const rnn *m, const mbs_mixer_call *call) {
    int64_t at = 0;
    rnn_rows r = {.x = mbs_kit_carve_apart(call, &at, MBK_RNN_GATES(m->cell) * m->h)};
    r.work = mbs_held_carve(call->scratch, &at, MBK_RNN_LANES, MBK_RNN_WORK(m->cell) * m->h);
    if (!call->keep) {
        r.y = mbs_kit_carve_apart(call, &at, m->h);
        return r;
    }
    mbs_mixer_call place = mbs_held_place(call, &at);
    r.y = mbs_kit_carve_apart(&place, &at, m->h);
    r.saved = mbs_kit_carve_apart(&place, &at, MBK_RNN_SAVED(m->cell) * m->h);
    return r;
}

static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const rnn *m = layer;
    const mbk_ops *ops = call->ctx->ops;
    const mbs_held_item *t = m->t.item;
    const rnn_rows r = rows_of(m, call);
    const mbk_rnn_args args = {
        .cell = m->cell,
        .y = r.y,
        .x = r.x,
        .w = t[W_HH].w,
        .bias = t[B_HH].p.w,
        .state = {call->state, call->state_at, MBK_RNN_STATES(m->cell), m->h, m->h},
        .work = r.work,
        .starts = call->starts,
        .saved = r.saved,
    };
    mbk_status st = ops->gemm(call->ctx, r.x, call->in, t[W_IH].w, t[B_IH].p.w, 0);
    st = st < 0 ? st : ops->rnn(call->ctx, &args);
    return st < 0 ? st : ops->gemm(call->ctx, call->out, r.y, t[OUT_W].w, (mbk_mat){0}, 1);
}

static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const int64_t h = mbs_config_sizes(c, index)->d_inner;
    const int64_t gates = MBK_RNN_GATES(cell_of(c, index));
    *w = (mbs_mixer_work){
        .matrix = {{"weight_ih", gates * h, c->d_model}, {"weight_hh", gates * h, h}, {"out_proj", c->d_model, h}},
        .matrices = 3,
        .scan = (double)h * ((double)gates + 1) * (MBS_MIXER_EXP + 4),
        .small = 2 * gates * h,
        .state = 2 * (double)state_floats(c, index),
    };
}

static void same_state(const mbs_model_config *c, int64_t index, const float *from, float *to) {
    memcpy(to, from, (size_t)state_floats(c, index) * sizeof *to);
}

/* --- training -------------------------------------------------------------------------------------------------------
 */

static mbs_status make(const mbs_model_config *c, int64_t index, mbk_ctx *ctx, mbk_format format,
                       const mbs_mixer_param *params, void **layer, mbs_err *err) {
    rnn *m = new_layer(c, index, err);
    if (!m) {
        return MBS_ERR_MEMORY;
    }
    mbs_status st = mbs_held_make(mbs_mixer_of_layer(c, index), c, index, ctx, format, params, &m->t, err);
    if (st < 0) {
        unload(ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    return mbs_held_refresh(ctx, &((rnn *)layer)->t);
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const int64_t h = mbs_config_sizes(c, index)->d_inner;
    return mbs_kit_apart(rows, h) + mbs_kit_apart(rows, MBK_RNN_SAVED(cell_of(c, index)) * h);
}

static int64_t back_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbk_cell cell = cell_of(c, index);
    const int64_t h = mbs_config_sizes(c, index)->d_inner;
    return 2 * mbs_kit_apart(rows, MBK_RNN_GATES(cell) * h) + mbs_kit_apart(rows, h) + work_floats(cell, h);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    rnn *m = layer;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const rnn_rows r = rows_of(m, &back->call);
    int64_t at = 0;
    mbk_mat dx = mbs_kit_carve_apart(&back->call, &at, MBK_RNN_GATES(m->cell) * m->h);
    mbk_mat work_room = mbs_held_carve(back->call.scratch, &at, MBK_RNN_LANES, MBK_RNN_WORK(m->cell) * m->h);
    mbk_mat dy = mbs_kit_carve_apart(&back->call, &at, m->h);
    mbk_mat dh = m->cell == MBK_LSTM ? dx : mbs_kit_carve_apart(&back->call, &at, MBK_RNN_GATES(m->cell) * m->h);
    const mbk_rnn_grad_args args = {
        .cell = m->cell,
        .dx = dx,
        .dh = dh,
        .dstate = {back->dstate, back->dstate_at, MBK_RNN_STATES(m->cell), m->h, m->h},
        .dy = dy,
        .w_t = m->t.item[W_HH].t,
        .saved = r.saved,
        .work = work_room,
        .starts = back->call.starts,
    };
    mbk_status st = mbs_held_linear_back(ctx, &m->t, OUT_W, -1, back->dout, r.y, &dy, 0);
    st = st < 0 ? st : ops->rnn_grad(ctx, &args);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, W_HH, B_HH, dh, mbs_kit_columns(r.saved, 0, m->h), NULL, 0);
    return st < 0 ? st : mbs_held_linear_back(ctx, &m->t, W_IH, B_IH, dx, back->call.in, &back->din, 0);
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
    MBS_KEY_EXPAND,
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

#define CELL_MIXER(NAME)                                                                                               \
    {                                                                                                                  \
        .name = (NAME), .fits = mbs_held_fits, .many = 1, .period = 1, .keys = keys, .settle = settle,                 \
        .declare = declare, .state_floats = state_floats, .scratch_floats = scratch_floats, .widest = widest,          \
        .load = load, .unload = unload, .forward = forward, .work = work, .save = same_state, .restore = same_state,   \
        .train = &train                                                                                                \
    }

const mbs_mixer mbs_mixer_lstm = CELL_MIXER("lstm");
const mbs_mixer mbs_mixer_gru = CELL_MIXER("gru");
