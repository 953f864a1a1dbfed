/* sequence.h - causal convolution and selective scan of a vector level, over blocks of VL channels. Include after its
 * vec.h and simd/math.h, with SCAN_IN_REGISTERS telling whether it has registers for the usual 16 states. */

#define INLINE static inline __attribute__((always_inline))

/* VL channels, or the first few of them; `full` is a constant in every caller. */
INLINE vf load_block(const float *p, const int full, vm m) {
    return full ? v_load(p) : v_load_some(p, m);
}
INLINE void store_block(float *p, const int full, vm m, vf x) {
    if (full) {
        v_store(p, x);
    } else {
        v_store_some(p, m, x);
    }
}

INLINE void conv_block(const conv_job *job, const float *const *row, float *y, int64_t c, const int full, vm m) {
    vf sum = job->bias ? load_block(job->bias + c, full, m) : v_set(0.0f);
    for (int64_t k = 0; k < job->width; k++) {
        sum = v_fma(load_block(job->w + k * job->ldw + c, full, m), load_block(row[k] + c, full, m), sum);
    }
    store_block(y + c, full, m, v_silu(sum));
}

static void vec_conv(const conv_job *job, int64_t c0, int64_t c1) {
    for (int64_t t = 0; t < job->rows; t++) {
        const float *row[MBK_CONV_MAX];
        for (int64_t k = 0; k < job->width; k++) {
            int64_t from = t - job->width + 1 + k;
            row[k] = from < 0 ? job->state + (job->width + from) * job->lds : job->x + from * job->ldx;
        }
        float *y = job->y + t * job->ldy;
        int64_t c = c0;
        for (; c + VL <= c1; c += VL) {
            conv_block(job, row, y, c, 1, v_mask(VL));
        }
        if (c < c1) {
            conv_block(job, row, y, c, 0, v_mask(c1 - c));
        }
    }
}

/* Rows that one block of channels walks before the next block: their lines stay in the first-level cache. */
#define SCAN_ROWS 32
/* States whose decay rates, in base 2, fit the scan's small block on the stack; more are scaled again in every row,
 * with the same result. */
#define SCAN_STACK 32

/* What one block of channels needs of its rows: the steps, the steps times the input, and the sums over the states. */
typedef struct scan_block {
    vf delta[SCAN_ROWS];
    vf du[SCAN_ROWS];
    vf sum[SCAN_ROWS];
} scan_block;

INLINE void scan_steps(const scan_job *job, scan_block *k, int64_t t0, int64_t rows, int64_t c, const int full, vm m) {
    const vf bias = job->bias ? load_block(job->bias + c, full, m) : v_set(0.0f);
    for (int64_t i = 0; i < rows; i++) {
        vf q = load_block(job->dt + (t0 + i) * job->lddt + c, full, m);
        k->delta[i] = v_softplus(v_add(q, bias));
        k->du[i] = v_mul(k->delta[i], load_block(job->u + (t0 + i) * job->ldu + c, full, m));
    }
}

/* Asks for the lines that the next block of channels reads in row t: a stride that the processor does not foresee. */
INLINE void fetch_ahead(const scan_job *job, int64_t t, int64_t c) {
    _mm_prefetch((const char *)(job->u + t * job->ldu + c), _MM_HINT_T0);
    _mm_prefetch((const char *)(job->dt + t * job->lddt + c), _MM_HINT_T0);
    _mm_prefetch((const char *)(job->y + t * job->ldy + c), _MM_HINT_T0);
    if (job->z) {
        _mm_prefetch((const char *)(job->z + t * job->ldz + c), _MM_HINT_T0);
    }
}

/* The recurrence. The states live in the state tensor between rows or, for a constant number `fixed`, in registers.
 * Even and odd states are summed apart: half as long a chain. */
