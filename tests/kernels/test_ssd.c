/* The state space dual form: golden vectors, every level against ref and against the recurrence, and the chunk law: the
 * same bits wherever the rows are cut, however many threads compute and whoever rides along. */
#include <math.h>

#include "kit.h"
#include "support/test.h"
#include "support/vectors.h"

#define Q MBK_SSD_BLOCK

typedef struct ssd_case {
    int64_t rows, heads, p, groups, n;
    int wide, with_d, with_bias;
    float dt_min, dt_max;
    const float *x, *dt, *b, *c, *a, *d, *bias, *state; /* state: head, n, p */
} ssd_case;

typedef struct result {
    float *y, *state, *open_x, *open_b, *open_lam;
} result;

static void result_free(result r) {
    float *all[] = {r.y, r.state, r.open_x, r.open_b, r.open_lam};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

/* Calls of `cut` rows; random lengths where it is negative. */
static result run(const ssd_case *s, mbk_level level, int threads, int64_t cut, int in_place) {
    mbk_ctx *ctx = kit_open(level, threads);
    const int64_t cols = s->heads * s->p;
    float *zeros = kit_random(s->heads * Q * (s->p + 2) + Q * s->groups * s->n, 0, 0);
    kit_mat x = kit_of(ctx, s->rows, cols, kit_int(0, 9), s->x);
    kit_mat dt = kit_of(ctx, s->rows, s->heads, kit_int(0, 9), s->dt);
    kit_mat b = kit_of(ctx, s->rows, s->groups * s->n, kit_int(0, 9), s->b);
    kit_mat c = kit_of(ctx, s->rows, s->groups * s->n, kit_int(0, 9), s->c);
    kit_mat a = kit_of(ctx, 1, s->heads, 0, s->a);
    kit_mat d = kit_of(ctx, 1, s->wide ? cols : s->heads, 0, s->d);
    kit_mat bias = kit_of(ctx, 1, s->heads, 0, s->bias);
    kit_mat state = kit_of(ctx, s->heads * s->n, s->p, kit_int(0, 3), s->state);
    kit_mat ox = kit_of(ctx, s->heads * Q, s->p, kit_int(0, 3), zeros);
    kit_mat ob = kit_of(ctx, Q, s->groups * s->n, kit_int(0, 3), zeros);
    kit_mat ol = kit_of(ctx, s->heads, 2L * Q, kit_int(0, 3), zeros);
    kit_mat y = kit_new(ctx, s->rows, cols, kit_int(0, 9));
    kit_mat *out = in_place ? &x : &y;
    for (int64_t from = 0; from < s->rows;) {
        int64_t take = cut < 0 ? kit_int(1, 90) : cut ? cut : s->rows;
        int64_t to = from + take < s->rows ? from + take : s->rows;
        mbk_ssd_args args = {.y = kit_rows(out, from, to),
                             .x = kit_rows(&x, from, to),
                             .dt = kit_rows(&dt, from, to),
                             .b = kit_rows(&b, from, to),
                             .c = kit_rows(&c, from, to),
                             .a = a.m,
                             .d = s->with_d ? d.m : kit_none,
                             .bias = s->with_bias ? bias.m : kit_none,
                             .state = state.m,
                             .open_x = ox.m,
                             .open_b = ob.m,
                             .open_lam = ol.m,
                             .groups = s->groups,
                             .position = from,
                             .dt_min = s->dt_min,
                             .dt_max = s->dt_max};
        CHECK_INT(ctx->ops->ssd(ctx, &args), 0);
        from = to;
    }
    kit_mat *all[] = {&x, &dt, &b, &c, &a, &d, &bias, &state, &ox, &ob, &ol, &y};
    for (size_t i = 0; i < 11 + (size_t)!in_place; i++) {
        CHECK(kit_canaries(all[i]), "wrote outside of %zu", i);
    }
    result r = {kit_get(out), kit_get(&state), kit_get(&ox), kit_get(&ob), kit_get(&ol)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
    free(zeros);
    kit_close(ctx);
    return r;
}

/* The state after the last row, as (head, p, n): what the block that is open adds to the carried one. */
static float *state_now(const ssd_case *s, const result *r) {
    float *now = kit_random(s->heads * s->p * s->n, 0, 0);
    const int64_t open = s->rows % Q;
    for (int64_t h = 0; h < s->heads; h++) {
        const float *lam = r->open_lam + h * 2 * Q;
        const int64_t g = h / (s->heads / s->groups);
        double last = open ? (double)lam[open - 1] + (double)lam[Q + open - 1] : 0;
        for (int64_t n = 0; n < s->n; n++) {
            for (int64_t p = 0; p < s->p; p++) {
                double sum = exp(last) * (double)r->state[(h * s->n + n) * s->p + p];
                for (int64_t j = 0; j < open; j++) {
                    double rest = exp(last - (double)lam[j] - (double)lam[Q + j]);
                    sum += rest * (double)r->open_x[(h * Q + j) * s->p + p] *
                           (double)r->open_b[(j * s->groups + g) * s->n + n];
                }
                now[(h * s->p + p) * s->n + n] = (float)sum;
            }
        }
    }
    return now;
}

/* --- golden ------------------------------------------------------------------------------------------------------- */

static float *head_state_turned(const float *from, int64_t heads, int64_t p, int64_t n) {
    float *to = kit_random(heads * p * n, 0, 0);
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t i = 0; i < p; i++) {
            for (int64_t k = 0; k < n; k++) {
                to[(h * n + k) * p + i] = from[(h * p + i) * n + k];
            }
        }
    }
    return to;
}

