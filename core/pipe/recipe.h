/*
 * recipe.h - a recipe for training: a pipeline whose writer is replaced by `train:` and `output:`.
 *
 *   mambaseq: 1
 *   reader: {plugin: fasta, path: genome.fa}
 *   codec: {plugin: bases}
 *   model: {init: share:configs/model/dna-4x128.yaml}     or path: FOLDER [, train: all|head|last_K]
 *   train:
 *     window: [1024, 2048]
 *     window_from: [0, 0.6]
 *     steps: 5000
 *     split: {held_out: 0.2}
 *     optimizer: {lr: 4e-3}
 *     schedule: {warmup: 0.03}
 *   output: {path: my-model}
 *
 * It is loaded like a pipeline (mbs_plan_load_as) and is a plan with a recipe: reader, codec and model are the plan's,
 * writers it has none. Every key is a row of a table, which 'plugin show train' and the schema print.
 */
#ifndef MBS_PIPE_RECIPE_H
#define MBS_PIPE_RECIPE_H

#include "pipe/plan.h"
#include "plug/params.h"

typedef enum mbs_recipe_part {
    MBS_RECIPE_TRAIN = 0,
    MBS_RECIPE_SPLIT,
    MBS_RECIPE_OPTIMIZER,
    MBS_RECIPE_SCHEDULE,
    MBS_RECIPE_EVAL,
    MBS_RECIPE_CHECKPOINT,
    MBS_RECIPE_OUTPUT,
    MBS_RECIPE_PARTS
} mbs_recipe_part;

/* The table of a part of the grammar. */
typedef struct mbs_recipe_table {
    const char *path; /* "train.split", as --set names it */
    const char *key;  /* "split": in `train`, but for train and output themselves */
    const mbs_param *rows;
    uint32_t n_rows;
    const char *about; /* one line for 'plugin show train' */
} mbs_recipe_table;

extern const mbs_recipe_table mbs_recipe_tables[MBS_RECIPE_PARTS];
/* What `model:` of a recipe takes. */
extern const mbs_param mbs_recipe_model_params[];
extern const uint32_t mbs_n_recipe_model_params;

#define MBS_RECIPE_MAX_WINDOWS 8

/* Checked and complete. */
struct mbs_recipe {
    mbs_params *part[MBS_RECIPE_PARTS];
    /* Lists as numbers. */
    int n_windows;
    int64_t window[MBS_RECIPE_MAX_WINDOWS];
    double window_from[MBS_RECIPE_MAX_WINDOWS];
    double betas[2];
};

void mbs_recipe_free(mbs_recipe *recipe);
/* The share of the tokens that is held out; 0 where regions of a BED file decide. */
double mbs_recipe_share(const mbs_recipe *recipe);
/* Whether something is held out for scoring. */
int mbs_recipe_holds_out(const mbs_recipe *recipe);
/* All that can change what is learnt, a line for each key: "train.split.held_out: 0.2", "model.init: share:...". What a
 * checkpoint belongs to, so that a difference has a name. */
void mbs_recipe_lines(const mbs_plan *plan, mbs_buf *out);
/* A recipe that loads again and means the same; without the output's path. */
void mbs_recipe_yaml(const mbs_plan *plan, mbs_buf *out);
/* Model, training and output for people, all of them. */
void mbs_recipe_print(const mbs_plan *plan, mbs_buf *out);

/* preprocessor_config.json (pipe/preprocess.h) for a model that is trained as `plan` says, whose reader gives so many
 * samples a second and channels; 0: no sound. Wanted for sound and for codecs that nobody gets unasked. */
#define MBS_PREPROCESS_FILE "preprocessor_config.json"
int mbs_preprocess_wanted(const mbs_plan *plan, double rate);
void mbs_preprocess_put(const mbs_plan *plan, double rate, int64_t channels, mbs_buf *out);

#endif
