/*
 * path.h - where files are. `share:x` is a file of the share/ that belongs to the running binary; relative paths are
 * relative to the current directory.
 */
#ifndef MBS_BASE_PATH_H
#define MBS_BASE_PATH_H

#include "base/err.h"

/* All results are allocated (mbs_free); NULL without memory. */
char *mbs_path_join(const char *dir, const char *name);
char *mbs_path_dir(const char *path);  /* "a/b" -> "a", "b" -> "." */
char *mbs_path_base(const char *path); /* "a/b.fa.gz" -> "b.fa.gz" */
char *mbs_path_stem(const char *path); /* "a/b.fa.gz" -> "b": up to the first dot that is not the first letter */
char *mbs_path_self(void);             /* folder of the running executable, "/..." */
/* <folder of the executable>/../share/mambaseq/<rest>. MAMBASEQ_SHARE in the environment replaces the folder. */
char *mbs_path_share(const char *rest);
/* <folder of the executable>/../<libdir>/mambaseq/plugins-1. */
char *mbs_path_plugins(void);
/* "share:x" -> the file; "hf:ORG/NAME" -> the folder in the local cache, where it is there (hub.h); anything else -> a
 * copy. */
char *mbs_path_resolve(const char *path);
/* The way back, for outputs: a file of the share/ becomes "share:x", so that results do not tell where the program
 * lives. */
char *mbs_path_shown(const char *path);
int mbs_path_is_dir(const char *path);
int mbs_path_exists(const char *path);
int mbs_path_is_std(const char *path); /* "-" */
/* Whole file into memory (mbs_free), at most `limit` bytes, with a NUL behind the last. */
mbs_status mbs_path_read(const char *path, size_t limit, char **data, size_t *len, mbs_err *err);
/* Writes beside it, fsyncs, renames, fsyncs the folder; a device or pipe is written as it is. After an error the file
 * is what it was. */
mbs_status mbs_path_write_atomic(const char *path, const void *data, size_t len, mbs_err *err);
/* fsyncs a folder, so that names in it survive a crash: 0 or an error number. A folder that cannot be synced (its file
 * system does not know how, or it may not be read) is fine. */
int mbs_path_sync_dir(const char *dir);

/* The same file, also through links: 1, else 0 (a missing file is never the same). */
int mbs_path_same(const char *a, const char *b);

#endif
