/* Products with matrices of random shapes, in every format that they are held in and under both maths, forward and
 * backward, beside ref (shapes.h). */
#include "simt/backend/shapes.h"
#include "support/test.h"

static const mbk_format formats[] = {{MBK_F32, MBK_MATH_F32},  {MBK_BF16, MBK_MATH_F32},  {MBK_I8, MBK_MATH_F32},
                                     {MBK_F32, MBK_MATH_BF16}, {MBK_BF16, MBK_MATH_BF16}, {MBK_I8, MBK_MATH_BF16}};

typedef struct product_shape {
    int64_t rows, n_in, n_out;
    mbk_format format;
    int bias, accumulate;
} product_shape;

enum { X, W, BIAS, DY, Y, DX, DW };

static void forward(const shapes_call *c) {
    const product_shape *s = c->shape;
    const mbk_ops *ops = c->ctx->ops;
    mbk_weight *w = NULL;
    CHECK_INT(ops->reserve(c->ctx, c->to - c->from, s->n_in > s->n_out ? s->n_in : s->n_out), 0);
    CHECK_INT(ops->prepare(c->ctx, c->numbers[W], s->n_out, s->n_in, s->format, &w), 0);
    CHECK_INT(ops->gemm(c->ctx, shapes_rows(c, Y), shapes_rows(c, X), w, shapes_maybe(c, BIAS, s->bias), s->accumulate),
              0);
    ops->weight_free(c->ctx, w);
}

static void back(const shapes_call *c) {
    const product_shape *s = c->shape;
    const mbk_ops *ops = c->ctx->ops;
    mbk_weight *turned = NULL;
    CHECK_INT(ops->prepare(c->ctx, c->numbers[W], s->n_in, s->n_out, s->format, &turned), 0);
    CHECK_INT(ops->repack(c->ctx, turned, c->m[W].m, 1), 0);
    CHECK_INT(ops->gemm(c->ctx, shapes_rows(c, DX), shapes_rows(c, DY), turned, kit_none, 0), 0);
    ops->weight_free(c->ctx, turned);
    CHECK_INT(ops->weight_grad(c->ctx, c->m[DW].m, shapes_rows(c, DY), shapes_rows(c, X), s->format.math), 0);
}

static void try(const product_shape *s) {
    const int64_t rows = s->rows;
    shapes_trial t = {.shape = s, .rows = rows, .forward = forward, .back = back};
    snprintf(t.what, sizeof t.what, "product L=%ld %ld to %ld, %s under %s%s%s", (long)rows, (long)s->n_in,
             (long)s->n_out, mbk_dtype_name(s->format.dtype), mbk_math_name(s->format.math), s->bias ? ", bias" : "",
             s->accumulate ? ", added" : "");
    const shapes_tensor tensors[] = {
        [X] = {"x", SHAPES_IN, rows, s->n_in, -1, 1, 0, 0, 0},
        [W] = {"w", SHAPES_IN, s->n_out, s->n_in, -1, 1, 0, 0, 0},
        [BIAS] = {"bias", SHAPES_IN, 1, s->n_out, -1, 1, 0, 0, 0},
        [DY] = {"dy", SHAPES_IN, rows, s->n_out, -1, 1, 0, 0, 0},
        [Y] = {"y", SHAPES_INOUT, rows, s->n_out, -1, 1, 3e-6, sqrt((double)s->n_in), 0},
        [DX] = {"dx", SHAPES_OUT, rows, s->n_in, 0, 0, 3e-6, sqrt((double)s->n_out), 1},
        [DW] = {"dw", SHAPES_ZERO, s->n_out, s->n_in, 0, 0, 1e-5, sqrt((double)rows), 1},
    };
    for (int i = 0; i < (int)(sizeof tensors / sizeof *tensors); i++) {
        shapes_tensor_add(&t, i, tensors[i]);
    }
    shapes_try(&t);
}

MBS_TEST(shapes_weights, random) {
    const int64_t budget = shapes_budget(20000) * 40;
    for (int64_t i = shapes_many(6); i > 0; i--) {
        product_shape s;
        do {
            s = (product_shape){kit_size(5000),         kit_size(300),      kit_size(300),
                                formats[kit_int(0, 5)], (int)kit_int(0, 1), (int)kit_int(0, 1)};
        } while (!shapes_fits(s.rows * s.n_in * s.n_out, budget));
        try(&s);
    }
}
