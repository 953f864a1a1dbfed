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

/* --- the selective scan ------------------------------------------------------------------------------------------- */
enum { SU, SDT, SZ, SDY, SB, SC, SA, SD, SBIAS, SH0, SIN };
enum { SDU, SDDT, SDZ, SDB, SDC, SDSTATE, SDA, SDD, SDBIAS, SOUT };
static const char *const scan_names[] = {"du", "ddt", "dz", "db", "dc", "dstate", "da", "dd", "dbias"};

typedef struct scan_case {
    int64_t rows, cols, states, cut;
    int bare; /* without gate and bias */
    begins starts;
} scan_case;

typedef struct scan_tensors {
    direct_mat in[SIN];
    direct_mat out[SOUT];
    direct_mat saved;
} scan_tensors;

static int64_t scan_numbers(const scan_case *k) {
    return 4 * k->rows * k->cols + 2 * k->rows * k->states + 4 * k->states * k->cols + 4 * k->cols;
}

static const float *take(direct_mat *m, int64_t rows, int64_t cols, int64_t pad, const float *x) {
    *m = direct_of(rows, cols, pad, x);
    return x + rows * cols;
}

static scan_tensors scan_new(const scan_case *k, const float *x) {
    scan_tensors t;
    for (int i = SU; i <= SDY; i++) {
        x = take(&t.in[i], k->rows, k->cols, 1 + i % 3, x);
    }
    x = take(&t.in[SB], k->rows, k->states, 2, x);
    x = take(&t.in[SC], k->rows, k->states, 1, x);
    x = take(&t.in[SA], k->states, k->cols, 1, x);
    for (int64_t r = 0; r < k->states; r++) {
        for (int64_t c = 0; c < k->cols; c++) {
            float *a = (float *)t.in[SA].v.p + r * t.in[SA].v.ld + c;
            *a = -0.05f - 2 * fabsf(*a);
        }
    }
    x = take(&t.in[SD], 1, k->cols, 0, x);
    x = take(&t.in[SBIAS], 1, k->cols, 0, x);
    x = take(&t.in[SH0], k->states, k->cols, 2, x);
    for (int i = SDU; i <= SDZ; i++) {
        t.out[i] = direct_new(k->rows, k->cols, i);
    }
    t.out[SDB] = direct_new(k->rows, k->states, 1);
    t.out[SDC] = direct_new(k->rows, k->states, 3);
    x = take(&t.out[SDSTATE], k->states, k->cols, 1, x);
    x = take(&t.out[SDA], k->states, k->cols, 2, x);
    x = take(&t.out[SDD], 1, k->cols, 0, x);
    take(&t.out[SDBIAS], 1, k->cols, 1, x);
    t.saved = direct_new((k->rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * k->states, k->cols, 3);
    return t;
}

static void scan_free(scan_tensors *t) {
    direct_free(t->in, SIN);
    direct_free(t->out, SOUT);
    direct_free(&t->saved, 1);
}

/* What the reference saves of the forward call, and its gradients where `kept` wants them compared. */
static void scan_beside_ref(const scan_case *k, scan_tensors *t, const direct_kept *kept) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat in[SIN];
    kit_mat out[SOUT];
    for (int i = 0; i < SIN; i++) {
        in[i] = ref_of(ctx, t->in[i]);
    }
    for (int i = 0; i < SOUT; i++) {
        out[i] = ref_of(ctx, t->out[i]);
    }
    kit_mat saved = kit_new(ctx, t->saved.v.rows, k->cols, 0);
    mbk_buf *ids = kit_ids(ctx, k->starts.at, k->starts.n);
    const mbk_starts starts = {ids, 0, k->starts.n};
    const mbk_mat z = k->bare ? kit_none : in[SZ].m;
    const mbk_mat bias = k->bare ? kit_none : in[SBIAS].m;
    mbk_scan_args fwd = {out[SDU].m, in[SU].m, in[SDT].m, in[SB].m,  in[SC].m, z,
                         in[SA].m,   in[SD].m, bias,      in[SH0].m, starts,   saved.m};
    CHECK_INT(ctx->ops->selective_scan(ctx, &fwd), 0);
    float *dense = kit_get(&saved);
    for (int64_t r = 0; r < t->saved.v.rows; r++) {
        memcpy((float *)t->saved.v.p + r * t->saved.v.ld, dense + r * k->cols, (size_t)k->cols * sizeof *dense);
    }
    free(dense);
    if (kept) {
        mbk_scan_grad_args a = {out[SDU].m,
                                out[SDDT].m,
                                k->bare ? kit_none : out[SDZ].m,
                                out[SDB].m,
                                out[SDC].m,
                                out[SDA].m,
                                out[SDD].m,
                                k->bare ? kit_none : out[SDBIAS].m,
                                out[SDSTATE].m,
                                in[SDY].m,
                                in[SU].m,
                                in[SDT].m,
                                in[SB].m,
                                in[SC].m,
                                z,
                                in[SA].m,
                                in[SD].m,
                                bias,
                                saved.m,
                                starts};
        CHECK_INT(ctx->ops->selective_scan_grad(ctx, &a), 0);
        for (int i = 0; i < SOUT; i++) {
            if (!k->bare || (i != SDZ && i != SDBIAS)) {
                char what[96];
                snprintf(what, sizeof what, "scan %lld x %lld x %lld, %s", (long long)k->rows, (long long)k->cols,
                         (long long)k->states, scan_names[i]);
                direct_near(kept, i, what, kit_get(&out[i]), LIMIT);
            }
        }
    }
    for (int i = 0; i < SIN; i++) {
        kit_free(&in[i]);
    }
    for (int i = 0; i < SOUT; i++) {
        kit_free(&out[i]);
    }
    kit_free(&saved);
    ctx->ops->buf_free(ctx, ids);
    kit_close(ctx);
}

