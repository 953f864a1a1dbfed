/*
 * tile.cuh - products of tiles in shared memory: a block of MBK_TILE_THREADS threads holds an output tile of MBK_TILE
 * by MBK_TILE numbers, 8 rows by 4 columns a thread, and adds to it the products of two tiles that are filled a slice
 * of MBK_TILE_K at a time. Every number is one chain of fused multiply-adds in the order of the slices, whatever
 * happens beside it.
 *
 * A slice is kept with the summed index first: left[t][row], right[t][col], MBK_TILE_LD apart.
 */
#ifndef MBK_CUDA_TILE_CUH
#define MBK_CUDA_TILE_CUH

#include "cuda/device.cuh"

#define MBK_TILE 64
#define MBK_TILE_K 32
#define MBK_TILE_LD 68 /* a multiple of 4 for vector loads; the banks of 8 t and 4 rows differ */
#define MBK_TILE_THREADS 128
#define MBK_TILE_FLOATS (MBK_TILE_K * MBK_TILE_LD)

/* What a thread holds of the output: rows [row, row + 8) and columns [col, col + 4). */
struct mbk_tile {
    float at[8][4];
    int row, col;
};

static __device__ __forceinline__ void mbk_tile_clear(mbk_tile &out) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            out.at[i][j] = 0.0f;
        }
    }
}

static __device__ __forceinline__ void mbk_tile_begin(mbk_tile &out) {
    out.row = (int)threadIdx.x / 16 * 8;
    out.col = (int)threadIdx.x % 16 * 4;
    mbk_tile_clear(out);
}

/* out += left^T right over t in [from, to). */
static __device__ __forceinline__ void mbk_tile_add(mbk_tile &out, const float *left, const float *right, int from,
                                                    int to) {
#pragma unroll 4
    for (int t = from; t < to; t++) {
        const float4 a0 = *(const float4 *)(left + t * MBK_TILE_LD + out.row);
        const float4 a1 = *(const float4 *)(left + t * MBK_TILE_LD + out.row + 4);
        const float4 b = *(const float4 *)(right + t * MBK_TILE_LD + out.col);
        const float l[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
        const float r[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < 8; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                out.at[i][j] = fmaf(l[i], r[j], out.at[i][j]);
            }
        }
    }
}

/* As mbk_tile_add over t in [first, first + count), where row i takes only t <= i: what lies after it, finite or not,
 * never touches it. `left` and `right` begin at `first`. */
static __device__ __forceinline__ void mbk_tile_add_causal(mbk_tile &out, const float *left, const float *right,
                                                           int first, int count) {
    const int all = min(max(out.row - first, 0), count);
    const int some = min(max(out.row + 8 - first, 0), count);
    mbk_tile_add(out, left, right, 0, all);
    for (int t = all; t < some; t++) {
        const float4 b = *(const float4 *)(right + t * MBK_TILE_LD + out.col);
        const float r[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (out.row + i >= first + t) {
                const float l = left[t * MBK_TILE_LD + out.row + i];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    out.at[i][j] = fmaf(l, r[j], out.at[i][j]);
                }
            }
        }
    }
}

/* to[t][c] = value(t, c) for t < count: neighbouring threads take neighbouring columns. */
template <class F> static __device__ __forceinline__ void mbk_tile_fill(float *to, int count, F value) {
    for (int k = (int)threadIdx.x; k < count * MBK_TILE; k += MBK_TILE_THREADS) {
        const int t = k / MBK_TILE;
        const int c = k % MBK_TILE;
        to[t * MBK_TILE_LD + c] = value(t, c);
    }
}

/* The same where what is read lies along t: eight neighbouring threads take neighbouring t. */
template <class F> static __device__ __forceinline__ void mbk_tile_fill_turned(float *to, int count, F value) {
    const int t0 = (int)threadIdx.x % 8;
    for (int c = (int)threadIdx.x / 8; c < MBK_TILE; c += MBK_TILE_THREADS / 8) {
        for (int t = t0; t < count; t += 8) {
            to[t * MBK_TILE_LD + c] = value(t, c);
        }
    }
}

/* *to += the sum of v over the 16 threads that hold a row of the tile, by the first of them. */
template <class T> static __device__ __forceinline__ void mbk_tile_row_sum(double *to, T v) {
#pragma unroll
    for (int k = 8; k > 0; k /= 2) {
        v += __shfl_xor_sync(MBK_FULL, v, k);
    }
    if (threadIdx.x % 16 == 0) {
        *to += (double)v;
    }
}

#endif
