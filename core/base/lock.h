/*
 * lock.h - one run at a time: a lock file that says who holds it.
 *
 * flock, which the kernel drops when the holder dies; where the file system does not support it (or MBS_NO_FLOCK is set
 * in the environment) the file's existence is the lock, and one left by a dead process of this host is taken over.
 */
#ifndef MBS_BASE_LOCK_H
#define MBS_BASE_LOCK_H

#include "base/err.h"

typedef struct mbs_lock {
    int held;
    int fd;
    char *path;
} mbs_lock;

/* Never waits. MBS_ERR_CREATE where another run holds it ("... pid 12 on host x") or the file cannot be made; the
 * message is about `what`, the file that the lock is for. */
mbs_status mbs_lock_take(mbs_lock *l, const char *path, const char *what, mbs_err *err);
/* Removes the file. A lock that is not held is left alone. */
void mbs_lock_release(mbs_lock *l);

#endif
