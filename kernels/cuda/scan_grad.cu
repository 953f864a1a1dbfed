/*
 * scan_grad.cu - gradients of the selective scan.
 *
 * lam_t = C_t ds_t + a_{t+1} lam_{t+1} runs backwards through the rows. A call is cut into segments of 128 rows that
 * are walked side by side, in four launches:
 *  - ends: what leaves each segment at its first row with nothing coming in at its last, and the sum of its steps;
 *  - carry: what comes in at the end of each segment, from the last one on: carry = exp(A sum) carry + end;
 *  - rows: each segment again with that, beside h, which is recomputed from `saved` 32 rows at a time;
 *  - columns: dB and dC as sums over the blocks of 32 channels, in their order.
 * Then second stages for dA, dD and the gradient of the bias. Cuts at multiples of 128 rows show in no row's bits. Long
 * calls go in slabs of rows, from the last, so that the scratch is bounded; that shows in no bit of a row either.
 *
 * A thread has 4 states of one channel, 4 threads have 16, a warp 8 channels and a block 32; more states are more
 * rounds of 16. Within 32 rows a thread keeps h at every 8th row in shared memory, then takes the 4 tiles of 8 rows
 * from the last with h and the decays in registers. Sums over channels are butterflies of 8 values over 8 lanes, then a
 * sum over 4 warps.
 *
 * For each row and channel with N states, N a multiple of 16, memory moves 12 bytes for ends (dt, dy, z), 28 for rows
 * (dy, u, dt, z; du, ddt, dz), N / 8 of `saved`, N / 2 for the sums of dB and dC, written and read, and N / 5 for the
 * ends of segments; N 16: 53 bytes. Computed: N exponentials for ends and 1.875 N for rows, about 45 N operations, of
 * which 16 N are dB and dC.
 */
#include "cuda/grad.cuh"

#define CHANNELS 32 /* of a block */
#define WARPS 4
#define BLOCK (WARPS * MBK_WARP)
#define HELD 4            /* states of a thread */
#define STATES (4 * HELD) /* of a round */
#define ROWS 32           /* between two saved states: MBK_SCAN_BLOCK */
#define SEGMENT 128
#define TILE 8
#define SLAB_BYTES ((int64_t)64 << 20)
#define SLAB_LEAST 8 /* segments */
/* Blocks of a multiprocessor, which the registers are cut for: from sm_100 on the compiler needs more with starts. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define RESIDENT(starts) ((starts) ? 3 : 4)
#else
#define RESIDENT(starts) 4
#endif
#define LN2 0.6931471805599453f

typedef struct mbk_scan_back {
    mbk_rows du, ddt, dz, db, dc, dstate; /* dz.p, z.p: NULL without a gate */
    mbk_rows dy, u, dt, b, c, z, a, saved;
    const float *d, *bias;
    const int32_t *start;
    int64_t starts, first; /* row of the call that the slab begins with; all other rows count from there */
    int rows, cols, states, segments;
    /* `ends` becomes what comes in. (segments, states, cols) twice, then three of (segments, cols), then (blocks of
     * channels, rows of all segments, 2 states). */
    float *ends, *da, *steps, *dd, *dbias, *columns;
} mbk_scan_back;

