/* family.h - linear state spaces and filters of a vector level, over blocks of VL channels. Include after
 * simd/sequence_grad.h. */

/* --- linear state space ------------------------------------------------------------------------------------------- */

/* Modes whose chains overlap. */
#define LTI_ABREAST 4

typedef struct lti_mode {
    vf re, im;
} lti_mode;

INLINE lti_mode lti_load(const float *p, int64_t ld, int64_t n, int64_t c, const int full, vm m) {
    return (lti_mode){load_block(p + 2 * n * ld + c, full, m), load_block(p + (2 * n + 1) * ld + c, full, m)};
}
INLINE void lti_store(float *p, int64_t ld, int64_t n, int64_t c, const int full, vm m, lti_mode x) {
    store_block(p + 2 * n * ld + c, full, m, x.re);
    store_block(p + (2 * n + 1) * ld + c, full, m, x.im);
}

/* s + a s + b u: what is added to s is summed first. */
INLINE lti_mode lti_step(lti_mode s, lti_mode a, lti_mode b, vf u) {
    const vf re = v_fnma(a.im, s.im, v_fma(a.re, s.re, v_mul(b.re, u)));
    const vf im = v_fma(a.im, s.re, v_fma(a.re, s.im, v_mul(b.im, u)));
    return (lti_mode){v_add(s.re, re), v_add(s.im, im)};
}
/* The same with - f m. */
INLINE lti_mode lti_step_joint(lti_mode s, lti_mode a, lti_mode b, vf u, lti_mode f, vf mm) {
    const vf re = v_fnma(a.im, s.im, v_fma(a.re, s.re, v_fnma(f.re, mm, v_mul(b.re, u))));
    const vf im = v_fma(a.im, s.re, v_fma(a.re, s.im, v_fnma(f.im, mm, v_mul(b.im, u))));
    return (lti_mode){v_add(s.re, re), v_add(s.im, im)};
}
/* sum + Re(x y) */
INLINE vf lti_real(lti_mode x, lti_mode y, vf sum) {
    return v_fnma(x.im, y.im, v_fma(x.re, y.re, sum));
}

/* `count` modes from n on over the rows of a tile; their outputs are added in the order of the modes. */
INLINE void lti_modes(const lti_job *job, vf *sum, int64_t t0, int64_t rows, int64_t n, const int count, int64_t c,
                      const int full, vm m) {
    lti_mode a[LTI_ABREAST];
    lti_mode b[LTI_ABREAST];
    lti_mode w[LTI_ABREAST];
    lti_mode s[LTI_ABREAST];
    UNROLL
    for (int i = 0; i < count; i++) {
        a[i] = lti_load(job->a, job->lda, n + i, c, full, m);
        b[i] = lti_load(job->b, job->ldb, n + i, c, full, m);
        w[i] = lti_load(job->w, job->ldw, n + i, c, full, m);
        s[i] = lti_load(job->state, job->lds, n + i, c, full, m);
    }
    for (int64_t t = 0; t < rows; t++) {
        const vf u = load_block(job->u + (t0 + t) * job->ldu + c, full, m);
        UNROLL
        for (int i = 0; i < count; i++) {
            s[i] = lti_step(s[i], a[i], b[i], u);
            sum[t] = lti_real(w[i], s[i], sum[t]);
        }
    }
    UNROLL
    for (int i = 0; i < count; i++) {
        lti_store(job->state, job->lds, n + i, c, full, m, s[i]);
    }
}

/* Modes that see each other: row after row. */
INLINE void lti_joint(const lti_job *job, vf *sum, int64_t t0, int64_t rows, int64_t c, const int full, vm m) {
    for (int64_t t = 0; t < rows; t++) {
        const vf u = load_block(job->u + (t0 + t) * job->ldu + c, full, m);
        vf mm = v_set(0.0f);
        for (int64_t n = 0; n < job->n; n++) {
            mm = lti_real(lti_load(job->g, job->ldg, n, c, full, m), lti_load(job->state, job->lds, n, c, full, m), mm);
        }
        for (int64_t n = 0; n < job->n; n++) {
            const lti_mode a = lti_load(job->a, job->lda, n, c, full, m);
            const lti_mode b = lti_load(job->b, job->ldb, n, c, full, m);
            const lti_mode f = lti_load(job->f, job->ldf, n, c, full, m);
            lti_mode s = lti_load(job->state, job->lds, n, c, full, m);
            s = lti_step_joint(s, a, b, u, f, mm);
            lti_store(job->state, job->lds, n, c, full, m, s);
            sum[t] = lti_real(lti_load(job->w, job->ldw, n, c, full, m), s, sum[t]);
        }
    }
}

