/* attention_grad.c - gradients of causal attention: once over the rows, for the gradient of the queries, and once over
 * the keys, for those of keys and values, so that every sum has one owner and one order. */
#include <math.h>
#include <string.h>

#include "cpu/attention.h"

typedef struct grad_run {
    att_run base;
    const mbk_attention_grad_args *s;
    float *dq, *dk, *dv, *dcache_k, *dcache_v;
    const float *dy, *y, *saved;
    int64_t lddq, lddk, lddv, lddck, lddcv, lddy, ldy, lds;
    int64_t key_heads;
    /* Tiles of keys, as the blocks of rows that end in them; those of the cache before them. */
    int64_t cached_from, cached; /* position of the first, and how many */
} grad_run;

/* What a unit works on. */
typedef struct grad_room {
    float *kt, *vt, *one, *two; /* keys and values turned (P, TILE); (TILE, P) */
    float *s, *ds;              /* (TILE, TILE) */
    float *along;               /* TILE: g . y */
} grad_room;

static int64_t room_floats(int64_t p) {
    return (4 * TILE * p + 2 * TILE * TILE + TILE + 15) / 16 * 16;
}

static grad_room room_of(const att_run *run, int64_t unit) {
    float *at_ = run->scratch + (unit - run->u0) * run->room;
    grad_room r = {.kt = at_};
    r.vt = r.kt + TILE * run->p;
    r.one = r.vt + TILE * run->p;
    r.two = r.one + TILE * run->p;
    r.s = r.two + TILE * run->p;
    r.ds = r.s + TILE * TILE;
    r.along = r.ds + TILE * TILE;
    return r;
}

static void rows_along(const grad_run *g, const att_block *b, int64_t h, float *along) {
    const int64_t p = g->base.p;
    for (int64_t i = 0; i < b->rows; i++) {
        const float *dy = g->dy + (b->t0 + i) * g->lddy + h * p;
        const float *y = g->y + (b->t0 + i) * g->ldy + h * p;
        double sum = 0.0;
        for (int64_t c = 0; c < p; c++) {
            sum += (double)dy[c] * (double)y[c];
        }
        along[i] = (float)sum;
    }
}

/* The softmax (in s) and dS of the rows of a block against `count` keys of the tile at a; zeros where nothing is seen.
 */
static void weights(const grad_run *g, const att_block *b, const grad_room *r, int64_t h, int64_t a, int64_t count) {
    const att_run *run = &g->base;
    const int64_t p = run->p;
    att_product(run, r->s, TILE, run->q + b->t0 * run->ldq + h * p, run->ldq, 1, r->kt, TILE, b->rows, count, p, 0);
    att_product(run, r->ds, TILE, g->dy + b->t0 * g->lddy + h * p, g->lddy, 1, r->vt, TILE, b->rows, count, p, 0);
    for (int64_t i = 0; i < b->rows; i++) {
        float *s = r->s + i * TILE;
        float *ds = r->ds + i * TILE;
        const float lse = g->saved[(b->t0 + i) * g->lds + h];
        int64_t from;
        int64_t to;
        att_seen(run, a, b->x + i, &from, &to);
        from = from < count ? from : count;
        to = to < from ? from : to < count ? to : count;
        memset(s, 0, (size_t)from * sizeof(float));
        memset(ds, 0, (size_t)from * sizeof(float));
        for (int64_t j = from; j < to; j++) {
            s[j] = run->scale * s[j] - lse;
        }
        run->leaf->exp(s + from, s + from, to - from);
        for (int64_t j = from; j < to; j++) {
            ds[j] = run->scale * s[j] * (ds[j] - r->along[i]);
        }
        memset(s + to, 0, (size_t)(count - to) * sizeof(float));
        memset(ds + to, 0, (size_t)(count - to) * sizeof(float));
    }
}

/* --- over the rows ------------------------------------------------------------------------------------------------ */

static void query_range(void *arg, int64_t from, int64_t to) {
    const grad_run *g = arg;
    const att_run *run = &g->base;
    const int64_t p = run->p;
    for (int64_t u = run->u0 + from; u < run->u0 + to; u++) {
        const att_block *b = &run->block[u / run->heads];
        const int64_t h = u % run->heads;
        const int64_t col = h / run->each * p;
        const grad_room r = room_of(run, u);
        float *dq = g->dq + b->t0 * g->lddq + h * p;
        rows_along(g, b, h, r.along);
        for (int64_t i = 0; i < b->rows; i++) {
            memset(dq + i * g->lddq, 0, (size_t)p * sizeof(float));
        }
        for (int64_t a = att_first(run, b->x); a < b->x + b->rows; a += TILE) {
            const int64_t count = att_count(b, a);
            mbk_att_turn(run, b, a, count, run->k, run->ldk, run->cache_k, run->ldck, col, r.kt);
            mbk_att_turn(run, b, a, count, run->v, run->ldv, run->cache_v, run->ldcv, col, r.vt);
            mbk_att_gather(run, b, a, count, run->k, run->ldk, run->cache_k, run->ldck, col, r.one);
            weights(g, b, &r, h, a, count);
            att_product(run, dq, g->lddq, r.ds, TILE, 1, r.one, p, b->rows, p, count, 1);
        }
    }
}

