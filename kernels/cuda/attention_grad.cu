/* attention_grad.cu - gradients of causal attention: once over the rows, for the gradient of the queries, and once over
 * the keys, for those of keys and values, so that every sum has one owner and one order. */
#include "cuda/attention.cuh"

struct att_grad {
    mbk_att_job s;
    const float *dy, *y, *saved;
    float *dq, *dk, *dv, *dcache_k, *dcache_v, *along;
    int64_t lddy, ldy, lds, lddq, lddk, lddv, lddck, lddcv;
    int64_t most, cached_from, cached; /* tiles of the call; position of the first tile of the cache, and how many */
};

/* --- g . y -------------------------------------------------------------------------------------------------------- */

#define ALONG_THREADS 128

/* One warp for each row and head. */
__global__ void __launch_bounds__(ALONG_THREADS) att_grad_along(att_grad f) {
    const int64_t me = ((int64_t)blockIdx.x * ALONG_THREADS + threadIdx.x) / MBK_WARP;
    const int lane = (int)threadIdx.x % MBK_WARP;
    if (me >= f.s.rows * f.s.heads) {
        return;
    }
    const float *dy = f.dy + me / f.s.heads * f.lddy + me % f.s.heads * f.s.p;
    const float *y = f.y + me / f.s.heads * f.ldy + me % f.s.heads * f.s.p;
    float sum = 0.0f;
    for (int64_t c = lane; c < f.s.p; c += MBK_WARP) {
        sum = fmaf(dy[c], y[c], sum);
    }
    sum = mbk_warp_sum(sum);
    if (lane == 0) {
        f.along[me] = sum;
    }
}

/* --- the cache ---------------------------------------------------------------------------------------------------- */

#define BEGIN_THREADS 256

static __device__ __forceinline__ int64_t last_start(const att_grad &f) {
    return f.s.starts.n > 0 ? f.s.starts.at[f.s.starts.n - 1] : -1;
}
/* The cache's row that row t of the call was put into; -1: none. */
static __device__ __forceinline__ int64_t slot_of(const att_grad &f, int64_t t) {
    const int64_t start = last_start(f);
    if (!f.dcache_k || t < start || t < f.s.rows - f.s.capacity) {
        return -1;
    }
    return (start < 0 ? f.s.position + t : t - start) % f.s.capacity;
}

/* The gradients of the call's keys and values begin with what later calls gave to those that the cache got. */
__global__ void __launch_bounds__(BEGIN_THREADS) att_grad_begin(att_grad f) {
    const int64_t cols = f.s.key_heads * f.s.p;
    const int64_t me = (int64_t)blockIdx.x * BEGIN_THREADS + threadIdx.x;
    const int64_t t = me / cols;
    const int64_t c = me % cols;
    if (t >= f.s.rows) {
        return;
    }
    const int64_t slot = slot_of(f, t);
    f.dk[t * f.lddk + c] = slot >= 0 ? f.dcache_k[slot * f.lddck + c] : 0.0f;
    f.dv[t * f.lddv + c] = slot >= 0 ? f.dcache_v[slot * f.lddcv + c] : 0.0f;
    if (slot >= 0) { /* a row of the cache has one row of the call */
        f.dcache_k[slot * f.lddck + c] = 0.0f;
        f.dcache_v[slot * f.lddcv + c] = 0.0f;
    }
}

/* At a start of a sequence nothing goes to what the cache held. */
__global__ void __launch_bounds__(BEGIN_THREADS) att_grad_clear(att_grad f) {
    const int64_t cols = f.s.key_heads * f.s.p;
    const int64_t me = (int64_t)blockIdx.x * BEGIN_THREADS + threadIdx.x;
    if (me < f.s.capacity * cols) {
        f.dcache_k[me / cols * f.lddck + me % cols] = 0.0f;
        f.dcache_v[me / cols * f.lddcv + me % cols] = 0.0f;
    }
}

/* --- weights ------------------------------------------------------------------------------------------------------ */

/* Scores become the softmax, and where `back` is what g gave to the values, that becomes dS (in back); zeros where
 * nothing is seen. */