INLINE void lti_tile(const lti_job *job, int64_t t0, int64_t rows, int64_t c, const int full, vm m) {
    vf sum[SCAN_ROWS];
    for (int64_t t = 0; t < rows; t++) {
        sum[t] = v_set(0.0f);
    }
    if (job->f) {
        lti_joint(job, sum, t0, rows, c, full, m);
    } else {
        int64_t n = 0;
        for (; n + LTI_ABREAST <= job->n; n += LTI_ABREAST) {
            lti_modes(job, sum, t0, rows, n, LTI_ABREAST, c, full, m);
        }
        for (; n < job->n; n++) {
            lti_modes(job, sum, t0, rows, n, 1, c, full, m);
        }
    }
    const vf skip = job->d ? load_block(job->d + c, full, m) : v_set(0.0f);
    for (int64_t t = 0; t < rows; t++) {
        const vf u = load_block(job->u + (t0 + t) * job->ldu + c, full, m);
        store_block(job->y + (t0 + t) * job->ldy + c, full, m, job->d ? v_fma(skip, u, sum[t]) : sum[t]);
    }
}

static void lti_full(const lti_job *job, int64_t t0, int64_t rows, int64_t c) {
    lti_tile(job, t0, rows, c, 1, v_mask(VL));
}
static void lti_some(const lti_job *job, int64_t t0, int64_t rows, int64_t c, vm m) {
    lti_tile(job, t0, rows, c, 0, m);
}

static void vec_lti(const lti_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c += VL) {
        for (int64_t t0 = 0; t0 < job->rows; t0 += SCAN_ROWS) {
            const int64_t rows = job->rows - t0 < SCAN_ROWS ? job->rows - t0 : SCAN_ROWS;
            if (c + VL <= c1) {
                lti_full(job, t0, rows, c);
            } else {
                lti_some(job, t0, rows, c, v_mask(c1 - c));
            }
        }
    }
}

/* The states of the rows again, s before the first row at row 0 of `work`; with f also m of each row. */
INLINE void lti_again(const lti_grad_job *job, vf *mm, int64_t c, const int full, vm m) {
    const int64_t ld = job->ldwork;
    for (int64_t k = 0; k < 2 * job->n; k++) {
        store_block(job->work + k * ld + c, full, m,
                    job->s ? load_block(job->s + k * job->ldst + c, full, m) : v_set(0.0f));
    }
    for (int64_t t = 0; t < job->rows; t++) {
        const float *before = job->work + t * 2 * job->n * ld;
        float *after = job->work + (t + 1) * 2 * job->n * ld;
        const vf u = load_block(job->u + t * job->ldu + c, full, m);
        mm[t] = v_set(0.0f);
        for (int64_t n = 0; job->f && n < job->n; n++) {
            mm[t] = lti_real(lti_load(job->g, job->ldg, n, c, full, m), lti_load(before, ld, n, c, full, m), mm[t]);
        }
        for (int64_t n = 0; n < job->n; n++) {
            const lti_mode a = lti_load(job->a, job->lda, n, c, full, m);
            const lti_mode b = lti_load(job->b, job->ldb, n, c, full, m);
            const lti_mode s = lti_load(before, ld, n, c, full, m);
            lti_mode next = lti_step(s, a, b, u);
            if (job->f) {
                next = lti_step_joint(s, a, b, u, lti_load(job->f, job->ldf, n, c, full, m), mm[t]);
            }
            lti_store(after, ld, n, c, full, m, next);
        }
    }
}

/* conj(x) y */
INLINE lti_mode lti_conj_mul(lti_mode x, lti_mode y) {
    return (lti_mode){v_fma(x.re, y.re, v_mul(x.im, y.im)), v_fnma(x.im, y.re, v_mul(x.re, y.im))};
}

