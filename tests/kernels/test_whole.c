/* int16 and int8 math: every level beside the contract written out, with the same bits on all of them; what it costs;
 * numbers at the edges. */
#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

typedef struct whole_math {
    const char *name;
    mbk_format format;
    int64_t part;  /* columns that share a scale */
    float largest; /* of the whole numbers */
    double near;   /* what it may lose of a product of 700 inputs, of the largest */
} whole_math;

static const whole_math maths[] = {{"int16", {MBK_I8, MBK_MATH_I16}, 512, 32767.0f, 3e-5},
                                   {"int8", {MBK_I8, MBK_MATH_I8}, 128, 127.0f, 8e-3}};
#define EACH_MATH(M) for (const whole_math *M = maths; M < maths + sizeof maths / sizeof *maths; M++)

/* Bias and an old y, which a product takes where it is told `more`. */
static float *product(const kit_problem *p, const whole_math *m, mbk_level level, int threads, int64_t cut, int more) {
    kit_problem q = *p;
    q.with_bias = q.accumulate = more;
    return kit_product(&q, m->format, level, threads, cut);
}

/* A weight's row as whole numbers and their scale. */
static float whole_row(const float *w, int64_t n, int32_t *q) {
    float max = 0;
    for (int64_t k = 0; k < n; k++) {
        max = fmaxf(max, fabsf(w[k]));
    }
    float scale = max / 127.0f;
    for (int64_t k = 0; k < n; k++) {
        q[k] = max > 0 ? (int32_t)nearbyint((double)w[k] / (double)scale) : 0;
    }
    return scale;
}

/* A part of a row as whole numbers: 64-bit arithmetic with none of the code under test. */
static float input_part(const whole_math *m, const float *x, int64_t n, int32_t *i) {
    float max = 0;
    int fine = 1;
    for (int64_t k = 0; k < n; k++) {
        fine &= isfinite(x[k]) != 0;
        max = fmaxf(max, fabsf(x[k]));
    }
    for (int64_t k = 0; k < n; k++) {
        i[k] = fine && max >= 0x1p-100f ? (int32_t)rintf(x[k] * (m->largest / max)) : 0;
    }
    return !fine ? NAN : max >= 0x1p-100f ? max / m->largest : 0;
}

/* As mbk.h has it, to the bit. */
static float *contract(const kit_problem *p, const whole_math *m, int more) {
    int32_t *q = malloc((size_t)(p->n_out * p->n_in) * sizeof *q);
    int32_t *i = malloc((size_t)p->n_in * sizeof *i);
    float *of_part = malloc((size_t)p->n_in * sizeof *of_part); /* more than there are */
    float *scale = malloc((size_t)p->n_out * sizeof *scale);
    float *y = malloc((size_t)(p->rows * p->n_out) * sizeof *y);
    CHECK(q && i && of_part && scale && y);
    for (int64_t o = 0; o < p->n_out; o++) {
        scale[o] = whole_row(p->w + o * p->n_in, p->n_in, q + o * p->n_in);
    }
    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t k = 0; k < p->n_in; k += m->part) {
            of_part[k / m->part] =
                input_part(m, p->x + r * p->n_in + k, p->n_in - k < m->part ? p->n_in - k : m->part, i + k);
        }
        for (int64_t o = 0; o < p->n_out; o++) {
            float sum = 0;
            for (int64_t k0 = 0; k0 < p->n_in; k0 += m->part) {
                int64_t part = 0;
                for (int64_t k = k0; k < k0 + m->part && k < p->n_in; k++) {
                    part += (int64_t)i[k] * q[o * p->n_in + k];
                }
                sum = fmaf((float)part, of_part[k0 / m->part], sum);
            }
            float v = sum * scale[o];
            v = more ? v + p->bias[o] : v;
            y[r * p->n_out + o] = more ? v + p->y[r * p->n_out + o] : v;
        }
    }
    free(q);
    free(i);
    free(of_part);
    free(scale);
    return y;
}

static void check_all(const kit_problem *p, const char *what) {
    EACH_MATH(m) {
        for (int more = 0; more < 2; more++) {
            float *want = contract(p, m, more);
            EACH_LEVEL(level) {
                float *got = product(p, m, level, 1, 0, more);
                CHECK(kit_same(got, want, p->rows * p->n_out), "%s %s %s %ldx%ldx%ld", m->name, mbk_level_name(level),
                      what, (long)p->rows, (long)p->n_in, (long)p->n_out);
                free(got);
            }
            free(want);
        }
    }
}

