/* grad.c - gradients of the matrix product, the norms and the embedding, cut into tasks. Every sum over rows belongs to
 * one task, which takes them in order. */
#include "cpu/cpu.h"

/* Rows and columns of dw that a task takes: with its share of a block of rows they stay in the second-level cache. */
#define GRAD_OUTS_LEAST 48
#define GRAD_COLS_LEAST 64
#define GRAD_COLS_MOST 512

typedef struct weight_grad_run {
    weight_grad_job job;
    void (*leaf)(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1);
    int64_t outs, cols; /* parts of dw */
} weight_grad_run;

/* Beginning of part i of n units, in steps of `step`. */
static int64_t part_from(int64_t i, int64_t parts, int64_t n, int64_t step) {
    const int64_t steps = (n + step - 1) / step;
    const int64_t from = (i * steps / parts) * step;
    return from < n ? from : n;
}

static void weight_grad_range(void *arg, int64_t from, int64_t to) {
    const weight_grad_run *run = arg;
    const weight_grad_job *job = &run->job;
    for (int64_t task = from; task < to; task++) {
        const int64_t k = task % run->cols;
        const int64_t o = task / run->cols;
        run->leaf(job, part_from(o, run->outs, job->n_out, 1), part_from(o + 1, run->outs, job->n_out, 1),
                  part_from(k, run->cols, job->n_in, MBK_PANEL * 2),
                  part_from(k + 1, run->cols, job->n_in, MBK_PANEL * 2));
    }
}

static int64_t parts_of(int64_t n, int64_t each) {
    return (n + each - 1) / each;
}

/* Tall parts first, because a part packs as many columns of x as it has; narrow ones where that is not enough for all
 * threads. */
static void plan_parts(const cpu_ctx *cpu, weight_grad_run *run) {
    const int64_t outs = run->job.n_out;
    const int64_t cols = run->job.n_in;
    const int64_t wanted = cpu->par.run ? 2 * (int64_t)cpu->par.threads : 1;
    run->cols = parts_of(cols, GRAD_COLS_MOST);
    run->outs = parts_of(outs, MBK_GRAD_OUTS);
    if (run->outs * run->cols < wanted) {
        const int64_t most = parts_of(outs, GRAD_OUTS_LEAST);
        run->outs = parts_of(wanted, run->cols) < most ? parts_of(wanted, run->cols) : most;
    }
    if (run->outs * run->cols < wanted) {
        const int64_t most = parts_of(cols, GRAD_COLS_LEAST);
        run->cols = parts_of(wanted, run->outs) < most ? parts_of(wanted, run->outs) : most;
    }
}

static mbk_status weight_grad(mbk_ctx *ctx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_math math) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(dw.rows == dy.cols && dw.cols == x.cols && dy.rows == x.rows);
    weight_grad_job job = {
        .dw = at(&dw),
        .dy = at(&dy),
        .x = at(&x),
        .lddw = dw.ld,
        .lddy = dy.ld,
        .ldx = x.ld,
        .rows = x.rows,
        .n_out = dw.rows,
        .n_in = dw.cols,
        .rounded = math == MBK_MATH_BF16,
    };
    const int pairs = job.rounded && cpu->leaf.grad.weight_pairs;
    weight_grad_run run = {.job = job, .leaf = pairs ? cpu->leaf.grad.weight_pairs : cpu->leaf.grad.weight};
    plan_parts(cpu, &run);
    mbk_ranges(cpu, run.outs * run.cols, 1, job.rows * job.n_out * job.n_in / MBK_PANEL, weight_grad_range, &run);
    return MBS_OK;
}

typedef struct add_rows_run {
    float *to;
    const float *dy;
    const int32_t *ids; /* of table rows; NULL: all into one row */
    int64_t ldto, lddy, rows, cols, table;
} add_rows_run;

/* Units of MBK_PANEL columns. */
static void add_rows_range(void *arg, int64_t from, int64_t to) {
    const add_rows_run *run = arg;
    int64_t c0 = from * MBK_PANEL;
    int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t r = 0; r < run->rows; r++) {
        if (run->ids[r] < 0) {
            continue;
        }
        assert(run->ids[r] < run->table);
        float *sum = run->to + run->ids[r] * run->ldto;
        const float *dy = run->dy + r * run->lddy;
        for (int64_t c = c0; c < c1; c++) {
            sum[c] += dy[c];
        }
    }
}

static mbk_status embed_grad(mbk_ctx *ctx, mbk_mat dtable, mbk_mat dy, mbk_buf *ids, int64_t ids_off) {
    assert(dtable.cols == dy.cols);
    add_rows_run run = {at(&dtable), at(&dy),    ints_at(ids, ids_off, dy.rows), dtable.ld, dy.ld, dy.rows,
                        dy.cols,     dtable.rows};
    mbk_ranges(cpu_of(ctx), (dy.cols + MBK_PANEL - 1) / MBK_PANEL, 4, dy.rows * dy.cols / 4, add_rows_range, &run);
    return MBS_OK;
}

