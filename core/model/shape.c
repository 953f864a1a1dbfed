#include "model/shape.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config_impl.h"
#include "model/mixer.h"

/* The rows of the table are a multiple of this. */
#define PAD_VOCAB 8
#define DNA_IDS 12
#define DNA_ROWS 16

/* What all models have; the mixers' own keys stand in their tables. */
enum {
    MIXER,
    D_MODEL,
    N_LAYER,
    VOCAB,
    FRAME_WIDTH,
    TIE,
    NORM,
    NORM_EPS,
    MLP,
    MLP_WIDTH,
    BOTH,
    BOTH_TIED,
    RCPS,
    FUSED,
    POOL,
    POOL_DOWN,
    SHELL_KEYS
};

static const mbs_mixer_key shell[SHELL_KEYS] = {
    {"mixer", MBS_KEY_WORD, 0, 0, 0, 0, NULL,
     "what a layer mixes tokens with; several, [mamba1, mamba1, attention]: layer after layer, from the first again"},
    {"d_model", MBS_KEY_INTEGER, 0, 1, 1 << 20, 0, NULL, "width of the residual stream"},
    {"n_layer", MBS_KEY_INTEGER, 0, 1, MBS_CONFIG_MAX_LAYERS, 0, NULL, "number of blocks"},
    {"vocab", MBS_KEY_INTEGER, 0, 1, 1 << 24, 0, "dna", "number of ids, or dna: 12 ids for A C G T and special tokens"},
    {"frame_width", MBS_KEY_INTEGER, 0, 1, MBS_FRAME_MAX_WIDTH, 0, NULL,
     "numbers of a frame, for a model that takes frames and not ids"},
    {"tie_embeddings", MBS_KEY_BOOLEAN, 0, 0, 1, 1, NULL, "the head is the embedding"},
    {"norm", MBS_KEY_WORD, 0, 0, 0, 0, "rms|layer", "norm before every block; transformers knows no layer"},
    {"norm_eps", MBS_KEY_NUMBER, 0, 1e-12, 0.1, 1e-5, NULL, "added to the variance"},
    {"mlp", MBS_KEY_WORD, 0, 0, 0, 0, "none|" MBS_MLP_WORDS, "what stands behind each mixer, with a norm of its own"},
    {"mlp_width", MBS_KEY_INTEGER, 0, 1, 1 << 20, 0, "auto",
     "inner width of the mlp; auto: 2 d_model where gated, else 4"},
    {"bidirectional", MBS_KEY_WORD, 0, 0, 0, 0, "none|add|multiply",
     "every layer reads both ways (Caduceus), and this becomes of what it finds; for masked tokens and classes"},
    {"bidirectional_weight_tie", MBS_KEY_BOOLEAN, 0, 0, 1, 1, NULL, "in_proj and out_proj are the same both ways"},
    {"rcps", MBS_KEY_BOOLEAN, 0, 0, 1, 0, NULL, "a second stream reads the other strand with the same weights"},
    {"fused_add_norm", MBS_KEY_BOOLEAN, 0, 0, 1, 1, NULL,
     "rcps: every block exchanges the streams before its norm, as the published models do"},
    {"pool", MBS_KEY_INTEGER, 0, 2, 4096, 0, "none",
     "a U-net: rows that become one, wider by pool.expand, for a stage of n_layer layers; several, [4, 4]: stage "
     "within "
     "stage"},
    {"pool_down", MBS_KEY_BOOLEAN, 0, 0, 1, 1, NULL,
     "pool: a stage has its layers twice, on the way down and on the way up; false: on the way up alone"},
};

void mbs_shape_default(mbs_shape *s) {
    memset(s, 0, sizeof *s);
    s->cfg.layout = MBS_LAYOUT_TRANSFORMERS;
    s->cfg.norm_eps = 1e-5;
    s->cfg.tie_embeddings = 1;
    s->cfg.bos = s->cfg.eos = s->cfg.pad = 0;
    s->cfg.both_tied = s->cfg.rc_swap = 1;
    s->mixers[0] = &mbs_mixer_mamba1;
    s->n_mixers = 1;
    s->pool_down = 1;
}

