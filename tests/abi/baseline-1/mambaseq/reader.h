/*
 * reader.h - turns files into a stream of records.
 *
 *   state     call        -> state
 *   --------  ----------  -----------
 *   (none)    create      -> created     looks at parameters only: opens nothing
 *   created   open        -> reading     opens the input, gives the stream header
 *   reading   read        -> reading     a block, or MBS_END -> drained, or MBS_AGAIN
 *   reading, drained  close -> closed
 *   any       destroy     -> (none)      also after a failure, also without close
 *   a failed call         -> failed      only destroy may follow
 *
 * The law of every reader: what it delivers, put together, does not depend on `max_rows`.
 */
#ifndef MAMBASEQ_READER_H
#define MAMBASEQ_READER_H

#include "mambaseq/host.h"

typedef struct mbs_reader_vt {
    uint32_t struct_size;
    uint32_t reserved;
    /* [control] *self is set on success only. */
    mbs_status (*create)(const mbs_host *host, const mbs_params *params, void **self);
    /* [control] *header is borrowed until close. */
    mbs_status (*open)(void *self, const mbs_stream_header **header);
    /* [stage] The next block of at most max_rows rows (never more; fewer is fine, 0 only at a record's end). *out
     * belongs to the caller. Records come in the order of their index; blocks of a record in order and without holes,
     * from record.start - record.context to record.start + record.length where the length is known. */
    mbs_status (*read)(void *self, int64_t max_rows, mbs_block **out);
    /* [control] Checks that everything was read well (a checksum at the end, say). */
    mbs_status (*close)(void *self);
    /* [control] */
    void (*destroy)(void *self);
    /* [any] NULL where unknown; may be NULL itself. self is NULL for powers without an instance (ext/inspect.h).
     * "mambaseq.checkpoint/1" (ext/checkpoint.h). */
    const void *(*get_extension)(void *self, const char *id);
} mbs_reader_vt;

#endif
