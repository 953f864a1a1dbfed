/* What a reader tells beside its sequences (ext/edits.h), verified like everything that comes from a plugin. */
#include <string.h>

#include "plug/block.h"
#include "plug/instance_impl.h"

int mbs_reader_has_edits(const mbs_instance *i) {
    return i->edits != NULL;
}

mbs_status mbs_reader_want_edits(mbs_instance *i, uint32_t strands, int64_t follow, mbs_err *err) {
    mbs_status rc = mbs_call_enter(i, "want", MBS_KIND_READER, MBS_IN(MBS_STATE_CREATED), err);
    if (rc == MBS_OK) {
        rc = i->edits->want(i->self, strands, follow);
        mbs_call_leave(i);
        rc = mbs_call_settle(i, "want", rc, MBS_OK, err);
    }
    return rc;
}

/* Where the units of a row begin, and that they end. */
static int verify_inserted(const mbs_block *b, const mbs_side *inserted, int64_t at, mbs_buf *why) {
    const int32_t *units = inserted->data;
    int64_t room = mbs_block_rows_made(b);
    while (at >= 0 && at < room && units[at] >= 0) {
        at++;
    }
    if (at < 0 || at >= room) {
        mbs_buf_puts(why, "gave an edit whose inserted units lie outside of their side channel");
        return -1;
    }
    return 0;
}

static int verify_edits(const mbs_block *b, int64_t before, mbs_buf *why) {
    if (mbs_verify_block(b, "edits", why)) {
        return -1;
    }
    const mbs_side *inserted = mbs_block_side_find(b, "inserted");
    if (b->shape[1] != 3 || (b->shape[0] > 0 && (!inserted || inserted->dtype != MBS_I32 || inserted->width != 1)) ||
        b->flags != (MBS_SEQ_START | MBS_SEQ_END)) {
        mbs_buf_puts(why, "gave edits that are not rows of three with a side channel 'inserted', or not whole");
        return -1;
    }
    if (b->start >= before) {
        mbs_buf_printf(why, "gave edits at %lld, must lie before %lld", (long long)b->start, (long long)before);
        return -1;
    }
    for (int64_t r = 0; r < b->shape[0]; r++) {
        const int64_t *row = (const int64_t *)b->data + 3 * r;
        int made = row[1] >= 0;
        if (made ? row[0] != b->start || row[1] != b->end - b->start
                 : row[1] != -1 || row[2] < 1 || row[2] >= MBS_EDIT_REASONS) {
            mbs_buf_printf(why, "gave an edit of %lld units at %lld, or a reason %lld that there is not",
                           (long long)row[1], (long long)row[0], (long long)row[2]);
            return -1;
        }
        if (made && verify_inserted(b, inserted, row[2], why)) {
            return -1;
        }
    }
    return 0;
}

static mbs_status next_edits(mbs_instance *i, int64_t before, mbs_block **out, mbs_err *err) {
    mbs_block *b = NULL;
    mbs_status rc = mbs_call_settle(i, "next", i->edits->next(i->self, before, &b), MBS_END, err);
    if (b && !mbs_block_is_live(b)) {
        return mbs_call_lost(i, "next", "gave a block that the host did not make, or that was given back already", err);
    }
    if (b) {
        mbs_block_own(b, NULL);
    }
    if (rc != MBS_OK) {
        mbs_block_unref(b);
        return rc;
    }
    mbs_buf why = MBS_BUF_INIT;
    if (verify_edits(b, before, &why)) {
        return mbs_call_reject(i, "next", &why, &b, err);
    }
    *out = b;
    return rc;
}

mbs_status mbs_reader_next_edits(mbs_instance *i, int64_t before, mbs_block **out, mbs_err *err) {
    *out = NULL;
    unsigned states = MBS_IN(MBS_STATE_RUNNING) | MBS_IN(MBS_STATE_DRAINED);
    mbs_status rc = mbs_call_enter(i, "next", MBS_KIND_READER, states, err);
    if (rc == MBS_OK) {
        rc = next_edits(i, before, out, err);
        mbs_call_leave(i);
    }
    return rc;
}
