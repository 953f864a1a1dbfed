/* ssd_block.cu - the blocks of a call, their running sums and the products C B: what both passes of the state space
 * dual form begin with. */
#include "cuda/ssd.cuh"

/* --- the table of blocks ------------------------------------------------------------------------------------------ */

#define PLAN_THREADS 256

struct plan_job {
    const int32_t *start;
    int64_t n, rows, at, most;
    int64_t *before; /* (n + 2, 2): blocks and saved states before each sequence */
    mbk_ssd_entry *table;
};

static __device__ __forceinline__ int64_t piece_from(const plan_job &s, int64_t k) {
    return k == 0 ? 0 : s.start[k - 1];
}
static __device__ __forceinline__ int64_t piece_to(const plan_job &s, int64_t k) {
    return k < s.n ? s.start[k] : s.rows;
}
static __device__ __forceinline__ int64_t piece_blocks(const plan_job &s, int64_t k) {
    const int64_t rows = piece_to(s, k) - piece_from(s, k);
    return rows > 0 ? ((k == 0 ? s.at : 0) + rows + MBK_Q - 1) / MBK_Q : 0;
}

/* One block of threads: each sums a range of sequences, then the sums before the ranges, then writes its range. */
__global__ void __launch_bounds__(PLAN_THREADS) ssd_plan_count(plan_job s) {
    MBK_SHARED(int64_t, blocks, PLAN_THREADS + 1);
    MBK_SHARED(int64_t, saved, PLAN_THREADS + 1);
    const int me = (int)threadIdx.x;
    const int64_t each = (s.n + 1 + PLAN_THREADS - 1) / PLAN_THREADS;
    const int64_t from = me * each < s.n + 1 ? me * each : s.n + 1;
    const int64_t to = from + each < s.n + 1 ? from + each : s.n + 1;
    int64_t sum = 0;
    int64_t kept = 0;
    for (int64_t k = from; k < to; k++) {
        const int64_t count = piece_blocks(s, k);
        sum += count;
        kept += k > 0 && count > 0 ? count - 1 : count;
    }
    blocks[me + 1] = sum;
    saved[me + 1] = kept;
    if (MBK_KEEP(ssd_plan_counted)) {
        __syncthreads();
    }
    if (me == 0) {
        blocks[0] = saved[0] = 0;
        for (int k = 1; k <= PLAN_THREADS; k++) {
            blocks[k] += blocks[k - 1];
            saved[k] += saved[k - 1];
        }
    }
    if (MBK_KEEP(ssd_plan_summed)) {
        __syncthreads();
    }
    sum = blocks[me];
    kept = saved[me];
    for (int64_t k = from; k < to; k++) {
        const int64_t count = piece_blocks(s, k);
        s.before[2 * k] = sum;
        s.before[2 * k + 1] = kept;
        sum += count;
        kept += k > 0 && count > 0 ? count - 1 : count;
    }
    if (me == PLAN_THREADS - 1) {
        s.before[2 * (s.n + 1)] = blocks[PLAN_THREADS];
    }
}

__global__ void __launch_bounds__(PLAN_THREADS) ssd_plan_fill(plan_job s) {
    const int64_t b = (int64_t)blockIdx.x * PLAN_THREADS + threadIdx.x;
    if (b >= s.most) {
        return;
    }
    mbk_ssd_entry e = {0, -1, 0, 0, 0, 0};
    if (b < s.before[2 * (s.n + 1)]) {
        int64_t low = 0; /* the last sequence that has no more than b blocks before it */
        int64_t high = s.n + 1;
        while (high - low > 1) {
            const int64_t mid = (low + high) / 2;
            if (s.before[2 * mid] <= b) {
                low = mid;
            } else {
                high = mid;
            }
        }
        const int64_t in = b - s.before[2 * low];
        const int64_t at = low == 0 ? s.at : 0;
        e.from = in == 0 ? (int32_t)at : 0;
        e.t0 = piece_from(s, low) + (in == 0 ? 0 : in * MBK_Q - at);
        const int64_t left = piece_to(s, low) - e.t0;
        e.to = left < MBK_Q - e.from ? e.from + (int32_t)left : MBK_Q;
        e.fresh = low > 0 && in == 0;
        e.saved = e.fresh ? -1 : s.before[2 * low + 1] + (low > 0 ? in - 1 : in);
        e.last = e.t0 + e.to - e.from == s.rows;
    }
    s.table[b] = e;
}

mbk_cu_error mbk_ssd_plan_make(const mbk_cu_queue *q, mbk_ssd_plan *plan, mbk_cu_starts starts, int64_t most,
                               void *room) {
    plan->table = NULL;
    if (starts.n == 0) {
        return cudaSuccess;
    }
    plan_job job = {};
    job.start = starts.at;
    job.n = starts.n;
    job.rows = plan->rows;
    job.at = plan->at;
    job.most = most;
    job.table = (mbk_ssd_entry *)room;
    job.before = (int64_t *)(void *)((char *)room + mbk_ssd_room(most * (int64_t)(sizeof(mbk_ssd_entry) / 4)));
    plan->table = job.table;
    cudaError_t e = MBK_LAUNCH(q, dim3(1), dim3(PLAN_THREADS), 0, ssd_plan_count, job);
    if (e != cudaSuccess) {
        return e;
    }
    return MBK_LAUNCH(q, dim3((unsigned)((most + PLAN_THREADS - 1) / PLAN_THREADS)), dim3(PLAN_THREADS), 0,
                      ssd_plan_fill, job);
}

