/*
 * shard.h - one run of several that share out a stream: --shard i/n, and what such a run leaves for `merge`.
 *
 * A shard writes its outputs as any run, with its own records only, and beside the first of them PATH.shard: what the
 * model gave, record by record, and what the run was. Merging is the same pipeline once more with those files in the
 * model's place (merge.h), so whatever a writer can write of a run it can write of shards, in the same bytes.
 *
 * The file: "MBSSHRD1"; then entries, each a tag and a length (u32) of what follows:
 *   H  shard and shards, pipeline, the command line's sets, outputs, attributes of the header   (once, first)
 *   B  a block: shape, coordinates, side channels, whose record it is; its data and theirs stand behind the entry
 *   E  a record is complete: its ordinal, name, start, length, and a sum over the rows that went in
 *   Z  the stream is over: how many records it has, those of others too; the sum of all bytes before   (once, last)
 */
#ifndef MBS_RUN_SHARD_H
#define MBS_RUN_SHARD_H

#include <stdint.h>

#include "run/stages.h"
#include "stream/tap.h"

#define MBS_SHARD_MAGIC "MBSSHRD1"
#define MBS_SHARD_SUFFIX ".shard"
#define MBS_SHARD_MAX 65536

/* Whose record a block belongs to. */
typedef enum mbs_shard_whose {
    MBS_SHARD_STREAM = 0, /* that of the stream */
    MBS_SHARD_EDITS,      /* that of a group of edits, which the reader tells again */
    MBS_SHARD_OWN         /* one that the task made; it is written out */
} mbs_shard_whose;

/* Shard `i` (from 1) of `n`; n 0: all of it. */
typedef struct mbs_share {
    int64_t i, n;
} mbs_share;

/* "2/8". MBS_ERR_USAGE with what is wrong. NULL is no share. */
mbs_status mbs_share_parse(const char *text, mbs_share *out, mbs_err *err);

/* Records of a stream that are never parted: the strands of a contig of task variant, else 1. */
int64_t mbs_shard_together(const mbs_plan *plan);

/* FNV-1a of 64 bits. */
#define MBS_SHARD_SUM 0xcbf29ce484222325u
uint64_t mbs_shard_sum(uint64_t sum, const void *data, size_t n);
/* Of rows [from, from + n) of a block, wherever it was cut. */
uint64_t mbs_shard_sum_rows(uint64_t sum, const mbs_block *b, int64_t from, int64_t n);
/* Of what an edit is: the attributes of its record. */
uint64_t mbs_shard_sum_edits(const mbs_record *record);

typedef struct mbs_shard_out mbs_shard_out;

/* Declares the file; refuses what cannot be shared out. `sets` is borrowed until the open. */
mbs_status mbs_shard_out_new(mbs_stages *s, const mbs_plan_set *sets, int n_sets, mbs_share share, mbs_shard_out **out,
                             mbs_err *err);
/* Before the open, of a run that goes on: what the tap has saved. */
mbs_status mbs_shard_out_restore(mbs_shard_out *o, mbs_cursor *in, mbs_err *err);
/* Behind outputs_prepare. */
mbs_status mbs_shard_out_open(mbs_shard_out *o, const mbs_stream_header *header, mbs_err *err);
const mbs_tap *mbs_shard_out_tap(mbs_shard_out *o);
/* The stream is over; `records` of all shards. */
mbs_status mbs_shard_out_finish(mbs_shard_out *o, int64_t records, mbs_err *err);
void mbs_shard_out_free(mbs_shard_out *o);

#endif
