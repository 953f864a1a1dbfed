/* score, logits, embed, classify: tasks that give rows while the record passes, or one pooled row at its end. */
#include "run/task_rows.h"
#include "run/start.h"
#include "run/task_whole.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "plug/params.h"
#include "stream/chunk.h"

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_rows *t = self;
    t->started = t->ended = t->has_last = t->opened = 0;
    t->position = record->start;
    if (t->every > 0) {
        mbs_task_piece_begin(t, record->start);
        t->piece.rows = 0;
        memset(t->piece.sum, 0, (size_t)t->width * sizeof(*t->piece.sum));
    }
    return mbs_start_session(t->session, t->env.models->model, record->label, err);
}

int mbs_task_row_scored(const mbs_side *scored, int64_t row) {
    return !scored || ((const uint8_t *)scored->data)[row] != 0;
}

const mbs_side *mbs_task_scored(const task_rows *t, const mbs_block *tokens) {
    return t->env.task == MBS_TASK_CLASSIFY ? NULL : mbs_block_side_find(tokens, "scored");
}

/* How many rows from `from` on go through the model together: no more than the pace allows, all of them context or
 * none, and for a pooled row all of them scored or none. */
static int64_t plan_rows(const task_rows *t, const mbs_block *tokens, int64_t from, int64_t context) {
    int64_t n = tokens->shape[0] - from;
    n = n < t->pace.rows ? n : t->pace.rows;
    if (from < context && from + n > context) {
        n = context - from;
    }
    const mbs_side *scored = mbs_task_scored(t, tokens);
    if (t->pool != POOL_NONE && scored) {
        int first = mbs_task_row_scored(scored, from);
        int64_t same = 1;
        while (same < n && mbs_task_row_scored(scored, from + same) == first) {
            same++;
        }
        n = same;
    }
    return t->every > 0 && from >= context ? mbs_task_piece_rows(t, tokens, from, n) : n;
}

/* The frames of rows [from, from + n) behind those that are there. */
static mbs_status gather_frames(task_rows *t, const mbs_block *b, int64_t from, int64_t n, int64_t *fed, mbs_err *err) {
    int64_t width = b->ndim == 2 ? b->shape[1] : 1;
    if (b->dtype != MBS_F32 || width != t->frame_width) {
        mbs_fail(err, MBS_ERR_CONFIG, b->record->name, "frames of %lld numbers, and the model takes %lld",
                 (long long)width, (long long)t->frame_width);
        mbs_err_fix(err, "take the codec and the parameters that the model was trained with");
        return MBS_ERR_CONFIG;
    }
    if (n > 0) {
        memcpy(t->frames + *fed * width, (const float *)b->data + from * width, (size_t)(n * width) * sizeof(float));
    }
    *fed += n;
    return MBS_OK;
}

int mbs_task_is_fed(const task_rows *t, const mbs_block *tokens, int64_t row) {
    return t->frame_width > 0 || ((const int32_t *)tokens->data)[row] >= 0;
}

mbs_status mbs_task_gather(task_rows *t, const mbs_block *tokens, int64_t from, int64_t n, int64_t *fed, mbs_err *err) {
    if (t->frame_width > 0) {
        return gather_frames(t, tokens, from, n, fed, err);
    }
    const int32_t *ids = (const int32_t *)tokens->data + from;
    int64_t rows = mbs_model_get_config(t->env.models->model)->vocab_rows;
    int64_t m = *fed;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= rows) {
            mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "token %d at %lld is not one of the model's %lld", ids[i],
                     (long long)mbs_chunk_position(tokens, from + i), (long long)rows);
            mbs_err_fix(err, "use the codec vocabulary that the model was trained with");
            return MBS_ERR_DATA;
        }
        if (ids[i] >= 0) {
            t->ids[m++] = ids[i];
        }
    }
    *fed = m;
    return MBS_OK;
}

