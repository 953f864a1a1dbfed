/* Linear state spaces: golden S4D and S4, every level against the recurrence in double, the chunk law bit for bit,
 * sequences side by side, the recurrence against a convolution with its kernel, gradients against differences. */
#include <complex.h>

#include "kit.h"
#include "support/legs.h"
#include "support/test.h"
#include "support/vectors.h"

/* Numbers of a space: a, b, w, f, g (2 N, C), d (C), u (L, C), s (2 N, C). */
enum { A, B, W, F, G, D, U, S, PARTS };
typedef struct space {
    int64_t rows, cols, n;
    int joint;
    float *p[PARTS];
    int32_t starts[8];
    int64_t n_starts;
} space;

static int64_t count(const space *x, int part) {
    return part == D ? x->cols : part == U ? x->rows * x->cols : 2 * x->n * x->cols;
}

static space random_space(int64_t rows, int64_t cols, int64_t n, int joint) {
    space x = {rows, cols, n, joint, {0}, {0}, 0};
    for (int i = 0; i < PARTS; i++) {
        const float size = i == A || i == F || i == G ? 0.2f : 1.0f;
        x.p[i] = kit_random(count(&x, i), -size, size);
    }
    for (int64_t k = 0; k < n * cols; k++) { /* stable: the transition within the unit circle */
        x.p[A][k / cols * 2 * cols + k % cols] -= 0.25f;
    }
    return x;
}

static void free_space(space *x) {
    for (int i = 0; i < PARTS; i++) {
        free(x->p[i]);
    }
}

typedef struct result {
    float *y, *state, *grad[PARTS];
} result;

static void free_result(result *r) {
    free(r->y);
    free(r->state);
    for (int i = 0; i < PARTS; i++) {
        free(r->grad[i]);
    }
}

/* Calls of `cut` rows (0: one; below: random); back where dy is given, with dfinal as the gradient of the last state.
 */
static result run(const space *x, mbk_level level, int threads, int64_t cut, const float *dy, const float *dfinal) {
    enum { CALLS = 300 };
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat t[PARTS];
    kit_mat grad[PARTS];
    static kit_mat saved[CALLS];
    static int64_t end[CALLS + 1];
    int64_t calls = 0;
    float *zeros = kit_random(x->rows * x->cols + 2 * x->n * x->cols, 0, 0);
    mbk_buf *ids = x->n_starts ? kit_ids(ctx, x->starts, x->n_starts) : NULL;
    for (int i = 0; i < PARTS; i++) {
        t[i] = kit_of(ctx, count(x, i) / x->cols, x->cols, kit_int(0, 4), x->p[i]);
        grad[i] = kit_of(ctx, count(x, i) / x->cols, x->cols, kit_int(0, 4), i == S && dfinal ? dfinal : zeros);
    }
    kit_mat y = kit_new(ctx, x->rows, x->cols, kit_int(0, 4));
    for (end[0] = 0; end[calls] < x->rows; calls++) {
        const int64_t take = cut < 0 ? kit_int(1, 70) : cut ? cut : x->rows;
        const int64_t from = end[calls];
        const int64_t to = from + take < x->rows ? from + take : x->rows;
        end[calls + 1] = to;
        CHECK(calls < CALLS);
        saved[calls] = kit_new(ctx, (to - from + MBK_LTI_BLOCK - 1) / MBK_LTI_BLOCK * 2 * x->n, x->cols, 1);
        const mbk_lti_args a = {.y = kit_rows(&y, from, to),
                                .u = kit_rows(&t[U], from, to),
                                .a = t[A].m,
                                .b = t[B].m,
                                .w = t[W].m,
                                .f = x->joint ? t[F].m : kit_none,
                                .g = x->joint ? t[G].m : kit_none,
                                .d = t[D].m,
                                .state = t[S].m,
                                .starts = {ids, 0, x->n_starts},
                                .saved = saved[calls].m};
        CHECK_INT(ctx->ops->lti(ctx, &a), 0);
    }
    kit_mat work = kit_new(ctx, MBK_LTI_WORK(x->n), x->cols, 0);
    kit_mat g = kit_of(ctx, x->rows, x->cols, 2, dy ? dy : zeros);
    for (int64_t i = calls - 1; i >= 0; i--) {
        const mbk_lti_grad_args a = {.du = kit_rows(&grad[U], end[i], end[i + 1]),
                                     .da = grad[A].m,
                                     .db = grad[B].m,
                                     .dw = grad[W].m,
                                     .df = x->joint ? grad[F].m : kit_none,
                                     .dg = x->joint ? grad[G].m : kit_none,
                                     .dd = grad[D].m,
                                     .dstate = grad[S].m,
                                     .dy = kit_rows(&g, end[i], end[i + 1]),
                                     .u = kit_rows(&t[U], end[i], end[i + 1]),
                                     .a = t[A].m,
                                     .b = t[B].m,
                                     .w = t[W].m,
                                     .f = x->joint ? t[F].m : kit_none,
                                     .g = x->joint ? t[G].m : kit_none,
                                     .d = t[D].m,
                                     .saved = saved[i].m,
                                     .work = work.m,
                                     .starts = {ids, 0, x->n_starts}};
        if (dy) {
            CHECK_INT(ctx->ops->lti_grad(ctx, &a), 0);
        }
        CHECK(kit_canaries(&saved[i]));
        kit_free(&saved[i]);
    }
    result r = {kit_get(&y), kit_get(&t[S]), {0}};
    CHECK(kit_canaries(&y) && kit_canaries(&work));
    for (int i = 0; i < PARTS; i++) {
        CHECK(kit_canaries(&t[i]) && kit_canaries(&grad[i]), "part %d", i);
        r.grad[i] = kit_get(&grad[i]);
        kit_free(&t[i]);
        kit_free(&grad[i]);
    }
    kit_free(&y);
    kit_free(&g);
    kit_free(&work);
    free(zeros);
    if (ids) {
        ctx->ops->buf_free(ctx, ids);
    }
    kit_close(ctx);
    return r;
}

