#include "model/new_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"

static int listed(const char *const *names, const char *name) {
    for (; *names; names++) {
        if (strcmp(*names, name) == 0) {
            return 1;
        }
    }
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A folder that may be replaced: a real one with nothing in it but such files. */
static mbs_status check_replaceable(const char *path, const char *const *names, mbs_err *err) {
    struct stat info;
    if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return mbs_fail(err, MBS_ERR_CREATE, path, "exists and is not a folder: it is not replaced");
    }
    DIR *d = opendir(path);
    if (!d) {
        return mbs_fail_errno(err, MBS_ERR_CREATE, errno, path, "cannot be looked into");
    }
    mbs_status st = MBS_OK;
    for (struct dirent *e = readdir(d); e && st >= 0; e = readdir(d)) {
        if (!listed(names, e->d_name)) {
            st = mbs_fail(err, MBS_ERR_CREATE, path, "holds '%.200s', which this does not write: it is not replaced",
                          e->d_name);
            mbs_err_fix(err, "take another name, or remove the folder yourself");
        }
    }
    closedir(d);
    return st;
}

static void remove_files(int fd, const char *const *names) {
    for (; *names; names++) {
        unlinkat(fd, *names, 0);
    }
}

mbs_status mbs_new_folder_refused(const char *final, int why, mbs_err *err) {
    char *dir = mbs_path_dir(final);
    if (!dir || (why != ENOENT && why != ENOTDIR)) {
        mbs_fail_errno(err, MBS_ERR_CREATE, why, final, "cannot be created");
        mbs_err_fix(err, "write to a folder where you may create files");
    } else if (why == ENOTDIR) {
        mbs_fail(err, MBS_ERR_CREATE, final, "cannot be created: '%s' is a file, not a folder", dir);
        mbs_err_fix(err, "write to another folder");
    } else {
        mbs_fail(err, MBS_ERR_CREATE, final, "cannot be created: there is no folder '%s'", dir);
        mbs_err_fix(err, "make it first: mkdir -p '%s'", dir);
    }
    mbs_free(dir);
    return MBS_ERR_CREATE;
}

/* Makes and locks the hidden folder. */
static mbs_status take_temp(mbs_new_folder *f, mbs_err *err) {
    if (mkdir(f->temp, 0777) != 0 && errno != EEXIST) {
        return mbs_new_folder_refused(f->final, errno, err);
    }
    f->fd = open(f->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (f->fd < 0) {
        return mbs_fail_errno(err, MBS_ERR_CREATE, errno, f->temp, "cannot be opened");
    }
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return mbs_fail(err, MBS_ERR_CREATE, f->final, "another process is making it");
    }
    remove_files(f->fd, f->names);
    return MBS_OK;
}

static void release(mbs_new_folder *f) {
    if (f->fd >= 0) {
        close(f->fd);
    }
    mbs_free(f->final);
    mbs_free(f->temp);
    memset(f, 0, sizeof *f);
    f->fd = -1;
}

mbs_status mbs_new_folder_begin(const char *final, const char *const *names, int force, mbs_new_folder *out,
                                mbs_err *err) {
    struct stat info;
    char *dir = mbs_path_dir(final);
    char *base = mbs_path_base(final);
    mbs_buf hidden = MBS_BUF_INIT;
    mbs_status st = MBS_OK;
    *out = (mbs_new_folder){.names = names, .fd = -1};
    if (dir && base) {
        mbs_buf_printf(&hidden, ".%s.mbs-part", base);
        out->final = mbs_path_join(dir, base); /* without a slash at the end */
        out->temp = hidden.failed ? NULL : mbs_path_join(dir, hidden.data);
    }
    if (!out->final || !out->temp) {
        st = mbs_fail_memory(err, final, strlen(final));
    } else if (!base[0] || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
        st = mbs_fail(err, MBS_ERR_USAGE, final, "not a name for a new folder");
    } else if (lstat(out->final, &info) == 0) {
        out->replace = 1;
        if (force) {
            st = check_replaceable(out->final, names, err);
        } else {
            st = mbs_fail(err, MBS_ERR_CREATE, out->final, "exists already");
            mbs_err_fix(err, "take another name, or --force to replace it");
        }
    }
    if (st >= 0) {
        st = take_temp(out, err);
    }
    mbs_buf_free(&hidden);
    mbs_free(dir);
    mbs_free(base);
    if (st < 0) {
        release(out);
    }
    return st;
}

mbs_status mbs_new_folder_put(const char *folder, const char *name, const void *data, size_t len, mbs_err *err) {
    char *path = mbs_path_join(folder, name);
    if (!path) {
        return mbs_fail_memory(err, folder, strlen(name));
    }
    FILE *out = fopen(path, "wbe");
    mbs_status st = out ? MBS_OK : mbs_fail_errno(err, MBS_ERR_CREATE, errno, path, "cannot be created");
    if (out) {
        if (fwrite(data, 1, len, out) != len || fflush(out) != 0 || fsync(fileno(out)) != 0) {
            st = mbs_fail_errno(err, MBS_ERR_IO, errno, path, "cannot be written");
        }
        if (fclose(out) != 0 && st >= 0) {
            st = mbs_fail_errno(err, MBS_ERR_IO, errno, path, "cannot be closed");
        }
    }
    mbs_free(path);
    return st;
}

/* Swaps or renames, then makes it last. After a swap the hidden name holds the old folder. */
static mbs_status give_name(mbs_new_folder *f, mbs_err *err) {
    if (fsync(f->fd) != 0) {
        return mbs_fail_errno(err, MBS_ERR_IO, errno, f->final, "cannot be written");
    }
    char *dir = mbs_path_dir(f->final);
    if (!dir) {
        return mbs_fail_memory(err, f->final, strlen(f->final));
    }
    mbs_status st = MBS_OK;
    unsigned how = f->replace ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    int failed = renameat2(AT_FDCWD, f->temp, AT_FDCWD, f->final, how) != 0;
    if (failed && !f->replace && errno == EINVAL) {
        failed =
            rename(f->temp, f->final) != 0; /* a file system without that flag; it refuses a folder with files too */
    }
    if (failed) {
        st = mbs_fail_errno(err, MBS_ERR_CREATE, errno, f->final, "cannot be given its name");
        mbs_err_fix(err, "remove the folder that stands there, if any, and try again");
    }
    int fd = failed ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    mbs_free(dir);
    return st;
}

static void remove_temp(const mbs_new_folder *f) {
    int fd = open(f->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        remove_files(fd, f->names);
        close(fd);
        rmdir(f->temp);
    }
}

mbs_status mbs_new_folder_end(mbs_new_folder *f, mbs_status st, mbs_err *err) {
    if (st >= 0) {
        st = give_name(f, err);
    }
    if (st < 0 || f->replace) {
        remove_temp(f);
    }
    release(f);
    return st;
}
