#include "model/shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mixer.h"

/* The rows of the table are a multiple of this. */
#define PAD_VOCAB 8
#define DNA_IDS 12
#define DNA_ROWS 16

typedef enum kind { INTEGER, NUMBER, BOOLEAN, WORD } kind;

typedef struct key {
    const char *name;
    kind kind;
    double min, max;     /* INTEGER, NUMBER */
    const char *special; /* also accepted as it stands: "auto", "dna"; for WORD all words, "a|b", NULL: the mixers */
    const char *help;
} key;

static const key keys[] = {
    {"mixer", WORD, 0, 0, NULL, "what a layer mixes tokens with"},
    {"d_model", INTEGER, 1, 1 << 20, NULL, "width of the residual stream"},
    {"n_layer", INTEGER, 1, 4096, NULL, "number of blocks"},
    {"d_state", INTEGER, 1, 4096, NULL, "states of a channel; 16 with mamba1, 128 with mamba2"},
    {"expand", NUMBER, 1e-3, 1024, NULL, "inner width in units of d_model"},
    {"d_conv", INTEGER, 1, 16, NULL, "taps of the convolution"},
    {"dt_rank", INTEGER, 1, 1 << 20, "auto", "mamba1: rank of the time step; auto: d_model / 16, rounded up"},
    {"head_dim", INTEGER, 1, 1 << 20, NULL, "mamba2: channels of a head, 64"},
    {"n_groups", INTEGER, 1, 1 << 20, NULL, "mamba2: groups of heads that share B and C, 1"},
    {"norm_group", WORD, 0, 0, "grouped|whole",
     "mamba2: the norm beside the gate is over a group's channels or over all"},
    {"vocab", INTEGER, 1, 1 << 24, "dna", "number of ids, or dna: 12 ids for A C G T and special tokens"},
    {"frame_width", INTEGER, 1, MBS_FRAME_MAX_WIDTH, NULL,
     "numbers of a frame, for a model that takes frames and not ids"},
    {"tie_embeddings", BOOLEAN, 0, 0, NULL, "the head is the embedding"},
    {"norm", WORD, 0, 0, "rms|layer", "norm before every block; layer is only known to the original layout"},
    {"norm_eps", NUMBER, 1e-12, 0.1, NULL, "added to the variance"},
    {"bias", BOOLEAN, 0, 0, NULL, "in_proj and out_proj have biases"},
    {"conv_bias", BOOLEAN, 0, 0, NULL, "the convolution has a bias"},
};
#define N_KEYS (sizeof keys / sizeof keys[0])

static void set_mixer(mbs_shape *s, const mbs_mixer *mixer) {
    snprintf(s->cfg.model_type, sizeof s->cfg.model_type, "%s", mixer->model_type);
}

void mbs_shape_default(mbs_shape *s) {
    memset(s, 0, sizeof *s);
    s->expand = 2;
    s->cfg.layout = MBS_LAYOUT_TRANSFORMERS;
    set_mixer(s, &mbs_mixer_mamba1);
    s->cfg.d_conv = 4;
    s->cfg.norm_eps = 1e-5;
    s->cfg.tie_embeddings = 1;
    s->cfg.use_conv_bias = 1;
    s->cfg.bos = s->cfg.eos = s->cfg.pad = 0;
}

const char *mbs_shape_key(int i, const char **help) {
    if (i < 0 || (size_t)i >= N_KEYS) {
        return NULL;
    }
    if (help) {
        *help = keys[i].help;
    }
    return keys[i].name;
}

static mbs_status unknown_key(const char *name, mbs_err *err) {
    char list[256] = "";
    size_t at = 0;
    for (size_t i = 0; i < N_KEYS && at < sizeof list; i++) {
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", keys[i].name);
    }
    mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%.64s' is not a key of a shape", name);
    mbs_err_fix(err, "the keys are %s", list);
    return MBS_ERR_CONFIG;
}

/* 1 where `value` is one of the words of "a|b". */
static int one_of(const char *value, const char *words) {
    size_t len = strlen(value);
    for (const char *p = words; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (len && strncmp(p, value, len) == 0 && (p[len] == '|' || p[len] == '\0')) {
            return 1;
        }
    }
    return 0;
}

static mbs_status bad_value(const key *k, const char *value, mbs_err *err) {
    if (k->kind == BOOLEAN) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%s' is true or false, not '%.64s'", k->name, value);
    }
    if (k->kind == WORD) {
        char mixers[128];
        mbs_mixer_words(MBS_MIXER_NAME, "|", mixers, sizeof mixers);
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%s' is %s, not '%.64s'", k->name, k->special ? k->special : mixers,
                        value);
    }
    return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'%s' is %s from %g to %g%s%s, not '%.64s'", k->name,
                    k->kind == INTEGER ? "an integer" : "a number", k->min, k->max, k->special ? " or " : "",
                    k->special ? k->special : "", value);
}

