/*
 * train.cu - the loss, the length of a gradient and the optimiser.
 *
 * What each kernel moves, for each number (f32: 4 bytes), and computes:
 *  - cross entropy: reads the logits, twice again from cache, and writes dlogits; two exponentials. A warp takes a row,
 *    where rows are long a block;
 *  - sum of squares: reads x; one conversion and one fused operation in double, as a long sum needs;
 *  - AdamW: reads w, m, v and g, writes w, m and v (28 bytes); a root, two divisions, 15 operations.
 */
#include "cuda/grad.cuh"

#define WARPS 8
#define BLOCK (WARPS * MBK_WARP)

/* --- cross entropy ------------------------------------------------------------------------------------------------ */
#define LONG_ROW 4096 /* columns from which a row has a block of its own */

typedef struct mbk_entropy {
    mbk_rows loss, dx, x, weight; /* dx, weight: p may be NULL */
    const int32_t *ids;
    int64_t rows, cols;
    float scale;
} mbk_entropy;

/* What `v` of all threads of a row make together, in every one of them; TEAM warps share a row. */
template <int TEAM, bool MAX> static __device__ __forceinline__ float of_row(float v, float *all) {
    v = MAX ? mbk_warp_max(v) : mbk_warp_sum(v);
    if (TEAM == 1) {
        return v;
    }
    if ((int)threadIdx.x % MBK_WARP == 0) {
        all[(int)threadIdx.x / MBK_WARP] = v;
    }
    if (MBK_KEEP(entropy_gather)) {
        __syncthreads();
    }
    v = all[0];
    for (int w = 1; w < TEAM; w++) {
        v = MAX ? fmaxf(v, all[w]) : v + all[w];
    }
    return v;
}

template <int TEAM> __global__ void __launch_bounds__(BLOCK, 4) mbk_entropy_kernel(mbk_entropy a) {
    MBK_SHARED(float, most, WARPS);
    MBK_SHARED(float, sums, WARPS);
    const int threads = TEAM * MBK_WARP;
    const int me = (int)threadIdx.x % threads;
    const int64_t r = (int64_t)blockIdx.x * (WARPS / TEAM) + (int)threadIdx.x / threads;
    if (r >= a.rows) {
        return;
    }
    const int64_t id = a.ids[r];
    const float *x = a.x.p + r * a.x.ld;
    float *dx = a.dx.p ? a.dx.p + r * a.dx.ld : NULL;
    if (id < 0) {
        for (int64_t c = me; dx && c < a.cols; c += threads) {
            dx[c] = 0.0f;
        }
        if (me == 0) {
            a.loss.p[r * a.loss.ld] = 0.0f;
        }
        return;
    }
    const float target = x[id];
    float max = -INFINITY;
    for (int64_t c = me; c < a.cols; c += threads) {
        max = fmaxf(max, x[c]);
    }
    max = of_row<TEAM, true>(max, most);
    /* From here on every thread has read x[id], which dx may overwrite. */
    if (TEAM == 1 && MBK_KEEP(entropy_in_place)) {
        __syncwarp();
    }
    float sum = 0.0f;
    for (int64_t c = me; c < a.cols; c += threads) {
        sum += expf(x[c] - max);
    }
    sum = of_row<TEAM, false>(sum, sums);
    const float weight = a.weight.p ? a.weight.p[r * a.weight.ld] : 1.0f;
    const float scale = a.scale * weight;
    for (int64_t c = me; dx && c < a.cols; c += threads) {
        const float p = expf(x[c] - max) / sum;
        dx[c] = scale * (c == id ? p - 1.0f : p);
    }
    if (me == 0) {
        a.loss.p[r * a.loss.ld] = weight * (logf(sum) + (max - target));
    }
}

