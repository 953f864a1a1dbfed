/* config_layers.c - models whose layers differ: config.json of our own layout, hybrids of the original one, and the
 * layer behind each mixer. */
#include <inttypes.h>
#include <string.h>

#include "model/config_impl.h"
#include "model/front.h"
#include "model/mixer.h"
#include "model/pool.h"
#include "model/start.h"

/* The original code rounds the width of its MLP up to this. */
#define MLP_MULTIPLE 128

mbs_status mbs_config_settle(const mbs_model_config *c, const mbs_mixer *mixer, mbs_layer_sizes *z, mbs_err *err) {
    if (z->expand > 0 && z->d_inner == 0) {
        z->d_inner = (int64_t)(z->expand * (double)c->d_model);
        if (z->d_inner < 1 || z->d_inner > MBS_CONFIG_MAX_WIDTH) {
            return mbs_fail(err, MBS_ERR_CONFIG, NULL,
                            "'expand' %g times 'd_model' %" PRId64 " gives no usable inner width", z->expand,
                            c->d_model);
        }
    }
    return mixer->settle(c, z, err);
}

mbs_status mbs_config_add_kind(mbs_model_config *c, const mbs_mixer *mixer, const mbs_layer_sizes *sizes, uint8_t *kind,
                               mbs_err *err) {
    int64_t k = 0;
    while (k < c->n_kinds && (c->kind[k].mixer != mixer || memcmp(&c->kind[k].sizes, sizes, sizeof *sizes) != 0)) {
        k++;
    }
    if (k == MBS_CONFIG_KINDS) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "layer %" PRId64 " is of kind %d, and a model has %d at most",
                        c->n_layer, MBS_CONFIG_KINDS + 1, MBS_CONFIG_KINDS);
    }
    if (k == c->n_kinds) {
        c->kind[k].mixer = mixer;
        memcpy(&c->kind[k].sizes, sizes, sizeof *sizes);
        c->n_kinds++;
    }
    *kind = (uint8_t)k;
    return MBS_OK;
}

mbs_status mbs_config_add_layers(mbs_model_config *c, const mbs_mixer *mixer, const mbs_layer_sizes *sizes,
                                 int64_t count, mbs_err *err) {
    uint8_t kind = 0;
    if (count < 1 || count > MBS_CONFIG_MAX_LAYERS - c->n_layer) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "a model has 1 to %d layers", MBS_CONFIG_MAX_LAYERS);
    }
    mbs_status st = mbs_config_add_kind(c, mixer, sizes, &kind, err);
    if (st >= 0) {
        memset(c->kind_of + c->n_layer, kind, (size_t)count);
        c->n_layer += count;
    }
    return st;
}

/* How deep the layers within layers go. */
static int depth_of(const mbs_model_config *c, const mbs_layer_sizes *z) {
    int most = 0;
    for (int64_t i = 0; i < z->within; i++) {
        int depth = depth_of(c, &c->kind[c->nested[z->within_at + i]].sizes);
        most = depth > most ? depth : most;
    }
    return most + (z->factor > 0);
}

mbs_status mbs_config_nest(mbs_model_config *c, const uint8_t *kinds, int64_t n, mbs_layer_sizes *z, mbs_err *err) {
    if (n < 1 || n > MBS_CONFIG_MAX_NESTED - c->n_nested) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "a model has 1 to %d layers within layers", MBS_CONFIG_MAX_NESTED);
    }
    z->within = n;
    z->within_at = c->n_nested;
    memcpy(c->nested + c->n_nested, kinds, (size_t)n);
    c->n_nested += n;
    for (int64_t i = 0; i < n; i++) {
        const mbs_layer_kind *k = &c->kind[kinds[i]];
        if (k->mixer->past_floats || k->mixer->whole || k->mixer->outer) {
            mbs_fail(err, MBS_ERR_CONFIG, NULL, "layers of mixer '%s' cannot stand within others", k->mixer->name);
            mbs_err_fix(err, "take a mixer whose state has a fixed size there, as mamba1, s4d or gru");
            return MBS_ERR_CONFIG;
        }
        if (k->sizes.l_max > 0) { /* rows that it reaches here are `pool` times as many above */
            int64_t reach = k->sizes.l_max * z->factor;
            z->l_max = z->l_max == 0 || reach < z->l_max ? reach : z->l_max;
        }
    }
    if (depth_of(c, z) > MBS_POOL_DEPTH) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "layers stand within layers more than %d deep", MBS_POOL_DEPTH);
    }
    return MBS_OK;
}

/* --- the original layout --------------------------------------------------------------------------------------------
 */

