/*
 * conv.cu - the causal convolution of every channel, then silu. A thread has 4 channels (an access of 16 or
 * 8 bytes) over 64 rows, 16 where rows are few, the taps and the last inputs in registers; what lies before its first
 * row is read again, 3 rows in 64, mostly from the cache.
 *
 *   8 bytes a token and channel in f32, 4 in bf16 (read once, written once, + 5 %); W multiply-adds and a silu
 *
 * Few rows are one group of rows, whose thread also carries the state; for more, that is a launch of its own.
 */
#include "cuda/starts.cuh"
#include "cuda/vector.cuh"

enum {
    CONV_ACROSS = 32,
    CONV_DOWN = 4,
    CONV_ROWS = 64, /* of a thread, where there are many */
    CONV_LEAST = 16,
    CONV_ENOUGH = 1024, /* threads of a multiprocessor */
    CONV_AHEAD = 4,     /* rows that are fetched together */
    CONV_MAX = 16       /* taps */
};

typedef struct conv_run {
    mbk_cu_conv a;
    unsigned col_blocks;
    int rows;    /* of a thread */
    int carries; /* the state is this launch's affair too */
} conv_run;

/* Channel c of the input of row t, for rows before the call and after it: zeros before `start`. */
template <typename T>
static __device__ __forceinline__ float conv_input(const mbk_cu_conv &a, int64_t t, int64_t start, int64_t c) {
    if (t < start) {
        return 0.0f;
    }
    return t < 0 ? ((const float *)a.state.p)[(a.w.rows + t) * a.state.ld + c]
                 : mbk_load((const T *)a.x.p + t * a.x.ld + c);
}

/* The state becomes the last rows of (state, x); all are read before the first is written. */
template <typename T, int W> static __device__ __forceinline__ void conv_carry(const mbk_cu_conv &a, int64_t c) {
    const int first = W - (int)a.w.rows;
    const int64_t start = mbk_start_before(a.starts, a.x.rows - 1);
    float keep[W];
#pragma unroll
    for (int k = 0; k < W; k++) {
        if (k >= first) {
            keep[k] = conv_input<T>(a, a.x.rows - W + k, start < 0 ? -CONV_MAX : start, c);
        }
    }
#pragma unroll
    for (int k = 0; k < W; k++) {
        if (k >= first) {
            ((float *)a.state.p)[(k - first) * a.state.ld + c] = keep[k];
        }
    }
}

/* W taps at most; fewer where W is CONV_MAX. The window holds the inputs of the W - 1 rows before. */
template <typename T, int W, int V, bool VEC>
__global__ void __launch_bounds__(CONV_ACROSS *CONV_DOWN) mbk_conv_rows(conv_run run) {
    const mbk_cu_conv &a = run.a;
    const unsigned row_block = blockIdx.x / run.col_blocks;
    const int64_t c = ((int64_t)(blockIdx.x - row_block * run.col_blocks) * CONV_ACROSS + threadIdx.x) * V;
    const int64_t live = a.x.cols - c;
    const int64_t t0 = ((int64_t)row_block * blockDim.y + threadIdx.y) * run.rows;
    const int64_t t1 = t0 + run.rows < a.x.rows ? t0 + run.rows : a.x.rows;
    if (live <= 0 || t0 >= t1) {
        return;
    }
    const int first = W - (int)a.w.rows;
    float tap[W][V] = {};
    float window[W][V] = {};
    float bias[V] = {};
#pragma unroll
    for (int k = 0; k < W; k++) {
        if (k >= first) {
            mbk_load_some<VEC, V>(tap[k], (const float *)a.w.p + (k - first) * a.w.ld + c, live);
        }
    }
    if (a.bias.p) {
        mbk_load_some<VEC, V>(bias, (const float *)a.bias.p + c, live);
    }
    int64_t piece = mbk_starts_upto(a.starts, t0 - 1);
    int64_t next = mbk_start_at(a.starts, piece);
    const int64_t start = piece > 0 ? a.starts.at[piece - 1] : -CONV_MAX;
#pragma unroll
    for (int k = 1; k < W; k++) {
        const int64_t t = t0 - W + k;
        if (k > first && t >= start) {
            if (t >= 0) {
                mbk_load_some<VEC, V>(window[k], (const T *)a.x.p + t * a.x.ld + c, live);
            } else {
                mbk_load_some<VEC, V>(window[k], (const float *)a.state.p + (a.w.rows + t) * a.state.ld + c, live);
            }
        }
    }
    for (int64_t t = t0; t < t1; t += CONV_AHEAD) {
        float x[CONV_AHEAD][V];
#pragma unroll
        for (int i = 0; i < CONV_AHEAD; i++) {
            if (t + i < t1) {
                mbk_load_some<VEC, V>(x[i], (const T *)a.x.p + (t + i) * a.x.ld + c, live);
            }
        }
#pragma unroll
        for (int i = 0; i < CONV_AHEAD; i++) {
            if (t + i < t1) {
                const bool begins = t + i == next;
                if (begins) {
                    piece++;
                    next = mbk_start_at(a.starts, piece);
                }
                float y[V];
#pragma unroll
                for (int j = 0; j < V; j++) {
                    float sum = bias[j];
#pragma unroll
                    for (int k = 0; k + 1 < W; k++) {
                        window[k][j] = begins ? 0.0f : window[k + 1][j];
                        sum = k >= first ? fmaf(tap[k][j], window[k][j], sum) : sum;
                    }
                    window[W - 1][j] = x[i][j];
                    y[j] = mbk_silu(fmaf(tap[W - 1][j], x[i][j], sum));
                }
                mbk_store_some<VEC, V>((T *)a.y.p + (t + i) * a.y.ld + c, y, live);
            }
        }
    }
    if (run.carries) {
#pragma unroll 1
        for (int j = 0; j < V && j < live; j++) {
            conv_carry<T, W>(a, c + j);
        }
    }
}

