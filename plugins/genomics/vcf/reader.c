#include "reader.h"

#include <htslib/hts_log.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "genomics/htsutil/bytes.h"

static void reader_destroy(void *self) {
    vf_reader *r = self;
    const mbs_host *h = r->host;
    vf_forget_ahead(r);
    vf_input_close(&r->in);
    vf_input_close(&r->scan);
    h->free(h, r->in.seen);
    h->free(h, r->scan.seen);
    hu_reference_close(&r->reference);
    h->free(h, r->contigs);
    if (r->turn_file >= 0) {
        (void)close(r->turn_file);
    }
    h->free(h, r->turns);
    h->free(h, r->texts);
    h->free(h, r->alts);
    h->free(h, r->changes);
    h->free(h, r);
}

static mbs_status reader_create(const mbs_host *host, const mbs_params *params, void **self) {
    hts_set_log_level(HTS_LOG_OFF); /* its words would go to stderr; ours say more */
    vf_reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->path = host->param_string(params, "path");
    r->allow_truncated = host->param_bool(params, "allow_truncated");
    r->mark = strcmp(host->param_string(params, "ref_mismatch"), "mark") == 0;
    r->strands = MBS_EDIT_PLUS;
    r->turn_file = -1;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .index = -1};
    *self = r;
    return MBS_OK;
}

static mbs_status list_contigs(vf_reader *r) {
    const fa_index *x = &r->reference.index;
    r->contigs = r->host->alloc(r->host, (size_t)(x->n + 1) * sizeof(*r->contigs));
    if (!r->contigs) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for the names of %lld records", (long long)x->n);
    }
    for (int64_t i = 0; i < x->n; i++) {
        r->contigs[i] = (mbs_contig){fa_index_name(x, i), x->list[i].length};
    }
    return MBS_OK;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    vf_reader *r = self;
    mbs_status st = vf_input_open(r, &r->in);
    if (st == MBS_OK && r->strands & MBS_EDIT_MINUS) {
        st = vf_input_open(r, &r->scan);
    }
    if (st == MBS_OK) {
        st = hu_reference_open(&r->reference, r->host, r->host->param_string(r->params, "reference"), "reference");
    }
    st = st == MBS_OK ? list_contigs(r) : st;
    r->source.path = r->path;
    r->columns = (mbs_attr){"edit_columns", "id\tref\talt"};
    r->header = (mbs_stream_header){
        .struct_size = (uint32_t)sizeof(mbs_stream_header),
        .type = "bases/u8",
        .unit = "base",
        .channels = 1,
        .n_records = -1,
        .n_units = -1,
        .n_sources = 1,
        .sources = &r->source,
        .n_contigs = st == MBS_OK ? r->reference.index.n : 0,
        .contigs = r->contigs,
        .n_attrs = 1,
        .attrs = &r->columns,
    };
    *header = &r->header;
    return st;
}

/* The contig of the next record is not in the FASTA. */
static mbs_status unknown_contig(vf_reader *r) {
    const mbs_host *h = r->host;
    const fa_index *x = &r->reference.index;
    char shown[256];
    vf_show(r->in.ahead, shown, sizeof(shown));
    if (r->mark) {
        h->log(h, MBS_LOGLEVEL_WARNING, "%s has no contig '%.100s': its variants are kept without a score",
               r->reference.path, r->name);
        return MBS_OK;
    }
    const char *theirs = fa_index_by_chr(x, r->name);
    if (theirs) {
        mbs_status st = h->fail(h, MBS_ERR_DATA, "reference", "%s: %s: %s calls that contig '%.100s'", fa_show(r->path),
                                shown, r->reference.path, theirs);
        h->hint(h, "bcftools annotate --rename-chrs gives the variants the names of the FASTA");
        return st;
    }
    mbs_status st =
        h->fail(h, MBS_ERR_DATA, "reference", "%s: %s: that contig is not in %s, where the first is '%.100s'",
                fa_show(r->path), shown, r->reference.path, x->n ? fa_index_name(x, 0) : "");
    h->hint(h,
            "give the FASTA that the variants were called on; ref_mismatch: mark keeps such records without a score");
    return st;
}

/* What the header says of the contig's length, against the FASTA. */
static mbs_status check_length(vf_reader *r) {
    const mbs_host *h = r->host;
    const bcf_hdr_t *hdr = r->in.head->hdr;
    int64_t told = r->rid < hdr->n[BCF_DT_CTG] && hdr->id[BCF_DT_CTG][r->rid].val
                       ? (int64_t)hdr->id[BCF_DT_CTG][r->rid].val->info[0]
                       : 0;
    if (told <= 0 || told == r->length || r->mark) {
        return MBS_OK;
    }
    mbs_status st = h->fail(h, MBS_ERR_DATA, "reference",
                            "contig '%.100s' has %lld bases in the header of %s and %lld in %s: not its reference",
                            r->name, (long long)told, fa_show(r->path), (long long)r->length, r->reference.path);
    h->hint(h, "give the FASTA that the variants were called on");
    return st;
}