mbs_status mbs_config_read_mlp(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    int64_t width = mbs_json_int_in(doc, "d_intermediate", 0, 0, MBS_CONFIG_MAX_WIDTH, err);
    c->d_mlp = (width + MLP_MULTIPLE - 1) / MLP_MULTIPLE * MLP_MULTIPLE;
    c->mlp = width > 0 ? MBS_MLP_GATED : MBS_MLP_NONE;
    return err->status;
}

/* Marks the layers that `attn_layer_idx` names. */
static mbs_status mark(const mbs_json *list, uint8_t *is, int64_t n_layer, mbs_err *err) {
    for (size_t i = 0; i < mbs_json_len(list); i++) {
        int64_t at;
        if (!mbs_json_as_int(mbs_json_at(list, i), &at) || at < 0 || at >= n_layer) {
            mbs_fail(err, MBS_ERR_DATA, NULL, "'attn_layer_idx' names no layer in its place %zu", i);
            mbs_err_fix(err, "layers are numbers from 0 to %" PRId64, n_layer - 1);
            return MBS_ERR_DATA;
        }
        is[at] = 1;
    }
    return MBS_OK;
}

mbs_status mbs_config_read_hybrid(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    static const char *const causal[] = {"causal", NULL};
    const mbs_json *list = mbs_json_array(doc, "attn_layer_idx", err);
    const mbs_mixer *attention = &mbs_mixer_attention;
    const int64_t n = c->n_layer;
    uint8_t is[MBS_CONFIG_MAX_LAYERS] = {0};
    mbs_layer_sizes heads;
    if (err->status < 0 || mbs_json_len(list) == 0) {
        return err->status;
    }
    const mbs_json *cfg = mbs_json_object(doc, "attn_cfg", err);
    if (err->status >= 0 && !mbs_json_bool(cfg, "causal", 0, err) && err->status >= 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL,
                 "'attn_cfg.causal' is not true: attention to what comes later is not supported");
        mbs_err_fix(err, "take a model whose attention is causal");
    }
    mbs_mixer_usual_sizes(attention, &heads);
    mbs_status st = err->status < 0 ? err->status : mark(list, is, n, err);
    st = st < 0 ? st : mbs_mixer_read_keys(attention, cfg, causal, &heads, err);
    if (st >= 0 && mbs_config_settle(c, attention, &heads, err) < 0) {
        st = err->status = MBS_ERR_DATA; /* a file's, here */
    }
    c->n_layer = 0;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        st = is[i] ? mbs_config_add_layers(c, attention, &heads, 1, err)
                   : mbs_config_add_layers(c, mbs_mixer_of_type(c->model_type), &c->every, 1, err);
    }
    return st;
}

/* --- our own --------------------------------------------------------------------------------------------------------
 */

static mbs_status check_words(const mbs_json *obj, const char *what, const char *const *words, mbs_err *err) {
    for (mbs_json_iter it = mbs_json_first(obj); it.key; mbs_json_next(&it)) {
        const char *const *w = words;
        mbs_buf list = MBS_BUF_INIT;
        while (*w && strcmp(*w, it.key) != 0) {
            w++;
        }
        if (*w) {
            continue;
        }
        for (w = words; *w; w++) {
            mbs_buf_printf(&list, "%s%s", w == words ? "" : ", ", *w);
        }
        mbs_fail(err, MBS_ERR_DATA, NULL, "'%.64s' is not a key of %s", it.key, what);
        mbs_err_fix(err, "the keys are %s", mbs_buf_str(&list));
        mbs_buf_free(&list);
        return MBS_ERR_DATA;
    }
    return MBS_OK;
}

static mbs_status read_within(const mbs_json *layer, mbs_model_config *c, mbs_layer_sizes *sizes, mbs_err *err);

/* A layer of the list, as its kind and how many there are of it. */
static mbs_status read_layer(const mbs_json *layer, int64_t at, mbs_model_config *c, uint8_t *kind, int64_t *count,
                             mbs_err *err) {
    static const char *const plain[] = {"mixer", "count", NULL};
    static const char *const nesting[] = {"mixer", "count", "layers", NULL};
    const char *name = mbs_json_string(layer, "mixer", "", err);
    const mbs_mixer *mixer = mbs_mixer_named(name);
    mbs_layer_sizes sizes;
    *count = mbs_json_int_in(layer, "count", 1, 1, MBS_CONFIG_MAX_LAYERS, err);
    if (err->status < 0) {
        return err->status;
    }
    if (!mixer) {
        char accepted[256];
        mbs_mixer_words(MBS_MIXER_NAME, ", ", accepted, sizeof accepted);
        mbs_fail(err, MBS_ERR_DATA, NULL, "layers[%" PRId64 "]: 'mixer' is '%.64s', which is not supported", at, name);
        mbs_err_fix(err, "accepted: %s", accepted);
        return MBS_ERR_DATA;
    }
    mbs_mixer_usual_sizes(mixer, &sizes);
    mbs_err why = {0};
    mbs_status st = mbs_mixer_read_keys(mixer, layer, mixer->nests ? nesting : plain, &sizes, &why);
    st = st < 0 ? st : mbs_config_settle(c, mixer, &sizes, &why);
    st = st < 0 || !mixer->nests ? st : read_within(layer, c, &sizes, &why);
    st = st < 0 ? st : mbs_config_add_kind(c, mixer, &sizes, kind, &why);
    if (st < 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "layers[%" PRId64 "]: %s", at, why.what);
        mbs_err_fix(err, "%s", why.fix);
        return MBS_ERR_DATA;
    }
    return MBS_OK;
}

