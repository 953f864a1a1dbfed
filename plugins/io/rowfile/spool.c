#include "io/rowfile/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SPOOL_BUFFER ((size_t)128 * 1024)

static mbs_status cannot(const mbs_spool *s, mbs_status status, const char *what, int errnum) {
    if (errnum == ENOSPC || errnum == EDQUOT) {
        s->host->hint(s->host, "free space on the disk of the output: spooled rows lie beside it until it is complete");
    }
    return s->host->fail(s->host, status, "path", "cannot %s '%s': %s", what, s->name, strerror(errnum));
}

void mbs_spool_init(mbs_spool *s, const mbs_host *host, const char *path, const char *name) {
    memset(s, 0, sizeof *s);
    s->host = host;
    s->path = path;
    s->name = name;
    s->fd = -1;
}

/* A descriptor of this process by its name, which has had its reader: none now is none ever. */
static int is_own(const char *path) {
    return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
}

/* A pipe is opened for writing alone. With an end of it to read from in this process, what is written before another
 * reads it would be lost, and a pipe that nobody reads any more would fill and hold the run up for good. */
static mbs_status open_pipe(mbs_spool *s) {
    const struct timespec pause = {0, 10000000};
    while ((s->fd = open(s->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)) < 0) {
        if (errno == ENXIO && is_own(s->path)) {
            return cannot(s, MBS_ERR_IO, "write", EPIPE);
        }
        if (errno != ENXIO && errno != EINTR) {
            return cannot(s, MBS_ERR_CREATE, "open", errno);
        }
        if (s->host->cancelled(s->host)) {
            return s->host->fail(s->host, MBS_ERR_STOPPED, "path", "nobody reads the pipe '%s'", s->name);
        }
        (void)nanosleep(&pause, NULL);
    }
    int flags = fcntl(s->fd, F_GETFL);
    return flags >= 0 && fcntl(s->fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? MBS_OK
                                                                         : cannot(s, MBS_ERR_IO, "open", errno);
}

static mbs_status open_file(mbs_spool *s, int64_t keep) {
    struct stat there;
    if (stat(s->path, &there) == 0 && S_ISFIFO(there.st_mode)) {
        s->regular = 0;
        return open_pipe(s);
    }
    s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
    if (s->fd < 0) {
        return cannot(s, MBS_ERR_CREATE, "create", errno);
    }
    struct stat st;
    if (fstat(s->fd, &st) != 0) {
        return cannot(s, MBS_ERR_IO, "look at", errno);
    }
    s->regular = S_ISREG(st.st_mode);
    if (!s->regular) {
        return MBS_OK; /* a device: as it comes */
    }
    if (st.st_size < keep) {
        s->host->hint(s->host, "start again without --resume");
        return s->host->fail(s->host, MBS_ERR_DATA, "path",
                             "cannot continue '%s': %s has %lld bytes and had %lld when the run was stopped", s->name,
                             s->path, (long long)st.st_size, (long long)keep);
    }
    if (ftruncate(s->fd, (off_t)keep) != 0 || lseek(s->fd, (off_t)keep, SEEK_SET) < 0) {
        return cannot(s, MBS_ERR_IO, "truncate", errno);
    }
    return MBS_OK;
}

mbs_status mbs_spool_open(mbs_spool *s, int64_t keep) {
    s->used = 0;
    s->length = keep;
    s->dirty = 1;
    if (s->path) {
        mbs_status st = open_file(s, keep);
        if (st < 0) {
            return st;
        }
    }
    s->buf = s->host->alloc(s->host, SPOOL_BUFFER);
    if (!s->buf) {
        return s->host->fail(s->host, MBS_ERR_MEMORY, NULL, "no memory for a write buffer of %zu bytes", SPOOL_BUFFER);
    }
    return MBS_OK;
}

static mbs_status write_all(mbs_spool *s, const unsigned char *data, size_t n) {
    if (n == 0) {
        return MBS_OK;
    }
    if (!s->path) {
        return s->host->stdout_write(s->host, data, n);
    }
    s->dirty = 1;
    while (n > 0) {
        ssize_t got = write(s->fd, data, n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return cannot(s, MBS_ERR_IO, "write", got < 0 ? errno : ENOSPC);
        }
        data += got;
        n -= (size_t)got;
    }
    return MBS_OK;
}

mbs_status mbs_spool_append(mbs_spool *s, const void *data, size_t n) {
    if (n == 0) {
        return MBS_OK;
    }
    if (n > SPOOL_BUFFER - s->used) {
        mbs_status st = mbs_spool_flush(s);
        if (st < 0) {
            return st;
        }
    }
    if (n >= SPOOL_BUFFER) {
        mbs_status st = write_all(s, data, n);
        if (st < 0) {
            return st;
        }
    } else {
        memcpy(s->buf + s->used, data, n);
        s->used += n;
    }
    s->length += (int64_t)n;
    return MBS_OK;
}

mbs_status mbs_spool_flush(mbs_spool *s) {
    size_t n = s->used;
    s->used = 0;
    return write_all(s, s->buf, n);
}

mbs_status mbs_spool_sync(mbs_spool *s) {
    mbs_status st = mbs_spool_flush(s);
    if (st < 0 || !s->regular || !s->dirty) {
        return st;
    }
    if (fsync(s->fd) != 0) {
        return cannot(s, MBS_ERR_IO, "sync", errno);
    }
    s->dirty = 0;
    return MBS_OK;
}

mbs_status mbs_spool_read(mbs_spool *s, int64_t offset, void *out, size_t n) {
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = pread(s->fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cannot(s, MBS_ERR_IO, "read the spooled rows of", errno);
        }
        if (got == 0) {
            return s->host->fail(s->host, MBS_ERR_IO, "path", "cannot read the spooled rows of '%s': %s became shorter",
                                 s->name, s->path);
        }
        p += got;
        offset += got;
        n -= (size_t)got;
    }
    return MBS_OK;
}

mbs_status mbs_spool_close(mbs_spool *s) {
    mbs_status st = s->buf ? mbs_spool_flush(s) : MBS_OK;
    int fd = s->fd;
    s->fd = -1;
    if (st >= 0 && fd >= 0) {
        if (close(fd) != 0 && errno != EINTR) {
            st = cannot(s, MBS_ERR_IO, "close", errno);
        }
        fd = -1;
    }
    if (fd >= 0) {
        close(fd);
    }
    mbs_spool_drop(s);
    return st;
}

void mbs_spool_drop(mbs_spool *s) {
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->buf) {
        s->host->free(s->host, s->buf);
        s->buf = NULL;
    }
}
