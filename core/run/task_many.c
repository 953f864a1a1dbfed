/*
 * Short records side by side: one call of the model for many of them, the same rows as one by one. A call of one read
 * is all overhead; a GEMM wants some hundred rows.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "run/task_rows.h"
#include "stream/chunk.h"

int64_t mbs_task_many_rows(void *self) {
    const task_rows *t = self;
    int64_t around = t->around.n_before + t->around.n_after;
    return t->pace.rows > 4 * around ? t->pace.rows : 0; /* a record may have half of them, and what is around it */
}

/* Takes the first records that fit a call: their tokens to t->ids, where each begins to t->starts. Gives how many. */
static mbs_status take(task_rows *t, mbs_block *const *tokens, int64_t n, int64_t *taken, int64_t *fed, int64_t *n_seq,
                       mbs_err *err) {
    *taken = *fed = *n_seq = 0;
    while (*taken < n) {
        const mbs_block *b = tokens[*taken];
        int64_t before = *fed;
        int64_t most = b->shape[0] + t->around.n_before + t->around.n_after;
        if (before + most > (*taken ? t->pace.rows : t->pace.max)) {
            break;
        }
        int some = mbs_task_count_fed(t, b, 0, b->shape[0]) > 0;
        for (int32_t i = 0; some && i < t->around.n_before; i++) {
            t->ids[(*fed)++] = t->around.before[i];
        }
        mbs_status st = mbs_task_gather(t, b, 0, b->shape[0], fed, err);
        if (st != MBS_OK) {
            return st;
        }
        for (int32_t i = 0; some && i < t->around.n_after; i++) {
            t->ids[(*fed)++] = t->around.after[i];
        }
        if (some) {
            t->starts[(*n_seq)++] = (int32_t)before;
        }
        ++*taken;
    }
    t->starts[*n_seq] = (int32_t)*fed;
    return *taken ? MBS_OK : mbs_fail(err, MBS_ERR_INTERNAL, "model", "a record is too long to run with others");
}

static mbs_status run_model(task_rows *t, int64_t n_seq, mbs_err *err) {
    mbs_run_out out = {.layer = t->layer};
    if (t->env.task == MBS_TASK_SCORE) {
        out.logprob = t->stage;
    } else if (t->env.task == MBS_TASK_LOGITS) {
        out.logits = t->stage;
    } else {
        out.hidden = t->stage;
    }
    double t0 = mbs_clock();
    mbs_feed feed = {.ids = t->frames ? NULL : t->ids, .frames = t->frames};
    mbs_status st = mbs_session_feed_many(t->session, &feed, t->starts, n_seq, &out, err);
    double seconds = mbs_clock() - t0;
    mbs_pace_took(&t->pace, t->starts[n_seq], seconds);
    t->totals.fed += t->starts[n_seq];
    t->totals.seconds += seconds;
    return st;
}

static void fill_rows(task_rows *t, const mbs_block *tokens, int64_t context, const float *computed, mbs_block *b) {
    int64_t n = b->shape[0];
    int64_t fed = mbs_task_count_fed(t, tokens, context, tokens->shape[0]);
    if (fed > 0) {
        memcpy(b->data, computed, (size_t)(fed * t->width) * sizeof(float));
    }
    mbs_task_spread(t, tokens, context, b->data, n, fed);
    if (t->env.task == MBS_TASK_SCORE) {
        mbs_task_count_scores(t, b->data, mbs_block_side_find(tokens, "scored"), context, n);
    }
}

/* Rows of a record on their way into one. */
typedef struct pool {
    const float *at;
    const float *last;
    int64_t rows;
} pool;

/* The next n rows; those that do not count are passed over. */
static void pool_next(task_rows *t, pool *p, int64_t n, int counts) {
    for (int64_t i = 0; i < n; i++, p->at += t->width) {
        for (int64_t j = 0; counts && t->sum && j < t->width; j++) {
            t->sum[j] += (double)p->at[j];
        }
        p->last = counts ? p->at : p->last;
        p->rows += counts;
    }
}

