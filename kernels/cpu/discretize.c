/* discretize.c - state spaces in continuous time become steps, and gradients go the way back. All in double: a few
 * numbers for each channel, next to nothing beside the rows. */
#include <complex.h>
#include <math.h>

#include "cpu/cpu.h"

typedef double _Complex cplx;

static cplx get(const mbk_mat *m, int64_t n, int64_t c) {
    const float *p = at(m);
    return (double)p[2 * n * m->ld + c] + (double)p[(2 * n + 1) * m->ld + c] * I;
}
static void put(const mbk_mat *m, int64_t n, int64_t c, cplx x) {
    float *p = at(m);
    p[2 * n * m->ld + c] = (float)creal(x);
    p[(2 * n + 1) * m->ld + c] = (float)cimag(x);
}
static void grow(const mbk_mat *m, int64_t n, int64_t c, cplx x) {
    float *p = at(m);
    p[2 * n * m->ld + c] += (float)creal(x);
    p[(2 * n + 1) * m->ld + c] += (float)cimag(x);
}
static double real_at(const mbk_mat *m, int64_t row, int64_t c) {
    return (double)at(m)[row * m->ld + c];
}

/* e^x - 1, exact for small x: e^(a + bi) - 1 = expm1(a) cos b - 2 sin^2(b / 2) + i e^a sin b. */
static cplx expm1_complex(cplx x) {
    const double half = sin(cimag(x) / 2);
    return expm1(creal(x)) * cos(cimag(x)) - 2 * half * half + exp(creal(x)) * sin(cimag(x)) * I;
}

/* One mode without P: the transition less one, what the input goes in with for B = 1, and their derivatives. */
typedef struct mode {
    cplx step, input;
    cplx step_x;   /* d step / d (dt A) */
    cplx input_a;  /* d input / d A */
    cplx input_dt; /* d input / d dt */
} mode;

static mode mode_of(mbk_rule rule, double dt, cplx a) {
    const cplx x = dt * a;
    if (rule == MBK_BILINEAR) {
        const cplx q = 1 / (1 - x / 2);
        return (mode){x * q, dt * q, q * q, dt * dt / 2 * q * q, q * q};
    }
    const cplx grown = expm1_complex(x);
    if (cabs(x) < 1e-3) { /* series: the quotients lose their digits */
        const cplx input = dt * (1 + x / 2 + x * x / 6 + x * x * x / 24);
        return (mode){grown, input, 1 + grown, dt * dt * (0.5 + x / 3 + x * x / 8 + x * x * x / 30), 1 + grown};
    }
    const cplx input = grown / a;
    return (mode){grown, input, 1 + grown, (dt * (1 + grown) - input) / a, 1 + grown};
}

typedef struct run {
    const mbk_discretize_args *s;
    const mbk_discretize_grad_args *back; /* or NULL */
    int64_t n;
} run;

static cplx rate_of(const mbk_discretize_args *s, int64_t n, int64_t c) {
    return -exp(real_at(&s->a_log, n, c)) + real_at(&s->a_im, n, c) * I;
}
static cplx b_of(const mbk_discretize_args *s, int64_t n, int64_t c) {
    return s->in_b.buf ? get(&s->in_b, n, c) : 1;
}

static void diagonal(const run *r, int64_t c) {
    const mbk_discretize_args *s = r->s;
    const double dt = exp(real_at(&s->log_dt, 0, c));
    for (int64_t n = 0; n < r->n; n++) {
        const mode k = mode_of(s->rule, dt, rate_of(s, n, c));
        put(&s->a, n, c, k.step);
        put(&s->b, n, c, b_of(s, n, c) * k.input);
        put(&s->w, n, c, 2 * get(&s->in_c, n, c));
    }
}

/* The gradient of a mode's rate, to those of its two numbers. */
static void put_rate(const run *r, int64_t n, int64_t c, cplx rate, cplx grad) {
    const mbk_discretize_grad_args *g = r->back;
    at(&g->da_log)[n * g->da_log.ld + c] += (float)(creal(rate) * creal(grad));
    at(&g->da_im)[n * g->da_im.ld + c] += (float)cimag(grad);
}

static void diagonal_back(const run *r, int64_t c) {
    const mbk_discretize_args *s = r->s;
    const mbk_discretize_grad_args *g = r->back;
    const double dt = exp(real_at(&s->log_dt, 0, c));
    double ddt = 0.0;
    for (int64_t n = 0; n < r->n; n++) {
        const cplx rate = rate_of(s, n, c);
        const mode k = mode_of(s->rule, dt, rate);
        const cplx da = get(&g->da, n, c);
        const cplx db = get(&g->db, n, c);
        const cplx dinput = conj(b_of(s, n, c)) * db;
        put_rate(r, n, c, rate, dt * conj(k.step_x) * da + conj(k.input_a) * dinput);
        ddt += creal(conj(rate * k.step_x) * da + conj(k.input_dt) * dinput);
        if (g->din_b.buf) {
            grow(&g->din_b, n, c, conj(k.input) * db);
        }
        grow(&g->din_c, n, c, 2 * get(&g->dw, n, c));
    }
    at(&g->dlog_dt)[c] += (float)(dt * ddt);
}

/* The sums of Woodbury's identity for channel c: e = 2 / dt, r = 1 / (1 + 2 Re sum |P|^2 D), eta = 4 Re sum conj(P) D
 * B.
 */
typedef struct joint {
    double e, r, eta;
} joint;

