/* ssd_grad.cu - gradients of the state space dual form. What every block gives the gradient of the state before it,
 * those gradients one after the other from the last block to the first, then all (block, head) pairs side by side, and
 * then the gradients of B and C, which are sums over the heads of a group, head by head in one chain. Sums over blocks
 * have a second stage of their own: nothing depends on scheduling. Formulas: mbk.h. */
#include "cuda/ssd.cuh"

#define WAVE_BYTES ((int64_t)96 << 20)
#define WAVE_MOST 1024

/* What each (block, head) sums for parameters: dA, dbias, dD. */
#define SUMS 3

struct grad_job {
    mbk_ssd_job s;
    const float *dy, *saved;
    float *dx, *ddt, *db, *dc, *da, *dd, *dbias, *dstate;
    int64_t lddy, ldsaved, lddx, ldddt, lddb, lddc, ldds;
    float *dg;    /* (count, H, Q, Q): dG */
    double *sums; /* (count, H, SUMS) */
    float *skip;  /* (count, H P): dD of every channel */
};

struct place {
    int64_t block, h, g;
};

static __device__ __forceinline__ float dy_at(const grad_job &f, const mbk_ssd_entry &e, int i, int64_t col) {
    return f.dy[(e.t0 + i) * f.lddy + col];
}

/* --- dS after every block ----------------------------------------------------------------------------------------- */

static __device__ __forceinline__ int64_t tiles_of_dim(int64_t n) {
    return (n + MBK_TILE - 1) / MBK_TILE;
}

/* states (n, p) = sum_i C_i,n exp(lam_i) g_i,p */
__global__ void __launch_bounds__(MBK_TILE_THREADS) ssd_grad_local(grad_job f) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, run, 3 * MBK_Q);
    const mbk_ssd_job &s = f.s;
    int64_t k = blockIdx.x;
    const int64_t row = k % tiles_of_dim(s.n) * MBK_TILE;
    k /= tiles_of_dim(s.n);
    const int64_t col = k % tiles_of_dim(s.p) * MBK_TILE;
    k /= tiles_of_dim(s.p);
    const int64_t h = k % s.heads;
    const int64_t block = k / s.heads;
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + block);
    if (e.to == 0) {
        return;
    }
    mbk_tile out;
    mbk_tile_begin(out);
    mbk_ssd_running(run, s, block, h);
    for (int i0 = 0; i0 < e.to; i0 += MBK_TILE_K) {
        const int count = min(e.to - i0, MBK_TILE_K);
        if (MBK_KEEP(ssd_grad_local_used)) {
            __syncthreads();
        }
        mbk_tile_fill(left, count, [&](int t, int n) {
            return row + n < s.n ? s.c[(e.t0 + i0 + t) * s.ldc + h / s.each * s.n + row + n] : 0.0f;
        });
        mbk_tile_fill(right, count, [&](int t, int p) {
            return col + p < s.p ? mbk_ssd_decay(run, i0 + t) * dy_at(f, e, i0 + t, h * s.p + col + p) : 0.0f;
        });
        if (MBK_KEEP(ssd_grad_local_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, left, right, 0, count);
    }
    float *to = s.states + (block * s.heads + h) * s.n * s.p;
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int64_t n = row + out.row + i;
            const int64_t p = col + out.col + j;
            if (n < s.n && p < s.p) {
                to[n * s.p + p] = out.at[i][j];
            }
        }
    }
}

#define PASS_THREADS 128
#define PASS_AHEAD 8