/* The first of the starts that is not below row t, as its place in the list. */
static __device__ __forceinline__ int64_t start_from(const mbk_scan_back &s, int t) {
    int64_t low = 0;
    int64_t high = s.starts;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (s.start[mid] - s.first < t) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static __device__ __forceinline__ float scan_step(const mbk_scan_back &s, int64_t t, int c) {
    const float q = s.dt.p[t * s.dt.ld + c];
    return mbk_softplus(s.bias ? q + s.bias[c] : q);
}
static __device__ __forceinline__ float scan_ds(const mbk_scan_back &s, int64_t t, int c) {
    const float g = s.dy.p[t * s.dy.ld + c];
    return s.z.p ? g * mbk_silu(s.z.p[t * s.z.ld + c]) : g;
}

/* 32 rows from `base` of 16 states from `first` of B or C, zero beyond row `end` and the last state. */
static __device__ __forceinline__ void scan_stage_states(float4 *to, const mbk_rows &from, int base, int end, int first,
                                                         int states) {
    float *p = (float *)to;
#pragma unroll
    for (int i = 0; i < ROWS * STATES / BLOCK; i++) {
        const int at = (int)threadIdx.x + i * BLOCK;
        const int64_t t = base + at / STATES;
        const int n = first + at % STATES;
        p[at] = t < end && n < states ? from.p[t * from.ld + n] : 0.0f;
    }
}

static __device__ __forceinline__ float part_of(const float4 &v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

/* Where a thread stands: channel `ch` of its block and states `quad * 4` on of a round. */
typedef struct mbk_scan_place {
    int lane, warp, ch, quad, c;
} mbk_scan_place;

static __device__ __forceinline__ mbk_scan_place scan_place() {
    mbk_scan_place p;
    p.lane = (int)threadIdx.x % MBK_WARP;
    p.warp = (int)threadIdx.x / MBK_WARP;
    p.ch = p.warp * (CHANNELS / WARPS) + (p.lane & 7);
    p.quad = p.lane >> 3;
    p.c = (int)blockIdx.x * CHANNELS + p.ch;
    return p;
}

/* A of the thread's states, for powers of 2. */
static __device__ __forceinline__ void scan_rates(float (&a2)[HELD], const mbk_scan_back &s, int n, int c) {
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        a2[j] = n + j < s.states && c < s.cols ? s.a.p[(n + j) * s.a.ld + c] * MBK_LOG2E : 0.0f;
    }
}

/* --- ends --------------------------------------------------------------------------------------------------------- */
/* Grid: blocks of channels, segments, rounds. Rows from the first start in the segment on do not reach its first row.
 */
__global__ void __launch_bounds__(BLOCK) mbk_scan_ends_kernel(mbk_scan_back s) {
    MBK_SHARED(float2, row, ROWS * CHANNELS);
    MBK_SHARED(float4, cs, ROWS * STATES / 4);
    const mbk_scan_place p = scan_place();
    const int t0 = (int)blockIdx.y * SEGMENT;
    const int n = (int)blockIdx.z * STATES + p.quad * HELD;
    int end = t0 + SEGMENT < s.rows ? t0 + SEGMENT : s.rows;
    bool closed = false;
    if (s.starts > 0) {
        const int64_t i = start_from(s, t0);
        closed = i < s.starts && s.start[i] - s.first < end;
        end = closed ? (int)(s.start[i] - s.first) : end;
    }
    float a2[HELD];
    scan_rates(a2, s, n, p.c);
    float carry[HELD] = {};
    float steps = 0.0f;
    for (int base = t0 + (SEGMENT - ROWS); base >= t0; base -= ROWS) {
        if (base >= end) {
            continue;
        }
        for (int i = 0; i < ROWS / WARPS; i++) {
            const int t = base + p.warp + i * WARPS;
            const int c = (int)blockIdx.x * CHANNELS + p.lane;
            const bool in = t < end && c < s.cols;
            row[(p.warp + i * WARPS) * CHANNELS + p.lane] =
                in ? make_float2(scan_step(s, t, c), scan_ds(s, t, c)) : make_float2(0.0f, 0.0f);
        }
        scan_stage_states(cs, s.c, base, end, (int)blockIdx.z * STATES, s.states);
        if (MBK_KEEP(scan_ends_staged)) {
            __syncthreads();
        }
#pragma unroll 8
        for (int t = ROWS - 1; t >= 0; t--) {
            const float2 r = row[t * CHANNELS + p.ch];
            const float4 cc = cs[t * (STATES / 4) + p.quad];
            steps += r.x;
#pragma unroll
            for (int j = 0; j < HELD; j++) {
                carry[j] = mbk_exp2(r.x * a2[j]) * fmaf(part_of(cc, j), r.y, carry[j]);
            }
        }
        if (MBK_KEEP(scan_ends_used)) {
            __syncthreads();
        }
    }
    if (p.c >= s.cols) {
        return;
    }
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        if (n + j < s.states) {
            s.ends[((int64_t)blockIdx.y * s.states + n + j) * s.cols + p.c] = carry[j];
        }
    }
    if (n == 0) {
        s.steps[(int64_t)blockIdx.y * s.cols + p.c] = closed ? INFINITY : steps;
    }
}

