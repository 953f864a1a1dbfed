/*
 * build.h - datasets of one HDF5 file in a fixed order of calls: HDF5's bytes depend on how data was handed to it, so
 * everything here depends on the content and on nothing else (not on blocks, chunks of the run, paths or time).
 */
#ifndef MBS_HDF5_BUILD_H
#define MBS_HDF5_BUILD_H

#include "lib.h"
#include "writer.h"

/* Values in a chunk of the file, whatever the chunk of the model was. */
#define MBS_H5_CHUNK ((int64_t)65536)

typedef struct mbs_h5_builder {
    mbs_h5 *w;
    const mbs_host *host;
    mbs_h5_lib lib;
    mbs_h5_io io;
    hid_t file;
    hid_t text; /* variable-length UTF-8 */
} mbs_h5_builder;

/* Where values of a dataset come from: n rows from row `first` on, into `out`. */
typedef mbs_status (*mbs_h5_fill)(mbs_h5_builder *b, const void *ctx, int64_t first, int64_t n, void *out);

typedef struct mbs_h5_dataset {
    const char *path;
    hid_t file_type;
    hid_t memory_type;
    size_t element; /* bytes of a value in memory and in the file */
    int ndim;
    hsize_t dims[MBS_MAX_DIMS];
    int64_t chunk_rows; /* 0: as many as hold MBS_H5_CHUNK values */
    mbs_h5_fill fill;
    const void *ctx;
} mbs_h5_dataset;

/* dataset.c */
mbs_status mbs_h5_put_group(mbs_h5_builder *b, const char *path);
mbs_status mbs_h5_put_dataset(mbs_h5_builder *b, const mbs_h5_dataset *d);
/* A dataset of one type of block.h, 1-dimensional. */
mbs_status mbs_h5_put_list(mbs_h5_builder *b, const char *path, int32_t dtype, int64_t n, mbs_h5_fill fill,
                           const void *ctx);
/* Short lists of text, and text attributes of the root: variable-length UTF-8. `i` counts from 0. */
typedef void (*mbs_h5_text)(const void *ctx, int64_t i, mbs_text *out);
mbs_status mbs_h5_put_texts(mbs_h5_builder *b, const char *path, int64_t n, mbs_h5_text get, const void *ctx);
mbs_status mbs_h5_put_text_attr(mbs_h5_builder *b, const char *key, const char *value);
mbs_status mbs_h5_put_int_attr(mbs_h5_builder *b, const char *key, int64_t value);
/* Types of the file (little-endian) and of memory; not to be closed. */
hid_t mbs_h5_file_type(int32_t dtype);
hid_t mbs_h5_memory_type(int32_t dtype);
mbs_status mbs_h5_build_failed(mbs_h5_builder *b, const char *what);

/* records.c: /records */
mbs_status mbs_h5_put_records(mbs_h5_builder *b);
/* span: index of the first row of a record, and behind its last one. */
mbs_status mbs_h5_record_rows(mbs_h5_builder *b, int64_t record, int64_t span[2]);

#endif
