#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hub.h"
#include "base/mem.h"

#ifndef MBS_PLUGIN_DIR
#error "MBS_PLUGIN_DIR is the folder of the plugins relative to the prefix"
#endif

char *mbs_path_join(const char *dir, const char *name) {
    if (name[0] == '/' || dir[0] == '\0') {
        return mbs_strdup(name);
    }
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_puts(&b, dir);
    if (dir[strlen(dir) - 1] != '/') {
        mbs_buf_putc(&b, '/');
    }
    mbs_buf_puts(&b, name);
    if (b.failed) {
        mbs_buf_free(&b);
        return NULL;
    }
    return b.data;
}

/* Length of `path` without slashes at its end; "/" keeps one. */
static size_t trimmed(const char *path, size_t len) {
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

/* Where the last name of path[0, len) begins. */
static size_t last_name(const char *path, size_t len) {
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    return len;
}

char *mbs_path_dir(const char *path) {
    size_t at = last_name(path, trimmed(path, strlen(path)));
    return at == 0 ? mbs_strdup(path[0] == '/' ? "/" : ".") : mbs_strndup(path, trimmed(path, at));
}

char *mbs_path_base(const char *path) {
    size_t len = trimmed(path, strlen(path));
    if (len == 1 && path[0] == '/') {
        return mbs_strdup("/");
    }
    size_t at = last_name(path, len);
    return mbs_strndup(path + at, len - at);
}

char *mbs_path_stem(const char *path) {
    char *base = mbs_path_base(path);
    if (base && base[0]) {
        char *dot = strchr(base + 1, '.');
        if (dot) {
            *dot = '\0';
        }
    }
    return base;
}

char *mbs_path_self(void) {
    /* /proc/self/exe is already free of links; PATH_MAX bounds what the kernel returns. */
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) {
        return mbs_strdup("/");
    }
    exe[n] = '\0';
    return mbs_path_dir(exe);
}

/* <prefix>/<rest>, where the executable is <prefix>/bin/x. */
static char *in_prefix(const char *rest) {
    char *self = mbs_path_self();
    char *prefix = self ? mbs_path_dir(self) : NULL;
    char *path = prefix ? mbs_path_join(prefix, rest) : NULL;
    mbs_free(prefix);
    mbs_free(self);
    return path;
}

char *mbs_path_share(const char *rest) {
    const char *set = getenv("MAMBASEQ_SHARE");
    char *share = set && *set ? mbs_strdup(set) : in_prefix("share/mambaseq");
    while (*rest == '/') {
        rest++;
    }
    char *path = !share ? NULL : *rest ? mbs_path_join(share, rest) : mbs_strdup(share);
    mbs_free(share);
    return path;
}

char *mbs_path_plugins(void) {
    return in_prefix(MBS_PLUGIN_DIR);
}

char *mbs_path_resolve(const char *path) {
    static const char scheme[] = "share:";
    if (strncmp(path, scheme, sizeof scheme - 1) == 0) {
        return mbs_path_share(path + sizeof scheme - 1);
    }
    if (mbs_hub_is(path)) { /* who opens a name that was not found says what to do about it */
        char *folder = mbs_hub_find(path);
        return folder ? folder : mbs_strdup(path);
    }
    return mbs_strdup(path);
}

char *mbs_path_shown(const char *path) {
    char *share = mbs_path_share("");
    size_t n = share ? strlen(share) : 0;
    char *shown = NULL;
    if (n && strncmp(path, share, n) == 0 && path[n] == '/') {
        size_t size = strlen(path) - n + sizeof "share:";
        shown = mbs_alloc(size);
        if (shown) {
            snprintf(shown, size, "share:%s", path + n + 1);
        }
    } else {
        shown = mbs_hub_shown(path);
        shown = shown ? shown : mbs_strdup(path);
    }
    mbs_free(share);
    return shown;
}

int mbs_path_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int mbs_path_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

int mbs_path_is_std(const char *path) {
    return strcmp(path, "-") == 0;
}

int mbs_path_same(const char *a, const char *b) {
    struct stat x;
    struct stat y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static mbs_status fill(int fd, const char *path, size_t limit, mbs_buf *b, mbs_err *err) {
    for (;;) {
        /* One byte past the limit tells a full file from a longer one. */
        char block[16384];
        size_t want = limit - b->len < sizeof block ? limit - b->len + 1 : sizeof block;
        ssize_t n = read(fd, block, want);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return mbs_fail_errno(err, MBS_ERR_IO, errno, path, "reading failed at byte %zu", b->len);
        }
        if (n == 0) {
            return MBS_OK;
        }
        if ((size_t)n > limit - b->len) {
            mbs_fail(err, MBS_ERR_DATA, path, "too large: more than %zu bytes", limit);
            mbs_err_fix(err, "check that this is the right file");
            return MBS_ERR_DATA;
        }
        mbs_buf_append(b, block, (size_t)n);
        if (b->failed) {
            return mbs_fail_memory(err, path, b->len + (size_t)n);
        }
    }
}