/* --- carry -------------------------------------------------------------------------------------------------------- */
#define AHEAD 8

/* A thread one state of a channel. */
__global__ void __launch_bounds__(BLOCK) mbk_scan_carry_kernel(mbk_scan_back s) {
    const int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    const int64_t each = (int64_t)s.states * s.cols;
    if (i >= each) {
        return;
    }
    const int64_t n = i / s.cols;
    const int64_t c = i % s.cols;
    const float a2 = s.a.p[n * s.a.ld + c] * MBK_LOG2E;
    float carry = s.dstate.p[n * s.dstate.ld + c];
    for (int last = s.segments - 1; last >= 0; last -= AHEAD) {
        float end[AHEAD], steps[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            end[k] = last >= k ? s.ends[(last - k) * each + i] : 0.0f;
            steps[k] = last >= k ? s.steps[(int64_t)(last - k) * s.cols + c] : 0.0f;
        }
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            if (last >= k) {
                s.ends[(last - k) * each + i] = carry;
                carry = isinf(steps[k]) ? end[k] : fmaf(mbk_exp2(a2 * steps[k]), carry, end[k]);
            }
        }
    }
    s.dstate.p[n * s.dstate.ld + c] = carry;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */
/* row: of each row and channel the step, ds, u and the step times u. */
typedef struct mbk_scan_shared {
    float4 *row, *bs, *cs, *kept;
    float *sums, *skip; /* skip: D in the first round, then 0 */
} mbk_scan_shared;

/* What a thread holds of its states in a round, and of the tile that it works on. */
typedef struct mbk_scan_held {
    float a2[HELD], carry[HELD], da[HELD];
    float h[TILE][HELD], decay[TILE][HELD];
    float s[TILE], through[TILE], input[TILE];
} mbk_scan_held;

/* A row that begins a sequence has the sign of its step set: steps are never negative. */
static __device__ __forceinline__ bool begins(float step) {
    return __float_as_int(step) < 0;
}

/* h after row t of 32, in place. */
template <bool STARTS>
static __device__ __forceinline__ void scan_forward(float (&h)[HELD], float (&decay)[HELD], const float (&a2)[HELD],
                                                    const mbk_scan_shared &m, const mbk_scan_place &p, int t) {
    const float4 r = m.row[t * CHANNELS + p.ch];
    const float4 b = m.bs[t * (STATES / 4) + p.quad];
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        decay[j] = mbk_exp2(fabsf(r.x) * a2[j]);
        const float before = STARTS && begins(r.x) ? 0.0f : h[j];
        h[j] = fmaf(decay[j], before, r.w * part_of(b, j));
    }
}

/* Adds what the lanes of a step's width hold: a lane keeps the half of its values that its bit says, and gives the
 * other. */
template <int COUNT> static __device__ __forceinline__ void fold(float (&v)[COUNT], int half, int lane, int step) {
#pragma unroll
    for (int i = 0; i < COUNT / 2; i++) {
        if (i < half) {
            const bool upper = (lane & step) != 0;
            const float mine = upper ? v[i + half] : v[i];
            const float other = upper ? v[i] : v[i + half];
            v[i] = mine + __shfl_xor_sync(MBK_FULL, other, step);
        }
    }
}

