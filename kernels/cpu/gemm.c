/* gemm.c - packed weights and the matrix product: y = x W^T [+ bias] [+ y]. */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"

static mbk_status prepare(mbk_ctx *ctx, const float *w, int64_t n_out, int64_t n_in, mbk_weight **out) {
    (void)ctx;
    *out = NULL;
    assert(n_out > 0 && n_in > 0);
    int64_t panels = (n_out - 1) / MBK_PANEL + 1;
    size_t count;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)panels * MBK_PANEL, (size_t)n_in, &count) ||
        __builtin_mul_overflow(count, sizeof(float), &bytes)) {
        return MBS_ERR_MEMORY;
    }
    mbk_weight *packed = calloc(1, sizeof *packed);
    if (!packed) {
        return MBS_ERR_MEMORY;
    }
    packed->data = aligned_alloc(64, bytes); /* a panel row is 64 bytes, so the size is a multiple of it */
    if (!packed->data) {
        free(packed);
        return MBS_ERR_MEMORY;
    }
    packed->n_out = n_out;
    packed->n_in = n_in;
    packed->panels = panels;
    for (int64_t p = 0; p < panels; p++) {
        float *panel = packed->data + p * n_in * MBK_PANEL;
        int64_t live = n_out - p * MBK_PANEL < MBK_PANEL ? n_out - p * MBK_PANEL : MBK_PANEL;
        if (live < MBK_PANEL) {
            memset(panel, 0, (size_t)n_in * MBK_PANEL * sizeof(float));
        }
        for (int64_t j = 0; j < live; j++) {
            const float *row = w + (p * MBK_PANEL + j) * n_in;
            for (int64_t k = 0; k < n_in; k++) {
                panel[k * MBK_PANEL + j] = row[k];
            }
        }
    }
    *out = packed;
    return MBS_OK;
}

static void weight_free(mbk_ctx *ctx, mbk_weight *w) {
    (void)ctx;
    if (w) {
        free(w->data);
        free(w);
    }
}

/* A task is a block of rows by a block of panels. Rows of a block share the panels while those are in the cache. */
typedef struct gemm_run {
    gemm_job job;
    const mbk_leaf *leaf;
    int64_t rows, panels, row_step, panel_step, row_blocks;
} gemm_run;

static void run_block(void *arg, int64_t task) {
    const gemm_run *run = arg;
    int64_t r0 = task % run->row_blocks * run->row_step;
    int64_t p0 = task / run->row_blocks * run->panel_step;
    int64_t r1 = r0 + run->row_step < run->rows ? r0 + run->row_step : run->rows;
    int64_t p1 = p0 + run->panel_step < run->panels ? p0 + run->panel_step : run->panels;
    run->leaf->gemm(&run->job, r0, r1, p0, p1);
}

/* Most rows and panels of a task: at the usual depths both sides of one fit the second-level cache. */
#define ROW_BLOCK 168
#define PANEL_BLOCK 16

static mbk_status gemm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, const mbk_weight *w, mbk_mat bias, int32_t accumulate) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(x.cols == w->n_in && y.cols == w->n_out && x.rows == y.rows);
    assert(!bias.buf || bias.cols == w->n_out);
    if (x.rows <= 0) {
        return MBS_OK;
    }
    gemm_run run = {
        .leaf = &cpu->leaf,
        .rows = x.rows,
        .panels = w->panels,
        .panel_step = PANEL_BLOCK,
    };
    run.job = (gemm_job){
        .y = at(&y),
        .ldy = y.ld,
        .x = at(&x),
        .ldx = x.ld,
        .w = w->data,
        .n_out = w->n_out,
        .n_in = w->n_in,
        .bias = at(&bias),
        .accumulate = accumulate,
    };
    int64_t blocks = (x.rows + ROW_BLOCK - 1) / ROW_BLOCK;
    run.row_step = (x.rows + blocks - 1) / blocks;
    int threads = mbk_worth_threads(cpu, x.rows * w->panels * w->n_in);
    if (threads) {
        /* At least four tasks a thread where there is as much: first narrower, then flatter. */
        int64_t wanted = 4 * (int64_t)cpu->par.threads;
        int64_t each = (wanted + blocks - 1) / blocks;
        int64_t step = (w->panels + each - 1) / each;
        run.panel_step = step < PANEL_BLOCK ? (step + 1) / 2 * 2 : PANEL_BLOCK;
        if ((w->panels + run.panel_step - 1) / run.panel_step * blocks < wanted) {
            run.row_step = (run.row_step + 2) / 3;
        }
    }
    run.row_blocks = (x.rows + run.row_step - 1) / run.row_step;
    int64_t tasks = run.row_blocks * ((w->panels + run.panel_step - 1) / run.panel_step);
    if (threads && tasks > 1) {
        cpu->par.run(cpu->par.pool, tasks, run_block, &run);
    } else {
        for (int64_t t = 0; t < tasks; t++) {
            run_block(&run, t);
        }
    }
    return MBS_OK;
}

void mbk_gemm_ops(mbk_ops *ops) {
    ops->prepare = prepare;
    ops->weight_free = weight_free;
    ops->gemm = gemm;
}
