/* ssd.c - the state space dual form: cuts the rows of a call into blocks, makes the products C B of every block and
 * group side by side, then works off the blocks head by head. */
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/pieces.h"
#include "ref/math.h"

#define Q ((int64_t)MBK_SSD_BLOCK)
/* Blocks looked at together at most; what scratch the products leave may make it fewer. */
#define BLOCKS_MAX 64
#define DOTS_BYTES ((size_t)(MBK_SSD_BLOCK * MBK_SSD_BLOCK) * sizeof(float))

/* Rows [t0, t0 + to - from) of the call, which are rows [from, to) of a block. */
typedef struct ssd_block {
    int64_t t0, from, to;
    int fresh;      /* a sequence begins: no state */
    int last;       /* of the call */
    int64_t saved;  /* which of the saved states; -1: a sequence begins with none */
    const float *b; /* row 0 of the block */
    int64_t ldb;
} ssd_block;

typedef struct ssd_run {
    const mbk_leaf *leaf;
    ssd_dots_job dots;
    ssd_head_job head;
    const float *a, *bias;
    float *open_b;
    float *saved; /* or NULL */
    int64_t ldsaved, n_saved;
    float *scratch; /* the products of (block, group) */
    int64_t heads, groups, ldob, ldol;
    ssd_block block[BLOCKS_MAX];
    int64_t n_blocks;
    int64_t g0, g1; /* groups that are worked on */
} ssd_run;

static float *dots_of(const ssd_run *run, int64_t block, int64_t group) {
    return run->scratch + (block * (run->g1 - run->g0) + group - run->g0) * Q * Q;
}

static void dots_range(void *arg, int64_t from, int64_t to) {
    const ssd_run *run = arg;
    const int64_t groups = run->g1 - run->g0;
    for (int64_t u = from; u < to; u++) {
        const ssd_block *blk = &run->block[u / groups];
        const int64_t g = run->g0 + u % groups;
        ssd_dots_job job = run->dots;
        job.dots = dots_of(run, u / groups, g);
        job.b = blk->b + g * job.n;
        job.ldb = blk->ldb;
        job.c += blk->t0 * job.ldc + g * job.n;
        job.from = blk->from;
        job.to = blk->to;
        run->leaf->ssd_dots(&job);
    }
}

/* Rows of the open block that have not come are zero. Those of a block that earlier calls began are already. */
static void clear_rest(const ssd_head_job *job) {
    const int64_t from = job->to == Q ? 0 : job->to;
    if (job->to < Q && job->from > 0) {
        return;
    }
    for (int64_t j = from; j < Q; j++) {
        memset(job->rows + j * job->ldr, 0, (size_t)job->p * sizeof(float));
        job->lam[j] = job->lam[Q + j] = 0.0f;
    }
}

/* The state before row `from`: the one before the block, and what the rows of the open block have added. */
static void save_state(const ssd_run *run, const ssd_head_job *job, float *to) {
    const float *lam = job->lam;
    const int64_t last = job->from - 1;
    for (int64_t n = 0; n < job->n; n++) {
        memcpy(to + n * run->ldsaved, job->state + n * job->lds, (size_t)job->p * sizeof(float));
    }
    if (last < 0) {
        return;
    }
    const double end = (double)lam[last] + (double)lam[Q + last];
    const float all = (float)exp_double(end);
    float rest[MBK_SSD_BLOCK];
    for (int64_t j = 0; j <= last; j++) {
        rest[j] = (float)exp_double(end - (double)lam[j] - (double)lam[Q + j]);
    }
    for (int64_t n = 0; n < job->n; n++) {
        for (int64_t p = 0; p < job->p; p++) {
            float sum = all * to[n * run->ldsaved + p];
            for (int64_t j = 0; j <= last; j++) {
                sum += job->b[j * job->ldb + n] * rest[j] * job->rows[j * job->ldr + p];
            }
            to[n * run->ldsaved + p] = sum;
        }
    }
}

