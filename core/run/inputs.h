/*
 * inputs.h - the files that a run reads: so that none of them is an output, and so that a changed one is noticed.
 */
#ifndef MBS_RUN_INPUTS_H
#define MBS_RUN_INPUTS_H

#include "run/stages.h"

/* Tells every file that the run reads (reader, codec, pipeline, model folder) to the outputs. */
mbs_status mbs_inputs_tell(mbs_stages *s, mbs_err *err);
/* Calls fn for every path parameter of a stage that is read, "-" included. NULL stage: nothing. */
void mbs_inputs_each(const mbs_plan_stage *stage, void (*fn)(void *ctx, const char *path), void *ctx);
/* Calls fn for the files that a plan's model folder has, for nothing where there is no folder: what the weights are
 * read by, or config.json and what belongs to a tokenizer. */
typedef enum mbs_model_files { MBS_MODEL_WEIGHTS = 0, MBS_CONFIG_AND_TOKENIZER } mbs_model_files;
mbs_status mbs_inputs_each_model_file(const mbs_plan *plan, mbs_model_files which,
                                      void (*fn)(void *ctx, const char *path), void *ctx, mbs_err *err);
/* SHA-256 over the tokenizer files of the model folder and the codec's own files, which the model's hash does not
 * cover. *out is empty where there are none. */
mbs_status mbs_inputs_tokenizer_sha256(const mbs_stages *s, char out[65], mbs_err *err);

#endif
