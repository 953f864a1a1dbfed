/* Filters: every level against the sum in double, cuts bit for bit with a ring of any length, sequences side by side,
 * gradients against differences. And elementwise functions with theirs. */
#include "kit.h"
#include "support/test.h"
#include "support/vectors.h"

typedef struct filter {
    int64_t rows, cols, taps;
    int32_t newest_last;
    float *x, *w, *bias;
    int32_t starts[8];
    int64_t n_starts;
    int far; /* by transforms */
} filter;

static filter random_filter(int64_t rows, int64_t cols, int64_t taps) {
    filter f = {rows, cols, taps, (int32_t)kit_int(0, 1), 0, 0, 0, {0}, 0, 0};
    f.x = kit_random(rows * cols, -1, 1);
    f.w = kit_random(taps * cols, -1, 1);
    f.bias = kit_random(cols, -1, 1);
    return f;
}

static void free_filter(filter *f) {
    free(f->x);
    free(f->w);
    free(f->bias);
}

typedef struct result {
    float *y, *dx, *dw, *dbias;
} result;

static void free_result(result *r) {
    free(r->y);
    free(r->dx);
    free(r->dw);
    free(r->dbias);
}

static result run(const filter *f, mbk_level level, int threads, int64_t cut, const float *dy) {
    enum { CALLS = 1000 };
    mbk_ctx *ctx = kit_open(level, threads);
    static int64_t end[CALLS + 1];
    static kit_mat before[CALLS];
    int64_t calls = 0;
    float *zeros = kit_random((f->rows + f->taps) * f->cols, 0, 0);
    mbk_buf *ids = f->n_starts ? kit_ids(ctx, f->starts, f->n_starts) : NULL;
    kit_mat x = kit_of(ctx, f->rows, f->cols, kit_int(0, 4), f->x);
    kit_mat w = kit_of(ctx, f->taps, f->cols, kit_int(0, 4), f->w);
    kit_mat bias = kit_of(ctx, 1, f->cols, 0, f->bias);
    kit_mat ring = kit_of(ctx, f->taps, f->cols, kit_int(0, 4), zeros);
    kit_mat y = kit_new(ctx, f->rows, f->cols, 3);
    const int64_t unit = f->far ? 1 : 0;
    kit_mat ahead = kit_new(ctx, unit * mbk_fir_ahead_rows(f->taps) + 1 - unit, f->cols, 5);
    kit_mat spectra = kit_new(ctx, 1, unit * mbk_fir_spectra_floats(f->taps, f->cols) + 1, 0);
    kit_mat work = kit_new(ctx, 1, unit * mbk_fir_work_floats(f->taps, f->cols) + 1, 0);
    if (f->far) {
        CHECK_INT(ctx->ops->fir_spectra(ctx, spectra.m, w.m, work.m), 0);
    }
    for (end[0] = 0; end[calls] < f->rows; calls++) {
        const int64_t take = cut < 0 ? kit_int(1, 30) : cut ? cut : f->rows;
        const int64_t from = end[calls];
        const int64_t to = from + take < f->rows ? from + take : f->rows;
        end[calls + 1] = to;
        CHECK(calls < CALLS);
        before[calls] = kit_new(ctx, f->taps, f->cols, 0);
        ctx->ops->copy(ctx, before[calls].m, ring.m);
        const mbk_fir_args a = {
            kit_rows(&y, from, to), kit_rows(&x, from, to),      w.m,       bias.m, ring.m, from, f->newest_last,
            {ids, 0, f->n_starts},  f->far ? ahead.m : kit_none, spectra.m, work.m};
        CHECK_INT(ctx->ops->fir(ctx, &a), 0);
    }
    kit_mat g = kit_of(ctx, f->rows, f->cols, 1, dy ? dy : zeros);
    kit_mat dx = kit_new(ctx, f->rows, f->cols, 2);
    kit_mat dw = kit_of(ctx, f->taps, f->cols, 1, zeros);
    kit_mat dbias = kit_of(ctx, 1, f->cols, 0, zeros);
    kit_mat dring = kit_of(ctx, f->taps, f->cols, 3, zeros);
    kit_mat room = kit_new(ctx, 1, unit * mbk_fir_grad_floats(f->taps, f->rows + f->taps - 1, f->cols) + 1, 0);
    for (int64_t i = calls - 1; i >= 0; i--) {
        const mbk_fir_grad_args a = {.dx = kit_rows(&dx, end[i], end[i + 1]),
                                     .dw = dw.m,
                                     .dbias = dbias.m,
                                     .dring = dring.m,
                                     .dy = kit_rows(&g, end[i], end[i + 1]),
                                     .x = kit_rows(&x, end[i], end[i + 1]),
                                     .w = w.m,
                                     .ring = before[i].m,
                                     .position = end[i],
                                     .newest_last = f->newest_last,
                                     .starts = {ids, 0, f->n_starts},
                                     .work = f->far ? room.m : kit_none};
        if (dy) {
            CHECK_INT(ctx->ops->fir_grad(ctx, &a), 0);
        }
        kit_free(&before[i]);
    }
    result r = {kit_get(&y), kit_get(&dx), kit_get(&dw), kit_get(&dbias)};
    kit_mat *all[] = {&x, &w, &bias, &ring, &y, &g, &dx, &dw, &dbias, &dring, &ahead, &spectra, &work, &room};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(kit_canaries(all[i]), "%zu", i);
        kit_free(all[i]);
    }
    if (ids) {
        ctx->ops->buf_free(ctx, ids);
    }
    free(zeros);
    kit_close(ctx);
    return r;
}

