/* ssd.cu - the state space dual form, forward: what every block adds to the state, the states one after the other, then
 * the rows of all blocks side by side. */
#include "cuda/ssd.cuh"

/* Blocks of a wave: so many that what a wave keeps stays near the chip's second cache. */
#define WAVE_BYTES ((int64_t)48 << 20)
#define WAVE_MOST 1024

struct forward_job {
    mbk_ssd_job s;
    float *y, *state, *saved;
    int64_t ldy, lds, ldsaved;
    /* Where the last block's delta x goes: open_x itself, unless blocks that read it run beside. */
    float *next_x;
    int64_t ldnext;
    int32_t staged; /* next_x is not open_x */
    int32_t direct; /* the only block of the call: its state is read where it is carried */
};

/* Which block, head and output tile a block of threads has. */
struct place {
    int64_t block, h, g, row, col; /* row, col: the first of the tile */
};

static __device__ __forceinline__ place place_of(const mbk_ssd_job &s, int64_t rows, int64_t cols) {
    const int64_t row_tiles = (rows + MBK_TILE - 1) / MBK_TILE;
    const int64_t col_tiles = (cols + MBK_TILE - 1) / MBK_TILE;
    int64_t k = blockIdx.x;
    place at;
    at.row = k % row_tiles * MBK_TILE;
    k /= row_tiles;
    at.col = k % col_tiles * MBK_TILE;
    k /= col_tiles;
    at.h = k % s.heads;
    at.block = k / s.heads;
    at.g = at.h / s.each;
    return at;
}

static int64_t tiles_of(int64_t n) {
    return (n + MBK_TILE - 1) / MBK_TILE;
}

/* --- what a full block adds to the state -------------------------------------------------------------------------- */

/* states (n, p) = sum_j B_j,n exp(lam_last - lam_j) X_j,p */
__global__ void __launch_bounds__(MBK_TILE_THREADS) ssd_local(mbk_ssd_job s) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, run, 3 * MBK_Q);
    const place at = place_of(s, s.n, s.p);
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + at.block);
    if (e.to < MBK_Q) {
        return;
    }
    mbk_tile out;
    mbk_tile_begin(out);
    mbk_ssd_running(run, s, at.block, at.h);
    for (int j0 = 0; j0 < MBK_Q; j0 += MBK_TILE_K) {
        if (MBK_KEEP(ssd_local_used)) {
            __syncthreads();
        }
        mbk_tile_fill(left, MBK_TILE_K, [&](int t, int n) {
            return at.row + n < s.n ? mbk_ssd_b(s, e, j0 + t, at.g * s.n + at.row + n) : 0.0f;
        });
        mbk_tile_fill(right, MBK_TILE_K, [&](int t, int p) {
            return at.col + p < s.p
                       ? mbk_ssd_x(s, e, run, j0 + t, at.h, at.col + p) * mbk_ssd_decay(run, MBK_Q - 1, j0 + t)
                       : 0.0f;
        });
        if (MBK_KEEP(ssd_local_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, left, right, 0, MBK_TILE_K);
    }
    float *to = s.states + (at.block * s.heads + at.h) * s.n * s.p;
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int64_t n = at.row + out.row + i;
            const int64_t p = at.col + out.col + j;
            if (n < s.n && p < s.p) {
                to[n * s.p + p] = out.at[i][j];
            }
        }
    }
}

/* --- the states one after the other ------------------------------------------------------------------------------- */

#define PASS_THREADS 128
#define PASS_AHEAD 8 /* blocks that are read before the first of them is needed */

/* The state before row `from` of a block: the one before the block and what the open rows have added. */
static __device__ float open_state(const mbk_ssd_job &s, const mbk_ssd_entry &e, const float *run, int64_t h, int64_t n,
                                   int64_t p, float state) {
    float sum = mbk_ssd_decay(run, e.from - 1) * state;
    const int64_t col = h / s.each * s.n + n;
    for (int j = 0; j < e.from; j++) {
        const float b = s.open_b[j * s.ldob + col] * mbk_ssd_decay(run, e.from - 1, j);
        sum = fmaf(b, s.open_x[(h * MBK_Q + j) * s.ldox + p], sum);
    }
    return sum;
}