static joint joint_of(const run *run_, int64_t c) {
    const mbk_discretize_args *s = run_->s;
    joint j = {.e = 2 * exp(-real_at(&s->log_dt, 0, c))};
    double kappa = 0.0;
    for (int64_t n = 0; n < run_->n; n++) {
        const cplx d = 1 / (j.e - rate_of(s, n, c));
        const cplx p = get(&s->p, n, c);
        kappa += 2 * creal(conj(p) * p * d);
        j.eta += 4 * creal(conj(p) * d * b_of(s, n, c));
    }
    j.r = 1 / (1 + kappa);
    return j;
}

static void with_p(const run *r, int64_t c) {
    const mbk_discretize_args *s = r->s;
    const joint j = joint_of(r, c);
    for (int64_t n = 0; n < r->n; n++) {
        const cplx rate = rate_of(s, n, c);
        const cplx d = 1 / (j.e - rate);
        const cplx p = get(&s->p, n, c);
        put(&s->a, n, c, 2 * rate * d);
        put(&s->f, n, c, d * p);
        put(&s->g, n, c, 4 * j.r * j.e * conj(p) * d);
        put(&s->b, n, c, 2 * d * b_of(s, n, c) - d * p * j.r * j.eta);
        put(&s->w, n, c, 2 * get(&s->in_c, n, c));
    }
}

/* Gradients of e, r and eta as far as the numbers of each mode show them. */
static void joint_back(const run *r, int64_t c, const joint *j, double *de, double *dr, double *deta) {
    const mbk_discretize_args *s = r->s;
    double drho = 0.0; /* of r eta */
    *de = *dr = 0.0;
    for (int64_t n = 0; n < r->n; n++) {
        const cplx d = 1 / (j->e - rate_of(s, n, c));
        const cplx p = get(&s->p, n, c);
        const cplx dg = get(&r->back->dg, n, c);
        *dr += creal(conj(4 * j->e * conj(p) * d) * dg);
        *de += creal(conj(4 * j->r * conj(p) * d) * dg);
        drho -= creal(conj(d * p) * get(&r->back->db, n, c));
    }
    *dr += j->eta * drho;
    *deta = j->r * drho;
}

static void with_p_back(const run *r, int64_t c) {
    const mbk_discretize_args *s = r->s;
    const mbk_discretize_grad_args *g = r->back;
    const joint j = joint_of(r, c);
    double de;
    double dr;
    double deta;
    joint_back(r, c, &j, &de, &dr, &deta);
    const double dkappa = -j.r * j.r * dr;
    for (int64_t n = 0; n < r->n; n++) {
        const cplx rate = rate_of(s, n, c);
        const cplx d = 1 / (j.e - rate);
        const cplx p = get(&s->p, n, c);
        const cplx b = b_of(s, n, c);
        const cplx da = get(&g->da, n, c);
        const cplx db = get(&g->db, n, c);
        const cplx dg = get(&g->dg, n, c);
        const cplx df = get(&g->df, n, c) - j.r * j.eta * db;
        cplx dd = 4 * j.r * j.e * p * dg + 2 * conj(b) * db + 4 * p * conj(b) * deta + conj(p) * df +
                  2 * creal(conj(p) * p) * dkappa + 2 * conj(rate) * da;
        cplx dp = 4 * j.r * j.e * d * conj(dg) + 4 * d * b * deta + conj(d) * df + 4 * creal(d) * p * dkappa;
        grow(&g->dp, n, c, dp);
        if (g->din_b.buf) {
            grow(&g->din_b, n, c, 2 * conj(d) * db + 4 * p * conj(d) * deta);
        }
        grow(&g->din_c, n, c, 2 * get(&g->dw, n, c));
        put_rate(r, n, c, rate, 2 * conj(d) * da + conj(d * d) * dd);
        de -= creal(conj(d * d) * dd);
    }
    at(&g->dlog_dt)[c] += (float)(-j.e * de);
}

static void range(void *arg, int64_t from, int64_t to) {
    const run *r = arg;
    for (int64_t c = from; c < to; c++) {
        if (r->s->p.buf) {
            (r->back ? with_p_back : with_p)(r, c);
        } else {
            (r->back ? diagonal_back : diagonal)(r, c);
        }
    }
}

static mbk_status discretize(mbk_ctx *ctx, const mbk_discretize_args *s) {
    run r = {s, NULL, s->a_log.rows};
    assert(s->a_im.rows == r.n && s->in_c.rows == 2 * r.n && s->a.rows == 2 * r.n && s->b.rows == 2 * r.n);
    assert(s->w.rows == 2 * r.n && (!s->p.buf || (s->rule == MBK_BILINEAR && s->f.buf && s->g.buf)));
    mbk_ranges(cpu_of(ctx), s->log_dt.cols, MBK_PANEL, s->log_dt.cols * r.n * 16, range, &r);
    return MBS_OK;
}

static mbk_status discretize_grad(mbk_ctx *ctx, const mbk_discretize_grad_args *s) {
    run r = {&s->of, s, s->of.a_log.rows};
    assert(s->da.rows == 2 * r.n && s->db.rows == 2 * r.n && s->dw.rows == 2 * r.n && s->din_c.rows == 2 * r.n);
    assert(!s->of.p.buf || (s->df.rows == 2 * r.n && s->dg.rows == 2 * r.n && s->dp.rows == 2 * r.n));
    mbk_ranges(cpu_of(ctx), s->of.log_dt.cols, MBK_PANEL, s->of.log_dt.cols * r.n * 32, range, &r);
    return MBS_OK;
}

void mbk_discretize_ops(mbk_ops *ops) {
    ops->discretize = discretize;
    ops->discretize_grad = discretize_grad;
}