/* The layers within a layer, whose rows have another width. */
static mbs_status read_within(const mbs_json *layer, mbs_model_config *c, mbs_layer_sizes *sizes, mbs_err *err) {
    const mbs_json *list = mbs_json_array(layer, "layers", err);
    const int64_t width = c->d_model;
    uint8_t kinds[MBS_CONFIG_MAX_NESTED];
    int64_t n = 0;
    mbs_status st = err->status;
    if (st >= 0 && mbs_json_len(list) == 0) {
        st = mbs_fail(err, MBS_ERR_DATA, NULL, "'layers' names no layer within this one");
        mbs_err_fix(err, "say what runs at the lower rate: \"layers\": [{\"mixer\": \"mamba1\", \"count\": 4}]");
    }
    c->d_model = sizes->d_inner;
    for (size_t i = 0; i < mbs_json_len(list) && st >= 0; i++) {
        uint8_t kind = 0;
        int64_t count = 0;
        st = read_layer(mbs_json_at(list, i), (int64_t)i, c, &kind, &count, err);
        if (st >= 0 && count > MBS_CONFIG_MAX_NESTED - n) {
            st = mbs_fail(err, MBS_ERR_DATA, NULL, "more than %d layers within one", MBS_CONFIG_MAX_NESTED);
        } else if (st >= 0) {
            memset(kinds + n, kind, (size_t)count);
            n += count;
        }
    }
    c->d_model = width;
    return st < 0 ? st : mbs_config_nest(c, kinds, n, sizes, err);
}

static mbs_status read_own_mlp(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    static const char *const words[] = {"kind", "width", NULL};
    const mbs_json *mlp = mbs_json_object(doc, "mlp", err);
    if (err->status < 0 || !mlp) {
        return err->status;
    }
    const char *kind = mbs_json_string(mlp, "kind", "gated", err);
    if (!mbs_config_mlp_named(kind, &c->mlp)) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'mlp.kind' is '%.64s', which is not supported", kind);
        mbs_err_fix(err, "accepted: gated, gelu, gelu_tanh");
        return MBS_ERR_DATA;
    }
    c->d_mlp = mbs_json_int_in(mlp, "width", 0, 1, MBS_CONFIG_MAX_WIDTH, err);
    mbs_status st = mbs_json_need(mlp, "width", err);
    return st < 0 ? st : check_words(mlp, "mlp", words, err);
}

