/* Ways of holding the weights: words, bytes, cuts, states. What they cost is measured in tests/e2e/test_formats.py. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model_kit.h"
#include "support/test.h"

static const mbs_model_options ways[] = {{.dtype = "f32", .math = "f32"},   {.dtype = "bf16", .math = "f32"},
                                         {.dtype = "int8", .math = "f32"},  {.dtype = "bf16", .math = "bf16"},
                                         {.dtype = "int8", .math = "bf16"}, {.dtype = "int8", .math = "int16"},
                                         {.dtype = "int8", .math = "int8"}};
#define N_WAYS (int)(sizeof ways / sizeof ways[0])
#define ROWS 70

static mkit start(const mbs_model_options *way, mbk_level level, int test_backend) {
    mkit k = {.ctx = mkit_open(level, test_backend)};
    mbs_err err;
    mbs_err_clear(&err);
    OK(mbs_model_open_as(ECOLI_REF, way, k.ctx, &k.m, &err), &err);
    OK(mbs_session_new(k.m, ROWS, &k.s, &err), &err);
    k.vocab = mbs_model_get_config(k.m)->vocab_rows;
    return k;
}

/* Logits of ROWS tokens, given `cut` at a time. */
static void run(mkit *k, const int32_t *ids, int64_t cut, float *logits) {
    mbs_err err;
    mbs_err_clear(&err);
    OK(mbs_session_reset(k->s, &err), &err);
    for (int64_t at = 0; at < ROWS; at += cut) {
        mbs_run_out out = {.layer = -1, .logits = logits + at * k->vocab};
        OK(mbs_session_run(k->s, ids + at, ROWS - at < cut ? ROWS - at : cut, &out, &err), &err);
    }
}

MBS_TEST(format, a_cut_changes_no_bit) {
    int32_t *ids = mkit_random_ids(ROWS);
    float *whole = mbs_calloc(ROWS * 64, sizeof *whole);
    float *cut = mbs_calloc(ROWS * 64, sizeof *cut);
    EACH_LEVEL(level) {
        for (int w = 0; w < N_WAYS; w++) {
            mkit k = start(&ways[w], level, 0);
            CHECK(k.vocab <= 64);
            run(&k, ids, ROWS, whole);
            for (int64_t n = 1; n < ROWS; n = n * 3 + 1) {
                run(&k, ids, n, cut);
                CHECK(mkit_same(whole, cut, ROWS * k.vocab), "%s %s/%s by %lld", mbk_level_name(level), ways[w].dtype,
                      ways[w].math, (long long)n);
            }
            mkit t = start(&ways[w], level, 1); /* memory that nobody but operations may touch */
            run(&t, ids, ROWS, cut);
            CHECK(mkit_same(whole, cut, ROWS * k.vocab), "%s on the test backend", ways[w].dtype);
            mkit_close(&t);
            mkit_close(&k);
        }
    }
    mbs_free(ids);
    mbs_free(whole);
    mbs_free(cut);
}

MBS_TEST(format, fewer_bytes_and_their_names) {
    int64_t bytes[N_WAYS];
    for (int w = 0; w < N_WAYS; w++) {
        mkit k = start(&ways[w], MBK_LEVEL_REF, 0);
        bytes[w] = mbs_model_weight_bytes(k.m);
        CHECK_STR(mbs_model_dtype(k.m), ways[w].dtype);
        CHECK_STR(mbs_model_math(k.m), ways[w].math);
        char arithmetic[64];
        (void)snprintf(arithmetic, sizeof arithmetic, "cpu/ref/%s", ways[w].math);
        CHECK_STR(mbs_model_arithmetic(k.m), arithmetic);
        mkit_close(&k);
    }
    /* 468,608 parameters, of which 28,288 are no matrix's. */
    CHECK(bytes[0] >= 4 * 468608 && bytes[0] < 4 * 468608 * 11 / 10, "%lld", (long long)bytes[0]);
    CHECK(2 * bytes[1] < bytes[0] * 11 / 10 && 3 * bytes[2] < bytes[0] && bytes[3] == bytes[1] &&
          bytes[4] == bytes[2] && bytes[5] == bytes[2] && bytes[6] >= bytes[2] &&
          100 * bytes[6] < 101 * bytes[2]);                    /* fours of columns: up to three of zeros */
    mbs_model_options both = {.dtype = "f32", .math = "bf16"}; /* which rounds it, so it is held so */
    mkit k = start(&both, MBK_LEVEL_REF, 0);
    CHECK_STR(mbs_model_dtype(k.m), "bf16");
    mkit_close(&k);
    k = start(NULL, MBK_LEVEL_REF, 0); /* auto: the file is F32 */
    CHECK_STR(mbs_model_dtype(k.m), "f32");
    CHECK_STR(mbs_model_math(k.m), "f32");
    mkit_close(&k);
}

