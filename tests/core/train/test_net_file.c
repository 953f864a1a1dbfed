/* Nets in files: what is read back is what was written, and what is damaged is refused by name. */
#include <unistd.h>

#include "base/path.h"
#include "model/classes.h"
#include "model/init.h"
#include "net_kit.h"
#include "support/test.h"
#include "support/tmp.h"

static const int64_t lengths[] = {20, 33, 0};

static void check_same(mbs_net *a, mbs_net *b, const mbs_model_config *cfg) {
    size_t n;
    nkit_name *t = nkit_names(cfg, &n);
    for (size_t i = 0; i < n; i++) {
        float *x = nkit_get(a, &t[i], 0);
        float *y = nkit_get(b, &t[i], 0);
        CHECK(mkit_same(x, y, (int64_t)t[i].n), "%s differs", t[i].name);
        free(x);
        free(y);
    }
    free(t);
}

/* Three steps, or two, a file, a new net and the third: the same bits. */
MBS_TEST(net_file, goes_on_from_a_file) {
    char dir[256];
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(NULL);
    const mbs_net_options o = {0};
    test_tmp_enter(dir);
    nkit_batch b = nkit_random(lengths, cfg.vocab_size, 3);
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit other = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit_step(k.net, &b.b, 1e-2, 1);
    nkit_step(k.net, &b.b, 1e-2, 2);
    OK(mbs_net_save(k.net, "state", &err), &err);
    nkit_step(other.net, &b.b, 1e-1, 1); /* something else, which loading replaces */
    OK(mbs_net_load(other.net, "state", &err), &err);
    check_same(k.net, other.net, &cfg);
    nkit_step(k.net, &b.b, 1e-2, 3);
    nkit_step(other.net, &b.b, 1e-2, 3);
    check_same(k.net, other.net, &cfg);
    nkit_batch_free(&b);
    nkit_close(&k);
    nkit_close(&other);
    test_tmp_leave(dir);
}

static void flip(const char *path, long at_from_end) {
    FILE *f = fopen(path, "r+b");
    fseek(f, -at_from_end, SEEK_END);
    int c = fgetc(f);
    fseek(f, -at_from_end, SEEK_END);
    fputc(c ^ 1, f);
    fclose(f);
}

MBS_TEST(net_file, damaged_or_foreign_state_is_refused) {
    char dir[256];
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(NULL);
    static const char *const wide[] = {"d_state", "6", NULL};
    mbs_model_config foreign = nkit_shape(wide);
    const mbs_net_options o = {0};
    test_tmp_enter(dir);
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit same = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit other = nkit_fresh(&foreign, &o, mbk_level_best(), 1);
    OK(mbs_net_save(k.net, "state", &err), &err);
    CHECK_INT(mbs_net_load(other.net, "state", &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "x_proj.weight") && strstr(err.what, "another model"), "%s", err.what);
    mbs_err_clear(&err);
    flip("state", 4000);
    CHECK_INT(mbs_net_load(k.net, "state", &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "v.backbone") && strstr(err.what, "is damaged"), "%s", err.what);
    check_same(k.net, same.net, &cfg);
    mbs_err_clear(&err);
    CHECK(truncate("state", 5000) == 0);
    CHECK_INT(mbs_net_load(k.net, "state", &err), MBS_ERR_DATA);
    nkit_close(&k);
    nkit_close(&same);
    nkit_close(&other);
    test_tmp_leave(dir);
}

/* mbs_model_init and mbs_net_fresh draw the same; what a net writes opens; the model that it makes in memory is that.
 */
