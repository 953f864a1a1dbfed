#include "kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "cpu/cpu.h"

static _Noreturn void die(const char *what) {
    fprintf(stderr, "kit: %s\n", what);
    exit(1);
}

static uint64_t state;

void kit_seed(uint64_t seed) {
    state = seed ? seed : UINT64_MAX; /* 0 is the one state that does not move */
}

uint64_t kit_next(void) {
    if (!state) {
        const char *told = getenv("MBS_TEST_SEED");
        uint64_t seed = told ? strtoull(told, NULL, 0) : 20240601;
        fprintf(stderr, "seed %llu (MBS_TEST_SEED)\n", (unsigned long long)seed);
        kit_seed(seed);
    }
    /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dULL;
}

int64_t kit_int(int64_t from, int64_t to) {
    return from + (int64_t)(kit_next() >> 11) % (to - from + 1);
}

float kit_float(float from, float to) {
    return from + (to - from) * ((float)(kit_next() >> 40) * (1.0f / 16777216.0f));
}

int64_t kit_size(int64_t most) {
    switch (kit_int(0, 9)) {
    case 0:
        return 1;
    case 1:
        return most;
    default:
        return (int64_t)exp((double)kit_float(0, (float)log((double)most + 0.99)));
    }
}

int64_t kit_setting(const char *name, int64_t usual) {
    const char *value = getenv(name);
    return value ? strtoll(value, NULL, 0) : usual;
}

#ifdef KIT_CUDA
mbk_ctx *kit_open(mbk_level level, int threads) {
    (void)threads;
    mbk_ctx *ctx = NULL;
    if (level >= MBK_LEVEL_COUNT) {
        return cuda_kit_open((int)level - (int)MBK_LEVEL_COUNT);
    }
    if (mbk_cpu_open(level, NULL, &ctx) < 0) {
        die("cannot open the level");
    }
    return ctx;
}

void kit_close(mbk_ctx *ctx) {
    if (!cuda_kit_close(ctx)) {
        mbk_close(ctx);
    }
}

mbk_level kit_level_best(void) {
    return MBK_LEVEL_COUNT;
}
#else
mbk_ctx *kit_open(mbk_level level, int threads) {
    mbk_parallel par = {NULL, threads, mbs_pool_run};
    if (threads > 1 && !(par.pool = mbs_pool_new(threads))) {
        die("no threads");
    }
    mbk_ctx *ctx = NULL;
    if (mbk_cpu_open(level, threads > 1 ? &par : NULL, &ctx) < 0) {
        die("cannot open the level");
    }
    return ctx;
}

void kit_close(mbk_ctx *ctx) {
    mbs_pool *pool = cpu_of(ctx)->par.pool;
    mbk_close(ctx);
    if (pool) {
        mbs_pool_free(pool);
    }
}

mbk_level kit_level_best(void) {
    return mbk_level_best();
}
#endif

static const uint32_t canary_bits = 0x7fa1b2c3; /* a NaN: reading it shows up too */

/* Floats before the tensor; not a multiple of a vector, so that rows start unaligned. */
#define LEAD 21

const mbk_mat kit_none = {0};
const mbk_starts kit_whole = {0};

kit_mat kit_new(mbk_ctx *ctx, int64_t rows, int64_t cols, int64_t pad) {
    int64_t ld = cols + pad;
    size_t count = (size_t)(LEAD + rows * ld + LEAD);
    uint32_t *fill = malloc(count * sizeof *fill);
    kit_mat t = {{NULL, LEAD, rows, cols, ld}, ctx};
    if (!fill || ctx->ops->buf_new(ctx, count * sizeof *fill, &t.m.buf) < 0) {
        die("no memory");
    }
    for (size_t i = 0; i < count; i++) {
        fill[i] = canary_bits;
    }
    ctx->ops->upload(ctx, t.m.buf, 0, fill, count * sizeof *fill);
    free(fill);
    return t;
}

void kit_free(kit_mat *t) {
    t->ctx->ops->buf_free(t->ctx, t->m.buf);
    t->m.buf = NULL;
}

void kit_put(kit_mat *t, const float *dense) {
    for (int64_t r = 0; r < t->m.rows; r++) {
        t->ctx->ops->upload(t->ctx, t->m.buf, (size_t)(t->m.off + r * t->m.ld) * sizeof(float), dense + r * t->m.cols,
                            (size_t)t->m.cols * sizeof(float));
    }
}

float *kit_get(const kit_mat *t) {
    float *dense = malloc((size_t)(t->m.rows * t->m.cols + 1) * sizeof *dense);
    if (!dense) {
        die("no memory");
    }
    for (int64_t r = 0; r < t->m.rows; r++) {
        t->ctx->ops->download(t->ctx, dense + r * t->m.cols, t->m.buf, (size_t)(t->m.off + r * t->m.ld) * sizeof(float),
                              (size_t)t->m.cols * sizeof(float));
    }
    return dense;
}