/* Rows tile * 8 + 7 down to tile * 8 of the 32, whose sums over the warp's channels go to `sums`. */
template <bool STARTS>
static __device__ __forceinline__ void scan_backward(mbk_scan_held &k, const mbk_scan_shared &m,
                                                     const mbk_scan_place &p, int tile) {
#pragma unroll
    for (int t = TILE - 1; t >= 0; t--) {
        const float4 r = m.row[(tile * TILE + t) * CHANNELS + p.ch];
        const float4 b = m.bs[(tile * TILE + t) * (STATES / 4) + p.quad];
        const float4 c = m.cs[(tile * TILE + t) * (STATES / 4) + p.quad];
        const bool cut = STARTS && begins(r.x);
        float v[2 * HELD];
        k.s[t] = k.through[t] = k.input[t] = 0.0f;
        float4 first = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (t == 0) {
            first = m.kept[tile * BLOCK + (int)threadIdx.x];
        }
#pragma unroll
        for (int j = 0; j < HELD; j++) {
            const float before = t > 0 ? k.h[t > 0 ? t - 1 : 0][j] : part_of(first, j);
            const float lam = fmaf(part_of(c, j), r.y, k.carry[j]);
            /* One row's decay is made again: four registers less where most are needed. */
            const float decay = t == TILE - 2 ? mbk_exp2(fabsf(r.x) * k.a2[j]) : k.decay[t][j];
            const float carry = decay * lam;
            const float through = carry * (cut ? 0.0f : before);
            v[j] = r.w * lam;
            v[HELD + j] = r.y * k.h[t][j];
            k.s[t] = fmaf(part_of(c, j), k.h[t][j], k.s[t]);
            k.input[t] = fmaf(part_of(b, j), lam, k.input[t]);
            k.through[t] = fmaf(k.a2[j], through, k.through[t]);
            k.da[j] = fmaf(fabsf(r.x), through, k.da[j]);
            k.carry[j] = cut ? 0.0f : carry;
        }
        fold(v, 4, p.lane, 4);
        fold(v, 2, p.lane, 2);
        fold(v, 1, p.lane, 1);
        /* Lane 4 x + y of 8 has B (x 0) or C (x 1) of state y of the thread's four. */
        m.sums[(p.warp * TILE + t) * MBK_WARP + (p.lane >> 2 & 1) * STATES + p.quad * HELD + (p.lane & 3)] = v[0];
    }
}

/* Sums of the block's channels of the 8 rows of a tile, to memory. */
static __device__ __forceinline__ void scan_columns(const mbk_scan_back &s, const float *sums, int base, int first) {
#pragma unroll
    for (int i = 0; i < TILE * MBK_WARP / BLOCK; i++) {
        const int at = (int)threadIdx.x + i * BLOCK;
        const int t = base + at / MBK_WARP;
        const int which = at % MBK_WARP / STATES;
        const int n = first + at % STATES;
        float sum = sums[at];
#pragma unroll
        for (int w = 1; w < WARPS; w++) {
            sum += sums[w * TILE * MBK_WARP + at];
        }
        if (t < s.rows && n < s.states) {
            const int64_t row = (int64_t)blockIdx.x * s.segments * SEGMENT + t;
            s.columns[(row * 2 + which) * s.states + n] = sum;
        }
    }
}

/* Two rows of a tile are this thread's, 4 + 2 + (0, 1) by the bits of its quad: it leaves there {step, D ds + step
 * sum(lam B), sum(lam (A a h + B u)), s}, of all the states of this round, where the row's numbers were. */
static __device__ __forceinline__ void scan_leave(mbk_scan_held &k, const mbk_scan_shared &m, const mbk_scan_place &p,
                                                  int tile) {
    const float d = m.skip[p.ch];
    fold(k.s, 4, p.lane, 16);
    fold(k.s, 2, p.lane, 8);
    fold(k.through, 4, p.lane, 16);
    fold(k.through, 2, p.lane, 8);
    fold(k.input, 4, p.lane, 16);
    fold(k.input, 2, p.lane, 8);
    if (MBK_KEEP(scan_rows_read)) {
        __syncwarp();
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float4 *row = m.row + (tile * TILE + (p.quad >> 1) * 4 + (p.quad & 1) * 2 + i) * CHANNELS + p.ch;
        const float4 r = *row;
        *row = make_float4(r.x, fmaf(d, r.y, fabsf(r.x) * k.input[i]), fmaf(LN2, k.through[i], r.z * k.input[i]),
                           fmaf(d, r.z, k.s[i]));
    }
}

/* What the lanes left, to memory. Rounds before the last leave their sums there, and the next adds to them: the same
 * thread. */
