/* ssd_grad.c - gradients of the state space dual form and of the gates, from the last block to the first. The products
 * are the level's, what lies between them is here. A block's heads are worked off side by side in parts that the sizes
 * alone decide on; each part sums B's and C's gradients of its heads, and the parts are added in order. */
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/pieces.h"
#include "ref/math.h"

#define Q ((int64_t)MBK_SSD_BLOCK)
/* Most parts of the heads that are summed apart, and floats that all parts together work on: half a context's scratch.
 */
#define PARTS_MAX 8
#define ROOM ((int64_t)1 << 19)

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp_double(-x));
}

typedef struct grad_run {
    const mbk_leaf *leaf;
    const mbk_ssd_grad_args *s;
    float *scratch;
    int64_t heads, groups, n, p;
    int64_t part_heads; /* of a group */
    int64_t parts;      /* of a group */
    int64_t u0;         /* the first unit (group, part) of those that are worked on */
    int64_t t0, rows;   /* of the block */
    int64_t saved;      /* its saved state; -1: zeros */
} grad_run;

/* What a part works on; all of it in the scratch. */
typedef struct part_room {
    float *db, *dc; /* (Q, n): first, they are what is read afterwards */
    float *dots, *m, *dm;
    float *x, *xt, *tx, *bds, *cs, *dx, *edy; /* (Q, p), xt (p, Q) */
    float *st, *dst;                          /* (p, n) */
    float *decay, *tail;                      /* Q */
    float lam[2 * MBK_SSD_BLOCK];
    float delta[MBK_SSD_BLOCK];
    float q[MBK_SSD_BLOCK];
    double dlam[MBK_SSD_BLOCK];
    double step[MBK_SSD_BLOCK]; /* gradient of delta */
} part_room;

static int64_t room_floats(int64_t n, int64_t p) {
    return 2 * Q * n + 3 * Q * Q + 7 * Q * p + 2 * n * p + 4 * Q;
}

static float *take(float **at, int64_t floats) {
    float *p = *at;
    *at += floats;
    return p;
}

static void part_of(const grad_run *run, int64_t unit, part_room *r) {
    const int64_t n = run->n;
    const int64_t p = run->p;
    float *at = run->scratch + (unit - run->u0) * ((room_floats(n, p) + 15) / 16 * 16);
    float **const all[] = {&r->x, &r->xt, &r->tx, &r->bds, &r->cs, &r->dx, &r->edy};
    r->db = take(&at, Q * n);
    r->dc = take(&at, Q * n);
    r->dots = take(&at, Q * Q);
    r->m = take(&at, Q * Q);
    r->dm = take(&at, Q * Q);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = take(&at, Q * p);
    }
    r->st = take(&at, n * p);
    r->dst = take(&at, n * p);
    r->decay = take(&at, Q);
    r->tail = take(&at, Q);
}

static void product(const grad_run *run, float *out, int64_t ldo, const float *l, int64_t li, int64_t lt,
                    const float *r, int64_t ldr, int64_t m, int64_t n, int64_t k, int accumulate) {
    product_job job = {out, l, r, ldo, li, lt, ldr, m, n, k, accumulate};
    run->leaf->product(&job);
}

/* --- one head of one block ---------------------------------------------------------------------------------------- */

typedef struct head_at {
    const float *x, *dy, *b, *c, *s; /* s NULL: zeros */
    float *ds;
    float a;
    int64_t h, ldx, lddy, ldb, ldc, lds, ldds;
} head_at;

static head_at head_of(const grad_run *run, int64_t h) {
    const mbk_ssd_grad_args *s = run->s;
    const int64_t g = h / (run->heads / run->groups);
    head_at at_ = {
        .x = at(&s->x) + run->t0 * s->x.ld + h * run->p,
        .dy = at(&s->dy) + run->t0 * s->dy.ld + h * run->p,
        .b = at(&s->b) + run->t0 * s->b.ld + g * run->n,
        .c = at(&s->c) + run->t0 * s->c.ld + g * run->n,
        .ds = at(&s->dstate) + h * run->n * s->dstate.ld,
        .a = at(&s->a)[h],
        .h = h,
        .ldx = s->x.ld,
        .lddy = s->dy.ld,
        .ldb = s->b.ld,
        .ldc = s->c.ld,
        .lds = s->saved.ld,
        .ldds = s->dstate.ld,
    };
    if (run->saved >= 0) {
        at_.s = at(&s->saved) + (run->saved * run->heads + h) * run->n * s->saved.ld;
    }
    return at_;
}