MBS_TEST(ssd, golden) {
    vec_file *f = vec_open("ssd_grad");
    enum { L = 37, H = 4, P = 8, G = 2, N = 8 };
    EACH_LEVEL(level) {
        for (int batch = 0; batch < 2; batch++) {
            float *h0 = head_state_turned(vec_f32(f, "h0") + batch * H * P * N, H, P, N);
            ssd_case s = {L, H, P, G, N, 0, 1, 1, 0, INFINITY, .state = h0};
            s.x = vec_f32(f, "x") + batch * L * H * P;
            s.dt = vec_f32(f, "dtr") + batch * L * H;
            s.b = vec_f32(f, "B") + batch * L * G * N;
            s.c = vec_f32(f, "C") + batch * L * G * N;
            s.a = vec_f32(f, "A");
            s.d = vec_f32(f, "D");
            s.bias = vec_f32(f, "bias");
            result r = run(&s, level, 1, 0, 0);
            float *now = state_now(&s, &r);
            double off = vec_maxrel(r.y, vec_f64(f, "y") + batch * L * H * P, L * H * P);
            double off_state = vec_maxrel(now, vec_f64(f, "final") + batch * H * P * N, H * P * N);
            fprintf(stderr, "  ssd_grad %-7s y %.2e final %.2e\n", mbk_level_name(level), off, off_state);
            CHECK(off <= 3e-6 && off_state <= 3e-6, "%s: y %g final %g", mbk_level_name(level), off, off_state);
            free(now);
            free(h0);
            result_free(r);
        }
    }
    vec_close(f);
}

MBS_TEST(ssd, golden_gated_norm) {
    vec_file *f = vec_open("rmsnorm_gated");
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        kit_mat x = kit_of(ctx, 3, 24, 3, vec_f32(f, "x"));
        kit_mat z = kit_of(ctx, 3, 24, 2, vec_f32(f, "z"));
        kit_mat w = kit_of(ctx, 1, 24, 0, vec_f32(f, "w"));
        for (int k = 0; k < 4; k++) {
            char name[16];
            kit_mat y = k & 1 ? kit_of(ctx, 3, 24, 1, vec_f32(f, "x")) : kit_new(ctx, 3, 24, 1);
            int64_t group = k < 2 ? 24 : 8;
            snprintf(name, sizeof name, "nbg%d_g%d", k & 1, (int)group);
            CHECK_INT(ctx->ops->rmsnorm_gated(ctx, y.m, k & 1 ? y.m : x.m, z.m, w.m, 1e-5f, group, k & 1), 0);
            float *got = kit_get(&y);
            double off = vec_maxrel(got, vec_f64(f, name), 72);
            CHECK(off <= 3e-6, "%s %s: %g", mbk_level_name(level), name, off);
            CHECK(kit_canaries(&y));
            free(got);
            kit_free(&y);
        }
        kit_free(&x);
        kit_free(&z);
        kit_free(&w);
        kit_close(ctx);
    }
    vec_close(f);
}

/* --- random shapes ------------------------------------------------------------------------------------------------ */

