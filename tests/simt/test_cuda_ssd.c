/* The kernels of the state space dual form on the emulator: against ref and against the recurrence, the chunk law, and
 * the same bits under every schedule, in waves of any size. */
#include <math.h>

#include "cuda/launch.h"
#include "kernels/kit.h"
#include "simt/runtime.h"
#include "support/test.h"

#define Q MBK_SSD_BLOCK

/* ThreadSanitizer sees what it is after in few and small tiles, and takes minutes for many. */
#ifdef MBS_SIMT_RACE
#define RACE 1
#else
#define RACE 0
#endif

/* A tensor on the host; absent where v is NULL. */
typedef struct arg {
    float *v;
    int64_t rows, cols;
} arg;

enum { Y, X, DT, B, C, A, D, BIAS, STATE, OPEN_X, OPEN_B, OPEN_LAM, SAVED, ARGS };
enum { DX, DDT, DB, DC, DA, DD, DBIAS, DSTATE, DY, GRADS };

/* A call's numbers beside its tensors. */
typedef struct form {
    int64_t rows, heads, p, groups, n, position;
    float dt_min, dt_max;
    const int32_t *starts;
    int64_t n_starts;
    int64_t wave; /* blocks that scratch is given for; 0: as asked for */
    int in_place; /* y in the place of x */
} form;

/* --- the two backends --------------------------------------------------------------------------------------------- */

typedef struct device {
    void *p;
    int64_t ld;
    const arg *host;
} device;

static mbk_cu_view device_view(device *d, const arg *host) {
    *d = (device){NULL, host->cols + kit_int(0, 3), host};
    if (!host->v) {
        return (mbk_cu_view){NULL, 0, 0, 0, MBK_CU_F32};
    }
    d->p = simt_malloc((size_t)(host->rows * d->ld) * sizeof(float));
    for (int64_t r = 0; r < host->rows; r++) {
        memcpy((float *)d->p + r * d->ld, host->v + r * host->cols, (size_t)host->cols * sizeof(float));
    }
    return (mbk_cu_view){d->p, host->rows, host->cols, d->ld, MBK_CU_F32};
}

/* Copies back what is a result, and finds the padding as it was. */
static void device_done(device *d, int result) {
    if (!d->p) {
        return;
    }
    for (int64_t r = 0; r < d->host->rows; r++) {
        const float *row = (const float *)d->p + r * d->ld;
        if (result) {
            memcpy(d->host->v + r * d->host->cols, row, (size_t)d->host->cols * sizeof(float));
        }
        for (int64_t c = d->host->cols; c < d->ld; c++) {
            uint32_t bits;
            memcpy(&bits, row + c, sizeof bits);
            CHECK(bits == SIMT_POISON, "wrote beside a row");
        }
    }
    simt_free(d->p);
}

static mbk_cu_starts device_starts(const form *f) {
    mbk_cu_starts s = {NULL, f->n_starts};
    if (f->n_starts) {
        int32_t *at = simt_malloc((size_t)f->n_starts * sizeof *at);
        memcpy(at, f->starts, (size_t)f->n_starts * sizeof *at);
        s.at = at;
    }
    return s;
}

/* Less scratch makes smaller waves; `one` is what a single block needs beside `rest`. */
static mbk_cu_queue queue_of(size_t wanted, const form *f, size_t one, size_t rest) {
    size_t bytes = f->wave ? rest + one * (size_t)f->wave + 512 : wanted;
    bytes = bytes < wanted ? bytes : wanted;
    return (mbk_cu_queue){NULL, simt_malloc(bytes), bytes, 4};
}

static void cuda_forward(const form *f, arg *t) {
    device d[ARGS];
    mbk_cu_view v[ARGS];
    for (int i = 0; i < ARGS; i++) {
        v[i] = device_view(&d[i], &t[i]);
    }
    mbk_cu_ssd a = {f->in_place ? v[X] : v[Y],
                    v[X],
                    v[DT],
                    v[B],
                    v[C],
                    v[A],
                    v[D],
                    v[BIAS],
                    v[STATE],
                    v[OPEN_X],
                    v[OPEN_B],
                    v[OPEN_LAM],
                    f->groups,
                    f->position,
                    device_starts(f),
                    f->dt_min,
                    f->dt_max,
                    v[SAVED]};
    const size_t one = (size_t)(f->heads * (3 * Q + f->n * f->p) + f->groups * Q * Q) * 4;
    mbk_cu_queue q = queue_of(mbk_cu_ssd_scratch(&a), f, one, (size_t)(Q * f->heads * f->p * 4) + 65536);
    CHECK_INT(mbk_cu_ssd_forward(&q, &a), 0);
    simt_free(q.scratch);
    simt_free((void *)(uintptr_t)a.starts.at);
    if (f->in_place) {
        d[X].host = &t[Y];
    }
    for (int i = 0; i < ARGS; i++) {
        device_done(&d[i], i == Y ? !f->in_place : i == X ? f->in_place : i >= STATE);
    }
}

