/*
 * run.h - drives a pipeline from its plan to renamed files.
 */
#ifndef MBS_RUN_RUN_H
#define MBS_RUN_RUN_H

#include "base/progress.h"
#include "pipe/plan.h"

typedef struct mbs_run_options {
    const char *pipeline;
    const mbs_plan_set *sets;
    int n_sets;
    int force; /* replace existing outputs */
    int resume;
    int keep_partial; /* after an error leave temporary files and journal, for --resume */
    int dry_run;      /* print the typed plan into `text` and stop */
    int threads;      /* 0: what the process may use */
    int64_t chunk;    /* rows asked of the reader at a time where there is no model to say it; 0: 65536 */
    mbs_progress_mode progress;
    double journal_every;     /* seconds; 0: 10 */
    const char *shard;        /* "i/n": only that share of the records; NULL: all */
    const char *const *parts; /* instead of a pipeline: n_parts files of shards to merge; `sets` are added to theirs */
    int n_parts;
    const char *worker; /* the program that becomes a worker process of isolated plugins; NULL: none can be isolated */
    double watch;       /* seconds in one call of a plugin before a line says so; 0: 60 */
} mbs_run_options;

typedef struct mbs_run_result {
    mbs_buf diags;   /* lines about the pipeline, for stderr */
    mbs_buf text;    /* --dry-run: the plan, for stdout */
    mbs_buf summary; /* one line on what was done, for stderr */
    int stop_signal; /* the signal that ended the run, or 0 */
    int resumable;   /* after a failure: --resume can continue */
} mbs_run_result;

/* Fills `result` in every case; free with mbs_run_result_free. */
mbs_status mbs_run_pipeline(const mbs_run_options *options, mbs_run_result *result, mbs_err *err);
void mbs_run_result_free(mbs_run_result *result);

#endif
