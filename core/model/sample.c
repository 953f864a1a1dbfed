#include "model/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mbk/draw.h"

typedef struct mbs_candidate {
    double logit;
    uint64_t weight;
    int32_t id;
} mbs_candidate;

mbs_status mbs_sampler_init(mbs_sampler *s, const uint8_t *allowed, int64_t n_allowed, mbs_err *err) {
    memset(s, 0, sizeof(*s));
    s->temperature = 1.0;
    s->top_p = 1.0;
    s->allowed = allowed;
    s->n_allowed = n_allowed;
    s->scratch = mbs_calloc((size_t)n_allowed + 1, sizeof(*s->scratch));
    return s->scratch ? MBS_OK : mbs_fail_memory(err, "generate", (size_t)n_allowed * sizeof(*s->scratch));
}

void mbs_sampler_free(mbs_sampler *s) {
    mbs_free(s->scratch);
    s->scratch = NULL;
}

/* Most likely first; equal ones by id, so that the order is a function of the logits alone. */
static int by_logit(const void *a, const void *b) {
    const mbs_candidate *x = a;
    const mbs_candidate *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static double log_sum_exp(const float *logits, int64_t n) {
    double max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        max = logits[i] > max ? (double)logits[i] : max;
    }
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - max);
    }
    return max + log(sum);
}

/* The place of u among the first `keep` candidates, of which the nucleus is taken. Whole numbers (mbk/draw.h): a device
 * that adds them in another order draws the same. */
static int64_t pick_of(mbs_candidate *c, int64_t keep, const mbs_sampler *s, int64_t of, double u) {
    const double cold = 1.0 / s->temperature;
    int shift = mbk_draw_shift(of);
    uint64_t sum = 0;
    for (int64_t i = 0; i < keep; i++) {
        c[i].weight = mbk_draw_weight(c[i].logit, c[0].logit, cold, shift);
        sum += c[i].weight;
    }
    uint64_t nucleus = mbk_draw_nucleus(s->top_p, sum);
    uint64_t mass = 0;
    for (int64_t i = 0; mass < nucleus; i++) {
        mass += c[i].weight;
    }
    uint64_t left = mbk_draw_place(u, mass);
    int64_t pick = 0;
    while (left >= c[pick].weight) {
        left -= c[pick++].weight;
    }
    return pick;
}

int32_t mbs_sampler_draw(const mbs_sampler *s, const float *logits, int64_t n, double u, float *logprob) {
    mbs_candidate *c = s->scratch;
    int64_t m = 0;
    for (int64_t id = 0; id < s->n_allowed && (!logits || id < n); id++) {
        if (s->allowed[id] && !(logits && isnan(logits[id]))) {
            c[m].id = (int32_t)id;
            c[m++].logit = logits ? (double)logits[id] : 0.0;
        }
    }
    if (m == 0) {
        return -1;
    }
    int64_t pick = 0;
    if (logits) {
        qsort(c, (size_t)m, sizeof(*c), by_logit);
    }
    if (s->temperature > 0) {
        int64_t keep = s->top_k > 0 && s->top_k < m ? s->top_k : m;
        pick = pick_of(c, keep, s, logits && n < s->n_allowed ? n : s->n_allowed, u);
    }
    int32_t id = c[pick].id;
    *logprob = logits ? (float)((double)logits[id] - log_sum_exp(logits, n)) : (float)-log((double)m);
    return id;
}
