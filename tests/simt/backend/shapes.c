#include "simt/backend/shapes.h"

#include <math.h>

#include "support/test.h"

int64_t shapes_many(int64_t many) {
    return kit_setting("MBS_CUDA_SHAPES", many);
}

int64_t shapes_budget(int64_t large) {
    return kit_setting("MBS_CUDA_BUDGET", large);
}

int shapes_fits(int64_t steps, int64_t budget) {
    return steps <= budget && (steps * 50 >= budget || kit_int(0, 40) == 0);
}

void shapes_draw_starts(shapes_trial *t) {
    const int64_t most = t->rows < SHAPES_STARTS ? t->rows : SHAPES_STARTS;
    t->n_starts = kit_int(0, 1) ? kit_int(1, most) : 0;
    for (int64_t i = 0, at = 0; i < t->n_starts; i++) {
        at = kit_int(at, t->rows - t->n_starts + i);
        t->starts[i] = (int32_t)at++;
    }
}

void shapes_tensor_add(shapes_trial *t, int index, shapes_tensor of) {
    CHECK(index < SHAPES_TENSORS);
    t->tensor[index] = of;
    t->tensors = index < t->tensors ? t->tensors : index + 1;
}

/* --- what the calls of a trial see -------------------------------------------------------------------------------- */

mbk_mat shapes_rows(const shapes_call *c, int index) {
    return kit_rows(&c->m[index], c->from, c->to);
}

mbk_mat shapes_maybe(const shapes_call *c, int index, int there) {
    return there ? c->m[index].m : kit_none;
}

mbk_mat shapes_kept(const shapes_call *c, int index, int64_t block, int64_t more, int64_t each) {
    int64_t blocks = 0;
    int64_t before = 0;
    for (int i = 0; i <= c->piece; i++) {
        before = blocks;
        blocks += (c->end[i + 1] - c->end[i] + block - 1) / block + more;
    }
    return kit_rows(&c->m[index], before * each, blocks * each);
}

mbk_buf *shapes_ids(const shapes_call *c, int index) {
    const int64_t n = c->to - c->from;
    int32_t *ids = malloc((size_t)(n + 1) * sizeof *ids);
    CHECK(ids != NULL);
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (int32_t)floorf(c->numbers[index][c->from + i]);
    }
    mbk_buf *buf = kit_ids(c->ctx, ids, n);
    free(ids);
    return buf;
}

/* --- a run -------------------------------------------------------------------------------------------------------- */

typedef struct run_of {
    float *of[SHAPES_TENSORS];
} run_of;

static int drawn(const shapes_tensor *t) {
    return t->role == SHAPES_IN || t->role == SHAPES_INOUT || t->role == SHAPES_HOST;
}

static int fetched(const shapes_tensor *t) {
    return t->role == SHAPES_IN || t->role == SHAPES_INOUT || t->role == SHAPES_OUT || t->role == SHAPES_ZERO;
}

static void pieces(const shapes_trial *t, shapes_call *c, int n, int back) {
    for (int i = 0; i < n; i++) {
        c->piece = back ? n - 1 - i : i;
        c->from = c->end[c->piece];
        c->to = c->end[c->piece + 1];
        c->begun = -1;
        int32_t at[SHAPES_STARTS];
        int64_t n_at = 0;
        for (int64_t k = 0; k < t->n_starts && t->starts[k] < c->to; k++) {
            if (t->starts[k] >= c->from) {
                at[n_at++] = (int32_t)(t->starts[k] - c->from);
            } else {
                c->begun = t->starts[k];
            }
        }
        mbk_buf *ids = n_at ? kit_ids(c->ctx, at, n_at) : NULL;
        c->starts = (mbk_starts){ids, 0, n_at};
        (back ? t->back : t->forward)(c);
        if (ids) {
            c->ctx->ops->buf_free(c->ctx, ids);
        }
    }
}

static run_of run(mbk_ctx *ctx, const shapes_trial *t, float *const *numbers, const int64_t *end, int n, int pad) {
    kit_mat m[SHAPES_TENSORS];
    for (int i = 0; i < t->tensors; i++) {
        const shapes_tensor *of = &t->tensor[i];
        const int64_t rows = of->role == SHAPES_HOST ? 0 : of->rows;
        m[i] = kit_new(ctx, rows, of->cols, pad * (i % 4));
        if (drawn(of) && of->role != SHAPES_HOST) {
            kit_put(&m[i], numbers[i]);
        } else if (of->role == SHAPES_ZERO || of->role == SHAPES_KEPT) {
            CHECK_INT(ctx->ops->zero(ctx, m[i].m), 0);
        }
    }
    shapes_call c = {.ctx = ctx, .shape = t->shape, .m = m, .numbers = (const float *const *)numbers, .end = end};
    pieces(t, &c, n, 0);
    if (t->back) {
        pieces(t, &c, n, 1);
    }
    run_of r = {{NULL}};
    for (int i = 0; i < t->tensors; i++) {
        CHECK(kit_canaries(&m[i]), "%s: wrote outside of %s", t->what, t->tensor[i].name);
        r.of[i] = fetched(&t->tensor[i]) ? kit_get(&m[i]) : NULL;
        kit_free(&m[i]);
    }
    return r;
}

