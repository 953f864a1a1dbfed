/*
 * rig.h - a writer under test: driven through the instance API as a run drives it, fed with made-up streams that can be
 * cut anywhere, stopped and taken up again.
 */
#ifndef MBS_TESTS_IO_RIG_H
#define MBS_TESTS_IO_RIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/output.h"
#include "plug/instance.h"
#include "plug/params.h"

/* ---- streams ---- */

typedef struct rig_record {
    const char *name; /* NULL: "rec<index>" */
    int64_t rows;
    int64_t start;
    int32_t strand; /* 0: '+' */
    int32_t source;
} rig_record;

/* Values follow from (record, row, column), so any piece of the stream can be made at any time. */
typedef struct rig_stream {
    const char *type;
    int32_t dtype;
    int64_t width; /* 0: blocks of one dimension */
    double rate;
    int64_t hop;  /* units per row, 0: 1 */
    int generate; /* side channels token and logprob, attribute task */
    int interval; /* side channel interval: rows overlap by half */
    int pooled;   /* one row a record, which covers `rows` units */
    int64_t n_records;
    const rig_record *records;               /* or NULL: */
    void (*record)(int64_t i, rig_record *); /* made when asked */
    const mbs_attr *attrs;
    int64_t n_attrs;
    const char *(*label)(int64_t record); /* or NULL: no record has one */
} rig_stream;

void rig_get_record(const rig_stream *s, int64_t i, rig_record *out);
double rig_value(const rig_stream *s, int64_t record, int64_t row, int64_t column);

typedef struct rig_place {
    int64_t record;
    int64_t row;
} rig_place;

/* ---- a writer ---- */

typedef struct rig {
    mbs_outputs *outputs;
    mbs_params *params;
    mbs_instance *writer;
    mbs_stream_header header;
    mbs_attr attrs[24];
    mbs_err err;
    char path[512];
} rig;

/* A new folder below TMPDIR; ends up in `out`. Removed by rig_folder_remove. */
void rig_folder(char *out, size_t size);
void rig_folder_remove(const char *folder);

/* `sets`: key, value pairs, NULL at the end. Creates, declares, locks. */
mbs_status rig_new(rig *r, const mbs_descriptor *desc, const char *path, const char *const *sets, int resume);
mbs_status rig_open(rig *r, const rig_stream *s);
/* Feeds up to n_blocks (< 0: all) blocks of at most `cut` rows from *at on. */
mbs_status rig_feed(rig *r, const rig_stream *s, int64_t cut, int64_t n_blocks, rig_place *at);
/* drain, close, commit */
mbs_status rig_finish(rig *r);
void rig_free(rig *r);
/* As a crash would leave it: files stay as they are for a resume. */
void rig_crash(rig *r);

/* The whole way: what is written at `path`. r->err tells a failure; r is freed. */
mbs_status rig_try(rig *r, const mbs_descriptor *desc, const char *path, const char *const *sets, const rig_stream *s,
                   int64_t cut);
/* The same; fails the test on any error. */
void rig_make(const mbs_descriptor *desc, const char *path, const char *const *sets, const rig_stream *s, int64_t cut);

/* The file's bytes; b->failed where it cannot be read. */
void rig_read(const char *path, mbs_buf *b);
int rig_same(const char *path, const char *other);

/* Runs `body` in a child process and gives its exit status, or 1000 + the signal; its output on fd 1 and 2 in `text`.
 * No CHECK in there: Criterion cannot hear it. */
int rig_child(int (*body)(void *ctx), void *ctx, char *text, size_t size);

/* Makes each allocation of a small run fail in turn, in a child: it must end with 71, or with the same bytes. Gives the
 * number of those that ended it. Call before anything else is allocated in the test. */
typedef struct rig_oom {
    const mbs_descriptor *desc;
    const char *path;
    const rig_stream *s;
    int fail_at;
} rig_oom;
int rig_survives_oom(const mbs_descriptor *desc, const rig_stream *s, const char *file);

#endif
