/* What treats rows one by one, of random shapes, forward and backward, beside ref (shapes.h): norms, gates, tables held
 * in every format, logits and their losses, sums over rows, AdamW. */
#include "simt/backend/shapes.h"
#include "support/test.h"

static const mbk_format formats[] = {{MBK_F32, MBK_MATH_F32},
                                     {MBK_BF16, MBK_MATH_F32},
                                     {MBK_I8, MBK_MATH_F32},
                                     {MBK_F32, MBK_MATH_BF16},
                                     {MBK_I8, MBK_MATH_BF16}};

typedef struct rows_shape {
    int64_t rows, cols, group, table;
    mbk_format format;
    int norm_first, accumulate, bias, weighted;
} rows_shape;

enum {
    X,
    Z,
    R,
    DY,
    W,
    B,
    WEIGHT,
    SYMBOLS, /* columns, or none */
    IDS,     /* rows of the table */
    TABLE,
    RMS,
    LAYER,
    GATED,
    GATE,
    ADD,
    MUL,
    EXP,
    LOGPROB,
    HIT,
    PICKED,
    SUM,
    SQUARES,
    RMS_DX,
    RMS_DW,
    LAYER_DX,
    LAYER_DW,
    LAYER_DB,
    GATED_DX,
    GATED_DZ,
    GATED_DW,
    GATE_DX,
    GATE_DZ,
    DBIAS,
    LOSS,
    DLOGITS,
    DTABLE,
    PARAMS,
    MEAN,
    SPREAD
};

static const float eps = 1e-5f;

/* Doubles on the device, as the floats of a tensor. */
static void add_doubles(const shapes_call *c, int index, mbk_status (*op)(mbk_ctx *, mbk_buf *, int64_t, mbk_mat)) {
    const int64_t n = c->m[index].m.cols;
    double *sums = calloc((size_t)n + 1, sizeof *sums);
    float *before = kit_get(&c->m[index]);
    mbk_buf *acc = NULL;
    CHECK_INT(c->ctx->ops->buf_new(c->ctx, (size_t)(n + 1) * sizeof *sums, &acc), 0);
    CHECK_INT(op(c->ctx, acc, 1, shapes_rows(c, X)), 0);
    CHECK_INT(c->ctx->ops->download(c->ctx, sums, acc, 0, (size_t)(n + 1) * sizeof *sums), 0);
    CHECK(sums[0] == 0, "wrote before its sums");
    for (int64_t i = 0; i < n; i++) {
        before[i] += (float)sums[i + 1];
    }
    kit_mat to = c->m[index];
    kit_put(&to, before);
    c->ctx->ops->buf_free(c->ctx, acc);
    free(before);
    free(sums);
}

static void forward(const shapes_call *c) {
    const rows_shape *s = c->shape;
    const mbk_ops *ops = c->ctx->ops;
    const mbk_mat x = shapes_rows(c, X);
    const mbk_mat z = shapes_rows(c, Z);
    const mbk_mat r = shapes_rows(c, R);
    const mbk_mat w = c->m[W].m;
    CHECK_INT(ops->rmsnorm(c->ctx, shapes_rows(c, RMS), x, w, eps), 0);
    CHECK_INT(ops->layernorm(c->ctx, shapes_rows(c, LAYER), x, w, shapes_maybe(c, B, s->bias), eps), 0);
    CHECK_INT(ops->rmsnorm_gated(c->ctx, shapes_rows(c, GATED), x, z, w, eps, s->group, s->norm_first), 0);
    CHECK_INT(ops->gate(c->ctx, shapes_rows(c, GATE), x, z), 0);
    CHECK_INT(ops->add(c->ctx, shapes_rows(c, ADD), x, r), 0);
    CHECK_INT(ops->mul(c->ctx, shapes_rows(c, MUL), x, r), 0);
    CHECK_INT(ops->neg_exp(c->ctx, shapes_rows(c, EXP), x), 0);
    mbk_buf *symbols = shapes_ids(c, SYMBOLS);
    CHECK_INT(ops->logprob(c->ctx, shapes_rows(c, LOGPROB), x, symbols, 0), 0);
    CHECK_INT(ops->hits(c->ctx, shapes_rows(c, HIT), x, symbols, 0), 0);
    ops->buf_free(c->ctx, symbols);
    mbk_weight *table = NULL;
    CHECK_INT(ops->prepare(c->ctx, c->numbers[TABLE], s->table, s->cols, s->format, &table), 0);
    mbk_buf *ids = shapes_ids(c, IDS);
    CHECK_INT(ops->embed(c->ctx, shapes_rows(c, PICKED), table, ids, 0), 0);
    ops->buf_free(c->ctx, ids);
    ops->weight_free(c->ctx, table);
    add_doubles(c, SUM, ops->row_sum);
    add_doubles(c, SQUARES, ops->sum_squares);
}

