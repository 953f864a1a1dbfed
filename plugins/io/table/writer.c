/* The life of a table: create declares the file, open takes up where a checkpoint left it, write makes lines. */
#include "writer.h"

#include <string.h>
#include <time.h>

#include "table.h"

/* A reader of standard output sees a line at most this long after it was made, if more rows come; one that comes alone,
 * this long after the one before, at once: a live input may be silent for hours. */
#define FLUSH_MS 100
#define ALONE_MS 5

static int is_json(const char *format, const char *path) {
    if (strcmp(format, "auto") != 0) {
        return strcmp(format, "jsonl") == 0;
    }
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".jsonl") == 0 || strcmp(dot, ".json") == 0 || strcmp(dot, ".ndjson") == 0);
}

static mbs_status table_create(const mbs_host *host, const mbs_params *params, void **self) {
    mbs_table *t = host->alloc(host, sizeof *t);
    if (!t) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a table");
    }
    memset(t, 0, sizeof *t);
    t->host = host;
    t->params = params;
    t->path = host->param_string(params, "path");
    t->header = host->param_bool(params, "header");
    t->cells.line.host = t->sequence.host = host;
    t->cells.json = is_json(host->param_string(params, "format"), t->path);
    t->at.version = 2;
    const char *temp = NULL;
    mbs_status st = host->output(host, t->path, MBS_OUTPUT_FILE, NULL, &temp);
    if (st < 0) {
        host->free(host, t);
        return st;
    }
    mbs_spool_init(&t->out, host, temp, temp ? t->path : "standard output");
    *self = t;
    return MBS_OK;
}

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static mbs_status table_open(void *self, const mbs_stream_header *header) {
    mbs_table *t = self;
    mbs_piece every;
    t->stream = header;
    mbs_table_choose(t);
    t->flushed_ms = now_ms();
    if (t->kind != MBS_TABLE_SCORE && t->host->param_is_set(t->params, "every")) {
        mbs_status st = t->host->fail(t->host, MBS_ERR_CONFIG, "every", "it is for task score, and what comes is '%s'",
                                      header->type);
        t->host->hint(t->host, "leave it out; task classify has an 'every' of its own (model.every)");
        return st;
    }
    mbs_status st = mbs_piece_every(&every, t->host, t->params, header, 0);
    t->at.piece.every = every.every;
    return st < 0 ? st : mbs_spool_open(&t->out, t->restored ? t->at.length : 0);
}

/* Rows that the sums read as f32 or u8 must be that. */
static mbs_status check_dtype(mbs_table *t, const mbs_block *b) {
    int32_t want = t->kind == MBS_TABLE_SCORE || t->kind == MBS_TABLE_CLASS        ? MBS_F32
                   : t->kind == MBS_TABLE_SEQUENCE || t->kind == MBS_TABLE_LETTERS ? MBS_U8
                                                                                   : b->dtype;
    if (b->dtype != want || (want == MBS_U8 && t->kind != MBS_TABLE_ROWS && t->at.shape.width != 1)) {
        return t->host->fail(t->host, MBS_ERR_INTERNAL, NULL, "record '%s': the rows are not what '%s' says",
                             b->record->name, t->stream->type);
    }
    return MBS_OK;
}

static mbs_status table_write(void *self, const mbs_block *block) {
    mbs_table *t = self;
    mbs_status st = mbs_row_shape_check(&t->at.shape, block, t->host);
    st = st < 0 ? st : check_dtype(t, block);
    st = st < 0 ? st : mbs_span_add(&t->at.span, block, t->host);
    st = st < 0 ? st : mbs_table_header_line(t);
    st = st < 0 ? st : mbs_table_block(t, block);
    if (block->flags & MBS_SEQ_END) {
        t->at.span.open = 0;
    }
    if (st >= 0 && !t->out.path && t->out.used > 0) {
        int64_t now = now_ms();
        int alone = now - t->wrote_ms >= ALONE_MS;
        t->wrote_ms = now;
        if (alone || now - t->flushed_ms >= FLUSH_MS) {
            t->flushed_ms = now;
            st = mbs_spool_flush(&t->out);
        }
    }
    return st;
}

static mbs_status table_drain(void *self) {
    mbs_table *t = self;
    if (t->at.span.open) {
        return t->host->fail(t->host, MBS_ERR_INTERNAL, NULL, "the last record has no end");
    }
    mbs_status st = mbs_table_header_line(t);
    return st < 0 ? st : mbs_spool_flush(&t->out);
}

static mbs_status table_close(void *self) {
    mbs_table *t = self;
    return mbs_spool_close(&t->out);
}

static void table_destroy(void *self) {
    mbs_table *t = self;
    if (t) {
        mbs_spool_drop(&t->out);
        mbs_text_free(&t->cells.line);
        mbs_text_free(&t->sequence);
        t->host->free(t->host, t);
    }
}

static const void *table_extension(void *self, const char *id) {
    mbs_table *t = self;
    if (t && t->out.path && strcmp(id, MBS_EXT_CHECKPOINT) == 0) {
        return &mbs_table_checkpoint; /* standard output cannot be taken back */
    }
    return NULL;
}

const mbs_writer_vt mbs_table_writer = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = table_create,
    .open = table_open,
    .write = table_write,
    .drain = table_drain,
    .close = table_close,
    .destroy = table_destroy,
    .get_extension = table_extension,
};
