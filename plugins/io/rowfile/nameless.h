/*
 * nameless.h - a file in TMPDIR that has no name: whatever ends the process, nothing of it is left.
 */
#ifndef MBS_ROWFILE_NAMELESS_H
#define MBS_ROWFILE_NAMELESS_H

#include <stddef.h>
#include <stdint.h>

/* Opens one for reading and writing, in TMPDIR or else in /tmp; -1 with errno where that takes none. */
int mbs_rowfile_nameless(void);
/* Exactly n bytes at an offset; nonzero with errno where they cannot be written, or are not there (EIO). */
int mbs_rowfile_put_at(int fd, const void *data, size_t n, int64_t offset);
int mbs_rowfile_get_at(int fd, void *data, size_t n, int64_t offset);

#endif
