/*
 * weight.cu - matrices as they are held, f32, bf16 or int8 with a scale for each row: packed from f32, read back, rows
 * of them picked (embed), and multiplied by one row or a few.
 *
 *   pack  4 bytes read (int8: twice) and the weight's own 4, 2 or 1 written      unpack, embed  the other way round
 *   gemv  the weight once: 4, 2 or 1 bytes a weight, for one row as for eight
 */
#include "cuda/vector.cuh"
#include "mbk/mbk.h"

template <int V> static __device__ __forceinline__ void mbk_load_whole(float (&v)[V], const int8_t *p) {
    static_assert(V == 4 || V == 8, "4 or 8 bytes");
#pragma unroll
    for (int k = 0; k < V; k += 4) {
        char4 w = *(const char4 *)(const void *)(p + k);
        v[k] = (float)w.x;
        v[k + 1] = (float)w.y;
        v[k + 2] = (float)w.z;
        v[k + 3] = (float)w.w;
    }
}
static __device__ __forceinline__ float weight_load(const float *p) {
    return *p;
}
static __device__ __forceinline__ float weight_load(const __nv_bfloat16 *p) {
    return mbk_load(p);
}
static __device__ __forceinline__ float weight_load(const int8_t *p) {
    return (float)*p;
}

/* As mbk_load_some, of weights. */
template <bool VEC, int V, typename TW>
static __device__ __forceinline__ void weight_some(float (&v)[V], const TW *p, int64_t live) {
    if constexpr (VEC) {
        if (live >= V) {
            mbk_load_whole(v, p);
            return;
        }
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
        v[k] = k < live ? weight_load(p + k) : 0.0f;
    }
}

/* --- packing ------------------------------------------------------------------------------------------------------ */
enum { PACK_TILE = 32, PACK_DOWN = 8 };

static __device__ __forceinline__ bool pack_one(float *to, float v, float) {
    *to = v;
    return true;
}
static __device__ __forceinline__ bool pack_one(__nv_bfloat16 *to, float v, float) {
    __nv_bfloat16 h = __float2bfloat16_rn(v);
    *to = h;
    return (__bfloat16_as_ushort(h) & 0x7f80u) != 0x7f80u;
}
static __device__ __forceinline__ bool pack_one(int8_t *to, float v, float scale) {
    *to = scale > 0.0f ? (int8_t)rint((double)v / (double)scale) : (int8_t)0;
    return true;
}

/* A tile of dst by way of shared memory, so that reading and writing both go along rows. */
template <typename TW>
__global__ void __launch_bounds__(PACK_TILE *PACK_DOWN)
    mbk_pack_tile(TW *dst, const float *scale, mbk_cu_view src, int transposed, unsigned across, int32_t *bad) {
    MBK_SHARED(float, tile, PACK_TILE *(PACK_TILE + 1));
    const int64_t n_out = transposed ? src.cols : src.rows;
    const int64_t n_in = transposed ? src.rows : src.cols;
    const unsigned down = blockIdx.x / across;
    const int64_t r0 = (int64_t)down * PACK_TILE;
    const int64_t k0 = (int64_t)(blockIdx.x - down * across) * PACK_TILE;
    const int x = (int)threadIdx.x;
    for (int y = (int)threadIdx.y; y < PACK_TILE; y += PACK_DOWN) {
        int r = transposed ? x : y;
        int k = transposed ? y : x;
        if (r0 + r < n_out && k0 + k < n_in) {
            const float *from = (const float *)src.p;
            tile[r * (PACK_TILE + 1) + k] =
                transposed ? from[(k0 + k) * src.ld + r0 + r] : from[(r0 + r) * src.ld + k0 + k];
        }
    }
    if (MBK_KEEP(pack_tile_ready)) {
        __syncthreads();
    }
    bool fine = true;
    for (int y = (int)threadIdx.y; y < PACK_TILE; y += PACK_DOWN) {
        if (r0 + y < n_out && k0 + x < n_in) {
            float s = sizeof(TW) == 1 ? scale[r0 + y] : 0.0f;
            fine = pack_one(dst + (r0 + y) * n_in + k0 + x, tile[y * (PACK_TILE + 1) + x], s) && fine;
        }
    }
    if (!fine) {
        atomicExch(bad, 1);
    }
}

