/* The draw of a token on the emulator: the one that core/model/sample.c draws from the same logits, of the same
 * log-probability; the same under every schedule. */
#include <math.h>

#include "model/sample.h"
#include "simt/direct.h"
#include "simt/runtime.h"
#include "support/test.h"

typedef struct draw_case {
    int64_t rows, vocab, n_allowed, top_k;
    double temperature, top_p;
    int steps;   /* logits are of so many values, so that many are equal; 0: of any */
    int64_t one; /* only this id is allowed; -1: two of three */
    int odd;     /* -inf and NaN among them */
} draw_case;

static uint8_t *flags(const draw_case *c) {
    uint8_t *allowed = simt_malloc((size_t)c->n_allowed);
    for (int64_t i = 0; i < c->n_allowed; i++) {
        allowed[i] = (uint8_t)(c->one >= 0 ? i == c->one : c->vocab < 3 || i % 3 != 1);
    }
    return allowed;
}

static float *logits_of(const draw_case *c) {
    float *x = kit_random(c->rows * c->vocab, -9, 6);
    for (int64_t i = 0; i < c->rows * c->vocab; i++) {
        if (c->steps > 0) {
            x[i] = (float)((int)(x[i] + 9) % c->steps) - 1; /* also zeros, of both signs */
            x[i] = x[i] == 0 && i % 2 ? -0.0f : x[i];
        }
        if (c->odd) {
            x[i] = i % 5 == 2 ? -INFINITY : i / c->vocab == 1 && i % 7 == 3 ? NAN : x[i];
        }
    }
    return x;
}

static void try(const draw_case *c) {
    float *x = logits_of(c);
    uint8_t *allowed = flags(c);
    double *u = simt_malloc((size_t)c->rows * sizeof *u);
    for (int64_t r = 0; r < c->rows; r++) {
        u[r] = r == 0 ? 0.0 : r == 1 ? nextafter(1.0, 0.0) : (double)kit_float(0, 0.999999f);
    }
    mbs_sampler s;
    mbs_err err = {0};
    CHECK_INT(mbs_sampler_init(&s, allowed, c->n_allowed, &err), 0);
    s.temperature = c->temperature;
    s.top_k = c->top_k;
    s.top_p = c->top_p;
    direct_mat m = direct_of(c->rows, c->vocab, 3, x);
    mbk_drawn *drawn = simt_malloc((size_t)c->rows * sizeof *drawn);
    EACH_SCHEDULE(i) {
        const mbk_cu_draw a = {m.v, allowed, c->n_allowed, c->temperature, c->top_p, c->top_k, u, drawn};
        mbk_cu_queue q = direct_queue(0);
        CHECK_INT(mbk_cu_draw_rows(&q, &a), 0);
        direct_queue_free(&q);
        for (int64_t r = 0; r < c->rows; r++) {
            float logprob = NAN;
            int32_t id = mbs_sampler_draw(&s, x + r * c->vocab, c->vocab, u[r], &logprob);
            CHECK_INT(drawn[r].id, id);
            CHECK(isnan(logprob) ? isnan(drawn[r].logprob) : fabsf(drawn[r].logprob - logprob) <= 1e-6f);
        }
    }
    simt_free(drawn);
    direct_free(&m, 1);
    mbs_sampler_free(&s);
    simt_free(u);
    simt_free(allowed);
    free(x);
}

MBS_TEST(cuda_draw, is_what_the_host_draws) {
    static const draw_case cases[] = {
        {.rows = 3, .vocab = 1, .n_allowed = 1, .temperature = 1, .top_p = 1, .one = -1},
        {.rows = 5, .vocab = 8, .n_allowed = 5, .temperature = 0, .top_p = 1, .one = -1, .steps = 2},
        {.rows = 9, .vocab = 8, .n_allowed = 8, .temperature = 1, .top_p = 1, .one = -1},
        {.rows = 4, .vocab = 16, .n_allowed = 16, .temperature = 0.7, .top_p = 0.9, .one = 11},
        {.rows = 9,
         .vocab = 257,
         .n_allowed = 256,
         .temperature = 1.3,
         .top_p = 0.8,
         .top_k = 40,
         .one = -1,
         .steps = 5},
        {.rows = 9, .vocab = 300, .n_allowed = 300, .temperature = 1, .top_p = 0.95, .one = -1, .odd = 1},
        {.rows = 4,
         .vocab = 600,
         .n_allowed = 600,
         .temperature = 900,
         .top_p = 0.5,
         .top_k = 7,
         .one = -1,
         .steps = 1},
        {.rows = 3, .vocab = 513, .n_allowed = 513, .temperature = 1e-3, .top_p = 0, .one = -1, .steps = 3},
#ifndef MBS_SIMT_RACE
        {.rows = 2, .vocab = 50280, .n_allowed = 50277, .temperature = 1, .top_p = 0.99, .one = -1},
        {.rows = 2,
         .vocab = 50277,
         .n_allowed = 50277,
         .temperature = 1,
         .top_p = 1,
         .top_k = 300,
         .one = -1,
         .steps = 9},
#endif
    };
    int n = (int)(sizeof cases / sizeof *cases);
    for (int i = 0; i < n; i++) {
        try(&cases[i]);
    }
}

MBS_TEST(cuda_draw, nothing_to_draw) {
    const draw_case c = {.rows = 1, .vocab = 4, .n_allowed = 4, .one = 2};
    uint8_t *allowed = flags(&c);
    const float x[4] = {1, 2, NAN, 3};
    double *u = simt_malloc(sizeof *u);
    *u = 0.5;
    direct_mat m = direct_of(1, 4, 0, x);
    mbk_drawn *drawn = simt_malloc(sizeof *drawn);
    const mbk_cu_draw a = {m.v, allowed, 4, 1.0, 1.0, 0, u, drawn};
    mbk_cu_queue q = direct_queue(0);
    CHECK_INT(mbk_cu_draw_rows(&q, &a), 0);
    CHECK_INT(drawn->id, -1);
    direct_queue_free(&q);
    simt_free(drawn);
    direct_free(&m, 1);
    simt_free(u);
    simt_free(allowed);
}
