/* config.json in both layouts, and what is refused in it. */
#include "model/config.h"
#include "support/test.h"

static mbs_status parse(const char *text, mbs_model_config *c, mbs_err *err) {
    mbs_err_clear(err);
    return mbs_config_parse(text, strlen(text), "m/config.json", c, err);
}

static mbs_model_config good(const char *text) {
    mbs_model_config c;
    mbs_err err;
    CHECK(parse(text, &c, &err) == MBS_OK, "%s: %s", text, err.what);
    return c;
}

MBS_TEST(config, library_layout) {
    mbs_model_config c = good(
        "{\"model_type\": \"mamba\", \"hidden_size\": 128, \"num_hidden_layers\": 4, \"vocab_size\": 16,"
        "\"state_size\": 8, \"conv_kernel\": 3, \"expand\": 2, \"intermediate_size\": 300, \"time_step_rank\": 5,"
        "\"layer_norm_epsilon\": 1e-6, \"tie_word_embeddings\": false, \"use_bias\": true, \"use_conv_bias\": false,"
        "\"bos_token_id\": 2, \"eos_token_id\": [1, 3], \"pad_token_id\": null, \"unknown\": {}}");
    CHECK(c.layout == MBS_LAYOUT_TRANSFORMERS && c.norm == MBS_NORM_RMS);
    CHECK_STR(c.model_type, "mamba");
    CHECK(c.d_model == 128 && c.n_layer == 4 && c.vocab_size == 16 && c.vocab_rows == 16 && c.d_state == 8);
    CHECK(c.d_conv == 3 && c.d_inner == 300 && c.dt_rank == 5 && c.norm_eps == 1e-6);
    CHECK(!c.tie_embeddings && c.use_bias && !c.use_conv_bias);
    CHECK(c.bos == 2 && c.eos == 1 && c.pad == -1);
}

MBS_TEST(config, library_defaults) {
    mbs_model_config c = good("{\"model_type\": \"mamba\"}");
    CHECK(c.d_model == 768 && c.n_layer == 32 && c.vocab_size == 50280 && c.d_state == 16 && c.d_conv == 4);
    CHECK(c.d_inner == 1536 && c.dt_rank == 48 && c.norm_eps == 1e-5 && c.tie_embeddings && c.use_conv_bias);
    CHECK(c.bos == 0 && c.eos == 0 && c.pad == 0);
    c = good("{\"model_type\": \"mamba\", \"hidden_size\": 100, \"time_step_rank\": \"auto\", \"expand\": 1.5}");
    CHECK(c.dt_rank == 7 && c.d_inner == 150);
}

/* Converted files repeat the original keys with other meanings: the library's count. */
MBS_TEST(config, library_keys_win_over_repeated_original_ones) {
    mbs_model_config c = good("{\"model_type\": \"mamba\", \"d_model\": 2560, \"hidden_size\": 768, \"n_layer\": 64,"
                              "\"num_hidden_layers\": 24, \"ssm_cfg\": {\"d_state\": 128}, \"vocab_size\": 50280,"
                              "\"pad_vocab_size_multiple\": 16, \"time_step_limit\": [0.0, Infinity]}");
    CHECK(c.d_model == 768 && c.n_layer == 24 && c.d_state == 16 && c.vocab_rows == 50280);
}

MBS_TEST(config, original_layout) {
    mbs_model_config c = good("{\"d_model\": 768, \"n_layer\": 24, \"vocab_size\": 50277, \"ssm_cfg\": {},"
                              "\"rms_norm\": true, \"residual_in_fp32\": true, \"pad_vocab_size_multiple\": 8}");
    CHECK(c.layout == MBS_LAYOUT_ORIGINAL && c.vocab_size == 50277 && c.vocab_rows == 50280);
    CHECK(c.d_inner == 1536 && c.dt_rank == 48 && c.tie_embeddings && c.bos == -1 && c.eos == -1);
    c = good("{\"d_model\": 64, \"n_layer\": 2, \"vocab_size\": 10, \"rms_norm\": false, \"tie_embeddings\": false,"
             "\"ssm_cfg\": {\"layer\": \"Mamba1\", \"d_state\": 4, \"d_conv\": 2, \"expand\": 3, \"dt_rank\": 9,"
             "\"bias\": true, \"conv_bias\": false}, \"attn_layer_idx\": [], \"d_intermediate\": 0}");
    CHECK(c.norm == MBS_NORM_LAYER && c.d_inner == 192 && c.d_state == 4 && c.d_conv == 2 && c.dt_rank == 9);
    CHECK(!c.tie_embeddings && c.use_bias && !c.use_conv_bias && c.vocab_rows == 16);
}