/* --- over the keys ------------------------------------------------------------------------------------------------ */

/* The gradients of the `count` keys and values at position a on, of the sequence of `of`, for one key head: over its
 * heads, and for each over the rows that see them. */
static void key_tile(const grad_run *g, const att_block *of, const grad_room *r, int64_t key_head, int64_t a,
                     int64_t count) {
    const att_run *run = &g->base;
    const int64_t p = run->p;
    const int64_t col = key_head * p;
    const int64_t begin = of->origin < 0 ? -of->origin : 0; /* position of the sequence's first row in the call */
    int64_t end = of->end - of->origin;
    if (run->window > 0 && a + count - 1 + run->window < end) {
        end = a + count - 1 + run->window;
    }
    mbk_att_turn(run, of, a, count, run->k, run->ldk, run->cache_k, run->ldck, col, r->kt);
    mbk_att_turn(run, of, a, count, run->v, run->ldv, run->cache_v, run->ldcv, col, r->vt);
    memset(r->one, 0, (size_t)(count * p) * sizeof(float));
    memset(r->two, 0, (size_t)(count * p) * sizeof(float));
    for (int64_t h = key_head * run->each; h < (key_head + 1) * run->each; h++) {
        for (int64_t x = a > begin ? a : begin, rows; x < end; x += rows) {
            rows = TILE - x % TILE < end - x ? TILE - x % TILE : end - x;
            const att_block b = {of->origin + x, rows, x, of->origin, of->end};
            rows_along(g, &b, h, r->along);
            weights(g, &b, r, h, a, count);
            att_product(run, r->two, p, r->s, 1, TILE, g->dy + b.t0 * g->lddy + h * p, g->lddy, count, p, rows, 1);
            att_product(run, r->one, p, r->ds, 1, TILE, run->q + b.t0 * run->ldq + h * p, run->ldq, count, p, rows, 1);
        }
    }
}

static void add_row(float *to, const float *from, int64_t n) {
    for (int64_t c = 0; c < n; c++) {
        to[c] += from[c];
    }
}

/* What a tile gave to where its rows are: of the call, or of the cache. Positions that the call does not see share rows
 * of the cache with those that it sees. */
static void leave_tile(const grad_run *g, const att_block *of, const grad_room *r, int64_t key_head, int64_t a,
                       int64_t count) {
    const int64_t p = g->base.p;
    for (int64_t j = 0; j < count; j++) {
        const int64_t t = of->origin + a + j;
        const int64_t slot = (a + j) % g->base.capacity;
        if (t < 0 && g->base.window > 0 && a + j <= g->base.position - g->base.window) {
            continue;
        }
        add_row((t >= 0 ? g->dk + t * g->lddk : g->dcache_k + slot * g->lddck) + key_head * p, r->one + j * p, p);
        add_row((t >= 0 ? g->dv + t * g->lddv : g->dcache_v + slot * g->lddcv) + key_head * p, r->two + j * p, p);
    }
}

static void key_range(void *arg, int64_t from, int64_t to) {
    const grad_run *g = arg;
    const att_run *run = &g->base;
    for (int64_t u = run->u0 + from; u < run->u0 + to; u++) {
        const att_block *of = &run->block[u / g->key_heads];
        const int64_t a = of->x / TILE * TILE;
        const int64_t left = att_count(of, a);
        const grad_room r = room_of(run, u);
        key_tile(g, of, &r, u % g->key_heads, a, left);
        leave_tile(g, of, &r, u % g->key_heads, a, left);
    }
}

