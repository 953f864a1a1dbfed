/* train.h - gradients of the norms, the loss and the optimiser of a vector level. Include after simd/rows.h. */

static void vec_norm_grad(const norm_grad_job *job, int64_t r0, int64_t r1) {
    const int64_t n = job->cols;
    for (int64_t r = r0; r < r1; r++) {
        const float *x = job->x + r * job->ldx;
        const float *dy = job->dy + r * job->lddy;
        float *dx = job->dx + r * job->lddx;
        /* The mean in two parts, as in layernorm. */
        double exact = job->centred ? sum_of(x, n) / (double)n : 0.0;
        vf mean = v_set((float)exact);
        vf rest = v_set((float)(exact - (double)(float)exact));
        double exact_scale = 1.0 / sqrt(squares_about(x, n, mean, rest) / (double)n + (double)job->eps);
        vf scale = v_set((float)exact_scale);
        job->row[r] = (norm_row){exact, exact_scale};
        vf sum = v_set(0.0f);
        vf along = v_set(0.0f);
        for (int64_t j = 0; j < n; j += VL) {
            vf v = v_mul(v_sub(v_sub(load_tail(x + j, n - j), mean), rest), scale);
            vf dn = v_mul(load_tail(dy + j, n - j), load_tail(job->w + j, n - j));
            sum = v_add(sum, dn);
            along = v_fma(dn, v, along);
        }
        vf mean_sum = v_set(job->centred ? (float)(v_sum_double(sum) / (double)n) : 0.0f);
        vf mean_along = v_set((float)(v_sum_double(along) / (double)n));
        for (int64_t j = 0; j < n; j += VL) {
            vf v = v_mul(v_sub(v_sub(load_tail(x + j, n - j), mean), rest), scale);
            vf dn = v_mul(load_tail(dy + j, n - j), load_tail(job->w + j, n - j));
            vf g = v_mul(scale, v_fnma(v, mean_along, v_sub(dn, mean_sum)));
            store_tail(dx + j, n - j, job->accumulate ? v_add(load_tail(dx + j, n - j), g) : g);
        }
    }
}

static void vec_norm_weight_grad(const norm_grad_job *job, int64_t c0, int64_t c1) {
    for (int64_t r0 = 0; r0 < job->rows; r0 += MBK_GRAD_ROWS) {
        int64_t r1 = r0 + MBK_GRAD_ROWS < job->rows ? r0 + MBK_GRAD_ROWS : job->rows;
        for (int64_t c = c0; c < c1; c += VL) {
            vf dw = v_set(0.0f);
            vf db = v_set(0.0f);
            for (int64_t r = r0; r < r1; r++) {
                float mean = (float)job->row[r].mean;
                vf rest = v_set((float)(job->row[r].mean - (double)mean));
                vf v = v_sub(v_sub(load_tail(job->x + r * job->ldx + c, c1 - c), v_set(mean)), rest);
                vf g = load_tail(job->dy + r * job->lddy + c, c1 - c);
                dw = v_fma(g, v_mul(v, v_set((float)job->row[r].scale)), dw);
                db = v_add(db, g);
            }
            store_tail(job->dw + c, c1 - c, v_add(load_tail(job->dw + c, c1 - c), dw));
            if (job->db) {
                store_tail(job->db + c, c1 - c, v_add(load_tail(job->db + c, c1 - c), db));
            }
        }
    }
}

/* The target's own element in double: where the model is nearly sure, p - 1 would have no digits left. */
static double vec_cross_entropy(float *dx, const float *x, int64_t n, int64_t id, float scale) {
    const double lse = vec_lse(x, n);
    const double target = (double)x[id] - lse;
    const vf high = v_set((float)lse);
    const vf low = v_set((float)(lse - (double)(float)lse));
    for (int64_t j = 0; dx && j < n; j += VL) {
        vf p = v_exp(v_sub(v_sub(load_tail(x + j, n - j), high), low));
        store_tail(dx + j, n - j, v_mul(p, v_set(scale)));
    }
    if (dx) {
        dx[id] = (float)((double)scale * (exp_double(target) - 1.0));
    }
    return -target;
}

static double vec_squares(const float *x, int64_t n) {
    return squares_about(x, n, v_set(0.0f), v_set(0.0f));
}

static void vec_adamw(const adamw_job *job, float *w, float *m, float *v, const float *g, int64_t n) {
    for (int64_t j = 0; j < n; j += VL) {
        vf d = v_mul(v_set(job->scale), load_tail(g + j, n - j));
        vf mean = v_fma(v_set(job->beta1), load_tail(m + j, n - j), v_mul(v_set(job->rest1), d));
        vf square = v_fma(v_set(job->beta2), load_tail(v + j, n - j), v_mul(v_set(job->rest2), v_mul(d, d)));
        vf root = v_add(v_sqrt(v_mul(square, v_set(job->root))), v_set(job->eps));
        vf step = v_mul(v_set(job->rate), v_div(mean, root));
        store_tail(m + j, n - j, mean);
        store_tail(v + j, n - j, square);
        store_tail(w + j, n - j, v_fma(v_set(job->keep), load_tail(w + j, n - j), v_neg(step)));
    }
}

static void vec_mul(float *y, const float *x, const float *r, int64_t n) {
    for (int64_t j = 0; j < n; j += VL) {
        store_tail(y + j, n - j, v_mul(load_tail(x + j, n - j), load_tail(r + j, n - j)));
    }
}
