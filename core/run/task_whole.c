/* task_whole.c - a record is collected, goes through the model, and is given piece by piece. */
#include "run/task_whole.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "stream/chunk.h"

/* Seconds after which a call comes back. */
#define A_WHILE 0.2

/* --- collecting -----------------------------------------------------------------------------------------------------
 */

static void forget(whole_task *w) {
    w->n = w->n_fed = w->row = w->row_fed = w->pooled = 0;
    w->has_scored = w->has_interval = w->prepared = w->wrapped = 0;
    mbs_whole_units_begin(w);
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_rows *t = self;
    (void)err;
    t->started = t->ended = t->has_last = 0;
    t->position = record->start;
    forget(t->whole);
    return MBS_OK;
}

static mbs_status grow(whole_task *w, int64_t n, mbs_err *err) {
    int32_t *ids = mbs_grow(w->ids, &w->cap_ids, (size_t)n, sizeof *ids);
    w->ids = ids ? ids : w->ids;
    uint8_t *scored = mbs_grow(w->scored, &w->cap_scored, (size_t)n, sizeof *scored);
    w->scored = scored ? scored : w->scored;
    int64_t *interval =
        w->has_interval ? mbs_grow(w->interval, &w->cap_interval, 2 * (size_t)n, sizeof *interval) : NULL;
    w->interval = interval ? interval : w->interval;
    return ids && scored && (interval || !w->has_interval) ? MBS_OK
                                                           : mbs_fail_memory(err, "model", (size_t)n * sizeof *ids);
}

/* Rows [from, ...) of a block to the record. */
static mbs_status collect(task_rows *t, const mbs_block *b, int64_t from, mbs_err *err) {
    whole_task *w = t->whole;
    int64_t n = b->shape[0] - from;
    const mbs_side *scored = mbs_block_side_find(b, "scored");
    const mbs_side *interval = mbs_block_side_find(b, "interval");
    const int32_t *ids = (const int32_t *)b->data + from;
    if (w->n == 0) {
        w->start = mbs_chunk_position(b, from);
        w->context = 0;
        w->has_interval = interval != NULL;
    }
    mbs_status st = grow(w, w->n + n, err);
    st = st < 0 ? st : mbs_whole_check_ids(t, b, from, err);
    for (int64_t i = 0; st >= 0 && i < n; i++) {
        w->ids[w->n + i] = ids[i];
        w->scored[w->n + i] = (uint8_t)mbs_task_row_scored(scored, from + i);
        if (w->has_interval) {
            w->interval[2 * (w->n + i)] = mbs_chunk_position(b, from + i);
            w->interval[2 * (w->n + i) + 1] = mbs_chunk_position(b, from + i + 1);
        }
    }
    if (st >= 0) {
        int64_t context = mbs_chunk_context_rows(b) - from;
        w->context = context > 0 ? w->n + context : w->context;
        w->has_scored |= scored != NULL;
        w->n += n;
        w->end = mbs_chunk_position(b, b->shape[0]);
    }
    return st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    *taken = tokens->shape[0] - from;
    *out = NULL;
    return collect(self, tokens, from, err);
}

/* All of the record as a block, borrowed. */
static mbs_block record_block(whole_task *w, const mbs_record *record) {
    mbs_block b = {.struct_size = (uint32_t)sizeof b,
                   .flags = MBS_SEQ_START | MBS_SEQ_END,
                   .type = "tokens/i32",
                   .dtype = MBS_I32,
                   .ndim = 1,
                   .shape = {w->n},
                   .data = w->ids,
                   .record = record,
                   .start = w->start,
                   .end = w->end};
    if (w->has_scored) {
        b.sides[b.n_sides++] = (mbs_side){"scored", MBS_U8, 1, w->scored};
    }
    if (w->has_interval) {
        b.sides[b.n_sides++] = (mbs_side){"interval", MBS_I64, 2, w->interval};
    }
    return b;
}

/* --- giving ---------------------------------------------------------------------------------------------------------
 */

