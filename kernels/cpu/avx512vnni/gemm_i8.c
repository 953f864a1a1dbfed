/*
 * gemm_i8.c - the register tiles of avx512 over fours of int8: 64 products and their sums an instruction. One side of
 * vpdpbusd has no sign: weights go in as q + 128, and what that is too much, 128 times the sum of a part of x, stands
 * behind the scales of the row, for sums to begin with.
 */
#include "cpu/avx512/tiles.h"
#include "cpu/avx512/vec.h"
#include "cpu/avx512vnni/avx512vnni.h"
#include "cpu/simd/unroll.h"

#define MUL_ADD v_dot_fours
#define LANES 4
#define v_whole v_whole_8
#define PART_START(JOB, R, PART)                                                                                       \
    v_set((JOB)->x[(R) * (JOB)->ldx + (JOB)->depth + i8_parts((JOB)->w->n_in) + (PART)]) /* whole, as its bits */

static inline __attribute__((always_inline)) vf v_dot_fours(vf a, vf b, vf c) {
    return _mm512_castsi512_ps(
        _mm512_dpbusd_epi32(_mm512_castps_si512(c), _mm512_castps_si512(b), _mm512_castps_si512(a)));
}

static inline vf v_weights(const int8_t *q) {
    const __m512i high = _mm512_set1_epi8(INT8_MIN);
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_loadu_si512(q), high));
}

#include "cpu/simd/whole.h"

#include "cpu/simd/gemm.h"

void avx512vnni_gemm_i8(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}

void avx512vnni_quantize_i8(float *words, const float *x, int64_t n) {
    vec_quantize(words, x, n);
    const int64_t depth = whole_depth(n, LANES);
    const __m512i all = _mm512_set1_epi8(1);
    float *start = words + depth + i8_parts(n);
    for (int64_t k = 0; k < depth; k += WIDE_DEPTH, start++) {
        const int64_t end = k + WIDE_DEPTH < depth ? k + WIDE_DEPTH : depth;
        __m512i sum = _mm512_setzero_si512();
        for (int64_t i = k; i < end; i += VL) {
            sum = _mm512_dpbusd_epi32(sum, all, _mm512_castps_si512(v_load_some(words + i, v_mask(end - i))));
        }
        const int32_t first = -128 * _mm512_reduce_add_epi32(sum);
        memcpy(start, &first, sizeof first);
    }
}
