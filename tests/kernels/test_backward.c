/* Gradients against central differences of the same function in double, and what the optimiser does. */
#include <math.h>

#include "kit.h"
#include "support/test.h"

enum { R = 5, C = 21, O = 19 };

/* The sum of dy times what the operation gives, all in double: x (R, C), then its parameters. */
typedef double (*value_fn)(const double *x, const float *dy);

static double gemm_value(const double *p, const float *dy) {
    double sum = 0;
    for (int r = 0; r < R; r++) {
        for (int o = 0; o < O; o++) {
            for (int k = 0; k < C; k++) {
                sum += (double)dy[r * O + o] * p[r * C + k] * p[R * C + o * C + k];
            }
        }
    }
    return sum;
}

static double norm_value(const double *p, const float *dy, int centred) {
    double sum = 0;
    for (int r = 0; r < R; r++) {
        const double *x = p + r * C;
        double mean = 0;
        double var = 0;
        for (int j = 0; j < C && centred; j++) {
            mean += x[j] / C;
        }
        for (int j = 0; j < C; j++) {
            var += (x[j] - mean) * (x[j] - mean) / C;
        }
        for (int j = 0; j < C; j++) {
            double b = centred ? p[R * C + C + j] : 0;
            sum += (double)dy[r * C + j] * ((x[j] - mean) / sqrt(var + 1e-5) * p[R * C + j] + b);
        }
    }
    return sum;
}

static double layernorm_value(const double *p, const float *dy) {
    return norm_value(p, dy, 1);
}

static double rmsnorm_value(const double *p, const float *dy) {
    return norm_value(p, dy, 0);
}

static const int32_t targets[R] = {3, 0, -1, 18, 7};
static const float row_weights[R] = {1.0f, 0.5f, 2.0f, 0.0f, 0.25f};

static double loss_value(const double *p, const float *dy) {
    double sum = 0;
    for (int r = 0; r < R; r++) {
        double total = 0;
        for (int j = 0; j < C; j++) {
            total += exp(p[r * C + j]);
        }
        sum += targets[r] < 0 ? 0 : (double)row_weights[r] * (log(total) - p[r * C + targets[r]]);
    }
    return sum * (double)dy[0];
}

/* d value / d p_i for i in [from, from + n), as floats, to be freed. */
static float *differences(value_fn f, const float *p, int count, const float *dy, int from, int n) {
    double *at = malloc((size_t)count * sizeof *at);
    float *d = kit_random(n, 0, 0);
    for (int i = 0; at && i < count; i++) {
        at[i] = (double)p[i];
    }
    for (int i = 0; i < n; i++) {
        const double h = 1e-5;
        double old = at[from + i];
        at[from + i] = old + h;
        double up = f(at, dy);
        at[from + i] = old - h;
        d[i] = (float)((up - f(at, dy)) / (2 * h));
        at[from + i] = old;
    }
    free(at);
    return d;
}

/* `got` less what it held before. */
static void expect(const char *what, const kit_mat *got, const float *before, float *want) {
    int64_t n = got->m.rows * got->m.cols;
    float *dense = kit_get(got);
    for (int64_t i = 0; before && i < n; i++) {
        want[i] += before[i];
    }
    double err = kit_maxrel(dense, want, n);
    CHECK(err <= 1e-5 && kit_canaries(got), "%s at %s: %g", what, got->ctx->ops->name, err);
    free(dense);
    free(want);
}

MBS_TEST(backward, gemm_against_differences) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float *p = kit_random(R * C + O * C, -1, 1);
        float *dy = kit_random(R * O, -1, 1);
        float *old = kit_random(O * C, -1, 1);
        kit_mat m[] = {kit_of(ctx, R, C, 1, p), kit_of(ctx, O, C, 2, p + R * C), kit_of(ctx, R, O, 3, dy),
                       kit_new(ctx, R, C, 1), kit_of(ctx, O, C, 1, old)};
        mbk_weight *turned = NULL;
        CHECK_INT(ctx->ops->prepare(ctx, old, C, O, (mbk_format){MBK_F32, MBK_MATH_F32}, &turned), 0);
        CHECK_INT(ctx->ops->repack(ctx, turned, m[1].m, 1), 0);
        CHECK_INT(ctx->ops->gemm(ctx, m[3].m, m[2].m, turned, kit_none, 0), 0);
        expect("dx", &m[3], NULL, differences(gemm_value, p, R * C + O * C, dy, 0, R * C));
        CHECK_INT(ctx->ops->weight_grad(ctx, m[4].m, m[2].m, m[0].m, MBK_MATH_F32), 0);
        expect("dw", &m[4], old, differences(gemm_value, p, R * C + O * C, dy, R * C, O * C));
        ctx->ops->weight_free(ctx, turned);
        for (int i = 0; i < 5; i++) {
            kit_free(&m[i]);
        }
        free(p);
        free(dy);
        free(old);
        kit_close(ctx);
    }
}

