/*
 * conv_grad.cu - gradients of the causal convolution with silu.
 *
 * A thread walks the rows of one channel from the last to the first with the last W gradients before the activation in
 * registers; a call is cut into runs of 128 rows that are walked side by side, each after the W - 1 rows behind it,
 * whose gradients it recomputes. A row's gradient is one chain of fused operations from the latest row to the earliest,
 * which no cut shows in. Sums over rows are f32 within a run, double over the runs of a warp, and then partial sums.
 *
 * Moved for each row and channel: dy and x read once and for 8 of 128 rows twice, dx written: 12.5 bytes; partial sums
 * of at most 512 parts of the call. Computed: one exponential, one division, 3 W + 12 operations (W 4: 24).
 */
#include "cuda/grad.cuh"

#define WIDTH_MAX 16
#define RUN 128
#define WARPS 4
#define BLOCK (WARPS * MBK_WARP)
#define PARTS 512

typedef struct mbk_conv_back {
    mbk_rows dx, dy, x, w, state, dstate; /* state.p may be NULL */
    const float *bias;
    const int32_t *start;
    float *partial; /* (parts, width + 1, cols) */
    float *before;  /* (width, cols): what dstate becomes */
    int64_t starts, rows, cols, runs, each;
    int width;
} mbk_conv_back;

/* One channel on its way: raw[j] is the input of row `first - W + 1 + j` of the tile, next[j] the gradient before the
 * activation of the row j rows after the present one. */
template <int W, int TILE> struct mbk_conv_walk {
    float tap[W], bias, next[W], raw[TILE + W - 1], dw[W], dbias;
    int64_t sequence, begin;
};

static __device__ __forceinline__ float conv_input(const mbk_conv_back &a, int64_t row, int64_t c) {
    if (row >= 0) {
        return row < a.rows ? a.x.p[row * a.x.ld + c] : 0.0f;
    }
    return a.state.p && a.width + row >= 0 ? a.state.p[(a.width + row) * a.state.ld + c] : 0.0f;
}

/* What row `s` (below 0: a row of the state) gets of the gradients in `next`, later rows first. */
template <int W, int TILE>
static __device__ __forceinline__ float conv_into(const mbk_conv_back &a, const mbk_conv_walk<W, TILE> &k, int64_t s,
                                                  int64_t c, int pad) {
    const int64_t kept = s - (a.rows - a.width);
    float sum = kept >= 0 && k.sequence == a.starts ? a.dstate.p[kept * a.dstate.ld + c] : 0.0f;
#pragma unroll
    for (int i = 0; i < W; i++) {
        if (i >= pad) {
            sum = fmaf(k.tap[i], k.next[W - 1 - i], sum);
        }
    }
    return sum;
}

template <int W, int TILE> static __device__ __forceinline__ void conv_shift(mbk_conv_walk<W, TILE> &k, float dpre) {
#pragma unroll
    for (int i = W - 1; i > 0; i--) {
        k.next[i] = k.next[i - 1];
    }
    k.next[0] = dpre;
}

