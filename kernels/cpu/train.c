/* train.c - the loss, elementwise products, the length of a gradient and the optimiser. */
#include <math.h>

#include "cpu/cpu.h"

typedef struct loss_run {
    float *loss;
    float *dx; /* or NULL */
    const float *x;
    const float *weight; /* or NULL */
    const int32_t *ids;
    int64_t ldloss, lddx, ldx, ldweight, cols;
    float scale;
    double (*leaf)(float *dx, const float *x, int64_t n, int64_t id, float scale);
} loss_run;

static void loss_range(void *arg, int64_t from, int64_t to) {
    const loss_run *run = arg;
    for (int64_t r = from; r < to; r++) {
        float *dx = run->dx ? run->dx + r * run->lddx : NULL;
        int32_t id = run->ids[r];
        assert(id < run->cols);
        if (id < 0) {
            run->loss[r * run->ldloss] = 0.0f;
            if (dx) {
                memset(dx, 0, (size_t)run->cols * sizeof *dx);
            }
            continue;
        }
        float weight = run->weight ? run->weight[r * run->ldweight] : 1.0f;
        double loss = run->leaf(dx, run->x + r * run->ldx, run->cols, id, run->scale * weight);
        run->loss[r * run->ldloss] = (float)(loss * (double)weight);
    }
}

static mbk_status cross_entropy(mbk_ctx *ctx, mbk_mat loss, mbk_mat dlogits, mbk_mat logits, mbk_mat weight,
                                mbk_buf *ids, int64_t ids_off, float scale) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(loss.rows == logits.rows && loss.cols == 1 && logits.cols > 0);
    assert(!dlogits.buf || (dlogits.rows == logits.rows && dlogits.cols == logits.cols));
    assert(!weight.buf || (weight.rows == logits.rows && weight.cols == 1));
    loss_run run = {
        .loss = at(&loss),
        .dx = at(&dlogits),
        .x = at(&logits),
        .weight = at(&weight),
        .ids = ints_at(ids, ids_off, logits.rows),
        .ldloss = loss.ld,
        .lddx = dlogits.ld,
        .ldx = logits.ld,
        .ldweight = weight.ld,
        .cols = logits.cols,
        .scale = scale,
        .leaf = cpu->leaf.grad.cross_entropy,
    };
    mbk_ranges(cpu, logits.rows, logits.cols < 1024 ? 64 : 1, logits.rows * (logits.cols + 64) * 2, loss_range, &run);
    return MBS_OK;
}

typedef struct hits_run {
    float *hit;
    const float *x;
    const int32_t *ids;
    int64_t ldhit, ldx, cols;
} hits_run;

static void hits_range(void *arg, int64_t from, int64_t to) {
    const hits_run *run = arg;
    for (int64_t r = from; r < to; r++) {
        const float *x = run->x + r * run->ldx;
        int32_t id = run->ids[r];
        assert(id < run->cols);
        int hit = id >= 0 && x[id] == x[id];
        if (hit) {
            int beaten = 0;
            for (int64_t j = 0; j < id; j++) {
                beaten |= x[j] >= x[id];
            }
            for (int64_t j = id + 1; j < run->cols; j++) {
                beaten |= x[j] > x[id];
            }
            hit = !beaten;
        }
        run->hit[r * run->ldhit] = hit ? 1.0f : 0.0f;
    }
}

/* One for all levels: nothing is added up. */
static mbk_status hits(mbk_ctx *ctx, mbk_mat hit, mbk_mat logits, mbk_buf *ids, int64_t ids_off) {
    assert(hit.rows == logits.rows && hit.cols == 1 && logits.cols > 0);
    hits_run run = {at(&hit), at(&logits), ints_at(ids, ids_off, logits.rows), hit.ld, logits.ld, logits.cols};
    mbk_ranges(cpu_of(ctx), logits.rows, logits.cols < 1024 ? 64 : 1, logits.rows * logits.cols / MBK_PANEL, hits_range,
               &run);
    return MBS_OK;
}

static mbk_status mul(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r) {
    assert(y.rows == x.rows && y.cols == x.cols && r.rows == x.rows && r.cols == x.cols);
    for (int64_t i = 0; i < x.rows; i++) {
        cpu_of(ctx)->leaf.grad.mul(at(&y) + i * y.ld, at(&x) + i * x.ld, at(&r) + i * r.ld, x.cols);
    }
    return MBS_OK;
}

static mbk_status neg_exp(mbk_ctx *ctx, mbk_mat y, mbk_mat x) {
    assert(y.rows == x.rows && y.cols == x.cols);
    for (int64_t i = 0; i < x.rows; i++) {
        float *to = at(&y) + i * y.ld;
        cpu_of(ctx)->leaf.exp(to, at(&x) + i * x.ld, x.cols);
        for (int64_t j = 0; j < x.cols; j++) {
            to[j] = -to[j];
        }
    }
    return MBS_OK;
}

