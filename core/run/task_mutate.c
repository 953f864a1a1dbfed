/*
 * mutate: at every position each other token in its place: ln P(changed) - ln P(as it stands) over the position and the
 * `window` that follow it. One session reads ahead and leaves what the stream itself is worth; a second one stands in
 * front of the position at hand, and each change runs from a copy of its state, over its window and no further.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "plug/params.h"
#include "run/task.h"
#include "stream/chunk.h"

#define PIECE_SECONDS 0.2
#define PIECE_SITES 256
#define CALL_ROWS 1024

typedef struct task_mutate {
    mbs_task_env env;
    mbs_session *ahead, *pass, *branch;
    int64_t window;
    int32_t *choices; /* ids that are tried, the columns */
    int64_t n_choices;
    int32_t fed[CALL_ROWS];
    float got[CALL_ROWS];
    float rows[PIECE_SITES * 16];
    /* Units that have come and are still needed; the first is the position at hand. */
    int32_t *ids;
    uint8_t *scored;
    float *logprob;
    size_t cap_ids, cap_scored, cap_logprob;
    int64_t n;
    int64_t position;       /* of the first */
    int64_t start;          /* of the first that is written */
    int begun, ended, last; /* SEQ_START and SEQ_END were given; nothing more will come */
    mbs_task_totals totals;
} task_mutate;

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    task_mutate *t = self;
    t->n = 0;
    t->position = record->start - record->context;
    t->start = record->start;
    t->begun = t->ended = t->last = 0;
    mbs_around around = mbs_vocab_around(t->env.vocab);
    mbs_run_out out = {.layer = -1};
    mbs_status st = mbs_session_reset(t->ahead, err);
    st = st == MBS_OK ? mbs_session_reset(t->pass, err) : st;
    st = st == MBS_OK ? mbs_task_feed(t->ahead, around.before, around.n_before, CALL_ROWS, &out, err) : st;
    return st == MBS_OK ? mbs_task_feed(t->pass, around.before, around.n_before, 1, &out, err) : st;
}

static int grow(task_mutate *t, int64_t more) {
    size_t need = (size_t)(t->n + more);
    int32_t *ids = mbs_grow(t->ids, &t->cap_ids, need, sizeof(*ids));
    t->ids = ids ? ids : t->ids;
    uint8_t *scored = mbs_grow(t->scored, &t->cap_scored, need, 1);
    t->scored = scored ? scored : t->scored;
    float *logprob = mbs_grow(t->logprob, &t->cap_logprob, need, sizeof(*logprob));
    t->logprob = logprob ? logprob : t->logprob;
    return ids && scored && logprob;
}

/* n rows come: what they are worth where they stand. */
static mbs_status take(task_mutate *t, const mbs_block *tokens, int64_t from, int64_t n, mbs_err *err) {
    int64_t vocab = mbs_model_get_config(t->env.models->model)->vocab_rows;
    const mbs_side *scored = mbs_block_side_find(tokens, "scored");
    int64_t fed = 0;
    if (mbs_block_side_find(tokens, "interval")) {
        return mbs_fail(err, MBS_ERR_CONFIG, "mutate", "the codec's tokens are not of one unit each");
    }
    if (!grow(t, n)) {
        return mbs_fail_memory(err, "mutate", (size_t)(t->n + n) * 9);
    }
    for (int64_t i = 0; i < n; i++) {
        int32_t id = ((const int32_t *)tokens->data)[from + i];
        if (id >= vocab) {
            return mbs_fail(err, MBS_ERR_DATA, tokens->record->name, "token %d is not one of the model's %lld", id,
                            (long long)vocab);
        }
        t->ids[t->n + i] = id;
        t->scored[t->n + i] = id >= 0 && (!scored || ((const uint8_t *)scored->data)[from + i]);
        if (id >= 0) {
            t->fed[fed++] = id;
        }
    }
    mbs_run_out o = {.layer = -1, .logprob = t->got};
    mbs_status st = fed > 0 ? mbs_session_run(t->ahead, t->fed, fed, &o, err) : MBS_OK;
    for (int64_t i = 0, k = 0; i < n; i++) {
        t->logprob[t->n + i] = t->ids[t->n + i] >= 0 && st == MBS_OK ? t->got[k++] : NAN;
    }
    t->n += n;
    return st;
}

/* Units from the position at hand that count with it. */
static int64_t reach(const task_mutate *t) {
    return t->n - 1 < t->window ? t->n : t->window + 1;
}

