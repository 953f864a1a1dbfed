/* Where pipelines come from and what they need: files, plugins, codecs; what the canonical form keeps. */
#include "load.h"
#include "plug/params.h"
#include "stubs.h"
#include "support/test.h"
#include "support/tmp.h"

static const char good[] = "mambaseq: 1\n"
                           "reader: {plugin: fasta, path: a.fa}\n"
                           "model: {path: m, task: generate, seed: 1}\n"
                           "writer:\n"
                           "  - {plugin: hdf5, path: a.h5}\n"
                           "  - {plugin: table, path: a.tsv}\n";

static char folder[256];
static mbs_registry *registry;

static void begin(void) {
    test_tmp_enter(folder);
    registry = test_registry();
    CHECK(registry != NULL, "no registry");
}

static void end(void) {
    mbs_registry_free(registry);
    test_tmp_leave(folder);
}

static void contains(const test_loaded *l, const char *text) {
    CHECK(strstr(mbs_buf_str(&l->diags), text) != NULL, "no \"%s\" in %s", text, mbs_buf_str(&l->diags));
}

/* The canonical form of `good` under up to three overrides "a.b=c". */
static void canonical(const char *a, const char *b, const char *c, char out[2048]) {
    const char *args[3] = {a, b, c};
    char paths[3][64];
    mbs_plan_set sets[3];
    int n = 0;
    for (; n < 3 && args[n]; n++) {
        size_t len = strcspn(args[n], "=");
        snprintf(paths[n], sizeof paths[n], "%.*s", (int)len, args[n]);
        sets[n] = (mbs_plan_set){paths[n], args[n] + len + 1, 0, "--set"};
    }
    test_loaded l;
    test_load(registry, good, sizeof good - 1, sets, n, &l);
    CHECK(l.status == MBS_OK, "%s", mbs_buf_str(&l.diags));
    mbs_buf text = MBS_BUF_INIT;
    mbs_plan_canonical(l.plan, &text);
    snprintf(out, 2048, "%s", mbs_buf_str(&text));
    mbs_buf_free(&text);
    test_loaded_free(&l);
}