static __device__ __forceinline__ float scan_finish(const mbk_scan_back &s, const float4 *row, const mbk_scan_place &p,
                                                    int base, bool first, bool last, int c) {
    float dbias = 0.0f;
#pragma unroll 2
    for (int i = 0; i < ROWS / WARPS; i++) {
        const int at = p.warp + i * WARPS;
        const int64_t t = base + at;
        if (t >= s.rows || c >= s.cols) {
            continue;
        }
        float4 r = row[at * CHANNELS + p.lane];
        float *du = s.du.p + t * s.du.ld + c;
        float *ddt = s.ddt.p + t * s.ddt.ld + c;
        float *dz = s.z.p ? s.dz.p + t * s.dz.ld + c : NULL;
        if (!first) {
            r.y += *du;
            r.z += *ddt;
            r.w += dz ? *dz : 0.0f;
        }
        if (last) {
            /* sigmoid(q) = 1 - exp(-softplus(q)), to the last digit 1 above 20. */
            r.z *= -expm1f(-fabsf(r.x));
            dbias += r.z;
        }
        if (last && dz) {
            const float z = s.z.p[t * s.z.ld + c];
            const float half = mbk_sigmoid(z);
            r.w *= s.dy.p[t * s.dy.ld + c] * half * fmaf(z, 1.0f - half, 1.0f);
        }
        *du = r.y;
        *ddt = r.z;
        if (dz) {
            *dz = r.w;
        }
    }
    return dbias;
}

/* Which of the 32 rows from `base` begin a sequence. */
static __device__ __forceinline__ unsigned scan_starts(const mbk_scan_back &s, int base, int lane) {
    const int64_t i = start_from(s, base) + lane;
    const int64_t at = i < s.starts ? s.start[i] - s.first - base : ROWS;
    return __reduce_or_sync(MBK_FULL, at < ROWS ? 1u << at : 0u);
}

/* Steps, ds, u and step times u of 32 rows and the block's channels; nothing moves beyond the last row and channel.
 * What the thread's rows give to dD. */
template <bool STARTS>
static __device__ __forceinline__ float scan_stage_rows(const mbk_scan_back &s, float4 *row, const mbk_scan_place &p,
                                                        int base, int c, unsigned starts) {
    float dd = 0.0f;
#pragma unroll 4
    for (int i = 0; i < ROWS / WARPS; i++) {
        const int at = p.warp + i * WARPS;
        const int64_t t = base + at;
        float4 r = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (t < s.rows && c < s.cols) {
            r.x = scan_step(s, t, c);
            r.y = scan_ds(s, t, c);
            r.z = s.u.p[t * s.u.ld + c];
            r.w = r.x * r.z;
        }
        dd = fmaf(r.y, r.z, dd);
        r.x = STARTS && (starts >> at & 1) != 0 ? -r.x : r.x;
        row[at * CHANNELS + p.lane] = r;
    }
    return dd;
}

/* One round of 16 states of 32 rows; c: the thread's channel. */
template <bool STARTS>
static __device__ __forceinline__ void scan_round(const mbk_scan_back &s, mbk_scan_held &k, const mbk_scan_shared &m,
                                                  const mbk_scan_place &p, int base, int round, int c) {
    const int n = round * STATES + p.quad * HELD;
    float h[HELD], unused[HELD];
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        const bool in = n + j < s.states && c < s.cols;
        h[j] = in ? s.saved.p[((int64_t)(base / ROWS) * s.states + n + j) * s.saved.ld + c] : 0.0f;
    }
    m.kept[threadIdx.x] = make_float4(h[0], h[1], h[2], h[3]);
#pragma unroll 1
    for (int tile = 1; tile < ROWS / TILE; tile++) {
#pragma unroll
        for (int t = 0; t < TILE; t++) {
            scan_forward<STARTS>(h, unused, k.a2, m, p, (tile - 1) * TILE + t);
        }
        m.kept[tile * BLOCK + (int)threadIdx.x] = make_float4(h[0], h[1], h[2], h[3]);
    }
