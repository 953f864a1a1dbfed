/* Causal attention: golden vectors, every level against the naive form in double, the chunk law with a cache of any
 * size, sequences side by side, and gradients against differences. */
#include <math.h>

#include "kit.h"
#include "support/test.h"
#include "support/vectors.h"

typedef struct att_case {
    int64_t rows, heads, key_heads, p, window, rotary, position;
    double base;
    int interleaved;
    float scale;
    const float *q, *k, *v;
    const int32_t *starts;
    int64_t n_starts;
} att_case;

typedef struct result {
    float *y, *saved, *cache_k, *cache_v, *dq, *dk, *dv;
    int64_t capacity;
} result;

static void result_free(result r) {
    float *all[] = {r.y, r.saved, r.cache_k, r.cache_v, r.dq, r.dk, r.dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static int64_t capacity_of(const att_case *c) {
    return c->window > 1 ? c->window - 1 : c->window == 1 ? 1 : c->rows;
}

/* Forward in calls of `cut` rows (0: one; below: of random lengths), and back where dy is given, from the last call to
 * the first. */
static result run(const att_case *c, mbk_level level, int threads, int64_t cut, const float *dy) {
    mbk_ctx *ctx = kit_open(level, threads);
    const int64_t qc = c->heads * c->p;
    const int64_t kc = c->key_heads * c->p;
    const int64_t cap = capacity_of(c);
    float *zeros = kit_random(cap * kc + 1, 0, 0);
    kit_mat q = kit_of(ctx, c->rows, qc, kit_int(0, 5), c->q);
    kit_mat k = kit_of(ctx, c->rows, kc, kit_int(0, 5), c->k);
    kit_mat v = kit_of(ctx, c->rows, kc, kit_int(0, 5), c->v);
    kit_mat y = kit_new(ctx, c->rows, qc, kit_int(0, 5));
    kit_mat saved = kit_new(ctx, c->rows, c->heads, kit_int(0, 5));
    kit_mat ck = kit_of(ctx, cap, kc, kit_int(0, 3), zeros);
    kit_mat cv = kit_of(ctx, cap, kc, kit_int(0, 3), zeros);
    enum { CALLS = 400 };
    static kit_mat before[CALLS][2];
    static int64_t end[CALLS + 1];
    mbk_buf *ids = c->n_starts ? kit_ids(ctx, c->starts, c->n_starts) : NULL;
    int64_t calls = 0;
    end[0] = 0;
    for (; end[calls] < c->rows; calls++) {
        const int64_t from = end[calls];
        const int64_t take = cut < 0 ? kit_int(1, 90) : cut ? cut : c->rows;
        const int64_t to = from + take < c->rows ? from + take : c->rows;
        CHECK(calls < CALLS);
        end[calls + 1] = to;
        if (dy) { /* a call may overwrite what its own gradient reads */
            before[calls][0] = kit_new(ctx, cap, kc, 0);
            before[calls][1] = kit_new(ctx, cap, kc, 1);
            ctx->ops->copy(ctx, before[calls][0].m, ck.m);
            ctx->ops->copy(ctx, before[calls][1].m, cv.m);
        }
        mbk_attention_args a = {.y = kit_rows(&y, from, to),
                                .q = kit_rows(&q, from, to),
                                .k = kit_rows(&k, from, to),
                                .v = kit_rows(&v, from, to),
                                .cache_k = ck.m,
                                .cache_v = cv.m,
                                .saved = kit_rows(&saved, from, to),
                                .heads = c->heads,
                                .key_heads = c->key_heads,
                                .position = c->position + from,
                                .window = c->window,
                                .rotary = c->rotary,
                                .rotary_base = c->base,
                                .interleaved = c->interleaved,
                                .scale = c->scale,
                                .starts = {ids, 0, c->n_starts}};
        CHECK_INT(ctx->ops->attention(ctx, &a), 0);
    }
    kit_mat dq = kit_new(ctx, c->rows, qc, 1);
    kit_mat dk = kit_new(ctx, c->rows, kc, 2);
    kit_mat dv = kit_new(ctx, c->rows, kc, 0);
    kit_mat dck = kit_of(ctx, cap, kc, 1, zeros);
    kit_mat dcv = kit_of(ctx, cap, kc, 0, zeros);
    kit_mat g = kit_of(ctx, c->rows, qc, 3, dy ? dy : c->q);
    for (int64_t i = calls - 1; dy && i >= 0; i--) {
        mbk_attention_grad_args a = {.dq = kit_rows(&dq, end[i], end[i + 1]),
                                     .dk = kit_rows(&dk, end[i], end[i + 1]),
                                     .dv = kit_rows(&dv, end[i], end[i + 1]),
                                     .dcache_k = dck.m,
                                     .dcache_v = dcv.m,
                                     .dy = kit_rows(&g, end[i], end[i + 1]),
                                     .y = kit_rows(&y, end[i], end[i + 1]),
                                     .q = kit_rows(&q, end[i], end[i + 1]),
                                     .k = kit_rows(&k, end[i], end[i + 1]),
                                     .v = kit_rows(&v, end[i], end[i + 1]),
                                     .cache_k = before[i][0].m,
                                     .cache_v = before[i][1].m,
                                     .saved = kit_rows(&saved, end[i], end[i + 1]),
                                     .heads = c->heads,
                                     .key_heads = c->key_heads,
                                     .position = c->position + end[i],
                                     .window = c->window,
                                     .rotary = c->rotary,
                                     .rotary_base = c->base,
                                     .interleaved = c->interleaved,
                                     .scale = c->scale,
                                     .starts = {ids, 0, c->n_starts}};
        CHECK_INT(ctx->ops->attention_grad(ctx, &a), 0);
        kit_free(&before[i][0]);
        kit_free(&before[i][1]);
    }
    kit_mat *all[] = {&q, &k, &v, &y, &saved, &ck, &cv, &dq, &dk, &dv, &dck, &dcv, &g};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(kit_canaries(all[i]), "wrote outside of %zu", i);
    }
    result r = {kit_get(&y),  kit_get(&saved), kit_get(&ck), kit_get(&cv),
                kit_get(&dq), kit_get(&dk),    kit_get(&dv), cap};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
    if (ids) {
        ctx->ops->buf_free(ctx, ids);
    }
    free(zeros);
    kit_close(ctx);
    return r;
}

/* --- the naive form ----------------------------------------------------------------------------------------------- */

static int64_t sequence_of(const att_case *c, int64_t t, int64_t *from) {
    int64_t i = 0;
    *from = 0;
    while (i < c->n_starts && c->starts[i] <= t) {
        *from = c->starts[i++];
    }
    return i;
}

static void rotate_row(const att_case *c, double *row, int64_t heads, int64_t x) {
    for (int64_t i = 0; i < c->rotary / 2; i++) {
        const double angle = (double)x * pow(c->base, -2.0 * (double)i / (double)c->rotary);
        const int64_t first = c->interleaved ? 2 * i : i;
        const int64_t second = c->interleaved ? 2 * i + 1 : i + c->rotary / 2;
        for (int64_t h = 0; h < heads; h++) {
            const double a = row[h * c->p + first];
            const double b = row[h * c->p + second];
            row[h * c->p + first] = a * cos(angle) - b * sin(angle);
            row[h * c->p + second] = b * cos(angle) + a * sin(angle);
        }
    }
}

/* y in double of inputs in double; those stay. */
static double *naive(const att_case *c, const double *q0, const double *k0, const double *v) {
    const int64_t qc = c->heads * c->p;
    const int64_t kc = c->key_heads * c->p;
    double *q = malloc((size_t)(c->rows * qc) * sizeof *q);
    double *k = malloc((size_t)(c->rows * kc) * sizeof *k);
    double *y = calloc((size_t)(c->rows * qc), sizeof *y);
    double *s = malloc((size_t)c->rows * sizeof *s);
    memcpy(q, q0, (size_t)(c->rows * qc) * sizeof *q);
    memcpy(k, k0, (size_t)(c->rows * kc) * sizeof *k);
    for (int64_t t = 0; t < c->rows; t++) {
        int64_t from;
        const int64_t x = sequence_of(c, t, &from) ? t - from : c->position + t;
        rotate_row(c, q + t * qc, c->heads, x);
        rotate_row(c, k + t * kc, c->key_heads, x);
    }
    for (int64_t th = 0; th < c->rows * c->heads; th++) {
        const int64_t t = th / c->heads;
        const int64_t h = th % c->heads;
        const int64_t col = h / (c->heads / c->key_heads) * c->p;
        int64_t from;
        sequence_of(c, t, &from);
        from = c->window && t - c->window + 1 > from ? t - c->window + 1 : from;
        double most = -INFINITY;
        double sum = 0;
        for (int64_t j = from; j <= t; j++) {
            s[j] = 0;
            for (int64_t i = 0; i < c->p; i++) {
                s[j] += q[t * qc + h * c->p + i] * k[j * kc + col + i];
            }
            s[j] *= (double)c->scale;
            most = fmax(most, s[j]);
        }
        for (int64_t j = from; j <= t; j++) {
            sum += exp(s[j] - most);
        }
        for (int64_t j = from; j <= t; j++) {
            for (int64_t i = 0; i < c->p; i++) {
                y[t * qc + h * c->p + i] += exp(s[j] - most) / sum * v[j * kc + col + i];
            }
        }
    }
    free(q);
    free(k);
    free(s);
    return y;
}

static double *widened(const float *x, int64_t n) {
    double *w = malloc((size_t)n * sizeof *w);
    for (int64_t i = 0; i < n; i++) {
        w[i] = (double)x[i];
    }
    return w;
}

static double off_by(const float *got, const double *want, int64_t n) {
    double most = 0;
    double off = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(want[i]));
        off = isfinite(got[i]) ? fmax(off, fabs((double)got[i] - want[i])) : INFINITY;
    }
    return off / most;
}

