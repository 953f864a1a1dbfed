/* A classification head in a model folder: what config.json may say of it, what the tensors must be, what it computes,
 * and what such a folder cannot do. */
#include <math.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/classes.h"
#include "model/describe.h"
#include "model/impl.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

static mbs_status parse(const char *text, mbs_classes *c, mbs_err *err) {
    mbs_json *doc;
    *err = (mbs_err){0};
    OK(mbs_json_parse("c.json", text, strlen(text), &doc, err), err);
    mbs_status st = mbs_classes_of_config(doc, "c.json", c, err);
    mbs_json_free(doc);
    return st;
}

MBS_TEST(classes, of_a_config) {
    mbs_classes c;
    mbs_err err;
    OK(parse("{\"id2label\": {\"1\": \"lambda phage\", \"0\": \"coli\"}, \"label2id\": {\"coli\": 0, \"lambda phage\": "
             "1}}",
             &c, &err),
       &err);
    CHECK_INT(c.n, 2);
    CHECK_STR(c.names[0], "coli");
    CHECK_INT(mbs_classes_find(&c, "lambda phage"), 1);
    CHECK_INT(mbs_classes_find(&c, "1"), 1);
    CHECK_INT(mbs_classes_find(&c, "2"), -1);
    CHECK_INT(mbs_classes_find(&c, "Coli"), -1);
    CHECK_INT(mbs_classes_find(&c, ""), -1);
    mbs_classes_free(&c);
    OK(parse("{\"num_labels\": 7}", &c, &err), &err);
    CHECK(c.n == 7 && !c.names, "%lld", (long long)c.n);
    OK(parse("{\"id2label\": null}", &c, &err), &err);
    CHECK_INT(c.n, 0);
    /* A class may be called by a digit: the name wins over the number. */
    OK(parse("{\"id2label\": {\"0\": \"1\", \"1\": \"0\"}}", &c, &err), &err);
    CHECK_INT(mbs_classes_find(&c, "1"), 0);
    mbs_classes_free(&c);
}

MBS_TEST(classes, broken_names_are_refused) {
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"{\"id2label\": {\"0\": \"a\", \"2\": \"b\"}}", "the key '2' is not one of \"0\" to \"1\""},
        {"{\"id2label\": {\"0\": \"a\", \"x\": \"b\"}}", "the key 'x' is not"},
        {"{\"id2label\": {\"0\": \"a\", \"01\": \"b\"}}", "the key '01' is not"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"a\"}}", "classes 0 and 1 are both 'a'"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"\"}}", "class 1 has an empty name"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\\tc\"}}", "class 1 has a control character"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": 7}}", "class 1 has a name that is not text"},
        {"{\"id2label\": [\"a\", \"b\"]}", "'id2label': an object is wanted"},
        {"{\"num_labels\": 3, \"id2label\": {\"0\": \"a\", \"1\": \"b\"}}", "names 2 classes, and 'num_labels' says 3"},
        {"{\"num_labels\": 0}", "'num_labels'"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"label2id\": {\"a\": 1, \"b\": 0}}",
         "do not agree about class 0"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\"}, \"label2id\": {\"a\": 0}}", "'label2id' has 1 classes"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mbs_classes c;
        mbs_err err;
        CHECK_INT(parse(bad[i].text, &c, &err), MBS_ERR_DATA);
        CHECK(strstr(err.what, bad[i].says), "%s: %s", bad[i].text, err.what);
        CHECK_STR(err.where, "c.json");
    }
}

/* The golden model with a head of `rows` classes, `bias` of them or none; `pool` NULL: config.json is left alone. */
static void make(const char *pool, int64_t rows, int64_t width, int64_t bias, int lm_head) {
    static const char *const names[] = {"coli", "lambda", "phiX"};
    mbs_err err = {0};
    mbs_st *st;
    mbs_st_writer w;
    mbs_st_decl decls[80];
    char text[80][128];
    size_t n = 0;
    float values[64];
    mkit_golden_folder("golden", 1);
    mkit_golden_folder("m", 1);
    if (pool) {
        mbs_classes c;
        OK(mbs_classes_new(names, 3, "here", &c, &err), &err);
        OK(mbs_classes_write("m", &c, strcmp(pool, "mean") == 0 ? MBS_POOLING_MEAN : MBS_POOLING_LAST, &err), &err);
        mbs_classes_free(&c);
    }
    OK(mbs_st_open("golden/model.safetensors", &st, &err), &err);
    for (size_t i = 0; i < mbs_st_count(st); i++, n++) {
        const mbs_st_tensor *t = mbs_st_at(st, i);
        snprintf(text[n], sizeof text[n], "%.*s", (int)t->name_len, t->name);
        decls[n] = (mbs_st_decl){text[n], MBS_DT_F32, t->ndim, {0}};
        memcpy(decls[n].dims, mbs_st_dims(st, t), (size_t)t->ndim * sizeof(int64_t));
    }
    size_t copied = n;
    if (rows) {
        decls[n++] = (mbs_st_decl){"score.weight", MBS_DT_F32, 2, {rows, width}};
    }
    if (bias) {
        decls[n++] = (mbs_st_decl){"score.bias", MBS_DT_F32, 1, {bias}};
    }
    if (lm_head) {
        decls[n++] = (mbs_st_decl){"lm_head.weight", MBS_DT_F32, 2, {24, 8}};
    }
    for (int i = 0; i < 64; i++) {
        values[i] = (float)((i * 37 % 19) - 9) / 8.0f;
    }
    unlink("m/model.safetensors");
    OK(mbs_st_writer_open("m/model.safetensors", decls, n, &w, &err), &err);
    for (size_t i = 0; i < n; i++) {
        size_t count = 1;
        for (int k = 0; k < decls[i].ndim; k++) {
            count *= (size_t)decls[i].dims[k];
        }
        const void *data = values;
        if (i < copied) {
            data = mbs_st_data(st, mbs_st_at(st, i));
        } else if (strcmp(decls[i].name, "lm_head.weight") == 0) {
            data = mbs_st_data(st, mbs_st_find(st, "backbone.embeddings.weight", 26));
        }
        OK(mbs_st_writer_add(&w, data, count * 4, &err), &err);
    }
    OK(mbs_st_writer_close(&w, &err), &err);
    mbs_st_close(st);
}

