/*
 * wire.h - blocks, headers, vocabularies and errors in shared memory, for isolated plugins (channel.h).
 *
 * Both sides are the same build on the same machine, so numbers lie as they are. `take` functions work on what may be
 * garbage: they return MBS_OK, MBS_ERR_DATA for what makes no sense, or MBS_ERR_MEMORY, which is not the other side's
 * fault.
 */
#ifndef MBS_PLUG_WIRE_H
#define MBS_PLUG_WIRE_H

#include "base/mem.h"
#include "mambaseq/codec.h"
#include "mambaseq/plugin.h"
#include "plug/channel.h"

/* Texts that must outlive blocks: types of the descriptor, names of side channels. */
typedef struct mbs_names {
    mbs_arena *arena;
    const char *known[32];
    int n;
} mbs_names;
/* The kept copy of a text, NULL where there are too many or no memory. */
const char *mbs_names_keep(mbs_names *names, const char *text);

void mbs_wire_put_header(mbs_put *p, const mbs_stream_header *h);
mbs_status mbs_wire_take_header(mbs_cursor *c, mbs_arena *a, mbs_stream_header *h);
void mbs_wire_put_vocab(mbs_put *p, const mbs_vocab *v); /* NULL is fine */
/* *there: whether there is one. */
mbs_status mbs_wire_take_vocab(mbs_cursor *c, mbs_arena *a, mbs_vocab *v, int *there);
void mbs_wire_put_error(mbs_put *p, const mbs_err *err);
mbs_status mbs_wire_take_error(mbs_cursor *c, mbs_status status, const char *label, mbs_err *err);

/* The block with its record, without origin. */
void mbs_wire_put_block(mbs_put *p, const mbs_block *b);
/* Makes a block of its own from the `bytes` at *at, and moves *at behind it. *record belongs to the caller, who sets
 * the block's. */
mbs_status mbs_wire_take_block(const mbs_area *a, size_t bytes, size_t *at, mbs_names *names, mbs_block **out,
                               mbs_record **record);

#endif
