/* attention.c - causal attention: blocks of rows and heads side by side, each over tiles of keys at absolute positions,
 * so that where the rows of a sequence are cut into calls changes nothing. The products are the level's. */
#include <math.h>
#include <string.h>

#include "cpu/attention.h"
#include "ref/math.h"

int mbk_att_next(att_run *run, att_cursor *c) {
    run->n_blocks = 0;
    while (c->piece <= run->cut.n && run->n_blocks < ATTENTION_BLOCKS) {
        const int64_t end = piece_to(&run->cut, c->piece, run->rows);
        if (c->t >= end) {
            c->piece++;
            continue;
        }
        const int64_t origin = c->piece == 0 ? -run->position : piece_from(&run->cut, c->piece);
        const int64_t x = c->t - origin;
        const int64_t left = TILE - x % TILE;
        const int64_t rows = end - c->t < left ? end - c->t : left;
        run->block[run->n_blocks++] = (att_block){c->t, rows, x, origin, end};
        c->t += rows;
    }
    return run->n_blocks > 0;
}

void mbk_att_turn(const att_run *run, const att_block *b, int64_t a, int64_t count, const float *rows, int64_t ld,
                  const float *cache, int64_t ldc, int64_t col, float *to) {
    for (int64_t j = 0; j < count; j++) {
        const float *from = att_row(run, b, a + j, rows, ld, cache, ldc) + col;
        for (int64_t c = 0; c < run->p; c++) {
            to[c * TILE + j] = from[c];
        }
    }
}

void mbk_att_gather(const att_run *run, const att_block *b, int64_t a, int64_t count, const float *rows, int64_t ld,
                    const float *cache, int64_t ldc, int64_t col, float *to) {
    for (int64_t j = 0; j < count; j++) {
        memcpy(to + j * run->p, att_row(run, b, a + j, rows, ld, cache, ldc) + col, (size_t)run->p * sizeof(float));
    }
}

/* --- rotation ----------------------------------------------------------------------------------------------------- */

static void rotate_range(void *arg, int64_t from, int64_t to) {
    const att_turning *w = arg;
    const int64_t half = w->rotary / 2;
    for (int64_t t = from; t < to; t++) {
        const int64_t piece = piece_of(w->cut, t);
        const int64_t x = piece == 0 ? w->position + t : t - piece_from(w->cut, piece);
        for (int64_t i = 0; i < half; i++) {
            const double angle = (double)x * w->rate[i];
            const float c = (float)cos(angle);
            const float s = w->back ? -(float)sin(angle) : (float)sin(angle);
            float *first = w->rows + t * w->ld + (w->interleaved ? 2 * i : i);
            float *second = first + (w->interleaved ? 1 : half);
            for (int64_t h = 0; h < w->heads; h++) {
                const float a = first[h * w->p];
                const float b = second[h * w->p];
                first[h * w->p] = a * c - b * s;
                second[h * w->p] = b * c + a * s;
            }
        }
    }
}

void mbk_att_rotate(cpu_ctx *cpu, att_turning *w, int64_t rows) {
    for (int64_t i = 0; i < w->rotary / 2; i++) {
        w->rate[i] = pow(w->base, -2.0 * (double)i / (double)w->rotary);
    }
    if (w->rotary > 0) {
        mbk_ranges(cpu, rows, 8, rows * w->rotary * (w->heads + 8) / 4, rotate_range, w);
    }
}

/* --- one block of rows of one head -------------------------------------------------------------------------------- */

typedef struct forward_run {
    att_run base;
    float *y, *saved;
    int64_t ldy, lds;
} forward_run;

/* What a unit works on. */
typedef struct forward_room {
    float *kt, *v, *s, *acc; /* (P, TILE), (TILE, P), (TILE, TILE), (TILE, P) */
    float *most, *sum;       /* TILE */
} forward_room;

static int64_t room_floats(int64_t p) {
    return (3 * TILE * p + TILE * TILE + 2 * TILE + 15) / 16 * 16;
}

static forward_room room_of(const att_run *run, int64_t unit) {
    float *at_ = run->scratch + (unit - run->u0) * run->room;
    forward_room r = {.kt = at_};
    r.v = r.kt + TILE * run->p;
    r.acc = r.v + TILE * run->p;
    r.s = r.acc + TILE * run->p;
    r.most = r.s + TILE * TILE;
    r.sum = r.most + TILE;
    return r;
}

