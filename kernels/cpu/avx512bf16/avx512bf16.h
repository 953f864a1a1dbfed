/* avx512bf16.h - the leaves of this level: products of bf16 numbers. All else is that of avx512. */
#ifndef MBK_CPU_AVX512BF16_AVX512BF16_H
#define MBK_CPU_AVX512BF16_AVX512BF16_H

#include "cpu/cpu.h"

void avx512bf16_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
void avx512bf16_narrow(float *words, const float *x, int64_t n);
void avx512bf16_weight_grad(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1);

#endif