/* Steps, lam, what is left of the state in each row and of each row at the end, and X with its transpose. */
static void enter(const grad_run *run, const head_at *w, part_room *r) {
    const mbk_ssd_grad_args *s = run->s;
    const int64_t rows = run->rows;
    const int64_t p = run->p;
    const float *dt = at(&s->dt) + run->t0 * s->dt.ld + w->h;
    const float bias = s->bias.buf ? at(&s->bias)[w->h] : 0.0f;
    for (int64_t i = 0; i < rows; i++) {
        r->q[i] = dt[i * s->dt.ld] + bias;
    }
    run->leaf->softplus(r->delta, r->q, rows);
    for (int64_t i = 0; i < rows; i++) {
        float d = r->delta[i];
        r->delta[i] = d < s->dt_min ? s->dt_min : d > s->dt_max ? s->dt_max : d;
        ssd_lam(r->lam, i, r->delta[i], w->a);
    }
    const float *low = r->lam + Q;
    for (int64_t i = 0; i < rows; i++) {
        r->decay[i] = r->lam[i] + low[i];
        r->tail[i] = (r->lam[rows - 1] - r->lam[i]) + (low[rows - 1] - low[i]);
    }
    run->leaf->exp(r->decay, r->decay, rows);
    run->leaf->exp(r->tail, r->tail, rows);
    for (int64_t j = 0; j < rows; j++) {
        for (int64_t c = 0; c < p; c++) {
            float v = r->delta[j] * w->x[j * w->ldx + c];
            r->x[j * p + c] = v;
            r->xt[c * Q + j] = v;
            r->tx[j * p + c] = r->tail[j] * v;
            r->edy[j * p + c] = r->decay[j] * w->dy[j * w->lddy + c];
        }
    }
}

/* From the products to M, dG (in dm) and the part of dlam that pairs of rows give. */
static void pairs(const grad_run *run, part_room *r) {
    const int64_t rows = run->rows;
    memset(r->dlam, 0, sizeof r->dlam);
    for (int64_t i = 0; i < rows; i++) {
        float *m = r->m + i * Q;
        float *dm = r->dm + i * Q;
        for (int64_t j = 0; j <= i; j++) {
            m[j] = (r->lam[i] - r->lam[j]) + (r->lam[Q + i] - r->lam[Q + j]);
        }
        run->leaf->exp(m, m, i + 1);
        double sum = 0.0;
        for (int64_t j = 0; j <= i; j++) {
            float decay = m[j];
            m[j] = decay * r->dots[i * Q + j];
            double k = (double)dm[j] * (double)m[j];
            dm[j] *= decay;
            sum += k;
            r->dlam[j] -= k;
        }
        r->dlam[i] += sum;
        for (int64_t j = i + 1; j < rows; j++) {
            m[j] = dm[j] = 0.0f;
        }
    }
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static void turn(float *to, const float *from, int64_t ld, int64_t n, int64_t p) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < p; c++) {
            to[c * n + i] = from[i * ld + c];
        }
    }
}

/* What goes through the state before the block: into dC, dlam and the inner product with dS. */
static void through_state(const grad_run *run, const head_at *w, part_room *r) {
    const int64_t n = run->n;
    const int64_t p = run->p;
    const int64_t rows = run->rows;
    double inner = 0.0;
    if (!w->s) {
        return;
    }
    turn(r->st, w->s, w->lds, n, p);
    product(run, r->cs, p, w->c, w->ldc, 1, w->s, w->lds, rows, p, n, 0);
    product(run, r->dc, n, r->edy, p, 1, r->st, n, rows, n, p, 1);
    for (int64_t i = 0; i < rows; i++) {
        r->dlam[i] += dot(r->edy + i * p, r->cs + i * p, p);
    }
    for (int64_t i = 0; i < n; i++) {
        inner += dot(w->ds + i * w->ldds, w->s + i * w->lds, p);
    }
    r->dlam[rows - 1] += (double)r->decay[rows - 1] * inner;
}

