/* Gradients of rows, the loss and the optimiser on the emulator: beside the reference on shapes with odd tails, and
 * with the same bits under every schedule. */
#include <math.h>

#include "simt/direct.h"
#include "simt/runtime.h"
#include "support/test.h"

#define LIMIT 2e-6

typedef struct shape {
    int64_t rows, cols;
} shape;
/* Fewer rows than a warp, more than one partial sum, more columns than a block. */
static const shape shapes[] = {{1, 1}, {3, 33}, {7, 300}, {129, 5}, {300, 70}, {261, 31}};
#define EACH_SHAPE(I) for (size_t I = 0; I < sizeof shapes / sizeof *shapes; I++)

static void ref_free(kit_mat *m, int n) {
    for (int i = 0; i < n; i++) {
        kit_free(&m[i]);
    }
}

enum { DY, X, W, OLD, INS };

/* dy, x, w, and what is there before; cols numbers more for w. */
static float *numbers(shape s) {
    return kit_random(3 * s.rows * s.cols + 2 * s.cols, -1, 1);
}

static void norm_case(shape s, int centred, int accumulate) {
    const float *x = numbers(s);
    const int64_t n = s.rows * s.cols;
    const float *w = x + 3 * n;
    direct_kept k = {0};
    EACH_SCHEDULE(i) {
        direct_mat in[] = {direct_of(s.rows, s.cols, 1, x), direct_of(s.rows, s.cols, 3, x + n),
                           direct_of(1, s.cols, 0, w)};
        direct_mat out[] = {direct_of(s.rows, s.cols, 2, x + 2 * n), direct_of(1, s.cols, 1, w),
                            direct_of(1, s.cols, 1, w + s.cols)};
        mbk_cu_queue q = direct_queue(mbk_cu_row_grad_scratch(s.rows, s.cols));
        CHECK_INT(centred ? mbk_cu_layernorm_grad(&q, out[0].v, out[1].v, out[2].v, in[0].v, in[1].v, in[2].v, 1e-5f,
                                                  accumulate)
                          : mbk_cu_rmsnorm_grad(&q, out[0].v, out[1].v, in[0].v, in[1].v, in[2].v, 1e-5f, accumulate),
                  0);
        direct_keep(&k, "norm", out, 3);
        direct_queue_free(&q);
        direct_free(in, 3);
        direct_free(out, 3);
    }
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[] = {kit_of(ctx, s.rows, s.cols, 0, x), kit_of(ctx, s.rows, s.cols, 0, x + n),
                   kit_of(ctx, 1, s.cols, 0, w),      kit_of(ctx, s.rows, s.cols, 0, x + 2 * n),
                   kit_of(ctx, 1, s.cols, 0, w),      kit_of(ctx, 1, s.cols, 0, w + s.cols)};
    CHECK_INT(centred ? ctx->ops->layernorm_grad(ctx, m[3].m, m[4].m, m[5].m, m[0].m, m[1].m, m[2].m, 1e-5f, accumulate)
                      : ctx->ops->rmsnorm_grad(ctx, m[3].m, m[4].m, m[0].m, m[1].m, m[2].m, 1e-5f, accumulate),
              0);
    /* The norm of one column has no gradient but what rounding leaves of it. */
    for (int i = s.cols > 1 ? 0 : 1; i < 3 - !centred; i++) {
        direct_near(&k, i, centred ? "layernorm" : "rmsnorm", kit_get(&m[3 + i]), s.cols > 1 ? LIMIT : 1);
    }
    ref_free(m, 6);
    kit_close(ctx);
    direct_kept_free(&k);
    free((float *)(uintptr_t)x);
}

MBS_TEST(cuda_grad, norms) {
    EACH_SHAPE(i) {
        norm_case(shapes[i], 0, i % 2);
        norm_case(shapes[i], 1, i % 2 == 0);
    }
}

