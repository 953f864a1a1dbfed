/*
 * codec.h - a codec that turns each sample into one or two tokens by itself: all of it but the map between the two.
 *
 * Tokens of a row of several channels follow one another, channel by channel. A code of 16 bits is two tokens, the high
 * byte first. Decoding a stream whose last sample has only one of them leaves that out and says so.
 */
#ifndef AU_CODEC_H
#define AU_CODEC_H

#include "audio/dsp/scale.h"
#include "mambaseq/codec.h"

typedef struct au_codec {
    const mbs_host *host;
    int variant;
    int per_sample;                     /* tokens, 1 or 2 */
    int (*code)(int variant, double y); /* y in [-1, 1]; 0 .. 256^per_sample - 1 */
    float (*sample)(int variant, int code);
    mbs_vocab vocab;
    char name[48];
    int64_t channels;
    const char *tokens[256];
    char texts[256][4];
    uint8_t decodable[256];
    float levels[256]; /* sample of each code, where a sample is one token */
    /* Between two blocks; kept over a resume. */
    struct au_codec_place {
        int64_t version, high; /* half a sample that waits to be decoded, -1: none */
        int64_t next;          /* coordinate of the next decoded row */
        int64_t column;        /* tokens of the open row */
        au_scale scale;
    } at;
    float *row; /* the open row of decoding, `channels` samples */
} au_codec;

/* Memory for an instance, with scale from the parameters; then variant, code, sample are set and au_codec_ready called.
 */
mbs_status au_codec_new(const mbs_host *host, const mbs_params *params, au_codec **out);
void au_codec_ready(au_codec *c, const char *vocab_name);

/* The calls of mbs_codec_vt but create. */
mbs_status au_codec_open(void *self, const mbs_stream_header *in);
const mbs_vocab *au_codec_vocab(void *self);
mbs_status au_codec_encode(void *self, const mbs_block *in, mbs_block **out);
mbs_status au_codec_decode(void *self, const mbs_block *tokens, mbs_block **out);
mbs_status au_codec_close(void *self);
void au_codec_destroy(void *self);
const void *au_codec_extension(void *self, const char *id);

#endif