static void back(const shapes_call *c) {
    const rows_shape *s = c->shape;
    const mbk_ops *ops = c->ctx->ops;
    const mbk_mat x = shapes_rows(c, X);
    const mbk_mat z = shapes_rows(c, Z);
    const mbk_mat dy = shapes_rows(c, DY);
    const mbk_mat w = c->m[W].m;
    CHECK_INT(ops->rmsnorm_grad(c->ctx, shapes_rows(c, RMS_DX), c->m[RMS_DW].m, dy, x, w, eps, s->accumulate), 0);
    CHECK_INT(ops->layernorm_grad(c->ctx, shapes_rows(c, LAYER_DX), c->m[LAYER_DW].m,
                                  shapes_maybe(c, LAYER_DB, s->bias), dy, x, w, eps, !s->accumulate),
              0);
    CHECK_INT(ops->rmsnorm_gated_grad(c->ctx, shapes_rows(c, GATED_DX), shapes_rows(c, GATED_DZ),
                                      shapes_maybe(c, GATED_DW, s->weighted), dy, x, z, w, eps, s->group,
                                      s->norm_first),
              0);
    CHECK_INT(ops->gate_grad(c->ctx, shapes_rows(c, GATE_DX), shapes_rows(c, GATE_DZ), dy, x, z), 0);
    CHECK_INT(ops->bias_grad(c->ctx, c->m[DBIAS].m, dy), 0);
    mbk_buf *symbols = shapes_ids(c, SYMBOLS);
    CHECK_INT(ops->cross_entropy(c->ctx, shapes_rows(c, LOSS), shapes_rows(c, DLOGITS), x,
                                 s->weighted ? shapes_rows(c, WEIGHT) : kit_none, symbols, 0, 0.5f),
              0);
    ops->buf_free(c->ctx, symbols);
    mbk_buf *ids = shapes_ids(c, IDS);
    CHECK_INT(ops->embed_grad(c->ctx, c->m[DTABLE].m, dy, ids, 0), 0);
    ops->buf_free(c->ctx, ids);
    const mbk_adamw_args step = {.w = shapes_rows(c, PARAMS),
                                 .m = shapes_rows(c, MEAN),
                                 .v = shapes_rows(c, SPREAD),
                                 .g = dy,
                                 .lr = 1e-2,
                                 .beta1 = 0.9,
                                 .beta2 = 0.99,
                                 .eps = 1e-8,
                                 .decay = 0.1,
                                 .scale = 0.7,
                                 .step = 1 + s->table};
    CHECK_INT(ops->adamw(c->ctx, &step), 0);
}

