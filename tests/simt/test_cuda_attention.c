/* Attention on the emulator beside the reference: calls that go on from a cache and sequences side by side, forward and
 * back, with the same bits under every schedule. What the CPU's levels are tested by runs over the whole backend
 * (tests/simt/backend); here the kernels are alone, small enough to be watched for races. */
#include <math.h>

#include "simt/direct.h"
#include "simt/runtime.h"
#include "support/test.h"

enum { Q, K, V, CACHE_K, CACHE_V, DY, DCACHE_K, DCACHE_V, IN };
enum { OUT_Y, OUT_SAVED, OUT_Q, OUT_K, OUT_CK, OUT_CV, OUT_DQ, OUT_DK, OUT_DV, OUT_DCK, OUT_DCV, OUT };

typedef struct att_case {
    int64_t rows, heads, key_heads, p, position, window, rotary, capacity;
    int interleaved;
    const int32_t *starts;
    int64_t n_starts;
} att_case;

typedef struct att_data {
    float *of[IN];
    int64_t rows[IN], cols[IN];
} att_data;

static att_data data_new(const att_case *c) {
    att_data d;
    const int64_t q = c->heads * c->p;
    const int64_t k = c->key_heads * c->p;
    for (int i = 0; i < IN; i++) {
        d.rows[i] = i == CACHE_K || i == CACHE_V || i >= DCACHE_K ? c->capacity : c->rows;
        d.cols[i] = i == Q || i == DY ? q : k;
        d.of[i] = kit_random(d.rows[i] * d.cols[i], -1, 1);
    }
    return d;
}

/* Forward, then back with the cache as it was. */
static void on_device(const att_case *c, const att_data *d, direct_kept *kept) {
    direct_mat in[IN + 2];
    const int64_t q = c->heads * c->p;
    const int64_t k = c->key_heads * c->p;
    for (int i = 0; i < IN; i++) {
        in[i] = direct_of(d->rows[i], d->cols[i], i % 3, d->of[i]);
    }
    direct_mat *before = &in[IN];
    before[0] = direct_of(c->capacity, k, 1, d->of[CACHE_K]);
    before[1] = direct_of(c->capacity, k, 0, d->of[CACHE_V]);
    direct_mat y = direct_new(c->rows, q, 2);
    direct_mat saved = direct_new(c->rows, c->heads, 1);
    direct_mat dq = direct_new(c->rows, q, 0);
    direct_mat dk = direct_new(c->rows, k, 3);
    direct_mat dv = direct_new(c->rows, k, 1);
    int32_t *at = c->n_starts ? direct_ids(c->starts, c->n_starts) : NULL;
    const mbk_cu_starts starts = {at, c->n_starts};
    const float scale = 1.0f / sqrtf((float)c->p);
    const mbk_cu_attention a = {y.v,     in[Q].v,        in[K].v,      in[V].v,     in[CACHE_K].v, in[CACHE_V].v,
                                saved.v, c->heads,       c->key_heads, c->position, c->window,     c->rotary,
                                10000,   c->interleaved, scale,        starts};
    mbk_cu_queue queue = direct_queue(mbk_cu_attention_scratch(&a));
    CHECK_INT(mbk_cu_attention_forward(&queue, &a), 0);
    direct_queue_free(&queue);
    const mbk_cu_attention_grad g = {dq.v,    dk.v,           dv.v,         in[DCACHE_K].v, in[DCACHE_V].v, in[DY].v,
                                     y.v,     in[Q].v,        in[K].v,      in[V].v,        before[0].v,    before[1].v,
                                     saved.v, c->heads,       c->key_heads, c->position,    c->window,      c->rotary,
                                     10000,   c->interleaved, scale,        starts};
    queue = direct_queue(mbk_cu_attention_grad_scratch(&g));
    CHECK_INT(mbk_cu_attention_backward(&queue, &g), 0);
    direct_queue_free(&queue);
    const direct_mat out[OUT] = {y,  saved, in[Q], in[K],        in[CACHE_K], in[CACHE_V],
                                 dq, dk,    dv,    in[DCACHE_K], in[DCACHE_V]};
    direct_keep(kept, "attention", out, OUT);
    direct_free(in, IN + 2);
    direct_mat rest[] = {y, saved, dq, dk, dv};
    direct_free(rest, 5);
    simt_free(at);
}

