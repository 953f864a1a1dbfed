/* fft.h - blocks of long filters by Fourier transforms, of a vector level. Include after its vec.h, simd/math.h and
 * simd/rows.h. A row of z is MBK_FIR_UNIT floats: the real parts of a complex number for each of 16 pairs of channels,
 * then the imaginary ones; channel i of a unit is the real part of pair i, channel 16 + i the imaginary one. */

#define FFT_HALF (MBK_FIR_UNIT / 2)

typedef struct fft_number {
    vf re, im;
} fft_number;

INLINE fft_number fft_load(const float *z, int64_t row, int v) {
    const float *p = z + row * MBK_FIR_UNIT + v;
    return (fft_number){v_load(p), v_load(p + FFT_HALF)};
}

INLINE void fft_store(float *z, int64_t row, int v, fft_number a) {
    float *p = z + row * MBK_FIR_UNIT + v;
    v_store(p, a.re);
    v_store(p + FFT_HALF, a.im);
}

INLINE fft_number fft_add(fft_number a, fft_number b) {
    return (fft_number){v_add(a.re, b.re), v_add(a.im, b.im)};
}

INLINE fft_number fft_sub(fft_number a, fft_number b) {
    return (fft_number){v_sub(a.re, b.re), v_sub(a.im, b.im)};
}

INLINE fft_number fft_mul(fft_number a, fft_number b) {
    return (fft_number){v_fnma(a.im, b.im, v_mul(a.re, b.re)), v_fma(a.im, b.re, v_mul(a.re, b.im))};
}

/* a i */
INLINE fft_number fft_turn(fft_number a) {
    return (fft_number){v_neg(a.im), a.re};
}

/* exp(-2 pi i j / n) of a table for the size `most`; its conjugate where `back`. */
INLINE fft_number fft_root(const float *roots, int64_t most, int64_t n, int64_t j, const int back) {
    const float *p = roots + 2 * (most / n) * j;
    return (fft_number){v_set(p[0]), v_set(back ? -p[1] : p[1])};
}

/* Two stages at once, of a transform whose result stands in the order of reversed bits. */
static void fft_four(float *z, int64_t n, const float *roots, int64_t most) {
    const int64_t q = n / 4;
    for (int64_t j = 0; j < q; j++) {
        const fft_number w1 = fft_root(roots, most, n, j, 0);
        const fft_number w2 = fft_root(roots, most, n, 2 * j, 0);
        const fft_number w3 = fft_root(roots, most, n, 3 * j, 0);
        for (int v = 0; v < FFT_HALF; v += VL) {
            const fft_number a = fft_load(z, j, v);
            const fft_number b = fft_load(z, j + q, v);
            const fft_number c = fft_load(z, j + 2 * q, v);
            const fft_number d = fft_load(z, j + 3 * q, v);
            const fft_number p = fft_add(a, c);
            const fft_number s = fft_add(b, d);
            const fft_number r = fft_sub(a, c);
            const fft_number t = fft_turn(fft_sub(b, d));
            fft_store(z, j, v, fft_add(p, s));
            fft_store(z, j + q, v, fft_mul(fft_sub(p, s), w2));
            fft_store(z, j + 2 * q, v, fft_mul(fft_sub(r, t), w1));
            fft_store(z, j + 3 * q, v, fft_mul(fft_add(r, t), w3));
        }
    }
}

/* The way back of fft_four, n times as large. */
static void fft_four_back(float *z, int64_t n, const float *roots, int64_t most) {
    const int64_t q = n / 4;
    for (int64_t j = 0; j < q; j++) {
        const fft_number w1 = fft_root(roots, most, n, j, 1);
        const fft_number w2 = fft_root(roots, most, n, 2 * j, 1);
        const fft_number w3 = fft_root(roots, most, n, 3 * j, 1);
        for (int v = 0; v < FFT_HALF; v += VL) {
            const fft_number s0 = fft_load(z, j, v);
            const fft_number s1 = fft_mul(fft_load(z, j + q, v), w2);
            const fft_number t0 = fft_mul(fft_load(z, j + 2 * q, v), w1);
            const fft_number t1 = fft_mul(fft_load(z, j + 3 * q, v), w3);
            const fft_number p = fft_add(s0, s1);
            const fft_number s = fft_sub(s0, s1);
            const fft_number r = fft_add(t0, t1);
            const fft_number t = fft_turn(fft_sub(t0, t1));
            fft_store(z, j, v, fft_add(p, r));
            fft_store(z, j + 2 * q, v, fft_sub(p, r));
            fft_store(z, j + q, v, fft_add(s, t));
            fft_store(z, j + 3 * q, v, fft_sub(s, t));
        }
    }
}