/* From the wave's last block to its first; what a block adds gives way to dS after it. */
__global__ void __launch_bounds__(PASS_THREADS) ssd_grad_pass(grad_job f) {
    const mbk_ssd_job &s = f.s;
    const int64_t all = s.heads * s.n * s.p;
    const int64_t me = (int64_t)blockIdx.x * PASS_THREADS + threadIdx.x;
    if (me >= all) {
        return;
    }
    const int64_t h = me / (s.n * s.p);
    float *carried = f.dstate + me / s.p * f.ldds + me % s.p;
    float state = *carried;
    for (int64_t b1 = s.count; b1 > 0; b1 -= PASS_AHEAD) {
        float added[PASS_AHEAD];
#pragma unroll
        for (int k = 0; k < PASS_AHEAD; k++) {
            added[k] = 0.0f;
            if (b1 - 1 - k >= 0 && mbk_ssd_block(s.plan, s.first + b1 - 1 - k).to > 0) {
                added[k] = s.states[(b1 - 1 - k) * all + me];
            }
        }
#pragma unroll
        for (int k = 0; k < PASS_AHEAD; k++) {
            const int64_t b = b1 - 1 - k;
            if (b < 0) {
                break;
            }
            const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + b);
            if (e.to == 0) {
                continue;
            }
            const float left = mbk_ssd_decay(s.running + (b * s.heads + h) * 3 * MBK_Q, e.to - 1);
            s.states[b * all + me] = state;
            state = e.fresh ? 0.0f : fmaf(left, state, added[k]);
        }
    }
    *carried = state;
}

/* --- one block of one head ---------------------------------------------------------------------------------------- */

/* What the threads of a block share beside the tiles. */
struct pair_room {
    float *left, *right, *m, *run;
    double *part; /* (4, Q): sums over the rows of a warp */
    double *dlam; /* Q each */
    double *rho, *step, *through, *scalar;
};

/* The sums of the columns over all rows, of column threadIdx % Q: the rows of a warp, then the warps in order. */
template <class T>
static __device__ __forceinline__ double column_sum(const pair_room &r, const mbk_tile &out, T (&sum)[4]) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
        sum[j] += __shfl_xor_sync(MBK_FULL, sum[j], 16);
    }
    if (threadIdx.x % 32 < 16) {
        for (int j = 0; j < 4; j++) {
            r.part[threadIdx.x / 32 * MBK_Q + out.col + j] = (double)sum[j];
        }
    }
    if (MBK_KEEP(ssd_columns_filled)) {
        __syncthreads();
    }
    const int c = (int)threadIdx.x % MBK_Q;
    return ((r.part[c] + r.part[MBK_Q + c]) + r.part[2 * MBK_Q + c]) + r.part[3 * MBK_Q + c];
}

/* M, dG, and what pairs of rows give dlam. A pair counts in one row and against another, and what is left of that where
 * rows decay fast is small: so these sums are doubles, and a row's pair with itself, which gives nothing, is left out.
 */
static __device__ void pairs_of_rows(const grad_job &f, const mbk_ssd_entry &e, const place &at, const pair_room &r) {
    const mbk_ssd_job &s = f.s;
    mbk_tile out;
    mbk_tile_begin(out);
    for (int64_t p0 = 0; p0 < s.p; p0 += MBK_TILE_K) {
        const int count = s.p - p0 < MBK_TILE_K ? (int)(s.p - p0) : MBK_TILE_K;
        if (MBK_KEEP(ssd_pairs_used)) {
            __syncthreads();
        }
        mbk_tile_fill_turned(r.left, count,
                             [&](int t, int i) { return i < e.to ? dy_at(f, e, i, at.h * s.p + p0 + t) : 0.0f; });
        mbk_tile_fill_turned(r.right, count,
                             [&](int t, int j) { return j < e.to ? mbk_ssd_x(s, e, r.run, j, at.h, p0 + t) : 0.0f; });
        if (MBK_KEEP(ssd_pairs_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, r.left, r.right, 0, count);
    }
    const float *dots = s.dots + (at.block * s.groups + at.g) * MBK_Q * MBK_Q;
    float *dg = f.dg + (at.block * s.heads + at.h) * MBK_Q * MBK_Q;
    double cols[4] = {0.0, 0.0, 0.0, 0.0};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = out.row + i;
        const float4 dot = *(const float4 *)(dots + row * MBK_Q + out.col);
        float m[4] = {dot.x, dot.y, dot.z, dot.w};
        double sum = 0.0;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const bool there = out.col + j <= row && row < e.to;
            const float decay = there ? mbk_ssd_decay(r.run, row, out.col + j) : 0.0f;
            const float dm = out.at[i][j];
            m[j] = there ? decay * m[j] : 0.0f;
            const double k = there && out.col + j < row ? (double)dm * (double)m[j] : 0.0;
            out.at[i][j] = there ? decay * dm : 0.0f;
            sum += k;
            cols[j] += k;
        }
        *(float4 *)(r.m + row * MBK_TILE_LD + out.col) = make_float4(m[0], m[1], m[2], m[3]);
        *(float4 *)(dg + row * MBK_Q + out.col) = make_float4(out.at[i][0], out.at[i][1], out.at[i][2], out.at[i][3]);
        mbk_tile_row_sum(&r.dlam[row], sum);
    }
    const double below = column_sum(r, out, cols);
    if (threadIdx.x < MBK_Q) {
        r.dlam[threadIdx.x] -= below;
    }
}

