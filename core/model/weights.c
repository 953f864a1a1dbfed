#include "model/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/caduceus.h"
#include "model/classes.h"
#include "model/front.h"
#include "model/hyenadna.h"
#include "model/mixer.h"
#include "model/mlp.h"

/* --- specs ----------------------------------------------------------------------------------------------------------
 */

void mbs_specs_add(mbs_specs *s, const char *name, mbs_draw draw, double scale, int64_t d0, int64_t d1, int64_t d2) {
    mbs_spec *items = s->failed ? NULL : mbs_grow(s->items, &s->cap, s->n + 1, sizeof *items);
    if (!items) {
        s->failed = 1;
        return;
    }
    s->items = items;
    mbs_spec *spec = &items[s->n++];
    *spec = (mbs_spec){.ndim = d2 ? 3 : d1 ? 2 : 1, .dims = {d0, d1, d2}, .draw = draw, .scale = scale};
    snprintf(spec->name, sizeof spec->name, "%s%s", s->prefix, name);
}

void mbs_specs_add_matrix(mbs_specs *s, const char *name, mbs_draw draw, double scale, int64_t n_out, int64_t n_in) {
    mbs_specs_add(s, name, draw, scale, n_out, n_in, 0);
    if (!s->failed) {
        s->items[s->n - 1].matrix = s->items[s->n - 1].decay = 1;
    }
}

void mbs_specs_turned(mbs_specs *s) {
    if (!s->failed) {
        s->items[s->n - 1].turned = 1;
    }
}

void mbs_specs_decays(mbs_specs *s) {
    if (!s->failed) {
        s->items[s->n - 1].decay = 1;
    }
}

void mbs_specs_slow(mbs_specs *s) {
    if (!s->failed) {
        s->items[s->n - 1].slow = 1;
    }
}

void mbs_specs_repeats(mbs_specs *s, int64_t elements) {
    if (!s->failed) {
        s->items[s->n - 1].repeats = elements;
    }
}

void mbs_specs_whole(mbs_specs *s) {
    if (!s->failed) {
        s->items[s->n - 1].whole = 1;
    }
}

void mbs_specs_again(mbs_specs *s) {
    if (!s->failed) {
        s->items[s->n - 1].tied = 1;
    }
}

void mbs_specs_free(mbs_specs *s) {
    mbs_free(s->items);
    memset(s, 0, sizeof *s);
}

double mbs_draw_constant(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)seed;
    (void)stream;
    (void)i;
    return spec->scale;
}

double mbs_draw_uniform(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    return spec->scale * (2 * mbs_rng_uniform(seed, stream, (uint64_t)i) - 1);
}

double mbs_draw_normal(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    return spec->scale * mbs_rng_normal(seed, stream, (uint64_t)i);
}

static uint64_t stream_of(const char *name) { /* FNV-1a */
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++) {
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    }
    return h;
}

void mbs_spec_draw(const mbs_spec *spec, uint64_t seed, int64_t from, int64_t n, float *out) {
    uint64_t stream = stream_of(spec->name);
    for (int64_t i = 0; i < n; i++) {
        const int again = spec->repeats > 0 && i >= spec->repeats;
        out[i] = again ? out[i - spec->repeats] : (float)spec->draw(spec, seed, stream, from + i);
    }
}

void mbs_names_of_config(const mbs_model_config *cfg, mbs_names *names) {
    *names = (mbs_names){.backbone = "backbone.", .head = "lm_head.weight", .norm = "norm", .norm_f = "norm_f"};
    snprintf(names->mixer, sizeof names->mixer, "mixer.");
    snprintf(names->embedding, sizeof names->embedding, "backbone.%s.weight",
             cfg->layout == MBS_LAYOUT_TRANSFORMERS ? "embeddings" : "embedding");
    if (cfg->layout == MBS_LAYOUT_CADUCEUS) {
        mbs_caduceus_names(cfg, "caduceus.backbone.", names);
    } else if (cfg->layout == MBS_LAYOUT_HYENADNA) {
        mbs_hyenadna_names("hyena.backbone.", names);
    }
}

