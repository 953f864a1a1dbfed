/* Weights held as bf16 and int8, and products of rounded numbers: what is held, every level against the contract
 * written out in double, and a row's bits whatever rides along. */
#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

static const mbk_format formats[] = {{MBK_F32, MBK_MATH_F32},  {MBK_BF16, MBK_MATH_F32},  {MBK_I8, MBK_MATH_F32},
                                     {MBK_F32, MBK_MATH_BF16}, {MBK_BF16, MBK_MATH_BF16}, {MBK_I8, MBK_MATH_BF16}};
enum { FORMATS = sizeof formats / sizeof *formats };

static const char *label(mbk_format f) {
    static const char *const names[][2] = {
        {"f32/f32", "f32/bf16"}, {"bf16/f32", "bf16/bf16"}, {"int8/f32", "int8/bf16"}};
    return names[f.dtype][f.math];
}

/* To bf16 by arithmetic, not by bits: the nearest multiple of the last place, ties to the even one. */
static double to_bf16(double x) {
    int e;
    double m = frexp(x, &e);
    return ldexp(nearbyint(ldexp(m, 8)), e - 8);
}

/* W as the contract holds it. */
static double *held(const kit_problem *p, mbk_format f) {
    double *h = malloc((size_t)(p->n_out * p->n_in) * sizeof *h);
    CHECK(h != NULL);
    for (int64_t o = 0; o < p->n_out; o++) {
        const float *row = p->w + o * p->n_in;
        double max = 0;
        for (int64_t k = 0; k < p->n_in; k++) {
            max = fmax(max, fabs((double)row[k]));
        }
        double scale = (double)((float)max / 127.0f);
        for (int64_t k = 0; k < p->n_in; k++) {
            double v = (double)row[k];
            h[o * p->n_in + k] = f.dtype == MBK_I8 ? (scale > 0 ? nearbyint(v / scale) * scale : 0)
                                 : f.dtype == MBK_BF16 || f.math == MBK_MATH_BF16 ? to_bf16(v)
                                                                                  : v;
        }
    }
    return h;
}

static void check_contract(const kit_problem *p, mbk_format f, mbk_level level) {
    float *got = kit_product(p, f, level, 1, 0);
    double *w = held(p, f);
    double *x = malloc((size_t)(p->rows * p->n_in) * sizeof *x);
    CHECK(x != NULL);
    for (int64_t i = 0; i < p->rows * p->n_in; i++) {
        x[i] = f.math == MBK_MATH_BF16 ? to_bf16((double)p->x[i]) : (double)p->x[i];
    }
    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t o = 0; o < p->n_out; o++) {
            double sum = 0;
            double size = 1;
            for (int64_t k = 0; k < p->n_in; k++) {
                double term = x[r * p->n_in + k] * w[o * p->n_in + k];
                sum += term;
                size += fabs(term);
            }
            sum += p->with_bias ? (double)p->bias[o] : 0;
            sum += p->accumulate ? (double)p->y[r * p->n_out + o] : 0;
            double err = fabs(sum - (double)got[r * p->n_out + o]);
            CHECK(err <= 6e-8 * size * (4 + sqrt((double)p->n_in)), "%s %s %ldx%ldx%ld [%ld, %ld]: off by %g",
                  mbk_level_name(level), label(f), (long)p->rows, (long)p->n_in, (long)p->n_out, (long)r, (long)o, err);
        }
    }
    free(x);
    free(w);
    free(got);
}

MBS_TEST(formats, products_are_those_of_the_contract) {
    static const int64_t fixed[][3] = {{1, 1, 1},     {1, 2, 17},    {3, 118, 16}, {5, 118, 236}, {1, 513, 33},
                                       {15, 257, 48}, {29, 7, 80},   {200, 8, 40}, {13, 768, 16}, {1, 16, 1},
                                       {170, 33, 70}, {8, 300, 130}, {4, 259, 300}};
    EACH_LEVEL(level) {
        for (int f = 0; f < FORMATS; f++) {
            for (size_t i = 0; i < sizeof fixed / sizeof *fixed + KIT_SIZE(12, 3); i++) {
                int small = i >= sizeof fixed / sizeof *fixed;
                kit_problem p =
                    kit_problem_new(small ? kit_int(1, 40) : fixed[i][0], small ? kit_int(1, 90) : fixed[i][1],
                                    small ? kit_int(1, 100) : fixed[i][2]);
                check_contract(&p, formats[f], level);
                kit_problem_free(&p);
            }
        }
    }
}

