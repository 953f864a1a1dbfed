/* What inspect says about a model: its facts, and how near its results are to the expected ones. */
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/sha256.h"
#include "model/describe.h"
#include "model/safetensors.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

static void put(void *sink, const char *key, const char *value) {
    mbs_buf_printf(sink, "%s=%s\n", key, value);
}

static int has_line(const mbs_buf *b, const char *line) {
    char wanted[300];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    return strstr(mbs_buf_str(b), wanted) != NULL || strncmp(mbs_buf_str(b), wanted + 1, strlen(wanted) - 1) == 0;
}

MBS_TEST(describe, ecoli_ref) {
    mbs_err err = {0};
    mbs_buf b = MBS_BUF_INIT;
    OK(mbs_model_describe(ECOLI_REF, put, &b, &err), &err);
    static const char *const lines[] = {
        "layout=transformers",
        "model_type=mamba",
        "mixer=mamba1",
        "n_layer=4",
        "d_model=128",
        "d_inner=256",
        "dt_rank=8",
        "vocab_rows=16",
        "norm=rms, eps 1e-05",
        "biases=conv",
        "head=tied to the embedding",
        "parameters=468608",
        "dtype=F32",
        "bos_token_id=2",
        "sha256 model.safetensors=8db1c27751e4eda61b30cc50f3276400c8c58700f191f7924370edf70a029270",
        "tensor backbone.layers.3.mixer.conv1d.weight=F32 [256, 1, 4]",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        CHECK(has_line(&b, lines[i]), "no line \"%s\" in\n%s", lines[i], mbs_buf_str(&b));
    }
    /* The model's name is the same as that of a loaded model. */
    char line[128];
    mkit k = mkit_start(ECOLI_REF, MBK_LEVEL_REF, 0, 1);
    snprintf(line, sizeof line, "model_sha256=%s", mbs_model_sha256(k.m, &err));
    CHECK(has_line(&b, line), "%s", line);
    mkit_close(&k);
    mbs_buf_free(&b);
}

/* ... and is the sum of config.json and the weights one after the other, as sha256sum would say. */
MBS_TEST(describe, the_name_of_a_model_is_the_sum_of_its_files) {
    mbs_err err = {0};
    char *config;
    char *weights;
    size_t n;
    size_t w;
    char hex[65];
    mbs_sha256 sum;
    OK(mbs_path_read(ECOLI_REF "/config.json", 1 << 20, &config, &n, &err), &err);
    OK(mbs_path_read(ECOLI_REF "/model.safetensors", 1 << 24, &weights, &w, &err), &err);
    mbs_sha256_init(&sum);
    mbs_sha256_add(&sum, config, n);
    mbs_sha256_add(&sum, weights, w);
    mbs_sha256_hex(&sum, hex);
    mkit k = mkit_start(ECOLI_REF, MBK_LEVEL_REF, 0, 1);
    CHECK_STR(mbs_model_sha256(k.m, &err), hex);
    mkit_close(&k);
    mbs_free(config);
    mbs_free(weights);
}

MBS_TEST(describe, a_wrong_folder_is_an_error_and_not_half_an_answer) {
    char dir[256];
    mbs_err err = {0};
    mbs_buf b = MBS_BUF_INIT;
    test_tmp_enter(dir);
    mkit_golden_folder("m", 0);
    test_tmp_write("m/config.json", "{\"d_model\": 8, \"n_layer\": 3, \"vocab_size\": 21, \"ssm_cfg\": {\"d_state\": 4,"
                                    " \"dt_rank\": 2}}");
    CHECK_INT(mbs_model_describe("m", put, &b, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "missing: backbone.layers.2.norm.weight"), "%s", err.what);
    CHECK(b.len == 0);
    mbs_buf_free(&b);
    test_tmp_leave(dir);
}

static const mbs_compared *item(const mbs_expect_report *r, const char *name) {
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->items[i].name, name) == 0) {
            return &r->items[i];
        }
    }
    CHECK(0, "%s is not in the report", name);
    return NULL;
}

MBS_TEST(expect, ecoli_ref_agrees_with_its_trainer) {
    mbs_err err = {0};
    mbs_expect_report r;
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, 1);
    OK(mbs_model_expect(k.m, ECOLI_REF "/expected.safetensors", &r, &err), &err);
    CHECK_INT(r.n, 2);
    CHECK_INT(r.compared, 1);
    const mbs_compared *c = item(&r, "mg1655_2000.logits");
    CHECK(c->note[0] == '\0' && c->count == 2000 * 16 && c->rows == 2000 && c->same == 2000);
    CHECK(c->max_rel < 3e-6 && c->max_rel > 0 && c->max_ref > 1, "%g of %g", c->max_rel, c->max_ref);
    c = item(&r, "lambda.logprob");
    CHECK_STR(c->note, "the file holds no input ids for it (lambda.input_ids)");
    CHECK_INT(c->count, 0);
    mbs_expect_report_free(&r);
    mkit_close(&k);
}

/* Batches of sequences; names without a dot; the golden file as it is. */
MBS_TEST(expect, golden_language_model) {
    char dir[256];
    mbs_err err = {0};
    mbs_expect_report r;
    test_tmp_enter(dir);
    mkit_golden_folder("m", 0);
    mkit k = mkit_start("m", mbk_level_best(), 0, 1);
    OK(mbs_model_expect(k.m, MBS_SOURCE_DIR "/tests/data/reference/mamba1_lm.safetensors", &r, &err), &err);
    CHECK_INT(r.n, 1);
    const mbs_compared *c = item(&r, "logits");
    CHECK(c->count == 30 * 24 && c->rows == 30 && c->same == 30 && c->max_rel <= 3e-6, "%lld, %g", (long long)c->count,
          c->max_rel);
    mbs_expect_report_free(&r);
    mkit_close(&k);
    test_tmp_leave(dir);
}

