/*
 * reader.h - one reader of tables: its files, the columns it wants, and the row that it stands in.
 *
 * A row is held whole: its label may stand behind its sequence. What is longer than TV_ROW_MAX belongs into a FASTA.
 */
#ifndef TV_READER_H
#define TV_READER_H

#include "genomics/htsutil/bytes.h"
#include "genomics/htsutil/parse.h"
#include "mambaseq/plugin.h"

#define TV_ROW_MAX ((size_t)64 << 20)
#define TV_COLUMNS_MAX 10000

/* A row of a file: its fields one after the other, each with a NUL behind. */
typedef struct tv_row {
    fa_text text;
    size_t *at; /* where each field begins in text */
    int64_t n, cap;
    int64_t line;  /* that it begins on, from 1 */
    int64_t next;  /* line of the next byte */
    int separator; /* '\t' or ','; 0: the first row decides */
} tv_row;

typedef struct tv_reader {
    const mbs_host *host;
    const mbs_params *params;
    int64_t n_files;
    mbs_source *sources;
    mbs_stream_header header;
    int64_t file; /* the one being read; n_files: all done */
    int is_open;
    fa_bytes in;
    int first; /* `row` is the file's first one, read for the columns */
    tv_row row;
    int64_t columns;                  /* of the file's first row */
    int64_t sequence, label, name_at; /* columns, from 0; -1: none */
    fa_text name;
    mbs_record record;
    int inside;       /* a record has begun and is not complete */
    int64_t position; /* letters of it that were delivered */
    int64_t length;
} tv_reader;

extern const mbs_reader_vt tv_reader_vt;

/* rows.c: the next row that is not blank: MBS_OK, MBS_END, or an error that the host was told. */
mbs_status tv_row_read(tv_reader *r);
void tv_row_free(tv_reader *r);
/* "x.tsv:12: ..." about the row. */
mbs_status tv_fail(const tv_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
