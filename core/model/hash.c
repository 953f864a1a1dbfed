#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/impl.h"

static int unchanged(const struct stat *a, const struct stat *b) {
    return a->st_size == b->st_size && a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static mbs_status read_all(int fd, const char *path, mbs_sha256 *a, mbs_sha256 *b, mbs_err *err) {
    const size_t size = 1 << 16;
    void *block = mbs_alloc(size);
    if (!block) {
        return mbs_fail_memory(err, path, size);
    }
    mbs_status st = MBS_OK;
    for (;;) {
        ssize_t n = read(fd, block, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            st = mbs_fail_errno(err, MBS_ERR_IO, errno, path, "cannot be read");
        }
        if (n <= 0) {
            break;
        }
        mbs_sha256_add(a, block, (size_t)n);
        if (b) {
            mbs_sha256_add(b, block, (size_t)n);
        }
    }
    mbs_free(block);
    return st;
}

mbs_status mbs_hash_file(const char *path, const struct stat *same, mbs_sha256 *a, mbs_sha256 *b, mbs_err *err) {
    struct stat now;
    mbs_status st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &now) != 0) {
        st = mbs_fail_errno(err, MBS_ERR_NOINPUT, errno, path, "cannot be opened");
    } else if (same && !unchanged(&now, same)) {
        st = mbs_fail(err, MBS_ERR_DATA, path, "was changed after the model was loaded");
        mbs_err_fix(err, "start again, and leave the model folder alone while it runs");
    } else {
        st = read_all(fd, path, a, b, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    return st;
}