/* y, and where dy is given its gradients: all sums in double. */
static void naive(const filter *f, const float *dy, double *y, double *dx, double *dw) {
    memset(dx, 0, (size_t)(f->rows * f->cols) * sizeof *dx);
    memset(dw, 0, (size_t)(f->taps * f->cols) * sizeof *dw);
    int64_t begin = 0;
    int64_t next = 0;
    for (int64_t t = 0; t < f->rows; t++) {
        while (next < f->n_starts && f->starts[next] <= t) {
            begin = f->starts[next++];
        }
        for (int64_t c = 0; c < f->cols; c++) {
            double sum = (double)f->bias[c];
            for (int64_t k = 0; k < f->taps && t - k >= begin; k++) {
                const int64_t tap = (f->newest_last ? f->taps - 1 - k : k) * f->cols + c;
                const int64_t from = (t - k) * f->cols + c;
                sum += (double)f->w[tap] * (double)f->x[from];
                dx[from] += (double)f->w[tap] * (double)dy[t * f->cols + c];
                dw[tap] += (double)f->x[from] * (double)dy[t * f->cols + c];
            }
            y[t * f->cols + c] = sum;
        }
    }
}

static void check_filter(const filter *f, mbk_level level, int threads, int64_t cut) {
    const int64_t all = f->rows * f->cols;
    float *dy = kit_random(all, -1, 1);
    double *y = malloc((size_t)all * sizeof *y);
    double *dx = malloc((size_t)all * sizeof *dx);
    double *dw = malloc((size_t)(f->taps * f->cols) * sizeof *dw);
    naive(f, dy, y, dx, dw);
    result r = run(f, level, threads, cut, dy);
    CHECK(vec_maxrel(r.y, y, all) < 3e-6, "%s: %g", mbk_level_name(level), vec_maxrel(r.y, y, all));
    CHECK(vec_maxrel(r.dx, dx, all) < 1e-5, "%s: %g", mbk_level_name(level), vec_maxrel(r.dx, dx, all));
    CHECK(vec_maxrel(r.dw, dw, f->taps * f->cols) < 1e-5, "%s: %g", mbk_level_name(level),
          vec_maxrel(r.dw, dw, f->taps * f->cols));
    for (int64_t c = 0; c < f->cols; c++) {
        double sum = 0;
        for (int64_t t = 0; t < f->rows; t++) {
            sum += (double)dy[t * f->cols + c];
        }
        CHECK(fabs((double)r.dbias[c] - sum) < 1e-4);
    }
    free_result(&r);
    free(dy);
    free(y);
    free(dx);
    free(dw);
}

MBS_TEST(fir, every_level_against_double) {
    EACH_LEVEL(level) {
        for (int i = 0; i < 12; i++) {
            static const int64_t taps[] = {1, 3, 8, 17, 64, 150};
            filter f = random_filter(kit_int(1, 140), kit_int(1, 37), taps[i % 6]);
            int64_t cut = i < 6 ? 0 : -1;
            if (i % 3 == 2 && f.rows > 6) {
                f.starts[0] = (int32_t)kit_int(0, 1);
                f.starts[1] = (int32_t)kit_int(2, 4);
                f.starts[2] = (int32_t)kit_int(5, f.rows - 1);
                f.n_starts = 3;
                cut = 0;
            }
            check_filter(&f, level, 1 + i % 3, cut);
            free_filter(&f);
        }
    }
}

MBS_TEST(fir, chunk_law) {
    EACH_LEVEL(level) {
        filter f = random_filter(150, 35, 40);
        result whole = run(&f, level, 1, 0, NULL);
        static const int64_t cuts[] = {1, 3, 8, 39, 40, 41, -1};
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            result r = run(&f, level, 1 + (int)i % 3, cuts[i], NULL);
            CHECK(kit_same(r.y, whole.y, f.rows * f.cols), "%s, cut %d", mbk_level_name(level), (int)cuts[i]);
            free_result(&r);
        }
        free_result(&whole);
        free_filter(&f);
    }
}

