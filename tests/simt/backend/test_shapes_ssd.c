/* The state space dual form of random shapes, forward and backward, beside ref (shapes.h). */
#include "simt/backend/shapes.h"
#include "support/test.h"

enum { Q = MBK_SSD_BLOCK };

typedef struct ssd_shape {
    int64_t rows, heads, p, groups, n, position;
    int wide, d, bias;
    float dt_min, dt_max, slow;
} ssd_shape;

enum {
    X,
    DT,
    B,
    C,
    A,
    SKIP,
    BIAS,
    DY,
    STATE,
    DSTATE,
    Y,
    OPEN_X,
    OPEN_B,
    OPEN_LAM,
    DX,
    DDT,
    DB,
    DC,
    DA,
    DSKIP,
    DBIAS,
    SAVED
};

static int64_t position(const shapes_call *c) {
    const ssd_shape *s = c->shape;
    return c->begun < 0 ? s->position + c->from : c->from - c->begun;
}

static mbk_mat saved(const shapes_call *c) {
    const ssd_shape *s = c->shape;
    /* MBK_SSD_SAVED, as blocks rounded up and one more */
    return shapes_kept(c, SAVED, Q, 2, s->heads * s->n);
}

static void forward(const shapes_call *c) {
    const ssd_shape *s = c->shape;
    mbk_ssd_args a = {.y = shapes_rows(c, Y),
                      .x = shapes_rows(c, X),
                      .dt = shapes_rows(c, DT),
                      .b = shapes_rows(c, B),
                      .c = shapes_rows(c, C),
                      .a = c->m[A].m,
                      .d = shapes_maybe(c, SKIP, s->d),
                      .bias = shapes_maybe(c, BIAS, s->bias),
                      .state = c->m[STATE].m,
                      .open_x = c->m[OPEN_X].m,
                      .open_b = c->m[OPEN_B].m,
                      .open_lam = c->m[OPEN_LAM].m,
                      .groups = s->groups,
                      .position = position(c),
                      .starts = c->starts,
                      .dt_min = s->dt_min,
                      .dt_max = s->dt_max,
                      .saved = saved(c)};
    CHECK_INT(c->ctx->ops->ssd(c->ctx, &a), 0);
}

static void back(const shapes_call *c) {
    const ssd_shape *s = c->shape;
    mbk_ssd_grad_args a = {.dx = shapes_rows(c, DX),
                           .ddt = shapes_rows(c, DDT),
                           .db = shapes_rows(c, DB),
                           .dc = shapes_rows(c, DC),
                           .da = c->m[DA].m,
                           .dd = shapes_maybe(c, DSKIP, s->d),
                           .dbias = shapes_maybe(c, DBIAS, s->bias),
                           .dstate = c->m[DSTATE].m,
                           .dy = shapes_rows(c, DY),
                           .x = shapes_rows(c, X),
                           .dt = shapes_rows(c, DT),
                           .b = shapes_rows(c, B),
                           .c = shapes_rows(c, C),
                           .a = c->m[A].m,
                           .d = shapes_maybe(c, SKIP, s->d),
                           .bias = shapes_maybe(c, BIAS, s->bias),
                           .saved = saved(c),
                           .groups = s->groups,
                           .position = position(c),
                           .starts = c->starts,
                           .dt_min = s->dt_min,
                           .dt_max = s->dt_max};
    CHECK_INT(c->ctx->ops->ssd_grad(c->ctx, &a), 0);
}

