/* variant with a masked model: the bases of the site masked together, `window` units seen on both sides, one pass; the
 * ratio of an alternative is the sum over the masked units of ln P(its) - ln P(what stands there). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/caduceus.h"
#include "plug/params.h"
#include "run/task_variant.h"

/* What can be said of an alternative without a pass; the first unit that it changes and how many from there. */
static void look(task_variant *t, const edit_group *g, edit_alt *a, int64_t *first, int64_t *n) {
    int64_t removed = g->end - g->pos;
    *first = *n = 0;
    if (a->reason != MBS_EDIT_SCORED) {
        return;
    }
    if (g->end > t->base + t->n) {
        a->reason = MBS_EDIT_MISFIT;
        return;
    }
    const int32_t *stands = t->ids + (g->pos - t->base);
    const uint8_t *known = t->scored + (g->pos - t->base);
    for (int64_t i = 0; i < removed; i++) {
        a->reason = known[i] ? a->reason : (int)MBS_EDIT_UNKNOWN;
    }
    for (int64_t i = 0; i < a->n; i++) {
        a->reason = g->scored[a->at + i] ? a->reason : (int)MBS_EDIT_UNKNOWN;
    }
    if (a->reason == MBS_EDIT_SCORED && a->n != removed) {
        a->reason = MBS_EDIT_LENGTH;
    }
    if (a->reason != MBS_EDIT_SCORED) {
        return;
    }
    int64_t end = removed;
    while (*first < end && g->ids[a->at + *first] == stands[*first]) {
        ++*first;
    }
    while (end > *first && g->ids[a->at + end - 1] == stands[end - 1]) {
        end--;
    }
    *n = end - *first;
    a->same = *n == 0;
}

/* The pass with units [at, at + n) of the stream masked; the row of the first in *row. */
static mbs_status pass(task_variant *t, int64_t at, int64_t n, int64_t *row, mbs_err *err) {
    const mbs_site site = {t->ids, t->n, at, n, t->window, t->mask};
    int64_t starts[2] = {0, 0};
    int32_t *seen;
    mbs_status st = mbs_site_tokens(&site, t->env.vocab, &seen, &starts[1], row, err);
    if (st != MBS_OK) {
        return st;
    }
    double t0 = mbs_clock();
    st = mbs_whole_run(t->whole, seen, starts, 1, -1, err);
    t->totals.seconds += mbs_clock() - t0;
    t->totals.fed += starts[1];
    t->totals.edit_steps += starts[1];
    mbs_free(seen);
    return st;
}

static mbs_status ratio(task_variant *t, const edit_group *g, edit_alt *a, int64_t first, int64_t n, int64_t row,
                        mbs_err *err) {
    mbs_status st = MBS_OK;
    a->sum = 0;
    for (int64_t i = 0; i < n && st == MBS_OK; i++) {
        st = mbs_whole_logits(t->whole, row + i, 1, t->logits, err);
        int32_t stands = t->ids[g->pos - t->base + first + i];
        a->sum += st == MBS_OK ? (double)t->logits[g->ids[a->at + first + i]] - (double)t->logits[stands] : 0;
    }
    return st;
}

/* All alternatives of a group; those that change the same units share a pass. */
static mbs_status run(task_variant *t, edit_group *g, mbs_err *err) {
    int64_t had_first = -1;
    int64_t had_n = -1;
    int64_t row = 0;
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < g->n && st == MBS_OK; i++) {
        edit_alt *a = &g->alts[i];
        int64_t first;
        int64_t n;
        look(t, g, a, &first, &n);
        if (a->reason != MBS_EDIT_SCORED || a->same) {
            continue;
        }
        if (first != had_first || n != had_n) {
            st = pass(t, g->pos - t->base + first, n, &row, err);
            had_first = first;
            had_n = n;
        }
        st = st == MBS_OK ? ratio(t, g, a, first, n, row, err) : st;
    }
    g->ran = 1;
    t->site = g->next;
    return st;
}

mbs_status mbs_variant_masked(task_variant *t, int ended, edit_group **ready, mbs_err *err) {
    int64_t there = t->base + t->n;
    edit_group *front = t->groups;
    int64_t keep = (front && front->pos < there ? front->pos : there) - t->window;
    t->passed = keep > t->passed ? keep : t->passed;
    *ready = NULL;
    if (!front || (!ended && there < mbs_variant_reach(t, front))) {
        return MBS_OK;
    }
    *ready = front;
    return front->ran ? MBS_OK : run(t, front, err);
}

mbs_status mbs_variant_masked_setup(task_variant *t, mbs_err *err) {
    const mbs_model_config *c = mbs_model_get_config(t->env.models->model);
    const mbs_params *p = t->env.models->params;
    const mbs_preset *preset = mbs_caduceus_preset(c);
    t->mask = t->env.vocab && t->env.vocab->mask >= 0 ? t->env.vocab->mask : preset ? mbs_preset_mask(preset) : -1;
    if (!c->masked || t->mask < 0 || t->mask >= c->vocab_rows) {
        mbs_fail(err, MBS_ERR_CONFIG, "model", "task variant: %s",
                 c->masked ? "the vocabulary has no token for masking"
                           : "the model takes whole records and is not one of masked letters");
        mbs_err_fix(err, "take a causal model that goes on letter by letter, or a masked one with a mask token");
        return MBS_ERR_CONFIG;
    }
    if (mbs_params_told(p, "mode") && strcmp(mbs_params_string(p, "mode"), "masked") != 0) {
        mbs_fail(err, MBS_ERR_CONFIG, "model", "task variant: a masked model that sees the site has no ratio for it");
        mbs_err_fix(err, "say mode: masked, or leave 'mode' out");
        return MBS_ERR_CONFIG;
    }
    if (mbs_params_told(p, "halo") || mbs_params_told(p, "chunk")) {
        mbs_fail(err, MBS_ERR_CONFIG, "model", "task variant: 'halo' and 'chunk' have no meaning for a masked model");
        mbs_err_fix(err, "leave them out: 'window' says how many bases are seen on both sides of a variant");
        return MBS_ERR_CONFIG;
    }
    t->logits = mbs_calloc((size_t)c->vocab_rows, sizeof(*t->logits));
    if (!t->logits) {
        return mbs_fail_memory(err, "model", (size_t)c->vocab_rows * sizeof(*t->logits));
    }
    return mbs_whole_new(t->env.models->model, mbs_params_told(p, "max_memory") ? mbs_params_int(p, "max_memory") : 0,
                         &t->whole, err);
}
