/* scan.cuh - what the kernels of the selective scan share: how a call is dealt out, and tiles of rows in shared memory.
 */
#ifndef MBK_CUDA_SCAN_CUH
#define MBK_CUDA_SCAN_CUH

#include "cuda/starts.cuh"
#include "cuda/vector.cuh"

enum {
    SCAN_CHANNELS = 128, /* of a block, a thread each */
    SCAN_STATES = 16,    /* of a thread; where a channel has more, several threads share it */
    SCAN_WIDE_CHANNELS = 32,
    SCAN_WIDE_MOST = MBK_CU_SCAN_STATES,
    SCAN_SAVED = 32, /* rows between two saved states */
    SCAN_LIVE = -30  /* a decay below 2^SCAN_LIVE is taken for zero */
};

/* One part of a call: segments [first, first + segments), and where their ends are kept. */
typedef struct scan_run {
    mbk_cu_scan a;
    int64_t first, segments;
    /* (segments N, C): by scan_ends the state that a segment, begun from zero, ends with; by scan_carry the state
     * before the segment. NULL: the call is one short segment, which begins with `state`. */
    float *ends;
    float *steps; /* (segments, C): sum of delta over a segment, -1 where a sequence begins in it */
    unsigned col_blocks;
} scan_run;

/* The shape of a block, known when it is compiled: NT states to a thread, WIDE: several threads to a channel
 * (threadIdx.y); rows of a tile, and of one of scan_rows, whose three tiles of f32 would leave no shared memory for
 * half of the warps that a multiprocessor can hold. */
/* What the later devices' compiler needs for LOW is a few registers more than 8 blocks leave. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define SCAN_LOW_BLOCKS 7
#else
#define SCAN_LOW_BLOCKS 8
#endif
template <int NT, bool WIDE, bool VEC, bool LOW> struct scan_shape {
    static constexpr int rows = WIDE ? 4 : 8;
    template <typename T> static constexpr int rows_of = WIDE || sizeof(T) > 2 ? 4 : 8;
    static constexpr int across = WIDE ? SCAN_WIDE_CHANNELS : SCAN_CHANNELS; /* of a row of a tile */
    static constexpr int threads = WIDE ? SCAN_WIDE_CHANNELS * (SCAN_WIDE_MOST / SCAN_STATES) : SCAN_CHANNELS;
    static constexpr int blocks = /* of a multiprocessor, for the registers */
        WIDE   ? 1
        : !VEC ? 6
        : LOW  ? SCAN_LOW_BLOCKS
               : 8;
};

static __device__ __forceinline__ int scan_thread() {
    return (int)(threadIdx.y * blockDim.x + threadIdx.x);
}

/* The 16 bytes of a tile that are a thread's to copy: row r and column c of its first ones, each rows() rows apart, and
 * how many columns there are from there on. Without VEC it copies its own channel. */
template <typename T, bool VEC> struct scan_place {
    static constexpr int each = VEC ? 16 / (int)sizeof(T) : 1;
    int r, c, left;
    int64_t col; /* in memory */
    __device__ __forceinline__ scan_place(int64_t c0, int64_t cols) {
        const int vectors = (int)blockDim.x / each;
        r = VEC ? scan_thread() / vectors : (int)threadIdx.y;
        c = VEC ? (scan_thread() - r * vectors) * each : (int)threadIdx.x;
        col = c0 + c;
        left = cols - col < each ? (int)(cols - col) : each;
    }
    __device__ __forceinline__ int rows() const {
        return VEC ? each * (int)blockDim.y : (int)blockDim.y;
    }
};

/* Begins to copy `live` rows from t on of a block's channels into a tile: 16 bytes at a time, where VEC, and zeros
 * beyond the last channel; bf16 without VEC one by one and at once. */
template <int ACROSS, typename T, bool VEC>
static __device__ __forceinline__ void scan_fetch(T *tile, const scan_place<T, VEC> &my, const mbk_cu_view &v,
                                                  int64_t t, int live) {
    constexpr int each = scan_place<T, VEC>::each;
    int64_t row = t + my.r;
    MBK_OPAQUE(row);
    const T *from = (const T *)v.p + row * v.ld + my.col;
    T *to = tile + my.r * ACROSS + my.c;
#pragma unroll 1
    for (int r = my.r; r < live && my.left > 0; r += my.rows()) {
        if constexpr (sizeof(T) * each >= 4) {
            __pipeline_memcpy_async(to, from, sizeof(T) * each, sizeof(T) * (size_t)(each - my.left));
        } else {
            *to = *from;
        }
        from += my.rows() * v.ld;
        to += my.rows() * ACROSS;
    }
}