/* out = left rows of `rows` (e.to by N, `ld` apart) times the state (N, P) at the columns from p0 on. */
static __device__ __forceinline__ void times_state(mbk_tile &out, const mbk_ssd_job &s, const mbk_ssd_entry &e,
                                                   const pair_room &r, const float *rows, int64_t ld,
                                                   const float *state, int64_t lds, int64_t p0) {
    for (int64_t n0 = 0; n0 < s.n; n0 += MBK_TILE_K) {
        const int count = s.n - n0 < MBK_TILE_K ? (int)(s.n - n0) : MBK_TILE_K;
        if (MBK_KEEP(ssd_grad_state_used)) {
            __syncthreads();
        }
        mbk_tile_fill_turned(r.left, count, [&](int t, int i) { return i < e.to ? rows[i * ld + n0 + t] : 0.0f; });
        mbk_tile_fill(r.right, count,
                      [&](int t, int p) { return p0 + p < s.p ? state[(n0 + t) * lds + p0 + p] : 0.0f; });
        if (MBK_KEEP(ssd_grad_state_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, r.left, r.right, 0, count);
    }
}

/* What goes through the state before the block: into dlam and the inner product with dS. */
static __device__ void through_state(const grad_job &f, const mbk_ssd_entry &e, const place &at, const pair_room &r) {
    const mbk_ssd_job &s = f.s;
    const float *before = f.saved + (e.saved * s.heads + at.h) * s.n * f.ldsaved;
    const float *after = s.states + (at.block * s.heads + at.h) * s.n * s.p;
    const float *c = s.c + e.t0 * s.ldc + at.g * s.n;
    for (int64_t p0 = 0; p0 < s.p; p0 += MBK_TILE) {
        mbk_tile out;
        mbk_tile_begin(out);
        times_state(out, s, e, r, c, s.ldc, before, f.ldsaved, p0);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int64_t p = p0 + out.col + j;
                if (out.row + i < e.to && p < s.p) {
                    sum = fmaf(out.at[i][j], dy_at(f, e, out.row + i, at.h * s.p + p), sum);
                }
            }
            mbk_tile_row_sum(&r.through[out.row + i], sum);
        }
    }
    double inner = 0.0;
    for (int64_t k = threadIdx.x; k < s.n * s.p; k += MBK_TILE_THREADS) {
        inner += (double)(after[k] * before[k / s.p * f.ldsaved + k % s.p]);
    }
    const float lane = mbk_warp_sum((float)inner);
    if (threadIdx.x % MBK_WARP == 0) {
        r.scalar[threadIdx.x / MBK_WARP] = (double)lane;
    }
}

