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
/* States that fit the scan's block on the stack, with their decay rates in base 2; more stay in the tensor and their
 * rates are scaled again in every row, with the same result. */
#define SCAN_STACK 64

/* What one block of channels needs of its rows, or one row of its blocks: the steps, the steps times the input, and the
 * sums over the states. */
typedef struct scan_block {
    vf delta[SCAN_ROWS];
    vf du[SCAN_ROWS];
    vf sum[SCAN_ROWS];
} scan_block;

INLINE void scan_steps(const scan_job *job, scan_block *k, int64_t at, int64_t t0, int64_t rows, int64_t c,
                       const int full, vm m) {
    const vf bias = job->bias ? load_block(job->bias + c, full, m) : v_set(0.0f);
    for (int64_t i = 0; i < rows; i++) {
        vf q = load_block(job->dt + (t0 + i) * job->lddt + c, full, m);
        k->delta[at + i] = v_softplus(v_add(q, bias));
        k->du[at + i] = v_mul(k->delta[at + i], load_block(job->u + (t0 + i) * job->ldu + c, full, m));
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

/* The recurrence. Between rows the states live in registers, for a constant number `fixed`, else side by side on the
 * stack, since rows of the state tensor lie where they get into each other's way; or, if there are many, in the tensor.
 * Even and odd states are summed apart: half as long a chain. */
INLINE void scan_states(const scan_job *job, scan_block *k, int64_t t0, int64_t rows, int64_t c, const int full, vm m,
                        const int fixed) {
    const int64_t n = fixed ? fixed : job->n;
    const vf log2e = v_set(0x1.715476p+0f);
    vf rate[SCAN_STACK];
    vf h[16];
    vf near[SCAN_STACK];
    const int kept = !fixed && n <= SCAN_STACK;
    for (int64_t i = 0; kept && i < n; i++) {
        near[i] = load_block(job->state + i * job->lds + c, full, m);
    }
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
        } else if (kept) {
            for (int64_t i = 0; i < n; i++) {
                near[i] = v_fma(v_exp2_of_product(delta, rate[i]), near[i], v_mul(du, v_set(b[i])));
                sum[i & 1] = v_fma(v_set(cc[i]), near[i], sum[i & 1]);
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
    for (int64_t i = 0; kept && i < n; i++) {
        store_block(job->state + i * job->lds + c, full, m, near[i]);
    }
}

INLINE void scan_outputs(const scan_job *job, const scan_block *k, int64_t at, int64_t t0, int64_t rows, int64_t c,
                         const int full, vm m) {
    const vf skip = load_block(job->d + c, full, m);
    for (int64_t i = 0; i < rows; i++) {
        vf s = v_fma(skip, load_block(job->u + (t0 + i) * job->ldu + c, full, m), k->sum[at + i]);
        if (job->z) {
            s = v_mul(s, v_silu(load_block(job->z + (t0 + i) * job->ldz + c, full, m)));
        }
        store_block(job->y + (t0 + i) * job->ldy + c, full, m, s);
    }
}

/* One block of channels, at most SCAN_ROWS rows. Three passes: the steps and the gates of many rows are independent of
 * each other and overlap, which their long chains would not between two rows of the recurrence. */
INLINE void scan_rows(const scan_job *job, int64_t t0, int64_t rows, int64_t c, const int full, vm m, const int fixed) {
    scan_block k;
    scan_steps(job, &k, 0, t0, rows, c, full, m);
    scan_states(job, &k, t0, rows, c, full, m, fixed);
    scan_outputs(job, &k, 0, t0, rows, c, full, m);
}

#if SCAN_IN_REGISTERS
static void scan_16(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 16);
}
static void scan_8(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 8);
}
#endif

static void scan_any(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 0);
}

/* One row of at most SCAN_ROWS full blocks, state by state: decay rates and states are read in the order of memory, and
 * the blocks' chains overlap. The same operations in the same order for each channel. */
static void scan_across(const scan_job *job, int64_t t, int64_t c, int64_t blocks) {
    const vf log2e = v_set(0x1.715476p+0f);
    const vm all = v_mask(VL);
    scan_block k;
    vf odd[SCAN_ROWS];
    for (int64_t i = 0; i < blocks; i++) {
        scan_steps(job, &k, i, t, 1, c + i * VL, 1, all);
        k.sum[i] = odd[i] = v_set(0.0f);
    }
    for (int64_t n = 0; n < job->n; n++) {
        const vf b = v_set(job->b[t * job->ldb + n]);
        const vf cc = v_set(job->c[t * job->ldc + n]);
        const float *a = job->a + n * job->lda + c;
        float *state = job->state + n * job->lds + c;
        vf *sum = n & 1 ? odd : k.sum;
        for (int64_t i = 0; i < blocks; i++) {
            vf decay = v_exp2_of_product(k.delta[i], v_mul(v_load(a + i * VL), log2e));
            vf h = v_fma(decay, v_load(state + i * VL), v_mul(k.du[i], b));
            v_store(state + i * VL, h);
            sum[i] = v_fma(cc, h, sum[i]);
        }
    }
    for (int64_t i = 0; i < blocks; i++) {
        k.sum[i] = v_add(k.sum[i], odd[i]);
        scan_outputs(job, &k, i, t, 1, c + i * VL, 1, all);
    }
}

static void scan_tail(const scan_job *job, int64_t t0, int64_t rows, int64_t c, vm m) {
    scan_rows(job, t0, rows, c, 0, m, 0);
}

/* Rows from which on a block keeps its states in registers from row to row. */
#define SCAN_FEW 4

static void scan_few(const scan_job *job, int64_t c0, int64_t c1) {
    int64_t c = c0;
    for (int64_t blocks; (blocks = (c1 - c) / VL) > 0; c += blocks * VL) {
        blocks = blocks < SCAN_ROWS ? blocks : SCAN_ROWS;
        for (int64_t t = 0; t < job->rows; t++) {
            scan_across(job, t, c, blocks);
        }
    }
    if (c < c1) {
        scan_tail(job, 0, job->rows, c, v_mask(c1 - c));
    }
}

static void vec_scan(const scan_job *job, int64_t c0, int64_t c1) {
    if (job->rows < SCAN_FEW) {
        scan_few(job, c0, c1);
        return;
    }
    void (*block)(const scan_job *job, int64_t t0, int64_t rows, int64_t c) = scan_any;
#if SCAN_IN_REGISTERS
    block = job->n == 16 ? scan_16 : job->n == 8 ? scan_8 : scan_any;
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
