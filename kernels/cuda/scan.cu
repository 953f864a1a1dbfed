/*
 * scan.cu - the selective scan. A thread has one channel and its states in registers; a block has up to 128 channels
 * and goes along the rows of one segment of MBK_CU_SEGMENT rows, 8 at a time (4 of f32): u, dt and z come into shared
 * memory by asynchronous copies of 16 bytes while those before are computed, B and C once for all channels, y leaves
 * the same way. Three launches, each a plain grid, and no block waits for another:
 *
 *   scan_ends: the state that each full segment, begun from zero, ends with, sum_t exp(A S_t) delta_t u_t B_t, where
 *   S_t is the sum of delta over the rows after t. From the last row to the first, and no further than where
 *   exp(A S_t) is below 2^-30 in all states of all channels of the block.
 *
 *   scan_carry: from segment to segment, the state before it; a decay below 2^-30 over a segment carries nothing.
 *
 *   scan_rows: the recurrence itself, each segment from the state before it.
 *
 * So every y and every saved state comes from the plain recurrence, there is nothing to correct afterwards, and y is
 * rounded once. The state after a full segment is what scan_carry says of it, also where the call ends there, which is
 * why calls cut at multiples of a segment have the bits of one call; a call shorter than a segment is scan_rows alone.
 *
 * Bytes a token and channel (bf16; f32 twice that, but for the last): scan_rows reads u, dt, z and writes y: 8;
 * scan_ends reads u and dt: 4 times the share of rows before the decay ends it; B and C are read once a block: 4 N /
 * 128, ends and carry 4 accesses of 4 N / 256. With the convolution's 4: 12 to 16, and 1 for the carry at N = 16.
 * Exponentials a token and channel: N in scan_rows, and at most N in scan_ends, which asks at each 8 rows which states
 * are still alive in the warp; softplus once in each, silu once.
 */
#include "cuda/scan_ends.cuh"

/* What a thread of scan_rows knows of its channel. */
template <int NT> struct scan_channel {
    float h[NT], a2[NT];
    float d, bias;
    int64_t c;
    int n0, n; /* its first state, and how many the channel has: none where it is not there */
};

/* h of the next row, and the sum over its states. */
template <int NT>
static __device__ __forceinline__ float scan_step(scan_channel<NT> &s, float delta, float du, const float *b,
                                                  const float *c) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < NT; i += 4) {
        float bi[4], ci[4];
        scan_row_of(bi, b + i);
        scan_row_of(ci, c + i);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            s.h[i + k] = fmaf(mbk_exp2(delta * s.a2[i + k]), s.h[i + k], du * bi[k]);
            sum = fmaf(ci[k], s.h[i + k], sum);
        }
    }
    return sum;
}

template <int NT>
static __device__ __forceinline__ void scan_begin(scan_channel<NT> &s, const scan_run &run, int64_t segment) {
    const mbk_cu_scan &a = run.a;
    const int64_t ld = run.ends ? a.u.cols : a.state.ld;
    const float *from = run.ends ? run.ends + segment * a.a.rows * ld : (const float *)a.state.p;
    s.n = s.c < a.u.cols ? (int)a.a.rows : 0;
    scan_rates(s.a2, a.a, s.c, s.n0, s.n);
    scan_load(s.h, from, ld, s.c, s.n0, s.n);
    s.d = scan_one(a.d, s.c);
    s.bias = scan_one(a.bias, s.c);
}

/* The state behind the last row. Where registers are short the channel is found again, from the block's first. */
template <bool LOW, int NT>
static __device__ __forceinline__ void scan_leave(scan_channel<NT> &s, const mbk_cu_scan &a, int64_t first) {
    if constexpr (LOW) {
        s.c = first + threadIdx.x;
        s.n = s.c < a.u.cols ? (int)a.a.rows : 0;
    }
    scan_store((float *)a.state.p, a.state.ld, s.c, s.n0, s.n, s.h);
}

/* Rows of a segment at which a sequence begins, a bit each. */
static __device__ __forceinline__ void scan_begins(unsigned *bits, const mbk_cu_starts &s, int64_t t0) {
    if (scan_thread() < MBK_CU_SEGMENT / 32) {
        const int64_t from = t0 + scan_thread() * 32;
        unsigned word = 0;
        for (int64_t i = mbk_starts_upto(s, from - 1); mbk_start_at(s, i) < from + 32; i++) {
            word |= 1u << (int)(s.at[i] - from);
        }
        bits[scan_thread()] = word;
    }
}

template <int NT> static __device__ __forceinline__ void scan_clear(scan_channel<NT> &s) {
#pragma unroll
    for (int i = 0; i < NT; i++) {
        s.h[i] = 0.0f;
    }
}

