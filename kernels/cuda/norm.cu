/*
 * norm.cu - what normalises a row: RMS norm (after adding the residual), layer norm, and the RMS norm over groups
 * beside a gate. A row, or a group of one, is dealt out to the lanes of a warp, or of a block where it is long; each
 * lane keeps its numbers in registers, so that a row of up to 1024 (8192) numbers is read once. Longer ones are read
 * again.
 *
 *   rmsnorm  read x [, residual], write y [, sum]: 8 bytes a number in f32, 12 with residual, 16 with sum
 *   layernorm  read x, write y: 8       rmsnorm_gated  read x and z, write y: 12
 *
 * Sums are f32: a lane adds its numbers in the order of the columns, lanes are added as a tree, and which lane has
 * which column follows from the number of columns and the types alone.
 */
#include "cuda/vector.cuh"

/* Blocks of a multiprocessor at once, for the registers: with three ptxas spills on sm_100 and sm_120. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define NORM_BLOCKS 2
#else
#define NORM_BLOCKS 3
#endif

enum {
    NORM_THREADS = 256,
    NORM_KEPT = 32,             /* numbers that a lane keeps */
    NORM_SHORT = 32 * NORM_KEPT /* longest row for a warp */
};

/* Lanes side by side on one row, and rows of a block. */
static dim3 norm_block(int64_t cols) {
    return cols <= NORM_SHORT ? dim3(MBK_WARP, NORM_THREADS / MBK_WARP) : dim3(NORM_THREADS, 1);
}
static dim3 norm_grid(dim3 block, int64_t rows) {
    return dim3((unsigned)((rows + block.y - 1) / block.y));
}

/* The sum over the lanes of a row, in each of them. The two barriers are met by whole blocks: with a block to a row
 * every thread has the same row. */
static __device__ __forceinline__ float lanes_sum(float v) {
    MBK_SHARED(float, part, NORM_THREADS / MBK_WARP);
    v = mbk_warp_sum(v);
    if (blockDim.x > MBK_WARP) {
        if (threadIdx.x % MBK_WARP == 0) {
            part[threadIdx.x / MBK_WARP] = v;
        }
        if (MBK_KEEP(norm_sum_ready)) {
            __syncthreads();
        }
        v = 0.0f;
#pragma unroll
        for (int i = 0; i < NORM_THREADS / MBK_WARP; i++) {
            v += part[i];
        }
        if (MBK_KEEP(norm_sum_done)) {
            __syncthreads();
        }
    }
    return v;
}

/* Where the numbers of a lane begin: V at a time, a stride of all lanes apart. */
static __device__ __forceinline__ int64_t lane_col(int i, int v) {
    return ((int64_t)i * blockDim.x + threadIdx.x) * v;
}

typedef struct rms_run {
    mbk_cu_view y, x, w, residual, sum;
    float eps;
} rms_run;

/* x + residual at a column of a row. */
template <typename TX, typename TR, bool VEC, int V>
static __device__ __forceinline__ void rms_load(float (&v)[V], const rms_run &a, int64_t row, int64_t col) {
    mbk_load_some<VEC, V>(v, (const TX *)a.x.p + row * a.x.ld + col, a.x.cols - col);
    if (a.residual.p) {
        float r[V];
        mbk_load_some<VEC, V>(r, (const TR *)a.residual.p + row * a.residual.ld + col, a.x.cols - col);
#pragma unroll
        for (int k = 0; k < V; k++) {
            v[k] += r[k];
        }
    }
    if (a.sum.p) {
        mbk_store_some<VEC, V>((TR *)a.sum.p + row * a.sum.ld + col, v, a.x.cols - col);
    }
}

template <typename TY, bool VEC, int V>
static __device__ __forceinline__ void rms_store(const rms_run &a, int64_t row, int64_t col, const float (&v)[V],
                                                 float scale) {
    float w[V], out[V];
    mbk_load_some<VEC, V>(w, (const float *)a.w.p + col, a.x.cols - col);
#pragma unroll
    for (int k = 0; k < V; k++) {
        out[k] = v[k] * scale * w[k];
    }
    mbk_store_some<VEC, V>((TY *)a.y.p + row * a.y.ld + col, out, a.x.cols - col);
}

template <typename TY, typename TX, typename TR, bool VEC>
__global__ void __launch_bounds__(NORM_THREADS, NORM_BLOCKS) mbk_rmsnorm_rows(rms_run a) {
    enum { V = 4, KEPT = NORM_KEPT / V };
    const int64_t cols = a.x.cols;
    const int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= a.x.rows) {
        return; /* a whole warp */
    }
    float v[KEPT][V] = {};
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        if (lane_col(i, V) < cols) {
            rms_load<TX, TR, VEC>(v[i], a, row, lane_col(i, V));
        }
    }
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
#pragma unroll
        for (int k = 0; k < V; k++) {
            squares += v[i][k] * v[i][k];
        }
    }
    for (int i = KEPT; lane_col(i, V) < cols; i++) {
        float more[V];
        rms_load<TX, TR, VEC>(more, a, row, lane_col(i, V));
#pragma unroll
        for (int k = 0; k < V; k++) {
            squares += more[k] * more[k];
        }
    }
    const float scale = 1.0f / sqrtf(lanes_sum(squares) / (float)cols + a.eps);
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        if (lane_col(i, V) < cols) {
            rms_store<TY, VEC>(a, row, lane_col(i, V), v[i], scale);
        }
    }
    for (int i = KEPT; lane_col(i, V) < cols; i++) {
        float more[V];
        if (a.sum.p) { /* which may lie where x was */
            mbk_load_some<VEC, V>(more, (const TR *)a.sum.p + row * a.sum.ld + lane_col(i, V), cols - lane_col(i, V));
        } else {
            rms_load<TX, TR, VEC>(more, a, row, lane_col(i, V));
        }
        rms_store<TY, VEC>(a, row, lane_col(i, V), more, scale);
    }
}

