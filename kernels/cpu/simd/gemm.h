/*
 * gemm.h - the matrix product of a vector level. Include after its vec.h, with TILES defined as the list of its
 * register tiles X(rows, panels), and TILE_ROWS as the most rows that one has for 1, 2, 4 and 8 panels (0: none).
 *
 * Each output has one chain of fused multiply-adds over k in index order, whatever the tile, so that a row's bits do
 * not depend on the rows beside it.
 */
#define PV (MBK_PANEL / VL) /* vectors a panel */

/* Adds bias and the old y, in this order, and stores the live outputs of a tile. */
static void finish(const gemm_job *job, int64_t r, int64_t p, const float *sums, int rows, int width) {
    int64_t first = p * MBK_PANEL;
    int64_t end = job->n_out - first < width ? job->n_out - first : width;
    for (int i = 0; i < rows; i++) {
        float *y = job->y + (r + i) * job->ldy + first;
        const float *sum = sums + i * width;
        int64_t j = 0;
        for (; j + VL <= end; j += VL) {
            vf v = v_load(sum + j);
            v = job->bias ? v_add(v, v_load(job->bias + first + j)) : v;
            v_store(y + j, job->accumulate ? v_add(v, v_load(y + j)) : v);
        }
        if (j < end) {
            vm m = v_mask(end - j);
            vf v = v_load(sum + j);
            v = job->bias ? v_add(v, v_load_some(job->bias + first + j, m)) : v;
            v_store_some(y + j, m, job->accumulate ? v_add(v, v_load_some(y + j, m)) : v);
        }
    }
}

/* Rows [r, r + mr) of panels [p, p + np). mr and np are constants in every caller. */
static inline __attribute__((always_inline)) void tile(const gemm_job *job, int64_t r, int64_t p, const int mr,
                                                       const int np) {
    enum { ROOM = 32 };
    const int nv = np * PV;
    vf sum[ROOM];
    UNROLL
    for (int i = 0; i < mr * nv; i++) {
        sum[i] = v_set(0.0f);
    }
    const int64_t ld = job->ldx;
    const int64_t panel = job->n_in * MBK_PANEL;
    const float *w = job->w + p * panel;
    /* One pointer for three rows: base, base + ld, base + 2 ld are all addressing modes. */
    const float *x[ROOM / 3];
    UNROLL
    for (int i = 0; i < (mr + 2) / 3; i++) {
        x[i] = job->x + (r + 3 * i) * ld;
    }
    for (int64_t k = 0; k < job->n_in; k++) {
        vf b[ROOM / 2];
        UNROLL
        for (int j = 0; j < nv; j++) {
            b[j] = v_load(w + (j / PV) * panel + (j % PV) * VL);
        }
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf a = v_set(x[i / 3][(i % 3) * ld]);
            UNROLL
            for (int j = 0; j < nv; j++) {
                sum[i * nv + j] = v_fma(a, b[j], sum[i * nv + j]);
            }
        }
        w += MBK_PANEL;
        UNROLL
        for (int i = 0; i < (mr + 2) / 3; i++) {
            x[i]++;
        }
    }
    if (!job->bias && !job->accumulate && (p + np) * MBK_PANEL <= job->n_out) {
        UNROLL
        for (int i = 0; i < mr; i++) {
            UNROLL
            for (int j = 0; j < nv; j++) {
                v_store(job->y + (r + i) * job->ldy + p * MBK_PANEL + j * VL, sum[i * nv + j]);
            }
        }
        return;
    }
    float sums[ROOM * VL] __attribute__((aligned(64)));
    UNROLL
    for (int i = 0; i < mr * nv; i++) {
        v_store(sums + i * VL, sum[i]);
    }
    finish(job, r, p, sums, mr, np * MBK_PANEL);
}

#define X(MR, NP)                                                                                                      \
    static void tile_##MR##x##NP(const gemm_job *job, int64_t r, int64_t p) {                                          \
        tile(job, r, p, MR, NP);                                                                                       \
    }
TILES
#undef X

typedef void (*tile_fn)(const gemm_job *job, int64_t r, int64_t p);

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
static void columns(const gemm_job *job, int64_t r0, int64_t r1, int64_t p, int64_t np, int64_t most) {
    int64_t left = (r1 - r0 + most - 1) / most;
    for (int64_t r = r0; r < r1; left--) {
        int64_t mr = (r1 - r + left - 1) / left;
        tile_for(mr, np)(job, r, p);
        r += mr;
    }
}

static void vec_gemm(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1) {
    /* The widest tile that still takes the rows at full height: few rows, many panels. */
    int wide = 3;
    while (wide > 0 && (tile_rows[wide] == 0 || (r1 - r0 > tile_rows[wide] && tile_rows[wide] < TILE_FULL))) {
        wide--;
    }
    for (int64_t p = p0; p < p1;) {
        int step = wide;
        while (p + (1 << step) > p1) {
            step--;
        }
        columns(job, r0, r1, p, 1 << step, tile_rows[step]);
        p += 1 << step;
    }
}