/* y of a tile's rows, whose sums lie in parts: `now` has u, and z behind it. */
template <int ACROSS, int R, typename T>
static __device__ __forceinline__ void scan_sum_parts(T *now, const float *part, const mbk_cu_scan &a, float d,
                                                      int end) {
    constexpr int tile = R * ACROSS;
    if (MBK_KEEP(scan_part_ready)) {
        __syncthreads();
    }
    for (int r = (int)threadIdx.y; r < end; r += (int)blockDim.y) {
        const int here = r * ACROSS + (int)threadIdx.x;
        float y = d * mbk_load(now + here);
        for (int j = 0; j < (int)blockDim.y; j++) {
            y += part[j * tile + here];
        }
        mbk_store(now + here, a.z.p ? y * mbk_silu(mbk_load(now + tile + here)) : y);
    }
}

template <typename T, int NT, bool WIDE, bool VEC, bool LOW>
__global__ void __launch_bounds__(scan_shape<NT, WIDE, VEC, LOW>::threads, scan_shape<NT, WIDE, VEC, LOW>::blocks)
    mbk_scan_rows(scan_run run) {
    using shape = scan_shape<NT, WIDE, VEC, LOW>;
    constexpr int R = shape::template rows_of<T>;
    const mbk_cu_scan &a = run.a;
    constexpr int across = shape::across;
    const int padded = WIDE ? (int)blockDim.y * NT : NT;
    constexpr int tile = R * across;
    MBK_DYN_SHARED(unsigned char, shared);
    constexpr int tiles = LOW ? 2 : 3;
    T *in = (T *)(void *)shared;                              /* [2][u, z, and dt unless LOW][R][across] */
    float *states = (float *)(void *)(in + 2 * tiles * tile); /* [2][b, c][R][padded] */
    float *part = states + 2 * 2 * R * padded;                /* WIDE: [threadIdx.y][R][across] */
    const unsigned row_block = blockIdx.x / run.col_blocks;
    const int64_t c0 = (int64_t)(blockIdx.x - row_block * run.col_blocks) * blockDim.x;
    const int64_t t0 = (run.first + row_block) * MBK_CU_SEGMENT;

    scan_channel<NT> s;
    s.c = c0 + threadIdx.x;
    s.n0 = (int)threadIdx.y * NT;
    scan_begin(s, run, row_block);
    const typename scan_source<LOW, R, across>::type low_rank(part, a, s.c);
    MBK_SHARED(unsigned, begins, MBK_CU_SEGMENT / 32);
    scan_begins(begins, a.starts, t0);

    const scan_place<T, VEC> my(c0, a.u.cols);
    const scan_pick<NT, WIDE> pick;
    const int rows = a.u.rows - t0 < MBK_CU_SEGMENT ? (int)(a.u.rows - t0) : MBK_CU_SEGMENT;
    /* The first turn fetches only. */
    for (int t = -R; t < rows; t += R) {
        const int stage = t / R & 1;
        T *now = in + stage * tiles * tile;
        T *then = in + (stage ^ 1) * tiles * tile;
        const float *b = states + stage * 2 * R * padded;
        float *b_then = states + (stage ^ 1) * 2 * R * padded;
        const int left = rows - t - R < R ? rows - t - R : R; /* rows of the next tile, where positive */
        int segment = (int)row_block;
        MBK_OPAQUE_INT(segment);
        const int64_t at = (run.first + segment) * MBK_CU_SEGMENT + t;
        const int64_t at_then = at + R;
        float b_ahead = 0.0f, c_ahead = 0.0f;
        if (MBK_KEEP(scan_rows_wait)) {
            __pipeline_wait_prior(0);
        }
        if (MBK_KEEP(scan_rows_ready)) {
            __syncthreads();
        }
        if (left > 0) {
            scan_fetch<across>(then, my, a.u, at_then, left);
            if (a.z.p) {
                scan_fetch<across>(then + tile, my, a.z, at_then, left);
            }
            if constexpr (!LOW) {
                scan_fetch<across>(then + 2 * tile, my, a.dt, at_then, left);
            }
            __pipeline_commit();
            if constexpr (!LOW) {
                b_ahead = scan_input<T>(pick, a.b, at_then, pick.r, left);
                c_ahead = scan_input<T>(pick, a.c, at_then, pick.r, left);
            }
        }
        const int end = t < 0 ? 0 : rows - t < R ? rows - t : R;
        unsigned begin = t < 0 ? 0 : begins[t / 32] >> t % 32;
        if constexpr (!LOW) {
            if (begin & 1u) {
                scan_clear(s);
            }
            if (a.saved.p && t >= 0 && t % SCAN_SAVED == 0) {
                scan_store((float *)a.saved.p + at / SCAN_SAVED * a.a.rows * a.saved.ld, a.saved.ld, s.c, s.n0, s.n,
                           s.h);
            }
        }
#pragma unroll 1
        for (int r = 0; r < end; r++) {
            if (begin >> r & 1u) {
                scan_clear(s);
            }
            const int here = r * across + (int)threadIdx.x;
            const float u = mbk_load(now + here);
            float delta;
            if constexpr (LOW) {
                if (r % SCAN_LOW_ROWS == 0) {
                    low_rank.make(stage, r, a, my.col - my.c + threadIdx.x);
                }
                delta = low_rank.steps[r % SCAN_LOW_ROWS * across + (int)threadIdx.x];
            } else {
                delta = mbk_softplus(mbk_load(now + 2 * tile + here) + s.bias);
            }
            const float *row = b + r * padded + s.n0;
            const float sum = scan_step(s, delta, delta * u, row, row + R * padded);
            if constexpr (WIDE) {
                part[(int)threadIdx.y * tile + here] = sum;
            } else {
                const float y = fmaf(s.d, u, sum);
                mbk_store(now + here, a.z.p ? y * mbk_silu(mbk_load(now + tile + here)) : y);
            }
        }
        if (left > 0) {
            if constexpr (LOW) {
                low_rank.put_inputs(b_then, NT, a, at_then, left, stage ^ 1);
            } else {
                scan_put_inputs<T, NT, WIDE, R>(b_then, b_ahead, pick, a.b, at_then, left);
                scan_put_inputs<T, NT, WIDE, R>(b_then + R * padded, c_ahead, pick, a.c, at_then, left);
            }
        }
        if constexpr (WIDE) {
            scan_sum_parts<across, R>(now, part, a, s.d, end);
        }
        if (MBK_KEEP(scan_rows_written)) {
            __syncthreads();
        }
        scan_put<across>(a.y, my, at, end, now);
    }
    if (rows < MBK_CU_SEGMENT) {
        scan_leave<LOW>(s, a, my.col - my.c);
    }
}