static mbs_status open_model(mbs_model **m, mbk_ctx **ctx, mbs_err *err) {
    *err = (mbs_err){0};
    *ctx = mkit_open(MBK_LEVEL_REF, 1);
    return mbs_model_open("m", *ctx, m, err);
}

MBS_TEST(classes, a_head_is_loaded_and_computed) {
    mbs_err err;
    mbs_model *m;
    mbk_ctx *ctx;
    char dir[256];
    test_tmp_enter(dir);
    make("mean", 3, 8, 3, 0);
    OK(open_model(&m, &ctx, &err), &err);
    CHECK_INT(mbs_model_classes(m), 3);
    CHECK_STR(mbs_model_class_name(m, 2), "phiX");
    CHECK(!mbs_model_class_name(m, 3) && !mbs_model_class_name(m, -1), "names behind the end");
    CHECK(mbs_model_get_config(m)->pool == MBS_POOLING_MEAN && !mbs_model_has_lm_head(m), "pool or head");
    float row[8];
    float outputs[3];
    float prob[3];
    double sum = 0;
    for (int j = 0; j < 8; j++) {
        row[j] = (float)(j - 3) / 4.0f;
    }
    mbs_model_classify(m, row, outputs, prob);
    double e[3];
    for (int k = 0; k < 3; k++) {
        double want = ((k * 37 % 19) - 9) / 8.0; /* the bias */
        for (int j = 0; j < 8; j++) {
            want += ((((k * 8 + j) * 37) % 19) - 9) / 8.0 * (j - 3) / 4.0;
        }
        CHECK(fabs((double)outputs[k] - want) < 1e-6, "%d: %g, not %g", k, (double)outputs[k], want);
        e[k] = exp(want);
        sum += e[k];
    }
    for (int k = 0; k < 3; k++) {
        CHECK(fabs((double)prob[k] - e[k] / sum) < 1e-6, "%d: %g, not %g", k, (double)prob[k], e[k] / sum);
    }
    mbs_model_close(m);
    mbk_close(ctx);
    test_tmp_leave(dir);
}

/* ... and says clearly what it has not: nothing of a language head may be asked of it, nor crash. */
MBS_TEST(classes, no_language_head) {
    mbs_err err;
    mbs_model *m;
    mbk_ctx *ctx;
    mbs_session *s;
    char dir[256];
    test_tmp_enter(dir);
    make("last", 3, 8, 0, 0);
    OK(open_model(&m, &ctx, &err), &err);
    CHECK(mbs_model_get_config(m)->pool == MBS_POOLING_LAST, "pool");
    OK(mbs_session_new(m, 4, &s, &err), &err);
    int32_t ids[] = {1, 2, 3, 4};
    float room[4 * 24];
    const mbs_run_out asked[] = {
        {.layer = -1, .logprob = room}, {.layer = -1, .logits = room}, {.layer = -1, .last_logits = room}};
    for (int i = 0; i < 3; i++) {
        CHECK_INT(mbs_session_run(s, ids, 4, &asked[i], &err), MBS_ERR_CONFIG);
        CHECK(strstr(err.what, "classifier without a language head"), "%s", err.what);
    }
    OK(mbs_session_run(s, ids, 4, &(mbs_run_out){.layer = -1, .hidden = room}, &err), &err);
    CHECK_INT(mbs_session_predict(s, room, &err), MBS_ERR_CONFIG);
    mbs_session_free(s);
    mbs_model_close(m);
    mbk_close(ctx);
    /* Both heads may be there. */
    make("last", 3, 8, 0, 1);
    OK(open_model(&m, &ctx, &err), &err);
    CHECK(mbs_model_has_lm_head(m) && mbs_model_classes(m) == 3, "a stored language head");
    mbs_model_close(m);
    mbk_close(ctx);
    test_tmp_leave(dir);
}

