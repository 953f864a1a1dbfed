/* The life of a bigWig up to the build. */
#include <string.h>

#include "bigwig.h"

static mbs_status declare(bw_writer *w, const char *path) {
    const mbs_host *h = w->host;
    mbs_status st = h->output(h, path, MBS_OUTPUT_FILE, NULL, &w->temp);
    if (st >= 0 && !w->temp) {
        h->hint(h, "name a file, as path: scores.bw; the writer bedgraph goes to standard output");
        return h->fail(h, MBS_ERR_CONFIG, "path", "a bigWig file cannot be written to standard output");
    }
    mbs_spool_init(&w->out, h, w->temp, path);
    const char *scratch = NULL;
    st = st < 0 ? st : h->output(h, path, MBS_OUTPUT_SCRATCH, "summaries", &scratch);
    mbs_spool_init(&w->summaries, h, scratch, path);
    st = st < 0 ? st : h->output(h, path, MBS_OUTPUT_SCRATCH, "leaves", &scratch);
    mbs_spool_init(&w->leaves, h, scratch, path);
    return st < 0 ? st : tk_declare(&w->track, h, path);
}

mbs_status bw_make(const mbs_host *host, const char *path, double unit, bw_writer **out) {
    bw_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->track.unit = unit;
    mbs_status st = declare(w, path);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    *out = w;
    return MBS_OK;
}

static mbs_status bw_create(const mbs_host *host, const mbs_params *params, void **self) {
    bw_writer *w = NULL;
    mbs_status st = bw_make(host, host->param_string(params, "path"), tk_unit(host->param_string(params, "unit")), &w);
    *self = st < 0 ? *self : w;
    return st;
}

static mbs_status bw_open(void *self, const mbs_stream_header *header) {
    bw_writer *w = self;
    mbs_status st = tk_open(&w->track, header);
    st = st < 0 ? st : mbs_spool_open(&w->summaries, 0);
    st = st < 0 ? st : mbs_spool_open(&w->leaves, 0);
    return st < 0 ? st : mbs_spool_open(&w->out, 0);
}

static mbs_status bw_write(void *self, const mbs_block *block) {
    return tk_add(&((bw_writer *)self)->track, block);
}

static mbs_status bw_drain(void *self) {
    bw_writer *w = self;
    mbs_status st = tk_finish(&w->track);
    return st < 0 ? st : bw_build(w);
}

static mbs_status bw_close(void *self) {
    bw_writer *w = self;
    mbs_status st = mbs_spool_close(&w->out);
    mbs_status st2 = mbs_spool_close(&w->summaries);
    mbs_status st3 = mbs_spool_close(&w->leaves);
    mbs_status st4 = tk_close(&w->track);
    return st < 0 ? st : st2 < 0 ? st2 : st3 < 0 ? st3 : st4;
}

static void bw_destroy(void *self) {
    bw_writer *w = self;
    const mbs_host *h = w->host;
    mbs_spool_drop(&w->out);
    mbs_spool_drop(&w->summaries);
    mbs_spool_drop(&w->leaves);
    tk_drop(&w->track);
    h->free(h, w->order);
    h->free(h, w->rank);
    h->free(h, w->block);
    h->free(h, w->packed);
    h->free(h, w);
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    return tk_save(&((bw_writer *)self)->track, put, sink);
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    return tk_restore(&((bw_writer *)self)->track, bytes, n);
}

const mbs_ext_checkpoint bw_checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *bw_extension(void *self, const char *id) {
    if (strcmp(id, MBS_EXT_INSPECT) == 0) {
        return &bw_inspect;
    }
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &bw_checkpoint : NULL;
}

const mbs_writer_vt bw_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = bw_create,
    .open = bw_open,
    .write = bw_write,
    .drain = bw_drain,
    .close = bw_close,
    .destroy = bw_destroy,
    .get_extension = bw_extension,
};
