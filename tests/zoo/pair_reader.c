/* Reads nothing and makes up records, each with an origin that only pair_writer understands. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mambaseq/plugin.h"
#include "zoo/pair.h"

/* Origins outlive their reader: they are counted and freed on their own. */
typedef struct origin {
    mbs_origin pub; /* first */
    atomic_int refs;
    pair_record record;
} origin;

static _Atomic int64_t live;

static void origin_ref(mbs_origin *o) {
    atomic_fetch_add(&((origin *)(void *)o)->refs, 1);
}

static void origin_unref(mbs_origin *o) {
    if (atomic_fetch_sub(&((origin *)(void *)o)->refs, 1) == 1) {
        memset(o, 0xDD, sizeof(origin));
        free(o);
        atomic_fetch_sub(&live, 1);
    }
}

static mbs_origin *origin_new(int64_t number) {
    origin *o = calloc(1, sizeof *o);
    if (!o) {
        return NULL;
    }
    o->pub = (mbs_origin){.struct_size = sizeof o->pub,
                          .library = PAIR_LIBRARY,
                          .data = &o->record,
                          .ref = origin_ref,
                          .unref = origin_unref};
    atomic_init(&o->refs, 1);
    o->record = (pair_record){.magic = PAIR_MAGIC, .number = number};
    for (int i = 0; i < (int)sizeof o->record.raw; i++) {
        o->record.raw[i] = (uint8_t)(i * 7 + number);
    }
    atomic_fetch_add(&live, 1);
    return &o->pub;
}

typedef struct reader {
    const mbs_host *host;
    int64_t records, length; /* to make */
    int64_t index, at;
    mbs_contig contigs[PAIR_CONTIGS];
    mbs_source source;
    mbs_attr attr;
    mbs_attr record_attr;
    char value[32];
    char name[32];
    mbs_stream_header header;
    mbs_record record;
} reader;

static mbs_status create(const mbs_host *host, const mbs_params *params, void **self) {
    reader *r = host->alloc(host, sizeof *r);
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory");
    }
    memset(r, 0, sizeof *r);
    r->host = host;
    r->records = host->param_int(params, "records");
    r->length = host->param_int(params, "length");
    *self = r;
    return MBS_OK;
}

static mbs_status open_stream(void *self, const mbs_stream_header **header) {
    reader *r = self;
    for (int i = 0; i < PAIR_CONTIGS; i++) {
        r->contigs[i] = (mbs_contig){pair_contig_names[i], pair_contig_lengths[i]};
    }
    r->source.path = "made-up";
    r->attr = (mbs_attr){PAIR_ATTR_KEY, PAIR_ATTR_VALUE};
    r->header = (mbs_stream_header){.struct_size = sizeof r->header,
                                    .type = "bases/u8",
                                    .unit = "base",
                                    .channels = 1,
                                    .n_records = r->records,
                                    .n_units = r->records * r->length,
                                    .n_sources = 1,
                                    .sources = &r->source,
                                    .n_contigs = PAIR_CONTIGS,
                                    .contigs = r->contigs,
                                    .n_attrs = 1,
                                    .attrs = &r->attr};
    *header = &r->header;
    return MBS_OK;
}

static void drop_origin(reader *r) {
    if (r->record.origin) {
        r->record.origin->unref(r->record.origin);
        r->record.origin = NULL;
    }
}

static mbs_status begin_record(reader *r) {
    drop_origin(r);
    (void)snprintf(r->name, sizeof r->name, "read%lld", (long long)r->index);
    (void)snprintf(r->value, sizeof r->value, "%lld", (long long)r->index * 3);
    r->record_attr = (mbs_attr){"three_times", r->value};
    r->record = (mbs_record){.struct_size = sizeof r->record,
                             .strand = r->index % 2 ? '-' : '+',
                             .index = r->index,
                             .name = r->name,
                             .description = r->index % 3 ? NULL : "every third",
                             .label = "pair",
                             .start = 100,
                             .length = r->length,
                             .n_attrs = 1,
                             .attrs = &r->record_attr,
                             .origin = origin_new(r->index)};
    return r->record.origin ? MBS_OK : r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for an origin");
}

static mbs_status read_block(void *self, int64_t max_rows, mbs_block **out) {
    reader *r = self;
    if (r->index == r->records) {
        return MBS_END;
    }
    int64_t rows = r->length - r->at < max_rows ? r->length - r->at : max_rows;
    mbs_status rc = r->at == 0 ? begin_record(r) : MBS_OK;
    if (rc != MBS_OK) {
        return rc;
    }
    mbs_block *b = r->host->block_new(r->host, "bases/u8", MBS_U8, 1, &rows);
    if (!b) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    uint8_t *to = b->data;
    for (int64_t i = 0; i < rows; i++) {
        to[i] = (uint8_t) "ACGT"[(r->at + i) % 4];
    }
    b->record = &r->record;
    b->start = 100 + r->at;
    b->end = b->start + rows;
    b->flags = r->at == 0 ? MBS_SEQ_START : 0;
    r->at += rows;
    if (r->at == r->length) {
        b->flags |= MBS_SEQ_END;
        r->at = 0;
        r->index++;
    }
    *out = b;
    return MBS_OK;
}

static mbs_status close_stream(void *self) {
    drop_origin(self);
    return MBS_OK;
}

static void destroy(void *self) {
    reader *r = self;
    drop_origin(r);
    r->host->free(r->host, r);
}

static int64_t origins_alive(void) {
    return atomic_load(&live);
}

static const void *extension(void *self, const char *id) {
    static const pair_live answer = {origins_alive};
    (void)self;
    return strcmp(id, PAIR_EXT_LIVE) == 0 ? &answer : NULL;
}

static const mbs_param params[] = {
    MBS_PARAM_RANGE("records", MBS_PARAM_SIZE, "5", 0, 1e9, NULL, "records to make up"),
    MBS_PARAM_RANGE("length", MBS_PARAM_SIZE, "10", 0, 1e9, "bases", "of each of them"),
    MBS_PARAM("path", MBS_PARAM_PATH, NULL, "taken and not looked at"),
};
static const mbs_reader_vt vt = {.struct_size = sizeof vt,
                                 .create = create,
                                 .open = open_stream,
                                 .read = read_block,
                                 .close = close_stream,
                                 .destroy = destroy,
                                 .get_extension = extension};
static const mbs_descriptor descriptor = {.struct_size = sizeof descriptor,
                                          .kind = MBS_KIND_READER,
                                          .id = ZOO_ID,
                                          .version = "1.0.0",
                                          .licence = "MIT",
                                          .summary = "makes up records with an origin",
                                          .produces = "bases/u8",
                                          .n_params = 3,
                                          .params = params,
                                          .vt = &vt};
static const mbs_descriptor *const list[] = {&descriptor};
MBS_PLUGIN_DEFINE(pair_reader, list, NULL);
