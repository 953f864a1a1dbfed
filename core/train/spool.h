/*
 * spool.h - the tokens of a training input as one flat file that is mapped for reading: ids one after the other, a
 * table of records, and companions of the tokens where the input has them.
 *
 * A model that takes frames has rows of f32 numbers in the place of ids.
 *
 * Sequence: mbs_spool_new -> {record -> add* }* -> mbs_spool_finish -> reading. Ids are held in 1, 2 or 4 bytes, by the
 * size of the vocabulary. The files lie in a folder of the caller's and have no names any more once they are open.
 */
#ifndef MBS_TRAIN_SPOOL_H
#define MBS_TRAIN_SPOOL_H

#include <stdint.h>

#include "base/err.h"

typedef struct mbs_spool mbs_spool;

typedef struct mbs_spool_record {
    int64_t begin, end; /* tokens */
    const char *name;
    const char *label; /* class, or NULL */
    uint64_t group;    /* the same for records that are held out together; 0: by itself */
    int copy;          /* varied from another record of its group: to learn from, never to be scored */
} mbs_spool_record;

/* Companions of n tokens; NULL: none. */
typedef struct mbs_spool_sides {
    const uint8_t *scored;     /* 0: no target (N) */
    const uint8_t *mask;       /* 1: soft-masked */
    const int32_t *target;     /* what the output of this token has to be, -1: nothing ("target" side channel) */
    const int64_t *coordinate; /* of the first token alone: where it lies in its source; the others follow it one by
                                * one. NULL: the call goes on where the one before ended */
} mbs_spool_sides;

/* MBS_ERR_CREATE where `folder` takes no file. Disk full in mbs_spool_add and mbs_spool_finish: MBS_ERR_IO. */
mbs_status mbs_spool_new(const char *folder, int64_t vocab_size, mbs_spool **out, mbs_err *err);
/* Of frames of `width` numbers; filled by mbs_spool_add_frames. */
mbs_status mbs_spool_new_frames(const char *folder, int64_t width, mbs_spool **out, mbs_err *err);
void mbs_spool_free(mbs_spool *s);
/* A record begins; start: its coordinate in the source (splits by region). Names are copied. */
mbs_status mbs_spool_record_begin(mbs_spool *s, const char *name, const char *label, int64_t start, mbs_err *err);
/* The record that has begun belongs with those of the same text: a file, a speaker. */
void mbs_spool_record_group(mbs_spool *s, const char *group);
/* The record that has begun is a varied copy of another of its group. */
void mbs_spool_record_copy(mbs_spool *s);
/* Tokens of it; ids < 0 (policy skip) are left out with their companions, but take up a coordinate. */
mbs_status mbs_spool_add(mbs_spool *s, const int32_t *ids, int64_t n, const mbs_spool_sides *sides, mbs_err *err);
/* n frames of it; `coordinates` (n): where each lies in its source. */
mbs_status mbs_spool_add_frames(mbs_spool *s, const float *frames, int64_t n, const int64_t *coordinates, mbs_err *err);
mbs_status mbs_spool_finish(mbs_spool *s, mbs_err *err);

int64_t mbs_spool_tokens(const mbs_spool *s);      /* or frames */
int64_t mbs_spool_frame_width(const mbs_spool *s); /* 0: it holds ids */
void mbs_spool_get_frames(const mbs_spool *s, int64_t from, int64_t n, float *out);
int64_t mbs_spool_records(const mbs_spool *s);
mbs_spool_record mbs_spool_at(const mbs_spool *s, int64_t record);
int mbs_spool_has_targets(const mbs_spool *s);
/* Tokens [from, from + n); any out may be NULL. scored: 1 where the input had no such companion, mask: 0, target: -1.
 */
void mbs_spool_get(const mbs_spool *s, int64_t from, int64_t n, int32_t *ids, uint8_t *scored, uint8_t *mask,
                   int32_t *target);
/* First token of a record that lies at `coordinate` of its source or behind it; the record's end where there is none.
 */
int64_t mbs_spool_token_at(const mbs_spool *s, int64_t record, int64_t coordinate);
/* Of all tokens, companions and the record table: what a checkpoint belongs to. */
uint64_t mbs_spool_fingerprint(const mbs_spool *s);

#endif
