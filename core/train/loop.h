/*
 * loop.h - what train.c (the beginning and the end of a run) and loop.c (its steps) share.
 */
#ifndef MBS_TRAIN_LOOP_H
#define MBS_TRAIN_LOOP_H

#include "base/buf.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/metrics.h"

typedef struct mbs_loop {
    const mbs_train_job *job;
    mbs_train_result *result;
    mbs_buf identity; /* the job's, and what the tokens are */
    mbs_split split;
    mbs_windows *windows;
    mbs_workplace place;
    mbs_train_state state;
    mbs_metrics metrics;
    mbs_progress *progress;
    int64_t *part_starts; /* of a part of a batch */
    size_t cap_starts;
    double began; /* on the clock, earlier runs taken off: now - began is the time of all */
    double saved; /* when the last checkpoint was written */
} mbs_loop;

/* All steps that are left, with evaluations and checkpoints; or as far as patience goes. MBS_ERR_STOPPED with a
 * checkpoint written. */
mbs_status mbs_loop_run(mbs_loop *l, mbs_err *err);
/* A checkpoint of now, unless it is there already. */
mbs_status mbs_loop_save(mbs_loop *l, mbs_err *err);
/* The line of an evaluation. */
mbs_status mbs_loop_tell_eval(mbs_loop *l, const mbs_evaluation *e, const char *when, mbs_err *err);

#endif