static mbs_status find_contig(vf_reader *r) {
    const mbs_host *h = r->host;
    r->rid = r->in.ahead->b->rid;
    (void)snprintf(r->name, sizeof(r->name), "%s", vf_contig(&r->in, r->rid));
    r->entry = -1;
    r->length = 0;
    int64_t found = fa_index_find(&r->reference.index, r->name, strlen(r->name), &r->entry);
    if (found == 0) {
        r->entry = -1;
        return unknown_contig(r);
    }
    if (found > 1) {
        return h->fail(h, MBS_ERR_DATA, "reference", "%s: %lld records are named '%.100s'", r->reference.path,
                       (long long)found, r->name);
    }
    r->length = r->reference.index.list[r->entry].length;
    return check_length(r);
}

/* The record of one strand begins. */
static void begin(vf_reader *r, int minus) {
    r->minus = minus;
    r->inside = 1;
    r->position = 0;
    r->reach = 0;
    r->end = -1;
    if (minus) {
        r->end = r->length - r->turn_last < r->follow ? r->length : r->turn_last + r->follow;
    } else if (!(r->strands & MBS_EDIT_PLUS)) {
        r->end = 0;
    }
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record),
                             .strand = minus ? '-' : '+',
                             .index = r->record.index + 1,
                             .source = 0,
                             .name = r->name,
                             .start = 0,
                             .length = -1};
}

/* The next record of the stream; MBS_END behind the last. */
static mbs_status next_record(vf_reader *r) {
    vf_forget_ahead(r);
    if (r->plus_left) {
        r->plus_left = 0;
        begin(r, 0);
        return MBS_OK;
    }
    mbs_status st = MBS_OK;
    do { /* groups that nobody asked for */
        vf_record_unref(r->in.ahead && r->record.index >= 0 && r->in.ahead->b->rid == r->rid ? vf_input_take(&r->in)
                                                                                             : NULL);
        st = vf_input_peek(r, &r->in);
    } while (st == MBS_OK && r->in.ahead && r->record.index >= 0 && r->in.ahead->b->rid == r->rid);
    if (st != MBS_OK || !r->in.ahead) {
        return st == MBS_OK ? MBS_END : st;
    }
    st = find_contig(r);
    if (st == MBS_OK && r->strands & MBS_EDIT_MINUS) {
        r->plus_left = 1;
        st = vf_turn_contig(r);
    }
    if (st == MBS_OK) {
        begin(r, r->plus_left);
    }
    return st;
}

/* How many letters come next; `end` is known when the last variant is. */
static mbs_status plan(vf_reader *r, int64_t max_rows, int64_t *n) {
    int64_t most = max_rows < VF_PIECE ? max_rows : VF_PIECE;
    mbs_status st = MBS_OK;
    if (r->end < 0) {
        int over = 0;
        int64_t to = r->length - r->position < most ? r->length : r->position + most;
        st = vf_read_ahead(r, &to, &over);
        most = to - r->position < most ? to - r->position : most;
        int64_t reach = r->reach < r->length ? r->reach : r->length;
        if (over) {
            r->end = r->length - reach < r->follow ? r->length : reach + r->follow;
            r->end = r->end > r->position ? r->end : r->position;
        } else if (to == r->length) {
            r->end = r->length;
        }
    }
    int64_t end = r->end < 0 ? r->length : r->end;
    *n = end - r->position < most ? end - r->position : most;
    return st;
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    vf_reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    mbs_status st = r->inside ? MBS_OK : next_record(r);
    int64_t n = 0;
    st = st == MBS_OK ? plan(r, max_rows, &n) : st;
    if (st != MBS_OK) {
        return st;
    }
    mbs_block *b = h->block_new(h, "bases/u8", MBS_U8, 1, &n);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld bases", (long long)n);
    }
    int64_t from = r->minus ? r->length - r->position - n : r->position;
    st = r->entry >= 0 ? hu_reference_read(&r->reference, r->entry, from, n, b->data) : MBS_OK;
    if (st != MBS_OK) {
        h->block_unref(h, b);
        return st;
    }
    if (r->minus) {
        hu_reverse_complement(b->data, n);
    }
    int first = r->position == 0;
    b->start = r->position;
    b->end = r->position += n;
    r->inside = r->end < 0 || r->position < r->end;
    b->flags = (first ? MBS_SEQ_START : 0u) | (r->inside ? 0u : MBS_SEQ_END);
    b->record = &r->record;
    *out = b;
    return MBS_OK;
}

static mbs_status reader_close(void *self) {
    (void)self;
    return MBS_OK;
}

static const void *reader_extension(void *self, const char *id) {
    if (strcmp(id, MBS_EXT_INSPECT) == 0) {
        return &vf_inspect;
    }
    return self && strcmp(id, MBS_EXT_EDITS) == 0 ? &vf_edits : NULL;
}

const mbs_reader_vt vf_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = reader_create,
    .open = reader_open,
    .read = reader_read,
    .close = reader_close,
    .destroy = reader_destroy,
    .get_extension = reader_extension,
};
