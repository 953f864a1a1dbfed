/* attention.cu - causal attention: one block of threads for a tile of rows, a head and a tile of its channels, over the
 * tiles of keys in order, so that where rows are cut into calls changes nothing. */
#include "cuda/attention.cuh"

/* --- rotation ----------------------------------------------------------------------------------------------------- */

#define ROTATE_THREADS 128

/* Cosine and sine of u quarter turns, by their series within half a quarter turn: 1e-14. The library's functions keep a
 * table in local memory for what they never meet here. */
static __device__ __forceinline__ void turn_of(double u, double *cosine, double *sine) {
    const double whole = rint(u);
    const double r = (u - whole) * 1.57079632679489661923;
    const double q = r * r;
    double s = 1.0 / 6227020800.0;
    double c = -1.0 / 87178291200.0;
    s = s * q - 1.0 / 39916800.0;
    s = s * q + 1.0 / 362880.0;
    s = s * q - 1.0 / 5040.0;
    s = s * q + 1.0 / 120.0;
    s = s * q - 1.0 / 6.0;
    s = r + r * q * s;
    c = c * q + 1.0 / 479001600.0;
    c = c * q - 1.0 / 3628800.0;
    c = c * q + 1.0 / 40320.0;
    c = c * q - 1.0 / 720.0;
    c = c * q + 1.0 / 24.0;
    c = c * q - 0.5;
    c = 1.0 + q * c;
    const int quarter = (int)((int64_t)whole & 3);
    const double a = quarter & 1 ? s : c;
    const double b = quarter & 1 ? c : s;
    *cosine = quarter == 1 || quarter == 2 ? -a : a;
    *sine = quarter >= 2 ? -b : b;
}

/* A thread has one pair of channels of a row, in all heads. */
__global__ void __launch_bounds__(ROTATE_THREADS) att_rotate(const mbk_att_turning w) {
    const int64_t me = (int64_t)blockIdx.x * ROTATE_THREADS + threadIdx.x;
    if (me >= w.n_rows * w.pairs) {
        return;
    }
    const int64_t t = me / w.pairs;
    const int64_t i = me % w.pairs;
    const int64_t start = mbk_start_before(w.starts, t);
    double cosine;
    double sine;
    turn_of((double)(start < 0 ? w.position + t : t - start) * w.rate[i], &cosine, &sine);
    const float c = (float)cosine;
    const float s = w.back ? -(float)sine : (float)sine;
    float *first = w.rows + t * w.ld + (w.interleaved ? 2 * i : i);
    float *second = first + (w.interleaved ? 1 : w.pairs);
    for (int64_t h = 0; h < w.heads; h++) {
        const float a = first[h * w.p];
        const float b = second[h * w.p];
        first[h * w.p] = a * c - b * s;
        second[h * w.p] = b * c + a * s;
    }
}

mbk_att_turning mbk_att_turning_of(mbk_cu_view rows, int64_t heads, int64_t rotary, double base, int interleaved,
                                   int back, int64_t position, mbk_cu_starts starts) {
    mbk_att_turning w = {};
    w.rows = (float *)rows.p;
    w.ld = rows.ld;
    w.n_rows = rows.rows;
    w.heads = heads;
    w.p = rows.cols / heads;
    w.position = position;
    w.starts = starts;
    w.pairs = (int32_t)(rotary / 2);
    w.interleaved = interleaved;
    w.back = back;
    for (int i = 0; i < w.pairs; i++) {
        w.rate[i] = pow(base, -2.0 * (double)i / (double)rotary) * 0.63661977236758134308;
    }
    return w;
}

mbk_cu_error mbk_att_rotate(const mbk_cu_queue *q, const mbk_att_turning *w) {
    const int64_t pairs = w->n_rows * w->pairs;
    if (pairs == 0) {
        return cudaSuccess;
    }
    return MBK_LAUNCH(q, dim3((unsigned)((pairs + ROTATE_THREADS - 1) / ROTATE_THREADS)), dim3(ROTATE_THREADS), 0,
                      att_rotate, *w);
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

struct att_forward {
    mbk_att_job s;
    float *y, *saved;
    int64_t ldy, lds;
};

/* A row of the tile so far, in each of the 16 threads that hold it. */
struct att_sofar {
    float most[8], sum[8];
};

/* Scores become weights, kept in `weights` with the keys first; what there is so far is scaled to the new largest
 * score. */
static __device__ __forceinline__ void weights_of(mbk_tile &s, mbk_tile &out, att_sofar &far, const mbk_att_job &job,
                                                  const mbk_att_rows &r, int64_t a, float *weights) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int64_t x = r.a + s.row + i;
        float most = far.most[i];
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s.at[i][j] *= job.scale;
            most = mbk_att_seen(job, x, a + s.col + j) ? fmaxf(most, s.at[i][j]) : most;
        }
