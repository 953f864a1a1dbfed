/*
 * safetensors.h - a mapped safetensors file, a folder of them (shards), and a writer.
 *
 * Opening checks everything that the container promises (names unique, sizes without overflow, ranges that cover the
 * data without hole or overlap) before anything is trusted; a file that opened can be read without further checks.
 * Names, dimensions and data are borrowed from the open file. Nothing here knows what a tensor means.
 */
#ifndef MBS_MODEL_SAFETENSORS_H
#define MBS_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

typedef enum mbs_dtype {
    MBS_DT_BOOL,
    MBS_DT_U8,
    MBS_DT_I8,
    MBS_DT_F8_E5M2,
    MBS_DT_F8_E4M3,
    MBS_DT_I16,
    MBS_DT_U16,
    MBS_DT_F16,
    MBS_DT_BF16,
    MBS_DT_I32,
    MBS_DT_U32,
    MBS_DT_F32,
    MBS_DT_I64,
    MBS_DT_U64,
    MBS_DT_F64,
    MBS_DT_COUNT
} mbs_dtype;

const char *mbs_dtype_name(mbs_dtype dtype);
size_t mbs_st_dtype_size(mbs_dtype dtype);
/* F32, F16, BF16 or F64: what can be read as numbers. */
int mbs_dtype_is_float(mbs_dtype dtype);
/* -1 where the name is unknown. */
int mbs_dtype_parse(const char *name, size_t len);

#define MBS_ST_MAX_HEADER ((uint64_t)100000000)
#define MBS_ST_MAX_RANK 8

typedef struct mbs_st_tensor {
    const char *name; /* name_len bytes of UTF-8, not terminated */
    uint32_t name_len;
    uint32_t dims_at; /* see mbs_st_dims */
    uint64_t begin;   /* bytes from the start of the data */
    uint64_t end;
    uint8_t dtype;
    uint8_t ndim;
} mbs_st_tensor;

typedef struct mbs_st mbs_st;

/* MBS_ERR_NOINPUT where the file cannot be opened, MBS_ERR_DATA where it is not a sound safetensors file. */
mbs_status mbs_st_open(const char *path, mbs_st **out, mbs_err *err);
void mbs_st_close(mbs_st *st);
const char *mbs_st_path(const mbs_st *st);
uint64_t mbs_st_file_size(const mbs_st *st);
size_t mbs_st_count(const mbs_st *st);
/* In the order of their data. */
const mbs_st_tensor *mbs_st_at(const mbs_st *st, size_t i);
const mbs_st_tensor *mbs_st_find(const mbs_st *st, const char *name, size_t name_len);
const int64_t *mbs_st_dims(const mbs_st *st, const mbs_st_tensor *t);
int64_t mbs_st_elements(const mbs_st_tensor *t);
/* Any alignment. */
const unsigned char *mbs_st_data(const mbs_st *st, const mbs_st_tensor *t);
/* Values of a float type at any alignment, as f32. */
uint16_t mbs_st_bf16(float value); /* to nearest, ties to even; what is no number stays none */
void mbs_st_widen(mbs_dtype dtype, const unsigned char *src, size_t n, float *dst);
/* Value i of a float type. */
double mbs_st_number(mbs_dtype dtype, const unsigned char *src, int64_t i);
/* "[2, 3]"; cut where it does not fit. Returns out. */
const char *mbs_st_shape_text(const int64_t *dims, int ndim, char *out, size_t size);

/* The weights of a model folder: model.safetensors, or the files that model.safetensors.index.json names, which must
 * lie in the folder (a link may also lead to the blobs folder of a Hugging Face cache); without these the same of
 * pytorch_model.bin (torch_bin.h). No tensor in two files; every
 * tensor of the index is in the file that the index says. */
typedef struct mbs_st_set {
    char *index_path; /* NULL: one file */
    mbs_st **files;   /* sorted by name */
    size_t n_files;
} mbs_st_set;

mbs_status mbs_st_set_open(const char *folder, mbs_st_set *set, mbs_err *err);
void mbs_st_set_close(mbs_st_set *set);
/* NULL where no file holds it. `st` may be NULL. */
const mbs_st_tensor *mbs_st_set_find(const mbs_st_set *set, const char *name, const mbs_st **st);

/* Writing: declare all tensors, then give their bytes in the same order, in pieces of any size. */
typedef struct mbs_st_decl {
    const char *name;
    mbs_dtype dtype;
    int ndim;
    int64_t dims[MBS_ST_MAX_RANK];
} mbs_st_decl;

typedef struct mbs_st_writer {
    FILE *f;
    char *path;
    uint64_t expected; /* bytes of data that the header promised */
    uint64_t written;
} mbs_st_writer;

/* Creates `path` anew and writes the header (with the metadata {"format":"pt"} that transformers asks for). */
mbs_status mbs_st_writer_open(const char *path, const mbs_st_decl *decls, size_t n, mbs_st_writer *w, mbs_err *err);
mbs_status mbs_st_writer_add(mbs_st_writer *w, const void *data, size_t bytes, mbs_err *err);
/* Flushes and fsyncs; MBS_ERR_INTERNAL where the bytes are not as many as promised. Frees in every case. */
mbs_status mbs_st_writer_close(mbs_st_writer *w, mbs_err *err);

#endif
