#include "track.h"

#include <math.h>
#include <string.h>

double tk_unit(const char *word) {
    return strcmp(word, "bits") == 0 ? 1 / log(2.0) : 1;
}

mbs_status tk_declare(tk_track *t, const mbs_host *host, const char *path) {
    t->host = host;
    t->path = path;
    t->contigs.host = host;
    t->at.version = 1;
    const char *temp = NULL;
    mbs_status st = host->output(host, path, MBS_OUTPUT_SCRATCH, "values", &temp);
    mbs_spool_init(&t->values, host, temp, path);
    st = st < 0 ? st : host->output(host, path, MBS_OUTPUT_SCRATCH, "stretches", &temp);
    mbs_spool_init(&t->stretches, host, temp, path);
    return st;
}

/* A track is laid out by names alone. */
static mbs_status twice(const tk_track *t, int64_t index, const char *name) {
    mbs_status st = t->host->fail(t->host, MBS_ERR_DATA, NULL,
                                  "sequence %lld of the input, '%.100s', has the name of one before it",
                                  (long long)index + 1, name);
    t->host->hint(t->host, "a track tells sequences apart by their names: rename one; table and hdf5 take both");
    return st;
}

static mbs_status list_contigs(tk_track *t) {
    const mbs_stream_header *s = t->stream;
    for (int64_t i = 0; i < s->n_contigs; i++) {
        int64_t at;
        if (tk_contigs_find(&t->contigs, s->contigs[i].name) >= 0) {
            return twice(t, i, s->contigs[i].name);
        }
        mbs_status st = tk_contigs_add(&t->contigs, s->contigs[i].name, s->contigs[i].length, &at);
        if (st != MBS_OK) {
            return st;
        }
    }
    return MBS_OK;
}

mbs_status tk_open(tk_track *t, const mbs_stream_header *stream) {
    t->stream = stream;
    t->listed = stream->n_contigs > 0;
    mbs_status st = t->restored ? MBS_OK : list_contigs(t);
    t->piece = t->host->alloc(t->host, TK_PIECE * sizeof(*t->piece));
    if (st == MBS_OK && !t->piece) {
        st = t->host->fail(t->host, MBS_ERR_MEMORY, NULL, "no memory for %d values", TK_PIECE);
    }
    st = st < 0 ? st : mbs_spool_open(&t->values, t->at.values * (int64_t)sizeof(float));
    return st < 0 ? st : mbs_spool_open(&t->stretches, t->at.stretches * (int64_t)sizeof(tk_stretch));
}

const char *tk_contig_of(const mbs_record *r) {
    for (int64_t i = 0; i < r->n_attrs; i++) {
        if (strcmp(r->attrs[i].key, "contig") == 0) {
            return r->attrs[i].value;
        }
    }
    return r->name;
}

static mbs_status begin(tk_track *t, const mbs_record *r) {
    const mbs_host *h = t->host;
    const char *name = tk_contig_of(r);
    int64_t contig = tk_contigs_find(&t->contigs, name);
    if (contig < 0 && t->listed) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s' is none of the %lld contigs of the input",
                                r->name, (long long)t->contigs.n);
        h->hint(h, "a track lies on a genome: reads have coordinates of their own, table and hdf5 take them");
        return st;
    }
    if (contig >= 0 && !t->listed && r->start < -t->contigs.list[contig].length - 1) {
        return twice(t, r->index, name);
    }
    mbs_status st = contig < 0 ? tk_contigs_add(&t->contigs, name, -1, &contig) : MBS_OK;
    t->at.open = (tk_stretch){contig, r->start, 0, t->at.values, r->strand == '-'};
    return st;
}

static mbs_status end(tk_track *t, const mbs_record *r) {
    tk_stretch *s = &t->at.open;
    int64_t last = s->start + s->n;
    tk_contig *c = &t->contigs.list[s->contig];
    if (t->listed && c->length >= 0 && last > c->length) {
        return t->host->fail(t->host, MBS_ERR_DATA, NULL,
                             "record '%.100s' ends at %lld, behind the %lld bases of its contig", r->name,
                             (long long)last, (long long)c->length);
    }
    if (!t->listed || c->length < 0) {
        /* the negative of what was seen so far, until the end tells how long it is */
        c->length = -last - 1 < c->length ? -last - 1 : c->length;
    }
    t->at.span.open = 0;
    if (s->n == 0) {
        return MBS_OK;
    }
    t->at.stretches++;
    return mbs_spool_append(&t->stretches, s, sizeof(*s));
}

mbs_status tk_add(tk_track *t, const mbs_block *b) {
    const mbs_host *h = t->host;
    mbs_status st = mbs_row_shape_check(&t->at.shape, b, h);
    st = st < 0 ? st : mbs_span_add(&t->at.span, b, h);
    if (st < 0) {
        return st;
    }
    if (b->dtype != MBS_F32 || t->at.shape.width != 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%s': the rows are not what '%s' says", b->record->name,
                       b->type);
    }
    if (b->flags & MBS_SEQ_START) {
        st = begin(t, b->record);
    }
    if (st == MBS_OK && (b->end - b->start != b->shape[0] || mbs_side_data(b, "interval", MBS_I64, 2))) {
        st = h->fail(h, MBS_ERR_DATA, NULL, "record '%.100s': %lld values for %lld bases: a track has one for each",
                     b->record->name, (long long)b->shape[0], (long long)(b->end - b->start));
    }
    if (st == MBS_OK && b->shape[0] > 0) {
        st = mbs_spool_append(&t->values, b->data, (size_t)b->shape[0] * sizeof(float));
        t->at.values += b->shape[0];
        t->at.open.n += b->shape[0];
    }
    return st == MBS_OK && (b->flags & MBS_SEQ_END) ? end(t, b->record) : st;
}

mbs_status tk_finish(tk_track *t) {
    if (t->at.span.open) {
        return t->host->fail(t->host, MBS_ERR_INTERNAL, NULL, "the last record has no end");
    }
    for (int64_t i = 0; i < t->contigs.n; i++) {
        int64_t *length = &t->contigs.list[i].length;
        *length = *length < 0 ? -*length - 1 : *length;
    }
    mbs_status st = mbs_spool_flush(&t->values);
    return st < 0 ? st : mbs_spool_flush(&t->stretches);
}

mbs_status tk_close(tk_track *t) {
    mbs_status st = mbs_spool_close(&t->values);
    mbs_status st2 = mbs_spool_close(&t->stretches);
    return st < 0 ? st : st2;
}

void tk_drop(tk_track *t) {
    mbs_spool_drop(&t->values);
    mbs_spool_drop(&t->stretches);
    t->host->free(t->host, t->piece);
    t->host->free(t->host, t->sorted);
    t->piece = NULL;
    t->sorted = NULL;
    tk_contigs_free(&t->contigs);
}
