/* The draw of a token against the plain way: sort all candidates, lie them side by side, go along until u. */
#include "model/sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "mbk/draw.h"
#include "support/test.h"

enum { MOST = 700 };

typedef struct sorted {
    double logit;
    uint64_t weight;
    int32_t id;
} sorted;

static int by_logit(const void *a, const void *b) {
    const sorted *x = a;
    const sorted *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static int32_t plain_draw(const mbs_sampler *s, const float *logits, int64_t n, double u) {
    sorted c[MOST];
    int64_t m = 0;
    for (int64_t id = 0; id < n && id < s->n_allowed; id++) {
        if (s->allowed[id] && !isnan(logits[id])) {
            c[m++] = (sorted){(double)logits[id], 0, (int32_t)id};
        }
    }
    if (m == 0) {
        return -1;
    }
    qsort(c, (size_t)m, sizeof c[0], by_logit);
    if (!(s->temperature > 0)) {
        return c[0].id;
    }
    const int64_t keep = s->top_k > 0 && s->top_k < m ? s->top_k : m;
    uint64_t sum = 0;
    for (int64_t i = 0; i < keep; i++) {
        c[i].weight = mbk_draw_weight(c[i].logit, c[0].logit, 1.0 / s->temperature,
                                      mbk_draw_shift(n < s->n_allowed ? n : s->n_allowed));
        sum += c[i].weight;
    }
    const uint64_t nucleus = mbk_draw_nucleus(s->top_p, sum);
    uint64_t mass = 0;
    for (int64_t i = 0; mass < nucleus; i++) {
        mass += c[i].weight;
    }
    uint64_t left = mbk_draw_place(u, mass);
    int64_t pick = 0;
    while (left >= c[pick].weight) {
        left -= c[pick++].weight;
    }
    return c[pick].id;
}

static double uniform(uint64_t k, uint64_t at) {
    return mbs_rng_uniform(7, k, at);
}

/* Logits of case k: drawn, of few values, rising, falling, or with infinities and NaN among them. */
static void fill(float *x, int64_t n, uint64_t k) {
    for (int64_t i = 0; i < n; i++) {
        const double v = uniform(k, (uint64_t)i) * 15 - 9;
        x[i] = (float)(k % 6 == 1 ? rint(v / 4) : k % 6 == 2 ? (double)i / 40 : k % 6 == 3 ? -(double)i / 40 : v);
        if (k % 6 == 4) {
            x[i] = i % 5 == 2 ? -INFINITY : i % 7 == 3 ? NAN : x[i];
        }
        x[i] = k % 6 == 5 && (uint64_t)i == k % 11 ? 60.0f : x[i];
    }
}

MBS_TEST(sample, draws_what_a_sort_draws) {
    static const int64_t sizes[] = {1, 2, 3, 5, 16, 64, 256, MOST};
    static const int64_t tops[] = {0, 1, 2, 7, 40, 10000};
    static const double nuclei[] = {1.0, 0.9, 0.5, 0.01};
    static const double heats[] = {1.0, 0.7, 2.5, 0.0};
    float x[MOST];
    uint8_t allowed[MOST];
    int drawn[MOST] = {0};
    for (uint64_t k = 0; k < 4000; k++) {
        const int64_t n = sizes[k % 8];
        fill(x, n, k);
        for (int64_t i = 0; i < n; i++) {
            allowed[i] = k % 3 == 0 || i % 3 != 1;
        }
        mbs_sampler s;
        mbs_err err = {0};
        CHECK_INT(mbs_sampler_init(&s, allowed, n, &err), 0);
        s.top_k = tops[k / 2 % 6];
        s.top_p = nuclei[k / 3 % 4];
        s.temperature = heats[k / 5 % 4];
        const double u = k % 13 == 0 ? 0 : k % 13 == 1 ? nextafter(1.0, 0.0) : uniform(k, MOST);
        float logprob = 0;
        const int32_t id = mbs_sampler_draw(&s, x, n, u, &logprob);
        CHECK_INT(id, plain_draw(&s, x, n, u));
        if (id >= 0 && k % 6 != 4) {
            double sum = 0;
            for (int64_t i = 0; i < n; i++) {
                sum += exp((double)x[i] - (double)x[id]);
            }
            CHECK(fabs((double)logprob + log(sum)) <= 1e-6 * (1 + fabs((double)logprob)), "case %d: %g and %g", (int)k,
                  (double)logprob, -log(sum));
            drawn[id]++;
        }
        mbs_sampler_free(&s);
    }
    int kinds = 0;
    for (int i = 0; i < MOST; i++) {
        kinds += drawn[i] > 0;
    }
    CHECK(kinds > 150, "%d ids", kinds); /* otherwise nothing was compared */
}

/* Shares of draws are those of the softmax, nothing is drawn that is not allowed, and without logits all are alike. */
MBS_TEST(sample, shares_are_the_probabilities) {
    const float x[] = {0.0f, 1.0f, -2.0f, 3.0f};
    const uint8_t allowed[] = {1, 1, 1, 0};
    const double all = 1 + exp(1) + exp(-2);
    const double want[2][4] = {{1 / all, exp(1) / all, exp(-2) / all, 0}, {1.0 / 3, 1.0 / 3, 1.0 / 3, 0}};
    mbs_sampler s;
    mbs_err err = {0};
    CHECK_INT(mbs_sampler_init(&s, allowed, 4, &err), 0);
    for (int bare = 0; bare < 2; bare++) {
        enum { DRAWS = 40000 };
        int64_t count[4] = {0};
        float logprob;
        for (uint64_t i = 0; i < DRAWS; i++) {
            count[mbs_sampler_draw(&s, bare ? NULL : x, 4, uniform(77, i), &logprob)]++;
        }
        for (int i = 0; i < 4; i++) {
            const double share = (double)count[i] / DRAWS;
            const double bound = 5 * sqrt(want[bare][i] / DRAWS);
            CHECK(fabs(share - want[bare][i]) <= bound, "id %d: %g for %g", i, share, want[bare][i]);
        }
    }
    mbs_sampler_free(&s);
}
