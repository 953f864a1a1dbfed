/*
 * metrics.h - metrics.jsonl: what happened, a line for each logged step and each evaluation.
 *
 *   {"step":10,"tokens":163840,"loss":1.36,"bits":1.96,"lr":0.004,"grad_norm":0.4,"tokens_per_s":43000,"seconds":3.8}
 *   {"step":500,"eval":"during","tokens":200000,"loss":...,"bits":...,"loss_plus":...,"loss_minus":...,
 *    "accuracy":...,"seconds":...,"arithmetic":"cpu/avx512/f32"}
 *   "end" instead of "during": of all that is held out
 *
 * loss: mean of the steps since the line before, nats; null where nothing was asked. tokens: of all steps so far; of an
 * evaluation: those that it scored. Keys without a value are left out.
 */
#ifndef MBS_TRAIN_METRICS_H
#define MBS_TRAIN_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

typedef struct mbs_metrics {
    char *path;
    FILE *f;
} mbs_metrics;

typedef struct mbs_step_line {
    int64_t step, tokens;
    double loss, lr, norm, tokens_per_s, seconds;
} mbs_step_line;

typedef struct mbs_eval_line {
    int64_t step, tokens;
    const char *when;                            /* "during", "end" */
    double loss, plus, minus, accuracy, seconds; /* NaN: not there */
    const char *arithmetic;                      /* what it was computed with, "cpu/avx512/f32" */
} mbs_eval_line;

/* Goes on with a file behind step `step` and the evaluation of step `evaluated`: later lines are dropped. */
mbs_status mbs_metrics_open(const char *folder, int64_t step, int64_t evaluated, mbs_metrics *out, mbs_err *err);
mbs_status mbs_metrics_step(mbs_metrics *m, const mbs_step_line *l, mbs_err *err);
mbs_status mbs_metrics_eval(mbs_metrics *m, const mbs_eval_line *l, mbs_err *err);
/* To the disk. */
mbs_status mbs_metrics_sync(mbs_metrics *m, mbs_err *err);
void mbs_metrics_close(mbs_metrics *m);

#endif