/* dX, and with it dx; what the rows give the state after the block: into dlam. */
static __device__ void through_rows(const grad_job &f, const mbk_ssd_entry &e, const place &at, const pair_room &r) {
    const mbk_ssd_job &s = f.s;
    const float *after = s.states + (at.block * s.heads + at.h) * s.n * s.p;
    const float *b = s.b + e.t0 * s.ldb + at.g * s.n;
    for (int64_t p0 = 0; p0 < s.p; p0 += MBK_TILE) {
        mbk_tile out;
        float cols[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        mbk_tile_begin(out);
        times_state(out, s, e, r, b, s.ldb, after, s.p, p0);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int row = out.row + i;
            const float tail = row < e.to ? mbk_ssd_decay(r.run, e.to - 1, row) : 0.0f;
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int64_t p = p0 + out.col + j;
                out.at[i][j] *= tail;
                if (row < e.to && p < s.p) {
                    sum = fmaf(mbk_ssd_x(s, e, r.run, row, at.h, p), out.at[i][j], sum);
                }
            }
            mbk_tile_row_sum(&r.rho[row], sum);
        }
        for (int i0 = 0; i0 < e.to; i0 += MBK_TILE_K) {
            const int count = min(e.to - i0, MBK_TILE_K);
            if (MBK_KEEP(ssd_grad_rows_used)) {
                __syncthreads();
            }
            mbk_tile_fill(r.right, count,
                          [&](int t, int p) { return p0 + p < s.p ? dy_at(f, e, i0 + t, at.h * s.p + p0 + p) : 0.0f; });
            if (MBK_KEEP(ssd_grad_rows_filled)) {
                __syncthreads();
            }
            mbk_tile_add(out, r.m + i0 * MBK_TILE_LD, r.right, min(max(out.row - i0, 0), count), count);
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int row = out.row + i;
            float sum = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int64_t p = p0 + out.col + j;
                if (row < e.to && p < s.p) {
                    const int64_t col = at.h * s.p + p;
                    const float x = s.x[(e.t0 + row) * s.ldx + col];
                    const float g = dy_at(f, e, row, col);
                    const float skip = s.d ? s.d[s.wide ? col : at.h] : 0.0f;
                    sum = fmaf(out.at[i][j], x, sum);
                    cols[j] = fmaf(g, x, cols[j]);
                    f.dx[(e.t0 + row) * f.lddx + col] =
                        fmaf(r.run[2 * MBK_Q + row], out.at[i][j], s.d ? skip * g : 0.0f);
                }
            }
            mbk_tile_row_sum(&r.step[row], sum);
        }
        const double below = column_sum(r, out, cols);
        if (threadIdx.x < MBK_Q && p0 + (int)threadIdx.x < s.p) {
            f.skip[(at.block * s.heads + at.h) * s.p + p0 + threadIdx.x] = (float)below;
        }
    }
}

/* From dlam and the sums over the rows to ddt and the sums for parameters; each thread has a row. */
static __device__ void leave(const grad_job &f, const mbk_ssd_entry &e, const place &at, const pair_room &r) {
    const mbk_ssd_job &s = f.s;
    const int j = (int)threadIdx.x;
    const int last = e.to - 1;
    const bool mine = j < e.to;
    if (mine) {
        r.dlam[j] += r.through[j] * (double)mbk_ssd_decay(r.run, j) - r.rho[j];
    }
    if (j == last) {
        double all = 0.0;
        for (int i = 0; i <= last; i++) {
            all += r.rho[i];
        }
        const double inner = ((r.scalar[0] + r.scalar[1]) + r.scalar[2]) + r.scalar[3];
        r.dlam[last] += all + (double)mbk_ssd_decay(r.run, last) * inner;
    }
    if (MBK_KEEP(ssd_leave_last)) {
        __syncthreads();
    }
    if (mine) {
        double nu = 0.0;
        for (int i = last; i >= j; i--) {
            nu += r.dlam[i];
        }
        const float delta = r.run[2 * MBK_Q + j];
        const float q = s.dt[(e.t0 + j) * s.lddt + at.h] + (s.bias ? s.bias[at.h] : 0.0f);
        const bool limited = delta <= s.dt_min || delta >= s.dt_max;
        const float slope = limited ? 0.0f : q > 20.0f ? 1.0f : mbk_sigmoid(q);
        const double ddt = (r.step[j] + (double)s.a[at.h] * nu) * (double)slope;
        f.ddt[(e.t0 + j) * f.ldddt + at.h] = (float)ddt;
        r.through[j] = (double)delta * nu;
        r.rho[j] = ddt;
    }
    if (MBK_KEEP(ssd_leave_rows)) {
        __syncthreads();
    }
    if (j < 2) {
        const double *from = j == 0 ? r.through : r.rho;
        double sum = 0.0;
        for (int i = last; i >= 0; i--) {
            sum += from[i];
        }
        f.sums[(at.block * s.heads + at.h) * SUMS + j] = sum;
    }
    if (j == 2) {
        double sum = 0.0;
        for (int64_t p = 0; !s.wide && p < s.p; p++) {
            sum += (double)f.skip[(at.block * s.heads + at.h) * s.p + p];
        }
        f.sums[(at.block * s.heads + at.h) * SUMS + 2] = sum;
    }
}

