/* st_write.c - writes a safetensors file from front to back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/safetensors.h"

/* The header: tensors in the order given, padded with spaces to 8 bytes so that the data is aligned. */
static mbs_status header(const char *path, const mbs_st_decl *decls, size_t n, mbs_buf *b, uint64_t *data,
                         mbs_err *err) {
    uint64_t at = 0;
    mbs_buf_puts(b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < n; i++) {
        int64_t bytes = (int64_t)mbs_st_dtype_size(decls[i].dtype);
        mbs_buf_puts(b, ",");
        mbs_json_put_string(b, decls[i].name);
        mbs_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", mbs_dtype_name(decls[i].dtype));
        for (int k = 0; k < decls[i].ndim; k++) {
            mbs_buf_printf(b, "%s%" PRId64, k ? "," : "", decls[i].dims[k]);
            if (mbs_mul_i64_overflow(bytes, decls[i].dims[k], &bytes)) {
                return mbs_fail(err, MBS_ERR_CONFIG, path, "tensor '%s' is too large", decls[i].name);
            }
        }
        mbs_buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + (uint64_t)bytes);
        at += (uint64_t)bytes;
    }
    mbs_buf_puts(b, "}");
    while (b->len % 8 && !b->failed) {
        mbs_buf_putc(b, ' ');
    }
    *data = at;
    return b->failed ? mbs_fail_memory(err, path, b->len) : MBS_OK;
}

static mbs_status put(mbs_st_writer *w, const void *data, size_t bytes, mbs_err *err) {
    if (bytes && fwrite(data, 1, bytes, w->f) != bytes) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, w->path, "cannot be written");
    }
    return MBS_OK;
}

mbs_status mbs_st_writer_open(const char *path, const mbs_st_decl *decls, size_t n, mbs_st_writer *w, mbs_err *err) {
    mbs_buf b = MBS_BUF_INIT;
    memset(w, 0, sizeof *w);
    mbs_status st = header(path, decls, n, &b, &w->expected, err);
    if (st >= 0) {
        w->path = mbs_strdup(path);
        st = w->path ? MBS_OK : mbs_fail_memory(err, path, strlen(path));
    }
    if (st >= 0) {
        w->f = fopen(path, "wbxe");
        st = w->f ? MBS_OK : mbs_fail_errno(err, MBS_ERR_CREATE, errno, path, "cannot be created");
    }
    if (st >= 0) {
        uint64_t len = b.len;
        st = put(w, &len, sizeof len, err);
    }
    if (st >= 0) {
        st = put(w, b.data, b.len, err);
    }
    mbs_buf_free(&b);
    if (st < 0) {
        mbs_err ignored = {0};
        mbs_st_writer_close(w, &ignored);
    }
    return st;
}

mbs_status mbs_st_writer_add(mbs_st_writer *w, const void *data, size_t bytes, mbs_err *err) {
    mbs_status st = put(w, data, bytes, err);
    w->written += st >= 0 ? bytes : 0;
    return st;
}

mbs_status mbs_st_writer_close(mbs_st_writer *w, mbs_err *err) {
    mbs_status st = MBS_OK;
    if (w->f) {
        if (fflush(w->f) != 0 || fsync(fileno(w->f)) != 0) {
            st = mbs_fail_errno(err, MBS_ERR_IO, errno, w->path, "cannot be written");
        }
        if (fclose(w->f) != 0 && st >= 0) {
            st = mbs_fail_errno(err, MBS_ERR_IO, errno, w->path, "cannot be closed");
        }
        if (st >= 0 && w->written != w->expected) {
            st = mbs_fail(err, MBS_ERR_INTERNAL, w->path,
                          "%" PRIu64 " bytes of tensors were promised, %" PRIu64 " given", w->expected, w->written);
        }
    }
    mbs_free(w->path);
    memset(w, 0, sizeof *w);
    return st;
}
