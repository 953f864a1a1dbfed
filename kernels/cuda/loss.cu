/*
 * loss.cu - what a row of logits is asked: the log-probability of a symbol, and whether it is the likeliest. A row is
 * dealt out to 8 lanes where it is short (an alphabet), to a warp or to a block where it is long (a vocabulary), and
 * read twice, the second time from the cache: 4 bytes a logit.
 */
#include "cuda/vector.cuh"

enum { LOSS_THREADS = 256, LOSS_WARPS = LOSS_THREADS / MBK_WARP };

static dim3 loss_block(int64_t cols) {
    unsigned lanes = cols <= 64 ? 8 : cols <= 2048 ? MBK_WARP : LOSS_THREADS;
    return dim3(lanes, LOSS_THREADS / lanes);
}

/* Over the lanes of a row, in each of them; OP 0: the sum, 1: the largest. Once in a kernel for each: nothing waits
 * until `part` is free again. */
template <int OP> static __device__ __forceinline__ float lanes_all(float v) {
    MBK_SHARED(float, part, LOSS_WARPS);
    const int lanes = blockDim.x < MBK_WARP ? (int)blockDim.x : MBK_WARP;
    for (int k = lanes / 2; k > 0; k /= 2) {
        float o = __shfl_xor_sync(MBK_FULL, v, k);
        v = OP ? fmaxf(v, o) : v + o;
    }
    if (blockDim.x > MBK_WARP) {
        if (threadIdx.x % MBK_WARP == 0) {
            part[threadIdx.x / MBK_WARP] = v;
        }
        if (MBK_KEEP(loss_part_ready)) {
            __syncthreads();
        }
        v = part[0];
#pragma unroll
        for (int i = 1; i < LOSS_WARPS; i++) {
            v = OP ? fmaxf(v, part[i]) : v + part[i];
        }
    }
    return v;
}

/* Lanes beyond the last row go along with it, for the shuffles, and write nothing. */
__global__ void __launch_bounds__(LOSS_THREADS)
    mbk_logprob_rows(mbk_cu_view lp, mbk_cu_view logits, const int32_t *ids) {
    int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    const bool writes = row < logits.rows && threadIdx.x == 0;
    row = row < logits.rows ? row : logits.rows - 1;
    const float *x = (const float *)logits.p + row * logits.ld;
    float top = -INFINITY;
    for (int64_t j = threadIdx.x; j < logits.cols; j += blockDim.x) {
        top = fmaxf(top, x[j]);
    }
    top = lanes_all<1>(top);
    float sum = 0.0f;
    for (int64_t j = threadIdx.x; j < logits.cols; j += blockDim.x) {
        sum += expf(x[j] - top);
    }
    sum = lanes_all<0>(sum);
    if (writes) {
        int32_t id = ids[row];
        ((float *)lp.p)[row * lp.ld] = id < 0 ? NAN : (x[id] - top) - logf(sum);
    }
}

/* Beaten: by an equal number before it, a larger one after it, or by being none. */
__global__ void __launch_bounds__(LOSS_THREADS) mbk_hit_rows(mbk_cu_view hit, mbk_cu_view logits, const int32_t *ids) {
    int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    const bool writes = row < logits.rows && threadIdx.x == 0;
    row = row < logits.rows ? row : logits.rows - 1;
    const float *x = (const float *)logits.p + row * logits.ld;
    const int32_t id = ids[row];
    float best = id < 0 ? NAN : x[id];
    float beaten = id < 0 || best != best ? 1.0f : 0.0f;
    for (int64_t j = threadIdx.x; j < logits.cols; j += blockDim.x) {
        if (j < id ? x[j] >= best : j > id && x[j] > best) {
            beaten = 1.0f;
        }
    }
    beaten = lanes_all<1>(beaten);
    if (writes) {
        ((float *)hit.p)[row * hit.ld] = beaten > 0.0f ? 0.0f : 1.0f;
    }
}

static dim3 loss_grid(dim3 block, int64_t rows) {
    return dim3((unsigned)((rows + block.y - 1) / block.y));
}

extern "C" mbk_cu_error mbk_cu_logprob(const mbk_cu_queue *q, mbk_cu_view lp, mbk_cu_view logits, const int32_t *ids) {
    if (logits.rows <= 0) {
        return cudaSuccess;
    }
    dim3 block = loss_block(logits.cols);
    return MBK_LAUNCH(q, loss_grid(block, logits.rows), block, 0, mbk_logprob_rows, lp, logits, ids);
}

extern "C" mbk_cu_error mbk_cu_hits(const mbk_cu_queue *q, mbk_cu_view hit, mbk_cu_view logits, const int32_t *ids) {
    if (logits.rows <= 0) {
        return cudaSuccess;
    }
    dim3 block = loss_block(logits.cols);
    return MBK_LAUNCH(q, loss_grid(block, logits.rows), block, 0, mbk_hit_rows, hit, logits, ids);
}