/* Tiles that lie in the cache, all of them before the call's first row. */
static void cached_range(void *arg, int64_t from, int64_t to) {
    const grad_run *g = arg;
    const att_run *run = &g->base;
    const att_block of = {0, 0, 0, -run->position, piece_to(&run->cut, 0, run->rows)};
    for (int64_t u = run->u0 + from; u < run->u0 + to; u++) {
        const int64_t a = g->cached_from + u / g->key_heads * TILE;
        const grad_room r = room_of(run, u);
        key_tile(g, &of, &r, u % g->key_heads, a, TILE);
        leave_tile(g, &of, &r, u % g->key_heads, a, TILE);
    }
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

/* The gradients of the call's keys or values begin with what later calls gave to those that the cache got; the cache's
 * own begin with what was not the call's. */
static void begin_rows(const grad_run *g, float *d, int64_t ld, float *dcache, int64_t ldc, int64_t cols) {
    const att_run *run = &g->base;
    const int64_t origin = run->cut.n ? piece_from(&run->cut, run->cut.n) : -run->position;
    const int64_t begin = run->cut.n ? origin : 0;
    const int64_t first = run->rows - begin < run->capacity ? begin : run->rows - run->capacity;
    for (int64_t t = 0; t < run->rows; t++) {
        if (dcache && t >= first) {
            float *slot = dcache + (t - origin) % run->capacity * ldc;
            memcpy(d + t * ld, slot, (size_t)cols * sizeof(float));
            memset(slot, 0, (size_t)cols * sizeof(float));
        } else {
            memset(d + t * ld, 0, (size_t)cols * sizeof(float));
        }
    }
    for (int64_t r = 0; dcache && run->cut.n && r < run->capacity; r++) {
        memset(dcache + r * ldc, 0, (size_t)cols * sizeof(float));
    }
}

static grad_run run_of(const cpu_ctx *cpu, const mbk_attention_grad_args *s) {
    const int64_t p = s->q.cols / s->heads;
    return (grad_run){
        .base = {.leaf = &cpu->leaf,
                 .q = at(&s->q),
                 .k = at(&s->k),
                 .v = at(&s->v),
                 .cache_k = at(&s->cache_k),
                 .cache_v = at(&s->cache_v),
                 .ldq = s->q.ld,
                 .ldk = s->k.ld,
                 .ldv = s->v.ld,
                 .ldck = s->cache_k.ld,
                 .ldcv = s->cache_v.ld,
                 .rows = s->q.rows,
                 .heads = s->heads,
                 .each = s->heads / s->key_heads,
                 .p = p,
                 .window = s->window,
                 .capacity = s->cache_k.buf ? s->cache_k.rows : 1,
                 .position = s->position,
                 .scale = s->scale,
                 .cut = pieces_of(s->starts, s->q.rows),
                 .scratch = cpu->scratch,
                 .room = room_floats(p)},
        .s = s,
        .dq = at(&s->dq),
        .dk = at(&s->dk),
        .dv = at(&s->dv),
        .dcache_k = at(&s->dcache_k),
        .dcache_v = at(&s->dcache_v),
        .dy = at(&s->dy),
        .y = at(&s->y),
        .saved = at(&s->saved),
        .lddq = s->dq.ld,
        .lddk = s->dk.ld,
        .lddv = s->dv.ld,
        .lddck = s->dcache_k.ld,
        .lddcv = s->dcache_v.ld,
        .lddy = s->dy.ld,
        .ldy = s->y.ld,
        .lds = s->saved.ld,
        .key_heads = s->key_heads,
    };
}

/* `units` of fn, so many at a time as there is room for. */
static void work_off(cpu_ctx *cpu, grad_run *g, int64_t units, int64_t work, range_fn fn) {
    const int64_t fit = ATTENTION_ROOM / g->base.room;
    for (g->base.u0 = 0; g->base.u0 < units; g->base.u0 += fit) {
        const int64_t n = units - g->base.u0 < fit ? units - g->base.u0 : fit;
        mbk_ranges(cpu, n, 1, n * work, fn, g);
    }
}

static void over_rows_and_keys(cpu_ctx *cpu, grad_run *g) {
    att_run *run = &g->base;
    const int64_t cols = run->p * g->key_heads;
    const int64_t work = TILE * TILE * run->p / 8;
    begin_rows(g, g->dk, g->lddk, g->dcache_k, g->lddck, cols);
    begin_rows(g, g->dv, g->lddv, g->dcache_v, g->lddcv, cols);
    for (att_cursor c = {0, 0}; mbk_att_next(run, &c);) {
        const att_block *last = &run->block[run->n_blocks - 1];
        const int64_t tiles = (last->x - att_first(run, last->x)) / TILE + 1;
        work_off(cpu, g, run->n_blocks * run->heads, tiles * work, query_range);
        work_off(cpu, g, run->n_blocks * g->key_heads, tiles * run->each * work, key_range);
    }
    if (piece_to(&run->cut, 0, run->rows) > 0) { /* the first sequence has rows here: they may have seen the cache */
        g->cached_from = att_first(run, run->position);
        g->cached = run->position / TILE - g->cached_from / TILE;
        work_off(cpu, g, g->cached * g->key_heads, run->each * work, cached_range);
    }
}

static mbk_status attention_grad(mbk_ctx *ctx, const mbk_attention_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    if (s->q.rows <= 0) {
        return MBS_OK;
    }
    grad_run g = run_of(cpu, s);
    assert(s->dq.cols == s->q.cols && s->dk.cols == s->k.cols && s->dv.cols == s->v.cols && s->dy.cols == s->q.cols);
    assert(s->saved.buf && s->saved.cols == s->heads && (s->cache_k.buf != NULL) == (s->dcache_k.buf != NULL));
    if (!MBK_ATTENTION_FITS(g.base.p)) {
        return MBS_ERR_MEMORY;
    }
    over_rows_and_keys(cpu, &g);
    att_turning turning = {g.dq,
                           g.lddq,
                           s->heads,
                           g.base.p,
                           s->rotary,
                           s->position,
                           s->rotary_base,
                           s->interleaved,
                           1,
                           &g.base.cut,
                           (double *)(void *)cpu->scratch};
    mbk_att_rotate(cpu, &turning, g.base.rows);
    turning.rows = g.dk;
    turning.ld = g.lddk;
    turning.heads = s->key_heads;
    mbk_att_rotate(cpu, &turning, g.base.rows);
    return MBS_OK;
}

void mbk_attention_grad_ops(mbk_ops *ops) {
    ops->attention_grad = attention_grad;
}