static void head_blocks(const ssd_run *run, int64_t h) {
    const int64_t g = h / (run->heads / run->groups);
    for (int64_t k = 0; k < run->n_blocks; k++) {
        const ssd_block *blk = &run->block[k];
        ssd_head_job job = run->head;
        job.y += blk->t0 * job.ldy + h * job.p;
        job.x += blk->t0 * job.ldx + h * job.p;
        job.dt += blk->t0 * job.lddt + h;
        job.c += blk->t0 * job.ldc + g * job.n;
        job.b = blk->b + g * job.n;
        job.ldb = blk->ldb;
        job.dots = dots_of(run, k, g);
        job.d = job.d ? job.d + (job.wide ? h * job.p : h) : NULL;
        job.state += h * job.n * job.lds;
        job.rows += h * Q * job.ldr;
        job.lam += h * run->ldol;
        job.from = blk->from;
        job.to = blk->to;
        job.a = run->a[h];
        job.bias = run->bias ? run->bias[h] : 0.0f;
        if (blk->fresh) {
            clear_state(job.state, job.lds, job.n, 0, job.p);
        }
        if (run->saved && blk->saved >= 0) {
            save_state(run, &job, run->saved + (blk->saved * run->heads + h) * job.n * run->ldsaved);
        }
        run->leaf->ssd_head(&job);
        if (blk->last) {
            clear_rest(&job);
        }
    }
}

static void heads_range(void *arg, int64_t from, int64_t to) {
    const ssd_run *run = arg;
    const int64_t first = run->g0 * (run->heads / run->groups);
    for (int64_t h = first + from; h < first + to; h++) {
        head_blocks(run, h);
    }
}

/* Fills the table with the next blocks from row t on, which is row `at` of its block and in sequence `*piece`; gives
 * the row after them. */
static int64_t next_blocks(ssd_run *run, const pieces *p, int64_t rows, int64_t t, int64_t at, int64_t *piece,
                           int64_t most) {
    for (run->n_blocks = 0; t < rows && run->n_blocks < most;) {
        int fresh = 0;
        while (t == piece_to(p, *piece, rows)) {
            (*piece)++;
            fresh = 1;
            at = 0;
        }
        int64_t left = piece_to(p, *piece, rows) - t;
        int64_t take = left < Q - at ? left : Q - at;
        const float *b = at > 0 ? run->open_b : run->dots.b + t * run->dots.ldb;
        run->block[run->n_blocks++] = (ssd_block){t,
                                                  at,
                                                  at + take,
                                                  fresh,
                                                  t + take == rows,
                                                  fresh ? -1 : run->n_saved++,
                                                  b,
                                                  at > 0 ? run->ldob : run->dots.ldb};
        t += take;
        at = 0; /* a block ends here or the sequence does */
    }
    return t;
}

/* Rows [from, to) of the open block's B. */
static void keep_b(const ssd_run *run, int64_t from, int64_t to, int64_t t) {
    for (int64_t j = from; j < to; j++) {
        memcpy(run->open_b + j * run->ldob, run->dots.b + (t + j - from) * run->dots.ldb,
               (size_t)(run->groups * run->dots.n) * sizeof(float));
    }
}

static void close_b(const ssd_run *run) {
    const ssd_block *last = &run->block[run->n_blocks - 1];
    int64_t kept = last->to == Q ? 0 : last->to;
    if (kept > 0 && last->from > 0) {
        return;
    }
    keep_b(run, 0, kept, last->t0);
    for (int64_t j = kept; j < Q; j++) {
        memset(run->open_b + j * run->ldob, 0, (size_t)(run->groups * run->dots.n) * sizeof(float));
    }
}

static void work_off(cpu_ctx *cpu, ssd_run *run, int64_t rows, int64_t group_most) {
    const int64_t each = run->heads / run->groups;
    for (run->g0 = 0; run->g0 < run->groups; run->g0 = run->g1) {
        run->g1 = run->groups - run->g0 < group_most ? run->groups : run->g0 + group_most;
        const int64_t groups = run->g1 - run->g0;
        const int64_t n = run->dots.n;
        mbk_ranges(cpu, run->n_blocks * groups, 1, rows * groups * n * (Q + 32) / 32, dots_range, run);
        mbk_ranges(cpu, groups * each, 1, groups * each * rows * run->head.p * (2 * n + 32) / 16, heads_range, run);
    }
}

