/* hyenadna.c - see hyenadna.h. */
#include "model/hyenadna.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/config_impl.h"
#include "model/hyena.h"

/* What that code has no key for. */
#define NORM_EPS 1e-5
#define WINDOW_SHIFT 0.05

/* --- config ---------------------------------------------------------------------------------------------------------
 */

/* A key of which one value is known. */
static void only(const mbs_json *doc, const char *key, int64_t value, mbs_err *err) {
    const int64_t has = mbs_json_int(doc, key, value, err);
    if (err->status >= 0 && has != value) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s' is %" PRId64 ", which is not supported", key, has);
        mbs_err_fix(err, "accepted: %" PRId64, value);
    }
}

static void must_be(const mbs_json *doc, const char *key, int value, mbs_err *err) {
    if (mbs_json_bool(doc, key, value, err) != value && err->status >= 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%s' is %s, which is not supported", key, value ? "false" : "true");
        mbs_err_fix(err, "accepted: %s", value ? "true" : "false");
    }
}

static void read_sizes(const mbs_json *doc, mbs_model_config *c, mbs_layer_sizes *z, int64_t *layers, mbs_err *err) {
    const int64_t wide = MBS_CONFIG_MAX_WIDTH;
    const int64_t multiple = mbs_json_int_in(doc, "pad_vocab_size_multiple", 8, 1, 1 << 24, err);
    c->vocab_size = mbs_json_int_in(doc, "vocab_size", 12, 1, 1 << 24, err);
    c->vocab_rows = (c->vocab_size + multiple - 1) / multiple * multiple;
    c->d_model = mbs_json_int_in(doc, "d_model", 256, 1, wide, err);
    c->d_mlp = mbs_json_has(doc, "d_inner") ? mbs_json_int_in(doc, "d_inner", 0, 1, wide, err) : 4 * c->d_model;
    c->tie_embeddings = mbs_json_bool(doc, "tie_word_embeddings", 1, err);
    *layers = mbs_json_int_in(doc, "n_layer", 12, 1, MBS_CONFIG_MAX_LAYERS, err);
    mbs_mixer_usual_sizes(&mbs_mixer_hyena, z);
    z->l_max = mbs_json_int_in(doc, "max_seq_len", 1024, 2, 1 << 24, err);
    z->emb_dim = mbs_json_int_in(doc, "emb_dim", 3, 3, 1025, err);
    z->filter_order = mbs_json_int_in(doc, "filter_order", 64, 1, 4096, err);
    z->filter_w = mbs_json_double(doc, "activation_freq", 1, err);
    z->filter_shift = WINDOW_SHIFT;
}

mbs_status mbs_hyenadna_parse(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    mbs_layer_sizes z;
    int64_t layers;
    snprintf(c->model_type, sizeof c->model_type, "%s", MBS_MODEL_TYPE_HYENADNA);
    c->layout = MBS_LAYOUT_HYENADNA;
    c->norm = MBS_NORM_LAYER;
    c->norm_eps = NORM_EPS;
    c->mlp = MBS_MLP_GELU_TANH;
    read_sizes(doc, c, &z, &layers, err);
    only(doc, "hyena_order", 2, err);
    only(doc, "short_filter_order", 3, err);
    only(doc, "num_inner_mlps", 2, err);
    must_be(doc, "train_freq", 1, err);
    must_be(doc, "bidirectional", 0, err);
    const double eps = mbs_json_double(doc, "layer_norm_epsilon", NORM_EPS, err);
    if (err->status >= 0 && fabs(eps - NORM_EPS) > 1e-12) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'layer_norm_epsilon' is %g, which is not supported", eps);
        mbs_err_fix(err, "accepted: 1e-05, which the norms of such a model's blocks always have");
    }
    if (err->status >= 0 && !(z.filter_w >= 1e-3 && z.filter_w <= 1000)) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'activation_freq': %g is not a number from 0.001 to 1000", z.filter_w);
    }
    if (err->status >= 0 && mbs_config_settle(c, &mbs_mixer_hyena, &z, err) < 0) {
        err->status = MBS_ERR_DATA; /* a file's, here */
    }
    return err->status < 0 ? err->status : mbs_config_add_layers(c, &mbs_mixer_hyena, &z, layers, err);
}

static void put_id(mbs_buf *b, const char *key, int id) {
    if (id >= 0) {
        mbs_buf_printf(b, "  \"%s\": %d,\n", key, id);
    }
}

