/*
 * pickle.h - the pickle in a PyTorch checkpoint, read by a machine that can build dictionaries of tensors and nothing
 * else. Nothing is imported or called: a name that is not on a short list ends the reading with that name.
 */
#ifndef MBS_MODEL_PICKLE_H
#define MBS_MODEL_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "model/safetensors.h"

#define MBS_PICKLE_MAX ((size_t)16 << 20) /* bytes; a checkpoint of 100,000 tensors has less */

/* What a tensor is made from. Texts are borrowed from the pickle, not terminated. */
typedef struct mbs_pickled_tensor {
    const char *name; /* its key in the dictionary */
    size_t name_len;
    const char *storage; /* "0": the member data/0 */
    size_t storage_len;
    mbs_dtype dtype;
    int64_t storage_n; /* elements that the storage has, as the pickle says */
    int64_t offset;    /* of the first element, in elements, as the strides are; nothing here is checked */
    int ndim;
    int64_t dims[MBS_ST_MAX_RANK];
    int64_t strides[MBS_ST_MAX_RANK];
} mbs_pickled_tensor;

/* The tensors of the dictionary at the top, in its order. *out lives in the arena. MBS_ERR_DATA where the pickle asks
 * for anything but that. `where` is for messages. */
mbs_status mbs_pickle_read(const char *where, const unsigned char *data, size_t size, mbs_arena *arena,
                           mbs_pickled_tensor **out, size_t *n, mbs_err *err);

#endif