static ssd_case case_new(int64_t rows, int64_t heads, int64_t p, int64_t groups, int64_t n) {
    ssd_case s = {rows,
                  heads,
                  p,
                  groups,
                  n,
                  (int)kit_int(0, 1),
                  kit_int(0, 5) > 0,
                  kit_int(0, 3) > 0,
                  0,
                  INFINITY,
                  .x = kit_random(rows * heads * p, -1, 1),
                  .dt = kit_random(rows * heads, -6, 2),
                  .b = kit_random(rows * groups * n, -1, 1),
                  .c = kit_random(rows * groups * n, -1, 1),
                  .a = kit_random(heads, -16, -0.01f),
                  .d = kit_random(heads * p, -1, 1),
                  .bias = kit_random(heads, -2, 1),
                  .state = kit_random(heads * n * p, -1, 1)};
    if (kit_int(0, 2) == 0) {
        s.dt_min = 0.05f;
        s.dt_max = 0.5f;
    }
    return s;
}

static void case_free(ssd_case *s) {
    const float *all[] = {s->x, s->dt, s->b, s->c, s->a, s->d, s->bias, s->state};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free((void *)(uintptr_t)all[i]);
    }
}

/* The recurrence in double: y, and the state after the last row as (head, p, n). */
static void recurrence(const ssd_case *s, float *y, float *final) {
    double *h = calloc((size_t)s->n, sizeof *h);
    for (int64_t hp = 0; hp < s->heads * s->p; hp++) {
        const int64_t head = hp / s->p;
        const int64_t g = head / (s->heads / s->groups);
        for (int64_t n = 0; n < s->n; n++) {
            h[n] = (double)s->state[(head * s->n + n) * s->p + hp % s->p];
        }
        for (int64_t t = 0; t < s->rows; t++) {
            double q = (double)s->dt[t * s->heads + head] + (s->with_bias ? (double)s->bias[head] : 0);
            double delta = fmin(fmax(q > 20 ? q : log1p(exp(q)), (double)s->dt_min), (double)s->dt_max);
            double x = (double)s->x[t * s->heads * s->p + hp];
            double sum = s->with_d ? (double)s->d[s->wide ? hp : head] * x : 0;
            for (int64_t n = 0; n < s->n; n++) {
                int64_t bc = (t * s->groups + g) * s->n + n;
                h[n] = exp(delta * (double)s->a[head]) * h[n] + delta * x * (double)s->b[bc];
                sum += h[n] * (double)s->c[bc];
            }
            y[t * s->heads * s->p + hp] = (float)sum;
        }
        for (int64_t n = 0; n < s->n; n++) {
            final[hp * s->n + n] = (float)h[n];
        }
    }
    free(h);
}

static void check_same(const ssd_case *s, const result *a, const result *b, const char *what) {
    CHECK(kit_same(a->y, b->y, s->rows * s->heads * s->p), "y, %s", what);
    CHECK(kit_same(a->state, b->state, s->heads * s->n * s->p), "state, %s", what);
    CHECK(kit_same(a->open_x, b->open_x, s->heads * Q * s->p), "open x, %s", what);
    CHECK(kit_same(a->open_b, b->open_b, Q * s->groups * s->n), "open b, %s", what);
    CHECK(kit_same(a->open_lam, b->open_lam, s->heads * 2 * Q), "open lam, %s", what);
}

static void check_case(int64_t rows, int64_t heads, int64_t p, int64_t groups, int64_t n) {
    ssd_case s = case_new(rows, heads, p, groups, n);
    float *y = kit_random(rows * heads * p, 0, 0);
    float *final = kit_random(heads * p * n, 0, 0);
    recurrence(&s, y, final);
    EACH_LEVEL(level) {
        char what[100];
        result whole = run(&s, level, 1, 0, 0);
        float *now = state_now(&s, &whole);
        double off = kit_maxoff(whole.y, y, rows * heads * p, sqrt((double)n) / 8);
        double off_state = kit_maxrel(now, final, heads * p * n);
        snprintf(what, sizeof what, "%s L=%ld H=%ld P=%ld G=%ld N=%ld", mbk_level_name(level), (long)rows, (long)heads,
                 (long)p, (long)groups, (long)n);
        CHECK(off <= 5e-6 && off_state <= 5e-6, "%s: y %g state %g", what, off, off_state);
        static const int64_t cuts[] = {1, 7, 64, -1, 0, 100};
        for (int i = KIT_SIZE(0, 1); i < 6; i += KIT_SIZE(1, 2)) {
            char how[130];
            snprintf(how, sizeof how, "%s cut %ld", what, (long)cuts[i]);
            result cut = run(&s, level, i < 3 ? 1 : i - 2, cuts[i], i & 1);
            check_same(&s, &cut, &whole, how);
            result_free(cut);
        }
        free(now);
        result_free(whole);
    }
    free(y);
    free(final);
    case_free(&s);
}

