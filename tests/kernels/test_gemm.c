/* The matrix product: every level against ref, and a row's bits whatever rides along. */
#include "kit.h"
#include "support/test.h"

static float *product(const kit_problem *p, mbk_level level, int threads, int64_t cut) {
    return kit_product(p, (mbk_format){MBK_F32, MBK_MATH_F32}, level, threads, cut);
}

/* Within the rounding of a sum of n_in products of numbers below 1, element by element, against long double. */
static void check_exact(const kit_problem *p, mbk_level level) {
    float *got = product(p, level, 1, 0);
    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t o = 0; o < p->n_out; o++) {
            double sum = 0;
            double size = 1;
            for (int64_t k = 0; k < p->n_in; k++) {
                double term = (double)p->x[r * p->n_in + k] * (double)p->w[o * p->n_in + k];
                sum += term;
                size += fabs(term);
            }
            sum += p->with_bias ? (double)p->bias[o] : 0;
            sum += p->accumulate ? (double)p->y[r * p->n_out + o] : 0;
            double err = fabs(sum - (double)got[r * p->n_out + o]);
            CHECK(err <= 6e-8 * size * (4 + sqrt((double)p->n_in)), "%s %ldx%ldx%ld [%ld, %ld]: off by %g",
                  mbk_level_name(level), (long)p->rows, (long)p->n_in, (long)p->n_out, (long)r, (long)o, err);
        }
    }
    free(got);
}

MBS_TEST(gemm, matches_double_on_random_shapes) {
    static const int64_t fixed[][3] = {{1, 1, 1},    {1, 8, 512}, {1, 300, 7},  {2, 16, 16},   {14, 5, 33},
                                       {15, 64, 48}, {29, 7, 80}, {200, 8, 40}, {13, 768, 16}, {170, 33, 270}};
    EACH_LEVEL(level) {
        for (int i = 0; i < KIT_SIZE(40, 16); i++) {
            int small = i >= 10;
            kit_problem p = kit_problem_new(small ? kit_int(1, 60) : fixed[i][0], small ? kit_int(1, 90) : fixed[i][1],
                                            small ? kit_int(1, 150) : fixed[i][2]);
            check_exact(&p, level);
            kit_problem_free(&p);
        }
    }
}

MBS_TEST(gemm, row_bits_do_not_depend_on_company_or_threads) {
    static const int64_t shapes[][3] = {
        {61, 96, 70}, {500, 40, KIT_SIZE(530, 60)}, {37, 8, 24}, {180, KIT_SIZE(257, 67), 16}};
    EACH_LEVEL(level) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            kit_problem p = kit_problem_new(shapes[i][0], shapes[i][1], shapes[i][2]);
            float *whole = product(&p, level, 1, 0);
            static const int64_t cuts[] = {1, 2, 3, 5, 7, 13, 31, 256};
            for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
                float *cut = product(&p, level, 1, cuts[c]);
                CHECK(kit_same_cut(level, cuts[c], whole, cut, p.rows * p.n_out), "%s, %ld rows a call",
                      mbk_level_name(level), (long)cuts[c]);
                free(cut);
            }
            for (int threads = 2; threads <= 3; threads++) {
                float *shared = product(&p, level, threads, 0);
                CHECK(kit_same(whole, shared, p.rows * p.n_out), "%s, %d threads", mbk_level_name(level), threads);
                free(shared);
            }
            free(whole);
            kit_problem_free(&p);
        }
    }
}

/* One row alone over many outputs is cut by panels among threads. */
MBS_TEST(gemm, one_row_is_shared_among_threads) {
    EACH_LEVEL(level) {
        kit_problem p = kit_problem_new(1, 900, 1700);
        float *alone = product(&p, level, 1, 0);
        float *shared = product(&p, level, 3, 0);
        CHECK(kit_same(alone, shared, p.n_out));
        free(alone);
        free(shared);
        kit_problem_free(&p);
    }
}

MBS_TEST(gemm, zero_rows_do_nothing) {
    EACH_LEVEL(level) {
        kit_problem p = kit_problem_new(0, 5, 5);
        float *none = product(&p, level, 1, 0);
        free(none);
        kit_problem_free(&p);
    }
}

/* A NaN or infinity in x reaches its row and no other; one in W its column and no other. */
MBS_TEST(gemm, nan_stays_in_its_row_and_column) {
    EACH_LEVEL(level) {
        kit_problem p = kit_problem_new(17, 30, 37);
        p.accumulate = 0;
        p.x[4 * 30 + 3] = NAN;
        p.x[9 * 30 + 29] = INFINITY;
        p.w[21 * 30 + 7] = NAN;
        float *y = product(&p, level, 1, 0);
        for (int64_t r = 0; r < 17; r++) {
            for (int64_t o = 0; o < 37; o++) {
                float v = y[r * 37 + o];
                int bad = r == 4 || o == 21;
                CHECK(bad      ? isnan(v)
                      : r == 9 ? isinf(v)
                               : isfinite(v),
                      "[%ld, %ld] is %g", (long)r, (long)o, (double)v);
            }
        }
        free(y);
        kit_problem_free(&p);
    }
}
