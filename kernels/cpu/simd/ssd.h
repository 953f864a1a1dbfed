/* ssd.h - the state space dual form of a vector level: small matrix products whose right sides lie in the first-level
 * cache. Include after its vec.h, simd/math.h, simd/rows.h and simd/sequence.h, with SSD_WIDE, the vectors of a
 * register tile of SSD_TALL rows. Every element has a chain of its own, so tiles may be cut anywhere. */

#define SSD_TALL 6
#define SSD_Q MBK_SSD_BLOCK

/* acc (tall, wide) += L (tall, count) R (count, wide vectors); L's element (r, k) at l[r lr + k lk]. */
INLINE void ssd_chain(vf acc[SSD_TALL][SSD_WIDE], const float *l, int64_t lr, int64_t lk, const float *right,
                      int64_t ldr, int64_t count, const int tall, const int wide, const int full, vm m) {
    for (int64_t k = 0; k < count; k++) {
        vf r[SSD_WIDE];
        UNROLL
        for (int v = 0; v < wide; v++) {
            r[v] = load_block(right + k * ldr + v * VL, full, m);
        }
        UNROLL
        for (int i = 0; i < tall; i++) {
            const vf left = v_set(l[i * lr + k * lk]);
            UNROLL
            for (int v = 0; v < wide; v++) {
                acc[i][v] = v_fma(left, r[v], acc[i][v]);
            }
        }
    }
}

/* --- products of C and B ------------------------------------------------------------------------------------------ */

/* States that are turned at once. */
#define SSD_SLICE 64

/* Rows [i, i + tall) of the products, columns [j, j + wide VL), over the states of one slice. */
INLINE void dots_tile(const ssd_dots_job *job, const float *turned, int64_t from, int64_t count, int64_t i, int64_t j,
                      const int tall, const int wide) {
    vf acc[SSD_TALL][SSD_WIDE];
    float *out = job->dots + i * SSD_Q + j;
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            acc[r][v] = from ? v_load(out + r * SSD_Q + v * VL) : v_set(0.0f);
        }
    }
    ssd_chain(acc, job->c + (i - job->from) * job->ldc + from, job->ldc, 1, turned + j, SSD_Q, count, tall, wide, 1,
              v_mask(VL));
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            v_store(out + r * SSD_Q + v * VL, acc[r][v]);
        }
    }
}

static void vec_ssd_dots(const ssd_dots_job *job) {
    float turned[SSD_SLICE * SSD_Q];
    const int64_t wide = (job->to + SSD_WIDE * VL - 1) / (SSD_WIDE * VL) * (SSD_WIDE * VL);
    for (int64_t from = 0; from < job->n; from += SSD_SLICE) {
        const int64_t count = job->n - from < SSD_SLICE ? job->n - from : SSD_SLICE;
        for (int64_t n = 0; n < count; n++) {
            for (int64_t j = 0; j < wide; j++) {
                turned[n * SSD_Q + j] = j < job->to ? job->b[j * job->ldb + from + n] : 0.0f;
            }
        }
        for (int64_t i = job->from, tall; i < job->to; i += tall) {
            tall = job->to - i >= SSD_TALL ? SSD_TALL : 1;
            for (int64_t j = 0; j < i + tall; j += SSD_WIDE * VL) {
                if (tall == SSD_TALL) {
                    dots_tile(job, turned, from, count, i, j, SSD_TALL, SSD_WIDE);
                } else {
                    dots_tile(job, turned, from, count, i, j, 1, SSD_WIDE);
                }
            }
        }
    }
}

/* --- one head ----------------------------------------------------------------------------------------------------- */

/* exp(lam_i - lam_j) for the VL rows j from `from` on; i as a pair of numbers. */
INLINE vf ssd_decay(const float *lam, int64_t from, vf high, vf low) {
    vf h = v_sub(high, v_load(lam + from));
    vf l = v_sub(low, v_load(lam + SSD_Q + from));
    return v_exp(v_add(h, l));
}

/* Steps, lam and delta x of the rows that have come. */
static void ssd_enter(const ssd_head_job *job) {
    float delta[SSD_Q];
    const int64_t rows = job->to - job->from;
    for (int64_t i = 0; i < rows; i++) {
        delta[i] = job->dt[i * job->lddt] + job->bias;
    }
    for (int64_t i = 0; i < rows; i += VL) {
        vf d = v_softplus(load_tail(delta + i, rows - i));
        d = v_min(v_set(job->dt_max), v_max(v_set(job->dt_min), d));
        store_tail(delta + i, rows - i, d);
    }
    for (int64_t i = 0; i < rows; i++) {
        const float *x = job->x + i * job->ldx;
        float *row = job->rows + (job->from + i) * job->ldr;
        const vf d = v_set(delta[i]);
        ssd_lam(job->lam, job->from + i, delta[i], job->a);
        for (int64_t p = 0; p < job->p; p += VL) {
            store_tail(row + p, job->p - p, v_mul(d, load_tail(x + p, job->p - p)));
        }
    }
}