/* What is scored of the rows, as their mean (summed in the order of the rows, as a session does) or the last of them.
 */
static void fill_pooled(task_rows *t, const mbs_block *tokens, int64_t context, const float *computed, float *row) {
    const mbs_side *scored = mbs_task_scored(t, tokens);
    int around = t->env.task == MBS_TASK_CLASSIFY && mbs_task_count_fed(t, tokens, 0, tokens->shape[0]) > 0;
    pool p = {.at = computed};
    for (int64_t j = 0; t->sum && j < t->width; j++) {
        t->sum[j] = 0;
    }
    pool_next(t, &p, t->around.n_before, around);
    pool_next(t, &p, mbs_task_count_fed(t, tokens, 0, context), 0);
    for (int64_t i = context; i < tokens->shape[0]; i++) {
        pool_next(t, &p, mbs_task_is_fed(t, tokens, i), mbs_task_row_scored(scored, i));
    }
    pool_next(t, &p, t->around.n_after, around);
    if (t->sum) {
        mbs_task_mean(t, p.rows, row);
        return;
    }
    for (int64_t j = 0; j < t->width; j++) {
        row[j] = p.last ? p.last[j] : NAN;
    }
}

/* What writers get of the record's pooled row. */
static mbs_status end_row(task_rows *t, const mbs_block *tokens, int64_t context, const float *computed, float *row,
                          mbs_err *err) {
    int classify = t->env.task == MBS_TASK_CLASSIFY;
    fill_pooled(t, tokens, context, computed, classify ? t->pooled : row);
    return classify ? mbs_task_classify(t, tokens->record, t->pooled, row, err) : MBS_OK;
}

/* All that a record gives; `computed` are the rows of its tokens and of what is around them. */
static mbs_status whole_record(task_rows *t, const mbs_block *tokens, const float *computed, mbs_block **out,
                               mbs_err *err) {
    int64_t rows = tokens->shape[0];
    int64_t context = mbs_chunk_context_rows(tokens);
    t->started = t->ended = t->has_last = 0;
    t->position = rows > context ? mbs_chunk_position(tokens, rows) : tokens->record->start;
    t->totals.tokens += rows - context;
    mbs_block *b = NULL;
    mbs_status st = MBS_OK;
    if (t->pool == POOL_NONE && rows > context) {
        b = mbs_task_rows_block(t, tokens, context, rows - context);
        if (b) {
            int64_t skipped = t->around.n_before + mbs_task_count_fed(t, tokens, 0, context);
            fill_rows(t, tokens, context, computed + skipped * t->width, b);
        }
    } else {
        b = mbs_task_end_block(t, tokens->record);
        if (b && t->pool != POOL_NONE) {
            st = end_row(t, tokens, context, computed, b->data, err);
        }
    }
    t->started = t->ended = 1;
    if (st == MBS_OK && !b) {
        st = mbs_fail_memory(err, "stream", (size_t)(rows * t->width) * sizeof(float));
    }
    if (st != MBS_OK) {
        mbs_block_unref(b);
        b = NULL;
    }
    *out = b;
    return st;
}

mbs_status mbs_task_many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out,
                         mbs_err *err) {
    task_rows *t = self;
    int64_t fed = 0;
    int64_t n_seq = 0;
    mbs_status st = take(t, tokens, n, taken, &fed, &n_seq, err);
    if (st == MBS_OK && n_seq > 0) {
        st = run_model(t, n_seq, err);
    }
    int64_t at = 0;
    for (int64_t i = 0; i < *taken && st == MBS_OK; i++) {
        st = whole_record(t, tokens[i], t->stage + at * t->width, &out[i], err);
        int64_t own = mbs_task_count_fed(t, tokens[i], 0, tokens[i]->shape[0]);
        at += own > 0 ? own + t->around.n_before + t->around.n_after : 0;
        if (st != MBS_OK) {
            while (i-- > 0) {
                mbs_block_unref(out[i]);
            }
        }
    }
    *taken = st == MBS_OK ? *taken : 0;
    return st;
}