/* Whether all models, or a mixer before `m` of the list, have a key of this name. */
static int named_before(const mbs_mixer *const *m, const char *name) {
    for (int i = 0; i < SHELL_KEYS; i++) {
        if (strcmp(shell[i].name, name) == 0) {
            return 1;
        }
    }
    for (const mbs_mixer *const *p = mbs_mixers; p < m; p++) {
        if (mbs_mixer_find_key(*p, name)) {
            return 1;
        }
    }
    return 0;
}

const char *mbs_shape_key(int i, const char **help) {
    const mbs_mixer_key *found = i >= 0 && i < SHELL_KEYS ? &shell[i] : NULL;
    int at = SHELL_KEYS;
    for (const mbs_mixer *const *m = mbs_mixers; *m && i >= SHELL_KEYS && !found; m++) {
        for (const mbs_mixer_key *k = (*m)->keys; k->name && !found; k++) {
            if (!named_before(m, k->name)) {
                found = at++ == i ? k : NULL;
            }
        }
    }
    if (found && help) {
        *help = found->help;
    }
    return found ? found->name : NULL;
}

static mbs_status unknown_key(const char *name, mbs_err *err) {
    char list[400] = "";
    size_t at = 0;
    const char *known;
    for (int i = 0; (known = mbs_shape_key(i, NULL)) != NULL && at < sizeof list; i++) {
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", known);
    }
    mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%.64s' is not a key of a shape", name);
    mbs_err_fix(err, "the keys are %s", list);
    return MBS_ERR_CONFIG;
}

/* --- what the shape says of all layers ------------------------------------------------------------------------------
 */

/* "mamba1", or several with commas between. */
static mbs_status set_mixers(mbs_shape *s, const char *value, mbs_err *err) {
    const mbs_mixer *found[MBS_SHAPE_PATTERN];
    int n = 0;
    for (const char *p = value; p; n++) {
        char word[64];
        size_t len = strcspn(p, ",");
        snprintf(word, sizeof word, "%.*s", len > 60 ? 60 : (int)len, p);
        const char *end = word + strlen(word);
        const char *from = word + strspn(word, " ");
        while (end > from && end[-1] == ' ') {
            end--;
        }
        word[end - word] = '\0';
        if (n == MBS_SHAPE_PATTERN) {
            return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'mixer' names more than %d layers", MBS_SHAPE_PATTERN);
        }
        found[n] = mbs_mixer_named(from);
        if (!found[n]) {
            char mixers[256];
            mbs_mixer_words(MBS_MIXER_NAME, "|", mixers, sizeof mixers);
            return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'mixer' is %s, not '%.64s'", mixers, from);
        }
        if (found[n]->nests) {
            mbs_fail(err, MBS_ERR_CONFIG, NULL, "'mixer' is that of the layers, not '%s'", found[n]->name);
            mbs_err_fix(err, "say pool: [4, 4] for stages at lower rates");
            return MBS_ERR_CONFIG;
        }
        p = p[len] ? p + len + 1 : NULL;
    }
    memcpy(s->mixers, found, (size_t)n * sizeof *found);
    s->n_mixers = n;
    return MBS_OK;
}

/* A value of a key of all models, as mbs_mixer_set_key reads it. */
static mbs_status shell_value(int which, const char *value, double *out, mbs_err *err) {
    mbs_layer_sizes room = {0};
    mbs_mixer_key k = shell[which];
    k.at = k.kind == MBS_KEY_INTEGER  ? MBS_SIZE_AT(d_inner)
           : k.kind == MBS_KEY_NUMBER ? MBS_SIZE_AT(expand)
                                      : MBS_SIZE_AT(use_bias);
    mbs_status st = mbs_mixer_set_key(&k, value, &room, err);
    *out = k.kind == MBS_KEY_INTEGER ? (double)room.d_inner : k.kind == MBS_KEY_NUMBER ? room.expand : room.use_bias;
    return st;
}