MBS_TEST(ssd, matches_the_recurrence_and_is_cut_anywhere) {
    static const int64_t states[] = {1, 3, 16, 17, 63, 64, 65, 128, 200};
    for (size_t i = 0; i < sizeof states / sizeof *states; i += KIT_SIZE(1, 2)) {
        int64_t groups = kit_int(1, 3);
        check_case(kit_int(1, 150), groups * kit_int(1, 3), kit_int(1, 70), groups, states[i]);
        check_case(kit_int(1, 20), groups, kit_int(1, 20), groups, states[i]);
    }
    for (int64_t p = 1; p <= 40; p += KIT_SIZE(3, 13)) {
        check_case(70, 2, p, 1, 5);
    }
    check_case(64, 2, 64, 1, 16);
    check_case(128, 1, 64, 1, 8);
    check_case(300, 3, 64, 1, KIT_SIZE(128, 30));
}

/* More (block, group) pairs than the scratch of a context holds. */
MBS_TEST(ssd, many_groups) {
    check_case(KIT_SIZE(200, 70), 60, 2, 60, 3);
    check_case(70, 150, 1, 150, 2);
}

/* lam grows along a block while what counts are differences: f32 alone would lose them. */
MBS_TEST(ssd, large_steps_before_small_ones) {
    ssd_case s = case_new(120, 3, 9, 1, 12);
    float *dt = (float *)(uintptr_t)s.dt;
    float *a = (float *)(uintptr_t)s.a;
    s.dt_min = 0;
    s.dt_max = INFINITY;
    s.with_d = 0;
    s.with_bias = 0;
    for (int64_t t = 0; t < 120; t++) {
        for (int64_t h = 0; h < 3; h++) {
            dt[t * 3 + h] = t % 64 < 30 ? 300.0f : -5.0f;
        }
    }
    a[0] = a[1] = a[2] = -16;
    float *y = kit_random(120 * 27, 0, 0);
    float *final = kit_random(27 * 12, 0, 0);
    recurrence(&s, y, final);
    EACH_LEVEL(level) {
        result r = run(&s, level, 1, 0, 0);
        /* The rows of small steps have small results: each row beside its step, as its B and C may cancel, so wider. */
        for (int64_t t = 0; t < 120; t++) {
            double off = kit_maxoff(r.y + t * 27, y + t * 27, 27, 0.7 * log1p(exp((double)dt[t * 3])));
            CHECK(off <= 3e-5, "%s row %ld: %g", mbk_level_name(level), (long)t, off);
        }
        result_free(r);
    }
    free(y);
    free(final);
    case_free(&s);
}

/* What is not finite in one row is not seen by those before it, also within a block and a register tile. */
MBS_TEST(ssd, nothing_goes_back_in_time) {
    EACH_LEVEL(level) {
        ssd_case s = case_new(100, 2, 33, 1, 8);
        float *x = (float *)(uintptr_t)s.x;
        x[70 * 66 + 5] = INFINITY;
        result r = run(&s, level, 1, 0, 0);
        for (int64_t i = 0; i < 70 * 66; i++) {
            CHECK(isfinite(r.y[i]), "%s: y[%ld] is %g", mbk_level_name(level), (long)i, (double)r.y[i]);
        }
        CHECK(!isfinite(r.y[70 * 66 + 5]));
        result_free(r);
        case_free(&s);
    }
}

