/*
 * tap.h - somebody who listens to a stream: sees the records that are worked on, their rows as they go in and what
 * comes out of them, and does not change any of it. What is skipped (mbs_sched.shares) is not shown.
 */
#ifndef MBS_STREAM_TAP_H
#define MBS_STREAM_TAP_H

#include "base/buf.h"
#include "base/err.h"
#include "mambaseq/block.h"

typedef struct mbs_tap {
    void *self;
    /* A record begins; `ordinal` counts all records of the stream from 0, skipped ones too. */
    mbs_status (*begin)(void *self, const mbs_record *record, int64_t ordinal, mbs_err *err);
    /* Rows [from, from + n) of a block go in, each once. */
    void (*rows)(void *self, const mbs_block *block, int64_t from, int64_t n);
    /* May be NULL. What a model gave for record `of`; not called without a model. */
    mbs_status (*block)(void *self, const mbs_record *of, const mbs_block *out, mbs_err *err);
    mbs_status (*end)(void *self, const mbs_record *record, mbs_err *err);
    /* All that the calls above depend on; may be NULL where the run does not journal. It is restored before the run by
     * whoever made it. */
    mbs_status (*save)(void *self, mbs_buf *out, mbs_err *err);
} mbs_tap;

#endif
