#include <string.h>

#include "heatmap.h"

static mbs_status hm_create(const mbs_host *host, const mbs_params *params, void **self) {
    hm_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->path = host->param_string(params, "path");
    w->wrap = host->param_int(params, "wrap");
    w->most = host->param_int(params, "max_positions");
    w->scale = host->param_is_set(params, "scale") ? host->param_float(params, "scale") : 0;
    const char *temp = NULL;
    mbs_status st = host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &temp);
    if (st < 0) {
        host->free(host, w);
        return st;
    }
    mbs_spool_init(&w->out, host, temp, temp ? w->path : "standard output");
    *self = w;
    return MBS_OK;
}

static mbs_status hm_open(void *self, const mbs_stream_header *header) {
    hm_writer *w = self;
    w->stream = header;
    return mbs_spool_open(&w->out, 0);
}

static mbs_status no_memory(const hm_writer *w) {
    return w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for a picture of %lld positions", (long long)w->n);
}

static mbs_status begin_panel(hm_writer *w, const mbs_block *b) {
    const mbs_host *h = w->host;
    if (w->n_panels == w->cap_panels) {
        int64_t cap = w->cap_panels ? 2 * w->cap_panels : 16;
        hm_panel *p = h->realloc(h, w->panels, (size_t)cap * sizeof(*p));
        if (!p) {
            return no_memory(w);
        }
        w->panels = p;
        w->cap_panels = cap;
    }
    size_t n = strlen(b->record->name) + 1;
    char *name = h->alloc(h, n);
    if (!name) {
        return no_memory(w);
    }
    memcpy(name, b->record->name, n);
    w->panels[w->n_panels++] = (hm_panel){name, b->start, w->n, 0};
    return MBS_OK;
}

static mbs_status take(hm_writer *w, const mbs_block *b) {
    const mbs_host *h = w->host;
    int64_t rows = b->shape[0];
    if (rows > w->most - w->n) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "max_positions", "the picture would have more than %lld positions",
                                (long long)w->most);
        h->hint(h, "take a smaller region (reader.regions), or raise max_positions; HDF5 and tables have no limit");
        return st;
    }
    if (w->n + rows > w->cap) {
        int64_t cap = w->n + rows + w->cap;
        float *p = h->realloc(h, w->rows, (size_t)(cap * w->shape.width) * sizeof(*p));
        if (!p) {
            return no_memory(w);
        }
        w->rows = p;
        w->cap = cap;
    }
    if (rows > 0) {
        memcpy(w->rows + w->n * w->shape.width, b->data, (size_t)(rows * w->shape.bytes));
    }
    w->n += rows;
    w->panels[w->n_panels - 1].n += rows;
    return MBS_OK;
}

static mbs_status hm_write(void *self, const mbs_block *b) {
    hm_writer *w = self;
    mbs_status st = mbs_row_shape_check(&w->shape, b, w->host);
    if (st == MBS_OK && (b->dtype != MBS_F32 || (w->n_panels == 0 && !(b->flags & MBS_SEQ_START)))) {
        st = w->host->fail(w->host, MBS_ERR_INTERNAL, NULL, "a block of '%s' that is no part of a record", b->type);
    }
    st = st == MBS_OK && b->flags & MBS_SEQ_START ? begin_panel(w, b) : st;
    return st == MBS_OK ? take(w, b) : st;
}

static mbs_status hm_drain(void *self) {
    hm_writer *w = self;
    mbs_text text = {.host = w->host};
    hm_draw(w, &text);
    mbs_status st = text.failed ? no_memory(w) : mbs_spool_append(&w->out, text.data, text.len);
    mbs_text_free(&text);
    return st < 0 ? st : mbs_spool_flush(&w->out);
}

static mbs_status hm_close(void *self) {
    return mbs_spool_close(&((hm_writer *)self)->out);
}

static void hm_destroy(void *self) {
    hm_writer *w = self;
    mbs_spool_drop(&w->out);
    for (int64_t i = 0; i < w->n_panels; i++) {
        w->host->free(w->host, w->panels[i].name);
    }
    w->host->free(w->host, w->panels);
    w->host->free(w->host, w->rows);
    w->host->free(w->host, w);
}

const mbs_writer_vt hm_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = hm_create,
    .open = hm_open,
    .write = hm_write,
    .drain = hm_drain,
    .close = hm_close,
    .destroy = hm_destroy,
};
