#include "model/mixer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* --- memory that follows from the longest sequence ----------------------------------------------------------------
 */

/* Room for so many positions, or a power of two times as many: filters of these lengths are cut into the levels of a
 * longer one (mbk.h, mbk_fir_args), so the sums are the same. */
#define LEAST_ROOM 256

static double room_of(const mbs_model_config *cfg, int64_t positions) {
    const int64_t kinds = cfg->n_kinds > 0 ? cfg->n_layer : 1;
    double bytes = 0;
    double most = 0;
    for (int64_t i = 0; i < kinds; i++) {
        const mbs_mixer *m = mbs_mixer_of_layer(cfg, i);
        double shared = 0;
        bytes += m->room ? m->room(cfg, i, positions, &shared) : 0;
        most = shared > most ? shared : most;
    }
    return bytes + most;
}

int mbs_mixers_limited(const mbs_model_config *cfg) {
    return room_of(cfg, LEAST_ROOM) > 0;
}

static mbs_status shorten(mbs_model_config *cfg, double bytes, mbs_err *err) {
    int64_t positions = LEAST_ROOM;
    if (room_of(cfg, positions) > bytes) {
        mbs_fail(err, MBS_ERR_MEMORY, "model.max_memory",
                 "%.3g MiB: the long filters of this model take %.3g MiB for a record of %d positions", bytes / 1048576,
                 room_of(cfg, positions) / 1048576, LEAST_ROOM);
        mbs_err_fix(err, "raise it, all that the model can take needs %.3g MiB", room_of(cfg, INT64_MAX) / 1048576);
        return MBS_ERR_MEMORY;
    }
    while (room_of(cfg, 2 * positions) <= bytes) {
        positions *= 2;
    }
    for (int i = 0; i < cfg->n_kinds; i++) {
        if (cfg->kind[i].mixer->room && cfg->kind[i].sizes.l_max > positions) {
            cfg->kind[i].sizes.reach = positions;
        }
    }
    return MBS_OK;
}

/* A machine that cannot hold them says so before it tries. */
mbs_status mbs_mixers_fit_machine(const mbs_model_config *cfg, mbs_err *err) {
    const double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    const double bytes = room_of(cfg, INT64_MAX);
    if (bytes <= machine) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_MEMORY, NULL,
             "the long filters of the longest records that this model can take need %.0f MiB, and this machine has "
             "%.0f MiB",
             bytes / 1048576, machine / 1048576);
    mbs_err_fix(err, "say model.max_memory (--max-memory), which makes room for shorter records alone, or take a "
                     "machine with more memory");
    return MBS_ERR_MEMORY;
}

mbs_status mbs_mixers_limit(mbs_model_config *cfg, int64_t bytes, mbs_err *err) {
    if (bytes <= 0) {
        return mbs_mixers_fit_machine(cfg, err);
    }
    return room_of(cfg, INT64_MAX) <= (double)bytes ? MBS_OK : shorten(cfg, (double)bytes, err);
}

/* A longer sequence than there is room for, which the model itself could take. */
static mbs_status no_room(const mbs_model_config *cfg, int64_t positions, int64_t most, const char *where,
                          mbs_err *err) {
    int64_t wanted = most;
    while (wanted < positions) {
        wanted *= 2;
    }
    mbs_fail(err, MBS_ERR_MEMORY, where,
             "the long filters of a sequence of %lld positions or more take %.3g MiB, and model.max_memory makes room "
             "for %lld",
             (long long)positions, room_of(cfg, wanted) / 1048576, (long long)most);
    mbs_err_fix(err, "raise model.max_memory (--max-memory), or take shorter records");
    return MBS_ERR_MEMORY;
}

mbs_status mbs_mixers_reach(const mbs_model_config *cfg, int64_t positions, const char *where, mbs_err *err) {
    const int64_t kinds = cfg->n_kinds > 0 ? cfg->n_layer : 1;
    for (int64_t i = 0; i < kinds; i++) {
        const mbs_mixer *m = mbs_mixer_of_layer(cfg, i);
        const int64_t most = m->longest ? m->longest(cfg, i) : positions;
        const mbs_layer_sizes *z = mbs_config_sizes(cfg, i);
        if (positions > most && m->room && z->reach > 0 && positions <= z->l_max) {
            return no_room(cfg, positions, most, where, err);
        }
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
