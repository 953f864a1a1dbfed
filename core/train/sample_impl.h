/*
 * sample_impl.h - what sample.c (which sequences) and sequence.c (what is fed and asked) share.
 */
#ifndef MBS_TRAIN_SAMPLE_IMPL_H
#define MBS_TRAIN_SAMPLE_IMPL_H

#include "train/draw.h"
#include "train/sample.h"

struct mbs_windows {
    const mbs_train_job *job;
    const mbs_split *split;
    int64_t *places[MBS_RECIPE_WINDOWS]; /* of each window: n_train + 1 running counts of where it may begin */
    int32_t *classes;                    /* of each record */
    int64_t longest;                     /* of a sequence */
    mbs_drawn drawn;
    float *weights; /* drawn.weights, if any */
    size_t cap_seq, cap_rows, cap_frames;
    int32_t *original; /* one sequence before masking */
    uint8_t *scored, *masked;
};

/* Where the random numbers of a sequence come from. */
typedef struct mbs_sequence_key {
    int64_t step; /* 0: of the held-out part */
    int64_t index;
} mbs_sequence_key;

/* Of tokens [begin, end) of a record those that have another strand: all but what stands around them. */
mbs_stretch mbs_sequence_own(const mbs_train_job *job, mbs_stretch of);
/* Room for one more sequence of n rows. */
mbs_status mbs_sequence_room(mbs_windows *w, int64_t n, mbs_err *err);
/* Adds tokens [begin, begin + n) of a record: fed, its targets and weights; read from the other strand if `minus`. */
void mbs_sequence_add(mbs_windows *w, int64_t begin, int64_t n, int64_t record, int minus, mbs_sequence_key key);

#endif
