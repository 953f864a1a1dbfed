/* int16.h - int16 math of a vector level: its words and rows of x as such. Include after its vec.h, then simd/gemm.h.
 */
#define WHOLE 1
#define HELD MBK_I8 /* which is widened nevertheless */

/* Panel p, pairs [k0, k1), as words. */
static void widen(const mbk_weight *w, int64_t p, int64_t k0, int64_t k1, float *to) {
    const int8_t *q = (const int8_t *)w->data + (size_t)p * w->panel_bytes + k0 * 2 * MBK_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * MBK_PANEL; i += VL) {
        v_store(to + i, v_load_i8_pairs(q + 2 * i));
    }
}

/* Pairs that lie in one cache line, for 16 outputs. */
#define LEAN_COUNT(DTYPE) 2

static inline __attribute__((always_inline)) size_t lean_offset(const mbk_dtype dtype, int64_t k) {
    (void)dtype;
    return (size_t)k * 2 * MBK_PANEL;
}

static inline __attribute__((always_inline)) vf lean_line(const mbk_weight *w, const unsigned char *panel,
                                                          const mbk_dtype dtype, int64_t k, const int l, int64_t j) {
    (void)w;
    return v_load_i8_pairs((const int8_t *)panel + lean_offset(dtype, k + l) + 2 * j);
}

static void vec_quantize(float *words, const float *x, int64_t n) {
    const int64_t depth = (n + 1) / 2;
    vm_words largest = v_abs_bits(v_set(0.0f));
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        largest = v_max_bits(largest, v_abs_bits(v_load(x + i)));
    }
    if (i < n) {
        largest = v_max_bits(largest, v_abs_bits(v_load_some(x + i, v_mask(n - i))));
    }
    const float factor = i16_factor(v_largest_bits(largest), &words[depth]);
    if (!(factor > 0.0f)) {
        memset(words, 0, (size_t)depth * sizeof *words);
        return;
    }
    const vf f = v_set(factor);
    int16_t *y = (int16_t *)(void *)words;
    for (i = 0; i + 2 * VL <= n; i += 2 * VL) {
        v_store(words + i / 2, v_to_i16(v_mul(v_load(x + i), f), v_mul(v_load(x + i + VL), f)));
    }
    if (i < n) {
        const int64_t second = n - i > VL ? n - i - VL : 0;
        float tail[VL];
        v_store(tail, v_to_i16(v_mul(v_load_some(x + i, v_mask(n - i)), f),
                               v_mul(second ? v_load_some(x + i + VL, v_mask(second)) : v_set(0.0f), f)));
        memcpy(y + i, tail, (size_t)(depth - i / 2) * sizeof *tail); /* the second of an odd pair is zero */
    }
}
