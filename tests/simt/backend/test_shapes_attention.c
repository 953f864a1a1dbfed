/* Attention of random shapes, forward and backward, beside ref (shapes.h). */
#include "simt/backend/shapes.h"
#include "support/test.h"

typedef struct att_shape {
    int64_t rows, heads, key_heads, p, window, rotary, position, held;
    int interleaved;
    float scale;
} att_shape;

enum { QUERY, KEY, VALUE, DY, CACHE_K, CACHE_V, DCACHE_K, DCACHE_V, Y, LOG, DQ, DK, DV, BEFORE_K, BEFORE_V };

static int64_t position(const shapes_call *c) {
    const att_shape *s = c->shape;
    return c->begun < 0 ? s->position + c->from : c->from - c->begun;
}

static mbk_mat before(const shapes_call *c, int index) {
    const att_shape *s = c->shape;
    return s->held ? kit_rows(&c->m[index], c->piece * s->held, (c->piece + 1) * s->held) : kit_none;
}

static void forward(const shapes_call *c) {
    const att_shape *s = c->shape;
    for (int i = 0; s->held && i < 2; i++) {
        CHECK_INT(c->ctx->ops->copy(c->ctx, before(c, BEFORE_K + i), c->m[CACHE_K + i].m), 0);
    }
    mbk_attention_args a = {.y = shapes_rows(c, Y),
                            .q = shapes_rows(c, QUERY),
                            .k = shapes_rows(c, KEY),
                            .v = shapes_rows(c, VALUE),
                            .cache_k = shapes_maybe(c, CACHE_K, s->held > 0),
                            .cache_v = shapes_maybe(c, CACHE_V, s->held > 0),
                            .saved = shapes_rows(c, LOG),
                            .heads = s->heads,
                            .key_heads = s->key_heads,
                            .position = position(c),
                            .window = s->window,
                            .rotary = s->rotary,
                            .rotary_base = 10000,
                            .interleaved = s->interleaved,
                            .scale = s->scale,
                            .starts = c->starts};
    CHECK_INT(c->ctx->ops->attention(c->ctx, &a), 0);
}

static void back(const shapes_call *c) {
    const att_shape *s = c->shape;
    mbk_attention_grad_args a = {.dq = shapes_rows(c, DQ),
                                 .dk = shapes_rows(c, DK),
                                 .dv = shapes_rows(c, DV),
                                 .dcache_k = shapes_maybe(c, DCACHE_K, s->held > 0),
                                 .dcache_v = shapes_maybe(c, DCACHE_V, s->held > 0),
                                 .dy = shapes_rows(c, DY),
                                 .y = shapes_rows(c, Y),
                                 .q = shapes_rows(c, QUERY),
                                 .k = shapes_rows(c, KEY),
                                 .v = shapes_rows(c, VALUE),
                                 .cache_k = before(c, BEFORE_K),
                                 .cache_v = before(c, BEFORE_V),
                                 .saved = shapes_rows(c, LOG),
                                 .heads = s->heads,
                                 .key_heads = s->key_heads,
                                 .position = position(c),
                                 .window = s->window,
                                 .rotary = s->rotary,
                                 .rotary_base = 10000,
                                 .interleaved = s->interleaved,
                                 .scale = s->scale,
                                 .starts = c->starts};
    CHECK_INT(c->ctx->ops->attention_grad(c->ctx, &a), 0);
}

