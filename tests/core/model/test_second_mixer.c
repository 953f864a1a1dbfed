/* A mixer more than we ship, from the words of a shape to a folder that loads. This program has a table of its own. */
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "model/init.h"
#include "model/mixer.h"
#include "model/shape.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

static mbs_mixer twin; /* mamba1 under other names */
static mbs_mixer bare; /* and as one that the original layout does not know and whose tensors decide nothing */

const mbs_mixer *const mbs_mixers[] = {&mbs_mixer_mamba1, &twin, &bare, NULL};

static void fill_table(void) {
    twin = mbs_mixer_mamba1;
    twin.name = "twin1";
    twin.model_type = "twin";
    twin.architecture = "TwinForCausalLM";
    twin.original = "Twin1";
    bare = mbs_mixer_mamba1;
    bare.name = "bare1";
    bare.model_type = "bare";
    bare.architecture = "BareForCausalLM";
    bare.original = NULL;
    bare.detect = NULL;
}

static mbs_status init(const char *folder, const char *mixer, const char *norm, mbs_err *err) {
    mbs_shape s;
    fill_table();
    mbs_shape_default(&s);
    OK(mbs_shape_set(&s, "d_model", "16", err), err);
    OK(mbs_shape_set(&s, "n_layer", "2", err), err);
    OK(mbs_shape_set(&s, "vocab", "21", err), err);
    OK(mbs_shape_set(&s, "norm", norm, err), err);
    OK(mbs_shape_set(&s, "mixer", mixer, err), err);
    OK(mbs_shape_finish(&s, err), err);
    return mbs_model_init(folder, &s.cfg, 1, 0, err);
}

/* Whether the folder's config says so; a folder that was written also has to load and run. */
static void check_folder(const char *folder, const char *type, const char *says, const char *says_not) {
    mbs_err err = {0};
    char path[64];
    char *text;
    size_t n;
    snprintf(path, sizeof path, "%s/config.json", folder);
    OK(mbs_path_read(path, 1 << 16, &text, &n, &err), &err);
    CHECK(strstr(text, says), "%s: %s not in %s", folder, says, text);
    CHECK(!strstr(text, says_not), "%s: %s in %s", folder, says_not, text);
    mbs_free(text);
    mkit k = mkit_start(folder, MBK_LEVEL_REF, 0, 2);
    CHECK_STR(mbs_model_get_config(k.m)->model_type, type);
    static const int32_t ids[] = {3, 4};
    float lp[2];
    mbs_run_out out = {.logprob = lp, .layer = -1};
    OK(mbs_session_run(k.s, ids, 2, &out, &err), &err);
    mkit_close(&k);
}

MBS_TEST(second_mixer, what_is_written_is_what_was_asked_for) {
    char dir[256];
    mbs_err err = {0};
    test_tmp_enter(dir);
    OK(init("m", "mamba1", "rms", &err), &err);
    check_folder("m", "mamba", "[\"MambaForCausalLM\"],\n  \"model_type\": \"mamba\",", "win");
    OK(init("t", "twin1", "rms", &err), &err);
    check_folder("t", "twin", "[\"TwinForCausalLM\"],\n  \"model_type\": \"twin\",", "amba");
    OK(init("b", "bare1", "rms", &err), &err);
    check_folder("b", "bare", "\"model_type\": \"bare\"", "amba");
    OK(init("mo", "mamba1", "layer", &err), &err);
    check_folder("mo", "mamba", "\"ssm_cfg\"", "\"layer\"");
    OK(init("to", "twin1", "layer", &err), &err);
    check_folder("to", "twin", "\"layer\": \"Twin1\"", "model_type");
    test_tmp_leave(dir);
}

MBS_TEST(second_mixer, layout_without_the_mixer_is_refused) {
    char dir[256];
    mbs_err err = {0};
    test_tmp_enter(dir);
    CHECK_INT(init("b", "bare1", "layer", &err), MBS_ERR_CONFIG);
    CHECK(strstr(err.what, "knows no mixer 'bare1'"), "%s", err.what);
    CHECK_INT(test_tmp_count("."), 0);
    test_tmp_leave(dir);
}

MBS_TEST(second_mixer, messages_name_every_mixer) {
    mbs_err err = {0};
    mbs_shape s;
    mbs_model_config c;
    fill_table();
    mbs_shape_default(&s);
    CHECK_INT(mbs_shape_set(&s, "mixer", "twin", &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "'mixer' is mamba1|twin1|bare1, not 'twin'");
    static const char other[] = "{\"d_model\": 8, \"ssm_cfg\": {\"layer\": \"Other\"}}";
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_parse(other, sizeof other - 1, "c", &c, &err), MBS_ERR_DATA);
    CHECK_STR(err.fix, "accepted: Mamba1, Twin1");
    static const char typed[] = "{\"model_type\": \"other\"}";
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_parse(typed, sizeof typed - 1, "c", &c, &err), MBS_ERR_DATA);
    CHECK_STR(err.fix, "accepted: mamba, twin, bare, caduceus, hyenadna, mambaseq");
}