static void on_reference(const att_case *c, const att_data *d, float **want) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat in[IN];
    for (int i = 0; i < IN; i++) {
        in[i] = kit_of(ctx, d->rows[i], d->cols[i], 0, d->of[i]);
    }
    kit_mat ck = kit_of(ctx, c->capacity, d->cols[CACHE_K], 0, d->of[CACHE_K]);
    kit_mat cv = kit_of(ctx, c->capacity, d->cols[CACHE_V], 0, d->of[CACHE_V]);
    kit_mat y = kit_new(ctx, c->rows, d->cols[Q], 0);
    kit_mat saved = kit_new(ctx, c->rows, c->heads, 0);
    kit_mat dq = kit_new(ctx, c->rows, d->cols[Q], 0);
    kit_mat dk = kit_new(ctx, c->rows, d->cols[K], 0);
    kit_mat dv = kit_new(ctx, c->rows, d->cols[K], 0);
    mbk_buf *ids = c->n_starts ? kit_ids(ctx, c->starts, c->n_starts) : NULL;
    const mbk_starts starts = {ids, 0, c->n_starts};
    const float scale = 1.0f / sqrtf((float)c->p);
    const mbk_attention_args a = {y.m,     in[Q].m,        in[K].m,      in[V].m,     ck.m,      cv.m,
                                  saved.m, c->heads,       c->key_heads, c->position, c->window, c->rotary,
                                  10000,   c->interleaved, scale,        starts};
    CHECK_INT(ctx->ops->attention(ctx, &a), 0);
    const mbk_attention_grad_args g = {
        dq.m,      dk.m,      dv.m,          in[DCACHE_K].m, in[DCACHE_V].m, in[DY].m, y.m,          in[Q].m,
        in[K].m,   in[V].m,   in[CACHE_K].m, in[CACHE_V].m,  saved.m,        c->heads, c->key_heads, c->position,
        c->window, c->rotary, 10000,         c->interleaved, scale,          starts};
    CHECK_INT(ctx->ops->attention_grad(ctx, &g), 0);
    kit_mat *out[OUT] = {&y, &saved, &in[Q], &in[K], &ck, &cv, &dq, &dk, &dv, &in[DCACHE_K], &in[DCACHE_V]};
    for (int i = 0; i < OUT; i++) {
        want[i] = kit_get(out[i]);
    }
    kit_mat *all[] = {&in[0], &in[1], &in[2], &in[3], &in[4], &in[5], &in[6], &in[7],
                      &ck,    &cv,    &y,     &saved, &dq,    &dk,    &dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
    if (ids) {
        ctx->ops->buf_free(ctx, ids);
    }
    kit_close(ctx);
}

static void check_case(const att_case *c) {
    att_data d = data_new(c);
    direct_kept kept = {0};
    float *want[OUT];
    EACH_SCHEDULE(s) {
        on_device(c, &d, &kept);
    }
    simt_schedule(NULL);
    on_reference(c, &d, want);
    for (int i = 0; i < OUT; i++) {
        char what[80];
        snprintf(what, sizeof what, "output %d of %ld rows at %ld", i, (long)c->rows, (long)c->position);
        direct_near(&kept, i, what, want[i], i < OUT_DQ ? 5e-6 : 1e-5);
    }
    direct_kept_free(&kept);
    for (int i = 0; i < IN; i++) {
        free(d.of[i]);
    }
}

MBS_TEST(cuda_attention, goes_on_from_a_cache_and_back) {
    const att_case all = {30, 2, 1, 34, 40, 0, 8, 90, 0, NULL, 0};
    check_case(&all);
    const att_case window = {20, 2, 2, 6, 150, 70, 6, 69, 1, NULL, 0};
    check_case(&window);
}

#ifndef MBS_SIMT_RACE
MBS_TEST(cuda_attention, heads_of_many_channels) {
    const att_case c = {70, 2, 1, 130, 10, 0, 64, 80, 0, NULL, 0};
    check_case(&c);
}
#endif

MBS_TEST(cuda_attention, sequences_side_by_side) {
    static const int32_t at[] = {3, 4, 70};
    const att_case c = {90, 1, 1, 5, 66, 0, 4, 100, 0, at, 3};
    check_case(&c);
}
