/* Embedding, norms, addition, log-probability, row sums: every level against ref, tails, and company. */
#include "kit.h"
#include "support/test.h"

typedef struct norm_case {
    int64_t rows, cols;
    int layer, with_bias, in_place;
    float *x, *w, *b;
} norm_case;

static float *run_norm(const norm_case *n, mbk_level level, int threads, int64_t cut) {
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat x = kit_of(ctx, n->rows, n->cols, kit_int(0, 5), n->x);
    kit_mat w = kit_of(ctx, 1, n->cols, 0, n->w);
    kit_mat b = kit_of(ctx, 1, n->cols, 0, n->b);
    kit_mat y = kit_new(ctx, n->rows, n->cols, kit_int(0, 5));
    kit_mat *out = n->in_place ? &x : &y;
    for (int64_t from = 0; from < n->rows;) {
        int64_t to = cut && from + cut < n->rows ? from + cut : n->rows;
        mbk_mat src = kit_rows(&x, from, to);
        mbk_mat dst = kit_rows(out, from, to);
        CHECK_INT(n->layer ? ctx->ops->layernorm(ctx, dst, src, w.m, n->with_bias ? b.m : kit_none, 1e-5f)
                           : ctx->ops->rmsnorm(ctx, dst, src, w.m, 1e-5f),
                  0);
        from = to;
    }
    CHECK(kit_canaries(out), "wrote outside");
    float *dense = kit_get(out);
    kit_free(&x);
    kit_free(&w);
    kit_free(&b);
    kit_free(&y);
    kit_close(ctx);
    return dense;
}

static void check_norm(int64_t rows, int64_t cols, int layer, float shift) {
    norm_case n = {rows,
                   cols,
                   layer,
                   (int)kit_int(0, 1),
                   0,
                   kit_random(rows * cols, shift - 2, shift + 2),
                   kit_random(cols, 0.5f, 1.5f),
                   kit_random(cols, -1, 1)};
    float *want = run_norm(&n, MBK_LEVEL_REF, 1, 0);
    EACH_LEVEL(level) {
        float *whole = run_norm(&n, level, 1, 0);
        double err = kit_maxrel(whole, want, rows * cols);
        CHECK(err <= 2e-6, "%s %s %ldx%ld: %g", layer ? "layernorm" : "rmsnorm", mbk_level_name(level), (long)rows,
              (long)cols, err);
        float *cut = run_norm(&n, level, 1, 1);
        float *shared = run_norm(&n, level, 3, 0);
        n.in_place = 1;
        float *same = run_norm(&n, level, 1, 0);
        n.in_place = 0;
        CHECK(kit_same(whole, cut, rows * cols), "row by row");
        CHECK(kit_same(whole, shared, rows * cols), "three threads");
        CHECK(kit_same(whole, same, rows * cols), "in place");
        free(whole);
        free(cut);
        free(shared);
        free(same);
    }
    free(want);
    free(n.x);
    free(n.w);
    free(n.b);
}

MBS_TEST(rows, norms_match_ref_at_every_width) {
    for (int layer = 0; layer < 2; layer++) {
        for (int64_t cols = 1; cols <= 70; cols += KIT_SIZE(1, 5)) {
            check_norm(3, cols, layer, 0.25f);
        }
        check_norm(700, 256, layer, 0);
        check_norm(400, 771, layer, 1);
    }
}

/* Rows far from zero: the variance must not come from a difference of large numbers. */
MBS_TEST(rows, layernorm_keeps_digits_of_a_shifted_row) {
    EACH_LEVEL(level) {
        norm_case n = {1, 512, 1, 0, 0, kit_random(512, 999, 1001), kit_random(512, 1, 1), kit_random(512, 0, 0)};
        float *y = run_norm(&n, level, 1, 0);
        double mean = 0;
        double var = 0;
        for (int i = 0; i < 512; i++) {
            mean += (double)n.x[i] / 512;
        }
        for (int i = 0; i < 512; i++) {
            var += ((double)n.x[i] - mean) * ((double)n.x[i] - mean) / 512;
        }
        for (int i = 0; i < 512; i++) {
            double want = ((double)n.x[i] - mean) / sqrt(var + 1e-5);
            CHECK(fabs((double)y[i] - want) < 2e-4, "%s: %g is not %g", mbk_level_name(level), (double)y[i], want);
        }
        free(y);
        free(n.x);
        free(n.w);
        free(n.b);
    }
}