/* dX, and what the rows give the state after the block: into dB and dlam. Then dS goes before the block. */
static void through_rows(const grad_run *run, const head_at *w, part_room *r) {
    const int64_t n = run->n;
    const int64_t p = run->p;
    const int64_t rows = run->rows;
    double all = 0.0;
    product(run, r->dx, p, r->m, 1, Q, w->dy, w->lddy, rows, p, rows, 0);
    product(run, r->bds, p, w->b, w->ldb, 1, w->ds, w->ldds, rows, p, n, 0);
    turn(r->dst, w->ds, w->ldds, n, p);
    product(run, r->db, n, r->tx, p, 1, r->dst, n, rows, n, p, 1);
    product(run, r->dc, n, r->dm, Q, 1, w->b, w->ldb, rows, n, rows, 1);
    product(run, r->db, n, r->dm, 1, Q, w->c, w->ldc, rows, n, rows, 1);
    for (int64_t j = 0; j < rows; j++) {
        double rho = dot(r->tx + j * p, r->bds + j * p, p);
        r->dlam[j] -= rho;
        all += rho;
        for (int64_t c = 0; c < p; c++) {
            r->dx[j * p + c] += r->tail[j] * r->bds[j * p + c];
        }
    }
    r->dlam[rows - 1] += all;
    const float left = r->decay[rows - 1];
    for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < p; c++) {
            w->ds[i * w->ldds + c] *= left;
        }
    }
    product(run, w->ds, w->ldds, w->c, 1, w->ldc, r->edy, p, n, p, rows, 1);
}

/* From dX and dlam to what was asked for. */
static void leave(const grad_run *run, const head_at *w, part_room *r) {
    const mbk_ssd_grad_args *s = run->s;
    const int64_t p = run->p;
    const int64_t wide = s->d.buf && s->d.cols != run->heads;
    const float *d = s->d.buf ? at(&s->d) + (wide ? w->h * p : w->h) : NULL;
    float *dd = s->dd.buf ? at(&s->dd) + (wide ? w->h * p : w->h) : NULL;
    double nu = 0.0;
    double da = 0.0;
    double dskip = 0.0;
    double dbias = 0.0;
    for (int64_t j = run->rows - 1; j >= 0; j--) {
        const float *x = w->x + j * w->ldx;
        const float *dy = w->dy + j * w->lddy;
        float *dx = at(&s->dx) + (run->t0 + j) * s->dx.ld + w->h * p;
        nu += r->dlam[j];
        double step = dot(r->dx + j * p, x, p) + (double)w->a * nu;
        da += (double)r->delta[j] * nu;
        dskip += d ? dot(dy, x, p) : 0.0;
        const int limited = r->delta[j] <= s->dt_min || r->delta[j] >= s->dt_max;
        const double slope = limited ? 0.0 : r->q[j] > 20.0f ? 1.0 : sigmoid((double)r->q[j]);
        at(&s->ddt)[(run->t0 + j) * s->ddt.ld + w->h] = (float)(step * slope);
        dbias += step * slope;
        for (int64_t c = 0; c < p; c++) {
            if (wide && dd) {
                dd[c] += dy[c] * x[c];
            }
            float skip = d ? d[wide ? c : 0] * dy[c] : 0.0f;
            dx[c] = r->delta[j] * r->dx[j * p + c] + skip;
        }
    }
    at(&s->da)[w->h] += (float)da;
    if (dd && !wide) {
        dd[0] += (float)dskip;
    }
    if (s->dbias.buf) {
        at(&s->dbias)[w->h] += (float)dbias;
    }
}

