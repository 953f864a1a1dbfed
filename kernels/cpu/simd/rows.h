/* rows.h - norms, addition, log-sum-exp and plain maps of a vector level. Include after its vec.h and simd/math.h. */

/* Lanes beyond the end of a row are zero. */
static inline vf load_tail(const float *p, int64_t live) {
    return live >= VL ? v_load(p) : v_load_some(p, v_mask(live));
}

static inline void store_tail(float *p, int64_t live, vf x) {
    if (live >= VL) {
        v_store(p, x);
    } else {
        v_store_some(p, v_mask(live), x);
    }
}

/* The sum over a row of (x - mean - rest)^2: four accumulators taken in turn, so that the order depends on the width
 * alone. */
static double squares_about(const float *x, int64_t n, vf mean, vf rest) {
    vf sum[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    int64_t j = 0;
    for (; j + 4 * VL <= n; j += 4 * VL) {
        for (int i = 0; i < 4; i++) {
            vf d = v_sub(v_sub(v_load(x + j + i * VL), mean), rest);
            sum[i] = v_fma(d, d, sum[i]);
        }
    }
    for (int i = 0; j < n; j += VL, i++) {
        vf d = v_sub(v_sub(load_tail(x + j, n - j), mean), rest);
        d = n - j < VL ? v_pick(v_mask(n - j), d, v_set(0.0f)) : d;
        sum[i] = v_fma(d, d, sum[i]);
    }
    return v_sum_double(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
}

static double sum_of(const float *x, int64_t n) {
    vf sum[4] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    int64_t j = 0;
    for (; j + 4 * VL <= n; j += 4 * VL) {
        for (int i = 0; i < 4; i++) {
            sum[i] = v_add(sum[i], v_load(x + j + i * VL));
        }
    }
    for (int i = 0; j < n; j += VL, i++) {
        sum[i] = v_add(sum[i], load_tail(x + j, n - j));
    }
    return v_sum_double(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
}

static void vec_rmsnorm(const norm_job *job, int64_t r0, int64_t r1) {
    int64_t n = job->cols;
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        float *y = job->y + r * job->ldy;
        double mean = squares_about(x, n, v_set(0.0f), v_set(0.0f)) / (double)n;
        vf scale = v_set((float)(1.0 / sqrt(mean + (double)job->eps)));
        for (int64_t j = 0; j < n; j += VL) {
            vf v = v_mul(v_mul(load_tail(x + j, n - j), scale), load_tail(job->w + j, n - j));
            store_tail(y + j, n - j, v);
        }
    }
}

static void vec_layernorm(const norm_job *job, int64_t r0, int64_t r1) {
    int64_t n = job->cols;
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        float *y = job->y + r * job->ldy;
        /* The mean in two parts, so that a row far from zero keeps its digits. */
        double exact = sum_of(x, n) / (double)n;
        vf mean = v_set((float)exact);
        vf rest = v_set((float)(exact - (double)(float)exact));
        double var = squares_about(x, n, mean, rest) / (double)n;
        vf scale = v_set((float)(1.0 / sqrt(var + (double)job->eps)));
        for (int64_t j = 0; j < n; j += VL) {
            vf v = v_mul(v_sub(v_sub(load_tail(x + j, n - j), mean), rest), scale);
            vf w = load_tail(job->w + j, n - j);
            v = job->b ? v_fma(v, w, load_tail(job->b + j, n - j)) : v_mul(v, w);
            store_tail(y + j, n - j, v);
        }
    }
}

static void vec_add(float *y, const float *x, const float *r, int64_t n) {
    for (int64_t j = 0; j < n; j += VL) {
        store_tail(y + j, n - j, v_add(load_tail(x + j, n - j), load_tail(r + j, n - j)));
    }
}

static void vec_gate(float *y, const float *x, const float *z, int64_t n) {
    for (int64_t j = 0; j < n; j += VL) {
        store_tail(y + j, n - j, v_mul(load_tail(x + j, n - j), v_silu(load_tail(z + j, n - j))));
    }
}

static void vec_gated(const gated_job *job, int64_t r0, int64_t r1) {
    for (int64_t r = r0; r < r1; r++) {
        for (int64_t from = 0; from < job->cols; from += job->group) {
            int64_t n = job->group;
            const float *x = job->x + r * job->ldx + from;
            const float *z = job->z + r * job->ldz + from;
            const float *w = job->w + from;
            float *y = job->y + r * job->ldy + from;
            if (!job->norm_first) {
                vec_gate(y, x, z, n);
                x = y;
            }
            double mean = squares_about(x, n, v_set(0.0f), v_set(0.0f)) / (double)n;
            vf scale = v_set((float)(1.0 / sqrt(mean + (double)job->eps)));
            for (int64_t j = 0; j < n; j += VL) {
                vf v = v_mul(v_mul(load_tail(x + j, n - j), scale), load_tail(w + j, n - j));
                store_tail(y + j, n - j, job->norm_first ? v_mul(v, v_silu(load_tail(z + j, n - j))) : v);
            }
        }
    }
}

/* The largest element; with NaN in the row anything, the sum below becomes NaN all the same. */
static float max_of(const float *x, int64_t n) {
    vf lowest = v_set(-INFINITY);
    vf top[2] = {lowest, lowest};
    int64_t j = 0;
    for (; j + 2 * VL <= n; j += 2 * VL) {
        top[0] = v_max(top[0], v_load(x + j));
        top[1] = v_max(top[1], v_load(x + j + VL));
    }
    for (; j < n; j += VL) {
        vf v = load_tail(x + j, n - j);
        top[0] = v_max(top[0], n - j < VL ? v_pick(v_mask(n - j), v, lowest) : v);
    }
    float lanes[VL];
    v_store(lanes, v_max(top[0], top[1]));
    float max = lanes[0];
    for (int i = 1; i < VL; i++) {
        max = lanes[i] > max ? lanes[i] : max;
    }
    return max;
}

/* Elements whose float partial sums are added up before they go into a double: keeps wide vocabularies exact. */
#define LSE_BLOCK 2048

static double vec_lse(const float *x, int64_t n) {
    float max = max_of(x, n);
    vf top = v_set(max);
    double total = 0.0;
    for (int64_t from = 0; from < n; from += LSE_BLOCK) {
        int64_t end = n - from < LSE_BLOCK ? n - from : LSE_BLOCK;
        const float *block = x + from;
        vf sum[2] = {v_set(0.0f), v_set(0.0f)};
        int64_t j = 0;
        for (; j + 2 * VL <= end; j += 2 * VL) {
            sum[0] = v_add(sum[0], v_exp(v_sub(v_load(block + j), top)));
            sum[1] = v_add(sum[1], v_exp(v_sub(v_load(block + j + VL), top)));
        }
        for (; j < end; j += VL) {
            vf e = v_exp(v_sub(load_tail(block + j, end - j), top));
            sum[0] = v_add(sum[0], end - j < VL ? v_pick(v_mask(end - j), e, v_set(0.0f)) : e);
        }
        total += v_sum_double(v_add(sum[0], sum[1]));
    }
    return (double)max + log_double(total);
}

#define MAP(NAME, F)                                                                                                   \
    static void NAME(float *y, const float *x, int64_t n) {                                                            \
        for (int64_t j = 0; j < n; j += VL) {                                                                          \
            store_tail(y + j, n - j, F(load_tail(x + j, n - j)));                                                      \
        }                                                                                                              \
    }
MAP(vec_round, v_round_bf16)
MAP(vec_exp, v_exp)
MAP(vec_silu, v_silu)
MAP(vec_softplus, v_softplus)
#undef MAP
