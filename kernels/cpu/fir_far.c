/* fir_far.c - long filters by transforms, at absolute positions. Units of channels are independent of each other. */
#include <math.h>

#include "cpu/cpu.h"
#include "cpu/pieces.h"

#define BASE ((int64_t)MBK_FIR_BASE)
#define UNIT ((int64_t)MBK_FIR_UNIT)

/* Numbers of a unit's spectra before those of level `level`. */
static int64_t spectrum_at(int64_t level) {
    return 2 * UNIT * (((BASE << level) - BASE) + level);
}

typedef struct spectra_run {
    fir_spectrum_job job;
    void (*leaf)(const fir_spectrum_job *job);
    float *out;
    int64_t cols, levels, unit_floats;
} spectra_run;

static void spectra_range(void *arg, int64_t from, int64_t to) {
    const spectra_run *run = arg;
    for (int64_t u = from; u < to; u++) {
        for (int64_t i = 0; i < run->levels; i++) {
            fir_spectrum_job job = run->job;
            job.out = run->out + u * run->unit_floats + spectrum_at(i);
            job.work += u * UNIT * job.most;
            job.w += u * UNIT;
            job.block = BASE << i;
            job.channels = run->cols - u * UNIT < UNIT ? run->cols - u * UNIT : UNIT;
            run->leaf(&job);
        }
    }
}

void mbk_fir_roots(float *roots, int64_t most) {
    for (int64_t j = 0; j < most; j++) {
        const double angle = -2 * 3.14159265358979323846 * (double)j / (double)most;
        roots[2 * j] = (float)cos(angle);
        roots[2 * j + 1] = (float)sin(angle);
    }
}

mbk_status mbk_fir_spectra(mbk_ctx *ctx, mbk_mat spectra, mbk_mat w, mbk_mat work) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t most = mbk_fir_most(w.rows);
    assert(most > 0 && spectra.cols >= mbk_fir_spectra_floats(w.rows, w.cols) &&
           work.cols >= mbk_fir_work_floats(w.rows, w.cols));
    float *roots = at(&spectra);
    mbk_fir_roots(roots, most);
    spectra_run run = {
        .leaf = cpu->leaf.family.fir_spectrum,
        .out = roots + 2 * most,
        .cols = w.cols,
        .levels = mbk_fir_levels(w.rows),
        .unit_floats = mbk_fir_unit_floats(w.rows),
        .job = {.work = at(&work), .w = at(&w), .roots = roots, .ldw = w.ld, .taps = w.rows, .most = most},
    };
    mbk_ranges(cpu, (w.cols + UNIT - 1) / UNIT, 1, w.rows * w.cols * 8, spectra_range, &run);
    return MBS_OK;
}

typedef struct far_run {
    fir_job job;  /* the taps that meet every row */
    fir_job tail; /* taps behind the last level; none where tail.taps is 0 */
    fir_block_job block;
    const mbk_family_leaf *leaf;
    float *ring, *ahead;
    const float *spectra;
    int64_t cols, levels, taps, ldahead, unit_floats;
    pieces pieces;
} far_run;

/* Rows [t, t + n) of a sequence, at `position`, within one block of the lowest level: what lies ahead, and the ring. */
static void far_rows(const far_run *run, const fir_job *job, int64_t t, int64_t n, int64_t position, int64_t c0,
                     int64_t c1) {
    for (int64_t i = 0; i < run->levels && position >= BASE << i; i++) {
        const int64_t block = BASE << i;
        const float *from = run->ahead + (block - BASE + position % block) * run->ldahead;
        for (int64_t r = 0; r < n; r++) {
            float *y = job->y + (t + r) * job->ldy;
            for (int64_t c = c0; c < c1; c++) {
                y[c] += from[r * run->ldahead + c];
            }
        }
    }
    for (int64_t r = 0; r < n; r++) {
        memcpy(run->ring + (position + r) % run->taps * job->in.ldring + c0, job->in.x + (t + r) * job->in.ldx + c0,
               (size_t)(c1 - c0) * sizeof(float));
    }
}

