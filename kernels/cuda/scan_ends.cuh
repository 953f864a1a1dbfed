/* scan_ends.cuh - the state before each segment of a selective scan: what earlier segments leave (scan.cu says how the
 * three launches go together). */
#ifndef MBK_CUDA_SCAN_ENDS_CUH
#define MBK_CUDA_SCAN_ENDS_CUH

#include "cuda/scan.cuh"

/* --- ends of segments --------------------------------------------------------------------------------------------- */
/* Which of a thread's states still matter after `steps`: the others' rates become -infinity, so that nothing comes of
 * them, whatever other lanes do. */
template <int NT> static __device__ __forceinline__ unsigned scan_alive(float (&a2)[NT], float steps, bool there) {
    unsigned alive = 0;
#pragma unroll
    for (int i = 0; i < NT; i++) {
        a2[i] = a2[i] * steps < (float)SCAN_LIVE ? -INFINITY : a2[i];
        alive |= a2[i] > -INFINITY || a2[i] != a2[i] ? 1u << i : 0u;
    }
    return there ? alive : 0u;
}

template <typename T, int NT, bool WIDE, bool VEC, bool LOW>
__global__ void __launch_bounds__(scan_shape<NT, WIDE, VEC, LOW>::threads, scan_shape<NT, WIDE, VEC, LOW>::blocks)
    mbk_scan_ends(scan_run run) {
    using shape = scan_shape<NT, WIDE, VEC, LOW>;
    constexpr int R = shape::rows;
    const mbk_cu_scan &a = run.a;
    constexpr int across = shape::across;
    const int padded = WIDE ? (int)blockDim.y * NT : NT;
    constexpr int tile = R * across;
    MBK_DYN_SHARED(unsigned char, shared);
    constexpr int tiles = LOW ? 1 : 2;
    T *in = (T *)(void *)shared;                              /* [2][u, and dt unless LOW][R][across] */
    float *states = (float *)(void *)(in + 2 * tiles * tile); /* [2][R][padded] */
    const unsigned row_block = blockIdx.x / run.col_blocks;
    const int64_t c0 = (int64_t)(blockIdx.x - row_block * run.col_blocks) * blockDim.x;
    const int64_t t0 = (run.first + row_block) * MBK_CU_SEGMENT;
    const int64_t start = mbk_start_before(a.starts, t0 + MBK_CU_SEGMENT - 1);
    const int low = start > t0 ? (int)(start - t0) : 0;
    const bool cut = start >= t0;

    const int64_t c = c0 + threadIdx.x;
    const int n0 = (int)threadIdx.y * NT;
    const int n = c < a.u.cols ? (int)a.a.rows : 0;
    const float bias = scan_one(a.bias, c);
    const typename scan_source<LOW, R, across>::type low_rank(states + 2 * R * padded, a, c);
    float a2[NT], end[NT] = {};
    scan_rates(a2, a.a, c, n0, n);
    float steps = 0.0f;
    unsigned alive = NT < 32 ? (1u << NT) - 1 : MBK_FULL;

    const scan_place<T, VEC> my(c0, a.u.cols);
    const scan_pick<NT, WIDE> pick;
    /* Rows of the segment, from the last to `low`; the first turn fetches only. */
    int t = MBK_CU_SEGMENT;
    for (int stage = 1;; t -= R, stage ^= 1) {
        const T *now = in + stage * tiles * tile;
        T *then = in + (stage ^ 1) * tiles * tile;
        const bool more = t > low;
        const int64_t at_then = t0 + t - R;
        float b_ahead = 0.0f;
        if (MBK_KEEP(scan_ends_wait)) {
            __pipeline_wait_prior(0);
        }
        if (MBK_KEEP(scan_ends_ready)) {
            __syncthreads();
        }
        if (more) {
            scan_fetch<across>(then, my, a.u, at_then, R);
            if constexpr (!LOW) {
                scan_fetch<across>(then + tile, my, a.dt, at_then, R);
            }
            __pipeline_commit();
            if constexpr (!LOW) {
                b_ahead = scan_input<T>(pick, a.b, at_then, pick.r, R);
            }
        }
#pragma unroll 1
        for (int r = t < MBK_CU_SEGMENT ? R - 1 : -1; r >= 0 && t + r >= low; r--) {
            const int at = r * across + (int)threadIdx.x;
            float delta;
            if constexpr (LOW) {
                constexpr int many = SCAN_LOW_ROWS;
                if (r % many == many - 1) {
                    low_rank.make(stage, r - (many - 1), a, my.col - my.c + threadIdx.x);
                }
                delta = low_rank.steps[r % many * across + (int)threadIdx.x];
            } else {
                delta = mbk_softplus(mbk_load(now + tile + at) + bias);
            }
            const float du = delta * mbk_load(now + at);
            const float *b = states + stage * R * padded + r * padded + n0;
#pragma unroll
            for (int i = 0; i < NT; i += 4) {
                if (alive >> i & 15u) {
                    float bi[4];
                    scan_row_of(bi, b + i);
#pragma unroll
                    for (int k = 0; k < 4; k++) {
                        end[i + k] = fmaf(mbk_exp2(a2[i + k] * steps), du * bi[k], end[i + k]);
                    }
                }
            }
            steps += delta;
        }
        alive = __reduce_or_sync(MBK_FULL, scan_alive(a2, steps, my.col - my.c + threadIdx.x < a.u.cols));
        if (more) {
            float *b_then = states + (stage ^ 1) * R * padded;
            if constexpr (LOW) {
                low_rank.put(b_then, NT, a.b, at_then, R);
                low_rank.put(low_rank.tile(stage ^ 1, low_rank.padded(a)), low_rank.padded(a), a.low, at_then, R);
            } else {
                scan_put_inputs<T, NT, WIDE, R>(b_then, b_ahead, pick, a.b, at_then, R);
            }
        }
        /* All have to agree to stop; and nobody may overwrite what others still read. */
        if (!__syncthreads_or((int)alive) || !more) {
            break;
        }
    }
    __pipeline_wait_prior(0);
    const int64_t channel = my.col - my.c + threadIdx.x;
    if (channel < a.u.cols) {
        scan_store(run.ends + (int64_t)row_block * a.a.rows * a.u.cols, a.u.cols, channel, n0, (int)a.a.rows, end);
        if (threadIdx.y == 0) {
            run.steps[(int64_t)row_block * a.u.cols + channel] = cut ? -1.0f : steps;
        }
    }
    if (a.corrected && scan_thread() == 0) {
        const int64_t channels = a.u.cols - c0 < blockDim.x ? a.u.cols - c0 : (int64_t)blockDim.x;
        const int from = t > low ? t : low;
        atomicAdd((unsigned long long *)a.corrected, (unsigned long long)((MBK_CU_SEGMENT - from) * channels));
        atomicAdd((unsigned long long *)a.corrected + 1, (unsigned long long)(MBK_CU_SEGMENT * channels));
    }
}

