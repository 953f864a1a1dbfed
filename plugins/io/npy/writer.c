#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/rowfile/spool.h"
#include "mambaseq/plugin.h"

extern const mbs_writer_vt np_writer_vt;

#define HEADER_SIZE 128

typedef struct writer {
    const mbs_host *host;
    const char *path;
    mbs_spool out;
    int32_t dtype; /* 0: no row yet */
    int32_t ndim;
    int64_t rows, width;
} writer;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    writer *w = host->alloc(host, sizeof *w);
    const char *temp = NULL;
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof *w);
    w->host = host;
    w->path = host->param_string(params, "path");
    w->ndim = 1;
    w->width = 1;
    mbs_status st = strcmp(w->path, "-") == 0
                        ? host->fail(host, MBS_ERR_CONFIG, "path",
                                     "an array tells its size in front of its numbers: it cannot go to standard output")
                        : host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &temp);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    mbs_spool_init(&w->out, host, temp, w->path);
    *self = w;
    return MBS_OK;
}

static int size_of(int32_t dtype) {
    return dtype == MBS_U8                        ? 1
           : dtype == MBS_I32 || dtype == MBS_F32 ? 4
           : dtype == MBS_I64 || dtype == MBS_F64 ? 8
                                                  : 0;
}

static const char *name_of(int32_t dtype) {
    return dtype == MBS_U8    ? "|u1"
           : dtype == MBS_I32 ? "<i4"
           : dtype == MBS_I64 ? "<i8"
           : dtype == MBS_F64 ? "<f8"
                              : "<f4";
}

static mbs_status open_writer(void *self, const mbs_stream_header *header) {
    static const char room[HEADER_SIZE];
    writer *w = self;
    (void)header;
    mbs_status st = mbs_spool_open(&w->out, 0);
    return st < 0 ? st : mbs_spool_append(&w->out, room, sizeof room);
}

static mbs_status write_block(void *self, const mbs_block *b) {
    writer *w = self;
    int64_t width = 1;
    for (int32_t k = 1; k < b->ndim; k++) {
        width *= b->shape[k];
    }
    if (w->dtype == 0) {
        w->dtype = b->dtype;
        w->width = width;
        w->ndim = b->ndim > 1 && width != 1 ? 2 : 1;
    }
    if (b->dtype != w->dtype || width != w->width || size_of(b->dtype) == 0) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "record '%.100s': its rows are %lld wide, those before %lld",
                             b->record->name, (long long)width, (long long)w->width);
    }
    w->rows += b->shape[0];
    return mbs_spool_append(&w->out, b->data, (size_t)(b->shape[0] * width) * (size_t)size_of(b->dtype));
}

/* The header is written last, when the number of rows is known, into the room that was left for it. */
static mbs_status put_header(writer *w) {
    unsigned char head[HEADER_SIZE];
    char text[HEADER_SIZE - 10];
    char words[96];
    char shape[64];
    memset(text, ' ', sizeof text);
    if (w->ndim == 2) {
        (void)snprintf(shape, sizeof shape, "%" PRId64 ", %" PRId64, w->rows, w->width);
    } else {
        (void)snprintf(shape, sizeof shape, "%" PRId64 ",", w->rows);
    }
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", name_of(w->dtype),
                     shape);
    text[n] = ' ';
    text[sizeof text - 1] = '\n';
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = sizeof text;
    head[9] = 0;
    memcpy(head + 10, text, sizeof text);
    for (size_t at = 0; at < sizeof head;) {
        ssize_t k = pwrite(w->out.fd, head + at, sizeof head - at, (off_t)at);
        if (k < 0 && errno != EINTR) {
            return w->host->fail(w->host, MBS_ERR_IO, "path", "%s: cannot be written: %s", w->path,
                                 strerror_r(errno, words, sizeof words));
        }
        at += k > 0 ? (size_t)k : 0;
    }
    return MBS_OK;
}

static mbs_status drain(void *self) {
    writer *w = self;
    mbs_status st = mbs_spool_flush(&w->out);
    return st < 0 ? st : put_header(w);
}

static mbs_status close_writer(void *self) {
    return mbs_spool_close(&((writer *)self)->out);
}

static void destroy(void *self) {
    writer *w = self;
    mbs_spool_drop(&w->out);
    w->host->free(w->host, w);
}

const mbs_writer_vt np_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = create,
    .open = open_writer,
    .write = write_block,
    .drain = drain,
    .close = close_writer,
    .destroy = destroy,
};
