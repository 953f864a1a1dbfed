/*
 * weight_grad.h - dw += dy^T x of a vector level. Include after its vec.h and simd/unroll.h, with
 *   GRAD_TILES   X(rows) for 1 to GRAD_TALL, which with two vectors of columns fill its registers
 *   GRAD_TALL    the most rows of a tile, at most VL
 *   GRAD_MUL_ADD(a, b, c)   c + a b of vectors of words: f32 numbers, or pairs of bf16 (two products a word)
 *   GRAD_AT_ONCE rows of words that a tile takes without a jump
 *   GRAD_EACH    rows of the matrices in a row of words: 1 or 2
 *   grad_words(job, p, second, m)   words of the lanes m of row p, and of row `second` where there are pairs (NULL:
 * none)
 *
 * A block of rows is packed on both sides, dy as columns of tiles and x as columns of two vectors, and every tile walks
 * it once: both sides come in the order of memory, from the nearest caches. Each element has one chain of multiply-adds
 * over the rows of a block, and blocks are added in order.
 */
#define GRAD_WIDE (2 * VL)
#define GRAD_WORDS (MBK_GRAD_ROWS / GRAD_EACH)
/* Tiles of one call, one beside the other, and floats from one to the next: a line further than a power of two. */
#define GRAD_TILES_MOST ((MBK_GRAD_OUTS + GRAD_TALL - 1) / GRAD_TALL)
#define GRAD_APART ((GRAD_WORDS + 1) * VL)

typedef struct grad_strip {
    const weight_grad_job *job;
    const float *x;     /* packed, GRAD_WIDE a row of words */
    int64_t rows;       /* of words */
    int64_t k, live;    /* first column, and how many there are */
    const float *ahead; /* what a tile asks for meanwhile: a line for each row of words; NULL: nothing */
    int64_t step;
    int soon;   /* into the first cache: x of the next columns, which are packed when the tile is done */
    int turned; /* dw lies transposed: to[k][o] */
} grad_strip;

/* Sums of rows [o, o + mr) to columns of dw. */
static inline __attribute__((always_inline)) void grad_add_turned(const grad_strip *s, const vf *sum, int64_t o,
                                                                  const int mr, const int nv) {
    float sums[GRAD_TALL * GRAD_WIDE] __attribute__((aligned(64)));
    UNROLL
    for (int i = 0; i < nv * mr; i++) {
        v_store(sums + i * VL, sum[i]);
    }
    float *dw = s->job->dw + s->k * s->job->lddw + o;
    for (int64_t k = 0; k < s->live; k++, dw += s->job->lddw) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            dw[i] += sums[i * nv * VL + k];
        }
    }
}

/* One row of words. mr and nv are constants. */
static inline __attribute__((always_inline)) void grad_step(const float *x, const float *dy, vf *sum, const int mr,
                                                            const int nv) {
    vf column[2];
    UNROLL
    for (int v = 0; v < nv; v++) {
        column[v] = v_load(x + v * VL);
    }
    UNROLL
    for (int i = 0; i < mr; i++) {
        vf g = v_set(dy[i]);
        UNROLL
        for (int v = 0; v < nv; v++) {
            sum[nv * i + v] = GRAD_MUL_ADD(g, column[v], sum[nv * i + v]);
        }
    }
    KEEP_ORDER;
}

