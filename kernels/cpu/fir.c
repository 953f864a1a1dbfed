/* fir.c - causal filters of any length. Channels are independent of each other, so tasks are ranges of channels. */
#include "cpu/cpu.h"
#include "cpu/pieces.h"

typedef struct fir_run {
    fir_job job; /* of the whole call */
    void (*leaf)(const fir_job *job, int64_t c0, int64_t c1);
    float *ring;
    int64_t cols;
    pieces pieces;
} fir_run;

/* The last rows of the sequence that ends the call go into the ring. */
static void fir_keep(const fir_rows *in, float *ring, int64_t c0, int64_t c1) {
    for (int64_t t = in->rows > in->taps ? in->rows - in->taps : 0; t < in->rows; t++) {
        memcpy(ring + (in->position + t) % in->taps * in->ldring + c0, in->x + t * in->ldx + c0,
               (size_t)(c1 - c0) * sizeof(float));
    }
}

static void fir_range(void *arg, int64_t from, int64_t to) {
    const fir_run *run = arg;
    const int64_t c0 = from * MBK_PANEL;
    const int64_t c1 = to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols;
    for (int64_t i = 0; i <= run->pieces.n; i++) {
        fir_job job = run->job;
        const int64_t t0 = piece_from(&run->pieces, i);
        job.n = job.in.rows = piece_to(&run->pieces, i, run->job.in.rows) - t0;
        job.in.x += t0 * job.in.ldx;
        job.y += t0 * job.ldy;
        if (i > 0) {
            job.in.ring = NULL;
            job.in.position = 0;
        }
        run->leaf(&job, c0, c1);
        if (i == run->pieces.n) {
            fir_keep(&job.in, run->ring, c0, c1);
        }
    }
}

/* The tap 0 of a filter, and the distance to the next. */
static const float *first_tap(const mbk_mat *w, int32_t newest_last, int64_t *ld) {
    *ld = newest_last ? -w->ld : w->ld;
    return at(w) + (newest_last ? (w->rows - 1) * w->ld : 0);
}

static mbk_status fir(mbk_ctx *ctx, const mbk_fir_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->x.rows;
    const int64_t cols = s->x.cols;
    assert(s->y.rows == rows && s->y.cols == cols && s->w.cols == cols && s->ring.cols == cols && s->position >= 0);
    assert(s->ring.rows == s->w.rows && s->w.rows >= 1 && (!s->bias.buf || s->bias.cols == cols));
    if (rows <= 0) {
        return MBS_OK;
    }
    fir_run run = {
        .leaf = cpu->leaf.family.fir, .ring = at(&s->ring), .cols = cols, .pieces = pieces_of(s->starts, rows)};
    run.job = (fir_job){
        .y = at(&s->y),
        .bias = at(&s->bias),
        .in = {at(&s->x), run.ring, s->x.ld, s->ring.ld, rows, s->position, s->w.rows},
        .ldy = s->y.ld,
        .taps = s->w.rows,
    };
    run.job.w = first_tap(&s->w, s->newest_last, &run.job.ldw);
    if (s->ahead.buf) {
        mbk_fir_far(cpu, s, &run.job);
        return MBS_OK;
    }
    const int64_t met = s->position + rows < s->w.rows ? s->position + rows : s->w.rows;
    mbk_ranges(cpu, (cols + MBK_PANEL - 1) / MBK_PANEL, 1, rows * cols * (met + 8) / MBK_PANEL, fir_range, &run);
    return MBS_OK;
}

/* --- gradients ------------------------------------------------------------------------------------------------------
 */

typedef struct fir_grad_run {
    mbk_fir_grad_args s;
    const mbk_family_leaf *leaf;
    float *dx, *dw, *dbias, *dring;
    float *work; /* or NULL */
    const float *dy, *x, *w, *ring, *roots;
    int64_t ldw, lddw, cols, most;
    pieces pieces;
} fir_grad_run;

/* dx of one sequence to what later calls give. */
static void fir_rows_begin(const fir_grad_run *run, int64_t t0, int64_t rows, int64_t position, int last, int64_t c0,
                           int64_t c1) {
    const mbk_fir_grad_args *s = &run->s;
    const int64_t taps = s->w.rows;
    for (int64_t t = 0; t < rows; t++) {
        float *dx = run->dx + (t0 + t) * s->dx.ld + c0;
        if (last && t >= rows - taps) {
            memcpy(dx, run->dring + (position + t) % taps * s->dring.ld + c0, (size_t)(c1 - c0) * sizeof *dx);
        } else {
            memset(dx, 0, (size_t)(c1 - c0) * sizeof *dx);
        }
    }
}

