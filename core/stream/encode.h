/*
 * encode.h - letters become tokens: pulls from the source, gives what the codec makes of it. Without a codec blocks
 * pass as they are.
 */
#ifndef MBS_STREAM_ENCODE_H
#define MBS_STREAM_ENCODE_H

#include "stream/source.h"

typedef struct mbs_encode_stage {
    mbs_source_stage *source;
    mbs_instance *codec; /* NULL: none */
    int draining;
    int decode;  /* what was encoded is decoded again before it goes on */
    int no_wait; /* MBS_AGAIN comes back instead of being waited out */
} mbs_encode_stage;

void mbs_encode_init(mbs_encode_stage *e, mbs_source_stage *source, mbs_instance *codec);
/* MBS_OK with a block, MBS_END or an error. Waits where the reader says MBS_AGAIN (or, with no_wait, says it too); a
 * request to stop ends the waiting with MBS_ERR_STOPPED. */
mbs_status mbs_encode_next(mbs_encode_stage *e, int64_t max_rows, mbs_block **out, mbs_err *err);

#endif
