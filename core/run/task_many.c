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
    return ((const task_rows *)self)->pace.rows;
}

/* Takes the first records that fit a call: their tokens to t->ids, where each begins to t->starts. Gives how many. */
static mbs_status take(task_rows *t, mbs_block *const *tokens, int64_t n, int64_t *taken, int64_t *fed, int64_t *n_seq,
                       mbs_err *err) {
    *taken = *fed = *n_seq = 0;
    while (*taken < n) {
        const mbs_block *b = tokens[*taken];
        int64_t before = *fed;
        if (before + b->shape[0] > (*taken ? t->pace.rows : t->pace.max)) {
            break;
        }
        mbs_status st = mbs_task_gather(t, b, 0, b->shape[0], fed, err);
        if (st != MBS_OK) {
            return st;
        }
        if (*fed > before) {
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

static int64_t count_fed(const task_rows *t, const mbs_block *tokens, int64_t from, int64_t to) {
    int64_t n = 0;
    for (int64_t i = from; i < to; i++) {
        n += mbs_task_is_fed(t, tokens, i);
    }
    return n;
}

static void fill_rows(task_rows *t, const mbs_block *tokens, int64_t context, const float *computed, mbs_block *b) {
    int64_t n = b->shape[0];
    int64_t fed = count_fed(t, tokens, context, tokens->shape[0]);
    if (fed > 0) {
        memcpy(b->data, computed, (size_t)(fed * t->width) * sizeof(float));
    }
    mbs_task_spread(t, tokens, context, b->data, n, fed);
    if (t->env.task == MBS_TASK_SCORE) {
        mbs_task_count_scores(t, b->data, mbs_block_side_find(tokens, "scored"), context, n);
    }
}

/* What is scored of the rows, as their mean (summed in the order of the rows, as a session does) or the last of them.
 */
static void fill_pooled(task_rows *t, const mbs_block *tokens, int64_t context, const float *computed, float *row) {
    const mbs_side *scored = mbs_task_scored(t, tokens);
    const float *last = NULL;
    int64_t rows = 0;
    for (int64_t j = 0; t->sum && j < t->width; j++) {
        t->sum[j] = 0;
    }
    for (int64_t i = context; i < tokens->shape[0]; i++) {
        int fed = mbs_task_is_fed(t, tokens, i);
        if (fed && mbs_task_row_scored(scored, i)) {
            last = computed;
            rows++;
            for (int64_t j = 0; t->sum && j < t->width; j++) {
                t->sum[j] += (double)computed[j];
            }
        }
        computed += fed ? t->width : 0;
    }
    if (t->sum) {
        mbs_task_mean(t, rows, row);
        return;
    }
    for (int64_t j = 0; j < t->width; j++) {
        row[j] = last ? last[j] : NAN;
    }
}

/* What writers get of the record's pooled row. */
static mbs_status end_row(task_rows *t, const mbs_block *tokens, int64_t context, const float *computed, float *row,
                          mbs_err *err) {
    int classify = t->env.task == MBS_TASK_CLASSIFY;
    fill_pooled(t, tokens, context, computed, classify ? t->pooled : row);
    return classify ? mbs_task_classify(t, tokens->record, t->pooled, row, err) : MBS_OK;
}

/* All that a record gives; `computed` are the rows of its tokens. */
static mbs_status whole_record(task_rows *t, const mbs_block *tokens, const float *computed, mbs_block **out,
                               mbs_err *err) {
    int64_t rows = tokens->shape[0];
    int64_t context = mbs_chunk_context_rows(tokens);
    computed += count_fed(t, tokens, 0, context) * t->width;
    t->started = t->ended = t->has_last = 0;
    t->position = rows > context ? mbs_chunk_position(tokens, rows) : tokens->record->start;
    t->totals.tokens += rows - context;
    mbs_block *b = NULL;
    mbs_status st = MBS_OK;
    if (t->pool == POOL_NONE && rows > context) {
        b = mbs_task_rows_block(t, tokens, context, rows - context);
        if (b) {
            fill_rows(t, tokens, context, computed, b);
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
        at += count_fed(t, tokens[i], 0, tokens[i]->shape[0]);
        if (st != MBS_OK) {
            while (i-- > 0) {
                mbs_block_unref(out[i]);
            }
        }
    }
    *taken = st == MBS_OK ? *taken : 0;
    return st;
}
