/*
 * whole.h - int16 and int8 math of a vector level: weights held as int8, and rows of x, as words of whole numbers.
 * Include after its vec.h and before simd/gemm.h, with
 *   LANES            whole numbers a word: 2 (int16) or 4 (int8)
 *   v_weights(q)     VL words of weights, from VL LANES numbers of a panel
 *   v_whole(x, f)    VL LANES numbers of x times f, to the nearest whole ones, ties to even, as VL words
 * and, for the largest size of a row, vm_words, v_abs_bits(), v_max_bits() and v_largest_bits().
 */
#define WHOLE 1
#define LARGEST (LANES == 2 ? 32767.0f : 127.0f)
/* Words of a part of a row, whose sums are exact. */
#define WIDE_DEPTH (LANES == 2 ? MBK_I16_PART / 2 : MBK_I8_PART / 4)
#define HELD MBK_I8 /* which is made words of nevertheless */

/* Panel p, words [k0, k1). */
static void widen(const mbk_weight *w, int64_t p, int64_t k0, int64_t k1, float *to) {
    const int8_t *q = (const int8_t *)w->data + (size_t)p * w->panel_bytes + k0 * LANES * MBK_PANEL;
    for (int64_t i = 0; i < (k1 - k0) * MBK_PANEL; i += VL) {
        v_store(to + i, v_weights(q + LANES * i));
    }
}

/* Words that lie in one cache line, for 16 outputs. */
#define LEAN_COUNT(DTYPE) (4 / LANES)

static inline __attribute__((always_inline)) size_t lean_offset(const mbk_dtype dtype, int64_t k) {
    (void)dtype;
    return (size_t)k * LANES * MBK_PANEL;
}

static inline __attribute__((always_inline)) vf lean_line(const mbk_weight *w, const unsigned char *panel,
                                                          const mbk_dtype dtype, int64_t k, const int l, int64_t j) {
    (void)w;
    return v_weights((const int8_t *)panel + lean_offset(dtype, k + l) + LANES * j);
}

/* What the n numbers of a part are multiplied with to become whole ones. */
static inline float part_factor(const float *x, int64_t n, float *scale) {
    vm_words largest = v_abs_bits(v_set(0.0f));
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        largest = v_max_bits(largest, v_abs_bits(v_load(x + i)));
    }
    if (i < n) {
        largest = v_max_bits(largest, v_abs_bits(v_load_some(x + i, v_mask(n - i))));
    }
    return whole_factor(v_largest_bits(largest), LARGEST, scale);
}

static inline void vec_quantize(float *words, const float *x, int64_t n) {
    enum { AT_ONCE = VL * LANES, PART = WIDE_DEPTH * LANES };
    float *scale = words + whole_depth(n, LANES);
    for (; n > 0; x += PART, n -= PART, words += WIDE_DEPTH, scale++) {
        const int64_t live = n < PART ? n : PART;
        const int64_t depth = whole_depth(live, LANES);
        const float factor = part_factor(x, live, scale);
        if (!(factor > 0.0f)) {
            memset(words, 0, (size_t)depth * sizeof *words);
            continue;
        }
        int64_t i = 0;
        for (; i + AT_ONCE <= live; i += AT_ONCE) {
            v_store(words + i / LANES, v_whole(x + i, v_set(factor)));
        }
        if (i < live) {
            float some[AT_ONCE] = {0}; /* what is behind the last number of a word is zero */
            float tail[VL];
            memcpy(some, x + i, (size_t)(live - i) * sizeof *some);
            v_store(tail, v_whole(some, v_set(factor)));
            memcpy(words + i / LANES, tail, (size_t)(depth - i / LANES) * sizeof *tail);
        }
    }
}