/* dx of one sequence: the filter over dy backwards in time. */
static void fir_rows_back(const fir_grad_run *run, int64_t t0, int64_t rows, int64_t c0, int64_t c1) {
    const mbk_fir_grad_args *s = &run->s;
    fir_job job = {
        .y = run->dx + (t0 + rows - 1) * s->dx.ld,
        .w = run->w,
        .in = {run->dy + (t0 + rows - 1) * s->dy.ld, NULL, -s->dy.ld, 0, rows, 0, s->w.rows},
        .ldy = -s->dx.ld,
        .ldw = run->ldw,
        .taps = s->w.rows,
        .n = rows,
        .add = 1,
    };
    run->leaf->fir(&job, c0, c1);
}

/* The rows before the call: of those that are not carried on, by the call's first sequence of `rows` rows, nothing is
 * left. Then what the sequence gives to them, but where `met`: transforms have done it. */
static void fir_ring_back(const fir_grad_run *run, int64_t rows, int carried, int met, int64_t c0, int64_t c1) {
    const mbk_fir_grad_args *s = &run->s;
    const int64_t taps = s->w.rows;
    const int64_t back = s->position < taps ? s->position : taps;
    for (int64_t k = 1; k <= taps; k++) { /* row -k */
        float *to = run->dring + ((s->position - k) % taps + taps) % taps * s->dring.ld;
        if (k > back || !carried || rows + k > taps) {
            memset(to + c0, 0, (size_t)(c1 - c0) * sizeof *to);
        }
        if (met || k > back || rows == 0 || k >= taps) {
            continue;
        }
        const fir_job job = {
            .y = to,
            .w = run->w,
            .in = {run->dy + (rows - 1) * s->dy.ld, NULL, -s->dy.ld, 0, rows, 0, taps},
            .ldw = run->ldw,
            .taps = taps,
            .first = rows - 1 + k,
            .n = 1,
            .add = 1,
        };
        run->leaf->fir(&job, c0, c1);
    }
}

/* Numbers of the transforms that a sequence goes by, 0: each tap meets each row. */
static int64_t fir_transform(const fir_grad_run *run, int64_t before, int64_t rows) {
    const int64_t met = before + rows < run->s.w.rows ? before + rows : run->s.w.rows;
    const int64_t n = mbk_fir_grad_size(run->s.w.rows, before, rows);
    int64_t stages = 0;
    while ((int64_t)1 << stages < n) {
        stages++;
    }
    return run->work && rows * met > 8 * n * stages ? n : 0;
}

static void fir_by_transforms(const fir_grad_run *run, const fir_taps_job *of, int64_t t0, int64_t before, int64_t n,
                              int64_t lane, int64_t c0, int64_t c1) {
    const mbk_fir_grad_args *s = &run->s;
    const int64_t met = before + of->in.rows;
    fir_pair_job job = {
        .work = run->work + lane * 4 * MBK_FIR_GRAD_UNIT * run->most,
        .roots = run->roots,
        .in = of->in,
        .lddx = s->dx.ld,
        .lddring = s->dring.ld,
        .lddw = of->lddw,
        .lddy = of->lddy,
        .ldw = run->ldw,
        .before = before,
        .met = met < of->taps ? met : of->taps,
        .n = n,
        .most = run->most,
    };
    for (int64_t c = c0; c < c1; c += MBK_FIR_GRAD_UNIT) {
        job.dx = run->dx + t0 * s->dx.ld + c;
        job.dring = run->dring + c;
        job.dw = of->dw + c;
        job.dy = of->dy + c;
        job.w = run->w + c;
        job.in.x = of->in.x + c;
        job.in.ring = of->in.ring ? of->in.ring + c : NULL;
        job.channels = c1 - c < MBK_FIR_GRAD_UNIT ? c1 - c : MBK_FIR_GRAD_UNIT;
        run->leaf->fir_pair(&job);
    }
}

static void fir_grad_channels(const fir_grad_run *run, int64_t lane, int64_t c0, int64_t c1) {
    const mbk_fir_grad_args *s = &run->s;
    for (int64_t i = run->pieces.n; i >= 0; i--) {
        const int64_t t0 = piece_from(&run->pieces, i);
        const int64_t rows = piece_to(&run->pieces, i, s->x.rows) - t0;
        const int last = i == run->pieces.n;
        const int64_t before = i ? 0 : s->position < s->w.rows ? s->position : s->w.rows - 1;
        const int64_t n = rows > 0 ? fir_transform(run, before, rows) : 0;
        fir_taps_job taps = {
            .dw = run->dw,
            .dy = run->dy + t0 * s->dy.ld,
            .in = {run->x + t0 * s->x.ld, i ? NULL : run->ring, s->x.ld, s->ring.ld, rows, i ? 0 : s->position,
                   s->w.rows},
            .lddw = run->lddw,
            .lddy = s->dy.ld,
            .taps = s->w.rows,
        };
        fir_rows_begin(run, t0, rows, taps.in.position, last, c0, c1);
        if (i == 0) {
            fir_ring_back(run, rows, last, n > 0, c0, c1);
        }
        if (n > 0) {
            fir_by_transforms(run, &taps, t0, before, n, lane, c0, c1);
        } else if (rows > 0) {
            fir_rows_back(run, t0, rows, c0, c1);
            run->leaf->fir_taps(&taps, c0, c1);
        }
    }
    for (int64_t c = c0; run->dbias && c < c1; c++) {
        double sum = 0.0;
        for (int64_t t = 0; t < s->dy.rows; t++) {
            sum += (double)run->dy[t * s->dy.ld + c];
        }
        run->dbias[c] += (float)sum;
    }
}