/* Scales of 32 rows of dst: the largest number / 127, one step higher where that is so small that its own rounding
 * would push a number beyond 127. */
__global__ void __launch_bounds__(PACK_TILE *PACK_DOWN)
    mbk_pack_scale(float *scale, mbk_cu_view src, int transposed, int32_t *bad) {
    MBK_SHARED(float, tile, PACK_TILE *(PACK_TILE + 1));
    const int64_t n_out = transposed ? src.cols : src.rows;
    const int64_t n_in = transposed ? src.rows : src.cols;
    const int64_t r0 = (int64_t)blockIdx.x * PACK_TILE;
    const int x = (int)threadIdx.x;
    bool fine = true;
    for (int y = (int)threadIdx.y; y < PACK_TILE; y += PACK_DOWN) {
        float top = 0.0f;
        /* One number of the tile: of row r0 + x over k = y, y + 32 ..., or of row r0 + y over k = x, x + 32 ... */
        for (int64_t k = transposed ? y : x, r = r0 + (transposed ? x : y); r < n_out && k < n_in; k += PACK_TILE) {
            float size = fabsf(((const float *)src.p)[transposed ? k * src.ld + r : r * src.ld + k]);
            fine = fine && size < INFINITY;
            top = fmaxf(top, size);
        }
        tile[transposed ? x * (PACK_TILE + 1) + y : y * (PACK_TILE + 1) + x] = top;
    }
    if (!fine) {
        atomicExch(bad, 1);
    }
    if (MBK_KEEP(pack_scale_ready)) {
        __syncthreads();
    }
    if (threadIdx.y == 0 && r0 + x < n_out) {
        float top = 0.0f;
        for (int k = 0; k < PACK_TILE; k++) {
            top = fmaxf(top, tile[x * (PACK_TILE + 1) + k]);
        }
        float s = top / 127.0f;
        if ((double)s * 127.4 < (double)top) {
            s = __uint_as_float(__float_as_uint(s) + 1u);
        }
        scale[r0 + x] = top > 0.0f ? s : 0.0f;
    }
}

extern "C" mbk_cu_error mbk_cu_pack(const mbk_cu_queue *q, void *dst, float *scale, int dtype, mbk_cu_view src,
                                    int transposed, int32_t *bad) {
    const int64_t n_out = transposed ? src.cols : src.rows;
    const int64_t n_in = transposed ? src.rows : src.cols;
    if (n_out <= 0 || n_in <= 0) {
        return cudaSuccess;
    }
    const unsigned across = (unsigned)((n_in + PACK_TILE - 1) / PACK_TILE);
    const unsigned down = (unsigned)((n_out + PACK_TILE - 1) / PACK_TILE);
    const dim3 block(PACK_TILE, PACK_DOWN);
    if (dtype == MBK_BF16) {
        return MBK_LAUNCH(q, dim3(across * down), block, 0, mbk_pack_tile<__nv_bfloat16>, (__nv_bfloat16 *)dst,
                          (const float *)nullptr, src, transposed, across, bad);
    }
    if (dtype == MBK_F32) {
        return MBK_LAUNCH(q, dim3(across * down), block, 0, mbk_pack_tile<float>, (float *)dst, (const float *)nullptr,
                          src, transposed, across, bad);
    }
    cudaError_t e = MBK_LAUNCH(q, dim3(down), block, 0, mbk_pack_scale, scale, src, transposed, bad);
    if (e != cudaSuccess) {
        return e;
    }
    return MBK_LAUNCH(q, dim3(across * down), block, 0, mbk_pack_tile<int8_t>, (int8_t *)dst, (const float *)scale, src,
                      transposed, across, bad);
}

/* --- rows of a matrix --------------------------------------------------------------------------------------------- */
/* Row i of y = row ids[i] of the matrix, or first + i without ids; int8 times its scale where `scaled`. */
typedef struct pick_run {
    mbk_cu_view y;
    mbk_cu_matrix w;
    const int32_t *ids;
    int64_t first;
    int scaled;
    unsigned col_blocks;
} pick_run;

