/*
 * zoo.h - a small reader that does everything right, in pieces: each animal of the zoo includes it and spoils one.
 * Two records of ten letters, "one" and "two", from 0.
 */
#ifndef MBS_ZOO_H
#define MBS_ZOO_H

#include <stdlib.h>
#include <string.h>

#include "mambaseq/plugin.h"

#define ZOO_LENGTH 10
#define ZOO_RECORDS 2

typedef struct zoo_reader {
    const mbs_host *host;
    int64_t record; /* at hand */
    int64_t at;     /* in it */
    mbs_record out;
} zoo_reader;

static const mbs_source zoo_sources[] = {{"zoo"}};
static const mbs_stream_header zoo_header = {
    .struct_size = sizeof(mbs_stream_header),
    .type = "bases/u8",
    .unit = "base",
    .channels = 1,
    .n_records = ZOO_RECORDS,
    .n_units = ZOO_RECORDS * ZOO_LENGTH,
    .n_sources = 1,
    .sources = zoo_sources,
};

static inline mbs_status zoo_create(const mbs_host *host, const mbs_params *params, void **self) {
    (void)params;
    zoo_reader *r = host->alloc(host, sizeof *r);
    if (!r) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a reader");
    }
    memset(r, 0, sizeof *r);
    r->host = host;
    *self = r;
    return MBS_OK;
}

static inline mbs_status zoo_open(void *self, const mbs_stream_header **header) {
    (void)self;
    *header = &zoo_header;
    return MBS_OK;
}

static inline mbs_status zoo_read(void *self, int64_t max_rows, mbs_block **out) {
    static const char *const names[ZOO_RECORDS] = {"one", "two"};
    zoo_reader *r = self;
    if (r->record == ZOO_RECORDS) {
        return MBS_END;
    }
    int64_t rows = ZOO_LENGTH - r->at < max_rows ? ZOO_LENGTH - r->at : max_rows;
    mbs_block *b = r->host->block_new(r->host, "bases/u8", MBS_U8, 1, &rows);
    if (!b) {
        return r->host->fail(r->host, MBS_ERR_MEMORY, NULL, "no memory for a block");
    }
    memset(b->data, 'A', (size_t)rows);
    r->out = (mbs_record){.struct_size = sizeof r->out,
                          .strand = '+',
                          .index = r->record,
                          .name = names[r->record],
                          .length = ZOO_LENGTH};
    b->record = &r->out;
    b->start = r->at;
    b->end = r->at + rows;
    b->flags = r->at == 0 ? MBS_SEQ_START : 0;
    r->at += rows;
    if (r->at == ZOO_LENGTH) {
        b->flags |= MBS_SEQ_END;
        r->at = 0;
        r->record++;
    }
    *out = b;
    return MBS_OK;
}

static inline mbs_status zoo_close(void *self) {
    (void)self;
    return MBS_OK;
}

static inline void zoo_destroy(void *self) {
    zoo_reader *r = self;
    r->host->free(r->host, r);
}

/* Rows that nothing reads, but tests of tables do. */
static const mbs_param zoo_params[] = {
    MBS_PARAM("path", MBS_PARAM_PATH, NULL, "taken and not looked at"),
    MBS_PARAM_RANGE("flank", MBS_PARAM_SIZE, "1024", 0, 1e12, "bases", "taken and not looked at"),
};

#define ZOO_DESCRIPTOR(VT)                                                                                             \
    {                                                                                                                  \
        .struct_size = sizeof(mbs_descriptor), .kind = MBS_KIND_READER, .id = ZOO_ID, .version = "1.0.0",              \
        .licence = "MIT", .summary = "an animal of the zoo", .produces = "bases/u8", .n_params = 2,                    \
        .params = zoo_params, .vt = VT                                                                                 \
    }

#endif
