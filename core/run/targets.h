/*
 * targets.h - how many of the targets of an input (side channel "target") a model meets, token by token and record by
 * record.
 */
#ifndef MBS_RUN_TARGETS_H
#define MBS_RUN_TARGETS_H

#include "base/err.h"
#include "mambaseq/block.h"

/* Zero it first. */
typedef struct mbs_targets {
    int64_t asked;
    int64_t right;                  /* of these, those with the largest logit; the first of equals */
    double logprob;                 /* sum of ln P over the asked */
    int64_t records;                /* that ended and asked for something */
    int64_t exact;                  /* of these, those with everything right */
    int64_t asked_here, right_here; /* in the record that has begun */
} mbs_targets;

/* What each fed row (id >= 0) of a block asks for, -1 nothing (also rows of context), in the order of the rows;
 * `wanted` has room for all rows. *any: whether the block has targets at all. MBS_ERR_DATA for one that is not below
 * `vocab`. */
mbs_status mbs_targets_of(const mbs_block *tokens, int64_t vocab, int32_t *wanted, int *any, mbs_err *err);

void mbs_targets_begin(mbs_targets *t);
/* The logits of one row that asks for `want`. */
void mbs_targets_row(mbs_targets *t, const float *logits, int64_t vocab, int32_t want);
void mbs_targets_end(mbs_targets *t);

#endif
