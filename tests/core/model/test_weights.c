/* What a model folder must hold: everything that is wrong is said at once, and right folders of every form load. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "model/safetensors.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

/* Changes on the way from one safetensors file to another. */
typedef struct edit {
    const char *drop;    /* this tensor is left out */
    const char *rename;  /* this one */
    const char *to;      /*   gets this name */
    const char *reshape; /* the first dimension of this one */
    int64_t dim;         /*   becomes this (data cut or repeated) */
    const char *retype;  /* this one ("*": all) */
    mbs_dtype dtype;     /*   becomes of this type */
    const char *poison;  /* element 5 of this one */
    double value;        /*   becomes this */
    const char *strip;   /* this prefix is taken from all names */
    const char *also;    /* this one is written again */
    const char *as;      /*   as this */
    int part;            /* 1: even tensors, 2: odd ones, 0: all */
} edit;

static uint16_t to_half(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    int exponent = (int)(bits >> 23 & 255) - 112;
    if (exponent <= 0) {
        return (uint16_t)(bits >> 16 & 0x8000);
    }
    return (uint16_t)((bits >> 16 & 0x8000) | (uint32_t)exponent << 10 | (bits >> 13 & 0x3FF));
}

static void put_value(mbs_buf *b, mbs_dtype dtype, float f) {
    double d = (double)f;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint16_t bf = (uint16_t)(bits >> 16);
    uint16_t half = to_half(f);
    mbs_buf_append(b,
                   dtype == MBS_DT_F64    ? (const void *)&d
                   : dtype == MBS_DT_BF16 ? (const void *)&bf
                   : dtype == MBS_DT_F16  ? (const void *)&half
                                          : (const void *)&f,
                   mbs_st_dtype_size(dtype));
}

static int is(const char *name, const char *other) {
    return other && strcmp(name, other) == 0;
}

typedef struct built {
    mbs_st_decl decls[80];
    char names[80][128];
    mbs_buf data[80];
    size_t n;
} built;

static void build_one(built *out, const mbs_st *st, const mbs_st_tensor *t, const char *name, const edit *e) {
    const char *orig = out->names[out->n];
    snprintf(out->names[out->n], sizeof out->names[0], "%.*s", (int)t->name_len, t->name);
    mbs_st_decl *d = &out->decls[out->n];
    *d = (mbs_st_decl){
        orig, e->retype && (is(orig, e->retype) || is("*", e->retype)) ? e->dtype : MBS_DT_F32, t->ndim, {0}};
    memcpy(d->dims, mbs_st_dims(st, t), (size_t)t->ndim * sizeof(int64_t));
    int64_t n = mbs_st_elements(t);
    int64_t had = n;
    if (is(orig, e->reshape)) {
        n = n / d->dims[0] * e->dim;
        d->dims[0] = e->dim;
    }
    for (int64_t i = 0; i < n; i++) {
        float f;
        memcpy(&f, mbs_st_data(st, t) + i % had * 4, 4);
        if (is(orig, e->poison) && i == 5) {
            f = (float)e->value;
        }
        put_value(&out->data[out->n], d->dtype, f);
    }
    if (is(orig, e->rename)) {
        name = e->to;
    } else if (!name) {
        size_t strip = e->strip && strncmp(orig, e->strip, strlen(e->strip)) == 0 ? strlen(e->strip) : 0;
        name = orig + strip;
    }
    char copy[128];
    snprintf(copy, sizeof copy, "%s", name);
    memcpy(out->names[out->n], copy, sizeof copy);
    out->n++;
}

/* Copies the golden model's weights to FOLDER/file with the changes of `e`. */
static void edit_weights(const char *folder, const char *file, const edit *e) {
    mbs_err err = {0};
    mbs_st *st;
    mbs_st_writer w;
    char path[256];
    built *b = calloc(1, sizeof *b);
    OK(mbs_st_open("golden/model.safetensors", &st, &err), &err);
    for (size_t i = 0; i < mbs_st_count(st); i++) {
        const mbs_st_tensor *t = mbs_st_at(st, i);
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)t->name_len, t->name);
        if (is(name, e->also)) {
            build_one(b, st, t, e->as, &(edit){.poison = e->poison, .value = e->value});
        }
        if (!is(name, e->drop) && (e->part == 0 || (int)(i % 2) == e->part - 1)) {
            build_one(b, st, t, NULL, e);
        }
    }
    mbs_st_close(st);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    unlink(path);
    OK(mbs_st_writer_open(path, b->decls, b->n, &w, &err), &err);
    for (size_t i = 0; i < b->n; i++) {
        OK(mbs_st_writer_add(&w, b->data[i].data, b->data[i].len, &err), &err);
        mbs_buf_free(&b->data[i]);
    }
    OK(mbs_st_writer_close(&w, &err), &err);
    free(b);
}