/* Eight chains, each over every eighth number, then these in order. */
static float sum_of(const float *x, int64_t n) {
    float part[8] = {0};
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        for (int k = 0; k < 8; k++) {
            part[k] += x[j + k];
        }
    }
    for (int k = 0; j + k < n; k++) {
        part[k] += x[j + k];
    }
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* Row i's scores become weights; what the row has so far is scaled to the new largest score. */
static void row_weights(const att_run *run, const forward_room *r, int64_t i, int64_t from, int64_t to) {
    float *s = r->s + i * TILE;
    float most = r->most[i];
    for (int64_t j = from; j < to; j++) {
        s[j] *= run->scale;
        most = s[j] > most ? s[j] : most;
    }
    if (most > r->most[i]) {
        const float back = (float)exp_double((double)r->most[i] - (double)most);
        r->sum[i] *= back;
        for (int64_t c = 0; c < run->p; c++) {
            r->acc[i * run->p + c] *= back;
        }
        r->most[i] = most;
    }
    for (int64_t j = from; j < to; j++) {
        s[j] -= most;
    }
    run->leaf->exp(s + from, s + from, to - from);
    r->sum[i] += sum_of(s + from, to - from);
}

static void tile_of_keys(const att_run *run, const att_block *b, const forward_room *r, int64_t h, int64_t a) {
    const int64_t p = run->p;
    const int64_t count = att_count(b, a);
    const int64_t col = h / run->each * p;
    int all = 1; /* every row sees the whole tile */
    mbk_att_turn(run, b, a, count, run->k, run->ldk, run->cache_k, run->ldck, col, r->kt);
    mbk_att_gather(run, b, a, count, run->v, run->ldv, run->cache_v, run->ldcv, col, r->v);
    att_product(run, r->s, TILE, run->q + b->t0 * run->ldq + h * p, run->ldq, 1, r->kt, TILE, b->rows, count, p, 0);
    for (int64_t i = 0; i < b->rows; i++) {
        int64_t from;
        int64_t to;
        att_seen(run, a, b->x + i, &from, &to);
        all = all && from == 0 && to == TILE;
        if (from < to) {
            row_weights(run, r, i, from, to);
        }
    }
    if (all) {
        att_product(run, r->acc, p, r->s, TILE, 1, r->v, p, b->rows, p, TILE, 1);
        return;
    }
    for (int64_t i = 0; i < b->rows; i++) {
        int64_t from;
        int64_t to;
        att_seen(run, a, b->x + i, &from, &to);
        if (from < to) {
            att_product(run, r->acc + i * p, p, r->s + i * TILE + from, TILE, 1, r->v + from * p, p, 1, p, to - from,
                        1);
        }
    }
}

