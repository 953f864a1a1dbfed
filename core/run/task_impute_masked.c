/* impute with a masked model: the gap masked as a whole, `window` units on both sides, one pass. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "run/task_impute.h"

/* The choice that a row of logits likes best, and its share among the choices. */
static int32_t choose(const task_impute *t, const float *logits, double *share) {
    int64_t best = 0;
    double sum = 0;
    for (int64_t k = 1; k < t->n_choices; k++) {
        best = logits[t->choices[k]] > logits[t->choices[best]] ? k : best;
    }
    for (int64_t k = 0; k < t->n_choices; k++) {
        sum += exp((double)logits[t->choices[k]] - (double)logits[t->choices[best]]);
    }
    *share = 1 / sum;
    return t->choices[best];
}

mbs_status mbs_impute_masked(task_impute *t, mbs_err *err) {
    const mbs_site site = {t->ids, t->n, t->done, t->gap, t->window, t->mask};
    int32_t *seen;
    int64_t starts[2] = {0, 0};
    int64_t first = 0;
    double whole = 1;
    mbs_status st = mbs_site_tokens(&site, t->env.vocab, &seen, &starts[1], &first, err);
    st = st == MBS_OK ? mbs_whole_run(t->whole, seen, starts, 1, -1, err) : st;
    for (int64_t k = 0; k < t->gap && st == MBS_OK; k++) {
        double share = 0;
        st = mbs_whole_logits(t->whole, first + k, 1, t->logits, err);
        if (st == MBS_OK) {
            t->ids[t->done + k] = choose(t, t->logits, &share);
            t->probability[2 * (t->done + k)] = (float)share;
            whole *= share;
        }
        if (st == MBS_OK && !isfinite(share)) {
            st = mbs_fail(err, MBS_ERR_DATA, "impute", "the model's prediction is not a number");
        }
    }
    for (int64_t k = 0; k < t->gap; k++) {
        t->probability[2 * (t->done + k) + 1] = (float)whole;
    }
    t->totals.fed += starts[1];
    mbs_free(seen);
    return st;
}