void mbs_task_spread(const task_rows *t, const mbs_block *tokens, int64_t from, float *rows, int64_t n, int64_t m) {
    int64_t width = t->width;
    for (int64_t i = n - 1; i >= 0 && m < i + 1; i--) {
        float *to = rows + i * width;
        if (mbs_task_is_fed(t, tokens, from + i)) {
            m--;
            memmove(to, rows + m * width, (size_t)width * sizeof(float));
        } else {
            for (int64_t k = 0; k < width; k++) {
                to[k] = NAN;
            }
        }
    }
}

int64_t mbs_task_count_fed(const task_rows *t, const mbs_block *tokens, int64_t from, int64_t to) {
    int64_t n = 0;
    for (int64_t i = from; i < to; i++) {
        n += mbs_task_is_fed(t, tokens, i);
    }
    return n;
}

static mbs_status run_model(task_rows *t, float *rows, int64_t fed, int sum, mbs_err *err) {
    mbs_run_out out = {.layer = t->layer};
    if (t->env.task == MBS_TASK_SCORE) {
        out.logprob = rows;
    } else if (t->env.task == MBS_TASK_LOGITS) {
        out.logits = rows;
    } else if (t->pool == POOL_NONE) {
        out.hidden = rows;
    } else if (t->pool == POOL_MEAN) {
        out.sum = sum;
    } else if (sum) {
        out.last_hidden = t->last;
        t->has_last = 1;
    }
    out.logits = t->seen ? t->seen : out.logits;
    double t0 = mbs_clock();
    mbs_feed feed = {.ids = t->frames ? NULL : t->ids, .frames = t->frames};
    mbs_status st = mbs_session_feed(t->session, &feed, fed, &out, err);
    double seconds = mbs_clock() - t0;
    mbs_pace_took(&t->pace, fed, seconds);
    t->totals.fed += fed;
    t->totals.seconds += seconds;
    return st;
}

/* Tokens around the record: only a class is told by their rows too. */
static mbs_status run_around(task_rows *t, const int32_t *ids, int64_t n, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int64_t at = 0; at < n && st == MBS_OK;) {
        int64_t k = n - at < t->pace.max ? n - at : t->pace.max;
        memcpy(t->ids, ids + at, (size_t)k * sizeof *ids);
        st = run_model(t, t->stage, k, t->env.task == MBS_TASK_CLASSIFY, err);
        at += k;
    }
    return st;
}

void mbs_task_count_scores(task_rows *t, float *lp, const mbs_side *scored, int64_t from, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!mbs_task_row_scored(scored, from + i)) {
            lp[i] = NAN;
        } else if (!isnan(lp[i])) {
            t->totals.scored++;
            t->totals.logprob += (double)lp[i];
        }
    }
}