/* --- golden ------------------------------------------------------------------------------------------------------- */

MBS_TEST(attention, golden) {
    enum { B = 2, L = 13, DM = 16, H = 4, K = 2, P = 8, QKV = P * (H + 2 * K), W = 4 };
    vec_file *f = vec_open("attention");
    const float *in = vec_f32(f, "in_proj.weight");
    const float *out = vec_f32(f, "out_proj.weight");
    const float *taps = vec_f32(f, "conv1d.weight");
    const float *tap_bias = vec_f32(f, "conv1d.bias");
    EACH_LEVEL(level) {
        for (int way = 0; way < 2 * B; way++) {
            const float *u = vec_f32(f, "u") + way / 2 * L * DM;
            static float qkv[3][L * H * P];
            double raw[L][QKV];
            for (int t = 0; t < L; t++) {
                for (int o = 0; o < QKV; o++) {
                    raw[t][o] = 0;
                    for (int i = 0; i < DM; i++) {
                        raw[t][o] += (double)u[t * DM + i] * (double)in[o * DM + i];
                    }
                    double v = raw[t][o];
                    for (int w = 0; way % 2 && w < W; w++) {
                        v = w ? v : (double)tap_bias[o];
                        v += t - W + 1 + w >= 0 ? (double)taps[o * W + w] * raw[t - W + 1 + w][o] : 0;
                    }
                    const int part = o < H * P ? 0 : o < (H + K) * P ? 1 : 2;
                    const int cols = part ? K * P : H * P;
                    qkv[part][t * cols + o - (part == 2 ? (H + K) * P : part ? H * P : 0)] = (float)v;
                }
            }
            att_case c = {L, H, K, P, 0, 4, 0, 10000, 0, 1.0f / sqrtf(P), qkv[0], qkv[1], qkv[2], NULL, 0};
            result r = run(&c, level, 1, 0, NULL);
            float got[L * DM];
            for (int i = 0; i < L * DM; i++) {
                double sum = 0;
                for (int o = 0; o < H * P; o++) {
                    sum += (double)r.y[i / DM * H * P + o] * (double)out[i % DM * H * P + o];
                }
                got[i] = (float)sum;
            }
            const char *name = way % 2 ? "conv" : "plain";
            double off = vec_maxrel(got, vec_f64(f, name) + way / 2 * L * DM, L * DM);
            CHECK(off <= 3e-6, "%s %s: %g", mbk_level_name(level), name, off);
            result_free(r);
        }
    }
    vec_close(f);
}

