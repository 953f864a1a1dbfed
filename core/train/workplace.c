#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "model/new_folder.h"
#include "train/checkpoint_impl.h"

/* Removes a folder of files, or a file. What else there may be is left alone, and so is the folder then. */
void mbs_workplace_sweep(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) {
        return;
    }
    DIR *d = S_ISDIR(info.st_mode) ? opendir(path) : NULL;
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        char *file = mbs_path_join(path, e->d_name);
        if (file) {
            unlink(file); /* fails for "." and ".." */
        }
        mbs_free(file);
    }
    if (d) {
        closedir(d);
        rmdir(path);
    } else {
        unlink(path);
    }
}

char *mbs_workplace_name(const char *output) {
    char *dir = mbs_path_dir(output);
    char *base = mbs_path_base(output);
    mbs_buf name = MBS_BUF_INIT;
    if (base) {
        mbs_buf_printf(&name, ".%s.mbs-train", base);
    }
    char *path = dir && base && !name.failed ? mbs_path_join(dir, name.data) : NULL;
    mbs_buf_free(&name);
    mbs_free(dir);
    mbs_free(base);
    return path;
}

int64_t mbs_checkpoint_step(const char *name) {
    if (strncmp(name, "step-", 5) != 0) {
        return 0;
    }
    char *end = NULL;
    long long step = strtoll(name + 5, &end, 10);
    return *end == '\0' && step > 0 ? step : 0;
}

int64_t mbs_checkpoint_before(const char *folder, int64_t below) {
    int64_t newest = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        int64_t step = mbs_checkpoint_step(e->d_name);
        newest = step < below && step > newest ? step : newest;
    }
    if (d) {
        closedir(d);
    }
    return newest;
}

int64_t mbs_workplace_newest(const char *folder) {
    return mbs_checkpoint_before(folder, INT64_MAX);
}

/* All that an earlier run left, or only what it left half-made. */
static void sweep_all(const char *folder, int everything) {
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        const char *dot = strrchr(e->d_name, '.');
        int half = dot && strcmp(dot, ".part") == 0;
        if ((everything || half) && strcmp(e->d_name, "lock") != 0 && strcmp(e->d_name, ".") != 0 &&
            strcmp(e->d_name, "..") != 0) {
            char *path = mbs_path_join(folder, e->d_name);
            if (path) {
                mbs_workplace_sweep(path);
            }
            mbs_free(path);
        }
    }
    if (d) {
        closedir(d);
    }
}

mbs_status mbs_workplace_claim(const char *output, mbs_workplace *out, mbs_err *err) {
    *out = (mbs_workplace){.folder = mbs_workplace_name(output)};
    char *lock = out->folder ? mbs_path_join(out->folder, "lock") : NULL;
    mbs_status st = MBS_OK;
    if (!lock) {
        st = mbs_fail_memory(err, output, strlen(output));
    } else if (mkdir(out->folder, 0777) != 0 && errno != EEXIST) {
        st = mbs_new_folder_refused(output, errno, err);
    } else {
        st = mbs_lock_take(&out->lock, lock, output, err);
    }
    mbs_free(lock);
    if (st < 0) {
        mbs_free(out->folder);
        memset(out, 0, sizeof *out);
    }
    return st;
}

mbs_status mbs_workplace_open(const char *output, int resume, mbs_workplace *out, mbs_err *err) {
    mbs_status st = out->folder ? MBS_OK : mbs_workplace_claim(output, out, err);
    if (st >= 0) {
        sweep_all(out->folder, !resume);
    }
    return st;
}

void mbs_workplace_leave(mbs_workplace *w) {
    /* A folder with nothing to go on from is of no use. A refused --resume must not take what another could use. */
    mbs_workplace_close(w, w->folder && mbs_workplace_newest(w->folder) == 0);
}

void mbs_workplace_close(mbs_workplace *w, int remove) {
    if (!w->folder) {
        return;
    }
    if (remove) {
        sweep_all(w->folder, 1);
    }
    mbs_lock_release(&w->lock);
    if (remove) {
        rmdir(w->folder);
    }
    mbs_free(w->folder);
    w->folder = NULL;
}
