/* unary.c - elementwise functions with their gradients, and the gated linear unit. Exponentials are those of the level,
 * a strip of numbers at a time; every number is computed alike. */
#include <math.h>

#include "cpu/cpu.h"

#define STRIP 256

typedef struct unary_run {
    const mbk_leaf *leaf;
    float *y, *dscale, *dz;
    const float *x, *dy, *z, *scale;
    int64_t ldy, ldx, lddy, lddz, ldz, cols, rows;
    mbk_function function;
} unary_run;

/* f and, where `slope` is not NULL, f' of v. */
static void evaluate(const unary_run *run, const float *v, int64_t n, float *f, float *slope) {
    float e[STRIP] = {0};
    if (run->function == MBK_SIN) {
        for (int64_t i = 0; i < n; i++) {
            f[i] = (float)sin((double)v[i]);
        }
        for (int64_t i = 0; slope && i < n; i++) {
            slope[i] = (float)cos((double)v[i]);
        }
    } else if (run->function == MBK_GELU) {
        for (int64_t i = 0; i < n; i++) {
            f[i] = (float)(0.5 * (1.0 + erf((double)v[i] * 0.70710678118654752)));
            e[i] = -0.5f * v[i] * v[i];
        }
        if (slope) {
            run->leaf->exp(e, e, n);
        }
        for (int64_t i = 0; slope && i < n; i++) {
            slope[i] = f[i] + v[i] * 0.39894228f * e[i];
        }
        for (int64_t i = 0; i < n; i++) {
            f[i] *= v[i];
        }
    } else { /* x sigmoid(2 s), s = sqrt(2 / pi) (x + 0.044715 x^3): tanh without its cancellation */
        for (int64_t i = 0; i < n; i++) {
            e[i] = -1.5957691f * (v[i] + 0.044715f * v[i] * v[i] * v[i]);
        }
        run->leaf->exp(e, e, n);
        for (int64_t i = 0; i < n; i++) {
            const float half = 1.0f / (1.0f + e[i]);
            if (slope) {
                const float inner = 1.5957691f * (1.0f + 0.134145f * v[i] * v[i]);
                slope[i] = half + v[i] * half * (1.0f - half) * inner;
            }
            f[i] = v[i] * half;
        }
    }
}

static void scaled(const unary_run *run, int64_t r, int64_t c, int64_t n, float *v) {
    for (int64_t i = 0; i < n; i++) {
        v[i] = run->x[r * run->ldx + c + i] * (run->scale ? run->scale[c + i] : 1.0f);
    }
}

static void unary_range(void *arg, int64_t from, int64_t to) {
    const unary_run *run = arg;
    float v[STRIP];
    for (int64_t r = from; r < to; r++) {
        for (int64_t c = 0; c < run->cols; c += STRIP) {
            const int64_t n = run->cols - c < STRIP ? run->cols - c : STRIP;
            scaled(run, r, c, n, v);
            evaluate(run, v, n, run->y + r * run->ldy + c, NULL);
        }
    }
}

static mbk_status unary(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat scale, mbk_function function) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && (!scale.buf || scale.cols == x.cols));
    unary_run run = {.leaf = &cpu->leaf,
                     .y = at(&y),
                     .x = at(&x),
                     .scale = at(&scale),
                     .ldy = y.ld,
                     .ldx = x.ld,
                     .cols = x.cols,
                     .function = function};
    mbk_ranges(cpu, x.rows, 1, x.rows * x.cols, unary_range, &run);
    return MBS_OK;
}

/* Columns, so that a sum over rows has one owner. */
static void unary_back(void *arg, int64_t from, int64_t to) {
    const unary_run *run = arg;
    for (int64_t c = from * MBK_PANEL; c < to * MBK_PANEL && c < run->cols; c += MBK_PANEL) {
        const int64_t n = run->cols - c < MBK_PANEL ? run->cols - c : MBK_PANEL;
        double sum[MBK_PANEL] = {0};
        for (int64_t r = 0; r < run->rows; r++) {
            float v[STRIP];
            float f[STRIP];
            float slope[STRIP];
            const float *x = run->x + r * run->ldx + c;
            const float *dy = run->dy + r * run->lddy + c;
            float *dx = run->y + r * run->ldy + c;
            scaled(run, r, c, n, v);
            evaluate(run, v, n, f, slope);
            for (int64_t i = 0; i < n; i++) {
                const float inner = slope[i] * dy[i];
                sum[i] += (double)inner * (double)x[i];
                dx[i] = run->scale ? inner * run->scale[c + i] : inner;
            }
        }
        for (int64_t i = 0; run->dscale && i < n; i++) {
            run->dscale[c + i] += (float)sum[i];
        }
    }
}

