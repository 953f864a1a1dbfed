/*
 * lanes.h - several models side by side on one stream: a carry that gives every task the same tokens in pieces and
 * compares the logits of each with those of the first, piece by piece. Gives no rows to writers.
 */
#ifndef MBS_RUN_LANES_H
#define MBS_RUN_LANES_H

#include "run/targets.h"
#include "run/task.h"

typedef struct mbs_lanes mbs_lanes;

typedef struct mbs_lane_result {
    mbs_task_totals totals;
    double max_error; /* largest |logit - the first lane's|; infinite where one of them is no number */
    double max_first; /* largest |logit| of the first lane */
    mbs_targets targets;
} mbs_lane_result;

/* `limit`: tokens after which `step` says MBS_END; 0: none. `first` is the model of the first lane, `further` how many
 * more there will be at most. */
mbs_status mbs_lanes_new(const mbs_model *first, int further, int64_t limit, mbs_lanes **out, mbs_err *err);
void mbs_lanes_free(mbs_lanes *l);
/* What the first lane's task needs in its env; set its carry, which is borrowed, when it is made. */
const mbs_task_watch *mbs_lanes_watch(mbs_lanes *l);
void mbs_lanes_first(mbs_lanes *l, const mbs_carry *task);
/* One more lane, of task score; env->watch is set here. A model of the same folder. */
mbs_status mbs_lanes_add(mbs_lanes *l, const mbs_task_env *env, mbs_err *err);
/* For the scheduler. */
const mbs_carry *mbs_lanes_carry(const mbs_lanes *l);
/* Of each row that the last step took, whether the first lane gave it a log-probability. */
const uint8_t *mbs_lanes_scored(const mbs_lanes *l);
/* Of lane i, 0 is the first. */
mbs_lane_result mbs_lanes_result(const mbs_lanes *l, int i);

#endif
