/* gemm.c - the register tiles of avx512 over words that are pairs of bf16: two products a lane and an instruction, the
 * second of a pair first, each added to the f32 sum with its own rounding; denormals count as zero. */
#include "cpu/avx512bf16/avx512bf16.h"

#include "cpu/avx512/tiles.h"
#include "cpu/avx512/vec.h"
#include "cpu/simd/unroll.h"

#define MUL_ADD v_dot_pairs
#define HELD MBK_BF16

static inline __attribute__((always_inline)) vf v_dot_pairs(vf a, vf b, vf c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

/* 16 pairs of whole numbers of at most 8 bits, which bf16 holds exactly: the upper halves of their f32 forms. */
static inline __attribute__((always_inline)) vf pairs_of_i8(const int8_t *first, const int8_t *second) {
    __m512i low = _mm512_srli_epi32(_mm512_castps_si512(v_load_i8(first)), 16);
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_castps_si512(v_load_i8(second))));
}

/* The last pair of an odd depth has no second: any finite number does, for x has a zero there. */
static inline __attribute__((always_inline)) vf pair_line(const mbk_weight *w, const int8_t *panel, int64_t k) {
    const int8_t *first = panel + 2 * k * MBK_PANEL;
    return pairs_of_i8(first, 2 * k + 1 < w->n_in ? first + MBK_PANEL : first);
}

/* Words [k0, k1) of panel p, held as int8. */
static void widen(const mbk_weight *w, int64_t p, int64_t k0, int64_t k1, float *to) {
    const int8_t *panel = (const int8_t *)w->data + (size_t)p * w->panel_bytes;
    for (int64_t k = k0; k < k1; k++, to += MBK_PANEL) {
        v_store(to, pair_line(w, panel, k));
    }
}

#define LEAN_COUNT(DTYPE) ((DTYPE) == MBK_I8 ? 2 : 1)

static inline __attribute__((always_inline)) size_t lean_offset(const mbk_dtype dtype, int64_t k) {
    return (size_t)k * MBK_PANEL * (dtype == MBK_I8 ? 2 : 4);
}

static inline __attribute__((always_inline)) vf lean_line(const mbk_weight *w, const unsigned char *panel,
                                                          const mbk_dtype dtype, int64_t k, const int l, int64_t j) {
    if (dtype == MBK_I8) {
        return pair_line(w, (const int8_t *)panel, k + l);
    }
    return v_load((const float *)(const void *)(panel + lean_offset(dtype, k + l)) + j);
}

#include "cpu/simd/gemm.h"

void avx512bf16_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}

void avx512bf16_narrow(float *words, const float *x, int64_t n) {
    uint16_t *y = (uint16_t *)(void *)words;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        _mm256_storeu_si256((__m256i *)(void *)(y + i), (__m256i)_mm512_cvtneps_pbh(v_load(x + i)));
    }
    if (i < n) {
        int64_t live = n - i;
        __m256i tail = (__m256i)_mm512_cvtneps_pbh(v_load_some(x + i, v_mask(live)));
        _mm256_mask_storeu_epi16(y + i, v_mask((live + 1) / 2 * 2), tail); /* the second of an odd pair is zero */
    }
}