#pragma unroll
        for (int k = 8; k > 0; k /= 2) {
            most = fmaxf(most, __shfl_xor_sync(MBK_FULL, most, k));
        }
        const float back = most > far.most[i] ? expf(far.most[i] - most) : 1.0f;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s.at[i][j] = mbk_att_seen(job, x, a + s.col + j) ? expf(s.at[i][j] - most) : 0.0f;
            sum += s.at[i][j];
            out.at[i][j] *= back;
        }
#pragma unroll
        for (int k = 8; k > 0; k /= 2) {
            sum += __shfl_xor_sync(MBK_FULL, sum, k);
        }
        far.most[i] = most;
        far.sum[i] = far.sum[i] * back + sum;
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float *to = weights + (s.col + j) * MBK_TILE_LD + s.row;
        *(float4 *)to = make_float4(s.at[0][j], s.at[1][j], s.at[2][j], s.at[3][j]);
        *(float4 *)(to + 4) = make_float4(s.at[4][j], s.at[5][j], s.at[6][j], s.at[7][j]);
    }
}

/* out += weights values over the keys j0 + t, t < count, of the tile at a; row by row only those that are seen: what a
 * row does not see, finite or not, never touches it. */
static __device__ __forceinline__ void add_seen(mbk_tile &out, const mbk_att_job &s, const mbk_att_rows &r, int64_t a,
                                                const float *weights, const float *right, int j0, int count) {
    for (int t = 0; t < count; t++) {
        const float4 b = *(const float4 *)(right + t * MBK_TILE_LD + out.col);
        const float v[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (mbk_att_seen(s, r.a + out.row + i, a + j0 + t)) {
                const float w = weights[(j0 + t) * MBK_TILE_LD + out.row + i];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    out.at[i][j] = fmaf(w, v[j], out.at[i][j]);
                }
            }
        }
    }
}

__global__ void __launch_bounds__(MBK_TILE_THREADS, 3) att_rows(att_forward f) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, weights, MBK_TILE *MBK_TILE_LD);
    const mbk_att_job &s = f.s;
    const int64_t tiles = (s.p + MBK_TILE - 1) / MBK_TILE;
    const int64_t p0 = blockIdx.x % tiles * MBK_TILE;
    const int64_t h = blockIdx.x / tiles % s.heads;
    const mbk_att_rows r = mbk_att_rows_of(s, blockIdx.x / tiles / s.heads);
    const int64_t col = h / s.each * s.p;
    if (r.to == 0) {
        return;
    }
    mbk_tile scores;
    mbk_tile out;
    att_sofar far;
    mbk_tile_begin(scores);
    mbk_tile_begin(out);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        far.most[i] = -INFINITY;
        far.sum[i] = 0.0f;
    }
    for (int64_t a = mbk_att_first(s.window, r.a + r.from); a <= r.a; a += MBK_TILE) {
        const int count = r.a == a ? r.to : MBK_TILE;
        const bool all = a < r.a && (s.window == 0 || a > r.a + MBK_TILE - 1 - s.window);
        mbk_att_scores<false>(scores, s, r, s.q, s.ldq, h * s.p, a, count, col, left, right);
        weights_of(scores, out, far, s, r, a, weights);
        for (int j0 = 0; j0 < count; j0 += MBK_TILE_K) {
            const int depth = min(count - j0, MBK_TILE_K);
            if (MBK_KEEP(att_values_used)) {
                __syncthreads();
            }
            mbk_tile_fill(right, depth, [&](int t, int p) {
                return p0 + p < s.p ? mbk_att_value(s, r.origin, a + j0 + t, col + p0 + p) : 0.0f;
            });
            if (MBK_KEEP(att_values_filled)) {
                __syncthreads();
            }
            if (all) {
                mbk_tile_add(out, weights + j0 * MBK_TILE_LD, right, 0, depth);
            } else {
                add_seen(out, s, r, a, weights, right, j0, depth);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = out.row + i;
        if (row >= r.from && row < r.to) {
            const int64_t t = r.origin + r.a + row;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (p0 + out.col + j < s.p) {
                    f.y[t * f.ldy + h * s.p + p0 + out.col + j] = out.at[i][j] / far.sum[i];
                }
            }
            if (f.saved && p0 == 0 && out.col == 0) {
                f.saved[t * f.lds + h] = far.most[i] + logf(far.sum[i]);
            }
        }
    }
}

