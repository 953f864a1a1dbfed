/* config.json in both layouts, and what is refused in it. */
#include "model/mixer.h"
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

#define OWN(REST) "{\"model_type\": \"mambaseq\", \"vocab_size\": 5, \"d_model\": 8, " REST "}"

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
    {"{\"d_model\": 8, \"d_intermediate\": -1}", "'d_intermediate'", ""},
    {OWN("\"layers\": []"), "'layers' names no layer", "\"mixer\": \"mamba1\""},
    {OWN("\"layers\": [{\"mixer\": \"mamba7\"}]"), "layers[0]: 'mixer' is 'mamba7'", "accepted: mamba1, mamba2"},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}, {\"mixer\": \"mamba1\", \"head_dim\": 4}]"),
     "'head_dim' is not a key of a layer of mixer 'mamba1'", "d_state, expand"},
    {OWN("\"layers\": [{\"mixer\": \"mamba2\", \"head_dim\": 5}]"), "layers[0]: the 16 channels do not divide",
     "head_dim"},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\", \"d_state\": 0}]"), "layers[0]: 'd_state' is an integer from 1", ""},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\", \"d_state\": [1]}]"), "'d_state' is an integer", ""},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\", \"count\": 5000}]"), "'count'", ""},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\", \"count\": 4096}, {\"mixer\": \"mamba1\"}]"), "1 to 4096 layers", ""},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}], \"n_layer\": 2"), "'n_layer' is not 1", ""},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}], \"n_layers\": 2"), "'n_layers' is not a key of",
     "the keys are model_type"},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}], \"norm\": \"batch\""), "'norm' is 'batch'", "rms, layer"},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}], \"mlp\": {\"kind\": \"relu\", \"width\": 8}"), "'mlp.kind' is 'relu'",
     "gated"},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}], \"mlp\": {\"kind\": \"gated\"}"), "'width'", ""},
    {OWN("\"layers\": [{\"mixer\": \"mamba1\"}], \"mlp\": {\"width\": 8, \"bias\": true}"),
     "'bias' is not a key of mlp", "kind, width"},
    {"{\"d_model\": 8, \"ssm_cfg\": []}", "'ssm_cfg'", ""},
};

MBS_TEST(config, layers_that_differ) {
    mbs_model_config c =
        good(OWN("\"layers\": [{\"mixer\": \"mamba1\", \"count\": 2, \"d_state\": 3}, {\"mixer\": "
                 "\"mamba2\", \"expand\": 3, \"head_dim\": 4}, {\"mixer\": \"mamba1\", \"d_state\": 3}], "
                 "\"norm\": \"layer\", \"mlp\": {\"width\": 20}, \"vocab_rows\": 8"));
    CHECK(c.layout == MBS_LAYOUT_OWN && c.n_layer == 4 && c.n_kinds == 2 && c.norm == MBS_NORM_LAYER);
    CHECK(c.vocab_size == 5 && c.vocab_rows == 8 && c.mlp == MBS_MLP_GATED && c.d_mlp == 20 && c.tie_embeddings);
    CHECK(mbs_mixer_of_layer(&c, 1) == &mbs_mixer_mamba1 && mbs_mixer_of_layer(&c, 2) == &mbs_mixer_mamba2);
    CHECK(mbs_config_sizes(&c, 3)->d_state == 3 && mbs_config_sizes(&c, 3)->d_inner == 16 &&
          mbs_config_sizes(&c, 3)->dt_rank == 1 && mbs_config_sizes(&c, 3)->use_conv_bias);
    CHECK(mbs_config_sizes(&c, 2)->d_state == 128 && mbs_config_sizes(&c, 2)->d_inner == 24 &&
          mbs_config_sizes(&c, 2)->head_dim == 4 && mbs_config_sizes(&c, 2)->gated_norm);
    c = good("{\"d_model\": 8, \"n_layer\": 3, \"d_intermediate\": 100}");
    CHECK(c.mlp == MBS_MLP_GATED && c.d_mlp == 128 && c.n_kinds == 0);
}

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
    CHECK_STR(err.fix, "name a model folder that holds config.json and model.safetensors");
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_load("ecoli-ref", &c, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.fix, "did you mean 'share:models/ecoli-ref'?");
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_load(MBS_SOURCE_DIR "/CMakeLists.txt", &c, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.what, "not a folder");
    mbs_err_clear(&err);
    CHECK_INT(mbs_config_load(MBS_SOURCE_DIR "/cmake", &c, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.what, "no config.json here");
}
