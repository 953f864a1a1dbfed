/*
 * simt.h - what a kernel file sees in place of nvcc's built-ins when the host's compiler reads it (device.cuh includes
 * it under MBK_SIMT): the same names, on the emulator of runtime.h. Types come from the toolkit's own headers.
 *
 * Checked here and not on a device: masks and sites of warp operations, barriers that all threads reach, alignment of
 * __ldg and its kind, shared memory that is read before it is written (it holds NaN), pointers that a kernel is given.
 */
#ifndef MBK_SIMT_H
#define MBK_SIMT_H

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <utility>
#include <vector_functions.h>

#include "simt/runtime.h"

/* The toolkit's markings mean nothing here, but for two: a kernel is found by its name in the dynamic table, so it
 * cannot be static; and libstdc++ uses __noinline__ as a word of its own. */
#undef __global__
#define __global__ __attribute__((visibility("default")))
#undef __forceinline__
#define __forceinline__ inline
#undef __noinline__
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __constant__
#define __constant__ error_pass_a_struct_by_value_instead
#define __activemask() static_assert(false, "__activemask says nothing that may be relied upon; name the mask")

extern "C" {
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
}
static constexpr int warpSize = SIMT_WARP;

/* As in device.cuh: an array of `count` T for the block; the block's dynamic shared memory as T. */
#define MBK_SHARED(T, name, count)                                                                                     \
    static simt_slot mbk_slot_of_##name;                                                                               \
    T(&name)                                                                                                           \
    [count] = *(T(*)[count])simt_shared(&mbk_slot_of_##name, sizeof(T) * (count), alignof(T) > 16 ? alignof(T) : 16)
#define MBK_DYN_SHARED(T, name) T *name = (T *)simt_dynamic(nullptr)

/* The caller's place in the source, as default arguments of every operation that can wait. */
#define SIMT_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define SIMT_SITE (simt_site{file, line})

#include "simt/intrinsics.h"
#include "simt/launch.h"
#include "simt/memory.h"
#include "simt/warp.h"

#endif
