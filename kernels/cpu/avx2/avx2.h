/* avx2.h - the leaves of this level. */
#ifndef MBK_CPU_AVX2_AVX2_H
#define MBK_CPU_AVX2_AVX2_H

#include "cpu/cpu.h"

void avx2_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);

#endif