mbs_status mbs_config_read_own(const mbs_json *doc, mbs_model_config *c, mbs_err *err) {
    static const char *const words[] = {"model_type",
                                        "architectures",
                                        "vocab_size",
                                        "vocab_rows",
                                        "d_model",
                                        "n_layer",
                                        "layers",
                                        "mlp",
                                        "norm",
                                        "norm_eps",
                                        "tie_embeddings",
                                        "bos_token_id",
                                        "eos_token_id",
                                        "pad_token_id",
                                        "torch_dtype",
                                        "complement_map",
                                        "num_labels",
                                        "id2label",
                                        "label2id",
                                        "mambaseq_pool",
                                        MBS_FRONT_KEY,
                                        "transformers_version",
                                        "dtype",
                                        MBS_START_KEY,
                                        NULL};
    const mbs_json *layers = mbs_json_array(doc, "layers", err);
    const char *norm = mbs_json_string(doc, "norm", "rms", err);
    mbs_status st = check_words(doc, "a config of model_type 'mambaseq'", words, err);
    c->layout = MBS_LAYOUT_OWN;
    const int frames = mbs_json_get(doc, MBS_FRONT_KEY) != NULL;
    c->vocab_size = mbs_json_int_in(doc, "vocab_size", 0, 1, (int64_t)1 << 24, err);
    c->vocab_rows = mbs_json_int_in(doc, "vocab_rows", c->vocab_size, 1, (int64_t)1 << 24, err);
    c->d_model = mbs_json_int_in(doc, "d_model", 0, 1, MBS_CONFIG_MAX_WIDTH, err);
    c->norm_eps = mbs_json_double(doc, "norm_eps", 1e-5, err);
    c->norm = strcmp(norm, "layer") == 0 ? MBS_NORM_LAYER : MBS_NORM_RMS;
    c->tie_embeddings = mbs_json_bool(doc, "tie_embeddings", 1, err);
    st = st < 0 || frames ? st : mbs_json_need(doc, "vocab_size", err);
    st = st < 0 ? st : mbs_json_need(doc, "d_model", err);
    if (st >= 0 && err->status >= 0 && strcmp(norm, "rms") != 0 && strcmp(norm, "layer") != 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'norm' is '%.64s', which is not supported", norm);
        mbs_err_fix(err, "accepted: rms, layer");
    }
    if (err->status >= 0 && (c->vocab_rows < c->vocab_size || !(c->norm_eps > 0 && c->norm_eps < 1))) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'vocab_rows' is less than 'vocab_size', or 'norm_eps' not within 0 and 1");
    }
    if (err->status >= 0 && mbs_json_len(layers) == 0) {
        mbs_fail(err, MBS_ERR_DATA, NULL, "'layers' names no layer");
        mbs_err_fix(err, "say what each layer mixes with: \"layers\": [{\"mixer\": \"mamba1\", \"count\": 4}]");
    }
    st = err->status < 0 ? err->status : read_own_mlp(doc, c, err);
    for (size_t i = 0; i < mbs_json_len(layers) && st >= 0; i++) {
        uint8_t kind = 0;
        int64_t count = 0;
        st = read_layer(mbs_json_at(layers, i), (int64_t)i, c, &kind, &count, err);
        if (st >= 0 && count > MBS_CONFIG_MAX_LAYERS - c->n_layer) {
            st = mbs_fail(err, MBS_ERR_DATA, NULL, "layers[%zu]: a model has 1 to %d layers", i, MBS_CONFIG_MAX_LAYERS);
        } else if (st >= 0) {
            memset(c->kind_of + c->n_layer, kind, (size_t)count);
            c->n_layer += count;
        }
    }
    if (st >= 0 && mbs_json_int(doc, "n_layer", c->n_layer, err) != c->n_layer) {
        st = mbs_fail(err, MBS_ERR_DATA, NULL, "'n_layer' is not %" PRId64 ", which 'layers' has", c->n_layer);
    }
    return st;
}

/* --- words ----------------------------------------------------------------------------------------------------------
 */

int mbs_config_mlp_named(const char *word, mbs_mlp_kind *out) {
    *out = MBS_MLP_NONE;
    for (int k = MBS_MLP_GATED; k <= MBS_MLP_GELU_TANH; k++) {
        *out = strcmp(word, mbs_config_mlp_name((mbs_mlp_kind)k)) == 0 ? (mbs_mlp_kind)k : *out;
    }
    return *out != MBS_MLP_NONE;
}

const char *mbs_config_mlp_name(mbs_mlp_kind kind) {
    static const char *const names[] = {"none", "gated", "gelu", "gelu_tanh"};
    return names[kind];
}

static void put_list(const mbs_model_config *c, const uint8_t *kinds, int64_t n, const char *first, const char *between,
                     mbs_buf *b);

static void put_layer(const mbs_model_config *c, const mbs_layer_kind *k, int64_t count, const char *between,
                      mbs_buf *b) {
    mbs_buf_printf(b, "%s{\"mixer\": \"%s\"", between, k->mixer->name);
    if (count > 1) {
        mbs_buf_printf(b, ", \"count\": %" PRId64, count);
    }
    mbs_mixer_put_keys(k->mixer, &k->sizes, 1, ", ", b);
    if (k->mixer->nests) {
        mbs_buf_puts(b, ", \"layers\": [");
        put_list(c, c->nested + k->sizes.within_at, k->sizes.within, "", ", ", b);
        mbs_buf_puts(b, "]");
    }
    mbs_buf_puts(b, "}");
}

static void put_list(const mbs_model_config *c, const uint8_t *kinds, int64_t n, const char *first, const char *between,
                     mbs_buf *b) {
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        while (end < n && kinds[end] == kinds[i]) {
            end++;
        }
        put_layer(c, &c->kind[kinds[i]], end - i, i ? between : first, b);
        i = end;
    }
}

void mbs_config_put_layers(const mbs_model_config *c, const char *between, mbs_buf *b) {
    put_list(c, c->kind_of, c->n_layer, between + 1, between, b);
}
