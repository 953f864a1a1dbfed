#include <stdio.h>
#include <string.h>

#include "mambaseq/ext/checkpoint.h"
#include "record.h"

#define BLOCK_ROWS 65536
#define PLACE_VERSION 1

/* What checkpoint/1 saves. */
typedef struct place {
    int64_t version;
    sy_spec spec; /* the records are of these parameters */
    int64_t index, row, laid;
} place;

typedef struct reader {
    const mbs_host *host;
    sy_spec spec;
    sy_record now;
    int64_t index; /* of the record in the stream */
    int begun;     /* the record is: rows of it are told by now.row */
    char name[64];
    char vocab[24];
    mbs_attr attrs[2];
    mbs_record record;
    mbs_stream_header header;
} reader;

static void destroy(void *self) {
    reader *r = self;
    sy_record_free(&r->now);
    r->host->free(r->host, r);
}

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof *r);
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof *r);
    r->host = host;
    mbs_status st = sy_spec_read(host, params, &r->spec);
    st = st == MBS_OK ? sy_record_new(&r->now, host, &r->spec) : st;
    if (st != MBS_OK) {
        destroy(r);
        return st;
    }
    *self = r;
    return MBS_OK;
}

static mbs_status open_reader(void *self, const mbs_stream_header **header) {
    reader *r = self;
    (void)snprintf(r->vocab, sizeof r->vocab, "%lld", (long long)r->spec.vocab);
    r->attrs[0] = (mbs_attr){"vocab_size", r->vocab};
    r->attrs[1] = (mbs_attr){"synthetic", sy_kind_name(r->spec.kind)};
    r->header = (mbs_stream_header){.struct_size = (uint32_t)sizeof r->header,
                                    .type = "tokens/i32",
                                    .unit = "token",
                                    .channels = 1,
                                    .n_records = r->spec.count,
                                    .n_units = r->spec.count * r->spec.length,
                                    .n_attrs = 2,
                                    .attrs = r->attrs};
    *header = &r->header;
    return MBS_OK;
}

static void begin(reader *r) {
    int64_t number = r->spec.first + r->index;
    sy_record_begin(&r->now, number);
    (void)snprintf(r->name, sizeof r->name, "%s-%lld", sy_kind_name(r->spec.kind), (long long)number);
    r->record = (mbs_record){.struct_size = (uint32_t)sizeof r->record,
                             .strand = '.',
                             .index = r->index,
                             .source = -1,
                             .name = r->name,
                             .length = r->spec.length};
    r->begun = 1;
}

static mbs_status read(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    const mbs_host *h = r->host;
    *out = NULL;
    if (max_rows < 1) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "asked for %lld rows", (long long)max_rows);
    }
    if (r->index == r->spec.count) {
        return MBS_END;
    }
    if (!r->begun) {
        begin(r);
    }
    int64_t row = r->now.row;
    int64_t n = r->spec.length - row;
    n = n < max_rows ? n : max_rows;
    n = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    mbs_block *b = h->block_new(h, "tokens/i32", MBS_I32, 1, &n);
    int32_t *targets = b ? h->block_side(h, b, "target", MBS_I32, 1) : NULL;
    if (!targets) {
        h->block_unref(h, b);
        return h->fail(h, MBS_ERR_MEMORY, NULL, "no memory for a block of %lld tokens", (long long)n);
    }
    sy_record_fill(&r->now, n, b->data, targets);
    b->record = &r->record;
    b->start = row;
    b->end = row + n;
    b->flags = row == 0 ? MBS_SEQ_START : 0;
    if (b->end == r->spec.length) {
        b->flags |= MBS_SEQ_END;
        r->index++;
        r->begun = 0;
    }
    *out = b;
    return MBS_OK;
}

static mbs_status close_reader(void *self) {
    (void)self;
    return MBS_OK;
}

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    reader *r = self;
    place p;
    memset(&p, 0, sizeof p);
    p.version = PLACE_VERSION;
    p.spec = r->spec;
    p.index = r->index;
    p.row = r->begun ? r->now.row : 0;
    p.laid = r->begun ? r->now.laid : 0;
    mbs_status st = put(sink, &p, sizeof p);
    return st < 0 ? st : MBS_OK;
}

static int same_spec(const sy_spec *a, const sy_spec *b) {
    return a->kind == b->kind && a->length == b->length && a->vocab == b->vocab && a->copy == b->copy &&
           a->pairs == b->pairs && a->random_filler == b->random_filler && a->seed == b->seed && a->count == b->count &&
           a->first == b->first;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    reader *r = self;
    place p;
    int ok = n == sizeof p;
    if (ok) {
        memcpy(&p, bytes, n);
        ok = p.version == PLACE_VERSION && same_spec(&p.spec, &r->spec) && p.index >= 0 && p.index <= r->spec.count;
    }
    if (ok) {
        r->index = p.index;
        if (p.index < r->spec.count) {
            begin(r);
        }
        ok = p.index < r->spec.count ? sy_record_place(&r->now, p.row, p.laid) : p.row == 0 && p.laid == 0;
    }
    return ok ? MBS_OK : r->host->fail(r->host, MBS_ERR_DATA, NULL, "the saved place does not fit the parameters");
}

static const void *extension(void *self, const char *id) {
    static const mbs_ext_checkpoint checkpoint = {
        .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint), .save = save, .restore = restore};
    return self && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_reader_vt sy_reader_vt = {
    .struct_size = (uint32_t)sizeof(mbs_reader_vt),
    .create = create,
    .open = open_reader,
    .read = read,
    .close = close_reader,
    .destroy = destroy,
    .get_extension = extension,
};
