/* gemm_i16.c - the register tiles of avx2 over pairs of int16: sixteen products an instruction, their sums exact. */
#include "cpu/avx2/avx2.h"
#include "cpu/avx2/tiles.h"
#include "cpu/avx2/vec.h"
#include "cpu/simd/unroll.h"

#define MUL_ADD v_dot_pairs
#define LANES 2

/* Both instructions by hand: of intrinsics gcc 12 makes twelve products at a time, for which there are no registers. */
static inline __attribute__((always_inline)) vf v_dot_pairs(vf a, vf b, vf c) {
    vf product;
    __asm__("vpmaddwd\t%[b], %[a], %[product]\n\tvpaddd\t%[product], %[c], %[c]"
            : [c] "+x"(c), [product] "=&x"(product)
            : [a] "x"(a), [b] "x"(b));
    return c;
}

static inline vf v_weights(const int8_t *q) {
    return _mm256_castsi256_ps(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)q)));
}

static inline vf v_whole(const float *x, vf f) {
    __m256i first = _mm256_cvtps_epi32(v_mul(v_load(x), f));
    __m256i both = _mm256_packs_epi32(first, _mm256_cvtps_epi32(v_mul(v_load(x + VL), f)));
    return _mm256_castsi256_ps(_mm256_permute4x64_epi64(both, 0xd8));
}

#include "cpu/simd/whole.h"

#include "cpu/simd/gemm.h"

void avx2_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}

void avx2_quantize_i16(float *words, const float *x, int64_t n) {
    vec_quantize(words, x, n);
}
