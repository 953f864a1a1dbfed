/*
 * feed.h - made-up records for codecs and writers: a function of (seed, type, record, row), so that they are the same
 * however they are cut into blocks.
 */
#ifndef MBS_PLUG_CHECK_FEED_H
#define MBS_PLUG_CHECK_FEED_H

#include "base/buf.h"
#include "mambaseq/plugin.h"

#define MBS_FEED_RECORDS 5
#define MBS_FEED_ATTRS 16

/* Which letters a stream of bytes is made of. */
typedef enum mbs_feed_style {
    MBS_FEED_RICH = 0, /* what the type allows: also N and lower case, any printable letter */
    MBS_FEED_PLAIN,    /* what nobody can refuse: ACGT, lower-case letters */
    MBS_FEED_WILD      /* any bytes, in rows and in names */
} mbs_feed_style;

typedef struct mbs_feed {
    char type[64];
    int32_t dtype;
    int32_t width; /* 0: one dimension */
    mbs_feed_style style;
    uint64_t seed;
    const char *text; /* rows come from here, a record a line; or NULL */
    size_t text_len, text_at;
    int64_t lengths[MBS_FEED_RECORDS];
    char names[MBS_FEED_RECORDS][48];
    int64_t record, row; /* at hand */
    mbs_record *copy;    /* of the record at hand, or NULL */
    mbs_source source;
    mbs_contig contigs[MBS_FEED_RECORDS];
    mbs_attr attrs[MBS_FEED_ATTRS];
    mbs_stream_header header;
} mbs_feed;

/* `types` as a descriptor's `accepts`; `i` counts those that can be made up. Nonzero behind the last of them. "*"
 * stands for all. */
int mbs_feed_type(const char *types, int i, char *type, size_t size);
/* `text` is borrowed or NULL. */
void mbs_feed_init(mbs_feed *f, const char *type, mbs_feed_style style, uint64_t seed, const char *text, size_t len);
void mbs_feed_free(mbs_feed *f);
/* The next block of at most `rows` rows: MBS_OK, MBS_END, MBS_ERR_MEMORY. */
mbs_status mbs_feed_next(mbs_feed *f, int64_t rows, mbs_block **out);

#endif
