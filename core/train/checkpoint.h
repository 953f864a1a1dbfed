/*
 * checkpoint.h - the hidden folder that a training run works in, and the checkpoints there.
 *
 * ".NAME.mbs-train" beside the output NAME holds "lock" while a run is at it, metrics.jsonl, training.html,
 * best.safetensors (with patience) and the last two checkpoints "step-N": a model folder with optimizer.safetensors
 * and "state", which has the checksums of all other files and one of its own. A checkpoint is made as "step-N.part",
 * synced, renamed: what has its name is complete.
 */
#ifndef MBS_TRAIN_CHECKPOINT_H
#define MBS_TRAIN_CHECKPOINT_H

#include "base/lock.h"
#include "train/train.h"

/* What a run carries from step to step besides the net. */
typedef struct mbs_train_state {
    int64_t step;      /* done */
    int64_t evaluated; /* the last step with an evaluation */
    int64_t seen;      /* tokens of all steps */
    double seconds;    /* of all runs */
    int64_t best_step; /* with patience; 0: none yet */
    double best_loss;
    int64_t worse;     /* evaluations since then */
    uint64_t best_sum; /* checksum of best.safetensors */
    /* Of the steps since the last line of metrics. */
    double loss, weight, step_seconds;
    int64_t tokens;
} mbs_train_state;

typedef struct mbs_workplace {
    char *folder; /* NULL: none */
    mbs_lock lock;
    int64_t newest; /* step of the newest sound checkpoint, 0: none */
} mbs_workplace;

/* The name of the hidden folder (mbs_free); NULL without memory. */
char *mbs_workplace_name(const char *output);
/* Whether there are checkpoints in it: the newest step, 0 where there is none. */
int64_t mbs_workplace_newest(const char *folder);
/* Makes and locks it, and leaves what is in it as it is. MBS_ERR_CREATE where another run is at it. */
mbs_status mbs_workplace_claim(const char *output, mbs_workplace *out, mbs_err *err);
/* Claims it, unless *out is claimed (else it is zero); without `resume` all that an earlier run left there goes. */
mbs_status mbs_workplace_open(const char *output, int resume, mbs_workplace *out, mbs_err *err);
/* Unlocks; with `remove` the folder goes with all that is in it. */
void mbs_workplace_close(mbs_workplace *w, int remove);
/* Of a run that did not end: unlocks; the folder goes where it holds no checkpoint. */
void mbs_workplace_leave(mbs_workplace *w);

/* Writes step-N for state->step and removes all but the last two. What goes wrong leaves the checkpoints as they were.
 * `identity`: of the job and of all else that the run depends on. */
mbs_status mbs_checkpoint_write(mbs_workplace *w, const mbs_train_job *job, const char *identity,
                                const mbs_train_state *state, mbs_err *err);
/* The newest checkpoint that is sound, into net and state; one that is not is told with a warning and removed. *found
 * is 0 where there is none at all. MBS_ERR_DATA where `identity` differs (naming the first field that does), and where
 * none is sound. */
mbs_status mbs_checkpoint_read(mbs_workplace *w, const mbs_train_job *job, const char *identity, mbs_train_state *state,
                               int *found, mbs_err *err);

/* best.safetensors: the net as it is now; its checksum goes to state. */
mbs_status mbs_best_write(const mbs_workplace *w, mbs_net *net, mbs_train_state *state, mbs_err *err);
mbs_status mbs_best_read(const mbs_workplace *w, mbs_net *net, const mbs_train_state *state, mbs_err *err);

/* Two texts of lines "key: value": MBS_ERR_DATA with the first key whose values differ. */
mbs_status mbs_identity_same(const char *was, const char *is, mbs_err *err);

#endif