static void part_range(void *arg, int64_t from, int64_t to) {
    const grad_run *run = arg;
    const int64_t each = run->heads / run->groups;
    for (int64_t u = run->u0 + from; u < run->u0 + to; u++) {
        part_room r;
        part_of(run, u, &r);
        const int64_t g = u / run->parts;
        const int64_t h0 = u % run->parts * run->part_heads;
        const int64_t h1 = h0 + run->part_heads < each ? h0 + run->part_heads : each;
        memset(r.db, 0, (size_t)(run->rows * run->n) * sizeof(float));
        memset(r.dc, 0, (size_t)(run->rows * run->n) * sizeof(float));
        for (int64_t h = g * each + h0; h < g * each + h1; h++) {
            const head_at w = head_of(run, h);
            if (h == g * each + h0) {
                ssd_dots_job dots = {r.dots, w.b, w.c, w.ldb, w.ldc, 0, run->rows, run->n};
                run->leaf->ssd_dots(&dots);
            }
            enter(run, &w, &r);
            product(run, r.dm, Q, w.dy, w.lddy, 1, r.xt, Q, run->rows, run->rows, run->p, 0);
            pairs(run, &r);
            through_state(run, &w, &r);
            through_rows(run, &w, &r);
            leave(run, &w, &r);
        }
    }
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

/* The parts of the units [u0, u1), in order, into the gradients of B and C. */
static void add_parts(const grad_run *run, int64_t u1) {
    const mbk_ssd_grad_args *s = run->s;
    for (int64_t u = run->u0; u < u1; u++) {
        part_room r;
        part_of(run, u, &r);
        const int64_t at_col = u / run->parts * run->n;
        for (int64_t i = 0; i < run->rows; i++) {
            float *db = at(&s->db) + (run->t0 + i) * s->db.ld + at_col;
            float *dc = at(&s->dc) + (run->t0 + i) * s->dc.ld + at_col;
            for (int64_t n = 0; n < run->n; n++) {
                db[n] = (u % run->parts ? db[n] : 0.0f) + r.db[i * run->n + n];
                dc[n] = (u % run->parts ? dc[n] : 0.0f) + r.dc[i * run->n + n];
            }
        }
    }
}

static void grad_block(cpu_ctx *cpu, grad_run *run) {
    const int64_t units = run->groups * run->parts;
    const int64_t fit = ROOM / ((room_floats(run->n, run->p) + 15) / 16 * 16);
    const int64_t work = run->rows * run->p * (5 * run->n + 4 * Q) / 16;
    for (run->u0 = 0; run->u0 < units;) {
        const int64_t u1 = units - run->u0 < fit ? units : run->u0 + fit;
        mbk_ranges(cpu, u1 - run->u0, 1, (u1 - run->u0) * run->part_heads * work, part_range, run);
        add_parts(run, u1);
        run->u0 = u1;
    }
}

/* Blocks of a sequence of `rows` rows from row `at` of its block on. */
static int64_t blocks_of(int64_t at_row, int64_t rows) {
    return rows > 0 ? (at_row + rows - 1) / Q - at_row / Q + 1 : 0;
}

static mbk_status ssd_grad(mbk_ctx *ctx, const mbk_ssd_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->x.rows;
    const int64_t heads = s->dt.cols;
    const int64_t n = s->b.cols / s->groups;
    const int64_t p = s->x.cols / heads;
    const int64_t each = heads / s->groups;
    if (rows <= 0) {
        return MBS_OK;
    }
    if (room_floats(n, p) + 15 > ROOM) {
        return MBS_ERR_MEMORY;
    }
    grad_run run = {.leaf = &cpu->leaf, .s = s, .scratch = cpu->scratch, .heads = heads, .groups = s->groups, .n = n};
    run.p = p;
    int64_t wanted = s->groups < PARTS_MAX ? PARTS_MAX / s->groups : 1;
    wanted = wanted < each ? wanted : each;
    run.part_heads = (each + wanted - 1) / wanted;
    run.parts = (each + run.part_heads - 1) / run.part_heads;
    const pieces cut = pieces_of(s->starts, rows);
    int64_t saved = 0;
    for (int64_t i = 0; i <= cut.n; i++) {
        int64_t blocks = blocks_of(i ? 0 : s->position % Q, piece_to(&cut, i, rows) - piece_from(&cut, i));
        saved += i && blocks ? blocks - 1 : blocks;
    }
    for (int64_t i = cut.n; i >= 0; i--) {
        const int64_t from = piece_from(&cut, i);
        const int64_t before = i ? 0 : s->position % Q;
        for (int64_t end = piece_to(&cut, i, rows); end > from; end = run.t0) {
            const int64_t at_row = (before + end - 1 - from) / Q * Q - before; /* of the sequence, where the block is */
            run.t0 = at_row > 0 ? from + at_row : from;
            run.rows = end - run.t0;
            run.saved = i && run.t0 == from ? -1 : --saved;
            grad_block(cpu, &run);
        }
        if (i > 0) {
            clear_state(at(&s->dstate), s->dstate.ld, s->dstate.rows, 0, p);
        }
    }
    return MBS_OK;
}

/* --- gates -------------------------------------------------------------------------------------------------------- */

static float silu_slope(float z) {
    double half = sigmoid((double)z);
    return (float)(half * (1.0 + (double)z * (1.0 - half)));
}

static mbk_status gate_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z) {
    (void)ctx;
    assert(dx.rows == x.rows && dx.cols == x.cols && dz.rows == x.rows && dz.cols == x.cols);
    for (int64_t r = 0; r < x.rows; r++) {
        for (int64_t j = 0; j < x.cols; j++) {
            const float g = at(&dy)[r * dy.ld + j];
            const float gate = at(&z)[r * z.ld + j];
            const float value = at(&x)[r * x.ld + j];
            at(&dx)[r * dx.ld + j] = g * ref_silu(gate);
            at(&dz)[r * dz.ld + j] = g * value * silu_slope(gate);
        }
    }
    return MBS_OK;
}