static __device__ __forceinline__ void softmax_of(mbk_tile &s, mbk_tile *back, const att_grad &f, const mbk_att_rows &r,
                                                  int64_t h, int64_t a) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = s.row + i;
        const bool there = row >= r.from && row < r.to;
        const int64_t t = there ? r.origin + r.a + row : 0;
        const float lse = there ? f.saved[t * f.lds + h] : 0.0f;
        const float along = there ? f.along[t * f.s.heads + h] : 0.0f;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const bool seen = there && mbk_att_seen(f.s, r.a + row, a + s.col + j);
            s.at[i][j] = seen ? expf(f.s.scale * s.at[i][j] - lse) : 0.0f;
            if (back) {
                back->at[i][j] = seen ? f.s.scale * s.at[i][j] * (back->at[i][j] - along) : 0.0f;
            }
        }
    }
}

/* --- over the rows ------------------------------------------------------------------------------------------------ */

__global__ void __launch_bounds__(MBK_TILE_THREADS, 3) att_grad_rows(att_grad f) {
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
    mbk_tile back;
    mbk_tile out;
    mbk_tile_begin(scores);
    mbk_tile_begin(back);
    mbk_tile_begin(out);
    for (int64_t a = mbk_att_first(s.window, r.a + r.from); a <= r.a; a += MBK_TILE) {
        const int count = r.a == a ? r.to : MBK_TILE;
        mbk_att_scores<false>(scores, s, r, s.q, s.ldq, h * s.p, a, count, col, left, right);
        mbk_att_scores<true>(back, s, r, f.dy, f.lddy, h * s.p, a, count, col, left, right);
        softmax_of(scores, &back, f, r, h, a);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float *to = weights + (back.col + j) * MBK_TILE_LD + back.row;
            *(float4 *)to = make_float4(back.at[0][j], back.at[1][j], back.at[2][j], back.at[3][j]);
            *(float4 *)(to + 4) = make_float4(back.at[4][j], back.at[5][j], back.at[6][j], back.at[7][j]);
        }
        for (int j0 = 0; j0 < count; j0 += MBK_TILE_K) {
            const int depth = min(count - j0, MBK_TILE_K);
            if (MBK_KEEP(att_grad_keys_used)) {
                __syncthreads();
            }
            mbk_tile_fill(right, depth, [&](int t, int p) {
                return p0 + p < s.p ? mbk_att_key(s, r.origin, a + j0 + t, col + p0 + p) : 0.0f;
            });
            if (MBK_KEEP(att_grad_keys_filled)) {
                __syncthreads();
            }
            mbk_tile_add(out, weights + j0 * MBK_TILE_LD, right, 0, depth);
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = out.row + i;
        if (row >= r.from && row < r.to) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if (p0 + out.col + j < s.p) {
                    f.dq[(r.origin + r.a + row) * f.lddq + h * s.p + p0 + out.col + j] = out.at[i][j];
                }
            }
        }
    }
}

/* --- over the keys ------------------------------------------------------------------------------------------------ */

/* out (keys, channels) += what the rows r of head h give to the `count` keys at a, or to their values. */
template <bool VALUES>
static __device__ __forceinline__ void add_rows(mbk_tile &out, const att_grad &f, const mbk_att_rows &r, int64_t h,
                                                int64_t a, int count, int64_t p0, float *left, float *right,
                                                float *weights) {
    const mbk_att_job &s = f.s;
    const int64_t col = h / s.each * s.p;
    mbk_tile scores;
    mbk_tile back;
    mbk_tile_begin(scores);
    mbk_tile_begin(back);
    mbk_att_scores<false>(scores, s, r, s.q, s.ldq, h * s.p, a, count, col, left, right);
    if (!VALUES) {
        mbk_att_scores<true>(back, s, r, f.dy, f.lddy, h * s.p, a, count, col, left, right);
    }
    softmax_of(scores, VALUES ? NULL : &back, f, r, h, a);
    const mbk_tile &give = VALUES ? scores : back;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        *(float4 *)(weights + (give.row + i) * MBK_TILE_LD + give.col) =
            make_float4(give.at[i][0], give.at[i][1], give.at[i][2], give.at[i][3]);
    }
    const float *rows = VALUES ? f.dy : s.q;
    const int64_t ld = VALUES ? f.lddy : s.ldq;
    for (int i0 = 0; i0 < r.to; i0 += MBK_TILE_K) {
        const int depth = min(r.to - i0, MBK_TILE_K);
        if (MBK_KEEP(att_grad_rows_used)) {
            __syncthreads();
        }
        mbk_tile_fill(right, depth, [&](int t, int p) {
            return i0 + t >= r.from && p0 + p < s.p ? rows[(r.origin + r.a + i0 + t) * ld + h * s.p + p0 + p] : 0.0f;
        });
        if (MBK_KEEP(att_grad_rows_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, weights + i0 * MBK_TILE_LD, right, 0, depth);
    }
}

