#include "model/sample.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "mbk/draw.h"

/* What may be drawn, by rising id; `place` holds their numbers in whatever order. */
struct mbs_candidates {
    double *logit;
    uint64_t *weight;
    int32_t *id;
    int32_t *place;
};

mbs_status mbs_sampler_init(mbs_sampler *s, const uint8_t *allowed, int64_t n_allowed, mbs_err *err) {
    memset(s, 0, sizeof(*s));
    s->temperature = 1.0;
    s->top_p = 1.0;
    s->allowed = allowed;
    s->n_allowed = n_allowed;
    const size_t n = (size_t)n_allowed + 1;
    mbs_candidates *c = mbs_calloc(1, sizeof *c + n * (sizeof *c->logit + sizeof *c->weight + 2 * sizeof *c->id));
    if (!c) {
        return mbs_fail_memory(err, "generate", n * sizeof *c->logit);
    }
    c->logit = (double *)(void *)(c + 1);
    c->weight = (uint64_t *)(void *)(c->logit + n);
    c->id = (int32_t *)(void *)(c->weight + n);
    c->place = c->id + n;
    s->scratch = c;
    return MBS_OK;
}

void mbs_sampler_free(mbs_sampler *s) {
    mbs_free(s->scratch);
    s->scratch = NULL;
}

/* Exponentials that are summed at a time. */
#define SUM_BLOCK 64

/* Where the exponentials of all go. Fused multiply-adds are calls where the processor is not known to have them; the
 * bits are the same. */
#define EACH_EXP(NAME, TARGET)                                                                                         \
    TARGET static double NAME##_sum(const float *logits, int64_t n, double top) {                                      \
        double e[SUM_BLOCK];                                                                                           \
        double sum = 0;                                                                                                \
        for (int64_t at = 0; at < n; at += SUM_BLOCK) {                                                                \
            const int64_t count = n - at < SUM_BLOCK ? n - at : SUM_BLOCK;                                             \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                e[i] = mbk_draw_exp((double)logits[at + i] - top, 0);                                                  \
            }                                                                                                          \
            for (int64_t i = 0; i < count; i++) {                                                                      \
                sum += e[i];                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
        return sum;                                                                                                    \
    }                                                                                                                  \
    TARGET static void NAME##_weights(uint64_t *restrict w, const double *restrict x, int64_t n, double top,           \
                                      double cold, int shift) {                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            w[i] = mbk_draw_weight(x[i], top, cold, shift);                                                            \
        }                                                                                                              \
    }

EACH_EXP(plain, )
#if defined(__x86_64__)
EACH_EXP(fused, __attribute__((target("avx2,fma"))))
static int has_fused(void) {
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}
#else
#define fused_sum plain_sum
#define fused_weights plain_weights
static int has_fused(void) {
    return 0;
}
#endif

/* Over all logits, of which the largest may not be allowed. */
static double log_sum_exp(const float *logits, int64_t n) {
    double top = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        top = logits[i] > top ? (double)logits[i] : top;
    }
    return top + log((has_fused() ? fused_sum : plain_sum)(logits, n, top));
}

/* Most likely first; equal ones by id, so that the order is a function of the logits alone. */
static int before(const mbs_candidates *c, int32_t a, int32_t b) {
    return (c->logit[a] > c->logit[b]) | ((c->logit[a] == c->logit[b]) & (a < b));
}

static void swap(int32_t *a, int32_t *b) {
    const int32_t t = *a;
    *a = *b;
    *b = t;
}

/* The middle one of the first, the middle and the last of places [low, high) goes last. */
static void choose_pivot(const mbs_candidates *c, int64_t low, int64_t high) {
    int32_t *first = &c->place[low];
    int32_t *middle = &c->place[low + (high - low) / 2];
    int32_t *last = &c->place[high - 1];
    if (before(c, *middle, *first)) {
        swap(middle, first);
    }
    if (before(c, *last, *first)) {
        swap(last, first);
    }
    if (before(c, *middle, *last)) {
        swap(middle, last);
    }
}

/* The place of the candidate that `at` falls to when the first n lie side by side, the most likely first, each as long
 * as it weighs or, without weights, 1; *left is what of `at` falls into it. Those before it in that order are at lower
 * places afterwards. `at` is less than the sum. */
static int64_t reach(const mbs_candidates *c, int64_t n, int weighted, uint64_t at, uint64_t *left) {
    int64_t low = 0;
    int64_t high = n;
    for (;;) {
        choose_pivot(c, low, high);
        const int32_t pivot = c->place[high - 1];
        int64_t cut = low;
        uint64_t sum = 0;
        for (int64_t i = low; i < high - 1; i++) { /* no branch: nobody could foresee it */
            const int32_t k = c->place[i];
            const int first = before(c, k, pivot);
            c->place[i] = c->place[cut];
            c->place[cut] = k;
            cut += first;
            sum += (weighted ? c->weight[k] : 1) & -(uint64_t)first;
        }
        swap(&c->place[cut], &c->place[high - 1]);
        const uint64_t own = weighted ? c->weight[pivot] : 1;
        if (at < sum) {
            high = cut;
        } else if (at - sum < own) {
            *left = at - sum;
            return cut;
        } else {
            at -= sum + own;
            low = cut + 1;
        }
    }
}

/* Which of the first `keep` u falls to, after the nucleus of them is taken. Whole numbers (mbk/draw.h): a device that
 * adds them in another order draws the same. */
static int32_t pick_of(const mbs_candidates *c, int64_t keep, const mbs_sampler *s, double u) {
    uint64_t sum = 0;
    uint64_t left;
    for (int64_t i = 0; i < keep; i++) {
        sum += c->weight[c->place[i]];
    }
    const uint64_t nucleus = mbk_draw_nucleus(s->top_p, sum);
    uint64_t mass = sum;
    if (nucleus < sum) { /* the first that reach it */
        const int64_t last = reach(c, keep, 1, nucleus - 1, &left);
        mass = nucleus - 1 - left + c->weight[c->place[last]];
    }
    return c->place[reach(c, keep, 1, mbk_draw_place(u, mass), &left)];
}

int32_t mbs_sampler_draw(const mbs_sampler *s, const float *logits, int64_t n, double u, float *logprob) {
    const mbs_candidates *c = s->scratch;
    int64_t m = 0;
    int32_t best = 0;
    for (int64_t id = 0; id < s->n_allowed && (!logits || id < n); id++) {
        c->id[m] = (int32_t)id;
        c->place[m] = (int32_t)m;
        c->logit[m] = logits ? (double)logits[id] : 0.0;
        m += (s->allowed[id] != 0) & (c->logit[m] == c->logit[m]);
    }
    if (m == 0) {
        return -1;
    }
    for (int64_t i = 1; i < m; i++) {
        best = c->logit[i] > c->logit[best] ? (int32_t)i : best;
    }
    int32_t pick = best;
    if (s->temperature > 0) {
        const int shift = mbk_draw_shift(logits && n < s->n_allowed ? n : s->n_allowed);
        (has_fused() ? fused_weights : plain_weights)(c->weight, c->logit, m, c->logit[best], 1.0 / s->temperature,
                                                      shift);
        int64_t keep = m;
        if (s->top_k > 0 && s->top_k < m) {
            uint64_t left;
            keep = reach(c, m, 0, (uint64_t)s->top_k - 1, &left) + 1;
        }
        pick = pick_of(c, keep, s, u);
    }
    const int32_t id = c->id[pick];
    *logprob = logits ? (float)((double)logits[id] - log_sum_exp(logits, n)) : (float)-log((double)m);
    return id;
}
