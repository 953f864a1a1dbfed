#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/output_impl.h"
#include "base/path.h"

/* fsyncs a finished temporary file, which its writer has closed. */
static mbs_status settle(const mbs_output_entry *e, mbs_err *err) {
    int fd = open(e->temp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == EACCES) {
        fd = open(e->temp, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    }
    struct stat st;
    int bad = fd < 0 || fstat(fd, &st) != 0 ? errno : 0;
    if (!bad && !S_ISREG(st.st_mode)) {
        bad = EINVAL;
    }
    if (!bad && e->existed && (st.st_mode & 07777) != (e->st.st_mode & 07777)) {
        (void)!fchmod(fd, e->st.st_mode & 07777);
    }
    if (!bad && fsync(fd) != 0) {
        bad = errno;
    }
    if (fd >= 0 && close(fd) != 0 && !bad && errno != EINTR) {
        bad = errno;
    }
    if (bad) {
        mbs_fail_errno(err, MBS_ERR_IO, bad, e->path, "its data could not be made safe on disk");
        mbs_err_fix(err, "check the free space and the quota of the disk");
        return MBS_ERR_IO;
    }
    return MBS_OK;
}

/* Gives the final name: 0 or an error number. Without force not even a file that came up meanwhile is replaced. */
static int place(const mbs_output_entry *e) {
    if (!e->force) {
        if (renameat2(AT_FDCWD, e->temp, AT_FDCWD, e->real, RENAME_NOREPLACE) == 0) {
            return 0;
        }
        struct stat st;
        if (errno != EINVAL && errno != ENOSYS) {
            return errno;
        }
        if (lstat(e->real, &st) == 0) {
            return EEXIST;
        }
    }
    return rename(e->temp, e->real) == 0 ? 0 : errno;
}

/* Names the files that have (or have not) their final name. */
static void list(const mbs_outputs *o, int renamed, mbs_buf *b) {
    const char *between = "";
    for (size_t i = 0; i < o->n; i++) {
        if (!o->entries[i]->direct && o->entries[i]->renamed == renamed) {
            mbs_buf_printf(b, "%s%s", between, o->entries[i]->path);
            between = ", ";
        }
    }
}

static void tell_kept(const mbs_outputs *o, mbs_err *err) {
    mbs_buf done = MBS_BUF_INIT;
    mbs_buf open = MBS_BUF_INIT;
    list(o, 1, &done);
    list(o, 0, &open);
    if (done.len == 0) {
        mbs_err_kept(err, "no output was written");
    } else if (open.len == 0) {
        mbs_err_kept(err, "complete: %s", mbs_buf_str(&done));
    } else {
        mbs_err_kept(err, "complete: %s; not written: %s", mbs_buf_str(&done), mbs_buf_str(&open));
    }
    mbs_buf_free(&done);
    mbs_buf_free(&open);
}

static mbs_status place_all(mbs_outputs *o, mbs_err *err) {
    for (size_t i = 0; i < o->n; i++) {
        mbs_output_entry *e = o->entries[i];
        int bad = e->direct || e->renamed ? 0 : place(e);
        if (bad == EEXIST) {
            mbs_fail(err, MBS_ERR_CREATE, e->path, "came into being while the run was going, and was left alone");
            mbs_err_fix(err, "give --force to replace it");
            return MBS_ERR_CREATE;
        }
        if (bad) {
            return mbs_fail_errno(err, MBS_ERR_CREATE, bad, e->path, "the finished file could not be given its name");
        }
        e->renamed = 1;
    }
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        int bad = e->direct || mbs_output_dir_seen(o, 0, i) ? 0 : mbs_path_sync_dir(e->dir);
        if (bad) {
            return mbs_fail_errno(err, MBS_ERR_IO, bad, e->path, "written, but its folder could not be synced");
        }
    }
    return MBS_OK;
}

static void remove_scratches(mbs_outputs *o, int only_direct) {
    for (size_t i = 0; i < o->n_scratches; i++) {
        mbs_output_scratch *s = &o->scratches[i];
        if (s->of->direct ? s->created : !only_direct && s->of->lock.held) {
            unlink(s->temp);
        }
    }
}

static void end(mbs_outputs *o) {
    for (size_t i = 0; i < o->n; i++) {
        mbs_lock_release(&o->entries[i]->lock);
    }
    o->state = ENDED;
}

/* ".NAME.mbs-SUFFIX" beside the first file, or NULL without files or memory. Allocated. */
static char *beside_first(const mbs_outputs *o, const char *suffix) {
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        if (!e->direct) {
            mbs_buf name = MBS_BUF_INIT;
            mbs_buf_printf(&name, ".%s.mbs-%s", e->base, suffix);
            char *path = name.failed ? NULL : mbs_path_join(e->dir, mbs_buf_str(&name));
            mbs_buf_free(&name);
            return path;
        }
    }
    return NULL;
}