void mbs_names_find(const mbs_st_set *set, const mbs_model_config *cfg, mbs_names *names) {
    static const char *const prefixes[] = {"backbone.", ""};
    static const char *const tables[] = {"embeddings.weight", "embedding.weight"};
    mbs_names_of_config(cfg, names);
    if (cfg->layout == MBS_LAYOUT_CADUCEUS) {
        mbs_caduceus_find(set, cfg, names);
        return;
    }
    if (cfg->layout == MBS_LAYOUT_HYENADNA) {
        mbs_hyenadna_find(set, names);
        return;
    }
    for (int p = 0; p < 2; p++) {
        for (int t = 0; t < 2; t++) {
            snprintf(names->backbone, sizeof names->backbone, "%s", prefixes[p]);
            snprintf(names->embedding, sizeof names->embedding, "%s%s", prefixes[p], tables[t]);
            if (mbs_st_set_find(set, names->embedding, NULL)) {
                return;
            }
        }
        if (cfg->frame_width > 0 && p == 1 && mbs_st_set_find(set, "frontend.weight", NULL)) {
            return;
        }
    }
    mbs_names_of_config(cfg, names);
}

void mbs_names_layer(const mbs_names *names, int64_t layer, char out[64]) {
    snprintf(out, 64, "%slayers.%" PRId64 ".", names->backbone, layer);
}

static void below(char out[MBS_PREFIX_ROOM], const char *prefix, int64_t index, const char *rest) {
    (void)snprintf(out, MBS_PREFIX_ROOM, "%slayers.%" PRId64 ".%s", prefix, index, rest);
}

void mbs_specs_below(mbs_specs *s, const char *prefix, int64_t index, const char *rest) {
    below(s->prefix, prefix, index, rest);
}

void mbs_loader_below(mbs_loader *ld, const char *prefix, int64_t index, const char *rest) {
    below(ld->prefix, prefix, index, rest);
}

static void add_norm(mbs_specs *s, const char *name, const mbs_model_config *cfg) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    mbs_specs_add(s, full, mbs_draw_constant, 1, cfg->d_model, 0, 0);
    if (cfg->norm == MBS_NORM_LAYER) {
        snprintf(full, sizeof full, "%s.bias", name);
        mbs_specs_add(s, full, mbs_draw_constant, 0, cfg->d_model, 0, 0);
    }
}

void mbs_specs_add_norm(mbs_specs *s, const mbs_mixer *block, const char *mixers, const mbs_model_config *cfg) {
    if (!block->bare) {
        add_norm(s, mbs_block_norm(block, mixers), cfg);
    }
}

mbs_status mbs_specs_model(const mbs_model_config *cfg, const mbs_names *names, int stored_head, mbs_specs *out,
                           mbs_err *err) {
    char prefix[64];
    memset(out, 0, sizeof *out);
    if (cfg->frame_width > 0) {
        mbs_front_declare(cfg, names->backbone, out);
    } else {
        mbs_specs_add_matrix(out, names->embedding, mbs_draw_normal, 0.02, cfg->vocab_rows, cfg->d_model);
    }
    const int64_t each = mbs_config_blocks(cfg);
    for (int64_t i = 0; i < cfg->n_layer * each; i++) {
        const mbs_mixer *block = mbs_mixer_of_block(cfg, i);
        mbs_names_layer(names, i / each, prefix);
        memcpy(out->prefix, prefix, sizeof prefix);
        mbs_specs_add_norm(out, block, names->norm, cfg);
        if (cfg->layout == MBS_LAYOUT_CADUCEUS) {
            mbs_caduceus_declare(cfg, i, names, out);
            continue;
        }
        snprintf(out->prefix, sizeof out->prefix, "%.50s%s", prefix, mbs_block_prefix(block));
        block->declare(cfg, i / each, out);
    }
    snprintf(out->prefix, sizeof out->prefix, "%s", names->backbone);
    add_norm(out, names->norm_f, cfg);
    out->prefix[0] = '\0';
    if ((!cfg->tie_embeddings && !cfg->no_lm_head) || stored_head) {
        mbs_specs_add_matrix(out, names->head, mbs_draw_uniform, 1 / sqrt((double)cfg->d_model), cfg->vocab_rows,
                             cfg->d_model);
        if (!out->failed) {
            out->items[out->n - 1].tied = cfg->tie_embeddings;
        }
    }
    if (cfg->n_classes > 0) { /* small, and held as f32 in any case: not a matrix of model.dtype */
        mbs_specs_add(out, "score.weight", mbs_draw_normal, 0.02, cfg->n_classes, cfg->d_model, 0);
        mbs_specs_decays(out);
        if (cfg->class_bias) {
            mbs_specs_add(out, "score.bias", mbs_draw_constant, 0, cfg->n_classes, 0, 0);
        }
    }
    for (int k = 0; k < 2; k++) {
        if (names->maps[k][0]) {
            mbs_specs_add(out, names->maps[k], mbs_draw_constant, 0, cfg->vocab_rows, 0, 0);
            mbs_specs_whole(out);
        }
    }
    if (out->failed) {
        mbs_specs_free(out);
        return mbs_fail_memory(err, NULL, sizeof(mbs_spec) * (size_t)cfg->n_layer);
    }
    return MBS_OK;
}