template <bool VALUES>
static __device__ __forceinline__ void key_tile(const att_grad &f, const mbk_att_rows &keys, int64_t key_head,
                                                int64_t p0, float *left, float *right, float *weights) {
    const mbk_att_job &s = f.s;
    const int64_t begin = keys.origin < 0 ? -keys.origin : 0; /* position of the sequence's first row in the call */
    int64_t end = keys.end - keys.origin;
    if (s.window > 0 && keys.a + keys.to - 1 + s.window < end) {
        end = keys.a + keys.to - 1 + s.window;
    }
    mbk_tile out;
    mbk_tile_begin(out);
    for (int64_t h = key_head * s.each; h < (key_head + 1) * s.each; h++) {
        const int64_t first = keys.a > begin ? keys.a : begin;
        for (int64_t x = first / MBK_TILE * MBK_TILE; x < end; x += MBK_TILE) {
            mbk_att_rows r = keys;
            r.a = x;
            r.from = x < first ? (int)(first - x) : 0;
            r.to = end - x < MBK_TILE ? (int)(end - x) : MBK_TILE;
            add_rows<VALUES>(out, f, r, h, keys.a, keys.to, p0, left, right, weights);
        }
    }
    float *call = VALUES ? f.dv : f.dk;
    float *cache = VALUES ? f.dcache_v : f.dcache_k;
    const int64_t ld = VALUES ? f.lddv : f.lddk;
    const int64_t ldc = VALUES ? f.lddcv : f.lddck;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int64_t x = keys.a + out.row + i;
        /* Positions that the call does not see share rows of the cache with those that it sees. */
        if (out.row + i >= keys.to || (keys.origin + x < 0 && s.window > 0 && x <= s.position - s.window)) {
            continue;
        }
        float *to = keys.origin + x >= 0 ? call + (keys.origin + x) * ld : cache + x % s.capacity * ldc;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (p0 + out.col + j < s.p) {
                to[key_head * s.p + p0 + out.col + j] += out.at[i][j];
            }
        }
    }
}

