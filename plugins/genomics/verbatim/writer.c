/* Bytes to a file, as they come. */
#include <string.h>

#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"
#include "verbatim.h"

typedef struct writer {
    const mbs_host *host;
    mbs_spool out;
    int64_t keep; /* of a file that is continued */
} writer;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    const char *path = host->param_string(params, "path");
    const char *temp = NULL;
    mbs_status st = host->output(host, path, MBS_OUTPUT_FILE, NULL, &temp);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    mbs_spool_init(&w->out, host, temp, temp ? path : "standard output");
    *self = w;
    return MBS_OK;
}

static mbs_status open_writer(void *self, const mbs_stream_header *header) {
    (void)header;
    writer *w = self;
    return mbs_spool_open(&w->out, w->keep);
}

static mbs_status write_block(void *self, const mbs_block *block) {
    writer *w = self;
    return block->shape[0] > 0 ? mbs_spool_append(&w->out, block->data, (size_t)block->shape[0]) : MBS_OK;
}

static mbs_status drain(void *self) {
    writer *w = self;
    return mbs_spool_flush(&w->out);
}

static mbs_status close_writer(void *self) {
    writer *w = self;
    return mbs_spool_close(&w->out);
}

static void destroy(void *self) {
    writer *w = self;
    mbs_spool_drop(&w->out);
    w->host->free(w->host, w);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    writer *w = self;
    mbs_status st = mbs_spool_sync(&w->out);
    st = st < 0 ? st : put(sink, &w->out.length, sizeof(w->out.length));
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    writer *w = self;
    if (n == sizeof(w->keep)) {
        memcpy(&w->keep, bytes, n);
    }
    return n == sizeof(w->keep) && w->keep >= 0
               ? MBS_OK
               : w->host->fail(w->host, MBS_ERR_DATA, NULL, "the saved length is damaged");
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *extension(void *self, const char *id) {
    writer *w = self;
    return w && w->out.path && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt vb_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = create,
    .open = open_writer,
    .write = write_block,
    .drain = drain,
    .close = close_writer,
    .destroy = destroy,
    .get_extension = extension,
};
