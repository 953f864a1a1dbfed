#include "stream/sched.h"

#include <string.h>

#include "base/clock.h"
#include "base/stop.h"
#include "stream/chunk.h"

/* An older snapshot only means more input to read again, without model steps. */
#define SNAPSHOT_EVERY 1.0

void mbs_sched_init(mbs_sched *s, mbs_instance *reader, mbs_instance *codec, const mbs_carry *carry,
                    mbs_instance **writers, int n_writers) {
    memset(s, 0, sizeof(*s));
    mbs_source_init(&s->source, reader);
    mbs_encode_init(&s->encode, &s->source, codec);
    s->carry = carry;
    s->sink.writers = writers;
    s->sink.n = n_writers;
    s->chunk = 65536;
    s->shares = s->together = 1;
    s->journal_every = 10.0;
    s->journal_at = mbs_clock();
    s->input_checkpoints =
        (!reader || mbs_instance_can_checkpoint(reader)) && (!codec || mbs_instance_can_checkpoint(codec));
}

static void forget_waiting(mbs_sched *s) {
    for (int64_t i = 0; i < s->n_waiting; i++) {
        mbs_block_unref(s->waiting[i]);
    }
    s->n_waiting = s->waiting_rows = 0;
    s->skipped[0] = 0;
}

/* What a model gave for a record, to whoever listens and to the writers. */
static mbs_status give(mbs_sched *s, const mbs_record *of, mbs_block *out, mbs_err *err) {
    mbs_status st = out && s->tap && s->tap->block ? s->tap->block(s->tap->self, of, out, err) : MBS_OK;
    if (st != MBS_OK) {
        mbs_block_unref(out);
        return st;
    }
    return mbs_sink_write(&s->sink, out, err);
}

static void tell_rows(const mbs_sched *s, const mbs_block *b, int64_t from, int64_t n) {
    if (s->tap) {
        s->tap->rows(s->tap->self, b, from, n);
    }
}

void mbs_sched_clear(mbs_sched *s) {
    forget_waiting(s);
    mbs_source_clear(&s->source);
    mbs_journal_free(&s->snapshot);
    memset(&s->snapshot, 0, sizeof(s->snapshot));
}

/* Remembers where reader and codec stand. Only called between two pulls. */
static mbs_status take_snapshot(mbs_sched *s, mbs_err *err) {
    double t = mbs_clock();
    int replays = s->carry && s->carry->again;
    if (!s->journal_path || !s->input_checkpoints || replays ||
        (s->snapshot.has_input && t - s->snapshot_at < SNAPSHOT_EVERY)) {
        return MBS_OK;
    }
    mbs_buf_clear(&s->snapshot.reader);
    mbs_buf_clear(&s->snapshot.codec);
    mbs_status st = s->source.reader ? mbs_instance_save(s->source.reader, &s->snapshot.reader, err) : MBS_OK;
    if (st == MBS_OK && s->encode.codec) {
        st = mbs_instance_save(s->encode.codec, &s->snapshot.codec, err);
    }
    s->snapshot.from = s->place;
    s->snapshot.has_input = 1;
    s->snapshot_at = t;
    return st;
}

static int64_t records_again(const mbs_sched *s) {
    return s->carry && s->carry->again ? s->carry->again(s->carry->self) : 0;
}

mbs_status mbs_sched_journal(mbs_sched *s, mbs_err *err) {
    int64_t again = records_again(s);
    mbs_journal j = s->snapshot; /* borrows the input states */
    memset(&j.identity, 0, sizeof(j.identity));
    mbs_buf_append(&j.identity, s->identity->data, s->identity->len);
    memset(&j.carry, 0, sizeof(j.carry));
    memset(&j.sink, 0, sizeof(j.sink));
    j.place = again ? (mbs_place){s->place.records_begun - again, 0, MBS_PHASE_BETWEEN} : s->place;
    j.pending_start = s->pending_start;
    mbs_status st = mbs_sink_save(&s->sink, &j.sink, err);
    if (st == MBS_OK && s->carry) {
        st = s->carry->save(s->carry->self, &j.carry, err);
    }
    if (st == MBS_OK && s->tap) {
        st = s->tap->save(s->tap->self, &j.sink, err);
    }
    mbs_buf_put_i64(&j.carry, s->ended > s->ended_before ? s->ended : s->ended_before);
    mbs_buf_put_i64(&j.carry, again ? s->rows_before : s->rows_done);
    if (st == MBS_OK) {
        st = mbs_journal_write(&j, s->journal_path, s->journal_previous, err);
    }
    mbs_buf_free(&j.identity);
    mbs_buf_free(&j.carry);
    mbs_buf_free(&j.sink);
    s->journal_at = mbs_clock();
    s->journalled |= st == MBS_OK;
    return st;
}