MBS_TEST(whole, every_level_has_the_bits_of_the_contract) {
    static const int64_t rows[] = {1, 2, 5, 7, 64, 513};
    static const int64_t ins[] = {1, 3, 17, 118, 128, 129, 257, 512, 513, 1536, 5000};
    static const int64_t outs[] = {1, 16, 118};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (size_t i = 0; i < sizeof ins / sizeof *ins; i++) {
            for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
                if (rows[r] * ins[i] * outs[o] > 4000000) {
                    continue; /* both have been there with others */
                }
                kit_problem p = kit_problem_new(rows[r], ins[i], outs[o]);
                check_all(&p, "random");
                kit_problem_free(&p);
            }
        }
    }
    for (int i = 0; i < 40; i++) {
        kit_problem p = kit_problem_new(kit_int(1, 40), kit_int(1, 1200), kit_int(1, 100));
        check_all(&p, "random");
        kit_problem_free(&p);
    }
}

/* Largest numbers of one sign everywhere: a part is as near to 2^31 as it gets. Rows of zeros, of numbers too small
 * for a scale, with a NaN, with an infinity stand among them and are seen in their own row alone. */
static void numbers_at_the_edges(const whole_math *m) {
    static const int64_t ins[] = {1, 2, 5, 127, 128, 129, 511, 512, 513, 1024, 5000};
    for (size_t n = 0; n < sizeof ins / sizeof *ins; n++) {
        kit_problem p = kit_problem_new(11, ins[n], 35);
        for (int64_t k = 0; k < p.n_in; k++) {
            for (int64_t o = 0; o < p.n_out; o++) {
                p.w[o * p.n_in + k] = o % 3 == 0 ? 1.0f : o % 3 == 1 ? -1.0f : 0.0f;
            }
            p.x[0 * p.n_in + k] = 3.0f;
            p.x[1 * p.n_in + k] = -3.4e38f;
            p.x[2 * p.n_in + k] = 0.0f;
            p.x[3 * p.n_in + k] = -0.0f;
            p.x[4 * p.n_in + k] = k % 2 ? 1e-32f : -1e-39f;
            p.x[5 * p.n_in + k] = k % 2 ? 0x1p-100f : -0x1p-101f;
            p.x[6 * p.n_in + k] = -1e-45f;
        }
        p.x[7 * p.n_in + p.n_in - 1] = NAN;
        p.x[8 * p.n_in] = -INFINITY;
        p.x[9 * p.n_in + p.n_in / 2] = INFINITY;
        EACH_LEVEL(level) {
            float *got = product(&p, m, level, 1, 0, 0);
            for (int64_t o = 0; o < p.n_out; o++) {
                for (int64_t r = 0; r < p.rows; r++) {
                    float v = got[r * p.n_out + o];
                    CHECK(r >= 7 && r <= 9 ? isnan(v) : isfinite(v) || r == 1, "%s row %ld: %g", mbk_level_name(level),
                          (long)r, (double)v);
                    CHECK((r != 2 && r != 3 && r != 6) || v == 0.0f, "%s row %ld: %g", mbk_level_name(level), (long)r,
                          (double)v);
                }
                double want = 3.0 * (double)p.n_in * (o % 3 == 0 ? 1 : o % 3 == 1 ? -1 : 0);
                CHECK(fabs((double)got[o] - want) <= 1e-6 * fabs(want), "%s: %g for %g", mbk_level_name(level),
                      (double)got[o], want);
            }
            free(got);
        }
        check_all(&p, "edges");
        kit_problem_free(&p);
    }
}

static void row_bits_do_not_depend_on_company_or_threads(const whole_math *m) {
    static const int64_t shapes[][3] = {{61, 96, 70}, {400, 1300, 330}, {37, 9, 24}, {9, 600, 900}};
    EACH_LEVEL(level) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            kit_problem p = kit_problem_new(shapes[i][0], shapes[i][1], shapes[i][2]);
            float *whole = product(&p, m, level, 1, 0, 1);
            static const int64_t cuts[] = {1, 2, 3, 4, 5, 7, 13, 31, 256};
            for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
                float *cut = product(&p, m, level, 1 + (int)c % 3, cuts[c], 1);
                CHECK(kit_same(whole, cut, p.rows * p.n_out), "%s, %ld rows a call", mbk_level_name(level),
                      (long)cuts[c]);
                free(cut);
            }
            float *two = product(&p, m, level, 2, 0, 1);
            CHECK(kit_same(whole, two, p.rows * p.n_out), "%s, threads", mbk_level_name(level));
            free(two);
            free(whole);
            kit_problem_free(&p);
        }
    }
}

