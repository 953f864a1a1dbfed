/*
 * gen_lane.h - samples that are drawn in lock step: one token of each, then one call of the model for all of them. A
 * draw depends on (seed, sample, position, attempt) only, so the bytes are those of one sample after the other.
 *
 * A guard looks at the surprise of the model itself, in bits a token: over a window with a mean below `low` it is stuck
 * (silence, one note), above `high` it has lost the thread (noise). Then the sample goes back to a state that was kept
 * at the window's beginning and draws again with other random numbers. Windows end at multiples of half a window.
 */
#ifndef MBS_RUN_GEN_LANE_H
#define MBS_RUN_GEN_LANE_H

#include "model/model.h"
#include "model/sample.h"

#define MBS_GEN_TRIES 8 /* of one place, before what comes is taken as it is */

typedef struct mbs_gen_rules {
    mbs_sampler sampler;
    const uint8_t *stops; /* flags by id: ends a sample, is not given */
    uint64_t seed;
    int64_t most; /* tokens of a sample */
    int64_t rows; /* of logits */
    int64_t half; /* tokens: half the guard's window; 0: no guard */
    double low, high;
} mbs_gen_rules;

typedef struct mbs_gen_counts {
    int64_t stuck, noise; /* windows that were drawn again for it */
    int64_t given_up;     /* windows that were taken after MBS_GEN_TRIES */
} mbs_gen_counts;

/* A place to go back to. */
typedef struct mbs_gen_place {
    mbs_session *session;
    float *logits;
    int64_t at;
    int has_logits;
} mbs_gen_place;

typedef struct mbs_gen_lane {
    mbs_session *session;
    float *logits;  /* the prediction that the next draw takes */
    int has_logits; /* 0: nothing was fed: all that may be drawn is as likely */
    mbs_next next;  /* what a device drew; then `logits` are old */
    int has_next;
    uint64_t stream; /* of the random numbers: which sample */
    int64_t drawn;   /* tokens of the sample */
    int64_t given;   /* of them, those that have left */
    int32_t *ids;    /* given .. drawn */
    float *logprob;
    int64_t room;
    int done;
    int64_t attempt;
    mbs_gen_place kept[2]; /* a window before the newest place that was looked at, and half a window */
} mbs_gen_lane;

mbs_status mbs_gen_lane_new(mbs_model *m, const mbs_gen_rules *r, mbs_gen_lane *out, mbs_err *err);
void mbs_gen_lane_free(mbs_gen_lane *l);
/* A sample begins where `from` stands, whose prediction is `logits` (has_logits 0: nothing was fed). */
mbs_status mbs_gen_lane_begin(mbs_gen_lane *l, const mbs_gen_rules *r, const mbs_session *from, const float *logits,
                              int has_logits, uint64_t stream, mbs_err *err);
/* Draws a token for each lane that is not done. `room` has been given the sampler; `scratch`: n x rows floats; `counts`
 * is added to. */
mbs_status mbs_gen_step(const mbs_gen_rules *r, mbs_session *room, mbs_gen_lane *lanes, int64_t n, float *scratch,
                        mbs_gen_counts *counts, mbs_err *err);
/* Tokens that may leave: nothing takes them back. */
int64_t mbs_gen_ready(const mbs_gen_lane *l, const mbs_gen_rules *r);
/* The sample ends where it is (a request to stop). */
void mbs_gen_end(mbs_gen_lane *l);
/* n tokens have left. */
void mbs_gen_give(mbs_gen_lane *l, int64_t n);
mbs_status mbs_gen_lane_save(mbs_gen_lane *l, const mbs_gen_rules *r, mbs_buf *out, mbs_err *err);
mbs_status mbs_gen_lane_restore(mbs_gen_lane *l, const mbs_gen_rules *r, mbs_cursor *c, mbs_err *err);
/* The state of a session as one length and its bytes, for both. */
mbs_status mbs_gen_put_session(mbs_buf *out, mbs_session *s, mbs_err *err);
mbs_status mbs_gen_get_session(mbs_cursor *c, mbs_session *s, mbs_err *err);

#endif
