/* old_writer.c - writer 'old_writer': one line a row, record<TAB>position<TAB>value. Positions are counted from 0. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mambaseq/plugin.h"

typedef struct writer {
    const mbs_host *host;
    const char *path; /* as the user named it */
    const char *temp; /* where to write; NULL: standard output */
    FILE *out;
} writer;

/* Declares the file and opens nothing. The host gives it its name when all is done, or removes it. */
static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    writer *w = host->alloc(host, sizeof *w);
    if (!w)
        return MBS_ERR_MEMORY;
    *w = (writer){.host = host, .path = host->param_string(params, "path")};
    mbs_status status = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp);
    if (status < 0) {
        host->free(host, w);
        return status;
    }
    *self = w;
    return MBS_OK;
}

static mbs_status failed(writer *w, mbs_status status) {
    return w->host->fail(w->host, status, NULL, "%s: %s", w->path, strerror(errno));
}

static mbs_status open_output(void *self, const mbs_stream_header *header) {
    writer *w = self;
    (void)header; /* attributes of the run are in header->attrs: store them where your format has a place */
    if (w->temp && !(w->out = fopen(w->temp, "wb")))
        return failed(w, MBS_ERR_CREATE);
    return MBS_OK;
}

static mbs_status put(writer *w, const char *text, size_t n) {
    if (!w->temp)
        return w->host->stdout_write(w->host, text, n);
    return fwrite(text, 1, n, w->out) == n ? MBS_OK : failed(w, MBS_ERR_IO);
}

/* Your format begins here. What is written must not depend on how rows are cut into blocks. */
static mbs_status write_rows(void *self, const mbs_block *block) {
    writer *w = self;
    for (int64_t i = 0; i < block->shape[0]; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "\t%lld\t", (long long)(block->start + i));
        if (block->dtype == MBS_U8) {
            n += snprintf(text + n, sizeof text - (size_t)n, "%c\n", ((const uint8_t *)block->data)[i]);
        } else if (block->dtype == MBS_I32) {
            n += snprintf(text + n, sizeof text - (size_t)n, "%d\n", ((const int32_t *)block->data)[i]);
        } else {
            n += snprintf(text + n, sizeof text - (size_t)n, "%.9g\n", (double)((const float *)block->data)[i]);
        }
        mbs_status status = put(w, block->record->name, strlen(block->record->name));
        if (status >= 0)
            status = put(w, text, (size_t)n);
        if (status < 0)
            return status;
    }
    return MBS_OK;
}

static mbs_status drain(void *self) {
    writer *w = self;
    return w->out && fflush(w->out) ? failed(w, MBS_ERR_IO) : MBS_OK;
}

static mbs_status close_output(void *self) {
    writer *w = self;
    FILE *out = w->out;
    w->out = NULL;
    return out && fclose(out) ? failed(w, MBS_ERR_IO) : MBS_OK;
}

static void destroy(void *self) {
    writer *w = self;
    if (w->out)
        fclose(w->out);
    w->host->free(w->host, w);
}

static const mbs_param params[] = {MBS_PARAM_OUTPUT("path", "file to write, - for standard output")};
static const mbs_writer_vt vt = {sizeof vt, 0, create, open_output, write_rows, drain, close_output, destroy, NULL};
static const mbs_descriptor descriptor = {
    .struct_size = sizeof descriptor,
    .kind = MBS_KIND_WRITER,
    .id = "old_writer",
    .version = "0.1.0",
    .licence = "MIT",
    .summary = "writes lines of record, position, value",
    .accepts = "bases/u8 tokens/i32 score/f32",
    .suffixes = ".txt",
    .n_params = sizeof params / sizeof params[0],
    .params = params,
    .vt = &vt,
};
static const mbs_descriptor *const descriptors[] = {&descriptor};
MBS_PLUGIN_DEFINE(old_writer, descriptors, NULL);
