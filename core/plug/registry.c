#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/path.h"
#include "opt/nearest.h"
#include "plug/library.h"
#include "plug/registry_impl.h"

mbs_registry *mbs_registry_new(const char *const *dirs, int n, mbs_err *err) {
    mbs_registry *r = mbs_calloc(1, sizeof *r);
    if (!r) {
        mbs_fail_memory(err, "plugin search path", sizeof *r);
        return NULL;
    }
    mbs_status rc = mbs_registry_default_dirs(r, err);
    for (int i = n - 1; i >= 0 && rc == MBS_OK; i--) {
        rc = mbs_registry_add_dir(r, dirs[i], err);
    }
    if (rc != MBS_OK) {
        mbs_registry_free(r);
        return NULL;
    }
    return r;
}

mbs_status mbs_registry_add_static(mbs_registry *r, const mbs_plugin_entry_table *entry, mbs_err *err) {
    mbs_status rc = mbs_entry_check(entry, "(built in)", err);
    if (rc != MBS_OK) {
        return rc;
    }
    const mbs_plugin_entry_table **grown =
        mbs_grow(r->built_in, &r->cap_built_in, r->n_built_in + 1, sizeof *r->built_in);
    if (!grown) {
        return mbs_fail_memory(err, "plugins", sizeof *grown);
    }
    r->built_in = grown;
    r->built_in[r->n_built_in++] = entry;
    return MBS_OK;
}

void mbs_registry_free(mbs_registry *r) {
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n_folders; i++) {
        mbs_folder_free(&r->folders[i]);
    }
    for (size_t i = 0; i < r->n_open; i++) {
        mbs_free(r->open[i].path);
    }
    mbs_free(r->folders);
    mbs_free(r->open);
    mbs_free(r->built_in);
    mbs_free(r->infos);
    mbs_arena_free(r->texts);
    mbs_free(r);
}

mbs_status mbs_registry_open(mbs_registry *r, const char *path, const mbs_plugin_entry_table **out, mbs_err *err) {
    for (size_t i = 0; i < r->n_open; i++) {
        if (strcmp(r->open[i].path, path) == 0) {
            *out = r->open[i].entry;
            return MBS_OK;
        }
    }
    mbs_buf why = MBS_BUF_INIT;
    mbs_trust t = mbs_trust_file(path, &why);
    mbs_status rc = MBS_OK;
    if (t == MBS_TRUST_REFUSED) {
        rc = mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "the plugin is refused: the file %s", mbs_buf_str(&why));
        mbs_err_fix(err, "only files that belong to you or root, and that others cannot write, are loaded");
    } else if (t == MBS_TRUST_WARN) {
        mbs_log(MBS_LOG_WARNING, "plugin %s %s", path, mbs_buf_str(&why));
    }
    mbs_buf_free(&why);
    if (rc == MBS_OK) {
        rc = mbs_library_open(path, out, err);
    }
    if (rc != MBS_OK) {
        return rc;
    }
    mbs_library *grown = mbs_grow(r->open, &r->cap_open, r->n_open + 1, sizeof *grown);
    char *copy = mbs_strdup(path);
    if (grown) {
        r->open = grown;
    }
    if (!grown || !copy) {
        mbs_free(copy);
        return mbs_fail_memory(err, path, sizeof *grown);
    }
    r->open[r->n_open++] = (mbs_library){.path = copy, .entry = *out};
    return MBS_OK;
}

static void warn_once(mbs_folder *f) {
    if (f->warn) {
        mbs_log(MBS_LOG_WARNING, "plugin folder %s %s", f->path, f->caution);
        f->warn = 0;
    }
}

/* id NULL: the first of that kind. */
static const mbs_descriptor *offered(const mbs_plugin_entry_table *e, int32_t kind, const char *id) {
    for (uint32_t i = 0; i < e->n_descriptors; i++) {
        const mbs_descriptor *d = e->descriptors[i];
        if (d->kind == kind && (!id || strcmp(d->id, id) == 0)) {
            return d;
        }
    }
    return NULL;
}

char *mbs_registry_library_path(const char *dir, const char *id) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_printf(&b, "%s/" MBS_PLUGIN_PREFIX "%s" MBS_PLUGIN_SUFFIX, dir, id);
    char *path = b.failed ? NULL : mbs_strdup(mbs_buf_str(&b));
    mbs_buf_free(&b);
    return path;
}

/* "reader 'a', writer 'b'" */
static void put_offers(mbs_buf *out, const mbs_plugin_entry_table *e) {
    for (uint32_t i = 0; i < e->n_descriptors; i++) {
        const mbs_descriptor *d = e->descriptors[i];
        if (d->kind >= MBS_KIND_READER && d->kind <= MBS_KIND_WRITER) {
            mbs_buf_printf(out, "%s%s '%s'", out->len ? ", " : "", mbs_kind_name(d->kind), d->id);
        }
    }
}