/* --- random shapes ------------------------------------------------------------------------------------------------ */

static att_case case_new(int64_t rows, int64_t key_heads, int64_t each, int64_t p, int64_t window) {
    att_case c = {.rows = rows, .heads = key_heads * each, .key_heads = key_heads, .p = p, .window = window};
    c.rotary = kit_int(0, p / 2) * 2;
    c.base = kit_int(0, 1) ? 10000 : 500;
    c.interleaved = (int)kit_int(0, 1);
    c.scale = kit_float(0.3f, 1.5f) / sqrtf((float)p);
    c.q = kit_random(rows * c.heads * p, -2, 2);
    c.k = kit_random(rows * key_heads * p, -2, 2);
    c.v = kit_random(rows * key_heads * p, -1, 1);
    return c;
}

static void case_free(att_case *c) {
    free((void *)(uintptr_t)c->q);
    free((void *)(uintptr_t)c->k);
    free((void *)(uintptr_t)c->v);
}

static const char *name_of(const att_case *c, mbk_level level) {
    static char name[150];
    snprintf(name, sizeof name, "%s L=%ld H=%ld/%ld P=%ld window %ld rotary %ld", mbk_level_name(level), (long)c->rows,
             (long)c->heads, (long)c->key_heads, (long)c->p, (long)c->window, (long)c->rotary);
    return name;
}

