/*
 * writer.h - the HDF5 writer: rows go to spool files while the run lasts, and one pass at its end makes the .h5 of
 * them.
 */
#ifndef MBS_HDF5_WRITER_H
#define MBS_HDF5_WRITER_H

#include "io/rowfile/span.h"
#include "io/rowfile/spool.h"
#include "io/rowfile/text.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/plugin.h"

/* Layout of the file; within one number things are only added. Root attribute `format`. */
#define MBS_H5_FORMAT 1

/* Spool files, and the order in which they are saved. */
typedef enum mbs_h5_spool {
    MBS_H5_ROWS,
    MBS_H5_RECORDS, /* mbs_h5_record each */
    MBS_H5_NAMES,   /* each with a NUL behind */
    MBS_H5_TOKEN,   /* side channels that get a dataset of their own */
    MBS_H5_LOGPROB,
    MBS_H5_INTERVAL,
    MBS_H5_LABELS, /* as names, from the first record that has one on; before it a NUL for each record */
    MBS_H5_N_SPOOLS
} mbs_h5_spool;

typedef struct mbs_h5_record {
    int64_t start;
    int64_t length;
    int64_t rows_end; /* index behind the last row */
    int64_t hop;
    int64_t name_length; /* without the NUL */
    int64_t label_length;
    int32_t source;
    char strand[4]; /* one character is used */
} mbs_h5_record;

/* What is kept between blocks. Plain values: a checkpoint is this. */
typedef struct mbs_h5_counts {
    int64_t version;
    int64_t length[MBS_H5_N_SPOOLS];
    int64_t n_records;
    int64_t n_rows;
    int64_t longest_name;
    int64_t longest_label;
    int64_t labelled; /* records with a label */
    int64_t sides;    /* a bit for each spool: the side channel came with every block so far */
    mbs_row_shape shape;
    mbs_span span;
} mbs_h5_counts;

typedef struct mbs_h5 {
    const mbs_host *host;
    const char *path; /* as the user wrote it */
    const char *temp;
    int gzip;      /* 0: none, else the level */
    int generated; /* task: generate */
    int restored;
    const mbs_stream_header *stream;
    mbs_h5_counts at;
    mbs_text name; /* of a record, or its label, made valid UTF-8 */
    mbs_spool spool[MBS_H5_N_SPOOLS];
} mbs_h5;

extern const mbs_writer_vt mbs_h5_writer;
extern const mbs_ext_checkpoint mbs_h5_checkpoint; /* checkpoint.c */
extern const mbs_ext_inspect mbs_h5_inspect;       /* inspect.c */

/* build.c: makes the .h5 at w->temp of the flushed spools. */
mbs_status mbs_h5_build(mbs_h5 *w);

#endif