MBS_TEST(formats, row_bits_do_not_depend_on_company_or_threads) {
    static const int64_t shapes[][3] = {{KIT_SIZE(61, 30), 96, 70},
                                        {KIT_SIZE(400, 280), KIT_SIZE(300, 50), KIT_SIZE(330, 40)},
                                        {37, 9, 24},
                                        {9, KIT_SIZE(600, 100), KIT_SIZE(900, 90)}};
    EACH_LEVEL(level) {
        for (int f = 1; f < FORMATS; f++) {
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
                kit_problem p = kit_problem_new(shapes[i][0], shapes[i][1], shapes[i][2]);
                float *whole = kit_product(&p, formats[f], level, 1, 0);
                static const int64_t cuts[] = {KIT_SIZE(1, 9), 2, 3, 4, 5, 7, 13, 31, 256};
                for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c += KIT_SIZE(1, 4)) {
                    float *cut = kit_product(&p, formats[f], level, 1, cuts[c]);
                    CHECK(kit_same_cut(level, cuts[c], whole, cut, p.rows * p.n_out), "%s %s, %ld rows a call",
                          mbk_level_name(level), label(formats[f]), (long)cuts[c]);
                    free(cut);
                }
                static const int64_t shared[] = {0, 1, 3};
                for (int c = 0; c < 3; c++) {
                    float *two = kit_product(&p, formats[f], level, 2 + c % 2, shared[c]);
                    CHECK(kit_same_cut(level, shared[c], whole, two, p.rows * p.n_out), "%s %s, threads",
                          mbk_level_name(level), label(formats[f]));
                    free(two);
                }
                free(whole);
                kit_problem_free(&p);
            }
        }
    }
}

/* A weight held as bf16 has the bits of the same numbers held as f32. */
MBS_TEST(formats, bf16_weights_give_the_bits_of_the_widened_ones) {
    EACH_LEVEL(level) {
        for (int rows = 1; rows < 60; rows = rows * 2 + 1) {
            kit_problem p = kit_problem_new(rows, 301, 90);
            float *narrow = kit_product(&p, (mbk_format){MBK_BF16, MBK_MATH_F32}, level, 1, 0);
            for (int64_t i = 0; i < p.n_in * p.n_out; i++) {
                p.w[i] = bf16_widen(bf16_round(p.w[i]));
            }
            float *wide = kit_product(&p, (mbk_format){MBK_F32, MBK_MATH_F32}, level, 1, 0);
            CHECK(kit_same(narrow, wide, p.rows * p.n_out), "%s, %d rows", mbk_level_name(level), rows);
            free(narrow);
            free(wide);
            kit_problem_free(&p);
        }
    }
}

/* Rows of a table as gathered from a weight; the levels agree to the bit. */
static void gather(mbk_ctx *ctx, const float *w, int64_t rows, int64_t cols, mbk_format f, float *out) {
    mbk_weight *t = NULL;
    CHECK_INT(ctx->ops->prepare(ctx, w, rows, cols, f, &t), 0);
    CHECK_INT(mbk_weight_dtype(t), f.math == MBK_MATH_BF16 && f.dtype == MBK_F32 ? MBK_BF16 : f.dtype);
    int32_t *ids = malloc((size_t)rows * sizeof *ids);
    for (int64_t i = 0; i < rows; i++) {
        ids[i] = (int32_t)(rows - 1 - i);
    }
    mbk_buf *idb = kit_ids(ctx, ids, rows);
    kit_mat y = kit_new(ctx, rows, cols, 2);
    CHECK_INT(ctx->ops->embed(ctx, y.m, t, idb, 0), 0);
    CHECK(kit_canaries(&y));
    float *got = kit_get(&y);
    for (int64_t i = 0; i < rows; i++) {
        memcpy(out + i * cols, got + (rows - 1 - i) * cols, (size_t)cols * sizeof *out);
    }
    free(got);
    free(ids);
    kit_free(&y);
    ctx->ops->buf_free(ctx, idb);
    ctx->ops->weight_free(ctx, t);
}

