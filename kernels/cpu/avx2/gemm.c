/* gemm.c - the register tiles of avx2 over f32 numbers. */
#include "cpu/avx2/avx2.h"
#include "cpu/avx2/tiles.h"
#include "cpu/avx2/vec.h"
#include "cpu/simd/unroll.h"

#define MUL_ADD v_fma_to
#define HELD MBK_F32
#include "cpu/simd/widen.h"

#include "cpu/simd/gemm.h"

void avx2_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    vec_gemm(job, r0, r1, p0, p1);
}
