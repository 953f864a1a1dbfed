#include "model/mixer.h"

#include <stdio.h>
#include <string.h>

static const mbs_mixer *const mixers[] = {
    &mbs_mixer_mamba1,
};
#define N_MIXERS (sizeof mixers / sizeof mixers[0])

const mbs_mixer *mbs_mixer_of_type(const char *model_type) {
    for (size_t i = 0; i < N_MIXERS; i++) {
        if (strcmp(mixers[i]->model_type, model_type) == 0) {
            return mixers[i];
        }
    }
    return NULL;
}

const mbs_mixer *mbs_mixer_of_layer(const mbs_model_config *cfg, int64_t index) {
    (void)index; /* no accepted type mixes mixers yet */
    return mbs_mixer_of_type(cfg->model_type);
}

void mbs_mixer_types(char *out, size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < N_MIXERS && at < size; i++) {
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", mixers[i]->model_type);
    }
}