/* "4", or several with commas between; "none". */
static mbs_status set_pools(mbs_shape *s, const char *value, mbs_err *err) {
    char word[32];
    double v;
    s->n_pools = 0;
    for (const char *p = strcmp(value, "none") != 0 ? value : NULL; p;) {
        size_t len = strcspn(p, ",");
        const size_t space = strspn(p, " ");
        const int own = len > space && len - space < sizeof word ? (int)(len - space) : 0;
        snprintf(word, sizeof word, "%.*s", own, p + space);
        mbs_status st = shell_value(POOL, word, &v, err);
        if (st < 0 || v < 2) {
            return st < 0 ? st : mbs_fail(err, MBS_ERR_CONFIG, NULL, "'pool': %s is none of several", word);
        }
        if (s->n_pools == MBS_SHAPE_POOLS) {
            return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'pool' names more than %d stages", MBS_SHAPE_POOLS);
        }
        s->pools[s->n_pools++] = (int64_t)v;
        p = p[len] ? p + len + 1 : NULL;
    }
    return MBS_OK;
}

static mbs_status set_shell(mbs_shape *s, int which, const char *value, mbs_err *err) {
    mbs_model_config *c = &s->cfg;
    double v = 0;
    if (which == POOL) {
        return set_pools(s, value, err);
    }
    if (which == MIXER) {
        return set_mixers(s, value, err);
    }
    mbs_status st = shell_value(which, value, &v, err);
    if (st < 0) {
        return st;
    }
    switch (which) {
    case D_MODEL:
        c->d_model = (int64_t)v;
        break;
    case N_LAYER:
        c->n_layer = (int64_t)v;
        break;
    case VOCAB:
        c->vocab_size = (int64_t)v;
        s->dna = v == 0;
        break;
    case FRAME_WIDTH:
        c->frame_width = (int64_t)v;
        break;
    case TIE:
        c->tie_embeddings = (int)v;
        s->tie_said = 1;
        break;
    case NORM:
        c->norm = v > 0 ? MBS_NORM_LAYER : MBS_NORM_RMS;
        break;
    case NORM_EPS:
        c->norm_eps = v;
        break;
    case MLP:
        (void)mbs_config_mlp_named(value, &c->mlp);
        break;
    case BOTH:
        c->both = strcmp(value, "add") == 0        ? MBS_BOTH_ADD
                  : strcmp(value, "multiply") == 0 ? MBS_BOTH_MULTIPLY
                                                   : MBS_ONE_WAY;
        break;
    case BOTH_TIED:
        c->both_tied = (int)v;
        s->both_tied_said = 1;
        break;
    case RCPS:
        c->rcps = (int)v;
        break;
    case FUSED:
        c->rc_swap = (int)v;
        s->fused_said = 1;
        break;
    case POOL_DOWN:
        s->pool_down = (int)v;
        s->pool_down_said = 1;
        break;
    default:
        c->d_mlp = (int64_t)v;
        s->mlp_said = 1;
        break;
    }
    return MBS_OK;
}

/* --- what it says of the mixers -------------------------------------------------------------------------------------
 */

/* "d_state" of every mixer that has it, "mamba2.d_state" of one. */
static int is_of(const mbs_mixer *mixer, const char *name, const mbs_mixer_key **key) {
    const char *dot = strchr(name, '.');
    if (dot && (strlen(mixer->name) != (size_t)(dot - name) || strncmp(mixer->name, name, (size_t)(dot - name)) != 0)) {
        return 0;
    }
    *key = mbs_mixer_find_key(mixer, dot ? dot + 1 : name);
    return *key != NULL;
}

/* Whether the value leaves the size to the mixer. */
static int key_is_auto(const char *name, const char *value) {
    const mbs_mixer_key *key;
    for (const mbs_mixer *const *m = mbs_mixers; *m; m++) {
        if (is_of(*m, name, &key) && key->kind == MBS_KEY_INTEGER && key->words && strcmp(value, key->words) == 0) {
            return 1;
        }
    }
    return 0;
}

