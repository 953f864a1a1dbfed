#include "plug/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The id in "mbsp_ID.so", allocated; NULL for any other name, *failed without memory. */
static char *id_of(const char *name, int *failed) {
    size_t len = strlen(name);
    size_t pre = sizeof MBS_PLUGIN_PREFIX - 1;
    size_t suf = sizeof MBS_PLUGIN_SUFFIX - 1;
    if (len <= pre + suf || strncmp(name, MBS_PLUGIN_PREFIX, pre) != 0 ||
        strcmp(name + len - suf, MBS_PLUGIN_SUFFIX) != 0) {
        return NULL;
    }
    char *id = mbs_strndup(name + pre, len - pre - suf);
    *failed |= !id;
    return id;
}

int mbs_folder_ids(const char *path, int (*put)(void *sink, const char *id), void *sink) {
    DIR *dir = opendir(path);
    if (!dir) {
        return 0;
    }
    char **ids = NULL;
    size_t n = 0;
    size_t cap = 0;
    int failed = 0;
    for (struct dirent *e; !failed && (e = readdir(dir)) != NULL;) {
        char *id = id_of(e->d_name, &failed);
        char **grown = id ? mbs_grow(ids, &cap, n + 1, sizeof *ids) : NULL;
        if (grown) {
            ids = grown;
            ids[n++] = id;
        } else if (id) {
            mbs_free(id);
            failed = 1;
        }
    }
    closedir(dir);
    if (n > 0) {
        qsort(ids, n, sizeof *ids, by_bytes);
    }
    for (size_t i = 0; i < n; i++) {
        failed = failed || put(sink, ids[i]);
        mbs_free(ids[i]);
    }
    mbs_free(ids);
    return failed;
}