/* Between two steps: progress, the journal when its time has come, a request to stop. */
static mbs_status breathe(mbs_sched *s, mbs_err *err) {
    if (s->tick) {
        s->tick(s->tick_ctx, s->place.records_begun - (s->place.phase != MBS_PHASE_BETWEEN), s->rows_done);
    }
    int stop = mbs_stop_requested();
    mbs_status st = MBS_OK;
    if (stop && !s->ending && !s->seeking && s->carry && s->carry->end_early) {
        s->ending = s->carry->end_early(s->carry->self);
    }
    if (s->ending) {
        return MBS_OK;
    }
    /* While seeking, model and writers are ahead of the input; the journal on disk still tells the truth. */
    if (s->journal_path && !s->seeking && (stop || mbs_clock() - s->journal_at >= s->journal_every)) {
        st = mbs_sched_journal(s, err);
    }
    if (st == MBS_OK && stop) {
        st = mbs_fail(err, MBS_ERR_STOPPED, NULL, "stopped by a signal");
    }
    return st;
}

mbs_status mbs_sched_resume(mbs_sched *s, mbs_journal *j, mbs_err *err) {
    if (j->carry.len < 16) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "it is cut short");
    }
    size_t n = j->carry.len - 16;
    mbs_cursor tail = {(const unsigned char *)j->carry.data + n, 16, 0};
    s->ended_before = mbs_cursor_i64(&tail);
    s->rows_done = mbs_cursor_i64(&tail);
    s->pending_start = j->pending_start;
    if (s->carry) {
        mbs_status st = s->carry->restore(s->carry->self, j->carry.data, n, err);
        if (st != MBS_OK) {
            return st;
        }
    }
    /* `place` counts what has been pulled; it catches up with the journal's place in skip_to. */
    mbs_place start = {0, 0, MBS_PHASE_BETWEEN};
    s->place = j->has_input ? j->from : start;
    s->source.records_begun = s->begun = s->place.records_begun;
    s->goal = j->place;
    s->seeking = 1;
    s->journalled = 1;
    s->snapshot.reader = j->reader;
    s->snapshot.codec = j->codec;
    s->snapshot.from = j->from;
    s->snapshot.has_input = j->has_input;
    memset(&j->reader, 0, sizeof(j->reader));
    memset(&j->codec, 0, sizeof(j->codec));
    return MBS_OK;
}

/* Without a model: blocks go on as they are, less the rows of context. */
static mbs_status pass(mbs_sched *s, mbs_block *b, mbs_err *err) {
    int64_t rows = b->shape[0];
    int64_t context = mbs_chunk_context_rows(b);
    tell_rows(s, b, 0, rows);
    s->pending_start |= (b->flags & MBS_SEQ_START) != 0;
    s->place.rows += rows;
    s->rows_done += rows - context;
    if (context == 0) {
        b->flags |= s->pending_start ? MBS_SEQ_START : 0u;
        s->pending_start = 0;
        return mbs_sink_write(&s->sink, b, err);
    }
    mbs_block *part = NULL;
    if (context < rows || (b->flags & MBS_SEQ_END)) {
        part = mbs_chunk_of(b, context, rows);
        if (!part) {
            mbs_block_unref(b);
            return mbs_fail_memory(err, "stream", (size_t)rows);
        }
        part->flags |= s->pending_start ? MBS_SEQ_START : 0u;
        s->pending_start = 0;
    }
    mbs_status st = mbs_sink_write(&s->sink, part, err);
    mbs_block_unref(b);
    return st;
}

static mbs_status finish_record(mbs_sched *s, mbs_err *err) {
    s->place.phase = MBS_PHASE_FINISHING;
    for (int more = s->carry != NULL; more;) {
        mbs_block *out = NULL;
        mbs_status st = s->carry->finish(s->carry->self, s->source.record, &out, &more, err);
        if (st == MBS_OK) {
            st = give(s, s->source.record, out, err);
        }
        if (st == MBS_OK && more) {
            st = breathe(s, err);
        }
        if (st != MBS_OK) {
            return st;
        }
    }
    s->place.phase = MBS_PHASE_BETWEEN;
    s->place.rows = 0;
    int told = s->ended++ < s->ended_before;
    if (records_again(s) == 0) {
        s->ended = s->ended_before = 0;
    }
    return s->tap && !told ? s->tap->end(s->tap->self, s->source.record, err) : MBS_OK;
}

