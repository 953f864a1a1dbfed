#include "stream/source.h"

#include <stdio.h>
#include <string.h>

void mbs_source_init(mbs_source_stage *s, mbs_instance *reader) {
    memset(s, 0, sizeof(*s));
    s->reader = reader;
}

/* The next empty prompt: one block without rows. */
static mbs_status next_empty(mbs_source_stage *s, mbs_block **out, mbs_err *err) {
    if (s->records_begun >= s->empty_records) {
        return MBS_END;
    }
    char name[48];
    (void)snprintf(name, sizeof(name), "generated%lld", (long long)s->records_begun + 1);
    mbs_record r = {.struct_size = sizeof(r), .strand = '+', .index = s->records_begun, .source = -1, .name = name};
    int64_t shape[1] = {0};
    mbs_record *copy = mbs_record_copy(&r);
    *out = mbs_block_new("tokens/i32", MBS_I32, 1, shape);
    if (!copy || !*out) {
        mbs_record_free(copy);
        mbs_block_unref(*out);
        *out = NULL;
        return mbs_fail_memory(err, "stream", sizeof(r));
    }
    mbs_record_free(s->record);
    s->record = copy;
    s->records_begun++;
    (*out)->record = copy;
    (*out)->flags = MBS_SEQ_START | MBS_SEQ_END;
    (*out)->start = (*out)->end = 0;
    return MBS_OK;
}

mbs_status mbs_source_next(mbs_source_stage *s, int64_t max_rows, mbs_block **out, mbs_err *err) {
    *out = NULL;
    if (!s->reader) {
        return next_empty(s, out, err);
    }
    mbs_status st = mbs_reader_read(s->reader, max_rows, out, err);
    if (st != MBS_OK) {
        return st;
    }
    mbs_block *b = *out;
    int starts = (b->flags & MBS_SEQ_START) != 0;
    /* After a restore the first block may continue a record that began before the stop. */
    if (starts || !s->record) {
        mbs_record *copy = mbs_record_copy(b->record);
        if (!copy) {
            mbs_block_unref(b);
            *out = NULL;
            return mbs_fail_memory(err, "reader", sizeof(*copy));
        }
        mbs_record_free(s->record);
        s->record = copy;
        s->records_begun += starts;
    }
    b->record = s->record;
    return MBS_OK;
}

void mbs_source_clear(mbs_source_stage *s) {
    mbs_record_free(s->record);
    s->record = NULL;
}