#pragma unroll 1
    for (int tile = ROWS / TILE - 1; tile >= 0; tile--) {
        mbk_scan_shared mine = m;
        mine.sums = m.sums + (tile & 1) * WARPS * TILE * MBK_WARP;
        const float4 before = m.kept[tile * BLOCK + (int)threadIdx.x];
#pragma unroll
        for (int j = 0; j < HELD; j++) {
            h[j] = part_of(before, j);
        }
#pragma unroll
        for (int t = 0; t < TILE; t++) {
            scan_forward<STARTS>(h, k.decay[t], k.a2, m, p, tile * TILE + t);
#pragma unroll
            for (int j = 0; j < HELD; j++) {
                k.h[t][j] = h[j];
            }
        }
        /* Nothing waits here: what was read of the rows is to be read again, not held. */
        __syncwarp();
        scan_backward<STARTS>(k, mine, p, tile);
        scan_leave(k, m, p, tile);
        /* Sums of tiles lie in two places by turns: what the next tile but one overwrites has been read by then. */
        if (MBK_KEEP(scan_sums_written)) {
            __syncthreads();
        }
        scan_columns(s, mine.sums, base + tile * TILE, round * STATES);
    }
}

/* What comes into the segment for the states from n on, or came out of the 32 rows before; and back. */
static __device__ __forceinline__ void scan_take(const mbk_scan_back &s, mbk_scan_held &k, int n, bool fresh, int c) {
    scan_rates(k.a2, s, n, c);
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        const bool in = n + j < s.states && c < s.cols;
        const int64_t at = ((int64_t)blockIdx.y * s.states + n + j) * s.cols + c;
        k.carry[j] = in ? s.ends[at] : 0.0f;
        k.da[j] = in && !fresh ? s.da[at] : 0.0f;
    }
}
static __device__ __forceinline__ void scan_put(const mbk_scan_back &s, const mbk_scan_held &k, int n, int c) {
#pragma unroll
    for (int j = 0; j < HELD; j++) {
        if (n + j < s.states && c < s.cols) {
            const int64_t at = ((int64_t)blockIdx.y * s.states + n + j) * s.cols + c;
            s.ends[at] = k.carry[j];
            s.da[at] = k.da[j];
        }
    }
}

/* ONE: all states in one round, whose carry stays in registers. */
template <bool ONE, bool STARTS>
__global__ void __launch_bounds__(BLOCK, ONE ? RESIDENT(STARTS) : 2) mbk_scan_rows_kernel(mbk_scan_back s) {
    MBK_SHARED(float4, row, ROWS * CHANNELS);
    MBK_SHARED(float4, bs, ROWS * STATES / 4);
    MBK_SHARED(float4, cs, ROWS * STATES / 4);
    MBK_SHARED(float4, kept, ROWS / TILE * BLOCK);
    MBK_SHARED(float, sums, 2 * WARPS * TILE * MBK_WARP);
    MBK_SHARED(float, totals, 2 * BLOCK);
    MBK_SHARED(float, skip, CHANNELS);
    MBK_SHARED(int, first, 1);
    MBK_SHARED(unsigned, starts, 1);
    const mbk_scan_shared m = {row, bs, cs, kept, sums, skip};
    const mbk_scan_place p = scan_place();
    const int t0 = (int)blockIdx.y * SEGMENT;
    const int rounds = ONE ? 1 : (s.states + STATES - 1) / STATES;
    mbk_scan_held k;
    /* The block's first channel comes from shared memory, or its addresses would be held through all the tiles. */
    if (threadIdx.x == 0) {
        first[0] = (int)blockIdx.x * CHANNELS;
    }
    totals[threadIdx.x] = 0.0f;
    totals[BLOCK + threadIdx.x] = 0.0f;
    if (ONE) {
        scan_take(s, k, p.quad * HELD, true, p.c);
    }
    bool fresh = true;
    for (int base = t0 + (SEGMENT - ROWS); base >= t0; base -= ROWS) {
        if (base >= s.rows) {
            continue;
        }
        if (STARTS && p.warp == 0) {
            const unsigned some = scan_starts(s, base, p.lane);
            if (p.lane == 0) {
                starts[0] = some;
            }
        }
        for (int round = 0; round < rounds; round++) {
            if (MBK_KEEP(scan_block_known)) {
                __syncthreads();
            }
            const float dd = scan_stage_rows<STARTS>(s, row, p, base, first[0] + p.lane, STARTS ? starts[0] : 0);
            totals[threadIdx.x] += round == 0 ? dd : 0.0f;
            scan_stage_states(bs, s.b, base, s.rows, round * STATES, s.states);
            scan_stage_states(cs, s.c, base, s.rows, round * STATES, s.states);
            if (p.warp == 0) {
                const int c = first[0] + p.lane;
                skip[p.lane] = round == 0 && c < s.cols ? s.d[c] : 0.0f;
            }
            if (!ONE) {
                scan_take(s, k, round * STATES + p.quad * HELD, fresh, first[0] + p.ch);
            }
            if (MBK_KEEP(scan_rows_staged)) {
                __syncthreads();
            }
            scan_round<STARTS>(s, k, m, p, base, round, first[0] + p.ch);
            totals[BLOCK + threadIdx.x] +=
                scan_finish(s, row, p, base, round == 0, round == rounds - 1, first[0] + p.lane);
            if (!ONE) {
                scan_put(s, k, round * STATES + p.quad * HELD, first[0] + p.ch);
            }
        }
        fresh = false;
    }
    if (ONE) {
        scan_put(s, k, p.quad * HELD, p.c);
    }
    if (MBK_KEEP(scan_totals_written)) {
        __syncthreads();
    }
    const int c = (int)blockIdx.x * CHANNELS + p.lane;
    if (p.warp < 2 && c < s.cols) {
        const float *of = totals + p.warp * BLOCK + p.lane;
        (p.warp == 0 ? s.dd : s.dbias)[(int64_t)blockIdx.y * s.cols + c] =
            of[0] + of[MBK_WARP] + of[2 * MBK_WARP] + of[3 * MBK_WARP];
    }
}