/* The recurrence in double; sum of dy y + dfinal s at the end. y and state may be NULL. */
static double naive(const space *x, double *const *p, const float *dy, const float *dfinal, double *y, double *state) {
    double loss = 0;
    double _Complex *s = malloc((size_t)x->n * sizeof *s);
    for (int64_t c = 0; c < x->cols; c++) {
        int64_t next = 0;
#define AT(PART, N) (p[PART][2 * (N)*x->cols + c] + p[PART][(2 * (N) + 1) * x->cols + c] * I)
        for (int64_t n = 0; n < x->n; n++) {
            s[n] = AT(S, n);
        }
        for (int64_t t = 0; t < x->rows; t++) {
            const double u = p[U][t * x->cols + c];
            double m = 0;
            double out = p[D][c] * u;
            if (next < x->n_starts && x->starts[next] == t) {
                memset(s, 0, (size_t)x->n * sizeof *s);
                next++;
            }
            for (int64_t n = 0; x->joint && n < x->n; n++) {
                m += creal(AT(G, n) * s[n]);
            }
            for (int64_t n = 0; n < x->n; n++) {
                s[n] = s[n] + AT(A, n) * s[n] + AT(B, n) * u - (x->joint ? AT(F, n) * m : 0);
                out += creal(AT(W, n) * s[n]);
            }
            loss += dy ? (double)dy[t * x->cols + c] * out : 0;
            if (y) {
                y[t * x->cols + c] = out;
            }
        }
        for (int64_t n = 0; n < x->n; n++) {
            const int64_t re = 2 * n * x->cols + c;
            loss += dfinal ? (double)dfinal[re] * creal(s[n]) + (double)dfinal[re + x->cols] * cimag(s[n]) : 0;
            if (state) {
                state[re] = creal(s[n]);
                state[re + x->cols] = cimag(s[n]);
            }
        }
    }
    free(s);
    return loss;
}

static double *widened(const float *x, int64_t n) {
    double *w = malloc((size_t)n * sizeof *w);
    for (int64_t i = 0; i < n; i++) {
        w[i] = (double)x[i];
    }
    return w;
}

