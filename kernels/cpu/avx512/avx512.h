/* avx512.h - the leaves of this level. */
#ifndef MBK_CPU_AVX512_AVX512_H
#define MBK_CPU_AVX512_AVX512_H

#include "cpu/cpu.h"

void avx512_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void avx512_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void avx512_quantize_i16(float *words, const float *x, int64_t n);

#endif
