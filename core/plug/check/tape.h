/*
 * tape.h - what a plugin delivered, put together so that where its blocks ended cannot be seen any more.
 */
#ifndef MBS_PLUG_CHECK_TAPE_H
#define MBS_PLUG_CHECK_TAPE_H

#include "base/buf.h"
#include "mambaseq/block.h"

/* Where a record's rows lie on the tape. */
typedef struct mbs_mark {
    size_t from, to;
    size_t each; /* bytes of a row */
    int64_t index;
    char name[48];
} mbs_mark;

#define MBS_TAPE_NAMES 1
#define MBS_TAPE_ROWS 2

typedef struct mbs_tape {
    mbs_buf bytes;
    mbs_mark *marks;
    size_t n_marks, cap_marks;
    int64_t rows;
    int open;            /* a record has begun */
    int64_t end;         /* of its last block */
    int64_t record_rows; /* of the record at hand */
    mbs_buf sides[MBS_MAX_SIDES];
    size_t side_each[MBS_MAX_SIDES]; /* bytes of a row */
    char side_names[MBS_MAX_SIDES][48];
    int n_sides;
    int bare;   /* MBS_TAPE_NAMES: of a record only number and name; MBS_TAPE_ROWS: only its number */
    int failed; /* without memory */
} mbs_tape;

void mbs_tape_block(mbs_tape *t, const mbs_block *b);
void mbs_tape_bytes(mbs_tape *t, const char *name, const void *bytes, size_t n);
/* The stream is over, or is left: `whole` adds where the last record ended. */
void mbs_tape_end(mbs_tape *t, int whole);
void mbs_tape_free(mbs_tape *t);
/* Nonzero where they differ, with words: "record 2 'two' differs from row 7 on". */
int mbs_tape_differs(const mbs_tape *a, const mbs_tape *b, mbs_buf *why);

#endif
