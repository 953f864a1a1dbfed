#include "io/rowfile/nameless.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int mbs_rowfile_nameless(void) {
    const char *folder = getenv("TMPDIR");
    char name[4096];
    folder = folder && folder[0] ? folder : "/tmp";
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && snprintf(name, sizeof(name), "%s/mambaseq-XXXXXX", folder) < (int)sizeof(name)) {
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(name);
        }
    }
    return fd;
}

int mbs_rowfile_put_at(int fd, const void *data, size_t n, int64_t offset) {
    const char *p = data;
    while (n > 0) {
        ssize_t put = pwrite(fd, p, n, (off_t)offset);
        if (put <= 0 && errno != EINTR) {
            return -1;
        }
        size_t done = put > 0 ? (size_t)put : 0;
        p += done;
        n -= done;
        offset += (int64_t)done;
    }
    return 0;
}

int mbs_rowfile_get_at(int fd, void *data, size_t n, int64_t offset) {
    char *p = data;
    while (n > 0) {
        ssize_t got = pread(fd, p, n, (off_t)offset);
        if (got == 0) {
            errno = EIO;
        }
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return -1;
        }
        size_t done = got > 0 ? (size_t)got : 0;
        p += done;
        n -= done;
        offset += (int64_t)done;
    }
    return 0;
}
