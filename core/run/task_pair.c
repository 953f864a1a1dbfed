/* Two models on one stream: task score with a column for each. Every model goes its own way through the very same rows
 * (task_rows.c), the first one says how many at a time, and what both gave becomes rows of two. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "run/task.h"
#include "stream/chunk.h"

typedef struct pair {
    mbs_carry of[2];
    mbs_task_totals totals;
    mbs_block **second; /* of `many`: what the second model gave */
    int64_t n_second;
} pair;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    pair *p = self;
    mbs_status st = p->of[0].begin(p->of[0].self, record, err);
    return st == MBS_OK ? p->of[1].begin(p->of[1].self, record, err) : st;
}

static void put_column(mbs_block *both, int column, int64_t at, const mbs_block *one) {
    const float *from = one->data;
    float *to = (float *)both->data + 2 * at + column;
    for (int64_t i = 0; i < one->shape[0]; i++) {
        to[2 * i] = from[i];
    }
}

/* A block like the first model's, its rows in the first column. NULL without memory. Consumes `first`. */
static mbs_block *widen(mbs_block *first) {
    int64_t shape[2] = {first->shape[0], 2};
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

static mbs_status no_memory(int64_t rows, mbs_err *err) {
    return mbs_fail_memory(err, "stream", (size_t)rows * 2 * sizeof(float));
}

static mbs_status not_the_same(mbs_err *err) {
    return mbs_fail(err, MBS_ERR_INTERNAL, "model", "the models do not see the same tokens");
}

/* What the second model gives for rows that the first one has taken, into its column. */
static mbs_status follow(pair *p, const mbs_block *piece, mbs_block *both, mbs_err *err) {
    mbs_status st = MBS_OK;
    int64_t given = 0;
    for (int64_t at = 0; at < piece->shape[0] && st == MBS_OK;) {
        int64_t taken = 0;
        mbs_block *rows = NULL;
        st = p->of[1].step(p->of[1].self, piece, at, &taken, &rows, err);
        at += taken;
        int64_t n = rows ? rows->shape[0] : 0;
        if (st == MBS_OK && n > (both ? both->shape[0] - given : 0)) {
            st = not_the_same(err);
        } else if (n > 0) {
            put_column(both, 1, given, rows);
            given += n;
        }
        mbs_block_unref(rows);
    }
    return st == MBS_OK && both && given < both->shape[0] ? not_the_same(err) : st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    pair *p = self;
    mbs_block *first = NULL;
    mbs_status st = p->of[0].step(p->of[0].self, tokens, from, taken, &first, err);
    if (st != MBS_OK) {
        return st;
    }
    mbs_block *piece = mbs_chunk_of(tokens, from, from + *taken);
    mbs_block *both = first ? widen(first) : NULL;
    st = piece && (both || !first) ? follow(p, piece, both, err) : no_memory(*taken, err);
    mbs_block_unref(piece);
    if (st != MBS_OK) {
        mbs_block_unref(both);
        return st;
    }
    *out = both;
    return MBS_OK;
}

/* Of a record without rows the block that says where it ends. */
static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    pair *p = self;
    mbs_block *first = NULL;
    mbs_block *second = NULL;
    int again = 0;
    *out = NULL;
    mbs_status st = p->of[0].finish(p->of[0].self, record, &first, more, err);
    st = st == MBS_OK ? p->of[1].finish(p->of[1].self, record, &second, &again, err) : st;
    mbs_block_unref(second);
    if (st == MBS_OK && first) {
        *out = widen(first);
        return *out ? MBS_OK : no_memory(1, err);
    }
    mbs_block_unref(first);
    return st;
}

static int64_t many_rows(void *self) {
    pair *p = self;
    int64_t a = p->of[0].many_rows(p->of[0].self);
    int64_t b = p->of[1].many_rows(p->of[1].self);
    return a < b ? a : b;
}

