/*
 * ssd.cuh - what the forward and the backward kernels of the state space dual form share: how a call is cut into
 * blocks, the running sums of a block, the products C B, and the memory of a wave.
 *
 * A call is worked off in waves of blocks. Within a wave all (block, head) pairs run side by side, but for one pass
 * that carries the state over the blocks, one thread for each number of it, in the order of the blocks. How many blocks
 * make a wave changes no bits of a forward pass.
 */
#ifndef MBK_CUDA_SSD_CUH
#define MBK_CUDA_SSD_CUH

#include "cuda/tile.cuh"

#define MBK_Q 64 /* MBK_SSD_BLOCK */

/* Rows [t0, t0 + to - from) of the call are the rows [from, to) of a block; to == 0: there is no such block. */
struct mbk_ssd_entry {
    int64_t t0;
    int64_t saved; /* which of the saved states; -1: none */
    int32_t from, to;
    int32_t fresh; /* a sequence begins here: no state before it */
    int32_t last;  /* of the call */
};

struct mbk_ssd_plan {
    const mbk_ssd_entry *table; /* NULL: one sequence, whose blocks follow from the numbers */
    int64_t rows, at;           /* at: of the first row in its block */
    int32_t rebased;            /* backward: the rows of a block count from the call's first */
};

/* What every kernel gets. Floats at `running`: for each (block of the wave, head) 3 MBK_Q: lam, what f32 lost of it,
 * and delta; of rows that are not there zeros. */
struct mbk_ssd_job {
    mbk_ssd_plan plan;
    const float *x, *dt, *b, *c, *a, *d, *bias;
    int64_t ldx, lddt, ldb, ldc;
    int64_t heads, p, groups, n, each; /* each: heads of a group */
    int64_t first;                     /* block of the wave */
    int32_t count;                     /* blocks of the wave */
    int32_t wide;
    float dt_min, dt_max;
    float *running, *dots, *states; /* (count, H, 3 Q), (count, G, Q, Q), (count, H, N, P) */
    float *open_x, *open_b, *open_lam;
    int64_t ldox, ldob, ldol;
};

static __device__ __forceinline__ mbk_ssd_entry mbk_ssd_block(const mbk_ssd_plan &plan, int64_t b) {
    mbk_ssd_entry e;
    if (plan.table) {
        e = plan.table[b];
    } else {
        e.from = b == 0 ? (int32_t)plan.at : 0;
        e.t0 = b == 0 ? 0 : b * MBK_Q - plan.at;
        const int64_t left = plan.rows - e.t0;
        e.to = left < MBK_Q - e.from ? e.from + (int32_t)left : MBK_Q;
        e.saved = b;
        e.fresh = 0;
        e.last = e.t0 + e.to - e.from == plan.rows;
    }
    if (plan.rebased) {
        e.to -= e.from;
        e.from = 0;
    }
    return e;
}

/* exp(lam_i - lam_j), or exp(lam_i). */
static __device__ __forceinline__ float mbk_ssd_decay(const float *run, int i, int j) {
    return expf((run[i] - run[j]) + (run[MBK_Q + i] - run[MBK_Q + j]));
}
static __device__ __forceinline__ float mbk_ssd_decay(const float *run, int i) {
    return expf(run[i] + run[MBK_Q + i]);
}

/* B of row j of a block, for group g and state n. */
static __device__ __forceinline__ float mbk_ssd_b(const mbk_ssd_job &s, const mbk_ssd_entry &e, int j, int64_t col) {
    return j < e.from ? s.open_b[j * s.ldob + col] : s.b[(e.t0 + j - e.from) * s.ldb + col];
}

/* delta x of row j of a block, for head h and channel p of it. */
static __device__ __forceinline__ float mbk_ssd_x(const mbk_ssd_job &s, const mbk_ssd_entry &e, const float *run, int j,
                                                  int64_t h, int64_t p) {
    return j < e.from ? s.open_x[(h * MBK_Q + j) * s.ldox + p]
                      : run[2 * MBK_Q + j] * s.x[(e.t0 + j - e.from) * s.ldx + h * s.p + p];
}

/* The running sums of (block of the wave, head) into shared memory; a barrier must follow. */
static __device__ __forceinline__ void mbk_ssd_running(float *to, const mbk_ssd_job &s, int64_t block, int64_t h) {
    const float *from = s.running + (block * s.heads + h) * 3 * MBK_Q;
    for (int k = (int)threadIdx.x; k < 3 * MBK_Q; k += (int)blockDim.x) {
        to[k] = from[k];
    }
}

/* --- host side ---------------------------------------------------------------------------------------------------- */

/* How many blocks a call of `rows` rows can have. */
static inline int64_t mbk_ssd_most(int64_t rows, int64_t at, int64_t n_starts) {
    return n_starts > 0 ? rows / MBK_Q + 2 + n_starts : (at + rows + MBK_Q - 1) / MBK_Q;
}

static inline size_t mbk_ssd_room(int64_t floats) {
    return ((size_t)floats * sizeof(float) + 255) / 256 * 256;
}
/* The table of a call's blocks and what it is made with. */
static inline size_t mbk_ssd_plan_room(int64_t most, int64_t n_starts) {
    return n_starts > 0 ? mbk_ssd_room(most * (int64_t)(sizeof(mbk_ssd_entry) / 4)) + mbk_ssd_room((n_starts + 2) * 4)
                        : 0;
}

/* What the way forward and the way back have of their arguments. */
template <typename ARGS> static inline mbk_ssd_job mbk_ssd_job_of(const ARGS *a) {
    mbk_ssd_job s = {};
    s.plan.rows = a->x.rows;
    s.plan.at = a->position % MBK_Q;
    s.x = (const float *)a->x.p;
    s.dt = (const float *)a->dt.p;
    s.b = (const float *)a->b.p;
    s.c = (const float *)a->c.p;
    s.a = (const float *)a->a.p;
    s.d = (const float *)a->d.p;
    s.bias = (const float *)a->bias.p;
    s.ldx = a->x.ld;
    s.lddt = a->dt.ld;
    s.ldb = a->b.ld;
    s.ldc = a->c.ld;
    s.heads = a->dt.cols;
    s.p = a->x.cols / s.heads;
    s.groups = a->groups;
    s.n = a->b.cols / s.groups;
    s.each = s.heads / s.groups;
    s.wide = a->d.p && a->d.cols != s.heads;
    s.dt_min = a->dt_min;
    s.dt_max = a->dt_max;
    return s;
}

/* Fills the plan, whose table begins at `room`. */
mbk_cu_error mbk_ssd_plan_make(const mbk_cu_queue *q, mbk_ssd_plan *plan, mbk_cu_starts starts, int64_t most,
                               void *room);
/* The running sums and the products of a wave. */
mbk_cu_error mbk_ssd_enter(const mbk_cu_queue *q, const mbk_ssd_job *job);

#endif