mbs_block *mbs_task_rows_block(task_rows *t, const mbs_block *tokens, int64_t from, int64_t n) {
    int64_t shape[2] = {n, t->width};
    mbs_block *b = mbs_block_new(t->type, MBS_F32, 2, shape);
    if (!b) {
        return NULL;
    }
    b->record = tokens->record;
    b->start = mbs_chunk_position(tokens, from);
    b->end = mbs_chunk_position(tokens, from + n);
    const mbs_side *interval = mbs_block_side_find(tokens, "interval");
    if (interval && interval->dtype == MBS_I64 && interval->width == 2) {
        int64_t *to = mbs_block_side_new(b, "interval", MBS_I64, 2);
        if (!to) {
            mbs_block_unref(b);
            return NULL;
        }
        memcpy(to, (const int64_t *)interval->data + 2 * from, (size_t)n * 2 * sizeof(int64_t));
    }
    const mbs_side *scored = t->env.task == MBS_TASK_LOGITS ? mbs_task_scored(t, tokens) : NULL;
    if (scored) { /* what a score says by NaN */
        uint8_t *to = mbs_block_side_new(b, "scored", MBS_U8, 1);
        if (!to) {
            mbs_block_unref(b);
            return NULL;
        }
        memcpy(to, (const uint8_t *)scored->data + from, (size_t)n);
    }
    b->flags = t->started ? 0u : MBS_SEQ_START;
    t->started = 1;
    if ((tokens->flags & MBS_SEQ_END) && from + n == tokens->shape[0]) {
        b->flags |= MBS_SEQ_END;
        t->ended = 1;
    }
    return b;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_rows *t = self;
    int64_t context = mbs_chunk_context_rows(tokens);
    int64_t n = plan_rows(t, tokens, from, context);
    int written = from >= context;
    const mbs_side *scored = mbs_task_scored(t, tokens);
    int64_t fed = 0;
    mbs_status st = MBS_OK;
    if (!t->opened && mbs_task_count_fed(t, tokens, from, from + n) > 0) {
        t->opened = 1;
        st = run_around(t, t->around.before, t->around.n_before, err);
    }
    st = st == MBS_OK ? mbs_task_gather(t, tokens, from, n, &fed, err) : st;
    mbs_block *b = NULL;
    if (st == MBS_OK && written && t->pool == POOL_NONE) {
        b = mbs_task_rows_block(t, tokens, from, n);
        st = b ? MBS_OK : mbs_fail_memory(err, "stream", (size_t)(n * t->width) * sizeof(float));
    }
    float *rows = b ? b->data : t->stage;
    if (st == MBS_OK && fed > 0) {
        st = run_model(t, rows, fed, written && mbs_task_row_scored(scored, from), err);
        st = st == MBS_OK && t->seen ? t->env.watch->look(t->env.watch->ctx, t->seen, fed, err) : st;
    }
    if (st != MBS_OK) {
        mbs_block_unref(b);
        return st;
    }
    if (b) {
        mbs_task_spread(t, tokens, from, rows, n, fed);
        if (t->env.task == MBS_TASK_SCORE) {
            mbs_task_count_scores(t, rows, scored, from, n);
        }
    }
    if (written) {
        t->totals.tokens += n;
        t->position = mbs_chunk_position(tokens, from + n);
        t->piece.filled |= fed > 0;
    }
    if (written && t->every > 0) {
        st = mbs_task_piece_end(t, tokens->record, &b, err);
    }
    *taken = n;
    *out = b;
    return st;
}

void mbs_task_mean(task_rows *t, int64_t rows, float *row) {
    for (int64_t i = 0; i < t->width; i++) {
        row[i] = rows > 0 ? (float)(t->sum[i] / (double)rows) : NAN;
    }
}

static mbs_status pooled_row(task_rows *t, float *row, mbs_err *err) {
    if (t->pool == POOL_LAST) {
        for (int64_t i = 0; i < t->width; i++) {
            row[i] = t->has_last ? t->last[i] : NAN;
        }
        return MBS_OK;
    }
    int64_t rows = 0;
    mbs_status st = mbs_session_sum(t->session, t->sum, &rows, err);
    mbs_task_mean(t, rows, row);
    return st;
}

/* What writers get of the record's pooled row. */
static mbs_status end_row(task_rows *t, const mbs_record *record, float *row, mbs_err *err) {
    if (t->env.task != MBS_TASK_CLASSIFY) {
        return pooled_row(t, row, err);
    }
    mbs_status st = pooled_row(t, t->pooled, err);
    return st == MBS_OK ? mbs_task_classify(t, record, t->pooled, row, err) : st;
}

mbs_block *mbs_task_end_block(task_rows *t, const mbs_record *record) {
    int none = t->pool == POOL_NONE || (t->every > 0 && !t->piece.filled && t->started);
    int64_t shape[2] = {none ? 0 : 1, t->given};
    mbs_block *b = mbs_block_new(t->type, MBS_F32, 2, shape);
    if (b) {
        b->record = record;
        b->start = none ? t->position : t->every > 0 ? t->piece.start : record->start;
        b->end = t->position;
        b->flags = MBS_SEQ_END | (t->started ? 0u : MBS_SEQ_START);
    }
    return b;
}