static void check_case(const att_case *c) {
    const int64_t n = c->rows * c->heads * c->p;
    double *q = widened(c->q, n);
    double *k = widened(c->k, c->rows * c->key_heads * c->p);
    double *v = widened(c->v, c->rows * c->key_heads * c->p);
    double *want = naive(c, q, k, v);
    EACH_LEVEL(level) {
        result whole = run(c, level, 1, 0, NULL);
        const double off = off_by(whole.y, want, n);
        CHECK(off <= 5e-6, "%s: %g", name_of(c, level), off);
        const int64_t cuts[] = {c->rows < 90 ? 1 : 19, 64, -1, 0};
        for (int i = 0; i < 4 && c->n_starts == 0; i++) {
            result cut = run(c, level, i, cuts[i], NULL);
            const int64_t cache = whole.capacity * c->key_heads * c->p;
            CHECK(kit_same(cut.y, whole.y, n), "%s: y of cuts of %ld", name_of(c, level), (long)cuts[i]);
            CHECK(kit_same(cut.saved, whole.saved, c->rows * c->heads), "%s: saved", name_of(c, level));
            CHECK(kit_same(cut.cache_k, whole.cache_k, cache), "%s: cached keys", name_of(c, level));
            CHECK(kit_same(cut.cache_v, whole.cache_v, cache), "%s: cached values", name_of(c, level));
            result_free(cut);
        }
        result_free(whole);
    }
    double *mine[] = {q, k, v, want};
    for (int i = 0; i < 4; i++) {
        free(mine[i]);
    }
}

MBS_TEST(attention, matches_the_naive_form_and_is_cut_anywhere) {
    static const int64_t windows[] = {0, 0, 1, 5, 64, 65, 100};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        att_case c = case_new(kit_int(1, 250), kit_int(1, 2), kit_int(1, 3), kit_int(2, 70), windows[i]);
        check_case(&c);
        case_free(&c);
    }
    att_case even = case_new(192, 1, 1, 64, 0);
    check_case(&even);
    case_free(&even);
}

/* What is not finite in one row is not seen by those before it, also within a tile. */
MBS_TEST(attention, nothing_goes_back_in_time) {
    EACH_LEVEL(level) {
        att_case c = case_new(100, 1, 2, 8, 0);
        ((float *)(uintptr_t)c.v)[70 * 8 + 3] = INFINITY;
        ((float *)(uintptr_t)c.k)[80 * 8] = NAN;
        result r = run(&c, level, 1, 0, NULL);
        for (int64_t i = 0; i < 70 * 16; i++) {
            CHECK(isfinite(r.y[i]), "%s: y[%ld] is %g", mbk_level_name(level), (long)i, (double)r.y[i]);
        }
        CHECK(!isfinite(r.y[70 * 16 + 3]) && isfinite(r.y[79 * 16 + 4]) && isnan(r.y[80 * 16]));
        result_free(r);
        case_free(&c);
    }
}

static const int32_t side_by_side[] = {0, 3, 70, 71, 150};