MBS_TEST(formats, tables_are_gathered_as_they_are_held) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        for (int f = 0; f < FORMATS; f++) {
            kit_problem p = kit_problem_new(1, 13, 37);
            double *want = held(&p, formats[f]);
            float got[37 * 13];
            gather(ctx, p.w, 37, 13, formats[f], got);
            for (int i = 0; i < 37 * 13; i++) {
                CHECK(fabs((double)got[i] - want[i]) <= 1e-7, "%s [%d]: %g for %g", label(formats[f]), i,
                      (double)got[i], want[i]);
            }
            free(want);
            kit_problem_free(&p);
        }
        kit_close(ctx);
    }
}

/* Ties go to the even neighbour, numbers beyond the largest are refused, denormals and signed zeros stay. */
MBS_TEST(formats, bf16_rounds_to_nearest_even) {
    static const struct {
        uint32_t from, to;
    } cases[] = {{0x3f808000, 0x3f800000}, {0x3f818000, 0x3f820000}, {0x3f808001, 0x3f810000},
                 {0x3f807fff, 0x3f800000}, {0xbf818000, 0xbf820000}, {0x80000000, 0x80000000},
                 {0x00018000, 0x00020000}, {0x7f7f7fff, 0x7f7f0000}, {0x3fffffff, 0x40000000}};
    enum { N = sizeof cases / sizeof *cases };
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float w[N];
        float got[N];
        for (int i = 0; i < N; i++) {
            memcpy(&w[i], &cases[i].from, sizeof w[i]);
        }
        gather(ctx, w, 3, N / 3, (mbk_format){MBK_BF16, MBK_MATH_F32}, got);
        for (int i = 0; i < N; i++) {
            CHECK(memcmp(&got[i], &cases[i].to, sizeof got[i]) == 0, "%08x", (unsigned)cases[i].from);
        }
        kit_close(ctx);
    }
}

#ifndef KIT_CUDA /* which has no leaves */
/* x is rounded as the weights are; NaN and infinity get through. */
MBS_TEST(formats, inputs_round_to_nearest_even) {
    EACH_LEVEL(level) {
        mbk_leaf leaf;
        mbk_leaf_fill(level, &leaf);
        float x[1000];
        float y[1000];
        for (int i = 0; i < 1000; i++) {
            uint32_t bits = (uint32_t)(kit_next() >> 32);
            bits = i % 3 == 0 ? (bits & 0xffff0000) | 0x8000 : bits;
            bits = i == 7 ? 0x7fffffff : i == 8 ? 0xff800000 : bits;
            memcpy(&x[i], &bits, sizeof bits);
        }
        leaf.round(y, x, 1000);
        for (int i = 0; i < 1000; i++) {
            float want = bf16_widen(bf16_round(x[i]));
            CHECK(isnan(x[i]) ? isnan(y[i]) : memcmp(&want, &y[i], sizeof want) == 0, "%s %a: %a for %a",
                  mbk_level_name(level), (double)x[i], (double)y[i], (double)want);
        }
    }
}

#endif