/* Rows of a tile to memory. */
template <int ACROSS, typename T, bool VEC>
static __device__ __forceinline__ void scan_put(const mbk_cu_view &v, const scan_place<T, VEC> &my, int64_t t, int live,
                                                const T *tile) {
    constexpr int each = scan_place<T, VEC>::each;
    int64_t row = t + my.r;
    MBK_OPAQUE(row);
    T *to = (T *)v.p + row * v.ld + my.col;
    const T *from = tile + my.r * ACROSS + my.c;
#pragma unroll 1
    for (int r = my.r; r < live && my.left > 0; r += my.rows()) {
        if (VEC && my.left == each) {
            *(uint4 *)(void *)to = *(const uint4 *)(const void *)from;
        } else {
#pragma unroll 1
            for (int k = 0; k < my.left; k++) {
                to[k] = from[k];
            }
        }
        to += my.rows() * v.ld;
        from += my.rows() * ACROSS;
    }
}

/* The number of B or C of a tile that is a thread's to fetch: rows of `padded` states, zeros for those that are not
 * there. A block that is too small for one number each comes again. */
template <int NT, bool WIDE> struct scan_pick {
    int r, n;
    __device__ __forceinline__ scan_pick() {
        r = WIDE ? (scan_thread() >= padded() ? 1 : 0) : scan_thread() / NT;
        n = scan_thread() - r * padded();
    }
    __device__ __forceinline__ int padded() const {
        return WIDE ? (int)blockDim.y * NT : NT;
    }
    __device__ __forceinline__ int rows() const {
        return WIDE ? SCAN_WIDE_CHANNELS / NT : (int)blockDim.x / NT;
    }
};

template <typename T, int NT, bool WIDE>
static __device__ __forceinline__ float scan_input(const scan_pick<NT, WIDE> &my, const mbk_cu_view &v, int64_t t,
                                                   int r, int live) {
    int64_t row = t + r;
    MBK_OPAQUE(row);
    return r < live && my.n < v.cols ? mbk_load((const T *)v.p + row * v.ld + my.n) : 0.0f;
}

/* Puts what was fetched ahead, and fetches and puts what is left. */
template <typename T, int NT, bool WIDE, int ROWS>
static __device__ __forceinline__ void scan_put_inputs(float *tile, float ahead, const scan_pick<NT, WIDE> &my,
                                                       const mbk_cu_view &v, int64_t t, int live) {
    if (my.r < ROWS) {
        tile[my.r * my.padded() + my.n] = ahead;
    }
#pragma unroll 1
    for (int r = my.r + my.rows(); r < ROWS; r += my.rows()) {
        tile[r * my.padded() + my.n] = scan_input<T>(my, v, t, r, live);
    }
}

/* States n0, n0 + 1 ... of channel c, rows of a matrix, from memory and back: those that are there of NT. The rows'
 * places are found one after the other, which keeps them out of registers. */
template <int NT>
static __device__ __forceinline__ void scan_load(float (&v)[NT], const float *p, int64_t ld, int64_t c, int n0, int n) {
    int left = n - n0;
    p += n0 * ld + c;
    MBK_OPAQUE_INT(left);
#pragma unroll
    for (int i = 0; i < NT; i++) {
        v[i] = i < left ? *p : 0.0f;
        p += ld;
        MBK_OPAQUE(p);
    }
}
template <int NT>
static __device__ __forceinline__ void scan_store(float *p, int64_t ld, int64_t c, int n0, int n,
                                                  const float (&v)[NT]) {
    int left = n - n0;
    p += n0 * ld + c;
    MBK_OPAQUE_INT(left);
#pragma unroll
    for (int i = 0; i < NT; i++) {
        if (i < left) {
            *p = v[i];
        }
        p += ld;
        MBK_OPAQUE(p);
    }
}

/* A of a thread's states for powers of two, zero for those that are not there: they stay zero. n: 0 where the channel
 * is not there. */
template <int NT>
static __device__ __forceinline__ void scan_rates(float (&a2)[NT], const mbk_cu_view &a, int64_t c, int n0, int n) {
    scan_load(a2, (const float *)a.p, a.ld, c, n0, n);
#pragma unroll
    for (int i = 0; i < NT; i++) {
        a2[i] *= MBK_LOG2E;
    }
}

/* NT numbers that all lanes read at once. */
template <int NT> static __device__ __forceinline__ void scan_row_of(float (&v)[NT], const float *p) {
#pragma unroll
    for (int i = 0; i < NT; i += 4) {
        float4 w = mbk_ld4(p + i);
        v[i] = w.x;
        v[i + 1] = w.y;
        v[i + 2] = w.z;
        v[i + 3] = w.w;
    }
}

static __device__ __forceinline__ float scan_one(const mbk_cu_view &v, int64_t c) {
    return v.p && c < v.cols ? ((const float *)v.p)[c] : 0.0f;
}

/* --- steps from their factor of low rank ----------------------------------------------------------------------------
 */
enum { SCAN_LOW_ROWS = 4 }; /* whose steps are made at once */

/* Columns as they lie in shared memory. */
static __host__ __device__ __forceinline__ int scan_low_padded(const mbk_cu_scan &a) {
    return ((int)a.low.cols + 3) / 4 * 4;
}
/* Bytes beside the tiles, for two tiles of `rows` rows. */
template <int ACROSS> static __host__ __device__ __forceinline__ int scan_low_bytes(const mbk_cu_scan &a, int rows) {
    return scan_low_padded(a) * (2 * rows * (int)sizeof(float) + ACROSS * 2) + SCAN_LOW_ROWS * ACROSS * 4;
}

