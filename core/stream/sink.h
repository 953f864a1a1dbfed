/*
 * sink.h - the end of the stream: every writer gets every block.
 */
#ifndef MBS_STREAM_SINK_H
#define MBS_STREAM_SINK_H

#include "base/buf.h"
#include "plug/instance.h"

typedef struct mbs_sink {
    mbs_instance **writers; /* borrowed */
    int n;
} mbs_sink;

mbs_status mbs_sink_open(mbs_sink *s, const mbs_stream_header *header, mbs_err *err);
/* Consumes the block, also on failure. NULL is nothing to do. */
mbs_status mbs_sink_write(mbs_sink *s, mbs_block *block, mbs_err *err);
/* drain, then close, each of all writers. */
mbs_status mbs_sink_finish(mbs_sink *s, mbs_err *err);
mbs_status mbs_sink_save(mbs_sink *s, mbs_buf *out, mbs_err *err);
mbs_status mbs_sink_restore(mbs_sink *s, mbs_cursor *in, mbs_err *err); /* before open */

#endif