static void make(const edit *e) {
    mkit_golden_folder("golden", 0);
    mkit_golden_folder("m", 0);
    edit_weights("m", "model.safetensors", e);
}

static mbs_status try_open(mbs_err *err) {
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    mbs_model *m = NULL;
    mbs_err_clear(err);
    mbs_status st = mbs_model_open("m", ctx, &m, err);
    CHECK((m != NULL) == (st >= 0));
    mbs_model_close(m);
    mbk_close(ctx);
    return st;
}

/* Logits of three tokens, for comparing models. */
static void logits_of(const char *folder, float *out) {
    mbs_err err = {0};
    mkit k = mkit_start(folder, MBK_LEVEL_REF, 0, 3);
    mbs_run_out want = {.logits = out, .layer = -1};
    OK(mbs_session_run(k.s, (const int32_t[]){1, 5, 20}, 3, &want, &err), &err);
    mkit_close(&k);
}

static void check_same_numbers(void) {
    float a[72];
    float b[72];
    logits_of("golden", a);
    logits_of("m", b);
    CHECK(mkit_same(a, b, 72));
}

#define ENTER                                                                                                          \
    char dir[256];                                                                                                     \
    mbs_err err = {0};                                                                                                 \
    test_tmp_enter(dir)
#define LEAVE test_tmp_leave(dir)
#define SAYS(TEXT) CHECK(strstr(err.what, TEXT), "\"%s\" does not say \"%s\"", err.what, TEXT)

MBS_TEST(weights, one_message_lists_everything_that_is_wrong) {
    ENTER;
    make(&(edit){.drop = "backbone.layers.1.mixer.D",
                 .rename = "backbone.layers.0.mixer.A_log",
                 .to = "backbone.layers.0.mixer.A",
                 .reshape = "backbone.norm_f.weight",
                 .dim = 9,
                 .retype = "backbone.layers.1.norm.weight",
                 .dtype = MBS_DT_I32});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("missing: backbone.layers.0.mixer.A_log, backbone.layers.1.mixer.D; misshapen: ");
    SAYS("backbone.norm_f.weight is [9], not [8]");
    SAYS("backbone.layers.1.norm.weight is I32, not F32");
    SAYS("extra: backbone.layers.0.mixer.A");
    CHECK(strstr(err.where, "m/model.safetensors"), "%s", err.where);
    LEAVE;
}

MBS_TEST(weights, a_long_list_is_cut_and_counted) {
    ENTER;
    make(&(edit){0});
    test_tmp_write("m/config.json",
                   "{\"d_model\": 8, \"n_layer\": 50, \"vocab_size\": 21, \"ssm_cfg\": {\"d_state\": 4,"
                   " \"dt_rank\": 2}}");
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("missing: backbone.layers.2.norm.weight, ");
    SAYS(" more");
    CHECK(strlen(err.what) < 1400, "%zu", strlen(err.what));
    LEAVE;
}

MBS_TEST(weights, values_that_are_not_finite_are_named) {
    ENTER;
    make(&(edit){.poison = "backbone.layers.1.mixer.in_proj.weight", .value = NAN});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("tensor 'backbone.layers.1.mixer.in_proj.weight': 1 of 256 values are not finite, the first at [0, 5] is nan");
    make(&(edit){.poison = "backbone.embedding.weight", .value = -INFINITY});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("tensor 'backbone.embedding.weight'");
    SAYS("[0, 5] is infinite");
    make(&(edit){.poison = "backbone.layers.0.mixer.A_log", .value = 1000});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("tensor 'backbone.layers.0.mixer.A_log': exp of its values overflows");
    LEAVE;
}

MBS_TEST(weights, names_without_backbone_load) {
    ENTER;
    make(&(edit){.strip = "backbone."});
    check_same_numbers();
    make(&(edit){.rename = "backbone.embedding.weight", .to = "backbone.embeddings.weight"});
    check_same_numbers();
    (void)err;
    LEAVE;
}

/* The head: stored as a copy, stored as something else, untied. */
MBS_TEST(weights, tied_and_separate_heads) {
    ENTER;
    make(&(edit){.also = "backbone.embedding.weight", .as = "lm_head.weight"});
    check_same_numbers();
    make(&(edit){.also = "backbone.embedding.weight",
                 .as = "lm_head.weight",
                 .poison = "backbone.embedding.weight",
                 .value = 3});
    CHECK_INT(try_open(&err), MBS_OK); /* both carry the change */
    make(&(edit){.also = "backbone.layers.0.mixer.D", .as = "lm_head.weight"});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("lm_head.weight is [16], not [24, 8]");
    test_tmp_write("m/config.json", "{\"d_model\": 8, \"n_layer\": 2, \"vocab_size\": 21, \"ssm_cfg\": {\"d_state\": 4,"
                                    " \"dt_rank\": 2}, \"tie_embeddings\": false}");
    edit_weights("m", "model.safetensors", &(edit){0});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("missing: lm_head.weight");
    edit_weights("m", "model.safetensors", &(edit){.also = "backbone.embedding.weight", .as = "lm_head.weight"});
    check_same_numbers();
    LEAVE;
}

