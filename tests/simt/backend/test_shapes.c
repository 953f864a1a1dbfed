/* The scan and the convolution of random shapes, forward and backward, beside ref (shapes.h): rows and channels over
 * several tiles and segments, states up to 256, steps from slow to fast, starts, calls that carry the state. */
#include "simt/backend/shapes.h"
#include "support/test.h"

enum { W = 4 };

typedef struct scan_shape {
    int64_t rows, cols, n;
    int gate, bias;
    float slow; /* what dt is shifted by */
} scan_shape;

enum {
    U,
    DT,
    Z,
    DY,
    BC,
    A,
    SKIP,
    BIAS,
    TAPS,
    H,
    DH,
    CONV,
    DCONV,
    Y,
    X,
    DU,
    DDT,
    DZ,
    DBC,
    DX,
    DA,
    DSKIP,
    DBIAS,
    DTAPS,
    DCBIAS,
    SAVED,
    BEFORE
};

static mbk_mat half(mbk_mat m, int which) {
    m.cols /= 2;
    m.off += which * m.cols;
    return m;
}

static void forward(const shapes_call *c) {
    const scan_shape *s = c->shape;
    mbk_scan_args a = {.y = shapes_rows(c, Y),
                       .u = shapes_rows(c, U),
                       .dt = shapes_rows(c, DT),
                       .b = half(shapes_rows(c, BC), 0),
                       .c = half(shapes_rows(c, BC), 1),
                       .z = s->gate ? shapes_rows(c, Z) : kit_none,
                       .a = c->m[A].m,
                       .d = c->m[SKIP].m,
                       .bias = shapes_maybe(c, BIAS, s->bias),
                       .state = c->m[H].m,
                       .starts = c->starts,
                       .saved = shapes_kept(c, SAVED, MBK_SCAN_BLOCK, 0, s->n)};
    CHECK_INT(c->ctx->ops->selective_scan(c->ctx, &a), 0);
    CHECK_INT(c->ctx->ops->copy(c->ctx, kit_rows(&c->m[BEFORE], c->piece * W, c->piece * W + W), c->m[CONV].m), 0);
    CHECK_INT(c->ctx->ops->conv1d_silu(c->ctx, shapes_rows(c, X), shapes_rows(c, U), c->m[TAPS].m, a.bias, c->m[CONV].m,
                                       c->starts),
              0);
}

static void back(const shapes_call *c) {
    const scan_shape *s = c->shape;
    mbk_scan_grad_args a = {.du = shapes_rows(c, DU),
                            .ddt = shapes_rows(c, DDT),
                            .dz = s->gate ? shapes_rows(c, DZ) : kit_none,
                            .db = half(shapes_rows(c, DBC), 0),
                            .dc = half(shapes_rows(c, DBC), 1),
                            .da = c->m[DA].m,
                            .dd = c->m[DSKIP].m,
                            .dbias = shapes_maybe(c, DBIAS, s->bias),
                            .dstate = c->m[DH].m,
                            .dy = shapes_rows(c, DY),
                            .u = shapes_rows(c, U),
                            .dt = shapes_rows(c, DT),
                            .b = half(shapes_rows(c, BC), 0),
                            .c = half(shapes_rows(c, BC), 1),
                            .z = s->gate ? shapes_rows(c, Z) : kit_none,
                            .a = c->m[A].m,
                            .d = c->m[SKIP].m,
                            .bias = shapes_maybe(c, BIAS, s->bias),
                            .saved = shapes_kept(c, SAVED, MBK_SCAN_BLOCK, 0, s->n),
                            .starts = c->starts};
    CHECK_INT(c->ctx->ops->selective_scan_grad(c->ctx, &a), 0);
    mbk_conv_grad_args g = {.dx = shapes_rows(c, DX),
                            .dw = c->m[DTAPS].m,
                            .dbias = shapes_maybe(c, DCBIAS, s->bias),
                            .dstate = c->m[DCONV].m,
                            .dy = shapes_rows(c, DY),
                            .x = shapes_rows(c, U),
                            .w = c->m[TAPS].m,
                            .bias = shapes_maybe(c, BIAS, s->bias),
                            .state = kit_rows(&c->m[BEFORE], c->piece * W, c->piece * W + W),
                            .starts = c->starts};
    CHECK_INT(c->ctx->ops->conv1d_silu_grad(c->ctx, &g), 0);
}

