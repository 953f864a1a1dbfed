/*
 * train.h - from a recipe to a trained model in a folder: the input is read into a spool by the stages of a run, the
 * model is made or opened, and core/train does the rest.
 */
#ifndef MBS_RUN_TRAIN_H
#define MBS_RUN_TRAIN_H

#include "base/progress.h"
#include "pipe/plan.h"
#include "train/train.h"

typedef struct mbs_train_options {
    const char *recipe;
    const mbs_plan_set *sets;
    int n_sets;
    int force;  /* replace a model that stands at the output */
    int resume; /* go on from the last checkpoint */
    int dry_run;
    int threads;        /* 0: what the process may use */
    const char *worker; /* as in mbs_run_options */
    mbs_progress_mode progress;
} mbs_train_options;

typedef struct mbs_train_report {
    mbs_buf diags;   /* lines about the recipe, for stderr */
    mbs_buf text;    /* --dry-run: what would be trained; a classifier: its confusion, for stdout */
    mbs_buf summary; /* one line on what was done, for stderr */
    int stop_signal; /* the signal that ended the training, or 0 */
} mbs_train_report;

/* Fills `report` in every case; free it with mbs_train_report_free. MBS_ERR_STOPPED where a signal asked for an end:
 * `resume` goes on. */
mbs_status mbs_train_from_recipe(const mbs_train_options *options, mbs_train_report *report, mbs_err *err);
void mbs_train_report_free(mbs_train_report *report);

#endif
