/* weight_grad.c - the tiles of avx512 over words that are two rows of a column as bf16. */
#include "cpu/avx512bf16/avx512bf16.h"

#include "cpu/avx512/vec.h"
#include "cpu/simd/unroll.h"

static inline __attribute__((always_inline)) vf v_dot_pairs(vf a, vf b, vf c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

/* Lane i of `p` as bf16 beside that of `second`, or beside zero. */
static inline __attribute__((always_inline)) vf grad_words(const weight_grad_job *job, const float *p,
                                                           const float *second, vm m) {
    (void)job;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i order = _mm512_or_si512(lane, _mm512_slli_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16)), 16));
    vf high = second ? v_load_some(second, m) : v_set(0.0f);
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, v_load_some(p, m)); /* the lower half of it is the first row */
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both));
}

#define GRAD_TALL 12
#define GRAD_TILES X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#define GRAD_MUL_ADD v_dot_pairs
#define GRAD_EACH 2
#define GRAD_AT_ONCE 1
#include "cpu/simd/weight_grad.h"

void avx512bf16_weight_grad(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1) {
    vec_weight_grad(job, o0, o1, k0, k1);
}
