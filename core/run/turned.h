/*
 * turned.h - the other strand: a carry that gives what lies behind a cut to another carry as it is, reversed and
 * complemented, or one after the other, record by record. What is turned waits in a file without a name in TMPDIR, 4
 * bytes a token.
 */
#ifndef MBS_RUN_TURNED_H
#define MBS_RUN_TURNED_H

#include <stdio.h>

#include "mambaseq/codec.h"
#include "stream/carry.h"

#define MBS_STRAND_PLUS 1u
#define MBS_STRAND_MINUS 2u

typedef struct mbs_turned {
    unsigned strands; /* MBS_STRAND_...; with both the input's own strand comes first */
    int64_t cut;      /* tokens before it go through as they are */
    const mbs_vocab *vocab;
    mbs_carry to;
    /* A record has ended on one strand (MBS_STRAND_...). */
    void (*mark)(void *ctx, unsigned strand);
    void *mark_ctx;
    /* So far. */
    FILE *file;
    int64_t position; /* tokens seen */
    int64_t waiting;  /* of this record, in the file */
    int turning;      /* the record goes through from its end */
} mbs_turned;

/* MBS_ERR_CONFIG where the vocabulary has no complement. */
mbs_status mbs_turned_check(const mbs_turned *t, mbs_err *err);
mbs_carry mbs_turned_carry(mbs_turned *t);
void mbs_turned_close(mbs_turned *t);

#endif
