/*
 * evaluate.h - how well the net, as it is, does on what was held out.
 *
 * A causal model: scored as `run` scores, by a session that carries its state over each stretch; where there is a
 * complement, once more over the other strand. What stands first in a stretch is not scored. With targets of the input,
 * masked and classify: mbs_net_loss.
 */
#ifndef MBS_TRAIN_EVALUATE_H
#define MBS_TRAIN_EVALUATE_H

#include "train/sample.h"

typedef struct mbs_evaluation {
    int64_t scored;           /* tokens or records, both strands */
    double loss, plus, minus; /* means, nats; NaN: none */
    double accuracy;          /* NaN: none */
    int64_t *confusion;       /* classify: n_classes x n_classes, truth by rows; mbs_free */
} mbs_evaluation;

/* limit: tokens of the held-out part that are looked at, from the first on that can be scored; 0: all. MBS_ERR_STOPPED
 * where a signal asked for an end. */
mbs_status mbs_evaluate(const mbs_train_job *job, const mbs_split *split, mbs_windows *windows, int64_t limit,
                        mbs_evaluation *out, mbs_err *err);

/* Before a step is made: MBS_ERR_DATA where there is nothing to score in what is held out (all of it N, stretches of
 * one token, nothing masked), and where the layers of the net do not reach over a sequence of either part. */
mbs_status mbs_evaluate_check(const mbs_train_job *job, const mbs_split *split, mbs_windows *windows, mbs_err *err);

#endif