int64_t mbs_specs_parameters(const mbs_specs *s) {
    int64_t sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        int64_t n = 1;
        for (int k = 0; k < s->items[i].ndim; k++) {
            n *= s->items[i].dims[k];
        }
        sum += s->items[i].tied || s->items[i].whole ? 0 : n;
    }
    return sum;
}

/* --- does a folder hold them ----------------------------------------------------------------------------------------
 */

/* Problems of one kind, as far as they fit into a message. */
typedef struct problems {
    mbs_buf text;
    size_t shown;
    size_t count;
} problems;

#define PROBLEMS_ROOM 420

static void problem(problems *p, const char *fmt, ...) MBS_PRINTF(2, 3);
static void problem(problems *p, const char *fmt, ...) {
    char line[320];
    p->count++;
    if (p->text.len > PROBLEMS_ROOM) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    mbs_buf_printf(&p->text, "%s%s", p->shown ? ", " : "", line);
    p->shown++;
}

static int same_shape(const mbs_spec *spec, const mbs_st *st, const mbs_st_tensor *t) {
    if (t->ndim != spec->ndim) {
        return 0;
    }
    const int64_t *dims = mbs_st_dims(st, t);
    for (int k = 0; k < spec->ndim; k++) {
        if (dims[k] != spec->dims[k]) {
            return 0;
        }
    }
    return 1;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const mbs_spec *)a)->name, ((const mbs_spec *)b)->name);
}

static void find_extra(const mbs_specs *s, const mbs_st_set *set, problems *extra) {
    for (size_t f = 0; f < set->n_files; f++) {
        for (size_t i = 0; i < mbs_st_count(set->files[f]); i++) {
            const mbs_st_tensor *t = mbs_st_at(set->files[f], i);
            mbs_spec key;
            int known = 0;
            if (t->name_len < sizeof key.name && !memchr(t->name, 0, t->name_len)) {
                memcpy(key.name, t->name, t->name_len);
                key.name[t->name_len] = '\0';
                known = bsearch(&key, s->items, s->n, sizeof *s->items, by_name) != NULL;
            }
            if (!known) {
                problem(extra, "%.*s", t->name_len > 120 ? 120 : (int)t->name_len, t->name);
            }
        }
    }
}

static void append_problems(mbs_buf *out, const char *kind, const problems *p) {
    if (p->count) {
        mbs_buf_printf(out, "%s%s: %s", out->len ? "; " : "", kind, mbs_buf_str(&p->text));
        if (p->count > p->shown) {
            mbs_buf_printf(out, " and %zu more", p->count - p->shown);
        }
    }
}

static void find_missing_and_misshapen(const mbs_specs *s, const mbs_st_set *set, problems *missing, problems *shape) {
    for (size_t i = 0; i < s->n; i++) {
        const mbs_spec *spec = &s->items[i];
        const mbs_st *st;
        const mbs_st_tensor *t = mbs_st_set_find(set, spec->name, &st);
        char is[100];
        char wanted[100];
        if (!t) {
            problem(missing, "%s", spec->name);
        } else if (!same_shape(spec, st, t)) {
            problem(shape, "%s is %s, not %s", spec->name,
                    mbs_st_shape_text(mbs_st_dims(st, t), t->ndim, is, sizeof is),
                    mbs_st_shape_text(spec->dims, spec->ndim, wanted, sizeof wanted));
        } else if (spec->whole && t->dtype != MBS_DT_I64) {
            problem(shape, "%s is %s, not I64", spec->name, mbs_dtype_name((mbs_dtype)t->dtype));
        } else if (!spec->whole && !mbs_dtype_is_float((mbs_dtype)t->dtype)) {
            problem(shape, "%s is %s, not F32, F16, BF16 or F64", spec->name, mbs_dtype_name((mbs_dtype)t->dtype));
        }
    }
}