static void cuda_backward(const form *f, arg *t, arg *g) {
    device d[ARGS];
    device e[GRADS];
    mbk_cu_view v[ARGS];
    mbk_cu_view w[GRADS];
    for (int i = 0; i < ARGS; i++) {
        v[i] = device_view(&d[i], &t[i]);
    }
    for (int i = 0; i < GRADS; i++) {
        w[i] = device_view(&e[i], &g[i]);
    }
    mbk_cu_ssd_grad a = {
        w[DX],     w[DDT],   w[DB], w[DC], w[DA], w[DD],   w[DBIAS], w[DSTATE], w[DY],       v[X],
        v[DT],     v[B],     v[C],  v[A],  v[D],  v[BIAS], v[SAVED], f->groups, f->position, device_starts(f),
        f->dt_min, f->dt_max};
    const size_t one = (size_t)(f->heads * (3 * Q + f->n * f->p + Q * Q + 6 + f->p) + f->groups * Q * Q) * 4;
    mbk_cu_queue q = queue_of(mbk_cu_ssd_grad_scratch(&a), f, one, 65536);
    CHECK_INT(mbk_cu_ssd_backward(&q, &a), 0);
    simt_free(q.scratch);
    simt_free((void *)(uintptr_t)a.starts.at);
    for (int i = 0; i < ARGS; i++) {
        device_done(&d[i], 0);
    }
    for (int i = 0; i < GRADS; i++) {
        device_done(&e[i], i < DY);
    }
}

static mbk_ctx *ref_views(mbk_ctx *ctx, kit_mat *m, const arg *t, int n) {
    for (int i = 0; i < n; i++) {
        m[i] = (kit_mat){kit_none, ctx};
        if (t[i].v) {
            m[i] = kit_of(ctx, t[i].rows, t[i].cols, 0, t[i].v);
        }
    }
    return ctx;
}

static void ref_done(kit_mat *m, arg *t, int n, int64_t results) {
    for (int i = 0; i < n; i++) {
        if (t[i].v && (results >> i & 1)) {
            float *got = kit_get(&m[i]);
            memcpy(t[i].v, got, (size_t)(t[i].rows * t[i].cols) * sizeof(float));
            free(got);
        }
        if (t[i].v) {
            kit_free(&m[i]);
        }
    }
}

static void ref_forward(const form *f, arg *t) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[ARGS];
    ref_views(ctx, m, t, ARGS);
    mbk_buf *starts = f->n_starts ? kit_ids(ctx, f->starts, f->n_starts) : NULL;
    mbk_ssd_args a = {m[Y].m,      m[X].m,        m[DT].m,   m[B].m,      m[C].m,
                      m[A].m,      m[D].m,        m[BIAS].m, m[STATE].m,  m[OPEN_X].m,
                      m[OPEN_B].m, m[OPEN_LAM].m, f->groups, f->position, {starts, 0, f->n_starts},
                      f->dt_min,   f->dt_max,     m[SAVED].m};
    CHECK_INT(ctx->ops->ssd(ctx, &a), 0);
    ref_done(m, t, ARGS, 1 << Y | 1 << STATE | 1 << OPEN_X | 1 << OPEN_B | 1 << OPEN_LAM | 1 << SAVED);
    if (starts) {
        ctx->ops->buf_free(ctx, starts);
    }
    kit_close(ctx);
}