template <typename T, int W> __global__ void __launch_bounds__(CONV_ACROSS *CONV_DOWN) mbk_conv_state(mbk_cu_conv a) {
    const int64_t c = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (!MBK_KEEP(conv_state_bound) || c < a.x.cols) {
        conv_carry<T, W>(a, c);
    }
}

template <typename T, int W, int V, bool VEC> static cudaError_t conv_launch(const mbk_cu_queue *q, mbk_cu_conv a) {
    const int64_t across = (a.x.cols + CONV_ACROSS * V - 1) / (CONV_ACROSS * V);
    const int64_t enough = (int64_t)q->multiprocessors * CONV_ENOUGH;
    const bool many = a.x.rows / CONV_ROWS * across * CONV_ACROSS >= enough;
    conv_run run = {a, (unsigned)across, many ? CONV_ROWS : CONV_LEAST, a.x.rows <= CONV_LEAST};
    const unsigned down = run.carries ? 1 : CONV_DOWN;
    const int64_t each = (int64_t)down * run.rows;
    const dim3 grid((unsigned)(run.col_blocks * ((a.x.rows + each - 1) / each)));
    cudaError_t e = MBK_LAUNCH(q, grid, dim3(CONV_ACROSS, down), 0, (mbk_conv_rows<T, W, V, VEC>), run);
    if (e != cudaSuccess || run.carries) {
        return e;
    }
    const unsigned threads = CONV_ACROSS * CONV_DOWN;
    return MBK_LAUNCH(q, dim3((unsigned)((a.x.cols + threads - 1) / threads)), dim3(threads), 0, (mbk_conv_state<T, W>),
                      a);
}

template <typename T> static cudaError_t conv_typed(const mbk_cu_queue *q, const mbk_cu_conv &a) {
    enum { V = 4 };
    if (a.w.rows != 4) {
        return conv_launch<T, CONV_MAX, 1, false>(q, a);
    }
    const bool vec =
        mbk_aligned(a.y) && mbk_aligned(a.x) && mbk_aligned(a.w) && mbk_aligned(a.bias) && mbk_aligned(a.state);
    return vec ? conv_launch<T, 4, V, true>(q, a) : conv_launch<T, 4, V, false>(q, a);
}

extern "C" size_t mbk_cu_conv1d_silu_scratch(const mbk_cu_conv *a) {
    (void)a;
    return 0;
}

extern "C" mbk_cu_error mbk_cu_conv1d_silu(const mbk_cu_queue *q, const mbk_cu_conv *a) {
    if (a->x.rows <= 0 || a->x.cols <= 0) {
        return cudaSuccess;
    }
    if (a->w.rows < 1 || a->w.rows > CONV_MAX || a->x.type != a->y.type) {
        return cudaErrorInvalidValue;
    }
    return a->x.type == MBK_CU_F32 ? conv_typed<float>(q, *a) : conv_typed<__nv_bfloat16>(q, *a);
}