mbs_status mbs_specs_check(const mbs_specs *s, const mbs_st_set *set, const char *where, mbs_err *err) {
    problems missing = {0};
    problems shape = {0};
    problems extra = {0};
    find_missing_and_misshapen(s, set, &missing, &shape);
    mbs_specs sorted = {.n = s->n};
    mbs_status st = MBS_OK;
    sorted.items = mbs_calloc(s->n, sizeof *sorted.items);
    if (sorted.items) {
        memcpy(sorted.items, s->items, s->n * sizeof *s->items);
        qsort(sorted.items, sorted.n, sizeof *sorted.items, by_name);
        find_extra(&sorted, set, &extra);
    } else {
        st = mbs_fail_memory(err, where, s->n * sizeof *sorted.items);
    }
    if (st >= 0 && missing.count + shape.count + extra.count) {
        mbs_buf text = MBS_BUF_INIT;
        append_problems(&text, "missing", &missing);
        append_problems(&text, "misshapen", &shape);
        append_problems(&text, "extra", &extra);
        st = mbs_fail(err, MBS_ERR_DATA, where, "the tensors are not those of config.json: %s", mbs_buf_str(&text));
        mbs_err_fix(err, "take config.json and the weights from the same model");
        mbs_buf_free(&text);
    }
    mbs_specs_free(&sorted);
    mbs_buf_free(&missing.text);
    mbs_buf_free(&shape.text);
    mbs_buf_free(&extra.text);
    return st;
}

/* Which heads a folder has. A classifier's tied table is no language head: training moves it away from that. */
static void find_heads(const mbs_st_set *set, const mbs_names *names, mbs_model_config *cfg) {
    const mbs_st *st;
    const mbs_st_tensor *score = mbs_st_set_find(set, "score.weight", &st);
    cfg->class_bias = mbs_st_set_find(set, "score.bias", NULL) != NULL;
    if (!score && !cfg->classifier) {
        cfg->n_classes = 0; /* named for somebody else's head */
        cfg->class_bias = 0;
    } else if (score && cfg->n_classes == 0) {
        int64_t rows = score->ndim == 2 ? mbs_st_dims(st, score)[0] : 2;
        cfg->n_classes = rows >= 1 && rows <= MBS_CLASSES_MAX ? rows : 2;
    }
    cfg->no_lm_head = cfg->frame_width > 0 || (cfg->n_classes > 0 && !mbs_st_set_find(set, names->head, NULL));
}

/* Lets the tensors of a layer decide about its sizes, `prefix` being that of its mixer; and those of layers within. */
static void detect(const mbs_st_set *set, mbs_model_config *cfg, mbs_layer_kind *kind, const char *prefix) {
    char within[MBS_PREFIX_ROOM];
    if (kind->mixer->detect) {
        kind->mixer->detect(set, prefix, &kind->sizes);
    }
    for (int64_t i = 0; i < kind->sizes.within; i++) {
        (void)snprintf(within, sizeof within, "%slayers.%" PRId64 ".mixer.", prefix, i);
        detect(set, cfg, &cfg->kind[cfg->nested[kind->sizes.within_at + i]], within);
    }
}

mbs_status mbs_specs_of_set(const mbs_st_set *set, mbs_model_config *cfg, mbs_names *names, mbs_specs *out,
                            mbs_err *err) {
    char layer[64];
    char prefix[112];
    mbs_names_find(set, cfg, names);
    find_heads(set, names, cfg);
    cfg->use_bias = 0;
    for (int64_t k = 0; k < cfg->n_kinds; k++) {
        cfg->kind[k].sizes.use_bias = cfg->kind[k].sizes.use_bias && !cfg->kind[k].mixer->detect;
    }
    for (int64_t i = 0; i < cfg->n_layer; i++) {
        const mbs_mixer *mixer = mbs_mixer_of_layer(cfg, i);
        mbs_names_layer(names, i, layer);
        snprintf(prefix, sizeof prefix, "%s%s%s", layer, names->mixer,
                 cfg->layout == MBS_LAYOUT_CADUCEUS ? "mamba_fwd." : "");
        if (cfg->n_kinds) {
            detect(set, cfg, &cfg->kind[cfg->kind_of[i]], prefix);
        } else if (mixer->detect) {
            mixer->detect(set, prefix, &cfg->every);
        }
    }
    mbs_status st = mbs_specs_model(cfg, names, mbs_st_set_find(set, names->head, NULL) != NULL, out, err);
    if (st >= 0) {
        st = mbs_specs_check(out, set, set->index_path ? set->index_path : mbs_st_path(set->files[0]), err);
    }
    st = st < 0 ? st : mbs_hyenadna_aliases(set, names, cfg, err);
    return st < 0 ? st : mbs_caduceus_maps(set, names, cfg, err);
}
