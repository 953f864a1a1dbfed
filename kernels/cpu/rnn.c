/* rnn.c - recurrent cells. Within a sequence a step waits for the one before; sequences go side by side, as the rows of
 * one product a step, which gives each the bits that it would have alone. */
#include "cpu/cpu.h"
#include "cpu/pieces.h"

#define STRIP 128

/* A sequence of the call. Those of a group stand in order of falling length, so that those which still run come first.
 */
typedef struct lane {
    int64_t t0, rows, piece;
} lane;

typedef struct rnn_run {
    mbk_ctx *ctx;
    const mbk_leaf *leaf;
    mbk_cell cell;
    int64_t h, gates; /* H, gates H */
    lane lane[MBK_RNN_LANES];
    int64_t lanes, step;
    const mbk_mat *work;
    /* forward */
    const mbk_rnn_args *f;
    float *y, *saved;
    const float *x;
    /* back */
    const mbk_rnn_grad_args *b;
    float *dx, *dh;
    const float *dy;
} rnn_run;

/* Parts of a lane's row of `work`: h, c (LSTM), the gates; back: their gradients. */
static float *work_row(const rnn_run *r, int64_t i) {
    return at(r->work) + i * r->work->ld;
}
static int64_t gates_at(const rnn_run *r) {
    return r->cell == MBK_LSTM ? 2 * r->h : r->h;
}
static mbk_mat work_cols(const rnn_run *r, int64_t rows, int64_t from, int64_t cols) {
    return (mbk_mat){r->work->buf, r->work->off + from, rows, cols, r->work->ld};
}

/* Sequences [first, ...) of the call into lanes; returns the first that found no place. */
static int64_t take_lanes(rnn_run *r, const pieces *p, int64_t rows, int64_t first) {
    r->lanes = 0;
    for (; first <= p->n && r->lanes < MBK_RNN_LANES; first++) {
        const int64_t t0 = piece_from(p, first);
        const lane l = {t0, piece_to(p, first, rows) - t0, first};
        int64_t at_ = r->lanes;
        if (l.rows <= 0) {
            continue;
        }
        for (; at_ > 0 && r->lane[at_ - 1].rows < l.rows; at_--) {
            r->lane[at_] = r->lane[at_ - 1];
        }
        r->lane[at_] = l;
        r->lanes++;
    }
    return first;
}

static int64_t running(const rnn_run *r, int64_t step) {
    int64_t n = 0;
    while (n < r->lanes && r->lane[n].rows > step) {
        n++;
    }
    return n;
}

/* v becomes sigmoid(v). */
static void sigmoid(const rnn_run *r, float *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = -v[i];
    }
    r->leaf->exp(v, v, n);
    for (int64_t i = 0; i < n; i++) {
        v[i] = 1.0f / (1.0f + v[i]);
    }
}

/* v becomes tanh(v), by the exponential of -2 |v|, which cannot overflow. */
static void tangent(const rnn_run *r, float *v, int64_t n) {
    float e[STRIP] = {0};
    for (int64_t i = 0; i < n; i++) {
        e[i] = v[i] < 0.0f ? 2.0f * v[i] : -2.0f * v[i];
    }
    r->leaf->exp(e, e, n);
    for (int64_t i = 0; i < n; i++) {
        const float size = (1.0f - e[i]) / (1.0f + e[i]);
        v[i] = v[i] < 0.0f ? -size : size;
    }
}

/* --- forward ------------------------------------------------------------------------------------------------------ */

/* Columns [j, j + n) of row t. `w` is the lane's row of work, `s` the row of what is saved or NULL. */
static void lstm_cell(const rnn_run *r, const float *x, float *w, float *y, float *s, int64_t j, int64_t n) {
    const int64_t h = r->h;
    float g[4][STRIP];
    float c[STRIP];
    for (int k = 0; k < 4; k++) {
        for (int64_t i = 0; i < n; i++) {
            g[k][i] = x[k * h + j + i] + w[(2 + k) * h + j + i];
        }
        (k == 2 ? tangent : sigmoid)(r, g[k], n);
    }
    if (s) {
        memcpy(s + j, w + j, (size_t)n * sizeof *s);
        for (int k = 0; k < 4; k++) {
            memcpy(s + (1 + k) * h + j, g[k], (size_t)n * sizeof *s);
        }
        memcpy(s + 5 * h + j, w + h + j, (size_t)n * sizeof *s);
    }
    for (int64_t i = 0; i < n; i++) {
        c[i] = w[h + j + i] = g[1][i] * w[h + j + i] + g[0][i] * g[2][i];
    }
    tangent(r, c, n);
    for (int64_t i = 0; i < n; i++) {
        y[j + i] = w[j + i] = g[3][i] * c[i];
    }
}