/* Groups of a third of 3 x 33 columns beside the whole; dx in place of dy and dz of z. */
static void gated_case(shape s, int64_t groups, int norm_first, int with_dw) {
    s.cols *= groups;
    float *x = numbers(s);
    const int64_t n = s.rows * s.cols;
    const float *w = x + 3 * n;
    direct_kept k = {0};
    EACH_SCHEDULE(i) {
        direct_mat in[] = {direct_of(s.rows, s.cols, 3, x + n), direct_of(1, s.cols, 0, w)};
        direct_mat out[] = {direct_of(s.rows, s.cols, 1, x), direct_of(s.rows, s.cols, 2, x + 2 * n),
                            direct_of(1, s.cols, 1, w + s.cols)};
        const mbk_cu_view none = {0};
        mbk_cu_queue q = direct_queue(mbk_cu_row_grad_scratch(s.rows, s.cols));
        CHECK_INT(mbk_cu_rmsnorm_gated_grad(&q, out[0].v, out[1].v, with_dw ? out[2].v : none, out[0].v, in[0].v,
                                            out[1].v, in[1].v, 1e-5f, s.cols / groups, norm_first),
                  0);
        direct_keep(&k, "gated norm", out, 3);
        direct_queue_free(&q);
        direct_free(in, 2);
        direct_free(out, 3);
    }
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[] = {kit_of(ctx, s.rows, s.cols, 0, x), kit_of(ctx, s.rows, s.cols, 0, x + n),
                   kit_of(ctx, s.rows, s.cols, 0, x + 2 * n), kit_of(ctx, 1, s.cols, 0, w),
                   kit_of(ctx, 1, s.cols, 0, w + s.cols)};
    CHECK_INT(ctx->ops->rmsnorm_gated_grad(ctx, m[0].m, m[2].m, with_dw ? m[4].m : kit_none, m[0].m, m[1].m, m[2].m,
                                           m[3].m, 1e-5f, s.cols / groups, norm_first),
              0);
    direct_near(&k, 0, "gated norm dx", kit_get(&m[0]), s.cols / groups > 1 ? LIMIT : 1e-4);
    direct_near(&k, 1, "gated norm dz", kit_get(&m[2]), s.cols / groups > 1 ? LIMIT : 1e-4);
    direct_near(&k, 2, "gated norm dw", kit_get(&m[4]), LIMIT);
    ref_free(m, 5);
    kit_close(ctx);
    direct_kept_free(&k);
    free(x);
}

MBS_TEST(cuda_grad, gated_norms_in_place) {
    for (size_t i = 1; i < sizeof shapes / sizeof *shapes; i++) {
        gated_case(shapes[i], 1 + (int64_t)i % 3, i % 2, 1);
        gated_case(shapes[i], 1 + (int64_t)i % 2, i % 2 == 0, i % 3 != 0);
    }
}

static void elementwise_case(shape s) {
    float *x = numbers(s);
    const int64_t n = s.rows * s.cols;
    direct_kept k = {0};
    direct_kept b = {0};
    EACH_SCHEDULE(i) {
        direct_mat in = direct_of(s.rows, s.cols, 3, x + n);
        direct_mat out[] = {direct_of(s.rows, s.cols, 1, x), direct_of(s.rows, s.cols, 2, x + 2 * n)};
        direct_mat bias = direct_of(1, s.cols, 1, x + 3 * n);
        mbk_cu_queue q = direct_queue(mbk_cu_row_grad_scratch(s.rows, s.cols));
        CHECK_INT(mbk_cu_bias_grad(&q, bias.v, out[0].v), 0);
        CHECK_INT(mbk_cu_gate_grad(&q, out[0].v, out[1].v, out[0].v, in.v, out[1].v), 0);
        direct_keep(&k, "gate", out, 2);
        direct_keep(&b, "bias", &bias, 1);
        direct_queue_free(&q);
        direct_free(&in, 1);
        direct_free(&bias, 1);
        direct_free(out, 2);
    }
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[] = {kit_of(ctx, s.rows, s.cols, 0, x), kit_of(ctx, s.rows, s.cols, 0, x + n),
                   kit_of(ctx, s.rows, s.cols, 0, x + 2 * n), kit_of(ctx, 1, s.cols, 0, x + 3 * n)};
    CHECK_INT(ctx->ops->bias_grad(ctx, m[3].m, m[0].m), 0);
    CHECK_INT(ctx->ops->gate_grad(ctx, m[0].m, m[2].m, m[0].m, m[1].m, m[2].m), 0);
    direct_near(&k, 0, "gate dx", kit_get(&m[0]), LIMIT);
    direct_near(&k, 1, "gate dz", kit_get(&m[2]), LIMIT);
    direct_near(&b, 0, "bias", kit_get(&m[3]), LIMIT);
    ref_free(m, 4);
    kit_close(ctx);
    direct_kept_free(&k);
    direct_kept_free(&b);
    free(x);
}

