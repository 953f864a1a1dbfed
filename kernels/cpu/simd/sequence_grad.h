/*
 * sequence_grad.h - gradients of the causal convolution and the selective scan of a vector level, over blocks of VL
 * channels. Include after simd/sequence.h. States are recomputed by the very operations of the forward pass, so that
 * they have its bits.
 */

static inline vf v_sigmoid(vf x) {
    return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_neg(x))));
}

/* d silu(x) / dx = s (1 + x (1 - s)), s = sigmoid(x) */
static inline vf v_silu_slope(vf x, vf s) {
    return v_mul(s, v_fma(x, v_sub(v_set(1.0f), s), v_set(1.0f)));
}

/* p += x */
INLINE void add_block(float *p, const int full, vm m, vf x) {
    store_block(p, full, m, v_add(load_block(p, full, m), x));
}

/* --- convolution ------------------------------------------------------------------------------------------------ */

/* The usual number of taps; convolutions of another width are left to the reference. */
#define CONV_TAPS 4
/* Rows of x and dy that are asked for ahead: towards lower addresses, a stride apart. */
#define CONV_AHEAD 8

INLINE vf conv_row(const conv_grad_job *job, int64_t s, int64_t c, const int full, vm m) {
    if (s >= 0) {
        return load_block(job->x + s * job->ldx + c, full, m);
    }
    return job->state ? load_block(job->state + (CONV_TAPS + s) * job->lds + c, full, m) : v_set(0.0f);
}

/* What the rows of a block have added to the gradients of taps and bias goes there, and is zero again. */
INLINE void conv_flush(const conv_grad_job *job, vf *sum, int64_t c, const int full, vm m) {
    UNROLL
    for (int k = 0; k < CONV_TAPS; k++) {
        add_block(job->dw + k * job->lddw + c, full, m, sum[k]);
        sum[k] = v_set(0.0f);
    }
    if (job->dbias) {
        add_block(job->dbias + c, full, m, sum[CONV_TAPS]);
    }
    sum[CONV_TAPS] = v_set(0.0f);
}

/* dpre of row s, added to the sums for taps and bias. */
INLINE vf conv_dpre(const conv_grad_job *job, const vf *tap, vf bias, vf *sum, int64_t s, int64_t c, const int full,
                    vm m) {
    if (s >= CONV_AHEAD) {
        _mm_prefetch((const char *)(job->x + (s - CONV_AHEAD) * job->ldx + c), _MM_HINT_T0);
        _mm_prefetch((const char *)(job->dy + (s - CONV_AHEAD) * job->lddy + c), _MM_HINT_T0);
    }
    vf x[CONV_TAPS];
    vf pre = bias;
    UNROLL
    for (int k = 0; k < CONV_TAPS; k++) {
        x[k] = conv_row(job, s - CONV_TAPS + 1 + k, c, full, m);
        pre = v_fma(tap[k], x[k], pre);
    }
    vf g = v_mul(load_block(job->dy + s * job->lddy + c, full, m), v_silu_slope(pre, v_sigmoid(pre)));
    UNROLL
    for (int k = 0; k < CONV_TAPS; k++) {
        sum[k] = v_fma(g, x[k], sum[k]);
    }
    sum[CONV_TAPS] = v_add(sum[CONV_TAPS], g);
    return g;
}

/* From the last row down to the oldest of the state; next[i] is dpre of row s + i, zero outside the call. */
INLINE void conv_grad_block(const conv_grad_job *job, int64_t c, const int full, vm m) {
    vf tap[CONV_TAPS];
    vf next[CONV_TAPS];
    vf sum[CONV_TAPS + 1];
    UNROLL
    for (int k = 0; k < CONV_TAPS; k++) {
        tap[k] = load_block(job->w + k * job->ldw + c, full, m);
        next[k] = sum[k] = v_set(0.0f);
    }
    sum[CONV_TAPS] = v_set(0.0f);
    const vf bias = job->bias ? load_block(job->bias + c, full, m) : v_set(0.0f);
    for (int64_t s = job->rows - 1; s >= -CONV_TAPS; s--) {
        UNROLL
        for (int k = CONV_TAPS - 1; k > 0; k--) {
            next[k] = next[k - 1];
        }
        next[0] = s >= 0 ? conv_dpre(job, tap, bias, sum, s, c, full, m) : v_set(0.0f);
        int64_t kept = s - (job->rows - CONV_TAPS);
        vf g = kept >= 0 ? load_block(job->dstate + kept * job->ldds + c, full, m) : v_set(0.0f);
        UNROLL
        for (int k = 0; k < CONV_TAPS; k++) {
            g = v_fma(tap[k], next[CONV_TAPS - 1 - k], g);
        }
        store_block(s >= 0 ? job->dx + s * job->lddx + c : job->dstate + (s + CONV_TAPS) * job->ldds + c, full, m, g);
        if (s >= 0 && s % MBK_GRAD_ROWS == 0) {
            conv_flush(job, sum, c, full, m);
        }
    }
}