/* --- launching ---------------------------------------------------------------------------------------------------- */
/* A long call goes in parts: as many segments as the scratch holds the ends of, which shows in no bit. */
static int64_t scan_segments(const mbk_cu_scan *a) {
    return (a->u.rows + MBK_CU_SEGMENT - 1) / MBK_CU_SEGMENT;
}
static size_t scan_segment_bytes(const mbk_cu_scan *a) {
    return (size_t)(a->a.rows + 1) * (size_t)a->u.cols * sizeof(float);
}

/* Ends of 64 MiB, and of 512 segments at least, which is enough blocks for a large device. */
extern "C" size_t mbk_cu_selective_scan_scratch(const mbk_cu_scan *a) {
    if (a->u.rows < MBK_CU_SEGMENT || a->u.cols <= 0) {
        return 0;
    }
    const int64_t fit = (int64_t)(((size_t)64 << 20) / scan_segment_bytes(a));
    const int64_t part = fit > 512 ? fit : 512;
    return (size_t)(scan_segments(a) < part ? scan_segments(a) : part) * scan_segment_bytes(a);
}

template <typename T, int NT, bool WIDE, bool VEC, bool LOW>
static cudaError_t scan_ends_and_carry(const mbk_cu_queue *q, const scan_run &run, dim3 block, int64_t full) {
    using shape = scan_shape<NT, WIDE, VEC, LOW>;
    const size_t padded = WIDE ? block.y * NT : NT;
    const size_t bytes = 2 * (LOW ? 1 : 2) * shape::rows * shape::across * sizeof(T) +
                         2 * shape::rows * padded * sizeof(float) +
                         (LOW ? scan_low_bytes<shape::across>(run.a, shape::rows) : 0);
    cudaError_t e = MBK_LAUNCH(q, dim3((unsigned)(run.col_blocks * full)), block, bytes,
                               (mbk_scan_ends<T, NT, WIDE, VEC, LOW>), run);
    if (e != cudaSuccess) {
        return e;
    }
    scan_run carry = run;
    carry.col_blocks = (unsigned)((run.a.u.cols + CARRY_THREADS - 1) / CARRY_THREADS);
    return MBK_LAUNCH(q, dim3((unsigned)(carry.col_blocks * run.a.a.rows)), dim3(CARRY_THREADS), 0, mbk_scan_carry,
                      carry, full);
}