void mbs_hyenadna_put(const mbs_model_config *c, mbs_buf *b) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, 0);
    const struct {
        const char *key;
        int64_t value;
    } whole[] = {
        {"vocab_size", c->vocab_size},
        {"pad_vocab_size_multiple", (c->vocab_size + 7) / 8 * 8 == c->vocab_rows ? 8 : c->vocab_rows},
        {"d_model", c->d_model},
        {"d_inner", c->d_mlp},
        {"n_layer", c->n_layer},
        {"max_seq_len", z->l_max},
        {"emb_dim", z->emb_dim},
        {"filter_order", z->filter_order},
        {"hyena_order", z->hyena_order},
        {"short_filter_order", 3},
        {"num_inner_mlps", 2},
    };
    mbs_buf_printf(b, "  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n", "HyenaDNAForCausalLM",
                   MBS_MODEL_TYPE_HYENADNA);
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        mbs_buf_printf(b, "  \"%s\": %" PRId64 ",\n", whole[i].key, whole[i].value);
    }
    mbs_buf_puts(b, "  \"activation_freq\": ");
    mbs_json_put_double(b, z->filter_w);
    mbs_buf_puts(b, ",\n  \"train_freq\": true,\n  \"use_bias\": true,\n  \"layer_norm_epsilon\": 1e-05,\n");
    put_id(b, "bos_token_id", c->bos);
    put_id(b, "eos_token_id", c->eos);
    put_id(b, "pad_token_id", c->pad);
    mbs_buf_printf(b, "  \"tie_word_embeddings\": %s", c->tie_embeddings ? "true" : "false");
}

/* --- names ----------------------------------------------------------------------------------------------------------
 */

void mbs_hyenadna_names(const char *backbone, mbs_names *names) {
    *names = (mbs_names){.head = "lm_head.weight", .norm = "norm1", .norm_f = "ln_f", .mixer = "mixer."};
    snprintf(names->backbone, sizeof names->backbone, "%s", backbone);
    snprintf(names->embedding, sizeof names->embedding, "%sembeddings.word_embeddings.weight", backbone);
}

void mbs_hyenadna_find(const mbs_st_set *set, mbs_names *names) {
    static const char *const prefixes[] = {"hyena.backbone.", "backbone.", ""};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        mbs_hyenadna_names(prefixes[i], names);
        if (mbs_st_set_find(set, names->embedding, NULL)) {
            return;
        }
    }
    mbs_hyenadna_names(prefixes[0], names);
}

/* Whether two tensors of one shape hold the same values. */
static int same(const mbs_st_set *set, const char *a, const char *b) {
    const mbs_st *file[2];
    const mbs_st_tensor *t[2] = {mbs_st_set_find(set, a, &file[0]), mbs_st_set_find(set, b, &file[1])};
    if (!t[0] || !t[1] || t[0]->dtype != t[1]->dtype || mbs_st_elements(t[0]) != mbs_st_elements(t[1])) {
        return 0;
    }
    const size_t bytes = (size_t)mbs_st_elements(t[0]) * mbs_st_dtype_size((mbs_dtype)t[0]->dtype);
    return memcmp(mbs_st_data(file[0], t[0]), mbs_st_data(file[1], t[1]), bytes) == 0;
}

mbs_status mbs_hyenadna_aliases(const mbs_st_set *set, const mbs_names *names, mbs_model_config *c, mbs_err *err) {
    for (int64_t i = 0; i < c->n_layer; i++) {
        if (!(mbs_config_sizes(c, i)->filter_stored & HYENA_STORED_ALIASES)) {
            continue;
        }
        char layer[64];
        char name[3][160];
        mbs_names_layer(names, i, layer);
        for (int k = 0; k < 3; k++) {
            snprintf(name[k], sizeof name[k], "%s%sfilter_fn.implicit_filter.%d.freq", layer, names->mixer, 2 * k + 1);
            if (k > 0 && !same(set, name[0], name[k])) {
                mbs_fail(err, MBS_ERR_DATA, NULL, "'%s' differs from '%s', which it shares its numbers with", name[k],
                         name[0]);
                mbs_err_fix(err, "take the model's own weights: the sines of a filter have one tensor of frequencies");
                return MBS_ERR_DATA;
            }
        }
    }
    for (int64_t k = 0; k < c->n_kinds; k++) {
        c->kind[k].sizes.filter_stored &= ~HYENA_STORED_ALIASES;
    }
    return MBS_OK;
}
