#include "model/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct mbs_candidate {
    double weight;
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
static int by_weight(const void *a, const void *b) {
    const mbs_candidate *x = a;
    const mbs_candidate *y = b;
    if (x->weight != y->weight) {
        return x->weight > y->weight ? -1 : 1;
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

/* Turns logits of the n first candidates into weights that sum to one. */
static void softmax(mbs_candidate *c, int64_t n, double temperature) {
    double top = c[0].weight;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        c[i].weight = exp((c[i].weight - top) / temperature);
        sum += c[i].weight;
    }
    for (int64_t i = 0; i < n; i++) {
        c[i].weight /= sum;
    }
}

int32_t mbs_sampler_draw(const mbs_sampler *s, const float *logits, int64_t n, double u, float *logprob) {
    mbs_candidate *c = s->scratch;
    int64_t m = 0;
    for (int64_t id = 0; id < s->n_allowed && (!logits || id < n); id++) {
        if (s->allowed[id] && !(logits && isnan(logits[id]))) {
            c[m].id = (int32_t)id;
            c[m++].weight = logits ? (double)logits[id] : 0.0;
        }
    }
    if (m == 0) {
        return -1;
    }
    int64_t pick = 0;
    if (logits) {
        qsort(c, (size_t)m, sizeof(*c), by_weight);
    }
    if (s->temperature > 0) {
        int64_t keep = s->top_k > 0 && s->top_k < m ? s->top_k : m;
        softmax(c, keep, s->temperature);
        double mass = 0;
        int64_t nucleus = 0;
        while (nucleus < keep && (nucleus == 0 || mass < s->top_p)) {
            mass += c[nucleus++].weight;
        }
        double left = u * mass;
        while (pick + 1 < nucleus && left >= c[pick].weight) {
            left -= c[pick++].weight;
        }
    }
    int32_t id = c[pick].id;
    *logprob = logits ? (float)((double)logits[id] - log_sum_exp(logits, n)) : (float)-log((double)m);
    return id;
}