static void check_space(const space *x, mbk_level level, int threads, int64_t cut) {
    double *p[PARTS];
    double *y = malloc((size_t)(x->rows * x->cols) * sizeof *y);
    double *state = malloc((size_t)count(x, S) * sizeof *state);
    float *dy = kit_random(x->rows * x->cols, -1, 1);
    float *dfinal = kit_random(count(x, S), -1, 1);
    for (int i = 0; i < PARTS; i++) {
        p[i] = widened(x->p[i], count(x, i));
    }
    result r = run(x, level, threads, cut, dy, dfinal);
    naive(x, p, dy, dfinal, y, state);
    CHECK(vec_maxrel(r.y, y, x->rows * x->cols) < 3e-6, "%s: %g", mbk_level_name(level),
          vec_maxrel(r.y, y, x->rows * x->cols));
    CHECK(vec_maxrel(r.state, state, count(x, S)) < 3e-6, "%s", mbk_level_name(level));
    for (int i = 0; i < PARTS; i++) {
        if (!x->joint && (i == F || i == G)) {
            continue;
        }
        float *way = kit_random(count(x, i), -1, 1);
        double got = 0;
        double size = 0;
        double loss[2];
        for (int64_t k = 0; k < count(x, i); k++) {
            got += (double)r.grad[i][k] * (double)way[k];
            size += fabs((double)r.grad[i][k] * (double)way[k]);
        }
        for (int sign = 0; sign < 2; sign++) {
            for (int64_t k = 0; k < count(x, i); k++) {
                p[i][k] = (double)x->p[i][k] + (sign ? -1e-6 : 1e-6) * (double)way[k];
            }
            loss[sign] = naive(x, p, dy, dfinal, NULL, NULL);
        }
        for (int64_t k = 0; k < count(x, i); k++) {
            p[i][k] = (double)x->p[i][k];
        }
        const double want = (loss[0] - loss[1]) / 2e-6;
        /* What is added: the rounding of sums that cancel, and of a difference of two losses. */
        CHECK(fabs(got - want) <= 1e-5 * size + 1e-7, "%s, part %d: %g is not %g", mbk_level_name(level), i, got, want);
        free(way);
    }
    free_result(&r);
    for (int i = 0; i < PARTS; i++) {
        free(p[i]);
    }
    free(y);
    free(state);
    free(dy);
    free(dfinal);
}

MBS_TEST(lti, every_level_against_double) {
    EACH_LEVEL(level) {
        for (int i = 0; i < 8; i++) {
            space x = random_space(kit_int(1, 90), kit_int(1, 40), kit_int(1, 9), i % 2);
            if (i >= 4 && x.rows > 4) {
                x.starts[0] = (int32_t)kit_int(0, 1);
                x.starts[1] = (int32_t)kit_int(2, x.rows - 1);
                x.n_starts = 2;
            }
            check_space(&x, level, 1 + i % 3, i >= 4 ? 0 : i < 2 ? 0 : -1);
            free_space(&x);
        }
    }
}

MBS_TEST(lti, chunk_law) {
    EACH_LEVEL(level) {
        for (int joint = 0; joint < 2; joint++) {
            space x = random_space(130, 37, 6, joint);
            float *dy = kit_random(x.rows * x.cols, -1, 1);
            result whole = run(&x, level, 1, 0, dy, NULL);
            static const int64_t cuts[] = {1, 7, 32, -1};
            for (int i = 0; i < 4; i++) {
                result r = run(&x, level, 1 + i, cuts[i], dy, NULL);
                CHECK(kit_same(r.y, whole.y, x.rows * x.cols) && kit_same(r.state, whole.state, count(&x, S)));
                for (int g = 0; g < PARTS; g++) {
                    const double off = kit_maxoff(r.grad[g], whole.grad[g], count(&x, g), 1);
                    CHECK(off < 1e-5 || (!joint && (g == F || g == G)), "%s, cut %ld, part %d: %g",
                          mbk_level_name(level), (long)cuts[i], g, off);
                }
                free_result(&r);
            }
            result threads = run(&x, level, 4, 0, dy, NULL);
            for (int g = 0; g < PARTS; g++) {
                CHECK(kit_same(threads.grad[g], whole.grad[g], count(&x, g)));
            }
            free_result(&threads);
            free_result(&whole);
            free(dy);
            free_space(&x);
        }
    }
}