/* Which of the fed tokens mode masked has to mask: NaN stays NaN. */
static mbs_status prepare_masked(whole_task *w, mbs_err *err) {
    float *lp = mbs_grow(w->lp, &w->cap_lp, (size_t)w->n_fed + 1, sizeof *lp);
    int64_t f = 0;
    if (!lp) {
        return mbs_fail_memory(err, "model", (size_t)w->n_fed * sizeof *lp);
    }
    w->lp = lp;
    while (f < w->own) {
        lp[f++] = NAN;
    }
    for (int64_t i = 0; i < w->n; i++) {
        if (w->ids[i] >= 0) {
            lp[f++] = i >= w->context && w->scored[i] ? 0.0F : NAN;
        }
    }
    while (f < w->n_fed) {
        lp[f++] = NAN;
    }
    return MBS_OK;
}

/* A class is told by what is around a record too: it becomes rows of it. */
static mbs_status wrap(task_rows *t, mbs_err *err) {
    whole_task *w = t->whole;
    const mbs_around *a = &t->around;
    int64_t more = a->n_before + a->n_after;
    mbs_around none = {0};
    int some = 0;
    for (int64_t i = 0; i < w->n && !some; i++) {
        some = w->ids[i] >= 0;
    }
    mbs_status st = more > 0 && some ? grow(w, w->n + more, err) : MBS_OK;
    if (st >= 0 && more > 0 && some) {
        memmove(w->ids + a->n_before, w->ids, (size_t)w->n * sizeof *w->ids);
        memmove(w->scored + a->n_before, w->scored, (size_t)w->n);
        for (int32_t i = 0; i < a->n_before; i++) {
            w->ids[i] = a->before[i];
            w->scored[i] = 1;
        }
        for (int32_t i = 0; i < a->n_after; i++) {
            w->ids[a->n_before + w->n + i] = a->after[i];
            w->scored[a->n_before + w->n + i] = 1;
        }
        w->n += more;
        w->context += w->context > 0 ? a->n_before : 0;
        w->has_interval = 0; /* one row comes of all of them */
        w->wrapped = 1;
        t->totals.tokens -= more; /* they are counted with the rows */
    }
    mbs_around kept = t->around;
    t->around = none;
    st = st < 0 ? st : mbs_whole_feed(t, w->ids, w->n, err);
    t->around = kept;
    return st;
}

static mbs_status prepare(task_rows *t, mbs_err *err) {
    whole_task *w = t->whole;
    mbs_status st = t->env.task == MBS_TASK_CLASSIFY ? wrap(t, err) : mbs_whole_feed(t, w->ids, w->n, err);
    w->own = w->row_fed = w->n_fed > 0 && !w->wrapped ? t->around.n_before : 0;
    st = st >= 0 && w->masked ? prepare_masked(w, err) : st;
    for (; w->row < w->context; w->row++) {
        w->row_fed += w->ids[w->row] >= 0;
    }
    for (int64_t j = 0; t->sum && j < t->width; j++) {
        t->sum[j] = 0;
    }
    w->prepared = 1;
    mbs_whole_units_begin(w);
    return st;
}

/* Adds n rows of a pooled record; of those that count. */
static void pool_rows(task_rows *t, const mbs_block *tokens, int64_t row, int64_t n, const float *computed) {
    whole_task *w = t->whole;
    const int32_t *ids = tokens->data;
    const mbs_side *scored = mbs_task_scored(t, tokens);
    for (int64_t i = row; i < row + n; i++) {
        if (ids[i] < 0) {
            continue;
        }
        if (mbs_task_row_scored(scored, i)) {
            for (int64_t j = 0; t->sum && j < t->width; j++) {
                t->sum[j] += (double)computed[j];
            }
            if (t->last) {
                int64_t keep =
                    w->pooled > 0 && t->pooled ? mbs_model_get_config(t->env.models->model)->d_model : t->width;
                memcpy(t->last, computed, (size_t)keep * sizeof *t->last); /* the other stream's last is its first */
            }
            w->pooled++;
        }
        computed += t->width;
    }
}

