/* Fresh models: the same seed gives the same bytes, they load, and their values follow the rules of the reference. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "model/init.h"
#include "model/safetensors.h"
#include "model/shape.h"
#include "model/weights.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define ENTER                                                                                                          \
    char dir[256];                                                                                                     \
    mbs_err err = {0};                                                                                                 \
    test_tmp_enter(dir)
#define LEAVE test_tmp_leave(dir)
#define SAYS(TEXT) CHECK(strstr(err.what, TEXT), "\"%s\" does not say \"%s\"", err.what, TEXT)

/* A small shape with the given keys: "key=value" pairs, ended by NULL. */
static mbs_shape shape(const char *const *pairs) {
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    OK(mbs_shape_set(&s, "d_model", "16", &err), &err);
    OK(mbs_shape_set(&s, "n_layer", "2", &err), &err);
    OK(mbs_shape_set(&s, "vocab", "dna", &err), &err);
    for (; pairs && *pairs; pairs++) {
        char key[64];
        const char *eq = strchr(*pairs, '=');
        snprintf(key, sizeof key, "%.*s", (int)(eq - *pairs), *pairs);
        OK(mbs_shape_set(&s, key, eq + 1, &err), &err);
    }
    OK(mbs_shape_finish(&s, &err), &err);
    return s;
}

static void init(const char *folder, const mbs_shape *s, uint64_t seed) {
    mbs_err err = {0};
    OK(mbs_model_init(folder, &s->cfg, seed, s->dna ? MBS_INIT_DNA : 0, &err), &err);
}

static int same_file(const char *a, const char *b) {
    mbs_err err = {0};
    char *x;
    char *y;
    size_t n;
    size_t m;
    OK(mbs_path_read(a, 1 << 26, &x, &n, &err), &err);
    OK(mbs_path_read(b, 1 << 26, &y, &m, &err), &err);
    int same = n == m && memcmp(x, y, n) == 0;
    mbs_free(x);
    mbs_free(y);
    return same;
}

MBS_TEST(init, the_seed_decides_the_bytes) {
    ENTER;
    mbs_shape s = shape(NULL);
    init("a", &s, 7);
    init("b", &s, 7);
    init("c/", &s, 8);
    CHECK(same_file("a/model.safetensors", "b/model.safetensors"));
    CHECK(same_file("a/config.json", "b/config.json"));
    CHECK(!same_file("a/model.safetensors", "c/model.safetensors"));
    CHECK(same_file("a/config.json", "c/config.json"));
    CHECK_INT(test_tmp_count("."), 3); /* no hidden folder stays */
    CHECK_INT(test_tmp_count("a"), 5); /* config, weights, vocab.txt and the two files of the tokenizer */
    /* The bytes themselves: a change here changes every model that was ever made from a seed. */
    mbs_st *st;
    OK(mbs_st_open("a/model.safetensors", &st, &err), &err);
    float first;
    const mbs_st_tensor *t = mbs_st_find(st, "backbone.layers.0.mixer.in_proj.weight", 38);
    CHECK(t);
    memcpy(&first, mbs_st_data(st, t), 4);
    CHECK(first == 0.174555063f, "in_proj[0] of seed 7 is %.9g", (double)first);
    mbs_st_close(st);
    LEAVE;
}

MBS_TEST(init, a_fresh_dna_model_is_laid_out_like_ecoli_ref) {
    ENTER;
    mbs_shape s = shape((const char *const[]){"d_model=128", "n_layer=4", NULL});
    init("a", &s, 1);
    CHECK(same_file("a/vocab.txt", ECOLI_REF "/vocab.txt"));
    mbs_st *mine;
    mbs_st *theirs;
    OK(mbs_st_open("a/model.safetensors", &mine, &err), &err);
    OK(mbs_st_open(ECOLI_REF "/model.safetensors", &theirs, &err), &err);
    CHECK_INT(mbs_st_count(mine), mbs_st_count(theirs));
    for (size_t i = 0; i < mbs_st_count(mine); i++) {
        const mbs_st_tensor *t = mbs_st_at(mine, i);
        const mbs_st_tensor *u = mbs_st_find(theirs, t->name, t->name_len);
        CHECK(u && u->ndim == t->ndim && u->dtype == t->dtype, "%.*s", (int)t->name_len, t->name);
        CHECK(memcmp(mbs_st_dims(mine, t), mbs_st_dims(theirs, u), t->ndim * sizeof(int64_t)) == 0);
    }
    mbs_st_close(mine);
    mbs_st_close(theirs);
    mbs_model_config a;
    mbs_model_config b;
    OK(mbs_config_load("a", &a, &err), &err);
    OK(mbs_config_load(ECOLI_REF, &b, &err), &err);
    CHECK(a.d_inner == b.d_inner && a.dt_rank == b.dt_rank && a.vocab_rows == b.vocab_rows && a.bos == b.bos &&
          a.eos == b.eos && a.pad == b.pad && a.norm_eps == b.norm_eps && a.tie_embeddings == b.tie_embeddings);
    LEAVE;
}

