/*
 * preprocess.h - preprocessor_config.json of a model folder: what stood in front of the model when it was trained.
 *
 * transformers' keys "sampling_rate" (of what the codec got) and "num_channels"; ours "mambaseq_codec" (its id),
 * "mambaseq_codec_params" (its values, defaults included; where there is no sound those with MBS_PARAM_F_LEARNT) and
 * "mambaseq_channels" (what the reader was told). What a pipeline does not say it takes from there; where it
 * says something else, both values are told and nothing runs.
 */
#ifndef MBS_PIPE_PREPROCESS_H
#define MBS_PIPE_PREPROCESS_H

#include "base/json.h"
#include "pipe/load.h"
#include "pipe/recipe.h"

typedef struct mbs_preprocess {
    mbs_json *doc; /* NULL: the model folder has no such file */
    char *path;
    const char *codec; /* id, NULL: not said */
    double rate_scale; /* of the model's values; 0: none */
    mbs_place at;      /* where the pipeline names the folder */
} mbs_preprocess;

/* Of the folder of a model with such values (NULL: none); a file that cannot be read or is no JSON is a mistake at
 * `model`. */
void mbs_preprocess_load(mbs_load *l, const mbs_params *params, const mbs_yaml_node *model, mbs_preprocess *out);
void mbs_preprocess_free(mbs_preprocess *p);
/* The codec that it names, for a pipeline that names none and whose reader gives `type` (NULL: it has none); NULL where
 * it names none, or, with a mistake told, one that is not there or that takes nothing of what the reader gives. */
const mbs_descriptor *mbs_preprocess_codec(mbs_load *l, const mbs_preprocess *p, const char *type,
                                           const mbs_yaml_node *model);
/* Gives reader and codec of the plan what they were not told, and compares what they were. `codec` and `reader`: the
 * nodes that messages point at, NULL where the pipeline has none. `first`: the run's first model, which has been
 * applied, where p is another (NULL: p is the first); what the pipeline does not say they have to agree on. */
void mbs_preprocess_apply(mbs_load *l, const mbs_preprocess *p, const mbs_preprocess *first,
                          const mbs_yaml_node *reader, const mbs_yaml_node *codec);

#endif
