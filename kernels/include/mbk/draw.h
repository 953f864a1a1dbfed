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

/* A double and its bits. */
typedef union mbk_draw_bits {
    double d;
    uint64_t u;
} mbk_draw_bits;

/* e^x 2^shift for x <= 0 and shift in [0, 52], to 1e-15; NaN of NaN. Without branches or calls, so that compilers make
 * vectors of it. */
MBK_DRAW_FN double mbk_draw_exp(double x, int shift) {
    const double whole = 6755399441055744.0; /* adding 1.5 2^52 rounds, and leaves the whole number in the low bits */
    mbk_draw_bits t;
    mbk_draw_bits e;
    t.d = fma(x, 1.4426950408889634, whole);
    const double k = t.d - whole;
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
    e.d = p;
    e.u += (t.u + (uint64_t)shift) << 52;
    return x < -700.0 ? 0.0 : x == x ? e.d : x;
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
    mbk_draw_bits w;
    w.d = mbk_draw_exp((x - top) * cold, shift) + 4503599627370496.0; /* to the nearest whole number above 2^52 */
    return x == top ? (uint64_t)1 << shift : w.u - 0x4330000000000000u;
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