/* A stored head that is not the embedding although the config ties them: neither is guessed. */
MBS_TEST(weights, a_head_that_contradicts_the_config_is_refused) {
    ENTER;
    make(&(edit){.also = "backbone.embedding.weight", .as = "lm_head.weight"});
    FILE *f = fopen("m/model.safetensors", "r+b");
    mbs_st *st;
    OK(mbs_st_open("m/model.safetensors", &st, &err), &err);
    const mbs_st_tensor *t = mbs_st_find(st, "lm_head.weight", 14);
    const mbs_st_tensor *first = mbs_st_at(st, 0);
    long at = (long)(mbs_st_file_size(st) - 0) - (long)(mbs_st_at(st, mbs_st_count(st) - 1)->end - t->begin);
    CHECK(t && first);
    mbs_st_close(st);
    float other = 77;
    CHECK(f && fseek(f, at + 8, SEEK_SET) == 0 && fwrite(&other, 4, 1, f) == 1 && fclose(f) == 0);
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("'lm_head.weight' differs from the embedding, but the config ties them");
    CHECK(strstr(err.fix, "\"tie_embeddings\": false"), "%s", err.fix);
    LEAVE;
}

/* Weights of other types are what their rounded values are in f32. */
MBS_TEST(weights, other_types_are_widened) {
    ENTER;
    static const mbs_dtype types[] = {MBS_DT_F64, MBS_DT_BF16, MBS_DT_F16};
    float want[72];
    float got[72];
    mkit_golden_folder("golden", 0);
    logits_of("golden", want);
    for (int i = 0; i < 3; i++) {
        make(&(edit){.retype = "*", .dtype = types[i]});
        logits_of("m", got);
        double worst = 0;
        double largest = 0;
        for (int k = 0; k < 72; k++) {
            worst = fmax(worst, fabs((double)got[k] - (double)want[k]));
            largest = fmax(largest, fabs((double)want[k]));
        }
        CHECK(types[i] == MBS_DT_F64 ? worst == 0 : worst > 0 && worst < 0.05 * largest, "%s: off by %g of %g",
              mbs_dtype_name(types[i]), worst, largest);
    }
    (void)err;
    LEAVE;
}

MBS_TEST(weights, biases_are_what_the_tensors_say) {
    ENTER;
    make(&(edit){.drop = "backbone.layers.0.mixer.conv1d.bias"});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("missing: backbone.layers.0.mixer.conv1d.bias");
    make(&(edit){.also = "backbone.layers.0.norm.weight", .as = "backbone.layers.0.mixer.out_proj.bias"});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("missing: backbone.layers.0.mixer.in_proj.bias, backbone.layers.1.mixer.in_proj.bias, "
         "backbone.layers.1.mixer.out_proj.bias");
    LEAVE;
}

/* --- shards ---------------------------------------------------------------------------------------------------------
 */

