/*
 * The laws of a device: rows given in pieces of whole segments have the bytes of one call, pieces of any size are
 * within rounding, and neither the schedule nor a second run changes a bit. On a layer as mamba1.c makes it, with every
 * way to hold its weights.
 */
#include "kernels/kit.h"
#include "mambaseq/status.h"
#include "support/test.h"

enum { D = 20, E = 36, N = 5, R = 3, W = 4 };
enum { IN, XPROJ, DTPROJ, OUT, WEIGHTS };
static const int64_t weight_out[WEIGHTS] = {2 * E, R + 2 * N, E, D};
static const int64_t weight_in[WEIGHTS] = {D, E, R, E};
enum { NORM, TAPS, CBIAS, A, SKIP, BIAS, CONV0, H0, SMALL };
static const int64_t small_rows[SMALL] = {1, W, 1, N, 1, 1, W, N};
static const int64_t small_cols[SMALL] = {D, E, E, E, E, E, E, E};
enum { X, NORMED, XZ, U, BCDT, DT, WIDE };
static const int64_t wide_cols[WIDE] = {D, D, 2 * E, E, R + 2 * N, E};

typedef struct layer {
    int64_t rows;
    float *x, *weight[WEIGHTS], *small[SMALL];
} layer;

static layer layer_new(int64_t rows) {
    layer l = {rows, kit_random(rows * D, -1, 1), {NULL}, {NULL}};
    for (int i = 0; i < WEIGHTS; i++) {
        l.weight[i] = kit_random(weight_out[i] * weight_in[i], -0.4f, 0.4f);
    }
    for (int i = 0; i < SMALL; i++) {
        l.small[i] = kit_random(small_rows[i] * small_cols[i],
                                i == A      ? -8
                                : i == BIAS ? -4
                                            : -1,
                                i == A      ? -0.01f
                                : i == BIAS ? -1
                                            : 1);
    }
    return l;
}

static void layer_free(layer *l) {
    free(l->x);
    for (int i = 0; i < WEIGHTS; i++) {
        free(l->weight[i]);
    }
    for (int i = 0; i < SMALL; i++) {
        free(l->small[i]);
    }
}

/* As one operation where the backend has it, under bf16 math and with such weights. */
static void step(mbk_ctx *ctx, const kit_mat *wide, const kit_mat *small, mbk_weight *const *w, int bf16, int64_t from,
                 int64_t to) {
    const mbk_ops *ops = ctx->ops;
    mbk_mat at[WIDE];
    for (int i = 0; i < WIDE; i++) {
        at[i] = kit_rows(&wide[i], from, to);
    }
    mbk_mat z = at[XZ];
    mbk_mat u = at[XZ];
    mbk_mat dt = at[BCDT];
    mbk_mat b = at[BCDT];
    mbk_mat c = at[BCDT];
    u.cols = z.cols = E;
    z.off += E;
    dt.cols = R;
    b.off += R;
    c.off += R + N;
    b.cols = c.cols = N;
    CHECK_INT(ops->rmsnorm(ctx, at[NORMED], at[X], small[NORM].m, 1e-5f), 0);
    if (ops->mamba1) {
        const mbk_mamba1_args whole = {.out = at[X],
                                       .in = at[NORMED],
                                       .in_proj = w[IN],
                                       .x_proj = w[XPROJ],
                                       .dt_proj = w[DTPROJ],
                                       .out_proj = w[OUT],
                                       .conv_w = small[TAPS].m,
                                       .conv_b = small[CBIAS].m,
                                       .conv_state = small[CONV0].m,
                                       .dt_bias = small[BIAS].m,
                                       .a = small[A].m,
                                       .d = small[SKIP].m,
                                       .state = small[H0].m};
        const mbk_status done = ops->mamba1(ctx, &whole);
        const int takes =
            strcmp(ops->device, "cpu") == 0 ? to - from == 1 : bf16 && mbk_weight_dtype(w[IN]) == MBK_BF16;
        CHECK_INT(done, takes ? 0 : MBS_END);
        if (done == 0) {
            return;
        }
    }
    CHECK_INT(ops->gemm(ctx, at[XZ], at[NORMED], w[IN], kit_none, 0), 0);
    CHECK_INT(ops->conv1d_silu(ctx, at[U], u, small[TAPS].m, small[CBIAS].m, small[CONV0].m, kit_whole), 0);
    CHECK_INT(ops->gemm(ctx, at[BCDT], at[U], w[XPROJ], kit_none, 0), 0);
    CHECK_INT(ops->gemm(ctx, at[DT], dt, w[DTPROJ], kit_none, 0), 0);
    mbk_scan_args scan = {at[U],      at[U],         at[DT],        b,           c,         z,
                          small[A].m, small[SKIP].m, small[BIAS].m, small[H0].m, kit_whole, kit_none};
    CHECK_INT(ops->selective_scan(ctx, &scan), 0);
    CHECK_INT(ops->gemm(ctx, at[X], at[U], w[OUT], kit_none, 1), 0);
}

typedef struct outcome {
    int64_t rows;
    float *x, *conv, *h;
} outcome;

