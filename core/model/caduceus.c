/* caduceus.c - see caduceus.h. */
#include "model/caduceus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mambaseq/presets.h"
#include "model/mixer.h"

/* --- config ---------------------------------------------------------------------------------------------------------
 */

static mbs_status bad(const char *where, mbs_err *err, const char *why, const char *fix) {
    mbs_fail(err, MBS_ERR_DATA, where, "%s", why);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_DATA;
}

/* Twice complemented is the same again. */
static mbs_status check_map(const int16_t *map, int64_t rows, const char *where, const char *name, mbs_err *err) {
    for (int64_t i = 0; i < rows; i++) {
        if (map[map[i]] != i) {
            mbs_fail(err, MBS_ERR_DATA, where,
                     "'%s' is no involution: the complement of %" PRId64 " is %d, and that of %d is %d", name, i,
                     (int)map[i], (int)map[i], (int)map[map[i]]);
            mbs_err_fix(err, "a complement taken twice must be the id itself: take the model's own config.json");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

/* Ids that are not named are their own complement, as the padding is. */
static mbs_status parse_map(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    const mbs_json *map = mbs_json_get(doc, "complement_map");
    if (mbs_json_kind_of(map) != MBS_JSON_OBJECT) {
        return bad(where, err, "'rcps' is true, but there is no 'complement_map'",
                   "such a model needs the complement of each of its ids: take the model's own config.json");
    }
    if (c->vocab_rows > MBS_COMPLEMENT_MAX) {
        mbs_fail(err, MBS_ERR_DATA, where, "a 'complement_map' of %" PRId64 " ids, at most %d are supported",
                 c->vocab_rows, MBS_COMPLEMENT_MAX);
        return MBS_ERR_DATA;
    }
    for (int64_t i = 0; i < c->vocab_rows; i++) {
        c->complement[i] = (int16_t)i;
    }
    for (mbs_json_iter it = mbs_json_first(map); it.key; mbs_json_next(&it)) {
        char *end;
        long from = strtol(it.key, &end, 10);
        int64_t to = -1;
        if (!it.key[0] || *end || from < 0 || from >= c->vocab_rows || !mbs_json_as_int(it.value, &to) || to < 0 ||
            to >= c->vocab_rows) {
            mbs_fail(err, MBS_ERR_DATA, where,
                     "'complement_map' has an entry '%.32s' that is not from an id below %" PRId64 " to another",
                     it.key, c->vocab_rows);
            mbs_err_fix(err, "take the model's own config.json");
            return MBS_ERR_DATA;
        }
        c->complement[from] = (int16_t)to;
    }
    return check_map(c->complement, c->vocab_rows, where, "complement_map", err);
}

static int says(const mbs_json *doc, const char *key) {
    return mbs_json_get(doc, key) != NULL;
}

mbs_status mbs_caduceus_parse(const mbs_json *doc, const char *where, mbs_model_config *c, mbs_err *err) {
    mbs_err local = {0};
    int both = mbs_json_bool(doc, "bidirectional", 1, &local);
    const char *how = mbs_json_string(doc, "bidirectional_strategy", "add", &local);
    c->layout = MBS_LAYOUT_CADUCEUS;
    c->both_tied = both && mbs_json_bool(doc, "bidirectional_weight_tie", 1, &local);
    c->rcps = mbs_json_bool(doc, "rcps", 0, &local);
    c->rc_swap = c->rcps && mbs_json_bool(doc, "fused_add_norm", 1, &local);
    c->masked = 1;
    c->tie_embeddings = mbs_json_bool(doc, "tie_word_embeddings", c->tie_embeddings, &local);
    c->pool = says(doc, "mambaseq_pool") ? c->pool : MBS_POOLING_MEAN;
    c->pad = (int)mbs_json_int(doc, "pad_token_id", -1, &local);
    if (local.status < 0) {
        mbs_fail(err, local.status, where, "%s", local.what);
        mbs_err_fix(err, "%s", local.fix);
        return local.status;
    }
    if (strcmp(how, "add") != 0 && strcmp(how, "ew_multiply") != 0) {
        mbs_fail(err, MBS_ERR_DATA, where, "'bidirectional_strategy' is '%.64s', which is not supported", how);
        mbs_err_fix(err, "accepted: add, ew_multiply");
        return MBS_ERR_DATA;
    }
    c->both = !both ? MBS_ONE_WAY : strcmp(how, "add") == 0 ? MBS_BOTH_ADD : MBS_BOTH_MULTIPLY;
    if (c->mlp != MBS_MLP_NONE || c->n_kinds > 0) {
        return bad(where, err, "layers of several kinds, or with an MLP, are not known in a model of type 'caduceus'",
                   "leave 'd_intermediate' and 'attn_layer_idx' out of config.json");
    }
    if (c->rcps && c->norm != MBS_NORM_RMS) {
        return bad(where, err, "'rcps' is true, but 'rms_norm' is false: layer norm in two streams is not supported",
                   "no published model has this; take one with rms_norm");
    }
    return c->rcps ? parse_map(doc, where, c, err) : MBS_OK;
}

/* --- names ----------------------------------------------------------------------------------------------------------
 */

void mbs_caduceus_names(const mbs_model_config *c, const char *backbone, mbs_names *names) {
    const char *inner = c->rcps ? "submodule." : "";
    const char *norm = c->rcps && !c->rc_swap ? ".submodule" : "";
    *names = (mbs_names){0};
    snprintf(names->backbone, sizeof names->backbone, "%s", backbone);
    snprintf(names->embedding, sizeof names->embedding, "%sembeddings.word_embeddings.%sweight", backbone,
             c->rcps ? "embedding." : "");
    snprintf(names->head, sizeof names->head, "%s", c->rcps ? "lm_head.lm_head.weight" : "lm_head.weight");
    snprintf(names->norm, sizeof names->norm, "norm%s", norm);
    snprintf(names->norm_f, sizeof names->norm_f, "norm_f%s", norm);
    snprintf(names->mixer, sizeof names->mixer, "mixer.%s", inner);
}

static int has(const mbs_st_set *set, const char *name) {
    return mbs_st_set_find(set, name, NULL) != NULL;
}

/* The last norm has the wrapper in some versions without those of the layers. */
static void find_last_norm(const mbs_st_set *set, mbs_names *names) {
    static const char *const known[] = {"norm_f", "norm_f.submodule"};
    for (int k = 0; k < 2; k++) {
        char full[96];
        snprintf(full, sizeof full, "%s%s.weight", names->backbone, known[k]);
        if (has(set, full)) {
            snprintf(names->norm_f, sizeof names->norm_f, "%s", known[k]);
        }
    }
}

static void name_maps(mbs_names *names) {
    snprintf(names->maps[0], sizeof names->maps[0], "%sembeddings.word_embeddings.complement_map", names->backbone);
    snprintf(names->maps[1], sizeof names->maps[1], "lm_head.complement_map");
}

static void find_maps(const mbs_st_set *set, mbs_names *names) {
    name_maps(names);
    for (int k = 0; k < 2; k++) {
        if (!has(set, names->maps[k])) {
            names->maps[k][0] = '\0';
        }
    }
}

void mbs_caduceus_find(const mbs_st_set *set, const mbs_model_config *c, mbs_names *names) {
    static const char *const prefixes[] = {"caduceus.backbone.", "backbone.", ""};
    char full[112];
    char prefix[64];
    for (int k = 0; k < 3; k++) {
        mbs_caduceus_names(c, prefixes[k], names);
        if (has(set, names->embedding)) {
            break;
        }
        mbs_caduceus_names(c, prefixes[0], names);
    }
    find_last_norm(set, names);
    find_maps(set, names);
    mbs_caduceus_prefix(names, 0, 1, prefix);
    snprintf(full, sizeof full, "%sin_proj.weight", prefix);
    names->twins = c->both_tied && has(set, full);
}

void mbs_caduceus_prefix(const mbs_names *names, int64_t layer, int reverse, char out[64]) {
    char front[64];
    mbs_names_layer(names, layer, front);
    snprintf(out, 64, "%.34s%.17s%s", front, names->mixer, reverse ? "mamba_rev." : "mamba_fwd.");
}

void mbs_caduceus_declare(const mbs_model_config *c, int64_t layer, const mbs_names *names, mbs_specs *specs) {
    const mbs_mixer *mixer = mbs_mixer_of_layer(c, layer);
    mbs_caduceus_prefix(names, layer, 0, specs->prefix);
    mixer->declare(c, layer, specs);
    if (c->both == MBS_ONE_WAY) {
        return;
    }
    size_t first = specs->n;
    mbs_caduceus_prefix(names, layer, 1, specs->prefix);
    mixer->declare(c, layer, specs);
    size_t kept = first;
    for (size_t i = first; i < specs->n; i++) {
        const char *name = specs->items[i].name + strlen(specs->prefix);
        int shared = c->both_tied && (strncmp(name, "in_proj.", 8) == 0 || strncmp(name, "out_proj.", 9) == 0);
        specs->items[i].tied = shared;
        if (!shared || names->twins) {
            specs->items[kept++] = specs->items[i];
        }
    }
    specs->n = kept;
}

mbs_status mbs_caduceus_maps(const mbs_st_set *set, const mbs_names *names, mbs_model_config *c, mbs_err *err) {
    for (int k = 0; c->rcps && k < 2; k++) {
        const mbs_st *st;
        const mbs_st_tensor *t = names->maps[k][0] ? mbs_st_set_find(set, names->maps[k], &st) : NULL;
        int16_t map[MBS_COMPLEMENT_MAX] = {0};
        for (int64_t i = 0; t && i < c->vocab_rows; i++) {
            int64_t to;
            memcpy(&to, (const unsigned char *)mbs_st_data(st, t) + i * 8, 8);
            if (to < 0 || to >= c->vocab_rows) {
                mbs_fail(err, MBS_ERR_DATA, mbs_st_path(st), "tensor '%s': the complement of %" PRId64 " is no id",
                         names->maps[k], i);
                return MBS_ERR_DATA;
            }
            map[i] = (int16_t)to;
        }
        mbs_status ok = t ? check_map(map, c->vocab_rows, mbs_st_path(st), names->maps[k], err) : MBS_OK;
        if (ok < 0) {
            return ok;
        }
        if (t && memcmp(map, c->complement, (size_t)c->vocab_rows * sizeof *map) != 0) {
            mbs_log(MBS_LOG_WARNING, "%s: '%s' is not the complement_map of config.json: the tensor counts",
                    mbs_st_path(st), names->maps[k]);
            memcpy(c->complement, map, (size_t)c->vocab_rows * sizeof *map);
        }
    }
    return MBS_OK;
}

size_t mbs_caduceus_map_decls(const mbs_model_config *c, mbs_names *names, mbs_st_decl out[2]) {
    size_t n = 0;
    if (!c->rcps) {
        return 0;
    }
    mbs_names_of_config(c, names);
    name_maps(names);
    for (int k = 0; k < 2 - c->no_lm_head; k++) {
        out[n++] = (mbs_st_decl){names->maps[k], MBS_DT_I64, 1, {c->vocab_rows}};
    }
    return n;
}

mbs_status mbs_caduceus_put_maps(const mbs_model_config *c, mbs_st_writer *w, mbs_err *err) {
    int64_t map[MBS_COMPLEMENT_MAX];
    mbs_status st = MBS_OK;
    for (int64_t i = 0; c->rcps && i < c->vocab_rows; i++) {
        map[i] = c->complement[i];
    }
    for (int k = 0; k < 2 - c->no_lm_head && c->rcps && st >= 0; k++) {
        st = mbs_st_writer_add(w, map, (size_t)c->vocab_rows * sizeof *map, err);
    }
    return st;
}

/* --- tokenizers that are code ---------------------------------------------------------------------------------------
 */

#define ROW(name, classes, tokens, before, after) {name, classes, tokens, before, after},
static const mbs_preset presets[] = {MBS_PRESETS(ROW)};

/* Id of a token; -1: none. *n: how many there are. */
static int id_of(const mbs_preset *p, const char *token, int *n) {
    int found = -1;
    *n = 0;
    for (const char *at = p->tokens; *at; ++*n) {
        size_t len = strcspn(at, "\n");
        found = len == strlen(token) && memcmp(at, token, len) == 0 ? *n : found;
        at += len + (at[len] == '\n');
    }
    return found;
}

static int letter_id(const mbs_preset *p, int letter) {
    int n;
    const char upper[2] = {(char)letter, '\0'};
    const char lower[2] = {(char)(letter | 0x20), '\0'};
    int id = id_of(p, upper, &n);
    return id >= 0 ? id : id_of(p, lower, &n);
}

int mbs_preset_mask(const mbs_preset *p) {
    int n;
    return id_of(p, "[MASK]", &n);
}

const mbs_preset *mbs_preset_of_class(const char *name) {
    char between[80];
    const int n = snprintf(between, sizeof between, " %s ", name);
    for (size_t i = 0; i < sizeof presets / sizeof presets[0] && n > 2 && n < (int)sizeof between; i++) {
        if (strstr(presets[i].classes, between)) {
            return &presets[i];
        }
    }
    return NULL;
}

/* A with T, C with G, everything else with itself. */
static int pairs(const mbs_preset *p, const mbs_model_config *c, int n) {
    static const char letters[] = "ACGT";
    for (int i = 0; i < n && i < c->vocab_rows; i++) {
        int want = i;
        for (int k = 0; k < 4; k++) {
            want = letter_id(p, letters[k]) == i ? letter_id(p, letters[3 - k]) : want;
        }
        if (c->complement[i] != want) {
            return 0;
        }
    }
    return 1;
}

const mbs_preset *mbs_caduceus_preset(const mbs_model_config *c) {
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        int n;
        (void)id_of(&presets[i], "", &n);
        if (c->layout == MBS_LAYOUT_CADUCEUS && n <= c->vocab_rows && (n + 7) / 8 * 8 >= c->vocab_rows &&
            (!c->rcps || pairs(&presets[i], c, n))) {
            return &presets[i];
        }
    }
    return NULL;
}
