/*
 * model_params.h - what the model's table of parameters cannot say about itself.
 */
#ifndef MBS_PIPE_MODEL_PARAMS_H
#define MBS_PIPE_MODEL_PARAMS_H

#include "pipe/yaml.h"
#include "plug/params.h"

/* For mbs_schema: keys and values of the grammar that this version has not got. */
int mbs_model_refuse(mbs_diags *d, const mbs_yaml_node *value);
/* auto, cpu, cuda, cuda:12 */
int mbs_model_is_device(const char *word);

/* The values taken together: keys of another task, a device's name. */
void mbs_model_check(mbs_diags *d, const mbs_yaml_node *map, const mbs_params *params, mbs_task task, int has_reader);
mbs_task mbs_model_task(const mbs_params *params);
/* What a parameter is that was not told, where that depends on the task; else NULL. */
const char *mbs_model_default(const char *key, mbs_task task);
/* Whether a parameter means something for a task. */
int mbs_model_belongs(const char *key, mbs_task task);

#endif