/* What writers get of the record's pooled row. */
static mbs_status pooled_row(task_rows *t, const mbs_record *record, float *row, mbs_err *err) {
    whole_task *w = t->whole;
    float *to = t->pooled ? t->pooled : row;
    if (t->pool == POOL_MEAN) {
        mbs_task_mean(t, w->pooled, to);
    } else {
        for (int64_t j = 0; j < t->width; j++) {
            to[j] = w->pooled > 0 ? t->last[j] : NAN;
        }
    }
    if (!t->pooled) {
        return MBS_OK;
    }
    int64_t d = mbs_model_get_config(t->env.models->model)->d_model;
    for (int64_t j = 0; t->width > d && j < d; j++) { /* both streams go through the head, and it is linear */
        t->pooled[j] = 0.5F * (t->pooled[j] + t->pooled[2 * d - 1 - j]);
    }
    return mbs_task_classify(t, record, t->pooled, row, err);
}

/* Rows [row, row + n) of `tokens`, of which m are fed from `f` on, as a block or into the pool. */
static mbs_status give_rows(task_rows *t, const mbs_block *tokens, const whole_unit *u, int64_t row, int64_t n,
                            int64_t f, int64_t m, mbs_block **out, mbs_err *err) {
    whole_task *w = t->whole;
    mbs_block *b = t->pool == POOL_NONE ? mbs_task_rows_block(t, tokens, row, n) : NULL;
    if (t->pool == POOL_NONE && !b) {
        return mbs_fail_memory(err, "stream", (size_t)(n * t->width) * sizeof(float));
    }
    float *rows = b ? b->data : w->a;
    mbs_status st = MBS_OK;
    if (m > 0 && w->masked) {
        memcpy(rows, w->lp + f, (size_t)m * sizeof *rows);
    } else if (m > 0) {
        st = mbs_whole_fetch(t, u, f, m, rows, err);
    }
    if (st < 0) {
        mbs_block_unref(b);
        return st;
    }
    if (b) {
        mbs_task_spread(t, tokens, row, rows, n, m);
        if (t->env.task == MBS_TASK_SCORE) {
            mbs_task_count_scores(t, rows, mbs_block_side_find(tokens, "scored"), row, n);
        }
    } else {
        pool_rows(t, tokens, row, n, rows);
    }
    t->totals.tokens += n;
    t->position = mbs_chunk_position(tokens, row + n);
    *out = b;
    return MBS_OK;
}

/* The next rows, up to the fed token `limit`; *done where there are none. */
static mbs_status give_piece(task_rows *t, const mbs_record *record, const whole_unit *u, int64_t limit, int *done,
                             mbs_block **out, mbs_err *err) {
    whole_task *w = t->whole;
    mbs_block tokens = record_block(w, record);
    int64_t n = 0;
    int64_t m = 0;
    while (n < w->piece && w->row + n < w->n && (w->ids[w->row + n] < 0 || w->row_fed + m < limit)) {
        m += w->ids[w->row + n] >= 0;
        n++;
    }
    *done = n == 0;
    if (n == 0) {
        return MBS_OK;
    }
    int64_t skipped = w->row_fed; /* rows of context in a window of their own are gone through for nothing */
    mbs_status st = give_rows(t, &tokens, u, w->row, n, skipped, m, out, err);
    w->row += n;
    w->row_fed += m;
    return st;
}

/* The call is done: what only it can tell is taken out of it. */
static mbs_status call_done(task_rows *t, mbs_err *err) {
    whole_task *w = t->whole;
    double seconds = mbs_clock() - w->began;
    mbs_status st = MBS_OK;
    w->running = 0;
    t->totals.seconds += seconds;
    mbs_pace_took(&t->pace, w->call_rows, seconds);
    for (int64_t i = 0; st >= 0 && w->masked && i < w->n_units; i++) {
        const whole_unit *u = &w->units[i];
        st = u->probe ? mbs_whole_measure(t, u - 1, u, err) : mbs_whole_take_masked(t, u, err);
    }
    w->unit = w->masked ? w->n_units : 0;
    return st;
}

