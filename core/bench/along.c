/*
 * along.c - whether a token costs the same wherever in a record it stands. A machine wobbles by more than what is asked
 * for, so calls of the same size go in turn: the next rows of the long record, and a record of so many rows alone; and
 * what counts is the median of the ratios of such neighbours.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/impl.h"
#include "model/whole.h"

#define ROWS 1024
/* Pairs that are measured, at most, evenly along the record. */
#define PAIRS 1024

typedef struct walk {
    mbs_session *s[2]; /* the long record, the short ones */
    int64_t vocab;
    int32_t ids[ROWS];
    float logprob[ROWS];
    double ratio[PAIRS];   /* of a token's time in the long record to one in a short */
    double seconds[PAIRS]; /* of the long record's calls */
    int pairs;
} walk;

static mbs_status call(walk *w, int which, double *seconds, mbs_err *err) {
    mbs_run_out out = {.layer = -1, .logprob = w->logprob};
    const double begun = mbs_clock();
    mbs_status st = which == 1 ? mbs_session_reset(w->s[1], err) : MBS_OK;
    st = st < 0 ? st : mbs_session_run(w->s[which], w->ids, ROWS, &out, err);
    *seconds = mbs_clock() - begun;
    return st;
}

/* Who goes first changes from pair to pair. */
static mbs_status pair(walk *w, mbs_err *err) {
    double t[2] = {0, 0};
    const int first = w->pairs % 2;
    mbs_status st = call(w, first, &t[first], err);
    st = st < 0 ? st : call(w, !first, &t[!first], err);
    w->ratio[w->pairs] = t[0] / (t[1] > 1e-12 ? t[1] : 1e-12);
    w->seconds[w->pairs++] = t[0];
    return st;
}

static mbs_status go(walk *w, int64_t length, mbs_err *err) {
    const int64_t calls = length / ROWS;
    const int64_t every = (calls + PAIRS - 1) / PAIRS;
    double unused;
    mbs_status st = mbs_session_reset(w->s[0], err);
    w->pairs = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        w->ids[i] = (int32_t)((i * 7919 + 13) % w->vocab);
    }
    st = st < 0 ? st : call(w, 1, &unused, err); /* warms up */
    for (int64_t k = 0; k < calls && st >= 0; k++) {
        st = k % every == 0 ? pair(w, err) : call(w, 0, &unused, err);
    }
    return st;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static mbs_status add(mbs_bench_env *e, walk *w, int64_t length, mbs_err *err) {
    const int n = w->pairs;
    const int late = n >= 8 ? n - n / 8 : 0;
    mbs_bench_cost cost = mbs_bench_token(e->cfg, 1, 0, mbs_bench_seen(length), &e->format);
    cost.rows = ROWS;
    cost.matrix *= ROWS;
    cost.vector *= ROWS;
    cost.bytes = cost.held;
    const double end = median(w->ratio + late, n - late); /* sorts what the other one sorts again */
    const mbs_timing t = {.median = median(w->seconds, n), .repeats = n};
    mbs_status st = mbs_bench_add(e, "along", "", &cost, &t, err);
    if (st >= 0) {
        mbs_bench_result *r = &e->b->results[e->b->n - 1];
        r->length = length;
        r->seconds = (double)length / r->tokens_per_s;
        r->to_short = median(w->ratio, n);
        r->to_short_end = end;
    }
    return st;
}

static mbs_status walk_all(mbs_bench_env *e, walk *w, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < 2 && st >= 0; i++) {
        st = mbs_session_new(e->model, ROWS, &w->s[i], err);
    }
    for (int i = 0; i < e->o->n_lengths && st >= 0; i++) {
        const int64_t length = e->o->lengths[i];
        if (length < ROWS) {
            mbs_fail(err, MBS_ERR_USAGE, "--length", "work along needs records of %d tokens or more", ROWS);
            mbs_err_fix(err, "take a longer one, e.g. --length 4Mi");
            return MBS_ERR_USAGE;
        }
        st = mbs_mixers_reach(e->cfg, length, e->o->folder, err);
        st = st < 0 ? st : go(w, length, err);
        st = st < 0 ? st : add(e, w, length, err);
    }
    return st;
}

mbs_status mbs_bench_along(mbs_bench_env *e, mbs_err *err) {
    if (!(e->o->works & MBS_BENCH_ALONG) || mbs_model_takes_whole(e->model)) { /* whole.c says so */
        return MBS_OK;
    }
    walk *w = mbs_calloc(1, sizeof *w);
    if (!w) {
        return mbs_fail_memory(err, "bench", sizeof *w);
    }
    w->vocab = e->cfg->vocab_rows;
    mbs_status st = walk_all(e, w, err);
    mbs_session_free(w->s[0]);
    mbs_session_free(w->s[1]);
    mbs_free(w);
    return st;
}
