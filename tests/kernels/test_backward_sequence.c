/* Laws of the backward pass: the same bits for any number of threads, rows that do not know where a call was cut or
 * which sequences ride along, and every level beside the reference. */
#include <math.h>

#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

/* Odd in every direction: rows are no multiple of a block, channels none of a vector or a group. */
enum { L = 301, C = KIT_SIZE(277, 45), N = KIT_SIZE(19, 9), W = 4, V = 40 };

enum { U, DT, Z, DY, BC, A, SKIP, BIAS, H0, DH, TAPS, CONV0, DCONV, INPUTS };
enum {
    DU,
    DDT,
    DZ,
    DBC,
    DHOUT,
    DX,
    DCONVOUT,
    DNORM,
    DLOGITS,
    LOSS,
    DA,
    DSKIP,
    DBIAS,
    DTAPS,
    DCBIAS,
    DW,
    DW16,
    DNW,
    DNB,
    DTAB,
    RESULTS
};
static const int64_t in_rows[INPUTS] = {L, L, L, L, L, N, 1, 1, N, N, W, W, W};
static const int64_t in_cols[INPUTS] = {C, C, C, C, 2 * N, C, C, C, C, C, C, C, C};
static const int64_t out_rows[RESULTS] = {L, L, L, L, N, L, W, L, L, L, N, 1, 1, W, 1, C, C, 1, 1, V};
static const int64_t out_cols[RESULTS] = {C, C, C, 2 * N, C, C, C, C, C, 1, C, C, C, C, C, 2 * N, 2 * N, C, C, C};

static float *numbers(void) {
    int64_t n = 0;
    for (int i = 0; i < INPUTS; i++) {
        n += in_rows[i] * in_cols[i];
    }
    float *x = kit_random(n, -1, 1);
    float *a = x + 4 * L * C + L * 2 * N;
    for (int i = 0; i < N * C; i++) {
        a[i] = -0.05f - 2 * fabsf(a[i]);
    }
    for (int i = 0; i < N; i++) {
        a[i * C + 17] *= 300; /* decays of nothing, beside channels with none of them */
    }
    return x;
}

typedef struct results {
    float *of[RESULTS];
} results;

static void free_results(results *r) {
    for (int i = 0; i < RESULTS; i++) {
        free(r->of[i]);
    }
}

/* Rows [from, to) of the scan and the convolution. */
static void backward(mbk_ctx *ctx, const kit_mat *in, const kit_mat *out, mbk_mat saved, int64_t from, int64_t to,
                     mbk_mat conv_state, mbk_starts starts) {
    const mbk_ops *ops = ctx->ops;
    mbk_mat bc = kit_rows(&in[BC], from, to);
    mbk_mat dbc = kit_rows(&out[DBC], from, to);
    mbk_mat b = bc;
    mbk_mat c = bc;
    mbk_mat db = dbc;
    mbk_mat dc = dbc;
    b.cols = c.cols = db.cols = dc.cols = N;
    c.off += N;
    dc.off += N;
    mbk_scan_grad_args scan = {kit_rows(&out[DU], from, to),
                               kit_rows(&out[DDT], from, to),
                               kit_rows(&out[DZ], from, to),
                               db,
                               dc,
                               out[DA].m,
                               out[DSKIP].m,
                               out[DBIAS].m,
                               out[DHOUT].m,
                               kit_rows(&in[DY], from, to),
                               kit_rows(&in[U], from, to),
                               kit_rows(&in[DT], from, to),
                               b,
                               c,
                               kit_rows(&in[Z], from, to),
                               in[A].m,
                               in[SKIP].m,
                               in[BIAS].m,
                               saved,
                               starts};
    CHECK_INT(ops->selective_scan_grad(ctx, &scan), 0);
    mbk_conv_grad_args conv = {
        kit_rows(&out[DX], from, to), out[DTAPS].m, out[DCBIAS].m, out[DCONVOUT].m, kit_rows(&in[DY], from, to),
        kit_rows(&in[U], from, to),   in[TAPS].m,   in[BIAS].m,    conv_state,      starts};
    CHECK_INT(ops->conv1d_silu_grad(ctx, &conv), 0);
}