/* Several sequences in one call have the bits of a call for each, the first of which continues in its block. */
MBS_TEST(ssd, starts_are_separate_calls) {
    static const int32_t all[] = {0, 1, 5, 69, 70, 198, 261};
    enum { ROWS = 300, H = 4, P = 10, G = 2, N = 6, AT = 37 };
    EACH_LEVEL(level) {
        for (int skip = 0; skip < 2; skip++) {
            mbk_ctx *ctx = kit_open(level, 1 + skip);
            mbk_buf *idb = kit_ids(ctx, all, sizeof all / sizeof *all);
            mbk_starts starts = {idb, skip, 7 - skip};
            float *num = kit_random(ROWS * H * P + 100, -1, 0);
            float *zeros = kit_random(H * Q * P, 0, 0);
            kit_mat x = kit_of(ctx, ROWS, H * P, 0, num);
            kit_mat dt = kit_of(ctx, ROWS, H, 0, num + 40);
            kit_mat b = kit_of(ctx, ROWS, G * N, 0, num + 9);
            kit_mat c = kit_of(ctx, ROWS, G * N, 0, num + 19);
            kit_mat a = kit_of(ctx, 1, H, 0, num + 77);
            float *got[2][5];
            for (int way = 0; way < 2; way++) {
                kit_mat state = kit_of(ctx, H * N, P, 0, num + 5);
                kit_mat ox = kit_of(ctx, H * Q, P, 0, zeros);
                kit_mat ob = kit_of(ctx, Q, G * N, 0, zeros);
                kit_mat ol = kit_of(ctx, H, 2L * Q, 0, zeros);
                kit_mat y = kit_new(ctx, ROWS, H * P, 0);
                mbk_ssd_args s = {.a = a.m,
                                  .d = a.m,
                                  .bias = a.m,
                                  .state = state.m,
                                  .open_x = ox.m,
                                  .open_b = ob.m,
                                  .open_lam = ol.m,
                                  .groups = G,
                                  .dt_max = INFINITY};
                for (int64_t k = 0; k <= (way ? 0 : starts.n); k++) {
                    int64_t from = k ? all[skip + k - 1] : 0;
                    int64_t to = way || k == starts.n ? ROWS : all[skip + k];
                    s.y = kit_rows(&y, from, to);
                    s.x = kit_rows(&x, from, to);
                    s.dt = kit_rows(&dt, from, to);
                    s.b = kit_rows(&b, from, to);
                    s.c = kit_rows(&c, from, to);
                    s.position = k ? 0 : AT;
                    s.starts = way ? starts : kit_whole;
                    if (k) {
                        mbk_mat *clear[] = {&state.m, &ox.m, &ob.m, &ol.m};
                        for (int i = 0; i < 4; i++) {
                            ctx->ops->zero(ctx, *clear[i]);
                        }
                    }
                    CHECK_INT(ctx->ops->ssd(ctx, &s), 0);
                }
                kit_mat *out[] = {&y, &state, &ox, &ob, &ol};
                for (int i = 0; i < 5; i++) {
                    got[way][i] = kit_get(out[i]);
                }
                int64_t counts[] = {ROWS * H * P, H * N * P, H * Q * P, Q * G * N, H * 2 * Q};
                for (int i = 0; i < 5; i++) {
                    CHECK(!way || kit_same(got[0][i], got[1][i], counts[i]), "%s: %d", mbk_level_name(level), i);
                    kit_free(out[i]);
                }
            }
            for (int i = 0; i < 10; i++) {
                free(got[i / 5][i % 5]);
            }
            kit_mat *rest[] = {&x, &dt, &b, &c, &a};
            for (size_t k = 0; k < sizeof rest / sizeof *rest; k++) {
                kit_free(rest[k]);
            }
            free(num);
            free(zeros);
            ctx->ops->buf_free(ctx, idb);
            kit_close(ctx);
        }
    }
}

/* --- gradients ---------------------------------------------------------------------------------------------------- */

typedef struct grads {
    float *dx, *ddt, *db, *dc, *da, *dd, *dbias, *dstate;
} grads;