/* Short records in one call have the bits that each has alone. */
MBS_TEST(lti, side_by_side) {
    EACH_LEVEL(level) {
        space x = random_space(90, 21, 5, 1);
        memset(x.p[S], 0, (size_t)count(&x, S) * sizeof(float));
        x.starts[0] = 0;
        x.starts[1] = 33;
        x.starts[2] = 50;
        x.n_starts = 3;
        result many = run(&x, level, 2, 0, NULL, NULL);
        space one = x;
        one.p[U] = x.p[U] + 33 * x.cols;
        one.rows = 17;
        one.n_starts = 0;
        result alone = run(&one, level, 1, 0, NULL, NULL);
        CHECK(kit_same(many.y + 33 * x.cols, alone.y, 17 * x.cols));
        free_result(&many);
        free_result(&alone);
        free_space(&x);
    }
}

/* --- from continuous time ------------------------------------------------------------------------------------------
 */

/* log_dt, a_log, a_im, b, c, p: what is trained. */
enum { DT, AL, AI, IB, IC, P, TRAINED };
typedef struct model {
    int64_t cols, n;
    int has_b, has_p;
    mbk_rule rule;
    float *t[TRAINED];
} model;

static int64_t trained_count(const model *m, int part) {
    return part == DT ? m->cols : (part == AL || part == AI ? 1 : 2) * m->n * m->cols;
}

/* Discretizes on `ctx`; with `grads` (of a, b, w, f, g) also goes back and leaves the gradients in `back`. */
static void discretize(mbk_ctx *ctx, const model *m, float *out[5], float *const *grads, float *back[TRAINED]) {
    kit_mat in[TRAINED];
    kit_mat made[5];
    kit_mat g[5];
    kit_mat b[TRAINED];
    float *zeros = kit_random(2 * m->n * m->cols, 0, 0);
    for (int i = 0; i < TRAINED; i++) {
        in[i] = kit_of(ctx, trained_count(m, i) / m->cols, m->cols, 1, m->t[i]);
        b[i] = kit_of(ctx, trained_count(m, i) / m->cols, m->cols, 1, zeros);
    }
    for (int i = 0; i < 5; i++) {
        made[i] = kit_of(ctx, 2 * m->n, m->cols, 2, zeros);
        g[i] = kit_of(ctx, 2 * m->n, m->cols, 1, grads ? grads[i] : zeros);
    }
    const mbk_discretize_args a = {made[0].m,
                                   made[1].m,
                                   made[2].m,
                                   m->has_p ? made[3].m : kit_none,
                                   m->has_p ? made[4].m : kit_none,
                                   in[DT].m,
                                   in[AL].m,
                                   in[AI].m,
                                   m->has_b ? in[IB].m : kit_none,
                                   in[IC].m,
                                   m->has_p ? in[P].m : kit_none,
                                   m->rule};
    CHECK_INT(ctx->ops->discretize(ctx, &a), 0);
    const mbk_discretize_grad_args ga = {.of = a,
                                         .da = g[0].m,
                                         .db = g[1].m,
                                         .dw = g[2].m,
                                         .df = m->has_p ? g[3].m : kit_none,
                                         .dg = m->has_p ? g[4].m : kit_none,
                                         .dlog_dt = b[DT].m,
                                         .da_log = b[AL].m,
                                         .da_im = b[AI].m,
                                         .din_b = m->has_b ? b[IB].m : kit_none,
                                         .din_c = b[IC].m,
                                         .dp = m->has_p ? b[P].m : kit_none};
    if (grads) {
        CHECK_INT(ctx->ops->discretize_grad(ctx, &ga), 0);
    }
    for (int i = 0; i < TRAINED; i++) {
        CHECK(kit_canaries(&b[i]));
        if (back) {
            back[i] = kit_get(&b[i]);
        }
        kit_free(&in[i]);
        kit_free(&b[i]);
    }
    for (int i = 0; i < 5; i++) {
        CHECK(kit_canaries(&made[i]));
        out[i] = kit_get(&made[i]);
        kit_free(&made[i]);
        kit_free(&g[i]);
    }
    free(zeros);
}

