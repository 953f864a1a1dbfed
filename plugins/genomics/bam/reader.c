#include "reader.h"

#include <htslib/hts_log.h>
#include <string.h>

static void reader_destroy(void *self) {
    bm_reader *r = self;
    const mbs_host *h = r->host;
    bm_close_file(r);
    if (r->read) {
        bm_pool_give(r->read);
    }
    if (r->pool) {
        bm_pool_close(r->pool);
    }
    if (r->expr) {
        hts_filter_free(r->expr);
    }
    bm_reference_free(r);
    h->free(h, r->paths);
    h->free(h, r->sources);
    h->free(h, r->contigs);
    h->free(h, r->names);
    h->free(h, r->spans);
    h->free(h, r);
}

static mbs_status read_paths(bm_reader *r) {
    const mbs_host *h = r->host;
    r->n_files = h->param_count(r->params, "path");
    if (r->n_files < 1) {
        return h->fail(h, MBS_ERR_CONFIG, "path", "no file to read");
    }
    r->paths = h->alloc(h, (size_t)r->n_files * sizeof(*r->paths));
    r->sources = h->alloc(h, (size_t)r->n_files * sizeof(*r->sources));
    if (!r->paths || !r->sources) {
        return h->fail(h, MBS_ERR_MEMORY, "path", "no memory for %lld files", (long long)r->n_files);
    }
    int streams = 0;
    for (int64_t i = 0; i < r->n_files; i++) {
        r->paths[i] = h->param_item(r->params, "path", i);
        r->sources[i].path = r->paths[i];
        streams += strcmp(r->paths[i], "-") == 0;
    }
    if (streams && r->n_files > 1) {
        return h->fail(h, MBS_ERR_CONFIG, "path", "standard input cannot be read together with other files");
    }
    if (streams && r->by_region) {
        return h->fail(h, MBS_ERR_CONFIG, "regions", "regions cannot be taken from standard input");
    }
    return MBS_OK;
}

static mbs_status read_params(bm_reader *r) {
    const mbs_host *h = r->host;
    const mbs_params *p = r->params;
    r->reference = h->param_is_set(p, "reference") ? h->param_string(p, "reference") : NULL;
    r->allow_network = h->param_bool(p, "allow_network");
    r->allow_truncated = h->param_bool(p, "allow_truncated");
    r->quality = h->param_bool(p, "quality");
    r->sequenced = strcmp(h->param_string(p, "orientation"), "sequenced") == 0;
    r->by_region = h->param_is_set(p, "regions") && h->param_count(p, "regions") > 0;
    mbs_status st = read_paths(r);
    return st == MBS_OK ? bm_select_params(r) : st;
}

static mbs_status reader_create(const mbs_host *host, const mbs_params *params, void **self) {
    hts_set_log_level(HTS_LOG_OFF); /* its words would go to stderr; ours say more */
    bm_reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->params = params;
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof(mbs_record), .strand = '.', .index = -1};
    mbs_status st = read_params(r);
    if (st == MBS_OK && !(r->pool = bm_pool_new())) {
        st = host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for records");
    }
    if (st != MBS_OK) {
        reader_destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

static mbs_status reader_open(void *self, const mbs_stream_header **header) {
    bm_reader *r = self;
    mbs_status st = bm_open_all(r);
    *header = &r->header;
    return st;
}

static mbs_status next_record(bm_reader *r) {
    const mbs_host *h = r->host;
    for (;;) {
        if (r->file == r->n_files) {
            return MBS_END;
        }
        mbs_status st = r->fp ? MBS_OK : bm_open_file(r, r->file);
        if (st != MBS_OK) {
            return st;
        }
        if (r->read) {
            bm_pool_give(r->read); /* whoever wants it has a reference */
        }
        r->read = bm_pool_take(r->pool);
        if (!r->read) {
            return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a record");
        }
        st = bm_next(r);
        if (st != MBS_END) {
            return st;
        }
        bm_close_file(r);
        r->file++;
    }
}

static void begin(bm_reader *r) {
    const bam1_t *b = r->read->b;
    int mapped = !(b->core.flag & BAM_FUNMAP) && b->core.tid >= 0;
    mbs_record *rec = &r->record;
    rec->index++;
    rec->source = r->file;
    rec->name = bam_get_qname(b);
    rec->length = b->core.l_qseq;
    rec->strand = !mapped ? '.' : r->sequenced && bam_is_rev(b) ? '-' : '+';
    rec->origin = &r->read->origin;
    r->position = 0;
    r->inside = 1;
}

/* Letters from `from` on; turned ones are those of the other strand, counted from its end. */
static void letters(const bam1_t *b, int turned, int64_t from, int64_t n, uint8_t *to) {
    const uint8_t *seq = bam_get_seq(b);
    if (!turned) {
        for (int64_t i = 0; i < n; i++) {
            to[i] = (uint8_t)seq_nt16_str[bam_seqi(seq, from + i)];
        }
        return;
    }
    static const char other[] = "=TGKCYSBAWRDMHVN"; /* of =ACMGRSVTWYHKDBN */
    int64_t last = (int64_t)b->core.l_qseq - 1 - from;
    for (int64_t i = 0; i < n; i++) {
        to[i] = (uint8_t)other[bam_seqi(seq, last - i)];
    }
}

static void qualities(const bam1_t *b, int turned, int64_t from, int64_t n, uint8_t *to) {
    const uint8_t *q = bam_get_qual(b);
    int64_t last = (int64_t)b->core.l_qseq - 1 - from;
    for (int64_t i = 0; i < n; i++) {
        to[i] = turned ? q[last - i] : q[from + i];
    }
}

static mbs_status reader_read(void *self, int64_t max_rows, mbs_block **out) {
    bm_reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    if (!r->inside) {
        mbs_status st = next_record(r);
        if (st != MBS_OK) {
            return st;
        }
        begin(r);
    }
    const bam1_t *b = r->read->b;
    int turned = r->sequenced && bam_is_rev(b);
    int64_t left = r->record.length - r->position;
    int64_t n = left < max_rows ? left : max_rows;
    mbs_block *block = h->block_new(h, "bases/u8", MBS_U8, 1, &n);
    uint8_t *quality = block && r->quality ? h->block_side(h, block, "quality", MBS_U8, 1) : NULL;
    if (!block || (r->quality && !quality)) {
        h->block_unref(h, block);
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld bases", (long long)n);
    }
    letters(b, turned, r->position, n, block->data);
    if (quality) {
        qualities(b, turned, r->position, n, quality);
    }
    block->flags = (r->position == 0 ? MBS_SEQ_START : 0) | (n == left ? MBS_SEQ_END : 0);
    block->record = &r->record;
    block->start = r->position;
    block->end = r->position + n;
    r->position += n;
    r->inside = n < left;
    *out = block;
    return MBS_OK;
}

static mbs_status reader_close(void *self) {
    bm_close_file(self);
    return MBS_OK;
}

const mbs_reader_vt bm_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = reader_create,
    .open = reader_open,
    .read = reader_read,
    .close = reader_close,
    .destroy = reader_destroy,
};
