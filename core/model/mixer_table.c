/* mixer_table.c - the mixers that there are; alone in its file, so that a test can have others. */
#include "model/mixer.h"

const mbs_mixer *const mbs_mixers[] = {
    &mbs_mixer_mamba1, &mbs_mixer_mamba2, &mbs_mixer_attention, &mbs_mixer_s4,   &mbs_mixer_s4d, &mbs_mixer_h3,
    &mbs_mixer_hyena,  &mbs_mixer_lstm,   &mbs_mixer_gru,       &mbs_mixer_pool, NULL,
};
