#include "run/shape_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "opt/nearest.h"
#include "pipe/yaml.h"

#define SHAPES "share:configs/model"

/* --- the file ----------------------------------------------------------------------------------------------- */

static int is_yaml_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int is_shape(const struct dirent *e) {
    return is_yaml_name(e->d_name);
}

/* The shapes that came with the program: "dna-4x128, tiny", and the one nearest to `name`. */
static void shapes_there(const char *name, mbs_nearest *near, mbs_buf *out) {
    struct dirent **list = NULL;
    char *folder = mbs_path_resolve(SHAPES);
    int n = folder ? scandir(folder, &list, is_shape, alphasort) : 0;
    mbs_nearest_init(near, name);
    for (int i = 0; i < n; i++) {
        size_t len = (size_t)(strrchr(list[i]->d_name, '.') - list[i]->d_name);
        mbs_nearest_offer_n(near, list[i]->d_name, len);
        mbs_buf_printf(out, "%s%.*s", out->len ? ", " : "", (int)len, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    mbs_free(folder);
}

static mbs_status no_shape(const char *name, mbs_err *err) {
    mbs_nearest near;
    mbs_buf names = MBS_BUF_INIT;
    shapes_there(name, &near, &names);
    mbs_fail(err, MBS_ERR_NOINPUT, name, "there is no such file, and no such shape in " SHAPES "%s%s%s",
             near.at ? ", did you mean '" : "", near.best, near.at ? "'?" : "");
    if (names.len) {
        mbs_err_fix(err, "there is %s", mbs_buf_str(&names));
    }
    mbs_buf_free(&names);
    return MBS_ERR_NOINPUT;
}

/* What to open for SHAPE: a path is one, a bare name is one of ours. */
static mbs_status find_shape(const char *name, char **path, mbs_err *err) {
    *path = mbs_path_is_std(name) ? mbs_strdup("/dev/stdin") : mbs_path_resolve(name);
    if (*path && !mbs_path_is_std(name) && !mbs_path_exists(*path) && !strchr(name, '/') && !strchr(name, ':')) {
        mbs_buf ours = MBS_BUF_INIT;
        mbs_buf_printf(&ours, SHAPES "/%s%s", name, is_yaml_name(name) ? "" : ".yaml");
        mbs_free(*path);
        *path = ours.failed ? NULL : mbs_path_resolve(mbs_buf_str(&ours));
        mbs_buf_free(&ours);
        if (*path && !mbs_path_exists(*path)) {
            mbs_free(*path);
            *path = NULL;
            return no_shape(name, err);
        }
    }
    return *path ? MBS_OK : mbs_fail_memory(err, name, strlen(name));
}

/* --- keys and values ---------------------------------------------------------------------------------------- */

static int is_key(const char *key, mbs_nearest *near) {
    const char *name;
    const char *own = strchr(key, '.') ? strchr(key, '.') + 1 : key; /* "mamba2.d_state" */
    mbs_nearest_init(near, key);
    for (int i = 0; (name = mbs_shape_key(i, NULL)) != NULL; i++) {
        if (strcmp(name, own) == 0) {
            return 1;
        }
        mbs_nearest_offer(near, name);
    }
    return 0;
}

/* A list of words as one value with commas between, as `mixer` and `pool` have it. */
static int join(const mbs_yaml_node *list, mbs_buf *out) {
    for (const mbs_yaml_node *n = list->first; n; n = n->next) {
        if (n->kind != MBS_YAML_SCALAR || strchr(n->text, ',')) {
            return 0;
        }
        mbs_buf_printf(out, "%s%s", out->len ? "," : "", n->text);
    }
    return out->len > 0 && !out->failed;
}

static void set_list(mbs_shape *shape, const char *key, const mbs_yaml_node *value, mbs_diags *d) {
    mbs_buf text = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    const char *several = strcmp(key, "mixer") == 0  ? " or a list of mixers"
                          : strcmp(key, "pool") == 0 ? " or a list of numbers"
                                                     : "";
    if (!several[0] || value->kind != MBS_YAML_LIST || !join(value, &text)) {
        mbs_diag_error(d, value->at, "'%s' must be a single value%s", key, several);
    } else if (mbs_shape_set(shape, key, mbs_buf_str(&text), &err) != MBS_OK) {
        mbs_diag_error(d, value->at, "%s", err.what);
    }
    mbs_buf_free(&text);
}

static void set_value(mbs_shape *shape, const char *key, mbs_place key_at, const mbs_yaml_node *value, mbs_diags *d) {
    mbs_nearest near;
    mbs_err err;
    mbs_err_clear(&err);
    if (!is_key(key, &near)) {
        mbs_diag_error(d, key_at, "'%s' is not a key of a shape%s%s%s", key, near.at ? ", did you mean '" : "",
                       near.best, near.at ? "'?" : "");
    } else if (value->kind != MBS_YAML_SCALAR) {
        set_list(shape, key, value, d);
    } else if (!value->bad && mbs_shape_set(shape, key, value->text, &err) != MBS_OK) {
        mbs_diag_error(d, value->at, "%s", err.what);
    }
}

static void read_file(mbs_shape *shape, mbs_arena *arena, mbs_diags *d) {
    const mbs_yaml_node *root = mbs_yaml_parse(arena, d->text, -1, d);
    if (!root) {
        return;
    }
    if (root->kind != MBS_YAML_MAP) {
        mbs_diag_error(d, root->at, "a shape is lines of 'key: value'");
        return;
    }
    for (const mbs_yaml_node *n = root->first; n; n = n->next) {
        set_value(shape, n->key->text, n->key->at, n, d);
    }
}

static void read_sets(mbs_shape *shape, mbs_arena *arena, int n, mbs_diags *d) {
    for (int i = 0; i < n; i++) {
        const mbs_plan_set *s = &d->sets[i];
        const mbs_yaml_node *value = mbs_yaml_parse(arena, (mbs_yaml_text){s->value, strlen(s->value)}, i, d);
        if (value) {
            set_value(shape, s->path, (mbs_place){i, 1, 1}, value, d);
        }
    }
}

mbs_status mbs_shape_load(const char *name, const mbs_plan_set *sets, int n_sets, mbs_shape *shape, mbs_buf *diags,
                          mbs_err *err) {
    char *path = NULL;
    char *data = NULL;
    mbs_diags d;
    mbs_shape_default(shape);
    memset(&d, 0, sizeof d);
    d.file = mbs_path_is_std(name) ? "<stdin>" : name;
    d.sets = sets;
    mbs_status st = find_shape(name, &path, err);
    if (st == MBS_OK) {
        st = mbs_path_read(path, MBS_YAML_MAX_BYTES, &data, &d.text.len, err);
    }
    mbs_arena *arena = mbs_arena_new();
    if (st == MBS_OK && arena) {
        d.text.p = data;
        read_file(shape, arena, &d);
        read_sets(shape, arena, n_sets, &d);
        mbs_diag_print(&d, diags);
    }
    if (st == MBS_OK && (!arena || d.failed || diags->failed)) {
        st = mbs_fail_memory(err, d.file, d.text.len);
    } else if (st == MBS_OK && d.errors > 0) {
        st = mbs_fail(err, MBS_ERR_CONFIG, d.file, "%zu error%s", d.errors, d.errors == 1 ? "" : "s");
    } else if (st == MBS_OK) {
        st = mbs_shape_finish(shape, err);
        mbs_err_where(err, "%s", d.file);
    }
    mbs_diag_free(&d);
    mbs_arena_free(arena);
    mbs_free(data);
    mbs_free(path);
    return st;
}