mbk_cu_error mbk_cu_cross_entropy(const mbk_cu_queue *q, mbk_cu_view loss, mbk_cu_view dlogits, mbk_cu_view logits,
                                  mbk_cu_view weight, const int32_t *ids, float scale) {
    if (logits.rows <= 0) {
        return cudaSuccess;
    }
    mbk_entropy a = {mbk_rows_of(loss),
                     mbk_rows_of(dlogits),
                     mbk_rows_of(logits),
                     mbk_rows_of(weight),
                     ids,
                     logits.rows,
                     logits.cols,
                     scale};
    if (a.cols < LONG_ROW) {
        const dim3 grid((unsigned)mbk_parts(a.rows, WARPS));
        return MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_entropy_kernel<1>, a);
    }
    return MBK_LAUNCH(q, dim3((unsigned)a.rows), dim3(BLOCK), 0, mbk_entropy_kernel<WARPS>, a);
}

/* --- the length of a gradient ------------------------------------------------------------------------------------- */
#define SQUARE_COLS 512  /* of a row, for a warp at a time */
#define SQUARE_SUMS 1024 /* most partial sums */

typedef struct mbk_squares {
    double *partial;
    double *acc;
    mbk_rows x;
    int64_t units, strips, cols;
} mbk_squares;

/* The sum of v over the block, in thread 0. */
static __device__ __forceinline__ double block_sum(double v, double *all) {
#pragma unroll
    for (int k = MBK_WARP / 2; k > 0; k /= 2) {
        v += __shfl_xor_sync(MBK_FULL, v, k);
    }
    if ((int)threadIdx.x % MBK_WARP == 0) {
        all[(int)threadIdx.x / MBK_WARP] = v;
    }
    if (MBK_KEEP(squares_barrier)) {
        __syncthreads();
    }
    double sum = 0.0;
    for (int w = 0; w < WARPS && threadIdx.x == 0; w++) {
        sum += all[w];
    }
    return sum;
}

__global__ void __launch_bounds__(BLOCK) mbk_squares_kernel(mbk_squares a) {
    MBK_SHARED(double, all, WARPS);
    const int lane = (int)threadIdx.x % MBK_WARP;
    double sum = 0.0;
    for (int64_t unit = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / MBK_WARP; unit < a.units;
         unit += (int64_t)gridDim.x * WARPS) {
        const float *x = a.x.p + unit / a.strips * a.x.ld;
        const int64_t c0 = unit % a.strips * SQUARE_COLS;
#pragma unroll 8
        for (int k = lane; k < SQUARE_COLS; k += MBK_WARP) {
            const double v = c0 + k < a.cols ? (double)x[c0 + k] : 0.0;
            sum += v * v;
        }
    }
    sum = block_sum(sum, all);
    if (threadIdx.x == 0) {
        a.partial[blockIdx.x] = sum;
    }
}

/* One block: thread t adds the partial sums t, t + 256, ... */
__global__ void __launch_bounds__(BLOCK) mbk_squares_end_kernel(mbk_squares a) {
    MBK_SHARED(double, all, WARPS);
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < a.units; i += BLOCK) {
        sum += a.partial[i];
    }
    sum = block_sum(sum, all);
    if (threadIdx.x == 0) {
        *a.acc += sum;
    }
}

static int64_t square_units(int64_t rows, int64_t cols) {
    return rows * mbk_parts(cols, SQUARE_COLS);
}

size_t mbk_cu_sum_squares_scratch(int64_t rows, int64_t cols) {
    return (size_t)mbk_least(SQUARE_SUMS, mbk_parts(square_units(rows, cols), WARPS)) * sizeof(double);
}

mbk_cu_error mbk_cu_sum_squares(const mbk_cu_queue *q, double *acc, mbk_cu_view x) {
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    mbk_squares a = {(double *)q->scratch,           acc,   mbk_rows_of(x), square_units(x.rows, x.cols),
                     mbk_parts(x.cols, SQUARE_COLS), x.cols};
    const int64_t blocks = mbk_least(SQUARE_SUMS, mbk_parts(a.units, WARPS));
    mbk_cu_error e = MBK_LAUNCH(q, dim3((unsigned)blocks), dim3(BLOCK), 0, mbk_squares_kernel, a);
    a.units = blocks;
    return e ? e : MBK_LAUNCH(q, dim3(1), dim3(BLOCK), 0, mbk_squares_end_kernel, a);
}