static void ref_backward(const form *f, arg *t, arg *g) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    kit_mat m[ARGS];
    kit_mat w[GRADS];
    ref_views(ctx, m, t, ARGS);
    ref_views(ctx, w, g, GRADS);
    mbk_buf *starts = f->n_starts ? kit_ids(ctx, f->starts, f->n_starts) : NULL;
    mbk_ssd_grad_args a = {w[DX].m,   w[DDT].m,   w[DB].m,     w[DC].m,     w[DA].m,
                           w[DD].m,   w[DBIAS].m, w[DSTATE].m, w[DY].m,     m[X].m,
                           m[DT].m,   m[B].m,     m[C].m,      m[A].m,      m[D].m,
                           m[BIAS].m, m[SAVED].m, f->groups,   f->position, {starts, 0, f->n_starts},
                           f->dt_min, f->dt_max};
    CHECK_INT(ctx->ops->ssd_grad(ctx, &a), 0);
    ref_done(m, t, ARGS, 0);
    ref_done(w, g, GRADS, (1 << DY) - 1);
    if (starts) {
        ctx->ops->buf_free(ctx, starts);
    }
    kit_close(ctx);
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static arg arg_new(int64_t rows, int64_t cols, float from, float to) {
    return (arg){kit_random(rows * cols, from, to), rows, cols};
}

static void args_free(arg *t, int n) {
    for (int i = 0; i < n; i++) {
        free(t[i].v);
    }
}

static void copy_args(arg *to, const arg *from, int n) {
    for (int i = 0; i < n; i++) {
        to[i] = from[i];
        if (from[i].v) {
            const size_t bytes = (size_t)(from[i].rows * from[i].cols) * sizeof(float);
            to[i].v = malloc(bytes + 1);
            memcpy(to[i].v, from[i].v, bytes);
        }
    }
}

static form form_new(int64_t rows, int64_t heads, int64_t p, int64_t groups, int64_t n) {
    form f = {rows, heads, p, groups, n, 0, 0, INFINITY, NULL, 0, 0, 0};
    if (kit_int(0, 2) == 0) {
        f.dt_min = 0.05f;
        f.dt_max = 0.5f;
    }
    return f;
}

static void args_new(const form *f, arg *t) {
    const int64_t cols = f->heads * f->p;
    t[Y] = arg_new(f->rows, cols, 0, 0);
    t[X] = arg_new(f->rows, cols, -1, 1);
    t[DT] = arg_new(f->rows, f->heads, -6, 2);
    t[B] = arg_new(f->rows, f->groups * f->n, -1, 1);
    t[C] = arg_new(f->rows, f->groups * f->n, -1, 1);
    t[A] = arg_new(1, f->heads, -16, -0.01f);
    t[D] = kit_int(0, 4) ? arg_new(1, kit_int(0, 1) ? cols : f->heads, -1, 1) : (arg){NULL, 0, 0};
    t[BIAS] = kit_int(0, 3) ? arg_new(1, f->heads, -2, 1) : (arg){NULL, 0, 0};
    t[STATE] = arg_new(f->heads * f->n, f->p, -1, 1);
    t[OPEN_X] = arg_new(f->heads * Q, f->p, 0, 0);
    t[OPEN_B] = arg_new(Q, f->groups * f->n, 0, 0);
    t[OPEN_LAM] = arg_new(f->heads, 2L * Q, 0, 0);
    t[SAVED] = (arg){NULL, 0, 0};
}

/* The same call in pieces of `cut` rows, or of random lengths where it is negative. */
static void cuda_cut(const form *f, arg *t, int64_t cut) {
    for (int64_t from = 0; from < f->rows;) {
        const int64_t take = cut < 0 ? kit_int(1, 90) : cut;
        const int64_t to = from + take < f->rows ? from + take : f->rows;
        form part = *f;
        arg sub[ARGS];
        memcpy(sub, t, sizeof sub);
        for (int i = Y; i <= C; i++) {
            sub[i].v += from * sub[i].cols;
            sub[i].rows = to - from;
        }
        part.rows = to - from;
        part.position = f->position + from;
        part.in_place = (int)kit_int(0, 1);
        cuda_forward(&part, sub);
        from = to;
    }
}

static void check_same(const arg *a, const arg *b, int from, int to, const char *what) {
    for (int i = from; i < to; i++) {
        if (a[i].v) {
            CHECK(kit_same(a[i].v, b[i].v, a[i].rows * a[i].cols), "%s: tensor %d has other bits", what, i);
        }
    }
}

static void check_close(const arg *got, const arg *want, int from, int to, double limit, const char *what) {
    for (int i = from; i < to; i++) {
        if (got[i].v) {
            const double off = kit_maxrel(got[i].v, want[i].v, got[i].rows * got[i].cols);
            CHECK(off <= limit, "%s: tensor %d is off by %g", what, i, off);
        }
    }
}