static void others(mbk_ctx *ctx, const kit_mat *in, const kit_mat *out) {
    const mbk_ops *ops = ctx->ops;
    int32_t ids[L];
    for (int i = 0; i < L; i++) {
        ids[i] = i * 7 % 41 - 1;
    }
    mbk_buf *idb = kit_ids(ctx, ids, L);
    CHECK_INT(ops->weight_grad(ctx, out[DW].m, in[DY].m, in[BC].m, MBK_MATH_F32), 0);
    CHECK_INT(ops->weight_grad(ctx, out[DW16].m, in[DY].m, in[BC].m, MBK_MATH_BF16), 0);
    CHECK_INT(ops->layernorm_grad(ctx, out[DNORM].m, out[DNW].m, out[DNB].m, in[DY].m, in[U].m, in[SKIP].m, 1e-5f, 0),
              0);
    CHECK_INT(ops->cross_entropy(ctx, out[LOSS].m, out[DLOGITS].m, in[Z].m, kit_none, idb, 0, 0.5f), 0);
    CHECK_INT(ops->embed_grad(ctx, out[DTAB].m, in[DY].m, idb, 0), 0);
    ops->buf_free(ctx, idb);
}

static mbk_mat save(mbk_ctx *ctx, const kit_mat *in, const kit_mat *y, const kit_mat *h, mbk_mat saved, int64_t from,
                    int64_t to, mbk_starts starts) {
    mbk_mat b = kit_rows(&in[BC], from, to);
    mbk_mat c = b;
    b.cols = c.cols = N;
    c.off += N;
    saved.rows = (to - from + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * N;
    mbk_scan_args fwd = {kit_rows(y, from, to),
                         kit_rows(&in[U], from, to),
                         kit_rows(&in[DT], from, to),
                         b,
                         c,
                         kit_rows(&in[Z], from, to),
                         in[A].m,
                         in[SKIP].m,
                         in[BIAS].m,
                         h->m,
                         starts,
                         saved};
    CHECK_INT(ctx->ops->selective_scan(ctx, &fwd), 0);
    return saved;
}

/* The scan and the convolution of rows 0 .. cut and of the rest in a call each: one sequence, or two. */
static void in_parts(mbk_ctx *ctx, const kit_mat *in, const kit_mat *out, const kit_mat *y, const kit_mat *h,
                     const kit_mat *saved, int64_t cut, int two) {
    mbk_mat first = save(ctx, in, y, h, saved->m, 0, cut, kit_whole);
    mbk_mat rest = saved->m;
    rest.off += first.rows * rest.ld;
    if (two) {
        ctx->ops->zero(ctx, h->m);
    }
    rest = save(ctx, in, y, h, rest, cut, L, kit_whole);
    backward(ctx, in, out, rest, cut, L, two ? kit_none : kit_rows(&in[U], cut - W, cut), kit_whole);
    if (two) {
        ctx->ops->zero(ctx, out[DHOUT].m);
        ctx->ops->zero(ctx, out[DCONVOUT].m);
    }
    backward(ctx, in, out, first, 0, cut, in[CONV0].m, kit_whole);
}

/* How a run is made: one sequence, two that part at `cut`, or one without gate and bias. */
enum { ONE, TWO, PLAIN };

/* Everything, in one call each, or in parts where `cut` > 0. */
static results run(mbk_ctx *ctx, const float *x, int64_t cut, int how, mbk_starts starts) {
    kit_mat in[INPUTS];
    kit_mat out[RESULTS];
    for (int i = 0; i < INPUTS; i++) {
        in[i] = kit_of(ctx, in_rows[i], in_cols[i], 1 + i % 3, x);
        x += in_rows[i] * in_cols[i];
    }
    for (int i = 0; i < RESULTS; i++) {
        out[i] = kit_new(ctx, out_rows[i], out_cols[i], 1 + i % 2);
        ctx->ops->zero(ctx, out[i].m);
    }
    kit_mat saved = kit_new(ctx, (L / MBK_SCAN_BLOCK + 2) * N, C, 3);
    kit_mat y = kit_new(ctx, L, C, 1);
    kit_mat h = kit_new(ctx, N, C, 1);
    ctx->ops->copy(ctx, h.m, in[H0].m);
    ctx->ops->copy(ctx, out[DHOUT].m, in[DH].m);
    ctx->ops->copy(ctx, out[DCONVOUT].m, in[DCONV].m);
    kit_mat some[INPUTS];
    memcpy(some, in, sizeof some);
    if (how == PLAIN) {
        some[Z].m = some[BIAS].m = kit_none;
    }
    if (cut > 0) {
        in_parts(ctx, in, out, &y, &h, &saved, cut, how == TWO);
    } else {
        backward(ctx, some, out, save(ctx, some, &y, &h, saved.m, 0, L, starts), 0, L, in[CONV0].m, starts);
    }
    others(ctx, in, out);
    results r;
    for (int i = 0; i < RESULTS; i++) {
        CHECK(ctx->ops->name[0] == 't' || kit_canaries(&out[i]), "result %d", i);
        r.of[i] = kit_get(&out[i]);
        kit_free(&out[i]);
    }
    for (int i = 0; i < INPUTS; i++) {
        kit_free(&in[i]);
    }
    kit_free(&saved);
    kit_free(&y);
    kit_free(&h);
    return r;
}

static void same(const results *a, const results *b, int first, int end, const char *what) {
    for (int i = first; i < end; i++) {
        CHECK(kit_same(a->of[i], b->of[i], out_rows[i] * out_cols[i]), "result %d: %s", i, what);
    }
}

/* As same, where the level promises that for a cut at this row. */
static void same_cut(mbk_level level, int64_t cut, const results *a, const results *b) {
    for (int i = 0; i < DA; i++) {
        CHECK(kit_same_cut(level, cut, a->of[i], b->of[i], out_rows[i] * out_cols[i]), "result %d: rows, cut at %ld", i,
              (long)cut);
    }
}

static void near(const results *a, const results *b, int first, int end, const char *what) {
    for (int i = first; i < end; i++) {
        double err = kit_maxrel(a->of[i], b->of[i], out_rows[i] * out_cols[i]);
        CHECK(err <= 1e-5, "result %d: %s: %g", i, what, err);
    }
}

MBS_TEST(backward_sequence, any_number_of_threads) {
    float *x = numbers();
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        results one = run(ctx, x, 0, ONE, kit_whole);
        kit_close(ctx);
        for (int threads = 2; threads <= 3; threads++) {
            ctx = kit_open(level, threads);
            results many = run(ctx, x, 0, ONE, kit_whole);
            same(&one, &many, 0, RESULTS, "threads");
            free_results(&many);
            kit_close(ctx);
        }
        free_results(&one);
    }
    free(x);
}