/* --- columns ------------------------------------------------------------------------------------------------------ */
/* A thread one number of dB or dC. */
__global__ void __launch_bounds__(BLOCK) mbk_scan_columns_kernel(mbk_scan_back s) {
    const int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    const int64_t t = i / (2 * s.states);
    if (t >= s.rows) {
        return;
    }
    const int blocks = (s.cols + CHANNELS - 1) / CHANNELS;
    const int64_t each = (int64_t)s.segments * SEGMENT * 2 * s.states;
    float sum = 0.0f;
#pragma unroll 8
    for (int k = 0; k < blocks; k++) {
        sum += s.columns[k * each + i];
    }
    const int n = (int)(i % (2 * s.states));
    const mbk_rows &to = n < s.states ? s.db : s.dc;
    to.p[t * to.ld + n % s.states] = sum;
}

/* --- the call ----------------------------------------------------------------------------------------------------- */
/* Floats of the scratch that a segment takes. */
static int64_t segment_floats(int64_t cols, int64_t states) {
    return (2 * states + 3) * cols + SEGMENT * 2 * states * mbk_parts(cols, CHANNELS);
}

/* Segments of a slab, by the shape alone. */
static int64_t slab_segments(int64_t rows, int64_t cols, int64_t states) {
    int64_t segments = SLAB_BYTES / (int64_t)sizeof(float) / segment_floats(cols, states);
    segments = segments < SLAB_LEAST ? SLAB_LEAST : mbk_least(segments, 65535);
    return mbk_least(segments, mbk_parts(rows, SEGMENT));
}

size_t mbk_cu_selective_scan_grad_scratch(const mbk_cu_scan_grad *s) {
    const int64_t segments = slab_segments(s->u.rows, s->u.cols, s->a.rows);
    return (size_t)(segments * segment_floats(s->u.cols, s->a.rows)) * sizeof(float);
}