MBS_TEST(net_file, model_is_that_of_its_folder) {
    char dir[256];
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(NULL);
    const mbs_net_options o = {0};
    float lp[2][20];
    test_tmp_enter(dir);
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    mbs_net *again;
    OK(mbs_model_init("m", &cfg, 7, 0, &err), &err);
    OK(mbs_net_open("m", 1, &o, k.ctx, &again, &err), &err);
    check_same(k.net, again, &cfg);
    nkit_batch b = nkit_random(lengths, cfg.vocab_size, 3);
    nkit_step(k.net, &b.b, 1e-2, 1);
    CHECK(unlink("m/model.safetensors") == 0);
    OK(mbs_net_write_weights(k.net, "m", MBS_DT_F32, &err), &err);
    mbs_model *m[2];
    OK(mbs_net_model(k.net, &m[0], &err), &err);
    OK(mbs_model_open("m", k.ctx, &m[1], &err), &err);
    for (int i = 0; i < 2; i++) {
        mbs_session *s;
        OK(mbs_session_new(m[i], 20, &s, &err), &err);
        OK(mbs_session_reset(s, &err), &err);
        mbs_run_out out = {.logprob = lp[i], .layer = -1};
        OK(mbs_session_run(s, b.ids, 20, &out, &err), &err);
        mbs_session_free(s);
        mbs_model_close(m[i]);
    }
    CHECK(mkit_same(lp[0], lp[1], 20));
    CHECK(unlink("m/model.safetensors") == 0);
    OK(mbs_net_write_weights(k.net, "m", MBS_DT_BF16, &err), &err);
    OK(mbs_model_open("m", k.ctx, &m[1], &err), &err);
    CHECK_STR(mbs_model_dtype(m[1]), "bf16");
    mbs_model_close(m[1]);
    mbs_net_free(again);
    nkit_batch_free(&b);
    nkit_close(&k);
    test_tmp_leave(dir);
}

/* A language model's folder becomes a classifier's; its own head is read again, one of other classes drawn anew. */
MBS_TEST(net_file, heads_of_a_folder) {
    char dir[256];
    mbs_err err = {0};
    static const char *const set[] = {"tie_embeddings", "false", NULL};
    mbs_model_config cfg = nkit_shape(set);
    mbs_net_options o = {.classes = 2, .pool = MBS_NET_MEAN};
    mbs_net *first;
    mbs_net *other;
    float score[2][3 * 12];
    test_tmp_enter(dir);
    mbk_ctx *ctx = mkit_open(mbk_level_best(), 0);
    OK(mbs_model_init("m", &cfg, 7, 0, &err), &err);
    OK(mbs_net_open("m", 1, &o, ctx, &first, &err), &err);
    CHECK_INT(mbs_net_config(first)->n_classes, 2);
    OK(mbs_net_get(first, "score.weight", 0, score[0], 2 * 12, &err), &err);
    CHECK(unlink("m/model.safetensors") == 0);
    OK(mbs_net_write_weights(first, "m", MBS_DT_F32, &err), &err);
    static const char *const names[] = {"no", "yes"};
    mbs_classes classes;
    OK(mbs_classes_new(names, 2, "here", &classes, &err), &err);
    OK(mbs_classes_write("m", &classes, MBS_POOLING_MEAN, &err), &err);
    mbs_classes_free(&classes);
    OK(mbs_net_open("m", 2, &o, ctx, &other, &err), &err);
    OK(mbs_net_get(other, "score.weight", 0, score[1], 2 * 12, &err), &err);
    CHECK(mkit_same(score[0], score[1], 2 * 12));
    mbs_net_free(other);
    o.classes = 3;
    OK(mbs_net_open("m", 2, &o, ctx, &other, &err), &err);
    OK(mbs_net_get(other, "score.weight", 0, score[1], 3 * 12, &err), &err);
    CHECK(!mkit_same(score[0], score[1], 2 * 12));
    mbs_net_free(other);
    o.classes = 0; /* back to a language model: a head that was not kept is drawn */
    OK(mbs_net_open("m", 2, &o, ctx, &other, &err), &err);
    CHECK_INT(mbs_net_parameters(other) - mbs_net_parameters(first), 16 * 12 - 2 * 12 - 2);
    mbs_net_free(other);
    mbs_net_free(first);
    mbk_close(ctx);
    test_tmp_leave(dir);
}