int kit_canaries(const kit_mat *t) {
    size_t count = mbk_buf_bytes(t->m.buf) / sizeof(uint32_t);
    uint32_t *all = malloc(count * sizeof *all);
    if (!all) {
        die("no memory");
    }
    t->ctx->ops->download(t->ctx, all, t->m.buf, 0, count * sizeof *all);
    int fine = 1;
    for (int64_t i = 0; i < (int64_t)count; i++) {
        int64_t in = i - t->m.off;
        int inside = in >= 0 && in < t->m.rows * t->m.ld && in % t->m.ld < t->m.cols;
        fine = fine && (inside || all[i] == canary_bits);
    }
    free(all);
    return fine;
}

mbk_mat kit_rows(const kit_mat *t, int64_t from, int64_t to) {
    mbk_mat m = t->m;
    m.off += from * m.ld;
    m.rows = to - from;
    return m;
}

mbk_mat kit_cols(const kit_mat *t, int64_t from, int64_t to) {
    mbk_mat m = t->m;
    m.off += from;
    m.cols = to - from;
    return m;
}

kit_mat kit_of(mbk_ctx *ctx, int64_t rows, int64_t cols, int64_t pad, const float *dense) {
    kit_mat t = kit_new(ctx, rows, cols, pad);
    kit_put(&t, dense);
    return t;
}

int kit_same(const float *a, const float *b, int64_t n) {
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

int kit_same_cut(mbk_level level, int64_t cut, const float *a, const float *b, int64_t n) {
#ifdef KIT_CUDA
    if ((int)level >= (int)MBK_LEVEL_COUNT && cut % cuda_kit_unit()) {
        return kit_maxrel(a, b, n) <= 5e-6;
    }
#else
    (void)level;
    (void)cut;
#endif
    return kit_same(a, b, n);
}

double kit_maxrel(const float *a, const float *b, int64_t n) {
    return kit_maxoff(a, b, n, 0);
}

double kit_maxoff(const float *a, const float *b, int64_t n, double least) {
    double err = 0;
    double top = least;
    for (int64_t i = 0; i < n; i++) {
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i]))) {
            double d = fabs((double)a[i] - (double)b[i]);
            err = isnan(d) || isinf(d) ? (double)INFINITY : fmax(err, d);
        }
        top = isfinite(b[i]) ? fmax(top, fabs((double)b[i])) : top;
    }
    return err == 0 ? 0 : err / top;
}

float *kit_random(int64_t n, float from, float to) {
    float *x = malloc((size_t)(n + 1) * sizeof *x);
    if (!x) {
        die("no memory");
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] = kit_float(from, to);
    }
    return x;
}

mbk_buf *kit_ids(mbk_ctx *ctx, const int32_t *ids, int64_t n) {
    mbk_buf *buf = NULL;
    if (ctx->ops->buf_new(ctx, (size_t)n * sizeof *ids, &buf) < 0) {
        die("no memory");
    }
    ctx->ops->upload(ctx, buf, 0, ids, (size_t)n * sizeof *ids);
    return buf;
}

kit_problem kit_problem_new(int64_t rows, int64_t n_in, int64_t n_out) {
    kit_problem p = {rows, n_in, n_out, (int)kit_int(0, 1), (int)kit_int(0, 1), NULL, NULL, NULL, NULL};
    p.x = kit_random(rows * n_in, -1, 1);
    p.w = kit_random(n_out * n_in, -1, 1);
    p.bias = kit_random(n_out, -1, 1);
    p.y = kit_random(rows * n_out, -1, 1);
    return p;
}

void kit_problem_free(kit_problem *p) {
    free(p->x);
    free(p->w);
    free(p->bias);
    free(p->y);
}

float *kit_product(const kit_problem *p, mbk_format format, mbk_level level, int threads, int64_t cut) {
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat x = kit_of(ctx, p->rows, p->n_in, kit_int(0, 9), p->x);
    kit_mat y = kit_of(ctx, p->rows, p->n_out, kit_int(0, 9), p->y);
    kit_mat bias = kit_of(ctx, 1, p->n_out, 0, p->bias);
    mbk_weight *w = NULL;
    mbk_status st = ctx->ops->prepare(ctx, p->w, p->n_out, p->n_in, format, &w);
    for (int64_t from = 0; from < p->rows && st == MBS_OK;) {
        int64_t to = cut && from + cut < p->rows ? from + cut : p->rows;
        st = ctx->ops->gemm(ctx, kit_rows(&y, from, to), kit_rows(&x, from, to), w, p->with_bias ? bias.m : kit_none,
                            p->accumulate);
        from = to;
    }
    if (st != MBS_OK || !kit_canaries(&y)) {
        die(st != MBS_OK ? "a product failed" : "a product wrote outside y");
    }
    float *dense = kit_get(&y);
    ctx->ops->weight_free(ctx, w);
    kit_free(&x);
    kit_free(&y);
    kit_free(&bias);
    kit_close(ctx);
    return dense;
}
