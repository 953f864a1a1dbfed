/*
 * codec.h - turns what a reader delivers into tokens (or frames), and generated tokens back.
 *
 *   state     call           -> state
 *   --------  -------------  -----------
 *   (none)    create         -> created
 *   created   open           -> running    chooses the vocabulary, may look at the model's tokenizer files
 *   running   encode, decode -> running
 *   running   drain          -> drained    what is left after the last block
 *   running, drained  close  -> closed
 *   any       destroy        -> (none)
 *   a failed call            -> failed     only destroy may follow
 *
 * The law of every codec: what it delivers, put together, does not depend on how the input was cut into blocks. A
 * record starts afresh at MBS_SEQ_START and is complete, with MBS_SEQ_END on its last block, when the call that was
 * given MBS_SEQ_END returns. Its first block carries MBS_SEQ_START; starts of blocks never go back, and no block ends
 * behind the input that was seen. Ids lie below the vocabulary's size.
 */
#ifndef MAMBASEQ_CODEC_H
#define MAMBASEQ_CODEC_H

#include "mambaseq/host.h"

/* What the ids mean. Borrowed from open until close. */
typedef struct mbs_vocab {
    uint32_t struct_size;
    int32_t size;                /* ids 0..size-1 have a meaning; a model may have more (padding) */
    const char *name;            /* "caduceus", "songlab", or the file: goes into the output's `vocab` */
    const char *const *tokens;   /* size texts */
    const int32_t *complement;   /* size ids, or NULL where there is no complement */
    const uint8_t *decodable;    /* size flags: 1 where decode can write the id; only these are sampled */
    int32_t unk, bos, eos, mask; /* ids, -1 where there is none */
    /* What one scored token is called in a summary: "base" gives the column bits_per_base. */
    const char *unit;
    /* Since 1.1. Ids that the model's own tokenizer puts in front of a record and behind it. The codec does not encode
     * them: they have no place in the source. The host feeds them around what encode gives; nobody writes their rows.
     */
    int32_t n_before;
    int32_t n_after;
    const int32_t *before; /* NULL where n_before is 0 */
    const int32_t *after;
} mbs_vocab;

#define MBS_AROUND_MAX 64 /* most ids on one side of a record */

typedef struct mbs_codec_vt {
    uint32_t struct_size;
    uint32_t reserved;
    mbs_status (*create)(const mbs_host *host, const mbs_params *params, void **self); /* [control] */
    /* [control] `in` describes the input, or is NULL when only decode will be called. */
    mbs_status (*open)(void *self, const mbs_stream_header *in);
    /* [any, after open] NULL for a codec without ids (frames); one that produces tokens/... has one. */
    const mbs_vocab *(*vocab)(void *self);
    /* [stage] `in` is borrowed. *out is a block of tokens that belongs to the caller, or NULL where nothing is ready
     * yet. Flags, record and coordinates of the output follow the input. */
    mbs_status (*encode)(void *self, const mbs_block *in, mbs_block **out);
    /* [stage] Tokens (i32) to what a reader of this domain delivers. NULL where the codec cannot. */
    mbs_status (*decode)(void *self, const mbs_block *tokens, mbs_block **out);
    /* [stage] Anything left after the last block: a block, or MBS_END. May be NULL. */
    mbs_status (*drain)(void *self, mbs_block **out);
    mbs_status (*close)(void *self);                          /* [control] */
    void (*destroy)(void *self);                              /* [control] */
    const void *(*get_extension)(void *self, const char *id); /* [any] may be NULL; self may be NULL */
} mbs_codec_vt;

#endif
