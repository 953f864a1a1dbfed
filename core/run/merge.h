/*
 * merge.h - what shards of a run left (shard.h), in the place of the model: `merge` is the pipeline once more, with
 * every record's rows read from the shard that made them. Reader, codec and writers are the same as in one run, so the
 * bytes are; rows are only given to a record whose tokens are those that the shard has seen.
 */
#ifndef MBS_RUN_MERGE_H
#define MBS_RUN_MERGE_H

#include "run/shard.h"
#include "stream/carry.h"

typedef struct mbs_merge mbs_merge;

/* Opens the files of all shards, in any order: an output that a shard wrote, or PATH.shard itself. MBS_ERR_NOINPUT
 * where one is not there, MBS_ERR_DATA where one is damaged, given twice or missing, MBS_ERR_CONFIG where they are not
 * of one run, with the first difference. */
mbs_status mbs_merge_open(const char *const *paths, int n, mbs_merge **out, mbs_err *err);
/* What the shards were run with, less what they wrote; valid until free. */
const char *mbs_merge_pipeline(const mbs_merge *m);
const mbs_plan_set *mbs_merge_sets(const mbs_merge *m, int *n);
/* No output may be one of the shards or of what they wrote. */
mbs_status mbs_merge_tell_inputs(const mbs_merge *m, mbs_outputs *outputs, mbs_err *err);
/* Behind mbs_stages_open: the header becomes that of the shards; MBS_ERR_CONFIG where this is another pipeline. */
mbs_status mbs_merge_header(mbs_merge *m, mbs_stages *s, mbs_err *err);
/* Both borrow `s`, and are valid until free. Without a model there is only the tap. */
const mbs_carry *mbs_merge_carry(mbs_merge *m, mbs_stages *s);
const mbs_tap *mbs_merge_tap(mbs_merge *m, mbs_stages *s);
/* The stream is over, with so many records. */
mbs_status mbs_merge_finish(mbs_merge *m, int64_t records, mbs_err *err);
int64_t mbs_merge_shards(const mbs_merge *m);
void mbs_merge_free(mbs_merge *m); /* behind the stages: blocks borrow names */

#endif
