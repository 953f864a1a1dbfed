/*
 * resample.h - another rate, by soxr at its quality HQ on one thread: the same bits however the input is cut.
 */
#ifndef AU_RESAMPLE_H
#define AU_RESAMPLE_H

#include <stdint.h>

#include "mambaseq/host.h"

typedef struct au_resampler {
    struct soxr *soxr;
    int64_t channels;
    int ended; /* the input is over */
} au_resampler;

/* A status that the host was told of. */
mbs_status au_resampler_new(au_resampler *r, const mbs_host *host, double from, double to, int64_t channels);
/* Takes up to `frames` of `in` (*used: how many) and gives up to `room` (*made). in NULL: the input is over; then call
 * until *made is 0. */
mbs_status au_resampler_run(au_resampler *r, const mbs_host *host, const float *in, int64_t frames, int64_t *used,
                            float *out, int64_t room, int64_t *made);
/* Back to the state without history. */
mbs_status au_resampler_clear(au_resampler *r, const mbs_host *host);
void au_resampler_free(au_resampler *r);

/* Frames that come out of n. */
int64_t au_resampled(int64_t n, double from, double to);
/* "soxr-0.1.3/HQ/cr32s": library, quality and the engine that ran. */
void au_resampler_name(const au_resampler *r, char *to, size_t size);

#endif
