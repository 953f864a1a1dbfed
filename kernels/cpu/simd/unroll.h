/* unroll.h - a loop over constant bounds whose array lives in registers must be unrolled whole. */
#ifndef MBK_CPU_SIMD_UNROLL_H
#define MBK_CPU_SIMD_UNROLL_H

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* Loads behind it are not moved before it: of a long stretch of multiply-adds compilers load everything first, and then
 * have no registers left for the sums. */
#define KEEP_ORDER __asm__ volatile("" ::: "memory")

#endif
