/*
 * gemm.h - the matrix product of a vector level. Include after its vec.h, with
 *   MUL_ADD(a, b, c)   c + a b of vectors of words: f32 numbers, or pairs of bf16 (two products a word)
 *   HELD               the dtype whose panels are such words already
 *   widen(), LEAN_COUNT, lean_offset(), lean_line()   other dtypes as words (simd/widen.h, or the level's own)
 *   TILES              its register tiles X(rows, panels), and TILE_ROWS, the most rows that one has for 1, 2, 4 and 8
 *                      panels (0: none); TILE_FULL the height of the best
 *   WIDE_PANELS        1, where no tile of the full height has two panels
 *   TILE_AT_ONCE       words of k that a tile takes without a jump, at most 16
 *   LEANS, LEAN_TABLE  the same for few rows: LEAN_OF(rows, panels) and where they stand
 *   WHOLE              1, where words are whole numbers, and so are sums of WIDE_DEPTH of them (0; simd/whole.h)
 *   PART_START(job, r, part)   what such a sum begins with (zero)
 *
 * Each output has one chain of multiply-adds over k in index order, whatever the tile, so that a row's bits do not
 * depend on the rows beside it. Depths count words: n_in numbers, or pairs of them.
 */
#ifndef WHOLE
#define WHOLE 0
#endif
#ifndef PART_START
#define PART_START(JOB, R, PART) v_set(0.0f)
#endif
#define PV (MBK_PANEL / VL) /* vectors a panel */
#define INLINE static inline __attribute__((always_inline))

/* Depth of the part of a panel that is made words of at once, and the panels and rows that share it: with the partial
 * sums it stays in the first-level cache, or nearly. Of whole numbers it is a part. */
#ifndef WIDE_DEPTH
#define WIDE_DEPTH 256
#endif
#ifndef WIDE_PANELS
#define WIDE_PANELS 2
#endif
#define WIDE_ROWS 168

/* The sum over the parts of row r up to `part`, of that part's as whole numbers and that of those before. */
INLINE vf part_added(const gemm_job *job, int64_t r, int64_t part, vf whole, vf before) {
    return v_fma(v_of_whole(whole), v_set(job->x[r * job->ldx + job->depth + part]), before);
}

/*
 * Weights as words that a tile reads: all k of them, or [k0, k1) widened from another type. Sums of a part wait in
 * `partial` for the next one, so that each chain goes on where it stood.
 */
typedef struct slab {
    const gemm_job *job;
    const float *w; /* of the first panel */
    int64_t panel;  /* floats from one panel to the next */
    int64_t k0, k1; /* the part; k1 == depth: the last */
    float *partial; /* the tile's first row; needed where the slab is a part */
    int64_t ld;     /* floats between its rows */
} slab;

/* Scales, adds bias and the old y, in this order, and stores the live outputs of a tile. */
static void finish(const gemm_job *job, int64_t r, int64_t p, const float *sums, int rows, int width) {
    int64_t first = p * MBK_PANEL;
    int64_t end = job->w->n_out - first < width ? job->w->n_out - first : width;
    const float *scale = job->w->scale ? job->w->scale + first : NULL; /* whole panels of them */
    for (int i = 0; i < rows; i++) {
        float *y = job->y + (r + i) * job->ldy + first;
        const float *sum = sums + i * width;
        for (int64_t j = 0; j < end; j += VL) {
            vf v = v_load(sum + j);
            v = scale ? v_mul(v, v_load(scale + j)) : v;
            if (j + VL <= end) {
                v = job->bias ? v_add(v, v_load(job->bias + first + j)) : v;
                v_store(y + j, job->accumulate ? v_add(v, v_load(y + j)) : v);
            } else {
                vm m = v_mask(end - j);
                v = job->bias ? v_add(v, v_load_some(job->bias + first + j, m)) : v;
                v_store_some(y + j, m, job->accumulate ? v_add(v, v_load_some(y + j, m)) : v);
            }
        }
    }
}

/* Depth up to which a tile asks for the rows of the next one: into the second-level cache, for in the first one rows
 * 4 KiB apart would drive out those that the tile is at. */
