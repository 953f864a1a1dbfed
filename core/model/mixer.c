#include "model/mixer.h"

#include <stdio.h>
#include <string.h>

static const char *word_of(const mbs_mixer *m, mbs_mixer_word kind) {
    return kind == MBS_MIXER_NAME ? m->name : kind == MBS_MIXER_TYPE ? m->model_type : m->original;
}

static const mbs_mixer *find(mbs_mixer_word kind, const char *word) {
    for (const mbs_mixer *const *m = mbs_mixers; *m; m++) {
        const char *has = word_of(*m, kind);
        if (has && strcmp(has, word) == 0) {
            return *m;
        }
    }
    return NULL;
}

const mbs_mixer *mbs_mixer_of_type(const char *model_type) {
    return find(MBS_MIXER_TYPE, model_type);
}

const mbs_mixer *mbs_mixer_named(const char *name) {
    return find(MBS_MIXER_NAME, name);
}

const mbs_mixer *mbs_mixer_of_original(const char *layer) {
    return find(MBS_MIXER_ORIGINAL, layer);
}

const mbs_mixer *mbs_mixer_of_layer(const mbs_model_config *cfg, int64_t index) {
    return cfg->n_kinds > 0 ? cfg->kind[cfg->kind_of[index]].mixer : mbs_mixer_of_type(cfg->model_type);
}

mbs_status mbs_mixers_known(const mbs_model_config *cfg, mbs_err *err) {
    return cfg->n_kinds > 0 || mbs_mixer_of_type(cfg->model_type)
               ? MBS_OK
               : mbs_fail(err, MBS_ERR_CONFIG, NULL, "no mixer is known for the model type '%s'", cfg->model_type);
}

mbs_status mbs_mixers_reach(const mbs_model_config *cfg, int64_t positions, const char *where, mbs_err *err) {
    const int64_t kinds = cfg->n_kinds > 0 ? cfg->n_layer : 1;
    for (int64_t i = 0; i < kinds; i++) {
        const mbs_mixer *m = mbs_mixer_of_layer(cfg, i);
        const int64_t most = m->longest ? m->longest(cfg, i) : positions;
        if (positions > most) {
            mbs_fail(err, MBS_ERR_DATA, where,
                     "a sequence of %lld positions or more: the layers of mixer '%s' reach %lld", (long long)positions,
                     m->name, (long long)most);
            mbs_err_fix(err, "take shorter records or windows, or a model that was made for longer ones");
            return MBS_ERR_DATA;
        }
    }
    return MBS_OK;
}

void mbs_mixer_words(mbs_mixer_word kind, const char *between, char *out, size_t size) {
    size_t at = 0;
    out[0] = '\0';
    for (const mbs_mixer *const *m = mbs_mixers; *m && at < size; m++) {
        const char *word = word_of(*m, kind);
        if (word) {
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? between : "", word);
        }
    }
}