/* Writes ids [2, 3] and the model's own answer with some changes. */
static void write_expected(const char *path, const char *name, mbs_dtype ids_type, int64_t cols, float nudge) {
    mbs_err err = {0};
    mbs_st_writer w;
    float logits[2 * 3 * 24];
    static const int64_t ids[] = {1, 2, 3, 20, 2, 3};
    char in[64];
    char out[64];
    mkit k = mkit_start("m", MBK_LEVEL_REF, 0, 3);
    for (int b = 0; b < 2; b++) {
        const int32_t row[] = {(int32_t)ids[b * 3], (int32_t)ids[b * 3 + 1], (int32_t)ids[b * 3 + 2]};
        mbs_run_out want = {.logits = logits + b * 72, .layer = -1};
        OK(mbs_session_reset(k.s, &err), &err);
        OK(mbs_session_run(k.s, row, 3, &want, &err), &err);
    }
    mkit_close(&k);
    logits[5 * 24 + 1] += nudge;
    snprintf(in, sizeof in, "%sinput_ids", name);
    snprintf(out, sizeof out, "%slogits", name);
    mbs_st_decl decls[] = {{in, ids_type, 2, {2, 3}}, {out, MBS_DT_F32, 3, {2, 3, cols}}};
    unlink(path);
    OK(mbs_st_writer_open(path, decls, 2, &w, &err), &err);
    for (int i = 0; i < 6; i++) {
        OK(mbs_st_writer_add(&w, &ids[i], mbs_st_dtype_size(ids_type), &err), &err);
    }
    for (int i = 0; i < 6; i++) {
        OK(mbs_st_writer_add(&w, logits + i * 24, (size_t)cols * 4, &err), &err);
    }
    OK(mbs_st_writer_close(&w, &err), &err);
}

MBS_TEST(expect, reports_the_size_of_a_difference) {
    char dir[256];
    mbs_err err = {0};
    mbs_expect_report r;
    test_tmp_enter(dir);
    mkit_golden_folder("m", 0);
    mkit k = mkit_start("m", MBK_LEVEL_REF, 0, 1);
    write_expected("same", "", MBS_DT_I64, 24, 0);
    OK(mbs_model_expect(k.m, "same", &r, &err), &err);
    CHECK(r.items[0].max_abs == 0 && r.items[0].same == 6 && r.items[0].count == 144);
    mbs_expect_report_free(&r);
    write_expected("off", "case.", MBS_DT_I32, 21, 1000); /* without the padding */
    OK(mbs_model_expect(k.m, "off", &r, &err), &err);
    const mbs_compared *c = item(&r, "case.logits");
    CHECK(fabs(c->max_abs - 1000) < 1e-3 && c->count == 126 && c->same == 5 && c->rows == 6, "%g, %lld", c->max_abs,
          (long long)c->same);
    CHECK(fabs(c->max_rel - 1) < 0.01, "%g", c->max_rel);
    mbs_expect_report_free(&r);
    write_expected("nan", "", MBS_DT_I64, 24, NAN);
    OK(mbs_model_expect(k.m, "nan", &r, &err), &err);
    CHECK(isinf(r.items[0].max_abs) && isinf(r.items[0].max_rel));
    mbs_expect_report_free(&r);
    mkit_close(&k);
    test_tmp_leave(dir);
}

MBS_TEST(expect, what_cannot_be_compared_is_said) {
    char dir[256];
    mbs_err err = {0};
    mbs_expect_report r;
    test_tmp_enter(dir);
    mkit_golden_folder("m", 0);
    mkit k = mkit_start("m", MBK_LEVEL_REF, 0, 1);
    write_expected("cols", "", MBS_DT_I64, 20, 0);
    OK(mbs_model_expect(k.m, "cols", &r, &err), &err);
    CHECK_STR(r.items[0].note, "its shape [2, 3, 20] does not fit the input ids [2, 3] and the model");
    CHECK_INT(r.compared, 0);
    mbs_expect_report_free(&r);
    write_expected("u8", "", MBS_DT_U8, 24, 0);
    OK(mbs_model_expect(k.m, "u8", &r, &err), &err);
    CHECK_STR(r.items[0].note, "input_ids is neither I64 nor I32");
    mbs_expect_report_free(&r);
    CHECK_INT(mbs_model_expect(k.m, "m/model.safetensors", &r, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "holds no tensor named logits or logprob"), "%s", err.what);
    mbs_expect_report_free(&r);
    mbs_err_clear(&err);
    CHECK_INT(mbs_model_expect(k.m, "absent", &r, &err), MBS_ERR_NOINPUT);
    mbs_expect_report_free(&r);
    mbs_err_clear(&err);
    CHECK_INT(mbs_model_expect(k.m, ECOLI_REF "/expected.safetensors", &r, &err),
              MBS_OK); /* another model's: shapes differ */
    CHECK_INT(r.compared, 0);
    mbs_expect_report_free(&r);
    mkit_close(&k);
    test_tmp_leave(dir);
}