__global__ void __launch_bounds__(MBK_TILE_THREADS, 3) ssd_grad_head(grad_job f) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, m, MBK_Q *MBK_TILE_LD);
    MBK_SHARED(float, run, 3 * MBK_Q);
    MBK_SHARED(double, part, 4 * MBK_Q);
    MBK_SHARED(double, rows, 4 * MBK_Q + 4);
    const mbk_ssd_job &s = f.s;
    const place at = {blockIdx.x / s.heads, blockIdx.x % s.heads, blockIdx.x % s.heads / s.each};
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + at.block);
    const pair_room r = {
        left, right, m, run, part, rows, rows + MBK_Q, rows + 2 * MBK_Q, rows + 3 * MBK_Q, rows + 4 * MBK_Q};
    if (e.to == 0) {
        return;
    }
    for (int k = (int)threadIdx.x; k < 4 * MBK_Q + 4; k += MBK_TILE_THREADS) {
        rows[k] = 0.0;
    }
    mbk_ssd_running(run, s, at.block, at.h);
    pairs_of_rows(f, e, at, r);
    through_rows(f, e, at, r);
    if (e.saved >= 0) {
        through_state(f, e, at, r);
    }
    if (MBK_KEEP(ssd_grad_through)) {
        __syncthreads();
    }
    leave(f, e, at, r);
}

/* --- dB and dC ---------------------------------------------------------------------------------------------------- */

/* out += what the heads of a group give through their states: for dC rows exp(lam_i) g_i by S, for dB rows
 * exp(lam_last - lam_j) X_j by dS. */
static __device__ __forceinline__ void heads_through_state(mbk_tile &out, const grad_job &f, const mbk_ssd_entry &e,
                                                           const place &at, int64_t n0, bool is_c, float *left,
                                                           float *right, float *run) {
    const mbk_ssd_job &s = f.s;
    for (int64_t h = at.h; h < at.h + s.each; h++) {
        const float *state = is_c ? f.saved + (e.saved * s.heads + h) * s.n * f.ldsaved
                                  : s.states + (at.block * s.heads + h) * s.n * s.p;
        const int64_t ld = is_c ? f.ldsaved : s.p;
        mbk_ssd_running(run, s, at.block, h);
        for (int64_t p0 = 0; p0 < s.p; p0 += MBK_TILE_K) {
            const int count = s.p - p0 < MBK_TILE_K ? (int)(s.p - p0) : MBK_TILE_K;
            if (MBK_KEEP(ssd_heads_used)) {
                __syncthreads();
            }
            mbk_tile_fill_turned(left, count, [&](int t, int i) {
                if (i >= e.to) {
                    return 0.0f;
                }
                return is_c ? mbk_ssd_decay(run, i) * dy_at(f, e, i, h * s.p + p0 + t)
                            : mbk_ssd_decay(run, e.to - 1, i) * mbk_ssd_x(s, e, run, i, h, p0 + t);
            });
            mbk_tile_fill_turned(right, count,
                                 [&](int t, int n) { return n0 + n < s.n ? state[(n0 + n) * ld + p0 + t] : 0.0f; });
            if (MBK_KEEP(ssd_heads_filled)) {
                __syncthreads();
            }
            mbk_tile_add(out, left, right, 0, count);
        }
    }
}

