/*
 * channel.h - which channels of a recording are read.
 */
#ifndef AU_CHANNEL_H
#define AU_CHANNEL_H

#include <stdint.h>

typedef enum au_channels {
    AU_MIX,  /* the mean of all */
    AU_ALL,  /* as they are */
    AU_EACH, /* one after the other, a record each */
    AU_ONE   /* one of them */
} au_channels;

/* n frames of `channels` to frames of one channel, or of all. `one`: the channel of AU_ONE and AU_EACH, from 0. */
void au_choose(au_channels which, int64_t one, const float *from, int64_t channels, float *to, int64_t n);

#endif
