#include "run/lanes.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "stream/chunk.h"

/* Floats of the first lane's logits that are kept until every lane has been compared with them. */
#define PIECE_FLOATS ((int64_t)1 << 20)
#define PIECE_ROWS 1024

typedef struct lane {
    mbs_lanes *all;
    mbs_carry task; /* the first one's is borrowed */
    mbs_task_watch watch;
    int64_t rows; /* of this piece: logits seen */
    double max_error;
    mbs_targets targets;
} lane;

struct mbs_lanes {
    mbs_carry carry;
    lane *lanes;
    int n;
    int64_t limit;
    int64_t piece; /* rows given to every lane before the next are */
    int64_t cols;  /* of logits that are compared: ids with a meaning */
    int64_t stride;
    float *first;               /* piece x cols: the first lane's logits */
    uint8_t scored[PIECE_ROWS]; /* of the piece: rows that the first lane gave a number */
    int asks;                   /* the piece has targets: */
    int32_t wanted[PIECE_ROWS]; /* of its fed rows */
    double max_first;
};

/* The watch of a lane: the first one's logits are kept, the others' compared with them. */
static mbs_status look(void *ctx, const float *logits, int64_t n, mbs_err *err) {
    lane *me = ctx;
    mbs_lanes *l = me->all;
    if (me->rows + n > (me == l->lanes ? l->piece : l->lanes->rows)) {
        return mbs_fail(err, MBS_ERR_INTERNAL, "eval", "the models do not see the same tokens");
    }
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * l->stride;
        if (l->asks && l->wanted[me->rows + i] >= 0) {
            mbs_targets_row(&me->targets, row, l->stride, l->wanted[me->rows + i]);
        }
        float *first = l->first + (me->rows + i) * l->cols;
        for (int64_t k = 0; k < l->cols; k++) {
            if (me == l->lanes) {
                first[k] = row[k];
                l->max_first = fmax(l->max_first, fabs((double)row[k]));
            } else {
                double off = fabs((double)row[k] - (double)first[k]);
                me->max_error = fmax(me->max_error, isnan(off) ? INFINITY : off);
            }
        }
    }
    me->rows += n;
    return MBS_OK;
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    mbs_lanes *l = self;
    mbs_status st = MBS_OK;
    for (int i = 0; i < l->n && st == MBS_OK; i++) {
        mbs_targets_begin(&l->lanes[i].targets);
        st = l->lanes[i].task.begin(l->lanes[i].task.self, record, err);
    }
    return st;
}

static mbs_status feed_lane(lane *me, const mbs_block *piece, mbs_err *err) {
    mbs_status st = MBS_OK;
    me->rows = 0;
    for (int64_t at = 0; at < piece->shape[0] && st == MBS_OK;) {
        int64_t taken = 0;
        mbs_block *rows = NULL;
        st = me->task.step(me->task.self, piece, at, &taken, &rows, err);
        for (int64_t i = 0; me == me->all->lanes && st == MBS_OK && i < taken; i++) {
            me->all->scored[at + i] = rows && !isnan(((const float *)rows->data)[i]);
        }
        mbs_block_unref(rows);
        at += taken;
    }
    return st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    mbs_lanes *l = self;
    int64_t n = tokens->shape[0] - from;
    n = n < l->piece ? n : l->piece;
    if (l->limit > 0) {
        int64_t left = l->limit - mbs_task_rows_totals(&l->lanes[0].task)->tokens;
        if (left <= 0) {
            return MBS_END;
        }
        n = n < left ? n : left;
    }
    mbs_block *piece = mbs_chunk_of(tokens, from, from + n);
    mbs_status st = piece ? mbs_targets_of(piece, l->stride, l->wanted, &l->asks, err)
                          : mbs_fail_memory(err, "eval", (size_t)n * sizeof(int32_t));
    for (int i = 0; i < l->n && st == MBS_OK; i++) {
        st = feed_lane(&l->lanes[i], piece, err);
        if (st == MBS_OK && l->lanes[i].rows != l->lanes[0].rows) {
            st = mbs_fail(err, MBS_ERR_INTERNAL, "eval", "the models do not see the same tokens");
        }
    }
    mbs_block_unref(piece);
    *taken = n;
    *out = NULL;
    return st;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    mbs_lanes *l = self;
    mbs_status st = MBS_OK;
    *out = NULL;
    *more = 0;
    for (int i = 0; i < l->n; i++) {
        mbs_targets_end(&l->lanes[i].targets);
        for (int again = 1; again && st == MBS_OK;) {
            mbs_block *rows = NULL;
            st = l->lanes[i].task.finish(l->lanes[i].task.self, record, &rows, &again, err);
            mbs_block_unref(rows);
        }
    }
    return st;
}

mbs_status mbs_lanes_new(const mbs_model *first, int further, int64_t limit, mbs_lanes **out, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(first);
    mbs_lanes *l = mbs_calloc(1, sizeof *l);
    *out = l;
    if (!l) {
        return mbs_fail_memory(err, "eval", sizeof *l);
    }
    l->limit = limit;
    l->stride = c->vocab_rows;
    l->cols = c->vocab_size < c->vocab_rows ? c->vocab_size : c->vocab_rows;
    l->piece = PIECE_FLOATS / l->cols;
    l->piece = l->piece < 16 ? 16 : l->piece > PIECE_ROWS ? PIECE_ROWS : l->piece;
    l->carry = (mbs_carry){.self = l, .begin = begin, .step = step, .finish = finish};
    l->lanes = mbs_calloc((size_t)further + 1, sizeof *l->lanes);
    l->first = mbs_calloc((size_t)(l->piece * l->cols), sizeof *l->first);
    if (!l->lanes || !l->first) {
        return mbs_fail_memory(err, "eval", (size_t)(l->piece * l->cols) * sizeof *l->first);
    }
    l->lanes[0].all = l;
    l->lanes[0].watch = (mbs_task_watch){&l->lanes[0], look};
    return MBS_OK;
}

void mbs_lanes_free(mbs_lanes *l) {
    if (!l) {
        return;
    }
    for (int i = 1; i < l->n; i++) {
        mbs_task_rows_free(&l->lanes[i].task);
    }
    mbs_free(l->lanes);
    mbs_free(l->first);
    mbs_free(l);
}

const mbs_task_watch *mbs_lanes_watch(mbs_lanes *l) {
    return &l->lanes[0].watch;
}

void mbs_lanes_first(mbs_lanes *l, const mbs_carry *task) {
    l->lanes[0].task = *task;
    l->n = 1;
}

mbs_status mbs_lanes_add(mbs_lanes *l, const mbs_task_env *env, mbs_err *err) {
    lane *me = &l->lanes[l->n];
    mbs_task_env mine = *env;
    me->all = l;
    me->watch = (mbs_task_watch){me, look};
    mine.watch = &me->watch;
    mbs_status st = mbs_task_rows_new(&mine, &me->task, err);
    l->n += st == MBS_OK;
    return st;
}

const mbs_carry *mbs_lanes_carry(const mbs_lanes *l) {
    return &l->carry;
}

const uint8_t *mbs_lanes_scored(const mbs_lanes *l) {
    return l->scored;
}

mbs_lane_result mbs_lanes_result(const mbs_lanes *l, int i) {
    return (mbs_lane_result){*mbs_task_rows_totals(&l->lanes[i].task), l->lanes[i].max_error, l->max_first,
                             l->lanes[i].targets};
}