static void outcome_free(outcome *o) {
    free(o->x);
    free(o->conv);
    free(o->h);
}

/* Pieces: cut rows each; < 0: of random numbers of whole segments; 0: whole. */
static outcome run(mbk_ctx *ctx, const layer *l, mbk_format format, int64_t cut) {
    mbk_weight *w[WEIGHTS];
    kit_mat wide[WIDE];
    kit_mat small[SMALL];
    CHECK_INT(ctx->ops->reserve(ctx, l->rows, 2 * E), 0);
    for (int i = 0; i < WEIGHTS; i++) {
        CHECK_INT(ctx->ops->prepare(ctx, l->weight[i], weight_out[i], weight_in[i], format, &w[i]), 0);
    }
    for (int i = 0; i < SMALL; i++) {
        small[i] = kit_of(ctx, small_rows[i], small_cols[i], i % 3, l->small[i]);
    }
    for (int i = 0; i < WIDE; i++) {
        wide[i] = i == X ? kit_of(ctx, l->rows, D, 1, l->x) : kit_new(ctx, l->rows, wide_cols[i], i % 4);
    }
    for (int64_t from = 0; from < l->rows;) {
        int64_t rows = cut < 0 ? cuda_kit_unit() * kit_int(1, 2) : cut ? cut : l->rows;
        int64_t to = from + rows < l->rows ? from + rows : l->rows;
        step(ctx, wide, small, w, format.math == MBK_MATH_BF16, from, to);
        from = to;
    }
    outcome o = {l->rows, kit_get(&wide[X]), kit_get(&small[CONV0]), kit_get(&small[H0])};
    for (int i = 0; i < WIDE; i++) {
        CHECK(kit_canaries(&wide[i]), "wrote outside of %d", i);
        kit_free(&wide[i]);
    }
    for (int i = 0; i < SMALL; i++) {
        kit_free(&small[i]);
    }
    for (int i = 0; i < WEIGHTS; i++) {
        ctx->ops->weight_free(ctx, w[i]);
    }
    return o;
}

static void same(const outcome *a, const outcome *b, const char *what, const char *how) {
    CHECK(kit_same(a->x, b->x, a->rows * D), "%s, %s: rows", what, how);
    CHECK(kit_same(a->conv, b->conv, W * E), "%s, %s: state of the convolution", what, how);
    CHECK(kit_same(a->h, b->h, N * E), "%s, %s: state", what, how);
}

static void near(const outcome *a, const outcome *b, double limit, const char *what, const char *how) {
    double off = kit_maxrel(a->x, b->x, a->rows * D);
    double off_h = kit_maxrel(a->h, b->h, N * E);
    CHECK(off <= limit && off_h <= limit, "%s, %s: rows off by %g, state by %g", what, how, off, off_h);
}

static const mbk_format formats[] = {{MBK_F32, MBK_MATH_F32},
                                     {MBK_BF16, MBK_MATH_F32},
                                     {MBK_I8, MBK_MATH_F32},
                                     {MBK_BF16, MBK_MATH_BF16},
                                     {MBK_I8, MBK_MATH_BF16}};
static const char *const labels[] = {"f32/f32", "bf16/f32", "int8/f32", "bf16/bf16", "int8/bf16"};

static void check_layer(int64_t rows, int f) {
    /* Under bf16 math a difference in the last bit moves a number to its neighbour of eight bits. */
    const double limit = formats[f].math == MBK_MATH_F32 ? 5e-6 : 1e-2;
    const int64_t unit = cuda_kit_unit();
    layer l = layer_new(rows);
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    outcome ref = run(ctx, &l, formats[f], 0);
    kit_close(ctx);
    ctx = kit_open(kit_level_best(), 1);
    outcome whole = run(ctx, &l, formats[f], 0);
    near(&whole, &ref, limit, labels[f], "beside ref");
    for (int i = 0; i < 2 + cuda_kit_schedules(); i++) {
        cuda_kit_schedule(i);
        outcome again = run(ctx, &l, formats[f], i % 2 ? -1 : i % 4 ? unit : 0);
        same(&whole, &again, labels[f], "whole units");
        outcome_free(&again);
    }
    const int64_t cuts[] = {unit - 1, kit_int(unit / 3, unit - 2), rows - 1};
    for (int i = 0; i < 3; i++) {
        outcome cut = run(ctx, &l, formats[f], cuts[i]);
        near(&cut, &whole, limit, labels[f], "any cut");
        outcome_free(&cut);
    }
    outcome_free(&whole);
    outcome_free(&ref);
    kit_close(ctx);
    layer_free(&l);
}

/* The last piece: one of many rows, one of few, which is decoded, and none. */
MBS_TEST(cuda_laws, a_layer_in_pieces_and_in_any_schedule) {
    const int64_t unit = cuda_kit_unit();
    for (int f = 0; f < 5; f++) {
        check_layer(2 * unit + unit / 3, f);
        check_layer(unit + (f ? kit_int(1, 8) : 8), f);
    }
    check_layer(3 * unit, 0);
}
