/* gemm.c - register tiles of 32 vectors: 14 x 2 panels for many rows, wider ones for few. */
#include "cpu/avx512/avx512.h"
#include "cpu/avx512/tiles.h"
#include "cpu/avx512/vec.h"
#include "cpu/simd/unroll.h"

#define MUL_ADD v_fma
#define HELD MBK_F32
#include "cpu/simd/widen.h"

#include "cpu/simd/gemm.h"

void avx512_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}