MBS_TEST(backward, norms_against_differences) {
    EACH_LEVEL(level) {
        for (int centred = 0; centred < 2; centred++) {
            mbk_ctx *ctx = kit_open(level, 1);
            const value_fn f = centred ? layernorm_value : rmsnorm_value;
            const int count = R * C + 2 * C;
            float *p = kit_random(count, -1, 1);
            float *dy = kit_random(R * C, -1, 1);
            float *old = kit_random(R * C, -1, 1);
            kit_mat m[] = {kit_of(ctx, R, C, 1, p),   kit_of(ctx, 1, C, 2, p + R * C), kit_of(ctx, R, C, 3, dy),
                           kit_of(ctx, R, C, 1, old), kit_of(ctx, 1, C, 1, old),       kit_of(ctx, 1, C, 1, old)};
            mbk_status st =
                centred ? ctx->ops->layernorm_grad(ctx, m[3].m, m[4].m, m[5].m, m[2].m, m[0].m, m[1].m, 1e-5f, 1)
                        : ctx->ops->rmsnorm_grad(ctx, m[3].m, m[4].m, m[2].m, m[0].m, m[1].m, 1e-5f, 1);
            CHECK_INT(st, 0);
            expect("dx", &m[3], old, differences(f, p, count, dy, 0, R * C));
            expect("dw", &m[4], old, differences(f, p, count, dy, R * C, C));
            expect("db", &m[5], old, differences(f, p, count, dy, R * C + C, C));
            for (int i = 0; i < 6; i++) {
                kit_free(&m[i]);
            }
            free(p);
            free(dy);
            free(old);
            kit_close(ctx);
        }
    }
}

/* The first of equals wins; rows without an id and rows of NaN are no hits. */
MBS_TEST(backward, hits) {
    static const float x[6 * 4] = {1, 2, 2, 0, 1, 2, 2, 0, -3, -1, -2, -5, 0, 0, 9, 0, NAN, NAN, NAN, NAN, 7, 1, 1, 1};
    static const int32_t ids[6] = {1, 2, 1, -1, 0, 0};
    static const float want[6] = {1, 0, 1, 0, 0, 1};
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        kit_mat m[] = {kit_of(ctx, 6, 4, 1, x), kit_new(ctx, 6, 1, 2)};
        mbk_buf *idb = kit_ids(ctx, ids, 6);
        CHECK_INT(ctx->ops->hits(ctx, m[1].m, m[0].m, idb, 0), 0);
        float *got = kit_get(&m[1]);
        CHECK(kit_same(got, want, 6), "%s", mbk_level_name(level));
        free(got);
        kit_free(&m[0]);
        kit_free(&m[1]);
        ctx->ops->buf_free(ctx, idb);
        kit_close(ctx);
    }
}

MBS_TEST(backward, cross_entropy_against_differences) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float *p = kit_random(R * C, -4, 4);
        const float scale = 0.125f;
        kit_mat m[] = {kit_of(ctx, R, C, 1, p), kit_of(ctx, R, 1, 0, row_weights), kit_new(ctx, R, 1, 2),
                       kit_new(ctx, R, C, 3)};
        mbk_buf *ids = kit_ids(ctx, targets, R);
        CHECK_INT(ctx->ops->cross_entropy(ctx, m[2].m, m[3].m, m[0].m, m[1].m, ids, 0, scale), 0);
        expect("dlogits", &m[3], NULL, differences(loss_value, p, R * C, &scale, 0, R * C));
        float *loss = kit_get(&m[2]);
        double *at = malloc(R * C * sizeof *at);
        double sum = 0;
        for (int i = 0; i < R * C; i++) {
            at[i] = (double)p[i];
        }
        for (int r = 0; r < R; r++) {
            sum += (double)loss[r];
        }
        const float one = 1;
        CHECK(fabs(sum - loss_value(at, &one)) <= 1e-5);
        CHECK(loss[2] == 0, "an ignored row has no loss");
        /* In place, and the loss alone. */
        CHECK_INT(ctx->ops->cross_entropy(ctx, m[2].m, kit_none, m[0].m, m[1].m, ids, 0, scale), 0);
        float *again = kit_get(&m[2]);
        CHECK(kit_same(again, loss, R));
        float *apart = kit_get(&m[3]);
        CHECK_INT(ctx->ops->cross_entropy(ctx, m[2].m, m[0].m, m[0].m, m[1].m, ids, 0, scale), 0);
        float *inplace = kit_get(&m[0]);
        CHECK(kit_same(inplace, apart, R * C));
        float *all[] = {p, loss, again, apart, inplace};
        for (int i = 0; i < 5; i++) {
            free(all[i]);
        }
        free(at);
        for (int i = 0; i < 4; i++) {
            kit_free(&m[i]);
        }
        ctx->ops->buf_free(ctx, ids);
        kit_close(ctx);
    }
}