/* weight (rows, SSD_Q): of row j in row i; and what is left of the state in each row. */
static void ssd_weights(const ssd_head_job *job, float *weight, float *left) {
    for (int64_t i = job->from; i < job->to; i++) {
        const vf high = v_set(job->lam[i]);
        const vf low = v_set(job->lam[SSD_Q + i]);
        for (int64_t j = 0; j <= i; j += VL) {
            vf w = v_mul(v_load(job->dots + i * SSD_Q + j), ssd_decay(job->lam, j, high, low));
            v_store(weight + (i - job->from) * SSD_Q + j, w);
        }
    }
    for (int64_t i = 0; i < SSD_Q; i += VL) {
        v_store(left + i, v_exp(v_add(v_load(job->lam + i), v_load(job->lam + SSD_Q + i))));
    }
}

/* Rows [i, i + tall) of the result, `wide` vectors of channels from p on. */
INLINE void head_tile(const ssd_head_job *job, const float *weight, const float *left, int64_t i, int64_t p,
                      const int tall, const int wide, const int full, vm m) {
    vf acc[SSD_TALL][SSD_WIDE];
    const int64_t t = i - job->from;
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            acc[r][v] = v_set(0.0f);
        }
    }
    ssd_chain(acc, job->c + t * job->ldc, job->ldc, 1, job->state + p, job->lds, job->n, tall, wide, full, m);
    UNROLL
    for (int r = 0; r < tall; r++) {
        const vf rest = v_set(left[i + r]);
        UNROLL
        for (int v = 0; v < wide; v++) {
            acc[r][v] = v_mul(acc[r][v], rest);
        }
    }
    ssd_chain(acc, weight + t * SSD_Q, SSD_Q, 1, job->rows + p, job->ldr, i, tall, wide, full, m);
    /* The triangle: no row meets a later one, not even as zero times what may be infinite. */
    UNROLL
    for (int k = 0; k < tall; k++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            const vf x = load_block(job->rows + (i + k) * job->ldr + p + v * VL, full, m);
            UNROLL
            for (int r = 0; r < tall; r++) {
                if (r >= k) {
                    acc[r][v] = v_fma(v_set(weight[(t + r) * SSD_Q + i + k]), x, acc[r][v]);
                }
            }
        }
    }
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            const int64_t at = p + v * VL;
            if (job->d) {
                const vf d = job->wide ? load_block(job->d + at, full, m) : v_set(job->d[0]);
                acc[r][v] = v_fma(d, load_block(job->x + (t + r) * job->ldx + at, full, m), acc[r][v]);
            }
            store_block(job->y + (t + r) * job->ldy + at, full, m, acc[r][v]);
        }
    }
}

/* exp(lam_last) S + B^T rows, rows [n, n + tall) of the state. */
INLINE void state_tile(const ssd_head_job *job, float all, int64_t n, int64_t p, const int tall, const int wide,
                       const int full, vm m) {
    vf acc[SSD_TALL][SSD_WIDE];
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            acc[r][v] = v_mul(v_set(all), load_block(job->state + (n + r) * job->lds + p + v * VL, full, m));
        }
    }
    ssd_chain(acc, job->b + n, 1, job->ldb, job->rows + p, job->ldr, SSD_Q, tall, wide, full, m);
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            store_block(job->state + (n + r) * job->lds + p + v * VL, full, m, acc[r][v]);
        }
    }
}

#define SSD_TILES(NAME, WIDE, FULL)                                                                                    \
    static void head_##NAME(const ssd_head_job *job, const float *weight, const float *left, int64_t p, vm m) {        \
        int64_t i = job->from;                                                                                         \
        for (; i + SSD_TALL <= job->to; i += SSD_TALL) {                                                               \
            head_tile(job, weight, left, i, p, SSD_TALL, WIDE, FULL, m);                                               \
        }                                                                                                              \
        for (; i < job->to; i++) {                                                                                     \
            head_tile(job, weight, left, i, p, 1, WIDE, FULL, m);                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void state_##NAME(const ssd_head_job *job, float all, int64_t p, vm m) {                                    \
        int64_t n = 0;                                                                                                 \
        for (; n + SSD_TALL <= job->n; n += SSD_TALL) {                                                                \
            state_tile(job, all, n, p, SSD_TALL, WIDE, FULL, m);                                                       \
        }                                                                                                              \
        for (; n < job->n; n++) {                                                                                      \
            state_tile(job, all, n, p, 1, WIDE, FULL, m);                                                              \
        }                                                                                                              \
    }
