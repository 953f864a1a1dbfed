/*
 * sample.h - the sequences of step k: a function of recipe, spool and k alone, so a run may begin at any step.
 *
 * Random order: windows begin anywhere in the training part where they fit, every place as likely as any other; they
 * never reach over the end of a record or of a region. Classify: whole records, cut at the end to the window; each
 * comes once before any comes again, in an order that is drawn anew each time. Stream order: whole stretches as they
 * stand in the input, of any length, the first again behind the last.
 */
#ifndef MBS_TRAIN_SAMPLE_H
#define MBS_TRAIN_SAMPLE_H

#include "train/split.h"

/* Sequences side by side, as mbs_batch has them. */
typedef struct mbs_drawn {
    int64_t n_seq;
    int64_t rows;
    int64_t *starts; /* n_seq + 1 */
    int32_t *ids;
    float *frames; /* rows x frame_width; NULL where the spool holds ids */
    int64_t frame_width;
    int32_t *targets; /* rows; classify: n_seq */
    float *weights;   /* rows; NULL where all are 1 */
    double weight;    /* of all targets */
    int64_t *records; /* n_seq: of the spool */
} mbs_drawn;

typedef struct mbs_windows mbs_windows;

/* Looks at recipe, spool, complement, vocab_size, unk, mask, classes of the job and borrows it and the split.
 * MBS_ERR_DATA where no record has room for a window, and for a label that is no class; MBS_ERR_CONFIG for what the
 * vocabulary cannot. */
mbs_status mbs_windows_new(const mbs_train_job *job, const mbs_split *split, mbs_windows **out, mbs_err *err);
void mbs_windows_free(mbs_windows *w);
/* The sequences of a step (from 1); borrowed until the next call of this or the next function. */
mbs_status mbs_windows_draw(mbs_windows *w, int64_t step, const mbs_drawn **out, mbs_err *err);
/* Stream order and classify: how often all was seen before this step. */
int64_t mbs_windows_rounds(const mbs_windows *w, int64_t step);

/* The held-out part as sequences for mbs_net_loss: whole stretches; classify and masked: cut to the last window, masked
 * the same way each time. Goes on at *at, which is zero before the first call, with sequences of about `rows` rows;
 * n_seq is 0 behind the last. */
typedef struct mbs_held_place {
    int64_t stretch, offset, index;
} mbs_held_place;
mbs_status mbs_windows_held(mbs_windows *w, mbs_held_place *at, int64_t rows, const mbs_drawn **out, mbs_err *err);

#endif
