/* Calls of the model for task variant: over the stream, and from a place in it over an edit and what follows. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "run/task_variant.h"

/* Tokens of n rows that the model sees, to t->fed; gives how many. */
static int64_t gather(task_variant *t, const int32_t *ids, int64_t n, int64_t fed) {
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= 0) {
            t->fed[fed++] = ids[i];
        }
    }
    return fed;
}

static mbs_status run(task_variant *t, mbs_session *s, int64_t fed, mbs_err *err) {
    mbs_run_out out = {.layer = -1, .logprob = t->got};
    double t0 = mbs_clock();
    mbs_status st = fed > 0 ? mbs_session_run(s, t->fed, fed, &out, err) : MBS_OK;
    double seconds = mbs_clock() - t0;
    if (fed > 0) {
        mbs_pace_took(&t->pace, fed, seconds);
    }
    t->totals.fed += fed;
    t->totals.seconds += seconds;
    return st;
}

mbs_status mbs_variant_pass(task_variant *t, int64_t limit, mbs_err *err) {
    int64_t n = limit - t->passed < t->pace.rows ? limit - t->passed : t->pace.rows;
    int64_t at = t->passed - t->base;
    int64_t fed = gather(t, t->ids + at, n, 0);
    mbs_status st = run(t, t->pass, fed, err);
    if (st != MBS_OK) {
        return st;
    }
    const float *got = t->got;
    for (int64_t i = 0; i < n; i++) {
        t->logprob[at + i] = t->ids[at + i] >= 0 ? *got++ : NAN;
    }
    t->passed += n;
    t->totals.pass_steps += fed;
    return MBS_OK;
}

int64_t mbs_variant_reach(const task_variant *t, const edit_group *g) {
    return g->end + t->window;
}

/* Units that follow a group and count. */
static int64_t following(const task_variant *t, const edit_group *g) {
    int64_t there = t->base + t->n - g->end;
    return there < t->window ? there : t->window;
}

/* What can be said of an alternative before it runs. */
static void look(task_variant *t, const edit_group *g, edit_alt *a) {
    if (a->reason != MBS_EDIT_SCORED) {
        return;
    }
    if (g->end > t->base + t->n) {
        a->reason = MBS_EDIT_MISFIT;
        return;
    }
    const int32_t *stands = t->ids + (g->pos - t->base);
    const uint8_t *known = t->scored + (g->pos - t->base);
    int64_t removed = g->end - g->pos;
    while (a->shared < a->n && a->shared < removed && g->ids[a->at + a->shared] == stands[a->shared]) {
        a->shared++;
    }
    for (int64_t i = 0; i < removed; i++) {
        a->reason = known[i] ? a->reason : (int)MBS_EDIT_UNKNOWN;
    }
    for (int64_t i = 0; i < a->n; i++) {
        a->reason = g->scored[a->at + i] ? a->reason : (int)MBS_EDIT_UNKNOWN;
    }
    a->same = a->shared == a->n && a->shared == removed;
    int first = g->pos == t->first && mbs_vocab_around(t->env.vocab).n_before == 0; /* nothing predicts it */
    if (a->reason == MBS_EDIT_SCORED && first && a->shared == 0 && !a->same) {
        a->reason = MBS_EDIT_FIRST;
    }
}

/* Rows [t->row, ...) of an alternative: its units and those that follow. */
static mbs_status run_rows(task_variant *t, const edit_group *g, edit_alt *a, int64_t rows, mbs_err *err) {
    int64_t n = rows - t->row < t->pace.rows ? rows - t->row : t->pace.rows;
    int64_t own = a->n - t->row < 0 ? 0 : a->n - t->row;
    own = own < n ? own : n;
    int64_t behind = t->row > a->n ? t->row - a->n : 0; /* first of the following */
    const int32_t *follow = t->ids + (g->end - t->base) + behind;
    const uint8_t *known = t->scored + (g->end - t->base) + behind;
    int64_t fed = gather(t, g->ids + a->at + t->row, own, 0);
    fed = gather(t, follow, n - own, fed);
    mbs_status st = run(t, t->branch, fed, err);
    if (st != MBS_OK) {
        return st;
    }
    const float *got = t->got;
    for (int64_t i = 0; i < own; i++) {
        int seen = g->ids[a->at + t->row + i] >= 0;
        a->sum += seen && t->row + i >= a->shared ? (double)*got : 0;
        got += seen;
    }
    for (int64_t i = 0; i < n - own; i++) {
        int seen = follow[i] >= 0;
        a->sum += seen && known[i] && !isnan(*got) ? (double)*got : 0;
        got += seen;
    }
    t->row += n;
    t->totals.edit_steps += fed;
    return MBS_OK;
}

mbs_status mbs_variant_branch(task_variant *t, mbs_err *err) {
    edit_group *g = t->site;
    mbs_status st = MBS_OK;
    int done = 1;
    if (t->alt < g->n) {
        edit_alt *a = &g->alts[t->alt];
        if (t->row == 0) {
            look(t, g, a);
        }
        if (a->reason == MBS_EDIT_SCORED && !a->same) {
            int64_t rows = a->n + following(t, g);
            st = t->row == 0 ? mbs_session_copy(t->branch, t->pass, err) : MBS_OK;
            st = st == MBS_OK && rows > 0 ? run_rows(t, g, a, rows, err) : st;
            done = t->row >= rows;
        }
    }
    if (st == MBS_OK && done) {
        t->alt++;
        t->row = 0;
    }
    if (st == MBS_OK && t->alt >= g->n) {
        g->ran = 1;
        t->site = g->next;
        t->alt = 0;
    }
    return st;
}

double mbs_variant_llr(const task_variant *t, const edit_group *g, const edit_alt *a) {
    if (a->same || t->whole) {
        return a->same ? 0 : a->sum;
    }
    int64_t from = g->pos + a->shared - t->base;
    int64_t to = g->end + following(t, g) - t->base;
    int64_t site = g->end - t->base;
    double sum = 0;
    for (int64_t i = from; i < to; i++) {
        int counts = t->ids[i] >= 0 && !isnan(t->logprob[i]) && (i < site || t->scored[i]);
        sum += counts ? (double)t->logprob[i] : 0;
    }
    return a->sum - sum;
}