static void grads_free(grads g) {
    float *all[] = {g.dx, g.ddt, g.db, g.dc, g.da, g.dd, g.dbias, g.dstate};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

/* Forward and back in calls of `cut` rows (0: one call); dfinal (head, n, p) is the gradient of the state behind. */
static grads back(const ssd_case *s, mbk_level level, int threads, int64_t cut, const float *dout,
                  const float *dfinal) {
    mbk_ctx *ctx = kit_open(level, threads);
    const int64_t cols = s->heads * s->p;
    const int64_t bc = s->groups * s->n;
    const int64_t step = cut ? cut : s->rows;
    const int64_t calls = (s->rows + step - 1) / step;
    float *zeros = kit_random(s->heads * Q * (s->p + 2) + Q * bc + cols, 0, 0);
    kit_mat x = kit_of(ctx, s->rows, cols, 3, s->x);
    kit_mat dt = kit_of(ctx, s->rows, s->heads, 1, s->dt);
    kit_mat b = kit_of(ctx, s->rows, bc, 2, s->b);
    kit_mat c = kit_of(ctx, s->rows, bc, 5, s->c);
    kit_mat dy = kit_of(ctx, s->rows, cols, 1, dout);
    kit_mat a = kit_of(ctx, 1, s->heads, 0, s->a);
    kit_mat d = kit_of(ctx, 1, s->wide ? cols : s->heads, 0, s->d);
    kit_mat bias = kit_of(ctx, 1, s->heads, 0, s->bias);
    kit_mat state = kit_of(ctx, s->heads * s->n, s->p, 1, s->state);
    kit_mat ox = kit_of(ctx, s->heads * Q, s->p, 0, zeros);
    kit_mat ob = kit_of(ctx, Q, bc, 0, zeros);
    kit_mat ol = kit_of(ctx, s->heads, 2L * Q, 0, zeros);
    kit_mat y = kit_new(ctx, s->rows, cols, 0);
    kit_mat saved = kit_new(ctx, calls * MBK_SSD_SAVED(step) * s->heads * s->n, s->p, 2);
    kit_mat dx = kit_new(ctx, s->rows, cols, 2);
    kit_mat ddt = kit_new(ctx, s->rows, s->heads, 2);
    kit_mat db = kit_new(ctx, s->rows, bc, 1);
    kit_mat dc = kit_new(ctx, s->rows, bc, 1);
    kit_mat da = kit_of(ctx, 1, s->heads, 0, zeros);
    kit_mat dd = kit_of(ctx, 1, s->wide ? cols : s->heads, 0, zeros);
    kit_mat dbias = kit_of(ctx, 1, s->heads, 0, zeros);
    kit_mat dstate = kit_of(ctx, s->heads * s->n, s->p, 1, dfinal);
    const int64_t each = MBK_SSD_SAVED(step) * s->heads * s->n;
    for (int64_t k = 0; k < 2 * calls; k++) {
        const int64_t call = k < calls ? k : 2 * calls - 1 - k;
        const int64_t from = call * step;
        const int64_t to = from + step < s->rows ? from + step : s->rows;
        mbk_ssd_args f = {.y = kit_rows(&y, from, to),
                          .x = kit_rows(&x, from, to),
                          .dt = kit_rows(&dt, from, to),
                          .b = kit_rows(&b, from, to),
                          .c = kit_rows(&c, from, to),
                          .a = a.m,
                          .d = s->with_d ? d.m : kit_none,
                          .bias = s->with_bias ? bias.m : kit_none,
                          .state = state.m,
                          .open_x = ox.m,
                          .open_b = ob.m,
                          .open_lam = ol.m,
                          .groups = s->groups,
                          .position = from,
                          .dt_min = s->dt_min,
                          .dt_max = s->dt_max,
                          .saved = kit_rows(&saved, call * each, (call + 1) * each)};
        mbk_ssd_grad_args g = {.dx = kit_rows(&dx, from, to),
                               .ddt = kit_rows(&ddt, from, to),
                               .db = kit_rows(&db, from, to),
                               .dc = kit_rows(&dc, from, to),
                               .da = da.m,
                               .dd = s->with_d ? dd.m : kit_none,
                               .dbias = s->with_bias ? dbias.m : kit_none,
                               .dstate = dstate.m,
                               .dy = kit_rows(&dy, from, to),
                               .x = f.x,
                               .dt = f.dt,
                               .b = f.b,
                               .c = f.c,
                               .a = a.m,
                               .d = f.d,
                               .bias = f.bias,
                               .saved = f.saved,
                               .groups = s->groups,
                               .position = from,
                               .dt_min = s->dt_min,
                               .dt_max = s->dt_max};
        CHECK_INT(k < calls ? ctx->ops->ssd(ctx, &f) : ctx->ops->ssd_grad(ctx, &g), 0);
    }
    kit_mat *out[] = {&dx, &ddt, &db, &dc, &da, &dd, &dbias, &dstate};
    float *got[8];
    for (int i = 0; i < 8; i++) {
        CHECK(kit_canaries(out[i]), "wrote outside of %d", i);
        got[i] = kit_get(out[i]);
    }
    kit_mat *all[] = {&x,  &dt, &b,     &c,  &dy,  &a,  &d,  &bias, &state, &ox,    &ob,
                      &ol, &y,  &saved, &dx, &ddt, &db, &dc, &da,   &dd,    &dbias, &dstate};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
    free(zeros);
    kit_close(ctx);
    return (grads){got[0], got[1], got[2], got[3], got[4], got[5], got[6], got[7]};
}

MBS_TEST(ssd, golden_gradients) {
    vec_file *f = vec_open("ssd_grad");
    enum { L = 37, H = 4, P = 8, G = 2, N = 8 };
    EACH_LEVEL(level) {
        double sums[3][H] = {{0}};
        for (int batch = 0; batch < 2; batch++) {
            float *h0 = head_state_turned(vec_f32(f, "h0") + batch * H * P * N, H, P, N);
            float *dfinal = head_state_turned(vec_f32(f, "dfinal") + batch * H * P * N, H, P, N);
            ssd_case s = {L, H, P, G, N, 0, 1, 1, 0, INFINITY, .state = h0};
            s.x = vec_f32(f, "x") + batch * L * H * P;
            s.dt = vec_f32(f, "dtr") + batch * L * H;
            s.b = vec_f32(f, "B") + batch * L * G * N;
            s.c = vec_f32(f, "C") + batch * L * G * N;
            s.a = vec_f32(f, "A");
            s.d = vec_f32(f, "D");
            s.bias = vec_f32(f, "bias");
            grads g = back(&s, level, 1, 0, vec_f32(f, "dout") + batch * L * H * P, dfinal);
            float *dh0 = kit_random(H * N * P, 0, 0);
            for (int h = 0; h < H; h++) {
                for (int i = 0; i < N * P; i++) {
                    dh0[h * N * P + i % P * N + i / P] = g.dstate[h * N * P + i];
                }
                sums[0][h] += (double)g.da[h];
                sums[1][h] += (double)g.dd[h];
                sums[2][h] += (double)g.dbias[h];
            }
            const struct {
                const char *name;
                const float *got;
                int64_t n;
            } rows[] = {{"grad.x", g.dx, L * H * P},
                        {"grad.dtr", g.ddt, L * H},
                        {"grad.B", g.db, L * G * N},
                        {"grad.C", g.dc, L * G * N},
                        {"grad.h0", dh0, H * P * N}};
            for (int i = 0; i < 5; i++) {
                double off = vec_maxrel(rows[i].got, vec_f64(f, rows[i].name) + batch * rows[i].n, rows[i].n);
                CHECK(off <= 1e-5, "%s %s: %g", mbk_level_name(level), rows[i].name, off);
            }
            free(dh0);
            free(h0);
            free(dfinal);
            grads_free(g);
        }
        static const char *const names[] = {"grad.A", "grad.D", "grad.bias"};
        for (int i = 0; i < 3; i++) {
            float got[H];
            for (int h = 0; h < H; h++) {
                got[h] = (float)sums[i][h];
            }
            double off = vec_maxrel(got, vec_f64(f, names[i]), H);
            CHECK(off <= 1e-5, "%s %s: %g", mbk_level_name(level), names[i], off);
        }
    }
    vec_close(f);
}

/* A cut changes the gradients by no more than rounding, threads not at all, and levels agree. */
MBS_TEST(ssd, gradients_of_any_cut) {
    for (int round = 0; round < KIT_SIZE(8, 4); round++) {
        int64_t groups = kit_int(1, 2);
        ssd_case s = case_new(kit_int(1, 200), groups * kit_int(1, 9), kit_int(1, 40), groups, kit_int(1, 40));
        const int64_t state = s.heads * s.n * s.p;
        const int64_t cols = s.heads * s.p;
        float *dout = kit_random(s.rows * cols, -1, 1);
        float *dfinal = kit_random(state, -1, 1);
        grads want = back(&s, MBK_LEVEL_REF, 1, 0, dout, dfinal);
        EACH_LEVEL(level) {
            grads whole = back(&s, level, 1, 0, dout, dfinal);
            grads threads = back(&s, level, 3, 0, dout, dfinal);
            grads cut = back(&s, level, 2, kit_int(1, 100), dout, dfinal);
            const struct {
                const float *want, *whole, *threads, *cut;
                int64_t n;
            } each[] = {{want.dx, whole.dx, threads.dx, cut.dx, s.rows * cols},
                        {want.ddt, whole.ddt, threads.ddt, cut.ddt, s.rows * s.heads},
                        {want.db, whole.db, threads.db, cut.db, s.rows * groups * s.n},
                        {want.dc, whole.dc, threads.dc, cut.dc, s.rows * groups * s.n},
                        {want.da, whole.da, threads.da, cut.da, s.heads},
                        {want.dd, whole.dd, threads.dd, cut.dd, s.wide ? cols : s.heads},
                        {want.dbias, whole.dbias, threads.dbias, cut.dbias, s.heads},
                        {want.dstate, whole.dstate, threads.dstate, cut.dstate, state}};
            for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
                double off = kit_maxoff(each[i].whole, each[i].want, each[i].n, 1);
                double off_cut = kit_maxoff(each[i].cut, each[i].want, each[i].n, 1);
                CHECK(off <= 1e-5 && off_cut <= 1e-5, "%s %zu: %g, cut %g", mbk_level_name(level), i, off, off_cut);
                CHECK(kit_same(each[i].whole, each[i].threads, each[i].n), "%s %zu: threads", mbk_level_name(level), i);
            }
            grads_free(whole);
            grads_free(threads);
            grads_free(cut);
        }
        grads_free(want);
        free(dout);
        free(dfinal);
        case_free(&s);
    }
}