/* --- AdamW -------------------------------------------------------------------------------------------------------- */
#define ADAMW_EACH 4
#define ADAMW_COLS (ADAMW_EACH * MBK_WARP)

/* The numbers of a step, as floats: keep = 1 - lr decay, rate = lr / (1 - beta1^step), root = 1 / (1 - beta2^step). */
typedef struct mbk_adamw_kernel_args {
    mbk_rows w, m, v, g;
    int64_t rows, cols, strips;
    float keep, rate, root, beta1, beta2, rest1, rest2, eps, scale;
} mbk_adamw_kernel_args;

/* A warp 128 columns of a row. */
__global__ void __launch_bounds__(BLOCK) mbk_adamw_kernel(mbk_adamw_kernel_args a) {
    const int64_t unit = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / MBK_WARP;
    const int64_t r = unit / a.strips;
    const int64_t c0 = unit % a.strips * ADAMW_COLS + (int)threadIdx.x % MBK_WARP;
    if (r >= a.rows) {
        return;
    }
    float w[ADAMW_EACH], m[ADAMW_EACH], v[ADAMW_EACH], g[ADAMW_EACH];
#pragma unroll
    for (int k = 0; k < ADAMW_EACH; k++) {
        const int64_t c = c0 + k * MBK_WARP;
        const bool in = c < a.cols;
        g[k] = in ? a.g.p[r * a.g.ld + c] : 0.0f;
        m[k] = in ? a.m.p[r * a.m.ld + c] : 0.0f;
        v[k] = in ? a.v.p[r * a.v.ld + c] : 0.0f;
        w[k] = in ? a.w.p[r * a.w.ld + c] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < ADAMW_EACH; k++) {
        const int64_t c = c0 + k * MBK_WARP;
        if (c < a.cols) {
            const float d = a.scale * g[k];
            m[k] = a.beta1 * m[k] + a.rest1 * d;
            v[k] = a.beta2 * v[k] + a.rest2 * (d * d);
            w[k] = a.keep * w[k] - a.rate * (m[k] / (sqrtf(v[k] * a.root) + a.eps));
            a.m.p[r * a.m.ld + c] = m[k];
            a.v.p[r * a.v.ld + c] = v[k];
            a.w.p[r * a.w.ld + c] = w[k];
        }
    }
}

mbk_cu_error mbk_cu_adamw_step(const mbk_cu_queue *q, const mbk_cu_adamw *s) {
    if (s->w.rows <= 0 || s->w.cols <= 0) {
        return cudaSuccess;
    }
    mbk_adamw_kernel_args a = {mbk_rows_of(s->w),
                               mbk_rows_of(s->m),
                               mbk_rows_of(s->v),
                               mbk_rows_of(s->g),
                               s->w.rows,
                               s->w.cols,
                               mbk_parts(s->w.cols, ADAMW_COLS),
                               (float)(1.0 - s->lr * s->decay),
                               (float)(s->lr / (1.0 - pow(s->beta1, (double)s->step))),
                               (float)(1.0 / (1.0 - pow(s->beta2, (double)s->step))),
                               (float)s->beta1,
                               (float)s->beta2,
                               (float)(1.0 - s->beta1),
                               (float)(1.0 - s->beta2),
                               (float)s->eps,
                               (float)s->scale};
    const dim3 grid((unsigned)mbk_parts(a.rows * a.strips, WARPS));
    return MBK_LAUNCH(q, grid, dim3(BLOCK), 0, mbk_adamw_kernel, a);
}
