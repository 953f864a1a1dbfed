/* All bytes of a file, decompressed, as one record. */
#include <string.h>

#include "genomics/htsutil/bytes.h"
#include "verbatim.h"

typedef struct reader {
    const mbs_host *host;
    fa_bytes in;
    int is_open;
    int begun, ended;
    int64_t at;
    mbs_source source;
    mbs_stream_header header;
    mbs_record record;
} reader;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof(*r));
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof(*r));
    r->host = host;
    r->source.path = host->param_string(params, "path");
    *self = r;
    return MBS_OK;
}

static mbs_status open_reader(void *self, const mbs_stream_header **header) {
    reader *r = self;
    mbs_status st = fa_bytes_open(&r->in, r->host, r->source.path, "path");
    if (st != MBS_OK) {
        return st;
    }
    r->is_open = 1;
    r->header = (mbs_stream_header){.struct_size = sizeof(r->header),
                                    .type = VB_TYPE,
                                    .unit = "byte",
                                    .channels = 1,
                                    .n_records = 1,
                                    .n_units = r->in.kind == FA_PLAIN ? r->in.size : -1,
                                    .n_sources = 1,
                                    .sources = &r->source};
    r->record = (mbs_record){.struct_size = sizeof(r->record), .strand = '.', .name = "file", .length = -1};
    *header = &r->header;
    return MBS_OK;
}

static mbs_status read_block(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *h = r->host;
    if (r->ended) {
        return MBS_END;
    }
    int c = fa_peek(&r->in);
    if (c == FA_BROKEN) {
        return fa_bytes_fail(&r->in, "");
    }
    int64_t n = c == FA_EOF ? 0 : (int64_t)(r->in.len - r->in.pos);
    n = n < max_rows ? n : max_rows;
    mbs_block *b = h->block_new(h, VB_TYPE, MBS_U8, 1, &n);
    if (!b) {
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for %lld bytes", (long long)n);
    }
    if (n > 0) {
        memcpy(b->data, r->in.buf + r->in.pos, (size_t)n);
        r->in.pos += (size_t)n;
    }
    r->ended = c == FA_EOF;
    b->flags = (r->begun ? 0u : MBS_SEQ_START) | (r->ended ? MBS_SEQ_END : 0u);
    b->record = &r->record;
    b->start = r->at;
    b->end = r->at += n;
    r->begun = 1;
    *out = b;
    return MBS_OK;
}

static mbs_status close_reader(void *self) {
    (void)self; /* what a file lacks at its end was told when it was reached */
    return MBS_OK;
}

static void destroy(void *self) {
    reader *r = self;
    if (r->is_open) {
        fa_bytes_close(&r->in);
    }
    r->host->free(r->host, r);
}

const mbs_reader_vt vb_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = create,
    .open = open_reader,
    .read = read_block,
    .close = close_reader,
    .destroy = destroy,
};
