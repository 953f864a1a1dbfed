#include "run/turned.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/nameless.h"
#include "stream/chunk.h"

#define PIECE_ROWS 4096
#define FIX "set TMPDIR to a folder with room: 4 bytes a token of the longest record"

mbs_status mbs_turned_check(const mbs_turned *t, mbs_err *err) {
    if (!(t->strands & MBS_STRAND_MINUS) || (t->vocab && t->vocab->complement)) {
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_CONFIG, "--strand", "these tokens have no complement, so there is no other strand");
    mbs_err_fix(err, "leave --strand out");
    return MBS_ERR_CONFIG;
}

static mbs_status file_failed(mbs_err *err) {
    mbs_fail(err, MBS_ERR_IO, "--strand", "the file of tokens to turn: %s", strerror(errno));
    mbs_err_fix(err, FIX);
    return MBS_ERR_IO;
}

static mbs_status make_file(mbs_turned *t, mbs_err *err) {
    int fd = -1;
    mbs_status st = mbs_nameless_open("/tmp", "tokens to turn", FIX, &fd, err);
    if (st != MBS_OK) {
        return st;
    }
    t->file = fdopen(fd, "w+b");
    if (!t->file) {
        (void)close(fd);
        return file_failed(err);
    }
    return MBS_OK;
}

static mbs_status begin(void *self, const mbs_record *record, mbs_err *err) {
    mbs_turned *t = self;
    t->waiting = 0;
    t->turning = 0;
    if (t->file && fseeko(t->file, 0, SEEK_SET) != 0) {
        return file_failed(err);
    }
    return t->to.begin(t->to.self, record, err);
}

/* A token and whether it is scored in one word. */
static mbs_status keep(mbs_turned *t, const mbs_block *tokens, int64_t from, int64_t n, mbs_err *err) {
    const mbs_side *side = mbs_block_side_find(tokens, "scored");
    const int32_t *ids = tokens->data;
    mbs_status st = t->file ? MBS_OK : make_file(t, err);
    if (st == MBS_OK && mbs_block_side_find(tokens, "target")) {
        return mbs_fail(err, MBS_ERR_CONFIG, "--strand", "an input with targets has one strand");
    }
    for (int64_t i = from; i < from + n && st == MBS_OK; i++) {
        int32_t word = ids[i] * 2 + (!side || ((const uint8_t *)side->data)[i] != 0);
        st = fwrite(&word, sizeof word, 1, t->file) == 1 ? MBS_OK : file_failed(err);
    }
    t->waiting += n;
    return st;
}

static mbs_status step(void *self, const mbs_block *tokens, int64_t from, int64_t *taken, mbs_block **out,
                       mbs_err *err) {
    mbs_turned *t = self;
    int64_t context = mbs_chunk_context_rows(tokens);
    int64_t n = tokens->shape[0] - from;
    mbs_status st = MBS_OK;
    *out = NULL;
    *taken = n < PIECE_ROWS ? n : PIECE_ROWS;
    if (t->strands & MBS_STRAND_PLUS || t->position < t->cut) {
        st = t->to.step(t->to.self, tokens, from, taken, out, err); /* ends a step at the cut */
    }
    int64_t first = from < context ? (context < from + *taken ? context : from + *taken) : from;
    int64_t own = from + *taken - first; /* without rows of context */
    if (st == MBS_OK && t->strands & MBS_STRAND_MINUS && t->position >= t->cut && own > 0) {
        st = keep(t, tokens, first, own, err);
    }
    t->position += own;
    return st;
}

/* The last n of the tokens that wait, turned. */
static mbs_status turned_block(mbs_turned *t, const mbs_record *record, int64_t n, mbs_block **out, mbs_err *err) {
    int32_t words[PIECE_ROWS];
    if (fseeko(t->file, (off_t)(t->waiting - n) * (off_t)sizeof *words, SEEK_SET) != 0 ||
        fread(words, sizeof *words, (size_t)n, t->file) != (size_t)n) {
        return file_failed(err);
    }
    mbs_block *b = mbs_block_new("tokens/i32", MBS_I32, 1, &n);
    uint8_t *scored = b ? mbs_block_side_new(b, "scored", MBS_U8, 1) : NULL;
    if (!scored) {
        mbs_block_unref(b);
        return mbs_fail_memory(err, "eval", (size_t)n * sizeof *words);
    }
    int32_t *ids = b->data;
    for (int64_t i = 0; i < n; i++) {
        int32_t word = words[n - 1 - i];
        scored[i] = (uint8_t)(word & 1);
        ids[i] = word < 0 ? -1 : t->vocab->complement[word / 2];
    }
    b->record = record;
    b->start = record->start;
    b->end = record->start + n;
    *out = b;
    return MBS_OK;
}

static mbs_status turn_piece(mbs_turned *t, const mbs_record *record, mbs_err *err) {
    int64_t n = t->waiting < PIECE_ROWS ? t->waiting : PIECE_ROWS;
    mbs_block *b = NULL;
    mbs_status st = turned_block(t, record, n, &b, err);
    for (int64_t at = 0; at < n && st == MBS_OK;) {
        int64_t taken = 0;
        mbs_block *rows = NULL;
        st = t->to.step(t->to.self, b, at, &taken, &rows, err);
        mbs_block_unref(rows);
        at += taken;
    }
    mbs_block_unref(b);
    t->waiting -= n;
    return st;
}

/* Nothing comes out of what stands behind: only its own last word is passed on. */
static mbs_status end(mbs_turned *t, const mbs_record *record, unsigned strand, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int more = 1; more && st == MBS_OK;) {
        mbs_block *rows = NULL;
        st = t->to.finish(t->to.self, record, &rows, &more, err);
        mbs_block_unref(rows);
    }
    if (st == MBS_OK) {
        t->mark(t->mark_ctx, strand);
    }
    return st;
}

static mbs_status finish(void *self, const mbs_record *record, mbs_block **out, int *more, mbs_err *err) {
    mbs_turned *t = self;
    mbs_status st = MBS_OK;
    *out = NULL;
    if (!t->turning) {
        st = end(t, record, MBS_STRAND_PLUS, err);
        t->turning = 1;
        if (st == MBS_OK && t->waiting > 0) {
            st = t->to.begin(t->to.self, record, err);
        }
    } else {
        st = turn_piece(t, record, err);
        if (st == MBS_OK && t->waiting == 0) {
            st = end(t, record, MBS_STRAND_MINUS, err);
        }
    }
    *more = t->waiting > 0;
    return st;
}

mbs_carry mbs_turned_carry(mbs_turned *t) {
    return (mbs_carry){.self = t, .begin = begin, .step = step, .finish = finish};
}

void mbs_turned_close(mbs_turned *t) {
    if (t->file) {
        (void)fclose(t->file);
        t->file = NULL;
    }
}
