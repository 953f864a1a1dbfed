/* avx512vnni.h - the leaves of this level: products of whole numbers with their sums in one instruction. All else is
 * that of avx512. */
#ifndef MBK_CPU_AVX512VNNI_AVX512VNNI_H
#define MBK_CPU_AVX512VNNI_AVX512VNNI_H

#include "cpu/cpu.h"

void avx512vnni_gemm_i16(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void avx512vnni_gemm_i8(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void avx512vnni_quantize_i8(float *words, const float *x, int64_t n);

#endif
