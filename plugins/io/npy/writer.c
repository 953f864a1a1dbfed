#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/rowfile/array.h"
#include "mambaseq/plugin.h"

extern const mbs_writer_vt np_writer_vt;

#define HEADER_SIZE 128

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_array *w = host->alloc(host, sizeof *w);
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    mbs_status st = mbs_array_create(w, host, host->param_string(params, "path"));
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

static const char *name_of(int32_t dtype) {
    return dtype == MBS_U8    ? "|u1"
           : dtype == MBS_I32 ? "<i4"
           : dtype == MBS_I64 ? "<i8"
           : dtype == MBS_F64 ? "<f8"
                              : "<f4";
}

static mbs_status open_writer(void *self, const mbs_stream_header *header) {
    (void)header;
    return mbs_array_open(self, HEADER_SIZE);
}

static mbs_status write_block(void *self, const mbs_block *b) {
    return mbs_array_write(self, b);
}

static mbs_status drain(void *self) {
    mbs_array *w = self;
    unsigned char head[HEADER_SIZE];
    char text[HEADER_SIZE - 10];
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
    mbs_status st = mbs_spool_flush(&w->out);
    return st < 0 ? st : mbs_array_head(w, head, sizeof head, 0);
}

static mbs_status close_writer(void *self) {
    return mbs_spool_close(&((mbs_array *)self)->out);
}

static void destroy(void *self) {
    mbs_array *w = self;
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