/* A thread makes the steps of its own channel: its column of the weight and the steps are nobody else's. Places are
 * found again each time, and so is the bias: registers are what the recurrence needs. */
template <int ROWS, int ACROSS> struct scan_low {
    float *steps; /* [SCAN_LOW_ROWS][ACROSS] */
    /* then [padded / 2][ACROSS], two columns of bf16 in each, and [2][ROWS][padded], rows of the factor */

    static __device__ __forceinline__ int padded(const mbk_cu_scan &a) {
        int n = scan_low_padded(a);
        MBK_OPAQUE_INT(n);
        return n;
    }
    __device__ __forceinline__ uint32_t *weight() const {
        return (uint32_t *)(void *)(steps + SCAN_LOW_ROWS * ACROSS) + threadIdx.x;
    }
    __device__ __forceinline__ float *tile(int stage, int n) const {
        return steps + SCAN_LOW_ROWS * ACROSS + n / 2 * ACROSS + stage * ROWS * n;
    }

    __device__ __forceinline__ scan_low(void *shared, const mbk_cu_scan &a, int64_t c) {
        steps = (float *)shared;
        uint32_t *to = weight();
        const int rank = c < a.u.cols ? (int)a.low.cols : 0;
        const int n = padded(a);
        const __nv_bfloat16 *from = (const __nv_bfloat16 *)a.weight.p + c * a.weight.ld;
        if ((a.weight.ld | rank) % 8 == 0 && rank > 0 && (uintptr_t)a.weight.p % 16 == 0) {
#pragma unroll 1
            for (int k = 0; k < n; k += 8) {
                const uint4 w = *(const uint4 *)(const void *)(from + k);
                to[0] = w.x;
                to[ACROSS] = w.y;
                to[2 * ACROSS] = w.z;
                to[3 * ACROSS] = w.w;
                to += 4 * ACROSS;
            }
            return;
        }
#pragma unroll 1
        for (int k = 0; k < n; k += 2) {
            const float low = k < rank ? mbk_load(from + k) : 0.0f;
            const float high = k + 1 < rank ? mbk_load(from + k + 1) : 0.0f;
            *to = mbk_half_pair(low, high);
            to += ACROSS;
        }
    }
    /* Rows of a factor, B or C from t on into a tile of n columns, zeros for those that are not among the `live`. */
    static __device__ __forceinline__ void put(float *to, int n, const mbk_cu_view &v, int64_t t, int live) {
        int i = scan_thread();
        MBK_OPAQUE(t);
        MBK_OPAQUE_INT(i);
#pragma unroll 1
        for (; i < ROWS * n; i += (int)blockDim.x) {
            const int r = i / n;
            const int k = i - r * n;
            to[i] = r < live && k < v.cols ? mbk_load((const __nv_bfloat16 *)v.p + (t + r) * v.ld + k) : 0.0f;
        }
    }
    /* B, C and the factor of the tile that begins with row t. */
    __device__ __forceinline__ void put_inputs(float *b, int states, const mbk_cu_scan &a, int64_t t, int live,
                                               int stage) const {
        put(b, states, a.b, t, live);
        put(b + ROWS * states, states, a.c, t, live);
        put(tile(stage, padded(a)), padded(a), a.low, t, live);
    }
    /* Steps of the rows from r on, as softplus leaves them. */
    __device__ __forceinline__ void make(int stage, int r, const mbk_cu_scan &a, int64_t c) const {
        int n = padded(a);
        const float *row = tile(stage, n) + r * n;
        const uint32_t *w = weight();
        float sum[SCAN_LOW_ROWS] = {};
#pragma unroll 1
        for (int k = n; k > 0; k -= 2) {
            const uint32_t both = *w;
            w += ACROSS;
#pragma unroll
            for (int j = 0; j < SCAN_LOW_ROWS; j++) {
                const float2 x = *(const float2 *)(const void *)(row + j * n);
                sum[j] = fmaf(mbk_low_half(both), x.x, sum[j]);
                sum[j] = fmaf(mbk_high_half(both), x.y, sum[j]);
            }
            row += 2;
        }
        MBK_OPAQUE(c);
        const float bias = scan_one(a.bias, c);
#pragma unroll
        for (int j = 0; j < SCAN_LOW_ROWS; j++) {
            steps[j * ACROSS + threadIdx.x] = mbk_softplus(sum[j] + bias);
        }
    }
};

/* Nothing, where dt is read. */
struct scan_no_low {
    __device__ __forceinline__ scan_no_low(void *, const mbk_cu_scan &, int64_t) {
    }
};
template <bool LOW, int ROWS, int ACROSS> struct scan_source { typedef scan_no_low type; };
template <int ROWS, int ACROSS> struct scan_source<true, ROWS, ACROSS> { typedef scan_low<ROWS, ACROSS> type; };

#endif
