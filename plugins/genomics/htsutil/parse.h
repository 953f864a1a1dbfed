/*
 * parse.h - FASTA and FASTQ, read as a stream: a header line at a time, letters as many as wanted.
 *
 * Nothing of a record but its header is ever held. Between two calls the parser stands either between records or inside
 * the sequence of one, and can be put back there.
 */
#ifndef FA_PARSE_H
#define FA_PARSE_H

#include "genomics/htsutil/bytes.h"

#define FA_AUTO 0
#define FA_FASTA '>'
#define FA_FASTQ '@'

/* Text that grows; always ends in a NUL once it has been set. */
typedef struct fa_text {
    char *s;
    size_t len, cap;
} fa_text;

mbs_status fa_text_set(const mbs_host *host, fa_text *t, const char *s, size_t n);
mbs_status fa_text_add(const mbs_host *host, fa_text *t, const void *s, size_t n);
void fa_text_free(const mbs_host *host, fa_text *t);

/* How the lines of a record's sequence are cut. */
typedef struct fa_lines {
    int64_t bases, width; /* letters and bytes of a full line; 0, 0: no line yet */
    int32_t closed;       /* a shorter line was seen, it must be the last */
    int32_t uneven;       /* a letter's place cannot be computed */
} fa_lines;

typedef struct fa_parser {
    const mbs_host *host;
    fa_bytes *in;
    int wanted;         /* FA_AUTO or what the user says it is */
    int format;         /* FA_AUTO until the first byte was seen */
    int inside;         /* a record's sequence is being read */
    int64_t line;       /* of the next byte, from 1; 0: not known, after a seek */
    int64_t column;     /* bytes of this line taken */
    int64_t record;     /* number of the record in this file, from 1 */
    int64_t bases;      /* of this record, so far */
    int64_t seq_at;     /* offset of the sequence's first line */
    int64_t n_lines;    /* lines with letters */
    int64_t line_bases; /* letters of this line */
    fa_lines lines;
    int warned; /* of control bytes that are passed over */
    int strict; /* lines were promised by an index: reading stops where they differ */
    fa_text name, description;
    fa_text last;        /* name of the last complete record */
    int64_t last_record; /* its number, 0: none */
    fa_text scratch;
    fa_text *quality; /* gets the quality of each FASTQ record when it is complete; NULL: nobody wants it */
} fa_parser;

/* `in` is open. Keeps the texts of an earlier use. */
void fa_parse_start(fa_parser *p, fa_bytes *in, int wanted);
void fa_parse_free(fa_parser *p);
/* The header of the next record: MBS_OK, MBS_END, or an error that the host was told. Not while inside. */
mbs_status fa_parse_header(fa_parser *p);
/* Up to max letters into dst. *end is set to 1 where the record is complete; then it is not inside any more. */
mbs_status fa_parse_letters(fa_parser *p, uint8_t *dst, int64_t max, int64_t *n, int *end);
/* Puts the parser into the sequence of a FASTA record, at a letter that the input was sought to. The name was set. */
void fa_parse_enter(fa_parser *p, fa_lines lines, int64_t bases, int64_t in_line);
/* "x.fa:3:7: byte 0x00 ..." */
mbs_status fa_parse_fail(const fa_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
