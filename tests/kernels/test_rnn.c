/* Recurrent cells: golden vectors, cuts and sequences side by side bit for bit, gradients through time against
 * differences in double. */
#include "kit.h"
#include "support/test.h"
#include "support/vectors.h"

typedef struct cell {
    mbk_cell kind;
    int64_t rows, h;
    float *x, *w, *bias, *state; /* (L, gates h), (gates h, h), (gates h), (states, h) */
    int32_t starts[80];
    int64_t n_starts;
} cell;

static int64_t gates(const cell *c) {
    return MBK_RNN_GATES(c->kind) * c->h;
}

static cell random_cell(mbk_cell kind, int64_t rows, int64_t h) {
    cell c = {kind, rows, h, 0, 0, 0, 0, {0}, 0};
    const float size = 1.5f / sqrtf((float)h);
    c.x = kit_random(rows * gates(&c), -1, 1);
    c.w = kit_random(gates(&c) * h, -size, size);
    c.bias = kit_random(gates(&c), -1, 1);
    c.state = kit_random(MBK_RNN_STATES(kind) * h, -1, 1);
    return c;
}

static void free_cell(cell *c) {
    free(c->x);
    free(c->w);
    free(c->bias);
    free(c->state);
}

typedef struct result {
    float *y, *state, *dx, *dw, *dbias, *dstate;
} result;

static void free_result(result *r) {
    float *all[] = {r->y, r->state, r->dx, r->dw, r->dbias, r->dstate};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static result run(const cell *c, mbk_level level, int threads, int64_t cut, const float *dy, const float *dfinal) {
    enum { CALLS = 100 };
    mbk_ctx *ctx = kit_open(level, threads);
    const mbk_format format = {MBK_F32, MBK_MATH_F32};
    const int64_t h = c->h;
    const int64_t g = gates(c);
    const int64_t states = MBK_RNN_STATES(c->kind);
    static int64_t end[CALLS + 1];
    int64_t calls = 0;
    mbk_weight *w;
    mbk_weight *w_t;
    float *zeros = kit_random((c->rows + g) * g, 0, 0);
    float *t = malloc((size_t)(g * h) * sizeof *t);
    for (int64_t i = 0; i < g * h; i++) {
        t[i % h * g + i / h] = c->w[i];
    }
    CHECK_INT(ctx->ops->prepare(ctx, c->w, g, h, format, &w), 0);
    CHECK_INT(ctx->ops->prepare(ctx, t, h, g, format, &w_t), 0);
    mbk_buf *ids = c->n_starts ? kit_ids(ctx, c->starts, c->n_starts) : NULL;
    kit_mat x = kit_of(ctx, c->rows, g, 1, c->x);
    kit_mat bias = kit_of(ctx, 1, g, 0, c->bias);
    kit_mat state = kit_of(ctx, states, h, 3, c->state);
    kit_mat work = kit_new(ctx, MBK_RNN_LANES, MBK_RNN_WORK(c->kind) * h, 1);
    kit_mat saved = kit_new(ctx, c->rows, MBK_RNN_SAVED(c->kind) * h, 2);
    kit_mat y = kit_new(ctx, c->rows, h, 2);
    for (end[0] = 0; end[calls] < c->rows; calls++) {
        const int64_t take = cut < 0 ? kit_int(1, 20) : cut ? cut : c->rows;
        const int64_t from = end[calls];
        const int64_t to = from + take < c->rows ? from + take : c->rows;
        end[calls + 1] = to;
        CHECK(calls < CALLS);
        const mbk_rnn_args a = {.cell = c->kind,
                                .y = kit_rows(&y, from, to),
                                .x = kit_rows(&x, from, to),
                                .w = w,
                                .bias = bias.m,
                                .state = state.m,
                                .work = work.m,
                                .starts = {ids, 0, c->n_starts},
                                .saved = kit_rows(&saved, from, to)};
        CHECK_INT(ctx->ops->rnn(ctx, &a), 0);
    }
    kit_mat dy_ = kit_of(ctx, c->rows, h, 1, dy ? dy : zeros);
    kit_mat dx = kit_new(ctx, c->rows, g, 2);
    kit_mat dh = kit_new(ctx, c->rows, g, 1);
    kit_mat dw = kit_of(ctx, g, h, 0, zeros);
    kit_mat dbias = kit_of(ctx, 1, g, 0, zeros);
    kit_mat dstate = kit_of(ctx, states, h, 1, dfinal ? dfinal : zeros);
    for (int64_t i = calls - 1; dy && i >= 0; i--) {
        mbk_mat s = kit_rows(&saved, end[i], end[i + 1]);
        const mbk_rnn_grad_args a = {.cell = c->kind,
                                     .dx = kit_rows(&dx, end[i], end[i + 1]),
                                     .dh = kit_rows(&dh, end[i], end[i + 1]),
                                     .dstate = dstate.m,
                                     .dy = kit_rows(&dy_, end[i], end[i + 1]),
                                     .w_t = w_t,
                                     .saved = s,
                                     .work = work.m,
                                     .starts = {ids, 0, c->n_starts}};
        CHECK_INT(ctx->ops->rnn_grad(ctx, &a), 0);
        s.cols = h;
        CHECK_INT(ctx->ops->weight_grad(ctx, dw.m, a.dh, s, MBK_MATH_F32), 0);
        CHECK_INT(ctx->ops->bias_grad(ctx, dbias.m, a.dh), 0);
    }
    result r = {kit_get(&y), kit_get(&state), kit_get(&dx), kit_get(&dw), kit_get(&dbias), kit_get(&dstate)};
    kit_mat *all[] = {&x, &bias, &state, &work, &saved, &y, &dy_, &dx, &dh, &dw, &dbias, &dstate};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(kit_canaries(all[i]), "%zu", i);
        kit_free(all[i]);
    }
    ctx->ops->weight_free(ctx, w);
    ctx->ops->weight_free(ctx, w_t);
    if (ids) {
        ctx->ops->buf_free(ctx, ids);
    }
    free(zeros);
    free(t);
    kit_close(ctx);
    return r;
}