static mbk_cu_error scan_slab(const mbk_cu_queue *q, const mbk_cu_scan_grad *g, const mbk_scan_back &s) {
    const int64_t rounds = mbk_parts(s.states, STATES);
    const dim3 blocks((unsigned)mbk_parts(s.cols, CHANNELS), (unsigned)s.segments);
    const dim3 ends(blocks.x, blocks.y, (unsigned)rounds);
    const int64_t each = (int64_t)s.states * s.cols;
    const dim3 carry((unsigned)mbk_parts(each, BLOCK));
    const dim3 columns((unsigned)mbk_parts((int64_t)s.rows * 2 * s.states, BLOCK));
    mbk_cu_error e = MBK_LAUNCH(q, ends, dim3(BLOCK), 0, mbk_scan_ends_kernel, s);
    e = e ? e : MBK_LAUNCH(q, carry, dim3(BLOCK), 0, mbk_scan_carry_kernel, s);
    if (!e && s.starts > 0) {
        e = rounds == 1 ? MBK_LAUNCH(q, blocks, dim3(BLOCK), 0, (mbk_scan_rows_kernel<true, true>), s)
                        : MBK_LAUNCH(q, blocks, dim3(BLOCK), 0, (mbk_scan_rows_kernel<false, true>), s);
    } else if (!e) {
        e = rounds == 1 ? MBK_LAUNCH(q, blocks, dim3(BLOCK), 0, (mbk_scan_rows_kernel<true, false>), s)
                        : MBK_LAUNCH(q, blocks, dim3(BLOCK), 0, (mbk_scan_rows_kernel<false, false>), s);
    }
    e = e ? e : MBK_LAUNCH(q, columns, dim3(BLOCK), 0, mbk_scan_columns_kernel, s);
    e = e || !g->da.p ? e : mbk_add_partials(q, g->da, s.da, s.segments, each);
    e = e || !g->dd.p ? e : mbk_add_partials(q, g->dd, s.dd, s.segments, s.cols);
    return e || !g->dbias.p ? e : mbk_add_partials(q, g->dbias, s.dbias, s.segments, s.cols);
}

/* The view from row `first` on. */
static mbk_rows from_row(mbk_cu_view v, int64_t first) {
    mbk_rows r = {v.p ? (float *)v.p + first * v.ld : NULL, v.ld};
    return r;
}

mbk_cu_error mbk_cu_selective_scan_grad(const mbk_cu_queue *q, const mbk_cu_scan_grad *g) {
    const int64_t rows = g->u.rows;
    if (rows <= 0 || g->u.cols <= 0 || g->a.rows <= 0) {
        return cudaSuccess;
    }
    /* With less scratch than was asked for, shorter slabs: rows keep their bits, sums over rows have others. */
    const int64_t room = (int64_t)(q->scratch_bytes / sizeof(float)) / segment_floats(g->u.cols, g->a.rows);
    const int64_t most = mbk_least(slab_segments(rows, g->u.cols, g->a.rows), room);
    if (most < 1) {
        return cudaErrorInvalidValue;
    }
    mbk_scan_back s = {};
    s.cols = (int)g->u.cols;
    s.states = (int)g->a.rows;
    s.dstate = mbk_rows_of(g->dstate);
    s.a = mbk_rows_of(g->a);
    s.d = (const float *)g->d.p;
    s.bias = (const float *)g->bias.p;
    s.start = g->starts.at;
    s.starts = g->starts.n;
    s.ends = (float *)q->scratch;
    s.da = s.ends + most * s.states * s.cols;
    s.steps = s.da + most * s.states * s.cols;
    s.dd = s.steps + most * s.cols;
    s.dbias = s.dd + most * s.cols;
    s.columns = s.dbias + most * s.cols;
    mbk_cu_error e = cudaSuccess;
    for (int64_t end = mbk_parts(rows, SEGMENT); end > 0 && !e; end = s.first / SEGMENT) {
        s.first = (end - 1) / most * most * SEGMENT;
        s.segments = (int)(end - s.first / SEGMENT);
        s.rows = (int)mbk_least(rows - s.first, (int64_t)s.segments * SEGMENT);
        s.du = from_row(g->du, s.first);
        s.ddt = from_row(g->ddt, s.first);
        s.dz = from_row(g->dz, s.first);
        s.db = from_row(g->db, s.first);
        s.dc = from_row(g->dc, s.first);
        s.dy = from_row(g->dy, s.first);
        s.u = from_row(g->u, s.first);
        s.dt = from_row(g->dt, s.first);
        s.b = from_row(g->b, s.first);
        s.c = from_row(g->c, s.first);
        s.z = from_row(g->z, s.first);
        s.saved = from_row(g->saved, s.first / ROWS * s.states);
        e = scan_slab(q, g, s);
    }
    return e;
}