/* What whole numbers cost beside the same int8 weights under f32 math, and that they are asked for with no others. */
static void near_f32_math(const mbs_model_options *way, double limit) {
    int32_t *ids = mkit_random_ids(ROWS);
    float *want = mbs_calloc(ROWS * 64, sizeof *want);
    float *got = mbs_calloc(ROWS * 64, sizeof *got);
    EACH_LEVEL(level) {
        mkit plain = start(&ways[2], level, 0);
        mkit whole = start(way, level, 0);
        run(&plain, ids, ROWS, want);
        run(&whole, ids, ROWS, got);
        double most = 0;
        double largest = 0;
        for (int64_t i = 0; i < ROWS * plain.vocab; i++) {
            most = fmax(most, fabs((double)got[i] - (double)want[i]));
            largest = fmax(largest, fabs((double)want[i]));
        }
        CHECK(most > 0 && most <= limit * largest, "%s %s: off by %g of %g", mbk_level_name(level), way->math, most,
              largest);
        mkit_close(&plain);
        mkit_close(&whole);
    }
    for (int w = 0; w < 3; w++) {
        static const char *const others[] = {"auto", "f32", "bf16"};
        mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
        mbs_model *m = NULL;
        mbs_err err;
        mbs_err_clear(&err);
        const mbs_model_options wrong = {.dtype = others[w], .math = way->math};
        CHECK(mbs_model_open_as(ECOLI_REF, &wrong, ctx, &m, &err) == MBS_ERR_CONFIG && !m);
        CHECK(strstr(err.what, "int8 weights alone") && strstr(err.fix, "dtype int8"), "%s; %s", err.what, err.fix);
        mbk_close(ctx);
    }
    mbs_free(ids);
    mbs_free(want);
    mbs_free(got);
}

MBS_TEST(format, whole_numbers_are_near_f32_math) {
    near_f32_math(&ways[5], 1e-3);
    near_f32_math(&ways[6], 0.1);
}

MBS_TEST(format, words_that_are_none) {
    static const mbs_model_options wrong[] = {
        {.dtype = "fp16"}, {.dtype = ""}, {.dtype = "q8_0", .math = "f32"}, {.dtype = "f32", .math = "int4"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
        mbs_model *m = NULL;
        mbs_err err;
        mbs_err_clear(&err);
        CHECK(mbs_model_open_as(ECOLI_REF, &wrong[i], ctx, &m, &err) == MBS_ERR_CONFIG && !m);
        CHECK(strstr(err.fix, i < 3 ? "auto, f32, bf16 or int8" : "f32, bf16, int16 or int8"), "%s", err.fix);
        mbk_close(ctx);
    }
}

MBS_TEST(format, a_state_of_another_way_is_refused) {
    int32_t *ids = mkit_random_ids(ROWS);
    float *logits = mbs_calloc(ROWS * 64, sizeof *logits);
    mbs_buf blob = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    mkit from = start(&ways[2], MBK_LEVEL_REF, 0);
    run(&from, ids, ROWS, logits);
    OK(mbs_session_save(from.s, &blob, &err), &err);
    for (int w = 0; w < N_WAYS; w++) {
        mkit to = start(&ways[w], MBK_LEVEL_REF, 0);
        mbs_err why;
        mbs_err_clear(&why);
        mbs_status st = mbs_session_restore(to.s, blob.data, blob.len, &why);
        CHECK(st == (w == 2 ? MBS_OK : MBS_ERR_DATA), "%s/%s: %d", ways[w].dtype, ways[w].math, (int)st);
        mkit_close(&to);
    }
    mkit_close(&from);
    mbs_buf_free(&blob);
    mbs_free(logits);
    mbs_free(ids);
}