/* In double; the sum of dy y + dfinal state. Parts: x, w, bias, state. */
static double naive(const cell *c, double *const p[4], const float *dy, const float *dfinal) {
    const int64_t h = c->h;
    double *s = calloc((size_t)(2 * h), sizeof *s);
    double *a = malloc((size_t)gates(c) * sizeof *a);
    double loss = 0;
    int64_t next = 0;
    memcpy(s, p[3], (size_t)(MBK_RNN_STATES(c->kind) * h) * sizeof *s);
#define SIG(X) (1 / (1 + exp(-(X))))
    for (int64_t t = 0; t < c->rows; t++) {
        const double *x = p[0] + t * gates(c);
        if (next < c->n_starts && c->starts[next] == t) {
            memset(s, 0, (size_t)(2 * h) * sizeof *s);
            next++;
        }
        for (int64_t o = 0; o < gates(c); o++) {
            a[o] = p[2][o];
            for (int64_t k = 0; k < h; k++) {
                a[o] += p[1][o * h + k] * s[k];
            }
        }
        for (int64_t k = 0; k < h; k++) {
            if (c->kind == MBK_LSTM) {
                const double in = SIG(x[k] + a[k]);
                s[h + k] = SIG(x[h + k] + a[h + k]) * s[h + k] + in * tanh(x[2 * h + k] + a[2 * h + k]);
                s[k] = SIG(x[3 * h + k] + a[3 * h + k]) * tanh(s[h + k]);
            } else {
                const double keep = SIG(x[h + k] + a[h + k]);
                s[k] = (1 - keep) * tanh(x[2 * h + k] + SIG(x[k] + a[k]) * a[2 * h + k]) + keep * s[k];
            }
            loss += (double)dy[t * h + k] * s[k];
        }
    }
    for (int64_t k = 0; k < MBK_RNN_STATES(c->kind) * h; k++) {
        loss += (double)dfinal[k] * s[k];
    }
    free(s);
    free(a);
    return loss;
}

static void check_gradients(const cell *c, mbk_level level, int threads, int64_t cut) {
    const int64_t n[4] = {c->rows * gates(c), gates(c) * c->h, gates(c), MBK_RNN_STATES(c->kind) * c->h};
    const float *host[4] = {c->x, c->w, c->bias, c->state};
    float *dy = kit_random(c->rows * c->h, -1, 1);
    float *dfinal = kit_random(n[3], -1, 1);
    double *p[4];
    result r = run(c, level, threads, cut, dy, dfinal);
    const float *grad[4] = {r.dx, r.dw, r.dbias, r.dstate};
    for (int i = 0; i < 4; i++) {
        p[i] = malloc((size_t)n[i] * sizeof **p);
        for (int64_t k = 0; k < n[i]; k++) {
            p[i][k] = (double)host[i][k];
        }
    }
    for (int i = 0; i < 4; i++) {
        float *way = kit_random(n[i], -1, 1);
        double got = 0;
        double size = 1e-6;
        double loss[2];
        for (int64_t k = 0; k < n[i]; k++) {
            got += (double)grad[i][k] * (double)way[k];
            size += fabs((double)grad[i][k] * (double)way[k]);
        }
        for (int sign = 0; sign < 2; sign++) {
            for (int64_t k = 0; k < n[i]; k++) {
                p[i][k] = (double)host[i][k] + (sign ? -1e-5 : 1e-5) * (double)way[k];
            }
            loss[sign] = naive(c, p, dy, dfinal);
        }
        for (int64_t k = 0; k < n[i]; k++) {
            p[i][k] = (double)host[i][k];
        }
        const double want = (loss[0] - loss[1]) / 2e-5;
        CHECK(fabs(got - want) <= 1e-5 * size, "%s, part %d: %g is not %g", mbk_level_name(level), i, got, want);
        free(way);
    }
    for (int i = 0; i < 4; i++) {
        free(p[i]);
    }
    free_result(&r);
    free(dy);
    free(dfinal);
}

