/*
 * sample.h - draws the next token from logits.
 */
#ifndef MBS_MODEL_SAMPLE_H
#define MBS_MODEL_SAMPLE_H

#include <stdint.h>

#include "base/err.h"

typedef struct mbs_candidates mbs_candidates;

typedef struct mbs_sampler {
    double temperature;     /* 0: the most likely, the lowest id where several are */
    int64_t top_k;          /* 0: all */
    double top_p;           /* 1: all */
    const uint8_t *allowed; /* n_allowed flags; ids behind are not allowed */
    int64_t n_allowed;
    mbs_candidates *scratch;
} mbs_sampler;

mbs_status mbs_sampler_init(mbs_sampler *s, const uint8_t *allowed, int64_t n_allowed, mbs_err *err);
void mbs_sampler_free(mbs_sampler *s);
/* `u` uniform in [0, 1). *logprob is the model's own log-probability of the drawn id over all n logits, before
 * temperature and cuts. -1 where no id is allowed or every logit is NaN. logits NULL: all allowed ids are equally
 * likely. */
int32_t mbs_sampler_draw(const mbs_sampler *s, const float *logits, int64_t n, double u, float *logprob);

#endif
