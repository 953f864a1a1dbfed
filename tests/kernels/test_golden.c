/* The golden vectors at every level: what the float64 reference computes, within 3e-6. */
#include "kit.h"
#include "support/test.h"
#include "support/vectors.h"

#define LIMIT 3e-6

/* dst[j][i] = src[i][j]: the vectors store states and A channel first, the table time or state first. */
static float *transposed(const float *src, int64_t rows, int64_t cols) {
    float *dst = kit_random(rows * cols, 0, 0);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            dst[j * rows + i] = src[i * cols + j];
        }
    }
    return dst;
}

static kit_mat put_transposed(mbk_ctx *ctx, int64_t rows, int64_t cols, const float *src) {
    float *dense = transposed(src, cols, rows);
    kit_mat t = kit_of(ctx, rows, cols, 3, dense);
    free(dense);
    return t;
}

/* max|err|/max|ref| of t against a channel-first array of doubles. */
static double maxrel_transposed(const kit_mat *t, const double *want) {
    float *dense = kit_get(t);
    float *back = transposed(dense, t->m.rows, t->m.cols);
    double err = vec_maxrel(back, want, t->m.rows * t->m.cols);
    free(dense);
    free(back);
    return err;
}

static void expect(const char *what, const char *level, double err) {
    fprintf(stderr, "  %-36s %-7s %.2e\n", what, level, err);
    CHECK(err <= LIMIT, "%s at %s: %g", what, level, err);
}

static double maxrel(const kit_mat *t, const double *want) {
    float *dense = kit_get(t);
    double err = vec_maxrel(dense, want, t->m.rows * t->m.cols);
    free(dense);
    return err;
}

MBS_TEST(golden, causal_conv) {
    vec_file *f = vec_open("causal_conv");
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        kit_mat w = put_transposed(ctx, 4, 5, vec_f32(f, "w"));
        kit_mat bias = kit_of(ctx, 1, 5, 3, vec_f32(f, "b"));
        for (int batch = 0; batch < 2; batch++) {
            kit_mat x = kit_of(ctx, 11, 5, 3, vec_f32(f, "x") + batch * 55);
            kit_mat state = put_transposed(ctx, 4, 5, vec_f32(f, "st") + batch * 20);
            kit_mat y = kit_new(ctx, 11, 5, 2);
            CHECK_INT(ctx->ops->conv1d_silu(ctx, y.m, x.m, w.m, bias.m, state.m, kit_whole), 0);
            expect("causal_conv y", ctx->ops->name, maxrel(&y, vec_f64(f, "y") + batch * 55));
            expect("causal_conv new_state", ctx->ops->name,
                   maxrel_transposed(&state, vec_f64(f, "new_state") + batch * 20));
            CHECK(kit_canaries(&y) && kit_canaries(&state));
            kit_free(&x);
            kit_free(&state);
            kit_free(&y);
        }
        kit_free(&w);
        kit_free(&bias);
        kit_close(ctx);
    }
    vec_close(f);
}

enum { L = 19, D = 6, N = 4 };

