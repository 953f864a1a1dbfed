/* sequence_grad.c - gradients of the operations that carry a state, from the last sequence and block to the first.
 * Channels are independent of each other but for the gradients of B and C, which are sums over groups of channels that
 * the width alone decides on: each group sums its own, and the groups are added in order. */
#include "cpu/cpu.h"
#include "cpu/pieces.h"

typedef struct conv_grad_run {
    conv_grad_job job;
    void (*leaf)(const conv_grad_job *job, int64_t c0, int64_t c1);
    int64_t cols;
    pieces pieces;
} conv_grad_run;

static void conv_grad_range(void *arg, int64_t from, int64_t to) {
    const conv_grad_run *run = arg;
    int64_t c0 = from * MBK_PANEL;
    int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t i = run->pieces.n; i >= 0; i--) {
        conv_grad_job job = run->job;
        int64_t t0 = piece_from(&run->pieces, i);
        job.rows = piece_to(&run->pieces, i, run->job.rows) - t0;
        job.x += t0 * job.ldx;
        job.dx += t0 * job.lddx;
        job.dy += t0 * job.lddy;
        job.state = i > 0 ? NULL : job.state;
        if (job.rows > 0) {
            run->leaf(&job, c0, c1);
        }
        if (i > 0) {
            clear_state(job.dstate, job.ldds, job.width, c0, c1);
        }
    }
}

static mbk_status conv1d_silu_grad(mbk_ctx *ctx, const mbk_conv_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->x.rows;
    const int64_t cols = s->x.cols;
    assert(s->dx.rows == rows && s->dx.cols == cols && s->dy.rows == rows && s->dy.cols == cols);
    assert(s->w.rows >= 1 && s->w.rows <= MBK_CONV_MAX && s->w.cols == cols && s->dw.rows == s->w.rows);
    assert(s->dw.cols == cols && s->dstate.rows == s->w.rows && s->dstate.cols == cols);
    assert(!s->state.buf || (s->state.rows == s->w.rows && s->state.cols == cols));
    assert((!s->bias.buf || s->bias.cols == cols) && (!s->dbias.buf || s->dbias.cols == cols));
    if (rows <= 0) {
        return MBS_OK;
    }
    conv_grad_run run = {.leaf = cpu->leaf.grad.conv, .cols = cols, .pieces = pieces_of(s->starts, rows)};
    run.job = (conv_grad_job){
        .dx = at(&s->dx),
        .dw = at(&s->dw),
        .dbias = at(&s->dbias),
        .dstate = at(&s->dstate),
        .dy = at(&s->dy),
        .x = at(&s->x),
        .w = at(&s->w),
        .bias = at(&s->bias),
        .state = at(&s->state),
        .lddx = s->dx.ld,
        .lddw = s->dw.ld,
        .ldds = s->dstate.ld,
        .lddy = s->dy.ld,
        .ldx = s->x.ld,
        .ldw = s->w.ld,
        .lds = s->state.ld,
        .rows = rows,
        .width = s->w.rows,
    };
    int64_t work = rows * cols * (3 * s->w.rows + 20) / MBK_PANEL;
    mbk_ranges(cpu, (cols + MBK_PANEL - 1) / MBK_PANEL, 4, work, conv_grad_range, &run);
    return MBS_OK;
}

/* Most groups of channels, and the least channels of one. */
#define GROUPS_MAX 16
#define GROUP_LEAST 64

typedef struct scan_grad_run {
    scan_grad_job job;
    void (*leaf)(const scan_grad_job *job, int64_t c0, int64_t c1);
    int64_t cols, groups, group_cols;
    pieces pieces;
    const float *saved;
    int64_t ldsaved;
    int64_t t0, t1; /* the part of the rows that is worked on; t0 is the first of a block */
    float *part_b;
    float *part_c; /* (groups, t1 - t0, n) */
    float *db;
    float *dc;
    int64_t lddb, lddc;
    void (*add)(float *y, const float *x, const float *r, int64_t n);
} scan_grad_run;

/* Rows [t0, t1) of one sequence within a block. */
static void scan_segment(const scan_grad_run *run, int64_t group, int64_t t0, int64_t t1, const float *h) {
    int64_t c0 = group * run->group_cols;
    int64_t c1 = c0 + run->group_cols < run->cols ? c0 + run->group_cols : run->cols;
    int64_t part = (group * (run->t1 - run->t0) + t0 - run->t0) * run->job.n;
    scan_grad_job job = run->job;
    job.rows = t1 - t0;
    job.du += t0 * job.lddu;
    job.ddt += t0 * job.ldddt;
    job.dz = job.dz ? job.dz + t0 * job.lddz : NULL;
    job.dy += t0 * job.lddy;
    job.u += t0 * job.ldu;
    job.dt += t0 * job.lddt;
    job.b += t0 * job.ldb;
    job.c += t0 * job.ldc;
    job.z = job.z ? job.z + t0 * job.ldz : NULL;
    job.h = h;
    job.part_b = run->part_b + part;
    job.part_c = run->part_c + part;
    run->leaf(&job, c0, c1);
}

static void scan_group(const scan_grad_run *run, int64_t group) {
    int64_t c0 = group * run->group_cols;
    int64_t c1 = c0 + run->group_cols < run->cols ? c0 + run->group_cols : run->cols;
    for (int64_t end = run->t1, from; end > run->t0; end = from) {
        int64_t block = (end - 1) / MBK_SCAN_BLOCK;
        int64_t i = piece_of(&run->pieces, end - 1);
        int64_t start = piece_from(&run->pieces, i);
        from = start > block * MBK_SCAN_BLOCK ? start : block * MBK_SCAN_BLOCK;
        const int begins = i > 0 && from == start;
        scan_segment(run, group, from, end, begins ? NULL : run->saved + block * run->job.n * run->ldsaved);
        if (begins) {
            clear_state(run->job.dstate, run->job.ldds, run->job.n, c0, c1);
        }
    }
}

