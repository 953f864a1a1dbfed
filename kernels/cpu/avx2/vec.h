/* vec.h - the vector of this level: 8 floats, with masks for what is left over. */
#ifndef MBK_CPU_AVX2_VEC_H
#define MBK_CPU_AVX2_VEC_H

#include <immintrin.h>
#include <stdint.h>

#define VL 8
typedef __m256 vf;
typedef __m256i vm;

/* clang-format off */
/* The first n lanes, 0 <= n; all of them for n >= VL. */
static inline vm v_mask(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < VL ? (int32_t)n : VL), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vf v_set(float x) { return _mm256_set1_ps(x); }
static inline vf v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vf v_load_some(const float *p, vm m) { return _mm256_maskload_ps(p, m); }
static inline void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
static inline void v_store_some(float *p, vm m, vf x) { _mm256_maskstore_ps(p, m, x); }
static inline vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
/* a b + c and c - a b, rounded once. */
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
/* The same as a b + c, in the register of c: the compiler would rather keep the result where a or b was, and then moves
 * sums from register to register, or into memory. */
static inline vf v_fma_to(vf a, vf b, vf c) { __asm__("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b)); return c; }
/* The second operand where one of them is NaN. */
static inline vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf v_neg(vf a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
/* -|a| */
static inline vf v_neg_abs(vf a) { return _mm256_or_ps(a, _mm256_set1_ps(-0.0f)); }
/* a > b ? x : y, the latter where one of them is NaN. */
static inline vf v_where_gt(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
/* x in the lanes of m, y in the others. */
static inline vf v_pick(vm m, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(m)); }

/* p 2^n for a whole n in [-252, 254]: two factors, so that neither leaves the normal range; the second product rounds
 * to a denormal or overflows as it must. */
static inline vf v_scale(vf p, vf n) {
    __m256i i = _mm256_cvtps_epi32(n);
    __m256i half = _mm256_srai_epi32(i, 1);
    __m256i bias = _mm256_set1_epi32(127);
    vf a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    vf b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(p, a), b);
}

static inline vf v_floor(vf a) { return _mm256_floor_ps(a); }
static inline vf v_abs(vf a) { return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff))); }
/* The larger of two that are not negative, and whether a is larger than b in any lane. NaN is larger than all. */
static inline vf v_larger(vf a, vf b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
static inline int v_any_larger(vf a, vf b) {
    __m256i more = _mm256_cmpgt_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b));
    return _mm256_movemask_ps(_mm256_castsi256_ps(more)) != 0;
}

/* 2^(n/8) for the whole n in [-1008, 1023] that the low bits of t are. What the three lowest bits of n add to the
 * exponent with the others is taken off the numbers in the table. */
#define V_HAS_EIGHTHS
static inline vf v_eighths(vf t) {
    const __m256i table = _mm256_setr_epi32(0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a,
                                            0x3f7744fd, 0x3f7ac0c7);
    __m256i n = _mm256_castps_si256(t);
    __m256i part = _mm256_permutevar8x32_epi32(table, n);
    return _mm256_castsi256_ps(_mm256_add_epi32(part, _mm256_slli_epi32(n, 20)));
}
/* n mod 8 */
static inline vf v_low_eighths(vf t) {
    return _mm256_and_ps(t, _mm256_castsi256_ps(_mm256_set1_epi32(7)));
}
/* VL pairs of bf16: the first and the second of each. */
static inline void v_load_pairs(const uint16_t *p, vf *first, vf *second) {
    __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)p);
    *first = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    *second = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int32_t)0xffff0000)));
}
/* VL int8 */
static inline vf v_load_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
/* VL int32 as f32 */
static inline vf v_of_whole(vf a) { return _mm256_cvtepi32_ps(_mm256_castps_si256(a)); }
/* The bits of sizes, whose order is that of the sizes, NaN above all. */
typedef __m256i vm_words;
static inline vm_words v_abs_bits(vf a) {
    return _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffffff));
}
static inline vm_words v_max_bits(vm_words a, vm_words b) { return _mm256_max_epi32(a, b); }
static inline uint32_t v_largest_bits(vm_words a) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(m);
}
/* To the nearest bf16, ties to even; NaN stays NaN. */
static inline vf v_round_bf16(vf x) {
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i nan = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256 r = _mm256_blendv_ps(_mm256_castsi256_ps(up), _mm256_castsi256_ps(nan), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_ps(r, _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)0xffff0000)));
}
/* clang-format on */

static inline float v_sum(vf a) {
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* Sums of the lanes of four vectors side by side, in parts that v_store_fold4 adds up: four floats. */
static inline vf v_fold4(vf a, vf b, vf c, vf d) {
    __m256d ab = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)));
    __m256d cd = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)));
    return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
}
static inline void v_store_fold4(float *p, vf a) {
    _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1)));
}

static inline double v_sum_double(vf a) {
    __m256d d = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
    __m128d q = _mm_add_pd(_mm256_castpd256_pd128(d), _mm256_extractf128_pd(d, 1));
    return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}

#endif