/* The scan of channels [c0, c1), which read B and C of `group`. */
static void scan_part(mbk_ctx *ctx, const vec_file *f, const char *name, int batch, int groups, int group) {
    int64_t c0 = D / groups * group;
    int64_t c1 = c0 + D / groups;
    int64_t ld = batch * L * D;
    float *b = kit_random(L * N, 0, 0);
    float *c = kit_random(L * N, 0, 0);
    for (int64_t t = 0; t < L; t++) {
        memcpy(b + t * N, vec_f32(f, "B") + ((batch * L + t) * groups + group) * N, N * sizeof *b);
        memcpy(c + t * N, vec_f32(f, "C") + ((batch * L + t) * groups + group) * N, N * sizeof *c);
    }
    kit_mat u = kit_of(ctx, L, D, 3, vec_f32(f, "u") + ld);
    kit_mat dt = kit_of(ctx, L, D, 3, vec_f32(f, "dt") + ld);
    kit_mat z = kit_of(ctx, L, D, 3, vec_f32(f, "z") + ld);
    kit_mat bm = kit_of(ctx, L, N, 3, b);
    kit_mat cm = kit_of(ctx, L, N, 3, c);
    kit_mat a = put_transposed(ctx, N, D, vec_f32(f, "A"));
    kit_mat d = kit_of(ctx, 1, D, 3, vec_f32(f, "D"));
    kit_mat bias = kit_of(ctx, 1, D, 3, vec_f32(f, "bias"));
    kit_mat state = put_transposed(ctx, N, D, vec_f32(f, "h0") + batch * D * N);
    kit_mat y = kit_new(ctx, L, D, 5);
    mbk_scan_args args = {kit_cols(&y, c0, c1),
                          kit_cols(&u, c0, c1),
                          kit_cols(&dt, c0, c1),
                          bm.m,
                          cm.m,
                          kit_cols(&z, c0, c1),
                          kit_cols(&a, c0, c1),
                          kit_cols(&d, c0, c1),
                          kit_cols(&bias, c0, c1),
                          kit_cols(&state, c0, c1),
                          kit_whole,
                          kit_none};
    CHECK_INT(ctx->ops->selective_scan(ctx, &args), 0);

    float *got = kit_get(&y);
    float *h = kit_get(&state);
    double want_y[L * D];
    double want_h[N * D];
    float got_y[L * D];
    float got_h[N * D];
    int64_t ny = 0;
    int64_t nh = 0;
    for (int64_t ch = c0; ch < c1; ch++) {
        for (int64_t t = 0; t < L; t++, ny++) {
            got_y[ny] = got[t * D + ch];
            want_y[ny] = vec_f64(f, "y")[ld + t * D + ch];
        }
        for (int64_t n = 0; n < N; n++, nh++) {
            got_h[nh] = h[n * D + ch];
            want_h[nh] = vec_f64(f, "final")[(batch * D + ch) * N + n];
        }
    }
    char what[64];
    snprintf(what, sizeof what, "%s y", name);
    expect(what, ctx->ops->name, vec_maxrel(got_y, want_y, ny));
    snprintf(what, sizeof what, "%s final", name);
    expect(what, ctx->ops->name, vec_maxrel(got_h, want_h, nh));
    free(got);
    free(h);
    free(b);
    free(c);
    kit_mat *all[] = {&u, &dt, &z, &bm, &cm, &a, &d, &bias, &state, &y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
}

MBS_TEST(golden, selective_scan) {
    static const char *const names[] = {"selective_scan_grad", "selective_scan_grad_groups", "selective_scan_edge"};
    for (int i = 0; i < 3; i++) {
        vec_file *f = vec_open(names[i]);
        int groups = atoi(vec_meta(f, "groups"));
        EACH_LEVEL(level) {
            mbk_ctx *ctx = kit_open(level, 1);
            for (int batch = 0; batch < 2; batch++) {
                for (int g = 0; g < groups; g++) {
                    scan_part(ctx, f, names[i], batch, groups, g);
                }
            }
            kit_close(ctx);
        }
        vec_close(f);
    }
}

MBS_TEST(golden, rmsnorm_plain) {
    vec_file *f = vec_open("rmsnorm_gated");
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        kit_mat x = kit_of(ctx, 3, 24, 3, vec_f32(f, "x"));
        kit_mat w = kit_of(ctx, 1, 24, 3, vec_f32(f, "w"));
        kit_mat y = kit_new(ctx, 3, 24, 1);
        CHECK_INT(ctx->ops->rmsnorm(ctx, y.m, x.m, w.m, 1e-5f), 0);
        expect("rmsnorm_gated plain", ctx->ops->name, maxrel(&y, vec_f64(f, "plain")));
        kit_free(&x);
        kit_free(&w);
        kit_free(&y);
        kit_close(ctx);
    }
    vec_close(f);
}
