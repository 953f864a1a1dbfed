/* A layer of Mamba-1 as one operation: row by row the same bits as its operations one by one, whatever the sizes, the
 * weights and the math; and MBS_END, with nothing touched, where those are the better way. */
#include "kit.h"
#include "mambaseq/status.h"
#include "support/test.h"

typedef struct layer {
    int64_t d, c, n, r, taps;
    mbk_ctx *ctx;
    mbk_weight *in, *x, *dt, *out;
    kit_mat conv_w, conv_b, dt_bias, a, skip;
    kit_mat conv_state, state;
} layer;

static mbk_weight *weight_of(mbk_ctx *ctx, int64_t n_out, int64_t n_in, mbk_format format) {
    float *w = kit_random(n_out * n_in, -1, 1);
    mbk_weight *out = NULL;
    CHECK_INT(ctx->ops->prepare(ctx, w, n_out, n_in, format, &out), 0);
    free(w);
    return out;
}

static kit_mat mat_of(mbk_ctx *ctx, int64_t rows, int64_t cols, float from, float to) {
    float *x = kit_random(rows * cols, from, to);
    kit_mat m = kit_of(ctx, rows, cols, kit_int(0, 5), x);
    free(x);
    return m;
}

static layer layer_new(mbk_ctx *ctx, int64_t d, int64_t c, int64_t n, int64_t r, mbk_format format) {
    layer l = {.d = d, .c = c, .n = n, .r = r, .taps = kit_int(1, 5), .ctx = ctx};
    l.in = weight_of(ctx, 2 * c, d, format);
    l.x = weight_of(ctx, r + 2 * n, c, format);
    l.dt = weight_of(ctx, c, r, format);
    l.out = weight_of(ctx, d, c, format);
    l.conv_w = mat_of(ctx, l.taps, c, -1, 1);
    l.conv_b = mat_of(ctx, 1, c, -1, 1);
    l.dt_bias = mat_of(ctx, 1, c, -5, -1);
    l.a = mat_of(ctx, n, c, -8, -0.1f);
    l.skip = mat_of(ctx, 1, c, 0, 1);
    l.conv_state = mat_of(ctx, l.taps, c, -1, 1);
    l.state = mat_of(ctx, n, c, -1, 1);
    return l;
}

static void layer_free(layer *l) {
    mbk_weight *weights[] = {l->in, l->x, l->dt, l->out};
    kit_mat *mats[] = {&l->conv_w, &l->conv_b, &l->dt_bias, &l->a, &l->skip, &l->conv_state, &l->state};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        l->ctx->ops->weight_free(l->ctx, weights[i]);
    }
    for (size_t i = 0; i < sizeof mats / sizeof *mats; i++) {
        CHECK(kit_canaries(mats[i]), "wrote outside");
        kit_free(mats[i]);
    }
}

static mbk_status at_once(const layer *l, mbk_mat out, mbk_mat in, int64_t streams) {
    const mbk_mamba1_args args = {
        .out = out,
        .in = in,
        .in_proj = l->in,
        .x_proj = l->x,
        .dt_proj = l->dt,
        .out_proj = l->out,
        .conv_w = l->conv_w.m,
        .conv_b = l->conv_b.m,
        .conv_state = l->conv_state.m,
        .dt_bias = l->dt_bias.m,
        .a = l->a.m,
        .d = l->skip.m,
        .state = l->state.m,
        .starts = kit_whole,
        .streams = streams,
    };
    return l->ctx->ops->mamba1(l->ctx, &args);
}

static void one_by_one(const layer *l, mbk_mat out, mbk_mat in) {
    const mbk_ops *ops = l->ctx->ops;
    const int64_t rows = in.rows;
    kit_mat xz = kit_new(l->ctx, rows, 2 * l->c, 3);
    kit_mat u = kit_new(l->ctx, rows, l->c, 1);
    kit_mat p = kit_new(l->ctx, rows, l->r + 2 * l->n, 0);
    kit_mat dt = kit_new(l->ctx, rows, l->c, 2);
    CHECK_INT(ops->gemm(l->ctx, xz.m, in, l->in, kit_none, 0), 0);
    CHECK_INT(
        ops->conv1d_silu(l->ctx, u.m, kit_cols(&xz, 0, l->c), l->conv_w.m, l->conv_b.m, l->conv_state.m, kit_whole), 0);
    CHECK_INT(ops->gemm(l->ctx, p.m, u.m, l->x, kit_none, 0), 0);
    CHECK_INT(ops->gemm(l->ctx, dt.m, kit_cols(&p, 0, l->r), l->dt, kit_none, 0), 0);
    const mbk_scan_args scan = {
        .y = u.m,
        .u = u.m,
        .dt = dt.m,
        .b = kit_cols(&p, l->r, l->r + l->n),
        .c = kit_cols(&p, l->r + l->n, l->r + 2 * l->n),
        .z = kit_cols(&xz, l->c, 2 * l->c),
        .a = l->a.m,
        .d = l->skip.m,
        .bias = l->dt_bias.m,
        .state = l->state.m,
        .starts = kit_whole,
    };
    CHECK_INT(ops->selective_scan(l->ctx, &scan), 0);
    CHECK_INT(ops->gemm(l->ctx, out, u.m, l->out, kit_none, 1), 0);
    kit_mat *all[] = {&xz, &u, &p, &dt};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
}