static void fft_two(float *z) {
    for (int v = 0; v < FFT_HALF; v += VL) {
        const fft_number a = fft_load(z, 0, v);
        const fft_number b = fft_load(z, 1, v);
        fft_store(z, 0, v, fft_add(a, b));
        fft_store(z, 1, v, fft_sub(a, b));
    }
}

/* A power of two of rows; part by part, so that parts stay in the cache. */
static void fft_there(float *z, int64_t n, const float *roots, int64_t most) {
    if (n == 2) {
        fft_two(z);
    } else if (n > 2) {
        fft_four(z, n, roots, most);
        for (int i = 0; i < 4; i++) {
            fft_there(z + i * (n / 4) * MBK_FIR_UNIT, n / 4, roots, most);
        }
    }
}

static void fft_back(float *z, int64_t n, const float *roots, int64_t most) {
    if (n == 2) {
        fft_two(z);
    } else if (n > 2) {
        for (int i = 0; i < 4; i++) {
            fft_back(z + i * (n / 4) * MBK_FIR_UNIT, n / 4, roots, most);
        }
        fft_four_back(z, n, roots, most);
    }
}

/* Where row k of a transform of 2^bits rows stands. */
INLINE int64_t fft_place(int64_t k, int bits) {
    int64_t r = 0;
    for (int i = 0; i < bits; i++) {
        r |= (k >> i & 1) << (bits - 1 - i);
    }
    return r;
}

static int fft_bits(int64_t n) {
    int bits = 0;
    while ((int64_t)1 << bits < n) {
        bits++;
    }
    return bits;
}

/* Rows 0 .. n / 2 of the transforms of both channels of each pair, from rows k and n - k of that of the pair. */
INLINE void fft_part(fft_number z, fft_number mirror, fft_number *a, fft_number *b) {
    const vf half = v_set(0.5f);
    *a = (fft_number){v_mul(half, v_add(z.re, mirror.re)), v_mul(half, v_sub(z.im, mirror.im))};
    *b = (fft_number){v_mul(half, v_add(z.im, mirror.im)), v_mul(half, v_sub(mirror.re, z.re))};
}

/* The channels of a unit that are there: of a row of it to z, zeros for the others. */
INLINE void fft_fill(float *to, const float *row, int64_t channels) {
    for (int64_t c = 0; c < MBK_FIR_UNIT; c += VL) {
        v_store(to + c, c < channels ? load_tail(row + c, channels - c) : v_set(0.0f));
    }
}

static void fft_clear(float *z, int64_t from, int64_t to) {
    for (int64_t i = from * MBK_FIR_UNIT; i < to * MBK_FIR_UNIT; i += VL) {
        v_store(z + i, v_set(0.0f));
    }
}

static void vec_fir_spectrum(const fir_spectrum_job *job) {
    const int64_t n = 2 * job->block;
    const int64_t taps = job->taps - job->block < job->block ? job->taps - job->block : job->block;
    const int bits = fft_bits(n);
    const vf scale = v_set(1.0f / (float)n);
    for (int64_t k = 0; k < taps; k++) {
        fft_fill(job->work + k * MBK_FIR_UNIT, job->w + (job->block + k) * job->ldw, job->channels);
    }
    fft_clear(job->work, taps, n);
    fft_there(job->work, n, job->roots, job->most);
    for (int64_t k = 0; k <= n / 2; k++) {
        const int64_t at = fft_place(k, bits);
        const int64_t mirror = fft_place((n - k) % n, bits);
        for (int v = 0; v < FFT_HALF; v += VL) {
            fft_number a, b;
            fft_part(fft_load(job->work, at, v), fft_load(job->work, mirror, v), &a, &b);
            fft_store(job->out, 2 * k, v, (fft_number){v_mul(scale, a.re), v_mul(scale, a.im)});
            fft_store(job->out, 2 * k + 1, v, (fft_number){v_mul(scale, b.re), v_mul(scale, b.im)});
        }
    }
}

static void vec_fir_block(const fir_block_job *job) {
    const int64_t n = 2 * job->block;
    const int64_t there = job->position < job->taps ? job->position : job->taps;
    const int64_t none = n > there ? n - there : 0;
    const int bits = fft_bits(n);
    float *z = job->work;
    fft_clear(z, 0, none);
    for (int64_t i = none; i < n; i++) {
        const int64_t row = (job->position - n + i) % job->taps;
        fft_fill(z + i * MBK_FIR_UNIT, job->ring + row * job->ldring, job->channels);
    }
    fft_there(z, n, job->roots, job->most);
    for (int64_t k = 0; k <= n / 2; k++) {
        const int64_t at = fft_place(k, bits);
        const int64_t mirror = fft_place((n - k) % n, bits);
        for (int v = 0; v < FFT_HALF; v += VL) {
            fft_number a, b;
            fft_part(fft_load(z, at, v), fft_load(z, mirror, v), &a, &b);
            a = fft_mul(a, fft_load(job->spectrum, 2 * k, v));
            b = fft_mul(b, fft_load(job->spectrum, 2 * k + 1, v));
            fft_store(z, at, v, (fft_number){v_sub(a.re, b.im), v_add(a.im, b.re)});
            fft_store(z, mirror, v, (fft_number){v_add(a.re, b.im), v_sub(b.re, a.im)});
        }
    }
    fft_back(z, n, job->roots, job->most);
    for (int64_t i = 0; i < job->block; i++) {
        const float *from = z + (job->block + i) * MBK_FIR_UNIT;
        for (int64_t c = 0; c < job->channels; c += VL) {
            store_tail(job->ahead + i * job->ldahead + c, job->channels - c, v_load(from + c));
        }
    }
}