static void says(const char *what) {
    mbs_err err;
    mbs_model *m;
    mbk_ctx *ctx;
    CHECK_INT(open_model(&m, &ctx, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, what), "%s", err.what);
    mbk_close(ctx);
}

MBS_TEST(classes, a_head_of_the_wrong_shape) {
    mbs_err err;
    mbs_model *m;
    mbk_ctx *ctx;
    char dir[256];
    test_tmp_enter(dir);
    make("mean", 2, 8, 0, 0);
    says("misshapen: score.weight is [2, 8], not [3, 8]");
    make("mean", 3, 4, 0, 0);
    says("misshapen: score.weight is [3, 4], not [3, 8]");
    make("mean", 3, 8, 2, 0);
    says("misshapen: score.bias is [2], not [3]");
    make("mean", 0, 0, 0, 0);
    says("missing: score.weight");
    make("mean", 0, 0, 3, 0);
    says("missing: score.weight");
    /* Without a word in config.json the tensor decides; a language model with names for somebody's labels is one. */
    make(NULL, 5, 8, 0, 0);
    OK(open_model(&m, &ctx, &err), &err);
    CHECK(mbs_model_classes(m) == 5 && !mbs_model_class_name(m, 0) && !mbs_model_has_lm_head(m), "a head alone");
    CHECK(mbs_model_get_config(m)->pool == MBS_POOLING_LAST, "as transformers");
    mbs_model_close(m);
    mbk_close(ctx);
    test_tmp_leave(dir);
}

/* What transformers leaves in a config survives; a second head takes the place of the first. */
MBS_TEST(classes, written_into_a_config) {
    static const char *const names[] = {"a \"b\"", "\xc3\xa9"};
    mbs_err err = {0};
    mbs_classes c;
    char *text;
    size_t len;
    FILE *f;
    char dir[256];
    test_tmp_enter(dir);
    f = fopen("config.json", "w");
    fputs("{\"architectures\": [\"MambaForCausalLM\"], \"model_type\": \"mamba\", \"hidden_size\": 8, \"deep\": "
          "{\"x\": [1, 2.5, "
          "null, true, \"\\n\"], \"y\": {}}, \"eps\": 1e-05, \"id2label\": {\"0\": \"x\"}}",
          f);
    fclose(f);
    OK(mbs_classes_new(names, 2, "here", &c, &err), &err);
    OK(mbs_classes_write(".", &c, MBS_POOLING_MEAN, &err), &err);
    OK(mbs_path_read("config.json", 10000, &text, &len, &err), &err);
    char *first = text;
    CHECK(strstr(text, "[\"MambaForSequenceClassification\"]") && !strstr(text, "CausalLM") && !strstr(text, "\"x\"}"),
          "%s", text);
    CHECK(strstr(text, "\"x\": [1, 2.5, null, true, \"\\u000a\"]") && strstr(text, "\"eps\": 1e-05") &&
              strstr(text, "\"y\": {}"),
          "%s", text);
    mbs_classes_free(&c);
    OK(mbs_classes_load(".", &c, &err), &err);
    CHECK(c.n == 2 && strcmp(c.names[0], names[0]) == 0 && strcmp(c.names[1], names[1]) == 0, "names");
    /* Written again it is the same text. */
    OK(mbs_classes_write(".", &c, MBS_POOLING_MEAN, &err), &err);
    OK(mbs_path_read("config.json", 10000, &text, &len, &err), &err);
    CHECK_STR(text, first);
    mbs_classes_free(&c);
    mbs_free(first);
    mbs_free(text);
    static const char *const twice[] = {"a", "a"};
    CHECK_INT(mbs_classes_new(twice, 2, "here", &c, &err), MBS_ERR_DATA);
    err = (mbs_err){0};
    CHECK_INT(mbs_classes_new(twice, 1, "here", &c, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "1 class"), "%s", err.what);
    test_tmp_leave(dir);
}

static void put(void *sink, const char *key, const char *value) {
    mbs_buf_printf(sink, "%s=%s\n", key, value);
}

MBS_TEST(classes, described) {
    mbs_err err = {0};
    mbs_buf b = MBS_BUF_INIT;
    char dir[256];
    test_tmp_enter(dir);
    make("mean", 3, 8, 3, 0);
    OK(mbs_model_describe("m", put, &b, &err), &err);
    CHECK(strstr(mbs_buf_str(&b), "\nhead=none, a classifier\n"), "%s", mbs_buf_str(&b));
    CHECK(strstr(mbs_buf_str(&b), "\nclasses=3\nclass_names=coli, lambda, phiX\npool=mean\n"), "%s", mbs_buf_str(&b));
    mbs_buf_free(&b);
    test_tmp_leave(dir);
}
