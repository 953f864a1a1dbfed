/* gemm_i16.c - the register tiles of avx512 over pairs of int16: 32 products and their sums an instruction. */
#include "cpu/avx512/tiles.h"
#include "cpu/avx512/vec.h"
#include "cpu/avx512vnni/avx512vnni.h"
#include "cpu/simd/unroll.h"

#define MUL_ADD v_dot_pairs
#define LANES 2
#define v_weights v_weights_16
#define v_whole v_whole_16

static inline __attribute__((always_inline)) vf v_dot_pairs(vf a, vf b, vf c) {
    return _mm512_castsi512_ps(
        _mm512_dpwssd_epi32(_mm512_castps_si512(c), _mm512_castps_si512(a), _mm512_castps_si512(b)));
}

#include "cpu/simd/whole.h"

#include "cpu/simd/gemm.h"

void avx512vnni_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}