template <typename TW, typename TY, bool VEC>
__global__ void __launch_bounds__(MBK_MAP_THREADS) mbk_pick_rows(pick_run a) {
    const unsigned row_block = blockIdx.x / a.col_blocks;
    const int64_t col = ((int64_t)(blockIdx.x - row_block * a.col_blocks) * blockDim.x + threadIdx.x) * 4;
    const int64_t row = (int64_t)row_block * blockDim.y * MBK_MAP_ROWS + threadIdx.y;
    const int64_t live = a.y.cols - col;
    if (live <= 0) {
        return;
    }
    int64_t id[MBK_MAP_ROWS];
    float v[MBK_MAP_ROWS][4];
#pragma unroll
    for (int i = 0; i < MBK_MAP_ROWS; i++) {
        int64_t at = row + i * (int64_t)blockDim.y;
        bool there = !MBK_KEEP(pick_rows_bound) || at < a.y.rows;
        id[i] = !there ? a.first : a.ids ? a.ids[at] : a.first + at;
    }
#pragma unroll
    for (int i = 0; i < MBK_MAP_ROWS; i++) {
        weight_some<VEC>(v[i], (const TW *)a.w.p + id[i] * a.w.n_in + col, live);
        if (sizeof(TW) == 1 && a.scaled) {
            float scale = a.w.scale[id[i]];
#pragma unroll
            for (int k = 0; k < 4; k++) {
                v[i][k] *= scale;
            }
        }
    }
#pragma unroll
    for (int i = 0; i < MBK_MAP_ROWS; i++) {
        int64_t at = row + i * (int64_t)blockDim.y;
        if (!MBK_KEEP(pick_rows_bound) || at < a.y.rows) {
            mbk_store_some<VEC, 4>((TY *)a.y.p + at * a.y.ld + col, v[i], live);
        }
    }
}

template <typename TW, typename TY> static cudaError_t pick_typed(const mbk_cu_queue *q, pick_run a) {
    mbk_map_shape s = mbk_map_shape_of(a.y.rows, a.y.cols, 4);
    a.col_blocks = s.col_blocks;
    /* Rows of the matrix lie close: each begins aligned where n_in is a multiple of 4 numbers. */
    if (mbk_aligned(a.y) && (uintptr_t)a.w.p % 16 == 0 && a.w.n_in % 4 == 0) {
        return MBK_LAUNCH(q, dim3(s.blocks), s.block, 0, (mbk_pick_rows<TW, TY, true>), a);
    }
    return MBK_LAUNCH(q, dim3(s.blocks), s.block, 0, (mbk_pick_rows<TW, TY, false>), a);
}

template <typename TW> static cudaError_t pick_rows(const mbk_cu_queue *q, pick_run a) {
    return a.y.type == MBK_CU_F32 ? pick_typed<TW, float>(q, a) : pick_typed<TW, __nv_bfloat16>(q, a);
}

static cudaError_t pick(const mbk_cu_queue *q, pick_run a) {
    if (a.y.rows <= 0 || a.y.cols <= 0) {
        return cudaSuccess;
    }
    return a.w.dtype == MBK_BF16 ? pick_rows<__nv_bfloat16>(q, a)
           : a.w.dtype == MBK_I8 ? pick_rows<int8_t>(q, a)
                                 : pick_rows<float>(q, a);
}

extern "C" mbk_cu_error mbk_cu_embed(const mbk_cu_queue *q, mbk_cu_view y, const mbk_cu_matrix *table,
                                     const int32_t *ids) {
    pick_run a = {y, *table, ids, 0, 1, 0};
    return pick(q, a);
}

extern "C" mbk_cu_error mbk_cu_unpack(const mbk_cu_queue *q, mbk_cu_view dst, const mbk_cu_matrix *w, int64_t first) {
    pick_run a = {dst, *w, nullptr, first, 0, 0};
    return pick(q, a);
}

/* --- few rows times a matrix -------------------------------------------------------------------------------------- */
/* A warp takes one row of W: a lane 8 weights at a time, 256 apart, each its own sums in index order; then the lanes
 * are added as a tree. So an output's bits depend on n_in alone, not on how W is held nor on how many rows there are.
 */
