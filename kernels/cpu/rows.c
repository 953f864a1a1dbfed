/* rows.c - the operations that treat every row alone: embed, norms, add, logprob, and the row sum. */
#include <math.h>

#include "cpu/cpu.h"

typedef struct embed_run {
    const mbk_weight *table;
    const int32_t *id;
    float *y;
    int64_t ldy;
} embed_run;

static void embed_range(void *arg, int64_t from, int64_t to) {
    const embed_run *run = arg;
    for (int64_t r = from; r < to; r++) {
        mbk_weight_row(run->table, run->id[r], run->y + r * run->ldy);
    }
}

static mbk_status embed(mbk_ctx *ctx, mbk_mat y, const mbk_weight *table, mbk_buf *ids, int64_t ids_off) {
    assert(y.cols == table->n_in);
    embed_run run = {table, ints_at(ids, ids_off, y.rows), at(&y), y.ld};
    mbk_ranges(cpu_of(ctx), y.rows, 32, y.rows * y.cols / 8, embed_range, &run);
    return MBS_OK;
}

typedef struct norm_run {
    norm_job job;
    void (*leaf)(const norm_job *job, int64_t r0, int64_t r1);
} norm_run;

static void norm_range(void *arg, int64_t from, int64_t to) {
    const norm_run *run = arg;
    run->leaf(&run->job, from, to);
}

static mbk_status rmsnorm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, float eps) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && w.cols == x.cols);
    norm_run run = {{at(&y), at(&x), at(&w), NULL, y.ld, x.ld, x.cols, eps}, cpu->leaf.rmsnorm};
    mbk_ranges(cpu, x.rows, 32, x.rows * x.cols / 4, norm_range, &run);
    return MBS_OK;
}

static mbk_status layernorm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat b, float eps) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && w.cols == x.cols && (!b.buf || b.cols == x.cols));
    norm_run run = {{at(&y), at(&x), at(&w), at(&b), y.ld, x.ld, x.cols, eps}, cpu->leaf.layernorm};
    mbk_ranges(cpu, x.rows, 32, x.rows * x.cols / 4, norm_range, &run);
    return MBS_OK;
}

static mbk_status add(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && r.rows == x.rows && r.cols == x.cols);
    float *out = at(&y);
    const float *a = at(&x);
    const float *b = at(&r);
    for (int64_t i = 0; i < x.rows; i++) {
        cpu->leaf.add(out + i * y.ld, a + i * x.ld, b + i * r.ld, x.cols);
    }
    return MBS_OK;
}

static mbk_status gate(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && z.rows == x.rows && z.cols == x.cols);
    float *out = at(&y);
    const float *a = at(&x);
    const float *b = at(&z);
    for (int64_t i = 0; i < x.rows; i++) {
        cpu->leaf.gate(out + i * y.ld, a + i * x.ld, b + i * z.ld, x.cols);
    }
    return MBS_OK;
}

typedef struct gated_run {
    gated_job job;
    void (*leaf)(const gated_job *job, int64_t r0, int64_t r1);
} gated_run;

static void gated_range(void *arg, int64_t from, int64_t to) {
    const gated_run *run = arg;
    run->leaf(&run->job, from, to);
}

static mbk_status rmsnorm_gated(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z, mbk_mat w, float eps, int64_t group,
                                int32_t norm_first) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && z.rows == x.rows && z.cols == x.cols && w.cols == x.cols);
    assert(group >= 1 && x.cols % group == 0);
    gated_run run = {{at(&y), at(&x), at(&z), at(&w), y.ld, x.ld, z.ld, x.cols, group, eps, norm_first},
                     cpu->leaf.gated};
    mbk_ranges(cpu, x.rows, 8, x.rows * x.cols * 2, gated_range, &run);
    return MBS_OK;
}

typedef struct logprob_run {
    float *lp;
    const float *logits;
    const int32_t *ids;
    int64_t ldlp, ld, cols;
    double (*lse)(const float *x, int64_t n);
} logprob_run;

static void logprob_range(void *arg, int64_t from, int64_t to) {
    const logprob_run *run = arg;
    for (int64_t r = from; r < to; r++) {
        const float *row = run->logits + r * run->ld;
        int32_t id = run->ids[r];
        assert(id < run->cols);
        run->lp[r * run->ldlp] = id < 0 ? NAN : (float)((double)row[id] - run->lse(row, run->cols));
    }
}

static mbk_status logprob(mbk_ctx *ctx, mbk_mat lp, mbk_mat logits, mbk_buf *ids, int64_t ids_off) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(lp.rows == logits.rows && lp.cols == 1 && logits.cols > 0);
    logprob_run run = {
        .lp = at(&lp),
        .ldlp = lp.ld,
        .logits = at(&logits),
        .ld = logits.ld,
        .cols = logits.cols,
        .ids = ints_at(ids, ids_off, lp.rows),
        .lse = cpu->leaf.lse,
    };
    int64_t grain = logits.cols < 1024 ? 64 : 1;
    mbk_ranges(cpu, lp.rows, grain, lp.rows * (logits.cols + 64), logprob_range, &run);
    return MBS_OK;
}

/* Doubles added in the order of the rows: the same at every level. */
static mbk_status row_sum(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x) {
    (void)ctx;
    assert(off >= 0 && (uint64_t)(off + x.cols) * sizeof(double) <= acc->head.bytes);
    double *sum = (double *)(void *)acc->data + off;
    const float *src = at(&x);
    for (int64_t r = 0; r < x.rows; r++) {
        const float *row = src + r * x.ld;
        for (int64_t j = 0; j < x.cols; j++) {
            sum[j] += (double)row[j];
        }
    }
    return MBS_OK;
}

void mbk_row_ops(mbk_ops *ops) {
    ops->embed = embed;
    ops->rmsnorm = rmsnorm;
    ops->layernorm = layernorm;
    ops->add = add;
    ops->gate = gate;
    ops->rmsnorm_gated = rmsnorm_gated;
    ops->logprob = logprob;
    ops->row_sum = row_sum;
}