MBS_TEST(cuda_grad, gate_in_place_and_bias) {
    EACH_SHAPE(i) {
        elementwise_case(shapes[i]);
    }
}

static void embed_case(int64_t rows, int64_t cols, int64_t table, int exact) {
    float *dy = kit_random(rows * cols + table * cols, -1, 1);
    int32_t *ids = malloc((size_t)rows * sizeof *ids);
    for (int64_t i = 0; ids && i < rows; i++) {
        ids[i] = (int32_t)kit_int(-1, table - 1);
    }
    direct_kept k = {0};
    EACH_SCHEDULE(i) {
        direct_mat m[] = {direct_of(table, cols, 2, dy + rows * cols), direct_of(rows, cols, 1, dy)};
        int32_t *at = direct_ids(ids, rows);
        mbk_cu_queue q = direct_queue(mbk_cu_embed_grad_scratch(rows, table, cols));
        CHECK_INT(mbk_cu_embed_grad(&q, m[0].v, m[1].v, at), 0);
        direct_keep(&k, "embedding", m, 1);
        direct_queue_free(&q);
        direct_free(m, 2);
        simt_free(at);
    }
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[] = {kit_of(ctx, table, cols, 0, dy + rows * cols), kit_of(ctx, rows, cols, 0, dy)};
    mbk_buf *idb = kit_ids(ctx, ids, rows);
    CHECK_INT(ctx->ops->embed_grad(ctx, m[0].m, m[1].m, idb, 0), 0);
    float *want = kit_get(&m[0]);
    CHECK(!exact || kit_same(k.of[0], want, table * cols), "rows are added in their order");
    direct_near(&k, 0, "embedding", want, LIMIT);
    ctx->ops->buf_free(ctx, idb);
    ref_free(m, 2);
    kit_close(ctx);
    direct_kept_free(&k);
    free(ids);
    free(dy);
}

MBS_TEST(cuda_grad, embedding) {
    embed_case(1, 1, 1, 1);
    embed_case(77, 40, 5, 1);
    embed_case(512, 3, 7, 1);
    embed_case(1030, 3, 4, 0);
    embed_case(50, 300, 60, 1);
}

static void loss_case(int64_t rows, int64_t cols, int weighted, int in_place) {
    float *x = kit_random(rows * cols, -5, 5);
    float *weight = kit_random(rows, 0, 2);
    int32_t *ids = malloc((size_t)rows * sizeof *ids);
    for (int64_t i = 0; ids && i < rows; i++) {
        ids[i] = (int32_t)kit_int(i % 5 ? 0 : -1, cols - 1);
    }
    direct_kept k = {0};
    EACH_SCHEDULE(i) {
        direct_mat m[] = {direct_new(rows, 1, 2), direct_of(rows, cols, 1, x), direct_new(rows, cols, 3),
                          direct_of(rows, 1, 1, weight)};
        int32_t *at = direct_ids(ids, rows);
        const mbk_cu_view none = {0};
        mbk_cu_queue q = direct_queue(0);
        direct_mat out[] = {m[0], m[in_place ? 1 : 2]};
        CHECK_INT(mbk_cu_cross_entropy(&q, m[0].v, out[1].v, m[1].v, weighted ? m[3].v : none, at, 0.25f), 0);
        direct_keep(&k, "loss", out, 2);
        if (!in_place) {
            CHECK_INT(mbk_cu_cross_entropy(&q, m[0].v, none, m[1].v, weighted ? m[3].v : none, at, 0.25f), 0);
            direct_keep(&k, "the loss alone", out, 1);
        }
        direct_free(m, 4);
        simt_free(at);
    }
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[] = {kit_new(ctx, rows, 1, 0), kit_of(ctx, rows, cols, 0, x), kit_of(ctx, rows, 1, 0, weight)};
    mbk_buf *idb = kit_ids(ctx, ids, rows);
    CHECK_INT(ctx->ops->cross_entropy(ctx, m[0].m, m[1].m, m[1].m, weighted ? m[2].m : kit_none, idb, 0, 0.25f), 0);
    direct_near(&k, 0, "loss", kit_get(&m[0]), LIMIT);
    direct_near(&k, 1, "dlogits", kit_get(&m[1]), LIMIT);
    ctx->ops->buf_free(ctx, idb);
    ref_free(m, 3);
    kit_close(ctx);
    direct_kept_free(&k);
    free(ids);
    free(weight);
    free(x);
}

