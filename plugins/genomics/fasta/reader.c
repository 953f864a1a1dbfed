#include "reader.h"

#include <string.h>

#include "mambaseq/ext/checkpoint.h"

static void reader_destroy(void *self) {
    fa_reader *r = self;
    const mbs_host *h = r->host;
    fa_bytes_close(&r->in);
    fa_parse_free(&r->parser);
    for (int64_t i = 0; r->files && i < r->n_files; i++) {
        fa_index_free(h, &r->files[i].index);
    }
    fa_label_free(r);
    fa_mask_free(r);
    fa_text_free(h, &r->held);
    fa_text_free(h, &r->qualities);
    h->free(h, r->files);
    h->free(h, r->regions);
    h->free(h, r->sources);
    h->free(h, r->contigs);
    h->free(h, r->window);
    h->free(h, r->saved);
    h->free(h, r);
}

static mbs_status read_params(fa_reader *r) {
    const mbs_host *h = r->host;
    const mbs_params *params = r->params;
    const char *format = h->param_string(params, "format");
    r->wanted = strcmp(format, "fasta") == 0 ? FA_FASTA : strcmp(format, "fastq") == 0 ? FA_FASTQ : FA_AUTO;
    const char *word = h->param_string(params, "flank");
    r->flank = word && strcmp(word, "all") == 0 ? FA_FLANK_ALL : h->param_int(params, "flank");
    r->by_region = h->param_is_set(params, "regions") && h->param_count(params, "regions") > 0;
    r->n_files = h->param_count(params, "path");
    if (r->n_files < 1) {
        return h->fail(h, MBS_ERR_CONFIG, "path", "no file to read");
    }
    r->files = h->alloc(h, (size_t)r->n_files * sizeof(*r->files));
    r->sources = h->alloc(h, (size_t)r->n_files * sizeof(*r->sources));
    if (r->files) {
        memset(r->files, 0, (size_t)r->n_files * sizeof(*r->files));
    }
    if (!r->files || !r->sources) {
        return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for %lld files", (long long)r->n_files);
    }
    int streams = 0;
    for (int64_t i = 0; i < r->n_files; i++) {
        r->files[i].path = h->param_item(params, "path", i);
        streams += strcmp(r->files[i].path, "-") == 0;
    }
    if (streams > 1) {
        return h->fail(h, MBS_ERR_CONFIG, "path", "standard input can be read only once");
    }
    if (streams && r->by_region) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "regions", "regions cannot be taken from standard input");
        h->hint(h, "name a file, best one made with bgzip and samtools faidx");
        return st;
    }
    r->quality = h->param_bool(params, "quality");
    r->parser.quality = r->quality ? &r->qualities : NULL;
    if (r->quality && r->by_region) {
        return h->fail(h, MBS_ERR_CONFIG, "quality", "regions are of FASTA, which has no qualities");
    }
    return fa_label_params(r);
}

static mbs_status reader_create(const mbs_host *host, const mbs_params *params, void **self) {
    fa_reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->in.fd = -1;
    r->parser.host = host;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '+', .index = -1};
    mbs_status st = read_params(r);
    if (st != MBS_OK) {
        reader_destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    fa_reader *r = self;
    mbs_status st = fa_open_all(r);
    st = st == MBS_OK ? fa_mask_read(r) : st;
    *header = &r->header;
    return st;
}

mbs_status fa_open_file(fa_reader *r, int64_t file) {
    fa_bytes_close(&r->in);
    r->is_open = 0;
    mbs_status st = fa_bytes_open(&r->in, r->host, r->files[file].path, "path");
    if (st != MBS_OK) {
        return st;
    }
    r->file = file;
    r->is_open = 1;
    r->listed = 0;
    if (r->files[file].index.marks.n > 0) {
        r->in.marks = &r->files[file].index.marks;
    }
    fa_parse_start(&r->parser, &r->in, r->wanted);
    return MBS_OK;
}

mbs_status fa_misfit(fa_reader *r, const char *name) {
    const char *path = r->files[r->file].path;
    const fa_index *x = &r->files[r->file].index;
    mbs_status st = r->host->fail(r->host, MBS_ERR_DATA, NULL, "%s: record '%.100s' is not as its index says%s", path,
                                  name, x->from_file ? "" : ": the file has changed");
    if (x->from_file) {
        r->host->hint(r->host, "make the index again: samtools faidx %s", path);
    }
    return st;
}

mbs_status fa_enter_region(fa_reader *r) {
    const fa_region *g = &r->regions[r->region];
    mbs_status st = r->is_open && r->file == g->file ? MBS_OK : fa_open_file(r, g->file);
    if (st != MBS_OK) {
        return st;
    }
    fa_index *x = &r->files[g->file].index;
    fa_entry *e = &x->list[g->entry];
    const char *name = fa_index_name(x, g->entry);
    fa_parse_start(&r->parser, &r->in, FA_FASTA);
    st = fa_text_set(r->host, &r->parser.name, name, strlen(name));
    if (st != MBS_OK || r->position == r->end) {
        return st;
    }
    if (!e->checked) {
        int fits = fa_index_fits(x, g->entry, &r->in, g->entry == x->n - 1);
        if (fits != 1) {
            return fits == 0 ? fa_misfit(r, name) : fa_bytes_fail(&r->in, "");
        }
        e->checked = 1;
    }
    int64_t from = e->lines.uneven ? 0 : r->position;
    if (fa_seek(&r->in, fa_entry_offset(e, from)) != 0) {
        return fa_bytes_fail(&r->in, "");
    }
    fa_lines lines = e->lines;
    lines.closed = 0;
    fa_parse_enter(&r->parser, lines, from, lines.uneven ? 0 : from % lines.bases);
    while (from < r->position) { /* the way to a letter that cannot be computed */
        int64_t ahead = r->position - from;
        int64_t n;
        int end;
        st = fa_parse_letters(&r->parser, r->window, ahead < FA_WINDOW ? ahead : FA_WINDOW, &n, &end);
        if (st != MBS_OK || end) {
            return st != MBS_OK ? st : fa_misfit(r, name);
        }
        from += n;
        if (r->host->cancelled(r->host)) {
            return r->host->fail(r->host, MBS_ERR_STOPPED, NULL, "stopped while looking for a region");
        }
    }
    return MBS_OK;
}