static void try(const rows_shape *s) {
    const int64_t rows = s->rows;
    const int64_t cols = s->cols;
    const double sums = sqrt((double)rows);
    /* A row of few numbers may have hardly any variance, where what f32 lost of its mean is seen. */
    const double few = cols < 8 ? 1e-4 : 3e-6;
    const double few_back = cols < 8 ? 1e-4 : 1e-5;
    shapes_trial t = {.shape = s, .rows = rows, .forward = forward, .back = back};
    snprintf(t.what, sizeof t.what, "rows L=%ld C=%ld, groups of %ld%s, table of %ld %s%s", (long)rows, (long)cols,
             (long)s->group, s->norm_first ? " first" : "", (long)s->table, mbk_dtype_name(s->format.dtype),
             s->bias ? ", bias" : "");
    const shapes_tensor tensors[] = {
        [X] = {"x", SHAPES_IN, rows, cols, -3, 3, 0, 0, 0},
        [Z] = {"z", SHAPES_IN, rows, cols, -4, 4, 0, 0, 0},
        [R] = {"r", SHAPES_IN, rows, cols, -2, 2, 0, 0, 0},
        [DY] = {"dy", SHAPES_IN, rows, cols, -1, 1, 0, 0, 0},
        [W] = {"w", SHAPES_IN, 1, cols, -1, 1, 0, 0, 0},
        [B] = {"b", SHAPES_IN, 1, cols, -1, 1, 0, 0, 0},
        [WEIGHT] = {"weights of rows", SHAPES_IN, rows, 1, 0, 2, 0, 0, 0},
        [SYMBOLS] = {"symbols", SHAPES_HOST, rows, 1, -0.9f, (float)cols - 0.01f, 0, 0, 0},
        [IDS] = {"ids", SHAPES_HOST, rows, 1, 0, (float)s->table - 0.01f, 0, 0, 0},
        [TABLE] = {"table", SHAPES_HOST, s->table, cols, -2, 2, 0, 0, 0},
        [RMS] = {"rmsnorm", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [LAYER] = {"layernorm", SHAPES_OUT, rows, cols, 0, 0, few, 1, 0},
        [GATED] = {"rmsnorm_gated", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [GATE] = {"gate", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [ADD] = {"add", SHAPES_OUT, rows, cols, 0, 0, 0, 1, 0},
        [MUL] = {"mul", SHAPES_OUT, rows, cols, 0, 0, 0, 1, 0},
        [EXP] = {"neg_exp", SHAPES_OUT, rows, cols, 0, 0, 3e-6, 1, 0},
        [LOGPROB] = {"logprob", SHAPES_OUT, rows, 1, 0, 0, 3e-6, 1, 0},
        [HIT] = {"hits", SHAPES_OUT, rows, 1, 0, 0, 0, 1, 0},
        [PICKED] = {"embed", SHAPES_OUT, rows, cols, 0, 0, 0, 1, 0},
        [SUM] = {"row_sum", SHAPES_ZERO, 1, cols, 0, 0, 1e-6, sums, 1},
        [SQUARES] = {"sum_squares", SHAPES_ZERO, 1, 1, 0, 0, 1e-6, 1, 1},
        [RMS_DX] = {"rmsnorm dx", SHAPES_INOUT, rows, cols, -1, 1, 1e-5, 1, 1},
        [RMS_DW] = {"rmsnorm dw", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [LAYER_DX] = {"layernorm dx", SHAPES_INOUT, rows, cols, -1, 1, few_back, 1, 1},
        [LAYER_DW] = {"layernorm dw", SHAPES_ZERO, 1, cols, 0, 0, few_back, sums, 1},
        [LAYER_DB] = {"layernorm db", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [GATED_DX] = {"rmsnorm_gated dx", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [GATED_DZ] = {"rmsnorm_gated dz", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [GATED_DW] = {"rmsnorm_gated dw", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [GATE_DX] = {"gate dx", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [GATE_DZ] = {"gate dz", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 1, 1},
        [DBIAS] = {"bias_grad", SHAPES_ZERO, 1, cols, 0, 0, 1e-5, sums, 1},
        [LOSS] = {"loss", SHAPES_OUT, rows, 1, 0, 0, 3e-6, 1, 1},
        [DLOGITS] = {"dlogits", SHAPES_OUT, rows, cols, 0, 0, 1e-5, 0.1, 1},
        [DTABLE] = {"embed_grad", SHAPES_ZERO, s->table, cols, 0, 0, 1e-5, sums, 1},
        [PARAMS] = {"adamw's w", SHAPES_INOUT, rows, cols, -1, 1, 3e-6, 0.1, 1},
        [MEAN] = {"adamw's m", SHAPES_INOUT, rows, cols, -1, 1, 3e-6, 0.1, 1},
        [SPREAD] = {"adamw's v", SHAPES_INOUT, rows, cols, 0.01f, 1, 3e-6, 0.1, 1},
    };
    for (int i = 0; i < (int)(sizeof tensors / sizeof *tensors); i++) {
        shapes_tensor_add(&t, i, tensors[i]);
    }
    shapes_try(&t);
}

MBS_TEST(shapes_rows, random) {
    const int64_t budget = shapes_budget(20000) / 4;
    for (int64_t i = shapes_many(6); i > 0; i--) {
        rows_shape s;
        do {
            s = (rows_shape){.rows = kit_size(5000),
                             .cols = kit_size(300),
                             .table = kit_size(300),
                             .format = formats[kit_int(0, 4)],
                             .norm_first = (int)kit_int(0, 1),
                             .accumulate = (int)kit_int(0, 1),
                             .bias = (int)kit_int(0, 1),
                             .weighted = (int)kit_int(0, 1)};
        } while (!shapes_fits(s.rows * s.cols, budget));
        for (s.group = kit_int(1, s.cols); s.cols % s.group;) {
            s.group--;
        }
        try(&s);
    }
}
