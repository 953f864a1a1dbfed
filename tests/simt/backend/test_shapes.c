/* The scan and the convolution of random shapes, forward and backward, beside ref: rows and channels over several tiles
 * and segments, states up to 256, views of wider buffers, starts. MBS_CUDA_BUDGET: rows x channels x states of a shape;
 * MBS_CUDA_SHAPES: how many. */
#include "kernels/kit.h"
#include "support/test.h"

enum { W = 4 };

typedef struct shape {
    int64_t rows, cols, n, starts;
    int gate, bias;
} shape;

static int64_t setting(const char *name, int64_t usual) {
    const char *value = getenv(name);
    return value ? strtoll(value, NULL, 0) : usual;
}

/* Rows are drawn by their logarithm. */
static shape draw(int64_t budget) {
    for (;;) {
        shape s = {(int64_t)exp((double)kit_float(0, 8.517f)),
                   kit_int(1, 300),
                   kit_int(1, 256),
                   0,
                   (int)kit_int(0, 1),
                   (int)kit_int(0, 1)};
        s.n = kit_int(0, 2) ? 1 + s.n % 20 : s.n;
        s.starts = kit_int(0, 1) ? kit_int(1, s.rows < 5 ? s.rows : 5) : 0;
        if (s.rows * s.cols * s.n <= budget) {
            return s;
        }
    }
}

/* --- tensors: what goes in, what comes out -------------------------------------------------------------------------
 */
enum { U, DT, Z, DY, BC, A, SKIP, BIAS, H0, DH, TAPS, CONV0, DCONV, INPUTS };
enum { Y, H, SAVED, DU, DDT, DZ, DBC, DHOUT, DA, DSKIP, DBIAS, X, CONV, DX, DTAPS, DCBIAS, DCONVOUT, RESULTS };
static const char *const names[RESULTS] = {"y",  "h",     "saved", "du",   "ddt", "dz", "db dc",      "dh",   "da",
                                           "dd", "dbias", "x",     "conv", "dx",  "dw", "db of conv", "dconv"};
/* Gradients have a limit of their own. */
static double limit_of(int i) {
    return i < DU || i == X || i == CONV ? 3e-6 : 1e-5;
}

typedef struct size {
    int64_t rows, cols;
} size;

static size in_size(const shape *s, int i) {
    switch (i) {
    case BC:
        return (size){s->rows, 2 * s->n};
    case A:
    case H0:
    case DH:
        return (size){s->n, s->cols};
    case SKIP:
    case BIAS:
        return (size){1, s->cols};
    case TAPS:
    case CONV0:
    case DCONV:
        return (size){W, s->cols};
    default:
        return (size){s->rows, s->cols};
    }
}

