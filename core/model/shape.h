/*
 * shape.h - the keys of the files of configs/model, and what a fresh model's config is made of.
 *
 * A shape is written in the layout that can say it: transformers', else the original, else our own (config.h); one that
 * reads both ways in that of Caduceus.
 *
 * Reading the YAML is somebody else's: this takes keys and values as text, so that a file and --set are the same thing.
 */
#ifndef MBS_MODEL_SHAPE_H
#define MBS_MODEL_SHAPE_H

#include "base/err.h"
#include "model/config.h"

#define MBS_SHAPE_PATTERN 64
#define MBS_SHAPE_SAID 64
#define MBS_SHAPE_POOLS 4

typedef struct mbs_shape {
    mbs_model_config cfg; /* complete after mbs_shape_finish */
    int dna;              /* the vocabulary of DNA letters; else plain ids */
    /* Until then: layer i has the mixer i modulo n_mixers, */
    const struct mbs_mixer *mixers[MBS_SHAPE_PATTERN];
    int n_mixers;
    /* and these sizes, "d_state" of every mixer that has it, "mamba2.d_state" of one. */
    struct {
        char name[48], value[32];
    } said[MBS_SHAPE_SAID];
    int n_said;
    int mlp_said; /* the width */
    int tie_said; /* tie_embeddings */
    int both_tied_said, fused_said;
    /* Stages at lower rates (model/pool.h): rows that become one, stage by stage. Then n_layer is that of a stage. */
    int64_t pools[MBS_SHAPE_POOLS];
    int n_pools;
    int pool_down, pool_down_said; /* stages have layers on the way down too */
} mbs_shape;

/* A shape of which only d_model, n_layer and vocab have to be said. */
void mbs_shape_default(mbs_shape *s);
/* MBS_ERR_CONFIG for an unknown key or a value that does not fit it. */
mbs_status mbs_shape_set(mbs_shape *s, const char *key, const char *value, mbs_err *err);
/* Key i with its meaning, NULL behind the last: for help and schema. */
const char *mbs_shape_key(int i, const char **help);
/* Fills what follows from the rest (d_inner, dt_rank, padded vocabulary) and checks that nothing is left out. */
mbs_status mbs_shape_finish(mbs_shape *s, mbs_err *err);

#endif