/* Every form of a shape can be written, read back and run. */
MBS_TEST(init, every_form_loads_and_runs) {
    static const char *const forms[][4] = {
        {NULL},
        {"tie_embeddings=false", "vocab=100", NULL},
        {"bias=true", "conv_bias=false", "d_conv=2", NULL},
        {"norm=layer", "expand=1.5", "dt_rank=3", NULL},
        {"norm=layer", "vocab=21", "tie_embeddings=false", NULL},
        {"d_model=17", "d_state=3", "vocab=1", NULL},
    };
    ENTER;
    (void)err;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char name[16];
        float lp[3];
        snprintf(name, sizeof name, "m%d", (int)i);
        mbs_shape s = shape(forms[i]);
        init(name, &s, 3);
        mkit k = mkit_start(name, mbk_level_best(), 0, 3);
        const mbs_model_config *c = mbs_model_get_config(k.m);
        CHECK(c->d_inner == s.cfg.d_inner && c->d_conv == s.cfg.d_conv && c->dt_rank == s.cfg.dt_rank &&
              c->vocab_rows == s.cfg.vocab_rows && c->norm == s.cfg.norm && c->use_bias == s.cfg.use_bias &&
              c->use_conv_bias == s.cfg.use_conv_bias && c->tie_embeddings == s.cfg.tie_embeddings);
        mbs_run_out out = {.logprob = lp, .layer = -1};
        OK(mbs_session_run(k.s, (const int32_t[]){0, 1, 2}, 3, &out, &err), &err);
        CHECK(lp[2] < 0 && lp[2] > -20, "%s: %g", name, (double)lp[2]);
        mkit_close(&k);
    }
    LEAVE;
}

/* Least, largest and mean of a tensor. */
typedef struct spread {
    double min, max, mean, deviation;
} spread;

static spread spread_of(const mbs_st *st, const char *name) {
    const mbs_st_tensor *t = mbs_st_find(st, name, strlen(name));
    CHECK(t, "%s", name);
    int64_t n = mbs_st_elements(t);
    spread s = {INFINITY, -INFINITY, 0, 0};
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = mbs_st_number(MBS_DT_F32, mbs_st_data(st, t), i);
        s.min = fmin(s.min, v);
        s.max = fmax(s.max, v);
        s.mean += v / (double)n;
        squares += v * v / (double)n;
    }
    s.deviation = sqrt(squares - s.mean * s.mean);
    return s;
}

static void check_uniform(const mbs_st *st, const char *name, double bound) {
    spread s = spread_of(st, name);
    CHECK(s.max <= bound && s.max > 0.98 * bound && s.min >= -bound && s.min < -0.98 * bound, "%s: %g to %g, not +-%g",
          name, s.min, s.max, bound);
    CHECK(fabs(s.mean) < 0.05 * bound && fabs(s.deviation - bound / sqrt(3)) < 0.03 * bound,
          "%s: mean %g, deviation %g", name, s.mean, s.deviation);
}

MBS_TEST(init, a_model_made_in_memory_is_the_one_in_the_folder) {
    static const char *const forms[][4] = {
        {NULL}, {"tie_embeddings=false", "bias=true", NULL}, {"norm=layer", "conv_bias=false", NULL}};
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        ENTER;
        mbs_shape s = shape(forms[f]);
        init("a", &s, 7);
        mkit from = mkit_start("a", mbk_level_best(), 0, 8);
        mkit made = {.ctx = mkit_open(mbk_level_best(), 0)};
        OK(mbs_model_fresh(&s.cfg, 7, made.ctx, &made.m, &err), &err);
        OK(mbs_session_new(made.m, 8, &made.s, &err), &err);
        CHECK(mbs_model_parameters(made.m) == mbs_model_parameters(from.m));
        static const int32_t ids[8] = {7, 8, 9, 10, 7, 7, 10, 8};
        float a[8 * 16];
        float b[8 * 16];
        OK(mbs_session_run(from.s, ids, 8, &(mbs_run_out){.logits = a, .layer = -1}, &err), &err);
        OK(mbs_session_run(made.s, ids, 8, &(mbs_run_out){.logits = b, .layer = -1}, &err), &err);
        CHECK(mkit_same(a, b, 8 * 16), "form %zu", f);
        mbs_buf state = MBS_BUF_INIT; /* also to the rule that tells models apart */
        OK(mbs_session_save(from.s, &state, &err), &err);
        OK(mbs_session_restore(made.s, state.data, state.len, &err), &err);
        mbs_buf_free(&state);
        CHECK(!mbs_model_sha256(made.m, &err));
        SAYS("no files");
        mkit_close(&from);
        mkit_close(&made);
        LEAVE;
    }
}