static mbs_status next_region(fa_reader *r) {
    if (r->region == r->n_regions) {
        return MBS_END;
    }
    const fa_region *g = &r->regions[r->region];
    mbs_record *rec = &r->record;
    rec->context = r->flank < g->beg ? r->flank : g->beg;
    rec->start = g->beg;
    rec->length = g->end - g->beg;
    r->position = g->beg - rec->context;
    r->end = g->end;
    rec->source = g->file;
    rec->description = NULL;
    return fa_enter_region(r);
}

/* How long the index says that the record is whose header was just read. */
static int64_t listed_length(fa_reader *r) {
    const fa_index *x = &r->files[r->file].index;
    if (x->n != x->n_records || r->listed >= x->n || strcmp(fa_index_name(x, r->listed), r->parser.name.s) != 0) {
        return -1;
    }
    return x->list[r->listed++].length;
}

static mbs_status next_whole(fa_reader *r) {
    for (;;) {
        if (r->file == r->n_files) {
            return MBS_END;
        }
        mbs_status st = r->is_open ? MBS_OK : fa_open_file(r, r->file);
        st = st == MBS_OK ? fa_parse_header(&r->parser) : st;
        if (st == MBS_END) {
            fa_bytes_close(&r->in);
            r->is_open = 0;
            r->file++;
            continue;
        }
        if (st != MBS_OK) {
            return st;
        }
        mbs_record *rec = &r->record;
        rec->source = r->file;
        rec->description = r->parser.description.len ? r->parser.description.s : NULL;
        rec->length = listed_length(r);
        r->position = 0;
        r->end = -1;
        return MBS_OK;
    }
}

/* The next letters of the record into the window. */
static mbs_status read_letters(fa_reader *r, int64_t max_rows, int64_t *n, int *end) {
    *n = 0;
    *end = 0;
    int64_t want = max_rows < FA_WINDOW ? max_rows : FA_WINDOW;
    if (r->quality) {
        fa_quality_letters(r, want, n, end);
        return MBS_OK;
    }
    if (!r->by_region) {
        mbs_status st = fa_parse_letters(&r->parser, r->window, want, n, end);
        if (st == MBS_OK && *end && r->record.length >= 0 && r->position + *n != r->record.length) {
            return fa_misfit(r, r->record.name);
        }
        return st;
    }
    int64_t left = r->end - r->position;
    if (left > 0) {
        const fa_region *g = &r->regions[r->region];
        int uneven = r->files[g->file].index.list[g->entry].lines.uneven;
        mbs_status st = fa_parse_letters(&r->parser, r->window, left < want ? left : want, n, end);
        if (st != MBS_OK) {
            return st;
        }
        if (*end || (r->parser.lines.uneven && !uneven)) {
            return fa_misfit(r, r->record.name);
        }
    }
    *end = r->position + *n == r->end;
    return MBS_OK;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    fa_reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    mbs_status st;
    if (!r->inside) {
        st = r->by_region ? next_region(r) : next_whole(r);
        if (st == MBS_END && r->mask.on && fa_mask_end(r) != MBS_OK) {
            return MBS_ERR_DATA;
        }
        if (st != MBS_OK) {
            return st;
        }
        r->inside = 1;
        r->begun = 0;
        r->record.index++;
        r->record.name = r->parser.name.s;
        fa_mask_enter(r);
        st = fa_label_set(r);
        st = st == MBS_OK && r->quality ? fa_quality_hold(r) : st;
        if (st != MBS_OK) {
            return st;
        }
    }
    int64_t n;
    int end;
    st = read_letters(r, max_rows, &n, &end);
    if (st != MBS_OK) {
        return st;
    }
    int64_t shape[1] = {n};
    mbs_block *b = h->block_new(h, "bases/u8", MBS_U8, 1, shape);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld bases", (long long)n);
    }
    if (n > 0) {
        memcpy(b->data, r->window, (size_t)n);
    }
    if (r->quality && (st = fa_quality_side(r, b)) != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    b->start = r->position;
    b->end = r->position + n;
    if (r->mask.on && (st = fa_mask_side(r, b)) != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    b->flags = (r->begun ? 0 : MBS_SEQ_START) | (end ? MBS_SEQ_END : 0);
    b->record = &r->record;
    r->position += n;
    r->begun = 1;
    r->inside = !end;
    r->region += end && r->by_region;
    *out = b;
    return MBS_OK;
}

static mbs_status reader_close(void *self) {
    fa_reader *r = self;
    fa_bytes_close(&r->in);
    r->is_open = 0;
    return MBS_OK;
}

static const void *reader_extension(void *self, const char *id) {
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? fa_checkpoint(self) : NULL;
}

const mbs_reader_vt fa_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = reader_create,
    .open = reader_open,
    .read = reader_read,
    .close = reader_close,
    .destroy = reader_destroy,
    .get_extension = reader_extension,
};