typedef struct gated_grad_run {
    const mbk_leaf *leaf;
    float *dx, *dz, *dw;
    const float *dy, *x, *z, *w;
    float *scale;
    int64_t lddx, lddz, lddy, ldx, ldz, rows, cols, group;
    float eps;
    int32_t norm_first;
} gated_grad_run;

/* Columns at a time: what a row needs between its passes. */
#define GATE_COLS 512

/* silu(z) and its slope for 1 <= n <= GATE_COLS numbers, from one exponential each. */
static void gate_of(const gated_grad_run *run, const float *z, int64_t n, float *gate, float *slope) {
    float e[GATE_COLS];
    int64_t k = 0;
    do {
        e[k] = -z[k];
    } while (++k < n);
    run->leaf->exp(e, e, n);
    for (int64_t j = 0; j < n; j++) {
        const float half = 1.0f / (1.0f + e[j]);
        gate[j] = z[j] * half;
        slope[j] = half * (1.0f + z[j] * (1.0f - half));
    }
}

static int64_t cols_from(int64_t at_col, int64_t group) {
    return group - at_col < GATE_COLS ? group - at_col : GATE_COLS;
}

/* Columns of one group in one row, `c0` floats from the rows' beginning. */
static void gated_group(const gated_grad_run *run, int64_t row, int64_t c0) {
    const float *x = run->x + row * run->ldx + c0;
    const float *z = run->z + row * run->ldz + c0;
    const float *dy = run->dy + row * run->lddy + c0;
    const float *w = run->w + c0;
    float *dx = run->dx + row * run->lddx + c0;
    float *dz = run->dz + row * run->lddz + c0;
    float gate[GATE_COLS];
    float slope[GATE_COLS];
    double squares = 0.0;
    double inner = 0.0;
    for (int64_t a = 0, n; a < run->group; a += n) {
        n = cols_from(a, run->group);
        gate_of(run, z + a, n, gate, slope);
        for (int64_t j = 0; j < n; j++) {
            const float v = run->norm_first ? x[a + j] : x[a + j] * gate[j];
            const float dn = run->norm_first ? dy[a + j] * w[a + j] * gate[j] : dy[a + j] * w[a + j];
            squares += (double)v * (double)v;
            inner += (double)dn * (double)v;
        }
    }
    const double mean = squares / (double)run->group + (double)run->eps;
    const float r = (float)(1.0 / sqrt(mean));
    const float back = (float)(inner / (double)run->group / mean / sqrt(mean));
    for (int64_t a = 0, n; a < run->group; a += n) {
        n = cols_from(a, run->group);
        gate_of(run, z + a, n, gate, slope);
        for (int64_t j = 0; j < n; j++) {
            const float g = dy[a + j];
            const float value = x[a + j];
            if (run->norm_first) {
                dx[a + j] = r * g * w[a + j] * gate[j] - value * back;
                dz[a + j] = g * value * r * w[a + j] * slope[j];
            } else {
                const float dv = r * g * w[a + j] - value * gate[j] * back;
                dx[a + j] = dv * gate[j];
                dz[a + j] = dv * value * slope[j];
            }
        }
    }
}

static void gated_range(void *arg, int64_t from, int64_t to) {
    const gated_grad_run *run = arg;
    for (int64_t row = from; row < to; row++) {
        for (int64_t c0 = 0; c0 < run->cols; c0 += run->group) {
            gated_group(run, row, c0);
        }
    }
}

