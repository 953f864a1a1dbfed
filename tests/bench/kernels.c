/*
 * kernels.c - rates of the kernels at every usable level, beside the multiply-add peaks and the read bandwidth of this
 * machine measured in the same seconds. One thread: its CPU time; more: the wall clock.
 * Usage: bench_kernels [gemm|decode|rows|sequence|grad|all] [level] [threads]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/peak.h"
#include "kernels/kit.h"

static clockid_t clock_used = CLOCK_THREAD_CPUTIME_ID;

/* The time of this thread alone where it is the only one: other work on the machine does not count then. */
static double now(void) {
    struct timespec t;
    clock_gettime(clock_used, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* GFLOP/s of one thread, at most; 0: not known. */
static double peak(mbk_level level, mbk_math math) {
    const mbs_peak *p = mbs_peak_of(level, math);
    const int64_t steps = 2000000;
    double best = 0;
    for (int rep = 0; p && rep < 5; rep++) {
        double t = now();
        volatile float sink = p->run(steps);
        (void)sink;
        double rate = (double)steps * p->flops / (now() - t) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

/* GB/s of one thread that reads 256 MiB. */
static double read_bandwidth(void) {
    size_t n = (size_t)64 << 20;
    float *data = aligned_alloc(64, n * sizeof *data);
    double best = 0;
    if (!data) {
        return 0;
    }
    memset(data, 1, n * sizeof *data);
    for (int rep = 0; rep < 4; rep++) {
        double t = now();
        volatile float sink = mbs_peak_read(data, n);
        (void)sink;
        double rate = (double)(n * sizeof *data) / (now() - t) * 1e-9;
        best = rate > best ? rate : best;
    }
    free(data);
    return best;
}

static const mbk_format formats[] = {{MBK_F32, MBK_MATH_F32},   {MBK_BF16, MBK_MATH_F32}, {MBK_I8, MBK_MATH_F32},
                                     {MBK_BF16, MBK_MATH_BF16}, {MBK_I8, MBK_MATH_BF16},  {MBK_I8, MBK_MATH_I16},
                                     {MBK_I8, MBK_MATH_I8}};
enum { FORMATS = sizeof formats / sizeof *formats };

/* The best of several runs of about 20 ms, in seconds a call. */
#define TIME(SECONDS, CALL)                                                                                            \
    do {                                                                                                               \
        int64_t calls = 1;                                                                                             \
        (SECONDS) = 1e9;                                                                                               \
        for (int rep = 0; rep < 8; rep++) {                                                                            \
            double t0 = now();                                                                                         \
            for (int64_t call = 0; call < calls; call++) {                                                             \
                CALL;                                                                                                  \
            }                                                                                                          \
            double took = now() - t0;                                                                                  \
            (SECONDS) = took / (double)calls < (SECONDS) ? took / (double)calls : (SECONDS);                           \
            if (took < 0.02) {                                                                                         \
                calls = took < 1e-5 ? calls * 100 : (int64_t)((double)calls * 0.02 / took) + 1;                        \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static void gemm_shape(mbk_ctx *ctx, const int64_t *shape, mbk_format format, double top) {
    int64_t m = shape[0];
    int64_t k = shape[1];
    int64_t n = shape[2];
    float *xs = kit_random(m * k, -1, 1);
    float *ws = kit_random(n * k, -1, 1);
    kit_mat x = kit_of(ctx, m, k, 0, xs);
    kit_mat y = kit_new(ctx, m, n, 0);
    mbk_weight *w = NULL;
    ctx->ops->prepare(ctx, ws, n, k, format, &w);
    double t;
    TIME(t, ctx->ops->gemm(ctx, y.m, x.m, w, kit_none, 0));
    double rate = 2e-9 * (double)(m * k * n) / t;
    printf("  gemm %4s/%-5s M=%-4ld K=%-5ld N=%-5ld %8.1f GFLOP/s", mbk_dtype_name(format.dtype),
           mbk_math_name(format.math), (long)m, (long)k, (long)n, rate);
    printf(top > 0 ? "  %3.0f %% of peak  %9.2f us\n" : "\n", 100 * rate / top, 1e6 * t);
    ctx->ops->weight_free(ctx, w);
    kit_free(&x);
    kit_free(&y);
    free(xs);
    free(ws);
}

static void bench_gemm(mbk_level level, int threads) {
    static const int64_t shapes[][3] = {{512, 768, 3072}, {512, 1536, 768}, {512, 256, 1024}, {512, 512, 256},
                                        {512, 1536, 80},  {512, 48, 1536},  {512, 512, 48},   {512, 16, 512},
                                        {512, 256, 16},   {16, 768, 3072},  {8, 256, 1024},   {4, 256, 1024},
                                        {1, 256, 1024},   {1, 512, 48},     {1, 16, 512}};
    mbk_ctx *ctx = kit_open(level, threads);
    for (int f = 0; f < FORMATS; f++) {
        double top = peak(level, formats[f].math) * threads;
        printf("%s: peak %.1f GFLOP/s on %d threads\n", mbk_level_name(level), top, threads);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            gemm_shape(ctx, shapes[i], formats[f], top);
        }
    }
    kit_close(ctx);
}

/* The matrices of mamba-130m's blocks one after the other, more than any cache holds, times a few rows. */
static void decode_format(mbk_ctx *ctx, mbk_format format, int64_t rows, int layers, double bandwidth) {
    static const int64_t shapes[4][2] = {{3072, 768}, {80, 1536}, {1536, 48}, {768, 1536}};
    mbk_weight **w = calloc((size_t)layers * 4, sizeof(mbk_weight *));
    float *values = kit_random(3072 * 768, -1, 1);
    kit_mat x = kit_of(ctx, rows, 1536, 0, values);
    kit_mat y = kit_new(ctx, rows, 3072, 0);
    double bytes = 0;
    for (int i = 0; i < layers * 4; i++) {
        ctx->ops->prepare(ctx, values, shapes[i % 4][0], shapes[i % 4][1], format, &w[i]);
        bytes += (double)mbk_weight_bytes(w[i]);
    }
    double best = 1e9;
    for (int rep = 0; rep < 5; rep++) {
        double t = now();
        for (int i = 0; i < layers * 4; i++) {
            ctx->ops->gemm(ctx, kit_cols(&y, 0, shapes[i % 4][0]), kit_cols(&x, 0, shapes[i % 4][1]), w[i], kit_none,
                           0);
        }
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("  decode %4s/%-5s rows=%-2ld %6.1f GB/s  %3.0f %% of one thread's read  %8.2f ms for %.0f MB\n",
           mbk_dtype_name(format.dtype), mbk_math_name(format.math), (long)rows, bytes / best * 1e-9,
           100 * bytes / best * 1e-9 / bandwidth, best * 1e3, bytes * 1e-6);
    for (int i = 0; i < layers * 4; i++) {
        ctx->ops->weight_free(ctx, w[i]);
    }
    free(w);
    free(values);
    kit_free(&x);
    kit_free(&y);
}

static void bench_decode(mbk_level level, int threads) {
    static const int64_t rows[] = {1, 2, 4, 8};
    double bandwidth = read_bandwidth();
    printf("%s: one thread reads %.1f GB/s\n", mbk_level_name(level), bandwidth);
    mbk_ctx *ctx = kit_open(level, threads);
    for (int f = 0; f < FORMATS; f++) {
        for (int r = 0; r < 4; r++) {
            decode_format(ctx, formats[f], rows[r], formats[f].dtype == MBK_F32 ? 16 : 24, bandwidth);
        }
    }
    kit_close(ctx);
}

static void bench_sequence(mbk_level level, int threads) {
    static const int64_t shapes[][3] = {{256, 512, 16}, {256, 1536, 16}, {4096, 512, 16},
                                        {256, 512, 8},  {256, 512, 64},  {1, 512, 16}};
    mbk_ctx *ctx = kit_open(level, threads);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t rows = shapes[i][0];
        int64_t cols = shapes[i][1];
        int64_t n = shapes[i][2];
        float *r = kit_random(rows * (2 * cols > 128 ? 2 * cols : 128) + 64 * cols, -1, 0);
        kit_mat xz = kit_of(ctx, rows, 2 * cols, 0, r);
        kit_mat y = kit_new(ctx, rows, cols, 0);
        kit_mat dt = kit_of(ctx, rows, cols, 0, r + 5);
        kit_mat bc = kit_of(ctx, rows, 2 * n, 8, r);
        kit_mat a = kit_of(ctx, n, cols, 0, r);
        kit_mat one = kit_of(ctx, 1, cols, 0, r);
        kit_mat h = kit_of(ctx, n, cols, 0, r);
        kit_mat taps = kit_of(ctx, 4, cols, 0, r);
        kit_mat conv = kit_of(ctx, 4, cols, 0, r);
        double t;
        TIME(t, ctx->ops->conv1d_silu(ctx, y.m, kit_cols(&xz, 0, cols), taps.m, one.m, conv.m, kit_whole));
        printf("  conv %-6s L=%-5ld C=%-5ld W=4   %8.2f ns a row   %6.3f ns a channel\n", mbk_level_name(level),
               (long)rows, (long)cols, 1e9 * t / (double)rows, 1e9 * t / (double)(rows * cols));
        mbk_scan_args args = {y.m,
                              y.m,
                              dt.m,
                              kit_cols(&bc, 0, n),
                              kit_cols(&bc, n, 2 * n),
                              kit_cols(&xz, cols, 2 * cols),
                              a.m,
                              one.m,
                              one.m,
                              h.m,
                              kit_whole,
                              kit_none};
        TIME(t, ctx->ops->selective_scan(ctx, &args));
        printf("  scan %-6s L=%-5ld C=%-5ld N=%-3ld %8.2f ns a row   %6.3f ns a state\n", mbk_level_name(level),
               (long)rows, (long)cols, (long)n, 1e9 * t / (double)rows, 1e9 * t / (double)(rows * cols * n));
        kit_mat *all[] = {&xz, &y, &dt, &bc, &a, &one, &h, &taps, &conv};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            kit_free(all[j]);
        }
        free(r);
    }
    kit_close(ctx);
}

static void bench_rows(mbk_level level, int threads) {
    static const int64_t shapes[][2] = {{256, 256}, {256, 768}, {256, 16}, {16, 50280}};
    mbk_ctx *ctx = kit_open(level, threads);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t rows = shapes[i][0];
        int64_t cols = shapes[i][1];
        float *r = kit_random(rows * cols, -1, 1);
        int32_t ids[256] = {0};
        kit_mat x = kit_of(ctx, rows, cols, 0, r);
        kit_mat y = kit_new(ctx, rows, cols, 0);
        kit_mat lp = kit_new(ctx, rows, 1, 0);
        mbk_buf *idb = kit_ids(ctx, ids, 256);
        double each = 1e9 / (double)(rows * cols);
        double rms;
        double layer;
        double add;
        double logp;
        TIME(rms, ctx->ops->rmsnorm(ctx, y.m, x.m, kit_rows(&x, 0, 1), 1e-5f));
        TIME(layer, ctx->ops->layernorm(ctx, y.m, x.m, kit_rows(&x, 0, 1), kit_none, 1e-5f));
        TIME(add, ctx->ops->add(ctx, y.m, x.m, x.m));
        TIME(logp, ctx->ops->logprob(ctx, lp.m, x.m, idb, 0));
        printf("  rows %-6s L=%-4ld C=%-6ld rmsnorm %6.3f  layernorm %6.3f  add %6.3f  logprob %6.3f ns an element\n",
               mbk_level_name(level), (long)rows, (long)cols, rms * each, layer * each, add * each, logp * each);
        ctx->ops->buf_free(ctx, idb);
        kit_free(&x);
        kit_free(&y);
        kit_free(&lp);
        free(r);
    }
    kit_close(ctx);
}

/* The gradients that training spends its time in, beside the forward pass of the same sizes. */
static void bench_grad(mbk_level level, int threads) {
    static const int64_t shapes[][3] = {{1024, 256, 16}, {1024, 512, 16}};
    mbk_ctx *ctx = kit_open(level, threads);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t rows = shapes[i][0];
        const int64_t cols = shapes[i][1];
        const int64_t n = shapes[i][2];
        enum { U, DT, Z, DY, DU, DDT, DZ, WIDE };
        float *r = kit_random(rows * cols + 64 * cols, -1, 0);
        kit_mat w[WIDE];
        for (int k = 0; k < WIDE; k++) {
            w[k] = kit_of(ctx, rows, cols, 0, r + k);
        }
        kit_mat bc = kit_of(ctx, rows, 2 * n, 8, r);
        kit_mat dbc = kit_of(ctx, rows, 2 * n, 8, r);
        kit_mat a = kit_of(ctx, n, cols, 0, r);
        kit_mat small = kit_of(ctx, 64, cols, 0, r);
        kit_mat saved = kit_new(ctx, rows / MBK_SCAN_BLOCK * n, cols, 0);
        kit_mat dw = kit_new(ctx, cols, cols, 0);
        mbk_scan_args fwd = {w[DU].m,
                             w[U].m,
                             w[DT].m,
                             kit_cols(&bc, 0, n),
                             kit_cols(&bc, n, 2 * n),
                             w[Z].m,
                             a.m,
                             kit_rows(&small, 0, 1),
                             kit_rows(&small, 1, 2),
                             kit_rows(&small, 16, 16 + n),
                             kit_whole,
                             saved.m};
        mbk_scan_grad_args scan = {.du = w[DU].m,
                                   .ddt = w[DDT].m,
                                   .dz = w[DZ].m,
                                   .db = kit_cols(&dbc, 0, n),
                                   .dc = kit_cols(&dbc, n, 2 * n),
                                   .da = kit_rows(&small, 32, 32 + n),
                                   .dd = kit_rows(&small, 2, 3),
                                   .dbias = kit_rows(&small, 3, 4),
                                   .dstate = kit_rows(&small, 16, 16 + n),
                                   .dy = w[DY].m,
                                   .u = fwd.u,
                                   .dt = fwd.dt,
                                   .b = fwd.b,
                                   .c = fwd.c,
                                   .z = fwd.z,
                                   .a = fwd.a,
                                   .d = fwd.d,
                                   .bias = fwd.bias,
                                   .saved = saved.m};
        mbk_conv_grad_args conv = {w[DU].m,
                                   kit_rows(&small, 48, 52),
                                   kit_rows(&small, 2, 3),
                                   kit_rows(&small, 52, 56),
                                   w[DY].m,
                                   w[U].m,
                                   kit_rows(&small, 4, 8),
                                   kit_none,
                                   kit_none,
                                   kit_whole};
        double forward;
        double back;
        double taps;
        double product;
        double narrow;
        TIME(forward, ctx->ops->selective_scan(ctx, &fwd));
        TIME(back, ctx->ops->selective_scan_grad(ctx, &scan));
        TIME(taps, ctx->ops->conv1d_silu_grad(ctx, &conv));
        TIME(product, ctx->ops->weight_grad(ctx, dw.m, w[DY].m, w[U].m, MBK_MATH_F32));
        TIME(narrow, ctx->ops->weight_grad(ctx, dw.m, w[DY].m, w[U].m, MBK_MATH_BF16));
        printf("  grad %-6s L=%-5ld C=%-5ld N=%-3ld scan %6.3f (forward %6.3f) ns a state  conv %6.3f ns a channel  "
               "weight %6.1f GFLOP/s, bf16 %6.1f\n",
               mbk_level_name(level), (long)rows, (long)cols, (long)n, 1e9 * back / (double)(rows * cols * n),
               1e9 * forward / (double)(rows * cols * n), 1e9 * taps / (double)(rows * cols),
               2e-9 * (double)(rows * cols * cols) / product, 2e-9 * (double)(rows * cols * cols) / narrow);
        kit_mat *all[] = {&bc, &dbc, &a, &small, &saved, &dw};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            kit_free(all[k]);
        }
        for (int k = 0; k < WIDE; k++) {
            kit_free(&w[k]);
        }
        free(r);
    }
    kit_close(ctx);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "all";
    int all = strcmp(what, "all") == 0;
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    threads = threads < 1 ? 1 : threads;
    clock_used = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    int only = argc > 2 ? mbk_level_parse(argv[2]) : -1;
    EACH_LEVEL(level) {
        if (only >= 0 && (int)level != only) {
            continue;
        }
        if (all || strcmp(what, "gemm") == 0) {
            bench_gemm(level, threads);
        }
        if (all || strcmp(what, "decode") == 0) {
            bench_decode(level, threads);
        }
        if (all || strcmp(what, "rows") == 0) {
            bench_rows(level, threads);
        }
        if (all || strcmp(what, "sequence") == 0) {
            bench_sequence(level, threads);
        }
        if (all || strcmp(what, "grad") == 0) {
            bench_grad(level, threads);
        }
    }
    return 0;
}