MBS_TEST(init, values_follow_the_rules) {
    ENTER;
    mbs_st *st;
    mbs_shape s = shape((const char *const[]){"d_model=128", "n_layer=4", "vocab=1000", NULL});
    init("a", &s, 11);
    OK(mbs_st_open("a/model.safetensors", &st, &err), &err);
#define LAYER "backbone.layers.2.mixer."
    check_uniform(st, LAYER "in_proj.weight", 1 / sqrt(128));
    check_uniform(st, LAYER "x_proj.weight", 1 / sqrt(256));
    check_uniform(st, LAYER "dt_proj.weight", 1 / sqrt(8));
    check_uniform(st, LAYER "conv1d.weight", 0.5);
    check_uniform(st, LAYER "out_proj.weight", 1 / sqrt(256) / sqrt(4));
    spread e = spread_of(st, "backbone.embeddings.weight");
    CHECK(fabs(e.mean) < 1e-3 && fabs(e.deviation - 0.02) < 1e-3, "embedding: %g, %g", e.mean, e.deviation);
    spread one = spread_of(st, LAYER "D");
    CHECK(one.min == 1 && one.max == 1);
    one = spread_of(st, "backbone.norm_f.weight");
    CHECK(one.min == 1 && one.max == 1);
    /* softplus of the bias is a time step of 1e-3 to 1e-1, evenly on a logarithmic scale */
    spread dt = spread_of(st, LAYER "dt_proj.bias");
    CHECK(log1p(exp(dt.min)) > 0.99e-3 && log1p(exp(dt.min)) < 1.2e-3, "least dt %g", log1p(exp(dt.min)));
    CHECK(log1p(exp(dt.max)) < 1.01e-1 && log1p(exp(dt.max)) > 0.9e-1, "largest dt %g", log1p(exp(dt.max)));
    const mbs_st_tensor *a = mbs_st_find(st, LAYER "A_log", strlen(LAYER "A_log"));
    for (int64_t i = 0; i < 256 * 16; i++) {
        CHECK((float)mbs_st_number(MBS_DT_F32, mbs_st_data(st, a), i) == (float)log((double)(i % 16 + 1)));
    }
    mbs_st_close(st);
    LEAVE;
}

/* --- the folder appears whole or not at all -------------------------------------------------------------------------
 */

MBS_TEST(init, what_stands_there_is_kept) {
    ENTER;
    mbs_shape s = shape(NULL);
    init("a", &s, 1);
    CHECK_INT(mbs_model_init("a", &s.cfg, 2, MBS_INIT_DNA, &err), MBS_ERR_CREATE);
    SAYS("exists already");
    init("kept", &s, 1);
    CHECK(same_file("a/model.safetensors", "kept/model.safetensors"));
    test_tmp_write("a/notes.txt", "mine");
    mbs_err_clear(&err);
    CHECK_INT(mbs_model_init("a", &s.cfg, 2, MBS_INIT_DNA | MBS_INIT_FORCE, &err), MBS_ERR_CREATE);
    SAYS("holds 'notes.txt'");
    CHECK(unlink("a/notes.txt") == 0);
    mbs_err_clear(&err);
    OK(mbs_model_init("a", &s.cfg, 2, MBS_INIT_DNA | MBS_INIT_FORCE, &err), &err);
    CHECK(!same_file("a/model.safetensors", "kept/model.safetensors"));
    test_tmp_write("file", "mine");
    CHECK_INT(mbs_model_init("file", &s.cfg, 2, MBS_INIT_FORCE | MBS_INIT_DNA, &err), MBS_ERR_CREATE);
    CHECK_STR(test_tmp_text("file"), "mine");
    mbs_err_clear(&err);
    CHECK_INT(mbs_model_init("no/such/a", &s.cfg, 2, MBS_INIT_DNA, &err), MBS_ERR_CREATE);
    SAYS("there is no folder 'no/such'");
    mbs_err_clear(&err);
    CHECK_INT(mbs_model_init(".", &s.cfg, 2, MBS_INIT_DNA | MBS_INIT_FORCE, &err), MBS_ERR_USAGE);
    CHECK_INT(test_tmp_count("."), 3);
    LEAVE;
}

