/*
 * math.h - the elementary functions of a vector level. Include after its vec.h. Every lane is computed alike, so a
 * value's place in a vector does not matter. Coefficients are minimax fits made for this file (Remez, relative error of
 * the exponential 3e-9, of the logarithm 8e-10, below the rounding of float).
 */
#ifndef MBK_CPU_SIMD_MATH_H
#define MBK_CPU_SIMD_MATH_H

/* e^x, at most 2 ulp: x = n ln 2 + r, then 1 + r + r^2 P(r). 0 below about -104, infinite above 88.73, denormal between
 * where it must be. The order of the operands of max and min lets NaN through. */
static inline vf v_exp(vf x) {
    x = v_max(v_set(-105.0f), v_min(v_set(90.0f), x));
    vf n = v_round(v_mul(x, v_set(0x1.715476p+0f)));
    vf r = v_fnma(n, v_set(0x1.62e430p-1f), x);
    r = v_fnma(n, v_set(-0x1.05c610p-29f), r);
    vf p = v_set(0x1.6a255ap-10f);
    p = v_fma(p, r, v_set(0x1.123a10p-7f));
    p = v_fma(p, r, v_set(0x1.5558f0p-5f));
    p = v_fma(p, r, v_set(0x1.555492p-3f));
    p = v_fma(p, r, v_set(0x1.fffffcp-2f));
    p = v_fma(p, v_mul(r, r), r);
    return v_scale(v_add(p, v_set(1.0f)), n);
}

/* 2^r for |r| <= 1/2. */
static inline vf v_exp2_fraction(vf r) {
    vf p = v_set(0x1.414fc0p-13f);
    p = v_fma(p, r, v_set(0x1.5f0428p-10f));
    p = v_fma(p, r, v_set(0x1.3b2e0cp-7f));
    p = v_fma(p, r, v_set(0x1.c6af88p-5f));
    p = v_fma(p, r, v_set(0x1.ebfbdcp-3f));
    p = v_fma(p, r, v_set(0x1.62e430p-1f));
    return v_fma(p, r, v_set(1.0f));
}

#ifdef V_HAS_FRACTION
/* 2^(x y) for x y <= 0 or NaN. */
static inline vf v_exp2_of_product(vf x, vf y) {
    vf t = v_mul(x, y);
    vf r = v_fraction(t);
    return v_scale(v_exp2_fraction(r), v_sub(t, r));
}
#else
/* 2^(x y) for x y <= 0 or NaN, 0 below 2^-125. Adding 1.5 2^23 rounds the product to a whole number and leaves that
 * number in the low bits, from where it goes into the exponent; the fraction is taken from the product before rounding.
 */
static inline vf v_exp2_of_product(vf x, vf y) {
    const vf magic = v_set(12582912.0f);
    vf t = v_fma(x, y, magic);
    vf r = v_fma(x, y, v_sub(magic, t));
    return v_add_exponent(v_exp2_fraction(r), t, v_set(12582912.0f - 125.0f));
}
#endif

/* x / (1 + e^-x) */
static inline vf v_silu(vf x) {
    return v_div(x, v_add(v_set(1.0f), v_exp(v_neg(x))));
}

/*
 * log(1 + e^q), q itself above 20: max(q, 0) + log(1 + e) with e = e^-|q| in [0, 1]. For e above sqrt 2 - 1 that
 * logarithm is ln 2 + log(1 + f) with f = (e - 1) / 2; log(1 + f) = 2 artanh(s) with s = f / (2 + f).
 */
static inline vf v_softplus(vf q) {
    vf e = v_exp(v_neg_abs(q));
    vf cut = v_set(0x1.a8279ap-2f);
    vf f = v_where_gt(e, cut, v_mul(v_sub(e, v_set(1.0f)), v_set(0.5f)), e);
    vf base = v_where_gt(e, cut, v_set(0x1.62e430p-1f), v_set(0.0f));
    vf s = v_div(f, v_add(f, v_set(2.0f)));
    vf t = v_mul(s, s);
    vf p = v_set(0x1.31e668p-2f);
    p = v_fma(p, t, v_set(0x1.995e9cp-2f));
    p = v_fma(p, t, v_set(0x1.55557ap-1f));
    /* 2 s = f - s f, which keeps the digits that the division rounds away. */
    vf log1p = v_add(f, v_fma(v_mul(p, t), s, v_neg(v_mul(s, f))));
    vf sum = v_add(v_max(v_set(0.0f), q), v_add(base, log1p));
    return v_where_gt(q, v_set(20.0f), q, sum);
}

#endif
