#include "model/describe.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/caduceus.h"
#include "model/config_impl.h"
#include "model/format.h"
#include "model/impl.h"

typedef struct facts {
    mbs_model_fact put;
    void *sink;
} facts;

static void fact(const facts *f, const char *key, const char *fmt, ...) MBS_PRINTF(3, 4);
static void fact(const facts *f, const char *key, const char *fmt, ...) {
    char value[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    f->put(f->sink, key, value);
}

static void fact_token(const facts *f, const char *key, int id) {
    if (id >= 0) {
        fact(f, key, "%d", id);
    }
}

static void describe_heads(const facts *f, const mbs_model_config *c) {
    if (c->d_ssm != c->d_inner) {
        fact(f, "d_ssm", "%" PRId64, c->d_ssm);
    }
    fact(f, "n_heads", "%" PRId64, c->d_ssm / c->head_dim);
    fact(f, "head_dim", "%" PRId64, c->head_dim);
    fact(f, "n_groups", "%" PRId64, c->n_groups);
    fact(f, "D", "%s", c->wide_d ? "one for each channel" : "one for each head");
    fact(f, "time_step_limit", "%g to %g", c->dt_min, c->dt_max);
    if (c->gated_norm) {
        fact(f, "gated_norm", "%s the gate, over %s", c->norm_first ? "before" : "after",
             c->norm_whole ? "all channels" : "each group");
    } else {
        fact(f, "gated_norm", "none");
    }
}

/* "mamba1 x 3, attention, mamba1 x 2", "mamba1 x 3, pool 4 (s4d x 3), mamba1 x 3". */
static void put_mixers(const mbs_model_config *c, const uint8_t *kinds, int64_t n, mbs_buf *text) {
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        const mbs_layer_kind *k = &c->kind[kinds[i]];
        while (end < n && c->kind[kinds[end]].mixer == k->mixer && (!k->mixer->nests || kinds[end] == kinds[i])) {
            end++;
        }
        mbs_buf_printf(text, "%s%s", i ? ", " : "", k->mixer->name);
        if (k->mixer->nests) {
            mbs_buf_printf(text, " %" PRId64 " (", k->sizes.factor);
            put_mixers(c, c->nested + k->sizes.within_at, k->sizes.within, text);
            mbs_buf_puts(text, ")");
        }
        if (end - i > 1) {
            mbs_buf_printf(text, " x %" PRId64, end - i);
        }
        i = end;
    }
}

/* The mixers, then each kind's sizes. */
static void describe_kinds(const facts *f, const mbs_model_config *c) {
    mbs_buf text = MBS_BUF_INIT;
    put_mixers(c, c->kind_of, c->n_layer, &text);
    f->put(f->sink, "mixer", mbs_buf_str(&text));
    for (int64_t k = 0; k < c->n_kinds; k++) {
        char key[48];
        mbs_buf_clear(&text);
        mbs_mixer_put_keys(c->kind[k].mixer, &c->kind[k].sizes, 1, ", ", &text);
        int64_t same = 1;
        for (int64_t i = 0; i < k; i++) {
            same += c->kind[i].mixer == c->kind[k].mixer;
        }
        int n = snprintf(key, sizeof key, "sizes %s", c->kind[k].mixer->name);
        if (same > 1) {
            snprintf(key + n, sizeof key - (size_t)n, " %" PRId64, same);
        }
        f->put(f->sink, key, text.len > 2 ? mbs_buf_str(&text) + 2 : "none");
    }
    mbs_buf_free(&text);
}

/* Where all layers are alike. */
static void describe_sizes(const facts *f, const mbs_model_config *c) {
    fact(f, "d_inner", "%" PRId64, c->d_inner);
    fact(f, "d_state", "%" PRId64, c->d_state);
    fact(f, "d_conv", "%" PRId64, c->d_conv);
    if (c->dt_rank > 0) {
        fact(f, "dt_rank", "%" PRId64, c->dt_rank);
    }
    if (c->head_dim > 0) {
        describe_heads(f, c);
    }
}

