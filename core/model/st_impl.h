/*
 * st_impl.h - the inside of an open weight file, for the readers that fill it: safetensors.c and torch_bin.c.
 */
#ifndef MBS_MODEL_ST_IMPL_H
#define MBS_MODEL_ST_IMPL_H

#include "model/safetensors.h"
#include "model/st_header.h"

struct mbs_st {
    char *path;
    unsigned char *map;
    uint64_t size;
    uint64_t data_at; /* where the data begins in the file */
    /* Bytes that do not stand in the file as they are wanted: a tensor from byte `size` of the data on lies here. */
    unsigned char *made;
    st_header header;
    uint32_t *slots; /* hash table: index of a tensor + 1 */
    size_t n_slots;  /* a power of two */
    uint64_t seed;
};

/* An empty one with the file mapped; `kind` is what a message calls it. mbs_st_close after any success. */
mbs_status mbs_st_map(const char *path, const char *kind, mbs_st **out, mbs_err *err);
/* Fills the hash table; a name that is there twice is an error. */
mbs_status mbs_st_index(mbs_st *st, mbs_err *err);

#endif