#define FETCH_DEPTH 512
/* How many rows ahead at least. */
#define FETCH_ROWS 6
/* Words of k in a line of x: of each row a line is asked for. */
#define TILE_WORDS 16

/* The lines that a tile will write: rows kilobytes apart, which the processor does not foresee. */
INLINE void fetch_outputs(const slab *s, int64_t r, int64_t p, const int mr, const int np) {
    if (s->k1 == s->job->depth) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int j = 0; j < np; j++) {
                __builtin_prefetch(s->job->y + (r + i) * s->job->ldy + (p + j) * MBK_PANEL, 1);
            }
        }
    }
}

/* What a tile holds in registers: where its rows stand, and the sums. */
enum { TILE_ROOM = 32 };

/* One pointer for three rows: base, base + ld, base + 2 ld are all addressing modes. */
#define TILE_ROW(X, I, LD) ((X)[(I) / 3] + (I) % 3 * (LD))

/* Word `at` behind the pointers of each row times those of the panels. All but the pointers are constants. */
INLINE void tile_step(const float *const *x, int64_t ld, const float *w, int64_t panel, vf *sum, const int mr,
                      const int nv, const int at) {
    vf b[TILE_ROOM / 2];
    UNROLL
    for (int j = 0; j < nv; j++) {
        b[j] = v_load(w + (j / PV) * panel + (j % PV) * VL + at * MBK_PANEL);
    }
    UNROLL
    for (int i = 0; i < mr; i++) {
        vf a = v_set(TILE_ROW(x, i, ld)[at]);
        UNROLL
        for (int j = 0; j < nv; j++) {
            sum[i * nv + j] = MUL_ADD(a, b[j], sum[i * nv + j]);
        }
    }
    KEEP_ORDER;
}

/* Rows [r, r + mr) of panels [p, p + np). mr and np are constants in every caller. */
INLINE void tile(const slab *s, int64_t r, int64_t p, const int mr, const int np) {
    const gemm_job *job = s->job;
    const int nv = np * PV;
    vf sum[TILE_ROOM];
    UNROLL
    for (int i = 0; i < mr * nv; i++) {
        sum[i] = WHOLE   ? PART_START(job, r + i / nv, s->k0 / WIDE_DEPTH)
                 : s->k0 ? v_load(s->partial + i / nv * s->ld + i % nv * VL)
                         : v_set(0.0f);
    }
    const int64_t ld = job->ldx;
    const int64_t panel = s->panel;
    const float *w = s->w;
    const float *x[TILE_ROOM / 3];
    const float *next[TILE_ROOM / 3];
    /* Long rows the processor foresees itself. */
    const int fetch = job->depth <= FETCH_DEPTH;
    UNROLL
    for (int i = 0; i < (mr + 2) / 3; i++) {
        x[i] = job->x + (r + 3 * i) * ld + s->k0;
        next[i] = job->x + (r + (mr < FETCH_ROWS ? FETCH_ROWS : mr) + 3 * i) * ld + s->k0;
    }
    fetch_outputs(s, r + mr, p, mr, np);
    int64_t left = s->k1 - s->k0;
    for (; left >= TILE_WORDS; left -= TILE_WORDS) {
        UNROLL
        for (int i = 0; fetch && i < mr; i++) {
            _mm_prefetch((const char *)TILE_ROW(next, i, ld), _MM_HINT_T1);
        }
        for (int part = 0; part < TILE_WORDS; part += TILE_AT_ONCE) {
            UNROLL
            for (int at = 0; at < TILE_AT_ONCE; at++) {
                tile_step(x, ld, w, panel, sum, mr, nv, at);
            }
            w += TILE_AT_ONCE * MBK_PANEL;
            UNROLL
            for (int i = 0; i < (mr + 2) / 3; i++) {
                x[i] += TILE_AT_ONCE;
            }
        }
        UNROLL
        for (int i = 0; i < (mr + 2) / 3; i++) {
            next[i] += TILE_WORDS;
        }
    }
    for (; left > 0; left--, w += MBK_PANEL) {
        tile_step(x, ld, w, panel, sum, mr, nv, 0);
        UNROLL
        for (int i = 0; i < (mr + 2) / 3; i++) {
            x[i]++;
        }
    }
    UNROLL
    for (int i = 0; WHOLE && i < mr * nv; i++) {
        const vf before = s->k0 ? v_load(s->partial + i / nv * s->ld + i % nv * VL) : v_set(0.0f);
        sum[i] = part_added(job, r + i / nv, s->k0 / WIDE_DEPTH, sum[i], before);
    }
    const int last = s->k1 == job->depth;
    const int plain = !job->w->scale && !job->bias && (p + np) * MBK_PANEL <= job->w->n_out;
    if (!last || plain) {
        float *to = last ? job->y + r * job->ldy + p * MBK_PANEL : s->partial;
        const int64_t step = last ? job->ldy : s->ld;
        if (last && job->accumulate) {
            UNROLL
            for (int i = 0; i < mr * nv; i++) {
                float *y = to + i / nv * step + i % nv * VL;
                v_store(y, v_add(sum[i], v_load(y)));
            }
            return;
        }
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int j = 0; j < nv; j++) {
                v_store(to + i * step + j * VL, sum[i * nv + j]);
            }
        }
        return;
    }
    float sums[TILE_ROOM * VL] __attribute__((aligned(64)));
    UNROLL
    for (int i = 0; i < mr * nv; i++) {
        v_store(sums + i * VL, sum[i]);
    }
    finish(job, r, p, sums, mr, np * MBK_PANEL);
}

