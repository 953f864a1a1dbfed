/*
 * plan.h - a pipeline, read, checked whole and typed.
 *
 * A plan is made from a YAML file and the overrides of the command line; every mistake is collected with its place and
 * nothing is opened. Grammar: DESIGN "A pipeline". What `mambaseq: 1` accepted it accepts for ever.
 */
#ifndef MBS_PIPE_PLAN_H
#define MBS_PIPE_PLAN_H

#include "base/buf.h"
#include "base/err.h"
#include "mambaseq/plugin.h"
#include "plug/registry.h"

/* An override from the command line, applied in order. */
typedef struct mbs_plan_set {
    const char *path;   /* "reader.path", "writer.1.path", "writer.table.path" */
    const char *value;  /* YAML scalar or flow mapping; with `raw` a plain string */
    int raw;            /* 1: a plain string, not YAML (-i, -m, -o); 2: also passed over where the pipeline has no such
                         * stage (--chunk without a model) */
    const char *origin; /* how messages call it: "--set", "-i" */
} mbs_plan_set;

typedef struct mbs_plan_stage {
    const mbs_descriptor *desc;
    mbs_params *params;
    char *label;            /* "reader 'fasta'", "writer.1 'table'" */
    char *where;            /* "score.yaml:3:9" */
    int isolate;            /* a reader or codec that runs in a worker process */
    double isolate_timeout; /* seconds for one of its calls, 0: no end */
} mbs_plan_stage;

typedef enum mbs_task {
    MBS_TASK_NONE = 0,
    MBS_TASK_SCORE,
    MBS_TASK_LOGITS,
    MBS_TASK_EMBED,
    MBS_TASK_GENERATE,
    MBS_TASK_CLASSIFY,
    MBS_TASK_VARIANT,
    MBS_TASK_COMPRESS,
    MBS_TASK_DECOMPRESS,
    MBS_TASK_MUTATE,
    MBS_TASK_IMPUTE
} mbs_task;
#define MBS_TASK_COUNT (MBS_TASK_IMPUTE + 1)

enum {
    MBS_TASK_PREDICTS = 1,    /* asks how likely tokens are: takes tokens, and a model with a language head */
    MBS_TASK_CAUSAL = 2,      /* the model predicts the next token, not masked ones */
    MBS_TASK_STARTS = 4,      /* gives the id with which a record begins to models that want one */
    MBS_TASK_DECODES = 8,     /* needs a codec that turns tokens back */
    MBS_TASK_BY_TOKEN = 16,   /* columns of its rows are tokens */
    MBS_TASK_RESIZES = 32,    /* writers get other records, or longer ones, than the reader gives */
    MBS_TASK_UNPROMPTED = 64, /* goes without a reader */
    MBS_TASK_UNDIVIDED = 128, /* its output is one stream, which shards cannot make apart */
    MBS_TASK_EVALS = 256      /* eval measures it */
};
/* What is true of a task; a row each in task.c. */
typedef struct mbs_task_facts {
    const char *name;   /* as a pipeline says it */
    const char *gives;  /* type of its rows; NULL: what the codec turns tokens back into */
    const char *beside; /* of its rows of several models; NULL: it takes one */
    const char *own;    /* parameters of the model that not every task has: "mode|mask_every"; NULL: none */
    const char *window; /* model.window where it is not told: tokens behind a place that decide about it; NULL: none */
    unsigned is;        /* MBS_TASK_PREDICTS, ... */
} mbs_task_facts;

typedef struct mbs_recipe mbs_recipe; /* pipe/recipe.h */

#define MBS_PLAN_MODELS 2 /* models of one run at most */

typedef struct mbs_plan {
    char *file;             /* as named by the user */
    mbs_plan_stage *reader; /* NULL: none (generate) */
    mbs_plan_stage *codec;  /* NULL: none */
    /* Values of mbs_model_params, or of a recipe's. The first is "the model": what holds for a run as a whole (task,
     * chunk, device) stands there. The others are held against it. */
    mbs_params *models[MBS_PLAN_MODELS];
    int n_models;       /* 0: no model */
    mbs_recipe *recipe; /* NULL: a pipeline; else there is no task and no writer */
    mbs_task task;
    char *model_where;
    mbs_plan_stage *writers;
    int n_writers;
    int decode;            /* without a model: what the codec made of the input is turned back for the writers */
    double model_rate;     /* samples a second that the model takes, as its folder says; 0: it does not */
    const char *row_type;  /* what writers get: "score/f32", or the reader's type without a model */
    char *model_canonical; /* "{key: value, ...}" that can change a result of this task, of several models with
                            * brackets around all; NULL: no model */
    char *model_all;       /* the same and those that cannot */
} mbs_plan;

/* The model stage's own table (path, task, chunk, layer, pool, seed, ...), printed by `plugin show model` as well. */
extern const mbs_param mbs_model_params[];
extern const uint32_t mbs_n_model_params;
/* Its rate_scale; 0: time steps are as they were trained. Any table of values, NULL too. */
double mbs_model_rate_scale(const mbs_params *model);

/* What the host takes beside `plugin:` and the plugin's own parameters, of a reader or codec. */
extern const mbs_param mbs_stage_params[];
extern const uint32_t mbs_n_stage_params;

/* Reads and checks. `diags` gets one line for each mistake, "file:line:col: error: reader 'fasta': 'pth' is not a
 * parameter, did you mean 'path'?", followed by the source line and a caret, or "--set reader.pth=x.fa: error: ..."
 * alone; warnings likewise, also where all is well. On failure err is the summary for the last line: MBS_ERR_CONFIG;
 * MBS_ERR_NOINPUT where the file cannot be read or all that is wrong is a glob without a match; MBS_ERR_UNAVAILABLE
 * where only plugins are missing. `file` may be "-" (stdin) or share:...
 * Folders of `plugins:` are added to the registry. */
mbs_status mbs_plan_load(const char *file, const mbs_plan_set *sets, int n_sets, mbs_registry *registry, mbs_plan **out,
                         mbs_buf *diags, mbs_err *err);
/* A file of what kind is wanted; mbs_plan_load wants a pipeline. */
typedef enum mbs_plan_kind { MBS_PLAN_PIPELINE = 0, MBS_PLAN_RECIPE, MBS_PLAN_EITHER } mbs_plan_kind;
/* As mbs_plan_load. Of the wrong kind: MBS_ERR_CONFIG with the command that takes it. "-o" of a recipe is output.path
 * whatever its set says. */
mbs_status mbs_plan_load_as(mbs_plan_kind kind, const char *file, const mbs_plan_set *sets, int n_sets,
                            mbs_registry *registry, mbs_plan **out, mbs_buf *diags, mbs_err *err);
void mbs_plan_free(mbs_plan *plan);
/* The resolved plan in canonical form: what can change a result, and nothing else. Lines of "stage: {plugin: id,
 * version: x, key: value, ...}", keys in the order of the tables, defaults included, paths as the user wrote them. */
void mbs_plan_canonical(const mbs_plan *plan, mbs_buf *out);
/* The key of a reader's list of files, NULL: it has none, or was told none. */
const char *mbs_plan_inputs_key(const mbs_plan_stage *reader);
/* The typed plan for people (--dry-run): a line a stage with what it takes and gives. */
void mbs_plan_print(const mbs_plan *plan, mbs_buf *out);
const mbs_task_facts *mbs_task_facts_of(mbs_task task);
const char *mbs_task_name(mbs_task task);

#endif
