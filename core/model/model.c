/* model.c - opens a model folder: config, tensors, weights on the backend. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "model/config_impl.h"
#include "model/format.h"
#include "model/front.h"
#include "model/impl.h"
#include "model/mixer_kit.h"
#include "model/place.h"
#include "model/start.h"

mbk_status mbs_model_norm(const mbs_model *m, mbk_mat y, mbk_mat x, mbk_buf *w, mbk_buf *b) {
    int64_t d = m->cfg.d_model;
    return mbs_kit_norm(m->ctx, &m->cfg, y, x, mbs_kit_matrix(w, 1, d), mbs_kit_matrix(b, 1, d));
}

mbk_status mbs_layer_input(const mbs_model *m, const mbs_layer *layer, mbk_mat rows, mbk_mat *in) {
    if (layer->mixer->bare) {
        *in = rows;
        return MBS_OK;
    }
    return mbs_model_norm(m, *in, rows, layer->norm_w, layer->norm_b);
}

mbs_status mbs_model_no_number(const mbs_model *m, int64_t at, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, m->folder, "the model's prediction of token %lld is not a number", (long long)at);
    mbs_err_fix(err, "its weights are finite but too large to compute with in f32: take another checkpoint");
    return MBS_ERR_DATA;
}

static mbs_status load_norm(mbs_loader *ld, const char *name, const mbs_model *m, mbk_buf **w, mbk_buf **b) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    mbs_status st = mbs_loader_buf(ld, full, 0, w);
    if (st >= 0 && m->cfg.norm == MBS_NORM_LAYER) {
        snprintf(full, sizeof full, "%s.bias", name);
        st = mbs_loader_buf(ld, full, 0, b);
    }
    return st;
}

static mbs_status load_layers(mbs_model *m, const mbs_names *names, mbs_loader *ld) {
    char prefix[64];
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < m->n_blocks && st >= 0; i++) {
        mbs_layer *layer = &m->layers[i];
        mbs_names_layer(names, layer->index, prefix);
        memcpy(ld->prefix, prefix, sizeof prefix);
        if (!layer->mixer->bare) {
            st = load_norm(ld, mbs_block_norm(layer->mixer, names->norm), m, &layer->norm_w, &layer->norm_b);
        }
        if (st >= 0 && m->cfg.layout == MBS_LAYOUT_CADUCEUS) {
            st = mbs_both_load(m, names, i, ld);
        } else if (st >= 0) {
            snprintf(ld->prefix, sizeof ld->prefix, "%.50s%s", prefix, mbs_block_prefix(layer->mixer));
            st = layer->mixer->load(&m->cfg, layer->index, ld, &layer->weights);
        }
    }
    return st;
}

void mbs_model_place_states(mbs_model *m) {
    m->state_floats = 0;
    m->state_most = 0;
    m->past_floats = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        mbs_layer *layer = &m->layers[i];
        layer->state_at = m->state_floats;
        layer->state_floats = layer->mixer->state_floats(&m->cfg, layer->index);
        m->state_floats += layer->state_floats;
        layer->past_floats = layer->mixer->past_floats ? layer->mixer->past_floats(&m->cfg, layer->index) : 0;
        layer->past_most = layer->past_floats ? layer->mixer->past_most(&m->cfg, layer->index) : 0;
        m->past_floats += layer->past_floats;
        m->state_most = layer->state_floats > m->state_most ? layer->state_floats : m->state_most;
    }
}

static mbs_status make_layers(mbs_model *m, mbs_err *err) {
    const int64_t each = mbs_config_blocks(&m->cfg);
    m->n_blocks = m->cfg.n_layer * each;
    m->layers = mbs_calloc((size_t)m->n_blocks, sizeof *m->layers);
    if (!m->layers) {
        return mbs_fail_memory(err, m->folder, (size_t)m->n_blocks * sizeof *m->layers);
    }
    for (int64_t i = 0; i < m->n_blocks; i++) {
        m->layers[i].index = i / each;
        m->layers[i].mixer = mbs_mixer_of_block(&m->cfg, i);
    }
    mbs_model_place_states(m);
    return MBS_OK;
}

/* With tied embeddings a stored head must be the embedding: which of the two would count is nowhere said. */
static mbs_status check_stored_head(mbs_model *m, mbs_loader *ld, const char *name, const float *table, size_t n) {
    const float *head;
    int64_t count;
    float *copy;
    mbs_status st = mbs_loader_room(ld, n, &copy); /* the table may stand in the stage */
    if (st < 0) {
        return st;
    }
    memcpy(copy, table, n * sizeof *copy);
    st = mbs_loader_values(ld, name, &head, &count);
    if (st >= 0 && memcmp(copy, head, n * sizeof *copy) != 0) {
        st = mbs_fail(ld->err, MBS_ERR_DATA, NULL, "'%s' differs from the embedding, but the config ties them", name);
        mbs_err_fix(ld->err, "say \"%s\": false in config.json if the head is meant to count",
                    m->cfg.layout == MBS_LAYOUT_TRANSFORMERS || m->cfg.layout == MBS_LAYOUT_HYENADNA
                        ? "tie_word_embeddings"
                        : "tie_embeddings");
    }
    return st;
}

