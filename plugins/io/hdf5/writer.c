/* The life of an HDF5 result up to the build: declares its files, spools rows, one fixed line for each record. */
#include "writer.h"

#include <string.h>

static const struct side {
    mbs_h5_spool spool;
    const char *name;
    int32_t dtype;
    int32_t width;
    int generated; /* only for task: generate */
} sides[] = {
    {MBS_H5_TOKEN, "token", MBS_I32, 1, 1},
    {MBS_H5_LOGPROB, "logprob", MBS_F32, 1, 1},
    {MBS_H5_INTERVAL, "interval", MBS_I64, 2, 0},
};
#define N_SIDES (sizeof sides / sizeof sides[0])

static mbs_status declare(mbs_h5 *w) {
    static const char *const suffixes[MBS_H5_N_SPOOLS] = {"rows",    "records",  "names", "token",
                                                          "logprob", "interval", "labels"};
    const mbs_host *host = w->host;
    mbs_status st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    if (st >= 0 && !w->temp) {
        host->hint(host, "name a file, as path: scores.h5");
        return host->fail(host, MBS_ERR_CONFIG, "path", "an HDF5 file cannot be written to standard output");
    }
    for (int i = 0; i < MBS_H5_N_SPOOLS && st >= 0; i++) {
        const char *temp = NULL;
        st = host->output(host, w->path, MBS_OUTPUT_SCRATCH, suffixes[i], &temp);
        mbs_spool_init(&w->spool[i], host, temp, w->path);
    }
    return st;
}

static mbs_status h5_create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_h5 *w = host->alloc(host, sizeof *w);
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof *w);
    w->host = host;
    w->name.host = host;
    w->path = host->param_string(params, "path");
    w->gzip =
        strcmp(host->param_string(params, "compression"), "gzip") == 0 ? (int)host->param_int(params, "level") : 0;
    w->at.version = 2;
    w->at.sides = -1;
    mbs_status st = declare(w);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status h5_open(void *self, const mbs_stream_header *header) {
    mbs_h5 *w = self;
    const char *task = mbs_header_attr(header, "task");
    w->stream = header;
    w->generated = task && strcmp(task, "generate") == 0;
    mbs_status st = MBS_OK;
    for (int i = 0; i < MBS_H5_N_SPOOLS && st >= 0; i++) {
        st = mbs_spool_open(&w->spool[i], w->restored ? w->at.length[i] : 0);
    }
    return st;
}

/* A side channel gets a dataset if every block with rows brought it. */
static mbs_status spool_sides(mbs_h5 *w, const mbs_block *b) {
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < N_SIDES && st >= 0; i++) {
        const struct side *s = &sides[i];
        int64_t bit = (int64_t)1 << s->spool;
        const void *data = s->generated && !w->generated ? NULL : mbs_side_data(b, s->name, s->dtype, s->width);
        if (!data) {
            w->at.sides &= ~bit;
        } else if (w->at.sides & bit) {
            size_t each = mbs_element_size(s->dtype) * (size_t)s->width;
            st = mbs_spool_append(&w->spool[s->spool], data, each * (size_t)b->shape[0]);
        }
    }
    return st;
}

static mbs_status spool_rows(mbs_h5 *w, const mbs_block *b) {
    int64_t bytes;
    if (b->shape[0] == 0) {
        return MBS_OK;
    }
    if (__builtin_mul_overflow(b->shape[0], w->at.shape.bytes, &bytes)) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "record '%s': a block of impossible size",
                             b->record->name);
    }
    mbs_status st = mbs_spool_append(&w->spool[MBS_H5_ROWS], b->data, (size_t)bytes);
    w->at.n_rows += b->shape[0];
    return st < 0 ? st : spool_sides(w, b);
}