/* --- from segment to segment -------------------------------------------------------------------------------------- */
enum { CARRY_THREADS = 128, CARRY_AHEAD = 16 };

/* A thread has one state of one channel. `full` of the segments are whole ones. */
__global__ void __launch_bounds__(CARRY_THREADS) mbk_scan_carry(scan_run run, int64_t full) {
    const int64_t cols = run.a.u.cols;
    const int64_t n = blockIdx.x / run.col_blocks;
    const int64_t c = (int64_t)(blockIdx.x - n * run.col_blocks) * CARRY_THREADS + threadIdx.x;
    if (c >= cols) {
        return;
    }
    const float a2 = ((const float *)run.a.a.p)[n * run.a.a.ld + c] * MBK_LOG2E;
    float *state = (float *)run.a.state.p + n * run.a.state.ld + c;
    float *ends = run.ends + n * cols + c;
    const int64_t stride = run.a.a.rows * cols;
    const float *steps = run.steps + c;
    float h = *state;
    for (int64_t k = 0; k < full; k += CARRY_AHEAD) {
        float end[CARRY_AHEAD], step[CARRY_AHEAD];
#pragma unroll
        for (int i = 0; i < CARRY_AHEAD; i++) {
            end[i] = k + i < full ? ends[(k + i) * stride] : 0.0f;
            step[i] = k + i < full ? steps[(k + i) * cols] : 0.0f;
        }
#pragma unroll
        for (int i = 0; i < CARRY_AHEAD; i++) {
            if (k + i < full) {
                ends[(k + i) * stride] = h;
                const float x = a2 * step[i];
                const float decay = x < (float)SCAN_LIVE ? 0.0f : mbk_exp2(x);
                h = step[i] < 0.0f ? end[i] : fmaf(decay, h, end[i]);
            }
        }
    }
    if (full < run.segments) {
        ends[full * stride] = h;
    } else {
        *state = h;
    }
}

#endif