mbs_status mbs_shape_set(mbs_shape *s, const char *name, const char *value, mbs_err *err) {
    const mbs_mixer_key *key = NULL;
    mbs_err why = {0};
    int fits = 0;
    int known = 0;
    for (int i = 0; i < SHELL_KEYS; i++) {
        if (strcmp(shell[i].name, name) == 0) {
            return set_shell(s, i, value, err);
        }
    }
    for (const mbs_mixer *const *m = mbs_mixers; *m; m++) {
        if (is_of(*m, name, &key)) {
            mbs_err *first = known++ ? NULL : &why;
            fits += mbs_mixer_set_key(key, value, NULL, first) >= 0;
        }
    }
    if (!known || strcmp(name, "pool.pool") == 0) {
        return unknown_key(name, err);
    }
    if (!fits) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "%s", why.what);
    }
    int at = 0;
    while (at < s->n_said && strcmp(s->said[at].name, name) != 0) {
        at++;
    }
    if (key_is_auto(name, value)) { /* as if nothing had been said */
        s->n_said -= at < s->n_said;
        memmove(&s->said[at], &s->said[at + 1], (size_t)(s->n_said - at > 0 ? s->n_said - at : 0) * sizeof *s->said);
        return MBS_OK;
    }
    if (at == MBS_SHAPE_SAID || strlen(name) >= sizeof s->said[at].name || strlen(value) >= sizeof s->said[at].value) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%.40s' is one size too many, or too long", name);
    }
    snprintf(s->said[at].name, sizeof s->said[at].name, "%s", name);
    snprintf(s->said[at].value, sizeof s->said[at].value, "%s", value);
    s->n_said = at < s->n_said ? s->n_said : at + 1;
    return MBS_OK;
}

/* The sizes of a mixer's layers, of what was said in general and then of what was said of this one. */
static mbs_status sizes_of(const mbs_shape *s, const mbs_mixer *mixer, mbs_layer_sizes *z, mbs_err *err) {
    mbs_mixer_usual_sizes(mixer, z);
    for (int own = 0; own < 2; own++) {
        for (int i = 0; i < s->n_said; i++) {
            const mbs_mixer_key *key;
            if ((strchr(s->said[i].name, '.') != NULL) == own && is_of(mixer, s->said[i].name, &key)) {
                mbs_status st = mbs_mixer_set_key(key, s->said[i].value, z, err);
                if (st < 0) {
                    return st;
                }
            }
        }
    }
    return mbs_config_settle(&s->cfg, mixer, z, err);
}

/* Nothing that was said is left over. */
static mbs_status check_said(const mbs_shape *s, mbs_err *err) {
    for (int i = 0; i < s->n_said; i++) {
        int meant = 0;
        const mbs_mixer_key *key;
        for (int k = 0; k < s->n_mixers; k++) {
            meant |= is_of(s->mixers[k], s->said[i].name, &key);
        }
        meant |= s->n_pools > 0 && is_of(&mbs_mixer_pool, s->said[i].name, &key);
        if (!meant) {
            return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%s' means nothing to %s%s", s->said[i].name,
                            s->mixers[0]->name, s->n_mixers > 1 ? " and the other mixers of the shape" : "");
        }
    }
    if (s->pool_down_said && s->n_pools == 0) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'pool_down' means nothing without 'pool'");
        mbs_err_fix(err, "say pool: [4, 4] too");
        return MBS_ERR_CONFIG;
    }
    if (s->cfg.mlp == MBS_MLP_NONE && s->mlp_said) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'mlp_width' means nothing without 'mlp'");
        mbs_err_fix(err, "say mlp: gated too");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

/* --- the layout that can say it -------------------------------------------------------------------------------------
 */

static int is_attention(const mbs_mixer *m) {
    return strcmp(m->name, "attention") == 0;
}

/* The mixer of which all layers are, but for attention where `hybrid`; NULL: there are others. */
static const mbs_mixer *alone(const mbs_shape *s, int hybrid) {
    const mbs_mixer *one = NULL;
    for (int i = 0; i < s->n_mixers && i < s->cfg.n_layer; i++) {
        if (hybrid && is_attention(s->mixers[i])) {
            continue;
        }
        if (one && one != s->mixers[i]) {
            return NULL;
        }
        one = s->mixers[i];
    }
    return one;
}

