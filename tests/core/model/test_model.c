/* The numbers of whole models, at every level of this machine. */
#include "base/mem.h"
#include "base/sha256.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"
#include "support/vectors.h"

/* Logits and loss of the golden language model, both layouts of the same weights. */
static void check_golden(const char *folder, mbk_level level) {
    mbs_err err = {0};
    vec_file *f = vec_open("mamba1_lm");
    mkit k = mkit_start(folder, level, 0, 15);
    int32_t *ids = mkit_ids(vec_i64(f, "input_ids"), 30);
    float logits[30 * 24];
    float lp[30];
    double loss = 0;
    for (int b = 0; b < 2; b++) {
        mbs_run_out out = {.logits = logits + b * 15 * 24, .logprob = lp + b * 15, .layer = -1};
        OK(mbs_session_reset(k.s, &err), &err);
        OK(mbs_session_run(k.s, ids + b * 15, 15, &out, &err), &err);
        CHECK(isnan(lp[b * 15]), "the first token of a sequence is predicted by nothing");
        for (int i = 1; i < 15; i++) {
            loss -= (double)lp[b * 15 + i] / 28;
        }
    }
    double rel = vec_maxrel(logits, vec_f64(f, "logits"), 30 * 24);
    CHECK(rel <= 3e-6, "%s: logits off by %g of the largest", mbk_level_name(level), rel);
    double want = vec_f64(f, "loss")[0];
    CHECK(fabs(loss - want) <= 3e-6 * want, "%s: loss %.9g, not %.9g", mbk_level_name(level), loss, want);
    CHECK_INT(mbs_session_tokens(k.s), 15);
    free(ids);
    mkit_close(&k);
    vec_close(f);
}

MBS_TEST(model, golden_language_model) {
    char dir[256];
    test_tmp_enter(dir);
    mkit_golden_folder("original", 0);
    mkit_golden_folder("library", 1);
    EACH_LEVEL(level) {
        check_golden("original", level);
        check_golden("library", level);
    }
    test_tmp_leave(dir);
}

MBS_TEST(model, ecoli_ref_logits_of_mg1655) {
    vec_file *f = vec_open(ECOLI_REF "/expected.safetensors");
    const float *want = vec_f32(f, "mg1655_2000.logits");
    int32_t *ids = mkit_ids(vec_i64(f, "mg1655_2000.input_ids"), 2000);
    float *logits = malloc(2000 * 16 * sizeof *logits);
    EACH_LEVEL(level) {
        mbs_err err = {0};
        mkit k = mkit_start(ECOLI_REF, level, 0, 2000);
        mbs_run_out out = {.logits = logits, .layer = -1};
        CHECK_INT(mbs_model_parameters(k.m), 468608);
        OK(mbs_session_run(k.s, ids, 2000, &out, &err), &err);
        double rel = vec_maxrel_f32(logits, want, 2000 * 16);
        printf("%s: logits within %.2g of the largest\n", mbk_level_name(level), rel);
        CHECK(rel <= 3e-6, "%s: off by %g", mbk_level_name(level), rel);
        mkit_close(&k);
    }
    free(logits);
    free(ids);
    vec_close(f);
}

/* The ids shipped beside the expected logits are the first bases of the genome that they are said to be. */
MBS_TEST(model, ecoli_ref_ids_are_mg1655) {
    int64_t n;
    int32_t *bases = mkit_bases(MG1655, 2000, &n);
    if (!bases) {
        SKIP("ragout-examples is not installed");
    }
    vec_file *f = vec_open(ECOLI_REF "/expected.safetensors");
    const int64_t *ids = vec_i64(f, "mg1655_2000.input_ids");
    for (int64_t i = 0; i < 2000; i++) {
        CHECK_INT(bases[i], ids[i]);
    }
    free(bases);
    vec_close(f);
}

MBS_TEST(model, ecoli_ref_logprob_of_lambda) {
    int64_t all;
    int32_t *ids = mkit_bases(LAMBDA, 100000, &all);
    if (!ids) {
        SKIP("bowtie2-examples is not installed");
    }
    vec_file *f = vec_open(ECOLI_REF "/expected.safetensors");
    const float *want = vec_f32(f, "lambda.logprob");
    float *lp = malloc((size_t)all * sizeof *lp);
    CHECK_INT(all, 48502);
    EACH_LEVEL(level) {
        mbs_err err = {0};
        int64_t n = level == MBK_LEVEL_REF ? 6000 : all; /* plain C takes its time, and sanitizers take more */
#ifdef __SANITIZE_ADDRESS__
        n = level == MBK_LEVEL_REF ? 600 : 6000;
#endif
        double worst = 0;
        double sum = 0;
        mkit k = mkit_start(ECOLI_REF, level, 0, n);
        mbs_run_out out = {.logprob = lp, .layer = -1};
        OK(mbs_session_run(k.s, ids, n, &out, &err), &err);
        CHECK(isnan(lp[0]) && isnan(want[0]));
        for (int64_t i = 1; i < n; i++) {
            worst = fmax(worst, fabs((double)lp[i] - (double)want[i]));
            sum -= (double)lp[i];
        }
        double bits = sum / (double)(n - 1) / log(2);
        printf("%s: log-probabilities within %.2g, %.4f bits per base\n", mbk_level_name(level), worst, bits);
        CHECK(worst <= 5e-5, "%s: off by %g", mbk_level_name(level), worst);
        CHECK(n < all || fabs(bits - 1.9113) < 5e-5, "%s: %.5f bits per base", mbk_level_name(level), bits);
        mkit_close(&k);
    }
    free(lp);
    free(ids);
    vec_close(f);
}
