#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/output_impl.h"

static mbs_status cannot_create(const mbs_output_entry *e, int errnum, mbs_err *err) {
    if (errnum == ENOTDIR) {
        mbs_fail(err, MBS_ERR_CREATE, e->path, "cannot create: '%s' is a file, not a folder", e->dir);
        mbs_err_fix(err, "write to another folder");
    } else if (errnum == ENOENT) {
        mbs_fail(err, MBS_ERR_CREATE, e->path, "cannot create: there is no folder '%s'", e->dir);
        mbs_err_fix(err, "make it first: mkdir -p '%s'", e->dir);
    } else {
        mbs_fail_errno(err, MBS_ERR_CREATE, errnum, e->path, "cannot create a file in '%s'", e->dir);
        mbs_err_fix(err, "write to a folder where you may create files");
    }
    return MBS_ERR_CREATE;
}

/* Replacing takes more than creating: in a folder such as /tmp only the owner of a file may do it. */
static mbs_status check_folder(const mbs_output_entry *e, mbs_err *err) {
    struct stat dir;
    if (stat(e->dir, &dir) != 0) {
        return cannot_create(e, errno, err);
    }
    if (!S_ISDIR(dir.st_mode)) {
        return cannot_create(e, ENOTDIR, err);
    }
    uid_t me = geteuid();
    if (e->existed && (dir.st_mode & S_ISVTX) && me != 0 && me != e->st.st_uid && me != dir.st_uid) {
        mbs_fail(err, MBS_ERR_CREATE, e->path, "belongs to another user and cannot be replaced in this folder");
        mbs_err_fix(err, "write to another file");
        return MBS_ERR_CREATE;
    }
    return MBS_OK;
}

static mbs_status lock_entry(mbs_output_entry *e, mbs_err *err) {
    mbs_status status = check_folder(e, err);
    if (status != MBS_OK) {
        return status;
    }
    mbs_buf path = MBS_BUF_INIT;
    mbs_buf_printf(&path, "%s/.%s.mbs-lock", e->dir, e->base);
    status =
        path.failed ? mbs_fail_memory(err, e->path, strlen(e->temp)) : mbs_lock_take(&e->lock, path.data, e->path, err);
    mbs_buf_free(&path);
    return status;
}

/* Creates `temp` of our own, or takes over what a stopped run left. */
static mbs_status make(const mbs_output_entry *e, const char *temp, int resume, int *created, mbs_err *err) {
    struct stat st;
    if (resume && lstat(temp, &st) == 0) {
        if (!S_ISREG(st.st_mode)) {
            return mbs_fail(err, MBS_ERR_CREATE, temp, "is not a regular file, so there is nothing to resume from");
        }
        return MBS_OK;
    }
    if (!resume && unlink(temp) != 0 && errno != ENOENT) {
        return cannot_create(e, errno, err);
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 || close(fd) != 0) {
        return cannot_create(e, errno, err);
    }
    *created = 1;
    return MBS_OK;
}

mbs_status mbs_output_make_scratch(mbs_output_scratch *s, int resume, mbs_err *err) {
    return s->virtual ? MBS_OK : make(s->of, s->temp, resume, &s->created, err);
}

/* A name in the folder of e: what a dead run left of it? A resumed run needs all but half-written replacements. */
static int is_stale(const mbs_output_entry *e, const char *name, int resume) {
    size_t len = strlen(e->base);
    if (name[0] != '.' || strncmp(name + 1, e->base, len) != 0 || strncmp(name + 1 + len, ".mbs-", 5) != 0) {
        return 0;
    }
    const char *rest = name + len + 6;
    if (strncmp(rest, "lock", 4) == 0) {
        return 0;
    }
    return !resume || strncmp(rest, "new-", 4) == 0 || strstr(rest, ".mbs-new-") != NULL;
}

/* Removes what dead runs left of the locked entries from `first` on, in one pass over the folder of the first of them.
 */
static void sweep(const mbs_outputs *o, size_t first, const char *dir) {
    DIR *d = opendir(dir);
    if (!d) {
        return; /* make() removes the temporary file itself */
    }
    for (struct dirent *x = readdir(d); x; x = readdir(d)) {
        int stale = 0;
        for (size_t i = first; i < o->n && !stale && strstr(x->d_name, ".mbs-"); i++) {
            const mbs_output_entry *e = o->entries[i];
            stale = e->lock.held && strcmp(e->dir, dir) == 0 && is_stale(e, x->d_name, o->resume);
        }
        if (stale) {
            unlinkat(dirfd(d), x->d_name, 0);
        }
    }
    closedir(d);
}

int mbs_output_dir_seen(const mbs_outputs *o, size_t first, size_t i) {
    for (size_t k = first; k < i; k++) {
        if (!o->entries[k]->direct && strcmp(o->entries[k]->dir, o->entries[i]->dir) == 0) {
            return 1;
        }
    }
    return 0;
}

static void remove_made(mbs_outputs *o, size_t first) {
    for (size_t i = 0; i < o->n_scratches; i++) {
        mbs_output_scratch *s = &o->scratches[i];
        for (size_t k = first; k < o->n; k++) {
            if (s->of == o->entries[k] && s->created) {
                unlink(s->temp);
                s->created = 0;
            }
        }
    }
    for (size_t i = first; i < o->n; i++) {
        mbs_output_entry *e = o->entries[i];
        if (e->created) {
            unlink(e->temp);
        }
        e->created = e->own = 0;
        mbs_lock_release(&e->lock);
    }
}

mbs_status mbs_output_probe(mbs_outputs *o, size_t first, mbs_err *err) {
    mbs_status status = MBS_OK;
    for (size_t i = first; i < o->n && status == MBS_OK; i++) {
        mbs_output_entry *e = o->entries[i];
        if (!e->direct) {
            status = lock_entry(e, err);
        } else if (e->existed && access(e->path, W_OK) != 0) {
            status = mbs_fail_errno(err, MBS_ERR_CREATE, errno, e->path, "cannot write to it");
        }
    }
    for (size_t i = first; i < o->n && status == MBS_OK; i++) {
        if (!o->entries[i]->direct && !mbs_output_dir_seen(o, first, i)) {
            sweep(o, first, o->entries[i]->dir);
        }
    }
    for (size_t i = first; i < o->n && status == MBS_OK; i++) {
        mbs_output_entry *e = o->entries[i];
        if (!e->direct) {
            status = make(e, e->temp, o->resume, &e->created, err);
            e->own = status == MBS_OK;
        }
    }
    for (size_t i = 0; i < o->n_scratches && status == MBS_OK; i++) {
        for (size_t k = first; k < o->n && status == MBS_OK; k++) {
            if (o->scratches[i].of == o->entries[k]) {
                status = mbs_output_make_scratch(&o->scratches[i], o->resume, err);
            }
        }
    }
    if (status != MBS_OK) {
        remove_made(o, first);
    }
    return status;
}