/* Elements whose squares a level may add up in f32. */
#define SQUARES_BLOCK 4096

typedef struct squares_run {
    double (*leaf)(const float *x, int64_t n);
    double *sums; /* of each strip */
    const float *x;
    int64_t n;
} squares_run;

static void squares_range(void *arg, int64_t from, int64_t to) {
    const squares_run *run = arg;
    for (int64_t i = from; i < to; i++) {
        const int64_t left = run->n - i * SQUARES_BLOCK;
        run->sums[i] = run->leaf(run->x + i * SQUARES_BLOCK, left < SQUARES_BLOCK ? left : SQUARES_BLOCK);
    }
}

/* Strips in any order, their sums in the order of the elements. */
static mbk_status sum_squares(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t most = (int64_t)(cpu->scratch_size / sizeof(double));
    assert(off >= 0 && (uint64_t)(off + 1) * sizeof(double) <= acc->head.bytes);
    double sum = 0.0;
    for (int64_t i = 0; i < x.rows; i++) {
        for (int64_t j = 0; j < x.cols; j += most * SQUARES_BLOCK) {
            squares_run run = {cpu->leaf.grad.squares, cpu->scratch, at(&x) + i * x.ld + j, x.cols - j};
            run.n = run.n < most * SQUARES_BLOCK ? run.n : most * SQUARES_BLOCK;
            const int64_t strips = (run.n + SQUARES_BLOCK - 1) / SQUARES_BLOCK;
            mbk_ranges(cpu, strips, 1, run.n / MBK_PANEL, squares_range, &run);
            for (int64_t k = 0; k < strips; k++) {
                sum += run.sums[k];
            }
        }
    }
    ((double *)(void *)acc->data)[off] += sum;
    return MBS_OK;
}

typedef struct adamw_run {
    adamw_job job;
    void (*leaf)(const adamw_job *job, float *w, float *m, float *v, const float *g, int64_t n);
    float *w, *m, *v;
    const float *g;
    int64_t ldw, ldm, ldv, ldg, cols, strips;
} adamw_run;

#define ADAMW_COLS 4096

/* Units are strips of ADAMW_COLS columns, row by row. */
static void adamw_range(void *arg, int64_t from, int64_t to) {
    const adamw_run *run = arg;
    for (int64_t i = from; i < to; i++) {
        int64_t r = i / run->strips;
        int64_t c = i % run->strips * ADAMW_COLS;
        int64_t n = run->cols - c < ADAMW_COLS ? run->cols - c : ADAMW_COLS;
        run->leaf(&run->job, run->w + r * run->ldw + c, run->m + r * run->ldm + c, run->v + r * run->ldv + c,
                  run->g + r * run->ldg + c, n);
    }
}

static mbk_status adamw(mbk_ctx *ctx, const mbk_adamw_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(s->step >= 1 && s->w.rows == s->g.rows && s->w.cols == s->g.cols);
    assert(s->m.rows == s->w.rows && s->m.cols == s->w.cols && s->v.rows == s->w.rows && s->v.cols == s->w.cols);
    adamw_run run = {
        .job =
            {
                .keep = (float)(1.0 - s->lr * s->decay),
                .rate = (float)(s->lr / (1.0 - pow(s->beta1, (double)s->step))),
                .root = (float)(1.0 / (1.0 - pow(s->beta2, (double)s->step))),
                .beta1 = (float)s->beta1,
                .beta2 = (float)s->beta2,
                .rest1 = (float)(1.0 - s->beta1),
                .rest2 = (float)(1.0 - s->beta2),
                .eps = (float)s->eps,
                .scale = (float)s->scale,
            },
        .leaf = cpu->leaf.grad.adamw,
        .w = at(&s->w),
        .m = at(&s->m),
        .v = at(&s->v),
        .g = at(&s->g),
        .ldw = s->w.ld,
        .ldm = s->m.ld,
        .ldv = s->v.ld,
        .ldg = s->g.ld,
        .cols = s->w.cols,
        .strips = (s->w.cols + ADAMW_COLS - 1) / ADAMW_COLS,
    };
    int64_t grain = s->w.cols < 512 ? 16 : 1;
    mbk_ranges(cpu, s->w.rows * run.strips, grain, s->w.rows * s->w.cols / 2, adamw_range, &run);
    return MBS_OK;
}

void mbk_train_ops(mbk_ops *ops) {
    ops->cross_entropy = cross_entropy;
    ops->hits = hits;
    ops->mul = mul;
    ops->neg_exp = neg_exp;
    ops->sum_squares = sum_squares;
    ops->adamw = adamw;
}
