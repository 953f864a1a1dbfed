/* The golden gradients at every level, within 1e-5 of the largest of each tensor. The table's scan has one group of
 * channels for B and C; the vector with two groups is two calls on views of its channels. */
#include <math.h>

#include "kit.h"
#include "support/test.h"
#include "support/vectors.h"

#define LIMIT 1e-5

static void expect(const char *what, const char *level, double err) {
    fprintf(stderr, "  %-40s %-11s %.2e\n", what, level, err);
    CHECK(err <= LIMIT, "%s at %s: %g", what, level, err);
}

/* (rows, cols) from an array that holds the transpose. */
static kit_mat put_turned(mbk_ctx *ctx, int64_t rows, int64_t cols, const float *src) {
    float *dense = kit_random(rows * cols, 0, 0);
    for (int64_t i = 0; i < rows * cols; i++) {
        dense[i] = src[i % cols * rows + i / cols];
    }
    kit_mat t = kit_of(ctx, rows, cols, 3, dense);
    free(dense);
    return t;
}

static kit_mat zeros(mbk_ctx *ctx, int64_t rows, int64_t cols) {
    kit_mat t = kit_new(ctx, rows, cols, 2);
    ctx->ops->zero(ctx, t.m);
    return t;
}

static double err_of(const kit_mat *t, const double *want) {
    float *dense = kit_get(t);
    double err = vec_maxrel(dense, want, t->m.rows * t->m.cols);
    CHECK(kit_canaries(t));
    free(dense);
    return err;
}

static double err_turned(const kit_mat *t, const double *want) {
    int64_t rows = t->m.rows;
    int64_t cols = t->m.cols;
    float *dense = kit_get(t);
    float *back = kit_random(rows * cols, 0, 0);
    for (int64_t i = 0; i < rows * cols; i++) {
        back[i % cols * rows + i / cols] = dense[i];
    }
    double err = vec_maxrel(back, want, rows * cols);
    CHECK(kit_canaries(t));
    free(dense);
    free(back);
    return err;
}

static void free_all(kit_mat *all, int n) {
    for (int i = 0; i < n; i++) {
        kit_free(&all[i]);
    }
}

MBS_TEST(backward_golden, causal_conv) {
    vec_file *f = vec_open("causal_conv");
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        kit_mat w = put_turned(ctx, 4, 5, vec_f32(f, "w"));
        kit_mat bias = kit_of(ctx, 1, 5, 3, vec_f32(f, "b"));
        kit_mat dw = zeros(ctx, 4, 5);
        kit_mat dbias = zeros(ctx, 1, 5);
        for (int batch = 0; batch < 2; batch++) {
            kit_mat m[] = {kit_of(ctx, 11, 5, 3, vec_f32(f, "x") + batch * 55),
                           kit_of(ctx, 11, 5, 1, vec_f32(f, "dout") + batch * 55),
                           put_turned(ctx, 4, 5, vec_f32(f, "st") + batch * 20), zeros(ctx, 4, 5), zeros(ctx, 11, 5)};
            mbk_conv_grad_args args = {m[4].m, dw.m, dbias.m, m[3].m, m[1].m, m[0].m, w.m, bias.m, m[2].m, kit_whole};
            CHECK_INT(ctx->ops->conv1d_silu_grad(ctx, &args), 0);
            expect("causal_conv grad.x", ctx->ops->name, err_of(&m[4], vec_f64(f, "grad.x") + batch * 55));
            expect("causal_conv grad.st", ctx->ops->name, err_turned(&m[3], vec_f64(f, "grad.st") + batch * 20));
            free_all(m, 5);
        }
        expect("causal_conv grad.w", ctx->ops->name, err_turned(&dw, vec_f64(f, "grad.w")));
        expect("causal_conv grad.b", ctx->ops->name, err_of(&dbias, vec_f64(f, "grad.b")));
        kit_mat rest[] = {w, bias, dw, dbias};
        free_all(rest, 4);
        kit_close(ctx);
    }
    vec_close(f);
}

enum { L = 19, D = 6, N = 4 };

/* Tensors that are shared by the sequences of a batch, and their gradients. */
enum { A, SKIP, BIAS, DA, DSKIP, DBIAS, SHARED };
/* Tensors of one sequence. */
enum { U, DT, Z, DY, Y, DU, DDT, DZ, STATE, DSTATE, SAVED, OWN };