MBS_TEST(backward, embedding_adds_in_the_order_of_rows) {
    static const int32_t ids[R] = {1, 3, 1, -1, 0};
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float *dy = kit_random(R * C, -1, 1);
        float *old = kit_random(4 * C, -1, 1);
        float *bias = kit_random(C, -1, 1);
        kit_mat m[] = {kit_of(ctx, R, C, 1, dy), kit_of(ctx, 4, C, 2, old), kit_of(ctx, 1, C, 2, bias)};
        mbk_buf *idb = kit_ids(ctx, ids, R);
        CHECK_INT(ctx->ops->embed_grad(ctx, m[1].m, m[0].m, idb, 0), 0);
        CHECK_INT(ctx->ops->bias_grad(ctx, m[2].m, m[0].m), 0);
        float *got = kit_get(&m[1]);
        float *gotb = kit_get(&m[2]);
        for (int j = 0; j < C; j++) {
            CHECK(got[j] == old[j] + dy[4 * C + j]);
            CHECK(got[C + j] == (old[C + j] + dy[j]) + dy[2 * C + j]);
            CHECK(got[2 * C + j] == old[2 * C + j]);
            CHECK(got[3 * C + j] == old[3 * C + j] + dy[C + j]);
            double sum = (double)bias[j];
            for (int r = 0; r < R; r++) {
                sum += (double)dy[r * C + j];
            }
            CHECK(fabs((double)gotb[j] - sum) <= 1e-6);
        }
        CHECK(kit_canaries(&m[1]) && kit_canaries(&m[2]));
        float *all[] = {dy, old, bias, got, gotb};
        for (int i = 0; i < 5; i++) {
            free(all[i]);
        }
        for (int i = 0; i < 3; i++) {
            kit_free(&m[i]);
        }
        ctx->ops->buf_free(ctx, idb);
        kit_close(ctx);
    }
}

MBS_TEST(backward, adamw_in_double) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        enum { P = 37 };
        float *w0 = kit_random(P, -1, 1);
        kit_mat m[] = {kit_of(ctx, 1, P, 1, w0), kit_new(ctx, 1, P, 2), kit_new(ctx, 1, P, 3), kit_new(ctx, 1, P, 1)};
        ctx->ops->zero(ctx, m[1].m);
        ctx->ops->zero(ctx, m[2].m);
        double w[P];
        double mean[P] = {0};
        double square[P] = {0};
        for (int i = 0; i < P; i++) {
            w[i] = (double)w0[i];
        }
        for (int step = 1; step <= 4; step++) {
            float *g = kit_random(P, -3, 3);
            kit_put(&m[3], g);
            mbk_adamw_args args = {m[0].m, m[1].m, m[2].m, m[3].m, 1e-2, 0.9, 0.95, 1e-8, 0.1, 0.5, step};
            CHECK_INT(ctx->ops->adamw(ctx, &args), 0);
            for (int i = 0; i < P; i++) {
                double d = 0.5 * (double)g[i];
                mean[i] = 0.9 * mean[i] + 0.1 * d;
                square[i] = 0.95 * square[i] + 0.05 * d * d;
                w[i] = w[i] * (1 - 1e-2 * 0.1) -
                       1e-2 * (mean[i] / (1 - pow(0.9, step))) / (sqrt(square[i] / (1 - pow(0.95, step))) + 1e-8);
            }
            free(g);
        }
        float *got = kit_get(&m[0]);
        for (int i = 0; i < P; i++) {
            CHECK(fabs((double)got[i] - w[i]) <= 2e-6, "%g is not %g", (double)got[i], w[i]);
        }
        CHECK(kit_canaries(&m[0]) && kit_canaries(&m[1]) && kit_canaries(&m[2]));
        free(got);
        free(w0);
        for (int i = 0; i < 4; i++) {
            kit_free(&m[i]);
        }
        kit_close(ctx);
    }
}