/* Single numbers moved by steps that f32 can hold: gradients of sum of grads times outputs. */
static void check_discretize(const model *m) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    float *grads[5];
    float *out[5];
    float *back[TRAINED];
    for (int i = 0; i < 5; i++) {
        grads[i] = kit_random(2 * m->n * m->cols, -1, 1);
    }
    discretize(ctx, m, out, grads, back);
    for (int i = 0; i < 5; i++) {
        free(out[i]);
    }
    for (int part = 0; part < TRAINED; part++) {
        if ((part == IB && !m->has_b) || (part == P && !m->has_p)) {
            continue;
        }
        double most = 1e-3;
        for (int64_t k = 0; k < trained_count(m, part); k++) {
            most = fmax(most, fabs((double)back[part][k]));
        }
        for (int64_t k = 0; k < trained_count(m, part); k++) {
            const float old = m->t[part][k];
            double value[2] = {0};
            float at_[2];
            for (int sign = 0; sign < 2; sign++) {
                m->t[part][k] = at_[sign] = old + (sign ? -4e-3f : 4e-3f);
                discretize(ctx, m, out, NULL, NULL);
                for (int i = 0; i < 5; i++) {
                    for (int64_t j = 0; (m->has_p || i < 3) && j < 2 * m->n * m->cols; j++) {
                        value[sign] += (double)grads[i][j] * (double)out[i][j];
                    }
                    free(out[i]);
                }
            }
            m->t[part][k] = old;
            const double want = (value[0] - value[1]) / ((double)at_[0] - (double)at_[1]);
            CHECK(fabs((double)back[part][k] - want) < 1e-3 * most, "part %d, %d: %g is not %g", part, (int)k,
                  (double)back[part][k], want);
        }
    }
    for (int i = 0; i < 5; i++) {
        free(grads[i]);
    }
    for (int i = 0; i < TRAINED; i++) {
        free(back[i]);
    }
    kit_close(ctx);
}

MBS_TEST(lti, gradients_of_continuous_numbers) {
    for (int i = 0; i < 5; i++) {
        model m = {.cols = 3, .n = 4, .has_b = i > 1, .has_p = i == 4, .rule = i % 2 ? MBK_ZOH : MBK_BILINEAR};
        for (int k = 0; k < TRAINED; k++) {
            m.t[k] = kit_random(trained_count(&m, k), k == DT ? -2.5f : -1, k == DT ? -0.5f : 1);
        }
        check_discretize(&m);
        for (int k = 0; k < TRAINED; k++) {
            free(m.t[k]);
        }
    }
}

/* Small steps of slow modes: the series is where the quotient would lose its digits. */
MBS_TEST(lti, input_of_slow_modes) {
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    for (int i = 0; i < 6; i++) {
        float log_dt = -2.0f - (float)i;
        float a_log = -4.6f;
        float a_im = 0.01f;
        float one[2] = {1, 0};
        model m = {.cols = 1, .n = 1, .rule = MBK_ZOH, .t = {&log_dt, &a_log, &a_im, one, one, one}};
        float *out[5];
        discretize(ctx, &m, out, NULL, NULL);
        const long double dt = expl((long double)log_dt);
        const long double _Complex a = -expl((long double)a_log) + (long double)a_im * I;
        const long double _Complex b = (cexpl(dt * a) - 1) / a;
        CHECK(fabs((double)out[1][0] / (double)creall(b) - 1) < 1e-7);
        CHECK(fabs((double)out[1][1] / (double)cimagl(b) - 1) < 1e-6, "%g %g", (double)out[1][1], (double)cimagl(b));
        for (int k = 0; k < 5; k++) {
            free(out[k]);
        }
    }
    kit_close(ctx);
}

/* (rows, cols) of a golden tensor, turned. */
static float *turned(const float *x, int64_t rows, int64_t cols) {
    float *t = malloc((size_t)(rows * cols) * sizeof *t);
    for (int64_t i = 0; i < rows * cols; i++) {
        t[i % cols * rows + i / cols] = x[i];
    }
    return t;
}

