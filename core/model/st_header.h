/*
 * st_header.h - the JSON header of a safetensors file, as a list of entries. Private to the reader.
 *
 * A pull parser of its own: a header may be 100 MB, and a document tree of it would take gigabytes. Names are borrowed
 * from the text unless they hold escapes.
 */
#ifndef MBS_MODEL_ST_HEADER_H
#define MBS_MODEL_ST_HEADER_H

#include "base/mem.h"
#include "model/safetensors.h"

typedef struct st_header {
    mbs_st_tensor *tensors;
    size_t count;
    size_t cap;
    int64_t *dims;
    size_t n_dims;
    size_t dims_cap;
    mbs_arena *names; /* names that had escapes; NULL while there are none */
} st_header;

/* Checks the grammar and the types, nothing that depends on the data. `path` is for messages. */
mbs_status st_header_parse(const char *path, const char *text, size_t len, st_header *out, mbs_err *err);
void st_header_free(st_header *h);

#endif