/* The table, to gather rows from, which is the head too where they are tied: held once. */
static mbs_status load_ends(mbs_model *m, const mbs_names *names, mbs_loader *ld) {
    const float *table = NULL;
    int64_t n;
    int frames = m->cfg.frame_width > 0;
    snprintf(ld->prefix, sizeof ld->prefix, "%s", frames ? names->backbone : "");
    mbs_status st = frames ? mbs_front_load(m, ld) : mbs_loader_values(ld, names->embedding, &table, &n);
    ld->prefix[0] = '\0';
    if (st >= 0 && !frames) {
        st = mbs_loader_prepare(ld, names->embedding, table, m->cfg.vocab_rows, m->cfg.d_model, &m->table);
    }
    if (st >= 0 && m->cfg.no_lm_head) {
        m->head = NULL;
    } else if (st >= 0 && !m->cfg.tie_embeddings) {
        st = mbs_loader_weight(ld, names->head, m->cfg.vocab_rows, m->cfg.d_model, &m->head);
    } else if (st >= 0) {
        m->head = m->table;
        if (mbs_loader_has(ld, names->head)) {
            st = check_stored_head(m, ld, names->head, table, (size_t)n);
        }
    }
    if (st >= 0) {
        snprintf(ld->prefix, sizeof ld->prefix, "%s", names->backbone);
        st = load_norm(ld, names->norm_f, m, &m->norm_w, &m->norm_b);
    }
    return st;
}

static mbs_status remember_file(mbs_model *m, char *path, mbs_err *err) {
    mbs_model_file *f = &m->files[m->n_files];
    if (!path) {
        return mbs_fail_memory(err, m->folder, strlen(m->folder));
    }
    f->path = path;
    m->n_files++;
    if (stat(path, &f->info) != 0) {
        return mbs_fail_errno(err, MBS_ERR_NOINPUT, errno, path, "cannot be read");
    }
    return MBS_OK;
}

static mbs_status remember_files(mbs_model *m, const mbs_st_set *set, mbs_err *err) {
    m->files = mbs_calloc(set->n_files + 1, sizeof *m->files);
    if (!m->files) {
        return mbs_fail_memory(err, m->folder, (set->n_files + 1) * sizeof *m->files);
    }
    mbs_status st = remember_file(m, mbs_path_join(m->folder, "config.json"), err);
    for (size_t i = 0; i < set->n_files && st >= 0; i++) {
        st = remember_file(m, mbs_strdup(mbs_st_path(set->files[i])), err);
    }
    return st;
}

/* A device that has not room for the matrices says so before the first one travels. */
static mbs_status check_room(const mbs_model *m, const mbs_specs *specs, mbs_err *err) {
    const double mib = 1024.0 * 1024;
    mbk_ctx *ctx = m->ctx;
    size_t unused = 0;
    size_t all = 0;
    if (!ctx->ops->memory) {
        return MBS_OK;
    }
    mbk_status st = ctx->ops->memory(ctx, &unused, &all);
    int64_t bytes = mbs_format_bytes(specs, m->format);
    if (st < 0) {
        return mbs_backend_fail(ctx, err, st, m->folder, "loading the weights");
    }
    if (bytes <= 0 || (uint64_t)bytes <= unused) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_MEMORY, m->folder,
             "the weights take %.1f MiB as %s, and the device has %.1f of %.1f MiB free", (double)bytes / mib,
             mbk_dtype_name(m->format.dtype), (double)unused / mib, (double)all / mib);
    mbs_err_fix(err, "take a smaller model.dtype (bf16, int8), another device, or --device cpu");
    return MBS_ERR_MEMORY;
}

