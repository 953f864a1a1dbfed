/*
 * weight_grad.h - dw += dy^T x of a vector level. Include after its vec.h and simd/unroll.h, with
 *   GRAD_TILES   X(rows) for 1 to GRAD_TALL, which with two vectors of columns fill its registers
 *   GRAD_TALL    the most rows of a tile
 *   GRAD_MUL_ADD(a, b, c)   c + a b of vectors of words: f32 numbers, or pairs of bf16 (two products a word)
 *   GRAD_BLOCK   rows of words that are summed from zero
 *
 * A block of rows of x is packed for two vectors of columns, then every tile walks it once. Each element has one chain
 * of multiply-adds over the rows of a block, and blocks are added in order.
 */
#define GRAD_WIDE (2 * VL)

typedef struct grad_strip {
    const weight_grad_job *job;
    const float *x; /* packed, GRAD_WIDE a row */
    int64_t r0, rows;
    int64_t k, live; /* first column, and how many there are */
} grad_strip;

/* Rows [o, o + mr) of dw. mr is a constant in every caller. */
static inline __attribute__((always_inline)) void grad_tile(const grad_strip *s, int64_t o, const int mr) {
    const weight_grad_job *job = s->job;
    vf sum[2 * GRAD_TALL];
    UNROLL
    for (int i = 0; i < 2 * mr; i++) {
        sum[i] = v_set(0.0f);
    }
    const float *x = s->x;
    const float *dy = job->dy + s->r0 * job->lddy + o;
    for (int64_t r = 0; r < s->rows; r++) {
        vf first = v_load(x);
        vf second = v_load(x + VL);
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf g = v_set(dy[i]);
            sum[2 * i] = GRAD_MUL_ADD(g, first, sum[2 * i]);
            sum[2 * i + 1] = GRAD_MUL_ADD(g, second, sum[2 * i + 1]);
        }
        x += GRAD_WIDE;
        dy += job->lddy;
    }
    float *dw = job->dw + o * job->lddw + s->k;
    UNROLL
    for (int i = 0; i < mr; i++, dw += job->lddw) {
        UNROLL
        for (int v = 0; v < 2; v++) {
            int64_t live = s->live - v * VL;
            if (live >= VL) {
                v_store(dw + v * VL, v_add(v_load(dw + v * VL), sum[2 * i + v]));
            } else if (live > 0) {
                vm m = v_mask(live);
                v_store_some(dw + v * VL, m, v_add(v_load_some(dw + v * VL, m), sum[2 * i + v]));
            }
        }
    }
}

#define X(MR)                                                                                                          \
    static void grad_tile_##MR(const grad_strip *s, int64_t o) {                                                       \
        grad_tile(s, o, MR);                                                                                           \
    }
GRAD_TILES
#undef X

static void (*const grad_tiles[])(const grad_strip *s, int64_t o) = {
#define X(MR) grad_tile_##MR,
    GRAD_TILES
#undef X
};

static void grad_pack(const weight_grad_job *job, float *to, int64_t r0, int64_t rows, int64_t k, int64_t live) {
    const vm last = v_mask(live % VL);
    for (int64_t r = 0; r < rows; r++) {
        const float *x = job->x + (r0 + r) * job->ldx + k;
        for (int64_t j = 0; j < GRAD_WIDE; j += VL) {
            vf v = live - j >= VL ? v_load(x + j) : live > j ? v_load_some(x + j, last) : v_set(0.0f);
            v_store(to + r * GRAD_WIDE + j, v);
        }
    }
}

static void vec_weight_grad(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1) {
    float packed[GRAD_BLOCK * GRAD_WIDE] __attribute__((aligned(64)));
    for (int64_t r0 = 0; r0 < job->rows; r0 += GRAD_BLOCK) {
        for (int64_t k = k0; k < k1; k += GRAD_WIDE) {
            grad_strip s = {job, packed, r0, GRAD_BLOCK, k, k1 - k < GRAD_WIDE ? k1 - k : GRAD_WIDE};
            s.rows = job->rows - r0 < GRAD_BLOCK ? job->rows - r0 : GRAD_BLOCK;
            grad_pack(job, packed, r0, s.rows, k, s.live);
            /* Tiles of nearly the same height. */
            int64_t left = (o1 - o0 + GRAD_TALL - 1) / GRAD_TALL;
            for (int64_t o = o0; o < o1; left--) {
                int64_t mr = (o1 - o + left - 1) / left;
                grad_tiles[mr - 1](&s, o);
                o += mr;
            }
        }
    }
}
