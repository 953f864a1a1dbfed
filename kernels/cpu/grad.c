/* grad.c - gradients of the matrix product, the norms and the embedding, cut into tasks. Every sum over rows belongs to
 * one task, which takes them in order. */
#include "cpu/cpu.h"

/* A task of weight_grad: columns that are packed side by side, and the rows of dw that share them. */
#define GRAD_COLS 32
#define GRAD_OUTS 96

typedef struct weight_grad_run {
    weight_grad_job job;
    void (*leaf)(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0, int64_t k1);
    int64_t strips; /* of columns */
} weight_grad_run;

static void weight_grad_range(void *arg, int64_t from, int64_t to) {
    const weight_grad_run *run = arg;
    for (int64_t task = from; task < to; task++) {
        int64_t k0 = task % run->strips * GRAD_COLS;
        int64_t o0 = task / run->strips * GRAD_OUTS;
        int64_t k1 = k0 + GRAD_COLS < run->job.n_in ? k0 + GRAD_COLS : run->job.n_in;
        int64_t o1 = o0 + GRAD_OUTS < run->job.n_out ? o0 + GRAD_OUTS : run->job.n_out;
        run->leaf(&run->job, o0, o1, k0, k1);
    }
}

static void weight_grad_tasks(cpu_ctx *cpu, const weight_grad_job *job,
                              void (*leaf)(const weight_grad_job *job, int64_t o0, int64_t o1, int64_t k0,
                                           int64_t k1)) {
    weight_grad_run run = {.job = *job, .leaf = leaf, .strips = (job->n_in + GRAD_COLS - 1) / GRAD_COLS};
    int64_t tasks = run.strips * ((job->n_out + GRAD_OUTS - 1) / GRAD_OUTS);
    mbk_ranges(cpu, tasks, 1, job->rows * job->n_out * job->n_in / MBK_PANEL, weight_grad_range, &run);
}

/* One side of the product as words in the scratch: a row of them for each row, or for two. */
typedef struct words_run {
    const mbk_leaf *leaf;
    float *to;
    const float *from;
    int64_t ldto, ldfrom, rows, cols;
} words_run;

/* Units of rows of words. */
static void words_range(void *arg, int64_t from, int64_t to) {
    const words_run *run = arg;
    for (int64_t i = from; i < to; i++) {
        if (run->leaf->grad.pair_rows) {
            const float *x = run->from + 2 * i * run->ldfrom;
            const float *second = 2 * i + 1 < run->rows ? x + run->ldfrom : NULL;
            run->leaf->grad.pair_rows(run->to + i * run->ldto, x, second, run->cols);
        } else {
            run->leaf->round(run->to + i * run->ldto, run->from + i * run->ldfrom, run->cols);
        }
    }
}

/* An odd number of cache lines: tiles walk down columns, and rows of words 2 or 4 KiB apart would share a few lines. */
static int64_t words_apart(int64_t cols) {
    return ((cols + 15) / 16 | 1) * 16;
}

/* Words of both sides that are made before they are multiplied: half a second-level cache. */
#define GRAD_CACHED (1 << 17)

/* Sizes of what goes through the scratch at once. */
typedef struct words_plan {
    int64_t each; /* rows in a row of words */
    int64_t rows; /* a multiple of MBK_GRAD_ROWS, so that sums do not change */
    int64_t outs, ins;
} words_plan;

static words_plan plan_words(const cpu_ctx *cpu, const weight_grad_job *job) {
    words_plan p = {.each = cpu->leaf.grad.pair_rows ? 2 : 1, .outs = job->n_out, .ins = job->n_in};
    const int64_t room = (int64_t)(cpu->scratch_size / sizeof(float));
    const int64_t block = MBK_GRAD_ROWS / p.each;
    if (words_apart(p.outs) + words_apart(p.ins) > room / block) {
        const int64_t half = (room / block / 2 - 31) / GRAD_COLS * GRAD_COLS;
        p.outs = p.outs < half ? p.outs : half;
        p.ins = p.ins < half ? p.ins : half;
    }
    assert(p.outs > 0 && p.ins > 0);
    const int64_t blocks = GRAD_CACHED / (words_apart(p.outs) + words_apart(p.ins)) / block;
    p.rows = (blocks > 1 ? blocks : 1) * MBK_GRAD_ROWS;
    return p;
}

/* Of a job whose sides fit the scratch as words. */
static void weight_grad_words(cpu_ctx *cpu, const weight_grad_job *job, int64_t each) {
    const int64_t rows = (job->rows + each - 1) / each;
    words_run dy = {.leaf = &cpu->leaf, .to = cpu->scratch, .from = job->dy, .ldfrom = job->lddy, .rows = job->rows};
    words_run x = dy;
    dy.cols = job->n_out;
    dy.ldto = words_apart(job->n_out);
    x.to += rows * dy.ldto;
    x.from = job->x;
    x.ldfrom = job->ldx;
    x.cols = job->n_in;
    x.ldto = words_apart(job->n_in);
    mbk_ranges(cpu, rows, 16, rows * dy.cols / 8, words_range, &dy);
    mbk_ranges(cpu, rows, 16, rows * x.cols / 8, words_range, &x);
    weight_grad_job words = *job;
    words.dy = dy.to;
    words.lddy = dy.ldto;
    words.x = x.to;
    words.ldx = x.ldto;
    words.rows = rows;
    weight_grad_tasks(cpu, &words, each == 2 ? cpu->leaf.grad.weight_pairs : cpu->leaf.grad.weight);
}

/* bf16 math: as many rows as the cache takes rounded, and of very wide ones as many columns as the scratch. */
static void weight_grad_rounded(cpu_ctx *cpu, const weight_grad_job *job) {
    const words_plan p = plan_words(cpu, job);
    for (int64_t o = 0; o < job->n_out; o += p.outs) {
        for (int64_t k = 0; k < job->n_in; k += p.ins) {
            for (int64_t r = 0; r < job->rows; r += p.rows) {
                weight_grad_job part = *job;
                part.dw += o * job->lddw + k;
                part.dy += r * job->lddy + o;
                part.x += r * job->ldx + k;
                part.rows = job->rows - r < p.rows ? job->rows - r : p.rows;
                part.n_out = job->n_out - o < p.outs ? job->n_out - o : p.outs;
                part.n_in = job->n_in - k < p.ins ? job->n_in - k : p.ins;
                weight_grad_words(cpu, &part, p.each);
            }
        }
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
    };
    if (math == MBK_MATH_BF16) {
        weight_grad_rounded(cpu, &job);
    } else {
        weight_grad_tasks(cpu, &job, cpu->leaf.grad.weight);
    }
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