static void try(const scan_shape *s) {
    const int64_t rows = s->rows;
    const int64_t cols = s->cols;
    const int64_t blocks = (rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK + SHAPES_PIECES;
    const double sums = sqrt((double)rows); /* what sums over rows are of, where they happen to be nothing */
    shapes_trial t = {.shape = s, .rows = rows, .forward = forward, .back = back};
    snprintf(t.what, sizeof t.what, "scan L=%ld C=%ld N=%ld%s%s, dt %+.1f", (long)rows, (long)cols, (long)s->n,
             s->gate ? ", gate" : "", s->bias ? ", bias" : "", (double)s->slow);
    const shapes_tensor tensors[] = {
        [U] = {"u", SHAPES_IN, rows, cols, -1, 1, 0, 0, 0},
        [DT] = {"dt", SHAPES_IN, rows, cols, s->slow - 3, s->slow + 3, 0, 0, 0},
        [Z] = {"z", SHAPES_IN, s->gate ? rows : 0, cols, -3, 3, 0, 0, 0},
        [DY] = {"dy", SHAPES_IN, rows, cols, -1, 1, 0, 0, 0},
        [BC] = {"b c", SHAPES_IN, rows, 2 * s->n, -1, 1, 0, 0, 0},
        [A] = {"a", SHAPES_IN, s->n, cols, -16, -0.01f, 0, 0, 0},
        [SKIP] = {"d", SHAPES_IN, 1, cols, -1, 1, 0, 0, 0},
        [BIAS] = {"bias", SHAPES_IN, 1, cols, -1, 1, 0, 0, 0},
        [TAPS] = {"taps", SHAPES_IN, W, cols, -1, 1, 0, 0, 0},
        [H] = {"h", SHAPES_INOUT, s->n, cols, -1, 1, 3e-6, 0.1, 0},
        [DH] = {"dh", SHAPES_INOUT, s->n, cols, -1, 1, 1e-5, 0.1, 1},
        [CONV] = {"conv", SHAPES_INOUT, W, cols, -1, 1, 0, 0, 0},
        [DCONV] = {"dconv", SHAPES_INOUT, W, cols, -1, 1, 1e-5, 1, 1},
        [Y] = {"y", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [X] = {"x", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [DU] = {"du", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [DDT] = {"ddt", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [DZ] = {"dz", SHAPES_OUT, s->gate ? rows : 0, cols, 0, 0, 1e-5, 1, 1},
        [DBC] = {"db dc", SHAPES_OUT, rows, 2 * s->n, 0, 0, 1e-5, sqrt((double)cols), 1},
        [DX] = {"dx", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [DA] = {"da", SHAPES_ZERO, s->n, cols, 0, 0, 1e-5, 0.1, 1},
        [DSKIP] = {"dd", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [DBIAS] = {"dbias", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [DTAPS] = {"dtaps", SHAPES_ZERO, W, cols, 0, 0, 1e-5, sums, 1},
        [DCBIAS] = {"dbias of conv", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [SAVED] = {"saved", SHAPES_KEPT, blocks * s->n, cols, 0, 0, 0, 0, 0},
        [BEFORE] = {"conv before", SHAPES_KEPT, SHAPES_PIECES * W, cols, 0, 0, 0, 0, 0},
    };
    for (int i = 0; i < (int)(sizeof tensors / sizeof *tensors); i++) {
        shapes_tensor_add(&t, i, tensors[i]);
    }
    shapes_draw_starts(&t);
    shapes_try(&t);
}

MBS_TEST(shapes_scan, random) {
    const int64_t budget = shapes_budget(20000);
    for (int64_t i = shapes_many(6); i > 0; i--) {
        scan_shape s;
        do {
            s = (scan_shape){kit_size(5000),     kit_size(300),      kit_size(256),
                             (int)kit_int(0, 1), (int)kit_int(0, 1), kit_float(-6, 1)};
        } while (!shapes_fits(s.rows * s.cols * s.n, budget));
        try(&s);
    }
}

/* Where tiles, blocks, segments and warps end. */
MBS_TEST(shapes_scan, edges) {
    static const scan_shape edges[] = {{1, 1, 1, 1, 1, -2},    {257, 3, 1, 0, 0, -2},  {256, 2, 16, 1, 1, -2},
                                       {513, 5, 3, 1, 1, -2},  {31, 33, 17, 1, 1, -2}, {64, 129, 2, 1, 0, -2},
                                       {33, 1, 256, 1, 1, -2}, {1025, 2, 4, 1, 1, -2}, {7, 300, 5, 0, 1, -2}};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        try(&edges[i]);
    }
}