MBS_TEST(rnn, gradients) {
    EACH_LEVEL(level) {
        for (int i = 0; i < 6; i++) {
            cell c = random_cell((mbk_cell)(i % 2), kit_int(2, 40), kit_int(1, 40));
            if (i >= 4) {
                free_cell(&c);
                c = random_cell((mbk_cell)(i % 2), 200, 9);
                for (c.n_starts = 0; c.n_starts < 70; c.n_starts++) { /* more than go side by side */
                    c.starts[c.n_starts] = (int32_t)(i == 4 ? 2 + 2 * c.n_starts : 2 * c.n_starts);
                }
            }
            check_gradients(&c, level, 1 + i % 3, i == 2 || i == 3 ? -1 : 0);
            free_cell(&c);
        }
    }
}

MBS_TEST(rnn, chunk_law_and_side_by_side) {
    EACH_LEVEL(level) {
        for (int kind = 0; kind < 2; kind++) {
            cell c = random_cell((mbk_cell)kind, 60, 37);
            result whole = run(&c, level, 1, 0, NULL, NULL);
            static const int64_t cuts[] = {1, 7, -1};
            for (int i = 0; i < 3; i++) {
                result r = run(&c, level, 3, cuts[i], NULL, NULL);
                CHECK(kit_same(r.y, whole.y, c.rows * c.h));
                CHECK(kit_same(r.state, whole.state, MBK_RNN_STATES(c.kind) * c.h));
                free_result(&r);
            }
            c.n_starts = 3;
            c.starts[0] = 0;
            c.starts[1] = 20;
            c.starts[2] = 31;
            result many = run(&c, level, 2, 0, NULL, NULL);
            cell one = c;
            one.n_starts = 0;
            one.rows = 11;
            one.x = c.x + 20 * gates(&c);
            one.state = kit_random(2 * c.h, 0, 0);
            result alone = run(&one, level, 1, 0, NULL, NULL);
            CHECK(kit_same(many.y + 20 * c.h, alone.y, 11 * c.h));
            free(one.state);
            free_result(&many);
            free_result(&alone);
            free_result(&whole);
            free_cell(&c);
        }
    }
}

MBS_TEST(rnn, golden) {
    enum { BATCH = 2, L = 7, IN = 5, H = 6 };
    vec_file *f = vec_open("rnn");
    EACH_LEVEL(level) {
        for (int kind = 0; kind < 2; kind++) {
            const char *name = kind ? "gru" : "lstm";
            char key[64];
#define TENSOR(NAME) (snprintf(key, sizeof key, "%s." NAME, name), vec_f32(f, key))
            for (int b = 0; b < BATCH; b++) {
                cell c = random_cell((mbk_cell)kind, L, H);
                const int64_t g = gates(&c);
                memcpy(c.w, TENSOR("weight_hh_l0"), (size_t)(g * H) * sizeof(float));
                memcpy(c.bias, TENSOR("bias_hh_l0"), (size_t)g * sizeof(float));
                memcpy(c.state, vec_f32(f, "h0") + b * H, H * sizeof(float));
                if (kind == 0) {
                    memcpy(c.state + H, vec_f32(f, "c0") + b * H, H * sizeof(float));
                }
                for (int64_t i = 0; i < L * g; i++) {
                    double sum = (double)TENSOR("bias_ih_l0")[i % g];
                    for (int k = 0; k < IN; k++) {
                        sum += (double)TENSOR("weight_ih_l0")[i % g * IN + k] *
                               (double)vec_f32(f, "x")[(b * L + i / g) * IN + k];
                    }
                    c.x[i] = (float)sum;
                }
                result r = run(&c, level, 1, 3, NULL, NULL);
                snprintf(key, sizeof key, "%s.out", name);
                CHECK(vec_maxrel(r.y, vec_f64(f, key) + b * L * H, L * H) < 3e-6);
                CHECK(kind || vec_maxrel(r.state + H, vec_f64(f, "lstm.c") + b * H, H) < 3e-6);
                free_result(&r);
                free_cell(&c);
            }
        }
    }
    vec_close(f);
}