static void vec_conv_grad(const conv_grad_job *job, int64_t c0, int64_t c1) {
    if (job->width != CONV_TAPS) {
        ref_conv_grad(job, c0, c1);
        return;
    }
    int64_t c = c0;
    for (; c + VL <= c1; c += VL) {
        conv_grad_block(job, c, 1, v_mask(VL));
    }
    if (c < c1) {
        conv_grad_block(job, c, 0, v_mask(c1 - c));
    }
}

/* --- selective scan --------------------------------------------------------------------------------------------- */

/* States that go together through all blocks of channels, so that the sums over channels can stay vectors. */
#define GRAD_STATES 16
/* States that a pass over the rows takes. */
#define GRAD_SIDE 2

typedef struct scan_grad_rows {
    vf delta[MBK_SCAN_BLOCK], u[MBK_SCAN_BLOCK], du[MBK_SCAN_BLOCK], ds[MBK_SCAN_BLOCK];
    vf slope[MBK_SCAN_BLOCK]; /* of softplus */
    vf gate[MBK_SCAN_BLOCK];  /* dy silu'(z) */
    vf ddelta[MBK_SCAN_BLOCK], dinput[MBK_SCAN_BLOCK], s[MBK_SCAN_BLOCK];
} scan_grad_rows;

/* Sums over the channels, lane by lane, until the last block has added its own. */
typedef struct scan_grad_lanes {
    vf b[MBK_SCAN_BLOCK][GRAD_STATES];
    vf c[MBK_SCAN_BLOCK][GRAD_STATES];
} scan_grad_lanes;

INLINE void scan_grad_in(const scan_grad_job *job, scan_grad_rows *k, int64_t c, const int full, vm m, int first) {
    const vf bias = job->bias ? load_block(job->bias + c, full, m) : v_set(0.0f);
    const vf skip = first ? load_block(job->d + c, full, m) : v_set(0.0f);
    for (int64_t t = 0; t < job->rows; t++) {
        vf q = v_add(load_block(job->dt + t * job->lddt + c, full, m), bias);
        vf u = load_block(job->u + t * job->ldu + c, full, m);
        vf dy = load_block(job->dy + t * job->lddy + c, full, m);
        k->delta[t] = v_softplus(q);
        k->slope[t] = v_where_gt(q, v_set(20.0f), v_set(1.0f), v_sigmoid(q));
        k->u[t] = u;
        k->du[t] = v_mul(k->delta[t], u);
        k->ds[t] = dy;
        k->gate[t] = v_set(0.0f);
        if (job->z) {
            vf z = load_block(job->z + t * job->ldz + c, full, m);
            vf half = v_sigmoid(z);
            k->ds[t] = v_mul(dy, v_mul(z, half));
            k->gate[t] = v_mul(dy, v_silu_slope(z, half));
        }
        k->ddelta[t] = k->dinput[t] = v_set(0.0f);
        k->s[t] = v_mul(skip, u);
    }
}

/* States n, n + 1, ... of one block of channels: forwards from the saved ones, then backwards. i0 is their place in the
 * lanes; `side` is a constant. */
INLINE void scan_grad_states(const scan_grad_job *job, scan_grad_rows *k, scan_grad_lanes *lanes, int64_t n, int64_t i0,
                             int64_t c, const int full, vm m, const int side) {
    vf h[MBK_SCAN_BLOCK + 1][GRAD_SIDE];
    vf decay[MBK_SCAN_BLOCK][GRAD_SIDE];
    vf a[GRAD_SIDE];
    vf rate[GRAD_SIDE];
    vf carry[GRAD_SIDE];
    vf da[GRAD_SIDE];
    UNROLL
    for (int i = 0; i < side; i++) {
        a[i] = load_block(job->a + (n + i) * job->lda + c, full, m);
        rate[i] = v_mul(a[i], v_set(0x1.715476p+0f));
        h[0][i] = job->h ? load_block(job->h + (n + i) * job->ldh + c, full, m) : v_set(0.0f);
        carry[i] = load_block(job->dstate + (n + i) * job->ldds + c, full, m);
        da[i] = v_set(0.0f);
    }
    for (int64_t t = 0; t < job->rows; t++) {
        const float *b = job->b + t * job->ldb + n;
        const float *cc = job->c + t * job->ldc + n;
        UNROLL
        for (int i = 0; i < side; i++) {
            decay[t][i] = v_exp2_of_product(k->delta[t], rate[i]);
            h[t + 1][i] = v_fma(decay[t][i], h[t][i], v_mul(k->du[t], v_set(b[i])));
            k->s[t] = v_fma(v_set(cc[i]), h[t + 1][i], k->s[t]);
        }
    }
    for (int64_t t = job->rows - 1; t >= 0; t--) {
        const float *b = job->b + t * job->ldb + n;
        const float *cc = job->c + t * job->ldc + n;
        const vf ds = k->ds[t];
        vf ddelta = k->ddelta[t];
        vf dinput = k->dinput[t];
        UNROLL
        for (int i = 0; i < side; i++) {
            vf lam = v_fma(v_set(cc[i]), ds, carry[i]);
            lanes->c[t][i0 + i] = v_fma(ds, h[t + 1][i], lanes->c[t][i0 + i]);
            lanes->b[t][i0 + i] = v_fma(k->du[t], lam, lanes->b[t][i0 + i]);
            carry[i] = v_mul(decay[t][i], lam);
            vf through = v_mul(carry[i], h[t][i]);
            vf in = v_mul(lam, v_set(b[i]));
            dinput = v_add(dinput, in);
            ddelta = v_fma(a[i], through, v_fma(in, k->u[t], ddelta));
            da[i] = v_fma(k->delta[t], through, da[i]);
        }
        k->ddelta[t] = ddelta;
        k->dinput[t] = dinput;
    }
    UNROLL
    for (int i = 0; i < side; i++) {
        store_block(job->dstate + (n + i) * job->ldds + c, full, m, carry[i]);
        add_block(job->da + (n + i) * job->ldda + c, full, m, da[i]);
    }
}