/* slab: 0, or the rows that there is scratch for. */
static void scan_call(const scan_case *k, const scan_tensors *t, int64_t from, int64_t to, int64_t slab) {
    const mbk_cu_view none = {0};
    const int64_t blocks = (to - from + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK;
    const int64_t block = from / MBK_SCAN_BLOCK;
    mbk_cu_scan_grad a = {
        .du = rows_of(t->out[SDU].v, from, to),
        .ddt = rows_of(t->out[SDDT].v, from, to),
        .dz = k->bare ? none : rows_of(t->out[SDZ].v, from, to),
        .db = rows_of(t->out[SDB].v, from, to),
        .dc = rows_of(t->out[SDC].v, from, to),
        .da = t->out[SDA].v,
        .dd = t->out[SDD].v,
        .dbias = k->bare ? none : t->out[SDBIAS].v,
        .dstate = t->out[SDSTATE].v,
        .dy = rows_of(t->in[SDY].v, from, to),
        .u = rows_of(t->in[SU].v, from, to),
        .dt = rows_of(t->in[SDT].v, from, to),
        .b = rows_of(t->in[SB].v, from, to),
        .c = rows_of(t->in[SC].v, from, to),
        .z = k->bare ? none : rows_of(t->in[SZ].v, from, to),
        .a = t->in[SA].v,
        .d = t->in[SD].v,
        .bias = k->bare ? none : t->in[SBIAS].v,
        .saved = rows_of(t->saved.v, block * k->states, (block + blocks) * k->states),
    };
    if (k->starts.n > 0) {
        a.starts.at = direct_ids(k->starts.at, k->starts.n);
        a.starts.n = k->starts.n;
    }
    mbk_cu_scan_grad least = a;
    least.u.rows = slab > 0 ? slab : a.u.rows;
    mbk_cu_queue q = direct_queue(mbk_cu_selective_scan_grad_scratch(&least));
    CHECK_INT(mbk_cu_selective_scan_grad(&q, &a), 0);
    direct_queue_free(&q);
    if (a.starts.at) {
        simt_free((int32_t *)(uintptr_t)a.starts.at);
    }
}

static void scan_try(const scan_case *k) {
    float *x = kit_random(scan_numbers(k), -1, 1);
    direct_kept kept = {0};
    EACH_SCHEDULE(i) {
        scan_tensors t = scan_new(k, x);
        scan_beside_ref(k, &t, NULL);
        scan_call(k, &t, 0, k->rows, 0);
        direct_keep(&kept, "scan", t.out, SOUT);
        scan_free(&t);
    }
    scan_tensors t = scan_new(k, x);
    scan_beside_ref(k, &t, &kept);
    if (k->cut > 0) {
        scan_call(k, &t, k->cut, k->rows, 0);
        scan_call(k, &t, 0, k->cut, 0);
        direct_keep(&kept, "scan in two calls", t.out, SDA);
    }
    scan_free(&t);
    if (k->rows > 128) { /* slabs of one segment */
        t = scan_new(k, x);
        scan_beside_ref(k, &t, NULL);
        scan_call(k, &t, 0, k->rows, 128);
        direct_keep(&kept, "scan in slabs", t.out, SDA);
        for (int i = SDA; i < SOUT; i++) {
            direct_near(&kept, i, scan_names[i], direct_get(&t.out[i]), LIMIT);
        }
        scan_free(&t);
    }
    direct_kept_free(&kept);
    free(x);
}

MBS_TEST(cuda_grad_sequence, scan) {
    static const int32_t some[] = {0, 1, 2, 9, 32, 127, 128, 131, 160, 255, 260};
    static const scan_case cases[] = {
        {1, 1, 1, 0, 0, {some, 0}},      {9, 3, 2, 0, 1, {some, 0}},      {140, 33, 4, 128, 0, {some, 0}},
        {300, 5, 16, 256, 0, {some, 0}}, {261, 7, 5, 0, 0, {some, 11}},   {261, 7, 3, 0, 1, {some + 1, 10}},
        {70, 5, 19, 0, 0, {some, 3}},    {150, 3, 40, 128, 1, {some, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scan_try(&cases[i]);
    }
}