/* Doubles that a block of columns is summed in, so that a long batch keeps its digits. */
static void bias_range(void *arg, int64_t from, int64_t to) {
    const add_rows_run *run = arg;
    for (int64_t c0 = from * MBK_PANEL; c0 < to * MBK_PANEL; c0 += MBK_PANEL) {
        int64_t live = run->cols - c0 < MBK_PANEL ? run->cols - c0 : MBK_PANEL;
        double sum[MBK_PANEL] = {0};
        for (int64_t r = 0; r < run->rows; r++) {
            for (int64_t j = 0; j < live; j++) {
                sum[j] += (double)run->dy[r * run->lddy + c0 + j];
            }
        }
        for (int64_t j = 0; j < live; j++) {
            run->to[c0 + j] += (float)sum[j];
        }
    }
}

static mbk_status bias_grad(mbk_ctx *ctx, mbk_mat db, mbk_mat dy) {
    assert(db.rows == 1 && db.cols == dy.cols);
    add_rows_run run = {at(&db), at(&dy), NULL, db.ld, dy.ld, dy.rows, dy.cols, 1};
    mbk_ranges(cpu_of(ctx), (dy.cols + MBK_PANEL - 1) / MBK_PANEL, 4, dy.rows * dy.cols / 4, bias_range, &run);
    return MBS_OK;
}

typedef struct norm_grad_run {
    norm_grad_job job;
    const mbk_grad_leaf *leaf;
} norm_grad_run;

static void norm_rows(void *arg, int64_t from, int64_t to) {
    const norm_grad_run *run = arg;
    run->leaf->norm(&run->job, from, to);
}

static void norm_columns(void *arg, int64_t from, int64_t to) {
    const norm_grad_run *run = arg;
    int64_t end = to * MBK_PANEL < run->job.cols ? to * MBK_PANEL : run->job.cols;
    run->leaf->norm_weight(&run->job, from * MBK_PANEL, end);
}

/* As many rows at a time as the scratch has room for what is kept of each; a fixed number, so sums do not change. */
static mbk_status norm_grad(cpu_ctx *cpu, norm_grad_job job) {
    const int64_t most = (int64_t)1 << 16;
    const int64_t rows = job.rows;
    assert((size_t)most * sizeof(norm_row) <= cpu->scratch_size);
    for (int64_t r = 0; r < rows; r += most) {
        norm_grad_run run = {job, &cpu->leaf.grad};
        run.job.rows = rows - r < most ? rows - r : most;
        run.job.row = cpu->scratch;
        run.job.dx += r * job.lddx;
        run.job.dy += r * job.lddy;
        run.job.x += r * job.ldx;
        int64_t work = run.job.rows * job.cols / 2;
        mbk_ranges(cpu, run.job.rows, 32, work, norm_rows, &run);
        mbk_ranges(cpu, (job.cols + MBK_PANEL - 1) / MBK_PANEL, 2, work, norm_columns, &run);
    }
    return MBS_OK;
}

static mbk_status rmsnorm_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat w, float eps,
                               int32_t accumulate) {
    assert(dx.rows == x.rows && dx.cols == x.cols && dy.rows == x.rows && dy.cols == x.cols);
    assert(w.cols == x.cols && dw.cols == x.cols);
    return norm_grad(cpu_of(ctx), (norm_grad_job){.dx = at(&dx),
                                                  .dw = at(&dw),
                                                  .dy = at(&dy),
                                                  .x = at(&x),
                                                  .w = at(&w),
                                                  .lddx = dx.ld,
                                                  .lddy = dy.ld,
                                                  .ldx = x.ld,
                                                  .rows = x.rows,
                                                  .cols = x.cols,
                                                  .eps = eps,
                                                  .accumulate = accumulate});
}

static mbk_status layernorm_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat db, mbk_mat dy, mbk_mat x, mbk_mat w,
                                 float eps, int32_t accumulate) {
    assert(dx.rows == x.rows && dx.cols == x.cols && dy.rows == x.rows && dy.cols == x.cols);
    assert(w.cols == x.cols && dw.cols == x.cols && (!db.buf || db.cols == x.cols));
    return norm_grad(cpu_of(ctx), (norm_grad_job){.dx = at(&dx),
                                                  .dw = at(&dw),
                                                  .db = at(&db),
                                                  .dy = at(&dy),
                                                  .x = at(&x),
                                                  .w = at(&w),
                                                  .lddx = dx.ld,
                                                  .lddy = dy.ld,
                                                  .ldx = x.ld,
                                                  .rows = x.rows,
                                                  .cols = x.cols,
                                                  .eps = eps,
                                                  .centred = 1,
                                                  .accumulate = accumulate});
}

void mbk_grad_ops(mbk_ops *ops) {
    ops->weight_grad = weight_grad;
    ops->bias_grad = bias_grad;
    ops->embed_grad = embed_grad;
    ops->rmsnorm_grad = rmsnorm_grad;
    ops->layernorm_grad = layernorm_grad;
}
