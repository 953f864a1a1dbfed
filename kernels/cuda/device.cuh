/*
 * device.cuh - what every kernel file includes, and the only place that knows which of two compilers reads it: nvcc,
 * for a device, or the host's compiler with MBK_SIMT set, for the emulator of tests/simt, where each CUDA thread is a
 * fiber.
 *
 * So that one source serves both, a kernel
 *  - declares shared memory through MBK_SHARED and MBK_DYN_SHARED, never __shared__;
 *  - is launched by MBK_LAUNCH (cudaLaunchKernelEx), never <<<>>>;
 *  - uses the _sync forms of warp operations with full masks, never __activemask, cooperative groups or CUB;
 *  - adds in an order that does not depend on scheduling: no floating-point atomics, no look-back between blocks;
 *  - indexes with int64_t wherever rows are counted;
 *  - guards each barrier, wait and bound that the mutation tests remove with MBK_KEEP(name).
 */
#ifndef MBK_CUDA_DEVICE_CUH
#define MBK_CUDA_DEVICE_CUH

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdint.h>

#ifdef MBK_SIMT
#include "simt/simt.h"
#else
#include <cuda_bf16.h>
#include <cuda_pipeline_primitives.h>
#include <cuda_runtime.h>
/* An array of `count` T for the block; and the block's dynamic shared memory as T. */
#define MBK_SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define MBK_DYN_SHARED(T, name)                                                                                        \
    extern __shared__ __align__(16) unsigned char mbk_dynamic_shared[];                                                \
    T *name = (T *)(void *)mbk_dynamic_shared
#endif

/* `if (MBK_KEEP(name)) __syncthreads();`: true, but for a mutation test that removes `name`: in the emulator the one
 * that MBK_SIMT_MUTATE names in the environment, else a build with MBK_MUTATE defined as its name. */
#if defined(MBK_SIMT) && !defined(MBK_MUTATE)
#define MBK_KEEP(name) (!simt_removed || simt_keep(#name))
#elif defined(MBK_MUTATE)
#define MBK_NAME_OF_(x) #x
#define MBK_NAME_OF(x) MBK_NAME_OF_(x)
static constexpr __host__ __device__ bool mbk_same_name(const char *a, const char *b) {
    return *a == *b && (*a == 0 || mbk_same_name(a + 1, b + 1));
}
#define MBK_KEEP(name) (!mbk_same_name(#name, MBK_NAME_OF(MBK_MUTATE)))
#else
#define MBK_KEEP(name) true
#endif

#include "cuda/launch.h"

#define MBK_WARP 32
#define MBK_FULL 0xffffffffu

/* Launches KERNEL (a function, in parentheses where it is a template with commas) and returns the cudaError_t. */
#define MBK_LAUNCH(queue, grid_, block_, shared_, kernel, ...)                                                         \
    ([&]() -> cudaError_t {                                                                                            \
        cudaLaunchConfig_t mbk_cfg = {};                                                                               \
        mbk_cfg.gridDim = grid_;                                                                                       \
        mbk_cfg.blockDim = block_;                                                                                     \
        mbk_cfg.dynamicSmemBytes = shared_;                                                                            \
        mbk_cfg.stream = (cudaStream_t)(queue)->stream;                                                                \
        return cudaLaunchKernelEx(&mbk_cfg, kernel, ##__VA_ARGS__);                                                    \
    }())

/* Activations are f32 or bf16 in memory and f32 in registers. */
static __device__ __forceinline__ float mbk_load(const float *p) {
    return *p;
}
static __device__ __forceinline__ float mbk_load(const __nv_bfloat16 *p) {
    return __bfloat162float(*p);
}
static __device__ __forceinline__ void mbk_store(float *p, float v) {
    *p = v;
}
static __device__ __forceinline__ void mbk_store(__nv_bfloat16 *p, float v) {
    *p = __float2bfloat16_rn(v);
}

/* 2^x and 1/x as the device's own instructions, 2 ulp and 1 ulp; results below 2^-126 become zero. With MBK_LOG2E x as
 * argument, e^x to 2 ulp + |x| 2^-24: right where x < 0 and its absolute error counts, as in a decay. */
#define MBK_LOG2E 1.44269504f
static __device__ __forceinline__ float mbk_exp2(float x) {
#ifdef MBK_SIMT
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}
static __device__ __forceinline__ float mbk_rcp(float x) {
#ifdef MBK_SIMT
    return 1.0f / x;
#else
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}
/* log(1 + e^q) as max(q, 0) + log(1 + t), t = e^-|q| in (0, 1] with what rounding took from its exponent, and log(1 +
 * t) / t as a polynomial (Chebyshev, 1.7e-7): within 4e-7 of the result for every q, and one exponential only. */
static __device__ __forceinline__ float mbk_softplus(float q) {
    const float size = fabsf(q);
    const float x = -MBK_LOG2E * size;
    const float lost = fmaf(-MBK_LOG2E, size, -x);
    float t = mbk_exp2(x);
    t = t > 0.0f ? fmaf(t, 0.693147181f * lost, t) : t; /* of an infinite q nothing is known to be lost */
    float p = 0.00525345793f;
    p = fmaf(p, t, -0.0295885075f);
    p = fmaf(p, t, 0.0783616677f);
    p = fmaf(p, t, -0.136747703f);
    p = fmaf(p, t, 0.191114306f);
    p = fmaf(p, t, -0.248443693f);
    p = fmaf(p, t, 0.333192706f);
    p = fmaf(p, t, -0.499995023f);
    p = fmaf(p, t, 1.0f);
    return q > 20.0f ? q : fmaf(p, t, fmaxf(q, 0.0f));
}

/* The compiler forgets how it came by a number of 8 bytes or an int: what follows from it is not computed ahead of a
 * loop and kept in registers. */
#ifdef MBK_SIMT
#define MBK_OPAQUE(p) ((void)(p))
#define MBK_OPAQUE_INT(i) ((void)(i))
#else
#define MBK_OPAQUE(p) asm volatile("" : "+l"(p))
#define MBK_OPAQUE_INT(i) asm volatile("" : "+r"(i))
#endif
static __device__ __forceinline__ float mbk_sigmoid(float q) {
    return mbk_rcp(1.0f + mbk_exp2(-MBK_LOG2E * q));
}
static __device__ __forceinline__ float mbk_silu(float q) {
    return q * mbk_sigmoid(q);
}

/* The sum of v over a warp, in every lane, in one fixed order. */
static __device__ __forceinline__ float mbk_warp_sum(float v) {
#pragma unroll
    for (int k = MBK_WARP / 2; k > 0; k /= 2) {
        v += __shfl_xor_sync(MBK_FULL, v, k);
    }
    return v;
}
static __device__ __forceinline__ float mbk_warp_max(float v) {
#pragma unroll
    for (int k = MBK_WARP / 2; k > 0; k /= 2) {
        v = fmaxf(v, __shfl_xor_sync(MBK_FULL, v, k));
    }
    return v;
}

#endif