static void make_shards(const char *first, const char *second, const char *index) {
    make(&(edit){0});
    unlink("m/model.safetensors");
    edit_weights("m", first, &(edit){.part = 1});
    edit_weights("m", second, &(edit){.part = 2});
    mbs_buf b = MBS_BUF_INIT;
    if (!index) {
        mbs_err err = {0};
        mbs_st *st;
        OK(mbs_st_open("golden/model.safetensors", &st, &err), &err);
        mbs_buf_puts(&b, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
        for (size_t i = 0; i < mbs_st_count(st); i++) {
            const mbs_st_tensor *t = mbs_st_at(st, i);
            mbs_buf_printf(&b, "%s\"%.*s\": \"%s\"", i ? "," : "", (int)t->name_len, t->name, i % 2 ? second : first);
        }
        mbs_buf_puts(&b, "}}");
        mbs_st_close(st);
        index = b.data;
    }
    test_tmp_write("m/model.safetensors.index.json", index);
    mbs_buf_free(&b);
}

MBS_TEST(weights, shards_load_as_one_model) {
    ENTER;
    make_shards("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", NULL);
    check_same_numbers();
    unlink("m/model-00002-of-00002.safetensors");
    CHECK_INT(try_open(&err), MBS_ERR_NOINPUT);
    SAYS("names the file 'model-00002-of-00002.safetensors', which is not in the folder");
    LEAVE;
}

MBS_TEST(weights, shards_outside_the_folder_are_refused) {
    ENTER;
    static const char *const names[] = {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ".hidden", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char index[200];
        snprintf(index, sizeof index, "{\"weight_map\": {\"x\": \"%s\"}}", names[i]);
        make_shards("a.safetensors", "b.safetensors", index);
        CHECK_INT(try_open(&err), MBS_ERR_DATA);
        SAYS("is not a file name within the folder");
    }
    make_shards("a.safetensors", "b.safetensors", NULL);
    CHECK(rename("m/b.safetensors", "elsewhere.safetensors") == 0 &&
          symlink("../elsewhere.safetensors", "m/b.safetensors") == 0);
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("'b.safetensors' is a link that leads out of the folder");
    /* within the folder a link is a file like any other */
    unlink("m/b.safetensors");
    CHECK(rename("elsewhere.safetensors", "m/c.safetensors") == 0 && symlink("c.safetensors", "m/b.safetensors") == 0);
    check_same_numbers();
    LEAVE;
}

/* The cache of Hugging Face: snapshots/REVISION/FILE is a link to ../../blobs/HASH. */
MBS_TEST(weights, links_into_the_hub_cache_are_followed) {
    ENTER;
    make_shards("a.safetensors", "b.safetensors", NULL);
    CHECK(mkdir("hub", 0777) == 0 && mkdir("hub/blobs", 0777) == 0 && mkdir("hub/snapshots", 0777) == 0);
    CHECK(rename("m/b.safetensors", "hub/blobs/0123") == 0 && symlink("../../blobs/0123", "m/b.safetensors") == 0);
    CHECK(rename("m", "hub/snapshots/rev") == 0 && symlink("hub/snapshots/rev", "m") == 0);
    check_same_numbers();
    (void)err;
    LEAVE;
}

MBS_TEST(weights, an_index_that_lies_is_refused) {
    ENTER;
    make_shards("a.safetensors", "b.safetensors", "{\"weight_map\": {\"nothing\": \"a.safetensors\"}}");
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("tensor 'nothing' is not in a.safetensors as the index says");
    make_shards("a.safetensors", "b.safetensors", "{\"weight_map\": {\"x\": 1}}");
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("tensor 'x': its file is not a name");
    make_shards("a.safetensors", "b.safetensors", "{}");
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("'weight_map' is missing");
    make_shards("a.safetensors", "b.safetensors", "{\"weight_map\": {}}");
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("names 0 files");
    make_shards("a.safetensors", "b.safetensors", NULL);
    edit_weights("m", "b.safetensors", &(edit){0});
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("is in a.safetensors and in b.safetensors");
    LEAVE;
}

MBS_TEST(weights, folders_without_weights_say_what_to_do) {
    ENTER;
    make(&(edit){0});
    unlink("m/model.safetensors");
    CHECK_INT(try_open(&err), MBS_ERR_NOINPUT);
    SAYS("no model.safetensors");
    test_tmp_write("m/last.ckpt", "x");
    CHECK_INT(try_open(&err), MBS_ERR_NOINPUT);
    SAYS("last.ckpt is not read");
    CHECK(strstr(err.fix, "torch.save("), "%s", err.fix);
    test_tmp_write("m/pytorch_model.bin", "something else");
    CHECK_INT(try_open(&err), MBS_ERR_DATA);
    SAYS("not a PyTorch checkpoint");
    LEAVE;
}

/* The file's sum is that of its bytes, and a file that changed after loading is not passed off as the one loaded. */
MBS_TEST(weights, sha256_is_of_the_loaded_files) {
    ENTER;
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    mbs_model *m;
    make(&(edit){0});
    CHECK(mbs_model_open("m", ctx, &m, &err) >= 0);
    const char *sum = mbs_model_sha256(m, &err);
    CHECK(sum && strlen(sum) == 64);
    char kept[65];
    snprintf(kept, sizeof kept, "%s", sum);
    mbs_model_close(m);
    CHECK(mbs_model_open("m", ctx, &m, &err) >= 0);
    FILE *f = fopen("m/config.json", "ab");
    CHECK(f && fputc('\n', f) == '\n' && fclose(f) == 0);
    CHECK(mbs_model_sha256(m, &err) == NULL);
    SAYS("was changed after the model was loaded");
    mbs_model_close(m);
    CHECK(mbs_model_open("m", ctx, &m, &err) >= 0);
    mbs_err_clear(&err);
    sum = mbs_model_sha256(m, &err);
    CHECK(sum && strcmp(sum, kept) != 0, "the config belongs to the model's name");
    mbs_model_close(m);
    mbk_close(ctx);
    LEAVE;
}
