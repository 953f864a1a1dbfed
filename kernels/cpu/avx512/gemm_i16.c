/* gemm_i16.c - the register tiles of avx512 over pairs of int16: 32 products an instruction, their sums exact. */
#include "cpu/avx512/avx512.h"
#include "cpu/avx512/tiles.h"
#include "cpu/avx512/vec.h"
#include "cpu/simd/unroll.h"

/* A product takes a register of its own, so one row less than the others. */
/* clang-format off */
#undef TILES
#undef TILE_ROWS
#undef TILE_FULL
#define TILES                                                                                                          \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1) X(9, 1) X(10, 1) X(11, 1) X(12, 1) X(13, 1)        \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) X(12, 2) X(13, 2)
#define TILE_ROWS {13, 13, 0, 0}
#define TILE_FULL 13
#define MUL_ADD v_dot_pairs
#define LANES 2
#define v_weights v_weights_16
#define v_whole v_whole_16
/* clang-format on */

static inline __attribute__((always_inline)) vf v_dot_pairs(vf a, vf b, vf c) {
    __m512i product = _mm512_madd_epi16(_mm512_castps_si512(a), _mm512_castps_si512(b));
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(c), product));
}

#include "cpu/simd/whole.h"

#include "cpu/simd/gemm.h"

void avx512_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}

void avx512_quantize_i16(float *words, const float *x, int64_t n) {
    vec_quantize(words, x, n);
}