/* The sum over the units that are scored, with `id` in the place of the first. */
static mbs_status changed(task_mutate *t, int32_t id, double *sum, mbs_err *err) {
    int64_t n = reach(t);
    mbs_status st = mbs_session_copy(t->branch, t->pass, err);
    *sum = 0;
    for (int64_t from = 0; from < n && st == MBS_OK;) {
        int64_t fed = 0;
        int64_t at = from;
        for (; at < n && fed < CALL_ROWS; at++) {
            if (t->ids[at] >= 0) {
                t->fed[fed++] = at == 0 ? id : t->ids[at];
            }
        }
        mbs_run_out o = {.layer = -1, .logprob = t->got};
        st = fed > 0 ? mbs_session_run(t->branch, t->fed, fed, &o, err) : MBS_OK;
        for (int64_t i = from, k = 0; i < at && st == MBS_OK; i++) {
            if (t->ids[i] >= 0) {
                *sum += t->scored[i] ? (double)t->got[k] : 0;
                k++;
            }
        }
        from = at;
    }
    return st;
}

/* The row of the position at hand; NaN where nothing can be said: no letter, or nothing in front of it. */
static mbs_status site(task_mutate *t, float *row, mbs_err *err) {
    int64_t n = reach(t);
    int known = t->scored[0] && !isnan(t->logprob[0]);
    double stands = 0;
    for (int64_t i = 0; i < n; i++) {
        stands += t->scored[i] ? (double)t->logprob[i] : 0;
    }
    mbs_status st = MBS_OK;
    for (int64_t k = 0; k < t->n_choices && st == MBS_OK; k++) {
        double sum = 0;
        int same = t->choices[k] == t->ids[0];
        st = known && !same ? changed(t, t->choices[k], &sum, err) : MBS_OK;
        row[k] = !known ? NAN : same ? 0.0f : (float)(sum - stands);
    }
    t->totals.scored += known;
    return st;
}

/* The position at hand is done: the session behind it takes it. */
static mbs_status advance(task_mutate *t, mbs_err *err) {
    mbs_run_out o = {.layer = -1};
    mbs_status st = t->ids[0] >= 0 ? mbs_session_run(t->pass, t->ids, 1, &o, err) : MBS_OK;
    t->n--;
    t->position++;
    memmove(t->ids, t->ids + 1, (size_t)t->n * sizeof(*t->ids));
    memmove(t->scored, t->scored + 1, (size_t)t->n);
    memmove(t->logprob, t->logprob + 1, (size_t)t->n * sizeof(*t->logprob));
    return st;
}

static int ready(const task_mutate *t) {
    return t->n > 0 && (t->last || t->n > t->window || t->position < t->start);
}

/* Positions that have their window, for as long as a step may last. */
static mbs_status work(task_mutate *t, const mbs_record *record, mbs_block **out, mbs_err *err) {
    double t0 = mbs_clock();
    int64_t sites = 0;
    mbs_status st = MBS_OK;
    while (st == MBS_OK && ready(t) && sites < PIECE_SITES && (sites == 0 || mbs_clock() - t0 < PIECE_SECONDS)) {
        if (t->position >= t->start) {
            st = site(t, t->rows + sites++ * t->n_choices, err);
        }
        st = st == MBS_OK ? advance(t, err) : st;
    }
    int end = t->last && t->n == 0;
    *out = NULL;
    if (st != MBS_OK || (sites == 0 && !end)) {
        return st;
    }
    int64_t shape[2] = {sites, t->n_choices};
    mbs_block *b = mbs_block_new("mutate/f32", MBS_F32, 2, shape);
    if (!b) {
        return mbs_fail_memory(err, "mutate", (size_t)(sites * t->n_choices) * sizeof(float));
    }
    memcpy(b->data, t->rows, (size_t)(sites * t->n_choices) * sizeof(float));
    b->record = record;
    b->start = t->position - sites;
    b->end = t->position;
    b->flags = (t->begun ? 0u : MBS_SEQ_START) | (end ? MBS_SEQ_END : 0u);
    t->begun = 1;
    t->ended = end;
    t->totals.tokens += sites;
    *out = b;
    return MBS_OK;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    task_mutate *t = self;
    mbs_status st = MBS_OK;
    *taken = 0;
    if (!ready(t)) {
        int64_t n = tokens->shape[0] - from;
        *taken = n < CALL_ROWS ? n : CALL_ROWS;
        st = take(t, tokens, from, *taken, err);
    }
    return st == MBS_OK ? work(t, tokens->record, out, err) : st;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    task_mutate *t = self;
    t->last = 1;
    mbs_status st = work(t, record, out, err);
    *more = !t->ended;
    return st;
}

static void put_session(mbs_buf *out, mbs_session *s, mbs_status *st, mbs_err *err) {
    mbs_buf blob = MBS_BUF_INIT;
    *st = *st == MBS_OK ? mbs_session_save(s, &blob, err) : *st;
    mbs_buf_put_bytes(out, blob.data, blob.len);
    mbs_buf_free(&blob);
}