/* The ids that a tokenizer has in its code; NULL: none that is known. */
static void describe_preset(const facts *f, const mbs_preset *p) {
    mbs_buf text = MBS_BUF_INIT;
    int id = 0;
    for (const char *at = p ? p->tokens : ""; *at; at += strcspn(at, "\n") + 1) {
        mbs_buf_printf(&text, " %.*s %d", (int)strcspn(at, "\n"), at, id++);
    }
    fact(f, "token_preset", "%s%s", p ? p->name : "none fits the complement_map", p ? mbs_buf_str(&text) : "");
    mbs_buf_free(&text);
}

/* How a model that takes whole records reads, and the ids that its tokenizer has in its code. */
static void describe_both(const facts *f, const mbs_model_config *c) {
    static const char *const ways[] = {"one way", "both ways, added", "both ways, multiplied"};
    fact(f, "reads", "%s%s", ways[c->both], c->both_tied ? ", in_proj and out_proj shared" : "");
    fact(f, "strands", "%s",
         !c->rcps     ? "one"
         : c->rc_swap ? "both, exchanged before each norm (fused_add_norm)"
                      : "both");
    describe_preset(f, mbs_caduceus_preset(c));
}

static void describe_config(const facts *f, const mbs_model_config *c) {
    static const char *const layouts[] = {"original", "transformers", "caduceus", "mambaseq", "hyenadna"};
    int biases = c->use_bias || c->use_conv_bias;
    fact(f, "layout", "%s", layouts[c->layout]);
    fact(f, "model_type", "%s", c->layout == MBS_LAYOUT_CADUCEUS ? "caduceus" : c->model_type);
    if (c->n_kinds > 0) {
        describe_kinds(f, c);
    } else {
        fact(f, "mixer", "%s", mbs_mixer_of_type(c->model_type)->name);
    }
    if (c->layout == MBS_LAYOUT_CADUCEUS) {
        describe_both(f, c);
    }
    fact(f, "n_layer", "%" PRId64, c->n_layer);
    fact(f, "d_model", "%" PRId64, c->d_model);
    if (c->n_kinds == 0) {
        describe_sizes(f, c);
    }
    if (c->mlp != MBS_MLP_NONE) {
        fact(f, "mlp", "%s, width %" PRId64, mbs_config_mlp_name(c->mlp), c->d_mlp);
    }
    if (c->frame_width > 0) {
        fact(f, "frame_width", "%" PRId64, c->frame_width);
    } else {
        fact(f, "vocab_size", "%" PRId64, c->vocab_size);
        fact(f, "vocab_rows", "%" PRId64, c->vocab_rows);
    }
    fact(f, "norm", "%s, eps %g", c->norm == MBS_NORM_RMS ? "rms" : "layer", c->norm_eps);
    if (c->n_kinds == 0) {
        fact(f, "biases", "%s%s%s", c->use_conv_bias ? "conv" : "",
             biases && c->use_bias && c->use_conv_bias ? ", " : "",
             c->use_bias ? "projections"
             : biases    ? ""
                         : "none");
    }
    fact(f, "head", "%s",
         c->no_lm_head       ? c->n_classes > 0 ? "none, a classifier" : "none, it takes frames"
         : c->tie_embeddings ? "tied to the embedding"
                             : "separate");
    fact_token(f, "bos_token_id", c->bos);
    fact_token(f, "eos_token_id", c->eos);
    fact_token(f, "pad_token_id", c->pad);
}