static size out_size(const shape *s, int i) {
    switch (i) {
    case H:
    case DHOUT:
    case DA:
        return (size){s->n, s->cols};
    case SAVED:
        return (size){(s->rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * s->n, s->cols};
    case DBC:
        return (size){s->rows, 2 * s->n};
    case DSKIP:
    case DBIAS:
    case DCBIAS:
        return (size){1, s->cols};
    case CONV:
    case DTAPS:
    case DCONVOUT:
        return (size){W, s->cols};
    default:
        return (size){s->rows, s->cols};
    }
}

typedef struct numbers {
    float *of[INPUTS];
    int32_t starts[5];
} numbers;

static numbers draw_numbers(const shape *s) {
    numbers x;
    for (int i = 0; i < INPUTS; i++) {
        size z = in_size(s, i);
        float top = i == A ? -0.01f : 1;
        x.of[i] = kit_random(z.rows * z.cols, i == A ? -16 : i == DT ? -6 : -1, i == DT ? 2 : top);
    }
    for (int64_t i = 0, at = 0; i < s->starts; i++) {
        at = kit_int(at, s->rows - s->starts + i);
        x.starts[i] = (int32_t)at++;
    }
    return x;
}

typedef struct results {
    float *of[RESULTS];
} results;

static mbk_mat half(const kit_mat *t, int which) {
    int64_t n = t->m.cols / 2;
    return kit_cols(t, which * n, (which + 1) * n);
}

static void forward_and_back(mbk_ctx *ctx, const shape *s, const kit_mat *in, const kit_mat *out, mbk_starts starts) {
    mbk_mat z = s->gate ? in[Z].m : kit_none;
    mbk_mat bias = s->bias ? in[BIAS].m : kit_none;
    mbk_scan_args f = {out[Y].m, in[U].m,    in[DT].m, half(&in[BC], 0), half(&in[BC], 1), z,
                       in[A].m,  in[SKIP].m, bias,     out[H].m,         starts,           out[SAVED].m};
    CHECK_INT(ctx->ops->selective_scan(ctx, &f), 0);
    mbk_scan_grad_args b = {.du = out[DU].m,
                            .ddt = out[DDT].m,
                            .dz = s->gate ? out[DZ].m : kit_none,
                            .db = half(&out[DBC], 0),
                            .dc = half(&out[DBC], 1),
                            .da = out[DA].m,
                            .dd = out[DSKIP].m,
                            .dbias = s->bias ? out[DBIAS].m : kit_none,
                            .dstate = out[DHOUT].m,
                            .dy = in[DY].m,
                            .u = in[U].m,
                            .dt = in[DT].m,
                            .b = f.b,
                            .c = f.c,
                            .z = z,
                            .a = in[A].m,
                            .d = in[SKIP].m,
                            .bias = bias,
                            .saved = out[SAVED].m,
                            .starts = starts};
    CHECK_INT(ctx->ops->selective_scan_grad(ctx, &b), 0);
    CHECK_INT(ctx->ops->conv1d_silu(ctx, out[X].m, in[U].m, in[TAPS].m, bias, out[CONV].m, starts), 0);
    mbk_conv_grad_args g = {out[DX].m,       out[DTAPS].m, s->bias ? out[DCBIAS].m : kit_none,
                            out[DCONVOUT].m, in[DY].m,     in[U].m,
                            in[TAPS].m,      bias,         in[CONV0].m,
                            starts};
    CHECK_INT(ctx->ops->conv1d_silu_grad(ctx, &g), 0);
}

static results run(mbk_ctx *ctx, const shape *s, const numbers *x, int pad) {
    kit_mat in[INPUTS];
    kit_mat out[RESULTS];
    mbk_buf *ids = kit_ids(ctx, x->starts, 5);
    for (int i = 0; i < INPUTS; i++) {
        size z = in_size(s, i);
        in[i] = kit_of(ctx, z.rows, z.cols, pad * (i % 4), x->of[i]);
    }
    for (int i = 0; i < RESULTS; i++) {
        size z = out_size(s, i);
        out[i] = kit_new(ctx, z.rows, z.cols, pad * (i % 3));
        CHECK_INT(ctx->ops->zero(ctx, out[i].m), 0);
    }
    ctx->ops->copy(ctx, out[H].m, in[H0].m);
    ctx->ops->copy(ctx, out[DHOUT].m, in[DH].m);
    ctx->ops->copy(ctx, out[CONV].m, in[CONV0].m);
    ctx->ops->copy(ctx, out[DCONVOUT].m, in[DCONV].m);
    forward_and_back(ctx, s, in, out, (mbk_starts){ids, 0, s->starts});
    results r;
    for (int i = 0; i < RESULTS; i++) {
        CHECK(kit_canaries(&out[i]), "wrote outside of %s", names[i]);
        r.of[i] = kit_get(&out[i]);
        kit_free(&out[i]);
    }
    for (int i = 0; i < INPUTS; i++) {
        kit_free(&in[i]);
    }
    ctx->ops->buf_free(ctx, ids);
    return r;
}

static void results_free(results *r) {
    for (int i = 0; i < RESULTS; i++) {
        free(r->of[i]);
    }
}

static void check_shape(const shape *s) {
    numbers x = draw_numbers(s);
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    results want = run(ctx, s, &x, 0);
    kit_close(ctx);
    results first = {{NULL}};
    char what[120];
    snprintf(what, sizeof what, "L=%ld C=%ld N=%ld, %ld starts%s%s", (long)s->rows, (long)s->cols, (long)s->n,
             (long)s->starts, s->gate ? ", gate" : "", s->bias ? ", bias" : "");
    fprintf(stderr, "  %s\n", what);
    for (int schedule = 0; schedule < cuda_kit_schedules(); schedule++) {
        ctx = kit_open((mbk_level)((int)MBK_LEVEL_COUNT + schedule), 1);
        results got = run(ctx, s, &x, 1 + schedule);
        for (int i = 0; i < RESULTS; i++) {
            size z = out_size(s, i);
            double off = kit_maxrel(got.of[i], want.of[i], z.rows * z.cols);
            CHECK(off <= limit_of(i), "%s: %s is off by %g", what, names[i], off);
            CHECK(!schedule || kit_same(got.of[i], first.of[i], z.rows * z.cols), "%s: %s is not what schedule 0 gave",
                  what, names[i]);
        }
        if (schedule) {
            results_free(&got);
        } else {
            first = got;
        }
        kit_close(ctx);
    }
    results_free(&first);
    results_free(&want);
    for (int i = 0; i < INPUTS; i++) {
        free(x.of[i]);
    }
}

MBS_TEST(cuda_shapes, scan_and_conv_of_random_shapes) {
    int64_t budget = setting("MBS_CUDA_BUDGET", 60000);
    for (int64_t i = setting("MBS_CUDA_SHAPES", 10); i > 0; i--) {
        shape s = draw(budget);
        check_shape(&s);
    }
}

/* Where tiles, blocks, segments and warps end. */
MBS_TEST(cuda_shapes, edges) {
    static const shape edges[] = {{1, 1, 1, 0, 1, 1},    {257, 3, 1, 0, 0, 0},  {256, 2, 16, 1, 1, 1},
                                  {513, 5, 3, 0, 1, 1},  {31, 33, 17, 0, 1, 1}, {64, 129, 2, 0, 1, 0},
                                  {33, 1, 256, 0, 1, 1}, {1025, 2, 4, 3, 1, 1}, {7, 300, 5, 2, 0, 1}};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        check_shape(&edges[i]);
    }
}
