/* Gradients of weights under both maths: every level against the contract in double, and the same bits however the work
 * is cut. */
#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

typedef struct problem {
    int64_t rows, n_in, n_out;
    float *x, *dy, *dw;
} problem;

/* Every third number is a tie between two of bf16. */
static float *with_ties(int64_t n) {
    float *x = kit_random(n, -1, 1);
    for (int64_t i = 0; i < n; i += 3) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits = (bits & 0xffff0000u) | 0x8000u;
        memcpy(&x[i], &bits, sizeof bits);
    }
    return x;
}

static problem problem_new(int64_t rows, int64_t n_in, int64_t n_out) {
    return (problem){
        rows, n_in, n_out, with_ties(rows * n_in), with_ties(rows * n_out), kit_random(n_out * n_in, -1, 1)};
}

static void problem_free(problem *p) {
    free(p->x);
    free(p->dy);
    free(p->dw);
}

/* In one call, or `outs` rows and `ins` columns of dw a call. */
static float *gradient(const problem *p, mbk_math math, mbk_level level, int threads, int64_t outs, int64_t ins) {
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat x = kit_of(ctx, p->rows, p->n_in, kit_int(0, 9), p->x);
    kit_mat dy = kit_of(ctx, p->rows, p->n_out, kit_int(0, 9), p->dy);
    kit_mat dw = kit_of(ctx, p->n_out, p->n_in, kit_int(0, 9), p->dw);
    for (int64_t o = 0; o < p->n_out; o += outs) {
        for (int64_t k = 0; k < p->n_in; k += ins) {
            int64_t o1 = o + outs < p->n_out ? o + outs : p->n_out;
            int64_t k1 = k + ins < p->n_in ? k + ins : p->n_in;
            mbk_mat part = kit_rows(&dw, o, o1);
            part.off += k;
            part.cols = k1 - k;
            CHECK_INT(ctx->ops->weight_grad(ctx, part, kit_cols(&dy, o, o1), kit_cols(&x, k, k1), math), 0);
        }
    }
    CHECK(kit_canaries(&dw), "wrote outside dw");
    float *dense = kit_get(&dw);
    kit_free(&x);
    kit_free(&dy);
    kit_free(&dw);
    kit_close(ctx);
    return dense;
}

static float *whole(const problem *p, mbk_math math, mbk_level level, int threads) {
    return gradient(p, math, level, threads, p->n_out, p->n_in);
}

static double held(float x, mbk_math math) {
    return (double)(math == MBK_MATH_BF16 ? bf16_widen(bf16_round(x)) : x);
}

static void check_contract(const problem *p, mbk_math math, mbk_level level) {
    float *got = whole(p, math, level, 1);
    for (int64_t o = 0; o < p->n_out; o++) {
        for (int64_t k = 0; k < p->n_in; k++) {
            double sum = (double)p->dw[o * p->n_in + k];
            double size = 1;
            for (int64_t r = 0; r < p->rows; r++) {
                double term = held(p->dy[r * p->n_out + o], math) * held(p->x[r * p->n_in + k], math);
                sum += term;
                size += fabs(term);
            }
            double err = fabs(sum - (double)got[o * p->n_in + k]);
            CHECK(err <= 6e-8 * size * (4 + sqrt((double)p->rows)), "%s %s %ldx%ldx%ld [%ld, %ld]: off by %g",
                  mbk_level_name(level), mbk_math_name(math), (long)p->rows, (long)p->n_in, (long)p->n_out, (long)o,
                  (long)k, err);
        }
    }
    free(got);
}

/* The last ones go through the scratch in parts: of rows, of rows of dw, of columns. */
MBS_TEST(weight_grad, sums_are_those_of_the_contract) {
    static const int64_t fixed[][3] = {{1, 1, 1},       {2, 16, 12},    {3, 17, 13},  {127, 33, 97},
                                       {128, 32, 96},   {129, 8, 25},   {255, 40, 7}, {256, 65, 1},
                                       {1300, 3, 2000}, {131, 2, 9001}, {67, 8500, 3}};
    EACH_LEVEL(level) {
        for (int math = MBK_MATH_F32; math <= MBK_MATH_BF16; math++) {
            for (size_t i = 0; i < sizeof fixed / sizeof *fixed + 12; i++) {
                int random = i >= sizeof fixed / sizeof *fixed;
                problem p = problem_new(random ? kit_int(1, 300) : fixed[i][0], random ? kit_int(1, 90) : fixed[i][1],
                                        random ? kit_int(1, 90) : fixed[i][2]);
                check_contract(&p, (mbk_math)math, level);
                problem_free(&p);
            }
        }
    }
}

MBS_TEST(weight_grad, bits_do_not_depend_on_threads_or_company) {
    static const int64_t shapes[][3] = {
        {301, 77, 131}, {640, 40, 256}, {150, 33, KIT_SIZE(8600, 860)}, {1400, KIT_SIZE(1600, 160), 5}};
    EACH_LEVEL(level) {
        for (int math = MBK_MATH_F32; math <= MBK_MATH_BF16; math++) {
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
                problem p = problem_new(shapes[i][0], shapes[i][1], shapes[i][2]);
                const int64_t n = p.n_out * p.n_in;
                float *one = whole(&p, (mbk_math)math, level, 1);
                for (int threads = 2; threads <= 3; threads++) {
                    float *many = whole(&p, (mbk_math)math, level, threads);
                    CHECK(kit_same(one, many, n), "%s %s, %d threads", mbk_level_name(level),
                          mbk_math_name((mbk_math)math), threads);
                    free(many);
                }
                float *parts = gradient(&p, (mbk_math)math, level, 1, p.n_out / 3 + 1, p.n_in / 2 + 1);
                CHECK(kit_same_cut(level, 1, one, parts, n), "%s %s, in parts", mbk_level_name(level),
                      mbk_math_name((mbk_math)math));
                free(parts);
                free(one);
                problem_free(&p);
            }
        }
    }
}
