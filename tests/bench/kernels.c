/*
 * kernels.c - rates of the kernels at every usable level, beside the multiply-add peak of this machine measured in the
 * same seconds. Usage: bench_kernels [gemm|rows|sequence|all] [level] [threads]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kit.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#if defined(__x86_64__)
#include <immintrin.h>

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

/* GFLOP/s of twelve independent chains of multiply-adds. */
__attribute__((target("avx512f"))) static double peak_avx512(void) {
    double best = 0;
    for (int rep = 0; rep < 5; rep++) {
        __m512 a[12];
        __m512 m = _mm512_set1_ps(0.999f);
        UNROLL
        for (int i = 0; i < 12; i++) {
            a[i] = _mm512_set1_ps((float)i);
        }
        double t = now();
        for (int n = 0; n < 2000000; n++) {
            UNROLL
            for (int i = 0; i < 12; i++) {
                a[i] = _mm512_fmadd_ps(a[i], m, m);
            }
            __asm__ volatile("" : "+v"(a[0]), "+v"(a[11]));
        }
        t = now() - t;
        UNROLL
        for (int i = 1; i < 12; i++) {
            a[0] = _mm512_add_ps(a[0], a[i]);
        }
        volatile float sink = _mm512_cvtss_f32(a[0]);
        (void)sink;
        double rate = 2000000.0 * 12 * 32 / t * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

__attribute__((target("avx2,fma"))) static double peak_avx2(void) {
    double best = 0;
    for (int rep = 0; rep < 5; rep++) {
        __m256 a[12];
        __m256 m = _mm256_set1_ps(0.999f);
        UNROLL
        for (int i = 0; i < 12; i++) {
            a[i] = _mm256_set1_ps((float)i);
        }
        double t = now();
        for (int n = 0; n < 2000000; n++) {
            UNROLL
            for (int i = 0; i < 12; i++) {
                a[i] = _mm256_fmadd_ps(a[i], m, m);
            }
            __asm__ volatile("" : "+x"(a[0]), "+x"(a[11]));
        }
        t = now() - t;
        UNROLL
        for (int i = 1; i < 12; i++) {
            a[0] = _mm256_add_ps(a[0], a[i]);
        }
        volatile float sink = _mm256_cvtss_f32(a[0]);
        (void)sink;
        double rate = 2000000.0 * 12 * 16 / t * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

static double peak(mbk_level level) {
    return level >= MBK_LEVEL_AVX512 ? peak_avx512() : level == MBK_LEVEL_AVX2 ? peak_avx2() : 0;
}
#else
static double peak(mbk_level level) {
    return (void)level, 0;
}
#endif

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

static void bench_gemm(mbk_level level, int threads) {
    static const int64_t shapes[][3] = {{256, 128, 512}, {256, 256, 1024}, {256, 768, 3072}, {256, 1536, 768},
                                        {256, 512, 48},  {256, 1536, 80},  {256, 16, 512},   {256, 8, 256},
                                        {256, 48, 1536}, {256, 256, 16},   {64, 256, 1024},  {1, 256, 1024},
                                        {1, 512, 48},    {1, 768, 3072},   {4, 256, 1024},   {8, 256, 1024}};
    double top = peak(level) * threads;
    printf("%s: multiply-add peak %.1f GFLOP/s on %d threads\n", mbk_level_name(level), top, threads);
    mbk_ctx *ctx = kit_open(level, threads);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t m = shapes[i][0];
        int64_t k = shapes[i][1];
        int64_t n = shapes[i][2];
        float *xs = kit_random(m * k, -1, 1);
        float *ws = kit_random(n * k, -1, 1);
        kit_mat x = kit_of(ctx, m, k, 0, xs);
        kit_mat y = kit_new(ctx, m, n, 0);
        mbk_weight *w = NULL;
        ctx->ops->prepare(ctx, ws, n, k, (mbk_format){MBK_F32, MBK_MATH_F32}, &w);
        double t;
        TIME(t, ctx->ops->gemm(ctx, y.m, x.m, w, kit_none, 0));
        double rate = 2e-9 * (double)(m * k * n) / t;
        printf("  gemm M=%-4ld K=%-5ld N=%-5ld %8.1f GFLOP/s", (long)m, (long)k, (long)n, rate);
        printf(top > 0 ? "  %3.0f %% of peak  %9.2f us\n" : "\n", 100 * rate / top, 1e6 * t);
        ctx->ops->weight_free(ctx, w);
        kit_free(&x);
        kit_free(&y);
        free(xs);
        free(ws);
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
                              kit_whole};
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

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "all";
    int all = strcmp(what, "all") == 0;
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    threads = threads < 1 ? 1 : threads;
    int only = argc > 2 ? mbk_level_parse(argv[2]) : -1;
    EACH_LEVEL(level) {
        if (only >= 0 && (int)level != only) {
            continue;
        }
        if (all || strcmp(what, "gemm") == 0) {
            bench_gemm(level, threads);
        }
        if (all || strcmp(what, "rows") == 0) {
            bench_rows(level, threads);
        }
        if (all || strcmp(what, "sequence") == 0) {
            bench_sequence(level, threads);
        }
    }
    return 0;
}