MBS_TEST(rows, norms_keep_nan_in_its_row) {
    EACH_LEVEL(level) {
        for (int layer = 0; layer < 2; layer++) {
            norm_case n = {3, 45, layer, 1, 0, kit_random(135, -1, 1), kit_random(45, 1, 1), kit_random(45, 0, 0)};
            n.x[45 + 44] = NAN;
            float *y = run_norm(&n, level, 1, 0);
            for (int i = 0; i < 135; i++) {
                CHECK((i / 45 == 1) == !!isnan(y[i]), "element %d is %g", i, (double)y[i]);
            }
            free(y);
            free(n.x);
            free(n.w);
            free(n.b);
        }
    }
}

MBS_TEST(rows, add_and_its_aliases) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        for (int64_t cols = 1; cols < 40; cols++) {
            float *a = kit_random(3 * cols, -1, 1);
            float *b = kit_random(3 * cols, -1, 1);
            for (int alias = 0; alias < 3; alias++) {
                kit_mat x = kit_of(ctx, 3, cols, 2, a);
                kit_mat r = kit_of(ctx, 3, cols, 4, b);
                kit_mat y = kit_new(ctx, 3, cols, 1);
                kit_mat *out = alias == 0 ? &y : alias == 1 ? &x : &r;
                CHECK_INT(ctx->ops->add(ctx, out->m, x.m, r.m), 0);
                float *got = kit_get(out);
                for (int64_t i = 0; i < 3 * cols; i++) {
                    CHECK(got[i] == a[i] + b[i]);
                }
                CHECK(kit_canaries(out));
                free(got);
                kit_free(&x);
                kit_free(&r);
                kit_free(&y);
            }
            free(a);
            free(b);
        }
        kit_close(ctx);
    }
}

MBS_TEST(rows, embed_copies_the_named_rows) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float *table = kit_random(9 * 13, -1, 1);
        static const int32_t ids[] = {99, 8, 0, 3, 3};
        mbk_weight *t = NULL;
        CHECK_INT(ctx->ops->prepare(ctx, table, 9, 13, (mbk_format){MBK_F32, MBK_MATH_F32}, &t), 0);
        kit_mat y = kit_new(ctx, 4, 13, 2);
        mbk_buf *buf = kit_ids(ctx, ids, 5);
        CHECK_INT(ctx->ops->embed(ctx, y.m, t, buf, 1), 0);
        float *got = kit_get(&y);
        for (int r = 0; r < 4; r++) {
            CHECK(kit_same(got + r * 13, table + ids[r + 1] * 13, 13), "row %d", r);
        }
        CHECK(kit_canaries(&y));
        free(got);
        free(table);
        ctx->ops->buf_free(ctx, buf);
        ctx->ops->weight_free(ctx, t);
        kit_free(&y);
        kit_close(ctx);
    }
}

static float *run_logprob(mbk_level level, int threads, int64_t rows, int64_t cols, const float *logits,
                          const int32_t *ids) {
    mbk_ctx *ctx = kit_open(level, threads);
    kit_mat x = kit_of(ctx, rows, cols, kit_int(0, 3), logits);
    kit_mat lp = kit_new(ctx, rows, 1, 2);
    mbk_buf *buf = kit_ids(ctx, ids, rows);
    CHECK_INT(ctx->ops->logprob(ctx, lp.m, x.m, buf, 0), 0);
    CHECK(kit_canaries(&lp));
    float *got = kit_get(&lp);
    ctx->ops->buf_free(ctx, buf);
    kit_free(&x);
    kit_free(&lp);
    kit_close(ctx);
    return got;
}

static void check_logprob(int64_t rows, int64_t cols, float spread) {
    float *logits = kit_random(rows * cols, -spread, spread);
    int32_t *ids = malloc((size_t)rows * sizeof *ids);
    CHECK(ids != NULL);
    for (int64_t r = 0; r < rows; r++) {
        ids[r] = (int32_t)kit_int(-1, cols - 1);
    }
    EACH_LEVEL(level) {
        float *got = run_logprob(level, 1, rows, cols, logits, ids);
        float *shared = run_logprob(level, 3, rows, cols, logits, ids);
        CHECK(kit_same(got, shared, rows), "three threads");
        for (int64_t r = 0; r < rows; r++) {
            const float *x = logits + r * cols;
            if (ids[r] < 0) {
                CHECK(isnan(got[r]));
                continue;
            }
            long double max = x[0];
            for (int64_t j = 1; j < cols; j++) {
                max = x[j] > max ? x[j] : max;
            }
            long double sum = 0;
            for (int64_t j = 0; j < cols; j++) {
                sum += expl((long double)x[j] - max);
            }
            double want = (double)((long double)x[ids[r]] - max - logl(sum));
            CHECK(fabs((double)got[r] - want) <= 2e-7 + 2e-7 * fabs(want), "%s %ldx%ld row %ld: %.9g is not %.9g",
                  mbk_level_name(level), (long)rows, (long)cols, (long)r, (double)got[r], want);
        }
        free(got);
        free(shared);
    }
    free(logits);
    free(ids);
}