static const char *name_of(const form *f) {
    static char name[120];
    snprintf(name, sizeof name, "L %ld H %ld P %ld G %ld N %ld at %ld", (long)f->rows, (long)f->heads, (long)f->p,
             (long)f->groups, (long)f->n, (long)f->position);
    return name;
}

static const char *const schedules[] = {"fifo", "lifo", "random:7"};

static void check_forward(const form *f) {
    arg first[ARGS];
    arg want[ARGS];
    arg got[ARGS];
    args_new(f, first);
    copy_args(want, first, ARGS);
    ref_forward(f, want);
    copy_args(got, first, ARGS);
    cuda_forward(f, got);
    check_close(got, want, Y, Y + 1, 5e-6, name_of(f));
    check_close(got, want, STATE, SAVED, 5e-6, name_of(f));
    for (int i = 0; i < (RACE ? 1 : 3); i++) {
        static const int64_t cuts[] = {64, -1, 7};
        arg cut[ARGS];
        copy_args(cut, first, ARGS);
        CHECK_INT(simt_schedule(schedules[2 - i]), 0);
        cuda_cut(f, cut, cuts[i]);
        simt_schedule(NULL);
        check_same(cut, got, Y, Y + 1, name_of(f));
        check_same(cut, got, STATE, SAVED, name_of(f));
        args_free(cut, ARGS);
    }
    args_free(first, ARGS);
    args_free(want, ARGS);
    args_free(got, ARGS);
}

MBS_TEST(cuda_ssd, forward_of_any_shape_and_cut) {
    static const int64_t states[] = {1, 16, 33, 64, 65, 130};
    for (size_t i = 0; i < sizeof states / sizeof *states && !RACE; i++) {
        const int64_t groups = kit_int(1, 2);
        form f = form_new(kit_int(1, 150), groups * kit_int(1, 2), kit_int(1, 70), groups, states[i]);
        check_forward(&f);
    }
    form exact = RACE ? form_new(70, 1, 3, 1, 34) : form_new(128, 1, 64, 1, 32);
    check_forward(&exact);
    form heads = RACE ? form_new(65, 4, 2, 2, 2) : form_new(70, 35, 2, 5, 3);
    check_forward(&heads);
}

/* A wave of one block and of three give the bits of one wave. */
MBS_TEST(cuda_ssd, waves_change_nothing) {
    form f = form_new(RACE ? 130 : 500, 2, 5, 1, 4);
    arg first[ARGS];
    arg whole[ARGS];
    args_new(&f, first);
    copy_args(whole, first, ARGS);
    cuda_forward(&f, whole);
    for (int64_t wave = 1; wave <= (RACE ? 1 : 3); wave += 2) {
        arg got[ARGS];
        copy_args(got, first, ARGS);
        f.wave = wave;
        cuda_forward(&f, got);
        check_same(got, whole, Y, SAVED, "wave");
        args_free(got, ARGS);
    }
    args_free(first, ARGS);
    args_free(whole, ARGS);
}

/* What is not finite in one row is not seen by those before it. */
MBS_TEST(cuda_ssd, nothing_goes_back_in_time) {
    form f = form_new(100, 2, 33, 1, 8);
    arg t[ARGS];
    args_new(&f, t);
    t[X].v[70 * 66 + 5] = INFINITY;
    t[B].v[90 * 8] = NAN;
    cuda_forward(&f, t);
    for (int64_t i = 0; i < 70 * 66; i++) {
        CHECK(isfinite(t[Y].v[i]), "y[%ld] is %g", (long)i, (double)t[Y].v[i]);
    }
    CHECK(!isfinite(t[Y].v[70 * 66 + 5]));
    CHECK(isfinite(t[Y].v[89 * 66 + 6]) && !isfinite(t[Y].v[90 * 66 + 6]));
    args_free(t, ARGS);
}

/* --- with a call before, starts, saved states, and back ----------------------------------------------------------- */