/* Filters of several levels, some of whose last taps stand behind all of them. */
static filter far_filter(int64_t rows, int64_t cols, int64_t taps) {
    filter f = random_filter(rows, cols, taps);
    f.newest_last = 0;
    f.far = 1;
    return f;
}

static void near_gradients(const filter *f, const result *r, const double *dx, const double *dw, mbk_level level) {
    const double x = vec_maxrel(r->dx, dx, f->rows * f->cols);
    const double w = vec_maxrel(r->dw, dw, f->taps * f->cols);
    CHECK(x < 3e-6 && w < 3e-6, "%s, %d rows, %d taps: dx %g, dw %g", mbk_level_name(level), (int)f->rows, (int)f->taps,
          x, w);
}

MBS_TEST(fir, by_transforms) {
    static const int64_t taps[] = {129, 190, 320, 321, 700};
    static const int64_t rows[] = {500, 700, 321, 900, 1500};
    static const int64_t cols[] = {3, 33, 17, 64, 5};
    EACH_LEVEL(level) {
        for (int i = 0; i < 5; i++) {
            filter f = far_filter(rows[i], cols[i], taps[i]);
            const int64_t all = f.rows * f.cols;
            if (i == 1) { /* the second sequence is shorter than what is left of the first */
                f.starts[0] = 290;
                f.starts[1] = 310;
                f.n_starts = 2;
            }
            for (int64_t k = 0; i == 3 && k < f.taps * f.cols; k++) { /* next to the rows, nothing */
                f.w[k] *= 1e-6f;
            }
            float *dy = kit_random(all, -1, 1);
            double *y = malloc((size_t)all * sizeof *y);
            double *dx = malloc((size_t)all * sizeof *dx);
            double *dw = malloc((size_t)(f.taps * f.cols) * sizeof *dw);
            naive(&f, dy, y, dx, dw);
            result whole = run(&f, level, 1, 0, dy);
            CHECK(vec_maxrel(whole.y, y, all) < 3e-6, "%s: %g", mbk_level_name(level), vec_maxrel(whole.y, y, all));
            near_gradients(&f, &whole, dx, dw, level);
            if (level > 0) { /* by several threads the same bits; in pieces that meet rows of the ring */
                result threads = run(&f, level, 3, 0, dy);
                CHECK(kit_same(threads.dx, whole.dx, all) && kit_same(threads.dw, whole.dw, f.taps * f.cols));
                free_result(&threads);
                if (i != 1) {
                    result pieces = run(&f, level, 2, f.rows / 2 + 1, dy);
                    near_gradients(&f, &pieces, dx, dw, level);
                    free_result(&pieces);
                }
            }
            static const int64_t cuts[] = {1, 63, 64, 200, -1};
            for (size_t k = 0; k < sizeof cuts / sizeof *cuts && i != 1 && (level > 0 || k == 4); k++) {
                result r = run(&f, level, 1 + (int)k % 3, cuts[k] == 1 && f.rows > 999 ? 2 : cuts[k], NULL);
                CHECK(kit_same(r.y, whole.y, all), "%s, cut %d", mbk_level_name(level), (int)cuts[k]);
                free_result(&r);
            }
            free_result(&whole);
            free_filter(&f);
            free(dy);
            free(y);
            free(dx);
            free(dw);
        }
    }
}

/* Pieces behind others go by transforms as short as they can be: of 512 and 1024 numbers to the last one, and longer.
 */
MBS_TEST(fir, transforms_that_wrap_round) {
    static const int64_t taps[] = {257, 769, 300, 1200};
    static const int64_t rows[] = {1024, 1281, 1100, 1000};
    static const int64_t cuts[] = {256, 256, 213, 250};
    EACH_LEVEL(level) {
        for (int i = 0; i < 4 && level > 0; i++) {
            filter f = far_filter(rows[i], 19, taps[i]);
            float *dy = kit_random(f.rows * f.cols, -1, 1);
            double *y = malloc((size_t)(f.rows * f.cols) * sizeof *y);
            double *dx = malloc((size_t)(f.rows * f.cols) * sizeof *dx);
            double *dw = malloc((size_t)(f.taps * f.cols) * sizeof *dw);
            naive(&f, dy, y, dx, dw);
            result pieces = run(&f, level, 2, cuts[i], dy);
            near_gradients(&f, &pieces, dx, dw, level);
            free_result(&pieces);
            free_filter(&f);
            free(dy);
            free(y);
            free(dx);
            free(dw);
        }
    }
}

