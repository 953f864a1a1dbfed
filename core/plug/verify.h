/*
 * verify.h - whether what a plugin delivers is what it promised. Every function returns 0, or -1 with words in `why`
 * that follow the name of the call: "gave 900 rows where 512 were asked".
 */
#ifndef MBS_PLUG_VERIFY_H
#define MBS_PLUG_VERIFY_H

#include "base/buf.h"
#include "mambaseq/codec.h"
#include "mambaseq/plugin.h"

/* Where a stream of blocks stands. */
typedef struct mbs_track {
    int in_record;
    int64_t index; /* of the record at hand, or of the last one; -1 before the first */
    int64_t at;    /* behind the last row */
} mbs_track;

int mbs_verify_header(const mbs_stream_header *h, const mbs_descriptor *d, mbs_buf *why);
int mbs_verify_vocab(const mbs_vocab *v, const mbs_descriptor *d, mbs_buf *why);
/* A reader's block: of its type, of at most max_rows, the next one of the stream. Moves the track. */
int mbs_verify_read(const mbs_block *b, const mbs_stream_header *h, int64_t max_rows, mbs_track *t, mbs_buf *why);
int mbs_verify_end(const mbs_track *t, mbs_buf *why);
/* A codec's answer to `in`; b may be NULL. Moves the track. */
int mbs_verify_encoded(const mbs_block *b, const mbs_block *in, const char *type, const mbs_vocab *v, mbs_track *t,
                       mbs_buf *why);
/* What holds for any block from a plugin. */
int mbs_verify_block(const mbs_block *b, const char *type, mbs_buf *why);

#endif
