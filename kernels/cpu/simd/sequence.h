/* sequence.h - causal convolution and selective scan of a vector level, over blocks of VL channels. Include after its
 * vec.h and simd/math.h, with BESIDE, how many vectors go through an elementary function side by side: an even number,
 * where their chains are what the processor waits for, or 1; and BLOCKS_BESIDE, the same for the states of one row. */

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

INLINE void conv_blocks(const conv_job *job, const float *const *row, float *y, int64_t c, const int full, vm m,
                        const int count) {
    vf sum[BESIDE];
    UNROLL
    for (int i = 0; i < count; i++) {
        sum[i] = job->bias ? load_block(job->bias + c + i * VL, full, m) : v_set(0.0f);
    }
    for (int64_t k = 0; k < job->width; k++) {
        UNROLL
        for (int i = 0; i < count; i++) {
            vf w = load_block(job->w + k * job->ldw + c + i * VL, full, m);
            sum[i] = v_fma(w, load_block(row[k] + c + i * VL, full, m), sum[i]);
        }
    }
    v_silus(sum, sum, count);
    UNROLL
    for (int i = 0; i < count; i++) {
        store_block(y + c + i * VL, full, m, sum[i]);
    }
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
        for (; c + BESIDE * VL <= c1; c += BESIDE * VL) {
            conv_blocks(job, row, y, c, 1, v_mask(VL), BESIDE);
        }
        for (; c + VL <= c1; c += VL) {
            conv_blocks(job, row, y, c, 1, v_mask(VL), 1);
        }
        if (c < c1) {
            conv_blocks(job, row, y, c, 0, v_mask(c1 - c), 1);
        }
    }
}

/* Rows that one block of channels walks before the next block: their lines stay in the first-level cache. */
#define SCAN_ROWS 32
/* States that fit the scan's block on the stack, with their rates of decay; more stay in the tensor. */
#define SCAN_STACK 64

/* What one block of channels needs of its rows, or one row of its blocks: the steps in base 2, the steps times the
 * input, and the sums over the states. */
typedef struct scan_block {
    vf delta[SCAN_ROWS];
    vf du[SCAN_ROWS];
    vf sum[SCAN_ROWS];
} scan_block;