/* Whatever comes next; *out may stay NULL. */
static mbs_status proceed(task_rows *t, const mbs_record *record, int *over, mbs_block **out, mbs_err *err) {
    whole_task *w = t->whole;
    int done = 0;
    mbs_status st = MBS_OK;
    if (w->running) {
        st = mbs_whole_advance(w->run, &done, err);
        return st >= 0 && done ? call_done(t, err) : st;
    }
    if (w->unit < w->n_units) {
        const whole_unit *u = &w->units[w->unit];
        if (u->probe) {
            w->unit++;
            return mbs_whole_measure(t, u - 1, u, err);
        }
        st = give_piece(t, record, u, u->core_end, &done, out, err);
        w->unit += done;
        return st;
    }
    st = mbs_whole_units_next(t, err);
    if (st < 0 || w->running) {
        return st;
    }
    st = give_piece(t, record, NULL, w->masked ? w->n_fed : 0, &done, out, err);
    *over = done;
    return st;
}

static mbs_status end_record(task_rows *t, const mbs_record *record, mbs_block **out, mbs_err *err) {
    if (t->ended) {
        return MBS_OK;
    }
    mbs_block *b = mbs_task_end_block(t, record);
    if (!b) {
        return mbs_fail_memory(err, "stream", (size_t)t->width * sizeof(float));
    }
    mbs_status st = t->pool == POOL_NONE ? MBS_OK : pooled_row(t, record, b->data, err);
    if (st < 0) {
        mbs_block_unref(b);
        return st;
    }
    t->ended = 1;
    *out = b;
    return MBS_OK;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_rows *t = self;
    whole_task *w = t->whole;
    double t0 = mbs_clock();
    int over = 0;
    *out = NULL;
    *more = 1;
    mbs_status st = w->prepared ? MBS_OK : prepare(t, err);
    while (st >= 0 && !over && !*out && mbs_clock() - t0 < A_WHILE) {
        st = proceed(t, record, &over, out, err);
    }
    if (st >= 0 && over) {
        *more = 0;
        st = end_record(t, record, out, err);
    }
    return st;
}

/* --- short records side by side -------------------------------------------------------------------------------------
 */

static int64_t many_rows(void *self) {
    const task_rows *t = self;
    int64_t around = t->around.n_before + t->around.n_after;
    return t->pace.rows > 4 * around ? t->pace.rows : 0;
}

/* All that a record gives whose tokens are the unit's. */
static mbs_status give_record(task_rows *t, const mbs_block *tokens, const whole_unit *u, mbs_block **out,
                              mbs_err *err) {
    whole_task *w = t->whole;
    int64_t rows = tokens->shape[0];
    int64_t context = mbs_chunk_context_rows(tokens);
    const int32_t *ids = tokens->data;
    int64_t f = u->core;
    t->started = t->ended = t->has_last = 0;
    t->position = tokens->record->start;
    w->pooled = 0;
    for (int64_t j = 0; t->sum && j < t->width; j++) {
        t->sum[j] = 0;
    }
    for (int64_t i = 0; i < context; i++) {
        f += ids[i] >= 0;
    }
    *out = NULL;
    mbs_status st = MBS_OK;
    if (rows > context) {
        st = give_rows(t, tokens, u, context, rows - context, f, u->core_end - f, out, err);
    }
    if (st >= 0 && !*out) {
        st = end_record(t, tokens->record, out, err);
    }
    t->started = t->ended = 1;
    return st;
}

static mbs_status many(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out, mbs_err *err) {
    task_rows *t = self;
    whole_task *w = t->whole;
    mbs_status st = MBS_OK;
    int64_t around = t->around.n_before + t->around.n_after;
    forget(w);
    w->call_rows = w->call_seqs = 0;
    *taken = 0;
    while (*taken < n && st >= 0 && (*taken == 0 || w->call_rows + tokens[*taken]->shape[0] + around <= t->pace.rows)) {
        st = mbs_whole_add_record(t, tokens[(*taken)++], err);
    }
    w->began = mbs_clock();
    if (st >= 0 && w->call_seqs > 0) {
        st = mbs_whole_run(w->run, w->call_ids, w->call_starts, w->call_seqs, t->layer, err);
        t->totals.fed += w->call_rows;
        st = st < 0 ? st : call_done(t, err);
    }
    for (int64_t i = 0; i < *taken && st >= 0; i++) {
        st = give_record(t, tokens[i], &w->units[i], &out[i], err);
        for (int64_t k = 0; st < 0 && k < i; k++) {
            mbs_block_unref(out[k]);
        }
    }
    *taken = st < 0 ? 0 : *taken;
    forget(w);
    return st;
}