INLINE void scan_states(const scan_job *job, scan_block *k, int64_t t0, int64_t rows, int64_t c, const int full, vm m,
                        const int fixed) {
    const int64_t n = fixed ? fixed : job->n;
    const vf log2e = v_set(0x1.715476p+0f);
    vf rate[SCAN_STACK];
    vf h[16];
    for (int64_t i = 0; i < n && i < SCAN_STACK; i++) {
        rate[i] = v_mul(load_block(job->a + i * job->lda + c, full, m), log2e);
    }
    UNROLL
    for (int i = 0; i < fixed; i++) {
        h[i] = load_block(job->state + i * job->lds + c, full, m);
    }
    for (int64_t t = 0; t < rows; t++) {
        const float *b = job->b + (t0 + t) * job->ldb;
        const float *cc = job->c + (t0 + t) * job->ldc;
        const vf delta = k->delta[t];
        const vf du = k->du[t];
        fetch_ahead(job, t0 + t, c + VL);
        vf sum[2] = {v_set(0.0f), v_set(0.0f)};
        if (fixed) {
            UNROLL
            for (int i = 0; i < fixed; i++) {
                h[i] = v_fma(v_exp2_of_product(delta, rate[i]), h[i], v_mul(du, v_set(b[i])));
                sum[i & 1] = v_fma(v_set(cc[i]), h[i], sum[i & 1]);
            }
        } else {
            for (int64_t i = 0; i < n; i++) {
                float *state = job->state + i * job->lds + c;
                vf r = i < SCAN_STACK ? rate[i] : v_mul(load_block(job->a + i * job->lda + c, full, m), log2e);
                vf v = v_fma(v_exp2_of_product(delta, r), load_block(state, full, m), v_mul(du, v_set(b[i])));
                store_block(state, full, m, v);
                sum[i & 1] = v_fma(v_set(cc[i]), v, sum[i & 1]);
            }
        }
        k->sum[t] = v_add(sum[0], sum[1]);
    }
    UNROLL
    for (int i = 0; i < fixed; i++) {
        store_block(job->state + i * job->lds + c, full, m, h[i]);
    }
}

INLINE void scan_outputs(const scan_job *job, const scan_block *k, int64_t t0, int64_t rows, int64_t c, const int full,
                         vm m) {
    const vf skip = load_block(job->d + c, full, m);
    for (int64_t i = 0; i < rows; i++) {
        vf s = v_fma(skip, load_block(job->u + (t0 + i) * job->ldu + c, full, m), k->sum[i]);
        if (job->z) {
            s = v_mul(s, v_silu(load_block(job->z + (t0 + i) * job->ldz + c, full, m)));
        }
        store_block(job->y + (t0 + i) * job->ldy + c, full, m, s);
    }
}

/* At most SCAN_ROWS rows of a block of channels. Three passes: the steps and the gates of many rows are independent of
 * each other and overlap, which their long chains would not between two rows of the recurrence. */
INLINE void scan_rows(const scan_job *job, int64_t t0, int64_t rows, int64_t c, const int full, vm m, const int fixed) {
    scan_block k;
    scan_steps(job, &k, t0, rows, c, full, m);
    scan_states(job, &k, t0, rows, c, full, m, fixed);
    scan_outputs(job, &k, t0, rows, c, full, m);
}

#if SCAN_IN_REGISTERS
static void scan_16(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 16);
}
#endif

static void scan_any(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 0);
}

static void scan_tail(const scan_job *job, int64_t t0, int64_t rows, int64_t c, vm m) {
    scan_rows(job, t0, rows, c, 0, m, 0);
}

static void vec_scan(const scan_job *job, int64_t c0, int64_t c1) {
    void (*block)(const scan_job *job, int64_t t0, int64_t rows, int64_t c) = scan_any;
#if SCAN_IN_REGISTERS
    /* Loading and storing sixteen states pays from some rows on. */
    block = job->n == 16 && job->rows >= 8 ? scan_16 : scan_any;
#endif
    for (int64_t t0 = 0; t0 < job->rows; t0 += SCAN_ROWS) {
        int64_t rows = job->rows - t0 < SCAN_ROWS ? job->rows - t0 : SCAN_ROWS;
        int64_t c = c0;
        for (; c + VL <= c1; c += VL) {
            block(job, t0, rows, c);
        }
        if (c < c1) {
            scan_tail(job, t0, rows, c, v_mask(c1 - c));
        }
    }
}
