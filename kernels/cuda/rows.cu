/*
 * rows.cu - what is done number by number: copy, zero, add, mul, gate, neg_exp, what follows a gemm; and the sum over
 * rows. All of them wait for memory only: a number is read once and written once,
 *
 *   copy  2 accesses a number      add, mul, gate  3      neg_exp  2      gemm_finish  2, 3 with `add`
 *   row_sum  4 bytes read
 */
#include "cuda/vector.cuh"

/* y = f(x, r, column). x, r: absent ones are zeros. */
template <typename F, typename TY, typename TX, bool VEC>
__global__ void __launch_bounds__(MBK_MAP_THREADS)
    mbk_map_rows(mbk_cu_view y, mbk_cu_view x, mbk_cu_view r, unsigned col_blocks, F f) {
    const unsigned row_block = blockIdx.x / col_blocks;
    const int64_t col = ((int64_t)(blockIdx.x - row_block * col_blocks) * blockDim.x + threadIdx.x) * 4;
    int64_t row = (int64_t)row_block * blockDim.y * MBK_MAP_ROWS + threadIdx.y;
    const int64_t live = y.cols - col;
    if (live <= 0) {
        return;
    }
    float a[MBK_MAP_ROWS][4] = {};
    float b[MBK_MAP_ROWS][4] = {};
#pragma unroll
    for (int i = 0; i < MBK_MAP_ROWS; i++) {
        int64_t at = row + i * (int64_t)blockDim.y;
        if (!MBK_KEEP(map_rows_bound) || at < y.rows) {
            if (x.p) {
                mbk_load_some<VEC, 4>(a[i], (const TX *)x.p + at * x.ld + col, live);
            }
            if (r.p) {
                mbk_load_some<VEC, 4>(b[i], (const float *)r.p + at * r.ld + col, live);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < MBK_MAP_ROWS; i++) {
        int64_t at = row + i * (int64_t)blockDim.y;
        if (!MBK_KEEP(map_rows_bound) || at < y.rows) {
            float v[4];
#pragma unroll
            for (int k = 0; k < 4; k++) {
                v[k] = f(a[i][k], b[i][k], col + (k < live ? k : 0));
            }
            mbk_store_some<VEC, 4>((TY *)y.p + at * y.ld + col, v, live);
        }
    }
}

template <typename TY, typename TX, typename F>
static cudaError_t map_rows(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view r, F f) {
    if (y.rows <= 0 || y.cols <= 0) {
        return cudaSuccess;
    }
    mbk_map_shape s = mbk_map_shape_of(y.rows, y.cols, 4);
    if (mbk_aligned(y) && mbk_aligned(x) && mbk_aligned(r)) {
        return MBK_LAUNCH(q, dim3(s.blocks), s.block, 0, (mbk_map_rows<F, TY, TX, true>), y, x, r, s.col_blocks, f);
    }
    return MBK_LAUNCH(q, dim3(s.blocks), s.block, 0, (mbk_map_rows<F, TY, TX, false>), y, x, r, s.col_blocks, f);
}

struct map_first {
    __device__ float operator()(float a, float, int64_t) const {
        return a;
    }
};
struct map_add {
    __device__ float operator()(float a, float b, int64_t) const {
        return a + b;
    }
};
struct map_mul {
    __device__ float operator()(float a, float b, int64_t) const {
        return a * b;
    }
};
struct map_gate {
    __device__ float operator()(float a, float b, int64_t) const {
        return a * mbk_silu(b);
    }
};
struct map_neg_exp {
    __device__ float operator()(float a, float, int64_t) const {
        return -expf(a);
    }
};
struct map_finish {
    const float *scale, *bias;
    __device__ float operator()(float a, float b, int64_t col) const {
        float v = scale ? a * scale[col] : a;
        v = bias ? v + bias[col] : v;
        return v + b;
    }
};

static const mbk_cu_view absent = {nullptr, 0, 0, 0, MBK_CU_F32};

extern "C" mbk_cu_error mbk_cu_copy(const mbk_cu_queue *q, mbk_cu_view dst, mbk_cu_view src) {
    bool wide = src.type == MBK_CU_F32;
    if (dst.type == MBK_CU_F32) {
        return wide ? map_rows<float, float>(q, dst, src, absent, map_first())
                    : map_rows<float, __nv_bfloat16>(q, dst, src, absent, map_first());
    }
    return wide ? map_rows<__nv_bfloat16, float>(q, dst, src, absent, map_first())
                : map_rows<__nv_bfloat16, __nv_bfloat16>(q, dst, src, absent, map_first());
}

extern "C" mbk_cu_error mbk_cu_zero(const mbk_cu_queue *q, mbk_cu_view dst) {
    return dst.type == MBK_CU_F32 ? map_rows<float, float>(q, dst, absent, absent, map_first())
                                  : map_rows<__nv_bfloat16, __nv_bfloat16>(q, dst, absent, absent, map_first());
}

extern "C" mbk_cu_error mbk_cu_add(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view r) {
    return map_rows<float, float>(q, y, x, r, map_add());
}

extern "C" mbk_cu_error mbk_cu_mul(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view r) {
    return map_rows<float, float>(q, y, x, r, map_mul());
}

extern "C" mbk_cu_error mbk_cu_gate(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, mbk_cu_view z) {
    return map_rows<float, float>(q, y, x, z, map_gate());
}

extern "C" mbk_cu_error mbk_cu_neg_exp(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x) {
    return map_rows<float, float>(q, y, x, absent, map_neg_exp());
}

extern "C" mbk_cu_error mbk_cu_gemm_finish(const mbk_cu_queue *q, mbk_cu_view y, const float *scale, const float *bias,
                                           mbk_cu_view add) {
    map_finish f = {scale, bias};
    return y.type == MBK_CU_F32 ? map_rows<float, float>(q, y, y, add, f)
                                : map_rows<__nv_bfloat16, __nv_bfloat16>(q, y, y, add, f);
}

/* --- the sum over rows -------------------------------------------------------------------------------------------- */
/* A block has 32 columns. All its warps fetch the next SUM_ROWS rows while the first adds those that are there, one
 * after the other: the order of kernels/ref, so a mean over a genome has one value wherever rows are cut. */
enum { SUM_THREADS = 256, SUM_ROWS = 128, SUM_EACH = SUM_ROWS / (SUM_THREADS / MBK_WARP) };

static __device__ __forceinline__ void sum_fetch(float (&v)[SUM_EACH], mbk_cu_view x, int64_t row, int64_t col) {
#pragma unroll
    for (int i = 0; i < SUM_EACH; i++) {
        int64_t at = row + (int64_t)threadIdx.y * SUM_EACH + i;
        v[i] = at < x.rows && col < x.cols ? mbk_load((const float *)x.p + at * x.ld + col) : 0.0f;
    }
}

__global__ void __launch_bounds__(SUM_THREADS) mbk_sum_rows(double *acc, mbk_cu_view x) {
    MBK_SHARED(float, tile, SUM_ROWS *MBK_WARP);
    const int64_t col = (int64_t)blockIdx.x * MBK_WARP + threadIdx.x;
    const bool adds = threadIdx.y == 0 && col < x.cols;
    double sum = adds ? acc[col] : 0.0;
    float next[SUM_EACH];
    sum_fetch(next, x, 0, col);
    for (int64_t row = 0; row < x.rows; row += SUM_ROWS) {
#pragma unroll
        for (int i = 0; i < SUM_EACH; i++) {
            tile[((int)threadIdx.y * SUM_EACH + i) * MBK_WARP + (int)threadIdx.x] = next[i];
        }
        if (MBK_KEEP(sum_rows_ready)) {
            __syncthreads();
        }
        sum_fetch(next, x, row + SUM_ROWS, col);
        if (adds) {
            int live = x.rows - row < SUM_ROWS ? (int)(x.rows - row) : SUM_ROWS;
#pragma unroll 8
            for (int i = 0; i < live; i++) {
                sum += (double)tile[i * MBK_WARP + (int)threadIdx.x];
            }
        }
        if (MBK_KEEP(sum_rows_done)) {
            __syncthreads();
        }
    }
    if (adds) {
        acc[col] = sum;
    }
}

extern "C" size_t mbk_cu_row_sum_scratch(int64_t rows, int64_t cols) {
    (void)rows;
    (void)cols;
    return 0;
}

extern "C" mbk_cu_error mbk_cu_row_sum(const mbk_cu_queue *q, double *acc, mbk_cu_view x) {
    if (x.rows <= 0 || x.cols <= 0) {
        return cudaSuccess;
    }
    dim3 grid((unsigned)((x.cols + MBK_WARP - 1) / MBK_WARP));
    return MBK_LAUNCH(q, grid, dim3(MBK_WARP, SUM_THREADS / MBK_WARP), 0, mbk_sum_rows, acc, x);
}
