/* gemm.c - the matrix product: y = x W^T [+ bias] [+ y], cut into tasks. */
#include "cpu/cpu.h"

/* A task is a block of rows by a block of panels. Rows of a block share the panels while those are in the cache. */
typedef struct gemm_run {
    gemm_job job;
    void (*leaf)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1);
    int64_t rows, panels, row_step, panel_step, row_blocks;
} gemm_run;

static void run_block(void *arg, int64_t task) {
    const gemm_run *run = arg;
    int64_t r0 = task % run->row_blocks * run->row_step;
    int64_t p0 = task / run->row_blocks * run->panel_step;
    int64_t r1 = r0 + run->row_step < run->rows ? r0 + run->row_step : run->rows;
    int64_t p1 = p0 + run->panel_step < run->panels ? p0 + run->panel_step : run->panels;
    run->leaf(&run->job, r0, r1, p0, p1);
}

/* Most rows and panels of a task: at the usual depths both sides of one fit the second-level cache. */
#define ROW_BLOCK 168
#define PANEL_BLOCK 16

/* Few rows are decoding: a task a thread, for their time is that of reading the weights, and waking costs. */
#define FEW_ROWS 8

static void plan_tasks(const cpu_ctx *cpu, gemm_run *run) {
    int64_t blocks = (run->rows + ROW_BLOCK - 1) / ROW_BLOCK;
    run->row_step = (run->rows + blocks - 1) / blocks;
    run->panel_step = PANEL_BLOCK;
    if (run->rows <= FEW_ROWS) {
        int64_t each = (run->panels + cpu->par.threads - 1) / cpu->par.threads;
        run->panel_step = each > 8 ? (each + 7) / 8 * 8 : each;
        return;
    }
    /* At least four tasks a thread where there is as much: first narrower, then flatter. */
    int64_t wanted = 4 * (int64_t)cpu->par.threads;
    int64_t each = (wanted + blocks - 1) / blocks;
    int64_t step = (run->panels + each - 1) / each;
    run->panel_step = step < PANEL_BLOCK ? (step + 1) / 2 * 2 : PANEL_BLOCK;
    if ((run->panels + run->panel_step - 1) / run->panel_step * blocks < wanted) {
        run->row_step = (run->row_step + 2) / 3;
    }
}

/* Of x as the leaf wants it. */
static void multiply(cpu_ctx *cpu, const gemm_job *job, int64_t rows,
                     void (*leaf)(const gemm_job *job, int64_t r0, int64_t r1, int64_t p0, int64_t p1)) {
    const int shared = mbk_worth_threads(cpu, rows * job->w->panels * job->depth);
    if (!shared && rows <= FEW_ROWS) {
        leaf(job, 0, rows, 0, job->w->panels);
        return;
    }
    gemm_run run = {.job = *job, .leaf = leaf, .rows = rows, .panels = job->w->panels};
    if (shared) {
        plan_tasks(cpu, &run);
        run.row_blocks = (rows + run.row_step - 1) / run.row_step;
        int64_t tasks = run.row_blocks * ((run.panels + run.panel_step - 1) / run.panel_step);
        if (tasks > 1) {
            cpu->par.run(cpu->par.pool, tasks, run_block, &run);
            return;
        }
    }
    int64_t blocks = (rows + ROW_BLOCK - 1) / ROW_BLOCK;
    run.row_step = (rows + blocks - 1) / blocks;
    run.row_blocks = blocks;
    run.panel_step = PANEL_BLOCK;
    for (int64_t t = 0; t < blocks * ((run.panels + run.panel_step - 1) / run.panel_step); t++) {
        run_block(&run, t);
    }
}

typedef struct round_run {
    void (*leaf)(float *y, const float *x, int64_t n);
    float *y;
    const float *x;
    int64_t ldy, ldx, cols;
} round_run;

static void round_range(void *arg, int64_t from, int64_t to) {
    const round_run *run = arg;
    for (int64_t r = from; r < to; r++) {
        run->leaf(run->y + r * run->ldy, run->x + r * run->ldx, run->cols);
    }
}

/* All but f32 math: as many rows at a time as the scratch takes rounded. */
static mbk_status multiply_rounded(cpu_ctx *cpu, gemm_job job, const mbk_product_way *way, int64_t rows) {
    const int64_t floats = (int64_t)(cpu->scratch_size / sizeof(float));
    const int64_t room = rows * way->ld <= floats ? rows : floats / way->ld;
    if (room < 1) {
        return MBS_ERR_INTERNAL; /* such columns were not reserved */
    }
    for (int64_t r = 0; r < rows; r += room) {
        int64_t n = rows - r < room ? rows - r : room;
        round_run run = {
            .leaf = way->round,
            .y = cpu->scratch,
            .ldy = way->ld,
            .x = job.x + r * job.ldx,
            .ldx = job.ldx,
            .cols = job.w->n_in,
        };
        mbk_ranges(cpu, n, 16, n * way->depth / 8, round_range, &run);
        gemm_job part = job;
        part.x = run.y;
        part.ldx = way->ld;
        part.y = job.y + r * job.ldy;
        multiply(cpu, &part, n, way->leaf);
    }
    return MBS_OK;
}

static mbk_status gemm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, const mbk_weight *w, mbk_mat bias, int32_t accumulate) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(x.cols == w->n_in && y.cols == w->n_out && x.rows == y.rows);
    assert(!bias.buf || bias.cols == w->n_out);
    const mbk_product_way way = mbk_product_way_of(cpu, w);
    gemm_job job = {
        .y = at(&y),
        .ldy = y.ld,
        .x = at(&x),
        .ldx = x.ld,
        .w = w,
        .depth = way.depth,
        .bias = at(&bias),
        .accumulate = accumulate,
    };
    if (x.rows > 0 && way.round) {
        return multiply_rounded(cpu, job, &way, x.rows);
    }
    if (x.rows > 0) {
        multiply(cpu, &job, x.rows, way.leaf);
    }
    return MBS_OK;
}

void mbk_gemm_ops(mbk_ops *ops) {
    ops->gemm = gemm;
}