static void gru_cell(const rnn_run *r, const float *x, float *w, float *y, float *s, int64_t j, int64_t n) {
    const int64_t h = r->h;
    float g[3][STRIP];
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < n; i++) {
            g[k][i] = x[k * h + j + i] + w[(1 + k) * h + j + i];
        }
        sigmoid(r, g[k], n);
    }
    for (int64_t i = 0; i < n; i++) {
        g[2][i] = x[2 * h + j + i] + g[0][i] * w[3 * h + j + i];
    }
    tangent(r, g[2], n);
    if (s) {
        memcpy(s + j, w + j, (size_t)n * sizeof *s);
        for (int k = 0; k < 3; k++) {
            memcpy(s + (1 + k) * h + j, g[k], (size_t)n * sizeof *s);
        }
        memcpy(s + 4 * h + j, w + 3 * h + j, (size_t)n * sizeof *s);
    }
    for (int64_t i = 0; i < n; i++) {
        y[j + i] = w[j + i] = (1.0f - g[1][i]) * g[2][i] + g[1][i] * w[j + i];
    }
}

static void cell_range(void *arg, int64_t from, int64_t to) {
    const rnn_run *r = arg;
    for (int64_t i = from; i < to; i++) {
        const int64_t t = r->lane[i].t0 + r->step;
        const float *x = r->x + t * r->f->x.ld;
        float *y = r->y + t * r->f->y.ld;
        float *s = r->saved ? r->saved + t * r->f->saved.ld : NULL;
        for (int64_t j = 0; j < r->h; j += STRIP) {
            const int64_t n = r->h - j < STRIP ? r->h - j : STRIP;
            (r->cell == MBK_LSTM ? lstm_cell : gru_cell)(r, x, work_row(r, i), y, s, j, n);
        }
    }
}

/* States into the lanes (`in`), or the last sequence's back. */
static void move_state(const rnn_run *r, const mbk_mat *state, int64_t piece, int in) {
    for (int64_t i = 0; i < r->lanes; i++) {
        float *w = work_row(r, i);
        for (int64_t k = 0; k < state->rows; k++) {
            float *kept = at(state) + k * state->ld;
            if (in && r->lane[i].piece == piece) {
                memcpy(w + k * r->h, kept, (size_t)r->h * sizeof *w);
            } else if (in) {
                memset(w + k * r->h, 0, (size_t)r->h * sizeof *w);
            } else if (r->lane[i].piece == piece) {
                memcpy(kept, w + k * r->h, (size_t)r->h * sizeof *w);
            }
        }
    }
}

static mbk_status rnn(mbk_ctx *ctx, const mbk_rnn_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->y.rows;
    const int64_t h = s->y.cols;
    assert(s->x.rows == rows && s->x.cols == MBK_RNN_GATES(s->cell) * h && s->state.cols == h);
    assert(s->state.rows == MBK_RNN_STATES(s->cell) && s->work.rows == MBK_RNN_LANES);
    assert(s->work.cols == MBK_RNN_WORK(s->cell) * h && s->w->n_in == h);
    assert(!s->saved.buf || (s->saved.rows == rows && s->saved.cols == MBK_RNN_SAVED(s->cell) * h));
    const pieces p = pieces_of(s->starts, rows);
    rnn_run r = {.ctx = ctx,
                 .leaf = &cpu->leaf,
                 .cell = s->cell,
                 .h = h,
                 .gates = MBK_RNN_GATES(s->cell) * h,
                 .work = &s->work,
                 .f = s,
                 .y = at(&s->y),
                 .saved = at(&s->saved),
                 .x = at(&s->x)};
    for (int64_t next = 0; next <= p.n;) {
        next = take_lanes(&r, &p, rows, next);
        move_state(&r, &s->state, 0, 1);
        for (r.step = 0; r.lanes > 0 && r.step < r.lane[0].rows; r.step++) {
            const int64_t n = running(&r, r.step);
            mbk_status st =
                cpu->table.gemm(ctx, work_cols(&r, n, gates_at(&r), r.gates), work_cols(&r, n, 0, h), s->w, s->bias, 0);
            if (st < 0) {
                return st;
            }
            mbk_ranges(cpu, n, 1, n * h * 4, cell_range, &r);
        }
        move_state(&r, &s->state, p.n, 0);
    }
    return MBS_OK;
}

/* --- back --------------------------------------------------------------------------------------------------------- */