MBS_TEST(formats, int8_holds_rows_of_zeros_and_of_denormals) {
    float w[6][5] = {{0, 0, 0, -0.0f, 0},
                     {1e-44f, -1e-44f, 0, 5e-45f, 1e-45f},
                     {3e-38f, 1e-38f, -3e-38f, 0, 1e-40f},
                     {3.4e38f, -3.4e38f, 1, 0, 1e38f},
                     {1, 0.5f, 0.25f, -1, 0},
                     {0, 0, 0, 0, 7}};
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float got[6][5];
        gather(ctx, &w[0][0], 6, 5, (mbk_format){MBK_I8, MBK_MATH_F32}, &got[0][0]);
        for (int r = 0; r < 6; r++) {
            float max = 0;
            for (int k = 0; k < 5; k++) {
                max = fmaxf(max, fabsf(w[r][k]));
            }
            for (int k = 0; k < 5; k++) {
                /* Half a step, or what the coarse grid of the denormals leaves. */
                double limit = (double)max / 253 + 127 * 1.5e-45;
                CHECK(fabs((double)got[r][k] - (double)w[r][k]) <= limit, "row %d: %g for %g", r, (double)got[r][k],
                      (double)w[r][k]);
            }
        }
        kit_close(ctx);
    }
}

MBS_TEST(formats, what_cannot_be_held_is_refused) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    mbk_ctx *ctx = kit_open(kit_level_best(), 1);
    for (int f = 1; f < FORMATS; f++) {
        for (int i = 0; i < 3; i++) {
            float w[40] = {0};
            w[33] = bad[i];
            mbk_weight *out = NULL;
            CHECK_INT(ctx->ops->prepare(ctx, w, 20, 2, formats[f], &out), MBS_ERR_DATA);
            CHECK(out == NULL);
        }
    }
    float large[2] = {3.4028234e38f, 0}; /* finite, but the nearest bf16 is not */
    mbk_weight *out = NULL;
    CHECK_INT(ctx->ops->prepare(ctx, large, 1, 2, (mbk_format){MBK_BF16, MBK_MATH_F32}, &out), MBS_ERR_DATA);
    CHECK_INT(ctx->ops->prepare(ctx, large, 1, 2, (mbk_format){MBK_I8, MBK_MATH_F32}, &out), 0);
    ctx->ops->weight_free(ctx, out);
    kit_close(ctx);
}

MBS_TEST(formats, narrow_weights_are_small) {
    mbk_ctx *ctx = kit_open(kit_level_best(), 1);
    float *w = kit_random(64 * 100, -1, 1);
    static const size_t want[] = {25600, 12800, 6400 + 256};
    for (int d = 0; d < 3; d++) {
        mbk_weight *out = NULL;
        CHECK_INT(ctx->ops->prepare(ctx, w, 64, 100, (mbk_format){(mbk_dtype)d, MBK_MATH_F32}, &out), 0);
        CHECK_INT(mbk_weight_bytes(out), want[d]);
        ctx->ops->weight_free(ctx, out);
    }
    free(w);
    kit_close(ctx);
}

/* A row wider than the scratch that a context begins with needs reserve, and then fits. */
MBS_TEST(formats, wide_rows_are_reserved) {
    enum { N = 600000 };
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float *x = kit_random(N, -1, 1);
        float *ones = kit_random(N, 1, 1);
        kit_mat xm = kit_of(ctx, 1, N, 0, x);
        kit_mat y = kit_new(ctx, 1, 1, 0);
        mbk_weight *w = NULL;
        CHECK_INT(ctx->ops->prepare(ctx, ones, 1, N, (mbk_format){MBK_BF16, MBK_MATH_BF16}, &w), 0);
        CHECK_INT(ctx->ops->reserve(ctx, 1, N), 0);
        CHECK_INT(ctx->ops->gemm(ctx, y.m, xm.m, w, kit_none, 0), 0);
        double want = 0;
        for (int i = 0; i < N; i++) {
            want += to_bf16((double)x[i]);
        }
        float *got = kit_get(&y);
        CHECK(fabs((double)*got - want) < 0.1, "%s: %g for %g", mbk_level_name(level), (double)*got, want);
        free(got);
        free(x);
        free(ones);
        kit_free(&xm);
        kit_free(&y);
        ctx->ops->weight_free(ctx, w);
        kit_close(ctx);
    }
}