/* Rows [o, o + mr) of dw, whose dy is packed, VL a row of words. mr and nv are constants in every caller. */
static inline __attribute__((always_inline)) void grad_tile(const grad_strip *s, const float *dy, int64_t o,
                                                            const int mr, const int nv) {
    const weight_grad_job *job = s->job;
    vf sum[2 * GRAD_TALL];
    UNROLL
    for (int i = 0; i < nv * mr; i++) {
        sum[i] = v_set(0.0f);
    }
    float *dw = s->turned ? NULL : job->dw + o * job->lddw + s->k;
    if (!s->turned) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int v = 0; v < nv; v++) {
                __builtin_prefetch(dw + i * job->lddw + v * VL, 1);
            }
        }
    }
    const float *x = s->x;
    const float *ahead = s->ahead;
    const int64_t step = s->step;
    const int soon = s->soon;
    int64_t left = s->rows;
    for (; left >= GRAD_AT_ONCE; left -= GRAD_AT_ONCE) {
        if (ahead) {
            UNROLL
            for (int r = 0; r < GRAD_AT_ONCE; r++, ahead += step) {
                if (soon) {
                    _mm_prefetch((const char *)ahead, _MM_HINT_T0);
                } else {
                    _mm_prefetch((const char *)ahead, _MM_HINT_T1);
                }
            }
        }
        UNROLL
        for (int r = 0; r < GRAD_AT_ONCE; r++) {
            grad_step(x + r * GRAD_WIDE, dy + r * VL, sum, mr, nv);
        }
        x += GRAD_AT_ONCE * GRAD_WIDE;
        dy += GRAD_AT_ONCE * VL;
    }
    for (; left > 0; left--, x += GRAD_WIDE, dy += VL) {
        grad_step(x, dy, sum, mr, nv);
    }
    if (s->turned) {
        grad_add_turned(s, sum, o, mr, nv);
        return;
    }
    UNROLL
    for (int i = 0; i < mr; i++, dw += job->lddw) {
        UNROLL
        for (int v = 0; v < nv; v++) {
            int64_t live = s->live - v * VL;
            if (live >= VL) {
                v_store(dw + v * VL, v_add(v_load(dw + v * VL), sum[nv * i + v]));
            } else {
                vm m = v_mask(live);
                v_store_some(dw + v * VL, m, v_add(v_load_some(dw + v * VL, m), sum[nv * i + v]));
            }
        }
    }
}

#define X(MR)                                                                                                          \
    static void grad_tile_##MR##x1(const grad_strip *s, const float *dy, int64_t o) {                                  \
        grad_tile(s, dy, o, MR, 1);                                                                                    \
    }                                                                                                                  \
    static void grad_tile_##MR##x2(const grad_strip *s, const float *dy, int64_t o) {                                  \
        grad_tile(s, dy, o, MR, 2);                                                                                    \
    }
GRAD_TILES
#undef X

typedef void (*grad_tile_fn)(const grad_strip *s, const float *dy, int64_t o);

/* By rows, and whether there is a second vector. */
static const grad_tile_fn grad_tiles[][2] = {
#define X(MR) {grad_tile_##MR##x1, grad_tile_##MR##x2},
    GRAD_TILES
#undef X
};

/* Rows [o0, o1) of dw in tiles of nearly the same height. */
typedef struct grad_heights {
    int64_t count, least, taller; /* the first `taller` have a row more */
} grad_heights;

static grad_heights grad_cut(int64_t outs) {
    grad_heights h = {.count = (outs + GRAD_TALL - 1) / GRAD_TALL};
    h.least = outs / h.count;
    h.taller = outs % h.count;
    return h;
}

/* The rows of a block, `n` of the matrix, from column o0 on: a tile beside the other. */
static void grad_pack_dy(const weight_grad_job *job, float *to, int64_t r0, int64_t n, int64_t o0,
                         const grad_heights *h) {
    const vm low = v_mask(h->least);
    const vm high = v_mask(h->least + 1);
    for (int64_t r = 0; r < n; r += GRAD_EACH, to += VL) {
        const float *p = job->dy + (r0 + r) * job->lddy + o0;
        const int64_t ld = r + 1 < n ? job->lddy : 0;
        for (int64_t i = 0; i < h->count; i++) {
            const int more = i < h->taller;
            v_store(to + i * GRAD_APART, grad_words(job, p, ld ? p + ld : NULL, more ? high : low));
            p += h->least + more;
        }
    }
}

/* The same of `live` columns of x from k on. */
static void grad_pack_x(const weight_grad_job *job, float *to, int64_t r0, int64_t n, int64_t k, int64_t live) {
    const vm first = v_mask(live);
    const vm last = v_mask(live > VL ? live - VL : 0);
    for (int64_t r = 0; r < n; r += GRAD_EACH, to += GRAD_WIDE) {
        const float *p = job->x + (r0 + r) * job->ldx + k;
        const int64_t ld = r + 1 < n ? job->ldx : 0;
        v_store(to, grad_words(job, p, ld ? p + ld : NULL, first));
        if (live > VL) {
            v_store(to + VL, grad_words(job, p + VL, ld ? p + VL + ld : NULL, last));
        }
    }
}