static void unit_range(void *arg, int64_t from, int64_t to) {
    const forward_run *f = arg;
    const att_run *run = &f->base;
    for (int64_t u = run->u0 + from; u < run->u0 + to; u++) {
        const att_block *b = &run->block[u / run->heads];
        const int64_t h = u % run->heads;
        const forward_room r = room_of(run, u);
        memset(r.acc, 0, (size_t)(b->rows * run->p) * sizeof(float));
        for (int64_t i = 0; i < b->rows; i++) {
            r.most[i] = -INFINITY;
            r.sum[i] = 0.0f;
        }
        for (int64_t a = att_first(run, b->x); a < b->x + b->rows; a += TILE) {
            tile_of_keys(run, b, &r, h, a);
        }
        for (int64_t i = 0; i < b->rows; i++) {
            float *y = f->y + (b->t0 + i) * f->ldy + h * run->p;
            for (int64_t c = 0; c < run->p; c++) {
                y[c] = r.acc[i * run->p + c] / r.sum[i];
            }
            if (f->saved) {
                f->saved[(b->t0 + i) * f->lds + h] = (float)((double)r.most[i] + log_double((double)r.sum[i]));
            }
        }
    }
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

/* The last rows of the call's last sequence, as many as the cache holds. */
static void append(const att_run *run, float *cache, int64_t ldc, const float *rows, int64_t ld, int64_t cols) {
    const int64_t origin = run->cut.n ? piece_from(&run->cut, run->cut.n) : -run->position;
    const int64_t begin = run->cut.n ? origin : 0;
    const int64_t from = run->rows - begin < run->capacity ? begin : run->rows - run->capacity;
    for (int64_t t = from; t < run->rows; t++) {
        memcpy(cache + (t - origin) % run->capacity * ldc, rows + t * ld, (size_t)cols * sizeof(float));
    }
}

static void check_args(const mbk_attention_args *s) {
    const int64_t rows = s->q.rows;
    assert(s->heads >= 1 && s->key_heads >= 1 && s->heads % s->key_heads == 0 && s->q.cols % s->heads == 0);
    assert(s->k.cols == s->q.cols / s->heads * s->key_heads && s->v.cols == s->k.cols && s->y.cols == s->q.cols);
    assert(s->y.rows == rows && s->k.rows == rows && s->v.rows == rows && s->position >= 0 && s->window >= 0);
    assert(s->rotary >= 0 && s->rotary % 2 == 0 && s->rotary <= s->q.cols / s->heads);
    assert(!s->saved.buf || (s->saved.rows == rows && s->saved.cols == s->heads));
    assert((s->cache_k.buf != NULL) == (s->cache_v.buf != NULL) && (s->position == 0 || s->cache_k.buf));
    assert(!s->cache_k.buf || (s->cache_k.cols == s->k.cols && s->cache_v.cols == s->v.cols &&
                               s->cache_k.rows == s->cache_v.rows && s->cache_k.rows >= 1));
    (void)rows;
    (void)s;
}

static att_run run_of(const cpu_ctx *cpu, const mbk_attention_args *s) {
    return (att_run){
        .leaf = &cpu->leaf,
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
        .p = s->q.cols / s->heads,
        .window = s->window,
        .capacity = s->cache_k.buf ? s->cache_k.rows : 1,
        .position = s->position,
        .scale = s->scale,
        .cut = pieces_of(s->starts, s->q.rows),
        .scratch = cpu->scratch,
        .room = room_floats(s->q.cols / s->heads),
    };
}

static mbk_status attention(mbk_ctx *ctx, const mbk_attention_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    check_args(s);
    if (s->q.rows <= 0) {
        return MBS_OK;
    }
    forward_run f = {
        .base = run_of(cpu, s), .y = at(&s->y), .ldy = s->y.ld, .saved = at(&s->saved), .lds = s->saved.ld};
    att_run *run = &f.base;
    if (!MBK_ATTENTION_FITS(run->p)) {
        return MBS_ERR_MEMORY;
    }
    att_turning turning = {at(&s->q),
                           s->q.ld,
                           s->heads,
                           run->p,
                           s->rotary,
                           s->position,
                           s->rotary_base,
                           s->interleaved,
                           0,
                           &run->cut,
                           (double *)(void *)cpu->scratch};
    mbk_att_rotate(cpu, &turning, run->rows);
    turning.rows = at(&s->k);
    turning.ld = s->k.ld;
    turning.heads = s->key_heads;
    mbk_att_rotate(cpu, &turning, run->rows);
    const int64_t fit = ATTENTION_ROOM / run->room;
    for (att_cursor c = {0, 0}; mbk_att_next(run, &c);) {
        const int64_t units = run->n_blocks * run->heads;
        for (run->u0 = 0; run->u0 < units; run->u0 += fit) {
            const int64_t n = units - run->u0 < fit ? units - run->u0 : fit;
            const att_block *last = &run->block[run->n_blocks - 1];
            mbk_ranges(cpu, n, 1, n * last->rows * (last->x + TILE - att_first(run, last->x)) * run->p / 8, unit_range,
                       &f);
        }
    }
    if (s->cache_k.buf) {
        append(run, at(&s->cache_k), s->cache_k.ld, run->k, run->ldk, s->k.cols);
        append(run, at(&s->cache_v), s->cache_v.ld, run->v, run->ldv, s->v.cols);
    }
    return MBS_OK;
}

void mbk_attention_ops(mbk_ops *ops) {
    ops->attention = attention;
}
