/* attention.h - what the forward and the backward pass of attention share: the rows of a call in blocks at absolute
 * positions, and the scores of a block against a tile of keys. attention.c and attention_grad.c include it. */
#ifndef MBK_CPU_ATTENTION_H
#define MBK_CPU_ATTENTION_H

#include "cpu/cpu.h"
#include "cpu/pieces.h"

#define TILE ((int64_t)MBK_ATTENTION_TILE)
/* Floats of a context's scratch, which holds at least so many. */
#define ATTENTION_ROOM ((int64_t)1 << 19)
/* Blocks looked at together at most. */
#define ATTENTION_BLOCKS 32

/* Rows [t0, t0 + rows) of the call, at the positions from `x` on of the sequence whose position 0 would be row `origin`
 * (below 0: in an earlier call) and which ends before row `end`. They lie in one tile. */
typedef struct att_block {
    int64_t t0, rows, x, origin, end;
} att_block;

typedef struct att_run {
    const mbk_leaf *leaf;
    const float *q, *k, *v, *cache_k, *cache_v;
    int64_t ldq, ldk, ldv, ldck, ldcv;
    int64_t rows, heads, each, p, window, capacity, position;
    float scale;
    pieces cut;
    float *scratch;
    int64_t room; /* floats of a unit of work */
    att_block block[ATTENTION_BLOCKS];
    int64_t n_blocks;
    int64_t u0; /* the first unit of those that are worked on */
} att_run;

/* Where the blocks go on: before row t of sequence `piece`. */
typedef struct att_cursor {
    int64_t piece, t;
} att_cursor;

/* The next blocks; 0: there are no more. */
int mbk_att_next(att_run *run, att_cursor *at_);
/* Key or value row of a position. */
static inline const float *att_row(const att_run *run, const att_block *b, int64_t x, const float *rows, int64_t ld,
                                   const float *cache, int64_t ldc) {
    const int64_t t = b->origin + x;
    return t >= 0 ? rows + t * ld : cache + x % run->capacity * ldc;
}
/* The positions [*from, *to) of the tile that begins at `a` which position x sees, counted from a; none: *to <= *from.
 */
static inline void att_seen(const att_run *run, int64_t a, int64_t x, int64_t *from, int64_t *to) {
    const int64_t first = run->window > 0 && x - run->window + 1 > a ? x - run->window + 1 - a : 0;
    *from = first;
    *to = x + 1 - a < TILE ? x + 1 - a : TILE;
}
/* How many positions of the tile that begins at `a` a block's last row can see. */
static inline int64_t att_count(const att_block *b, int64_t a) {
    const int64_t last = b->x + b->rows - a;
    return last < TILE ? last : TILE;
}
/* The tile that the first position which a row at x sees lies in. */
static inline int64_t att_first(const att_run *run, int64_t x) {
    return run->window > 0 && x >= run->window ? (x - run->window + 1) / TILE * TILE : 0;
}
/* to (P, TILE) = `count` rows from position a on, turned; or as they are, (TILE, P). */
void mbk_att_turn(const att_run *run, const att_block *b, int64_t a, int64_t count, const float *rows, int64_t ld,
                  const float *cache, int64_t ldc, int64_t col, float *to);
void mbk_att_gather(const att_run *run, const att_block *b, int64_t a, int64_t count, const float *rows, int64_t ld,
                    const float *cache, int64_t ldc, int64_t col, float *to);
/* Rotates `heads` heads of every row in place; back: by the angle's negative. */
typedef struct att_turning {
    float *rows;
    int64_t ld, heads, p, rotary, position;
    double base;
    int32_t interleaved, back;
    const pieces *cut;
    double *rate; /* rotary / 2 */
} att_turning;
void mbk_att_rotate(cpu_ctx *cpu, att_turning *turning, int64_t rows);

static inline void att_product(const att_run *run, float *out, int64_t ldo, const float *l, int64_t li, int64_t lt,
                               const float *r, int64_t ldr, int64_t m, int64_t n, int64_t k, int accumulate) {
    product_job job = {out, l, r, ldo, li, lt, ldr, m, n, k, accumulate};
    run->leaf->product(&job);
}

#endif