/* Golden S4D: outputs and states of every start, both rules, by the recurrence. */
MBS_TEST(lti, golden_s4d) {
    enum { H = 4, N = 8, L = 64 };
    static const char *const starts[] = {"lin", "inv", "legs", "real"};
    vec_file *f = vec_open("s4d");
    EACH_LEVEL(level) {
        for (int way = 0; way < 8; way++) {
            const char *rule = way % 2 ? "bilinear" : "zoh";
            char name[32];
            model m = {.cols = H, .n = N, .rule = way % 2 ? MBK_BILINEAR : MBK_ZOH};
            for (int k = 0; k < TRAINED; k++) {
                m.t[k] = kit_random(trained_count(&m, k), 0, 0);
            }
            snprintf(name, sizeof name, "A_%s_re", starts[way / 2]);
            const float *re = vec_f32(f, name);
            snprintf(name, sizeof name, "A_%s_im", starts[way / 2]);
            const float *im = vec_f32(f, name);
            memcpy(m.t[DT], vec_f32(f, "log_dt"), H * sizeof(float));
            for (int i = 0; i < H * N; i++) {
                const int at_ = i % N * H + i / N;
                m.t[AL][at_] = (float)log(-(double)re[i]);
                m.t[AI][at_] = im[i];
                m.t[IC][2 * (i % N) * H + i / N] = vec_f32(f, "C_re")[i];
                m.t[IC][(2 * (i % N) + 1) * H + i / N] = vec_f32(f, "C_im")[i];
            }
            float *out[5];
            mbk_ctx *ctx = kit_open(level, 1);
            discretize(ctx, &m, out, NULL, NULL);
            kit_close(ctx);
            float *u = turned(vec_f32(f, "u"), H, L);
            float *zeros = kit_random(2 * N * H, 0, 0);
            float *d = kit_random(H, 0, 0);
            memcpy(d, vec_f32(f, "D"), H * sizeof *d);
            space x = {L, H, N, 0, {out[0], out[1], out[2], out[3], out[4], d, u, zeros}, {0}, 0};
            result r = run(&x, level, 1, 11, NULL, NULL);
            float *y = turned(r.y, L, H);
            snprintf(name, sizeof name, "y_%s_%s", starts[way / 2], rule);
            const double off = vec_maxrel(y, vec_f64(f, name), H * L);
            CHECK(off < 3e-6, "%s %s: %g", mbk_level_name(level), name, off);
            for (int ri = 0; way % 2 == 0 && ri < 2; ri++) {
                float *s = malloc(H * N * sizeof *s);
                for (int i = 0; i < H * N; i++) {
                    s[i] = r.state[(2 * (i % N) + ri) * H + i / N];
                }
                snprintf(name, sizeof name, "state_%s_%s", starts[way / 2], ri ? "im" : "re");
                CHECK(way / 2 == 3 && ri ? fabsf(s[0]) < 1e-6f : vec_maxrel(s, vec_f64(f, name), H * N) < 3e-6, "%s",
                      name);
                free(s);
            }
            free(y);
            free_result(&r);
            free_space(&x);
            for (int k = 0; k < TRAINED; k++) {
                free(m.t[k]);
            }
        }
    }
    vec_close(f);
}

/* The recurrence is the convolution with the kernel in double: over long records, by modes that live for thousands of
 * rows. */
