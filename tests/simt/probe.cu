/*
 * probe.cu - kernels that write down what the emulator's operations gave them (test_simt_probe.c).
 */
#include "cuda/device.cuh"

#include "simt/probe.h"

static mbk_cu_queue queue;

/* out[lane] of each of PROBE_WARP_OPS operations on v = 3 lane + 1. */
__global__ void probe_warp(int *out) {
    const int lane = (int)threadIdx.x, v = 3 * lane + 1;
    int *o = out + lane;
    *o = __shfl_sync(MBK_FULL, v, 5), o += MBK_WARP;
    *o = __shfl_sync(MBK_FULL, v, 3, 8), o += MBK_WARP;
    *o = __shfl_up_sync(MBK_FULL, v, 2), o += MBK_WARP;
    *o = __shfl_up_sync(MBK_FULL, v, 1, 4), o += MBK_WARP;
    *o = __shfl_down_sync(MBK_FULL, v, 7), o += MBK_WARP;
    *o = __shfl_down_sync(MBK_FULL, v, 3, 16), o += MBK_WARP;
    *o = __shfl_xor_sync(MBK_FULL, v, 16), o += MBK_WARP;
    *o = __shfl_xor_sync(MBK_FULL, v, 5, 8), o += MBK_WARP;
    *o = (int)__ballot_sync(MBK_FULL, v % 2), o += MBK_WARP;
    *o = __any_sync(MBK_FULL, lane == 9) + 2 * __all_sync(MBK_FULL, lane != 9), o += MBK_WARP;
    *o = __reduce_add_sync(MBK_FULL, v), o += MBK_WARP;
    *o = __reduce_max_sync(MBK_FULL, -v), o += MBK_WARP;
    *o = (int)__match_any_sync(MBK_FULL, lane / 10), o += MBK_WARP;
    *o = (int)(__shfl_sync(MBK_FULL, (int64_t)v << 33, 2) >> 33);
}

/* Halves of a warp, each with its own mask, on ways of their own. */
__global__ void probe_halves(int *out) {
    const int lane = (int)threadIdx.x;
    if (lane < 16) {
        out[lane] = __shfl_xor_sync(0xffffu, lane, 1);
    } else {
        out[lane] = __shfl_xor_sync(0xffff0000u, lane, 2) + 100;
    }
}

/* out[global index] = 1 + how the thread sees itself; every cell once. */
__global__ void probe_places(int *out) {
    int64_t block = blockIdx.x + (int64_t)gridDim.x * (blockIdx.y + (int64_t)gridDim.y * blockIdx.z);
    int thread = (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
    int n = (int)(blockDim.x * blockDim.y * blockDim.z);
    atomicAdd(out + block * n + thread, 1 + thread);
}

/* What shared memory holds before anybody wrote to it, in every block; then each leaves its own there. */
__global__ void probe_fresh(unsigned *out) {
    MBK_SHARED(unsigned, fixed, 4);
    MBK_DYN_SHARED(unsigned, dynamic);
    out[2 * blockIdx.x] = fixed[3];
    out[2 * blockIdx.x + 1] = dynamic[5];
    fixed[3] = dynamic[5] = blockIdx.x;
}

/* Block votes. */
__global__ void probe_votes(int *out) {
    const int t = (int)threadIdx.x;
    int any = __syncthreads_or(t == 40), all = __syncthreads_and(t < 1000), count = __syncthreads_count(t % 3 == 0);
    if (t == 63) {
        out[0] = any != 0;
        out[1] = all != 0;
        out[2] = count;
    }
}

/* D = A B + C of one tile, from row-major bf16 A (16, 16) and B (16, 8), f32 C and D (16, 8). */
__global__ void probe_mma(float *d, const __nv_bfloat16 *a, const __nv_bfloat16 *b, const float *c) {
    const int row = (int)threadIdx.x / 4, col = (int)threadIdx.x % 4 * 2;
    unsigned fa[4], fb[2];
    float fc[4], fd[4];
    for (int i = 0; i < 4; i++) {
        const __nv_bfloat16 *p = a + (row + i % 2 * 8) * 16 + col + i / 2 * 8;
        unsigned short low, high;
        memcpy(&low, p, 2);
        memcpy(&high, p + 1, 2);
        fa[i] = (unsigned)high << 16 | low;
        fc[i] = c[(row + i / 2 * 8) * 8 + col + i % 2];
    }
    for (int i = 0; i < 2; i++) {
        unsigned short low, high;
        memcpy(&low, b + (col + i * 8) * 8 + row, 2);
        memcpy(&high, b + (col + i * 8 + 1) * 8 + row, 2);
        fb[i] = (unsigned)high << 16 | low;
    }
    simt_mma_bf16_16x8x16(fd, fa, fb, fc);
    for (int i = 0; i < 4; i++) {
        d[(row + i / 2 * 8) * 8 + col + i % 2] = fd[i];
    }
}

/* Arguments of all sizes arrive. */
struct probe_odd {
    char c;
    double d;
    short s;
};
__global__ void probe_arguments(double *out, char a, probe_odd b, short c, float d, int64_t e) {
    out[0] = a + b.c + b.d + b.s + c + (double)d + (double)e;
}

extern "C" int probe_run(const char *what, probe_buffers m) {
    const dim3 one(1);
    switch (*what) {
    case 'w':
        return MBK_LAUNCH(&queue, one, dim3(MBK_WARP), 0, probe_warp, m.ints);
    case 'h':
        return MBK_LAUNCH(&queue, one, dim3(MBK_WARP), 0, probe_halves, m.ints);
    case 'p':
        return MBK_LAUNCH(&queue, dim3(3, 2, 4), dim3(5, 4, 3), 0, probe_places, m.ints);
    case 'f':
        return MBK_LAUNCH(&queue, dim3(PROBE_BLOCKS), one, 64, probe_fresh, (unsigned *)m.ints);
    case 'v':
        return MBK_LAUNCH(&queue, one, dim3(64), 0, probe_votes, m.ints);
    case 'm':
        return MBK_LAUNCH(&queue, one, dim3(MBK_WARP), 0, probe_mma, m.floats, (const __nv_bfloat16 *)m.a,
                          (const __nv_bfloat16 *)m.b, (const float *)m.floats);
    case 'a':
        return MBK_LAUNCH(&queue, one, one, 0, probe_arguments, (double *)(void *)m.floats, (char)1,
                          probe_odd{2, 0.5, 3}, (short)4, 5.25f, (int64_t)1 << 40);
    case 'T': /* more threads than a block may have */
        return MBK_LAUNCH(&queue, one, dim3(1025), 0, probe_votes, m.ints);
    case 'G': /* no blocks */
        return MBK_LAUNCH(&queue, dim3(0), one, 0, probe_votes, m.ints);
    case 'S': /* more dynamic shared memory than was asked for */
        return MBK_LAUNCH(&queue, dim3(1), one, 100 << 10, probe_fresh, (unsigned *)m.ints);
    case 'A': /* asked for */
        return cudaFuncSetAttribute(probe_fresh, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 << 10);
    case 'B': /* more than there is */
        return cudaFuncSetAttribute(probe_fresh, cudaFuncAttributeMaxDynamicSharedMemorySize, 300 << 10);
    default:
        return -1;
    }
}
