/* Letters in lines: what was generated or filled in, or what a reader gave. Nothing of a record is held. */
#include "writer.h"

#include <string.h>

#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"

/* What a checkpoint is. */
typedef struct fa_written {
    int64_t version;
    int64_t length; /* bytes in the file */
    int64_t column; /* letters in the open line */
} fa_written;

typedef struct fa_writer {
    const mbs_host *host;
    const char *path;
    int64_t width; /* letters of a line; 0: all */
    fa_written at;
    mbs_spool out;
} fa_writer;

static int ends_in(const char *path, const char *suffix) {
    size_t n = strlen(path);
    size_t k = strlen(suffix);
    return n > k && strcmp(path + n - k, suffix) == 0;
}

static mbs_status writer_create(const mbs_host *host, const mbs_params *params, void **self) {
    const char *path = host->param_string(params, "path");
    if (ends_in(path, ".gz") || ends_in(path, ".bgz")) {
        mbs_status st = host->fail(host, MBS_ERR_CONFIG, "path", "%s: what is written is not compressed", path);
        host->hint(host, "write a .fa, or to - and through bgzip");
        return st;
    }
    fa_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->path = path;
    w->width = host->param_int(params, "width");
    w->at.version = 1;
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

static mbs_status writer_open(void *self, const mbs_stream_header *header) {
    fa_writer *w = self;
    (void)header;
    return mbs_spool_open(&w->out, w->at.length);
}

static mbs_status put(fa_writer *w, const void *bytes, size_t n) {
    return n > 0 ? mbs_spool_append(&w->out, bytes, n) : MBS_OK;
}

/* A name ends at the first blank for every reader: one that has some would come back as another. */
static mbs_status put_name(fa_writer *w, const mbs_record *r) {
    size_t n = strcspn(r->name, " \t\r\n");
    mbs_status st = put(w, ">", 1);
    st = st < 0 ? st : put(w, r->name, n);
    for (const char *at = r->name + n; st == MBS_OK && *at; at++) {
        st = strchr(" \t\r\n", *at) ? put(w, "_", 1) : put(w, at, 1);
    }
    const char *more = r->description ? r->description : "";
    size_t len = strcspn(more, "\r\n");
    st = st < 0 || len == 0 ? st : put(w, " ", 1);
    st = st < 0 ? st : put(w, more, len);
    return st < 0 ? st : put(w, "\n", 1);
}

static mbs_status writer_write(void *self, const mbs_block *b) {
    fa_writer *w = self;
    const char *letters = b->data;
    if (b->dtype != MBS_U8 || b->ndim != 1 || !b->record) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "a block of '%s' that is no letters", b->type);
    }
    mbs_status st = MBS_OK;
    if (b->flags & MBS_SEQ_START) {
        w->at.column = 0;
        st = put_name(w, b->record);
    }
    for (int64_t i = 0; st == MBS_OK && i < b->shape[0];) {
        int64_t left = b->shape[0] - i;
        int64_t n = w->width > 0 && w->width - w->at.column < left ? w->width - w->at.column : left;
        st = put(w, letters + i, (size_t)n);
        i += n;
        w->at.column += n;
        if (st == MBS_OK && w->at.column == w->width) {
            w->at.column = 0;
            st = put(w, "\n", 1);
        }
    }
    if (st == MBS_OK && b->flags & MBS_SEQ_END && w->at.column > 0) {
        w->at.column = 0;
        st = put(w, "\n", 1);
    }
    return st;
}

static mbs_status writer_drain(void *self) {
    return mbs_spool_flush(&((fa_writer *)self)->out);
}

static mbs_status writer_close(void *self) {
    return mbs_spool_close(&((fa_writer *)self)->out);
}

static void writer_destroy(void *self) {
    fa_writer *w = self;
    mbs_spool_drop(&w->out);
    w->host->free(w->host, w);
}

static mbs_status save(void *self, mbs_status (*take)(void *sink, const void *bytes, size_t n), void *sink) {
    fa_writer *w = self;
    mbs_status st = mbs_spool_sync(&w->out);
    w->at.length = w->out.length;
    return st < 0 ? st : take(sink, &w->at, sizeof(w->at));
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    fa_writer *w = self;
    fa_written at = {0};
    memcpy(&at, bytes, n < sizeof(at) ? n : sizeof(at));
    if (n != sizeof(at) || at.version != w->at.version || at.length < 0 || at.column < 0) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    w->at = at;
    return MBS_OK;
}

static const mbs_ext_checkpoint checkpoint = {(uint32_t)sizeof(mbs_ext_checkpoint), 0, save, restore};

static const void *writer_extension(void *self, const char *id) {
    fa_writer *w = self;
    /* standard output cannot be taken back */
    return w && w->out.path && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt fa_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = writer_create,
    .open = writer_open,
    .write = writer_write,
    .drain = writer_drain,
    .close = writer_close,
    .destroy = writer_destroy,
    .get_extension = writer_extension,
};