static void try(const ssd_shape *s) {
    const int64_t rows = s->rows;
    const int64_t cols = s->heads * s->p;
    const int64_t skip = s->wide ? cols : s->heads;
    const int64_t bc = s->groups * s->n;
    const int64_t blocks = (rows + Q - 1) / Q + 3 * SHAPES_PIECES;
    /* What sums of so many numbers are of, where they happen to be nothing: rows, channels of a head, both. */
    const double sums = sqrt((double)rows);
    const double across = sqrt((double)s->p);
    const double heads = sqrt((double)(cols / s->groups));
    shapes_trial t = {.shape = s, .rows = rows, .forward = forward, .back = back};
    snprintf(t.what, sizeof t.what, "ssd L=%ld H=%ld P=%ld G=%ld N=%ld from %ld%s%s%s, dt in [%g, %g] %+.1f",
             (long)rows, (long)s->heads, (long)s->p, (long)s->groups, (long)s->n, (long)s->position, s->d ? ", d" : "",
             s->d && s->wide ? " of channels" : "", s->bias ? ", bias" : "", (double)s->dt_min, (double)s->dt_max,
             (double)s->slow);
    const shapes_tensor tensors[] = {
        [X] = {"x", SHAPES_IN, rows, cols, -1, 1, 0, 0, 0},
        [DT] = {"dt", SHAPES_IN, rows, s->heads, s->slow - 3, s->slow + 3, 0, 0, 0},
        [B] = {"b", SHAPES_IN, rows, bc, -1, 1, 0, 0, 0},
        [C] = {"c", SHAPES_IN, rows, bc, -1, 1, 0, 0, 0},
        [A] = {"a", SHAPES_IN, 1, s->heads, -8, -0.01f, 0, 0, 0},
        [SKIP] = {"d", SHAPES_IN, 1, skip, -1, 1, 0, 0, 0},
        [BIAS] = {"bias", SHAPES_IN, 1, s->heads, -1, 1, 0, 0, 0},
        [DY] = {"dy", SHAPES_IN, rows, cols, -1, 1, 0, 0, 0},
        [STATE] = {"state", SHAPES_INOUT, s->heads * s->n, s->p, -1, 1, 3e-6, 0.1, 0},
        [DSTATE] = {"dstate", SHAPES_INOUT, s->heads * s->n, s->p, -1, 1, 1e-5, 0.1, 1},
        [Y] = {"y", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [OPEN_X] = {"open x", SHAPES_ZERO, s->heads * Q, s->p, 0, 0, 3e-6, 0.1, 0},
        [OPEN_B] = {"open b", SHAPES_ZERO, Q, bc, 0, 0, 0, 0, 0},
        [OPEN_LAM] = {"open lam", SHAPES_ZERO, s->heads, 2 * Q, 0, 0, 3e-6, 0.1, 0},
        [DX] = {"dx", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [DDT] = {"ddt", SHAPES_OUT, rows, s->heads, 0, 0, 1e-5, across, 1},
        [DB] = {"db", SHAPES_OUT, rows, bc, 0, 0, 1e-5, heads, 1},
        [DC] = {"dc", SHAPES_OUT, rows, bc, 0, 0, 1e-5, heads, 1},
        [DA] = {"da", SHAPES_ZERO, 1, s->heads, 0, 0, 1e-5, sums * across, 1},
        [DSKIP] = {"dd", SHAPES_ZERO, 1, skip, 0, 0, 1e-5, sums, 1},
        [DBIAS] = {"dbias", SHAPES_ZERO, 1, s->heads, 0, 0, 1e-5, sums * across, 1},
        [SAVED] = {"saved", SHAPES_KEPT, blocks * s->heads * s->n, s->p, 0, 0, 0, 0, 0},
    };
    for (int i = 0; i < (int)(sizeof tensors / sizeof *tensors); i++) {
        shapes_tensor_add(&t, i, tensors[i]);
    }
    shapes_draw_starts(&t);
    shapes_try(&t);
}

MBS_TEST(shapes_ssd, random) {
    const int64_t budget = shapes_budget(20000) * 40;
    for (int64_t i = shapes_many(6); i > 0; i--) {
        ssd_shape s;
        do {
            s = (ssd_shape){.rows = kit_size(5000),
                            .groups = kit_int(0, 2) ? 1 : kit_int(1, 4),
                            .p = kit_size(300),
                            .n = kit_size(256),
                            .position = kit_int(0, 3) * Q,
                            .wide = (int)kit_int(0, 1),
                            .d = (int)kit_int(0, 2),
                            .bias = (int)kit_int(0, 1),
                            .dt_min = kit_int(0, 2) ? 0 : 0.01f,
                            .dt_max = kit_int(0, 2) ? INFINITY : 0.5f,
                            .slow = kit_float(-6, 1)};
            s.heads = s.groups * kit_size(20);
        } while (s.heads * s.p > 300 ||
                 !shapes_fits((s.rows + Q) * s.heads * (Q * (s.n + s.p) / 2 + s.n * s.p), budget));
        try(&s);
    }
}