/* One thread for each number of the state. What a block adds gives way to the state before the block. */
__global__ void __launch_bounds__(PASS_THREADS) ssd_pass(forward_job f) {
    const mbk_ssd_job &s = f.s;
    const int64_t all = s.heads * s.n * s.p;
    const int64_t me = (int64_t)blockIdx.x * PASS_THREADS + threadIdx.x;
    if (me >= all) {
        return;
    }
    const int64_t h = me / (s.n * s.p);
    const int64_t n = me / s.p % s.n;
    const int64_t p = me % s.p;
    float *carried = f.state + (h * s.n + n) * f.lds + p;
    float state = *carried;
    for (int64_t b0 = 0; b0 < s.count; b0 += PASS_AHEAD) {
        float added[PASS_AHEAD];
#pragma unroll
        for (int k = 0; k < PASS_AHEAD; k++) {
            added[k] = 0.0f;
            if (b0 + k < s.count && mbk_ssd_block(s.plan, s.first + b0 + k).to == MBK_Q) {
                added[k] = s.states[(b0 + k) * all + me];
            }
        }
#pragma unroll
        for (int k = 0; k < PASS_AHEAD; k++) {
            if (b0 + k >= s.count) {
                break;
            }
            const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + b0 + k);
            const float *run = s.running + ((b0 + k) * s.heads + h) * 3 * MBK_Q;
            if (e.to == 0) {
                break;
            }
            state = e.fresh ? 0.0f : state;
            s.states[(b0 + k) * all + me] = state;
            if (f.saved && e.saved >= 0) {
                f.saved[(e.saved * s.heads * s.n + h * s.n + n) * f.ldsaved + p] =
                    e.from > 0 ? open_state(s, e, run, h, n, p, state) : state;
            }
            if (e.to == MBK_Q) {
                state = fmaf(mbk_ssd_decay(run, MBK_Q - 1), state, added[k]);
            }
        }
    }
    *carried = state;
}

/* --- the rows ----------------------------------------------------------------------------------------------------- */

/* out = exp(lam_i) (C_i S). */
static __device__ __forceinline__ void from_state(mbk_tile &out, const forward_job &f, const mbk_ssd_entry &e,
                                                  const place &at, const float *run, float *left, float *right) {
    const mbk_ssd_job &s = f.s;
    const float *state = f.direct ? f.state + at.h * s.n * f.lds : s.states + (at.block * s.heads + at.h) * s.n * s.p;
    const int64_t ld = f.direct ? f.lds : s.p;
    const bool mine = out.row < e.to && out.row + 8 > e.from;
    for (int64_t n0 = 0; n0 < s.n; n0 += MBK_TILE_K) {
        const int count = s.n - n0 < MBK_TILE_K ? (int)(s.n - n0) : MBK_TILE_K;
        if (MBK_KEEP(ssd_state_used)) {
            __syncthreads();
        }
        mbk_tile_fill_turned(left, count, [&](int t, int i) {
            return i >= e.from && i < e.to ? s.c[(e.t0 + i - e.from) * s.ldc + at.g * s.n + n0 + t] : 0.0f;
        });
        mbk_tile_fill(right, count,
                      [&](int t, int p) { return at.col + p < s.p ? state[(n0 + t) * ld + at.col + p] : 0.0f; });
        if (MBK_KEEP(ssd_state_filled)) {
            __syncthreads();
        }
        if (mine) {
            mbk_tile_add(out, left, right, 0, count);
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const float decay = mbk_ssd_decay(run, out.row + i);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            out.at[i][j] *= decay;
        }
    }
}

/* Keeps row j of the call's last block where a later call finds it, zeros once the block is full. */
static __device__ __forceinline__ bool keeps(const mbk_ssd_entry &e, int j, bool everything) {
    return everything || e.to == MBK_Q || e.from == 0 || (j >= e.from && j < e.to);
}

static __device__ __forceinline__ void keep_rest(const forward_job &f, const mbk_ssd_entry &e, const place &at,
                                                 const float *run) {
    const mbk_ssd_job &s = f.s;
    for (int k = (int)threadIdx.x; k < 2 * MBK_Q; k += MBK_TILE_THREADS) {
        s.open_lam[at.h * s.ldol + k] = e.to == MBK_Q ? 0.0f : run[k];
    }
    if (at.h % s.each != 0) {
        return;
    }
    for (int64_t k = threadIdx.x; k < MBK_Q * s.n; k += MBK_TILE_THREADS) {
        const int j = (int)(k / s.n);
        const int64_t col = at.g * s.n + k % s.n;
        if (keeps(e, j, false)) {
            s.open_b[j * s.ldob + col] = e.to == MBK_Q || j >= e.to ? 0.0f : mbk_ssd_b(s, e, j, col);
        }
    }
}