/* Rows t on, in entries `at` on; `down` and `right` are what a further entry is: a row, or a block in the same row. */
INLINE void scan_steps(const scan_job *job, scan_block *k, int64_t at, int64_t t, int64_t c, const int down,
                       const int right, const int full, vm m, const int count) {
    vf q[BESIDE];
    UNROLL
    for (int i = 0; i < count; i++) {
        const int64_t from = c + i * right * VL;
        const vf bias = job->bias ? load_block(job->bias + from, full, m) : v_set(0.0f);
        q[i] = v_add(load_block(job->dt + (t + i * down) * job->lddt + from, full, m), bias);
    }
    v_softpluses(q, k->delta + at, count);
    UNROLL
    for (int i = 0; i < count; i++) {
        const float *u = job->u + (t + i * down) * job->ldu + c + i * right * VL;
        k->du[at + i] = v_mul(k->delta[at + i], load_block(u, full, m));
        k->delta[at + i] = v_mul(k->delta[at + i], v_set(LOG2E));
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

/* Entries [0, N), `SIDE` at a time: CALL(how many) from i on. */
#define SCAN_ENTRIES(CALL, N, SIDE)                                                                                    \
    do {                                                                                                               \
        int64_t i = 0;                                                                                                 \
        for (; i + (SIDE) <= (N); i += (SIDE)) {                                                                       \
            CALL(SIDE);                                                                                                \
        }                                                                                                              \
        for (; i < (N); i++) {                                                                                         \
            CALL(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* States of one row from an even one on; `count` is a constant. */
INLINE void near_states(vf delta, const vf *rate, vf du, vf *h, const float *b, const float *cc, vf *sum,
                        const int count) {
    UNROLL
    for (int i = 0; i < count; i++) {
        h[i] = v_fma(v_exp2_of_product(delta, rate[i]), h[i], v_mul(du, v_set(b[i])));
        sum[i & 1] = v_fma(v_set(cc[i]), h[i], sum[i & 1]);
    }
}

/* The recurrence. Between rows the states live in registers, for a constant number `fixed`, else side by side on the
 * stack, since rows of the state tensor lie where they get into each other's way; or, if there are many, in the tensor.
 * Even and odd states are summed apart: half as long a chain. */
INLINE void scan_states(const scan_job *job, scan_block *k, int64_t t0, int64_t rows, int64_t c, const int full, vm m,
                        const int fixed) {
    const int64_t n = fixed ? fixed : job->n;
    vf rate[SCAN_STACK];
    vf h[16];
    vf near[SCAN_STACK];
    const int kept = !fixed && n <= SCAN_STACK;
    for (int64_t i = 0; kept && i < n; i++) {
        near[i] = load_block(job->state + i * job->lds + c, full, m);
    }
    for (int64_t i = 0; i < n && i < SCAN_STACK; i++) {
        rate[i] = load_block(job->a + i * job->lda + c, full, m);
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
            near_states(delta, rate, du, h, b, cc, sum, fixed);
        } else if (kept) {
            int64_t i = 0;
            for (; i + 8 <= n; i += 8) {
                near_states(delta, rate + i, du, near + i, b + i, cc + i, sum, 8);
            }
            for (; i + 2 <= n; i += 2) {
                near_states(delta, rate + i, du, near + i, b + i, cc + i, sum, 2);
            }
            if (i < n) {
                near_states(delta, rate + i, du, near + i, b + i, cc + i, sum, 1);
            }
        } else {
            for (int64_t i = 0; i < n; i++) {
                float *state = job->state + i * job->lds + c;
                vf r = i < SCAN_STACK ? rate[i] : load_block(job->a + i * job->lda + c, full, m);
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

/* As scan_steps. */
INLINE void scan_outputs(const scan_job *job, const scan_block *k, int64_t at, int64_t t, int64_t c, const int down,
                         const int right, const int full, vm m, const int count) {
    vf s[BESIDE];
    UNROLL
    for (int i = 0; i < count; i++) {
        const int64_t from = c + i * right * VL;
        const vf u = load_block(job->u + (t + i * down) * job->ldu + from, full, m);
        s[i] = v_fma(load_block(job->d + from, full, m), u, k->sum[at + i]);
    }
    if (job->z) {
        vf z[BESIDE];
        UNROLL
        for (int i = 0; i < count; i++) {
            z[i] = load_block(job->z + (t + i * down) * job->ldz + c + i * right * VL, full, m);
        }
        v_silus(z, z, count);
        UNROLL
        for (int i = 0; i < count; i++) {
            s[i] = v_mul(s[i], z[i]);
        }
    }
    UNROLL
    for (int i = 0; i < count; i++) {
        store_block(job->y + (t + i * down) * job->ldy + c + i * right * VL, full, m, s[i]);
    }
}

/* One block of channels, at most SCAN_ROWS rows. Three passes: the steps and the gates of many rows are independent of
 * each other and overlap, which their long chains would not between two rows of the recurrence. */
INLINE void scan_rows(const scan_job *job, int64_t t0, int64_t rows, int64_t c, const int full, vm m, const int fixed) {
    scan_block k;
#define STEPS(COUNT) scan_steps(job, &k, i, t0 + i, c, 1, 0, full, m, COUNT)
    SCAN_ENTRIES(STEPS, rows, BESIDE);
    scan_states(job, &k, t0, rows, c, full, m, fixed);
#define OUTPUTS(COUNT) scan_outputs(job, &k, i, t0 + i, c, 1, 0, full, m, COUNT)
    SCAN_ENTRIES(OUTPUTS, rows, BESIDE);
#undef STEPS
#undef OUTPUTS
}

static void scan_16(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 16);
}
static void scan_8(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 8);
}

static void scan_any(const scan_job *job, int64_t t0, int64_t rows, int64_t c) {
    scan_rows(job, t0, rows, c, 1, v_mask(VL), 0);
}

/* One state of a few blocks, in the tensor. */
INLINE void far_states(const float *a, float *state, const vf *delta, const vf *du, vf b, vf cc, vf *sum,
                       const int first, const int count) {
    vf rate[BLOCKS_BESIDE];
    vf decay[BLOCKS_BESIDE];
    UNROLL
    for (int i = 0; i < count; i++) {
        rate[i] = v_load(a + i * VL);
    }
    v_exp2_of_products(delta, 1, rate, decay, count);
    UNROLL
    for (int i = 0; i < count; i++) {
        vf h = v_fma(decay[i], v_load(state + i * VL), v_mul(du[i], b));
        v_store(state + i * VL, h);
        sum[i] = v_fma(cc, h, first ? v_set(0.0f) : sum[i]);
    }
}

/* State n of one row; `first` of its sums is a constant. */
INLINE void across_state(const scan_job *job, const scan_block *k, vf *sum, int64_t t, int64_t c, int64_t blocks,
                         int64_t n, const int first) {
    const vf b = v_set(job->b[t * job->ldb + n]);
    const vf cc = v_set(job->c[t * job->ldc + n]);
    const float *a = job->a + n * job->lda + c;
    float *state = job->state + n * job->lds + c;
#define STATES(COUNT) far_states(a + i * VL, state + i * VL, k->delta + i, k->du + i, b, cc, sum + i, first, COUNT)
    SCAN_ENTRIES(STATES, blocks, BLOCKS_BESIDE);
#undef STATES
}

/* One row of at most SCAN_ROWS full blocks, state by state: decay rates and states are read in the order of memory, and
 * the blocks' chains overlap. The same operations in the same order for each channel. */
static void scan_across(const scan_job *job, int64_t t, int64_t c, int64_t blocks) {
    const vm all = v_mask(VL);
    scan_block k;
    vf odd[SCAN_ROWS];
#define STEPS(COUNT) scan_steps(job, &k, i, t, c + i * VL, 0, 1, 1, all, COUNT)
    SCAN_ENTRIES(STEPS, blocks, BESIDE);
    across_state(job, &k, k.sum, t, c, blocks, 0, 1);
    if (job->n > 1) {
        across_state(job, &k, odd, t, c, blocks, 1, 1);
        for (int64_t n = 2; n < job->n; n++) {
            across_state(job, &k, n & 1 ? odd : k.sum, t, c, blocks, n, 0);
        }
        for (int64_t i = 0; i < blocks; i++) {
            k.sum[i] = v_add(k.sum[i], odd[i]);
        }
    }
#define OUTPUTS(COUNT) scan_outputs(job, &k, i, t, c + i * VL, 0, 1, 1, all, COUNT)
    SCAN_ENTRIES(OUTPUTS, blocks, BESIDE);
#undef STEPS
#undef OUTPUTS
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
    void (*block)(const scan_job *job, int64_t t0, int64_t rows, int64_t c) = job->n == 16  ? scan_16
                                                                              : job->n == 8 ? scan_8
                                                                                            : scan_any;
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