template <typename TY, typename TX, typename TR> static cudaError_t rms_launch(const mbk_cu_queue *q, rms_run a) {
    dim3 block = norm_block(a.x.cols);
    dim3 grid = norm_grid(block, a.x.rows);
    if (mbk_aligned(a.y) && mbk_aligned(a.x) && mbk_aligned(a.w) && mbk_aligned(a.residual) && mbk_aligned(a.sum)) {
        return MBK_LAUNCH(q, grid, block, 0, (mbk_rmsnorm_rows<TY, TX, TR, true>), a);
    }
    return MBK_LAUNCH(q, grid, block, 0, (mbk_rmsnorm_rows<TY, TX, TR, false>), a);
}

template <typename TY, typename TX> static cudaError_t rms_typed(const mbk_cu_queue *q, rms_run a) {
    mbk_cu_type type = a.residual.p ? a.residual.type : a.sum.type;
    if (a.residual.p && a.sum.p && a.residual.type != a.sum.type) {
        return cudaErrorInvalidValue;
    }
    bool wide = type == MBK_CU_F32 || (!a.residual.p && !a.sum.p);
    return wide ? rms_launch<TY, TX, float>(q, a) : rms_launch<TY, TX, __nv_bfloat16>(q, a);
}

extern "C" mbk_cu_error mbk_cu_rmsnorm(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view w, float eps,
                                       mbk_cu_view residual, mbk_cu_view sum) {
    rms_run a = {y, x, w, residual, sum, eps};
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    if (y.type == MBK_CU_F32) {
        return x.type == MBK_CU_F32 ? rms_typed<float, float>(q, a) : rms_typed<float, __nv_bfloat16>(q, a);
    }
    return x.type == MBK_CU_F32 ? rms_typed<__nv_bfloat16, float>(q, a) : rms_typed<__nv_bfloat16, __nv_bfloat16>(q, a);
}

/* --- layer norm --------------------------------------------------------------------------------------------------- */
typedef struct layer_run {
    mbk_cu_view y, x, w, b;
    float eps;
} layer_run;

template <bool VEC>
static __device__ __forceinline__ void layer_store(const layer_run &a, int64_t row, int64_t col, const float (&v)[4],
                                                   float mean, float scale) {
    const int64_t live = a.x.cols - col;
    float w[4], b[4] = {}, out[4];
    mbk_load_some<VEC, 4>(w, (const float *)a.w.p + col, live);
    if (a.b.p) {
        mbk_load_some<VEC, 4>(b, (const float *)a.b.p + col, live);
    }
#pragma unroll
    for (int k = 0; k < 4; k++) {
        out[k] = (v[k] - mean) * scale * w[k] + b[k];
    }
    mbk_store_some<VEC, 4>((float *)a.y.p + row * a.y.ld + col, out, live);
}

/* Numbers of a row beyond what a lane keeps are read anew in each of the three passes. */
template <bool VEC> __global__ void __launch_bounds__(NORM_THREADS, NORM_BLOCKS) mbk_layernorm_rows(layer_run a) {
    enum { V = 4, KEPT = NORM_KEPT / V };
    const int64_t cols = a.x.cols;
    const int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= a.x.rows) {
        return;
    }
    const float *x = (const float *)a.x.p + row * a.x.ld;
    float v[KEPT][V] = {};
    float more[V];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        if (lane_col(i, V) < cols) {
            mbk_load_some<VEC, V>(v[i], x + lane_col(i, V), cols - lane_col(i, V));
        }
    }
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        sum += (v[i][0] + v[i][1]) + (v[i][2] + v[i][3]);
    }
    for (int i = KEPT; lane_col(i, V) < cols; i++) {
        mbk_load_some<VEC, V>(more, x + lane_col(i, V), cols - lane_col(i, V));
        sum += (more[0] + more[1]) + (more[2] + more[3]);
    }
    const float mean = lanes_sum(sum) / (float)cols;
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
#pragma unroll
        for (int k = 0; k < V; k++) {
            float d = lane_col(i, V) + k < cols ? v[i][k] - mean : 0.0f;
            squares += d * d;
        }
    }
    for (int i = KEPT; lane_col(i, V) < cols; i++) {
        mbk_load_some<VEC, V>(more, x + lane_col(i, V), cols - lane_col(i, V));
#pragma unroll
        for (int k = 0; k < V; k++) {
            float d = lane_col(i, V) + k < cols ? more[k] - mean : 0.0f;
            squares += d * d;
        }
    }
    const float scale = 1.0f / sqrtf(lanes_sum(squares) / (float)cols + a.eps);
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        if (lane_col(i, V) < cols) {
            layer_store<VEC>(a, row, lane_col(i, V), v[i], mean, scale);
        }
    }
    for (int i = KEPT; lane_col(i, V) < cols; i++) {
        mbk_load_some<VEC, V>(more, x + lane_col(i, V), cols - lane_col(i, V));
        layer_store<VEC>(a, row, lane_col(i, V), more, mean, scale);
    }
}

