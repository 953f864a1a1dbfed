/*
 * vector.cuh - V neighbouring numbers of a row between memory and f32 registers. VEC: in accesses of up to 16 bytes,
 * which asks for an address of that alignment; otherwise one by one. Which of the two a launch takes shows in no bit:
 * the numbers that a thread holds are the same.
 */
#ifndef MBK_CUDA_VECTOR_CUH
#define MBK_CUDA_VECTOR_CUH

#include "cuda/device.cuh"

/* Bytes of one access: V numbers of T, in pieces of 16 at most. */
static __device__ __forceinline__ float4 mbk_ld4(const float *p) {
    return *(const float4 *)(const void *)p;
}
static __device__ __forceinline__ void mbk_st4(float *p, float4 v) {
    *(float4 *)(void *)p = v;
}
static __device__ __forceinline__ float mbk_low_half(uint32_t pair) {
    return __uint_as_float(pair << 16);
}
static __device__ __forceinline__ float mbk_high_half(uint32_t pair) {
    return __uint_as_float(pair & 0xffff0000u);
}
static __device__ __forceinline__ uint32_t mbk_half_pair(float low, float high) {
    uint32_t a = __bfloat16_as_ushort(__float2bfloat16_rn(low));
    uint32_t b = __bfloat16_as_ushort(__float2bfloat16_rn(high));
    return a | b << 16;
}

template <int V> static __device__ __forceinline__ void mbk_load_whole(float (&v)[V], const float *p) {
    static_assert(V % 4 == 0, "16 bytes at a time");
#pragma unroll
    for (int k = 0; k < V; k += 4) {
        float4 w = mbk_ld4(p + k);
        v[k] = w.x;
        v[k + 1] = w.y;
        v[k + 2] = w.z;
        v[k + 3] = w.w;
    }
}
template <int V> static __device__ __forceinline__ void mbk_load_whole(float (&v)[V], const __nv_bfloat16 *p) {
    static_assert(V == 4 || V == 8, "8 or 16 bytes");
    uint32_t w[V / 2];
    if (V == 8) {
        uint4 q = *(const uint4 *)(const void *)p;
        w[0] = q.x;
        w[1] = q.y;
        w[V / 2 - 2] = q.z;
        w[V / 2 - 1] = q.w;
    } else {
        uint2 q = *(const uint2 *)(const void *)p;
        w[0] = q.x;
        w[1] = q.y;
    }
#pragma unroll
    for (int k = 0; k < V / 2; k++) {
        v[2 * k] = mbk_low_half(w[k]);
        v[2 * k + 1] = mbk_high_half(w[k]);
    }
}

template <int V> static __device__ __forceinline__ void mbk_store_whole(float *p, const float (&v)[V]) {
    static_assert(V % 4 == 0, "16 bytes at a time");
#pragma unroll
    for (int k = 0; k < V; k += 4) {
        mbk_st4(p + k, make_float4(v[k], v[k + 1], v[k + 2], v[k + 3]));
    }
}
template <int V> static __device__ __forceinline__ void mbk_store_whole(__nv_bfloat16 *p, const float (&v)[V]) {
    static_assert(V == 4 || V == 8, "8 or 16 bytes");
    uint32_t w[V / 2];
#pragma unroll
    for (int k = 0; k < V / 2; k++) {
        w[k] = mbk_half_pair(v[2 * k], v[2 * k + 1]);
    }
    if (V == 8) {
        *(uint4 *)(void *)p = make_uint4(w[0], w[1], w[V / 2 - 2], w[V / 2 - 1]);
    } else {
        *(uint2 *)(void *)p = make_uint2(w[0], w[1]);
    }
}

/* The first `live` of V numbers (all of them where live >= V); what is not there is zero. */
template <bool VEC, int V, typename T>
static __device__ __forceinline__ void mbk_load_some(float (&v)[V], const T *p, int64_t live) {
    if constexpr (VEC) {
        if (live >= V) {
            mbk_load_whole(v, p);
            return;
        }
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
        v[k] = k < live ? mbk_load(p + k) : 0.0f;
    }
}
template <bool VEC, int V, typename T>
static __device__ __forceinline__ void mbk_store_some(T *p, const float (&v)[V], int64_t live) {
    if constexpr (VEC) {
        if (live >= V) {
            mbk_store_whole(p, v);
            return;
        }
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
        if (k < live) {
            mbk_store(p + k, v[k]);
        }
    }
}

/* Whether every row of a view begins at an address that 16-byte accesses can take (true of an absent one). */
static inline bool mbk_aligned(mbk_cu_view v) {
    int64_t size = v.type == MBK_CU_BF16 ? 2 : 4;
    return !v.p || ((uintptr_t)v.p % 16 == 0 && (v.rows <= 1 || v.ld * size % 16 == 0));
}

enum { MBK_MAP_THREADS = 256, MBK_MAP_ROWS = 4 };

/* How rows and columns are dealt out: a thread takes V neighbouring columns of MBK_MAP_ROWS rows. */
typedef struct mbk_map_shape {
    dim3 block;
    unsigned col_blocks, blocks;
} mbk_map_shape;

static inline mbk_map_shape mbk_map_shape_of(int64_t rows, int64_t cols, int v) {
    int64_t vectors = (cols + v - 1) / v;
    unsigned across = 4;
    while (across < MBK_WARP && (int64_t)across < vectors) {
        across *= 2;
    }
    unsigned down = MBK_MAP_THREADS / across;
    mbk_map_shape s;
    s.block = dim3(across, down, 1);
    s.col_blocks = (unsigned)((vectors + across - 1) / across);
    int64_t each = (int64_t)down * MBK_MAP_ROWS;
    s.blocks = (unsigned)(s.col_blocks * ((rows + each - 1) / each));
    return s;
}

#endif
