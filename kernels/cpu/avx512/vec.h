/* vec.h - the vector of this level: 16 floats, with masks for what is left over. */
#ifndef MBK_CPU_AVX512_VEC_H
#define MBK_CPU_AVX512_VEC_H

#include <immintrin.h>
#include <stdint.h>

#define VL 16
typedef __m512 vf;
typedef __mmask16 vm;

/* clang-format off */
/* The first n lanes, 0 <= n; all of them for n >= VL. */
static inline vm v_mask(int64_t n) { return (vm)(n >= VL ? 0xffffu : (1u << n) - 1u); }

static inline vf v_set(float x) { return _mm512_set1_ps(x); }
static inline vf v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vf v_load_some(const float *p, vm m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
static inline void v_store_some(float *p, vm m, vf x) { _mm512_mask_storeu_ps(p, m, x); }
static inline vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
/* a b + c and c - a b, rounded once. */
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
/* The second operand where one of them is NaN. */
static inline vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf v_neg(vf a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
/* -|a| */
static inline vf v_neg_abs(vf a) { return _mm512_or_ps(a, _mm512_set1_ps(-0.0f)); }
/* Without optimisation these are macros of the compiler, whose own masks it then warns of. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static inline vf v_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#pragma GCC diagnostic pop
/* a > b ? x : y, the latter where one of them is NaN. */
static inline vf v_where_gt(vf a, vf b, vf x, vf y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x);
}
/* x in the lanes of m, y in the others. */
static inline vf v_pick(vm m, vf x, vf y) { return _mm512_mask_blend_ps(m, y, x); }
/* p 2^n for a whole n: gradual underflow, infinite on overflow. */
static inline vf v_scale(vf p, vf n) { return _mm512_scalef_ps(p, n); }
/* a less the nearest whole number; 0 where a is infinite. */
static inline vf v_fraction(vf a) { return _mm512_reduce_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* VL pairs of bf16: the first and the second of each. */
static inline void v_load_pairs(const uint16_t *p, vf *first, vf *second) {
    __m512i both = _mm512_loadu_si512(p);
    *first = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    *second = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xffff0000)));
}
/* VL int8 */
static inline vf v_load_i8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
/* VL int32 as f32 */
static inline vf v_of_whole(vf a) { return _mm512_cvtepi32_ps(_mm512_castps_si512(a)); }
/* The bits of sizes, whose order is that of the sizes, NaN above all. */
typedef __m512i vm_words;
static inline vm_words v_abs_bits(vf a) {
    return _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff));
}
static inline vm_words v_max_bits(vm_words a, vm_words b) { return _mm512_max_epi32(a, b); }
static inline uint32_t v_largest_bits(vm_words a) { return (uint32_t)_mm512_reduce_max_epi32(a); }
/* 32 numbers as int16, or 64 as int8, times f and to the nearest, ties to even. */
static inline vf v_whole_16(const float *x, vf f) {
    __m256i low = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v_mul(v_load(x), f)));
    __m256i high = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v_mul(v_load(x + VL), f)));
    return _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}
static inline vf v_whole_8(const float *x, vf f) {
    __m512i y = _mm512_castsi128_si512(_mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v_mul(v_load(x), f))));
    y = _mm512_inserti32x4(y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v_mul(v_load(x + VL), f))), 1);
    y = _mm512_inserti32x4(y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v_mul(v_load(x + 2 * VL), f))), 2);
    y = _mm512_inserti32x4(y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v_mul(v_load(x + 3 * VL), f))), 3);
    return _mm512_castsi512_ps(y);
}
/* VL pairs of weights, for int16 math. */
static inline vf v_weights_16(const int8_t *q) {
    return _mm512_castsi512_ps(_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)q)));
}
/* To the nearest bf16, ties to even; NaN stays NaN. */
static inline vf v_round_bf16(vf x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __m512i nan = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    __m512i r = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), up, nan);
    return _mm512_castsi512_ps(_mm512_and_si512(r, _mm512_set1_epi32((int32_t)0xffff0000)));
}
/* clang-format on */

static inline float v_sum(vf a) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* Sums of the lanes of four vectors side by side, in parts that v_store_fold4 adds up: four floats. */
static inline vf v_fold4(vf a, vf b, vf c, vf d) {
    __m512d ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
    __m512d cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
}
static inline void v_store_fold4(float *p, vf a) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}

static inline double v_sum_double(vf a) {
    __m512d d =
        _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)));
    __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(d), _mm512_extractf64x4_pd(d, 1));
    __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
    return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}

#endif
