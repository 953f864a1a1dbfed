/* sequence.c - the operations that carry a state along the rows: causal convolution and selective scan. Channels are
 * independent of each other, so tasks are ranges of channels. */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/pieces.h"

typedef struct conv_run {
    conv_job job;
    void (*leaf)(const conv_job *job, int64_t c0, int64_t c1);
    int64_t cols;
    pieces pieces;
} conv_run;

void mbk_conv_carry(const conv_job *job, int64_t c0, int64_t c1) {
    size_t bytes = (size_t)(c1 - c0) * sizeof(float);
    int64_t keep = job->rows < job->width ? job->width - job->rows : 0;
    for (int64_t k = 0; k < job->width; k++) {
        const float *src =
            k < keep ? job->state + (k + job->rows) * job->lds : job->x + (k - job->width + job->rows) * job->ldx;
        memcpy(job->state + k * job->lds + c0, src + c0, bytes);
    }
}

static void conv_range(void *arg, int64_t from, int64_t to) {
    const conv_run *run = arg;
    int64_t c0 = from * MBK_PANEL;
    int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t i = 0; i <= run->pieces.n; i++) {
        conv_job job = run->job;
        int64_t t0 = piece_from(&run->pieces, i);
        job.rows = piece_to(&run->pieces, i, run->job.rows) - t0;
        job.x += t0 * job.ldx;
        job.y += t0 * job.ldy;
        if (i > 0) {
            clear_state(job.state, job.lds, job.width, c0, c1);
        }
        run->leaf(&job, c0, c1);
        mbk_conv_carry(&job, c0, c1);
    }
}

static mbk_status conv1d_silu(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat bias, mbk_mat state,
                              mbk_starts starts) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && w.cols == x.cols && state.cols == x.cols);
    assert(w.rows >= 1 && w.rows <= MBK_CONV_MAX && state.rows == w.rows && (!bias.buf || bias.cols == x.cols));
    if (x.rows <= 0) {
        return MBS_OK;
    }
    conv_run run = {.leaf = cpu->leaf.conv, .cols = x.cols, .pieces = pieces_of(starts, x.rows)};
    run.job = (conv_job){
        .rows = x.rows,
        .width = w.rows,
        .y = at(&y),
        .ldy = y.ld,
        .x = at(&x),
        .ldx = x.ld,
        .w = at(&w),
        .ldw = w.ld,
        .bias = at(&bias),
        .state = at(&state),
        .lds = state.ld,
    };
    mbk_ranges(cpu, (x.cols + MBK_PANEL - 1) / MBK_PANEL, 4, x.rows * x.cols * (w.rows + 16) / 16, conv_range, &run);
    return MBS_OK;
}

typedef struct scan_run {
    scan_job job;
    void (*leaf)(const scan_job *job, int64_t c0, int64_t c1);
    int64_t cols;
    pieces pieces;
    float *saved; /* or NULL */
    int64_t ldsaved;
} scan_run;

/* Rows [t0, t1) of the call, which belong to one sequence. */
static void scan_piece(const scan_run *run, int64_t t0, int64_t t1, int64_t c0, int64_t c1) {
    scan_job job = run->job;
    job.rows = t1 - t0;
    job.y += t0 * job.ldy;
    job.u += t0 * job.ldu;
    job.dt += t0 * job.lddt;
    job.b += t0 * job.ldb;
    job.c += t0 * job.ldc;
    job.z = job.z ? job.z + t0 * job.ldz : NULL;
    run->leaf(&job, c0, c1);
}

/* The same with a stop at every block, where the state is saved. */
static void scan_saving(const scan_run *run, int64_t t0, int64_t t1, int64_t c0, int64_t c1) {
    const scan_job *job = &run->job;
    for (int64_t t = t0, end; t < t1; t = end) {
        int64_t block = t / MBK_SCAN_BLOCK;
        end = (block + 1) * MBK_SCAN_BLOCK < t1 ? (block + 1) * MBK_SCAN_BLOCK : t1;
        for (int64_t n = 0; t == block * MBK_SCAN_BLOCK && n < job->n; n++) {
            memcpy(run->saved + (block * job->n + n) * run->ldsaved + c0, job->state + n * job->lds + c0,
                   (size_t)(c1 - c0) * sizeof(float));
        }
        scan_piece(run, t, end, c0, c1);
    }
}

static void scan_range(void *arg, int64_t from, int64_t to) {
    const scan_run *run = arg;
    int64_t c0 = from * MBK_PANEL;
    int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t i = 0; i <= run->pieces.n; i++) {
        int64_t t0 = piece_from(&run->pieces, i);
        int64_t t1 = piece_to(&run->pieces, i, run->job.rows);
        if (i > 0) {
            clear_state(run->job.state, run->job.lds, run->job.n, c0, c1);
        }
        (run->saved ? scan_saving : scan_piece)(run, t0, t1, c0, c1);
    }
}

static mbk_status selective_scan(mbk_ctx *ctx, const mbk_scan_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    int64_t rows = s->u.rows;
    int64_t cols = s->u.cols;
    int64_t n = s->a.rows;
    assert(s->y.rows == rows && s->y.cols == cols && s->dt.rows == rows && s->dt.cols == cols);
    assert(s->b.rows == rows && s->b.cols == n && s->c.rows == rows && s->c.cols == n && s->a.cols == cols);
    assert(s->state.rows == n && s->state.cols == cols && s->d.cols == cols);
    assert((!s->z.buf || (s->z.rows == rows && s->z.cols == cols)) && (!s->bias.buf || s->bias.cols == cols));
    assert(!s->saved.buf ||
           (s->saved.cols == cols && s->saved.rows == (rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * n));
    scan_run run = {
        .leaf = cpu->leaf.scan,
        .cols = cols,
        .pieces = pieces_of(s->starts, rows),
        .saved = at(&s->saved),
        .ldsaved = s->saved.ld,
    };
    run.job = (scan_job){
        .rows = rows,
        .n = n,
        .y = at(&s->y),
        .ldy = s->y.ld,
        .u = at(&s->u),
        .ldu = s->u.ld,
        .dt = at(&s->dt),
        .lddt = s->dt.ld,
        .b = at(&s->b),
        .ldb = s->b.ld,
        .c = at(&s->c),
        .ldc = s->c.ld,
        .z = at(&s->z),
        .ldz = s->z.ld,
        .a = at(&s->a),
        .lda = s->a.ld,
        .state = at(&s->state),
        .lds = s->state.ld,
        .d = at(&s->d),
        .bias = at(&s->bias),
    };
    if (rows > 0) {
        mbk_ranges(cpu, (cols + MBK_PANEL - 1) / MBK_PANEL, 2, rows * cols * (n + 4), scan_range, &run);
    }
    return MBS_OK;
}

void mbk_sequence_ops(mbk_ops *ops) {
    ops->conv1d_silu = conv1d_silu;
    ops->selective_scan = selective_scan;
}
