/*
 * coder.h - arithmetic coding in integers: the same bytes on every machine, whoever made the numbers.
 *
 * A coder of 56 bits with carry. What is coded are symbols of a distribution (counts that sum to at most 2^24) and
 * adaptive bits. The decoder is given bytes as they come; before a row it has to hold MBS_CODER_MARGIN of them, or the
 * end.
 */
#ifndef MBS_RUN_CODER_H
#define MBS_RUN_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Bytes that one row of task compress takes at most: a dozen bits of 22 bits of precision, a token, eight bytes. */
#define MBS_CODER_MARGIN 64
#define MBS_CODER_HOLD 8192

/* How likely a bit is 1, in 2^22, and how often it was seen (10 bits below). Zero it first. */
typedef uint32_t mbs_coder_bit;

typedef struct mbs_encoder {
    uint64_t low;
    uint64_t range;
    uint64_t pending; /* bytes 0xff that a carry would still change */
    int32_t cache;    /* the byte in front of them, -1: none yet */
    mbs_buf out;      /* taken and cleared by the owner */
} mbs_encoder;

typedef struct mbs_decoder {
    uint64_t code;
    uint64_t range;
    int64_t missing; /* bytes asked for behind the end */
    int32_t primed;  /* the first bytes are in code */
    int32_t at, n;   /* of hold */
    uint8_t hold[MBS_CODER_HOLD];
} mbs_decoder;

void mbs_encoder_init(mbs_encoder *e);
/* [from, from + n) of `total`; n >= 1, total <= 2^24. */
void mbs_encode_range(mbs_encoder *e, uint32_t from, uint32_t n, uint32_t total);
void mbs_encode_bit(mbs_encoder *e, mbs_coder_bit *p, int bit);
/* As if a bit had been coded with it. */
void mbs_coder_learn(mbs_coder_bit *p, int bit);
/* Everything that is not in `out` yet. */
void mbs_encoder_flush(mbs_encoder *e);
void mbs_encoder_free(mbs_encoder *e);

void mbs_decoder_init(mbs_decoder *d);
/* How many of n bytes it took. */
int64_t mbs_decoder_feed(mbs_decoder *d, const uint8_t *bytes, int64_t n);
static inline int mbs_decoder_has_margin(const mbs_decoder *d) {
    return d->n - d->at >= MBS_CODER_MARGIN;
}
/* Where in `total` the next symbol lies; then mbs_decode_range with the symbol that covers it. */
uint32_t mbs_decode_point(mbs_decoder *d, uint32_t total);
void mbs_decode_range(mbs_decoder *d, uint32_t from, uint32_t n, uint32_t total);
int mbs_decode_bit(mbs_decoder *d, mbs_coder_bit *p);

/* Counts for `n` symbols from logits, only of those with allowed[i] != 0 (others 0); returns their sum, 0 where a logit
 * is not a number. In integers from the first rounding on, so that both sides have the same. `logits` NULL: all alike.
 */
uint32_t mbs_coder_counts(const float *logits, const uint8_t *allowed, int32_t n, uint32_t *counts);

#endif