/* Rows [first, first + TILE); BEHIND: the W - 1 rows after a run, of which only `next` is wanted. */
template <int W, int TILE, bool BEHIND>
static __device__ __forceinline__ void conv_tile(const mbk_conv_back &a, mbk_conv_walk<W, TILE> &k, int64_t first,
                                                 int64_t c, int pad) {
    const int live = BEHIND ? W - 1 : TILE;
    float dy[TILE];
    if (!BEHIND) {
#pragma unroll
        for (int j = W - 2; j >= 0; j--) {
            k.raw[TILE + j] = k.raw[j];
        }
    }
#pragma unroll
    for (int j = 0; j < (BEHIND ? live + W - 1 : TILE); j++) {
        k.raw[j] = conv_input(a, first - W + 1 + j, c);
    }
#pragma unroll
    for (int j = 0; j < live; j++) {
        dy[j] = first + j < a.rows ? a.dy.p[(first + j) * a.dy.ld + c] : 0.0f;
    }
#pragma unroll
    for (int j = live - 1; j >= 0; j--) {
        const int64_t s = first + j;
        if (s >= a.rows) {
            conv_shift(k, 0.0f);
            continue;
        }
        if (s < k.begin) {
            k.sequence--;
            k.begin = k.sequence > 0 ? a.start[k.sequence - 1] : -W;
#pragma unroll
            for (int i = 0; i < W; i++) {
                k.next[i] = 0.0f;
            }
        }
        const int64_t lost = k.begin - (s - W + 1); /* taps that meet what lies before the sequence */
        float in[W];
        float pre = k.bias;
#pragma unroll
        for (int i = 0; i < W; i++) {
            in[i] = i >= lost ? k.raw[j + i] : 0.0f;
            if (i >= pad) {
                pre = fmaf(k.tap[i], in[i], pre);
            }
        }
        const float half = mbk_sigmoid(pre);
        const float g = dy[j] * half * fmaf(pre, 1.0f - half, 1.0f);
        conv_shift(k, g);
        if (!BEHIND) {
#pragma unroll
            for (int i = 0; i < W; i++) {
                k.dw[i] = fmaf(g, in[i], k.dw[i]);
            }
            k.dbias += g;
            a.dx.p[s * a.dx.ld + c] = conv_into(a, k, s, c, pad);
        }
    }
}

