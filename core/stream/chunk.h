/*
 * chunk.h - cuts of blocks: a part of a block as a block of its own.
 */
#ifndef MBS_STREAM_CHUNK_H
#define MBS_STREAM_CHUNK_H

#include "plug/instance.h"

/* Rows [from, to) of b as a new block with the coordinates, side channels and record that belong to them. SEQ_START is
 * kept where from == 0, SEQ_END where to is the last row. NULL without memory. */
mbs_block *mbs_chunk_of(const mbs_block *b, int64_t from, int64_t to);
/* Source coordinate of row `row` (0..rows) of b: rows of one width, or the side channel "interval". */
int64_t mbs_chunk_position(const mbs_block *b, int64_t row);
/* How many leading rows lie before record->start: context, which the model sees and writers do not. */
int64_t mbs_chunk_context_rows(const mbs_block *b);

#endif
