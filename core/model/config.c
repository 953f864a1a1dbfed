#include "model/config.h"

#include <string.h>

#include "base/hub.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "model/caduceus.h"
#include "model/classes.h"
#include "model/config_impl.h"
#include "model/front.h"
#include "model/hyenadna.h"
#include "model/mixer.h"
#include "model/start.h"

#define MAX_WIDTH MBS_CONFIG_MAX_WIDTH
#define MAX_LAYERS MBS_CONFIG_MAX_LAYERS
#define MAX_VOCAB ((int64_t)1 << 24)
#define MAX_STATE 4096
#define MAX_CONV 16
/* Model types that are no mixer's. */
#define OTHER_TYPES ", caduceus, " MBS_MODEL_TYPE_HYENADNA ", " MBS_MODEL_TYPE_OWN

/* What both layouts give before the derived sizes are known; -1 = not said. */
typedef struct sizes {
    double expand;
    int64_t d_inner;
    const mbs_json *ssm;
} sizes;

static mbs_status unsupported(const char *where, mbs_err *err, const char *key, const char *value,
                              const char *accepted) {
    mbs_fail(err, MBS_ERR_DATA, where, "'%s' is '%.64s', which is not supported", key, value);
    mbs_err_fix(err, "accepted: %s", accepted);
    return MBS_ERR_DATA;
}

/* An id, or the first of a list of them, or -1 for null. */
static int token_id(const mbs_json *doc, const char *key, int otherwise) {
    const mbs_json *v = mbs_json_get(doc, key);
    int64_t id;
    if (!mbs_json_has(doc, key)) {
        return otherwise;
    }
    if (mbs_json_kind_of(v) == MBS_JSON_ARRAY) {
        v = mbs_json_at(v, 0);
    }
    return mbs_json_as_int(v, &id) && id >= 0 && id < MAX_VOCAB ? (int)id : -1;
}

/* The library's key where it is there, else the original's, which older files repeat. */
static int64_t either(const mbs_json *doc, const char *key, const char *older, int64_t otherwise, int64_t max,
                      mbs_err *err) {
    const char *name = !mbs_json_get(doc, key) && mbs_json_get(doc, older) ? older : key;
    return mbs_json_int_in(doc, name, otherwise, 1, max, err);
}

static void parse_transformers(const mbs_json *doc, const char *where, mbs_model_config *c, sizes *s, mbs_err *err) {
    const mbs_model_config *usual = &mbs_mixer_of_type(c->model_type)->usual;
    const char *act = mbs_json_string(doc, "hidden_act", "silu", err);
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0) {
        unsupported(where, err, "hidden_act", act, "silu");
    }
    c->layout = MBS_LAYOUT_TRANSFORMERS;
    c->d_model = either(doc, "hidden_size", "d_model", usual->d_model, MAX_WIDTH, err);
    c->n_layer = either(doc, "num_hidden_layers", "n_layer", usual->n_layer, MAX_LAYERS, err);
    c->vocab_size = mbs_json_int_in(doc, "vocab_size", usual->vocab_size, 1, MAX_VOCAB, err);
    c->vocab_rows = c->vocab_size;
    c->d_state = mbs_json_int_in(doc, "state_size", usual->d_state, 1, MAX_STATE, err);
    c->d_conv = mbs_json_int_in(doc, "conv_kernel", usual->d_conv, 1, MAX_CONV, err);
    s->expand = mbs_json_double(doc, "expand", 2, err);
    s->d_inner = mbs_json_int_in(doc, "intermediate_size", -1, 1, MAX_WIDTH, err);
    c->norm_eps = mbs_json_double(doc, "layer_norm_epsilon", 1e-5, err);
    c->norm = MBS_NORM_RMS;
    c->tie_embeddings = mbs_json_bool(doc, "tie_word_embeddings", usual->tie_embeddings, err);
    c->use_bias = mbs_json_bool(doc, "use_bias", 0, err);
    c->use_conv_bias = mbs_json_bool(doc, "use_conv_bias", 1, err);
    c->bos = token_id(doc, "bos_token_id", usual->bos);
    c->eos = token_id(doc, "eos_token_id", usual->eos);
    c->pad = token_id(doc, "pad_token_id", usual->pad);
}