/* What balances rows against taps, which share a transform: of each channel a power of two, so that neither loses its
 * digits to the other; and its inverse. */
static void fft_balance(const fir_pair_job *job, float *scale, float *inverse) {
    double x[MBK_FIR_GRAD_UNIT] = {0};
    double w[MBK_FIR_GRAD_UNIT] = {0};
    for (int64_t i = 0; i < job->before + job->in.rows; i++) {
        const float *row = fir_row(&job->in, i - job->before);
        for (int64_t c = 0; c < job->channels; c++) {
            x[c] += (double)row[c] * (double)row[c];
        }
    }
    for (int64_t k = 0; k < job->met; k++) {
        for (int64_t c = 0; c < job->channels; c++) {
            w[c] += (double)job->w[k * job->ldw + c] * (double)job->w[k * job->ldw + c];
        }
    }
    for (int64_t c = 0; c < MBK_FIR_GRAD_UNIT; c++) {
        int power = 0;
        if (x[c] > 0 && w[c] > 0 && isfinite(x[c] / w[c])) {
            (void)frexp(x[c] / w[c], &power);
        }
        power = power > 200 ? 200 : power < -200 ? -200 : power;
        scale[c] = (float)ldexp(1, power / 2);
        inverse[c] = (float)ldexp(1, -(power / 2));
    }
}

/* Of a row of the channels that are there, from `v` on; zeros for the others and where there is no row. */
INLINE vf fft_part_of(const float *row, int64_t channels, int v) {
    return row && v < channels ? load_tail(row + v, channels - v) : v_set(0.0f);
}

INLINE void fft_add_to(float *to, int64_t channels, int v, vf x) {
    if (v < channels) {
        store_tail(to + v, channels - v, v_add(load_tail(to + v, channels - v), x));
    }
}

/* With A the transform of x + i w and G that of dy, i conj(A) G is that of dx + i dw. What wraps round is not taken
 * (mbk_fir_grad_size). */
static void vec_fir_pair(const fir_pair_job *job) {
    float scale[MBK_FIR_GRAD_UNIT];
    float inverse[MBK_FIR_GRAD_UNIT];
    const int64_t n = job->n;
    const int64_t rows = job->before + job->in.rows;
    const vf share = v_set(1.0f / (float)n);
    float *z = job->work;
    float *g = z + n * MBK_FIR_UNIT;
    fft_balance(job, scale, inverse);
    for (int64_t i = 0; i < rows; i++) {
        const float *x = fir_row(&job->in, i - job->before);
        const float *w = i < job->met ? job->w + i * job->ldw : NULL;
        const float *dy = i < job->before ? NULL : job->dy + (i - job->before) * job->lddy;
        for (int v = 0; v < FFT_HALF; v += VL) {
            const vf taps = v_mul(fft_part_of(w, job->channels, v), v_load(scale + v));
            fft_store(z, i, v, (fft_number){fft_part_of(x, job->channels, v), taps});
            fft_store(g, i, v, (fft_number){fft_part_of(dy, job->channels, v), v_set(0.0f)});
        }
    }
    fft_clear(z, rows, n);
    fft_clear(g, rows, n);
    fft_there(z, n, job->roots, job->most);
    fft_there(g, n, job->roots, job->most);
    for (int64_t i = 0; i < n; i++) {
        for (int v = 0; v < FFT_HALF; v += VL) {
            const fft_number a = fft_load(z, i, v);
            const fft_number turned = {v_mul(share, a.im), v_mul(share, a.re)};
            fft_store(z, i, v, fft_mul(turned, fft_load(g, i, v)));
        }
    }
    fft_back(z, n, job->roots, job->most);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t t = i - job->before;
        float *dx =
            t >= 0 ? job->dx + t * job->lddx : job->dring + (job->in.position + t) % job->in.taps * job->lddring;
        for (int v = 0; v < FFT_HALF; v += VL) {
            const fft_number a = fft_load(z, i, v);
            fft_add_to(dx, job->channels, v, v_mul(a.re, v_load(inverse + v)));
            if (i < job->met) {
                fft_add_to(job->dw + i * job->lddw, job->channels, v, a.im);
            }
        }
    }
}
