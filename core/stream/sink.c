#include "stream/sink.h"

mbs_status mbs_sink_open(mbs_sink *s, const mbs_stream_header *header, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < s->n && st == MBS_OK; i++) {
        st = mbs_writer_open(s->writers[i], header, err);
    }
    return st;
}

mbs_status mbs_sink_write(mbs_sink *s, mbs_block *block, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int i = 0; block && i < s->n && st == MBS_OK; i++) {
        st = mbs_writer_write(s->writers[i], block, err);
    }
    mbs_block_unref(block);
    return st;
}

mbs_status mbs_sink_finish(mbs_sink *s, mbs_err *err) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < s->n && st == MBS_OK; i++) {
        st = mbs_writer_drain(s->writers[i], err);
    }
    for (int i = 0; i < s->n && st == MBS_OK; i++) {
        st = mbs_instance_close(s->writers[i], err);
    }
    return st;
}

mbs_status mbs_sink_save(mbs_sink *s, mbs_buf *out, mbs_err *err) {
    mbs_status st = MBS_OK;
    mbs_buf blob = MBS_BUF_INIT;
    mbs_buf_put_i64(out, s->n);
    for (int i = 0; i < s->n && st == MBS_OK; i++) {
        mbs_buf_clear(&blob);
        st = mbs_instance_save(s->writers[i], &blob, err);
        mbs_buf_put_bytes(out, blob.data, blob.len);
    }
    mbs_buf_free(&blob);
    return st;
}

mbs_status mbs_sink_restore(mbs_sink *s, mbs_cursor *in, mbs_err *err) {
    int64_t n = mbs_cursor_i64(in);
    if (in->failed || n != s->n) {
        return mbs_fail(err, MBS_ERR_DATA, "journal", "it was written with another number of writers");
    }
    mbs_status st = MBS_OK;
    for (int i = 0; i < s->n && st == MBS_OK; i++) {
        size_t len = 0;
        const void *p = mbs_cursor_bytes(in, &len);
        if (in->failed) {
            return mbs_fail(err, MBS_ERR_DATA, "journal", "it is cut short");
        }
        st = mbs_instance_restore(s->writers[i], p, len, err);
    }
    return st;
}
