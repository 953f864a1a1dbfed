/*
 * stage_model.h - a model of a running pipeline, with all that is its own. A run has an array of them: the first is
 * "the model", those behind it are held against it.
 */
#ifndef MBS_RUN_STAGE_MODEL_H
#define MBS_RUN_STAGE_MODEL_H

#include "model/model.h"
#include "pipe/plan.h"
#include "plug/instance.h"

/* A tokenizer file that was lent to a codec. */
typedef struct mbs_lent_file {
    char *name;
    char *data;
    size_t bytes;
    struct mbs_lent_file *next;
} mbs_lent_file;

/* What lends a codec the tokenizer files of a model folder, each read once. */
typedef struct mbs_lender {
    const char *folder;         /* NULL: none */
    const mbs_lent_file *fresh; /* asked before the folder */
    mbs_lent_file *lent;
} mbs_lender;

typedef struct mbs_stage_model {
    const char *name;         /* what its columns are called; NULL: it is the only one */
    const mbs_params *params; /* of the plan: what it was told */
    mbs_model *model;         /* of the engine; NULL: it is not loaded */
    mbs_lender lender;        /* of its folder's files */
    mbs_instance *codec;      /* as its folder has it; of the first model the run's own */
} mbs_stage_model;

#endif
