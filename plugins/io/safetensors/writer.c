/* Rows as a safetensors file: the tensor of the rows, and `offset`, where each record begins among them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/rowfile/array.h"
#include "mambaseq/plugin.h"

extern const mbs_writer_vt sw_writer_vt;

#define SHAPES 640     /* bytes of the header but for its attributes */
#define COPY_ROWS 8192 /* offsets at once */

typedef struct writer {
    mbs_array rows;
    mbs_spool offsets; /* i64: where each record began */
    const char *name;  /* of the tensor; NULL: by the type of the rows */
    const char *type;
    char *head;
    size_t room, n_head; /* of the header, and what of it are the attributes */
} writer;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    const char *path = host->param_string(params, "path");
    const char *temp = NULL;
    writer *w = host->alloc(host, sizeof *w);
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof *w);
    w->name = host->param_is_set(params, "tensor") ? host->param_string(params, "tensor") : NULL;
    mbs_status st = mbs_array_create(&w->rows, host, path);
    if (st >= 0 && w->name && (strcmp(w->name, "offset") == 0 || strcmp(w->name, "padding") == 0 || !w->name[0])) {
        st = host->fail(host, MBS_ERR_CONFIG, "tensor", "'%s' is the name of another tensor of the file", w->name);
    }
    st = st < 0 ? st : host->output(host, path, MBS_OUTPUT_SCRATCH, "offsets", &temp);
    mbs_spool_init(&w->offsets, host, temp, path);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

/* Text to the header, which has room for it. */
MBS_ATTR_PRINTF(2, 3) static void put(writer *w, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(w->head + w->n_head, w->room - w->n_head, fmt, args);
    va_end(args);
    w->n_head += n > 0 ? (size_t)n : 0;
}

/* A JSON string: six bytes for each of `text` at most, and two. */
static void put_string(writer *w, const char *text) {
    put(w, "\"");
    for (const char *p = text; *p; p++) {
        int plain = (unsigned char)*p >= ' ' && *p != '"' && *p != '\\';
        put(w, plain ? "%c" : "\\u%04x", (unsigned char)*p);
    }
    put(w, "\"");
}

/* {"__metadata__":{...} and room for the rest. */
static mbs_status begin_header(writer *w, const mbs_stream_header *h) {
    const mbs_host *host = w->rows.host;
    size_t most = SHAPES + 6 * (w->name ? strlen(w->name) : 0);
    for (int64_t i = 0; i < h->n_attrs; i++) {
        most += 6 * (strlen(h->attrs[i].key) + strlen(h->attrs[i].value)) + 6;
    }
    w->room = (most + 63) / 64 * 64;
    w->head = host->alloc(host, w->room);
    if (!w->head) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a header");
    }
    put(w, "{\"__metadata__\":{\"format\":\"pt\"");
    for (int64_t i = 0; i < h->n_attrs; i++) {
        if (strcmp(h->attrs[i].key, "format") != 0) { /* which has a meaning here */
            put(w, ",");
            put_string(w, h->attrs[i].key);
            put(w, ":");
            put_string(w, h->attrs[i].value);
        }
    }
    put(w, "}");
    return MBS_OK;
}

static mbs_status open_writer(void *self, const mbs_stream_header *header) {
    writer *w = self;
    w->type = header->type;
    mbs_status st = begin_header(w, header);
    st = st < 0 ? st : mbs_array_open(&w->rows, 8 + w->room);
    return st < 0 ? st : mbs_spool_open(&w->offsets, 0);
}

static mbs_status write_block(void *self, const mbs_block *b) {
    writer *w = self;
    mbs_status st =
        b->flags & MBS_SEQ_START ? mbs_spool_append(&w->offsets, &w->rows.rows, sizeof w->rows.rows) : MBS_OK;
    return st < 0 ? st : mbs_array_write(&w->rows, b);
}

static const char *dtype_name(int32_t dtype) {
    return dtype == MBS_U8    ? "U8"
           : dtype == MBS_I32 ? "I32"
           : dtype == MBS_I64 ? "I64"
           : dtype == MBS_F64 ? "F64"
                              : "F32";
}

/* Numbers of 8 bytes have to stand at multiples of 8: `pad` bytes of nothing are a tensor of their own. */
static mbs_status put_header(writer *w, int64_t bytes, int64_t pad, int64_t offsets) {
    const mbs_array *a = &w->rows;
    char name[64];
    unsigned char len[8];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(w->type, "/"), w->type); /* "logits/f32" -> logits */
    put(w, ",");
    put_string(w, w->name ? w->name : strcmp(name, "score") == 0 ? "logprob" : name);
    put(w, ":{\"dtype\":\"%s\",\"shape\":[%" PRId64, dtype_name(a->dtype), a->rows);
    if (a->ndim == 2) {
        put(w, ",%" PRId64, a->width);
    }
    put(w, "],\"data_offsets\":[0,%" PRId64 "]}", bytes);
    if (pad > 0) {
        put(w, ",\"padding\":{\"dtype\":\"U8\",\"shape\":[%" PRId64 "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}",
            pad, bytes, bytes + pad);
    }
    put(w, ",\"offset\":{\"dtype\":\"I64\",\"shape\":[%" PRId64 "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}}",
        offsets, bytes + pad, bytes + pad + 8 * offsets);
    memset(w->head + w->n_head, ' ', w->room - w->n_head);
    for (int i = 0; i < 8; i++) {
        len[i] = (unsigned char)(w->room >> 8 * i);
    }
    mbs_status st = mbs_array_head(&w->rows, len, sizeof len, 0);
    return st < 0 ? st : mbs_array_head(&w->rows, w->head, w->room, sizeof len);
}

static mbs_status drain(void *self) {
    static const char zeros[8];
    writer *w = self;
    int64_t bytes = w->rows.rows * w->rows.width * mbs_array_size(w->rows.dtype);
    int64_t pad = (8 - bytes % 8) % 8;
    int64_t n = w->offsets.length / 8;
    int64_t block[COPY_ROWS / 8];
    mbs_status st = mbs_spool_flush(&w->offsets);
    st = st < 0 ? st : mbs_spool_append(&w->rows.out, zeros, (size_t)pad);
    for (int64_t at = 0; at < n && st >= 0;) {
        int64_t k = n - at < COPY_ROWS / 8 ? n - at : COPY_ROWS / 8;
        st = mbs_spool_read(&w->offsets, 8 * at, block, (size_t)k * 8);
        st = st < 0 ? st : mbs_spool_append(&w->rows.out, block, (size_t)k * 8);
        at += k;
    }
    st = st < 0 ? st : mbs_spool_append(&w->rows.out, &w->rows.rows, 8);
    st = st < 0 ? st : mbs_spool_flush(&w->rows.out);
    return st < 0 ? st : put_header(w, bytes, pad, n + 1);
}

static mbs_status close_writer(void *self) {
    writer *w = self;
    mbs_status st = mbs_spool_close(&w->offsets);
    mbs_status own = mbs_spool_close(&w->rows.out);
    return st < 0 ? st : own;
}

static void destroy(void *self) {
    writer *w = self;
    const mbs_host *host = w->rows.host;
    mbs_spool_drop(&w->offsets);
    mbs_spool_drop(&w->rows.out);
    host->free(host, w->head);
    host->free(host, w);
}

const mbs_writer_vt sw_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = create,
    .open = open_writer,
    .write = write_block,
    .drain = drain,
    .close = close_writer,
    .destroy = destroy,
};