/* The value as a number: 0 or 1 for a boolean, -1 for the special word, 0 for other words. */
static mbs_status parse(const key *k, const char *value, double *out, mbs_err *err) {
    char *end;
    if (k->kind == WORD) {
        *out = 0;
        int known = k->special ? one_of(value, k->special) : mbs_mixer_named(value) != NULL;
        return known ? MBS_OK : bad_value(k, value, err);
    }
    if (k->kind == BOOLEAN) {
        *out = strcmp(value, "true") == 0;
        return *out > 0 || strcmp(value, "false") == 0 ? MBS_OK : bad_value(k, value, err);
    }
    if (k->special && strcmp(value, k->special) == 0) {
        *out = -1;
        return MBS_OK;
    }
    *out = strtod(value, &end);
    int plain = value[0] != '\0' && *end == '\0' && strspn(value, "0123456789.eE+-") == strlen(value);
    if (!plain || !(*out >= k->min && *out <= k->max) || (k->kind == INTEGER && *out != floor(*out))) {
        return bad_value(k, value, err);
    }
    return MBS_OK;
}

static void store(mbs_shape *s, const char *name, const char *value, double number) {
    mbs_model_config *c = &s->cfg;
    const struct {
        const char *name;
        int64_t *whole;
        int *flag;
        double *number;
    } to[] = {
        {"d_model", &c->d_model, NULL, NULL},         {"n_layer", &c->n_layer, NULL, NULL},
        {"d_state", &c->d_state, NULL, NULL},         {"d_conv", &c->d_conv, NULL, NULL},
        {"dt_rank", &c->dt_rank, NULL, NULL},         {"head_dim", &c->head_dim, NULL, NULL},
        {"n_groups", &c->n_groups, NULL, NULL},       {"vocab", &c->vocab_size, NULL, NULL},
        {"frame_width", &c->frame_width, NULL, NULL}, {"tie_embeddings", NULL, &c->tie_embeddings, NULL},
        {"bias", NULL, &c->use_bias, NULL},           {"conv_bias", NULL, &c->use_conv_bias, NULL},
        {"expand", NULL, NULL, &s->expand},           {"norm_eps", NULL, NULL, &c->norm_eps},
    };
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        if (strcmp(to[i].name, name) == 0) {
            if (to[i].whole) {
                *to[i].whole = (int64_t)number;
            } else if (to[i].flag) {
                *to[i].flag = (int)number;
            } else {
                *to[i].number = number;
            }
        }
    }
    if (strcmp(name, "mixer") == 0) {
        set_mixer(s, mbs_mixer_named(value));
    } else if (strcmp(name, "vocab") == 0) {
        s->dna = number < 0;
    } else if (strcmp(name, "dt_rank") == 0 && number < 0) {
        c->dt_rank = 0; /* auto */
    } else if (strcmp(name, "norm_group") == 0) {
        c->norm_whole = strcmp(value, "whole") == 0;
    } else if (strcmp(name, "norm") == 0) {
        c->norm = strcmp(value, "layer") == 0 ? MBS_NORM_LAYER : MBS_NORM_RMS;
    }
}

mbs_status mbs_shape_set(mbs_shape *s, const char *name, const char *value, mbs_err *err) {
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            double number;
            mbs_status st = parse(&keys[i], value, &number, err);
            if (st >= 0) {
                store(s, name, value, number);
            }
            return st;
        }
    }
    return unknown_key(name, err);
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
    if (c->frame_width > 0) {
        c->tie_embeddings = 0;
        c->no_lm_head = 1;
        c->bos = c->eos = c->pad = -1;
    }
    c->d_inner = (int64_t)(s->expand * (double)c->d_model);
    if (c->d_inner < 1 || c->d_inner > 1 << 20) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "'expand' %g times 'd_model' %lld gives no usable inner width",
                        s->expand, (long long)c->d_model);
    }
    const mbs_mixer *mixer = mbs_mixer_of_type(c->model_type);
    c->d_state = c->d_state > 0 ? c->d_state : mixer->usual.d_state;
    c->layout = c->norm == MBS_NORM_LAYER ? MBS_LAYOUT_ORIGINAL : MBS_LAYOUT_TRANSFORMERS;
    if (s->dna) {
        c->vocab_size = DNA_IDS;
        c->vocab_rows = DNA_ROWS;
        c->bos = 2;
        c->eos = 1;
        c->pad = 4;
    } else {
        c->vocab_rows = (c->vocab_size + PAD_VOCAB - 1) / PAD_VOCAB * PAD_VOCAB;
    }
    return mixer->settle(c, err);
}