static ssd_run run_of(const cpu_ctx *cpu, const mbk_ssd_args *s) {
    const int64_t heads = s->dt.cols;
    return (ssd_run){
        .leaf = &cpu->leaf,
        .a = at(&s->a),
        .bias = at(&s->bias),
        .open_b = at(&s->open_b),
        .saved = at(&s->saved),
        .ldsaved = s->saved.ld,
        .scratch = cpu->scratch,
        .heads = heads,
        .groups = s->groups,
        .ldob = s->open_b.ld,
        .ldol = s->open_lam.ld,
        .dots = {.b = at(&s->b), .c = at(&s->c), .ldb = s->b.ld, .ldc = s->c.ld, .n = s->b.cols / s->groups},
        .head =
            {
                .y = at(&s->y),
                .ldy = s->y.ld,
                .x = at(&s->x),
                .ldx = s->x.ld,
                .dt = at(&s->dt),
                .lddt = s->dt.ld,
                .c = at(&s->c),
                .ldc = s->c.ld,
                .d = at(&s->d),
                .wide = s->d.buf && s->d.cols != heads,
                .state = at(&s->state),
                .lds = s->state.ld,
                .rows = at(&s->open_x),
                .ldr = s->open_x.ld,
                .lam = at(&s->open_lam),
                .n = s->b.cols / s->groups,
                .p = s->x.cols / heads,
                .dt_min = s->dt_min,
                .dt_max = s->dt_max,
            },
    };
}

static void check_args(const mbk_ssd_args *s) {
    const int64_t rows = s->x.rows;
    const int64_t cols = s->x.cols;
    const int64_t heads = s->dt.cols;
    assert(heads >= 1 && cols % heads == 0 && s->groups >= 1 && heads % s->groups == 0 && s->position >= 0);
    assert(s->y.rows == rows && s->y.cols == cols && s->dt.rows == rows && s->b.rows == rows && s->c.rows == rows);
    assert(s->b.cols % s->groups == 0 && s->c.cols == s->b.cols && s->a.cols == heads);
    assert((!s->d.buf || s->d.cols == heads || s->d.cols == cols) && (!s->bias.buf || s->bias.cols == heads));
    assert(s->state.cols == cols / heads && s->state.rows == heads * (s->b.cols / s->groups));
    assert(s->open_x.rows == heads * Q && s->open_x.cols == cols / heads && s->open_b.rows == Q);
    assert(!s->saved.buf || (s->saved.cols == s->state.cols && s->saved.rows >= MBK_SSD_SAVED(rows) * s->state.rows));
    assert(s->open_b.cols == s->b.cols && s->open_lam.rows == heads && s->open_lam.cols == 2 * Q);
    (void)rows;
    (void)cols;
    (void)heads;
    (void)s;
}

static mbk_status ssd(mbk_ctx *ctx, const mbk_ssd_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->x.rows;
    check_args(s);
    if (rows <= 0) {
        return MBS_OK;
    }
    ssd_run run = run_of(cpu, s);
    const pieces cut = pieces_of(s->starts, rows);
    const int64_t fit = (int64_t)(cpu->scratch_size / DOTS_BYTES);
    const int64_t group_most = run.groups < fit ? run.groups : fit;
    const int64_t most = fit / group_most < BLOCKS_MAX ? fit / group_most : BLOCKS_MAX;
    int64_t at_row = s->position % Q;
    int64_t piece = 0;
    for (int64_t t = 0, end; t < rows; t = end) {
        end = next_blocks(&run, &cut, rows, t, at_row, &piece, most);
        const ssd_block *first = &run.block[0];
        if (first->from > 0) {
            keep_b(&run, first->from, first->to, first->t0);
        }
        work_off(cpu, &run, end - t, group_most);
        at_row = 0;
    }
    close_b(&run);
    return MBS_OK;
}

void mbk_ssd_ops(mbk_ops *ops) {
    ops->ssd = ssd;
}
