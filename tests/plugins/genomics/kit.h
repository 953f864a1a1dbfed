/*
 * kit.h - drives readers and the codec `bases` from the outside, and writes down what they deliver.
 */
#ifndef GENOMICS_KIT_H
#define GENOMICS_KIT_H

#include "support/fakehost.h"

extern const mbs_plugin_entry_table mbs_plugin_entry_fasta;
extern const mbs_plugin_entry_table mbs_plugin_entry_bases;

#define WHOLE (INT64_C(1) << 40)

typedef struct reading {
    fake_host h;
    void (*look)(struct reading *r, const mbs_block *b); /* at every block; or NULL */
    void *ctx;
    void *self;
    const mbs_stream_header *header;
    mbs_status status; /* of the last call */
    char *text;        /* ">name description [start,length,context]\nLETTERS\n" for each record */
    size_t len, cap;
    int64_t rows, records;
    int inside;
    int64_t next; /* coordinate that comes next */
    int64_t blocks;
} reading;

/* Pairs of key and value, NULL at the end. */
void reading_start(reading *r, const char *const *params);
/* The same of another reader than `fasta`. */
void reading_start_of(reading *r, const mbs_descriptor *desc, const char *const *params);
/* create and open; the status is r->status too. */
mbs_status reading_open(reading *r);
/* One block; checks the law of readers. MBS_END at the end. */
mbs_status reading_step(reading *r, int64_t max_rows);
/* Everything that is left. */
mbs_status reading_rest(reading *r, int64_t max_rows);
/* close (after success) and destroy; checks that nothing was left behind. */
void reading_end(reading *r);
/* start, open and rest. */
void reading_all(reading *r, const char *const *params, int64_t max_rows);

/* The reader's place; free() it. */
void *reading_save(reading *r, size_t *n);
/* create, restore and open. */
mbs_status reading_restore(reading *r, const void *place, size_t n);

void kit_write(const char *path, const void *bytes, size_t n);
#define KIT_TEXT(path, text) kit_write(path, text, sizeof(text) - 1) /* a literal */
void *kit_read(const char *path, size_t *n);
/* Writes bytes as BGZF or gzip. */
void kit_bgzip(const char *path, const void *bytes, size_t n);
void kit_gzip(const char *path, const void *bytes, size_t n);
/* Seconds added to the time of the last change. */
void kit_age(const char *path, int seconds);
uint64_t kit_random(uint64_t *state);

#endif