/* --- running sums ------------------------------------------------------------------------------------------------- */

#define ENTER_HEADS 32
#define ENTER_LD 33

/* lam along a block for 32 heads, one a thread, for lam is a chain: a pair of floats that holds more digits than one,
 * for lam grows along the block while what counts are differences. */
__global__ void __launch_bounds__(ENTER_HEADS) ssd_enter(mbk_ssd_job s) {
    MBK_SHARED(float, tile, 3 * MBK_Q * ENTER_LD);
    const int64_t tiles = (s.heads + ENTER_HEADS - 1) / ENTER_HEADS;
    const int64_t block = blockIdx.x / tiles;
    const int64_t h0 = blockIdx.x % tiles * ENTER_HEADS;
    const int lane = (int)threadIdx.x;
    const int64_t h = h0 + lane < s.heads ? h0 + lane : s.heads - 1;
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + block);
    if (e.to == 0) {
        return;
    }
    const float a = s.a[h];
    const float bias = s.bias ? s.bias[h] : 0.0f;
    float high = 0.0f;
    float low = 0.0f;
    for (int j = 0; j < e.from; j++) {
        high = s.open_lam[h * s.ldol + j];
        low = s.open_lam[h * s.ldol + MBK_Q + j];
        tile[j * ENTER_LD + lane] = high;
        tile[(MBK_Q + j) * ENTER_LD + lane] = low;
        tile[(2 * MBK_Q + j) * ENTER_LD + lane] = 0.0f;
    }
#pragma unroll 4
    for (int j = e.from; j < e.to; j++) {
        float delta = mbk_softplus(s.dt[(e.t0 + j - e.from) * s.lddt + h] + bias);
        delta = delta < s.dt_min ? s.dt_min : delta > s.dt_max ? s.dt_max : delta;
        const double sum = ((double)high + (double)low) + (double)delta * (double)a;
        high = (float)sum;
        low = (float)(sum - (double)high);
        tile[j * ENTER_LD + lane] = high;
        tile[(MBK_Q + j) * ENTER_LD + lane] = low;
        tile[(2 * MBK_Q + j) * ENTER_LD + lane] = delta;
    }
    for (int j = e.to; j < MBK_Q; j++) {
        for (int k = 0; k < 3; k++) {
            tile[(k * MBK_Q + j) * ENTER_LD + lane] = 0.0f;
        }
    }
    if (MBK_KEEP(ssd_enter_done)) {
        __syncthreads();
    }
    for (int r = 0; r < ENTER_HEADS && h0 + r < s.heads; r++) {
        float *to = s.running + (block * s.heads + h0 + r) * 3 * MBK_Q;
        for (int k = lane; k < 3 * MBK_Q; k += ENTER_HEADS) {
            to[k] = tile[k * ENTER_LD + r];
        }
    }
}

/* dots (i, j) = C_i . B_j for one block and group. */
__global__ void __launch_bounds__(MBK_TILE_THREADS) ssd_dots(mbk_ssd_job s) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    const int64_t block = blockIdx.x / s.groups;
    const int64_t g = blockIdx.x % s.groups;
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + block);
    if (e.to == 0) {
        return;
    }
    mbk_tile out;
    mbk_tile_begin(out);
    for (int64_t n0 = 0; n0 < s.n; n0 += MBK_TILE_K) {
        const int count = s.n - n0 < MBK_TILE_K ? (int)(s.n - n0) : MBK_TILE_K;
        if (MBK_KEEP(ssd_dots_used)) {
            __syncthreads();
        }
        mbk_tile_fill_turned(left, count, [&](int t, int i) {
            return i >= e.from && i < e.to ? s.c[(e.t0 + i - e.from) * s.ldc + g * s.n + n0 + t] : 0.0f;
        });
        mbk_tile_fill_turned(right, count,
                             [&](int t, int j) { return j < e.to ? mbk_ssd_b(s, e, j, g * s.n + n0 + t) : 0.0f; });
        if (MBK_KEEP(ssd_dots_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, left, right, 0, count);
    }
    float *to = s.dots + (block * s.groups + g) * MBK_Q * MBK_Q;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        *(float4 *)(to + (out.row + i) * MBK_Q + out.col) =
            make_float4(out.at[i][0], out.at[i][1], out.at[i][2], out.at[i][3]);
    }
}

mbk_cu_error mbk_ssd_enter(const mbk_cu_queue *q, const mbk_ssd_job *job) {
    const int64_t tiles = (job->heads + ENTER_HEADS - 1) / ENTER_HEADS;
    cudaError_t e = MBK_LAUNCH(q, dim3((unsigned)(job->count * tiles)), dim3(ENTER_HEADS), 0, ssd_enter, *job);
    if (e != cudaSuccess) {
        return e;
    }
    return MBK_LAUNCH(q, dim3((unsigned)(job->count * job->groups)), dim3(MBK_TILE_THREADS), 0, ssd_dots, *job);
}