/* y_i = out_i + sum_j (C_i . B_j) exp(lam_i - lam_j) X_j + D x_i */
__global__ void __launch_bounds__(MBK_TILE_THREADS, 4) ssd_rows(forward_job f) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, run, 3 * MBK_Q);
    const mbk_ssd_job &s = f.s;
    const place at = place_of(s, 1, s.p);
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + at.block);
    if (e.to == 0) {
        return;
    }
    mbk_tile out;
    mbk_tile_begin(out);
    mbk_ssd_running(run, s, at.block, at.h);
    from_state(out, f, e, at, run, left, right);
    const float *dots = s.dots + (at.block * s.groups + at.g) * MBK_Q * MBK_Q;
    const bool mine = out.row < e.to && out.row + 8 > e.from;
    for (int j0 = 0; j0 < e.to; j0 += MBK_TILE_K) {
        if (MBK_KEEP(ssd_rows_used)) {
            __syncthreads();
        }
        mbk_tile_fill_turned(left, MBK_TILE_K, [&](int t, int i) {
            return j0 + t <= i ? dots[i * MBK_Q + j0 + t] * mbk_ssd_decay(run, i, j0 + t) : 0.0f;
        });
        mbk_tile_fill(right, MBK_TILE_K, [&](int t, int p) {
            return j0 + t < e.to && at.col + p < s.p ? mbk_ssd_x(s, e, run, j0 + t, at.h, at.col + p) : 0.0f;
        });
        if (MBK_KEEP(ssd_rows_filled)) {
            __syncthreads();
        }
        if (mine) {
            mbk_tile_add_causal(out, left, right, j0, MBK_TILE_K);
        }
        for (int k = (int)threadIdx.x; e.last && k < MBK_TILE_K * MBK_TILE; k += MBK_TILE_THREADS) {
            const int t = k / MBK_TILE;
            const int p = k % MBK_TILE;
            if (at.col + p < s.p && keeps(e, j0 + t, f.staged)) {
                f.next_x[(at.h * MBK_Q + j0 + t) * f.ldnext + at.col + p] =
                    e.to == MBK_Q ? 0.0f : right[t * MBK_TILE_LD + p];
            }
        }
    }
    if (e.last && e.to <= MBK_TILE_K && keeps(e, MBK_TILE_K, f.staged)) {
        for (int k = (int)threadIdx.x; k < MBK_TILE_K * MBK_TILE; k += MBK_TILE_THREADS) {
            if (at.col + k % MBK_TILE < s.p) {
                f.next_x[(at.h * MBK_Q + MBK_TILE_K + k / MBK_TILE) * f.ldnext + at.col + k % MBK_TILE] = 0.0f;
            }
        }
    }
    if (e.last && at.col == 0) {
        keep_rest(f, e, at, run);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = out.row + i;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int64_t p = at.col + out.col + j;
            if (row >= e.from && row < e.to && p < s.p) {
                const int64_t t = e.t0 + row - e.from;
                const int64_t col = at.h * s.p + p;
                const float skip = s.d ? s.d[s.wide ? col : at.h] : 0.0f;
                f.y[t * f.ldy + col] = s.d ? fmaf(skip, s.x[t * s.ldx + col], out.at[i][j]) : out.at[i][j];
            }
        }
    }
}

#define CLOSE_THREADS 256