static void scan_grad_range(void *arg, int64_t from, int64_t to) {
    for (int64_t group = from; group < to; group++) {
        scan_group(arg, group);
    }
}

static void add_groups(const scan_grad_run *run, float *to, const float *part) {
    const int64_t n = run->job.n;
    const int64_t all = (run->t1 - run->t0) * n;
    memcpy(to, part, (size_t)n * sizeof *to);
    for (int64_t g = 1; g < run->groups; g++) {
        run->add(to, to, part + g * all, n);
    }
}

static void scan_grad_sum(void *arg, int64_t from, int64_t to) {
    const scan_grad_run *run = arg;
    for (int64_t t = from; t < to; t++) {
        add_groups(run, run->db + (run->t0 + t) * run->lddb, run->part_b + t * run->job.n);
        add_groups(run, run->dc + (run->t0 + t) * run->lddc, run->part_c + t * run->job.n);
    }
}

/* The groups, and the rows whose partial sums the scratch takes. */
static mbk_status scan_grad_parts(cpu_ctx *cpu, scan_grad_run *run, int64_t rows) {
    int64_t n = run->job.n;
    int64_t each = (run->cols + GROUPS_MAX - 1) / GROUPS_MAX;
    each = each < GROUP_LEAST ? GROUP_LEAST : each;
    run->group_cols = (each + MBK_PANEL - 1) / MBK_PANEL * MBK_PANEL;
    run->groups = (run->cols + run->group_cols - 1) / run->group_cols;
    int64_t room = (int64_t)(cpu->scratch_size / sizeof(float)) / (2 * run->groups * n);
    room = room / MBK_SCAN_BLOCK * MBK_SCAN_BLOCK;
    if (room == 0) {
        return MBS_ERR_INTERNAL; /* more than 512 states for 1024 channels or more */
    }
    for (run->t1 = rows; run->t1 > 0; run->t1 = run->t0) {
        run->t0 = (run->t1 - 1) / room * room;
        int64_t part = run->t1 - run->t0;
        run->part_b = cpu->scratch;
        run->part_c = run->part_b + run->groups * part * n;
        mbk_ranges(cpu, run->groups, 1, part * run->cols * (2 * n + 8), scan_grad_range, run);
        mbk_ranges(cpu, part, MBK_SCAN_BLOCK, part * n * run->groups / 4, scan_grad_sum, run);
    }
    return MBS_OK;
}

static void check_scan_grad(const mbk_scan_grad_args *s) {
    int64_t rows = s->u.rows;
    int64_t cols = s->u.cols;
    int64_t n = s->a.rows;
    (void)rows;
    (void)cols;
    (void)n;
    assert(s->dy.rows == rows && s->dy.cols == cols && s->dt.rows == rows && s->dt.cols == cols);
    assert(s->du.rows == rows && s->du.cols == cols && s->ddt.rows == rows && s->ddt.cols == cols);
    assert(s->b.rows == rows && s->b.cols == n && s->c.rows == rows && s->c.cols == n && s->a.cols == cols);
    assert(s->db.rows == rows && s->db.cols == n && s->dc.rows == rows && s->dc.cols == n);
    assert(s->da.rows == n && s->da.cols == cols && s->dd.cols == cols && s->d.cols == cols);
    assert(s->dstate.rows == n && s->dstate.cols == cols && s->saved.cols == cols);
    assert(s->saved.rows == (rows + MBK_SCAN_BLOCK - 1) / MBK_SCAN_BLOCK * n);
    assert(!s->z.buf || (s->z.rows == rows && s->z.cols == cols && s->dz.rows == rows && s->dz.cols == cols));
    assert((!s->bias.buf || s->bias.cols == cols) && (!s->dbias.buf || s->dbias.cols == cols));
}

static mbk_status selective_scan_grad(mbk_ctx *ctx, const mbk_scan_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    check_scan_grad(s);
    if (s->u.rows <= 0) {
        return MBS_OK;
    }
    scan_grad_run run = {
        .leaf = cpu->leaf.grad.scan,
        .cols = s->u.cols,
        .pieces = pieces_of(s->starts, s->u.rows),
        .saved = at(&s->saved),
        .ldsaved = s->saved.ld,
        .db = at(&s->db),
        .dc = at(&s->dc),
        .lddb = s->db.ld,
        .lddc = s->dc.ld,
        .add = cpu->leaf.add,
    };
    run.job = (scan_grad_job){
        .n = s->a.rows,
        .du = at(&s->du),
        .lddu = s->du.ld,
        .ddt = at(&s->ddt),
        .ldddt = s->ddt.ld,
        .dz = at(&s->dz),
        .lddz = s->dz.ld,
        .da = at(&s->da),
        .ldda = s->da.ld,
        .dd = at(&s->dd),
        .dbias = at(&s->dbias),
        .dstate = at(&s->dstate),
        .ldds = s->dstate.ld,
        .dy = at(&s->dy),
        .lddy = s->dy.ld,
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
        .ldh = s->saved.ld,
        .d = at(&s->d),
        .bias = at(&s->bias),
    };
    return scan_grad_parts(cpu, &run, s->u.rows);
}

void mbk_sequence_grad_ops(mbk_ops *ops) {
    ops->conv1d_silu_grad = conv1d_silu_grad;
    ops->selective_scan_grad = selective_scan_grad;
}
