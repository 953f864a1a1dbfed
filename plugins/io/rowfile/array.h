/*
 * array.h - rows of one type and width behind a header that is written last, into room that was left for it: what the
 * writers of arrays (npy, safetensors) share.
 */
#ifndef MBS_ROWFILE_ARRAY_H
#define MBS_ROWFILE_ARRAY_H

#include "io/rowfile/spool.h"
#include "mambaseq/block.h"

typedef struct mbs_array {
    const mbs_host *host;
    const char *path;
    mbs_spool out;
    int32_t dtype; /* 0: no row yet */
    int32_t ndim;  /* 2 where rows have more than one number */
    int64_t rows, width;
} mbs_array;

/* At a writer's create: declares the file. Standard output is refused. */
mbs_status mbs_array_create(mbs_array *a, const mbs_host *host, const char *path);
/* Leaves `room` bytes. */
mbs_status mbs_array_open(mbs_array *a, size_t room);
/* Rows of a block; others than those before are MBS_ERR_DATA. */
mbs_status mbs_array_write(mbs_array *a, const mbs_block *b);
/* Bytes into the room, from byte `at` of the file on, once everything behind it was flushed. */
mbs_status mbs_array_head(mbs_array *a, const void *bytes, size_t n, int64_t at);
/* Bytes of one number; 0: not a type. */
int mbs_array_size(int32_t dtype);

#endif