/* Of a classifier: how many classes, what they are called and what the head gets. */
static mbs_status describe_classes(const facts *f, const char *folder, const mbs_model_config *c, mbs_err *err) {
    mbs_classes classes;
    if (c->n_classes == 0) {
        return MBS_OK;
    }
    mbs_status st = mbs_classes_load(folder, &classes, err);
    if (st < 0) {
        return st;
    }
    fact(f, "classes", "%" PRId64, c->n_classes);
    if (classes.names && classes.n == c->n_classes) {
        mbs_buf names = MBS_BUF_INIT;
        for (int64_t i = 0; i < classes.n; i++) {
            mbs_buf_printf(&names, "%s%s", i ? ", " : "", classes.names[i]);
        }
        f->put(f->sink, "class_names", mbs_buf_str(&names));
        st = names.failed ? mbs_fail_memory(err, folder, names.len) : MBS_OK;
        mbs_buf_free(&names);
    }
    fact(f, "pool", "%s", mbs_pooling_name(c->pool));
    mbs_classes_free(&classes);
    return st;
}

/* "F32" or, where types differ, "F32 12, BF16 30". */
static void describe_dtypes(const facts *f, const mbs_st_set *set) {
    size_t count[MBS_DT_COUNT] = {0};
    size_t total = 0;
    char text[256] = "";
    size_t at = 0;
    for (size_t k = 0; k < set->n_files; k++) {
        for (size_t i = 0; i < mbs_st_count(set->files[k]); i++) {
            count[mbs_st_at(set->files[k], i)->dtype]++;
            total++;
        }
    }
    for (int d = 0; d < MBS_DT_COUNT; d++) {
        if (count[d] == total && total) {
            snprintf(text, sizeof text, "%s", mbs_dtype_name((mbs_dtype)d));
        } else if (count[d] && at < sizeof text) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %zu", at ? ", " : "",
                                   mbs_dtype_name((mbs_dtype)d), count[d]);
        }
    }
    fact(f, "dtype", "%s", text);
    fact(f, "tensors", "%zu", total);
}

/* What the weights take in every way of holding them, and a stream beside them. */
static mbs_status describe_room(const facts *f, const mbs_model_config *c, const mbs_st_set *set,
                                const mbs_specs *specs, mbs_err *err) {
    static const mbk_dtype ways[] = {MBK_F32, MBK_BF16, MBK_I8};
    mbk_format automatic;
    mbs_status st = mbs_format_resolve(NULL, set, specs, &automatic, err);
    if (st < 0) {
        return st;
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char key[32];
        snprintf(key, sizeof key, "bytes_held_%s", mbk_dtype_name(ways[i]));
        fact(f, key, "%" PRId64, mbs_format_bytes(specs, (mbk_format){ways[i], MBK_MATH_F32}));
    }
    fact(f, "dtype_auto", "%s", mbk_dtype_name(automatic.dtype));
    int64_t floats = c->d_model;               /* the newest token's row after the last norm */
    for (int64_t i = 0; i < c->n_layer; i++) { /* an MLP has none */
        floats += mbs_mixer_of_layer(c, i)->state_floats(c, i);
    }
    fact(f, "state_bytes", "%" PRId64, floats * (int64_t)sizeof(float));
    int64_t most;
    int64_t each = mbs_config_grows(c, &most);
    if (each > 0 && most > 0) {
        fact(f, "state_grows", "by %" PRId64 " bytes a token of a record, %" PRId64 " tokens at most (window)", each,
             most);
    } else if (each > 0) {
        fact(f, "state_grows", "by %" PRId64 " bytes a token of a record: attention keeps keys and values", each);
    }
    return MBS_OK;
}

static mbs_status describe_vocab(const facts *f, const mbs_model_config *c, const char *folder, mbs_err *err) {
    char text[400];
    const mbs_preset *preset = NULL;
    mbs_status st = mbs_model_describe_vocab(folder, text, sizeof text, err);
    st = st < 0 ? st : mbs_model_folder_preset(folder, &preset, err);
    if (st >= 0) {
        fact(f, "vocabulary", "%s", text);
    }
    if (st >= 0 && preset && c->layout != MBS_LAYOUT_CADUCEUS) {
        describe_preset(f, preset);
    }
    return st;
}

