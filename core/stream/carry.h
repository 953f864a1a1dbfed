/*
 * carry.h - what the stream knows of a model: something that is fed rows of tokens in order, carries a state from one
 * call to the next, and gives rows for the writers. core/run implements it for every task; the stream never sees a
 * model.
 */
#ifndef MBS_STREAM_CARRY_H
#define MBS_STREAM_CARRY_H

#include "base/buf.h"
#include "base/err.h"
#include "mambaseq/block.h"

typedef struct mbs_carry {
    void *self;
    /* A record begins: the state of a sequence's beginning. */
    mbs_status (*begin)(void *self, const mbs_record *record, mbs_err *err);
    /* Takes rows [from, ...) of a token block, as many as it likes (at least one, or none where it gives rows), tells
     * how many in *taken, and gives the rows that are ready in *out (or NULL). Comes back within about half a second,
     * so that a request to stop is heard. */
    mbs_status (*step)(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err);
    /* The record's rows are all in. Gives what only the end can give (a pooled row, generated tokens) piece by piece:
     * called until *more is 0. */
    mbs_status (*finish)(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err);
    /* Everything that the calls above depend on. */
    mbs_status (*save)(void *self, mbs_buf *out, mbs_err *err);
    mbs_status (*restore)(void *self, const void *bytes, size_t n, mbs_err *err);
    /* Both or neither. How many rows of whole records it would like to be given together now; below 2: none. */
    int64_t (*many_rows)(void *self);
    /* Whole records side by side: each block is all of one (SEQ_START and SEQ_END) and holds its record. Takes the
     * first ones, as many as it likes (at least one), tells how many in *taken, and gives in out[i] all that record i
     * has to give: the rows that begin, step and finish would have given. After an error nothing is given. Comes back
     * as fast as step; afterwards the carry stands between two records. */
    mbs_status (*many)(void *self, mbs_block *const *tokens, int64_t n, int64_t *taken, mbs_block **out, mbs_err *err);
    /* May be NULL. Called after every step until *more is 0: work that the rows which were taken made possible, piece
     * by piece, each as short as a step, and what is ready of it. */
    mbs_status (*also)(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err);
    /* May be NULL. Somebody asked to stop: 1 where the present record is brought to its end at once, so that what was
     * given is complete, and no more is wanted; 0: the run stops where it is. */
    int (*end_early)(void *self);
    /* May be NULL: save holds where it stands. How many records, the present one with them, a resumed run goes through
     * again, for save holds only how much was given of them: restored, it gives nothing until it has come as far. 0
     * between two records that have nothing to do with each other. */
    int64_t (*again)(const void *self);
} mbs_carry;

/* One record for several that run side by side; the first that fails ends it. */
static inline mbs_status mbs_carry_begin_all(const mbs_carry *of, int n, const mbs_record *record, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int k = 0; k < n && st == MBS_OK; k++) {
        st = of[k].begin(of[k].self, record, err);
    }
    return st;
}

#endif
