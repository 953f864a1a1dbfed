/*
 * writer.h - the writer `bam`: the records that the reader `bam` read, each with a score in its tags.
 */
#ifndef BM_WRITER_H
#define BM_WRITER_H

#include <htslib/kstring.h>
#include <htslib/sam.h>

#include "genomics/htsutil/alignment.h"
#include "io/rowfile/span.h"
#include "mambaseq/plugin.h"

typedef struct bm_writer {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    const char *temp;          /* NULL: SAM text to standard output */
    const char *index;         /* temporary path, NULL: none */
    int csi;                   /* a contig is too long for .bai */
    int text;                  /* SAM */
    double unit;               /* the mean is multiplied by it */
    const char *score, *count; /* tags; count NULL: none */
    const char *second, *odds; /* tags of two models; told with one they are a mistake */
    int models;                /* how many have scored */
    char name[2][40];          /* of two models */
    const mbs_stream_header *stream;

    htsFile *fp;
    sam_hdr_t *hdr; /* with our @PG */
    char *source;   /* text of the header that the records came with */
    size_t source_len;
    bam1_t *b;
    kstring_t line;
    int begun;        /* the header is written */
    int64_t tid, pos; /* of the record before, where an index is made */

    mbs_row_shape shape;
    mbs_span span;
    double sum[2]; /* of the record at hand */
    int64_t scored;
} bm_writer;

extern const mbs_writer_vt bm_writer_vt;

/* header.c: w->hdr of the text of a record's header, or (NULL) of the contigs of the stream; with @PG. */
mbs_status bm_writer_header(bm_writer *w, const char *text, size_t n);

#endif