/* The gradients of the states, kept behind the states in `work`; those of u, and of m. dstate is the carry. */
INLINE void lti_back(const lti_grad_job *job, vf *dm, int64_t c, const int full, vm m) {
    const int64_t ld = job->ldwork;
    float *lams = job->work + (MBK_LTI_BLOCK + 1) * 2 * job->n * ld;
    for (int64_t t = job->rows - 1; t >= 0; t--) {
        const vf gr = load_block(job->dy + t * job->lddy + c, full, m);
        float *at_t = lams + t * 2 * job->n * ld;
        vf du = job->d ? v_mul(load_block(job->d + c, full, m), gr) : v_set(0.0f);
        dm[t] = v_set(0.0f);
        for (int64_t n = 0; n < job->n; n++) {
            const lti_mode w = lti_load(job->w, job->ldw, n, c, full, m);
            lti_mode lam = lti_load(job->dstate, job->ldds, n, c, full, m);
            lam.re = v_fma(w.re, gr, lam.re);
            lam.im = v_fnma(w.im, gr, lam.im);
            lti_store(at_t, ld, n, c, full, m, lam);
            const lti_mode b = lti_load(job->b, job->ldb, n, c, full, m);
            du = v_fma(b.im, lam.im, v_fma(b.re, lam.re, du));
            if (job->f) {
                const lti_mode f = lti_load(job->f, job->ldf, n, c, full, m);
                dm[t] = v_fnma(f.im, lam.im, v_fnma(f.re, lam.re, dm[t]));
            }
        }
        store_block(job->du + t * job->lddu + c, full, m, du);
        for (int64_t n = 0; n < job->n; n++) {
            const lti_mode lam = lti_load(at_t, ld, n, c, full, m);
            lti_mode carry = lti_conj_mul(lti_load(job->a, job->lda, n, c, full, m), lam);
            if (job->f) {
                const lti_mode g = lti_load(job->g, job->ldg, n, c, full, m);
                carry.re = v_fma(g.re, dm[t], carry.re);
                carry.im = v_fnma(g.im, dm[t], carry.im);
            }
            carry = (lti_mode){v_add(lam.re, carry.re), v_add(lam.im, carry.im)};
            lti_store(job->dstate, job->ldds, n, c, full, m, carry);
        }
    }
}

INLINE void lti_add(float *p, int64_t ld, int64_t n, int64_t c, const int full, vm m, lti_mode x) {
    add_block(p + 2 * n * ld + c, full, m, x.re);
    add_block(p + (2 * n + 1) * ld + c, full, m, x.im);
}

/* The gradients of the numbers of mode n, summed over the rows before they are added. */
INLINE void lti_params(const lti_grad_job *job, const vf *mm, const vf *dm, int64_t n, int64_t c, const int full,
                       vm m) {
    const int64_t ld = job->ldwork;
    const float *lams = job->work + (MBK_LTI_BLOCK + 1) * 2 * job->n * ld;
    const vf none = v_set(0.0f);
    lti_mode da = {none, none};
    lti_mode db = da;
    lti_mode dw = da;
    lti_mode df = da;
    lti_mode dg = da;
    for (int64_t t = 0; t < job->rows; t++) {
        const vf gr = load_block(job->dy + t * job->lddy + c, full, m);
        const vf u = load_block(job->u + t * job->ldu + c, full, m);
        const lti_mode before = lti_load(job->work + t * 2 * job->n * ld, ld, n, c, full, m);
        const lti_mode s = lti_load(job->work + (t + 1) * 2 * job->n * ld, ld, n, c, full, m);
        const lti_mode lam = lti_load(lams + t * 2 * job->n * ld, ld, n, c, full, m);
        dw = (lti_mode){v_fma(s.re, gr, dw.re), v_fnma(s.im, gr, dw.im)};
        db = (lti_mode){v_fma(lam.re, u, db.re), v_fma(lam.im, u, db.im)};
        da.re = v_fma(before.im, lam.im, v_fma(before.re, lam.re, da.re));
        da.im = v_fnma(before.im, lam.re, v_fma(before.re, lam.im, da.im));
        if (job->f) {
            df = (lti_mode){v_fnma(lam.re, mm[t], df.re), v_fnma(lam.im, mm[t], df.im)};
            dg = (lti_mode){v_fma(before.re, dm[t], dg.re), v_fnma(before.im, dm[t], dg.im)};
        }
    }
    lti_add(job->da, job->ldda, n, c, full, m, da);
    lti_add(job->db, job->lddb, n, c, full, m, db);
    lti_add(job->dw, job->lddw, n, c, full, m, dw);
    if (job->f) {
        lti_add(job->df, job->lddf, n, c, full, m, df);
        lti_add(job->dg, job->lddg, n, c, full, m, dg);
    }
}

