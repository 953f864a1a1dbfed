/*
 * math.h - the elementary functions of the reference level, evaluated in double and rounded once. No libm: the same
 * bits on every machine and with every C library.
 */
#ifndef MBK_REF_MATH_H
#define MBK_REF_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline double bits_to_double(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x: x = n ln 2 + r with |r| <= ln 2 / 2, Taylor series of e^r to r^9 (error below 1e-11). Adding and taking away
 * 1.5 2^52 rounds to a whole number. */
static inline double exp_double(double x) {
    if (!(x < 709.0)) {
        return x != x ? x : (double)INFINITY;
    }
    if (x < -708.0) {
        return 0.0;
    }
    double n = (x * 1.4426950408889634 + 0x1.8p52) - 0x1.8p52;
    double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double q = r * r;
    double sum = 1.0 / 40320 + r * (1.0 / 362880);
    sum = (1.0 / 720 + r * (1.0 / 5040)) + q * sum;
    sum = (1.0 / 24 + r * (1.0 / 120)) + q * sum;
    sum = (0.5 + r * (1.0 / 6)) + q * sum;
    sum = (1.0 + r) + q * sum;
    return sum * bits_to_double((uint64_t)((int64_t)n + 1023) << 52);
}

/* Natural logarithm of a positive, finite, normal number: x = 2^k m with m in [sqrt 1/2, sqrt 2), then 2 artanh((m - 1)
 * / (m + 1)) by its series (error below 1e-14). NaN and +inf come back as they are. */
static inline double log_double(double x) {
    if (!(x < (double)INFINITY)) {
        return x;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    /* 0x3fe6a09e667f3bcd is sqrt 1/2: adding its distance to 1 carries into the exponent where m would exceed sqrt 2.
     */
    uint64_t shifted = bits + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    int64_t k = (int64_t)(shifted >> 52) - 1023;
    double m = bits_to_double(bits - ((uint64_t)k << 52));
    double s = (m - 1.0) / (m + 1.0);
    double q = s * s;
    double sum = 0.0;
    for (int i = 19; i >= 1; i -= 2) {
        sum = sum * q + 1.0 / i;
    }
    return (double)k * 0.6931471805599453 + 2.0 * s * sum;
}

/* log(1 + e) for e >= 0, with the part of e that 1 + e loses. */
static inline double log1p_double(double e) {
    double u = 1.0 + e;
    if (!(u < (double)INFINITY)) {
        return u;
    }
    return log_double(u) + (e - (u - 1.0)) / u;
}

static inline float ref_exp(float x) {
    return (float)exp_double((double)x);
}
static inline float ref_softplus(float q) {
    return q > 20.0f ? q : (float)log1p_double(exp_double((double)q));
}
static inline float ref_silu(float x) {
    return (float)((double)x / (1.0 + exp_double(-(double)x)));
}

#endif