static mbs_layout layout_of(const mbs_shape *s) {
    const mbs_model_config *c = &s->cfg;
    if (c->both != MBS_ONE_WAY || c->rcps) {
        return MBS_LAYOUT_CADUCEUS;
    }
    const mbs_mixer *one = alone(s, 0);
    const mbs_mixer *state_space = alone(s, 1);
    if (s->n_pools > 0) {
        return MBS_LAYOUT_OWN;
    }
    if (one && one->model_type && c->mlp == MBS_MLP_NONE && c->norm == MBS_NORM_RMS) {
        return MBS_LAYOUT_TRANSFORMERS;
    }
    if (one && one->model_type && c->mlp == MBS_MLP_NONE) {
        return MBS_LAYOUT_ORIGINAL;
    }
    for (int i = 0; i < s->n_said; i++) { /* attention with a window is only ours */
        const char *dot = strchr(s->said[i].name, '.');
        if (strcmp(dot ? dot + 1 : s->said[i].name, "window") == 0 && strcmp(s->said[i].value, "0") != 0) {
            return MBS_LAYOUT_OWN;
        }
    }
    int mlp = c->mlp == MBS_MLP_NONE || (c->mlp == MBS_MLP_GATED && c->d_mlp % 128 == 0);
    return state_space && state_space->original && mlp ? MBS_LAYOUT_ORIGINAL : MBS_LAYOUT_OWN;
}

/* The layers of stage `k` and, within them, of those below it; c->d_model is the stage's width. */
static mbs_status add_stage(mbs_shape *s, int k, int64_t each, uint8_t *list, int64_t *n, mbs_err *err) {
    mbs_model_config *c = &s->cfg;
    const int64_t width = c->d_model;
    mbs_status st = MBS_OK;
    *n = 0;
    for (int64_t i = 0; i < each && st >= 0; i++) {
        mbs_layer_sizes sizes;
        const mbs_mixer *mixer = s->mixers[i % s->n_mixers];
        st = sizes_of(s, mixer, &sizes, err);
        st = st < 0 ? st : mbs_config_add_kind(c, mixer, &sizes, &list[i], err);
    }
    if (st < 0 || k == s->n_pools) {
        *n = each;
        return st;
    }
    uint8_t within[MBS_CONFIG_MAX_NESTED];
    int64_t n_within = 0;
    mbs_layer_sizes sizes;
    st = sizes_of(s, &mbs_mixer_pool, &sizes, err);
    sizes.factor = s->pools[k];
    st = st < 0 ? st : mbs_config_settle(c, &mbs_mixer_pool, &sizes, err);
    c->d_model = sizes.d_inner;
    st = st < 0 ? st : add_stage(s, k + 1, each, within, &n_within, err);
    c->d_model = width;
    st = st < 0 ? st : mbs_config_nest(c, within, n_within, &sizes, err);
    memcpy(list + each + 1, list, (size_t)each);
    st = st < 0 ? st : mbs_config_add_kind(c, &mbs_mixer_pool, &sizes, &list[each], err);
    *n = 2 * each + 1;
    if (!s->pool_down) {
        memmove(list, list + each, (size_t)each + 1);
        *n = each + 1;
    }
    return st;
}

static mbs_status add_stages(mbs_shape *s, mbs_err *err) {
    mbs_model_config *c = &s->cfg;
    const int64_t each = c->n_layer;
    if (each > (MBS_CONFIG_MAX_NESTED - 1) / 2) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "with 'pool' a stage has 1 to %d layers",
                        (MBS_CONFIG_MAX_NESTED - 1) / 2);
    }
    return add_stage(s, 0, each, c->kind_of, &c->n_layer, err);
}

static mbs_status lay_out(mbs_shape *s, mbs_err *err) {
    mbs_model_config *c = &s->cfg;
    const int64_t n = c->n_layer;
    c->layout = layout_of(s);
    const mbs_mixer *main = c->layout == MBS_LAYOUT_OWN ? NULL : alone(s, 1);
    mbs_status st = check_said(s, err);
    if (st < 0) {
        return st;
    }
    snprintf(c->model_type, sizeof c->model_type, "%s", main ? main->model_type : MBS_MODEL_TYPE_OWN);
    if (s->n_pools > 0) {
        return add_stages(s, err);
    }
    if (main) {
        st = sizes_of(s, main, &c->every, err);
    }
    if (st < 0 || (main && alone(s, 0) == main)) {
        return st; /* all layers are alike */
    }
    c->n_layer = 0;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        mbs_layer_sizes sizes;
        const mbs_mixer *mixer = s->mixers[i % s->n_mixers];
        st = sizes_of(s, mixer, &sizes, err);
        st = st < 0 ? st : mbs_config_add_layers(c, mixer, &sizes, 1, err);
    }
    return st;
}

