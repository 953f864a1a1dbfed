#include "plug/glob.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "opt/value.h"

static mbs_status put(mbs_paths *p, char *owned) {
    char **grown = owned ? mbs_grow(p->items, &p->cap, p->n + 1, sizeof *p->items) : NULL;
    if (!grown) {
        mbs_free(owned);
        return MBS_ERR_MEMORY;
    }
    p->items = grown;
    p->items[p->n++] = owned;
    return MBS_OK;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static mbs_status expand_glob(mbs_paths *p, const char *pattern, const char *text, mbs_buf *why) {
    glob_t g;
    memset(&g, 0, sizeof g);
    mbs_status rc = MBS_OK;
    int bad = glob(pattern, GLOB_NOSORT, NULL, &g);
    if (bad == GLOB_NOSPACE) {
        rc = MBS_ERR_MEMORY;
    } else if (bad != 0 || g.gl_pathc == 0) {
        if (why) {
            mbs_buf_puts(why, "is ");
            mbs_value_put_quoted(why, text);
            mbs_buf_puts(why, ": no file matches it");
        }
        rc = MBS_ERR_NOINPUT;
    } else {
        qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_bytes);
        for (size_t i = 0; i < g.gl_pathc && rc == MBS_OK; i++) {
            rc = put(p, mbs_strdup(g.gl_pathv[i]));
        }
    }
    globfree(&g);
    return rc;
}

mbs_status mbs_paths_add(mbs_paths *p, const char *text, int resolve, int expand, mbs_buf *why) {
    char *path = resolve ? mbs_path_resolve(text) : mbs_strdup(text);
    if (!path) {
        return MBS_ERR_MEMORY;
    }
    if (!resolve || !expand || !strpbrk(path, "*?[") || mbs_path_exists(path)) {
        return put(p, path);
    }
    mbs_status rc = expand_glob(p, path, text, why);
    mbs_free(path);
    return rc;
}

void mbs_paths_free(mbs_paths *p) {
    for (size_t i = 0; i < p->n; i++) {
        mbs_free(p->items[i]);
    }
    mbs_free(p->items);
}