/* Rows of group `group` of a (B, L, G, N) tensor. */
static kit_mat put_group(mbk_ctx *ctx, const float *src, int batch, int groups, int group) {
    float dense[L * N];
    for (int64_t t = 0; t < L; t++) {
        memcpy(dense + t * N, src + ((batch * L + t) * groups + group) * N, N * sizeof *dense);
    }
    return kit_of(ctx, L, N, 3, dense);
}

static void expect_group(const char *what, const kit_mat *t, const double *src, int batch, int groups, int group) {
    double want[L * N];
    for (int64_t i = 0; i < L; i++) {
        memcpy(want + i * N, src + ((batch * L + i) * groups + group) * N, N * sizeof *want);
    }
    expect(what, t->ctx->ops->name, err_of(t, want));
}

/* Forward, which saves the states, and back, of one group's channels. */
static void scan_group(mbk_ctx *ctx, const vec_file *f, const kit_mat *s, const kit_mat *o, int batch, int groups,
                       int group) {
    int64_t c0 = D / groups * group;
    int64_t c1 = c0 + D / groups;
    kit_mat m[] = {put_group(ctx, vec_f32(f, "B"), batch, groups, group),
                   put_group(ctx, vec_f32(f, "C"), batch, groups, group), kit_new(ctx, L, N, 1), kit_new(ctx, L, N, 2)};
    mbk_scan_args fwd = {kit_cols(&o[Y], c0, c1),
                         kit_cols(&o[U], c0, c1),
                         kit_cols(&o[DT], c0, c1),
                         m[0].m,
                         m[1].m,
                         kit_cols(&o[Z], c0, c1),
                         kit_cols(&s[A], c0, c1),
                         kit_cols(&s[SKIP], c0, c1),
                         kit_cols(&s[BIAS], c0, c1),
                         kit_cols(&o[STATE], c0, c1),
                         kit_whole,
                         kit_cols(&o[SAVED], c0, c1)};
    CHECK_INT(ctx->ops->selective_scan(ctx, &fwd), 0);
    mbk_scan_grad_args args = {
        .du = kit_cols(&o[DU], c0, c1),
        .ddt = kit_cols(&o[DDT], c0, c1),
        .dz = kit_cols(&o[DZ], c0, c1),
        .db = m[2].m,
        .dc = m[3].m,
        .da = kit_cols(&s[DA], c0, c1),
        .dd = kit_cols(&s[DSKIP], c0, c1),
        .dbias = kit_cols(&s[DBIAS], c0, c1),
        .dstate = kit_cols(&o[DSTATE], c0, c1),
        .dy = kit_cols(&o[DY], c0, c1),
        .u = fwd.u,
        .dt = fwd.dt,
        .b = fwd.b,
        .c = fwd.c,
        .z = fwd.z,
        .a = fwd.a,
        .d = fwd.d,
        .bias = fwd.bias,
        .saved = fwd.saved,
    };
    CHECK_INT(ctx->ops->selective_scan_grad(ctx, &args), 0);
    expect_group("scan grad.B", &m[2], vec_f64(f, "grad.B"), batch, groups, group);
    expect_group("scan grad.C", &m[3], vec_f64(f, "grad.C"), batch, groups, group);
    free_all(m, 4);
}

static void scan_batch(mbk_ctx *ctx, const vec_file *f, const kit_mat *s, int batch, int groups) {
    int64_t ld = batch * L * D;
    kit_mat o[OWN] = {
        [U] = kit_of(ctx, L, D, 3, vec_f32(f, "u") + ld),
        [DT] = kit_of(ctx, L, D, 3, vec_f32(f, "dt") + ld),
        [Z] = kit_of(ctx, L, D, 3, vec_f32(f, "z") + ld),
        [DY] = kit_of(ctx, L, D, 3, vec_f32(f, "dout") + ld),
        [Y] = kit_new(ctx, L, D, 1),
        [DU] = kit_new(ctx, L, D, 1),
        [DDT] = kit_new(ctx, L, D, 2),
        [DZ] = kit_new(ctx, L, D, 3),
        [STATE] = put_turned(ctx, N, D, vec_f32(f, "h0") + batch * D * N),
        [DSTATE] = put_turned(ctx, N, D, vec_f32(f, "dfinal") + batch * D * N),
        [SAVED] = kit_new(ctx, N, D, 1),
    };
    for (int g = 0; g < groups; g++) {
        scan_group(ctx, f, s, o, batch, groups, g);
    }
    expect("scan grad.u", ctx->ops->name, err_of(&o[DU], vec_f64(f, "grad.u") + ld));
    expect("scan grad.dt", ctx->ops->name, err_of(&o[DDT], vec_f64(f, "grad.dt") + ld));
    expect("scan grad.z", ctx->ops->name, err_of(&o[DZ], vec_f64(f, "grad.z") + ld));
    expect("scan grad.h0", ctx->ops->name, err_turned(&o[DSTATE], vec_f64(f, "grad.h0") + batch * D * N));
    free_all(o, OWN);
}

