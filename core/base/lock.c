#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define HOST_MAX 64

typedef struct holder {
    long pid; /* 0: not known */
    char host[HOST_MAX + 1];
} holder;

static void this_host(char host[HOST_MAX + 1]) {
    memset(host, 0, HOST_MAX + 1);
    if (gethostname(host, HOST_MAX) != 0 || host[0] == '\0') {
        memcpy(host, "unknown", sizeof "unknown");
    }
    for (char *p = host; *p; p++) {
        *p = *p == ' ' || *p == '\n' ? '_' : *p;
    }
}

static void sign(int fd) {
    char host[HOST_MAX + 1];
    char text[HOST_MAX + 64];
    this_host(host);
    int n = snprintf(text, sizeof text, "pid %ld host %s\n", (long)getpid(), host);
    /* Only a message gets worse where this fails. */
    if (ftruncate(fd, 0) == 0) {
        (void)!pwrite(fd, text, (size_t)n, 0);
    }
}

static holder read_holder(int fd) {
    holder h = {0, ""};
    char text[HOST_MAX + 64];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    char *end = text;
    if (strncmp(text, "pid ", 4) == 0) {
        h.pid = strtol(text + 4, &end, 10);
    }
    if (h.pid <= 0 || sscanf(end, " host %64s", h.host) != 1) {
        h.pid = 0;
    }
    return h;
}

static mbs_status held_by(holder h, int by_name, const char *path, const char *what, mbs_err *err) {
    if (h.pid) {
        mbs_fail(err, MBS_ERR_CREATE, what, "another run is writing it: pid %ld on host %s", h.pid, h.host);
    } else {
        mbs_fail(err, MBS_ERR_CREATE, what, "another run is writing it");
    }
    if (by_name) {
        mbs_err_fix(err, "wait for it to end; if that run is dead, remove %s", path);
    } else {
        mbs_err_fix(err, "wait for it to end, or write to another file");
    }
    return MBS_ERR_CREATE;
}

/* 0 or an error number; ENOLCK where the file system has no flock. */
static int try_flock(int fd) {
    const char *off = getenv("MBS_NO_FLOCK");
    if (off && *off) {
        return ENOLCK;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) {
            return ENOLCK;
        }
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Is the open file still what the name stands for? A holder may have removed it meanwhile. */
static int still_named(int fd, const char *path) {
    struct stat a;
    struct stat b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Without flock: takes away the lock of a process that is dead. Moved aside first, so that of two that find it dead
 * only one removes it, and one that was taken in between is put back. Nonzero where it is gone. */
static int remove_dead(int fd, const char *path) {
    char host[HOST_MAX + 1];
    holder h = read_holder(fd);
    this_host(host);
    if (h.pid == 0 || strcmp(h.host, host) != 0 || kill((pid_t)h.pid, 0) == 0 || errno != ESRCH) {
        return 0;
    }
    size_t size = strlen(path) + 32;
    char *aside = mbs_alloc(size);
    int gone = 0;
    if (aside) {
        snprintf(aside, size, "%s-%ld", path, (long)getpid());
        if (rename(path, aside) == 0) {
            gone = still_named(fd, aside) || link(aside, path) != 0;
            unlink(aside);
        } else {
            gone = errno == ENOENT;
        }
    }
    mbs_free(aside);
    return gone;
}

/* One attempt: MBS_OK with the lock, MBS_AGAIN to look once more, or an error. */
static mbs_status attempt(mbs_lock *l, const char *path, const char *what, mbs_err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    int created = fd >= 0;
    if (!created && errno == EEXIST) {
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT) {
            return MBS_AGAIN;
        }
    }
    if (fd < 0) {
        int why = errno;
        mbs_fail_errno(err, MBS_ERR_CREATE, why, what, "cannot create a file beside it");
        mbs_err_fix(err, "check that the folder exists and can be written");
        return MBS_ERR_CREATE;
    }
    int why = try_flock(fd);
    mbs_status status = MBS_AGAIN;
    if (why == 0 && still_named(fd, path)) {
        if (created) {
            status = MBS_OK;
        } else {
            unlink(path); /* left by a dead run */
        }
    } else if (why == ENOLCK && created) {
        status = MBS_OK;
    } else if (why == EWOULDBLOCK) {
        status = held_by(read_holder(fd), 0, path, what, err);
    } else if (why == ENOLCK && !remove_dead(fd, path)) {
        status = held_by(read_holder(fd), 1, path, what, err);
    } else if (why != 0 && why != ENOLCK) {
        status = mbs_fail_errno(err, MBS_ERR_CREATE, why, what, "cannot lock it");
    }
    if (status == MBS_OK) {
        sign(fd);
        l->fd = fd;
        l->held = 1;
    } else {
        close(fd);
    }
    return status;
}

mbs_status mbs_lock_take(mbs_lock *l, const char *path, const char *what, mbs_err *err) {
    l->held = 0;
    l->fd = -1;
    l->path = mbs_strdup(path);
    if (!l->path) {
        return mbs_fail_memory(err, what, strlen(path));
    }
    mbs_status status = MBS_AGAIN;
    for (int tries = 0; tries < 1000 && status == MBS_AGAIN; tries++) {
        status = attempt(l, path, what, err);
    }
    if (status == MBS_AGAIN) {
        status = mbs_fail(err, MBS_ERR_CREATE, what, "cannot lock it: other runs keep taking and leaving it");
    }
    if (status != MBS_OK) {
        mbs_free(l->path);
        l->path = NULL;
    }
    return status;
}

void mbs_lock_release(mbs_lock *l) {
    if (!l->held) {
        return;
    }
    if (still_named(l->fd, l->path)) {
        unlink(l->path);
    }
    close(l->fd);
    mbs_free(l->path);
    memset(l, 0, sizeof *l);
    l->fd = -1;
}
