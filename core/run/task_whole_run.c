/* task_whole_run.c - windows, passes and strands of a record on their way through a model that takes whole records. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "run/task_whole.h"
#include "stream/chunk.h"

/* One window in so many is gone through again with twice the halo; of mode masked, one pass in so many of these. */
#define PROBE_EVERY 16
/* Tokens through the model from which on a record is worth a word beforehand. */
#define LONG_WORK 1e9

mbs_status mbs_whole_check_ids(const task_rows *t, const mbs_block *b, int64_t from, mbs_err *err) {
    const int32_t *ids = b->data;
    int64_t limit = mbs_model_get_config(t->env.models->model)->vocab_rows;
    for (int64_t i = from; i < b->shape[0]; i++) {
        if (ids[i] >= limit) {
            mbs_fail(err, MBS_ERR_DATA, b->record->name, "token %d at %lld is not one of the model's %lld", ids[i],
                     (long long)mbs_chunk_position(b, i), (long long)limit);
            mbs_err_fix(err, "use the codec vocabulary that the model was trained with");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

mbs_status mbs_whole_feed(task_rows *t, const int32_t *ids, int64_t n, mbs_err *err) {
    whole_task *w = t->whole;
    const mbs_around *a = &t->around;
    int32_t *fed = mbs_grow(w->fed, &w->cap_fed, (size_t)(w->n_fed + n + a->n_before + a->n_after) + 1, sizeof *fed);
    if (!fed) {
        return mbs_fail_memory(err, "model", (size_t)n * sizeof *fed);
    }
    w->fed = fed;
    int64_t own = w->n_fed + a->n_before;
    int64_t end = own;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= 0) {
            fed[end++] = ids[i];
        }
    }
    if (end == own) {
        return MBS_OK; /* nothing goes around nothing */
    }
    for (int32_t i = 0; i < a->n_before; i++) {
        fed[w->n_fed + i] = a->before[i];
    }
    for (int32_t i = 0; i < a->n_after; i++) {
        fed[end++] = a->after[i];
    }
    w->n_fed = end;
    return MBS_OK;
}

static int64_t windows_of(const whole_task *w) {
    return w->n_fed == 0 ? 0 : w->window > 0 ? (w->n_fed + w->window - 1) / w->window : 1;
}

static whole_unit unit_at(const whole_task *w, int64_t win, int64_t halo) {
    whole_unit u = {.core = 0, .core_end = w->n_fed, .to = w->n_fed, .plus = -1, .minus = -1};
    if (w->window > 0) {
        u.core = win * w->window;
        u.core_end = u.core + w->window < w->n_fed ? u.core + w->window : w->n_fed;
        u.from = u.core > halo ? u.core - halo : 0;
        u.to = w->n_fed - u.core_end > halo ? u.core_end + halo : w->n_fed;
    }
    return u;
}

static int64_t passes_of(const whole_task *w, const whole_unit *u) {
    int64_t n = u->core_end - u->core;
    return !w->masked ? 1 : w->every > 0 && w->every < n ? w->every : n;
}

static int is_masked(const whole_task *w, const whole_unit *u, int64_t f) {
    int64_t k = passes_of(w, u);
    return w->masked && f >= u->core && f < u->core_end && (f - u->core) % k == u->pass;
}

void mbs_whole_units_begin(whole_task *w) {
    w->win = w->pass = 0;
    w->n_units = w->unit = 0;
    w->running = 0;
}

static int32_t complement(const whole_task *w, int32_t id) {
    return id < w->vocab->size ? w->vocab->complement[id] : id;
}

/* A sequence of the call: tokens of the unit, read on one strand. */
static mbs_status add_sequence(whole_task *w, const whole_unit *u, int minus, int64_t *row, mbs_err *err) {
    int64_t n = u->to - u->from;
    int32_t *ids = mbs_grow(w->call_ids, &w->cap_call, (size_t)(w->call_rows + n), sizeof *ids);
    w->call_ids = ids ? ids : w->call_ids;
    int64_t *starts = mbs_grow(w->call_starts, &w->cap_starts, (size_t)w->call_seqs + 2, sizeof *starts);
    w->call_starts = starts ? starts : w->call_starts;
    if (!ids || !starts) {
        return mbs_fail_memory(err, "model", (size_t)(w->call_rows + n) * sizeof *ids);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t f = minus ? u->to - 1 - i : u->from + i;
        int32_t id = is_masked(w, u, f) ? w->mask : w->fed[f];
        ids[w->call_rows + i] = minus ? complement(w, id) : id;
    }
    *row = w->call_rows;
    starts[w->call_seqs++] = w->call_rows;
    w->call_rows += n;
    starts[w->call_seqs] = w->call_rows;
    return MBS_OK;
}

static mbs_status add_unit(whole_task *w, whole_unit u, mbs_err *err) {
    int some = u.to > u.from;
    mbs_status st = some && w->strands & 1 ? add_sequence(w, &u, 0, &u.plus, err) : MBS_OK;
    st = st >= 0 && some && w->strands & 2 ? add_sequence(w, &u, 1, &u.minus, err) : st;
    whole_unit *units = st < 0 ? NULL : mbs_grow(w->units, &w->cap_units, (size_t)w->n_units + 1, sizeof *units);
    if (!units) {
        return st < 0 ? st : mbs_fail_memory(err, "model", sizeof *units);
    }
    w->units = units;
    units[w->n_units++] = u;
    return MBS_OK;
}

mbs_status mbs_whole_add_record(task_rows *t, const mbs_block *b, mbs_err *err) {
    whole_task *w = t->whole;
    whole_unit u = {.from = w->n_fed, .core = w->n_fed, .plus = -1, .minus = -1};
    mbs_status st = mbs_whole_check_ids(t, b, 0, err);
    st = st < 0 ? st : mbs_whole_feed(t, b->data, b->shape[0], err);
    u.to = u.core_end = w->n_fed;
    if (w->n_fed > u.core) {
        u.core += t->around.n_before;
        u.core_end -= t->around.n_after;
    }
    return st < 0 ? st : add_unit(w, u, err);
}

/* Whether a pass masks a token that is asked for. */
static int wanted(const whole_task *w, const whole_unit *u) {
    int64_t k = passes_of(w, u);
    for (int64_t f = u->core + u->pass; w->masked && f < u->core_end; f += k) {
        if (!isnan(w->lp[f])) {
            return 1;
        }
    }
    return !w->masked;
}

static void tell_cost(whole_task *w) {
    whole_unit u = unit_at(w, 0, w->halo);
    double work = (double)passes_of(w, &u) * (double)(u.to - u.from) * (double)windows_of(w);
    if (w->masked && work > LONG_WORK && !w->told_cost) {
        w->told_cost = 1;
        mbs_log(MBS_LOG_WARNING,
                "mode masked takes %.3g tokens through the model for a record of %lld: mask_every or window make it "
                "fewer",
                work, (long long)w->n_fed);
    }
}

mbs_status mbs_whole_units_next(task_rows *t, mbs_err *err) {
    whole_task *w = t->whole;
    int64_t windows = windows_of(w);
    mbs_status st = MBS_OK;
    w->n_units = w->unit = w->call_rows = w->call_seqs = 0;
    if (w->win == 0 && w->pass == 0) {
        tell_cost(w);
    }
    while (st >= 0 && w->win < windows) {
        whole_unit u = unit_at(w, w->win, w->halo);
        u.pass = w->pass;
        if (w->n_units > 0 && w->call_rows + (u.to - u.from) > t->pace.rows) {
            break;
        }
        if (wanted(w, &u)) {
            st = add_unit(w, u, err);
            if (st >= 0 && w->window > 0 && w->win % PROBE_EVERY == 0 && w->pass % PROBE_EVERY == 0) {
                whole_unit probe = unit_at(w, w->win, 2 * w->halo);
                probe.pass = w->pass;
                probe.probe = 1;
                st = add_unit(w, probe, err);
            }
        }
        if (++w->pass >= passes_of(w, &u)) {
            w->pass = 0;
            w->win++;
        }
    }
    w->running = w->n_units > 0;
    w->began = mbs_clock();
    if (st >= 0 && w->running) {
        t->totals.fed += w->call_rows;
        st = mbs_whole_begin(w->run, w->call_ids, w->call_starts, w->call_seqs, t->layer, err);
    }
    return st;
}

/* --- what a call gives ----------------------------------------------------------------------------------------------
 */

static int64_t cols_of(const task_rows *t) {
    return t->env.task == MBS_TASK_SCORE || t->env.task == MBS_TASK_LOGITS
               ? mbs_model_get_config(t->env.models->model)->vocab_rows
               : t->width;
}

/* n rows of logits or of the model's own, of one strand, as they belong to the tokens as they stand. */
static mbs_status strand_rows(task_rows *t, const whole_unit *u, int minus, int64_t f, int64_t n, float *out,
                              mbs_err *err) {
    whole_task *w = t->whole;
    int64_t cols = cols_of(t);
    int logits = t->env.task == MBS_TASK_SCORE || t->env.task == MBS_TASK_LOGITS;
    float *to = minus ? w->b : out;
    int64_t row = minus ? u->minus + (u->to - f - n) : u->plus + (f - u->from);
    mbs_status st = logits ? mbs_whole_logits(w->run, row, n, to, err) : mbs_whole_hidden(w->run, row, n, to, err);
    for (int64_t i = 0; st >= 0 && minus && i < n; i++) {
        const float *from = w->b + (n - 1 - i) * cols;
        for (int64_t c = 0; c < cols; c++) {
            out[i * cols + c] = from[logits && c < w->vocab->size ? w->vocab->complement[c] : c];
        }
    }
    return st;
}

/* The mean of both strands, or the one that is read. */
static mbs_status rows_of(task_rows *t, const whole_unit *u, int64_t f, int64_t n, float *out, mbs_err *err) {
    whole_task *w = t->whole;
    int64_t count = n * cols_of(t);
    if (w->strands != 3) {
        return strand_rows(t, u, w->strands == 2, f, n, out, err);
    }
    float *other = w->b + w->piece * cols_of(t);
    mbs_status st = strand_rows(t, u, 0, f, n, out, err);
    st = st < 0 ? st : strand_rows(t, u, 1, f, n, other, err);
    for (int64_t i = 0; st >= 0 && i < count; i++) {
        out[i] = (out[i] + other[i]) * 0.5f;
    }
    return st;
}

static float log_softmax_at(const float *logits, int64_t n, int32_t id) {
    double most = (double)logits[0];
    double sum = 0;
    for (int64_t k = 1; k < n; k++) {
        most = fmax(most, (double)logits[k]);
    }
    for (int64_t k = 0; k < n; k++) {
        sum += exp((double)logits[k] - most);
    }
    return (float)((double)logits[id] - most - log(sum));
}

mbs_status mbs_whole_fetch(task_rows *t, const whole_unit *u, int64_t f, int64_t n, float *out, mbs_err *err) {
    whole_task *w = t->whole;
    int64_t cols = cols_of(t);
    if (t->env.task != MBS_TASK_SCORE) {
        return rows_of(t, u, f, n, out, err);
    }
    if (w->strands == 1) {
        return mbs_whole_logprob(w->run, u->plus + (f - u->from), n, w->fed + f, out, err);
    }
    mbs_status st = rows_of(t, u, f, n, w->a, err);
    for (int64_t i = 0; st >= 0 && i < n; i++) {
        out[i] = log_softmax_at(w->a + i * cols, cols, w->fed[f + i]);
    }
    return st;
}

mbs_status mbs_whole_take_masked(task_rows *t, const whole_unit *u, mbs_err *err) {
    whole_task *w = t->whole;
    int64_t k = passes_of(w, u);
    mbs_status st = MBS_OK;
    for (int64_t f = u->core + u->pass; st >= 0 && f < u->core_end; f += k) {
        if (!isnan(w->lp[f])) {
            st = mbs_whole_fetch(t, u, f, 1, &w->lp[f], err);
        }
    }
    return st;
}

mbs_status mbs_whole_measure(task_rows *t, const whole_unit *u, const whole_unit *probe, mbs_err *err) {
    whole_task *w = t->whole;
    int64_t width = t->width;
    mbs_status st = MBS_OK;
    float *got = w->b + 2 * w->piece * cols_of(t);
    float *want = got + w->piece * width;
    const int64_t step = w->masked ? passes_of(w, u) : w->piece;
    for (int64_t f = u->core + u->pass; st >= 0 && f < u->core_end; f += step) {
        int64_t n = w->masked ? 1 : u->core_end - f < w->piece ? u->core_end - f : w->piece;
        st = mbs_whole_fetch(t, u, f, n, got, err);
        st = st < 0 ? st : mbs_whole_fetch(t, probe, f, n, want, err);
        for (int64_t i = 0; st >= 0 && i < n * width; i++) {
            double off = fabs((double)got[i] - (double)want[i]);
            if (isfinite(off)) {
                w->halo_most = fmax(w->halo_most, off);
                w->halo_ref = fmax(w->halo_ref, fabs((double)want[i]));
                w->halo_sum += off;
                w->halo_rows++;
            }
        }
    }
    return st;
}
