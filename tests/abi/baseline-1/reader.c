/* old_reader.c - reader 'old_reader': one record a line, name<TAB>sequence. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mambaseq/plugin.h"

typedef struct reader {
    const mbs_host *host;
    FILE *in;
    int inside; /* behind the tab of a line */
    char name[256];
    mbs_source source;
    mbs_stream_header header;
    mbs_record record; /* the line at hand */
    int64_t at;        /* letters of it that were delivered */
} reader;

/* Looks at parameters only: opens nothing. */
static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof *r);
    if (!r)
        return MBS_ERR_MEMORY;
    *r = (reader){.host = host, .source = {host->param_string(params, "path")}};
    r->header = (mbs_stream_header){.struct_size = sizeof r->header,
                                    .type = "bases/u8",
                                    .unit = "base",
                                    .channels = 1,
                                    .n_records = -1,
                                    .n_units = -1,
                                    .n_sources = 1,
                                    .sources = &r->source};
    r->record =
        (mbs_record){.struct_size = sizeof r->record, .strand = '+', .index = -1, .name = r->name, .length = -1};
    *self = r;
    return MBS_OK;
}

static mbs_status failed(reader *r, mbs_status status) {
    return r->host->fail(r->host, status, NULL, "%s: %s", r->source.path, strerror(errno));
}

static mbs_status open_input(void *self, const mbs_stream_header **header) {
    reader *r = self;
    r->in = fopen(strcmp(r->source.path, "-") ? r->source.path : "/dev/stdin", "rb");
    if (!r->in)
        return failed(r, MBS_ERR_NOINPUT);
    *header = &r->header;
    return MBS_OK;
}

/* Your format begins here: the start of a record. */
static mbs_status read_name(reader *r) {
    size_t n = 0;
    for (int c; (c = getc(r->in)) != '\t'; r->name[n++] = (char)c) {
        if (c == EOF && ferror(r->in))
            return failed(r, MBS_ERR_IO);
        if (c == EOF && n == 0)
            return MBS_END;
        if (c == EOF || c == '\n' || n + 1 == sizeof r->name) {
            r->host->hint(r->host, "write every line as name, tab, sequence");
            return r->host->fail(r->host, MBS_ERR_DATA, NULL, "%s: line %lld: no name with a tab behind it",
                                 r->source.path, (long long)r->record.index + 2);
        }
    }
    r->name[n] = '\0';
    r->record.index++;
    r->at = 0;
    return MBS_OK;
}

/* At most max_rows rows of the record at hand: a record may be longer than memory. */
static mbs_status read_rows(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    int starts = !r->inside, c = 0;
    mbs_status status = starts ? read_name(r) : MBS_OK;
    if (status != MBS_OK)
        return status;
    int64_t room = max_rows < 65536 ? max_rows : 65536, n = 0;
    mbs_block *b = r->host->block_new(r->host, "bases/u8", MBS_U8, 1, &room);
    if (!b)
        return MBS_ERR_MEMORY;
    while (n < room && (c = getc(r->in)) != '\n' && c != EOF)
        ((uint8_t *)b->data)[n++] = (uint8_t)c;
    if (ferror(r->in)) {
        r->host->block_unref(r->host, b);
        return failed(r, MBS_ERR_IO);
    }
    r->inside = n == room; /* the line may end just here: then the next block ends the record without rows */
    b->flags = (starts ? MBS_SEQ_START : 0) | (r->inside ? 0 : MBS_SEQ_END);
    b->shape[0] = n;
    b->record = &r->record;
    b->start = r->at;
    b->end = r->at += n;
    *out = b;
    return MBS_OK;
}

static mbs_status close_input(void *self) {
    (void)self; /* a checksum at the end of the file would be looked at here */
    return MBS_OK;
}

static void destroy(void *self) {
    reader *r = self;
    if (r->in)
        fclose(r->in);
    r->host->free(r->host, r);
}

static const mbs_param params[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATH, NULL, "file to read, - for standard input"),
};
static const mbs_reader_vt vt = {sizeof vt, 0, create, open_input, read_rows, close_input, destroy, NULL};
static const mbs_descriptor descriptor = {
    .struct_size = sizeof descriptor,
    .kind = MBS_KIND_READER,
    .id = "old_reader",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "reads lines of name, tab, sequence",
    .produces = "bases/u8",
    .suffixes = ".tsv",
    .n_params = sizeof params / sizeof params[0],
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&descriptor};
MBS_PLUGIN_DEFINE(old_reader, descriptors, NULL);