INLINE void lti_grad_block(const lti_grad_job *job, int64_t c, const int full, vm m) {
    vf mm[MBK_LTI_BLOCK];
    vf dm[MBK_LTI_BLOCK];
    lti_again(job, mm, c, full, m);
    lti_back(job, dm, c, full, m);
    for (int64_t n = 0; n < job->n; n++) {
        lti_params(job, mm, dm, n, c, full, m);
    }
    if (job->d) {
        vf dd = v_set(0.0f);
        for (int64_t t = 0; t < job->rows; t++) {
            dd = v_fma(load_block(job->dy + t * job->lddy + c, full, m), load_block(job->u + t * job->ldu + c, full, m),
                       dd);
        }
        add_block(job->dd + c, full, m, dd);
    }
}

static void lti_grad_full(const lti_grad_job *job, int64_t c) {
    lti_grad_block(job, c, 1, v_mask(VL));
}
static void lti_grad_some(const lti_grad_job *job, int64_t c, vm m) {
    lti_grad_block(job, c, 0, m);
}

static void vec_lti_grad(const lti_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c += VL) {
        if (c + VL <= c1) {
            lti_grad_full(job, c);
        } else {
            lti_grad_some(job, c, v_mask(c1 - c));
        }
    }
}

/* --- filters ------------------------------------------------------------------------------------------------------ */

#define FIR_TILE 8

/* Taps [from, to) of one output, in order. Rows in the ring are walked without a division each. */
INLINE vf fir_span(const fir_job *job, int64_t o, int64_t from, int64_t to, vf sum, int64_t c, const int full, vm m) {
    int64_t k = from;
    for (; k < to && k <= o; k++) {
        sum = v_fma(load_block(job->w + k * job->ldw + c, full, m),
                    load_block(job->in.x + (o - k) * job->in.ldx + c, full, m), sum);
    }
    int64_t slot = k < to ? (job->in.position + o - k) % job->in.taps : 0;
    for (; k < to; k++) {
        sum = v_fma(load_block(job->w + k * job->ldw + c, full, m),
                    load_block(job->in.ring + slot * job->in.ldring + c, full, m), sum);
        slot = slot > 0 ? slot - 1 : job->in.taps - 1;
    }
    return sum;
}

/* Taps [from, to) of FIR_TILE outputs from o on, all within the call. */
INLINE void fir_middle(const fir_job *job, int64_t o, int64_t from, int64_t to, vf *sum, int64_t c, const int full,
                       vm m) {
    for (int64_t k = from; k < to; k++) {
        const vf w = load_block(job->w + k * job->ldw + c, full, m);
        const float *x = job->in.x + (o - k) * job->in.ldx + c;
        UNROLL
        for (int i = 0; i < FIR_TILE; i++) {
            sum[i] = v_fma(w, load_block(x + i * job->in.ldx, full, m), sum[i]);
        }
    }
}

INLINE int64_t fir_least(const fir_job *job, int64_t o) {
    return o >= job->in.rows ? o - job->in.rows + 1 : 0;
}
/* Behind the last tap that output o meets a row with. */
INLINE int64_t fir_most(const fir_job *job, int64_t o) {
    const int64_t there = o + 1 + (job->in.ring ? job->in.position : 0);
    return there < job->taps ? there : job->taps;
}

INLINE void fir_put(const fir_job *job, int64_t i, vf sum, int64_t c, const int full, vm m) {
    float *y = job->y + i * job->ldy + c;
    sum = job->bias ? v_add(sum, load_block(job->bias + c, full, m)) : sum;
    store_block(y, full, m, job->add ? v_add(load_block(y, full, m), sum) : sum);
}

