/*
 * checkpoint.h - the journal of a run: where it was, and what it was.
 *
 * A file of sections with a SHA-256 at its end, written beside the first output: new file, fsync, the old one becomes
 * the previous one, rename. A damaged journal falls back to the previous one. It holds the identity of the run
 * (pipeline, model, inputs, plugins), the place in the input, and the states of reader, codec, model and writers.
 */
#ifndef MBS_STREAM_CHECKPOINT_H
#define MBS_STREAM_CHECKPOINT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

typedef enum mbs_phase {
    MBS_PHASE_BETWEEN = 0,  /* records_begun records are complete */
    MBS_PHASE_ROWS = 1,     /* inside the rows of record records_begun (1-based) */
    MBS_PHASE_FINISHING = 2 /* all its rows are in, what comes at its end is not all out */
} mbs_phase;

typedef struct mbs_place {
    int64_t records_begun;
    int64_t rows; /* of the open record that were taken */
    mbs_phase phase;
} mbs_place;

typedef struct mbs_journal {
    mbs_buf identity; /* (i64 length, bytes) key, value, key, value, ... */
    mbs_place place;  /* where the model stands */
    mbs_place from;   /* where `reader` and `codec` continue: at or before `place` */
    int has_input;    /* reader and codec states are there; else the input is replayed from its beginning */
    int pending_start;
    mbs_buf reader, codec, carry, sink;
} mbs_journal;

void mbs_journal_free(mbs_journal *j);
void mbs_journal_add_identity(mbs_buf *identity, const char *key, const char *value);
/* `previous` may be NULL. */
mbs_status mbs_journal_write(const mbs_journal *j, const char *path, const char *previous, mbs_err *err);
/* MBS_ERR_NOINPUT where there is none; *used_previous tells a fallback. */
mbs_status mbs_journal_read(mbs_journal *j, const char *path, const char *previous, int *used_previous, mbs_err *err);
/* MBS_ERR_DATA that names the first thing that differs between the journal's identity and this run's. */
mbs_status mbs_journal_same_run(const mbs_journal *j, const mbs_buf *identity, mbs_err *err);

#endif