MBS_TEST(load, canonical_keeps_what_changes_results) {
    begin();
    char plain[2048];
    char other[2048];
    canonical(NULL, NULL, NULL, plain);
    static const char *const same[][3] = {
        {"model.chunk=1000"},
        {"writer.0.path=b.h5", "writer.1.path=\"-\""},
        {"model.task=generate"},
        {"codec={plugin: bases}"},
        {"codec={plugin: bases, vocab: auto}"},
        {"reader.flank=1024", "reader.mask=no"},
        {"model.temperature=1.00", "model.top_k=~"},
        {"writer.table={path: x, plugin: table}"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        canonical(same[i][0], same[i][1], same[i][2], other);
        CHECK(strcmp(plain, other) == 0, "%s changes it:\n%s%s", same[i][0], plain, other);
    }
    static const char *const differ[] = {
        "model.seed=2",       "model.temperature=0.5",     "model.path=n",          "reader.path=b.fa",
        "reader.flank=10",    "model.device=cpu",          "model.stop=[A]",        "model.task=score",
        "codec.plugin=bases", "writer.0.compression=none", "writer.1.format=jsonl", "writer={plugin: hdf5, path: a.h5}",
    };
    for (size_t i = 0; i < sizeof differ / sizeof differ[0]; i++) {
        int score = strcmp(differ[i], "model.task=score") == 0;
        canonical(differ[i], score ? "model.seed=" : NULL, NULL, other);
        int is_same = strcmp(differ[i], "codec.plugin=bases") == 0; /* what is chosen anyway */
        CHECK_INT(strcmp(plain, other) == 0, is_same);
    }
    char reordered[2048];
    canonical("model.seed=5", "reader.flank=7", "model.top_k=3", other);
    canonical("model.top_k=3", "model.seed=5", "reader.flank=7", reordered);
    CHECK_STR(other, reordered);
    end();
}

MBS_TEST(load, values_arrive) {
    begin();
    mbs_plan_set set = {"model.stop", "[\"[SEP]\", N]", 0, "--set"};
    test_loaded l;
    test_load(registry, good, sizeof good - 1, &set, 1, &l);
    CHECK(l.status == MBS_OK, "%s", mbs_buf_str(&l.diags));
    CHECK_INT(l.plan->task, MBS_TASK_GENERATE);
    CHECK_INT(mbs_params_int(l.plan->models[0], "seed"), 1);
    CHECK_INT(mbs_params_int(l.plan->models[0], "chunk"), 65536);
    CHECK_INT(mbs_params_count(l.plan->models[0], "stop"), 2);
    CHECK_STR(mbs_params_item(l.plan->models[0], "stop", 0), "[SEP]");
    CHECK_STR(mbs_params_string(l.plan->models[0], "layer"), "final");
    CHECK_STR(l.plan->reader->label, "reader 'fasta'");
    CHECK_STR(l.plan->reader->where, "score.yaml:2:9");
    CHECK_STR(l.plan->codec->label, "codec 'bases'");
    CHECK_STR(l.plan->writers[1].label, "writer.1 'table'");
    CHECK_STR(l.plan->writers[1].where, "score.yaml:6:5");
    CHECK_STR(l.plan->model_where, "score.yaml:3:8");
    CHECK_STR(l.plan->row_type, "bases/u8");
    CHECK_STR(l.plan->file, "score.yaml");
    test_loaded_free(&l);
    end();
}

MBS_TEST(load, several_codecs_are_named) {
    begin();
    mbs_err err;
    mbs_err_clear(&err);
    CHECK(mbs_registry_add_static(registry, &test_stub_kmer_entry, &err) == MBS_OK, "%s", err.what);
    mbs_plan_set set = {"model", "{path: m, task: score}", 0, "--set"};
    test_loaded l;
    test_load(registry, good, sizeof good - 1, &set, 1, &l);
    CHECK_INT(l.status, MBS_ERR_CONFIG);
    CHECK_STR(mbs_buf_str(&l.diags),
              "--set model={path: m, task: score}: error: codec: none is named, and several would "
              "do: 'bases', 'kmer': name one, as in codec: {plugin: kmer}\n");
    test_loaded_free(&l);
    /* Only one of them writes tokens back. */
    test_load(registry, good, sizeof good - 1, NULL, 0, &l);
    CHECK(l.status == MBS_OK, "%s", mbs_buf_str(&l.diags));
    CHECK_STR(l.plan->codec->desc->id, "bases");
    test_loaded_free(&l);
    end();
}

MBS_TEST(load, a_plugin_that_is_not_there) {
    begin();
    mbs_plan_set set = {"reader.plugin", "fata", 0, "--set"};
    test_loaded l;
    test_load(registry, good, sizeof good - 1, &set, 1, &l);
    CHECK_INT(l.status, MBS_ERR_UNAVAILABLE);
    contains(&l, "--set reader.plugin=fata: error: reader 'fata': no plugin of this name");
    contains(&l, "fasta");
    CHECK_STR(l.err.what, "1 error");
    test_loaded_free(&l);
    /* With a mistake beside it, the pipeline is what has to be mended. */
    mbs_plan_set both[2] = {set, {"model.seed", "x", 0, "--set"}};
    test_load(registry, good, sizeof good - 1, both, 2, &l);
    CHECK_INT(l.status, MBS_ERR_CONFIG);
    CHECK_STR(l.err.what, "2 errors");
    test_loaded_free(&l);
    end();
}

MBS_TEST(load, folders_of_plugins) {
    begin();
    CHECK(mkdir("sub", 0755) == 0 && mkdir("sub/mine", 0755) == 0 && mkdir("here", 0755) == 0, "mkdir");
    test_tmp_write("sub/x.yaml", "mambaseq: 1\nplugins: [mine]\nreader: {plugin: nothing}\n"
                                 "writer: {plugin: table, path: x}\n");
    test_loaded l;
    test_load_file(registry, "sub/x.yaml", NULL, 0, &l);
    CHECK_INT(l.status, MBS_ERR_UNAVAILABLE);
    contains(&l, "sub/mine");
    test_loaded_free(&l);
    mbs_plan_set set = {"plugins", "here", 0, "--set"};
    test_load_file(registry, "sub/x.yaml", &set, 1, &l);
    CHECK_INT(l.status, MBS_ERR_UNAVAILABLE);
    contains(&l, "here");
    CHECK(strstr(mbs_buf_str(&l.diags), "sub/here") == NULL, "%s", mbs_buf_str(&l.diags));
    test_loaded_free(&l);
    CHECK(chmod("here", 0777) == 0, "chmod");
    test_load_file(registry, "sub/x.yaml", &set, 1, &l);
    contains(&l, "here");
    contains(&l, "writable");
    test_loaded_free(&l);
    end();
}

MBS_TEST(load, files_that_are_not_there) {
    begin();
    test_loaded l;
    test_load_file(registry, "missing.yaml", NULL, 0, &l);
    CHECK_INT(l.status, MBS_ERR_NOINPUT);
    CHECK_STR(l.err.where, "missing.yaml");
    CHECK_STR(mbs_buf_str(&l.diags), "");
    test_loaded_free(&l);
    test_load_file(registry, ".", NULL, 0, &l);
    CHECK_INT(l.status, MBS_ERR_NOINPUT);
    test_loaded_free(&l);
    setenv("MAMBASEQ_SHARE", ".", 1);
    test_tmp_write("x.yaml", "mambaseq: 2\n");
    test_load_file(registry, "share:x.yaml", NULL, 0, &l);
    CHECK_INT(l.status, MBS_ERR_CONFIG);
    contains(&l, "share:x.yaml:1:11: error: 'mambaseq' is '2'");
    test_loaded_free(&l);
    end();
}

MBS_TEST(load, standard_input) {
    begin();
    test_tmp_write("x.yaml", "mambaseq: 2\n");
    CHECK(freopen("x.yaml", "r", stdin) != NULL, "freopen");
    test_loaded l;
    test_load_file(registry, "-", NULL, 0, &l);
    CHECK_INT(l.status, MBS_ERR_CONFIG);
    contains(&l, "<stdin>:1:11: error: 'mambaseq' is '2'");
    CHECK_STR(l.err.where, "<stdin>");
    test_loaded_free(&l);
    end();
}
