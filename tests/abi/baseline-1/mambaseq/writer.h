/*
 * writer.h - turns rows into files.
 *
 *   state     call      -> state
 *   --------  --------  -----------
 *   (none)    create    -> created    declares its files with host->output; opens nothing
 *   created   open      -> writing    gets the stream header
 *   writing   write     -> writing
 *   writing   drain     -> drained    writes what is left, builds the final form
 *   drained   close     -> closed     every file closed and every close checked
 *   any       destroy   -> (none)     without close: the run failed; the host removes the files
 *   a failed call       -> failed     only destroy may follow
 *
 * A writer writes to the temporary paths that host->output gave and never to a final name. It neither renames nor
 * removes. The law of every writer: the bytes do not depend on how rows were cut into blocks.
 */
#ifndef MAMBASEQ_WRITER_H
#define MAMBASEQ_WRITER_H

#include "mambaseq/host.h"

typedef struct mbs_writer_vt {
    uint32_t struct_size;
    uint32_t reserved;
    mbs_status (*create)(const mbs_host *host, const mbs_params *params, void **self); /* [control] */
    /* [control] `header` describes what comes and is borrowed until close; its attrs are to be stored where the format
     * has a place for them. header->type is the type of all blocks. */
    mbs_status (*open)(void *self, const mbs_stream_header *header);
    mbs_status (*write)(void *self, const mbs_block *block);  /* [stage] borrowed */
    mbs_status (*drain)(void *self);                          /* [stage] */
    mbs_status (*close)(void *self);                          /* [control] */
    void (*destroy)(void *self);                              /* [control] */
    const void *(*get_extension)(void *self, const char *id); /* [any] may be NULL; self may be NULL */
} mbs_writer_vt;

#endif