typedef struct refused {
    const char *text;
    const char *what; /* in the message */
    const char *fix;  /* in the advice */
} refused;

static const refused bad[] = {
    {"", "JSON", ""},
    {"[1]", "not a JSON object", ""},
    {"{\"hidden_size\": ", "JSON", ""},
    {"{}", "neither 'model_type' nor 'd_model'", "Mamba model folder"},
    {"{\"model_type\": \"mamba7\"}", "'model_type' is 'mamba7', which is not supported", "accepted: mamba, mamba2"},
    {"{\"model_type\": \"falcon_mamba\"}", "'falcon_mamba'", "accepted: mamba"},
    {"{\"model_type\": 7}", "model_type", ""},
    {"{\"model_type\": \"mamba\", \"hidden_act\": \"gelu\"}", "'hidden_act' is 'gelu'", "accepted: silu"},
    {"{\"model_type\": \"mamba\", \"hidden_size\": \"big\"}", "'hidden_size'", ""},
    {"{\"model_type\": \"mamba\", \"hidden_size\": 0}", "'hidden_size'", ""},
    {"{\"model_type\": \"mamba\", \"hidden_size\": -5}", "'hidden_size'", ""},
    {"{\"model_type\": \"mamba\", \"hidden_size\": 4611686018427387904}", "'hidden_size'", ""},
    {"{\"model_type\": \"mamba\", \"num_hidden_layers\": 100000}", "'num_hidden_layers'", ""},
    {"{\"model_type\": \"mamba\", \"vocab_size\": 99999999999}", "'vocab_size'", ""},
    {"{\"model_type\": \"mamba\", \"state_size\": 0}", "'state_size'", ""},
    {"{\"model_type\": \"mamba\", \"conv_kernel\": 17}", "'conv_kernel'", ""},
    {"{\"model_type\": \"mamba\", \"expand\": 0}", "'expand'", ""},
    {"{\"model_type\": \"mamba\", \"expand\": NaN}", "'expand'", ""},
    {"{\"model_type\": \"mamba\", \"expand\": 1e-9}", "inner width", ""},
    {"{\"model_type\": \"mamba\", \"time_step_rank\": 0}", "rank of the time step", ""},
    {"{\"model_type\": \"mamba\", \"time_step_rank\": \"some\"}", "'time_step_rank'", ""},
    {"{\"model_type\": \"mamba\", \"layer_norm_epsilon\": 0}", "epsilon", ""},
    {"{\"model_type\": \"mamba\", \"tie_word_embeddings\": \"yes\"}", "'tie_word_embeddings'", ""},
    {"{\"d_model\": 8, \"ssm_cfg\": {\"layer\": \"Mamba7\"}}", "'ssm_cfg.layer' is 'Mamba7'",
     "accepted: Mamba1, Mamba2"},
    {"{\"d_model\": 8, \"attn_layer_idx\": [1]}", "'attn_layer_idx'", "no attention"},
    {"{\"d_model\": 8, \"d_intermediate\": 100}", "'d_intermediate'", "no MLP"},
    {"{\"d_model\": 8, \"ssm_cfg\": []}", "'ssm_cfg'", ""},
};

MBS_TEST(config, what_cannot_be_used_is_refused) {
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mbs_model_config c;
        mbs_err err;
        CHECK_INT(parse(bad[i].text, &c, &err), MBS_ERR_DATA);
        CHECK(strstr(err.what, bad[i].what), "%s: \"%s\" does not say \"%s\"", bad[i].text, err.what, bad[i].what);
        CHECK(strstr(err.fix, bad[i].fix), "%s: \"%s\" does not advise \"%s\"", bad[i].text, err.fix, bad[i].fix);
        CHECK(strstr(err.where, "m/config.json"), "%s: \"%s\" does not name the file", bad[i].text, err.where);
    }
}

MBS_TEST(config, absent_folders_and_files_say_what_was_looked_for) {
    mbs_model_config c;
    mbs_err err = {0};
    CHECK_INT(mbs_config_load("/nonexistent/model", &c, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.what, "no such folder");
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_load(MBS_SOURCE_DIR "/CMakeLists.txt", &c, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.what, "not a folder");
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_load(MBS_SOURCE_DIR "/cmake", &c, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.what, "no config.json here");
}