INLINE void fir_block(const fir_job *job, int64_t c, const int full, vm m) {
    int64_t i = 0;
    for (; i + FIR_TILE <= job->n; i += FIR_TILE) {
        const int64_t o = job->first + i;
        const int64_t from = fir_least(job, o + FIR_TILE - 1);
        const int64_t met = fir_most(job, o);
        int64_t to = met < o + 1 ? met : o + 1;
        to = to > from ? to : from;
        vf sum[FIR_TILE];
        for (int j = 0; j < FIR_TILE; j++) {
            const int64_t end = fir_most(job, o + j);
            sum[j] = fir_span(job, o + j, fir_least(job, o + j), from < end ? from : end, v_set(0.0f), c, full, m);
        }
        fir_middle(job, o, from, to, sum, c, full, m);
        for (int j = 0; j < FIR_TILE; j++) {
            fir_put(job, i + j, fir_span(job, o + j, to, fir_most(job, o + j), sum[j], c, full, m), c, full, m);
        }
    }
    for (; i < job->n; i++) {
        const int64_t o = job->first + i;
        fir_put(job, i, fir_span(job, o, fir_least(job, o), fir_most(job, o), v_set(0.0f), c, full, m), c, full, m);
    }
}

static void fir_full(const fir_job *job, int64_t c) {
    fir_block(job, c, 1, v_mask(VL));
}
static void fir_some(const fir_job *job, int64_t c, vm m) {
    fir_block(job, c, 0, m);
}

static void vec_fir(const fir_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c += VL) {
        if (c + VL <= c1) {
            fir_full(job, c);
        } else {
            fir_some(job, c, v_mask(c1 - c));
        }
    }
}

INLINE vf fir_one_tap(const fir_taps_job *job, int64_t k, int64_t from, int64_t to, vf sum, int64_t c, const int full,
                      vm m) {
    for (int64_t t = from; t < to; t++) {
        sum = v_fma(load_block(job->dy + t * job->lddy + c, full, m), load_block(fir_row(&job->in, t - k) + c, full, m),
                    sum);
    }
    return sum;
}

INLINE void fir_taps_block(const fir_taps_job *job, int64_t c, const int full, vm m) {
    const int64_t back = job->in.ring ? job->in.position : 0;
    int64_t k = 0;
    for (; k + FIR_TILE <= job->taps; k += FIR_TILE) {
        vf sum[FIR_TILE];
        int64_t inner = k + FIR_TILE - 1; /* from here on all rows are in the call */
        inner = inner < job->in.rows ? inner : job->in.rows;
        for (int i = 0; i < FIR_TILE; i++) {
            const int64_t from = k + i - back > 0 ? k + i - back : 0;
            sum[i] = fir_one_tap(job, k + i, from, inner, v_set(0.0f), c, full, m);
        }
        for (int64_t t = inner; t < job->in.rows; t++) {
            const vf dy = load_block(job->dy + t * job->lddy + c, full, m);
            const float *x = job->in.x + (t - k) * job->in.ldx + c;
            UNROLL
            for (int i = 0; i < FIR_TILE; i++) {
                sum[i] = v_fma(dy, load_block(x - i * job->in.ldx, full, m), sum[i]);
            }
        }
        for (int i = 0; i < FIR_TILE; i++) {
            add_block(job->dw + (k + i) * job->lddw + c, full, m, sum[i]);
        }
    }
    for (; k < job->taps; k++) {
        const int64_t from = k - back > 0 ? k - back : 0;
        add_block(job->dw + k * job->lddw + c, full, m,
                  fir_one_tap(job, k, from, job->in.rows, v_set(0.0f), c, full, m));
    }
}

static void fir_taps_full(const fir_taps_job *job, int64_t c) {
    fir_taps_block(job, c, 1, v_mask(VL));
}
static void fir_taps_some(const fir_taps_job *job, int64_t c, vm m) {
    fir_taps_block(job, c, 0, m);
}

static void vec_fir_taps(const fir_taps_job *job, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c += VL) {
        if (c + VL <= c1) {
            fir_taps_full(job, c);
        } else {
            fir_taps_some(job, c, v_mask(c1 - c));
        }
    }
}