/* `w` has the gradients of h and c behind row t; they become those before it, but for what the product gives. */
static void lstm_back(const rnn_run *r, const float *s, float *w, const float *dy, float *dx, float *dh, int64_t j,
                      int64_t n) {
    const int64_t h = r->h;
    float c[STRIP];
    for (int64_t i = 0; i < n; i++) {
        c[i] = s[2 * h + j + i] * s[5 * h + j + i] + s[h + j + i] * s[3 * h + j + i];
    }
    tangent(r, c, n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = j + i;
        const float in = s[h + k];
        const float forget = s[2 * h + k];
        const float g = s[3 * h + k];
        const float out = s[4 * h + k];
        const float d = w[k] + dy[k];
        const float dc = w[h + k] + d * out * (1.0f - c[i] * c[i]);
        float *gate = w + 2 * h + k;
        gate[0] = dc * g * in * (1.0f - in);
        gate[h] = dc * s[5 * h + k] * forget * (1.0f - forget);
        gate[2 * h] = dc * in * (1.0f - g * g);
        gate[3 * h] = d * c[i] * out * (1.0f - out);
        w[h + k] = dc * forget;
        for (int64_t q = 0; q < 4; q++) {
            dx[q * h + k] = dh[q * h + k] = gate[q * h];
        }
    }
}

static void gru_back(const rnn_run *r, const float *s, float *w, const float *dy, float *dx, float *dh, int64_t j,
                     int64_t n) {
    const int64_t h = r->h;
    for (int64_t k = j; k < j + n; k++) {
        const float reset = s[h + k];
        const float keep = s[2 * h + k];
        const float fresh = s[3 * h + k];
        const float d = w[k] + dy[k];
        const float dn = d * (1.0f - keep) * (1.0f - fresh * fresh);
        const float dz = d * (s[k] - fresh) * keep * (1.0f - keep);
        const float dr = dn * s[4 * h + k] * reset * (1.0f - reset);
        float *gate = w + h + k;
        gate[0] = dx[k] = dh[k] = dr;
        gate[h] = dx[h + k] = dh[h + k] = dz;
        dx[2 * h + k] = dn;
        gate[2 * h] = dh[2 * h + k] = dn * reset;
        w[k] = d * keep;
    }
}

static void back_range(void *arg, int64_t from, int64_t to) {
    const rnn_run *r = arg;
    for (int64_t i = from; i < to; i++) {
        const int64_t t = r->lane[i].t0 + r->step;
        const float *s = r->saved + t * r->b->saved.ld;
        for (int64_t j = 0; j < r->h; j += STRIP) {
            const int64_t n = r->h - j < STRIP ? r->h - j : STRIP;
            (r->cell == MBK_LSTM ? lstm_back : gru_back)(r, s, work_row(r, i), r->dy + t * r->b->dy.ld,
                                                         r->dx + t * r->b->dx.ld, r->dh + t * r->b->dh.ld, j, n);
        }
    }
}

static mbk_status rnn_grad(mbk_ctx *ctx, const mbk_rnn_grad_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t rows = s->dy.rows;
    const int64_t h = s->dy.cols;
    assert(s->dx.rows == rows && s->dx.cols == MBK_RNN_GATES(s->cell) * h && s->dh.rows == rows);
    assert(s->dh.cols == s->dx.cols && s->dstate.rows == MBK_RNN_STATES(s->cell) && s->saved.rows == rows);
    assert(s->saved.cols == MBK_RNN_SAVED(s->cell) * h && s->work.rows == MBK_RNN_LANES);
    const pieces p = pieces_of(s->starts, rows);
    rnn_run r = {.ctx = ctx,
                 .leaf = &cpu->leaf,
                 .cell = s->cell,
                 .h = h,
                 .gates = MBK_RNN_GATES(s->cell) * h,
                 .work = &s->work,
                 .b = s,
                 .dy = at(&s->dy),
                 .saved = at(&s->saved),
                 .dx = at(&s->dx),
                 .dh = at(&s->dh)};
    for (int64_t behind = p.n + 1; behind > 0;) {
        const pieces part = {p.start, behind - 1};
        const int64_t first = behind > MBK_RNN_LANES ? behind - MBK_RNN_LANES : 0;
        (void)take_lanes(&r, &part, behind - 1 < p.n ? p.start[behind - 1] : rows, first);
        behind = first;
        move_state(&r, &s->dstate, p.n, 1);
        for (r.step = r.lanes > 0 ? r.lane[0].rows - 1 : -1; r.step >= 0; r.step--) {
            const int64_t n = running(&r, r.step);
            mbk_ranges(cpu, n, 1, n * h * 4, back_range, &r);
            mbk_status st = cpu->table.gemm(ctx, work_cols(&r, n, 0, h), work_cols(&r, n, gates_at(&r), r.gates),
                                            s->w_t, (mbk_mat){0}, s->cell == MBK_GRU);
            if (st < 0) {
                return st;
            }
        }
        if (first == 0) {
            for (int64_t k = 0; p.n > 0 && piece_to(&p, 0, rows) == 0 && k < s->dstate.rows; k++) {
                memset(at(&s->dstate) + k * s->dstate.ld, 0, (size_t)h * sizeof(float));
            }
            move_state(&r, &s->dstate, 0, 0);
        }
    }
    return MBS_OK;
}

void mbk_rnn_ops(mbk_ops *ops) {
    ops->rnn = rnn;
    ops->rnn_grad = rnn_grad;
}
