/*
 * span.h - the rows of a block and the record that they belong to, seen the same way however the rows were cut.
 */
#ifndef MBS_ROWFILE_SPAN_H
#define MBS_ROWFILE_SPAN_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/host.h"

/* The shape of one row, taken from the first block and kept by all that follow. Plain values: goes into checkpoints. */
typedef struct mbs_row_shape {
    int32_t dtype;              /* 0: no block yet */
    int32_t ndim;               /* of the block, rows included */
    int64_t dims[MBS_MAX_DIMS]; /* dims[0] is not used */
    int64_t width;              /* values in a row */
    int64_t bytes;              /* of a row */
} mbs_row_shape;

/* What the blocks of the open record said so far. Plain values: goes into checkpoints. */
typedef struct mbs_span {
    int64_t open; /* between MBS_SEQ_START and MBS_SEQ_END */
    int64_t rows;
    int64_t start; /* least coordinate of a row, greatest behind a row */
    int64_t end;
    int64_t first; /* where row 0 begins */
    int64_t hop;   /* units from row 0 to row 1, or under the only row; 0 where it cannot be told */
} mbs_span;

size_t mbs_element_size(int32_t dtype); /* 0 for an unknown type */
/* NULL where there is no such attribute. */
const char *mbs_header_attr(const mbs_stream_header *header, const char *key);
/* Path of the record's source, or NULL. */
const char *mbs_header_source(const mbs_stream_header *header, const mbs_record *record);
/* The side channel, or NULL; one of another type or width is NULL as well. */
const void *mbs_side_data(const mbs_block *block, const char *name, int32_t dtype, int32_t width);

/* Takes or compares the shape of a block's rows. MBS_ERR_INTERNAL where a block breaks its contract. */
mbs_status mbs_row_shape_check(mbs_row_shape *shape, const mbs_block *block, const mbs_host *host);

/* Source interval of row i: the "interval" side channel, else equal parts of the block. 0 where it cannot be told. */
int mbs_row_interval(const mbs_block *block, int64_t i, int64_t *start, int64_t *end);
/* Adds a block: opens the record at MBS_SEQ_START. The caller looks at the span after the block with MBS_SEQ_END and
 * then sets open to 0. A block outside of a record is MBS_ERR_INTERNAL. */
mbs_status mbs_span_add(mbs_span *span, const mbs_block *block, const mbs_host *host);

#endif