/* out += (the sum of dG over the heads) B for dC, its transpose times C for dB. */
static __device__ __forceinline__ void heads_through_rows(mbk_tile &out, const grad_job &f, const mbk_ssd_entry &e,
                                                          const place &at, int64_t n0, bool is_c, float *left,
                                                          float *right) {
    const mbk_ssd_job &s = f.s;
    const float *dg = f.dg + (at.block * s.heads + at.h) * MBK_Q * MBK_Q;
    const auto sum = [&](int i, int j) {
        float v = 0.0f;
        for (int64_t h = 0; i >= j && h < s.each; h++) {
            v += dg[(h * MBK_Q + i) * MBK_Q + j];
        }
        return v;
    };
    for (int k0 = 0; k0 < e.to; k0 += MBK_TILE_K) {
        const int count = min(e.to - k0, MBK_TILE_K);
        if (MBK_KEEP(ssd_heads_rows_used)) {
            __syncthreads();
        }
        if (is_c) {
            mbk_tile_fill_turned(left, count, [&](int t, int i) { return sum(i, k0 + t); });
        } else {
            mbk_tile_fill(left, count, [&](int t, int j) { return sum(k0 + t, j); });
        }
        const float *rows = is_c ? s.b : s.c;
        const int64_t ld = is_c ? s.ldb : s.ldc;
        mbk_tile_fill(right, count, [&](int t, int n) {
            return n0 + n < s.n ? rows[(e.t0 + k0 + t) * ld + at.g * s.n + n0 + n] : 0.0f;
        });
        if (MBK_KEEP(ssd_heads_rows_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, left, right, 0, count);
    }
}

__global__ void __launch_bounds__(MBK_TILE_THREADS, 4) ssd_grad_group(grad_job f) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, run, 3 * MBK_Q);
    const mbk_ssd_job &s = f.s;
    int64_t k = blockIdx.x;
    const bool is_c = k % 2 == 0;
    k /= 2;
    const int64_t n0 = k % tiles_of_dim(s.n) * MBK_TILE;
    k /= tiles_of_dim(s.n);
    const place at = {k / s.groups, k % s.groups * s.each, k % s.groups};
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, s.first + at.block);
    if (e.to == 0) {
        return;
    }
    mbk_tile out;
    mbk_tile_begin(out);
    if (!is_c || e.saved >= 0) {
        heads_through_state(out, f, e, at, n0, is_c, left, right, run);
    }
    heads_through_rows(out, f, e, at, n0, is_c, left, right);
    float *to = is_c ? f.dc : f.db;
    const int64_t ld = is_c ? f.lddc : f.lddb;
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int64_t n = n0 + out.col + j;
            if (out.row + i < e.to && n < s.n) {
                to[(e.t0 + out.row + i) * ld + at.g * s.n + n] = out.at[i][j];
            }
        }
    }
}

/* --- parameters --------------------------------------------------------------------------------------------------- */

#define SUM_THREADS 64

