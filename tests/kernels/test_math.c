/* The elementary functions of every level against long double: exp over its whole range, softplus, silu. */
#include "cpu/cpu.h"
#include "kit.h"
#include "support/test.h"

/* Distance in units of the last place of the float nearest to `want`; denormal units below the normal range. */
static double ulps(float got, long double want) {
    if (isnan(want) || isinf((float)want)) {
        return (isnan(want) && isnan(got)) || (float)want == got ? 0 : 1e9;
    }
    if (!isfinite(got)) {
        return 1e9;
    }
    float near = fabsf((float)want);
    float unit = near < 0x1p-126f ? 0x1p-149f : nextafterf(near, INFINITY) - near;
    return (double)(fabsl((long double)got - want) / (long double)unit);
}

typedef void (*map_fn)(float *y, const float *x, int64_t n);

/* The largest error over floats from lo to hi, in steps of bits. */
static double sweep(map_fn fn, long double (*want)(long double x), float lo, float hi, int steps) {
    enum { BATCH = 4096 };
    static float x[BATCH];
    static float y[BATCH];
    double worst = 0;
    for (int done = 0; done < steps;) {
        int n = steps - done < BATCH ? steps - done : BATCH;
        for (int i = 0; i < n; i++) {
            x[i] = lo + (hi - lo) * ((float)(done + i) / (float)(steps - 1));
        }
        fn(y, x, n);
        for (int i = 0; i < n; i++) {
            double u = ulps(y[i], want((long double)x[i]));
            worst = u > worst ? u : worst;
        }
        done += n;
    }
    return worst;
}

static long double true_exp(long double x) {
    return expl(x);
}
static long double true_silu(long double x) {
    return x / (1.0L + expl(-x));
}
static long double true_softplus(long double q) {
    return q > 20.0L ? q : log1pl(expl(q));
}

MBS_TEST(math, exp_is_within_two_ulp_everywhere) {
    EACH_LEVEL(level) {
        mbk_leaf leaf;
        mbk_leaf_fill(level, &leaf);
        double wide = sweep(leaf.exp, true_exp, -110.0f, 95.0f, 1000000);
        double near = sweep(leaf.exp, true_exp, -1.0f, 1.0f, 500000);
        double tiny = sweep(leaf.exp, true_exp, -1e-4f, 1e-4f, 100000);
        double low = sweep(leaf.exp, true_exp, -104.5f, -87.0f, 100000);
        fprintf(stderr, "  exp %-7s wide %.3f near %.3f tiny %.3f denormal %.3f ulp\n", mbk_level_name(level), wide,
                near, tiny, low);
        CHECK(wide <= 2 && near <= 2 && tiny <= 2 && low <= 2);
    }
}

MBS_TEST(math, exp_of_special_values) {
    const float x[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 89.0f, 1e30f, -1e30f, -104.1f, -200.0f, 0x1p-149f};
    const float want[] = {1, 1, INFINITY, 0, NAN, INFINITY, INFINITY, 0, 0, 0, 1};
    EACH_LEVEL(level) {
        mbk_leaf leaf;
        mbk_leaf_fill(level, &leaf);
        float y[11];
        leaf.exp(y, x, 11);
        for (int i = 0; i < 11; i++) {
            CHECK(y[i] == want[i] || (isnan(y[i]) && isnan(want[i])), "%s: exp(%g) is %g", mbk_level_name(level),
                  (double)x[i], (double)y[i]);
        }
    }
}

MBS_TEST(math, softplus_and_silu) {
    const float special[] = {INFINITY, -INFINITY, NAN, 20.0f, 20.000002f, 1e30f, -1e30f};
    EACH_LEVEL(level) {
        mbk_leaf leaf;
        mbk_leaf_fill(level, &leaf);
        double sp = sweep(leaf.softplus, true_softplus, -86.0f, 30.0f, 600000);
        double sp_near = sweep(leaf.softplus, true_softplus, -2.0f, 2.0f, 300000);
        double si = sweep(leaf.silu, true_silu, -85.0f, 90.0f, 600000);
        double si_near = sweep(leaf.silu, true_silu, -2.0f, 2.0f, 300000);
        fprintf(stderr, "  softplus %-7s %.3f near %.3f   silu %.3f near %.3f ulp\n", mbk_level_name(level), sp,
                sp_near, si, si_near);
        CHECK(sp <= 4 && sp_near <= 4 && si <= 4 && si_near <= 4);
        float y[7];
        leaf.softplus(y, special, 7);
        CHECK(isinf(y[0]) && y[1] == 0 && isnan(y[2]) && y[3] == 20.0f && y[4] == 20.000002f && y[5] == 1e30f &&
                  y[6] == 0,
              "%s: %g %g %g %g %g %g %g", mbk_level_name(level), (double)y[0], (double)y[1], (double)y[2], (double)y[3],
              (double)y[4], (double)y[5], (double)y[6]);
        leaf.silu(y, special, 7);
        CHECK(isinf(y[0]) && isnan(y[2]) && fabsf(y[6]) < 1e-30f && y[5] == 1e30f);
    }
}

/* An element's result does not depend on its place in the vector or on how many follow. */
MBS_TEST(math, place_in_the_vector_does_not_matter) {
    EACH_LEVEL(level) {
        mbk_leaf leaf;
        mbk_leaf_fill(level, &leaf);
        map_fn fns[] = {leaf.exp, leaf.softplus, leaf.silu};
        for (int f = 0; f < 3; f++) {
            float x[70];
            float whole[70];
            for (int i = 0; i < 70; i++) {
                x[i] = kit_float(-30, 30);
            }
            fns[f](whole, x, 70);
            for (int from = 0; from < 70; from++) {
                for (int n = 1; n <= 70 - from && n <= 20; n++) {
                    float part[72];
                    part[n] = 123.0f;
                    fns[f](part, x + from, n);
                    CHECK(kit_same(part, whole + from, n), "%s function %d", mbk_level_name(level), f);
                    CHECK(part[n] == 123.0f, "wrote past the end");
                }
            }
        }
    }
}

MBS_TEST(kit, every_seed_is_another) {
    enum { SEEDS = 64 };
    uint64_t first[SEEDS];
    const uint64_t next = kit_next();
    for (uint64_t i = 0; i < SEEDS; i++) {
        kit_seed(i);
        first[i] = kit_next();
        for (uint64_t k = 0; k < i; k++) {
            CHECK(first[k] != first[i], "seeds %d and %d", (int)k, (int)i);
        }
    }
    kit_seed(next);
}