/* Stores what the first states give and adds what later ones do: all of it is linear in the states. */
INLINE void scan_grad_out(const scan_grad_job *job, const scan_grad_rows *k, int64_t c, const int full, vm m,
                          int first) {
    const vf skip = first ? load_block(job->d + c, full, m) : v_set(0.0f);
    vf dd = v_set(0.0f);
    vf dbias = v_set(0.0f);
    for (int64_t t = 0; t < job->rows; t++) {
        float *ddt = job->ddt + t * job->ldddt + c;
        float *du = job->du + t * job->lddu + c;
        vf q = v_mul(k->slope[t], k->ddelta[t]);
        vf in = v_fma(skip, k->ds[t], v_mul(k->delta[t], k->dinput[t]));
        store_block(ddt, full, m, first ? q : v_add(q, load_block(ddt, full, m)));
        store_block(du, full, m, first ? in : v_add(in, load_block(du, full, m)));
        if (job->z) {
            float *dz = job->dz + t * job->lddz + c;
            vf g = v_mul(k->gate[t], k->s[t]);
            store_block(dz, full, m, first ? g : v_add(g, load_block(dz, full, m)));
        }
        dd = v_fma(k->ds[t], k->u[t], dd);
        dbias = v_add(dbias, q);
    }
    if (first) {
        add_block(job->dd + c, full, m, dd);
    }
    if (job->dbias) {
        add_block(job->dbias + c, full, m, dbias);
    }
}

INLINE void scan_grad_block(const scan_grad_job *job, scan_grad_lanes *lanes, int64_t n0, int64_t n1, int64_t c,
                            const int full, vm m) {
    scan_grad_rows k;
    scan_grad_in(job, &k, c, full, m, n0 == 0);
    int64_t n = n0;
    for (; n + GRAD_SIDE <= n1; n += GRAD_SIDE) {
        scan_grad_states(job, &k, lanes, n, n - n0, c, full, m, GRAD_SIDE);
    }
    for (; n < n1; n++) {
        scan_grad_states(job, &k, lanes, n, n - n0, c, full, m, 1);
    }
    scan_grad_out(job, &k, c, full, m, n0 == 0);
}

static void scan_grad_full(const scan_grad_job *job, scan_grad_lanes *lanes, int64_t n0, int64_t n1, int64_t c) {
    scan_grad_block(job, lanes, n0, n1, c, 1, v_mask(VL));
}
static void scan_grad_tail(const scan_grad_job *job, scan_grad_lanes *lanes, int64_t n0, int64_t n1, int64_t c, vm m) {
    scan_grad_block(job, lanes, n0, n1, c, 0, m);
}

static void vec_scan_grad(const scan_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t n0 = 0; n0 < job->n; n0 += GRAD_STATES) {
        int64_t n1 = n0 + GRAD_STATES < job->n ? n0 + GRAD_STATES : job->n;
        scan_grad_lanes lanes;
        for (int64_t t = 0; t < job->rows; t++) {
            for (int64_t i = 0; i < n1 - n0; i++) {
                lanes.b[t][i] = lanes.c[t][i] = v_set(0.0f);
            }
        }
        int64_t c = c0;
        for (; c + VL <= c1; c += VL) {
            scan_grad_full(job, &lanes, n0, n1, c);
        }
        if (c < c1) {
            scan_grad_tail(job, &lanes, n0, n1, c, v_mask(c1 - c));
        }
        for (int64_t t = 0; t < job->rows; t++) {
            for (int64_t i = 0; i < n1 - n0; i++) {
                job->part_b[t * job->n + n0 + i] = v_sum(lanes.b[t][i]);
                job->part_c[t * job->n + n0 + i] = v_sum(lanes.c[t][i]);
            }
        }
    }
}
