/* Everything that is there, for `plugin list`. */
#include <string.h>

#include "plug/registry_impl.h"

static mbs_status put_info(mbs_registry *r, mbs_plugin_info info, mbs_err *err) {
    for (size_t i = 0; i < r->n_infos && info.desc && !info.problem; i++) {
        const mbs_plugin_info *before = &r->infos[i];
        if (before->desc && !before->problem && before->desc->kind == info.desc->kind &&
            strcmp(before->desc->id, info.desc->id) == 0) {
            info.shadowed_by = before->path;
            break;
        }
    }
    mbs_plugin_info *grown = mbs_grow(r->infos, &r->cap_infos, r->n_infos + 1, sizeof info);
    if (!grown) {
        return mbs_fail_memory(err, "plugins", sizeof info);
    }
    r->infos = grown;
    r->infos[r->n_infos++] = info;
    return MBS_OK;
}

static mbs_status put_entry(mbs_registry *r, const mbs_plugin_entry_table *e, const char *path, const char *id,
                            mbs_err *err) {
    mbs_status rc = MBS_OK;
    for (uint32_t i = 0; i < e->n_descriptors && rc == MBS_OK; i++) {
        const mbs_descriptor *d = e->descriptors[i];
        if (d->kind < MBS_KIND_READER || d->kind > MBS_KIND_WRITER) {
            continue;
        }
        mbs_plugin_info info = {.desc = d, .path = path, .library = e->library};
        if (id && strcmp(id, d->id) != 0) {
            info.problem = "its file has another name: it can only be used by path";
        }
        rc = put_info(r, info, err);
    }
    return rc;
}

typedef struct scan {
    mbs_registry *r;
    const char *dir;
    mbs_err *err;
} scan;

static int scan_one(void *sink, const char *id) {
    scan *s = sink;
    char *made = mbs_registry_library_path(s->dir, id);
    char *path = made ? mbs_arena_strdup(s->r->texts, made) : NULL;
    mbs_free(made);
    if (!path) {
        return -1;
    }
    const mbs_plugin_entry_table *entry = NULL;
    mbs_err broken;
    mbs_err_clear(&broken);
    if (mbs_registry_open(s->r, path, &entry, &broken) == MBS_OK) {
        return put_entry(s->r, entry, path, id, s->err) != MBS_OK;
    }
    if (broken.status == MBS_ERR_MEMORY) {
        return -1; /* says nothing about the library */
    }
    char line[2048];
    broken.where[0] = '\0'; /* the path has its own column */
    mbs_err_line(&broken, line, sizeof line);
    mbs_plugin_info info = {.path = path, .problem = mbs_arena_strdup(s->r->texts, line)};
    return !info.problem || put_info(s->r, info, s->err) != MBS_OK;
}

mbs_status mbs_registry_scan(mbs_registry *r, const mbs_plugin_info **list, int *n, mbs_err *err) {
    mbs_arena_free(r->texts);
    r->texts = mbs_arena_new();
    r->n_infos = 0;
    mbs_status rc = r->texts ? MBS_OK : mbs_fail_memory(err, "plugins", 0);
    for (size_t i = 0; i < r->n_built_in && rc == MBS_OK; i++) {
        rc = put_entry(r, r->built_in[i], "(built in)", NULL, err);
    }
    for (size_t i = 0; i < r->n_folders && rc == MBS_OK; i++) {
        scan s = {.r = r, .dir = r->folders[i].path, .err = err};
        if (!r->folders[i].refused && mbs_folder_ids(s.dir, scan_one, &s)) {
            rc = mbs_fail_memory(err, "plugins", 0);
        }
    }
    *list = r->infos;
    *n = (int)r->n_infos;
    return rc;
}