/* The sequence that row t belongs to: how many begin at t or before. */
static __device__ __forceinline__ int64_t sequence_of(const int32_t *start, int64_t n, int64_t t) {
    int64_t low = 0;
    int64_t high = n;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (start[mid] <= t) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Rows [first, end) of channel c. */
template <int W, int TILE>
static __device__ __forceinline__ void conv_run(const mbk_conv_back &a, mbk_conv_walk<W, TILE> &k, int64_t first,
                                                int64_t c, int pad) {
    const int64_t end = first + RUN;
    const int64_t last = end + W - 2 < a.rows - 1 ? end + W - 2 : a.rows - 1;
    k.sequence = sequence_of(a.start, a.starts, last);
    k.begin = k.sequence > 0 ? a.start[k.sequence - 1] : -W;
    k.dbias = 0.0f;
#pragma unroll
    for (int i = 0; i < W; i++) {
        k.next[i] = 0.0f;
        k.dw[i] = 0.0f;
    }
    conv_tile<W, TILE, true>(a, k, end, c, pad);
    for (int64_t t = end - TILE; t >= first; t -= TILE) {
        conv_tile<W, TILE, false>(a, k, t, c, pad);
    }
    if (first > 0) {
        return;
    }
    for (int s = -1; s >= -a.width; s--) {
        conv_shift(k, 0.0f);
        a.before[(a.width + s) * a.cols + c] = k.sequence > 0 ? 0.0f : conv_into(a, k, s, c, pad);
    }
}

/* A block 32 channels and a part of the runs; warp w of it the runs w, w + 4, ... EXACT: W is the width, else more. */
template <int W, bool EXACT>
__global__ void __launch_bounds__(BLOCK, W > 9 ? 2 : 4) mbk_conv_grad_kernel(mbk_conv_back a) {
    MBK_SHARED(double, sums, (W + 1) * BLOCK);
    const int TILE = W > 9 ? 16 : 8;
    const int lane = (int)threadIdx.x % MBK_WARP;
    const int warp = (int)threadIdx.x / MBK_WARP;
    const int pad = EXACT ? 0 : W - a.width;
    const int64_t c = (int64_t)blockIdx.x * MBK_WARP + lane;
    const int64_t end = (blockIdx.y + 1) * a.each < a.runs ? (blockIdx.y + 1) * a.each : a.runs;
    double total[W + 1] = {};
    if (c < a.cols) {
        mbk_conv_walk<W, TILE> k;
        k.bias = a.bias ? a.bias[c] : 0.0f;
#pragma unroll
        for (int i = 0; i < W; i++) {
            k.tap[i] = i >= pad ? a.w.p[(i - pad) * a.w.ld + c] : 0.0f;
        }
        for (int64_t run = blockIdx.y * a.each + warp; run < end; run += WARPS) {
            conv_run(a, k, run * RUN, c, pad);
#pragma unroll
            for (int i = 0; i < W; i++) {
                total[i] += (double)k.dw[i];
            }
            total[W] += (double)k.dbias;
        }
    }
#pragma unroll
    for (int i = 0; i <= W; i++) {
        sums[i * BLOCK + (int)threadIdx.x] = total[i];
    }
    if (MBK_KEEP(conv_grad_barrier)) {
        __syncthreads();
    }
    for (int i = pad + warp; i <= W && c < a.cols; i += WARPS) {
        double sum = 0.0;
        for (int w = 0; w < WARPS; w++) {
            sum += sums[i * BLOCK + w * MBK_WARP + lane];
        }
        a.partial[((int64_t)blockIdx.y * (a.width + 1) + i - pad) * a.cols + c] = (float)sum;
    }
}

/* dstate is read by the last rows and written for the first: it changes when all are done. */
__global__ void __launch_bounds__(BLOCK) mbk_conv_state_kernel(mbk_conv_back a) {
    const int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (i < a.width * a.cols) {
        a.dstate.p[i / a.cols * a.dstate.ld + i % a.cols] = a.before[i];
    }
}

static int64_t conv_parts(int64_t rows) {
    return mbk_least(mbk_parts(mbk_parts(rows, RUN), WARPS), PARTS);
}

size_t mbk_cu_conv1d_silu_grad_scratch(const mbk_cu_conv_grad *a) {
    return (size_t)((conv_parts(a->x.rows) * (a->w.rows + 1) + a->w.rows) * a->x.cols) * sizeof(float);
}

mbk_cu_error mbk_cu_conv1d_silu_grad(const mbk_cu_queue *q, const mbk_cu_conv_grad *s) {
    if (s->x.rows <= 0 || s->x.cols <= 0) {
        return cudaSuccess;
    }
    const int64_t width = s->w.rows;
    const int64_t parts = conv_parts(s->x.rows);
    float *scratch = (float *)q->scratch;
    mbk_conv_back a = {};
    a.dx = mbk_rows_of(s->dx);
    a.dy = mbk_rows_of(s->dy);
    a.x = mbk_rows_of(s->x);
    a.w = mbk_rows_of(s->w);
    a.state = mbk_rows_of(s->state);
    a.dstate = mbk_rows_of(s->dstate);
    a.bias = (const float *)s->bias.p;
    a.start = s->starts.at;
    a.before = scratch;
    a.partial = scratch + width * s->x.cols;
    a.starts = s->starts.n;
    a.rows = s->x.rows;
    a.cols = s->x.cols;
    a.runs = mbk_parts(a.rows, RUN);
    a.each = mbk_parts(mbk_parts(a.runs, parts), WARPS) * WARPS;
    a.width = (int)width;
    const dim3 grid((unsigned)mbk_parts(a.cols, MBK_WARP), (unsigned)mbk_parts(a.runs, a.each));
    mbk_cu_error e = width == 4   ? MBK_LAUNCH(q, grid, dim3(BLOCK), 0, (mbk_conv_grad_kernel<4, true>), a)
                     : width == 3 ? MBK_LAUNCH(q, grid, dim3(BLOCK), 0, (mbk_conv_grad_kernel<3, true>), a)
                     : width == 2 ? MBK_LAUNCH(q, grid, dim3(BLOCK), 0, (mbk_conv_grad_kernel<2, true>), a)
                                  : MBK_LAUNCH(q, grid, dim3(BLOCK), 0, (mbk_conv_grad_kernel<WIDTH_MAX, false>), a);
    const dim3 state((unsigned)mbk_parts(width * a.cols, BLOCK));
    e = e ? e : MBK_LAUNCH(q, state, dim3(BLOCK), 0, mbk_conv_state_kernel, a);
    const int64_t apart = (width + 1) * a.cols;
    e = e || !s->dw.p ? e : mbk_add_partials(q, s->dw, a.partial, grid.y, apart);
    return e || !s->dbias.p ? e : mbk_add_partials(q, s->dbias, a.partial + width * a.cols, grid.y, apart);
}
