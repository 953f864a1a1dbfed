/*
 * source.h - the head of the stream: a reader and the record that is passing.
 *
 * A reader lends its record until its next read only; the source keeps a copy for everything downstream, and gives
 * every block that copy. It also stamps the ordinal of the record in the stream.
 */
#ifndef MBS_STREAM_SOURCE_H
#define MBS_STREAM_SOURCE_H

#include "plug/instance.h"

typedef struct mbs_source_stage {
    mbs_instance *reader; /* NULL: `empty_records` records without rows (prompts of a generation without a reader) */
    int64_t empty_records;
    mbs_record *record;    /* the host's copy of the record that is passing, or NULL between records */
    int64_t records_begun; /* so far */
} mbs_source_stage;

void mbs_source_init(mbs_source_stage *s, mbs_instance *reader);
/* MBS_OK with a block (record = the host's copy), MBS_END, MBS_AGAIN or an error. */
mbs_status mbs_source_next(mbs_source_stage *s, int64_t max_rows, mbs_block **out, mbs_err *err);
void mbs_source_clear(mbs_source_stage *s);

#endif
