/*
 * held.h - an input in two parts: what lies before a cut is learnt from by the baselines, what lies behind it is given
 * to the models and the baselines alike. The part behind the cut is a sequence of its own: models and baselines begin
 * it without context. A carry of the stream that gives no rows to writers.
 */
#ifndef MBS_RUN_HELD_H
#define MBS_RUN_HELD_H

#include "baseline/baseline.h"
#include "run/lanes.h"

/* How many tokens an input has and which ids of the vocabulary are scored in it. */
typedef struct mbs_survey {
    const mbs_vocab *vocab;
    int64_t tokens;
    uint8_t *seen; /* vocab->size flags, the caller's */
} mbs_survey;
mbs_carry mbs_survey_carry(mbs_survey *s);

typedef struct mbs_held {
    mbs_lanes *lanes; /* NULL: no model */
    const mbs_alphabet *letters;
    mbs_baseline **baselines;
    int n;
    int64_t cut;   /* tokens before it are learnt from; INT64_MAX: all of them */
    int64_t limit; /* tokens behind the cut after which `step` says MBS_END; 0: none */
    /* So far. */
    int64_t position;
    int64_t tokens; /* behind the cut */
    int64_t scored;
    double logprob[MBS_BASELINE_MAX];
    double seconds[MBS_BASELINE_MAX];
    int first; /* no token of this sequence has passed */
} mbs_held;
mbs_carry mbs_held_carry(mbs_held *h);

#endif