/* One thread for each number: the blocks of the wave from the last to the first, then what is there. */
__global__ void __launch_bounds__(SUM_THREADS) ssd_grad_sums(grad_job f) {
    const mbk_ssd_job &s = f.s;
    const int64_t me = (int64_t)blockIdx.x * SUM_THREADS + threadIdx.x;
    const int64_t cols = s.heads * SUMS;
    double sum = 0.0;
    if (me < cols) {
        float *out = me % SUMS == 0 ? f.da : me % SUMS == 1 ? f.dbias : s.wide ? NULL : f.dd;
        for (int64_t b = s.count - 1; out && b >= 0; b--) {
            if (mbk_ssd_block(s.plan, s.first + b).to > 0) {
                sum += f.sums[b * cols + me];
            }
        }
        if (out) {
            out[me / SUMS] += (float)sum;
        }
    } else if (s.wide && f.dd && me - cols < s.heads * s.p) {
        const int64_t c = me - cols;
        for (int64_t b = s.count - 1; b >= 0; b--) {
            if (mbk_ssd_block(s.plan, s.first + b).to > 0) {
                sum += (double)f.skip[b * s.heads * s.p + c];
            }
        }
        f.dd[c] += (float)sum;
    }
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

static int64_t block_floats(const mbk_cu_ssd_grad *a) {
    const int64_t heads = a->dt.cols;
    const int64_t p = a->x.cols / heads;
    const int64_t n = a->b.cols / a->groups;
    return heads * (3 * MBK_Q + n * p + MBK_Q * MBK_Q + 2 * SUMS + p) + a->groups * MBK_Q * MBK_Q;
}

static int64_t call_most(const mbk_cu_ssd_grad *a) {
    return mbk_ssd_most(a->x.rows, a->position % MBK_Q, a->starts.n);
}

static int64_t wave_of(const mbk_cu_ssd_grad *a, int64_t bytes) {
    int64_t wave = bytes / (block_floats(a) * (int64_t)sizeof(float));
    wave = wave < 1 ? 1 : wave > WAVE_MOST ? WAVE_MOST : wave;
    return wave < call_most(a) ? wave : call_most(a);
}

size_t mbk_cu_ssd_grad_scratch(const mbk_cu_ssd_grad *a) {
    return mbk_ssd_plan_room(call_most(a), a->starts.n) + mbk_ssd_room(wave_of(a, WAVE_BYTES) * block_floats(a));
}

static grad_job grad_of(const mbk_cu_ssd_grad *a) {
    grad_job f = {};
    f.s = mbk_ssd_job_of(a);
    f.s.plan.rebased = 1;
    f.dy = (const float *)a->dy.p;
    f.saved = (const float *)a->saved.p;
    f.dx = (float *)a->dx.p;
    f.ddt = (float *)a->ddt.p;
    f.db = (float *)a->db.p;
    f.dc = (float *)a->dc.p;
    f.da = (float *)a->da.p;
    f.dd = (float *)a->dd.p;
    f.dbias = (float *)a->dbias.p;
    f.dstate = (float *)a->dstate.p;
    f.lddy = a->dy.ld;
    f.ldsaved = a->saved.ld;
    f.lddx = a->dx.ld;
    f.ldddt = a->ddt.ld;
    f.lddb = a->db.ld;
    f.lddc = a->dc.ld;
    f.ldds = a->dstate.ld;
    return f;
}

static int64_t tiles_of(int64_t n) {
    return (n + MBK_TILE - 1) / MBK_TILE;
}

static mbk_cu_error wave(const mbk_cu_queue *q, const grad_job *f) {
    const mbk_ssd_job *s = &f->s;
    const int64_t pairs = s->count * s->heads;
    const int64_t numbers = s->heads * s->n * s->p;
    const int64_t sums = s->heads * (SUMS + s->p);
    const dim3 threads(MBK_TILE_THREADS);
    mbk_cu_error e = mbk_ssd_enter(q, s);
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)(pairs * tiles_of(s->n) * tiles_of(s->p))), threads, 0, ssd_grad_local, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)((numbers + PASS_THREADS - 1) / PASS_THREADS)), dim3(PASS_THREADS), 0,
                       ssd_grad_pass, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)pairs), threads, 0, ssd_grad_head, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)(s->count * s->groups * tiles_of(s->n) * 2)), threads, 0, ssd_grad_group, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)((sums + SUM_THREADS - 1) / SUM_THREADS)), dim3(SUM_THREADS), 0, ssd_grad_sums,
                       *f);
    }
    return e;
}

mbk_cu_error mbk_cu_ssd_backward(const mbk_cu_queue *q, const mbk_cu_ssd_grad *a) {
    if (a->x.rows <= 0) {
        return cudaSuccess;
    }
    const int64_t most = call_most(a);
    const size_t rest = mbk_ssd_plan_room(most, a->starts.n);
    if (q->scratch_bytes < rest + mbk_ssd_room(block_floats(a))) {
        return cudaErrorMemoryAllocation;
    }
    const int64_t given = (int64_t)(q->scratch_bytes - rest);
    const int64_t each = wave_of(a, given < WAVE_BYTES ? given : WAVE_BYTES);
    grad_job f = grad_of(a);
    mbk_cu_error e = mbk_ssd_plan_make(q, &f.s.plan, a->starts, most, q->scratch);
    f.s.dots = (float *)(void *)((char *)q->scratch + rest);
    f.dg = f.s.dots + each * f.s.groups * MBK_Q * MBK_Q;
    f.s.running = f.dg + each * f.s.heads * MBK_Q * MBK_Q;
    f.sums = (double *)(void *)(f.s.running + each * f.s.heads * 3 * MBK_Q);
    f.skip = (float *)(void *)(f.sums + each * f.s.heads * SUMS);
    f.s.states = f.skip + each * f.s.heads * f.s.p;
    for (int64_t end = most; e == cudaSuccess && end > 0; end = f.s.first) {
        f.s.first = end - each > 0 ? end - each : 0;
        f.s.count = (int32_t)(end - f.s.first);
        e = wave(q, &f);
    }
    return e;
}