static void parse_original(const mbs_json *doc, const char *where, mbs_model_config *c, sizes *s, mbs_err *err) {
    const mbs_json *ssm = mbs_json_object(doc, "ssm_cfg", err);
    const char *layer = mbs_json_string(ssm, "layer", mbs_mixer_mamba1.original, err);
    const mbs_mixer *mixer = mbs_mixer_of_original(layer);
    const mbs_model_config *usual = &(mixer ? mixer : &mbs_mixer_mamba1)->usual;
    int64_t multiple = mbs_json_int_in(doc, "pad_vocab_size_multiple", 8, 1, MAX_VOCAB, err);
    if (!mixer) {
        char accepted[128];
        mbs_mixer_words(MBS_MIXER_ORIGINAL, ", ", accepted, sizeof accepted);
        unsupported(where, err, "ssm_cfg.layer", layer, accepted);
    }
    c->layout = MBS_LAYOUT_ORIGINAL;
    snprintf(c->model_type, sizeof c->model_type, "%s", mixer ? mixer->model_type : "");
    c->d_model = mbs_json_int_in(doc, "d_model", 2560, 1, MAX_WIDTH, err);
    c->n_layer = mbs_json_int_in(doc, "n_layer", 64, 1, MAX_LAYERS, err);
    c->vocab_size = mbs_json_int_in(doc, "vocab_size", 50277, 1, MAX_VOCAB, err);
    c->vocab_rows = (c->vocab_size + multiple - 1) / multiple * multiple;
    c->d_state = mbs_json_int_in(ssm, "d_state", usual->d_state, 1, MAX_STATE, err);
    c->d_conv = mbs_json_int_in(ssm, "d_conv", usual->d_conv, 1, MAX_CONV, err);
    s->expand = mbs_json_double(ssm, "expand", 2, err);
    s->ssm = ssm;
    c->norm_eps = mbs_json_double(doc, "norm_epsilon", 1e-5, err);
    c->norm = mbs_json_bool(doc, "rms_norm", 1, err) ? MBS_NORM_RMS : MBS_NORM_LAYER;
    c->tie_embeddings = mbs_json_bool(doc, "tie_embeddings", 1, err);
    c->use_bias = mbs_json_bool(ssm, "bias", 0, err);
    c->use_conv_bias = mbs_json_bool(ssm, "conv_bias", 1, err);
    mbs_config_read_mlp(doc, c, err);
    c->bos = c->eos = c->pad = -1;
}

/* d_inner, and what no single key shows. */
static mbs_status derive(const sizes *s, const char *where, mbs_model_config *c, mbs_err *err) {
    if (!(s->expand > 0 && s->expand <= 1024)) {
        return mbs_fail(err, MBS_ERR_DATA, where, "'expand': %g is not a number above 0 and up to 1024", s->expand);
    }
    c->d_inner = s->d_inner > 0 ? s->d_inner : (int64_t)(s->expand * (double)c->d_model);
    if (c->d_inner < 1 || c->d_inner > MAX_WIDTH) {
        return mbs_fail(err, MBS_ERR_DATA, where, "the inner width %lld is not within 1 and %lld",
                        (long long)c->d_inner, (long long)MAX_WIDTH);
    }
    if (!(c->norm_eps > 0 && c->norm_eps < 1)) {
        return mbs_fail(err, MBS_ERR_DATA, where, "the epsilon of the norm, %g, is not within 0 and 1", c->norm_eps);
    }
    return MBS_OK;
}

const char *mbs_pooling_name(mbs_pooling pool) {
    return pool == MBS_POOLING_MEAN ? "mean" : "last";
}

/* The classification head, as far as the config tells. */
static mbs_status parse_classes(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    mbs_classes classes;
    const char *name = "";
    const mbs_json *pool = mbs_json_get(doc, "mambaseq_pool");
    mbs_status st = mbs_classes_of_config(doc, where, &classes, err);
    if (st < 0) {
        return st;
    }
    c->n_classes = classes.n;
    mbs_classes_free(&classes);
    mbs_json_as_string(mbs_json_at(mbs_json_get(doc, "architectures"), 0), &name);
    c->classifier = pool != NULL || mbs_text_ends(name, "ForSequenceClassification");
    if (c->classifier && c->n_classes == 0) {
        c->n_classes = 2; /* what transformers leaves out */
    }
    const char *word = "last";
    if (pool && (!mbs_json_as_string(pool, &word) || (strcmp(word, "mean") != 0 && strcmp(word, "last") != 0))) {
        return unsupported(where, err, "mambaseq_pool", word, "mean, last");
    }
    c->pool = strcmp(word, "mean") == 0 ? MBS_POOLING_MEAN : MBS_POOLING_LAST;
    return MBS_OK;
}

static mbs_status keep(const mbs_err *local, const char *where, mbs_err *err);

static mbs_status parse_start(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    mbs_err local = {0};
    mbs_classes names;
    mbs_start_of_config(doc, c->vocab_rows, &c->start, &names, &local);
    c->n_start = names.n;
    mbs_classes_free(&names);
    return keep(&local, where, err);
}

/* An error of those who do not know the file's name. */
static mbs_status keep(const mbs_err *local, const char *where, mbs_err *err) {
    if (local->status < 0) {
        mbs_fail(err, local->status, where, "%s", local->what);
        mbs_err_fix(err, "%s", local->fix);
    }
    return local->status;
}

static mbs_status parse_mixer(const mbs_json *doc, const mbs_json *ssm, const char *where, mbs_model_config *c,
                              mbs_err *err) {
    const mbs_mixer *mixer = mbs_mixer_of_type(c->model_type);
    mbs_err local = {0};
    mixer->read(doc, ssm, c, &local);
    if (local.status >= 0) {
        mixer->settle(c, &c->every, &local);
    }
    if (local.status >= 0 && c->layout == MBS_LAYOUT_ORIGINAL) {
        mbs_config_read_hybrid(doc, c, &local);
    }
    return keep(&local, where, err);
}

