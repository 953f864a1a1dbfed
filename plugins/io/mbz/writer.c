/* Bytes of task compress into frames. */
#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"

typedef struct place {
    int64_t length; /* of the file */
    int64_t total;  /* bytes in whole frames */
    int64_t held;   /* bytes of the open one */
} place;

typedef struct writer {
    const mbs_host *host;
    mbs_spool out;
    place at;
    int restored;
    uint8_t frame[MZ_FRAME];
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

static const char *attr(const mbs_stream_header *h, const char *key) {
    for (int64_t i = 0; i < h->n_attrs; i++) {
        if (strcmp(h->attrs[i].key, key) == 0) {
            return h->attrs[i].value;
        }
    }
    return NULL;
}

static mbs_status put_header(writer *w, const mbs_stream_header *h) {
    char text[MZ_HEADER_MAX];
    size_t n = 0;
    for (int i = 0; mz_keys[i]; i++) {
        const char *value = attr(h, mz_keys[i]);
        if (!value || strchr(value, '\n') || n + strlen(value) + 64 > sizeof(text)) {
            return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "the stream does not say its %s", mz_keys[i]);
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s: %s\n", mz_keys[i], value);
    }
    uint8_t number[4];
    mbs_status st = mbs_spool_append(&w->out, MZ_MAGIC, MZ_MAGIC_BYTES);
    mz_put_u32(number, (uint32_t)n);
    st = st < 0 ? st : mbs_spool_append(&w->out, number, 4);
    st = st < 0 ? st : mbs_spool_append(&w->out, text, n);
    mz_put_u32(number, mz_crc(text, n));
    return st < 0 ? st : mbs_spool_append(&w->out, number, 4);
}

static mbs_status open_writer(void *self, const mbs_stream_header *header) {
    writer *w = self;
    mbs_status st = mbs_spool_open(&w->out, w->at.length);
    return st < 0 || w->restored ? st : put_header(w, header);
}

static mbs_status put_frame(writer *w) {
    uint8_t number[4];
    size_t n = (size_t)w->at.held;
    mz_put_u32(number, (uint32_t)n);
    mbs_status st = mbs_spool_append(&w->out, number, 4);
    st = st < 0 ? st : mbs_spool_append(&w->out, w->frame, n);
    mz_put_u32(number, mz_crc(w->frame, n));
    st = st < 0 ? st : mbs_spool_append(&w->out, number, 4);
    w->at.total += w->at.held;
    w->at.held = 0;
    return st;
}

static mbs_status write_block(void *self, const mbs_block *block) {
    writer *w = self;
    const uint8_t *from = block->data;
    int64_t left = block->shape[0];
    while (left > 0) {
        int64_t room = MZ_FRAME - w->at.held;
        int64_t n = left < room ? left : room;
        memcpy(w->frame + w->at.held, from, (size_t)n);
        w->at.held += n;
        from += n;
        left -= n;
        mbs_status st = w->at.held == MZ_FRAME ? put_frame(w) : MBS_OK;
        if (st < 0) {
            return st;
        }
    }
    return MBS_OK;
}

static mbs_status drain(void *self) {
    writer *w = self;
    mbs_status st = w->at.held > 0 ? put_frame(w) : MBS_OK;
    uint8_t end[16] = {0};
    mz_put_i64(end + 4, w->at.total);
    mz_put_u32(end + 12, mz_crc(end + 4, 8));
    st = st < 0 ? st : mbs_spool_append(&w->out, end, sizeof(end));
    return st < 0 ? st : mbs_spool_flush(&w->out);
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
    w->at.length = w->out.length;
    st = st < 0 ? st : put(sink, &w->at, sizeof(w->at));
    return st < 0 || w->at.held == 0 ? st : put(sink, w->frame, (size_t)w->at.held);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    writer *w = self;
    place at = {-1, -1, -1};
    if (n >= sizeof(at)) {
        memcpy(&at, bytes, sizeof(at));
    }
    if (at.length < 0 || at.total < 0 || at.held < 0 || at.held >= MZ_FRAME || n - sizeof(at) != (size_t)at.held) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the saved place is damaged");
    }
    memcpy(w->frame, (const uint8_t *)bytes + sizeof(at), (size_t)at.held);
    w->at = at;
    w->restored = 1;
    return MBS_OK;
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

const mbs_writer_vt mz_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = create,
    .open = open_writer,
    .write = write_block,
    .drain = drain,
    .close = close_writer,
    .destroy = destroy,
    .get_extension = extension,
};
