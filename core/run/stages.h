/*
 * stages.h - the parts of a running pipeline, built from a plan. Everything is made here in order and freed in reverse.
 */
#ifndef MBS_RUN_STAGES_H
#define MBS_RUN_STAGES_H

#include "base/mem.h"
#include "base/output.h"
#include "model/backend.h"
#include "run/run.h"
#include "run/task.h"
#include "stream/checkpoint.h"

/* Threads, backend and weights: loaded once, used by one pipeline after the other (one output per input). */
typedef struct mbs_engine {
    mbs_backend backend;
    mbs_model *models[MBS_PLAN_MODELS]; /* of the plan's models; NULL: not loaded */
    const char *worker;                 /* of mbs_run_options */
    const char *whole;                  /* what a further model will multiply in, which not every device can; or NULL */
    const mbs_lent_file *fresh;         /* files of a model that is not on disk yet, lent to codecs; NULL: none */
} mbs_engine;

/* Nothing to do for a plan without a model, or when it is loaded already. */
mbs_status mbs_engine_load(mbs_engine *e, const mbs_plan *plan, int threads, mbs_err *err);
/* A further model of the plan's folder, in other ways, beside the one that was loaded; the caller closes it. */
mbs_status mbs_engine_model(mbs_engine *e, const mbs_plan *plan, const mbs_model_options *options, mbs_model **out,
                            mbs_err *err);
/* model.chunk; on a device rounded up to what its bits do not depend on. */
int64_t mbs_engine_chunk(const mbs_engine *e, const mbs_plan *plan);
void mbs_engine_free(mbs_engine *e);

typedef struct mbs_stages {
    const mbs_plan *plan;
    mbs_outputs *outputs;
    mbs_host_env env;
    mbs_stage_model models[MBS_PLAN_MODELS]; /* in the order of the plan */
    int n_models;                            /* 0: the plan has none */
    mbs_instance *reader;                    /* NULL: none */
    mbs_instance *codec;                     /* NULL: none */
    mbs_instance *edit_codec;                /* variant: a second one of the same, for what edits put in */
    mbs_instance **writers;
    int n_writers;
    const mbs_engine *engine;    /* borrowed */
    const mbs_task_watch *watch; /* for the task; NULL: nobody */
    int strict_labels;           /* of mbs_task_env */
    int merging;                 /* what a model gave is there already: no task is made */
    int keep_partial;            /* likewise */
    const char *state_temp;      /* likewise */
    mbs_carry carry;             /* self NULL: none */
    mbs_arena *arena;            /* of header */
    const mbs_stream_header *in; /* what the reader gives */
    mbs_stream_header header;    /* what the writers get */
} mbs_stages;

/* The model folder of a plan, NULL: none (no model, or a recipe that begins with a fresh one). */
const char *mbs_plan_folder(const mbs_plan *plan);
/* Tells the inputs to the outputs, creates the writers (which declare their files), then reader and codec. Opens
 * nothing; `force` lets existing outputs be replaced. */
mbs_status mbs_stages_create(mbs_stages *s, const mbs_plan *plan, const mbs_engine *engine, int force, mbs_err *err);
/* Loads the models into the engine, which is that of mbs_stages_create, unless they are there. */
mbs_status mbs_stages_load(mbs_stages *s, mbs_engine *engine, int threads, mbs_err *err);
/* What a task of the opened reader and codec works with. */
mbs_task_env mbs_stages_task_env(const mbs_stages *s);
/* Opens reader, codec, task and writers. */
mbs_status mbs_stages_open(mbs_stages *s, mbs_err *err);
/* Reader and codec say whether they read well to the end. */
mbs_status mbs_stages_close_input(mbs_stages *s, mbs_err *err);
void mbs_stages_free(mbs_stages *s);
const mbs_task_totals *mbs_stages_totals(const mbs_stages *s); /* NULL without a model */

/* same_tokens.c: whether model i is fed by the same tokens as the first, which is what their odds are about. */
mbs_status mbs_stages_same_tokens(const mbs_stages *s, int i, mbs_err *err);

/* header.c: what the writers get. */
mbs_status mbs_stages_make_header(mbs_stages *s, mbs_err *err);

/* resume.c: why this run could not be resumed, or NULL where it could. */
const char *mbs_stages_not_resumable(const mbs_stages *s);
mbs_status mbs_stages_identity(mbs_stages *s, mbs_buf *out, mbs_err *err);

#endif