/* 1 / sqrt(mean(v^2) + eps) of every group of the rows, for the gradient of the weights. */
static void scale_range(void *arg, int64_t from, int64_t to) {
    const gated_grad_run *run = arg;
    float gate[GATE_COLS];
    float slope[GATE_COLS];
    for (int64_t row = from; row < to; row++) {
        for (int64_t c0 = 0; c0 < run->cols; c0 += run->group) {
            double squares = 0.0;
            for (int64_t a = c0, n; a < c0 + run->group; a += n) {
                n = cols_from(a - c0, run->group);
                gate_of(run, run->z + row * run->ldz + a, n, gate, slope);
                for (int64_t j = 0; j < n; j++) {
                    const float x = run->x[row * run->ldx + a + j];
                    const double v = (double)(run->norm_first ? x : x * gate[j]);
                    squares += v * v;
                }
            }
            run->scale[row * (run->cols / run->group) + c0 / run->group] =
                (float)(1.0 / sqrt(squares / (double)run->group + (double)run->eps));
        }
    }
}

/* dw of the columns [64 from, 64 to): one owner, rows in order. */
static void weight_range(void *arg, int64_t from, int64_t to) {
    const gated_grad_run *run = arg;
    for (int64_t c0 = from * 64; c0 < to * 64 && c0 < run->cols; c0 += 64) {
        const int64_t n = run->cols - c0 < 64 ? run->cols - c0 : 64;
        double sum[64] = {0};
        float gate[GATE_COLS];
        float slope[GATE_COLS];
        for (int64_t row = 0; row < run->rows; row++) {
            const float *scale = run->scale + row * (run->cols / run->group);
            gate_of(run, run->z + row * run->ldz + c0, n, gate, slope);
            for (int64_t j = 0; j < n; j++) {
                const float v = run->x[row * run->ldx + c0 + j] * gate[j]; /* the gate is a factor on either side */
                sum[j] += (double)(run->dy[row * run->lddy + c0 + j] * v * scale[(c0 + j) / run->group]);
            }
        }
        for (int64_t j = 0; j < n; j++) {
            run->dw[c0 + j] += (float)sum[j];
        }
    }
}

static mbk_status rmsnorm_gated_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat z,
                                     mbk_mat w, float eps, int64_t group, int32_t norm_first) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(dx.rows == x.rows && dx.cols == x.cols && dz.rows == x.rows && dz.cols == x.cols && dy.cols == x.cols);
    assert(group >= 1 && x.cols % group == 0 && (!dw.buf || dw.cols == x.cols) && w.cols == x.cols);
    const int64_t groups = x.cols / group;
    const int64_t most = (int64_t)(cpu->scratch_size / sizeof(float)) / groups;
    for (int64_t t = 0; t < x.rows; t += most) {
        const int64_t rows = x.rows - t < most ? x.rows - t : most;
        gated_grad_run run = {
            .leaf = &cpu->leaf,
            .dx = at(&dx) + t * dx.ld,
            .dz = at(&dz) + t * dz.ld,
            .dw = at(&dw),
            .dy = at(&dy) + t * dy.ld,
            .x = at(&x) + t * x.ld,
            .z = at(&z) + t * z.ld,
            .w = at(&w),
            .scale = cpu->scratch,
            .lddx = dx.ld,
            .lddz = dz.ld,
            .lddy = dy.ld,
            .ldx = x.ld,
            .ldz = z.ld,
            .rows = rows,
            .cols = x.cols,
            .group = group,
            .eps = eps,
            .norm_first = norm_first,
        };
        if (dw.buf) { /* first: the other gradients may take the place of what it reads */
            mbk_ranges(cpu, rows, 8, rows * x.cols, scale_range, &run);
            mbk_ranges(cpu, (x.cols + 63) / 64, 1, rows * x.cols, weight_range, &run);
        }
        mbk_ranges(cpu, rows, 8, rows * x.cols * 2, gated_range, &run);
    }
    return MBS_OK;
}

void mbk_ssd_grad_ops(mbk_ops *ops) {
    ops->ssd_grad = ssd_grad;
    ops->gate_grad = gate_grad;
    ops->rmsnorm_gated_grad = rmsnorm_gated_grad;
}