/* --- the journal ----------------------------------------------------------------------------------------------------
 */

/* The rows that came, and how many of them were given: what the model made of them is made again. */
static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_rows *t = self;
    const whole_task *w = t->whole;
    int64_t given = w->prepared && t->pool == POOL_NONE ? w->row : 0;
    int64_t again = w->prepared && t->pool != POOL_NONE ? w->row - w->context : 0; /* will be counted again */
    int64_t front = w->wrapped ? t->around.n_before : 0;
    int64_t own = w->n - front - (w->wrapped ? t->around.n_after : 0);
    const int64_t words[] = {t->started | t->ended << 1,
                             t->position,
                             t->totals.tokens - again + (w->n - own),
                             t->totals.scored,
                             given,
                             own,
                             w->start,
                             w->end,
                             w->context > 0 ? w->context - front : 0,
                             w->has_scored,
                             w->has_interval,
                             w->prepared};
    (void)err;
    mbs_buf_put_bytes(out, words, sizeof words);
    mbs_buf_put_f64(out, t->totals.logprob);
    mbs_buf_put_bytes(out, w->ids + front, (size_t)own * sizeof *w->ids);
    mbs_buf_put_bytes(out, w->scored + front, (size_t)own);
    mbs_buf_put_bytes(out, w->interval, w->has_interval ? (size_t)w->n * 2 * sizeof *w->interval : 0);
    mbs_task_classify_save(t, out);
    return MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n, mbs_err *err) {
    task_rows *t = self;
    whole_task *w = t->whole;
    mbs_cursor c = {bytes, n, 0};
    int64_t words[12] = {0};
    size_t len[4] = {0};
    const void *head = mbs_cursor_bytes(&c, &len[0]);
    if (c.failed || len[0] != sizeof words) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the record's rows are cut short");
    }
    memcpy(words, head, sizeof words);
    double logprob = mbs_cursor_f64(&c);
    const void *ids = mbs_cursor_bytes(&c, &len[1]);
    const void *scored = mbs_cursor_bytes(&c, &len[2]);
    const void *interval = mbs_cursor_bytes(&c, &len[3]);
    size_t rows = len[2];
    forget(w);
    if (c.failed || words[5] < 0 || rows != (size_t)words[5] || len[1] != rows * sizeof *w->ids ||
        len[3] != (words[10] ? rows * 2 * sizeof *w->interval : 0) || words[4] < 0 || words[4] > words[5]) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the record's rows are cut short");
    }
    t->started = (int)(words[0] & 1);
    t->ended = (int)(words[0] >> 1 & 1);
    t->position = words[1];
    t->totals.tokens = words[2];
    t->totals.scored = words[3];
    t->totals.logprob = logprob;
    w->has_interval = words[10] != 0;
    mbs_status st = grow(w, words[5] + 1, err);
    if (st < 0) {
        return st;
    }
    memcpy(w->ids, ids, len[1]);
    memcpy(w->scored, scored, rows);
    if (len[3]) {
        memcpy(w->interval, interval, len[3]);
    }
    w->n = words[5];
    w->start = words[6];
    w->end = words[7];
    w->context = words[8];
    w->has_scored = words[9] != 0;
    st = words[11] ? prepare(t, err) : MBS_OK;
    for (; st >= 0 && w->row < words[4]; w->row++) {
        w->row_fed += w->ids[w->row] >= 0;
    }
    while (st >= 0 && w->window > 0 && !w->masked && t->pool == POOL_NONE && w->row_fed >= (w->win + 1) * w->window) {
        w->win++;
    }
    return st < 0 ? st : mbs_task_classify_restore(t, &c, err);
}

void mbs_whole_carry(const task_rows *t, mbs_carry *out) {
    const whole_task *w = t->whole;
    int wraps = t->env.task == MBS_TASK_CLASSIFY && t->around.n_before + t->around.n_after > 0;
    int alone = w->masked || w->window > 0 || wraps;
    out->begin = begin;
    out->step = step;
    out->finish = finish;
    out->save = save;
    out->restore = restore;
    out->many_rows = alone ? NULL : many_rows;
    out->many = alone ? NULL : many;
}