#define X(MR, NP)                                                                                                      \
    static void tile_##MR##x##NP(const slab *s, int64_t r, int64_t p) {                                                \
        tile(s, r, p, MR, NP);                                                                                         \
    }
TILES
#undef X

typedef void (*tile_fn)(const slab *s, int64_t r, int64_t p);

static tile_fn tile_for(int64_t mr, int64_t np) {
    switch (mr * 16 + np) {
#define X(MR, NP)                                                                                                      \
    case MR * 16 + NP:                                                                                                 \
        return tile_##MR##x##NP;
        TILES
#undef X
    default:
        return NULL;
    }
}

static const int tile_rows[4] = TILE_ROWS; /* by log2 of the panels */

/* All rows of `np` panels, in tiles of nearly the same height. */
static void columns(const slab *whole, int64_t r0, int64_t r1, int64_t p, int64_t np, int64_t most) {
    slab s = *whole;
    int64_t left = (r1 - r0 + most - 1) / most;
    for (int64_t r = r0; r < r1; left--) {
        int64_t mr = (r1 - r + left - 1) / left;
        tile_for(mr, np)(&s, r, p);
        s.partial += mr * s.ld;
        r += mr;
    }
}

/* Rows [r0, r1), at most WIDE_ROWS, of up to WIDE_PANELS panels that are not held as words. */
static void widened(const gemm_job *job, int64_t r0, int64_t r1, int64_t p, int64_t np) {
    float wide[WIDE_PANELS * WIDE_DEPTH * MBK_PANEL] __attribute__((aligned(64)));
    float partial[WIDE_ROWS * WIDE_PANELS * MBK_PANEL] __attribute__((aligned(64)));
    for (int64_t k0 = 0; k0 < job->depth; k0 += WIDE_DEPTH) {
        int64_t k1 = k0 + WIDE_DEPTH < job->depth ? k0 + WIDE_DEPTH : job->depth;
        for (int64_t i = 0; i < np; i++) {
            widen(job->w, p + i, k0, k1, wide + i * WIDE_DEPTH * MBK_PANEL);
        }
        slab s = {job, wide, WIDE_DEPTH * MBK_PANEL, k0, k1, partial, WIDE_PANELS * MBK_PANEL};
        columns(&s, r0, r1, p, np, tile_rows[np - 1]);
    }
}

static void narrow_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    for (int64_t r = r0; r < r1; r += WIDE_ROWS) {
        for (int64_t p = p0; p < p1; p += WIDE_PANELS) {
            widened(job, r, r + WIDE_ROWS < r1 ? r + WIDE_ROWS : r1, p, p1 - p < WIDE_PANELS ? p1 - p : WIDE_PANELS);
        }
    }
}

/* --- few rows: each weight is read once, at the speed of memory, and turned into words in the registers ---------- */