static void run_free(run_of *r) {
    for (int i = 0; i < SHAPES_TENSORS; i++) {
        free(r->of[i]);
    }
}

/* --- what it has to be -------------------------------------------------------------------------------------------- */

static int64_t compared(const shapes_tensor *t) {
    return (t->meant ? t->meant : t->rows) * t->cols;
}

static double off_by(const shapes_tensor *t, const float *got, const float *want) {
    double top = t->least;
    double off = 0;
    for (int64_t i = 0; i < compared(t); i++) {
        const double d = isnan(got[i]) && isnan(want[i]) ? 0 : fabs((double)got[i] - (double)want[i]);
        off = isnan(d) ? (double)INFINITY : fmax(off, d);
        top = fmax(top, fabs((double)want[i]));
    }
    return off == 0 ? 0 : off / top;
}

static void beside_ref(const shapes_trial *t, const run_of *got, const run_of *want, float *const *numbers) {
    for (int i = 0; i < t->tensors; i++) {
        const shapes_tensor *of = &t->tensor[i];
        if (of->role == SHAPES_IN) {
            CHECK(kit_same(got->of[i], numbers[i], of->rows * of->cols), "%s: %s was written", t->what, of->name);
        } else if (fetched(of)) {
            const double off = off_by(of, got->of[i], want->of[i]);
            CHECK(off <= of->limit, "%s: %s is off by %g", t->what, of->name, off);
        }
    }
}

static void same(const shapes_trial *t, const run_of *a, const run_of *b, int back, const char *how) {
    for (int i = 0; i < t->tensors; i++) {
        const shapes_tensor *of = &t->tensor[i];
        if (fetched(of) && (back || !of->back)) {
            CHECK(kit_same(a->of[i], b->of[i], compared(of)), "%s: %s is another one %s", t->what, of->name, how);
        }
    }
}

/* Ends of pieces; how many there are. */
static int draw_cuts(const shapes_trial *t, int64_t unit, int64_t *end) {
    int n = 0;
    end[0] = 0;
    while (unit > 0 && !t->uncut && n < SHAPES_PIECES - 1 && end[n] < t->rows) {
        const int64_t left = t->rows - end[n];
        const int64_t most = (left + unit - 1) / unit;
        end[n + 1] = end[n] + unit * kit_int(1, most);
        end[n + 1] = end[n + 1] < t->rows ? end[n + 1] : t->rows;
        n++;
    }
    if (end[n] < t->rows || n == 0) {
        end[++n] = t->rows;
    }
    return n;
}

void shapes_try(shapes_trial *t) {
    float *numbers[SHAPES_TENSORS] = {NULL};
    for (int i = 0; i < t->tensors; i++) {
        const shapes_tensor *of = &t->tensor[i];
        numbers[i] = drawn(of) ? kit_random(of->rows * of->cols, of->from, of->to) : NULL;
    }
    const int64_t whole[2] = {0, t->rows};
    int64_t end[SHAPES_PIECES + 1];
    const int64_t units[] = {0, 1, cuda_kit_unit()};
    const int64_t unit = units[kit_int(0, 2)];
    const int n = draw_cuts(t, unit, end);
    fprintf(stderr, "  %s, %lld starts, %d calls%s\n", t->what, (long long)t->n_starts, n,
            unit > 1 ? " of whole units" : "");
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    run_of want = run(ctx, t, numbers, whole, 1, 0);
    kit_close(ctx);
    run_of first = {{NULL}};
    for (int i = 0; i < cuda_kit_schedules(); i++) {
        ctx = kit_open((mbk_level)((int)MBK_LEVEL_COUNT + (i < 3 ? i + 2 : i - 3)), 1);
        run_of got = run(ctx, t, numbers, end, n, 1 + i);
        if (i > 0) {
            same(t, &got, &first, 1, "than under the first schedule");
            run_free(&got);
        } else {
            first = got;
            beside_ref(t, &first, &want, numbers);
        }
        kit_close(ctx);
    }
    if (unit > 1 && n > 1) {
        ctx = kit_open(kit_level_best(), 1);
        run_of got = run(ctx, t, numbers, whole, 1, 2);
        same(t, &got, &first, 0, "than in one call");
        run_free(&got);
        kit_close(ctx);
    }
    run_free(&first);
    run_free(&want);
    for (int i = 0; i < t->tensors; i++) {
        free(numbers[i]);
    }
}