static void try(const att_shape *s) {
    const int64_t rows = s->rows;
    const int64_t cols = s->heads * s->p;
    const int64_t keys = s->key_heads * s->p;
    shapes_trial t = {.shape = s, .rows = rows, .uncut = !s->held, .forward = forward, .back = back};
    snprintf(t.what, sizeof t.what, "attention L=%ld H=%ld K=%ld P=%ld from %ld, window %ld, cache %ld, rotary %ld%s",
             (long)rows, (long)s->heads, (long)s->key_heads, (long)s->p, (long)s->position, (long)s->window,
             (long)s->held, (long)s->rotary, s->interleaved ? " in pairs" : "");
    shapes_draw_starts(&t);
    /* Of the cache, what the last sequence has put there, and what the first one sees. */
    const int64_t held = t.n_starts ? rows - t.starts[t.n_starts - 1] : s->position + rows;
    const int64_t last = held < s->held ? held : 0;
    const int64_t first = s->position < s->held ? s->position : 0;
    const double dcache = s->position > 0 ? 1e-5 : (double)INFINITY;
    const shapes_tensor tensors[] = {
        [QUERY] = {"q", SHAPES_INOUT, rows, cols, -2, 2, 3e-6, 1, 0},
        [KEY] = {"k", SHAPES_INOUT, rows, keys, -2, 2, 3e-6, 1, 0},
        [VALUE] = {"v", SHAPES_IN, rows, keys, -1, 1, 0, 0, 0},
        [DY] = {"dy", SHAPES_IN, rows, cols, -1, 1, 0, 0, 0},
        [CACHE_K] = {"cache of k", SHAPES_INOUT, s->held, keys, -2, 2, 3e-6, 1, 0, last},
        [CACHE_V] = {"cache of v", SHAPES_INOUT, s->held, keys, -1, 1, 0, 0, 0, last},
        [DCACHE_K] = {"dcache of k", SHAPES_INOUT, s->held, keys, -1, 1, dcache, 1, 1, first},
        [DCACHE_V] = {"dcache of v", SHAPES_INOUT, s->held, keys, -1, 1, dcache, 1, 1, first},
        [Y] = {"y", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [LOG] = {"log of sums", SHAPES_OUT, rows, s->heads, 0, 0, 3e-6, 1, 0},
        [DQ] = {"dq", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [DK] = {"dk", SHAPES_OUT, rows, keys, 0, 0, 1e-5, 1, 1},
        [DV] = {"dv", SHAPES_OUT, rows, keys, 0, 0, 1e-5, 1, 1},
        [BEFORE_K] = {"cache of k before", SHAPES_KEPT, SHAPES_PIECES * s->held, keys, 0, 0, 0, 0, 0},
        [BEFORE_V] = {"cache of v before", SHAPES_KEPT, SHAPES_PIECES * s->held, keys, 0, 0, 0, 0, 0},
    };
    for (int i = 0; i < (int)(sizeof tensors / sizeof *tensors); i++) {
        shapes_tensor_add(&t, i, tensors[i]);
    }
    shapes_try(&t);
}

MBS_TEST(shapes_attention, random) {
    const int64_t budget = shapes_budget(20000) * 16;
    for (int64_t i = shapes_many(6); i > 0; i--) {
        att_shape s;
        int64_t seen;
        do {
            s = (att_shape){.rows = kit_size(5000),
                            .key_heads = kit_size(4),
                            .p = kit_size(300),
                            .window = kit_int(0, 1) ? kit_size(200) : 0,
                            .interleaved = (int)kit_int(0, 1)};
            s.heads = s.key_heads * kit_size(4);
            s.rotary = kit_int(0, 3) ? kit_int(0, s.p / 2) * 2 : 0;
            s.scale = 1.0f / sqrtf((float)s.p);
            if (kit_int(0, 3)) {
                s.position = kit_int(0, 2) ? kit_int(0, 200) : 0;
                s.held = s.window ? (s.window > 1 ? s.window - 1 : 1) : s.position + s.rows;
            }
            seen = s.window && s.window < s.rows ? s.window : s.rows;
            seen = seen + s.position < 64 ? 64 : seen + s.position;
        } while (s.heads * s.p > 300 || !shapes_fits(s.rows * seen * s.heads * s.p, budget) ||
                 s.held * s.key_heads * s.p > budget / 16);
        try(&s);
    }
}
