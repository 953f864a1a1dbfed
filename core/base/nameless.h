/*
 * nameless.h - a file in TMPDIR that has no name: whatever ends the process, nothing of it is left.
 */
#ifndef MBS_BASE_NAMELESS_H
#define MBS_BASE_NAMELESS_H

#include "base/err.h"

/* Opens one for reading and writing, in TMPDIR or where that is not set in `otherwise`; the caller closes *fd. `what`
 * lies in it ("tokens to turn"), and `fix` is what to do. MBS_ERR_CREATE where the folder takes none, MBS_ERR_IO where
 * it is full. */
mbs_status mbs_nameless_open(const char *otherwise, const char *what, const char *fix, int *fd, mbs_err *err);

#endif
