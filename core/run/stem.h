/*
 * stem.h - `{stem}` in a writer's path: one output for each input. The name of an input without folder and suffixes
 * ("runs/a.fa.gz" -> "a") takes its place.
 * What another writer sends to standard output, a pipe or a device is one stream of all inputs, with one header.
 */
#ifndef MBS_RUN_STEM_H
#define MBS_RUN_STEM_H

#include "base/mem.h"
#include "pipe/plan.h"

typedef struct mbs_stem_jobs {
    int n;               /* one for each input */
    mbs_plan_set **sets; /* of each job: those of the command line, then its own */
    int *n_sets;         /* of each */
    mbs_arena *arena;
} mbs_stem_jobs;

/* Whether any writer's path holds {stem}. */
int mbs_stem_wanted(const mbs_plan *plan);
/* Refuses inputs that would share an output file. Free the jobs in any case. */
mbs_status mbs_stem_jobs_make(const mbs_plan *plan, const mbs_plan_set *sets, int n_sets, mbs_stem_jobs *out,
                              mbs_err *err);
void mbs_stem_jobs_free(mbs_stem_jobs *jobs);

#endif
