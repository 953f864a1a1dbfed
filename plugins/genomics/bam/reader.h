/*
 * reader.h - one reader of alignments: its files, what is wanted of them, and where it stands.
 */
#ifndef BM_READER_H
#define BM_READER_H

#include <htslib/hts_expr.h>
#include <htslib/sam.h>

#include "genomics/htsutil/reference.h"
#include "mambaseq/plugin.h"
#include "pool.h"

typedef struct bm_span {
    int tid;
    hts_pos_t beg, end;
} bm_span;

/* The MD5 of a sequence of `reference`, once somebody has asked. */
typedef struct bm_sum {
    unsigned char md5[16];
    unsigned char known;
} bm_sum;

typedef struct bm_reader {
    const mbs_host *host;
    const mbs_params *params;
    const char *reference; /* NULL: none */
    int allow_network, allow_truncated;
    int quality;
    int sequenced; /* letters as they left the machine */
    int require, exclude, min_mapq;
    hts_filter_t *expr;
    int by_region;
    const char **paths;
    int64_t n_files;

    mbs_stream_header header;
    mbs_source *sources;
    mbs_contig *contigs;
    char *names; /* of the contigs */
    mbs_attr attr;
    char order[16];

    /* the open file */
    int64_t file; /* the one being read; n_files: all done */
    htsFile *fp;
    sam_hdr_t *hdr;
    hts_idx_t *idx;
    hts_itr_t *itr;
    int no_end;       /* its end-of-file block is missing, and that was allowed */
    int64_t n_read;   /* records of it */
    char unknown[64]; /* CRAM: a contig whose sequence was not found, "" where all were */
    int64_t n_unknown;
    unsigned char *held; /* of each contig: it was held against `reference`; NULL: there is none */
    hu_reference fasta;  /* `reference`, open where sums is */
    bm_sum *sums;        /* of its sequences */
    bm_span *spans;      /* that are being collected */
    int64_t n_spans, cap_spans;

    bm_pool *pool;
    bm_read *read;    /* the record being delivered */
    int inside;       /* it is not complete */
    int64_t position; /* next letter */
    mbs_record record;
} bm_reader;

extern const mbs_reader_vt bm_reader_vt;

/* open.c: everything that can be known before the first record. */
mbs_status bm_open_all(bm_reader *r);
mbs_status bm_open_file(bm_reader *r, int64_t file);
void bm_close_file(bm_reader *r);
const char *bm_show(const bm_reader *r);
/* Says that the end-of-file block is missing; MBS_OK where that is allowed. */
mbs_status bm_end_missing(bm_reader *r);
/* reference.c: holds the contigs against `reference`, and keeps a CRAM from looking for sequences on the network. */
mbs_status bm_reference(bm_reader *r);
/* Holds the sequence that a read lies on against that of `reference`, when the first of its reads comes. */
mbs_status bm_hold(bm_reader *r, int32_t tid, const char *read);
/* A CRAM that could not be decoded: is `reference` to blame? MBS_OK where it is not. */
mbs_status bm_blame(bm_reader *r);
void bm_reference_free(bm_reader *r);
/* select.c */
mbs_status bm_select_params(bm_reader *r);
mbs_status bm_select_regions(bm_reader *r); /* r->itr, for the open file */
/* The next record that is wanted into r->read. MBS_END behind the last of the open file. */
mbs_status bm_next(bm_reader *r);

#endif