mbs_status mbs_path_read(const char *path, size_t limit, char **data, size_t *len, mbs_err *err) {
    *data = NULL;
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        mbs_fail_errno(err, MBS_ERR_NOINPUT, errno, path, "cannot open");
        mbs_err_fix(err, "check the path and its permissions");
        return MBS_ERR_NOINPUT;
    }
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_append(&b, "", 0);
    struct stat st;
    mbs_status status = MBS_OK;
    if (b.failed) {
        status = mbs_fail_memory(err, path, 1);
    } else if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        mbs_fail(err, MBS_ERR_NOINPUT, path, "is a folder, not a file");
        mbs_err_fix(err, "name a file in it");
        status = MBS_ERR_NOINPUT;
    } else {
        status = fill(fd, path, limit, &b, err);
    }
    close(fd);
    if (status != MBS_OK) {
        mbs_buf_free(&b);
        return status;
    }
    *data = b.data;
    *len = b.len;
    return MBS_OK;
}

/* Writes, fsyncs and closes fd. A pipe or device that cannot be synced is fine. */
static mbs_status store(int fd, const char *path, const char *data, size_t len, mbs_err *err) {
    size_t done = 0;
    int bad = 0;
    while (!bad && done < len) {
        ssize_t n = write(fd, data + done, len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            bad = n == 0 ? EIO : errno;
        }
    }
    if (!bad && fsync(fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP) {
        bad = errno;
    }
    if (close(fd) != 0 && !bad && errno != EINTR) {
        bad = errno;
    }
    if (bad) {
        mbs_fail_errno(err, MBS_ERR_IO, bad, path, "writing failed after %zu of %zu bytes", done, len);
        mbs_err_fix(err, "check the free space and the quota of the disk");
        return MBS_ERR_IO;
    }
    return MBS_OK;
}

static mbs_status cannot_create(const char *path, int errnum, mbs_err *err) {
    mbs_fail_errno(err, MBS_ERR_CREATE, errnum, path, "cannot create");
    mbs_err_fix(err, "check that the folder exists and can be written");
    return MBS_ERR_CREATE;
}

/* Creates a file of its own beside `path`, with the mode that `path` has. */
static int open_beside(const char *dir, const char *base, mode_t mode, int keep_mode, char **temp) {
    static _Atomic unsigned serial;
    const char *dot = base[0] == '.' ? "" : ".";
    for (int tries = 0; tries < 100; tries++) {
        mbs_buf b = MBS_BUF_INIT;
        unsigned n = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
        mbs_buf_printf(&b, "%s/%s%s.mbs-new-%ld-%u", dir, dot, base, (long)getpid(), n);
        if (b.failed) {
            mbs_buf_free(&b);
            errno = ENOMEM;
            return -1;
        }
        int fd = open(b.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd >= 0) {
            if (keep_mode) {
                (void)!fchmod(fd, mode & 07777);
            }
            *temp = b.data;
            return fd;
        }
        int why = errno;
        mbs_buf_free(&b);
        errno = why;
        if (why != EEXIST) {
            return -1;
        }
    }
    return -1;
}

int mbs_path_sync_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return bad == EINVAL || bad == EACCES || bad == EROFS || bad == ENOTSUP ? 0 : bad;
}

static mbs_status replace(const char *path, const struct stat *old, const void *data, size_t len, mbs_err *err) {
    char *dir = mbs_path_dir(path);
    char *base = mbs_path_base(path);
    char *temp = NULL;
    mbs_status status = MBS_OK;
    if (!dir || !base) {
        status = mbs_fail_memory(err, path, strlen(path));
    } else {
        int fd = open_beside(dir, base, old ? old->st_mode : 0, old != NULL, &temp);
        status = fd < 0 ? cannot_create(path, errno, err) : store(fd, path, data, len, err);
    }
    if (status == MBS_OK && rename(temp, path) != 0) {
        status = cannot_create(path, errno, err);
    }
    if (temp && status != MBS_OK) {
        unlink(temp);
    }
    int bad = status == MBS_OK ? mbs_path_sync_dir(dir) : 0;
    if (bad) {
        status = mbs_fail_errno(err, MBS_ERR_IO, bad, path, "written, but its folder could not be synced");
    }
    mbs_free(temp);
    mbs_free(base);
    mbs_free(dir);
    return status;
}

mbs_status mbs_path_write_atomic(const char *path, const void *data, size_t len, mbs_err *err) {
    struct stat st;
    if (stat(path, &st) != 0) {
        return replace(path, NULL, data, len, err);
    }
    if (S_ISDIR(st.st_mode)) {
        return cannot_create(path, EISDIR, err);
    }
    if (!S_ISREG(st.st_mode)) {
        int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return fd < 0 ? cannot_create(path, errno, err) : store(fd, path, data, len, err);
    }
    /* A link keeps pointing where it does; what it points to is replaced. */
    char *real = realpath(path, NULL);
    if (!real) {
        return cannot_create(path, errno, err);
    }
    mbs_status status = replace(real, &st, data, len, err);
    free(real);
    return status;
}