/* `text` with a NUL behind to a spool; its length without it, and the longest so far. */
static mbs_status spool_text(mbs_h5 *w, mbs_h5_spool spool, const char *text, int64_t *length, int64_t *longest) {
    w->name.len = 0;
    mbs_text_append_utf8(&w->name, text, strlen(text));
    mbs_text_append(&w->name, "", 1);
    if (w->name.failed) {
        return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a text of %zu bytes", strlen(text));
    }
    *length = (int64_t)w->name.len - 1;
    *longest = *length > *longest ? *length : *longest;
    return mbs_spool_append(&w->spool[spool], w->name.data, w->name.len);
}

/* Nothing is written while no record has a label: most inputs never have one. */
static mbs_status spool_label(mbs_h5 *w, const mbs_record *r, mbs_h5_record *line) {
    const char *label = r->label ? r->label : "";
    mbs_status st = MBS_OK;
    if (w->at.labelled == 0 && label[0]) {
        for (int64_t i = 0; i < w->at.n_records && st >= 0; i++) {
            st = mbs_spool_append(&w->spool[MBS_H5_LABELS], "", 1);
        }
    }
    w->at.labelled += label[0] != 0;
    if (st < 0 || w->at.labelled == 0) {
        return st;
    }
    return spool_text(w, MBS_H5_LABELS, label, &line->label_length, &w->at.longest_label);
}

static mbs_status spool_record(mbs_h5 *w, const mbs_record *r) {
    mbs_h5_record line;
    memset(&line, 0, sizeof line);
    line.start = w->at.span.start;
    line.length = w->at.span.end - w->at.span.start;
    line.rows_end = w->at.n_rows;
    line.hop = w->at.span.hop;
    line.source = r->source >= 0 && r->source < w->stream->n_sources ? (int32_t)r->source : -1;
    line.strand[0] = r->strand == '+' || r->strand == '-' ? (char)r->strand : '.';
    mbs_status st = spool_text(w, MBS_H5_NAMES, r->name, &line.name_length, &w->at.longest_name);
    st = st < 0 ? st : spool_label(w, r, &line);
    w->at.n_records++;
    w->at.span.open = 0;
    return st < 0 ? st : mbs_spool_append(&w->spool[MBS_H5_RECORDS], &line, sizeof line);
}

static mbs_status h5_write(void *self, const mbs_block *block) {
    mbs_h5 *w = self;
    mbs_status st = mbs_row_shape_check(&w->at.shape, block, w->host);
    st = st < 0 ? st : mbs_span_add(&w->at.span, block, w->host);
    st = st < 0 ? st : spool_rows(w, block);
    return st < 0 || !(block->flags & MBS_SEQ_END) ? st : spool_record(w, block->record);
}

static mbs_status h5_drain(void *self) {
    mbs_h5 *w = self;
    if (w->at.span.open) {
        return w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "the last record has no end");
    }
    mbs_status st = MBS_OK;
    for (int i = 0; i < MBS_H5_N_SPOOLS && st >= 0; i++) {
        st = mbs_spool_flush(&w->spool[i]);
    }
    return st < 0 ? st : mbs_h5_build(w);
}

static mbs_status h5_close(void *self) {
    mbs_h5 *w = self;
    mbs_status st = MBS_OK;
    for (int i = 0; i < MBS_H5_N_SPOOLS && st >= 0; i++) {
        st = mbs_spool_close(&w->spool[i]);
    }
    return st;
}

static void h5_destroy(void *self) {
    mbs_h5 *w = self;
    if (w) {
        for (int i = 0; i < MBS_H5_N_SPOOLS; i++) {
            mbs_spool_drop(&w->spool[i]);
        }
        mbs_text_free(&w->name);
        w->host->free(w->host, w);
    }
}

static const void *h5_extension(void *self, const char *id) {
    if (strcmp(id, MBS_EXT_INSPECT) == 0) {
        return &mbs_h5_inspect;
    }
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &mbs_h5_checkpoint : NULL;
}

const mbs_writer_vt mbs_h5_writer = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = h5_create,
    .open = h5_open,
    .write = h5_write,
    .drain = h5_drain,
    .close = h5_close,
    .destroy = h5_destroy,
    .get_extension = h5_extension,
};
