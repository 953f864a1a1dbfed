/* lti.c - linear state spaces: channels are independent of each other, so tasks are ranges of channels. */
#include "cpu/cpu.h"
#include "cpu/pieces.h"

typedef struct lti_run {
    lti_job job;
    void (*leaf)(const lti_job *job, int64_t c0, int64_t c1);
    int64_t cols;
    pieces pieces;
    float *saved; /* or NULL */
    int64_t ldsaved;
} lti_run;

/* Rows [t0, t1) of the call, of one sequence, with a stop at every block where states are saved. */
static void lti_piece(const lti_run *run, int64_t t0, int64_t t1, int64_t c0, int64_t c1) {
    for (int64_t t = t0, end; t < t1; t = end) {
        lti_job job = run->job;
        const int64_t block = t / MBK_LTI_BLOCK;
        end = run->saved && (block + 1) * MBK_LTI_BLOCK < t1 ? (block + 1) * MBK_LTI_BLOCK : t1;
        for (int64_t n = 0; run->saved && t == block * MBK_LTI_BLOCK && n < 2 * job.n; n++) {
            memcpy(run->saved + (block * 2 * job.n + n) * run->ldsaved + c0, job.state + n * job.lds + c0,
                   (size_t)(c1 - c0) * sizeof(float));
        }
        job.rows = end - t;
        job.y += t * job.ldy;
        job.u += t * job.ldu;
        run->leaf(&job, c0, c1);
    }
}

static void lti_range(void *arg, int64_t from, int64_t to) {
    const lti_run *run = arg;
    const int64_t c0 = from * MBK_PANEL;
    const int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t i = 0; i <= run->pieces.n; i++) {
        if (i > 0) {
            clear_state(run->job.state, run->job.lds, 2 * run->job.n, c0, c1);
        }
        lti_piece(run, piece_from(&run->pieces, i), piece_to(&run->pieces, i, run->job.rows), c0, c1);
    }
}

#define is_complex(M, N, COLS) ((M)->rows == 2 * (N) && (M)->cols == (COLS))

static mbk_status lti(mbk_ctx *ctx, const mbk_lti_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->u.rows;
    const int64_t cols = s->u.cols;
    const int64_t n = s->a.rows / 2;
    assert(s->y.rows == rows && s->y.cols == cols && is_complex(&s->a, n, cols) && is_complex(&s->b, n, cols));
    assert(is_complex(&s->w, n, cols) && is_complex(&s->state, n, cols) && (!s->d.buf || s->d.cols == cols));
    assert(!s->f.buf || (is_complex(&s->f, n, cols) && is_complex(&s->g, n, cols)));
    assert(!s->saved.buf ||
           (s->saved.cols == cols && s->saved.rows == (rows + MBK_LTI_BLOCK - 1) / MBK_LTI_BLOCK * 2 * n));
    if (rows <= 0) {
        return MBS_OK;
    }
    lti_run run = {
        .leaf = cpu->leaf.family.lti,
        .cols = cols,
        .pieces = pieces_of(s->starts, rows),
        .saved = at(&s->saved),
        .ldsaved = s->saved.ld,
    };
    run.job = (lti_job){
        .y = at(&s->y),
        .u = at(&s->u),
        .a = at(&s->a),
        .b = at(&s->b),
        .w = at(&s->w),
        .f = at(&s->f),
        .g = at(&s->g),
        .d = at(&s->d),
        .state = at(&s->state),
        .ldy = s->y.ld,
        .ldu = s->u.ld,
        .lda = s->a.ld,
        .ldb = s->b.ld,
        .ldw = s->w.ld,
        .ldf = s->f.ld,
        .ldg = s->g.ld,
        .lds = s->state.ld,
        .rows = rows,
        .n = n,
    };
    mbk_ranges(cpu, (cols + MBK_PANEL - 1) / MBK_PANEL, 1, rows * cols * n / 2, lti_range, &run);
    return MBS_OK;
}

typedef struct lti_grad_run {
    lti_grad_job job;
    void (*leaf)(const lti_grad_job *job, int64_t c0, int64_t c1);
    int64_t cols, rows;
    pieces pieces;
    const float *saved;
    int64_t ldsaved;
} lti_grad_run;

