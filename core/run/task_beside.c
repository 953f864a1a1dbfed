/* Several models on one stream: task score with a column for each. Every model goes its own way through the very same
 * rows (task_rows.c), the first one says how many at a time, and what all gave becomes rows of as many columns. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "run/task.h"
#include "stream/chunk.h"

typedef struct beside {
    mbs_carry of[MBS_PLAN_MODELS];
    int n; /* models */
    mbs_task_totals totals;
    mbs_block **further; /* of `many`: what a model behind the first gave */
    int64_t room;        /* for blocks in it */
} beside;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    const beside *p = self;
    return mbs_carry_begin_all(p->of, p->n, record, err);
}

static void put_column(mbs_block *all, int column, int64_t at, const mbs_block *one) {
    const int64_t columns = all->shape[1];
    const float *from = one->data;
    float *to = (float *)all->data + columns * at + column;
    for (int64_t i = 0; i < one->shape[0]; i++) {
        to[columns * i] = from[i];
    }
}

/* A block like the first model's, its rows in the first of n columns. NULL without memory. Consumes `first`. */
static mbs_block *widen(mbs_block *first, int n) {
    int64_t shape[2] = {first->shape[0], n};
    mbs_block *b = mbs_block_new("scores/f32", MBS_F32, 2, shape);
    if (b) {
        b->record = first->record;
        b->start = first->start;
        b->end = first->end;
        b->flags = first->flags;
        put_column(b, 0, 0, first);
    }
    for (int32_t i = 0; b && i < first->n_sides; i++) {
        const mbs_side *s = &first->sides[i];
        void *to = mbs_block_side_new(b, s->name, s->dtype, s->width);
        if (!to) {
            mbs_block_unref(b);
            b = NULL;
        } else {
            memcpy(to, s->data, (size_t)shape[0] * (size_t)s->width * mbs_dtype_size(s->dtype));
        }
    }
    mbs_block_unref(first);
    return b;
}

static mbs_status no_memory(const beside *p, int64_t rows, mbs_err *err) {
    return mbs_fail_memory(err, "stream", (size_t)rows * (size_t)p->n * sizeof(float));
}

static mbs_status not_the_same(mbs_err *err) {
    return mbs_fail(err, MBS_ERR_INTERNAL, "model", "the models do not see the same tokens");
}

/* What model k gives for rows that the first one has taken, into its column. */
static mbs_status follow(beside *p, int k, const mbs_block *piece, mbs_block *all, mbs_err *err) {
    mbs_status st = MBS_OK;
    int64_t given = 0;
    for (int64_t at = 0; at < piece->shape[0] && st == MBS_OK;) {
        int64_t taken = 0;
        mbs_block *rows = NULL;
        st = p->of[k].step(p->of[k].self, piece, at, &taken, &rows, err);
        at += taken;
        int64_t n = rows ? rows->shape[0] : 0;
        if (st == MBS_OK && n > (all ? all->shape[0] - given : 0)) {
            st = not_the_same(err);
        } else if (n > 0) {
            put_column(all, k, given, rows);
            given += n;
        }
        mbs_block_unref(rows);
    }
    return st == MBS_OK && all && given < all->shape[0] ? not_the_same(err) : st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    beside *p = self;
    mbs_block *first = NULL;
    mbs_status st = p->of[0].step(p->of[0].self, tokens, from, taken, &first, err);
    if (st != MBS_OK) {
        return st;
    }
    mbs_block *piece = mbs_chunk_of(tokens, from, from + *taken);
    mbs_block *all = first ? widen(first, p->n) : NULL;
    st = piece && (all || !first) ? MBS_OK : no_memory(p, *taken, err);
    for (int k = 1; k < p->n && st == MBS_OK; k++) {
        st = follow(p, k, piece, all, err);
    }
    mbs_block_unref(piece);
    if (st != MBS_OK) {
        mbs_block_unref(all);
        return st;
    }
    *out = all;
    return MBS_OK;
}

/* Of a record without rows the block that says where it ends. */
static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    beside *p = self;
    mbs_block *first = NULL;
    *out = NULL;
    mbs_status st = p->of[0].finish(p->of[0].self, record, &first, more, err);
    for (int k = 1; k < p->n && st == MBS_OK; k++) {
        mbs_block *further = NULL;
        int again = 0;
        st = p->of[k].finish(p->of[k].self, record, &further, &again, err);
        mbs_block_unref(further);
    }
    if (st == MBS_OK && first) {
        *out = widen(first, p->n);
        return *out ? MBS_OK : no_memory(p, 1, err);
    }
    mbs_block_unref(first);
    return st;
}

