/* Where plugins are looked for, in which order. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/path.h"
#include "plug/registry_impl.h"

void mbs_folder_free(mbs_folder *f) {
    mbs_free(f->path);
    mbs_free(f->refused);
    mbs_free(f->caution);
}

/* Judges a folder once, when it joins the path. `must_be_absolute`: it comes from the environment. */
static int folder_make(const char *named, int must_be_absolute, mbs_folder *out) {
    mbs_buf why = MBS_BUF_INIT;
    *out = (mbs_folder){0};
    char *real = NULL;
    if (must_be_absolute && named[0] != '/') {
        mbs_buf_puts(&why, "is a relative path");
    } else {
        real = realpath(named, NULL);
        mbs_trust t = mbs_trust_folder(real ? real : named, &why);
        out->warn = t == MBS_TRUST_WARN;
        if (out->warn) {
            out->caution = mbs_strdup(mbs_buf_str(&why));
            mbs_buf_clear(&why);
        }
    }
    out->path = mbs_strdup(real ? real : named);
    free(real);
    int failed = why.failed || !out->path || (out->warn && !out->caution);
    if (why.len > 0) {
        out->refused = mbs_strdup(mbs_buf_str(&why));
        failed = failed || !out->refused;
    }
    mbs_buf_free(&why);
    if (failed) {
        mbs_folder_free(out);
    }
    return failed ? -1 : 0;
}

static mbs_status put_folder(mbs_registry *r, const char *named, int must_be_absolute, int in_front, mbs_err *err) {
    mbs_folder f;
    if (folder_make(named, must_be_absolute, &f)) {
        return mbs_fail_memory(err, "plugin search path", strlen(named));
    }
    size_t there = 0;
    while (there < r->n_folders && strcmp(r->folders[there].path, f.path) != 0) {
        there++;
    }
    if (there < r->n_folders && !in_front) {
        mbs_folder_free(&f); /* named twice: the first place counts */
        return MBS_OK;
    }
    if (there < r->n_folders) {
        mbs_folder_free(&r->folders[there]);
        memmove(r->folders + there, r->folders + there + 1, (r->n_folders - there - 1) * sizeof f);
        r->n_folders--;
    }
    mbs_folder *grown = mbs_grow(r->folders, &r->cap_folders, r->n_folders + 1, sizeof f);
    if (!grown) {
        mbs_folder_free(&f);
        return mbs_fail_memory(err, "plugin search path", sizeof f);
    }
    r->folders = grown;
    size_t at = in_front ? 0 : r->n_folders;
    memmove(grown + at + 1, grown + at, (r->n_folders - at) * sizeof f);
    grown[at] = f;
    r->n_folders++;
    return MBS_OK;
}

static mbs_status put_place(void *arg, const char *named, mbs_err *err) {
    return put_folder(arg, named, 1, 0, err);
}

mbs_status mbs_registry_default_dirs(mbs_registry *r, mbs_err *err) {
    return mbs_places_each(put_place, r, err);
}

mbs_status mbs_registry_add_dir(mbs_registry *r, const char *dir, mbs_err *err) {
    if (dir[0] == '\0') {
        mbs_fail(err, MBS_ERR_CONFIG, "plugins", "a folder's name is empty");
        mbs_err_fix(err, "name a folder, such as ./build/plugins");
        return MBS_ERR_CONFIG;
    }
    return put_folder(r, dir, 0, 1, err);
}

int mbs_registry_dirs(const mbs_registry *r) {
    return (int)r->n_folders;
}

const char *mbs_registry_dir(const mbs_registry *r, int i, const char **refused) {
    *refused = r->folders[i].refused;
    return r->folders[i].path;
}