MBS_TEST(ssd, golden_gradients_of_the_gated_norm) {
    vec_file *f = vec_open("rmsnorm_gated");
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        kit_mat x = kit_of(ctx, 3, 24, 3, vec_f32(f, "x"));
        kit_mat w = kit_of(ctx, 1, 24, 0, vec_f32(f, "w"));
        for (int k = 0; k < 4; k++) {
            static const char *const parts[] = {"x", "z", "w"};
            float zeros[24] = {0};
            int64_t group = k < 2 ? 24 : 8;
            kit_mat dx = kit_of(ctx, 3, 24, 1, vec_f32(f, "dout")); /* in the place of dy and z */
            kit_mat dz = kit_of(ctx, 3, 24, 2, vec_f32(f, "z"));
            kit_mat dw = kit_of(ctx, 1, 24, 0, zeros);
            CHECK_INT(ctx->ops->rmsnorm_gated_grad(ctx, dx.m, dz.m, dw.m, dx.m, x.m, dz.m, w.m, 1e-5f, group, k & 1),
                      0);
            kit_mat *out[] = {&dx, &dz, &dw};
            for (int i = 0; i < 3; i++) {
                char name[32];
                snprintf(name, sizeof name, "grad.nbg%d_g%d.%s", k & 1, (int)group, parts[i]);
                float *got = kit_get(out[i]);
                double off = vec_maxrel(got, vec_f64(f, name), out[i]->m.rows * 24);
                CHECK(off <= 1e-5, "%s %s: %g", mbk_level_name(level), name, off);
                CHECK(kit_canaries(out[i]));
                free(got);
                kit_free(out[i]);
            }
        }
        kit_free(&x);
        kit_free(&w);
        kit_close(ctx);
    }
    vec_close(f);
}