/* --- elementwise -------------------------------------------------------------------------------------------------- */

static double function(mbk_function f, double x) {
    return f == MBK_SIN    ? sin(x)
           : f == MBK_GELU ? 0.5 * x * (1 + erf(x / sqrt(2)))
                           : 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x)));
}

MBS_TEST(unary, functions_and_slopes) {
    enum { R = 9, C = 300 };
    EACH_LEVEL(level) {
        for (int way = 0; way < 6; way++) {
            const mbk_function f = (mbk_function)(way / 2);
            mbk_ctx *ctx = kit_open(level, 1 + way % 3);
            float *x0 = kit_random(R * C, -9, 9);
            float *s0 = kit_random(C, 0.5f, 1.5f);
            float *g0 = kit_random(R * C, -1, 1);
            float *zeros = kit_random(C, 0, 0);
            kit_mat x = kit_of(ctx, R, C, 1, x0);
            kit_mat s = kit_of(ctx, 1, C, 0, s0);
            kit_mat g = kit_of(ctx, R, C, 3, g0);
            kit_mat y = kit_new(ctx, R, C, 2);
            kit_mat dx = kit_new(ctx, R, C, 2);
            kit_mat ds = kit_of(ctx, 1, C, 2, zeros);
            const mbk_mat scale = way % 2 ? s.m : kit_none;
            CHECK_INT(ctx->ops->unary(ctx, y.m, x.m, scale, f), 0);
            CHECK_INT(ctx->ops->unary_grad(ctx, dx.m, way % 2 ? ds.m : kit_none, g.m, x.m, scale, f), 0);
            float *got = kit_get(&y);
            float *slope = kit_get(&dx);
            float *dscale = kit_get(&ds);
            for (int c = 0; c < C; c++) {
                double want = 0;
                const double k = way % 2 ? (double)s0[c] : 1.0;
                for (int i = c; i < R * C; i += C) {
                    const double v = k * (double)x0[i];
                    const double d = (function(f, v + 1e-5) - function(f, v - 1e-5)) / 2e-5;
                    CHECK(fabs((double)got[i] - function(f, v)) < 3e-6 * (1 + fabs(v)), "%d at %g", (int)f, v);
                    CHECK(fabs((double)slope[i] - d * k * (double)g0[i]) < 1e-5, "%d at %g", (int)f, v);
                    want += d * (double)x0[i] * (double)g0[i];
                }
                CHECK(way % 2 == 0 || fabs((double)dscale[c] - want) < 1e-4);
            }
            kit_mat *all[] = {&x, &s, &g, &y, &dx, &ds};
            for (int i = 0; i < 6; i++) {
                CHECK(kit_canaries(all[i]));
                kit_free(all[i]);
            }
            float *host[] = {x0, s0, g0, zeros, got, slope, dscale};
            for (int i = 0; i < 7; i++) {
                free(host[i]);
            }
            kit_close(ctx);
        }
    }
}

MBS_TEST(unary, gated_linear_unit) {
    enum { R = 5, C = 270 };
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 2);
        float *x0 = kit_random(R * C, -2, 2);
        float *z0 = kit_random(R * C, -30, 30);
        float *g0 = kit_random(R * C, -1, 1);
        kit_mat x = kit_of(ctx, R, C, 1, x0);
        kit_mat z = kit_of(ctx, R, C, 2, z0);
        kit_mat g = kit_of(ctx, R, C, 3, g0);
        kit_mat y = kit_new(ctx, R, C, 2);
        CHECK_INT(ctx->ops->glu(ctx, y.m, x.m, z.m), 0);
        float *got = kit_get(&y);
        CHECK_INT(ctx->ops->glu_grad(ctx, g.m, z.m, g.m, x.m, z.m), 0); /* in place */
        float *dx = kit_get(&g);
        float *dz = kit_get(&z);
        for (int i = 0; i < R * C; i++) {
            const double half = 1 / (1 + exp(-(double)z0[i]));
            CHECK(fabs((double)got[i] - (double)x0[i] * half) < 1e-6);
            CHECK(fabs((double)dx[i] - (double)g0[i] * half) < 1e-6);
            CHECK(fabs((double)dz[i] - (double)g0[i] * (double)x0[i] * half * (1 - half)) < 1e-6);
        }
        kit_mat *all[] = {&x, &z, &g, &y};
        for (int i = 0; i < 4; i++) {
            CHECK(kit_canaries(all[i]));
            kit_free(all[i]);
        }
        float *host[] = {x0, z0, g0, got, dx, dz};
        for (int i = 0; i < 6; i++) {
            free(host[i]);
        }
        kit_close(ctx);
    }
}