enum { GEMV_WARPS = 4, GEMV_ROWS = 8, GEMV_V = 8 };

template <bool VEC>
static __device__ __forceinline__ void gemv_input(float (&v)[GEMV_V], mbk_cu_view x, int row, int64_t k, int round_x) {
    if (x.type == MBK_CU_BF16) {
        mbk_load_some<VEC, GEMV_V>(v, (const __nv_bfloat16 *)x.p + row * x.ld + k, x.cols - k);
        return;
    }
    mbk_load_some<VEC, GEMV_V>(v, (const float *)x.p + row * x.ld + k, x.cols - k);
    if (round_x) {
#pragma unroll
        for (int j = 0; j < GEMV_V; j++) {
            v[j] = __bfloat162float(__float2bfloat16_rn(v[j]));
        }
    }
}

template <typename TW, int ROWS, bool VEC>
__global__ void __launch_bounds__(MBK_WARP *GEMV_WARPS, 4)
    mbk_gemv_rows(mbk_cu_view y, mbk_cu_view x, const TW *w, int64_t n_out, int round_x) {
    const int64_t out = (int64_t)blockIdx.x * GEMV_WARPS + threadIdx.y;
    if (out >= n_out) {
        return; /* a whole warp */
    }
    const int rows = ROWS == 1 ? 1 : (int)x.rows;
    const int64_t n_in = x.cols;
    float sum[ROWS] = {};
#pragma unroll 4
    for (int64_t k = (int64_t)threadIdx.x * GEMV_V; k < n_in; k += MBK_WARP * GEMV_V) {
        float a[GEMV_V];
        weight_some<VEC>(a, w + out * n_in + k, n_in - k);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (r < rows) {
                float b[GEMV_V];
                gemv_input<VEC>(b, x, r, k, round_x);
#pragma unroll
                for (int j = 0; j < GEMV_V; j++) {
                    sum[r] = fmaf(a[j], b[j], sum[r]);
                }
            }
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (r < rows) {
            float s = mbk_warp_sum(sum[r]);
            if (threadIdx.x == 0 && y.type == MBK_CU_BF16) {
                mbk_store((__nv_bfloat16 *)y.p + r * y.ld + out, s);
            } else if (threadIdx.x == 0) {
                ((float *)y.p)[r * y.ld + out] = s;
            }
        }
    }
}

template <typename TW, int ROWS>
static cudaError_t gemv_rows(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, const mbk_cu_matrix *w, int round_x) {
    dim3 grid((unsigned)((w->n_out + GEMV_WARPS - 1) / GEMV_WARPS));
    dim3 block(MBK_WARP, GEMV_WARPS);
    const TW *p = (const TW *)w->p;
    if (mbk_aligned(x) && (uintptr_t)p % 16 == 0 && w->n_in % GEMV_V == 0) {
        return MBK_LAUNCH(q, grid, block, 0, (mbk_gemv_rows<TW, ROWS, true>), y, x, p, w->n_out, round_x);
    }
    return MBK_LAUNCH(q, grid, block, 0, (mbk_gemv_rows<TW, ROWS, false>), y, x, p, w->n_out, round_x);
}

template <typename TW>
static cudaError_t gemv(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, const mbk_cu_matrix *w, int round_x) {
    return x.rows == 1 ? gemv_rows<TW, 1>(q, y, x, w, round_x) : gemv_rows<TW, GEMV_ROWS>(q, y, x, w, round_x);
}

extern "C" mbk_cu_error mbk_cu_gemv(const mbk_cu_queue *q, mbk_cu_view y, mbk_cu_view x, const mbk_cu_matrix *w,
                                    int round_x) {
    if (x.rows <= 0 || w->n_out <= 0) {
        return cudaSuccess;
    }
    if (x.rows > GEMV_ROWS) {
        return cudaErrorInvalidValue;
    }
    return w->dtype == MBK_BF16 ? gemv<__nv_bfloat16>(q, y, x, w, round_x)
           : w->dtype == MBK_I8 ? gemv<int8_t>(q, y, x, w, round_x)
                                : gemv<float>(q, y, x, w, round_x);
}
