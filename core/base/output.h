/*
 * output.h - the output law: a final file name only ever holds a complete result.
 *
 *   add (each file: gives the temporary path beside it) -> prepare (probe, lock all) -> the work writes the temporary
 *   files -> commit (fsync and rename all) or discard (remove all) or keep (leave them for --resume) -> free
 *
 * Temporary names are fixed by the final name (".NAME.mbs-part", scratch files ".NAME.mbs-SUFFIX"), so that a resumed
 * run finds them; locks are ".NAME.mbs-lock" (flock; where flock is not supported O_EXCL). The journal of a run stands
 * beside its first file as ".NAME.mbs-journal".
 *
 * What is no regular file (/dev/null, a pipe) is written as it is: its temporary path is the path itself, it is neither
 * locked nor renamed.
 */
#ifndef MBS_BASE_OUTPUT_H
#define MBS_BASE_OUTPUT_H

#include "base/err.h"

typedef struct mbs_outputs mbs_outputs;

mbs_outputs *mbs_outputs_new(void);
/* Refuses with MBS_ERR_USAGE a file that is named twice, or is (also through links) one of the inputs told so far, in
 * either order; MBS_ERR_CREATE an existing file (or folder) unless `force`. The temporary path is valid until free.
 * A symlink is resolved once and its target is replaced. A file that is replaced passes on its permissions. */
mbs_status mbs_outputs_add(mbs_outputs *o, const char *path, int force, const char **temp, mbs_err *err);
/* A helper file of the output `path` (spool): removed by commit and discard, kept by keep. One whose suffix begins with
 * "journal" is not created by prepare: its absence says that there is nothing to resume. */
mbs_status mbs_outputs_scratch(mbs_outputs *o, const char *path, const char *suffix, const char **temp, mbs_err *err);
/* Tells an input, so that no output may be the same file: MBS_ERR_USAGE. */
mbs_status mbs_outputs_input(mbs_outputs *o, const char *path, mbs_err *err);
/* Locks every file and creates its temporary file: MBS_ERR_CREATE with the reason (missing folder, read-only, lock held
 * by pid P on host H). What a dead run left is removed unless `resume`. Adding after this locks and creates at once.
 * After an error nothing is locked, and nothing is left that was not there before. */
mbs_status mbs_outputs_prepare(mbs_outputs *o, int resume, mbs_err *err);
/* Every temporary file is fsynced, then renamed to its final name, then the folders are fsynced, scratch files removed,
 * locks released. On failure nothing that was not yet renamed gets its final name, and the message says what is
 * complete and what is not; the rest is still there to discard or keep. */
mbs_status mbs_outputs_commit(mbs_outputs *o, mbs_err *err);
/* Instead of prepare, where a run may have died in the middle of commit: gives the remaining files their final names
 * and removes the rest; *done tells whether there was such a run, whose results are then complete. */
mbs_status mbs_outputs_recover(mbs_outputs *o, int *done, mbs_err *err);
/* Where the outputs turn out to be complete: removes the locks of a run that died after its commit. */
void mbs_outputs_sweep(mbs_outputs *o);
void mbs_outputs_discard(mbs_outputs *o); /* removes temporary files, scratch files, locks; may be called again */
void mbs_outputs_keep(mbs_outputs *o);    /* releases locks, leaves files for --resume */
/* Instead of discard or keep, in a signal handler: only removes names, takes no memory and no lock. */
void mbs_outputs_abandon(const mbs_outputs *o, int keep);
/* Number of files added (scratch files do not count), and the final and temporary name of each. */
int mbs_outputs_count(const mbs_outputs *o);
const char *mbs_outputs_path(const mbs_outputs *o, int i);
const char *mbs_outputs_temp(const mbs_outputs *o, int i);
/* Nonzero where it is no regular file: such a run cannot be resumed. */
int mbs_outputs_direct(const mbs_outputs *o, int i);
/* Discards what was neither committed nor kept; what a resumed run found is kept unless discarded. */
void mbs_outputs_free(mbs_outputs *o);

#endif
