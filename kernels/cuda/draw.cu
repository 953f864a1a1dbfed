/*
 * draw.cu - draws a token from each row of logits as core/model/sample.c does. Candidates are ordered by logit, equal
 * ones by id, but nobody sorts them: who is the k-th, where the nucleus ends and whom u meets is found byte by byte of
 * the key that orders them, from sums over 256 bins of whole numbers, which are the same in any order. A block takes a
 * row and reads it, mostly from cache, once for each byte.
 */
#include "cuda/device.cuh"
#include "mbk/draw.h"
#include "mbk/types.h"

enum { DRAW_THREADS = 512, DRAW_WARPS = DRAW_THREADS / MBK_WARP, DRAW_BINS = 256, DRAW_EACH = DRAW_BINS / MBK_WARP };

typedef unsigned long long draw_sum;

typedef struct draw_found {
    uint64_t key; /* of the first candidate that reaches beyond the target */
    uint64_t sum; /* of all before it */
} draw_found;

/* Earlier ones are smaller. */
static __device__ __forceinline__ uint64_t draw_key(float x, int64_t id) {
    const uint32_t bits = __float_as_uint(x + 0.0f); /* one zero */
    const uint32_t up = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)~up << 32 | (uint64_t)id;
}

typedef struct draw_row {
    const float *x;
    const uint8_t *allowed;
    int64_t n; /* that may be allowed */
    double top;
    double cold; /* 1 / temperature: no division, which is a call that registers have to survive */
    int shift;
} draw_row;

typedef struct draw_bin {
    int bin;
    uint64_t sum; /* of all before it */
} draw_bin;

/* The first bin that reaches beyond the target, the last where none does; by each warp for itself. */
static __device__ __forceinline__ draw_bin draw_meet(const draw_sum *bins, uint64_t sum, uint64_t target) {
    const int lane = (int)threadIdx.x % MBK_WARP;
    draw_sum mine[DRAW_EACH];
    draw_sum upto = 0;
#pragma unroll
    for (int i = 0; i < DRAW_EACH; i++) {
        mine[i] = bins[lane * DRAW_EACH + i];
        upto += mine[i];
    }
    const draw_sum own = upto;
#pragma unroll
    for (int k = 1; k < MBK_WARP; k *= 2) {
        const draw_sum o = __shfl_up_sync(MBK_FULL, upto, k);
        upto += lane >= k ? o : 0;
    }
    const uint32_t beyond = __ballot_sync(MBK_FULL, sum + upto > target);
    const int who = beyond ? __ffs((int)beyond) - 1 : MBK_WARP - 1;
    draw_bin met = {lane * DRAW_EACH, sum + upto - own};
#pragma unroll
    for (int i = 0; i < DRAW_EACH - 1; i++) {
        if (met.bin == lane * DRAW_EACH + i && met.sum + mine[i] <= target) {
            met.sum += mine[i];
            met.bin++;
        }
    }
    met.bin = __shfl_sync(MBK_FULL, met.bin, who);
    met.sum = __shfl_sync(MBK_FULL, (draw_sum)met.sum, who);
    return met;
}

/* Up to the key `last`: counted, or weighed. */
template <bool WEIGH>
static __device__ draw_found draw_select(const draw_row &row, draw_sum *bins, uint64_t last, uint64_t target) {
    draw_found found = {0, 0};
    for (int at = 56; at >= 0; at -= 8) {
        if (at < 32 && (uint64_t)(row.n - 1) >> at == 0) {
            continue; /* of no id */
        }
        for (int i = (int)threadIdx.x; i < DRAW_BINS; i += DRAW_THREADS) {
            bins[i] = 0;
        }
        if (MBK_KEEP(draw_bins_empty)) {
            __syncthreads();
        }
        for (int64_t i = threadIdx.x; i < row.n; i += DRAW_THREADS) {
            const float x = row.x[i];
            const uint64_t key = draw_key(x, i);
            const bool here = at == 56 || key >> (at + 8) == found.key >> (at + 8);
            if (here && row.allowed[i] && x == x && key <= last) {
                const uint64_t w = WEIGH ? mbk_draw_weight(x, row.top, row.cold, row.shift) : 1;
                if (w > 0) {
                    atomicAdd(&bins[key >> at & 255], (draw_sum)w);
                }
            }
        }
        if (MBK_KEEP(draw_bins_full)) {
            __syncthreads();
        }
        const draw_bin met = draw_meet(bins, found.sum, target);
        found.key |= (uint64_t)met.bin << at;
        found.sum = met.sum;
        if (MBK_KEEP(draw_bins_read)) {
            __syncthreads();
        }
    }
    return found;
}

