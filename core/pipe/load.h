/*
 * load.h - what the steps of mbs_plan_load share.
 */
#ifndef MBS_PIPE_LOAD_H
#define MBS_PIPE_LOAD_H

#include "pipe/yaml.h"

typedef struct mbs_load {
    mbs_diags d;
    mbs_arena *arena;
    mbs_registry *registry;
    mbs_yaml_node *root;
    mbs_plan *plan;
} mbs_load;

/* The file's text, without a byte order mark, into l->d.text; *data is to be freed. A file that cannot be a pipeline is
 * a mistake in l->d. */
mbs_status mbs_load_read(mbs_load *l, const char *file, char **data, mbs_err *err);
/* The root as a mapping, overrides applied; NULL where there is none. */
mbs_yaml_node *mbs_load_tree(mbs_load *l, int n_sets);
/* Fills plan->recipe and, as a recipe has it, plan->models. `model`: its node, or NULL. */
void mbs_load_recipe(mbs_load *l, const mbs_yaml_node *model);
/* Fills a stage from its mapping. `name` is "reader" or "writer.1", `option` the short option of its path. stage->desc
 * stays NULL where the plugin is not known; mistakes go to l->d. */
void mbs_load_stage(mbs_load *l, int32_t kind, const char *name, const char *option, const mbs_yaml_node *node,
                    mbs_plan_stage *stage);
/* A stage that the pipeline leaves out: `node` is where its messages point. */
void mbs_load_default_stage(mbs_load *l, const mbs_descriptor *desc, const char *name, const mbs_yaml_node *node,
                            mbs_plan_stage *stage);
void mbs_load_stage_free(mbs_plan_stage *stage);
/* "score.yaml:3:8", to be freed. */
char *mbs_load_place_text(mbs_load *l, mbs_place at);
/* Whether it is a mapping, as a stage has to be; else an error that shows one. */
int mbs_load_is_mapping(mbs_load *l, const char *name, const mbs_yaml_node *node);
/* The model's mapping, or the list of several, into plan->models, plan->task and their texts. */
void mbs_load_model(mbs_load *l, const mbs_yaml_node *node, int has_reader);
/* The only installed codec that takes `type` (NULL: that can write tokens back, as generation needs); where none or
 * several are there, an error at `node` that lists them, and NULL. */
const mbs_descriptor *mbs_load_find_codec(mbs_load *l, const char *type, int decodes, const mbs_yaml_node *node);

/* Whether a model takes rows of this type: tokens, or frames where it has a front end for them. */
int mbs_load_feeds_model(const char *type);
/* Whether `types`, names with blanks between, has `type` or "*". */
int mbs_load_accepts(const char *types, const char *type);
/* What fits together: reader to codec, codec to model, rows to writers. */
void mbs_load_check_types(mbs_load *l);
/* outputs.c: puts the name of the first writer's file where others say {output}; no two writers write one file. */
void mbs_load_name_outputs(mbs_load *l);

#endif