/* What a step made possible. */
static mbs_status also(mbs_sched *s, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int more = s->carry->also != NULL; more && st == MBS_OK;) {
        mbs_block *out = NULL;
        st = s->carry->also(s->carry->self, s->source.record, &out, &more, err);
        st = st == MBS_OK ? give(s, s->source.record, out, err) : st;
        st = st == MBS_OK && more ? breathe(s, err) : st;
    }
    return st;
}

/* Feeds rows [from, rows) of a block to the model. Consumes the block. */
static mbs_status feed(mbs_sched *s, mbs_block *b, int64_t from, mbs_err *err) {
    int64_t rows = b->shape[0];
    int64_t context = mbs_chunk_context_rows(b);
    mbs_status st = MBS_OK;
    while (from < rows && st == MBS_OK) {
        int64_t taken = 0;
        mbs_block *out = NULL;
        st = s->carry->step(s->carry->self, b, from, &taken, &out, err);
        if (st == MBS_OK && taken <= 0 && !out) {
            st = mbs_fail(err, MBS_ERR_INTERNAL, "model", "a step that takes nothing and gives nothing");
        }
        if (st != MBS_OK) {
            break;
        }
        int64_t shown = from > context ? from : context; /* rows of context are no progress */
        tell_rows(s, b, from, taken);
        from += taken;
        s->place.rows += taken;
        s->rows_done += from > shown ? from - shown : 0;
        st = give(s, s->source.record, out, err);
        st = st == MBS_OK ? also(s, err) : st;
        /* At the very end of a record the next breath comes after finish. */
        if (st == MBS_OK && (from < rows || !(b->flags & MBS_SEQ_END))) {
            st = breathe(s, err);
            st = st == MBS_OK && s->ending ? MBS_END : st; /* nothing of this record has gone to the writers */
        }
    }
    mbs_block_unref(b);
    return st;
}

/* Moves `place` over the rows of b that the journal says are done. Gives the first row still to do, or -1 where all of
 * b is done; ends the seeking when the place is reached. */
static int64_t skip_to(mbs_sched *s, const mbs_block *b) {
    const mbs_place *goal = &s->goal;
    int64_t rows = b->shape[0];
    int ends = (b->flags & MBS_SEQ_END) != 0;
    if (s->place.records_begun == goal->records_begun && goal->phase != MBS_PHASE_BETWEEN) {
        int64_t left = goal->rows - s->place.rows;
        if (left < rows || (left == rows && ends)) {
            s->place.rows = goal->rows;
            s->seeking = 0;
            return left;
        }
    }
    s->place.rows += rows;
    if (ends) {
        s->place.phase = MBS_PHASE_BETWEEN;
        s->place.rows = 0;
    }
    return -1;
}

static int reached(const mbs_place *a, const mbs_place *goal) {
    return a->records_begun == goal->records_begun && a->rows == goal->rows && a->phase == goal->phase;
}

static mbs_status one_block(mbs_sched *s, mbs_block *b, mbs_err *err) {
    int ends = (b->flags & MBS_SEQ_END) != 0;
    if (b->flags & MBS_SEQ_START) {
        s->place.records_begun++;
        s->place.rows = 0;
        s->place.phase = MBS_PHASE_ROWS;
    }
    int64_t from = 0;
    int finishing = 0;
    int sought = s->seeking;
    if (sought) {
        finishing = s->goal.phase == MBS_PHASE_FINISHING;
        from = skip_to(s, b);
        if (from < 0) {
            mbs_block_unref(b);
            return MBS_OK;
        }
    }
    mbs_status st = MBS_OK;
    if (!sought && s->tap && (b->flags & MBS_SEQ_START)) {
        st = s->tap->begin(s->tap->self, s->source.record, s->begun - 1, err);
    }
    if (st == MBS_OK && !sought && s->carry && (b->flags & MBS_SEQ_START)) {
        s->rows_before = records_again(s) ? s->rows_before : s->rows_done;
        st = s->carry->begin(s->carry->self, s->source.record, err);
    }
    if (st != MBS_OK || (sought && finishing)) {
        mbs_block_unref(b);
    } else if (s->carry) {
        st = feed(s, b, from, err);
    } else if (sought && from > 0) {
        mbs_block *rest = mbs_chunk_of(b, from, b->shape[0]);
        mbs_block_unref(b);
        st = rest ? pass(s, rest, err) : mbs_fail_memory(err, "stream", 0);
    } else {
        st = pass(s, b, err);
    }
    if (st == MBS_OK && ends) {
        st = finish_record(s, err);
    }
    return st;
}

