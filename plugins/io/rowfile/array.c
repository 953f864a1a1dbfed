#include "io/rowfile/array.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

mbs_status mbs_array_create(mbs_array *a, const mbs_host *host, const char *path) {
    const char *temp = NULL;
    memset(a, 0, sizeof *a);
    a->host = host;
    a->path = path;
    a->ndim = 1;
    a->width = 1;
    mbs_status st = strcmp(path, "-") == 0
                        ? host->fail(host, MBS_ERR_CONFIG, "path",
                                     "an array tells its size in front of its numbers: it cannot go to standard output")
                        : host->output(host, path, MBS_OUTPUT_FILE, NULL, &temp);
    mbs_spool_init(&a->out, host, temp, path);
    return st;
}

int mbs_array_size(int32_t dtype) {
    return dtype == MBS_U8                        ? 1
           : dtype == MBS_I32 || dtype == MBS_F32 ? 4
           : dtype == MBS_I64 || dtype == MBS_F64 ? 8
                                                  : 0;
}

mbs_status mbs_array_open(mbs_array *a, size_t room) {
    static const char zeros[256];
    mbs_status st = mbs_spool_open(&a->out, 0);
    for (size_t at = 0; at < room && st >= 0; at += sizeof zeros) {
        st = mbs_spool_append(&a->out, zeros, room - at < sizeof zeros ? room - at : sizeof zeros);
    }
    return st;
}

mbs_status mbs_array_write(mbs_array *a, const mbs_block *b) {
    int64_t width = 1;
    for (int32_t k = 1; k < b->ndim; k++) {
        width *= b->shape[k];
    }
    if (a->dtype == 0) {
        a->dtype = b->dtype;
        a->width = width;
        a->ndim = b->ndim > 1 && width != 1 ? 2 : 1;
    }
    if (b->dtype != a->dtype || width != a->width || mbs_array_size(b->dtype) == 0) {
        return a->host->fail(a->host, MBS_ERR_DATA, NULL, "record '%.100s': its rows are %lld wide, those before %lld",
                             b->record->name, (long long)width, (long long)a->width);
    }
    a->rows += b->shape[0];
    return mbs_spool_append(&a->out, b->data, (size_t)(b->shape[0] * width) * (size_t)mbs_array_size(b->dtype));
}

mbs_status mbs_array_head(mbs_array *a, const void *bytes, size_t n, int64_t at) {
    char words[96];
    const unsigned char *from = bytes;
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(a->out.fd, from + done, n - done, (off_t)(at + (int64_t)done));
        if (k < 0 && errno != EINTR) {
            return a->host->fail(a->host, MBS_ERR_IO, "path", "%s: cannot be written: %s", a->path,
                                 strerror_r(errno, words, sizeof words));
        }
        done += k > 0 ? (size_t)k : 0;
    }
    return MBS_OK;
}
