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

#define LOG2E 0x1.715476p+0f

/* e^x, at most 2 ulp. 0 below about -104, infinite above 88.73, denormal between where it must be. The order of the
 * operands of max and min lets NaN through. */
#ifdef V_HAS_EIGHTHS
/* x = n ln 2 + r with n a number of eighths, then 2^n + 2^n (r + r^2 P(r)). Adding 1.5 2^20 rounds to eighths, and
 * leaves their number in the low bits. */
#define EIGHTHS 1572864.0f
MANY v_exp_parts(const vf *x, vf *t, vf *n, vf *p, const int count) {
    vf r[V_MOST];
    EACH {
        t[i] = v_fma(x[i], v_set(LOG2E), v_set(EIGHTHS));
    }
    EACH {
        n[i] = v_sub(t[i], v_set(EIGHTHS));
        r[i] = v_fnma(n[i], v_set(0x1.62e430p-1f), x[i]);
    }
    EACH {
        r[i] = v_fnma(n[i], v_set(-0x1.05c610p-29f), r[i]);
    }
    EACH {
        p[i] = v_fma(v_set(0x1.5548f0p-3f), r[i], v_set(0x1.000884p-1f));
        p[i] = v_fma(p[i], v_mul(r[i], r[i]), r[i]);
    }
}
/* Where 2^n need not be normal: bit for bit the others, and twice as slow. */
static __attribute__((noinline)) void v_exps_far(const vf *x, vf *out, int count) {
    for (int i = 0; i < count; i++) {
        vf near = v_max(v_set(-105.0f), v_min(v_set(90.0f), x[i]));
        vf t;
        vf n;
        vf p;
        v_exp_parts(&near, &t, &n, &p, 1);
        const vf part = v_eighths(v_low_eighths(t));
        out[i] = v_scale(v_fma(part, p, part), v_floor(n));
    }
}
MANY v_exps(const vf *x, vf *out, const int count) {
    vf t[V_MOST];
    vf n[V_MOST];
    vf p[V_MOST];
    vf most = v_abs(x[0]);
    UNROLL
    for (int i = 1; i < count; i++) {
        most = v_larger(most, v_abs(x[i]));
    }
    if (__builtin_expect(v_any_larger(most, v_set(87.0f)), 0)) {
        vf from[V_MOST];
        vf to[V_MOST];
        EACH {
            from[i] = x[i];
        }
        v_exps_far(from, to, count);
        EACH {
            out[i] = to[i];
        }
        return;
    }
    v_exp_parts(x, t, n, p, count);
    EACH {
        const vf part = v_eighths(t[i]);
        out[i] = v_fma(part, p[i], part);
    }
}
#else
/* x = n ln 2 + r, then 1 + r + r^2 P(r). */
MANY v_exps(const vf *x, vf *out, const int count) {
    static const float term[] = {0x1.123a10p-7f, 0x1.5558f0p-5f, 0x1.555492p-3f, 0x1.fffffcp-2f};
    vf n[V_MOST];
    vf r[V_MOST];
    vf p[V_MOST];
    EACH {
        r[i] = v_max(v_set(-105.0f), v_min(v_set(90.0f), x[i]));
    }
    EACH {
        n[i] = v_round(v_mul(r[i], v_set(LOG2E)));
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
#endif
static inline vf v_exp(vf x) {
    vf y;
    v_exps(&x, &y, 1);
    return y;
}

/* 2^(x y) for x y <= 0 or NaN; x stands still or goes along with y. Near products are those of numbers up to which
 * v_near says that all is: the bits are the same, for less. */
#ifdef V_HAS_EIGHTHS
/* At most 2^-126 where it should be less, and 0 below 2^-127, where the bits of 2^n are those of 0. */
MANY v_exp2_of_them(const vf *x, const int step, const vf *y, vf *out, const int near, const int count) {
    vf t[V_MOST];
    vf r[V_MOST];
    vf p[V_MOST];
    EACH {
        r[i] = v_mul(x[i * step], y[i]);
        r[i] = near ? r[i] : v_max(v_set(-127.0f), r[i]);
        t[i] = v_add(r[i], v_set(EIGHTHS));
    }
    EACH {
        r[i] = v_sub(r[i], v_sub(t[i], v_set(EIGHTHS)));
    }
    EACH {
        p[i] = v_fma(v_set(0x1.c69ffcp-5f), r[i], v_set(0x1.ec0c38p-3f));
        t[i] = v_eighths(t[i]);
    }
    EACH {
        p[i] = v_fma(p[i], r[i], v_set(0x1.62e432p-1f));
        out[i] = v_fma(v_mul(t[i], r[i]), p[i], t[i]);
    }
}
MANY v_exp2_of_products(const vf *x, const int step, const vf *y, vf *out, const int count) {
    v_exp2_of_them(x, step, y, out, 0, count);
}
MANY v_exp2_of_near_products(const vf *x, const int step, const vf *y, vf *out, const int count) {
    v_exp2_of_them(x, step, y, out, 1, count);
}
static inline int v_near(vf x, vf y) {
    return !v_any_larger(v_abs(v_mul(x, y)), v_set(126.0f));
}
#else
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
#define v_exp2_of_near_products v_exp2_of_products
static inline int v_near(vf x, vf y) {
    (void)x;
    (void)y;
    return 0;
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
 * logarithm is ln 2 + log(1 + f) with f = (e - 1) / 2; log(1 + f) = 2 artanh(s) with s = f / (2 + f). e is for the
 * caller as well.
 */
MANY v_softpluses_and_exps(const vf *q, vf *out, vf *e, const int count) {
    const vf cut = v_set(0x1.a8279ap-2f);
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
MANY v_softpluses(const vf *q, vf *out, const int count) {
    vf e[V_MOST];
    v_softpluses_and_exps(q, out, e, count);
}
static inline vf v_softplus(vf q) {
    vf y;
    v_softpluses(&q, &y, 1);
    return y;
}
#undef EACH
#undef MANY

#endif