/* Rows that go side by side, and the most that this way takes: the next ones find the panels in the cache. */
#define LEAN_ROWS 4
#define LEAN_MOST 8
/* Bytes ahead that are asked for: the processor's own prefetching stops at the end of a page. */
#define LEAN_AHEAD 1024

/* Words [k, k + n) of np panels, times mr rows. n is a constant. */
INLINE void lean_step(const gemm_job *job, const unsigned char *w, int64_t r, int64_t k, vf *sum, const int mr,
                      const int np, const mbk_dtype dtype, const int n) {
    UNROLL
    for (int l = 0; l < n; l++) {
        vf a[LEAN_ROWS];
        UNROLL
        for (int i = 0; i < mr; i++) {
            a[i] = v_set(job->x[(r + i) * job->ldx + k + l]);
        }
        UNROLL
        for (int j = 0; j < np * PV; j++) {
            vf b = lean_line(job->w, w + (size_t)(j / PV) * job->w->panel_bytes, dtype, k, l, j % PV * VL);
            UNROLL
            for (int i = 0; i < mr; i++) {
                sum[i * np * PV + j] = MUL_ADD(a[i], b, sum[i * np * PV + j]);
            }
        }
    }
}

/* As finish(), of whole panels whose sums are in registers. */
INLINE void finish_whole(const gemm_job *job, int64_t r, int64_t p, vf *sum, const int mr, const int np) {
    const int nv = np * PV;
    const int64_t first = p * MBK_PANEL;
    float *y = job->y + r * job->ldy + first;
    if (job->w->scale) {
        UNROLL
        for (int i = 0; i < mr * nv; i++) {
            sum[i] = v_mul(sum[i], v_load(job->w->scale + first + i % nv * VL));
        }
    }
    if (job->bias) {
        UNROLL
        for (int i = 0; i < mr * nv; i++) {
            sum[i] = v_add(sum[i], v_load(job->bias + first + i % nv * VL));
        }
    }
    if (job->accumulate) {
        UNROLL
        for (int i = 0; i < mr * nv; i++) {
            sum[i] = v_add(sum[i], v_load(y + i / nv * job->ldy + i % nv * VL));
        }
    }
    UNROLL
    for (int i = 0; i < mr * nv; i++) {
        v_store(y + i / nv * job->ldy + i % nv * VL, sum[i]);
    }
}

/* Sums over the words [k, last) of k. */
INLINE void lean_sums(const gemm_job *job, int64_t r, int64_t p, int64_t k, int64_t last, vf *sum, const int mr,
                      const int np, const mbk_dtype dtype) {
    const int n = LEAN_COUNT(dtype);
    const size_t panel = job->w->panel_bytes;
    const unsigned char *w = job->w->data + (size_t)p * panel;
    /* Towards the end of the panels what lies ahead is the beginning of the next np. */
    const size_t line = lean_offset(dtype, 1);
    const int64_t turn = job->depth - (int64_t)(LEAN_AHEAD / line);
    UNROLL
    for (int i = 0; i < mr * np * PV; i++) {
        sum[i] = WHOLE ? PART_START(job, r + i / (np * PV), k / WIDE_DEPTH) : v_set(0.0f);
    }
    for (int late = 0; late < 2; late++) {
        const unsigned char *ahead = w + LEAN_AHEAD + (late ? (size_t)(np - 1) * panel : 0);
        for (int64_t end = late || (WHOLE && last < turn) ? last : turn; k + n <= end; k += n) {
            UNROLL
            for (int j = 0; j < np; j++) {
                _mm_prefetch((const char *)ahead + (size_t)j * panel + (size_t)k * line, _MM_HINT_T0);
            }
            lean_step(job, w, r, k, sum, mr, np, dtype, n);
        }
    }
    for (; k < last; k++) {
        lean_step(job, w, r, k, sum, mr, np, dtype, 1);
    }
}

enum { LEAN_ROOM = 16 };