/* Rows [t0, t1), of one sequence within a block. */
static void lti_segment(const lti_grad_run *run, int64_t t0, int64_t t1, const float *s, int64_t c0, int64_t c1) {
    lti_grad_job job = run->job;
    job.rows = t1 - t0;
    job.du += t0 * job.lddu;
    job.dy += t0 * job.lddy;
    job.u += t0 * job.ldu;
    job.s = s;
    run->leaf(&job, c0, c1);
}

static void lti_grad_range(void *arg, int64_t part, int64_t to) {
    const lti_grad_run *run = arg;
    const int64_t c0 = part * MBK_PANEL;
    const int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t end = run->rows, from; end > 0; end = from) {
        const int64_t block = (end - 1) / MBK_LTI_BLOCK;
        const int64_t i = piece_of(&run->pieces, end - 1);
        const int64_t start = piece_from(&run->pieces, i);
        from = start > block * MBK_LTI_BLOCK ? start : block * MBK_LTI_BLOCK;
        const int begins = i > 0 && from == start;
        lti_segment(run, from, end, begins ? NULL : run->saved + block * 2 * run->job.n * run->ldsaved, c0, c1);
        if (begins) {
            clear_state(run->job.dstate, run->job.ldds, 2 * run->job.n, c0, c1);
        }
    }
}

static void check_grad(const mbk_lti_grad_args *s) {
    const int64_t rows = s->u.rows;
    const int64_t cols = s->u.cols;
    const int64_t n = s->a.rows / 2;
    assert(s->dy.rows == rows && s->dy.cols == cols && s->du.rows == rows && s->du.cols == cols);
    assert(is_complex(&s->a, n, cols) && is_complex(&s->b, n, cols) && is_complex(&s->w, n, cols));
    assert(is_complex(&s->da, n, cols) && is_complex(&s->db, n, cols) && is_complex(&s->dw, n, cols));
    assert(is_complex(&s->dstate, n, cols) && (!s->d.buf || (s->d.cols == cols && s->dd.cols == cols)));
    assert(!s->f.buf || (is_complex(&s->df, n, cols) && is_complex(&s->dg, n, cols)));
    assert(s->saved.cols == cols && s->saved.rows == (rows + MBK_LTI_BLOCK - 1) / MBK_LTI_BLOCK * 2 * n);
    assert(s->work.cols == cols && s->work.rows == MBK_LTI_WORK(n));
    (void)rows;
    (void)cols;
    (void)n;
}

static mbk_status lti_grad(mbk_ctx *ctx, const mbk_lti_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    check_grad(s);
    if (s->u.rows <= 0) {
        return MBS_OK;
    }
    lti_grad_run run = {
        .leaf = cpu->leaf.family.lti_grad,
        .cols = s->u.cols,
        .rows = s->u.rows,
        .pieces = pieces_of(s->starts, s->u.rows),
        .saved = at(&s->saved),
        .ldsaved = s->saved.ld,
    };
    run.job = (lti_grad_job){
        .n = s->a.rows / 2,
        .du = at(&s->du),
        .da = at(&s->da),
        .db = at(&s->db),
        .dw = at(&s->dw),
        .df = at(&s->df),
        .dg = at(&s->dg),
        .dd = at(&s->dd),
        .dstate = at(&s->dstate),
        .work = at(&s->work),
        .dy = at(&s->dy),
        .u = at(&s->u),
        .a = at(&s->a),
        .b = at(&s->b),
        .w = at(&s->w),
        .f = at(&s->f),
        .g = at(&s->g),
        .d = at(&s->d),
        .lddu = s->du.ld,
        .ldda = s->da.ld,
        .lddb = s->db.ld,
        .lddw = s->dw.ld,
        .lddf = s->df.ld,
        .lddg = s->dg.ld,
        .ldds = s->dstate.ld,
        .ldwork = s->work.ld,
        .lddy = s->dy.ld,
        .ldu = s->u.ld,
        .lda = s->a.ld,
        .ldb = s->b.ld,
        .ldw = s->w.ld,
        .ldf = s->f.ld,
        .ldg = s->g.ld,
        .ldst = s->saved.ld,
    };
    mbk_ranges(cpu, (run.cols + MBK_PANEL - 1) / MBK_PANEL, 1, run.rows * run.cols * run.job.n * 2, lti_grad_range,
               &run);
    return MBS_OK;
}

void mbk_lti_ops(mbk_ops *ops) {
    ops->lti = lti;
    ops->lti_grad = lti_grad;
}
