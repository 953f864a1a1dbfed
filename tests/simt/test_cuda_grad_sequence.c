/* Gradients of what carries a state along the rows, on the emulator: beside the reference for one sequence and for many
 * in one call, the same bits under every schedule, and rows that do not know where a call was cut. */
#include <math.h>

#include "simt/direct.h"
#include "simt/runtime.h"
#include "support/test.h"

#define LIMIT 4e-6

static kit_mat ref_of(mbk_ctx *ctx, direct_mat m) {
    float *dense = direct_get(&m);
    kit_mat t = kit_of(ctx, m.v.rows, m.v.cols, 0, dense);
    free(dense);
    return t;
}

static mbk_cu_view rows_of(mbk_cu_view v, int64_t from, int64_t to) {
    if (v.p) {
        v.p = (float *)v.p + from * v.ld;
        v.rows = to - from;
    }
    return v;
}

typedef struct begins {
    const int32_t *at;
    int64_t n;
} begins;

/* --- the convolution ---------------------------------------------------------------------------------------------- */
enum { CX, CDY, CW, CBIAS, CSTATE, CIN, CDX = 0, CDSTATE, CDW, CDBIAS, COUT };

typedef struct conv_case {
    int64_t rows, cols, width, cut;
    int bare; /* without bias and state */
    begins starts;
} conv_case;

static void conv_tensors(const conv_case *k, const float *x, direct_mat *in, direct_mat *out) {
    const int64_t n = k->rows * k->cols;
    const int64_t w = k->width * k->cols;
    in[CX] = direct_of(k->rows, k->cols, 1, x);
    in[CDY] = direct_of(k->rows, k->cols, 2, x + n);
    in[CW] = direct_of(k->width, k->cols, 3, x + 2 * n);
    in[CBIAS] = direct_of(1, k->cols, 0, x + 2 * n + w);
    in[CSTATE] = direct_of(k->width, k->cols, 1, x + 2 * n + w + k->cols);
    out[CDX] = direct_new(k->rows, k->cols, 3);
    out[CDSTATE] = direct_of(k->width, k->cols, 2, x + 2 * n + 2 * w + k->cols);
    out[CDW] = direct_of(k->width, k->cols, 1, x + 2 * n + 3 * w + k->cols);
    out[CDBIAS] = direct_of(1, k->cols, 1, x + 2 * n + 4 * w + k->cols);
}

/* Rows [from, to); rows before come from the input where there are enough. */
static void conv_call(const conv_case *k, const direct_mat *in, const direct_mat *out, int64_t from, int64_t to) {
    const mbk_cu_view none = {0};
    mbk_cu_conv_grad a = {.dx = rows_of(out[CDX].v, from, to),
                          .dw = out[CDW].v,
                          .dbias = k->bare ? none : out[CDBIAS].v,
                          .dstate = out[CDSTATE].v,
                          .dy = rows_of(in[CDY].v, from, to),
                          .x = rows_of(in[CX].v, from, to),
                          .w = in[CW].v,
                          .bias = k->bare ? none : in[CBIAS].v,
                          .state = from > 0  ? rows_of(in[CX].v, from - k->width, from)
                                   : k->bare ? none
                                             : in[CSTATE].v};
    if (k->starts.n > 0) {
        a.starts.at = direct_ids(k->starts.at, k->starts.n);
        a.starts.n = k->starts.n;
    }
    mbk_cu_queue q = direct_queue(mbk_cu_conv1d_silu_grad_scratch(&a));
    CHECK_INT(mbk_cu_conv1d_silu_grad(&q, &a), 0);
    direct_queue_free(&q);
    if (a.starts.at) {
        simt_free((int32_t *)(uintptr_t)a.starts.at);
    }
}

static void conv_beside_ref(const conv_case *k, const direct_kept *kept, const float *x) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    direct_mat in[CIN];
    direct_mat out[COUT];
    conv_tensors(k, x, in, out);
    kit_mat m[CIN + COUT];
    for (int i = 0; i < CIN; i++) {
        m[i] = ref_of(ctx, in[i]);
    }
    for (int i = 0; i < COUT; i++) {
        m[CIN + i] = ref_of(ctx, out[i]);
    }
    mbk_buf *ids = kit_ids(ctx, k->starts.at, k->starts.n);
    mbk_conv_grad_args a = {m[CIN + CDX].m,
                            m[CIN + CDW].m,
                            k->bare ? kit_none : m[CIN + CDBIAS].m,
                            m[CIN + CDSTATE].m,
                            m[CDY].m,
                            m[CX].m,
                            m[CW].m,
                            k->bare ? kit_none : m[CBIAS].m,
                            k->bare ? kit_none : m[CSTATE].m,
                            {ids, 0, k->starts.n}};
    CHECK_INT(ctx->ops->conv1d_silu_grad(ctx, &a), 0);
    static const char *const names[] = {"conv dx", "conv dstate", "conv dw", "conv dbias"};
    for (int i = 0; i < COUT; i++) {
        direct_near(kept, i, names[i], kit_get(&m[CIN + i]), LIMIT);
    }
    for (int i = 0; i < CIN + COUT; i++) {
        kit_free(&m[i]);
    }
    ctx->ops->buf_free(ctx, ids);
    kit_close(ctx);
    direct_free(in, CIN);
    direct_free(out, COUT);
}

static void conv_try(const conv_case *k) {
    float *x = kit_random(2 * k->rows * k->cols + (4 * k->width + 2) * k->cols, -1, 1);
    direct_kept kept = {0};
    EACH_SCHEDULE(i) {
        direct_mat in[CIN];
        direct_mat out[COUT];
        conv_tensors(k, x, in, out);
        conv_call(k, in, out, 0, k->rows);
        direct_keep(&kept, "conv", out, COUT);
        direct_free(in, CIN);
        direct_free(out, COUT);
    }
    conv_beside_ref(k, &kept, x);
    if (k->cut > 0) {
        direct_mat in[CIN];
        direct_mat out[COUT];
        conv_tensors(k, x, in, out);
        conv_call(k, in, out, k->cut, k->rows);
        conv_call(k, in, out, 0, k->cut);
        direct_keep(&kept, "conv in two calls", out, CDW);
        direct_free(in, CIN);
        direct_free(out, COUT);
    }
    direct_kept_free(&kept);
    free(x);
}

MBS_TEST(cuda_grad_sequence, conv) {
    static const int32_t some[] = {0, 1, 2, 9, 127, 128, 131, 500, 640};
    static const conv_case cases[] = {
        {1, 1, 4, 0, 0, {some, 0}},      {2, 33, 4, 0, 1, {some, 0}},      {3, 5, 2, 0, 0, {some + 2, 1}},
        {131, 40, 4, 77, 0, {some, 0}},  {700, 9, 3, 256, 0, {some, 0}},   {700, 9, 4, 0, 0, {some, 9}},
        {641, 33, 4, 640, 1, {some, 0}}, {641, 3, 4, 0, 1, {some + 1, 8}}, {300, 7, 1, 130, 0, {some, 0}},
        {270, 7, 16, 140, 0, {some, 0}}, {270, 7, 6, 0, 0, {some + 1, 6}}, {140, 3, 16, 0, 1, {some, 6}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        conv_try(&cases[i]);
    }
}