template <typename T, int NT, bool WIDE, bool VEC, bool LOW>
static cudaError_t scan_launch(const mbk_cu_queue *q, const mbk_cu_scan &a) {
    using shape = scan_shape<NT, WIDE, VEC, LOW>;
    const int64_t most = WIDE ? SCAN_WIDE_CHANNELS : SCAN_CHANNELS;
    const int64_t groups = (a.u.cols + most - 1) / most;
    const int64_t channels = ((a.u.cols + groups - 1) / groups + MBK_WARP - 1) / MBK_WARP * MBK_WARP;
    const dim3 block((unsigned)channels, WIDE ? (unsigned)((a.a.rows + NT - 1) / NT) : 1);
    const size_t padded = WIDE ? block.y * NT : NT;
    constexpr int rows = shape::template rows_of<T>;
    const size_t bytes = 2 * (LOW ? 2 : 3) * rows * shape::across * sizeof(T) + 2 * 2 * rows * padded * sizeof(float) +
                         (WIDE ? block.y * rows * shape::across * sizeof(float) : 0) +
                         (LOW ? scan_low_bytes<shape::across>(a, rows) : 0);
    scan_run run = {a, 0, 1, nullptr, nullptr, (unsigned)((a.u.cols + channels - 1) / channels)};
    if (a.u.rows < MBK_CU_SEGMENT) {
        return MBK_LAUNCH(q, dim3(run.col_blocks), block, bytes, (mbk_scan_rows<T, NT, WIDE, VEC, LOW>), run);
    }
    const int64_t part = (int64_t)(q->scratch_bytes / scan_segment_bytes(&a));
    if (part < 1) {
        return cudaErrorInvalidValue;
    }
    run.ends = (float *)q->scratch;
    run.steps = run.ends + part * a.a.rows * a.u.cols;
    for (run.first = 0; run.first < scan_segments(&a); run.first += part) {
        const int64_t left = scan_segments(&a) - run.first;
        run.segments = left < part ? left : part;
        int64_t full = a.u.rows / MBK_CU_SEGMENT - run.first;
        full = full < run.segments ? full : run.segments;
        cudaError_t e = cudaSuccess;
        if (full > 0) {
            e = scan_ends_and_carry<T, NT, WIDE, VEC, LOW>(q, run, block, full);
        } else { /* what is left is short and begins with the state */
            run.ends = nullptr;
        }
        if (e == cudaSuccess) {
            e = MBK_LAUNCH(q, dim3((unsigned)(run.col_blocks * run.segments)), block, bytes,
                           (mbk_scan_rows<T, NT, WIDE, VEC, LOW>), run);
        }
        if (e != cudaSuccess) {
            return e;
        }
    }
    return cudaSuccess;
}

template <typename T, bool VEC, bool LOW> static cudaError_t scan_narrow(const mbk_cu_queue *q, const mbk_cu_scan &a) {
    return a.a.rows <= 4   ? scan_launch<T, 4, false, VEC, LOW>(q, a)
           : a.a.rows <= 8 ? scan_launch<T, 8, false, VEC, LOW>(q, a)
                           : scan_launch<T, SCAN_STATES, false, VEC, LOW>(q, a);
}

template <typename T, bool VEC> static cudaError_t scan_sized(const mbk_cu_queue *q, const mbk_cu_scan &a) {
    if constexpr (sizeof(T) == 2) {
        if (a.low.p) {
            return scan_narrow<T, VEC, true>(q, a);
        }
    }
    return a.a.rows <= SCAN_STATES ? scan_narrow<T, VEC, false>(q, a)
                                   : scan_launch<T, SCAN_STATES, true, VEC, false>(q, a);
}

template <typename T> static cudaError_t scan_typed(const mbk_cu_queue *q, const mbk_cu_scan &a) {
    const bool vec = mbk_aligned(a.u) && mbk_aligned(a.dt) && mbk_aligned(a.z) && mbk_aligned(a.y);
    return vec ? scan_sized<T, true>(q, a) : scan_sized<T, false>(q, a);
}

extern "C" mbk_cu_error mbk_cu_selective_scan(const mbk_cu_queue *q, const mbk_cu_scan *a) {
    if (a->u.rows <= 0 || a->u.cols <= 0 || a->a.rows <= 0) {
        return cudaSuccess;
    }
    const mbk_cu_type type = a->u.type;
    const bool low = a->low.p != nullptr;
    if (a->a.rows > SCAN_WIDE_MOST || a->y.type != type || (a->z.p && a->z.type != type) || a->b.type != type ||
        a->c.type != type || (!low && a->dt.type != type)) {
        return cudaErrorInvalidValue;
    }
    if (low && (type != MBK_CU_BF16 || a->low.type != type || a->weight.type != type || a->dt.p || a->saved.p ||
                a->a.rows > SCAN_STATES || a->low.cols > MBK_CU_SCAN_RANK)) {
        return cudaErrorInvalidValue;
    }
    return type == MBK_CU_F32 ? scan_typed<float>(q, *a) : scan_typed<__nv_bfloat16>(q, *a);
}