/* The levels of which a block begins at `position`, before its first row: what is carried to there is then the same
 * whether or not there is room for rows behind it. */
static void far_blocks(const far_run *run, int64_t unit, int64_t position, int64_t c0, int64_t c1) {
    for (int64_t i = 0; i < run->levels && position > 0 && position % (BASE << i) == 0; i++) {
        fir_block_job job = run->block;
        job.block = BASE << i;
        job.ahead = run->ahead + (job.block - BASE) * run->ldahead + c0;
        job.ring = run->ring + c0;
        job.w += c0;
        job.work += unit * UNIT * job.most;
        job.spectrum = run->spectra + unit * run->unit_floats + spectrum_at(i);
        job.position = position;
        job.channels = c1 - c0;
        run->leaf->fir_block(&job);
    }
}

static void far_range(void *arg, int64_t from, int64_t to) {
    const far_run *run = arg;
    for (int64_t u = from; u < to; u++) {
        const int64_t c0 = u * UNIT;
        const int64_t c1 = c0 + UNIT < run->cols ? c0 + UNIT : run->cols;
        for (int64_t i = 0; i <= run->pieces.n; i++) {
            const int64_t t0 = piece_from(&run->pieces, i);
            const int64_t rows = piece_to(&run->pieces, i, run->job.in.rows) - t0;
            fir_job jobs[2] = {run->job, run->tail};
            for (int k = 0; k < 2; k++) {
                jobs[k].n = jobs[k].in.rows = rows;
                jobs[k].in.x += t0 * jobs[k].in.ldx;
                jobs[k].y += t0 * jobs[k].ldy;
                jobs[k].in.ring = i > 0 ? NULL : jobs[k].in.ring;
                jobs[k].in.position = i > 0 ? 0 : jobs[k].in.position;
                if (jobs[k].taps > 0) {
                    run->leaf->fir(&jobs[k], c0, c1);
                }
            }
            int64_t position = jobs[0].in.position;
            for (int64_t t = 0, n; t < rows; t += n) {
                n = BASE - position % BASE < rows - t ? BASE - position % BASE : rows - t;
                far_blocks(run, u, position, c0, c1);
                far_rows(run, &jobs[0], t, n, position, c0, c1);
                position += n;
            }
        }
    }
}

void mbk_fir_far(cpu_ctx *cpu, const mbk_fir_args *s, const fir_job *job) {
    const int64_t levels = mbk_fir_levels(s->w.rows);
    const int64_t covered = BASE << levels;
    assert(levels > 0 && !s->newest_last && s->ahead.rows == mbk_fir_ahead_rows(s->w.rows));
    assert(s->spectra.cols >= mbk_fir_spectra_floats(s->w.rows, s->w.cols));
    assert(s->work.cols >= mbk_fir_work_floats(s->w.rows, s->w.cols));
    far_run run = {
        .job = *job,
        .tail = *job,
        .leaf = &cpu->leaf.family,
        .ring = at(&s->ring),
        .ahead = at(&s->ahead),
        .spectra = at(&s->spectra),
        .cols = s->x.cols,
        .levels = levels,
        .taps = s->w.rows,
        .ldahead = s->ahead.ld,
        .unit_floats = mbk_fir_unit_floats(s->w.rows),
        .pieces = pieces_of(s->starts, s->x.rows),
        .block = {.work = at(&s->work),
                  .w = job->w,
                  .ldahead = s->ahead.ld,
                  .ldring = s->ring.ld,
                  .ldw = job->ldw,
                  .taps = s->w.rows,
                  .most = mbk_fir_most(s->w.rows)},
    };
    run.block.roots = run.spectra;
    run.spectra += 2 * run.block.most;
    run.job.taps = BASE;
    run.tail.w += covered * job->ldw;
    run.tail.first = -covered;
    run.tail.taps = s->w.rows > covered ? s->w.rows - covered : 0;
    run.tail.bias = NULL;
    run.tail.add = 1;
    mbk_ranges(cpu, (run.cols + UNIT - 1) / UNIT, 1, s->x.rows * run.cols * (8 + 2 * levels), far_range, &run);
}