static mbs_status not_both(const char *what, const char *fix, mbs_err *err) {
    mbs_fail(err, MBS_ERR_CONFIG, NULL, "%s", what);
    mbs_err_fix(err, "%s", fix);
    return MBS_ERR_CONFIG;
}

/* Models that read both ways, or both strands: Caduceus' layout, which has mamba1 alone. */
static mbs_status settle_both(mbs_shape *s, mbs_err *err) {
    mbs_model_config *c = &s->cfg;
    const mbs_mixer *one = alone(s, 0);
    c->masked = c->both != MBS_ONE_WAY || c->rcps;
    if (s->both_tied_said && c->both == MBS_ONE_WAY) {
        return not_both("'bidirectional_weight_tie' means nothing without 'bidirectional'", "say bidirectional: add",
                        err);
    }
    if (s->fused_said && !c->rcps) {
        return not_both("'fused_add_norm' means nothing without 'rcps'", "leave it out, or say rcps: true", err);
    }
    c->both_tied = c->both_tied && c->both != MBS_ONE_WAY;
    c->rc_swap = c->rc_swap && c->rcps;
    if (!c->masked) {
        return MBS_OK;
    }
    if (s->n_pools > 0) {
        return not_both("models that read both ways have no stages at lower rates", "leave 'pool' out", err);
    }
    if (one != &mbs_mixer_mamba1 || c->mlp != MBS_MLP_NONE || c->frame_width > 0) {
        return not_both("models that read both ways have layers of mamba1 without mlp, and take ids",
                        "leave 'mixer', 'mlp' and 'frame_width' out, or 'bidirectional' and 'rcps'", err);
    }
    if (c->rcps && (!s->dna || c->norm != MBS_NORM_RMS)) {
        return not_both("'rcps' needs letters with a complement, and knows no layer norm",
                        "take vocab: dna and norm: rms", err);
    }
    c->pool = MBS_POOLING_MEAN;
    for (int i = 0; c->rcps && i < DNA_ROWS; i++) { /* A with T, C with G */
        c->complement[i] = (int16_t)(i >= 7 && i <= 10 ? 17 - i : i);
    }
    return MBS_OK;
}

mbs_status mbs_shape_finish(mbs_shape *s, mbs_err *err) {
    mbs_model_config *c = &s->cfg;
    if (c->d_model == 0 || c->n_layer == 0 || (c->vocab_size == 0 && !s->dna && c->frame_width == 0)) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%s' is missing",
                        c->d_model == 0   ? "d_model"
                        : c->n_layer == 0 ? "n_layer"
                                          : "vocab");
    }
    if (c->frame_width > 0 && (c->vocab_size > 0 || s->dna)) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'vocab' and 'frame_width' are both there: a model takes ids or frames");
        mbs_err_fix(err, "leave one of them out");
        return MBS_ERR_CONFIG;
    }
    if (c->frame_width > 0 && s->tie_said && c->tie_embeddings) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "'tie_embeddings' means nothing with 'frame_width': there is no embedding");
        mbs_err_fix(err, "leave it out");
        return MBS_ERR_CONFIG;
    }
    if (c->frame_width > 0) {
        c->tie_embeddings = 0;
        c->no_lm_head = 1;
        c->bos = c->eos = c->pad = -1;
    }
    mbs_status st = settle_both(s, err);
    if (st < 0) {
        return st;
    }
    if (s->dna) {
        c->vocab_size = DNA_IDS;
        c->vocab_rows = DNA_ROWS;
        c->bos = 2;
        c->eos = 1;
        c->pad = 4;
    } else {
        c->vocab_rows = (c->vocab_size + PAD_VOCAB - 1) / PAD_VOCAB * PAD_VOCAB;
    }
    if (c->mlp != MBS_MLP_NONE && c->d_mlp == 0) {
        c->d_mlp = (c->mlp == MBS_MLP_GATED ? 2 : 4) * c->d_model;
    }
    return lay_out(s, err);
}
