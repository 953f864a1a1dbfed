/*
 * attention.cuh - what the forward and the backward kernels of attention share: the rows of a call in tiles at absolute
 * positions (cut as the blocks of ssd are), keys and values of the call or of the cache, and scores of a tile of rows
 * against a tile of keys.
 */
#ifndef MBK_CUDA_ATTENTION_CUH
#define MBK_CUDA_ATTENTION_CUH

#include "cuda/ssd.cuh"
#include "cuda/starts.cuh"

/* What every kernel gets. */
struct mbk_att_job {
    mbk_ssd_plan plan;
    mbk_cu_starts starts;
    const float *q, *k, *v, *cache_k, *cache_v;
    int64_t ldq, ldk, ldv, ldck, ldcv;
    int64_t rows, heads, key_heads, each, p, window, capacity, position;
    float scale;
};

/* Rows of a sequence in one tile: positions a + i for from <= i < to, which are rows origin + a + i of the call. The
 * sequence ends before row `end`. */
struct mbk_att_rows {
    int64_t a, origin, end;
    int from, to; /* to == 0: none */
};

static __device__ __forceinline__ mbk_att_rows mbk_att_rows_of(const mbk_att_job &s, int64_t b) {
    const mbk_ssd_entry e = mbk_ssd_block(s.plan, b);
    mbk_att_rows r = {0, 0, 0, e.from, e.to};
    if (e.to > 0) {
        const int64_t piece = mbk_starts_upto(s.starts, e.t0);
        r.origin = piece > 0 ? s.starts.at[piece - 1] : -s.position;
        r.end = piece < s.starts.n ? s.starts.at[piece] : s.rows;
        r.a = e.t0 - r.origin - e.from;
    }
    return r;
}

/* The tile that the first position which x sees lies in. */
static __host__ __device__ __forceinline__ int64_t mbk_att_first(int64_t window, int64_t x) {
    return window > 0 && x >= window ? (x - window + 1) / MBK_TILE * MBK_TILE : 0;
}

/* Row j of the keys' tile at position a, of the call or of the cache. */
static __device__ __forceinline__ float mbk_att_key(const mbk_att_job &s, int64_t origin, int64_t position,
                                                    int64_t col) {
    const int64_t t = origin + position;
    return t >= 0 ? s.k[t * s.ldk + col] : s.cache_k[position % s.capacity * s.ldck + col];
}
static __device__ __forceinline__ float mbk_att_value(const mbk_att_job &s, int64_t origin, int64_t position,
                                                      int64_t col) {
    const int64_t t = origin + position;
    return t >= 0 ? s.v[t * s.ldv + col] : s.cache_v[position % s.capacity * s.ldcv + col];
}

/* Whether position x sees position j. */
static __device__ __forceinline__ bool mbk_att_seen(const mbk_att_job &s, int64_t x, int64_t j) {
    return j <= x && (s.window == 0 || j > x - s.window);
}

/* out = rows times the keys (or the values) of the tile at `a`, of which `count` are there: rows (i, c) at
 * rows[(origin + r.a + i) ld + row_col + c], keys from column col on. */
template <bool VALUES>
static __device__ __forceinline__ void mbk_att_scores(mbk_tile &out, const mbk_att_job &s, const mbk_att_rows &r,
                                                      const float *rows, int64_t ld, int64_t row_col, int64_t a,
                                                      int count, int64_t col, float *left, float *right) {
    mbk_tile_clear(out);
    for (int64_t c0 = 0; c0 < s.p; c0 += MBK_TILE_K) {
        const int depth = s.p - c0 < MBK_TILE_K ? (int)(s.p - c0) : MBK_TILE_K;
        if (MBK_KEEP(att_scores_used)) {
            __syncthreads();
        }
        mbk_tile_fill_turned(left, depth, [&](int t, int i) {
            return i >= r.from && i < r.to ? rows[(r.origin + r.a + i) * ld + row_col + c0 + t] : 0.0f;
        });
        mbk_tile_fill_turned(right, depth, [&](int t, int j) {
            return j >= count ? 0.0f
                   : VALUES   ? mbk_att_value(s, r.origin, a + j, col + c0 + t)
                              : mbk_att_key(s, r.origin, a + j, col + c0 + t);
        });
        if (MBK_KEEP(att_scores_filled)) {
            __syncthreads();
        }
        mbk_tile_add(out, left, right, 0, depth);
    }
}

/* --- host side ---------------------------------------------------------------------------------------------------- */

/* What the way forward and the way back have of their arguments. */
template <typename ARGS> static inline mbk_att_job mbk_att_job_of(const ARGS *a) {
    mbk_att_job s = {};
    s.plan.rows = a->q.rows;
    s.plan.at = a->position % MBK_TILE;
    s.starts = a->starts;
    s.q = (const float *)a->q.p;
    s.k = (const float *)a->k.p;
    s.v = (const float *)a->v.p;
    s.cache_k = (const float *)a->cache_k.p;
    s.cache_v = (const float *)a->cache_v.p;
    s.ldq = a->q.ld;
    s.ldk = a->k.ld;
    s.ldv = a->v.ld;
    s.ldck = a->cache_k.ld;
    s.ldcv = a->cache_v.ld;
    s.rows = a->q.rows;
    s.heads = a->heads;
    s.key_heads = a->key_heads;
    s.each = a->heads / a->key_heads;
    s.p = a->q.cols / a->heads;
    s.window = a->window;
    s.capacity = a->cache_k.p ? a->cache_k.rows : 1;
    s.position = a->position;
    s.scale = a->scale;
    return s;
}

#define MBK_ATT_PAIRS 256 /* half the channels that MBK_ATTENTION_FITS takes */

/* All heads of every row, in place; back: by the angle's negative. */
struct mbk_att_turning {
    float *rows;
    int64_t ld, n_rows, heads, p, position;
    mbk_cu_starts starts;
    int32_t pairs, interleaved, back;
    double rate[MBK_ATT_PAIRS]; /* quarter turns a position */
};
mbk_att_turning mbk_att_turning_of(mbk_cu_view rows, int64_t heads, int64_t rotary, double base, int interleaved,
                                   int back, int64_t position, mbk_cu_starts starts);
mbk_cu_error mbk_att_rotate(const mbk_cu_queue *q, const mbk_att_turning *turning);

#endif
