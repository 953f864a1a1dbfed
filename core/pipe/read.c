#include <dirent.h>
#include <string.h>

#include "base/path.h"
#include "opt/nearest.h"
#include "pipe/load.h"
#include "pipe/schema.h"
#include "pipe/set.h"

/* A file of data where the pipeline belongs: the first thing that everybody types wrong. */
static int looks_like_data(const char *text, size_t len) {
    const unsigned char *p = (const unsigned char *)text;
    int gzip = len >= 2 && p[0] == 0x1f && p[1] == 0x8b;
    return gzip || (len > 0 && (p[0] == '>' || p[0] == '@'));
}

/* Whether `folder` of the share/ has a file of this name; `fix` says so. */
static int offer_shipped(const char *folder, const char *sub, const char *file, mbs_err *err) {
    mbs_buf shown = MBS_BUF_INIT;
    mbs_buf_printf(&shown, "share:%s/%s%s%s", folder, sub, *sub ? "/" : "", file);
    char *path = shown.failed ? NULL : mbs_path_resolve(mbs_buf_str(&shown));
    int found = path && mbs_path_exists(path);
    if (found) {
        err->fix[0] = '\0'; /* better than the general advice */
        mbs_err_fix(err, "did you mean '%s'?", mbs_buf_str(&shown));
    }
    mbs_free(path);
    mbs_buf_free(&shown);
    return found;
}

/* The shipped pipeline or recipe of this very name: score.yaml is share:pipelines/genomics/score.yaml. */
static int hint_shipped(const char *file, mbs_err *err) {
    if (strchr(file, '/')) {
        return 0;
    }
    char *dir = mbs_path_share("pipelines");
    DIR *d = dir ? opendir(dir) : NULL;
    int found = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e && !found; e = readdir(d)) {
        found = e->d_name[0] != '.' && offer_shipped("pipelines", e->d_name, file, err);
    }
    if (d) {
        closedir(d);
    }
    mbs_free(dir);
    return found || offer_shipped("configs/train", "", file, err);
}

/* The nearest name where `path` goes astray: its last part, or the first folder of it that is not there. `file` is how
 * the user wrote it. */
static void hint_nearest(const char *file, const char *path, mbs_err *err) {
    char *dir = mbs_path_dir(path);
    char *base = mbs_path_base(path);
    size_t end = strlen(file); /* of the part of `file` that ends with base */
    DIR *d = NULL;
    while (dir && base && (d = opendir(dir)) == NULL) {
        while (end > 0 && file[end - 1] != '/') {
            end--;
        }
        if (end < 2) {
            break; /* what is missing was not written by the user */
        }
        end--;
        char *up = mbs_path_dir(dir);
        mbs_free(base);
        base = mbs_path_base(dir);
        mbs_free(dir);
        dir = up;
    }
    if (d) {
        mbs_nearest near;
        mbs_nearest_init(&near, base);
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
            mbs_nearest_offer(&near, e->d_name);
        }
        closedir(d);
        size_t begin = end;
        while (begin > 0 && file[begin - 1] != '/' && file[begin - 1] != ':') {
            begin--;
        }
        if (near.at) {
            err->fix[0] = '\0'; /* better than the general advice */
            mbs_err_fix(err, "did you mean '%.*s%s%s'?", (int)begin, file, near.best, file + end);
        }
    }
    mbs_free(dir);
    mbs_free(base);
}

mbs_status mbs_load_read(mbs_load *l, const char *file, char **data, mbs_err *err) {
    char *path = mbs_path_is_std(file) ? mbs_strdup("/dev/stdin") : mbs_path_resolve(file);
    if (!path) {
        return mbs_fail_memory(err, file, strlen(file));
    }
    size_t len = 0;
    mbs_err why;
    mbs_err_clear(&why);
    mbs_status status = mbs_path_read(path, MBS_YAML_MAX_BYTES, data, &len, &why);
    if (status == MBS_ERR_NOINPUT && !mbs_path_exists(path)) {
        if (!hint_shipped(file, &why)) {
            hint_nearest(file, path, &why);
        }
    }
    mbs_free(path);
    if (status == MBS_ERR_DATA || (status == MBS_OK && looks_like_data(*data, len))) {
        mbs_diag_error(&l->d, (mbs_place){-1, 1, 1},
                       "%s: a file of data goes behind -i, as in 'run PIPELINE.yaml -i %s'",
                       status == MBS_OK ? "this is not a pipeline" : "larger than 1 MiB: this is not a pipeline", file);
        return MBS_OK;
    }
    if (status != MBS_OK) {
        if (err) {
            *err = why;
        }
        return status;
    }
    l->d.text = (mbs_yaml_text){*data, len};
    if (len >= 3 && memcmp(*data, "\xef\xbb\xbf", 3) == 0) {
        l->d.text = (mbs_yaml_text){*data + 3, len - 3};
    }
    return MBS_OK;
}

mbs_yaml_node *mbs_load_tree(mbs_load *l, int n_sets) {
    mbs_yaml_node *root = mbs_yaml_parse(l->arena, l->d.text, -1, &l->d);
    if (!root) {
        return NULL;
    }
    if (mbs_yaml_is_null(root)) {
        mbs_diag_error(&l->d, root->at, "an empty pipeline: it begins with 'mambaseq: 1'");
        return NULL;
    }
    if (root->kind != MBS_YAML_MAP) {
        mbs_diag_error(&l->d, root->at, "a pipeline is lines of 'key: value', this is %s", mbs_schema_kind(root));
        return NULL;
    }
    mbs_set_apply(l->arena, root, n_sets, &l->d);
    return root;
}