static void check_same(const kit_mat *a, const float *b, int64_t n, const char *of, const char *what) {
    float *x = kit_get(a);
    CHECK(kit_same(x, b, n), "%s: %s differs", of, what);
    free(x);
}

/* The rows of one sequence at once, then from the same states row by row. */
static void compare(mbk_level level, mbk_format format, int64_t d, int64_t c, int64_t n, int64_t r) {
    enum { ROWS = 6 };
    mbk_ctx *ctx = kit_open(level, 1);
    layer l = layer_new(ctx, d, c, n, r, format);
    kit_mat in = mat_of(ctx, ROWS, d, -2, 2);
    kit_mat out = mat_of(ctx, ROWS, d, -2, 2);
    float *before[] = {kit_get(&l.conv_state), kit_get(&l.state), kit_get(&out)};
    one_by_one(&l, out.m, in.m);
    float *after[] = {kit_get(&l.conv_state), kit_get(&l.state), kit_get(&out)};
    kit_put(&l.conv_state, before[0]);
    kit_put(&l.state, before[1]);
    kit_put(&out, before[2]);
    for (int64_t t = 0; t < ROWS; t++) {
        CHECK_INT(at_once(&l, kit_rows(&out, t, t + 1), kit_rows(&in, t, t + 1), 1), 0);
    }
    char of[128];
    (void)snprintf(of, sizeof of, "%s %s/%s, d %lld, C %lld, N %lld, R %lld, %lld taps", mbk_level_name(level),
                   mbk_dtype_name(format.dtype), mbk_math_name(format.math), (long long)d, (long long)c, (long long)n,
                   (long long)r, (long long)l.taps);
    check_same(&l.conv_state, after[0], l.taps * c, of, "the state of the convolution");
    check_same(&l.state, after[1], n * c, of, "the state of the scan");
    check_same(&out, after[2], ROWS * d, of, "the output");
    CHECK(kit_canaries(&out) && kit_canaries(&in), "wrote outside");
    for (int i = 0; i < 3; i++) {
        free(before[i]);
        free(after[i]);
    }
    layer_free(&l);
    kit_free(&in);
    kit_free(&out);
    kit_close(ctx);
}

static const mbk_format formats[] = {{MBK_F32, MBK_MATH_F32},   {MBK_BF16, MBK_MATH_F32}, {MBK_I8, MBK_MATH_F32},
                                     {MBK_BF16, MBK_MATH_BF16}, {MBK_I8, MBK_MATH_BF16},  {MBK_I8, MBK_MATH_I16},
                                     {MBK_I8, MBK_MATH_I8}};

MBS_TEST(mamba1, a_row_at_once_has_the_bits_of_its_operations) {
    EACH_LEVEL(level) {
        for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
            compare(level, formats[f], 64, 128, 16, 4);
            compare(level, formats[f], 1, 1, 1, 1);
            for (int i = 0; i < 12; i++) {
                compare(level, formats[f], kit_size(140), kit_size(280), kit_size(20), kit_size(17));
            }
        }
    }
}

/* Two rows, two streams, and work that two threads share go the other way. */
MBS_TEST(mamba1, declines_what_is_better_off_one_by_one) {
    const mbk_format f32 = {MBK_F32, MBK_MATH_F32};
    for (int threads = 1; threads <= 2; threads++) {
        mbk_ctx *ctx = kit_open(kit_level_best(), threads);
        layer l = layer_new(ctx, 256, 512, 16, 16, f32);
        kit_mat in = mat_of(ctx, 2, 256, -1, 1);
        kit_mat out = mat_of(ctx, 2, 256, -1, 1);
        float *before[] = {kit_get(&l.state), kit_get(&l.conv_state), kit_get(&out)};
        const kit_mat *mats[] = {&l.state, &l.conv_state, &out};
        const int64_t sizes[] = {16 * 512, l.taps * 512, 2 * 256};
        CHECK_INT(at_once(&l, out.m, in.m, 1), MBS_END);
        CHECK_INT(at_once(&l, kit_rows(&out, 0, 1), kit_rows(&in, 0, 1), 2), MBS_END);
        if (threads == 2) {
            CHECK_INT(at_once(&l, kit_rows(&out, 0, 1), kit_rows(&in, 0, 1), 1), MBS_END);
        }
        for (int i = 0; i < 3; i++) {
            check_same(mats[i], before[i], sizes[i], "declined", "what was to be left alone");
            free(before[i]);
        }
        if (threads == 1) {
            CHECK_INT(at_once(&l, kit_rows(&out, 0, 1), kit_rows(&in, 0, 1), 1), 0);
        }
        layer_free(&l);
        kit_free(&in);
        kit_free(&out);
        kit_close(ctx);
    }
}
