/*
 * sequence_grad.h - gradients of the causal convolution and the selective scan of a vector level, over blocks of VL
 * channels. Include after simd/sequence.h. States are recomputed by the very operations of the forward pass, so that
 * they have its bits.
 */

INLINE void v_sigmoids(const vf *x, vf *out, const int count) {
    vf e[BESIDE];
    UNROLL
    for (int i = 0; i < count; i++) {
        e[i] = v_neg(x[i]);
    }
    v_exps(e, e, count);
    UNROLL
    for (int i = 0; i < count; i++) {
        out[i] = v_div(v_set(1.0f), v_add(v_set(1.0f), e[i]));
    }
}
static inline vf v_sigmoid(vf x) {
    vf y;
    v_sigmoids(&x, &y, 1);
    return y;
}

/* d softplus(q) / dq: sigmoid(q), and 1 above 20. e is e^-|q|. */
INLINE void v_softplus_slopes(const vf *q, const vf *e, vf *out, const int count) {
    UNROLL
    for (int i = 0; i < count; i++) {
        vf part = v_where_gt(q[i], v_set(0.0f), v_set(1.0f), e[i]);
        out[i] = v_where_gt(q[i], v_set(20.0f), v_set(1.0f), v_div(part, v_add(v_set(1.0f), e[i])));
    }
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
#define CONV_AHEAD 16

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

/* Rows s to s - BESIDE + 1, which neither begin nor end the sequence: as one after the other, but each row of x is read
 * once and the exponentials go side by side. */
#define CONV_LINES (BESIDE + CONV_TAPS - 1)
INLINE void conv_rows(const conv_grad_job *job, const vf *tap, vf bias, vf *next, vf *sum, int64_t s, int64_t c,
                      const int full, vm m) {
    vf x[CONV_LINES];
    vf pre[BESIDE];
    vf g[BESIDE];
    UNROLL
    for (int i = 0; i < CONV_LINES; i++) {
        x[i] = load_block(job->x + (s - i) * job->ldx + c, full, m);
    }
    UNROLL
    for (int i = 0; i < BESIDE; i++) {
        const int64_t ahead = s - i >= CONV_AHEAD ? s - i - CONV_AHEAD : 0;
        _mm_prefetch((const char *)(job->x + ahead * job->ldx + c), _MM_HINT_T0);
        _mm_prefetch((const char *)(job->dy + ahead * job->lddy + c), _MM_HINT_T0);
        __builtin_prefetch(job->dx + ahead * job->lddx + c, 1);
        pre[i] = bias;
        UNROLL
        for (int k = 0; k < CONV_TAPS; k++) {
            pre[i] = v_fma(tap[k], x[i + CONV_TAPS - 1 - k], pre[i]);
        }
    }
    v_sigmoids(pre, g, BESIDE);
    UNROLL
    for (int i = 0; i < BESIDE; i++) {
        g[i] = v_mul(load_block(job->dy + (s - i) * job->lddy + c, full, m), v_silu_slope(pre[i], g[i]));
        UNROLL
        for (int k = 0; k < CONV_TAPS; k++) {
            sum[k] = v_fma(g[i], x[i + CONV_TAPS - 1 - k], sum[k]);
        }
        sum[CONV_TAPS] = v_add(sum[CONV_TAPS], g[i]);
        UNROLL
        for (int k = CONV_TAPS - 1; k > 0; k--) {
            next[k] = next[k - 1];
        }
        next[0] = g[i];
        vf dx = v_set(0.0f);
        UNROLL
        for (int k = 0; k < CONV_TAPS; k++) {
            dx = v_fma(tap[k], next[CONV_TAPS - 1 - k], dx);
        }
        store_block(job->dx + (s - i) * job->lddx + c, full, m, dx);
    }
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
        if (BESIDE > 1 && s % BESIDE == BESIDE - 1 && s >= CONV_LINES && s < job->rows - CONV_TAPS) {
            conv_rows(job, tap, bias, next, sum, s, c, full, m);
            s -= BESIDE - 1;
            if (s % MBK_GRAD_ROWS == 0) {
                conv_flush(job, sum, c, full, m);
            }
            continue;
        }
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
/* States that a pass over the rows takes. Their sums over channels share vectors: v_fold4 of vec.h. */
#define GRAD_SIDE 4

typedef struct scan_grad_rows {
    vf delta[MBK_SCAN_BLOCK], du[MBK_SCAN_BLOCK], ds[MBK_SCAN_BLOCK];
    vf steps[MBK_SCAN_BLOCK];  /* delta in base 2 */
    vf ddelta[MBK_SCAN_BLOCK]; /* sum of A lam a h: of delta, but for the input's part */
    vf dinput[MBK_SCAN_BLOCK]; /* sum of lam B: of delta u */
    vf s[MBK_SCAN_BLOCK];
    vf slope[MBK_SCAN_BLOCK]; /* of softplus */
    vf gate[MBK_SCAN_BLOCK];  /* dy silu'(z) */
    vf most;                  /* the largest steps */
} scan_grad_rows;

/* Sums over the channels, in parts, until the last block has added its own. */
typedef struct scan_grad_lanes {
    vf b[GRAD_STATES / GRAD_SIDE][MBK_SCAN_BLOCK];
    vf c[GRAD_STATES / GRAD_SIDE][MBK_SCAN_BLOCK];
} scan_grad_lanes;

/* A row of the states that go together. */
typedef struct scan_grad_side {
    vf decay[GRAD_SIDE];
    vf h[GRAD_SIDE]; /* before the row */
} scan_grad_side;

/* Rows [t, t + count). */
INLINE void scan_grad_in_rows(const scan_grad_job *job, scan_grad_rows *k, int64_t t, int64_t c, vf bias, vf skip,
                              const int full, vm m, const int count) {
    vf q[BESIDE];
    vf x[BESIDE];
    vf e[BESIDE];
    UNROLL
    for (int i = 0; i < count; i++) {
        q[i] = v_add(load_block(job->dt + (t + i) * job->lddt + c, full, m), bias);
    }
    v_softpluses_and_exps(q, x, e, count);
    UNROLL
    for (int i = 0; i < count; i++) {
        vf u = load_block(job->u + (t + i) * job->ldu + c, full, m);
        k->delta[t + i] = x[i];
        k->steps[t + i] = v_mul(x[i], v_set(LOG2E));
        k->most = v_max(k->most, k->steps[t + i]);
        k->du[t + i] = v_mul(x[i], u);
        k->s[t + i] = v_mul(skip, u);
        k->ds[t + i] = load_block(job->dy + (t + i) * job->lddy + c, full, m);
        k->gate[t + i] = k->ddelta[t + i] = k->dinput[t + i] = v_set(0.0f);
    }
    v_softplus_slopes(q, e, k->slope + t, count);
    if (job->z) {
        vf z[BESIDE];
        UNROLL
        for (int i = 0; i < count; i++) {
            z[i] = load_block(job->z + (t + i) * job->ldz + c, full, m);
        }
        v_sigmoids(z, x, count);
        UNROLL
        for (int i = 0; i < count; i++) {
            vf dy = k->ds[t + i];
            k->ds[t + i] = v_mul(dy, v_mul(z[i], x[i]));
            k->gate[t + i] = v_mul(dy, v_silu_slope(z[i], x[i]));
        }
    }
}

INLINE void scan_grad_in(const scan_grad_job *job, scan_grad_rows *k, int64_t c, const int full, vm m, int first) {
    const vf bias = job->bias ? load_block(job->bias + c, full, m) : v_set(0.0f);
    const vf skip = first ? load_block(job->d + c, full, m) : v_set(0.0f);
    k->most = v_set(0.0f);
#define ROWS(COUNT) scan_grad_in_rows(job, k, i, c, bias, skip, full, m, COUNT)
    SCAN_ENTRIES(ROWS, job->rows, BESIDE);
#undef ROWS
}

/* What a pass over the rows asks for meanwhile: what is read and written next, of the block of channels beside it, or
 * of the first one in the rows before. The strides are such that the processor does not foresee them. */
typedef struct scan_grad_next {
    int64_t c;    /* the channel */
    int64_t back; /* rows before */
} scan_grad_next;

/* A line of each of two matrices a row. */
typedef struct scan_grad_lines {
    const float *p[2];
    int64_t step[2];
} scan_grad_lines;

/* Of the matrices that group's pass asks for. */
INLINE scan_grad_lines scan_grad_fetch(const scan_grad_job *job, const scan_grad_next *next, int64_t group) {
    const float *const of[4][2] = {{job->u, job->dt}, {job->dy, job->z}, {job->ddt, job->du}, {job->dz, NULL}};
    const int64_t ld[4][2] = {{job->ldu, job->lddt}, {job->lddy, job->ldz}, {job->ldddt, job->lddu}, {job->lddz, 0}};
    scan_grad_lines lines;
    for (int i = 0; i < 2; i++) {
        const int there = of[group & 3][i] != NULL;
        lines.step[i] = there ? ld[group & 3][i] : 0;
        lines.p[i] = there ? of[group & 3][i] + next->c - next->back * lines.step[i] : job->b;
    }
    for (int64_t n = 0; (group & 3) == 3 && job->h && n < job->n; n++) {
        _mm_prefetch((const char *)(job->h + (n - (next->back ? job->n : 0)) * job->ldh + next->c), _MM_HINT_T0);
    }
    return lines;
}

INLINE void scan_grad_ask(scan_grad_lines *lines) {
    UNROLL
    for (int i = 0; i < 2; i++) {
        _mm_prefetch((const char *)lines->p[i], _MM_HINT_T0);
        lines->p[i] += lines->step[i];
    }
}

/* All exponentials first, two states side by side where that helps: their chains fill the processor, and the
 * recurrence keeps its registers. */
INLINE void scan_grad_decays(const scan_grad_rows *k, const vf *a, scan_grad_side *row, int64_t rows, const int near,
                             const int side) {
    const int together = BESIDE > 1 && side % 2 == 0 ? 2 : 1;
    for (int64_t t = 0; t < rows; t++) {
        vf by[GRAD_SIDE];
        UNROLL
        for (int i = 0; i < side; i += together) {
            if (near) {
                v_exp2_of_near_products(&k->steps[t], 0, a + i, by + i, together);
            } else {
                v_exp2_of_products(&k->steps[t], 0, a + i, by + i, together);
            }
        }
        UNROLL
        for (int i = 0; i < side; i++) {
            row[t].decay[i] = by[i];
        }
    }
}

/* `side` states of one block of channels from n on: forwards from the saved ones, then backwards. `group` is their
 * place in the lanes; `side` is a constant. */
INLINE void scan_grad_states(const scan_grad_job *job, scan_grad_rows *k, scan_grad_lanes *lanes, int64_t n,
                             const scan_grad_next *next, int64_t group, int64_t c, const int full, vm m,
                             const int side) {
    scan_grad_side row[MBK_SCAN_BLOCK];
    vf a[GRAD_SIDE];
    vf now[GRAD_SIDE];
    vf carry[GRAD_SIDE];
    vf da[GRAD_SIDE];
    vf fastest = v_set(0.0f);
    UNROLL
    for (int i = 0; i < side; i++) {
        a[i] = load_block(job->a + (n + i) * job->lda + c, full, m);
        fastest = v_min(fastest, a[i]);
        now[i] = job->h ? load_block(job->h + (n + i) * job->ldh + c, full, m) : v_set(0.0f);
        carry[i] = load_block(job->dstate + (n + i) * job->ldds + c, full, m);
        da[i] = v_set(0.0f);
    }
    if (v_near(k->most, fastest)) {
        scan_grad_decays(k, a, row, job->rows, 1, side);
    } else {
        scan_grad_decays(k, a, row, job->rows, 0, side);
    }
    scan_grad_lines lines = scan_grad_fetch(job, next, group);
    for (int64_t t = 0; t < job->rows; t++) {
        const float *b = job->b + t * job->ldb + n;
        const float *cc = job->c + t * job->ldc + n;
        const vf du = k->du[t];
        const vf ds = k->ds[t];
        vf s = k->s[t];
        vf to_c[GRAD_SIDE];
        scan_grad_ask(&lines);
        UNROLL
        for (int i = 0; i < GRAD_SIDE; i++) {
            if (i >= side) {
                to_c[i] = v_set(0.0f);
                continue;
            }
            row[t].h[i] = now[i];
            now[i] = v_fma(row[t].decay[i], now[i], v_mul(du, v_set(b[i])));
            s = v_fma(v_set(cc[i]), now[i], s);
            to_c[i] = v_mul(ds, now[i]);
        }
        lanes->c[group][t] = v_add(lanes->c[group][t], v_fold4(to_c[0], to_c[1], to_c[2], to_c[3]));
        k->s[t] = s;
    }
    for (int64_t t = job->rows - 1; t >= 0; t--) {
        const float *b = job->b + t * job->ldb + n;
        const float *cc = job->c + t * job->ldc + n;
        const vf ds = k->ds[t];
        const vf du = k->du[t];
        const vf delta = k->delta[t];
        vf ddelta = k->ddelta[t];
        vf dinput = k->dinput[t];
        vf to_b[GRAD_SIDE];
        UNROLL
        for (int i = 0; i < GRAD_SIDE; i++) {
            if (i >= side) {
                to_b[i] = v_set(0.0f);
                continue;
            }
            vf lam = v_fma(v_set(cc[i]), ds, carry[i]);
            to_b[i] = v_mul(du, lam);
            carry[i] = v_mul(row[t].decay[i], lam);
            vf through = v_mul(carry[i], row[t].h[i]);
            dinput = v_fma(lam, v_set(b[i]), dinput);
            ddelta = v_fma(a[i], through, ddelta);
            da[i] = v_fma(delta, through, da[i]);
        }
        lanes->b[group][t] = v_add(lanes->b[group][t], v_fold4(to_b[0], to_b[1], to_b[2], to_b[3]));
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
        vf u = load_block(job->u + t * job->ldu + c, full, m);
        vf q = v_mul(k->slope[t], v_fma(k->dinput[t], u, k->ddelta[t]));
        vf in = v_fma(skip, k->ds[t], v_mul(k->delta[t], k->dinput[t]));
        store_block(ddt, full, m, first ? q : v_add(q, load_block(ddt, full, m)));
        store_block(du, full, m, first ? in : v_add(in, load_block(du, full, m)));
        if (job->z) {
            float *dz = job->dz + t * job->lddz + c;
            vf g = v_mul(k->gate[t], k->s[t]);
            store_block(dz, full, m, first ? g : v_add(g, load_block(dz, full, m)));
        }
        dd = v_fma(k->ds[t], u, dd);
        dbias = v_add(dbias, q);
    }
    if (first) {
        add_block(job->dd + c, full, m, dd);
    }
    if (job->dbias) {
        add_block(job->dbias + c, full, m, dbias);
    }
}

INLINE void scan_grad_block(const scan_grad_job *job, scan_grad_lanes *lanes, const scan_grad_next *next, int64_t n0,
                            int64_t n1, int64_t c, const int full, vm m) {
    scan_grad_rows k;
    scan_grad_in(job, &k, c, full, m, n0 == 0);
    for (int64_t n = n0, group = 0; n < n1; n += GRAD_SIDE, group++) {
        switch (n1 - n) {
        case 1:
            scan_grad_states(job, &k, lanes, n, next, group, c, full, m, 1);
            break;
        case 2:
            scan_grad_states(job, &k, lanes, n, next, group, c, full, m, 2);
            break;
        case 3:
            scan_grad_states(job, &k, lanes, n, next, group, c, full, m, 3);
            break;
        default:
            scan_grad_states(job, &k, lanes, n, next, group, c, full, m, GRAD_SIDE);
        }
    }
    scan_grad_out(job, &k, c, full, m, n0 == 0);
}

static void scan_grad_full(const scan_grad_job *job, scan_grad_lanes *lanes, const scan_grad_next *next, int64_t n0,
                           int64_t n1, int64_t c) {
    scan_grad_block(job, lanes, next, n0, n1, c, 1, v_mask(VL));
}
static void scan_grad_tail(const scan_grad_job *job, scan_grad_lanes *lanes, const scan_grad_next *next, int64_t n0,
                           int64_t n1, int64_t c, vm m) {
    scan_grad_block(job, lanes, next, n0, n1, c, 0, m);
}

/* The last few of GRAD_SIDE sums. */
static void store_some_sums(float *to, vf lanes, int64_t live) {
    float all[GRAD_SIDE];
    v_store_fold4(all, lanes);
    memcpy(to, all, (size_t)live * sizeof *to);
}

/* What the blocks have added, a number for each row and state. */
static void scan_grad_sums(const scan_grad_job *job, const scan_grad_lanes *lanes, int64_t n0, int64_t n1) {
    for (int64_t t = 0; t < job->rows; t++) {
        float *b = job->part_b + t * job->n + n0;
        float *c = job->part_c + t * job->n + n0;
        int64_t group = 0;
        for (; (group + 1) * GRAD_SIDE <= n1 - n0; group++) {
            v_store_fold4(b + group * GRAD_SIDE, lanes->b[group][t]);
            v_store_fold4(c + group * GRAD_SIDE, lanes->c[group][t]);
        }
        const int64_t live = n1 - n0 - group * GRAD_SIDE;
        if (live > 0) {
            store_some_sums(b + group * GRAD_SIDE, lanes->b[group][t], live);
            store_some_sums(c + group * GRAD_SIDE, lanes->c[group][t], live);
        }
    }
}

static void vec_scan_grad(const scan_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t n0 = 0; n0 < job->n; n0 += GRAD_STATES) {
        int64_t n1 = n0 + GRAD_STATES < job->n ? n0 + GRAD_STATES : job->n;
        scan_grad_lanes lanes;
        for (int64_t i = 0; i < GRAD_STATES / GRAD_SIDE; i++) {
            for (int64_t t = 0; t < job->rows; t++) {
                lanes.b[i][t] = lanes.c[i][t] = v_set(0.0f);
            }
        }
        int64_t c = c0;
        for (; c + VL <= c1; c += VL) {
            const scan_grad_next beside = {c + VL, 0};
            const scan_grad_next before = {c0, MBK_SCAN_BLOCK};
            scan_grad_full(job, &lanes, c + VL < c1 ? &beside : &before, n0, n1, c);
        }
        if (c < c1) {
            const scan_grad_next before = {c0, MBK_SCAN_BLOCK};
            scan_grad_tail(job, &lanes, &before, n0, n1, c, v_mask(c1 - c));
        }
        scan_grad_sums(job, &lanes, n0, n1);
    }
}