/* An input is off by at most half of a step of its row, and so much is all that a product of int8 weights loses: of the
 * largest, 1.5e-5 (int8: 4e-3) is what 700 such inputs make on the average. */
static void near_the_product_of_the_numbers_themselves(const whole_math *m) {
    EACH_LEVEL(level) {
        kit_problem p = kit_problem_new(33, 700, 50);
        float *got = product(&p, m, level, 1, 0, 0);
        mbk_ctx *ctx = kit_open(level, 1);
        mbk_weight *w = NULL;
        CHECK_INT(ctx->ops->prepare(ctx, p.w, p.n_out, p.n_in, (mbk_format){MBK_I8, MBK_MATH_F32}, &w), 0);
        kit_mat x = kit_of(ctx, p.rows, p.n_in, 0, p.x);
        kit_mat y = kit_new(ctx, p.rows, p.n_out, 0);
        CHECK_INT(ctx->ops->gemm(ctx, y.m, x.m, w, kit_none, 0), 0);
        float *want = kit_get(&y);
        CHECK(kit_maxrel(got, want, p.rows * p.n_out) < m->near, "%s %s: %g", m->name, mbk_level_name(level),
              kit_maxrel(got, want, p.rows * p.n_out));
        free(got);
        free(want);
        kit_free(&x);
        kit_free(&y);
        ctx->ops->weight_free(ctx, w);
        kit_close(ctx);
        kit_problem_free(&p);
    }
}

/* Tables, and weights packed anew, hold the same numbers as under f32 math. */
static void weights_are_the_same_ones(const whole_math *m) {
    enum { ROWS = 37, COLS = 13 };
    float *w = kit_random(ROWS * COLS, -1, 1);
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        int32_t ids[ROWS];
        for (int i = 0; i < ROWS; i++) {
            ids[i] = ROWS - 1 - i;
        }
        mbk_buf *idb = kit_ids(ctx, ids, ROWS);
        float *held[3];
        for (int way = 0; way < 3; way++) {
            mbk_weight *t = NULL;
            const mbk_format format = way ? m->format : (mbk_format){MBK_I8, MBK_MATH_F32};
            float *other = kit_random(ROWS * COLS, -1, 1);
            CHECK_INT(ctx->ops->prepare(ctx, way == 2 ? other : w, ROWS, COLS, format, &t), 0);
            CHECK_INT(mbk_weight_dtype(t), MBK_I8);
            kit_mat src = kit_of(ctx, ROWS, COLS, 3, w);
            CHECK_INT(way == 2 ? ctx->ops->repack(ctx, t, src.m, 0) : 0, 0);
            kit_mat y = kit_new(ctx, ROWS, COLS, 2);
            CHECK_INT(ctx->ops->embed(ctx, y.m, t, idb, 0), 0);
            held[way] = kit_get(&y);
            kit_free(&y);
            kit_free(&src);
            free(other);
            ctx->ops->weight_free(ctx, t);
        }
        CHECK(kit_same(held[0], held[1], ROWS * COLS) && kit_same(held[0], held[2], ROWS * COLS), "%s",
              mbk_level_name(level));
        for (int way = 0; way < 3; way++) {
            free(held[way]);
        }
        ctx->ops->buf_free(ctx, idb);
        kit_close(ctx);
    }
    free(w);
}

static void other_weights_are_refused(const whole_math *m) {
    float w[8] = {0};
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        for (int d = MBK_F32; d <= MBK_BF16; d++) {
            mbk_weight *out = NULL;
            CHECK_INT(ctx->ops->prepare(ctx, w, 4, 2, (mbk_format){(mbk_dtype)d, m->format.math}, &out),
                      MBS_ERR_UNAVAILABLE);
            CHECK(out == NULL);
        }
        kit_close(ctx);
    }
}

#define OF_EACH(NAME)                                                                                                  \
    MBS_TEST(whole, NAME) {                                                                                            \
        EACH_MATH(m) {                                                                                                 \
            NAME(m);                                                                                                   \
        }                                                                                                              \
    }
OF_EACH(numbers_at_the_edges)
OF_EACH(row_bits_do_not_depend_on_company_or_threads)
OF_EACH(near_the_product_of_the_numbers_themselves)
OF_EACH(weights_are_the_same_ones)
OF_EACH(other_weights_are_refused)