/* The pooled row; or, where no block has carried SEQ_END yet (a record without rows), an empty one that does. */
static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_rows *t = self;
    *more = 0;
    *out = NULL;
    if (t->ended) {
        return MBS_OK;
    }
    mbs_status st = MBS_OK;
    if (t->opened && t->env.task == MBS_TASK_CLASSIFY) {
        t->opened = 0;
        st = run_around(t, t->around.after, t->around.n_after, err);
    }
    mbs_block *b = st == MBS_OK ? mbs_task_end_block(t, record) : NULL;
    if (!b) {
        return st == MBS_OK ? mbs_fail_memory(err, "stream", (size_t)t->width * sizeof(float)) : st;
    }
    st = b->shape[0] == 0 ? MBS_OK
         : t->every > 0   ? mbs_task_piece_row(t, b->data, err)
                          : end_row(t, record, b->data, err);
    if (st != MBS_OK) {
        mbs_block_unref(b);
        return st;
    }
    t->ended = 1;
    *out = b;
    return MBS_OK;
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_rows *t = self;
    mbs_buf_put_i64(out, t->started | t->ended << 1 | t->has_last << 2 | t->opened << 3);
    mbs_buf_put_i64(out, t->position);
    mbs_buf_put_i64(out, t->totals.tokens);
    mbs_buf_put_i64(out, t->totals.scored);
    mbs_buf_put_f64(out, t->totals.logprob);
    mbs_buf_put_bytes(out, t->last, t->last ? (size_t)t->width * sizeof(float) : 0);
    mbs_task_classify_save(t, out);
    mbs_buf blob = MBS_BUF_INIT;
    mbs_status st = mbs_session_save(t->session, &blob, err);
    mbs_buf_put_bytes(out, blob.data, blob.len);
    mbs_buf_free(&blob);
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_rows *t = self;
    mbs_cursor c = {bytes, n, 0};
    int64_t flags = mbs_cursor_i64(&c);
    t->started = flags & 1;
    t->ended = (flags >> 1) & 1;
    t->has_last = (flags >> 2) & 1;
    t->opened = (flags >> 3) & 1;
    t->position = mbs_cursor_i64(&c);
    t->totals.tokens = mbs_cursor_i64(&c);
    t->totals.scored = mbs_cursor_i64(&c);
    t->totals.logprob = mbs_cursor_f64(&c);
    size_t len = 0;
    const void *last = mbs_cursor_bytes(&c, &len);
    if (!c.failed && t->last && len == (size_t)t->width * sizeof(float)) {
        memcpy(t->last, last, len);
    }
    mbs_status st = mbs_task_classify_restore(t, &c, err);
    if (st != MBS_OK) {
        return st;
    }
    const void *blob = mbs_cursor_bytes(&c, &len);
    if (c.failed) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the model's state is cut short");
    }
    return mbs_session_restore(t->session, blob, len, err);
}

