/* widen.h - panels held as bf16 or int8 as f32, for simd/gemm.h. Include after the level's vec.h. */

/* Panel p, k in [k0, k1), as f32. k0 is even. */
static void widen(const mbk_weight *w, int64_t p, int64_t k0, int64_t k1, float *to) {
    const unsigned char *panel = w->data + (size_t)p * w->panel_bytes;
    if (w->head.dtype == MBK_I8) {
        const int8_t *q = (const int8_t *)panel + k0 * MBK_PANEL;
        for (int64_t i = 0; i < (k1 - k0) * MBK_PANEL; i += VL) {
            v_store(to + i, v_load_i8(q + i));
        }
        return;
    }
    const uint16_t *h = (const uint16_t *)(const void *)panel + k0 * MBK_PANEL;
    for (int64_t k = k0; k < k1; k += 2, h += 2 * MBK_PANEL, to += 2 * MBK_PANEL) {
        for (int64_t j = 0; j < MBK_PANEL; j += VL) {
            vf first;
            vf second;
            v_load_pairs(h + 2 * j, &first, &second);
            v_store(to + j, first);
            v_store(to + MBK_PANEL + j, second); /* beyond an odd n_in: there is room, and nobody reads it */
        }
    }
}

/* Words of a dtype that lie in one cache line, for 16 outputs. */
#define LEAN_COUNT(DTYPE) ((DTYPE) == MBK_F32 ? 1 : (DTYPE) == MBK_BF16 ? 2 : 4)

/* Bytes of a panel before word k; for bf16 where k is even. */
static inline __attribute__((always_inline)) size_t lean_offset(const mbk_dtype dtype, int64_t k) {
    return (size_t)k * MBK_PANEL * (dtype == MBK_F32 ? 4 : dtype == MBK_BF16 ? 2 : 1);
}

/* Word k + l of VL outputs from j on; k is a multiple of LEAN_COUNT and l, a constant, below it. */
static inline __attribute__((always_inline)) vf lean_line(const mbk_weight *w, const unsigned char *panel,
                                                          const mbk_dtype dtype, int64_t k, const int l, int64_t j) {
    (void)w;
    const unsigned char *line = panel + lean_offset(dtype, k);
    if (dtype == MBK_BF16) {
        vf pair[2];
        v_load_pairs((const uint16_t *)(const void *)line + 2 * j, &pair[0], &pair[1]);
        return pair[l];
    }
    if (dtype == MBK_I8) {
        return v_load_i8((const int8_t *)line + l * MBK_PANEL + j);
    }
    return v_load((const float *)(const void *)line + l * MBK_PANEL + j);
}