static mbs_status describe_file(const facts *f, const char *path, mbs_sha256 *all, mbs_err *err) {
    mbs_sha256 one;
    char hex[65];
    char *name = mbs_path_base(path);
    mbs_buf key = MBS_BUF_INIT;
    mbs_sha256_init(&one);
    mbs_status st = name ? mbs_hash_file(path, NULL, &one, all, err) : mbs_fail_memory(err, path, strlen(path));
    if (st >= 0) {
        mbs_sha256_hex(&one, hex);
        mbs_buf_printf(&key, "sha256 %s", name);
        st = key.failed ? mbs_fail_memory(err, path, strlen(path)) : MBS_OK;
    }
    if (st >= 0) {
        fact(f, mbs_buf_str(&key), "%s", hex);
        st = key.failed ? mbs_fail_memory(err, path, strlen(name)) : st;
    }
    mbs_buf_free(&key);
    mbs_free(name);
    return st;
}

/* Every file, and all of them after each other: what outputs name the model by. */
static mbs_status describe_files(const facts *f, const char *folder, const mbs_st_set *set, mbs_err *err) {
    mbs_sha256 all;
    char hex[65];
    uint64_t bytes = 0;
    char *config = mbs_path_join(folder, "config.json");
    mbs_status st = config ? MBS_OK : mbs_fail_memory(err, folder, strlen(folder));
    for (size_t i = 0; i < set->n_files; i++) {
        bytes += mbs_st_file_size(set->files[i]);
    }
    fact(f, "weight_files", "%zu", set->n_files);
    fact(f, "weight_bytes", "%" PRIu64, bytes);
    mbs_sha256_init(&all);
    if (st >= 0) {
        st = describe_file(f, config, &all, err);
    }
    for (size_t i = 0; i < set->n_files && st >= 0; i++) {
        st = describe_file(f, mbs_st_path(set->files[i]), &all, err);
    }
    if (st >= 0) {
        mbs_sha256_hex(&all, hex);
        fact(f, "model_sha256", "%s", hex);
    }
    mbs_free(config);
    return st;
}

static void describe_tensors(const facts *f, const mbs_specs *specs, const mbs_st_set *set) {
    for (size_t i = 0; i < specs->n; i++) {
        char key[MBS_NAME_ROOM + 8];
        char dims[100];
        const mbs_st *st;
        const mbs_st_tensor *t = mbs_st_set_find(set, specs->items[i].name, &st);
        snprintf(key, sizeof key, "tensor %s", specs->items[i].name);
        fact(f, key, "%s %s", mbs_dtype_name((mbs_dtype)t->dtype),
             mbs_st_shape_text(mbs_st_dims(st, t), t->ndim, dims, sizeof dims));
    }
}

mbs_status mbs_model_describe(const char *folder, mbs_model_fact put, void *sink, mbs_err *err) {
    facts f = {put, sink};
    mbs_model_config cfg;
    mbs_st_set set;
    mbs_names names;
    mbs_specs specs = {0};
    mbs_status st = mbs_config_load(folder, &cfg, err);
    st = st < 0 ? st : mbs_model_check_letters(folder, err);
    if (st >= 0) {
        st = mbs_st_set_open(folder, &set, err);
    }
    if (st < 0) {
        return st;
    }
    st = mbs_specs_of_set(&set, &cfg, &names, &specs, err);
    if (st >= 0) {
        describe_config(&f, &cfg);
        st = describe_classes(&f, folder, &cfg, err);
    }
    if (st >= 0) {
        fact(&f, "parameters", "%" PRId64, mbs_specs_parameters(&specs));
        describe_dtypes(&f, &set);
        st = describe_room(&f, &cfg, &set, &specs, err);
        st = st < 0 ? st : describe_vocab(&f, &cfg, folder, err);
        st = st < 0 ? st : describe_files(&f, folder, &set, err);
    }
    if (st >= 0) {
        describe_tensors(&f, &specs, &set);
    }
    mbs_specs_free(&specs);
    mbs_st_set_close(&set);
    return st;
}