/* --- the cache ---------------------------------------------------------------------------------------------------- */

#define APPEND_THREADS 256

struct append_job {
    float *cache_k, *cache_v;
    const float *k, *v;
    int64_t ldck, ldcv, ldk, ldv, rows, cols, capacity, position;
    mbk_cu_starts starts;
};

/* The last rows of the call's last sequence, as many as the cache holds. */
__global__ void __launch_bounds__(APPEND_THREADS) att_append(append_job s) {
    const int64_t me = (int64_t)blockIdx.x * APPEND_THREADS + threadIdx.x;
    const int64_t t = me / s.cols;
    const int64_t c = me % s.cols;
    const int64_t start = s.starts.n > 0 ? s.starts.at[s.starts.n - 1] : -1;
    if (t >= s.rows || t < start || t < s.rows - s.capacity) {
        return;
    }
    const int64_t slot = (start < 0 ? s.position + t : t - start) % s.capacity;
    s.cache_k[slot * s.ldck + c] = s.k[t * s.ldk + c];
    s.cache_v[slot * s.ldcv + c] = s.v[t * s.ldv + c];
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

static int64_t call_most(const mbk_cu_attention *a) {
    return mbk_ssd_most(a->q.rows, a->position % MBK_TILE, a->starts.n);
}

size_t mbk_cu_attention_scratch(const mbk_cu_attention *a) {
    return mbk_ssd_plan_room(call_most(a), a->starts.n);
}

static att_forward forward_of(const mbk_cu_attention *a) {
    att_forward f = {};
    f.s = mbk_att_job_of(a);
    f.y = (float *)a->y.p;
    f.ldy = a->y.ld;
    f.saved = (float *)a->saved.p;
    f.lds = a->saved.ld;
    return f;
}

mbk_cu_error mbk_cu_attention_forward(const mbk_cu_queue *q, const mbk_cu_attention *a) {
    if (a->q.rows <= 0) {
        return cudaSuccess;
    }
    if (q->scratch_bytes < mbk_cu_attention_scratch(a)) {
        return cudaErrorMemoryAllocation;
    }
    att_forward f = forward_of(a);
    const int64_t blocks = call_most(a) * f.s.heads * ((f.s.p + MBK_TILE - 1) / MBK_TILE);
    const mbk_att_turning turn_q =
        mbk_att_turning_of(a->q, a->heads, a->rotary, a->rotary_base, a->interleaved, 0, a->position, a->starts);
    const mbk_att_turning turn_k =
        mbk_att_turning_of(a->k, a->key_heads, a->rotary, a->rotary_base, a->interleaved, 0, a->position, a->starts);
    mbk_cu_error e = mbk_ssd_plan_make(q, &f.s.plan, a->starts, call_most(a), q->scratch);
    if (e == cudaSuccess) {
        e = mbk_att_rotate(q, &turn_q);
    }
    if (e == cudaSuccess) {
        e = mbk_att_rotate(q, &turn_k);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)blocks), dim3(MBK_TILE_THREADS), 0, att_rows, f);
    }
    if (e == cudaSuccess && a->cache_k.p) {
        const append_job job = {(float *)a->cache_k.p,
                                (float *)a->cache_v.p,
                                f.s.k,
                                f.s.v,
                                a->cache_k.ld,
                                a->cache_v.ld,
                                f.s.ldk,
                                f.s.ldv,
                                a->k.rows,
                                a->k.cols,
                                f.s.capacity,
                                a->position,
                                a->starts};
        const int64_t numbers = a->k.rows * a->k.cols;
        e = MBK_LAUNCH(q, dim3((unsigned)((numbers + APPEND_THREADS - 1) / APPEND_THREADS)), dim3(APPEND_THREADS), 0,
                       att_append, job);
    }
    return e;
}