MBS_TEST(lti, recurrence_and_convolution) {
    enum { C = 16, N = 32, L = 3000 };
    model m = {.cols = C, .n = N, .rule = MBK_ZOH};
    for (int k = 0; k < TRAINED; k++) {
        m.t[k] = kit_random(trained_count(&m, k), -1, 1);
    }
    for (int c = 0; c < C; c++) {
        m.t[DT][c] = logf(1e-3f) + (float)c / (C - 1) * (logf(0.1f) - logf(1e-3f));
        for (int n = 0; n < N; n++) {
            m.t[AL][n * C + c] = logf(0.5f);
            m.t[AI][n * C + c] = 3.14159265f * (float)n;
        }
    }
    double *kernel = malloc(C * L * sizeof *kernel);
    double *want = calloc(C * L, sizeof *want);
    float *out[5];
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    discretize(ctx, &m, out, NULL, NULL);
    kit_close(ctx);
    for (int c = 0; c < C; c++) {
        const double dt = exp((double)m.t[DT][c]);
        for (int l = 0; l < L; l++) {
            double _Complex sum = 0;
            for (int n = 0; n < N; n++) {
                const double _Complex a = -exp((double)m.t[AL][n * C + c]) + (double)m.t[AI][n * C + c] * I;
                const double _Complex cc = (double)m.t[IC][2 * n * C + c] + (double)m.t[IC][(2 * n + 1) * C + c] * I;
                sum += cc * (cexp(dt * a) - 1) / a * cexp(dt * a * l);
            }
            kernel[c * L + l] = 2 * creal(sum);
        }
    }
    float *u = kit_random(C * L, -1, 1);
    for (int c = 0; c < C; c++) {
        for (int t = 0; t < L; t++) {
            for (int l = 0; l <= t; l++) {
                want[t * C + c] += kernel[c * L + l] * (double)u[(t - l) * C + c];
            }
        }
    }
    space x = {
        L,   C, N, 0, {out[0], out[1], out[2], out[3], out[4], kit_random(C, 0, 0), u, kit_random(2 * N * C, 0, 0)},
        {0}, 0};
    EACH_LEVEL(level) {
        result r = run(&x, level, 1, 1000, NULL, NULL);
        const double off = vec_maxrel(r.y, want, C * L);
        CHECK(off < 5e-6, "%s: %g", mbk_level_name(level), off);
        free_result(&r);
    }
    free(kernel);
    free(want);
    free_space(&x);
    for (int k = 0; k < TRAINED; k++) {
        free(m.t[k]);
    }
}

/* Golden S4: the response to an impulse is the dense kernel. */
MBS_TEST(lti, golden_s4) {
    enum { N = 8, L = 64, HALF = N / 2 };
    vec_file *f = vec_open("s4d");
    model m = {.cols = 1, .n = HALF, .has_b = 1, .has_p = 1, .rule = MBK_BILINEAR};
    for (int k = 0; k < TRAINED; k++) {
        m.t[k] = kit_random(trained_count(&m, k), 0, 0);
    }
    m.t[DT][0] = logf(0.05f);
    for (int i = 0; i < HALF; i++) {
        double _Complex v[N];
        double _Complex part[3] = {0}; /* B, C, P */
        m.t[AI][i] = (float)legs_mode(N, i, v);
        m.t[AL][i] = logf(0.5f);
        for (int k = 0; k < N; k++) {
            part[0] += conj(v[k]) * sqrt(2 * k + 1);
            part[1] += (double)vec_f32(f, "dense_C")[k] * v[k];
            part[2] += conj(v[k]) * sqrt(k + 0.5);
        }
        for (int q = 0; q < 3; q++) {
            m.t[IB + q][2 * i] = (float)creal(part[q]);
            m.t[IB + q][2 * i + 1] = (float)cimag(part[q]);
        }
    }
    float *out[5];
    mbk_ctx *ctx = kit_open(MBK_LEVEL_REF, 1);
    discretize(ctx, &m, out, NULL, NULL);
    kit_close(ctx);
    float *u = kit_random(L, 0, 0);
    u[0] = 1;
    space x = {L,   1, HALF, 1, {out[0], out[1], out[2], out[3], out[4], kit_random(1, 0, 0), u, kit_random(N, 0, 0)},
               {0}, 0};
    EACH_LEVEL(level) {
        result r = run(&x, level, 1, 9, NULL, NULL);
        const double off = vec_maxrel(r.y, vec_f64(f, "dense_K"), L);
        CHECK(off < 3e-6, "%s: %g", mbk_level_name(level), off);
        free_result(&r);
    }
    free_space(&x);
    for (int k = 0; k < TRAINED; k++) {
        free(m.t[k]);
    }
    vec_close(f);
}