/* Tiles of the call's rows, then those that lie in the cache; for each a key head, channels, and keys or values. */
__global__ void __launch_bounds__(MBK_TILE_THREADS, 3) att_grad_cols(att_grad f) {
    MBK_SHARED(float, left, MBK_TILE_FLOATS);
    MBK_SHARED(float, right, MBK_TILE_FLOATS);
    MBK_SHARED(float, weights, MBK_TILE *MBK_TILE_LD);
    const mbk_att_job &s = f.s;
    const int64_t tiles = (s.p + MBK_TILE - 1) / MBK_TILE;
    int64_t k = blockIdx.x;
    const bool values = k % 2 == 1;
    k /= 2;
    const int64_t p0 = k % tiles * MBK_TILE;
    k /= tiles;
    const int64_t key_head = k % s.key_heads;
    const int64_t b = k / s.key_heads;
    mbk_att_rows keys;
    if (b < f.most) {
        keys = mbk_att_rows_of(s, b);
    } else {
        keys.a = f.cached_from + (b - f.most) * MBK_TILE;
        keys.origin = -s.position;
        keys.end = s.starts.n > 0 ? s.starts.at[0] : s.rows;
        keys.from = 0;
        keys.to = keys.end > 0 ? MBK_TILE : 0; /* no row of the first sequence: nothing saw the cache */
    }
    if (keys.to == 0) {
        return;
    }
    if (values) {
        key_tile<true>(f, keys, key_head, p0, left, right, weights);
    } else {
        key_tile<false>(f, keys, key_head, p0, left, right, weights);
    }
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

static int64_t call_most(const mbk_cu_attention_grad *a) {
    return mbk_ssd_most(a->q.rows, a->position % MBK_TILE, a->starts.n);
}

size_t mbk_cu_attention_grad_scratch(const mbk_cu_attention_grad *a) {
    return mbk_ssd_plan_room(call_most(a), a->starts.n) + mbk_ssd_room(a->q.rows * a->heads);
}

static att_grad grad_of(const mbk_cu_attention_grad *a) {
    att_grad f = {};
    f.s = mbk_att_job_of(a);
    f.dy = (const float *)a->dy.p;
    f.y = (const float *)a->y.p;
    f.saved = (const float *)a->saved.p;
    f.dq = (float *)a->dq.p;
    f.dk = (float *)a->dk.p;
    f.dv = (float *)a->dv.p;
    f.dcache_k = (float *)a->dcache_k.p;
    f.dcache_v = (float *)a->dcache_v.p;
    f.lddy = a->dy.ld;
    f.ldy = a->y.ld;
    f.lds = a->saved.ld;
    f.lddq = a->dq.ld;
    f.lddk = a->dk.ld;
    f.lddv = a->dv.ld;
    f.lddck = a->dcache_k.ld;
    f.lddcv = a->dcache_v.ld;
    f.most = call_most(a);
    f.cached_from = mbk_att_first(a->window, a->position);
    f.cached = a->position / MBK_TILE - f.cached_from / MBK_TILE;
    return f;
}

/* The rows' own sums, what the cache's gradient gives, then the sums over keys and over rows. */
static mbk_cu_error sums(const mbk_cu_queue *q, const att_grad *f) {
    const mbk_att_job *s = &f->s;
    const int64_t tiles = (s->p + MBK_TILE - 1) / MBK_TILE;
    const int64_t cols = s->key_heads * s->p;
    const int64_t warps = ALONG_THREADS / MBK_WARP;
    const dim3 threads(MBK_TILE_THREADS);
    mbk_cu_error e = MBK_LAUNCH(q, dim3((unsigned)((s->rows * s->heads + warps - 1) / warps)), dim3(ALONG_THREADS), 0,
                                att_grad_along, *f);
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)((s->rows * cols + BEGIN_THREADS - 1) / BEGIN_THREADS)), dim3(BEGIN_THREADS),
                       0, att_grad_begin, *f);
    }
    if (e == cudaSuccess && f->dcache_k && s->starts.n > 0) {
        e = MBK_LAUNCH(q, dim3((unsigned)((s->capacity * cols + BEGIN_THREADS - 1) / BEGIN_THREADS)),
                       dim3(BEGIN_THREADS), 0, att_grad_clear, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)(f->most * s->heads * tiles)), threads, 0, att_grad_rows, *f);
    }
    if (e == cudaSuccess) {
        e = MBK_LAUNCH(q, dim3((unsigned)((f->most + f->cached) * s->key_heads * tiles * 2)), threads, 0, att_grad_cols,
                       *f);
    }
    return e;
}

mbk_cu_error mbk_cu_attention_backward(const mbk_cu_queue *q, const mbk_cu_attention_grad *a) {
    if (a->q.rows <= 0) {
        return cudaSuccess;
    }
    if (q->scratch_bytes < mbk_cu_attention_grad_scratch(a)) {
        return cudaErrorMemoryAllocation;
    }
    att_grad f = grad_of(a);
    const mbk_att_turning turn_q =
        mbk_att_turning_of(a->dq, a->heads, a->rotary, a->rotary_base, a->interleaved, 1, a->position, a->starts);
    const mbk_att_turning turn_k =
        mbk_att_turning_of(a->dk, a->key_heads, a->rotary, a->rotary_base, a->interleaved, 1, a->position, a->starts);
    mbk_cu_error e = mbk_ssd_plan_make(q, &f.s.plan, a->starts, f.most, q->scratch);
    f.along = (float *)(void *)((char *)q->scratch + mbk_ssd_plan_room(f.most, a->starts.n));
    if (e == cudaSuccess) {
        e = sums(q, &f);
    }
    if (e == cudaSuccess) {
        e = mbk_att_rotate(q, &turn_q);
    }
    if (e == cudaSuccess) {
        e = mbk_att_rotate(q, &turn_k);
    }
    return e;
}