static mbs_status save(void *self, mbs_buf *out, mbs_err *err) {
    task_mutate *t = self;
    mbs_status st = MBS_OK;
    mbs_buf_put_i64(out, t->begun | t->ended << 1 | t->last << 2);
    mbs_buf_put_i64(out, t->position);
    mbs_buf_put_i64(out, t->start);
    mbs_buf_put_i64(out, t->totals.tokens);
    mbs_buf_put_i64(out, t->totals.scored);
    mbs_buf_put_i64(out, t->n);
    mbs_buf_put_bytes(out, t->ids, (size_t)t->n * sizeof(*t->ids));
    mbs_buf_put_bytes(out, t->scored, (size_t)t->n);
    mbs_buf_put_bytes(out, t->logprob, (size_t)t->n * sizeof(*t->logprob));
    put_session(out, t->ahead, &st, err);
    put_session(out, t->pass, &st, err);
    return st;
}

static mbs_status restore(void *self, const void *bytes, size_t size, mbs_err *err) {
    task_mutate *t = self;
    mbs_cursor c = {bytes, size, 0};
    int64_t flags = mbs_cursor_i64(&c);
    t->begun = flags & 1;
    t->ended = (flags >> 1) & 1;
    t->last = (flags >> 2) & 1;
    t->position = mbs_cursor_i64(&c);
    t->start = mbs_cursor_i64(&c);
    t->totals.tokens = mbs_cursor_i64(&c);
    t->totals.scored = mbs_cursor_i64(&c);
    int64_t n = mbs_cursor_i64(&c);
    t->n = 0;
    int whole = !c.failed && n >= 0 && (uint64_t)n <= size && grow(t, n) &&
                mbs_cursor_into(&c, t->ids, (size_t)n * sizeof(*t->ids)) && mbs_cursor_into(&c, t->scored, (size_t)n) &&
                mbs_cursor_into(&c, t->logprob, (size_t)n * sizeof(*t->logprob));
    size_t len = 0;
    const void *ahead = mbs_cursor_bytes(&c, &len);
    if (!whole || c.failed) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "the state of the task is cut short");
    }
    t->n = n;
    mbs_status st = mbs_session_restore(t->ahead, ahead, len, err);
    const void *pass = mbs_cursor_bytes(&c, &len);
    return st == MBS_OK ? mbs_session_restore(t->pass, pass, len, err) : st;
}

static mbs_status setup(task_mutate *t, mbs_err *err) {
    const mbs_vocab *v = t->env.vocab;
    t->window = mbs_task_edit_window(t->env.models->params);
    t->choices = v ? mbs_calloc((size_t)v->size, sizeof(*t->choices)) : NULL;
    if (!v) {
        return mbs_fail(err, MBS_ERR_CONFIG, "mutate", "the codec has no vocabulary to choose from");
    }
    if (!t->choices || !grow(t, 1)) {
        return mbs_fail_memory(err, "mutate", (size_t)v->size * sizeof(*t->choices));
    }
    for (int32_t i = 0; i < v->size; i++) {
        if (v->decodable[i]) {
            t->choices[t->n_choices++] = i;
        }
    }
    if (t->n_choices < 2 || t->n_choices > 16) {
        return mbs_fail(err, MBS_ERR_CONFIG, "mutate", "the codec has %lld tokens to choose from, it takes 2 to 16",
                        (long long)t->n_choices);
    }
    mbs_status st = mbs_session_new(t->env.models->model, CALL_ROWS, &t->ahead, err);
    st = st == MBS_OK ? mbs_session_new(t->env.models->model, 1, &t->pass, err) : st;
    return st == MBS_OK ? mbs_session_new(t->env.models->model, CALL_ROWS, &t->branch, err) : st;
}

mbs_status mbs_task_mutate_new(const mbs_task_env *env, mbs_carry *out, mbs_err *err) {
    memset(out, 0, sizeof(*out));
    task_mutate *t = mbs_calloc(1, sizeof(*t));
    if (!t) {
        return mbs_fail_memory(err, "mutate", sizeof(*t));
    }
    t->env = *env;
    *out = (mbs_carry){.self = t, .begin = begin, .step = step, .finish = finish, .save = save, .restore = restore};
    mbs_status st = setup(t, err);
    if (st != MBS_OK) {
        mbs_task_mutate_free(out);
    }
    return st;
}

void mbs_task_mutate_free(mbs_carry *carry) {
    task_mutate *t = carry->self;
    if (t) {
        mbs_session_free(t->ahead);
        mbs_session_free(t->pass);
        mbs_session_free(t->branch);
        mbs_free(t->choices);
        mbs_free(t->ids);
        mbs_free(t->scored);
        mbs_free(t->logprob);
        mbs_free(t);
    }
    carry->self = NULL;
}

const mbs_task_totals *mbs_task_mutate_totals(const mbs_carry *carry) {
    return &((const task_mutate *)carry->self)->totals;
}