MBS_TEST(rows, logprob_matches_long_double) {
    for (int64_t cols = 1; cols <= 40; cols++) {
        check_logprob(5, cols, 4);
    }
    check_logprob(900, 16, 10);
    check_logprob(3, 50280, 20);
    check_logprob(2, 300000, 1);
    check_logprob(4, 1000, 1e4f);
}

MBS_TEST(rows, logprob_of_special_values) {
    static const int32_t ids[] = {0, 1, 2, 0};
    float logits[4][20];
    for (int i = 0; i < 80; i++) {
        logits[i / 20][i % 20] = -INFINITY;
    }
    logits[0][0] = 3; /* certain */
    logits[1][0] = 3; /* impossible token */
    logits[2][2] = 1;
    logits[2][19] = NAN;                  /* the tail is looked at */
    logits[3][0] = logits[3][19] = 1e30f; /* one half, without overflow */
    EACH_LEVEL(level) {
        float *got = run_logprob(level, 1, 4, 20, &logits[0][0], ids);
        CHECK(got[0] == 0, "%g", (double)got[0]);
        CHECK(isinf(got[1]) && got[1] < 0, "%g", (double)got[1]);
        CHECK(isnan(got[2]), "%g", (double)got[2]);
        CHECK(isfinite(got[3]), "%g", (double)got[3]);
        free(got);
    }
}

MBS_TEST(rows, row_sum_adds_doubles_in_row_order) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        float *a = kit_random(1000 * 7, 0, 1);
        kit_mat x = kit_of(ctx, 1000, 7, 3, a);
        double acc[10] = {5, 5, 1, 2, 3, 4, 5, 6, 7, 5};
        double want[10];
        memcpy(want, acc, sizeof acc);
        for (int r = 0; r < 1000; r++) {
            for (int j = 0; j < 7; j++) {
                want[2 + j] += (double)a[r * 7 + j];
            }
        }
        mbk_buf *buf = NULL;
        CHECK_INT(ctx->ops->buf_new(ctx, sizeof acc, &buf), 0);
        ctx->ops->upload(ctx, buf, 0, acc, sizeof acc);
        CHECK_INT(ctx->ops->row_sum(ctx, buf, 2, kit_rows(&x, 0, 333)), 0);
        CHECK_INT(ctx->ops->row_sum(ctx, buf, 2, kit_rows(&x, 333, 1000)), 0);
        ctx->ops->download(ctx, acc, buf, 0, sizeof acc);
        CHECK(memcmp(acc, want, sizeof acc) == 0);
        ctx->ops->buf_free(ctx, buf);
        kit_free(&x);
        free(a);
        kit_close(ctx);
    }
}

MBS_TEST(rows, memory_moves_bytes_and_views) {
    EACH_LEVEL(level) {
        mbk_ctx *ctx = kit_open(level, 1);
        mbk_buf *buf = NULL;
        CHECK_INT(ctx->ops->buf_new(ctx, 100, &buf), 0);
        CHECK_INT(mbk_buf_bytes(buf), 100);
        unsigned char bytes[100];
        ctx->ops->download(ctx, bytes, buf, 0, 100);
        for (int i = 0; i < 100; i++) {
            CHECK(bytes[i] == 0, "new memory is zero");
        }
        ctx->ops->upload(ctx, buf, 97, "abc", 3);
        ctx->ops->download(ctx, bytes, buf, 96, 4);
        CHECK(memcmp(bytes, "\0abc", 4) == 0);
        ctx->ops->buf_free(ctx, buf);
        ctx->ops->buf_free(ctx, NULL);
        CHECK_INT(ctx->ops->buf_new(ctx, SIZE_MAX - 3, &buf), -71);

        float *a = kit_random(4 * 9, -1, 1);
        kit_mat x = kit_of(ctx, 4, 9, 5, a);
        kit_mat y = kit_new(ctx, 4, 9, 1);
        CHECK_INT(ctx->ops->copy(ctx, y.m, x.m), 0);
        float *got = kit_get(&y);
        CHECK(kit_same(got, a, 36) && kit_canaries(&y));
        free(got);
        CHECK_INT(ctx->ops->zero(ctx, kit_cols(&y, 2, 5)), 0);
        got = kit_get(&y);
        for (int i = 0; i < 36; i++) {
            CHECK(got[i] == (i % 9 >= 2 && i % 9 < 5 ? 0 : a[i]));
        }
        CHECK(kit_canaries(&y));
        CHECK_INT(ctx->ops->sync(ctx), 0);
        CHECK_INT(ctx->ops->reserve(ctx, 1000, 1000), 0);
        free(got);
        free(a);
        kit_free(&x);
        kit_free(&y);
        kit_close(ctx);
    }
}