MBS_TEST(backward_golden, selective_scan) {
    static const char *const names[] = {"selective_scan_grad", "selective_scan_grad_groups", "selective_scan_edge"};
    for (int i = 0; i < 3; i++) {
        vec_file *f = vec_open(names[i]);
        int groups = atoi(vec_meta(f, "groups"));
        EACH_LEVEL(level) {
            mbk_ctx *ctx = kit_open(level, 1);
            fprintf(stderr, "  %s\n", names[i]);
            kit_mat s[SHARED] = {
                [A] = put_turned(ctx, N, D, vec_f32(f, "A")),
                [SKIP] = kit_of(ctx, 1, D, 3, vec_f32(f, "D")),
                [BIAS] = kit_of(ctx, 1, D, 3, vec_f32(f, "bias")),
                [DA] = zeros(ctx, N, D),
                [DSKIP] = zeros(ctx, 1, D),
                [DBIAS] = zeros(ctx, 1, D),
            };
            for (int batch = 0; batch < 2; batch++) {
                scan_batch(ctx, f, s, batch, groups);
            }
            expect("scan grad.A", ctx->ops->name, err_turned(&s[DA], vec_f64(f, "grad.A")));
            expect("scan grad.D", ctx->ops->name, err_of(&s[DSKIP], vec_f64(f, "grad.D")));
            expect("scan grad.bias", ctx->ops->name, err_of(&s[DBIAS], vec_f64(f, "grad.bias")));
            free_all(s, SHARED);
            kit_close(ctx);
        }
        vec_close(f);
    }
}

/* Both places of the gate, taken off here: norm(x silu(z)) w and norm(x) w silu(z), one group of 24. */
MBS_TEST(backward_golden, rmsnorm) {
    enum { R = 3, C = 24 };
    vec_file *f = vec_open("rmsnorm_gated");
    EACH_LEVEL(level) {
        for (int norm_first = 0; norm_first < 2; norm_first++) {
            mbk_ctx *ctx = kit_open(level, 1);
            float x[R * C];
            float dy[R * C];
            double gate[R * C];
            for (int i = 0; i < R * C; i++) {
                double z = (double)vec_f32(f, "z")[i];
                gate[i] = z / (1 + exp(-z));
                x[i] = norm_first ? vec_f32(f, "x")[i] : (float)((double)vec_f32(f, "x")[i] * gate[i]);
                dy[i] = norm_first ? (float)((double)vec_f32(f, "dout")[i] * gate[i]) : vec_f32(f, "dout")[i];
            }
            kit_mat m[] = {kit_of(ctx, R, C, 3, x), kit_of(ctx, R, C, 3, dy), kit_of(ctx, 1, C, 3, vec_f32(f, "w")),
                           kit_new(ctx, R, C, 1), zeros(ctx, 1, C)};
            CHECK_INT(ctx->ops->rmsnorm_grad(ctx, m[3].m, m[4].m, m[1].m, m[0].m, m[2].m, 1e-5f, 0), 0);
            float *dx = kit_get(&m[3]);
            for (int i = 0; i < R * C && !norm_first; i++) {
                dx[i] = (float)((double)dx[i] * gate[i]);
            }
            const double *want_x = vec_f64(f, norm_first ? "grad.nbg1_g24.x" : "grad.nbg0_g24.x");
            expect("rmsnorm grad.x", ctx->ops->name, vec_maxrel(dx, want_x, R * C));
            expect("rmsnorm grad.w", ctx->ops->name,
                   err_of(&m[4], vec_f64(f, norm_first ? "grad.nbg1_g24.w" : "grad.nbg0_g24.w")));
            free(dx);
            free_all(m, 5);
            kit_close(ctx);
        }
    }
    vec_close(f);
}
