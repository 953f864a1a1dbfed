/*
 * ext/checkpoint.h - "mambaseq.checkpoint/1": a place to continue from.
 *
 * For readers, codecs and writers. Without it a reader or codec is replayed from the beginning, without model steps; a
 * writer without it makes the run not resumable.
 *
 * save     between two calls of the instance. A writer has everything that it was given so far in its files (flushed
 *          and fsynced) when save returns. The bytes are small, hold no pointers, and mean the same on this machine
 *          tomorrow.
 * restore  after create and before open, with the bytes that save gave. open then continues: a writer truncates its
 *          files to the lengths that it saved, a reader's next read gives what would have come next. A place that does
 *          not fit any more (a file that became shorter) is MBS_ERR_DATA with a message.
 */
#ifndef MAMBASEQ_EXT_CHECKPOINT_H
#define MAMBASEQ_EXT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/status.h"

#define MBS_EXT_CHECKPOINT "mambaseq.checkpoint/1"

typedef struct mbs_ext_checkpoint {
    uint32_t struct_size;
    uint32_t reserved;
    /* [stage] Calls put(sink, bytes, n) one or more times; a negative answer of put is returned as it is. */
    mbs_status (*save)(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink);
    /* [control] `bytes` is borrowed for the call. */
    mbs_status (*restore)(void *self, const void *bytes, size_t n);
} mbs_ext_checkpoint;

#endif