static mbs_status parse_own(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    mbs_err local = {0};
    snprintf(c->model_type, sizeof c->model_type, "%s", MBS_MODEL_TYPE_OWN);
    mbs_status st = mbs_config_read_own(doc, c, &local);
    if (st >= 0) {
        mbs_front_parse(doc, c, &local);
        st = local.status;
    }
    c->bos = token_id(doc, "bos_token_id", -1);
    c->eos = token_id(doc, "eos_token_id", -1);
    c->pad = token_id(doc, "pad_token_id", -1);
    return st < 0 ? keep(&local, where, err) : parse_classes(doc, where, c, err);
}

static mbs_status parse_hyenadna(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    mbs_err local = {0};
    mbs_status st = mbs_hyenadna_parse(doc, c, &local);
    c->bos = token_id(doc, "bos_token_id", -1);
    c->eos = token_id(doc, "eos_token_id", -1);
    c->pad = token_id(doc, "pad_token_id", -1);
    return st < 0 ? keep(&local, where, err) : parse_classes(doc, where, c, err);
}

static mbs_status parse_document(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    sizes s = {2, -1, NULL};
    mbs_err local = {0}; /* the getters do not know the file's name */
    if (mbs_json_kind_of(doc) != MBS_JSON_OBJECT) {
        return mbs_fail(err, MBS_ERR_DATA, where, "not a model's config: not a JSON object");
    }
    const char *type = mbs_json_string(doc, "model_type", "", &local);
    if (strcmp(type, MBS_MODEL_TYPE_OWN) == 0) {
        return parse_own(doc, where, c, err);
    }
    if (strcmp(type, MBS_MODEL_TYPE_HYENADNA) == 0) {
        return parse_hyenadna(doc, where, c, err);
    }
    const int caduceus = strcmp(type, "caduceus") == 0;
    type = caduceus ? "" : type; /* its keys are those of the original layout, and more */
    if (type[0] && !mbs_mixer_of_type(type)) {
        char accepted[160];
        mbs_mixer_words(MBS_MIXER_TYPE, ", ", accepted, sizeof accepted - sizeof OTHER_TYPES);
        snprintf(accepted + strlen(accepted), sizeof OTHER_TYPES, "%s", OTHER_TYPES);
        return unsupported(where, err, "model_type", type, accepted);
    }
    if (type[0] || (!caduceus && mbs_json_get(doc, "hidden_size"))) {
        snprintf(c->model_type, sizeof c->model_type, "%s", type[0] ? type : "mamba");
        parse_transformers(doc, where, c, &s, &local);
    } else if (caduceus || mbs_json_get(doc, "d_model") || mbs_json_get(doc, "n_layer") ||
               mbs_json_has(doc, "ssm_cfg")) {
        parse_original(doc, where, c, &s, &local);
    } else {
        mbs_fail(err, MBS_ERR_DATA, where, "not a model's config: neither 'model_type' nor 'd_model' is there");
        mbs_err_fix(err, "name a Mamba model folder as transformers or the original code saves it");
        return MBS_ERR_DATA;
    }
    mbs_front_parse(doc, c, &local);
    mbs_status st = keep(&local, where, err);
    st = st < 0 ? st : derive(&s, where, c, err);
    st = st < 0 ? st : parse_mixer(doc, s.ssm, where, c, err);
    st = st < 0 ? st : parse_classes(doc, where, c, err);
    if (st >= 0 && caduceus && (c->mlp != MBS_MLP_NONE || c->n_kinds > 0)) {
        return unsupported(where, err, c->n_kinds > 0 ? "attn_layer_idx" : "d_intermediate", "not empty",
                           "neither with models that read both ways");
    }
    return st < 0 || !caduceus ? st : mbs_caduceus_parse(doc, where, c, err);
}

mbs_status mbs_config_parse(const char *text, size_t len, const char *where, mbs_model_config *out, mbs_err *err) {
    mbs_json *doc;
    mbs_model_config c = {0};
    mbs_status st = mbs_json_parse(where, text, len, &doc, err);
    if (st < 0) {
        return st;
    }
    st = parse_document(doc, where, &c, err);
    st = st < 0 ? st : parse_start(doc, where, &c, err);
    mbs_json_free(doc);
    if (st >= 0) {
        *out = c;
    }
    return st;
}

mbs_status mbs_config_load(const char *folder, mbs_model_config *out, mbs_err *err) {
    char *path = mbs_path_join(folder, "config.json");
    char *text = NULL;
    size_t len;
    mbs_status st;
    if (!path) {
        st = mbs_fail_memory(err, folder, strlen(folder));
    } else if (!mbs_path_is_dir(folder)) {
        st = mbs_hub_need(folder, err);
    } else if (!mbs_path_exists(path)) {
        st = mbs_fail(err, MBS_ERR_NOINPUT, folder, "no config.json here");
        mbs_err_fix(err, "name a model folder that holds config.json and model.safetensors");
    } else {
        st = mbs_path_read(path, MBS_JSON_MAX, &text, &len, err);
    }
    if (st >= 0) {
        st = mbs_config_parse(text, len, path, out, err);
    }
    mbs_free(text);
    mbs_free(path);
    return st;
}
