/* A checkpoint of a table: the length of the file, what the open record summed up, and its letters. */
#include <string.h>

#include "table.h"

static mbs_status table_save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    mbs_table *t = self;
    mbs_status st = mbs_spool_sync(&t->out);
    if (st < 0) {
        return st;
    }
    t->at.length = t->out.length;
    t->at.sequence = (int64_t)t->sequence.len;
    st = put(sink, &t->at, sizeof t->at);
    return st < 0 || t->sequence.len == 0 ? st : put(sink, t->sequence.data, t->sequence.len);
}

static mbs_status table_restore(void *self, const void *bytes, size_t n) {
    mbs_table *t = self;
    mbs_table_counts at;
    if (n < sizeof at) {
        return t->host->fail(t->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is cut short", t->path);
    }
    memcpy(&at, bytes, sizeof at);
    if (at.version != t->at.version || at.length < 0 || at.sequence < 0 || (uint64_t)at.sequence != n - sizeof at) {
        return t->host->fail(t->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", t->path);
    }
    mbs_text_append(&t->sequence, (const char *)bytes + sizeof at, n - sizeof at);
    if (t->sequence.failed) {
        return t->host->fail(t->host, MBS_ERR_MEMORY, NULL, "no memory for a sequence of %zu letters", n - sizeof at);
    }
    t->at = at;
    t->restored = 1;
    return MBS_OK;
}

const mbs_ext_checkpoint mbs_table_checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = table_save,
    .restore = table_restore,
};
