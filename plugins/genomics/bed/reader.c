#include "reader.h"

#include <string.h>

static void reader_destroy(void *self) {
    bd_reader *r = self;
    const mbs_host *h = r->host;
    hu_reference_close(&r->reference);
    h->free(h, r->windows);
    h->free(h, r->texts);
    h->free(h, r->sources);
    h->free(h, r->contigs);
    h->free(h, r);
}

static mbs_status read_params(bd_reader *r) {
    const mbs_host *h = r->host;
    const mbs_params *p = r->params;
    const char *word = h->param_string(p, "flank");
    r->flank = word && strcmp(word, "all") == 0 ? INT64_MAX : h->param_int(p, "flank");
    r->label_column = h->param_is_set(p, "label_column") ? (int)h->param_int(p, "label_column") : 0;
    r->n_files = h->param_count(p, "path");
    if (r->n_files < 1) {
        return h->fail(h, MBS_ERR_CONFIG, "path", "no file to read");
    }
    r->sources = h->alloc(h, (size_t)r->n_files * sizeof(*r->sources));
    if (!r->sources) {
        return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for %lld files", (long long)r->n_files);
    }
    for (int64_t i = 0; i < r->n_files; i++) {
        r->sources[i].path = h->param_item(p, "path", i);
    }
    return MBS_OK;
}

static mbs_status reader_create(const mbs_host *host, const mbs_params *params, void **self) {
    bd_reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->at = -1;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .index = -1};
    mbs_status st = read_params(r);
    if (st != MBS_OK) {
        reader_destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

static mbs_status list_contigs(bd_reader *r) {
    const fa_index *x = &r->reference.index;
    r->contigs = r->host->alloc(r->host, (size_t)(x->n + 1) * sizeof(*r->contigs));
    if (!r->contigs) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the names of %lld records", (long long)x->n);
    }
    for (int64_t i = 0; i < x->n; i++) {
        r->contigs[i] = (mbs_contig){fa_index_name(x, i), x->list[i].length};
    }
    r->header.contigs = r->contigs;
    r->header.n_contigs = x->n;
    return MBS_OK;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    bd_reader *r = self;
    mbs_status st =
        hu_reference_open(&r->reference, r->host, r->host->param_string(r->params, "reference"), "reference");
    st = st == MBS_OK ? bd_windows_read(r) : st;
    r->header = (mbs_stream_header){
        .struct_size = (uint32_t)sizeof(mbs_stream_header),
        .type = "bases/u8",
        .unit = "base",
        .channels = 1,
        .n_records = r->n,
        .n_sources = r->n_files,
        .sources = r->sources,
    };
    for (int64_t i = 0; i < r->n; i++) {
        r->header.n_units += r->windows[i].end - r->windows[i].beg;
    }
    *header = &r->header;
    return st == MBS_OK ? list_contigs(r) : st;
}

static void begin(bd_reader *r) {
    const bd_window *w = &r->windows[r->at];
    const fa_index *x = &r->reference.index;
    /* in front of a window on the other strand is what follows it; coordinates cannot lie before 0 */
    int64_t behind = x->list[w->entry].length - w->end;
    int64_t most = w->strand == '-' && behind < w->beg ? behind : w->beg;
    mbs_record *rec = &r->record;
    r->attr = (mbs_attr){"contig", fa_index_name(x, w->entry)};
    rec->index = r->at;
    rec->source = w->source;
    rec->name = r->texts + w->name;
    rec->label = w->label == BD_NONE ? NULL : r->texts + w->label;
    rec->strand = w->strand == '-' ? '-' : '+';
    rec->start = w->beg;
    rec->length = w->end - w->beg;
    rec->context = r->flank < most ? r->flank : most;
    rec->n_attrs = 1;
    rec->attrs = &r->attr;
    r->position = rec->start - rec->context;
    r->inside = 1;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    bd_reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    if (!r->inside) {
        if (r->at + 1 >= r->n) {
            return MBS_END;
        }
        r->at++;
        begin(r);
    }
    const bd_window *w = &r->windows[r->at];
    int64_t n = w->end - r->position;
    n = n < max_rows ? n : max_rows;
    n = n < BD_PIECE ? n : BD_PIECE;
    mbs_block *b = h->block_new(h, "bases/u8", MBS_U8, 1, &n);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld bases", (long long)n);
    }
    /* row c of the other strand is base beg + end - 1 - c */
    int64_t from = w->strand == '-' ? w->beg + w->end - r->position - n : r->position;
    mbs_status st = hu_reference_read(&r->reference, w->entry, from, n, b->data);
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    if (w->strand == '-') {
        hu_reverse_complement(b->data, n);
    }
    b->flags = (r->position == r->record.start - r->record.context ? MBS_SEQ_START : 0) |
               (r->position + n == w->end ? MBS_SEQ_END : 0);
    b->record = &r->record;
    b->start = r->position;
    b->end = r->position + n;
    r->position += n;
    r->inside = r->position < w->end;
    *out = b;
    return MBS_OK;
}

static mbs_status reader_close(void *self) {
    (void)self;
    return MBS_OK;
}

static const void *reader_extension(void *self, const char *id) {
    (void)self;
    return strcmp(id, MBS_EXT_INSPECT) == 0 ? &bd_inspect : NULL;
}

const mbs_reader_vt bd_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = reader_create,
    .open = reader_open,
    .read = reader_read,
    .close = reader_close,
    .destroy = reader_destroy,
    .get_extension = reader_extension,
};