static mbs_status find_file(mbs_registry *r, int32_t kind, const char *name, const mbs_descriptor **out, mbs_err *err) {
    char *path = mbs_path_resolve(name);
    char *real = path ? realpath(path, NULL) : NULL;
    mbs_status rc = MBS_OK;
    if (!path) {
        rc = mbs_fail_memory(err, name, strlen(name));
    } else if (!real) {
        rc = mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "there is no such plugin file");
        mbs_err_fix(err, "check the path; a name without a slash is looked for in the plugin folders");
    }
    char *dir = real ? mbs_path_dir(real) : NULL;
    mbs_buf why = MBS_BUF_INIT;
    if (rc == MBS_OK && dir && mbs_trust_folder(dir, &why) == MBS_TRUST_REFUSED) {
        rc = mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "the plugin is refused: its folder %s", mbs_buf_str(&why));
        mbs_err_fix(err, "copy it to a folder that only you can write");
    }
    const mbs_plugin_entry_table *entry = NULL;
    if (rc == MBS_OK) {
        rc = mbs_registry_open(r, real, &entry, err);
    }
    if (rc == MBS_OK) {
        *out = offered(entry, kind, NULL);
        if (!*out) {
            mbs_buf_clear(&why);
            put_offers(&why, entry);
            rc = mbs_fail(err, MBS_ERR_UNAVAILABLE, path, "there is no %s in this plugin", mbs_kind_name(kind));
            mbs_err_fix(err, "it offers %s", why.len ? mbs_buf_str(&why) : "nothing that this program knows");
        }
    }
    mbs_buf_free(&why);
    mbs_free(dir);
    free(real);
    mbs_free(path);
    return rc;
}

static int offer_id(void *sink, const char *id) {
    mbs_nearest_offer(sink, id);
    return 0;
}

static mbs_status not_found(mbs_registry *r, int32_t kind, const char *name, const mbs_buf *seen, mbs_err *err) {
    mbs_buf places = MBS_BUF_INIT;
    mbs_nearest near;
    mbs_nearest_init(&near, name);
    for (size_t i = 0; i < r->n_built_in; i++) {
        for (uint32_t k = 0; k < r->built_in[i]->n_descriptors; k++) {
            if (r->built_in[i]->descriptors[k]->kind == kind) {
                mbs_nearest_offer(&near, r->built_in[i]->descriptors[k]->id);
            }
        }
    }
    for (size_t i = 0; i < r->n_folders; i++) {
        const mbs_folder *f = &r->folders[i];
        mbs_buf_printf(&places, "%s%s", i ? ", " : "", f->path);
        if (f->refused) {
            mbs_buf_printf(&places, " (%s)", f->refused);
        } else {
            mbs_folder_ids(f->path, offer_id, &near);
        }
    }
    char where[128];
    (void)snprintf(where, sizeof where, "%s '%.64s'", mbs_kind_name(kind), name);
    if (seen->len > 0) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, where, "no such %s: %s", mbs_kind_name(kind), mbs_buf_str(seen));
    } else {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, where, "no plugin of this name: searched %s", mbs_buf_str(&places));
    }
    if (near.at && strcmp(near.best, name) != 0) {
        mbs_err_fix(err, "did you mean '%s'?", near.best);
    } else {
        mbs_err_fix(err, "'mambaseq plugin list' shows what is there, MAMBASEQ_PLUGIN_PATH adds folders");
    }
    mbs_buf_free(&places);
    return MBS_ERR_UNAVAILABLE;
}

/* Looks into one folder. A library that is there but has nothing of that kind is noted in `seen` and passed by. */
static mbs_status find_in(mbs_registry *r, mbs_folder *f, int32_t kind, const char *name, const mbs_descriptor **out,
                          mbs_buf *seen, mbs_err *err) {
    char *path = mbs_registry_library_path(f->path, name);
    if (!path) {
        return mbs_fail_memory(err, f->path, strlen(name));
    }
    mbs_status rc = MBS_OK;
    const mbs_plugin_entry_table *entry = NULL;
    if (access(path, F_OK) == 0) {
        if (f->refused) {
            mbs_buf_printf(seen, "%s%s is not used, its folder %s", seen->len ? "; " : "", path, f->refused);
        } else {
            warn_once(f);
            rc = mbs_registry_open(r, path, &entry, err);
        }
    }
    if (entry) {
        *out = offered(entry, kind, name);
        if (!*out) {
            mbs_buf offers = MBS_BUF_INIT;
            put_offers(&offers, entry);
            mbs_buf_printf(seen, "%s%s offers %s", seen->len ? "; " : "", path, mbs_buf_str(&offers));
            mbs_buf_free(&offers);
        }
    }
    mbs_free(path);
    return rc;
}

mbs_status mbs_registry_find(mbs_registry *r, int32_t kind, const char *name, const mbs_descriptor **out,
                             mbs_err *err) {
    *out = NULL;
    if (strchr(name, '/')) {
        return find_file(r, kind, name, out, err);
    }
    mbs_buf seen = MBS_BUF_INIT;
    mbs_status rc = MBS_OK;
    for (size_t i = 0; i < r->n_built_in && !*out; i++) {
        *out = offered(r->built_in[i], kind, name);
    }
    for (size_t i = 0; i < r->n_folders && !*out && rc == MBS_OK && mbs_plugin_id_ok(name); i++) {
        rc = find_in(r, &r->folders[i], kind, name, out, &seen, err);
    }
    if (!*out && rc == MBS_OK) {
        rc = not_found(r, kind, name, &seen, err);
    }
    mbs_buf_free(&seen);
    return rc;
}
