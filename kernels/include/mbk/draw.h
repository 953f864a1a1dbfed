/*
 * draw.h - the arithmetic of drawing a token, the same bits on every machine and in whatever order candidates are
 * added: a candidate weighs a whole number, and each step to it is one operation of IEEE 754 or a fused one.
 */
#ifndef MBK_DRAW_H
#define MBK_DRAW_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define MBK_DRAW_FN static __host__ __device__ __forceinline__
#else
#define MBK_DRAW_FN static inline
#endif

/* e^x 2^shift for x <= 0, to 1e-15; NaN of NaN. */
MBK_DRAW_FN double mbk_draw_exp(double x, int shift) {
    if (x < -700.0) {
        return 0.0;
    }
    const double k = rint(x * 1.4426950408889634);
    double r = fma(k, -6.93147180369123816490e-01, x);
    r = fma(k, -1.90821492927058770002e-10, r);
    double p = 1.0 / 6227020800.0;
    p = fma(p, r, 1.0 / 479001600.0);
    p = fma(p, r, 1.0 / 39916800.0);
    p = fma(p, r, 1.0 / 3628800.0);
    p = fma(p, r, 1.0 / 362880.0);
    p = fma(p, r, 1.0 / 40320.0);
    p = fma(p, r, 1.0 / 5040.0);
    p = fma(p, r, 1.0 / 720.0);
    p = fma(p, r, 1.0 / 120.0);
    p = fma(p, r, 1.0 / 24.0);
    p = fma(p, r, 1.0 / 6.0);
    p = fma(p, r, 0.5);
    p = fma(p, r, 1.0);
    p = fma(p, r, 1.0);
    return p == p ? ldexp(p, (int)k + shift) : p;
}

/* Of n candidates together below 2^62. */
MBK_DRAW_FN int mbk_draw_shift(int64_t n) {
    int shift = 52;
    while (shift > 0 && n >> (62 - shift) > 0) {
        shift--;
    }
    return shift;
}

/* What a candidate weighs whose logit is x, beside the largest; cold is 1 / temperature. */
MBK_DRAW_FN uint64_t mbk_draw_weight(double x, double top, double cold, int shift) {
    return x == top ? (uint64_t)1 << shift : (uint64_t)rint(mbk_draw_exp((x - top) * cold, shift));
}

/* How much of `sum` the nucleus has at least: the first candidates that reach it. */
MBK_DRAW_FN uint64_t mbk_draw_nucleus(double top_p, uint64_t sum) {
    const double part = ceil(top_p * (double)sum);
    return top_p >= 1.0 || part >= (double)sum ? sum : part >= 1.0 ? (uint64_t)part : 1;
}

/* The place of u in [0, mass): who draws is the first that ends above it. */
MBK_DRAW_FN uint64_t mbk_draw_place(double u, uint64_t mass) {
    const double place = floor(u * (double)mass);
    return place < (double)mass && (uint64_t)place < mass ? (uint64_t)place : mass - 1;
}

#endif