MBS_TEST(cuda_grad, cross_entropy) {
    loss_case(1, 2, 0, 0);
    loss_case(37, 16, 1, 1);
    loss_case(9, 77, 0, 1);
    loss_case(3, 4097, 1, 0);
    loss_case(5, 5000, 0, 1);
}

static void squares_case(shape s) {
    float *x = kit_random(s.rows * s.cols, -1e3f, 1e3f);
    double want = 2.5;
    for (int64_t i = 0; i < s.rows * s.cols; i++) {
        want += (double)x[i] * (double)x[i];
    }
    double first = 0;
    EACH_SCHEDULE(i) {
        direct_mat m = direct_of(s.rows, s.cols, 3, x);
        mbk_cu_queue q = direct_queue(mbk_cu_sum_squares_scratch(s.rows, s.cols));
        double *acc = simt_malloc(sizeof *acc);
        *acc = 2.5;
        CHECK_INT(mbk_cu_sum_squares(&q, acc, m.v), 0);
        CHECK(fabs(*acc - want) <= 1e-12 * want, "%g is not %g", *acc, want);
        first = i == 0 ? *acc : first;
        CHECK(memcmp(&first, acc, sizeof first) == 0, "other bits under %s", direct_schedules[i]);
        simt_free(acc);
        direct_queue_free(&q);
        direct_free(&m, 1);
    }
    free(x);
}

MBS_TEST(cuda_grad, sum_of_squares) {
    EACH_SHAPE(i) {
        squares_case(shapes[i]);
    }
    squares_case((shape){30, 1100});
}

static void adamw_case(shape s, int64_t step) {
    const int64_t n = s.rows * s.cols;
    float *x = kit_random(4 * n, -1, 1);
    for (int64_t i = 0; i < n; i++) {
        x[2 * n + i] = fabsf(x[2 * n + i]);
    }
    direct_kept k = {0};
    EACH_SCHEDULE(i) {
        direct_mat m[] = {direct_of(s.rows, s.cols, 1, x), direct_of(s.rows, s.cols, 2, x + n),
                          direct_of(s.rows, s.cols, 3, x + 2 * n), direct_of(s.rows, s.cols, 0, x + 3 * n)};
        mbk_cu_queue q = direct_queue(0);
        mbk_cu_adamw a = {m[0].v, m[1].v, m[2].v, m[3].v, 1e-3, 0.9, 0.95, 1e-8, 0.1, 0.5, step};
        CHECK_INT(mbk_cu_adamw_step(&q, &a), 0);
        direct_keep(&k, "adamw", m, 3);
        direct_free(m, 4);
    }
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[] = {kit_of(ctx, s.rows, s.cols, 0, x), kit_of(ctx, s.rows, s.cols, 0, x + n),
                   kit_of(ctx, s.rows, s.cols, 0, x + 2 * n), kit_of(ctx, s.rows, s.cols, 0, x + 3 * n)};
    mbk_adamw_args a = {m[0].m, m[1].m, m[2].m, m[3].m, 1e-3, 0.9, 0.95, 1e-8, 0.1, 0.5, step};
    CHECK_INT(ctx->ops->adamw(ctx, &a), 0);
    for (int i = 0; i < 3; i++) {
        direct_near(&k, i, "adamw", kit_get(&m[i]), LIMIT);
    }
    ref_free(m, 4);
    kit_close(ctx);
    direct_kept_free(&k);
    free(x);
}

MBS_TEST(cuda_grad, adamw) {
    EACH_SHAPE(i) {
        adamw_case(shapes[i], 1 + 400 * (int64_t)i);
    }
}