SSD_TILES(wide, SSD_WIDE, 1)
SSD_TILES(one, 1, 1)
SSD_TILES(tail, 1, 0)
#undef SSD_TILES

/* The block is full: its rows go into the state. */
static void ssd_full(const ssd_head_job *job, float all) {
    const vf high = v_set(job->lam[SSD_Q - 1]);
    const vf low = v_set(job->lam[2 * SSD_Q - 1]);
    float rest[SSD_Q];
    for (int64_t j = 0; j < SSD_Q; j += VL) {
        v_store(rest + j, ssd_decay(job->lam, j, high, low));
    }
    for (int64_t j = 0; j < SSD_Q; j++) {
        float *row = job->rows + j * job->ldr;
        for (int64_t p = 0; p < job->p; p += VL) {
            store_tail(row + p, job->p - p, v_mul(v_set(rest[j]), load_tail(row + p, job->p - p)));
        }
    }
    int64_t p = 0;
    for (; p + SSD_WIDE * VL <= job->p; p += SSD_WIDE * VL) {
        state_wide(job, all, p, v_mask(VL));
    }
    for (; p + VL <= job->p; p += VL) {
        state_one(job, all, p, v_mask(VL));
    }
    if (p < job->p) {
        state_tail(job, all, p, v_mask(job->p - p));
    }
}

static void vec_ssd_head(const ssd_head_job *job) {
    float weight[SSD_Q * SSD_Q];
    float left[SSD_Q];
    ssd_enter(job);
    ssd_weights(job, weight, left);
    int64_t p = 0;
    for (; p + SSD_WIDE * VL <= job->p; p += SSD_WIDE * VL) {
        head_wide(job, weight, left, p, v_mask(VL));
    }
    for (; p + VL <= job->p; p += VL) {
        head_one(job, weight, left, p, v_mask(VL));
    }
    if (p < job->p) {
        head_tail(job, weight, left, p, v_mask(job->p - p));
    }
    if (job->to == SSD_Q) {
        ssd_full(job, left[SSD_Q - 1]);
    }
}

/* --- any small product -------------------------------------------------------------------------------------------- */

INLINE void product_tile(const product_job *job, int64_t i, int64_t j, const int tall, const int wide, const int full,
                         vm m) {
    vf acc[SSD_TALL][SSD_WIDE];
    float *out = job->out + i * job->ldo + j;
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            acc[r][v] = job->accumulate ? load_block(out + r * job->ldo + v * VL, full, m) : v_set(0.0f);
        }
    }
    ssd_chain(acc, job->l + i * job->li, job->li, job->lt, job->r + j, job->ldr, job->k, tall, wide, full, m);
    UNROLL
    for (int r = 0; r < tall; r++) {
        UNROLL
        for (int v = 0; v < wide; v++) {
            store_block(out + r * job->ldo + v * VL, full, m, acc[r][v]);
        }
    }
}

#define PRODUCT_ROWS(NAME, WIDE, FULL)                                                                                 \
    static void NAME(const product_job *job, int64_t j, vm m) {                                                        \
        int64_t i = 0;                                                                                                 \
        for (; i + SSD_TALL <= job->m; i += SSD_TALL) {                                                                \
            product_tile(job, i, j, SSD_TALL, WIDE, FULL, m);                                                          \
        }                                                                                                              \
        for (; i < job->m; i++) {                                                                                      \
            product_tile(job, i, j, 1, WIDE, FULL, m);                                                                 \
        }                                                                                                              \
    }
PRODUCT_ROWS(product_wide, SSD_WIDE, 1)
PRODUCT_ROWS(product_one, 1, 1)
PRODUCT_ROWS(product_tail, 1, 0)
#undef PRODUCT_ROWS

static void vec_product(const product_job *job) {
    int64_t j = 0;
    for (; j + SSD_WIDE * VL <= job->n; j += SSD_WIDE * VL) {
        product_wide(job, j, v_mask(VL));
    }
    for (; j + VL <= job->n; j += VL) {
        product_one(job, j, v_mask(VL));
    }
    if (j < job->n) {
        product_tail(job, j, v_mask(job->n - j));
    }
}