extern "C" mbk_cu_error mbk_cu_layernorm(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view w,
                                         mbk_cu_view b, float eps) {
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    layer_run a = {y, x, w, b, eps};
    dim3 block = norm_block(x.cols);
    dim3 grid = norm_grid(block, x.rows);
    if (mbk_aligned(y) && mbk_aligned(x) && mbk_aligned(w) && mbk_aligned(b)) {
        return MBK_LAUNCH(q, grid, block, 0, mbk_layernorm_rows<true>, a);
    }
    return MBK_LAUNCH(q, grid, block, 0, mbk_layernorm_rows<false>, a);
}

/* --- beside a gate ------------------------------------------------------------------------------------------------ */
typedef struct gated_run {
    mbk_cu_view y, x, z, w;
    int64_t group, groups;
    float eps;
    int norm_first;
} gated_run;

/* What is normalised, at a column of a group. */
template <bool VEC>
static __device__ __forceinline__ void gated_load(float (&v)[4], const gated_run &a, int64_t row, int64_t first,
                                                  int64_t col) {
    const int64_t live = a.group - col;
    mbk_load_some<VEC, 4>(v, (const float *)a.x.p + row * a.x.ld + first + col, live);
    if (!a.norm_first) {
        float z[4];
        mbk_load_some<VEC, 4>(z, (const float *)a.z.p + row * a.z.ld + first + col, live);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            v[k] *= mbk_silu(z[k]);
        }
    }
}

template <bool VEC>
static __device__ __forceinline__ void gated_store(const gated_run &a, int64_t row, int64_t first, int64_t col,
                                                   const float (&v)[4], float scale) {
    const int64_t live = a.group - col;
    float w[4], out[4];
    mbk_load_some<VEC, 4>(w, (const float *)a.w.p + first + col, live);
#pragma unroll
    for (int k = 0; k < 4; k++) {
        out[k] = v[k] * scale * w[k];
    }
    if (a.norm_first) {
        float z[4];
        mbk_load_some<VEC, 4>(z, (const float *)a.z.p + row * a.z.ld + first + col, live);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            out[k] *= mbk_silu(z[k]);
        }
    }
    mbk_store_some<VEC, 4>((float *)a.y.p + row * a.y.ld + first + col, out, live);
}

template <bool VEC> __global__ void __launch_bounds__(NORM_THREADS, 3) mbk_gated_rows(gated_run a) {
    enum { V = 4, KEPT = NORM_KEPT / V };
    const int64_t unit = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    const int64_t row = unit / a.groups;
    const int64_t first = (unit - row * a.groups) * a.group;
    if (row >= a.x.rows) {
        return;
    }
    float v[KEPT][V] = {};
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        if (lane_col(i, V) < a.group) {
            gated_load<VEC>(v[i], a, row, first, lane_col(i, V));
        }
    }
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
#pragma unroll
        for (int k = 0; k < V; k++) {
            squares += v[i][k] * v[i][k];
        }
    }
    for (int i = KEPT; lane_col(i, V) < a.group; i++) {
        float more[V];
        gated_load<VEC>(more, a, row, first, lane_col(i, V));
#pragma unroll
        for (int k = 0; k < V; k++) {
            squares += more[k] * more[k];
        }
    }
    const float scale = 1.0f / sqrtf(lanes_sum(squares) / (float)a.group + a.eps);
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
        if (lane_col(i, V) < a.group) {
            gated_store<VEC>(a, row, first, lane_col(i, V), v[i], scale);
        }
    }
    for (int i = KEPT; lane_col(i, V) < a.group; i++) {
        float more[V];
        gated_load<VEC>(more, a, row, first, lane_col(i, V));
        gated_store<VEC>(a, row, first, lane_col(i, V), more, scale);
    }
}

extern "C" mbk_cu_error mbk_cu_rmsnorm_gated(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view z,
                                             mbk_cu_view w, float eps, int64_t group, int norm_first) {
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    gated_run a = {y, x, z, w, group, x.cols / group, eps, norm_first};
    dim3 block = norm_block(group);
    dim3 grid = norm_grid(block, x.rows * a.groups);
    if (mbk_aligned(y) && mbk_aligned(x) && mbk_aligned(z) && mbk_aligned(w) && group % 4 == 0) {
        return MBK_LAUNCH(q, grid, block, 0, mbk_gated_rows<true>, a);
    }
    return MBK_LAUNCH(q, grid, block, 0, mbk_gated_rows<false>, a);
}
