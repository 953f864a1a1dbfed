#include "base/nameless.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

mbs_status mbs_nameless_open(const char *otherwise, const char *what, const char *fix, int *fd, mbs_err *err) {
    char path[4096];
    const char *dir = getenv("TMPDIR");
    dir = dir && *dir ? dir : otherwise;
    *fd = -1;
    if (snprintf(path, sizeof path, "%s/mbs-XXXXXX", dir) >= (int)sizeof path) {
        return mbs_fail(err, MBS_ERR_CREATE, "TMPDIR", "its path is too long");
    }
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0) {
        int why = errno;
        mbs_status st = why == ENOSPC || why == EDQUOT ? MBS_ERR_IO : MBS_ERR_CREATE;
        mbs_fail_errno(err, st, why, dir, "a file for %s cannot be made", what);
        mbs_err_fix(err, "%s", fix);
        return st;
    }
    (void)unlink(path);
    return MBS_OK;
}