/* What one of the records that wait gave. Consumes it. */
static mbs_status give_whole(mbs_sched *s, int64_t i, mbs_block *out, mbs_err *err) {
    const mbs_block *b = s->waiting[i];
    s->place.records_begun += s->skipped[i] + 1;
    s->rows_done += b->shape[0] - mbs_chunk_context_rows(b);
    mbs_status st = MBS_OK;
    if (s->tap) {
        st = s->tap->begin(s->tap->self, b->record, s->place.records_begun - 1, err);
        tell_rows(s, b, 0, b->shape[0]);
    }
    if (st != MBS_OK) {
        mbs_block_unref(out);
        return st;
    }
    st = give(s, b->record, out, err);
    return st == MBS_OK && s->tap ? s->tap->end(s->tap->self, b->record, err) : st;
}

/* The records that wait go through the model and to the writers. */
static mbs_status work_off_waiting(mbs_sched *s, mbs_err *err) {
    mbs_status st = MBS_OK;
    int64_t done = 0;
    while (done < s->n_waiting && st == MBS_OK) {
        int64_t taken = 0;
        st = s->carry->many(s->carry->self, s->waiting + done, s->n_waiting - done, &taken, s->given, err);
        for (int64_t i = 0; i < taken && st == MBS_OK; i++) {
            st = give_whole(s, done + i, s->given[i], err);
            s->given[i] = NULL;
        }
        for (int64_t i = 0; i < taken; i++) { /* left over by a write that failed */
            mbs_block_unref(s->given[i]);
            s->given[i] = NULL;
        }
        done += taken;
        if (done < s->n_waiting && st == MBS_OK) {
            st = breathe(s, err);
        }
    }
    s->place.records_begun += st == MBS_OK ? s->skipped[s->n_waiting] : 0;
    forget_waiting(s);
    return st;
}

/* Whether the record of a block is for this run. */
static int is_ours(mbs_sched *s, const mbs_block *b) {
    int starts = (b->flags & MBS_SEQ_START) != 0;
    s->begun += starts;
    if (s->shares < 2 || s->seeking || (s->begun - 1) / s->together % s->shares == s->share) {
        return 1; /* while seeking, rows are only counted */
    }
    if (s->n_waiting) {
        s->skipped[s->n_waiting] += starts;
    } else {
        s->place.records_begun += starts;
    }
    return 0;
}

/* Whether a block is a whole record, short enough to go through the model with others. */
static int is_short(const mbs_sched *s, const mbs_block *b) {
    const uint32_t whole = MBS_SEQ_START | MBS_SEQ_END;
    if (s->seeking || !s->carry || !s->carry->many || (b->flags & whole) != whole) {
        return 0;
    }
    int64_t half = s->carry->many_rows(s->carry->self) / 2;
    return half > 0 && b->shape[0] <= half;
}

/* Short records wait for company; everything else first lets those go that came before it. */
static mbs_status take_block(mbs_sched *s, mbs_block *b, mbs_err *err) {
    if (!is_ours(s, b)) {
        mbs_block_unref(b);
        return MBS_OK;
    }
    if (!is_short(s, b)) {
        mbs_status st = work_off_waiting(s, err);
        if (st == MBS_OK) {
            return one_block(s, b, err);
        }
        mbs_block_unref(b);
        return st;
    }
    mbs_block_hold_record(b, s->source.record);
    s->waiting[s->n_waiting++] = b;
    s->skipped[s->n_waiting] = 0;
    s->waiting_rows += b->shape[0];
    /* Full where another record like this one would be too much. */
    int full = s->n_waiting == MBS_SCHED_MANY || s->waiting_rows + b->shape[0] > s->carry->many_rows(s->carry->self);
    return full ? work_off_waiting(s, err) : MBS_OK;
}

mbs_status mbs_sched_run(mbs_sched *s, mbs_err *err) {
    for (;;) {
        if (s->seeking && reached(&s->place, &s->goal)) {
            s->seeking = 0;
        }
        /* Where records wait the reader is ahead of `place`: an older snapshot serves. */
        mbs_status st = s->seeking || s->n_waiting ? MBS_OK : take_snapshot(s, err);
        mbs_block *b = NULL;
        if (st == MBS_OK) {
            s->encode.no_wait = s->n_waiting > 0;
            st = mbs_encode_next(&s->encode, s->chunk, &b, err);
        }
        if (st == MBS_END && s->seeking) {
            return mbs_fail(err, MBS_ERR_DATA, "journal", "the input ends before the place of the journal");
        }
        if (st == MBS_END) {
            return work_off_waiting(s, err);
        }
        if (st == MBS_AGAIN) {
            st = work_off_waiting(s, err); /* what is there is not held back for what may come */
        } else if (st == MBS_OK) {
            st = take_block(s, b, err);
        }
        if (st == MBS_OK) {
            st = breathe(s, err);
        }
        if (st != MBS_OK || s->ending) {
            return s->ending && st == MBS_END ? MBS_OK : st;
        }
    }
}
