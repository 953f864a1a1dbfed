/*
 * eval.h - what a model makes of an input when it is held and computed in other ways: one pass over the input, every
 * way side by side on the same tokens, each compared with f32 weights and f32 math.
 *
 * Reader, codec and scoring are those of a run (run/build.c, run/task_rows.c, stream/sched.c); only nothing is written.
 * Baselines (core/baseline) may stand beside the models, or alone. With a split the input is read twice: once to count
 * its tokens. Memory depends on the models and the baselines' tables, not on the length or number of records.
 */
#ifndef MBS_RUN_EVAL_H
#define MBS_RUN_EVAL_H

#include "base/progress.h"
#include "model/model.h"
#include "pipe/plan.h"

typedef struct mbs_eval_options {
    const char
        *pipeline; /* task score or classify; its writers are left out, its model.dtype and model.math do not count */
    const mbs_plan_set *sets;
    int n_sets;
    const mbs_model_options *ways; /* how to hold and compute; f32/f32 is run in any case */
    int n_ways;
    int64_t limit;        /* tokens to score at most; 0: all */
    const int *baselines; /* orders (baseline/baseline.h) */
    int n_baselines;
    double split;       /* above 0, below 1: only what lies behind this part of the tokens is scored; 0: all */
    const char *train;  /* another input, of the same reader, for the baselines to learn from; NULL: what lies before
                         * the split, which then has to be told */
    unsigned strands;   /* MBS_STRAND_... of run/turned.h; 0: the input as it is, without figures of strands */
    int threads;        /* 0: what the process may use */
    const char *worker; /* as in mbs_run_options */
    mbs_progress_mode progress;
} mbs_eval_options;

/* One way; or one baseline, whose name stands in the place of dtype. */
typedef struct mbs_eval_result {
    int is_baseline;
    char dtype[16]; /* what auto came to */
    char math[8];
    char arithmetic[64];
    int64_t tokens;
    int64_t scored;
    double bits;          /* mean of -log2 P over the scored tokens; NaN where there is none */
    double plus, minus;   /* the same of one strand; NaN where it was not read */
    double difference;    /* bits, less those of f32/f32; NaN without a model */
    double logit_error;   /* largest |logit - that of f32/f32| over all tokens, as part of the largest |logit| there;
                           * NaN for a baseline */
    int64_t weight_bytes; /* or of the tables */
    double tokens_per_s;  /* of the model's calls, among those of the others; 0 where there was none */
    /* Of an input with targets: how many, how many of them had the largest logit, and their mean of -log2 P; records
     * with a target, and those with every one right. */
    int64_t targets, right, records, exact;
    double target_bits;
    /* Of task classify: `targets` are the records with a label, `right` those that were classified so, `records` all
     * of them, and this is what was taken for what: classes x classes, truth by rows. NULL: too many classes. */
    int64_t *confusion;
} mbs_eval_result;

typedef struct mbs_eval_report {
    mbs_buf diags;            /* lines about the pipeline, for stderr */
    mbs_eval_result *results; /* for each way, in their order; of several that come to the same the first;
                               * then for each baseline */
    int n;
    char unit[32];         /* what a token is called: "base" */
    char model_sha256[65]; /* "" without a model */
    int64_t learnt;        /* tokens that the baselines learnt from */
    int has_strands;
    int has_targets; /* some model was asked for something */
    char **classes;  /* of task classify: their names */
    int64_t n_classes;
} mbs_eval_report;

/* Fills `report` in every case; free it with mbs_eval_report_free. MBS_ERR_STOPPED where a signal asked for an end. */
mbs_status mbs_eval_pipeline(const mbs_eval_options *options, mbs_eval_report *report, mbs_err *err);
void mbs_eval_report_free(mbs_eval_report *report);

#endif