MBS_TEST(attention, sequences_side_by_side) {
    for (int skip = 0; skip < 2; skip++) {
        for (int64_t window = 0; window <= 20; window += 20) {
            att_case c = case_new(190, 2, 2, 10, window);
            c.starts = side_by_side + skip;
            c.n_starts = 5 - skip;
            check_case(&c);
            case_free(&c);
        }
    }
}

/* --- gradients ---------------------------------------------------------------------------------------------------- */

/* What `dy` weighs of y, of inputs of which one is moved. */
static double moved(const att_case *c, double *of[3], int which, int64_t i, double by, const float *dy) {
    of[which][i] += by;
    double *y = naive(c, of[0], of[1], of[2]);
    double sum = 0;
    for (int64_t j = 0; j < c->rows * c->heads * c->p; j++) {
        sum += y[j] * (double)dy[j];
    }
    of[which][i] -= by;
    free(y);
    return sum;
}

/* The largest difference, in parts of what is allowed: of one key alone a query's gradient is nothing but rounding. */
static double far(const float *a, const float *b, int64_t n) {
    double most = 0;
    double off = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)b[i]));
        off = isfinite(a[i]) ? fmax(off, fabs((double)a[i] - (double)b[i])) : INFINITY;
    }
    return off / (1e-5 * most + 1e-6);
}

static void check_gradients(const att_case *c) {
    const int64_t n[] = {c->rows * c->heads * c->p, c->rows * c->key_heads * c->p, c->rows * c->key_heads * c->p};
    float *dy = kit_random(n[0], -1, 1);
    double *of[3] = {widened(c->q, n[0]), widened(c->k, n[1]), widened(c->v, n[2])};
    result want = run(c, MBK_LEVEL_REF, 1, 0, dy);
    float *const got[3] = {want.dq, want.dk, want.dv};
    for (int which = 0; which < 3; which++) {
        double most = 0;
        for (int64_t i = 0; i < n[which]; i++) {
            most = fmax(most, fabs((double)got[which][i]));
        }
        for (int k = 0; k < 8; k++) {
            const int64_t i = kit_int(0, n[which] - 1);
            const double d = (moved(c, of, which, i, 1e-4, dy) - moved(c, of, which, i, -1e-4, dy)) / 2e-4;
            CHECK(fabs(d - (double)got[which][i]) <= 1e-5 * most + 1e-6, "%s: gradient %d at %ld is %g, not %g",
                  name_of(c, MBK_LEVEL_REF), which, (long)i, (double)got[which][i], d);
        }
    }
    EACH_LEVEL(level) {
        result whole = run(c, level, 1, 0, dy);
        result threads = run(c, level, 3, 0, dy);
        result cut = run(c, level, 2, c->n_starts ? 0 : -1, dy);
        const float *const all[3][3] = {
            {whole.dq, threads.dq, cut.dq}, {whole.dk, threads.dk, cut.dk}, {whole.dv, threads.dv, cut.dv}};
        for (int i = 0; i < 3; i++) {
            const double off = far(all[i][0], got[i], n[i]);
            const double off_cut = far(all[i][2], got[i], n[i]);
            CHECK(off <= 1 && off_cut <= 1, "%s: %d %g, cut %g", name_of(c, level), i, off, off_cut);
            CHECK(kit_same(all[i][0], all[i][1], n[i]), "%s: %d, threads", name_of(c, level), i);
        }
        result_free(whole);
        result_free(threads);
        result_free(cut);
    }
    result_free(want);
    free(dy);
    for (int i = 0; i < 3; i++) {
        free(of[i]);
    }
}

MBS_TEST(attention, gradients) {
    static const int64_t windows[] = {0, 0, 1, 7, 64, 70};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        att_case c = case_new(kit_int(1, 180), kit_int(1, 2), kit_int(1, 2), kit_int(2, 20), windows[i]);
        check_gradients(&c);
        case_free(&c);
    }
    for (int skip = 0; skip < 2; skip++) {
        att_case c = case_new(170, 2, 2, 6, skip ? 0 : 30);
        c.starts = side_by_side + skip;
        c.n_starts = 5 - skip;
        check_gradients(&c);
        case_free(&c);
    }
}