/* What is packed next: the block of rows from r on, the columns [o0, o1) of dy. */
typedef struct grad_next {
    int64_t r, o0, o1;
} grad_next;

/* Behind the last block of rows it is the first one of the part beside, which the same thread is likely to take. */
static grad_next grad_what_next(const weight_grad_job *job, int64_t r, int64_t o0, int64_t o1, int turned) {
    if (r < job->rows) {
        return (grad_next){r, o0, o1};
    }
    const int64_t outs = turned ? o1 : job->n_out;
    return (grad_next){0, o1, 2 * o1 - o0 < outs ? 2 * o1 - o0 : outs};
}

/* Lines of it, one of each row for one tile: first those of dy, then those of x. */
static void grad_fetch_line(grad_strip *s, int64_t line, const grad_next *next, int64_t k0, int64_t k1) {
    const weight_grad_job *job = s->job;
    const int64_t r = next->r;
    const int64_t o0 = next->o0;
    if (o0 >= next->o1) {
        s->ahead = NULL;
        return;
    }
    const int64_t lines = (next->o1 - o0) / 16 + 1;
    const int64_t all = lines * GRAD_EACH;
    if (line < all) {
        s->ahead = job->dy + (r + line / lines * s->rows) * job->lddy + o0 + line % lines * 16;
        s->step = job->lddy;
        return;
    }
    line -= all;
    if (line >= ((k1 - k0) / 16 + 1) * GRAD_EACH) {
        s->ahead = NULL;
        return;
    }
    s->ahead = job->x + (r + line % GRAD_EACH * s->rows) * job->ldx + k0 + line / GRAD_EACH * 16;
    s->step = job->ldx;
}

/* Rows [o0, o1) and columns [k0, k1) of what job says; `turned`: of its transpose. */
static void grad_part(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1, int turned) {
    float x[GRAD_WORDS * GRAD_WIDE] __attribute__((aligned(64)));
    float dy[GRAD_TILES_MOST * GRAD_APART] __attribute__((aligned(64)));
    assert(o1 > o0 && o1 - o0 <= MBK_GRAD_OUTS);
    const grad_heights h = grad_cut(o1 - o0);
    for (int64_t r0 = 0; r0 < job->rows; r0 += MBK_GRAD_ROWS) {
        const int64_t n = job->rows - r0 < MBK_GRAD_ROWS ? job->rows - r0 : MBK_GRAD_ROWS;
        const grad_next next = grad_what_next(job, r0 + n, o0, o1, turned);
        int64_t line = 0;
        grad_pack_dy(job, dy, r0, n, o0, &h);
        for (int64_t k = k0; k < k1; k += GRAD_WIDE) {
            grad_strip s = {.job = job, .x = x, .rows = (n + GRAD_EACH - 1) / GRAD_EACH, .k = k, .turned = turned};
            s.live = k1 - k < GRAD_WIDE ? k1 - k : GRAD_WIDE;
            grad_pack_x(job, x, r0, n, k, s.live);
            int64_t o = o0;
            for (int64_t i = 0; i < h.count; i++) {
                const int64_t mr = h.least + (i < h.taller);
                s.soon = i == h.count - 1 && k + GRAD_WIDE < k1;
                if (s.soon) {
                    s.ahead = job->x + r0 * job->ldx + k + GRAD_WIDE;
                    s.step = job->ldx * GRAD_EACH;
                } else {
                    grad_fetch_line(&s, line++, &next, k0, k1);
                }
                grad_tiles[mr - 1][s.live > VL](&s, dy + i * GRAD_APART, o);
                o += mr;
            }
        }
    }
}

/* Most columns of x that go as rows of the transpose: as columns they would leave vectors empty, and of dy each tile
 * would pack but few. */
#define GRAD_NARROW 16

static void vec_weight_grad(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1) {
    if (job->n_in > GRAD_NARROW) {
        grad_part(job, o0, o1, k0, k1, 0);
        return;
    }
    weight_grad_job other = *job;
    other.dy = job->x;
    other.lddy = job->ldx;
    other.x = job->dy;
    other.ldx = job->lddy;
    grad_part(&other, k0, k1, o0, o1, 1);
}
