/*
 * zip.h - the directory of a zip archive in memory. Members are found by name and must be stored, not compressed: that
 * is how PyTorch writes them, and what is not unpacked cannot blow up.
 */
#ifndef MBS_MODEL_ZIP_H
#define MBS_MODEL_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct mbs_zip_member {
    const char *name; /* name_len bytes of the archive, not terminated */
    uint32_t name_len;
    uint32_t crc;
    uint64_t at; /* first byte of the contents, from the start of the archive */
    uint64_t size;
} mbs_zip_member;

typedef struct mbs_zip {
    const char *path; /* for messages; borrowed, as the bytes are */
    const unsigned char *data;
    uint64_t size;
    mbs_zip_member *members; /* sorted by name, no two alike */
    size_t n;
} mbs_zip;

/* Begins as a zip archive does. */
int mbs_zip_looks_like(const unsigned char *data, uint64_t size);
/* Reads the directory (also zip64). MBS_ERR_DATA where it is not sound, or a member is compressed or encrypted. Every
 * member that is given lies within the archive. */
mbs_status mbs_zip_open(const char *path, const unsigned char *data, uint64_t size, mbs_zip *out, mbs_err *err);
void mbs_zip_close(mbs_zip *z);
const mbs_zip_member *mbs_zip_find(const mbs_zip *z, const char *name, size_t len);
/* The contents against the sum of the directory. */
mbs_status mbs_zip_check(const mbs_zip *z, const mbs_zip_member *m, mbs_err *err);

#endif