/* What layers that differ, and what stands behind them, say of whose state a blob is. */
static mbs_status mix_layers(const mbs_model *m, mbs_loader *ld) {
    mbs_buf text = MBS_BUF_INIT;
    if (m->cfg.n_kinds == 0 && m->cfg.mlp == MBS_MLP_NONE) {
        return MBS_OK; /* all is said */
    }
    mbs_buf_printf(&text, "%d %lld ", (int)m->cfg.mlp, (long long)m->cfg.d_mlp);
    if (m->cfg.n_kinds > 0) {
        mbs_config_put_layers(&m->cfg, ", ", &text);
    }
    ld->fingerprint = mbs_fingerprint(ld->fingerprint, mbs_buf_str(&text), text.len);
    mbs_status st = text.failed ? mbs_fail_memory(ld->err, m->folder, text.len) : MBS_OK;
    mbs_buf_free(&text);
    return st;
}

/* Other time steps, where every layer has one. */
static mbs_status take_rate(const mbs_model *m, const mbs_model_options *options, mbs_loader *ld) {
    const double scale = options ? options->rate_scale : 0;
    if (scale == 0 || scale == 1) {
        return MBS_OK;
    }
    if (!(scale >= MBS_RATE_SCALE_MIN && scale <= MBS_RATE_SCALE_MAX)) {
        return mbs_fail(ld->err, MBS_ERR_CONFIG, "model.rate_scale", "%g is not from %g to %g", scale,
                        MBS_RATE_SCALE_MIN, MBS_RATE_SCALE_MAX);
    }
    if (m->cfg.frame_width > 0) {
        mbs_fail(ld->err, MBS_ERR_CONFIG, "model.rate_scale", "the model takes frames, which have so many samples");
        mbs_err_fix(ld->err, "leave it out: sound of another rate is resampled");
        return MBS_ERR_CONFIG;
    }
    for (int64_t i = 0; i < m->cfg.n_layer; i++) {
        const mbs_mixer *mixer = mbs_mixer_of_layer(&m->cfg, i);
        if (!mixer->rescales) {
            mbs_fail(ld->err, MBS_ERR_CONFIG, "model.rate_scale", "layers of mixer '%s' have no time step to scale",
                     mixer->name);
            mbs_err_fix(ld->err, "leave it out: sound of another rate is resampled");
            return MBS_ERR_CONFIG;
        }
    }
    ld->rate_scale = scale;
    return MBS_OK;
}

/* Brings every tensor to the backend, from a folder's files or freshly drawn. */
static mbs_status fill(mbs_model *m, const mbs_names *names, mbs_loader *ld) {
    int64_t sizes[] = {m->cfg.d_model,
                       m->cfg.n_layer,
                       m->cfg.vocab_rows,
                       m->cfg.d_inner,
                       m->cfg.d_state,
                       m->cfg.d_conv,
                       m->cfg.dt_rank,
                       m->format.dtype,
                       m->format.math,
                       m->cfg.norm,
                       0};
    memcpy(&sizes[10], &m->cfg.norm_eps, sizeof m->cfg.norm_eps);
    (void)snprintf(m->arithmetic, sizeof m->arithmetic, "%s/%s/%s", m->ctx->ops->device,
                   mbk_arithmetic(m->ctx, m->format.math), mbk_math_name(m->format.math));
    ld->format = m->format;
    mbs_status st = mbs_model_runs_on(&m->cfg, m->ctx, ld->err);
    st = st < 0 ? st : make_layers(m, ld->err);
    if (st < 0) {
        return st;
    }
    ld->fingerprint = mbs_fingerprint(0, sizes, sizeof sizes);
    if (m->cfg.head_dim > 0) {
        int64_t heads[] = {m->cfg.d_ssm,
                           m->cfg.head_dim,
                           m->cfg.n_groups,
                           m->cfg.wide_d,
                           m->cfg.gated_norm,
                           m->cfg.norm_first,
                           m->cfg.norm_whole,
                           0,
                           0,
                           0};
        memcpy(&heads[7], &m->cfg.dt_min, sizeof m->cfg.dt_min);
        memcpy(&heads[8], &m->cfg.dt_max, sizeof m->cfg.dt_max);
        memcpy(&heads[9], &m->cfg.gated_eps, sizeof m->cfg.gated_eps);
        ld->fingerprint = mbs_fingerprint(ld->fingerprint, heads, sizeof heads);
    }
    if (m->cfg.frame_width > 0) {
        ld->fingerprint = mbs_fingerprint(ld->fingerprint, &m->cfg.frame_width, sizeof m->cfg.frame_width);
    }
    if (ld->rate_scale > 0) {
        ld->fingerprint = mbs_fingerprint(ld->fingerprint, &ld->rate_scale, sizeof ld->rate_scale);
    }
    st = mix_layers(m, ld);
    st = st < 0 ? st : load_ends(m, names, ld);
    st = st < 0 || !m->cfg.rcps ? st : mbs_both_load_head(m, names, ld);
    st = st < 0 ? st : load_layers(m, names, ld);
    st = st < 0 ? st : mbs_model_load_classes(m, ld);
    if (m->cfg.layout == MBS_LAYOUT_CADUCEUS) {
        ld->fingerprint = mbs_both_fingerprint(&m->cfg, ld->fingerprint);
    }
    m->fingerprint = ld->fingerprint;
    m->weight_bytes = ld->bytes;
    mbs_loader_free(ld);
    if (st >= 0) {
        st = m->ctx->ops->sync(m->ctx); /* files are unmapped next */
        st = st < 0 ? mbs_backend_fail(m->ctx, ld->err, st, m->folder, "loading the weights") : MBS_OK;
    } else if (ld->err && !ld->err->where[0]) {
        mbs_err_where(ld->err, "%s", m->folder);
    }
    return st;
}

