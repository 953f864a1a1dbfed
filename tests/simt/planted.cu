/*
 * planted.cu - small kernels, each right as it stands and wrong where MBK_SIMT_MUTATE names the part of it that is then
 * left out: what the emulator must find (test_simt_planted.c). planted.h says what each returns.
 */
#include "cuda/device.cuh"

#include "simt/planted.h"

enum { THREADS = 64, WARPS = THREADS / MBK_WARP };

static mbk_cu_queue queue;

/* y[b] = sum of the THREADS x of block b. */
__global__ void __launch_bounds__(THREADS) planted_sum(float *y, const float *x) {
    MBK_SHARED(float, part, WARPS);
    float v = mbk_warp_sum(__ldg(x + blockIdx.x * THREADS + threadIdx.x));
    if (threadIdx.x % MBK_WARP == 0) {
        part[threadIdx.x / MBK_WARP] = v;
    }
    if (MBK_KEEP(planted_read_after_write)) {
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int w = 0; w < WARPS; w++) {
            sum += part[w];
        }
        y[blockIdx.x] = sum;
    }
}

/* Each thread's neighbour's value of each of `chunks` chunks, summed. */
__global__ void __launch_bounds__(THREADS) planted_chunks(float *y, const float *x, int chunks) {
    MBK_SHARED(float, tile, THREADS);
    float sum = 0;
    for (int c = 0; c < chunks; c++) {
        tile[threadIdx.x] = x[c * THREADS + threadIdx.x];
        __syncthreads();
        sum += tile[(threadIdx.x + 1) % THREADS];
        if (MBK_KEEP(planted_write_after_read)) {
            __syncthreads();
        }
    }
    y[threadIdx.x] = sum;
}

/* The same within a warp, by __syncwarp; without it a shuffle stands between, which orders nothing. */
__global__ void __launch_bounds__(MBK_WARP) planted_warp(float *y, const float *x) {
    MBK_SHARED(float, tile, MBK_WARP);
    tile[threadIdx.x] = x[threadIdx.x];
    if (MBK_KEEP(planted_warp_order)) {
        __syncwarp();
    } else {
        __shfl_sync(MBK_FULL, 0, 0);
    }
    y[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void planted_divergent(float *y) {
    if (MBK_KEEP(planted_converged) || threadIdx.x < MBK_WARP) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    y[threadIdx.x] = 1;
}

__global__ void planted_return(float *y) {
    if (!MBK_KEEP(planted_all_stay) && threadIdx.x == 5) {
        return;
    }
    __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void planted_bounds(float *y, const float *x, int n) {
    MBK_SHARED(float, tile, THREADS);
    int at = (int)threadIdx.x, past = MBK_KEEP(planted_shared_bound) ? 0 : 1;
    tile[at] = 0;
    tile[at + past] = x[at];
    __syncthreads();
    if (at < n || !MBK_KEEP(planted_global_bound)) {
        y[at] = tile[at];
    }
}

__global__ void planted_lanes(int *y) {
    unsigned mask = MBK_KEEP(planted_own_lane) ? MBK_FULL : MBK_FULL << 1;
    int v = (int)threadIdx.x;
    if (MBK_KEEP(planted_one_mask)) {
        v = __shfl_xor_sync(mask, v, 1);
    } else {
        v = __shfl_xor_sync(threadIdx.x < 16 ? 0xffffu : MBK_FULL, v, 1);
    }
    y[threadIdx.x] = v;
}

__global__ void planted_vector(float *y, const float *x) {
    const float *from = MBK_KEEP(planted_aligned) ? x : x + 1;
    float4 v = __ldg((const float4 *)(const void *)from + threadIdx.x);
    y[threadIdx.x] = v.x + v.y + v.z + v.w;
}

/* Every block adds to its own cell of y, or all to the first. */
__global__ void planted_blocks(float *y, const float *x) {
    int at = MBK_KEEP(planted_own_cell) ? (int)blockIdx.x : 0;
    if (threadIdx.x == 0) {
        y[at] += x[blockIdx.x];
    }
}

/* x by cp.async through two buffers. */
__global__ void __launch_bounds__(THREADS) planted_copy(float *y, const float *x, int chunks) {
    MBK_SHARED(float, tile, 2 * THREADS);
    float sum = 0;
    __pipeline_memcpy_async(tile + threadIdx.x, x + threadIdx.x, 4);
    __pipeline_commit();
    for (int c = 0; c < chunks; c++) {
        if (c + 1 < chunks) {
            __pipeline_memcpy_async(tile + (c + 1) % 2 * THREADS + threadIdx.x, x + (c + 1) * THREADS + threadIdx.x, 4);
        }
        __pipeline_commit();
        __pipeline_wait_prior(MBK_KEEP(planted_wait) ? 1 : 2);
        __syncthreads();
        sum += tile[c % 2 * THREADS + (threadIdx.x + 1) % THREADS];
        __syncthreads();
    }
    __pipeline_wait_prior(0);
    y[threadIdx.x] = sum;
}

struct planted_pair {
    const float *x;
    int64_t n;
};
__global__ void planted_struct(float *y, planted_pair a) {
    y[threadIdx.x] = (int64_t)threadIdx.x < a.n ? a.x[threadIdx.x] : 0;
}

__global__ void planted_count(int *y) {
    atomicAdd(y, 1);
}

__global__ void planted_dynamic(float *y) {
    MBK_DYN_SHARED(float, tile);
    tile[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    y[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
}

extern "C" int planted_run(const char *what, float *y, const float *x) {
    const dim3 one(1), threads(THREADS);
    switch (*what) {
    case 's':
        return MBK_LAUNCH(&queue, dim3(4), threads, 0, planted_sum, y, x);
    case 'c':
        return MBK_LAUNCH(&queue, one, threads, 0, planted_chunks, y, x, 4);
    case 'w':
        return MBK_LAUNCH(&queue, one, dim3(MBK_WARP), 0, planted_warp, y, x);
    case 'd':
        return MBK_LAUNCH(&queue, one, threads, 0, planted_divergent, y);
    case 'r':
        return MBK_LAUNCH(&queue, one, threads, 0, planted_return, y);
    case 'b':
        return MBK_LAUNCH(&queue, one, threads, 0, planted_bounds, y, x, PLANTED_BOUND);
    case 'l':
        return MBK_LAUNCH(&queue, one, dim3(MBK_WARP), 0, planted_lanes, (int *)y);
    case 'v':
        return MBK_LAUNCH(&queue, one, dim3(32), 0, planted_vector, y, x);
    case 'g':
        return MBK_LAUNCH(&queue, dim3(4), threads, 0, planted_blocks, y, x);
    case 'p':
        return MBK_LAUNCH(&queue, one, threads, 0, planted_copy, y, x, 4);
    case 't':
        return MBK_LAUNCH(&queue, one, threads, 0, planted_struct, y, planted_pair{x, THREADS});
    case 'a':
        return MBK_LAUNCH(&queue, dim3(4), threads, 0, planted_count, (int *)y);
    case 'y':
        return MBK_LAUNCH(&queue, one, threads, THREADS * sizeof(float), planted_dynamic, y);
    default:
        return -1;
    }
}