static mbs_status setup(task_rows *t, mbs_carry *out, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    t->around = mbs_vocab_around(t->env.vocab);
    t->layer = -1;
    t->width = 1;
    t->type = "score/f32";
    if (t->env.task == MBS_TASK_LOGITS) {
        t->width = c->vocab_rows;
        t->type = "logits/f32";
    } else if (t->env.task == MBS_TASK_EMBED) {
        t->width = mbs_whole_width(t->env.models->model);
        t->type = "embedding/f32";
        const char *pool = mbs_params_string(t->env.models->params, "pool");
        t->pool = !pool || strcmp(pool, "none") == 0 ? POOL_NONE : strcmp(pool, "mean") == 0 ? POOL_MEAN : POOL_LAST;
        if (!mbs_params_string(t->env.models->params, "layer")) { /* not the word "final" */
            t->layer = (int)mbs_params_int(t->env.models->params, "layer");
        }
        if (t->layer > c->n_layer) {
            mbs_fail(err, MBS_ERR_CONFIG, "model", "'layer' is %d, but the model has %lld blocks", t->layer,
                     (long long)c->n_layer);
            mbs_err_fix(err, "give 0 (embedding) to %lld, or 'final' (after the last norm)", (long long)c->n_layer);
            return MBS_ERR_CONFIG;
        }
    }
    t->given = t->width;
    if (t->env.task == MBS_TASK_CLASSIFY) {
        mbs_status st = mbs_task_classify_setup(t, err);
        if (st != MBS_OK) {
            return st;
        }
        t->width = mbs_whole_width(t->env.models->model);
    }
    mbs_pace_init(&t->pace, t->env.watch ? 16 * c->vocab_rows : t->width + c->frame_width, t->env.models->model);
    t->frame_width = c->frame_width;
    size_t frames = (size_t)(t->pace.max * c->frame_width);
    t->frames = frames ? mbs_calloc(frames, sizeof(*t->frames)) : NULL;
    t->ids = mbs_calloc((size_t)t->pace.max, sizeof(*t->ids));
    t->stage = mbs_calloc((size_t)(t->pace.max * t->width), sizeof(*t->stage));
    t->starts = mbs_calloc((size_t)t->pace.max + 1, sizeof(*t->starts));
    t->last = t->pool == POOL_LAST ? mbs_calloc((size_t)t->width, sizeof(*t->last)) : NULL;
    t->sum = t->pool == POOL_MEAN ? mbs_calloc((size_t)t->width, sizeof(*t->sum)) : NULL;
    t->seen = t->env.watch ? mbs_calloc((size_t)(t->pace.max * c->vocab_rows), sizeof(*t->seen)) : NULL;
    if (!t->ids || (frames && !t->frames) || !t->stage || !t->starts || (t->pool == POOL_LAST && !t->last) ||
        (t->pool == POOL_MEAN && !t->sum) || (t->env.watch && !t->seen)) {
        return mbs_fail_memory(err, "model", (size_t)(t->pace.max * t->width) * sizeof(float));
    }
    return mbs_model_takes_whole(t->env.models->model)
               ? mbs_task_whole_setup(t, out, err)
               : mbs_session_new(t->env.models->model, t->pace.max, &t->session, err);
}

mbs_status mbs_task_rows_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_rows *t = mbs_calloc(1, sizeof(*t));
    if (!t) {
        return mbs_fail_memory(err, "model", sizeof(*t));
    }
    t->env = *env;
    out->self = t;
    out->begin = begin;
    out->step = step;
    out->finish = finish;
    out->save = save;
    out->restore = restore;
    if (mbs_model_takes_many(env->models->model) && !env->watch &&
        mbs_model_get_config(env->models->model)->start == 0 &&
        !mbs_params_is_set(env->models->params, "every")) { /* who watches wants every call */
        out->many_rows = mbs_task_many_rows;
        out->many = mbs_task_many;
    }
    mbs_status st = setup(t, out, err);
    if (st != MBS_OK) {
        mbs_task_rows_free(out);
    }
    return st;
}

void mbs_task_rows_free(mbs_carry *carry) {
    task_rows *t = carry->self;
    if (t) {
        mbs_session_free(t->session);
        mbs_task_whole_drop(t);
        mbs_free(t->ids);
        mbs_free(t->frames);
        mbs_free(t->starts);
        mbs_free(t->sum);
        mbs_free(t->stage);
        mbs_free(t->last);
        mbs_free(t->seen);
        mbs_task_classify_free(t);
        mbs_free(t);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_rows_totals(const mbs_carry *carry) {
    return &((const task_rows *)carry->self)->totals;
}