static mbk_status unary_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dscale, mbk_mat dy, mbk_mat x, mbk_mat scale,
                             mbk_function function) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(dx.rows == x.rows && dx.cols == x.cols && dy.rows == x.rows && dy.cols == x.cols);
    unary_run run = {.leaf = &cpu->leaf,
                     .y = at(&dx),
                     .dscale = at(&dscale),
                     .x = at(&x),
                     .dy = at(&dy),
                     .scale = at(&scale),
                     .ldy = dx.ld,
                     .ldx = x.ld,
                     .lddy = dy.ld,
                     .cols = x.cols,
                     .rows = x.rows,
                     .function = function};
    mbk_ranges(cpu, (x.cols + MBK_PANEL - 1) / MBK_PANEL, 1, x.rows * x.cols, unary_back, &run);
    return MBS_OK;
}

/* sigmoid(z) of a strip. */
static void gates(const unary_run *run, int64_t r, int64_t c, int64_t n, float *e) {
    for (int64_t i = 0; i < n; i++) {
        e[i] = -run->z[r * run->ldz + c + i];
    }
    run->leaf->exp(e, e, n);
    for (int64_t i = 0; i < n; i++) {
        e[i] = 1.0f / (1.0f + e[i]);
    }
}

static void glu_range(void *arg, int64_t from, int64_t to) {
    const unary_run *run = arg;
    float e[STRIP];
    for (int64_t r = from; r < to; r++) {
        for (int64_t c = 0; c < run->cols; c += STRIP) {
            const int64_t n = run->cols - c < STRIP ? run->cols - c : STRIP;
            gates(run, r, c, n, e);
            for (int64_t i = 0; i < n; i++) {
                const float x = run->x[r * run->ldx + c + i];
                if (run->dy) {
                    const float dy = run->dy[r * run->lddy + c + i];
                    run->dz[r * run->lddz + c + i] = dy * x * e[i] * (1.0f - e[i]);
                    run->y[r * run->ldy + c + i] = dy * e[i];
                } else {
                    run->y[r * run->ldy + c + i] = x * e[i];
                }
            }
        }
    }
}

static mbk_status glu(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(y.rows == x.rows && y.cols == x.cols && z.rows == x.rows && z.cols == x.cols);
    unary_run run = {.leaf = &cpu->leaf,
                     .y = at(&y),
                     .x = at(&x),
                     .z = at(&z),
                     .ldy = y.ld,
                     .ldx = x.ld,
                     .ldz = z.ld,
                     .cols = x.cols};
    mbk_ranges(cpu, x.rows, 1, x.rows * x.cols / 2, glu_range, &run);
    return MBS_OK;
}

static mbk_status glu_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z) {
    cpu_ctx *cpu = cpu_of(ctx);
    assert(dx.rows == x.rows && dx.cols == x.cols && dz.rows == x.rows && dz.cols == x.cols && dy.cols == x.cols);
    unary_run run = {.leaf = &cpu->leaf,
                     .y = at(&dx),
                     .dz = at(&dz),
                     .dy = at(&dy),
                     .x = at(&x),
                     .z = at(&z),
                     .ldy = dx.ld,
                     .lddz = dz.ld,
                     .lddy = dy.ld,
                     .ldx = x.ld,
                     .ldz = z.ld,
                     .cols = x.cols};
    mbk_ranges(cpu, x.rows, 1, x.rows * x.cols / 2, glu_range, &run);
    return MBS_OK;
}

void mbk_unary_ops(mbk_ops *ops) {
    ops->unary = unary;
    ops->unary_grad = unary_grad;
    ops->glu = glu;
    ops->glu_grad = glu_grad;
}