static mbs_status load(mbs_model *m, const mbs_model_options *options, mbs_err *err) {
    mbs_st_set set;
    mbs_names names;
    mbs_status st = mbs_st_set_open(m->folder, &set, err);
    if (st < 0) {
        return st;
    }
    mbs_specs specs = {0};
    st = mbs_specs_of_set(&set, &m->cfg, &names, &specs, err); /* nothing large is allocated before this */
    st = st < 0 ? st : mbs_format_resolve(options, &set, &specs, &m->format, err);
    if (st >= 0) {
        m->parameters = mbs_specs_parameters(&specs);
        st = check_room(m, &specs, err);
        st = st < 0 ? st : remember_files(m, &set, err);
    }
    if (st >= 0) {
        mbs_loader ld = {.set = &set, .ctx = m->ctx, .err = err};
        st = take_rate(m, options, &ld);
        st = st < 0 ? st : fill(m, &names, &ld);
    }
    mbs_specs_free(&specs);
    mbs_st_set_close(&set);
    return st;
}

/* Values are drawn, or given by ld->fill. */
static mbs_status draw(mbs_model *m, mbs_loader *ld, const mbs_model_options *options) {
    mbs_names names;
    mbs_specs specs;
    mbs_names_of_config(&m->cfg, &names);
    mbs_status st = mbs_format_resolve(options, NULL, NULL, &m->format, ld->err);
    st = st < 0 ? st : mbs_specs_model(&m->cfg, &names, 0, &specs, ld->err);
    if (st >= 0) {
        ld->fresh = &specs;
        ld->ctx = m->ctx;
        m->parameters = mbs_specs_parameters(&specs);
        st = check_room(m, &specs, ld->err);
        st = st < 0 ? st : take_rate(m, options, ld);
        st = st < 0 ? st : fill(m, &names, ld);
        mbs_specs_free(&specs);
    }
    return st;
}

static mbs_status in_memory(const mbs_model_config *cfg, mbs_loader *ld, const char *name,
                            const mbs_model_options *options, mbk_ctx *ctx, mbs_model **out) {
    *out = NULL;
    if (mbs_mixers_known(cfg, ld->err) < 0) {
        return MBS_ERR_CONFIG;
    }
    mbs_model *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    m->ctx = ctx;
    m->cfg = *cfg;
    m->folder = mbs_strdup(name);
    mbs_status st = mbs_mixers_limit(&m->cfg, options ? options->max_memory : 0, ld->err);
    st = st < 0 || m->folder ? st : mbs_fail_memory(ld->err, NULL, 1);
    st = st < 0 ? st : draw(m, ld, options);
    if (st < 0) {
        mbs_model_close(m);
        return st;
    }
    *out = m;
    return MBS_OK;
}

mbs_status mbs_model_fresh_as(const mbs_model_config *cfg, uint64_t seed, const mbs_model_options *options,
                              mbk_ctx *ctx, mbs_model **out, mbs_err *err) {
    mbs_loader ld = {.seed = seed, .err = err};
    return in_memory(cfg, &ld, "a fresh model", options, ctx, out);
}

mbs_status mbs_model_of_values(const mbs_model_config *cfg, mbs_model_values values, void *values_ctx,
                               const mbs_model_options *options, mbk_ctx *ctx, mbs_model **out, mbs_err *err) {
    mbs_loader ld = {.fill = values, .fill_ctx = values_ctx, .err = err};
    return in_memory(cfg, &ld, "a model in memory", options, ctx, out);
}