/* Over the block, in every thread; OP 0: the sum, 1: the largest. */
template <int OP> static __device__ __forceinline__ double draw_all(double v, double *part) {
#pragma unroll
    for (int k = MBK_WARP / 2; k > 0; k /= 2) {
        const double o = __shfl_xor_sync(MBK_FULL, v, k);
        v = OP ? fmax(v, o) : v + o;
    }
    if (threadIdx.x % MBK_WARP == 0) {
        part[threadIdx.x / MBK_WARP] = v;
    }
    if (MBK_KEEP(draw_part_ready)) {
        __syncthreads();
    }
    v = part[0];
    for (int w = 1; w < DRAW_WARPS; w++) {
        v = OP ? fmax(v, part[w]) : v + part[w];
    }
    if (MBK_KEEP(draw_part_read)) {
        __syncthreads();
    }
    return v;
}

/* What all up to the key `last` weigh. */
static __device__ uint64_t draw_mass(const draw_row &row, draw_sum *bins, uint64_t last) {
    if (threadIdx.x == 0) {
        bins[0] = 0;
    }
    if (MBK_KEEP(draw_mass_empty)) {
        __syncthreads();
    }
    draw_sum mine = 0;
    for (int64_t i = threadIdx.x; i < row.n; i += DRAW_THREADS) {
        const float x = row.x[i];
        if (row.allowed[i] && x == x && draw_key(x, i) <= last) {
            mine += mbk_draw_weight(x, row.top, row.cold, row.shift);
        }
    }
    if (mine > 0) {
        atomicAdd(&bins[0], mine);
    }
    if (MBK_KEEP(draw_mass_full)) {
        __syncthreads();
    }
    mine = bins[0];
    if (MBK_KEEP(draw_mass_read)) {
        __syncthreads();
    }
    return mine;
}

/* The one of m candidates that u meets. */
static __device__ uint64_t draw_pick(const draw_row &row, draw_sum *bins, const mbk_cu_draw &a, int64_t m, double u) {
    uint64_t last = UINT64_MAX;
    if (a.temperature <= 0.0) {
        return draw_select<false>(row, bins, last, 0).key;
    }
    if (a.top_k > 0 && a.top_k < m) {
        last = draw_select<false>(row, bins, last, (uint64_t)a.top_k - 1).key;
    }
    uint64_t mass = draw_mass(row, bins, last);
    const uint64_t nucleus = mbk_draw_nucleus(a.top_p, mass);
    if (nucleus < mass) {
        const draw_found end = draw_select<true>(row, bins, last, nucleus - 1);
        mass = end.sum + mbk_draw_weight(row.x[end.key & 0xffffffffu], row.top, row.cold, row.shift);
    }
    return draw_select<true>(row, bins, last, mbk_draw_place(u, mass)).key;
}

__global__ void __launch_bounds__(DRAW_THREADS) mbk_draw_rows(mbk_cu_draw a, double cold) {
    MBK_SHARED(draw_sum, bins, DRAW_BINS);
    MBK_SHARED(double, part, DRAW_WARPS);
    const int64_t r = blockIdx.x;
    const int64_t n = a.logits.cols;
    draw_row row = {
        (const float *)a.logits.p + r * a.logits.ld, a.allowed, a.n_allowed < n ? a.n_allowed : n, -INFINITY, cold, 0};
    row.shift = mbk_draw_shift(row.n);
    double most = -INFINITY;
    double count = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += DRAW_THREADS) {
        const float x = row.x[i];
        most = fmax(most, (double)x);
        if (i < row.n && row.allowed[i] && x == x) {
            row.top = fmax(row.top, (double)x);
            count += 1.0;
        }
    }
    most = draw_all<1>(most, part);
    row.top = draw_all<1>(row.top, part);
    const int64_t m = (int64_t)draw_all<0>(count, part);
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += DRAW_THREADS) {
        sum += mbk_draw_exp((double)row.x[i] - most, 0);
    }
    sum = draw_all<0>(sum, part);
    if (m == 0) {
        if (threadIdx.x == 0) {
            a.drawn[r].id = -1;
            a.drawn[r].logprob = NAN;
        }
        return;
    }
    const int64_t id = (int64_t)(draw_pick(row, bins, a, m, a.u[r]) & 0xffffffffu);
    if (threadIdx.x == 0) {
        a.drawn[r].id = (int32_t)id;
        a.drawn[r].logprob = (float)((double)row.x[id] - (most + log(sum)));
    }
}

extern "C" mbk_cu_error mbk_cu_draw_rows(const mbk_cu_queue *q, const mbk_cu_draw *a) {
    if (a->logits.rows <= 0) {
        return cudaSuccess;
    }
    return MBK_LAUNCH(q, dim3((unsigned)a->logits.rows), dim3(DRAW_THREADS), 0, mbk_draw_rows, *a,
                      1.0 / a->temperature);
}
