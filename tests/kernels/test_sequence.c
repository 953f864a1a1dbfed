/* Convolution and scan: every level against ref with non-zero states, and the chunk law: the same bits wherever the
 * rows are cut and however many threads compute. */
#include "kit.h"
#include "support/test.h"

typedef struct result {
    float *y, *state;
} result;

static void result_free(result r) {
    free(r.y);
    free(r.state);
}

typedef struct conv_case {
    int64_t rows, cols, width;
    int with_bias;
    float *x, *w, *bias, *state;
} conv_case;

static conv_case conv_new(int64_t rows, int64_t cols, int64_t width) {
    conv_case c = {rows, cols, width, (int)kit_int(0, 3) > 0, NULL, NULL, NULL, NULL};
    c.x = kit_random(rows * cols, -2, 2);
    c.w = kit_random(width * cols, -1, 1);
    c.bias = kit_random(cols, -1, 1);
    c.state = kit_random(width * cols, -2, 2);
    return c;
}

static void conv_free(conv_case *c) {
    free(c->x);
    free(c->w);
    free(c->bias);
    free(c->state);
}

static result run_conv(const conv_case *c, mbk_level level, int threads, int64_t cut) {
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat x = kit_of(ctx, c->rows, c->cols, kit_int(0, 40), c->x);
    kit_mat w = kit_of(ctx, c->width, c->cols, kit_int(0, 3), c->w);
    kit_mat bias = kit_of(ctx, 1, c->cols, 0, c->bias);
    kit_mat state = kit_of(ctx, c->width, c->cols, kit_int(0, 3), c->state);
    kit_mat y = kit_new(ctx, c->rows, c->cols, kit_int(0, 5));
    for (int64_t from = 0; from < c->rows;) {
        int64_t to = cut && from + cut < c->rows ? from + cut : c->rows;
        CHECK_INT(ctx->ops->conv1d_silu(ctx, kit_rows(&y, from, to), kit_rows(&x, from, to), w.m,
                                        c->with_bias ? bias.m : kit_none, state.m, kit_whole),
                  0);
        from = to;
    }
    CHECK(kit_canaries(&y) && kit_canaries(&state) && kit_canaries(&x), "wrote outside");
    result r = {kit_get(&y), kit_get(&state)};
    kit_mat *all[] = {&x, &w, &bias, &state, &y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
    kit_close(ctx);
    return r;
}

/* The state after a call is the last `width` raw inputs, old state included, bit for bit. */
static void check_conv_state(const conv_case *c, const float *state) {
    for (int64_t k = 0; k < c->width; k++) {
        int64_t t = c->rows - c->width + k;
        const float *want = t >= 0 ? c->x + t * c->cols : c->state + (c->width + t) * c->cols;
        CHECK(kit_same(state + k * c->cols, want, c->cols), "state row %ld", (long)k);
    }
}

static void check_conv(int64_t rows, int64_t cols, int64_t width) {
    conv_case c = conv_new(rows, cols, width);
    result want = run_conv(&c, MBK_LEVEL_REF, 1, 0);
    EACH_LEVEL(level) {
        result whole = run_conv(&c, level, 1, 0);
        double err = kit_maxrel(whole.y, want.y, rows * cols);
        CHECK(err <= 2e-6, "%s %ldx%ld W=%ld: %g", mbk_level_name(level), (long)rows, (long)cols, (long)width, err);
        check_conv_state(&c, whole.state);
        static const int64_t cuts[] = {1, 2, 7, 0};
        for (int i = 0; i < 4; i++) {
            result cut = run_conv(&c, level, cuts[i] ? 1 : 3, cuts[i]);
            CHECK(kit_same_cut(level, cuts[i], cut.y, whole.y, rows * cols), "%s %ldx%ld W=%ld: y, cut %ld",
                  mbk_level_name(level), (long)rows, (long)cols, (long)width, (long)cuts[i]);
            CHECK(kit_same(cut.state, whole.state, width * cols), "state, cut %ld", (long)cuts[i]);
            result_free(cut);
        }
        result_free(whole);
    }
    result_free(want);
    conv_free(&c);
}

MBS_TEST(sequence, conv_matches_ref_and_is_cut_anywhere) {
    for (int64_t width = 1; width <= 16; width++) {
        check_conv(kit_int(1, 40), kit_int(1, 70), width);
        check_conv(kit_int(1, 6), kit_int(1, 40), width);
    }
    for (int64_t cols = 1; cols <= 50; cols += KIT_SIZE(1, 7)) {
        check_conv(9, cols, 4);
    }
    check_conv(300, KIT_SIZE(513, 77), 4);
}

typedef struct scan_case {
    int64_t rows, cols, n;
    int gate, with_bias;
    float *u, *dt, *b, *c, *z, *a, *d, *bias, *h;
} scan_case;

static scan_case scan_new(int64_t rows, int64_t cols, int64_t n) {
    scan_case s = {rows, cols, n,   kit_int(0, 3) > 0, kit_int(0, 3) > 0, NULL, NULL, NULL, NULL, NULL, NULL,
                   NULL, NULL, NULL};
    s.u = kit_random(rows * cols, -1, 1);
    s.dt = kit_random(rows * cols, -6, 2);
    s.b = kit_random(rows * n, -1, 1);
    s.c = kit_random(rows * n, -1, 1);
    s.z = kit_random(rows * cols, -3, 3);
    s.a = kit_random(n * cols, -16, -0.01f);
    s.d = kit_random(cols, -1, 1);
    s.bias = kit_random(cols, -2, 1);
    s.h = kit_random(n * cols, -1, 1);
    return s;
}

static void scan_free(scan_case *s) {
    float *all[] = {s->u, s->dt, s->b, s->c, s->z, s->a, s->d, s->bias, s->h};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static result run_scan(const scan_case *s, mbk_level level, int threads, int64_t cut, int in_place) {
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat u = kit_of(ctx, s->rows, s->cols, kit_int(0, 9), s->u);
    kit_mat dt = kit_of(ctx, s->rows, s->cols, kit_int(0, 9), s->dt);
    kit_mat z = kit_of(ctx, s->rows, s->cols, kit_int(0, 9), s->z);
    kit_mat b = kit_of(ctx, s->rows, s->n, kit_int(0, 9), s->b);
    kit_mat c = kit_of(ctx, s->rows, s->n, kit_int(0, 9), s->c);
    kit_mat a = kit_of(ctx, s->n, s->cols, kit_int(0, 3), s->a);
    kit_mat d = kit_of(ctx, 1, s->cols, 0, s->d);
    kit_mat bias = kit_of(ctx, 1, s->cols, 0, s->bias);
    kit_mat h = kit_of(ctx, s->n, s->cols, kit_int(0, 3), s->h);
    kit_mat y = kit_new(ctx, s->rows, s->cols, kit_int(0, 9));
    kit_mat *out = in_place ? &u : &y;
    for (int64_t from = 0; from < s->rows;) {
        int64_t to = cut && from + cut < s->rows ? from + cut : s->rows;
        mbk_scan_args args = {kit_rows(out, from, to),
                              kit_rows(&u, from, to),
                              kit_rows(&dt, from, to),
                              kit_rows(&b, from, to),
                              kit_rows(&c, from, to),
                              s->gate ? kit_rows(&z, from, to) : kit_none,
                              a.m,
                              d.m,
                              s->with_bias ? bias.m : kit_none,
                              h.m,
                              kit_whole,
                              kit_none};
        CHECK_INT(ctx->ops->selective_scan(ctx, &args), 0);
        from = to;
    }
    CHECK(kit_canaries(out) && kit_canaries(&h) && kit_canaries(&dt) && kit_canaries(&z), "wrote outside");
    result r = {kit_get(out), kit_get(&h)};
    kit_mat *all[] = {&u, &dt, &z, &b, &c, &a, &d, &bias, &h, &y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kit_free(all[i]);
    }
    kit_close(ctx);
    return r;
}

static void check_scan(int64_t rows, int64_t cols, int64_t n) {
    scan_case s = scan_new(rows, cols, n);
    result want = run_scan(&s, MBK_LEVEL_REF, 1, 0, 0);
    EACH_LEVEL(level) {
        result whole = run_scan(&s, level, 1, 0, 0);
        double err = kit_maxoff(whole.y, want.y, rows * cols, sqrt((double)n) / 8);
        double err_h = kit_maxrel(whole.state, want.state, n * cols);
        CHECK(err <= 2e-6 && err_h <= 2e-6, "%s %ldx%ld N=%ld: y %g h %g", mbk_level_name(level), (long)rows,
              (long)cols, (long)n, err, err_h);
        static const int64_t cuts[] = {1, 7, 33, 0, 0};
        for (int i = 0; i < 5; i++) {
            result cut = run_scan(&s, level, i < 3 ? 1 : i - 1, cuts[i], i & 1);
            CHECK(kit_same_cut(level, cuts[i], cut.y, whole.y, rows * cols), "%s %ldx%ld N=%ld: y, cut %ld",
                  mbk_level_name(level), (long)rows, (long)cols, (long)n, (long)cuts[i]);
            CHECK(kit_same_cut(level, cuts[i], cut.state, whole.state, n * cols), "%s %ldx%ld N=%ld: state, cut %ld",
                  mbk_level_name(level), (long)rows, (long)cols, (long)n, (long)cuts[i]);
            result_free(cut);
        }
        result_free(whole);
    }
    result_free(want);
    scan_free(&s);
}

MBS_TEST(sequence, scan_matches_ref_and_is_cut_anywhere) {
    static const int64_t states[] = {1, 2, 4, 8, 15, 16, 17, 32, 64, 65, 128};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        check_scan(kit_int(1, 80), kit_int(1, 40), states[i]);
        check_scan(kit_int(1, 10), kit_int(1, 70), states[i]);
    }
    for (int64_t cols = 1; cols <= 50; cols += KIT_SIZE(1, 7)) {
        check_scan(5, cols, 16);
    }
    check_scan(150, KIT_SIZE(301, 61), 16);
}

/* A channel's numbers do not depend on where in the matrix it stands: channel 0 alone equals channel j of many. */
MBS_TEST(sequence, scan_channel_is_the_same_at_any_place) {
    EACH_LEVEL(level) {
        scan_case s = scan_new(12, 37, 16);
        result all = run_scan(&s, level, 1, 0, 0);
        for (int64_t j = 0; j < 37; j++) {
            scan_case one = {12,
                             1,
                             16,
                             s.gate,
                             s.with_bias,
                             kit_random(12, 0, 0),
                             kit_random(12, 0, 0),
                             s.b,
                             s.c,
                             kit_random(12, 0, 0),
                             kit_random(16, 0, 0),
                             s.d + j,
                             s.bias + j,
                             kit_random(16, 0, 0)};
            for (int64_t t = 0; t < 12; t++) {
                one.u[t] = s.u[t * 37 + j];
                one.dt[t] = s.dt[t * 37 + j];
                one.z[t] = s.z[t * 37 + j];
            }
            for (int64_t n = 0; n < 16; n++) {
                one.a[n] = s.a[n * 37 + j];
                one.h[n] = s.h[n * 37 + j];
            }
            result r = run_scan(&one, level, 1, 0, 0);
            for (int64_t t = 0; t < 12; t++) {
                CHECK(kit_same(&r.y[t], &all.y[t * 37 + j], 1), "%s channel %ld row %ld", mbk_level_name(level),
                      (long)j, (long)t);
            }
            float *mine[] = {one.u, one.dt, one.z, one.a, one.h};
            for (int i = 0; i < 5; i++) {
                free(mine[i]);
            }
            result_free(r);
        }
        result_free(all);
        scan_free(&s);
    }
}

/* Large steps: the state is forgotten (exp underflows to 0) and nothing becomes NaN; a NaN input stays in its channel.
 */
MBS_TEST(sequence, scan_extremes) {
    EACH_LEVEL(level) {
        scan_case s = scan_new(20, 33, 16);
        s.gate = 1;
        for (int64_t i = 0; i < 20 * 33; i++) {
            s.dt[i] = i % 3 == 0 ? 200.0f : i % 3 == 1 ? -200.0f : 21.0f;
            s.z[i] = i % 2 ? 300.0f : -300.0f;
        }
        result r = run_scan(&s, level, 1, 0, 0);
        for (int64_t i = 0; i < 20 * 33; i++) {
            CHECK(isfinite(r.y[i]), "%s: y[%ld] is %g", mbk_level_name(level), (long)i, (double)r.y[i]);
        }
        result_free(r);
        s.u[5 * 33 + 32] = NAN;
        r = run_scan(&s, level, 1, 0, 0);
        for (int64_t i = 0; i < 20 * 33; i++) {
            int bad = i % 33 == 32 && i / 33 >= 5;
            CHECK(bad == !!isnan(r.y[i]), "%s: y[%ld] is %g", mbk_level_name(level), (long)i, (double)r.y[i]);
        }
        result_free(r);
        s.u[5 * 33 + 32] = 0;
        s.a[3 * 33 + 7] = NAN; /* a decay rate: must not be taken for one that underflows */
        r = run_scan(&s, level, 1, 0, 0);
        for (int64_t i = 0; i < 20 * 33; i++) {
            CHECK((i % 33 == 7) == !!isnan(r.y[i]), "%s: y[%ld] is %g", mbk_level_name(level), (long)i, (double)r.y[i]);
        }
        result_free(r);
        scan_free(&s);
    }
}

/* The gates of rows go through the exponential together: one that is NaN must not change what becomes of the others,
 * nor one whose exponential overflows. */
MBS_TEST(sequence, a_row_does_not_see_the_gates_beside_it) {
    static const float gates[] = {NAN, -100.0f, 0.5f, 90.0f, -1.0f, NAN, -88.8f};
    enum { ROWS = 28, COLS = 19, AT = 5, KINDS = 7 };
    EACH_LEVEL(level) {
        scan_case s = scan_new(ROWS, COLS, 16);
        s.gate = 1;
        for (int64_t t = 0; t < ROWS; t++) {
            s.z[t * COLS + AT] = gates[t % KINDS];
        }
        result all = run_scan(&s, level, 1, 0, 0);
        for (int64_t t = 0; t < ROWS; t++) {
            for (int64_t i = 0; i < ROWS; i++) {
                s.z[i * COLS + AT] = i == t ? gates[t % KINDS] : 0.25f;
            }
            result one = run_scan(&s, level, 1, 0, 0);
            const float *got = &all.y[t * COLS + AT];
            CHECK(isnan(gates[t % KINDS]) ? isnan(*got) : kit_same(&one.y[t * COLS + AT], got, 1),
                  "%s gate %g: %g, alone %g", mbk_level_name(level), (double)gates[t % KINDS], (double)*got,
                  (double)one.y[t * COLS + AT]);
            result_free(one);
        }
        result_free(all);
        scan_free(&s);
    }
}

/* Several sequences in one call have the bits of a call for each, the first of which continues. */
MBS_TEST(sequence, starts_are_separate_calls) {
    static const int32_t all[] = {99, 0, 1, 5, 6, 30, 71, 79};
    static const int64_t counts[][2] = {{1, 7}, {2, 6}, {3, 1}, {7, 1}, {1, 1}};
    enum { ROWS = 80, COLS = 70, N = 16, W = 4 };
    EACH_LEVEL(level) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            mbk_ctx *ctx = kit_open(level, 1 + (int)(i % 3));
            mbk_buf *idb = kit_ids(ctx, all, sizeof all / sizeof *all);
            mbk_starts starts = {idb, counts[i][0], counts[i][1]};
            float *num = kit_random(ROWS * COLS + 200, -1, 0);
            kit_mat x = kit_of(ctx, ROWS, COLS, 0, num);
            kit_mat dt = kit_of(ctx, ROWS, COLS, 0, num + 40);
            kit_mat bc = kit_of(ctx, ROWS, 2 * N, 0, num + 9);
            kit_mat a = kit_of(ctx, N, COLS, 0, num + 77);
            kit_mat d = kit_of(ctx, 1, COLS, 0, num + 3);
            kit_mat taps = kit_of(ctx, W, COLS, 0, num + 21);
            kit_mat h[2];
            kit_mat conv[2];
            kit_mat y[2];
            for (int way = 0; way < 2; way++) {
                h[way] = kit_of(ctx, N, COLS, 0, num + 5);
                conv[way] = kit_of(ctx, W, COLS, 0, num + 6);
                y[way] = kit_new(ctx, ROWS, COLS, 0);
            }
            for (int64_t piece = 0; piece <= starts.n; piece++) {
                int64_t from = piece ? all[starts.off + piece - 1] : 0;
                int64_t to = piece < starts.n ? all[starts.off + piece] : ROWS;
                if (piece) {
                    ctx->ops->zero(ctx, h[0].m);
                    ctx->ops->zero(ctx, conv[0].m);
                }
                mbk_mat part = kit_rows(&y[0], from, to);
                CHECK_INT(ctx->ops->conv1d_silu(ctx, part, kit_rows(&x, from, to), taps.m, d.m, conv[0].m, kit_whole),
                          0);
                mbk_mat b = kit_rows(&bc, from, to);
                mbk_mat c = b;
                b.cols = c.cols = N;
                c.off += N;
                mbk_scan_args one = {
                    part,      part,    kit_rows(&dt, from, to), b, c, kit_rows(&x, from, to), a.m, d.m, d.m, h[0].m,
                    kit_whole, kit_none};
                CHECK_INT(ctx->ops->selective_scan(ctx, &one), 0);
            }
            CHECK_INT(ctx->ops->conv1d_silu(ctx, y[1].m, x.m, taps.m, d.m, conv[1].m, starts), 0);
            mbk_scan_args many = {
                y[1].m, y[1].m, dt.m,    kit_cols(&bc, 0, N), kit_cols(&bc, N, 2 * N), x.m, a.m, d.m, d.m,
                h[1].m, starts, kit_none};
            CHECK_INT(ctx->ops->selective_scan(ctx, &many), 0);
            kit_mat *pairs[][2] = {{&y[0], &y[1]}, {&h[0], &h[1]}, {&conv[0], &conv[1]}};
            for (int k = 0; k < 3; k++) {
                float *want = kit_get(pairs[k][0]);
                float *got = kit_get(pairs[k][1]);
                CHECK(kit_same(want, got, pairs[k][0]->m.rows * COLS), "%s, case %zu, %d", mbk_level_name(level), i, k);
                free(want);
                free(got);
                kit_free(pairs[k][0]);
                kit_free(pairs[k][1]);
            }
            kit_mat *rest[] = {&x, &dt, &bc, &a, &d, &taps};
            for (size_t k = 0; k < sizeof rest / sizeof *rest; k++) {
                kit_free(rest[k]);
            }
            free(num);
            ctx->ops->buf_free(ctx, idb);
            kit_close(ctx);
        }
    }
}
