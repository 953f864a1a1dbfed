/*
 * math.h - the elementary functions of a vector level. Include after its vec.h. Every lane is computed alike, so a
 * value's place in a vector does not matter. Coefficients are minimax fits made for this file (Remez, relative error of
 * the exponential 3e-9, of the logarithm 8e-10, below the rounding of float).
 */
#ifndef MBK_CPU_SIMD_MATH_H
#define MBK_CPU_SIMD_MATH_H

/* Functions of a few vectors go step by step side by side, so that each waits less for its own chain; `count` is a
 * constant. The bits are those of one alone. */
#define MANY static inline __attribute__((always_inline)) void
#define EACH                                                                                                           \
    UNROLL                                                                                                             \
    for (int i = 0; i < count; i++)
enum { V_MOST = 8 };

/* e^x, at most 2 ulp: x = n ln 2 + r, then 1 + r + r^2 P(r). 0 below about -104, infinite above 88.73, denormal between
 * where it must be. The order of the operands of max and min lets NaN through. */
MANY v_exps(const vf *x, vf *out, const int count) {
    static const float term[] = {0x1.123a10p-7f, 0x1.5558f0p-5f, 0x1.555492p-3f, 0x1.fffffcp-2f};
    vf n[V_MOST];
    vf r[V_MOST];
    vf p[V_MOST];
    EACH {
        r[i] = v_max(v_set(-105.0f), v_min(v_set(90.0f), x[i]));
    }
    EACH {
        n[i] = v_round(v_mul(r[i], v_set(0x1.715476p+0f)));
    }
    EACH {
        r[i] = v_fnma(n[i], v_set(0x1.62e430p-1f), r[i]);
    }
    EACH {
        r[i] = v_fnma(n[i], v_set(-0x1.05c610p-29f), r[i]);
        p[i] = v_set(0x1.6a255ap-10f);
    }
    UNROLL
    for (int k = 0; k < (int)(sizeof term / sizeof *term); k++) {
        EACH {
            p[i] = v_fma(p[i], r[i], v_set(term[k]));
        }
    }
    EACH {
        p[i] = v_fma(p[i], v_mul(r[i], r[i]), r[i]);
    }
    EACH {
        out[i] = v_scale(v_add(p[i], v_set(1.0f)), n[i]);
    }
}
static inline vf v_exp(vf x) {
    vf y;
    v_exps(&x, &y, 1);
    return y;
}

/* 2^r for |r| <= 1/2. */
MANY v_exp2_fractions(const vf *r, vf *out, const int count) {
    static const float term[] = {0x1.5f0428p-10f, 0x1.3b2e0cp-7f, 0x1.c6af88p-5f, 0x1.ebfbdcp-3f, 0x1.62e430p-1f, 1.0f};
    EACH {
        out[i] = v_set(0x1.414fc0p-13f);
    }
    UNROLL
    for (int k = 0; k < (int)(sizeof term / sizeof *term); k++) {
        EACH {
            out[i] = v_fma(out[i], r[i], v_set(term[k]));
        }
    }
}

/* 2^(x y) for x y <= 0 or NaN; x stands still or goes along with y. */
#ifdef V_HAS_FRACTION
MANY v_exp2_of_products(const vf *x, const int step, const vf *y, vf *out, const int count) {
    vf t[V_MOST];
    vf r[V_MOST];
    EACH {
        t[i] = v_mul(x[i * step], y[i]);
        r[i] = v_fraction(t[i]);
    }
    v_exp2_fractions(r, out, count);
    EACH {
        out[i] = v_scale(out[i], v_sub(t[i], r[i]));
    }
}
#else
/* 0 below 2^-125. Adding 1.5 2^23 rounds the product to a whole number and leaves that number in the low bits, from
 * where it goes into the exponent; the fraction is taken from the product before rounding. */
MANY v_exp2_of_products(const vf *x, const int step, const vf *y, vf *out, const int count) {
    const vf magic = v_set(12582912.0f);
    vf t[V_MOST];
    vf r[V_MOST];
    EACH {
        t[i] = v_fma(x[i * step], y[i], magic);
    }
    EACH {
        r[i] = v_fma(x[i * step], y[i], v_sub(magic, t[i]));
    }
    v_exp2_fractions(r, out, count);
    EACH {
        out[i] = v_add_exponent(out[i], t[i], v_set(12582912.0f - 125.0f));
    }
}
#endif
static inline vf v_exp2_of_product(vf x, vf y) {
    vf p;
    v_exp2_of_products(&x, 0, &y, &p, 1);
    return p;
}

/* x / (1 + e^-x) */
MANY v_silus(const vf *x, vf *out, const int count) {
    vf e[V_MOST];
    EACH {
        e[i] = v_neg(x[i]);
    }
    v_exps(e, e, count);
    EACH {
        out[i] = v_div(x[i], v_add(v_set(1.0f), e[i]));
    }
}
static inline vf v_silu(vf x) {
    vf y;
    v_silus(&x, &y, 1);
    return y;
}

/*
 * log(1 + e^q), q itself above 20: max(q, 0) + log(1 + e) with e = e^-|q| in [0, 1]. For e above sqrt 2 - 1 that
 * logarithm is ln 2 + log(1 + f) with f = (e - 1) / 2; log(1 + f) = 2 artanh(s) with s = f / (2 + f).
 */
MANY v_softpluses(const vf *q, vf *out, const int count) {
    const vf cut = v_set(0x1.a8279ap-2f);
    vf e[V_MOST];
    vf f[V_MOST];
    vf s[V_MOST];
    vf p[V_MOST];
    EACH {
        e[i] = v_neg_abs(q[i]);
    }
    v_exps(e, e, count);
    EACH {
        f[i] = v_where_gt(e[i], cut, v_mul(v_sub(e[i], v_set(1.0f)), v_set(0.5f)), e[i]);
        s[i] = v_div(f[i], v_add(f[i], v_set(2.0f)));
    }
    EACH {
        vf t = v_mul(s[i], s[i]);
        p[i] = v_fma(v_set(0x1.31e668p-2f), t, v_set(0x1.995e9cp-2f));
        p[i] = v_mul(v_fma(p[i], t, v_set(0x1.55557ap-1f)), t);
    }
    EACH {
        /* 2 s = f - s f, which keeps the digits that the division rounds away. */
        vf log1p = v_add(f[i], v_fma(p[i], s[i], v_neg(v_mul(s[i], f[i]))));
        vf base = v_where_gt(e[i], cut, v_set(0x1.62e430p-1f), v_set(0.0f));
        vf sum = v_add(v_max(v_set(0.0f), q[i]), v_add(base, log1p));
        out[i] = v_where_gt(q[i], v_set(20.0f), q[i], sum);
    }
}
static inline vf v_softplus(vf q) {
    vf y;
    v_softpluses(&q, &y, 1);
    return y;
}
#undef EACH
#undef MANY

#endif