INLINE void lean(const gemm_job *job, int64_t r, int64_t p, const int mr, const int np, const mbk_dtype dtype) {
    const int n = mr * np * PV;
    float sums[LEAN_ROOM * VL] __attribute__((aligned(64)));
    vf sum[LEAN_ROOM];
    lean_sums(job, r, p, 0, !WHOLE || job->depth < WIDE_DEPTH ? job->depth : WIDE_DEPTH, sum, mr, np, dtype);
    UNROLL
    for (int i = 0; WHOLE && i < n; i++) {
        sum[i] = part_added(job, r + i / (np * PV), 0, sum[i], v_set(0.0f));
    }
    for (int64_t k = WIDE_DEPTH; WHOLE && k < job->depth; k += WIDE_DEPTH) {
        UNROLL
        for (int i = 0; i < n; i++) {
            v_store(sums + i * VL, sum[i]);
        }
        lean_sums(job, r, p, k, k + WIDE_DEPTH < job->depth ? k + WIDE_DEPTH : job->depth, sum, mr, np, dtype);
        UNROLL
        for (int i = 0; i < n; i++) {
            sum[i] = part_added(job, r + i / (np * PV), k / WIDE_DEPTH, sum[i], v_load(sums + i * VL));
        }
    }
    if ((p + np) * MBK_PANEL <= job->w->n_out) {
        finish_whole(job, r, p, sum, mr, np);
        return;
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        v_store(sums + i * VL, sum[i]);
    }
    finish(job, r, p, sums, mr, np * MBK_PANEL);
}

#if WHOLE
#define LEAN_OF(MR, NP)                                                                                                \
    static void lean_##MR##x##NP(const gemm_job *job, int64_t r, int64_t p) {                                          \
        lean(job, r, p, MR, NP, MBK_I8);                                                                               \
    }
#else
#define LEAN_OF(MR, NP)                                                                                                \
    static void lean_##MR##x##NP(const gemm_job *job, int64_t r, int64_t p) {                                          \
        switch (job->w->head.dtype) {                                                                                  \
        case MBK_BF16:                                                                                                 \
            lean(job, r, p, MR, NP, MBK_BF16);                                                                         \
            break;                                                                                                     \
        case MBK_I8:                                                                                                   \
            lean(job, r, p, MR, NP, MBK_I8);                                                                           \
            break;                                                                                                     \
        case MBK_F32:                                                                                                  \
        default:                                                                                                       \
            lean(job, r, p, MR, NP, HELD);                                                                             \
            break;                                                                                                     \
        }                                                                                                              \
    }
#endif
LEANS
#undef LEAN_OF

typedef void (*lean_fn)(const gemm_job *job, int64_t r, int64_t p);

/* By rows and the logarithm of the panels. Fewer rows have all that more rows have. */
static const lean_fn leans[LEAN_ROWS][4] = LEAN_TABLE;

static void lean_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    int64_t most = r1 - r0 < LEAN_ROWS ? r1 - r0 : LEAN_ROWS;
    for (int64_t p = p0; p < p1;) {
        int step = 3;
        while (!leans[most - 1][step] || p + (1 << step) > p1) {
            step--;
        }
        for (int64_t r = r0; r < r1; r += most) {
            leans[(r1 - r < most ? r1 - r : most) - 1][step](job, r, p);
        }
        p += 1 << step;
    }
}

static void vec_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    if (r1 - r0 <= LEAN_MOST) {
        lean_gemm(job, r0, r1, p0, p1);
        return;
    }
    if (WHOLE || job->w->head.dtype != HELD) {
        narrow_gemm(job, r0, r1, p0, p1);
        return;
    }
    /* The widest tile that still takes the rows at full height: few rows, many panels. */
    int wide = 3;
    while (wide > 0 && (tile_rows[wide] == 0 || (r1 - r0 > tile_rows[wide] && tile_rows[wide] < TILE_FULL))) {
        wide--;
    }
    const int64_t panel = job->depth * MBK_PANEL;
    for (int64_t p = p0; p < p1;) {
        int step = wide;
        while (p + (1 << step) > p1) {
            step--;
        }
        const float *w = (const float *)(const void *)job->w->data + p * panel;
        slab s = {job, w, panel, 0, job->depth, NULL, 0};
        columns(&s, r0, r1, p, 1 << step, tile_rows[step]);
        p += 1 << step;
    }
}