static int64_t many_rows(void *self) {
    beside *p = self;
    int64_t least = INT64_MAX;
    for (int k = 0; k < p->n; k++) {
        int64_t rows = p->of[k].many_rows(p->of[k].self);
        least = rows < least ? rows : least;
    }
    return least;
}

static mbs_status room_for(beside *p, int64_t n, mbs_err *err) {
    if (n <= p->room) {
        return MBS_OK;
    }
    mbs_block **grown = mbs_calloc((size_t)n, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(err, "stream", (size_t)n * sizeof *grown);
    }
    mbs_free(p->further);
    p->further = grown;
    p->room = n;
    return MBS_OK;
}

/* Model k goes through the records that the first one has taken, in its own calls. */
static mbs_status many_follow(beside *p, int k, mbs_block *const *tokens, int64_t n, mbs_block **out, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t at = 0; at < n && st == MBS_OK;) {
        int64_t taken = 0;
        st = p->of[k].many(p->of[k].self, tokens + at, n - at, &taken, p->further, err);
        for (int64_t i = 0; i < taken; i++) {
            if (st == MBS_OK) {
                put_column(out[at + i], k, 0, p->further[i]);
            }
            mbs_block_unref(p->further[i]);
        }
        at += taken;
    }
    return st;
}

static mbs_status many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out, mbs_err *err) {
    beside *p = self;
    mbs_status st = p->of[0].many(p->of[0].self, tokens, n, taken, out, err);
    st = st == MBS_OK ? room_for(p, *taken, err) : st;
    for (int64_t i = 0; i < *taken && st == MBS_OK; i++) {
        int64_t rows = out[i]->shape[0];
        out[i] = widen(out[i], p->n);
        st = out[i] ? MBS_OK : no_memory(p, rows, err);
    }
    for (int k = 1; k < p->n && st == MBS_OK; k++) {
        st = many_follow(p, k, tokens, *taken, out, err);
    }
    for (int64_t i = 0; st != MBS_OK && i < *taken; i++) {
        mbs_block_unref(out[i]);
        out[i] = NULL;
    }
    *taken = st == MBS_OK ? *taken : 0;
    return st;
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    beside *p = self;
    mbs_status st = MBS_OK;
    for (int i = 0; i < p->n && st == MBS_OK; i++) {
        mbs_buf blob = MBS_BUF_INIT;
        st = p->of[i].save(p->of[i].self, &blob, err);
        mbs_buf_put_bytes(out, blob.data, blob.len);
        out->failed |= blob.failed;
        mbs_buf_free(&blob);
    }
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    beside *p = self;
    mbs_cursor c = {bytes, n, 0};
    mbs_status st = MBS_OK;
    for (int i = 0; i < p->n && st == MBS_OK; i++) {
        size_t len = 0;
        const void *blob = mbs_cursor_bytes(&c, &len);
        st = c.failed ? mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short")
                      : p->of[i].restore(p->of[i].self, blob, len, err);
    }
    return st;
}

mbs_status mbs_task_beside_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof *out);
    beside *p = mbs_calloc(1, sizeof *p);
    if (!p) {
        return mbs_fail_memory(err, "model", sizeof *p);
    }
    *out = (mbs_carry){.self = p, .begin = begin, .step = step, .finish = finish, .save = save, .restore = restore};
    mbs_status st = MBS_OK;
    int together = 1;
    for (int k = 0; k < env->n_models && st == MBS_OK; k++) {
        mbs_task_env alone = *env;
        alone.models = &env->models[k];
        alone.n_models = 1;
        st = mbs_task_rows_new(&alone, &p->of[k], err);
        p->n++;
        together &= p->of[k].many != NULL;
    }
    if (st != MBS_OK) {
        mbs_task_beside_free(out);
    } else if (together) {
        out->many_rows = many_rows;
        out->many = many;
    }
    return st;
}

void mbs_task_beside_free(mbs_carry *carry) {
    beside *p = carry->self;
    if (p) {
        for (int k = 0; k < p->n; k++) {
            mbs_task_rows_free(&p->of[k]);
        }
        mbs_free(p->further);
        mbs_free(p);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_beside_totals(const mbs_carry *carry) {
    beside *p = carry->self;
    p->totals = *mbs_task_rows_totals(&p->of[0]);
    for (int k = 0; k < p->n; k++) {
        p->totals.logprobs[k] = mbs_task_rows_totals(&p->of[k])->logprob;
    }
    return &p->totals;
}