/* The last block's delta x goes where it is carried, once nothing reads what was there. */
__global__ void __launch_bounds__(CLOSE_THREADS) ssd_close(forward_job f) {
    const int64_t k = (int64_t)blockIdx.x * CLOSE_THREADS + threadIdx.x;
    if (k < f.s.heads * MBK_Q * f.s.p) {
        f.s.open_x[k / f.s.p * f.s.ldox + k % f.s.p] = f.next_x[k];
    }
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

static int64_t block_floats(const mbk_cu_ssd *a) {
    const int64_t heads = a->dt.cols;
    return heads * (3 * MBK_Q + a->b.cols / a->groups * (a->x.cols / heads)) + a->groups * MBK_Q * MBK_Q;
}

static int64_t call_most(const mbk_cu_ssd *a) {
    return mbk_ssd_most(a->x.rows, a->position % MBK_Q, a->starts.n);
}

static int64_t wave_of(const mbk_cu_ssd *a, int64_t bytes) {
    int64_t wave = bytes / (block_floats(a) * (int64_t)sizeof(float));
    wave = wave < 1 ? 1 : wave > WAVE_MOST ? WAVE_MOST : wave;
    return wave < call_most(a) ? wave : call_most(a);
}

/* What a call needs beside its wave: the table, and the last block's delta x. */
static size_t rest_room(const mbk_cu_ssd *a) {
    return mbk_ssd_plan_room(call_most(a), a->starts.n) +
           (call_most(a) > 1 || a->starts.n ? mbk_ssd_room(MBK_Q * a->x.cols) : 0);
}

size_t mbk_cu_ssd_scratch(const mbk_cu_ssd *a) {
    return rest_room(a) + mbk_ssd_room(wave_of(a, WAVE_BYTES) * block_floats(a));
}

static forward_job forward_of(const mbk_cu_ssd *a) {
    forward_job f = {};
    mbk_ssd_job *s = &f.s;
    *s = mbk_ssd_job_of(a);
    s->open_x = (float *)a->open_x.p;
    s->open_b = (float *)a->open_b.p;
    s->open_lam = (float *)a->open_lam.p;
    s->ldox = a->open_x.ld;
    s->ldob = a->open_b.ld;
    s->ldol = a->open_lam.ld;
    f.y = (float *)a->y.p;
    f.state = (float *)a->state.p;
    f.saved = (float *)a->saved.p;
    f.ldy = a->y.ld;
    f.lds = a->state.ld;
    f.ldsaved = a->saved.ld;
    return f;
}

static mbk_cu_error wave(const mbk_cu_queue *q, const forward_job *f) {
    const mbk_ssd_job *s = &f->s;
    const int64_t pairs = s->count * s->heads;
    const int64_t numbers = s->heads * s->n * s->p;
    const dim3 threads(MBK_TILE_THREADS);
    const dim3 local((unsigned)(pairs * tiles_of(s->n) * tiles_of(s->p)));
    const dim3 pass((unsigned)((numbers + PASS_THREADS - 1) / PASS_THREADS));
    const dim3 rows((unsigned)(pairs * tiles_of(s->p)));
    const bool full = !f->direct || s->plan.at + s->plan.rows == MBK_Q;
    mbk_cu_error e = mbk_ssd_enter(q, s);
    if (e == cudaSuccess && full) {
        e = MBK_LAUNCH(q, local, threads, 0, ssd_local, *s);
    }
    if (e == cudaSuccess && !f->direct) {
        e = MBK_LAUNCH(q, pass, dim3(PASS_THREADS), 0, ssd_pass, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, rows, threads, 0, ssd_rows, *f);
    }
    if (e == cudaSuccess && f->direct && full) {
        e = MBK_LAUNCH(q, pass, dim3(PASS_THREADS), 0, ssd_pass, *f);
    }
    return e;
}

mbk_cu_error mbk_cu_ssd_forward(const mbk_cu_queue *q, const mbk_cu_ssd *a) {
    if (a->x.rows <= 0) {
        return cudaSuccess;
    }
    const int64_t most = call_most(a);
    const size_t rest = rest_room(a);
    if (q->scratch_bytes < rest + mbk_ssd_room(block_floats(a))) {
        return cudaErrorMemoryAllocation;
    }
    const int64_t given = (int64_t)(q->scratch_bytes - rest);
    const int64_t each = wave_of(a, given < WAVE_BYTES ? given : WAVE_BYTES);
    forward_job f = forward_of(a);
    char *room = (char *)q->scratch;
    mbk_cu_error e = mbk_ssd_plan_make(q, &f.s.plan, a->starts, most, room);
    room += mbk_ssd_plan_room(most, a->starts.n);
    f.staged = most > 1 || a->starts.n > 0;
    f.direct = !f.staged && !f.saved;
    f.next_x = f.staged ? (float *)(void *)room : f.s.open_x;
    f.ldnext = f.staged ? f.s.p : f.s.ldox;
    room += rest - mbk_ssd_plan_room(most, a->starts.n);
    f.s.running = (float *)(void *)room;
    f.s.dots = f.s.running + each * f.s.heads * 3 * MBK_Q;
    f.s.states = f.s.dots + each * f.s.groups * MBK_Q * MBK_Q;
    for (f.s.first = 0; e == cudaSuccess && f.s.first < most; f.s.first += each) {
        f.s.count = (int32_t)(most - f.s.first < each ? most - f.s.first : each);
        e = wave(q, &f);
    }
    if (e == cudaSuccess && f.staged) {
        const int64_t numbers = f.s.heads * MBK_Q * f.s.p;
        e = MBK_LAUNCH(q, dim3((unsigned)((numbers + CLOSE_THREADS - 1) / CLOSE_THREADS)), dim3(CLOSE_THREADS), 0,
                       ssd_close, f);
    }
    return e;
}
