/*
 * sched.h - the loop that moves a stream: encode -> carry -> sink, journalling on the way.
 *
 * One thread drives the stages in turn; the compute threads are the backend's. Between any two steps the loop can stop:
 * it journals and comes back with MBS_ERR_STOPPED. Because the numbers do not depend on cuts, a resumed run may cut
 * elsewhere and still write the same bytes.
 *
 * Of a stream that several runs share out, only every shares-th unit is worked on; the others are read and let go.
 *
 * Short records that come whole go through the model side by side, where the carry can do that: they wait until there
 * are rows enough for one call, and count as read only then. The numbers do not depend on who rides along.
 */
#ifndef MBS_STREAM_SCHED_H
#define MBS_STREAM_SCHED_H

#include "stream/carry.h"
#include "stream/checkpoint.h"
#include "stream/encode.h"
#include "stream/sink.h"
#include "stream/tap.h"

/* The most records that wait to go through the model together. */
#define MBS_SCHED_MANY 512

typedef struct mbs_sched {
    mbs_source_stage source;
    mbs_encode_stage encode;
    const mbs_carry *carry; /* NULL: blocks go to the writers as they are */
    mbs_sink sink;
    const mbs_tap *tap; /* NULL: nobody listens */
    int64_t chunk;      /* rows asked of the reader at a time */

    /* Unit u of the stream, `together` records each (the strands of a contig), is this run's where u mod shares is
     * share. */
    int64_t share, shares, together;

    /* Journalling; journal_path NULL: off. */
    const char *journal_path;
    const char *journal_previous;
    const mbs_buf *identity;
    double journal_every; /* seconds */

    /* Called now and then, may be NULL. */
    void (*tick)(void *ctx, int64_t records, int64_t rows);
    void *tick_ctx;

    /* The loop's own. */
    mbs_place place;
    mbs_place goal; /* while seeking: where the journal stood; `place` is on its way there */
    int seeking;
    mbs_journal snapshot; /* input states at some point at or before `place`, with `from` */
    double snapshot_at;
    double journal_at;
    int input_checkpoints; /* reader and codec can save */
    int pending_start;     /* without a model: SEQ_START is still to be written */
    /* Short records that wait to go through the model together. `place` and the journal know nothing of them yet. */
    mbs_block *waiting[MBS_SCHED_MANY];
    mbs_block *given[MBS_SCHED_MANY];
    int64_t skipped[MBS_SCHED_MANY + 1]; /* records of others that came before each of them, and behind the last */
    int64_t n_waiting;
    int64_t waiting_rows;
    int64_t begun; /* records that have come in, those of others and those that wait too */
    int64_t rows_done;
    /* Where the carry goes through records again (carry.h): what was done when the first of them began, how many of
     * them have ended, and how many had when the run that is resumed wrote its journal. */
    int64_t rows_before;
    int64_t ended;
    int64_t ended_before;
    int ending;     /* asked to stop, and the carry brings to an end what it has (carry.h, end_early) */
    int journalled; /* a journal was written by this run */
} mbs_sched;

/* Fills in the stages; the rest of the public members are set by the caller. */
void mbs_sched_init(mbs_sched *s, mbs_instance *reader, mbs_instance *codec, const mbs_carry *carry,
                    mbs_instance **writers, int n_writers);
/* Takes up what a journal says: restores carry, and takes over the journal's input states. Reader, codec and writers
 * were restored by the caller, before their open. */
mbs_status mbs_sched_resume(mbs_sched *s, mbs_journal *j, mbs_err *err);
/* Runs to the end of the input. MBS_ERR_STOPPED: asked to stop (journalled where it is on). The sink is not finished.
 */
mbs_status mbs_sched_run(mbs_sched *s, mbs_err *err);
/* Writes the journal now, between two steps. */
mbs_status mbs_sched_journal(mbs_sched *s, mbs_err *err);
void mbs_sched_clear(mbs_sched *s);

#endif