static mbs_status room_for(pair *p, int64_t n, mbs_err *err) {
    if (n <= p->n_second) {
        return MBS_OK;
    }
    mbs_block **grown = mbs_calloc((size_t)n, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(err, "stream", (size_t)n * sizeof *grown);
    }
    mbs_free(p->second);
    p->second = grown;
    p->n_second = n;
    return MBS_OK;
}

/* The second model goes through the records that the first one has taken, in its own calls. */
static mbs_status many_follow(pair *p, mbs_block *const *tokens, int64_t n, mbs_block **out, mbs_err *err) {
    mbs_status st = room_for(p, n, err);
    for (int64_t at = 0; at < n && st == MBS_OK;) {
        int64_t taken = 0;
        st = p->of[1].many(p->of[1].self, tokens + at, n - at, &taken, p->second, err);
        for (int64_t i = 0; i < taken; i++) {
            mbs_block *rows = p->second[i];
            mbs_block *both = st == MBS_OK ? widen(out[at + i]) : out[at + i];
            out[at + i] = both;
            if (st == MBS_OK && !both) {
                st = no_memory(rows->shape[0], err);
            } else if (st == MBS_OK) {
                put_column(both, 1, 0, rows);
            }
            mbs_block_unref(rows);
        }
        at += taken;
    }
    return st;
}

static mbs_status many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out, mbs_err *err) {
    pair *p = self;
    mbs_status st = p->of[0].many(p->of[0].self, tokens, n, taken, out, err);
    if (st == MBS_OK) {
        st = many_follow(p, tokens, *taken, out, err);
    }
    for (int64_t i = 0; st != MBS_OK && i < *taken; i++) {
        mbs_block_unref(out[i]);
        out[i] = NULL;
    }
    *taken = st == MBS_OK ? *taken : 0;
    return st;
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    pair *p = self;
    mbs_status st = MBS_OK;
    for (int i = 0; i < 2 && st == MBS_OK; i++) {
        mbs_buf blob = MBS_BUF_INIT;
        st = p->of[i].save(p->of[i].self, &blob, err);
        mbs_buf_put_bytes(out, blob.data, blob.len);
        out->failed |= blob.failed;
        mbs_buf_free(&blob);
    }
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    pair *p = self;
    mbs_cursor c = {bytes, n, 0};
    mbs_status st = MBS_OK;
    for (int i = 0; i < 2 && st == MBS_OK; i++) {
        size_t len = 0;
        const void *blob = mbs_cursor_bytes(&c, &len);
        st = c.failed ? mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short")
                      : p->of[i].restore(p->of[i].self, blob, len, err);
    }
    return st;
}

mbs_status mbs_task_pair_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof *out);
    pair *p = mbs_calloc(1, sizeof *p);
    if (!p) {
        return mbs_fail_memory(err, "model", sizeof *p);
    }
    mbs_task_env second = *env;
    second.model = env->rival;
    second.params = env->rival_params;
    *out = (mbs_carry){.self = p, .begin = begin, .step = step, .finish = finish, .save = save, .restore = restore};
    mbs_status st = mbs_task_rows_new(env, &p->of[0], err);
    st = st == MBS_OK ? mbs_task_rows_new(&second, &p->of[1], err) : st;
    if (st != MBS_OK) {
        mbs_task_pair_free(out);
    } else if (p->of[0].many && p->of[1].many) {
        out->many_rows = many_rows;
        out->many = many;
    }
    return st;
}

void mbs_task_pair_free(mbs_carry *carry) {
    pair *p = carry->self;
    if (p) {
        mbs_task_rows_free(&p->of[0]);
        mbs_task_rows_free(&p->of[1]);
        mbs_free(p->second);
        mbs_free(p);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_pair_totals(const mbs_carry *carry) {
    pair *p = carry->self;
    p->totals = *mbs_task_rows_totals(&p->of[0]);
    p->totals.rival_logprob = mbs_task_rows_totals(&p->of[1])->logprob;
    return &p->totals;
}