mbs_status mbs_model_fresh(const mbs_model_config *cfg, uint64_t seed, mbk_ctx *ctx, mbs_model **out, mbs_err *err) {
    return mbs_model_fresh_as(cfg, seed, NULL, ctx, out, err);
}

mbs_status mbs_model_open(const char *folder, mbk_ctx *ctx, mbs_model **out, mbs_err *err) {
    return mbs_model_open_as(folder, NULL, ctx, out, err);
}

mbs_status mbs_model_open_as(const char *folder, const mbs_model_options *options, mbk_ctx *ctx, mbs_model **out,
                             mbs_err *err) {
    *out = NULL;
    mbs_model *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(err, folder, sizeof *m);
    }
    m->ctx = ctx;
    m->folder = mbs_strdup(folder);
    mbs_status st = m->folder ? mbs_config_load(folder, &m->cfg, err) : mbs_fail_memory(err, folder, strlen(folder));
    st = st < 0 || m->cfg.n_start == 0 ? st : mbs_start_load(folder, &m->starts, err);
    st = st < 0 ? st : mbs_mixers_limit(&m->cfg, options ? options->max_memory : 0, err);
    if (st >= 0) {
        st = load(m, options, err);
    }
    if (st < 0) {
        mbs_model_close(m);
        return st;
    }
    *out = m;
    return MBS_OK;
}

void mbs_model_close(mbs_model *m) {
    if (!m) {
        return;
    }
    const mbk_ops *ops = m->ctx->ops;
    for (int64_t i = 0; m->layers && i < m->n_blocks; i++) {
        ops->buf_free(m->ctx, m->layers[i].norm_w);
        ops->buf_free(m->ctx, m->layers[i].norm_b);
        if (m->layers[i].mixer) {
            m->layers[i].mixer->unload(m->ctx, m->layers[i].weights);
            if (m->layers[i].reverse) {
                m->layers[i].mixer->unload(m->ctx, m->layers[i].reverse);
            }
        }
    }
    ops->weight_free(m->ctx, m->head == m->table ? NULL : m->head);
    ops->weight_free(m->ctx, m->head_rc);
    ops->weight_free(m->ctx, m->table);
    ops->buf_free(m->ctx, m->norm_w);
    ops->buf_free(m->ctx, m->norm_b);
    for (size_t i = 0; i < m->n_files; i++) {
        mbs_free(m->files[i].path);
    }
    mbs_front_free(m);
    mbs_model_free_classes(m);
    mbs_classes_free(&m->starts);
    mbs_free(m->files);
    mbs_free(m->layers);
    mbs_free(m->folder);
    mbs_free(m);
}

const mbs_model_config *mbs_model_get_config(const mbs_model *m) {
    return &m->cfg;
}

int32_t mbs_model_start(const mbs_model *m, const char *class_name) {
    int64_t k = m->cfg.start > 0 && !class_name ? 0 : -1;
    for (int64_t i = 0; class_name && i < m->starts.n && k < 0; i++) {
        k = strcmp(m->starts.names[i], class_name) == 0 ? 1 + i : -1;
    }
    return k < 0 ? -1 : (int32_t)(m->cfg.start + k);
}

const mbs_classes *mbs_model_start_classes(const mbs_model *m) {
    return &m->starts;
}

int64_t mbs_model_parameters(const mbs_model *m) {
    return m->parameters;
}

const char *mbs_model_dtype(const mbs_model *m) {
    return mbk_dtype_name(m->format.dtype);
}

const char *mbs_model_math(const mbs_model *m) {
    return mbk_math_name(m->format.math);
}

const char *mbs_model_arithmetic(const mbs_model *m) {
    return m->arithmetic;
}

int64_t mbs_model_weight_bytes(const mbs_model *m) {
    return m->weight_bytes;
}

const mbk_pace *mbs_model_pace(const mbs_model *m) {
    return &m->ctx->ops->pace;
}

const char *mbs_model_sha256(mbs_model *m, mbs_err *err) {
    mbs_sha256 sum;
    if (m->sha[0]) {
        return m->sha;
    }
    if (m->n_files == 0) {
        mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "has no files to take a sum of");
        return NULL;
    }
    mbs_sha256_init(&sum);
    for (size_t i = 0; i < m->n_files; i++) {
        if (mbs_hash_file(m->files[i].path, &m->files[i].info, &sum, NULL, err) < 0) {
            return NULL;
        }
    }
    mbs_sha256_hex(&sum, m->sha);
    return m->sha;
}
