#include <string.h>

#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

extern const mbs_writer_vt tx_writer_vt;

#define PLACE_VERSION 1
#define SEPARATOR_MAX 8

/* What checkpoint/1 saves. */
typedef struct place {
    int64_t version;
    int64_t length;
    int64_t matched;
    char tail[SEPARATOR_MAX];
} place;

typedef struct writer {
    const mbs_host *host;
    const char *path;
    const char *separator;
    mbs_spool out;
    int64_t keep;             /* bytes that a resumed run goes on behind */
    char tail[SEPARATOR_MAX]; /* the last bytes of the open record, as many as the separator has */
    size_t n_tail;
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
    const char *word = host->param_string(params, "separator");
    w->separator = strcmp(word, "none") == 0 ? "" : strcmp(word, "blank") == 0 ? "\n\n" : "\n";
    mbs_status st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &temp);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    mbs_spool_init(&w->out, host, temp, temp ? w->path : "standard output");
    *self = w;
    return MBS_OK;
}

static mbs_status open_writer(void *self, const mbs_stream_header *header) {
    writer *w = self;
    (void)header;
    return mbs_spool_open(&w->out, w->keep);
}

static void keep_tail(writer *w, const char *data, size_t n) {
    size_t most = strlen(w->separator);
    size_t add = n < most ? n : most;
    size_t old = w->n_tail < most - add ? w->n_tail : most - add;
    memmove(w->tail, w->tail + w->n_tail - old, old);
    memcpy(w->tail + old, data + n - add, add);
    w->n_tail = old + add;
}

/* A record that ends with the separator has it already: a file that is read and written stays as it was. */
static mbs_status end_record(writer *w) {
    size_t n = strlen(w->separator);
    int has = n > 0 && w->n_tail == n && memcmp(w->tail, w->separator, n) == 0;
    w->n_tail = 0;
    return has ? MBS_OK : mbs_spool_append(&w->out, w->separator, n);
}

static mbs_status write_block(void *self, const mbs_block *b) {
    writer *w = self;
    if (b->dtype != MBS_U8) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "a block of '%s' where bytes were due", b->type);
    }
    mbs_status st = mbs_spool_append(&w->out, b->data, (size_t)b->shape[0]);
    if (b->shape[0] > 0) {
        keep_tail(w, b->data, (size_t)b->shape[0]);
    }
    if (st >= 0 && (b->flags & MBS_SEQ_END)) {
        st = end_record(w);
    }
    return st >= 0 && !w->out.path ? mbs_spool_flush(&w->out) : st; /* somebody may be looking */
}

static mbs_status drain(void *self) {
    return mbs_spool_flush(&((writer *)self)->out);
}

static mbs_status close_writer(void *self) {
    return mbs_spool_close(&((writer *)self)->out);
}

static void destroy(void *self) {
    writer *w = self;
    mbs_spool_drop(&w->out);
    w->host->free(w->host, w);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    writer *w = self;
    mbs_status st = mbs_spool_sync(&w->out);
    place p = {PLACE_VERSION, w->out.length, (int64_t)w->n_tail, {0}};
    memcpy(p.tail, w->tail, w->n_tail);
    return st < 0 ? st : put(sink, &p, sizeof p);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    writer *w = self;
    place p = {0, -1, 0, {0}};
    if (n == sizeof p) {
        memcpy(&p, bytes, sizeof p);
    }
    if (p.version != PLACE_VERSION || p.length < 0 || p.matched < 0 || p.matched > SEPARATOR_MAX) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    w->keep = p.length;
    w->n_tail = (size_t)p.matched;
    memcpy(w->tail, p.tail, w->n_tail);
    return MBS_OK;
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_checkpoint checkpoint = {
        .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint), .save = save, .restore = restore};
    const writer *w = self;
    return w && w->out.path && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt tx_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = create,
    .open = open_writer,
    .write = write_block,
    .drain = drain,
    .close = close_writer,
    .destroy = destroy,
    .get_extension = extension,
};
