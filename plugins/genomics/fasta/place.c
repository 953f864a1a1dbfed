/* "mambaseq.checkpoint/1" of the reader: where it stands, and how to know that the files are still the same. */
#include <string.h>
#include <sys/stat.h>

#include "mambaseq/ext/checkpoint.h"
#include "reader.h"

#define VERSION 1

/* A fixed part, then n_files identities, then three texts, each with its length in front. */
typedef struct place {
    int64_t version, by_region, n_files, n_regions;
    int64_t file, region, is_open, inside, begun, position, listed;
    int64_t index, length;
    int64_t format, line, column, record, bases, n_lines, line_bases, last_record;
    int64_t line_bases_full, line_width, closed, uneven;
    int64_t at, where, next;
} place;

typedef mbs_status (*put_fn)(void *sink, const void *bytes, size_t n);

static mbs_status put_text(put_fn put, void *sink, const fa_text *t, int kept) {
    uint64_t n = kept ? t->len : 0;
    mbs_status st = put(sink, &n, sizeof(n));
    return st >= 0 && n ? put(sink, t->s, (size_t)n) : st;
}

static mbs_status save(void *self, put_fn put, void *sink) {
    fa_reader *r = self;
    const fa_parser *p = &r->parser;
    place l;
    memset(&l, 0, sizeof(l));
    l.version = VERSION;
    l.by_region = r->by_region;
    l.n_files = r->n_files;
    l.n_regions = r->n_regions;
    l.file = r->file;
    l.region = r->region;
    l.inside = r->inside;
    l.begun = r->begun;
    l.position = r->position;
    l.index = r->record.index;
    l.length = r->record.length;
    int whole = !r->by_region && r->is_open;
    if (whole) {
        l.is_open = 1;
        l.listed = r->listed;
        l.format = p->format;
        l.line = p->line;
        l.column = p->column;
        l.record = p->record;
        l.bases = p->bases;
        l.n_lines = p->n_lines;
        l.line_bases = p->line_bases;
        l.last_record = p->last_record;
        l.line_bases_full = p->lines.bases;
        l.line_width = p->lines.width;
        l.closed = p->lines.closed;
        l.uneven = p->lines.uneven;
        l.at = r->in.at;
        l.where = r->in.where;
        l.next = fa_tell(&r->in);
    }
    mbs_status st = put(sink, &l, sizeof(l));
    for (int64_t i = 0; st >= 0 && i < r->n_files; i++) {
        st = put(sink, &r->files[i].identity, sizeof(r->files[i].identity));
    }
    st = st < 0 ? st : put_text(put, sink, &p->name, whole);
    st = st < 0 ? st : put_text(put, sink, &p->description, whole);
    st = st < 0 ? st : put_text(put, sink, &p->last, whole);
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    fa_reader *r = self;
    void *copy = n ? r->host->realloc(r->host, r->saved, n) : NULL;
    if (!copy) {
        return r->host->fail(r->host, n ? MBS_ERR_MEMORY : MBS_ERR_DATA, NULL, "the saved place cannot be read");
    }
    memcpy(copy, bytes, n);
    r->saved = copy;
    r->saved_len = n;
    return MBS_OK;
}

static mbs_status damaged(fa_reader *r) {
    return r->host->fail(r->host, MBS_ERR_DATA, NULL, "the saved place in the input does not fit the pipeline");
}

/* Could this have been saved? A damaged place may lead to other letters, but not to harm. */
static int possible(const fa_reader *r, const place *l) {
    int64_t v[sizeof(place) / sizeof(int64_t)];
    memcpy(v, l, sizeof(v));
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        if (v[i] < -1 || v[i] > INT64_C(1) << 60) {
            return 0;
        }
    }
    return l->version == VERSION && l->by_region == r->by_region && l->n_files == r->n_files &&
           l->n_regions == r->n_regions && l->file >= 0 && l->file <= r->n_files && l->region >= 0 &&
           l->region <= r->n_regions && l->position >= 0 && l->listed >= 0 && l->at >= 0 && l->where >= 0 &&
           l->next >= l->at && l->line_bases >= 0 && l->line_width >= 0 && l->column >= 0 &&
           (l->format == FA_AUTO || l->format == FA_FASTA || l->format == FA_FASTQ);
}

/* Takes n bytes from the front. */
static int take(const unsigned char **at, size_t *left, void *to, size_t n) {
    if (*left < n) {
        return 0;
    }
    memcpy(to, *at, n);
    *at += n;
    *left -= n;
    return 1;
}