/* A run that died left its hidden folder: it is not in the way. */
MBS_TEST(init, no_room_leaves_nothing_and_says_so) {
    ENTER;
    mbs_shape s = shape(NULL);
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, before.rlim_max}) == 0);
    mbs_status st = mbs_model_init("a", &s.cfg, 1, MBS_INIT_DNA, &err);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_INT(st, MBS_ERR_IO);
    CHECK_STR(err.kept, "nothing was written to a");
    CHECK_INT(test_tmp_count("."), 0);
    LEAVE;
}

MBS_TEST(init, leftovers_of_a_dead_run_are_replaced) {
    ENTER;
    mbs_shape s = shape(NULL);
    CHECK(mkdir(".a.mbs-part", 0777) == 0);
    test_tmp_write(".a.mbs-part/model.safetensors", "half");
    init("a", &s, 1);
    CHECK_INT(test_tmp_count("."), 1);
    mkit k = mkit_start("a", MBK_LEVEL_REF, 0, 1);
    mkit_close(&k);
    (void)err;
    LEAVE;
}

/* --- shapes ---------------------------------------------------------------------------------------------------------
 */

MBS_TEST(init, wrong_shapes_are_refused) {
    static const char *const bad[][3] = {
        {"d_modle", "16", "'d_modle' is not a key of a shape"},
        {"d_model", "0", "'d_model' is an integer from 1"},
        {"d_model", "1.5", "not '1.5'"},
        {"d_model", "", "not ''"},
        {"d_model", "0x10", "not '0x10'"},
        {"d_model", "nan", "not 'nan'"},
        {"d_model", "1e99", "not '1e99'"},
        {"d_conv", "17", "'d_conv' is an integer from 1 to 16"},
        {"dt_rank", "automatic", "or auto, not 'automatic'"},
        {"vocab", "rna", "or dna, not 'rna'"},
        {"norm", "l", "'norm' is rms|layer, not 'l'"},
        {"mixer", "mamba7", "'mixer' is mamba1|mamba2|attention|"},
        {"tie_embeddings", "yes", "'tie_embeddings' is true or false, not 'yes'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mbs_err err = {0};
        mbs_shape s;
        mbs_shape_default(&s);
        CHECK_INT(mbs_shape_set(&s, bad[i][0], bad[i][1], &err), MBS_ERR_CONFIG);
        SAYS(bad[i][2]);
    }
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    CHECK_INT(mbs_shape_finish(&s, &err), MBS_ERR_CONFIG);
    SAYS("'d_model' is missing");
    CHECK_STR(mbs_shape_key(1, NULL), "d_model");
    CHECK(mbs_shape_key(100, NULL) == NULL);
}

/* Reads "key: value" lines; the shapes that we ship are no more than that. */
static mbs_shape read_shape(const char *path) {
    mbs_err err = {0};
    mbs_shape s;
    char line[256];
    mbs_shape_default(&s);
    FILE *f = fopen(path, "r");
    CHECK(f, "%s", path);
    while (fgets(line, sizeof line, f)) {
        char key[64];
        char value[64];
        if (line[0] != '#') {
            CHECK(sscanf(line, "%63[a-z_]: %63s", key, value) == 2, "%s: %s", path, line);
            OK(mbs_shape_set(&s, key, value, &err), &err);
        }
    }
    fclose(f);
    OK(mbs_shape_finish(&s, &err), &err);
    return s;
}

MBS_TEST(init, shipped_shapes_have_the_sizes_they_say) {
    static const struct {
        const char *name;
        int64_t parameters; /* 0: not checked */
    } files[] = {{"tiny", 0}, {"dna-4x128", 468608}, {"dna-8x256", 0}};
    ENTER;
    (void)err;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[256];
        snprintf(path, sizeof path, MBS_SOURCE_DIR "/configs/model/%s.yaml", files[i].name);
        mbs_shape s = read_shape(path);
        init(files[i].name, &s, 1);
        mkit k = mkit_start(files[i].name, mbk_level_best(), 0, 1);
        printf("%s: %lld parameters\n", files[i].name, (long long)mbs_model_parameters(k.m));
        CHECK(files[i].parameters == 0 || mbs_model_parameters(k.m) == files[i].parameters);
        mkit_close(&k);
    }
    LEAVE;
}

/* Too large to write here: the sizes alone. */
MBS_TEST(init, mamba_130m_has_its_published_size) {
    mbs_err err = {0};
    mbs_names names;
    mbs_specs specs;
    mbs_shape s = read_shape(MBS_SOURCE_DIR "/configs/model/mamba-130m.yaml");
    mbs_names_of_config(&s.cfg, &names);
    OK(mbs_specs_model(&s.cfg, &names, 0, &specs, &err), &err);
    CHECK_INT(mbs_specs_parameters(&specs), 129135360);
    mbs_specs_free(&specs);
}
