/*
 * json_schema.h - the grammars of pipelines and recipes as a JSON Schema (draft 7), for editors that complete and check
 * YAML.
 */
#ifndef MBS_PIPE_JSON_SCHEMA_H
#define MBS_PIPE_JSON_SCHEMA_H

#include "pipe/plan.h"

/* The schema of every plugin that the registry can use, sorted by name. A plugin that is not among them is accepted
 * with any parameters; a path may be missing, since -i, -m or -o may tell it. */
mbs_status mbs_plan_json_schema(mbs_registry *registry, mbs_buf *out, mbs_err *err);
/* The same of recipes for training. */
mbs_status mbs_recipe_json_schema(mbs_registry *registry, mbs_buf *out, mbs_err *err);

#endif
