/*
 * task_compress.h - what tasks compress and decompress share.
 *
 * A stream of rows (rowcode.h) and tokens, the latter coded with what the model predicts; behind the last row its end
 * and a sum over everything. Compressing takes rows as they come, decompressing goes token by token: both have the same
 * predictions because a row of the model has the same bits however it is cut.
 */
#ifndef MBS_RUN_TASK_COMPRESS_H
#define MBS_RUN_TASK_COMPRESS_H

#include "run/rowcode.h"
#include "run/task.h"

/* In the container's header and behind these names in the stream that its reader gives. */
#define MBS_PACKED "packed_"

typedef struct mbs_packer {
    mbs_task_env env;
    mbs_session *session;
    mbs_rowcode rows;
    float *predicted; /* vocab_rows: of the next token */
    int has_predicted;
    uint32_t *counts; /* vocab size */
    int32_t n_ids;
    int begun; /* SEQ_START was given */
    int done;  /* SEQ_END was given */
    uint64_t sum;
    int64_t position;
    mbs_task_totals totals;
} mbs_packer;

mbs_status mbs_packer_init(mbs_packer *p, const mbs_task_env *env, int64_t max_rows, mbs_err *err);
void mbs_packer_free(mbs_packer *p);
/* The counts of the next token from p->predicted or, where there is one, from `row`. */
mbs_status mbs_packer_counts(mbs_packer *p, const float *row, uint32_t *total, mbs_err *err);
void mbs_packer_sum(mbs_packer *p, int32_t id, uint8_t byte);
mbs_status mbs_packer_save(mbs_packer *p, mbs_buf *out, mbs_err *err);
mbs_status mbs_packer_restore(mbs_packer *p, mbs_cursor *c, mbs_err *err);

#endif