MBS_TEST(backward, squares_and_products) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        enum { P = 9001 };
        float *x = kit_random(2 * P, -1, 1);
        kit_mat m[] = {kit_of(ctx, 2, P, 1, x), kit_new(ctx, 2, P, 2)};
        mbk_buf *acc = NULL;
        CHECK_INT(ctx->ops->buf_new(ctx, 2 * sizeof(double), &acc), 0);
        CHECK_INT(ctx->ops->sum_squares(ctx, acc, 1, m[0].m), 0);
        CHECK_INT(ctx->ops->sum_squares(ctx, acc, 1, m[0].m), 0);
        double got[2];
        double want = 0;
        ctx->ops->download(ctx, got, acc, 0, sizeof got);
        for (int i = 0; i < 2 * P; i++) {
            want += 2 * (double)x[i] * (double)x[i];
        }
        CHECK(got[0] == 0 && fabs(got[1] - want) <= 1e-6 * want);
        CHECK_INT(ctx->ops->neg_exp(ctx, m[1].m, m[0].m), 0);
        CHECK_INT(ctx->ops->mul(ctx, m[1].m, m[1].m, m[0].m), 0);
        float *y = kit_get(&m[1]);
        for (int i = 0; i < 2 * P; i++) {
            CHECK(fabs((double)y[i] + exp((double)x[i]) * (double)x[i]) <= 1e-6);
        }
        CHECK(kit_canaries(&m[1]));
        free(x);
        free(y);
        kit_free(&m[0]);
        kit_free(&m[1]);
        ctx->ops->buf_free(ctx, acc);
        kit_close(ctx);
    }
}

/* A packed weight that is repacked holds what one prepared from the same numbers holds. */
MBS_TEST(backward, repack_is_prepare) {
    static const mbk_format formats[] = {
        {MBK_F32, MBK_MATH_F32}, {MBK_BF16, MBK_MATH_F32}, {MBK_F32, MBK_MATH_BF16}, {MBK_I8, MBK_MATH_F32}};
    mbk_ctx *ctx = kit_open(kit_level_best(), 1);
    for (int i = 0; i < 4; i++) {
        for (int turn = 0; turn < 2; turn++) {
            float *old = kit_random(O * C, -1, 1);
            float *w = kit_random(O * C, -1, 1);
            float *src = kit_random(O * C, 0, 0);
            memset(w + 3 * C, 0, C * sizeof *w);
            for (int j = 0; j < O * C; j++) {
                src[turn ? j % C * O + j / C : j] = w[j];
            }
            kit_mat m = kit_of(ctx, turn ? C : O, turn ? O : C, 3, src);
            mbk_weight *a = NULL;
            mbk_weight *b = NULL;
            CHECK_INT(ctx->ops->prepare(ctx, old, O, C, formats[i], &a), 0);
            CHECK_INT(ctx->ops->prepare(ctx, w, O, C, formats[i], &b), 0);
            CHECK_INT(ctx->ops->repack(ctx, a, m.m, turn), 0);
            kit_mat x = kit_of(ctx, R, C, 1, old);
            kit_mat y[] = {kit_new(ctx, R, O, 1), kit_new(ctx, R, O, 1)};
            CHECK_INT(ctx->ops->gemm(ctx, y[0].m, x.m, a, kit_none, 0), 0);
            CHECK_INT(ctx->ops->gemm(ctx, y[1].m, x.m, b, kit_none, 0), 0);
            float *ya = kit_get(&y[0]);
            float *yb = kit_get(&y[1]);
            CHECK(kit_same(ya, yb, R * O));
            float *all[] = {old, w, src, ya, yb};
            for (int k = 0; k < 5; k++) {
                free(all[k]);
            }
            ctx->ops->weight_free(ctx, a);
            ctx->ops->weight_free(ctx, b);
            kit_free(&m);
            kit_free(&x);
            kit_free(&y[0]);
            kit_free(&y[1]);
        }
    }
    kit_close(ctx);
}