static void grads_new(const form *f, const arg *t, arg *g) {
    const int64_t cols = f->heads * f->p;
    g[DX] = arg_new(f->rows, cols, 0, 0);
    g[DDT] = arg_new(f->rows, f->heads, 0, 0);
    g[DB] = arg_new(f->rows, f->groups * f->n, 0, 0);
    g[DC] = arg_new(f->rows, f->groups * f->n, 0, 0);
    g[DA] = arg_new(1, f->heads, -1, 1);
    g[DD] = t[D].v ? arg_new(1, t[D].cols, -1, 1) : (arg){NULL, 0, 0};
    g[DBIAS] = t[BIAS].v ? arg_new(1, f->heads, -1, 1) : (arg){NULL, 0, 0};
    g[DSTATE] = arg_new(f->heads * f->n, f->p, -1, 1);
    g[DY] = arg_new(f->rows, cols, -1, 1);
}

/* A call that goes on in the middle of a block, keeping states, and its gradients. */
static void check_both(form f, int64_t before) {
    arg first[ARGS];
    arg want[ARGS];
    arg got[ARGS];
    arg grad[GRADS];
    arg grad_want[GRADS];
    args_new(&f, first);
    if (before > 0) { /* rows of a call before this one: they open the block */
        form past = f;
        arg t[ARGS];
        past.rows = before;
        past.n_starts = 0;
        args_new(&past, t);
        memcpy(&t[STATE], &first[STATE], (ARGS - STATE) * sizeof *t);
        t[A] = first[A];
        free(t[BIAS].v);
        t[BIAS] = first[BIAS];
        ref_forward(&past, t);
        t[A].v = t[BIAS].v = NULL;
        args_free(t, STATE);
        f.position = before;
    }
    first[SAVED] = arg_new((MBK_SSD_SAVED(f.rows) + f.n_starts) * f.heads * f.n, f.p, 0, 0);
    copy_args(want, first, ARGS);
    copy_args(got, first, ARGS);
    ref_forward(&f, want);
    cuda_forward(&f, got);
    check_close(got, want, Y, Y + 1, 5e-6, name_of(&f));
    check_close(got, want, STATE, ARGS, 5e-6, name_of(&f));
    grads_new(&f, first, grad);
    copy_args(grad_want, grad, GRADS);
    ref_backward(&f, want, grad_want);
    for (int i = RACE ? 2 : 0; i < 3; i++) {
        arg again[GRADS];
        copy_args(again, grad, GRADS);
        CHECK_INT(simt_schedule(schedules[i]), 0);
        cuda_backward(&f, want, again);
        simt_schedule(NULL);
        check_close(again, grad_want, DX, DY, 1e-5, name_of(&f));
        if (i == 2 && !RACE) {
            cuda_backward(&f, want, grad);
            check_same(again, grad, DX, DY, name_of(&f));
        }
        args_free(again, GRADS);
    }
    arg *all[] = {first, want, got};
    for (int i = 0; i < 3; i++) {
        args_free(all[i], ARGS);
    }
    args_free(grad, GRADS);
    args_free(grad_want, GRADS);
}

MBS_TEST(cuda_ssd, goes_on_in_a_block_and_back) {
    if (!RACE) {
        check_both(form_new(150, 2, 20, 1, 17), 0);
        check_both(form_new(100, 4, 70, 2, 9), 37);
        check_both(form_new(10, 2, 8, 1, 66), 20);
    }
    check_both(form_new(27, 3, 33, 1, RACE ? 34 : 5), 37);
    check_both(form_new(1, 1, 1, 1, 1), 63);
}

MBS_TEST(cuda_ssd, sequences_side_by_side) {
    static const int32_t at[] = {0, 1, 5, 69, 70, 198, 261};
    for (int skip = RACE; skip < 2; skip++) {
        form f = RACE ? form_new(280, 2, 2, 2, 1) : form_new(280, 4, 10, 2, 6);
        f.starts = at + skip;
        f.n_starts = 7 - skip;
        check_both(f, skip ? 37 : 0);
    }
}

/* Many short records: more sequences than the threads that count them. */
MBS_TEST(cuda_ssd, many_short_sequences) {
    enum { MANY = RACE ? 20 : 300 };
    int32_t at[MANY];
    form f = form_new(RACE ? 70 : 1000, 1, 2, 1, 2);
    for (int i = 0; i < MANY; i++) {
        at[i] = 3 * i + (i > 200 ? 70 : 1);
    }
    f.starts = at;
    f.n_starts = MANY;
    check_both(f, 5);
}

/* The gradients of parameters are summed wave by wave: other bits, the same numbers. */
MBS_TEST(cuda_ssd, gradients_in_waves) {
    form f = form_new(RACE ? 140 : 300, 2, 6, 1, 5);
    f.wave = 2;
    check_both(f, 11);
}
