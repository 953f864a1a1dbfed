#include "run/suffix.h"

#include <string.h>

#include "base/log.h"
#include "pipe/load.h"
#include "plug/params.h"

/* Whether `path` ends with one of the words of `suffixes`. */
static int has_suffix(const char *path, const char *suffixes) {
    size_t len = strlen(path);
    for (const char *s = suffixes; s && *s;) {
        size_t n = strcspn(s, " ");
        if (n && n <= len && memcmp(path + len - n, s, n) == 0) {
            return 1;
        }
        s += n;
        s += strspn(s, " ");
    }
    return 0;
}

static int is_in(const mbs_plan *plan, const mbs_descriptor *d) {
    for (int i = 0; i < plan->n_writers; i++) {
        if (strcmp(plan->writers[i].desc->id, d->id) == 0) {
            return 1;
        }
    }
    return 0;
}

/* How near a writer lies: one of the plan, then one of any rows, as the table. */
static int rank(const mbs_plan *plan, const mbs_descriptor *d) {
    return is_in(plan, d) ? 2 : d->accepts && strcmp(d->accepts, "*") == 0;
}

/* Another writer of these rows whose names end so: the nearest. */
static const mbs_descriptor *owner_of(const char *path, const mbs_plan *plan, mbs_registry *registry) {
    const mbs_descriptor *found = NULL;
    const mbs_plugin_info *list = NULL;
    int n = 0;
    mbs_err ignored;
    mbs_err_clear(&ignored);
    if (mbs_registry_scan(registry, &list, &n, &ignored) != MBS_OK) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        const mbs_descriptor *d = list[i].desc;
        if (d && !list[i].problem && !list[i].shadowed_by && d->kind == MBS_KIND_WRITER &&
            mbs_load_accepts(d->accepts, plan->row_type) && has_suffix(path, d->suffixes) &&
            (!found || rank(plan, d) > rank(plan, found))) {
            found = d;
        }
    }
    return found;
}

static mbs_status refuse(const mbs_plan *plan, int i, const char *path, const mbs_descriptor *owner, mbs_err *err) {
    const mbs_plan_stage *w = &plan->writers[i];
    mbs_fail(err, MBS_ERR_CONFIG, w->label, "would write its own format to '%s', a name of writer '%s'", path,
             owner->id);
    if (is_in(plan, owner)) {
        mbs_err_fix(err, "give that one its path: --set writer.%s.path=%s", owner->id, path);
        return MBS_ERR_CONFIG;
    }
    mbs_err_fix(err, "for that format --set 'writer={plugin: %s, path: %s}'; else a name that ends with %s", owner->id,
                path, w->desc->suffixes);
    return MBS_ERR_CONFIG;
}

/* The path of a writer, where its ending is none of its own; else NULL. */
static const char *strange_path(const mbs_plan_stage *w) {
    const char *path = mbs_params_string(w->params, "path");
    const char *dot = path ? strrchr(path, '.') : NULL;
    return !w->desc->suffixes || !dot || strchr(dot, '/') || has_suffix(path, w->desc->suffixes) ? NULL : path;
}

mbs_status mbs_suffixes_check(const mbs_plan *plan, mbs_registry *registry, mbs_err *err) {
    for (int i = 0; i < plan->n_writers && plan->row_type; i++) {
        const char *path = strange_path(&plan->writers[i]);
        const mbs_descriptor *owner = path ? owner_of(path, plan, registry) : NULL;
        if (owner) {
            return refuse(plan, i, path, owner, err);
        }
    }
    return MBS_OK;
}

void mbs_suffixes_warn(const mbs_plan *plan) {
    for (int i = 0; i < plan->n_writers; i++) {
        const mbs_plan_stage *w = &plan->writers[i];
        const char *path = strange_path(w);
        if (path) {
            mbs_log(MBS_LOG_WARNING, "%s writes its own format to '%s' (its names end with %s)", w->label, path,
                    w->desc->suffixes);
        }
    }
}