MBS_TEST(backward_sequence, levels_beside_ref_and_the_test_backend) {
    float *x = numbers();
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    results ref = run(ctx, x, 0, ONE, kit_whole);
    kit_close(ctx);
    EACH_LEVEL(level) {
        ctx = kit_open(level, 1);
        results got = run(ctx, x, 0, ONE, kit_whole);
        near(&got, &ref, 0, RESULTS, mbk_level_name(level));
        kit_close(ctx);
#ifndef KIT_CUDA
        CHECK_INT(mbk_test_open(level, &ctx), 0);
        results again = run(ctx, x, 0, ONE, kit_whole);
        same(&got, &again, 0, RESULTS, "test backend");
        free_results(&again);
        mbk_close(ctx);
#endif
        free_results(&got);
    }
    free_results(&ref);
    free(x);
}

MBS_TEST(backward_sequence, without_gate_and_bias) {
    float *x = numbers();
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    results ref = run(ctx, x, 0, PLAIN, kit_whole);
    kit_close(ctx);
    EACH_LEVEL(level) {
        ctx = kit_open(level, 1);
        results got = run(ctx, x, 0, PLAIN, kit_whole);
        near(&got, &ref, 0, RESULTS, mbk_level_name(level));
        CHECK(got.of[DZ][0] == 0 && got.of[DZ][L * C - 1] == 0, "no gate, no gradient of it");
        free_results(&got);
        kit_close(ctx);
    }
    free_results(&ref);
    free(x);
}

MBS_TEST(backward_sequence, rows_do_not_know_where_calls_are_cut) {
    static const int64_t cuts[] = {5 * MBK_SCAN_BLOCK, 77, L - 1};
    float *x = numbers();
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        results whole = run(ctx, x, 0, ONE, kit_whole);
        for (int i = 0; i < 3; i++) {
            results cut = run(ctx, x, cuts[i], ONE, kit_whole);
            same_cut(level, cuts[i], &whole, &cut);
            near(&whole, &cut, DA, RESULTS, "sums");
            free_results(&cut);
        }
        free_results(&whole);
        kit_close(ctx);
    }
    free(x);
}

MBS_TEST(backward_sequence, starts_are_calls_of_their_own) {
    static const int32_t starts[] = {5 * MBK_SCAN_BLOCK, 77, L - 1, 0};
    float *x = numbers();
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        mbk_buf *buf = kit_ids(ctx, starts, 4);
        for (int i = 0; i < 3; i++) {
            results one = run(ctx, x, 0, ONE, (mbk_starts){buf, i, 1});
            results two = run(ctx, x, starts[i], TWO, kit_whole);
            same_cut(level, starts[i], &one, &two);
            near(&one, &two, DA, RESULTS, "sums");
            free_results(&one);
            free_results(&two);
        }
        results begun = run(ctx, x, 0, ONE, (mbk_starts){buf, 3, 1});
        for (int i = 0; i < N * C; i++) {
            CHECK(begun.of[DHOUT][i] == 0, "nothing reaches the state before a start at row 0");
        }
        for (int i = 0; i < W * C; i++) {
            CHECK(begun.of[DCONVOUT][i] == 0);
        }
        free_results(&begun);
        ctx->ops->buf_free(ctx, buf);
        kit_close(ctx);
    }
    free(x);
}