static int has_files(const mbs_outputs *o) {
    int n = 0;
    for (size_t i = 0; i < o->n; i++) {
        n += !o->entries[i]->direct;
    }
    return n > 0;
}

/* From the mark on, a run that dies has all its results on disk: recover only has to finish the renaming. */
static mbs_status set_mark(const mbs_outputs *o, const char *mark, mbs_err *err) {
    if (!o->n_scratches || !has_files(o)) {
        return MBS_OK;
    }
    if (!mark) {
        return mbs_fail_memory(err, NULL, 0);
    }
    int fd = open(mark, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    int bad = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return bad ? mbs_fail_errno(err, MBS_ERR_IO, bad, mark, "the end of the run could not be marked") : MBS_OK;
}

static mbs_status finish_renaming(mbs_outputs *o, mbs_err *err) {
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        if (!e->direct && rename(e->temp, e->real) != 0 && errno != ENOENT) {
            return mbs_fail_errno(err, MBS_ERR_CREATE, errno, e->path, "the finished file could not be given its name");
        }
    }
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        int bad = e->direct || mbs_output_dir_seen(o, 0, i) ? 0 : mbs_path_sync_dir(e->dir);
        if (bad) {
            return mbs_fail_errno(err, MBS_ERR_IO, bad, e->path, "written, but its folder could not be synced");
        }
    }
    for (size_t i = 0; i < o->n_scratches; i++) {
        unlink(o->scratches[i].temp);
    }
    return MBS_OK;
}

mbs_status mbs_outputs_recover(mbs_outputs *o, int *done, mbs_err *err) {
    *done = 0;
    char *mark = beside_first(o, "commit");
    char *lock_path = beside_first(o, "lock");
    mbs_status status = has_files(o) && (!mark || !lock_path) ? mbs_fail_memory(err, NULL, 0) : MBS_OK;
    if (status == MBS_OK && mark && mbs_path_exists(mark)) {
        mbs_lock lock = {0};
        status = mbs_lock_take(&lock, lock_path, o->entries[0]->path, err);
        if (status == MBS_OK && mbs_path_exists(mark)) {
            status = finish_renaming(o, err);
        }
        if (status == MBS_OK) {
            unlink(mark);
            *done = 1;
        }
        mbs_lock_release(&lock);
    }
    mbs_free(mark);
    mbs_free(lock_path);
    return status;
}

void mbs_outputs_sweep(mbs_outputs *o) {
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        mbs_buf path = MBS_BUF_INIT;
        mbs_err ignored;
        mbs_err_clear(&ignored);
        mbs_buf_printf(&path, "%s/.%s.mbs-lock", e->dir, e->base);
        mbs_lock lock = {0};
        /* A lock that another run holds stays: taking it is refused. */
        if (!e->direct && !path.failed && mbs_path_exists(path.data) &&
            mbs_lock_take(&lock, path.data, e->path, &ignored) == MBS_OK) {
            mbs_lock_release(&lock);
        }
        mbs_buf_free(&path);
    }
}

mbs_status mbs_outputs_commit(mbs_outputs *o, mbs_err *err) {
    if (o->state != READY) {
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "the outputs were not prepared, or have ended");
    }
    mbs_status status = MBS_OK;
    for (size_t i = 0; i < o->n && status == MBS_OK; i++) {
        const mbs_output_entry *e = o->entries[i];
        status = e->direct || e->renamed ? MBS_OK : settle(e, err);
    }
    char *mark = beside_first(o, "commit");
    if (status == MBS_OK) {
        status = set_mark(o, mark, err);
    }
    if (status == MBS_OK) {
        status = place_all(o, err);
    }
    if (status == MBS_OK) {
        remove_scratches(o, 0);
    }
    if (mark) {
        unlink(mark);
    }
    mbs_free(mark);
    if (status != MBS_OK) {
        tell_kept(o, err);
        return status;
    }
    end(o);
    return MBS_OK;
}

void mbs_outputs_discard(mbs_outputs *o) {
    if (o->state != READY) {
        return;
    }
    for (size_t i = 0; i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        if (e->own && !e->renamed) {
            unlink(e->temp);
        }
    }
    remove_scratches(o, 0);
    end(o);
}

void mbs_outputs_keep(mbs_outputs *o) {
    if (o->state == READY) {
        remove_scratches(o, 1);
        end(o);
    }
}

void mbs_outputs_abandon(const mbs_outputs *o, int keep) {
    for (size_t i = 0; o->state == READY && i < o->n; i++) {
        const mbs_output_entry *e = o->entries[i];
        if (!keep && e->own && !e->renamed) {
            unlink(e->temp);
        }
    }
    for (size_t i = 0; o->state == READY && !keep && i < o->n_scratches; i++) {
        unlink(o->scratches[i].temp);
    }
    /* Locks last: whoever takes one next finds nothing half removed. */
    for (size_t i = 0; o->state == READY && i < o->n; i++) {
        const mbs_lock *lock = &o->entries[i]->lock;
        if (lock->held && lock->path) {
            unlink(lock->path);
        }
    }
}