static mbs_status take_text(fa_reader *r, const unsigned char **at, size_t *left, fa_text *t) {
    uint64_t n;
    if (!take(at, left, &n, sizeof(n)) || n > *left) {
        return damaged(r);
    }
    mbs_status st = fa_text_set(r->host, t, (const char *)*at, (size_t)n);
    *at += n;
    *left -= (size_t)n;
    return st;
}

static mbs_status restore_whole(fa_reader *r, const place *l, const unsigned char *at, size_t left) {
    r->file = l->file;
    if (!l->is_open) {
        return l->inside ? damaged(r) : MBS_OK;
    }
    if (l->file == r->n_files) {
        return damaged(r);
    }
    mbs_status st = fa_open_file(r, l->file);
    if (st != MBS_OK) {
        return st;
    }
    fa_parser *p = &r->parser;
    st = take_text(r, &at, &left, &p->name);
    st = st == MBS_OK ? take_text(r, &at, &left, &p->description) : st;
    st = st == MBS_OK ? take_text(r, &at, &left, &p->last) : st;
    if (st != MBS_OK) {
        return st;
    }
    int moved =
        r->in.kind == FA_BGZIP ? fa_seek_from(&r->in, (fa_mark){l->at, l->where}, l->next) : fa_seek(&r->in, l->next);
    if (moved != 0) {
        return fa_bytes_fail(&r->in, "");
    }
    if (fa_tell(&r->in) != l->next) {
        return r->host->fail(r->host, MBS_ERR_DATA, NULL, "%s: is shorter than when the run was stopped",
                             r->files[l->file].path);
    }
    p->format = (int)l->format;
    p->inside = (int)l->inside;
    p->line = l->line;
    p->column = l->column;
    p->record = l->record;
    p->bases = l->bases;
    p->n_lines = l->n_lines;
    p->line_bases = l->line_bases;
    p->last_record = l->last_record;
    p->lines = (fa_lines){l->line_bases_full, l->line_width, (int32_t)l->closed, (int32_t)l->uneven};
    r->listed = l->listed;
    r->end = -1;
    r->record.source = l->file;
    r->record.length = l->length;
    r->record.description = p->description.len ? p->description.s : NULL;
    return MBS_OK;
}

static mbs_status restore_region(fa_reader *r, const place *l) {
    r->region = l->region;
    if (!l->inside) {
        return MBS_OK;
    }
    if (l->region == r->n_regions) {
        return damaged(r);
    }
    const fa_region *g = &r->regions[l->region];
    mbs_record *rec = &r->record;
    rec->start = g->beg;
    rec->length = g->end - g->beg;
    rec->context = r->flank < g->beg ? r->flank : g->beg;
    rec->source = g->file;
    r->end = g->end;
    if (l->position < rec->start - rec->context || l->position > g->end) {
        return damaged(r);
    }
    return fa_enter_region(r);
}

mbs_status fa_place_restore(fa_reader *r) {
    const unsigned char *at = r->saved;
    size_t left = r->saved_len;
    place l;
    if (!take(&at, &left, &l, sizeof(l)) || !possible(r, &l)) {
        return damaged(r);
    }
    for (int64_t i = 0; i < r->n_files; i++) {
        uint64_t identity;
        if (!take(&at, &left, &identity, sizeof(identity))) {
            return damaged(r);
        }
        if (identity != r->files[i].identity) {
            mbs_status st = r->host->fail(r->host, MBS_ERR_DATA, "path", "%s: has changed since the run was stopped",
                                          r->files[i].path);
            r->host->hint(r->host, "start again without --resume");
            return st;
        }
    }
    r->position = l.position;
    mbs_status st = r->by_region ? restore_region(r, &l) : restore_whole(r, &l, at, left);
    r->inside = l.inside != 0;
    r->begun = l.begun != 0;
    r->record.index = l.index;
    r->record.name = r->parser.name.s;
    return st == MBS_OK && r->inside ? fa_label_set(r) : st;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

const void *fa_checkpoint(fa_reader *r) {
    if (r->quality || r->host->param_is_set(r->params, "mask")) {
        return NULL; /* a record is held, or names are counted: the file is read again up to the place */
    }
    for (int64_t i = 0; i < r->n_files; i++) {
        struct stat st;
        if (strcmp(r->files[i].path, "-") == 0 || (stat(r->files[i].path, &st) == 0 && !S_ISREG(st.st_mode) &&
                                                   !(S_ISDIR(st.st_mode) && r->label_kind == FA_LABEL_FOLDER))) {
            return NULL; /* what was read of a stream is gone */
        }
    }
    return &checkpoint;
}