/* --- gates -------------------------------------------------------------------------------------------------------- */

MBS_TEST(ssd, gates_match_ref) {
    for (int round = 0; round < KIT_SIZE(40, 20); round++) {
        int64_t rows = kit_int(1, 9);
        int64_t group = kit_int(1, 90);
        int64_t cols = group * kit_int(1, 4);
        int norm_first = (int)kit_int(0, 1);
        float *x = kit_random(rows * cols, -2, 2);
        float *z = kit_random(rows * cols, -6, 6);
        float *w = kit_random(cols, -1, 1);
        float *want[2] = {NULL, NULL};
        EACH_LEVEL(level) {
            mbk_ctx *ctx = kit_open(level, 2);
            kit_mat xm = kit_of(ctx, rows, cols, kit_int(0, 5), x);
            kit_mat zm = kit_of(ctx, rows, cols, kit_int(0, 5), z);
            kit_mat wm = kit_of(ctx, 1, cols, 0, w);
            kit_mat y = kit_new(ctx, rows, cols, 2);
            kit_mat v = kit_new(ctx, rows, cols, 2);
            CHECK_INT(ctx->ops->rmsnorm_gated(ctx, y.m, xm.m, zm.m, wm.m, 1e-5f, group, norm_first), 0);
            CHECK_INT(ctx->ops->gate(ctx, v.m, xm.m, zm.m), 0);
            CHECK(kit_canaries(&y) && kit_canaries(&v));
            float *got[2] = {kit_get(&y), kit_get(&v)};
            for (int i = 0; i < 2; i++) {
                want[i] = want[i] ? want[i] : got[i];
                double off = kit_maxrel(got[i], want[i], rows * cols);
                CHECK(off <= 2e-6, "%s %d: %g", mbk_level_name(level), i, off);
                if (got[i] != want[i]) {
                    free(got[i]);
                }
            }
            kit_mat *all[] = {&xm, &zm, &wm, &y, &v};
            for (int i = 0; i < 5; i++) {
                kit_free(all[i]);
            }
            kit_close(ctx);
        }
        float *mine[] = {x, z, w, want[0], want[1]};
        for (int i = 0; i < 5; i++) {
            free(mine[i]);
        }
    }
}
