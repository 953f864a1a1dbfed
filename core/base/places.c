#include "base/places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"

static mbs_trust trust(const char *path, int want_folder, mbs_buf *why) {
    struct stat st;
    if (stat(path, &st) != 0) {
        mbs_buf_puts(why, errno == ENOENT ? "does not exist" : strerror(errno));
        return MBS_TRUST_REFUSED;
    }
    if (want_folder && !S_ISDIR(st.st_mode)) {
        mbs_buf_puts(why, "is not a folder");
        return MBS_TRUST_REFUSED;
    }
    if (!want_folder && !S_ISREG(st.st_mode)) {
        mbs_buf_puts(why, "is not a file");
        return MBS_TRUST_REFUSED;
    }
    if (st.st_mode & S_IWOTH) {
        mbs_buf_puts(why, "is writable by anybody");
        return MBS_TRUST_REFUSED;
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        mbs_buf_printf(why, "belongs to another user (uid %lu)", (unsigned long)st.st_uid);
        return MBS_TRUST_REFUSED;
    }
    if (st.st_mode & S_IWGRP) {
        mbs_buf_puts(why, "is writable by its group");
        return MBS_TRUST_WARN;
    }
    return MBS_TRUST_OK;
}

mbs_trust mbs_trust_folder(const char *path, mbs_buf *why) {
    return trust(path, 1, why);
}

mbs_trust mbs_trust_file(const char *path, mbs_buf *why) {
    return trust(path, 0, why);
}

/* --- the order of search -------------------------------------------------------------------------------------------
 */

typedef mbs_status (*take_fn)(void *arg, const char *folder, mbs_err *err);

/* `folder` is allocated, NULL without memory. */
static mbs_status give(char *folder, take_fn take, void *arg, mbs_err *err) {
    mbs_status st = folder ? take(arg, folder, err) : mbs_fail_memory(err, "plugin search path", 0);
    mbs_free(folder);
    return st;
}

static mbs_status each_of_list(const char *list, take_fn take, void *arg, mbs_err *err) {
    for (;;) {
        size_t len = strcspn(list, ":");
        mbs_status st = give(len ? mbs_strndup(list, len) : mbs_path_plugins(), take, arg, err);
        if (st != MBS_OK || list[len] == '\0') {
            return st;
        }
        list += len + 1;
    }
}

mbs_status mbs_places_each(take_fn take, void *arg, mbs_err *err) {
    const char *list = secure_getenv("MAMBASEQ_PLUGIN_PATH");
    const char *home = secure_getenv("HOME");
    mbs_status st = list && list[0] ? each_of_list(list, take, arg, err) : MBS_OK;
    if (st == MBS_OK && home && home[0] == '/') {
        st = give(mbs_path_join(home, ".local/lib/mambaseq/plugins"), take, arg, err);
    }
    return st == MBS_OK ? give(mbs_path_plugins(), take, arg, err) : st;
}
