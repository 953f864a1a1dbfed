/* gemm_i8.c - the register tiles of avx2 over fours of int8: 32 products an instruction, their sums exact. */
#include "cpu/avx2/avx2.h"
#include "cpu/avx2/tiles.h"
#include "cpu/avx2/vec.h"
#include "cpu/simd/unroll.h"

/* The size of x takes a register of its own, so there is a row less than int16 has. */
#undef TILES
#undef TILE_ROWS
#undef TILE_FULL
#define TILES X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1)
#define TILE_ROWS                                                                                                      \
    { 5, 0, 0, 0 }
#define TILE_FULL 5
#define MUL_ADD v_dot_fours
#define LANES 4

/* One side of vpmaddubsw has no sign, so the other takes both: |a| times b with the sign of a. Two products of at most
 * 127 x 127 fit 16 bits. By hand as in gemm_i16.c. */
static inline __attribute__((always_inline)) vf v_dot_fours(vf a, vf b, vf c) {
    const __m256i size = _mm256_abs_epi8(_mm256_castps_si256(a));
    const __m256i ones = _mm256_set1_epi16(1);
    vf product;
    __asm__("vpsignb\t%[a], %[b], %[product]\n\tvpmaddubsw\t%[product], %[size], %[product]\n\t"
            "vpmaddwd\t%[ones], %[product], %[product]\n\tvpaddd\t%[product], %[c], %[c]"
            : [c] "+x"(c), [product] "=&x"(product)
            : [a] "x"(a), [b] "x"(b), [size] "x"(size), [ones] "xm"(ones));
    return c;
}

static inline vf v_weights(const int8_t *q) {
    return v_load((const float *)(const void *)q);
}

static inline vf v_whole(const float *x, vf f) {
    __m256i first = _mm256_cvtps_epi32(v_mul(v_load(x), f));
    __m256i third = _mm256_cvtps_epi32(v_mul(v_load(x + 2 * VL), f));
    first = _mm256_packs_epi32(first, _mm256_cvtps_epi32(v_mul(v_load(x + VL), f)));
    third = _mm256_packs_epi32(third, _mm256_cvtps_epi32(v_mul(v_load(x + 3 * VL), f)));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* packing goes by halves of a register */
    return _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, third), order));
}

#include "cpu/simd/whole.h"

#include "cpu/simd/gemm.h"

void avx2_gemm_i8(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}

void avx2_quantize_i8(float *words, const float *x, int64_t n) {
    vec_quantize(words, x, n);
}
