/*
 * hop.h - rows of a window of samples, one every `hop`: counting, the samples that the next rows still look at, the
 * places of the rows, a stop between two blocks. What a row is made of is the codec's.
 *
 * Row i looks at the last `width` samples up to sample (i + 1) * hop of its record, silence before the first one and
 * behind the last; it belongs to the samples [i * hop, (i + 1) * hop) and the last row to what is left of them.
 */
#ifndef AU_HOP_H
#define AU_HOP_H

#include "mambaseq/codec.h"

#define AU_HOP_CHANNELS_MAX 1024

typedef struct au_hop {
    const mbs_host *host;
    int64_t width, hop;
    /* Between two blocks; kept over a resume, with `past` behind it. */
    struct au_hop_place {
        int64_t version;
        int64_t fill;  /* samples since the end of the last row, below hop */
        int64_t begun; /* a block of this record was given */
        int64_t width, channels;
    } at;
    float *past;   /* width x channels: the newest samples */
    float *window; /* width x channels: of the row that is made */
    int said_short;
    void *saved;
    size_t saved_len;
} au_hop;

/* One row of numbers of `window`, width x channels samples as they come. */
typedef void (*au_hop_row)(void *self, const float *window, float *to);

/* Sizes are told when the input is known; 1 <= hop, 1 <= width. Takes up what was restored. */
mbs_status au_hop_open(au_hop *h, const mbs_host *host, int64_t width, int64_t hop, int64_t channels);
void au_hop_free(au_hop *h);
/* The block of `pcm/f32` as one of `frames/f32` with `numbers` in a row and a side channel `interval`; *out NULL where
 * no row is complete. MBS_ERR_DATA for samples that are no finite numbers. */
mbs_status au_hop_encode(au_hop *h, const mbs_block *in, int64_t numbers, au_hop_row make, void *self, mbs_block **out);

/* Of mambaseq.checkpoint/1. restore comes before open and keeps the bytes until then. */
mbs_status au_hop_save(const au_hop *h, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink);
mbs_status au_hop_restore(au_hop *h, const mbs_host *host, const void *bytes, size_t n);

#endif