static void fir_grad_range(void *arg, int64_t from, int64_t to) {
    const fir_grad_run *run = arg;
    fir_grad_channels(run, 0, from * MBK_PANEL, to * MBK_PANEL < run->cols ? to * MBK_PANEL : run->cols);
}

/* A lane has a workplace of its own. */
static void fir_grad_lanes(void *arg, int64_t from, int64_t to) {
    const fir_grad_run *run = arg;
    for (int64_t lane = from; lane < to; lane++) {
        for (int64_t c = lane * MBK_PANEL; c < run->cols; c += (int64_t)MBK_FIR_GRAD_LANES * MBK_PANEL) {
            fir_grad_channels(run, lane, c, c + MBK_PANEL < run->cols ? c + MBK_PANEL : run->cols);
        }
    }
}

/* The largest transform of the call's sequences; 0: none goes by one. */
static int64_t fir_largest(const fir_grad_run *run) {
    int64_t most = 0;
    for (int64_t i = 0; i <= run->pieces.n; i++) {
        const int64_t rows = piece_to(&run->pieces, i, run->s.x.rows) - piece_from(&run->pieces, i);
        const int64_t before = i ? 0 : run->s.position < run->s.w.rows ? run->s.position : run->s.w.rows - 1;
        const int64_t n = rows > 0 ? fir_transform(run, before, rows) : 0;
        most = n > most ? n : most;
    }
    return most;
}

static mbk_status fir_grad(mbk_ctx *ctx, const mbk_fir_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->x.rows;
    const int64_t cols = s->x.cols;
    assert(s->dx.rows == rows && s->dx.cols == cols && s->dy.rows == rows && s->dy.cols == cols);
    assert(s->w.cols == cols && s->dw.rows == s->w.rows && s->dw.cols == cols && s->ring.rows == s->w.rows);
    assert(s->dring.rows == s->w.rows && s->dring.cols == cols && s->ring.cols == cols && s->position >= 0);
    if (rows <= 0) {
        return MBS_OK;
    }
    fir_grad_run run = {
        .s = *s,
        .leaf = &cpu->leaf.family,
        .dx = at(&s->dx),
        .dbias = at(&s->dbias),
        .dring = at(&s->dring),
        .dy = at(&s->dy),
        .x = at(&s->x),
        .ring = at(&s->ring),
        .cols = cols,
        .pieces = pieces_of(s->starts, rows),
    };
    run.w = first_tap(&s->w, s->newest_last, &run.ldw);
    run.lddw = s->newest_last ? -s->dw.ld : s->dw.ld;
    run.dw = at(&s->dw) + (s->newest_last ? (s->dw.rows - 1) * s->dw.ld : 0);
    const int64_t met = s->position + rows < s->w.rows ? s->position + rows : s->w.rows;
    const int64_t panels = (cols + MBK_PANEL - 1) / MBK_PANEL;
    float *work = run.leaf->fir_pair ? at(&s->work) : NULL;
    run.work = work;
    run.most = work ? fir_largest(&run) : 0;
    if (run.most > 0) {
        const int64_t lanes = panels < MBK_FIR_GRAD_LANES ? panels : MBK_FIR_GRAD_LANES;
        assert(!s->newest_last && s->work.cols >= 2 * run.most + lanes * 4 * MBK_FIR_GRAD_UNIT * run.most);
        mbk_fir_roots(work, run.most);
        run.roots = work;
        run.work = work + 2 * run.most;
        mbk_ranges(cpu, lanes, 1, rows * cols * 64, fir_grad_lanes, &run);
        return MBS_OK;
    }
    run.work = NULL;
    mbk_ranges(cpu, panels, 1, rows * cols * (met + 8) / 4, fir_grad_range, &run);
    return MBS_OK;
}

void mbk_fir_ops(mbk_ops *ops) {
    ops->fir = fir;
    ops->fir_spectra = mbk_fir_spectra;
    ops->fir_grad = fir_grad;
}
