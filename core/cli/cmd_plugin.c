/* cmd_plugin.c - `mambaseq plugin list` and `mambaseq plugin show`. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "cli/cli.h"
#include "cli/plugin_text.h"
#include "cli/report.h"
#include "opt/nearest.h"
#include "pipe/recipe.h"
#include "plug/registry.h"

/* --- list --------------------------------------------------------------------------------------------------- */

static const int32_t kinds[] = {MBS_KIND_READER, MBS_KIND_CODEC, MBS_KIND_WRITER};
#define N_KINDS 3

static int usable(const mbs_plugin_info *info) {
    return info->desc && !info->problem && !info->shadowed_by;
}

static void list_place(const mbs_plugin_info *info, mbs_buf *out) {
    mbs_buf_printf(out, "%*s", 8, "");
    mbs_report_escaped(out, info->path);
    if (info->library) {
        mbs_buf_puts(out, ", ");
        mbs_report_escaped(out, info->library);
    }
    mbs_buf_putc(out, '\n');
}

static void list_words(const mbs_plugin_info *list, int n, int verbose, mbs_buf *out) {
    size_t id = 2;
    size_t version = 7;
    for (int i = 0; i < n; i++) {
        if (list[i].desc) {
            size_t a = strlen(list[i].desc->id);
            size_t b = strlen(list[i].desc->version);
            id = a > id ? a : id;
            version = b > version ? b : version;
        }
    }
    mbs_buf_printf(out, "%-6s  %-*s  %-*s  %s\n", "KIND", (int)id, "ID", (int)version, "VERSION", "SUMMARY");
    for (int k = 0; k < N_KINDS; k++) {
        for (int i = 0; i < n; i++) {
            const mbs_descriptor *d = list[i].desc;
            if (usable(&list[i]) && d->kind == kinds[k]) {
                mbs_buf_printf(out, "%-6s  %-*s  %-*s  ", mbs_kind_name(d->kind), (int)id, d->id, (int)version,
                               d->version);
                mbs_report_escaped(out, d->summary);
                mbs_buf_putc(out, '\n');
                if (verbose) {
                    list_place(&list[i], out);
                }
            }
        }
    }
}

static void list_problems(const mbs_plugin_info *list, int n, mbs_buf *out) {
    const char *title = "\nhidden by another of the same name:\n";
    for (int i = 0; i < n; i++) {
        if (list[i].desc && !list[i].problem && list[i].shadowed_by) {
            mbs_buf_printf(out, "%s  %s %s ", title, mbs_kind_name(list[i].desc->kind), list[i].desc->id);
            mbs_report_escaped(out, list[i].path);
            mbs_buf_puts(out, ", by ");
            mbs_report_escaped(out, list[i].shadowed_by);
            mbs_buf_putc(out, '\n');
            title = "";
        }
    }
    title = "\ncannot be used:\n";
    for (int i = 0; i < n; i++) {
        if (!list[i].desc || list[i].problem) {
            mbs_buf_printf(out, "%s  ", title);
            mbs_report_escaped(out, list[i].path);
            mbs_buf_puts(out, ": ");
            mbs_report_escaped(out, list[i].problem ? list[i].problem : "no reason known");
            mbs_buf_putc(out, '\n');
            title = "";
        }
    }
}

static void list_folders(const mbs_registry *r, mbs_buf *out) {
    mbs_buf_puts(out, "\nfolders, in the order of search:\n");
    for (int i = 0; i < mbs_registry_dirs(r); i++) {
        const char *refused = NULL;
        mbs_buf_puts(out, "  ");
        mbs_report_escaped(out, mbs_registry_dir(r, i, &refused));
        if (refused) {
            mbs_buf_puts(out, ": not searched: ");
            mbs_report_escaped(out, refused);
        }
        mbs_buf_putc(out, '\n');
    }
}

static void list_json(const mbs_registry *r, const mbs_plugin_info *list, int n, mbs_buf *out) {
    mbs_buf_puts(out, "{\"plugins\": [");
    for (int i = 0; i < n; i++) {
        const mbs_descriptor *d = list[i].desc;
        mbs_buf_printf(out, "%s{\"path\": ", i ? ", " : "");
        mbs_json_put_string(out, list[i].path);
        mbs_json_member(out, "kind", d ? mbs_kind_name(d->kind) : NULL);
        mbs_json_member(out, "id", d ? d->id : NULL);
        mbs_json_member(out, "version", d ? d->version : NULL);
        mbs_json_member(out, "summary", d ? d->summary : NULL);
        mbs_json_member(out, "library", list[i].library);
        mbs_json_member(out, "hidden_by", list[i].shadowed_by);
        mbs_json_member(out, "problem", list[i].problem);
        mbs_buf_putc(out, '}');
    }
    mbs_buf_puts(out, "], \"folders\": [");
    for (int i = 0; i < mbs_registry_dirs(r); i++) {
        const char *refused = NULL;
        mbs_buf_printf(out, "%s{\"path\": ", i ? ", " : "");
        mbs_json_put_string(out, mbs_registry_dir(r, i, &refused));
        mbs_json_member(out, "refused", refused);
        mbs_buf_putc(out, '}');
    }
    mbs_buf_puts(out, "]}\n");
}

int mbs_cmd_plugin_list(const mbs_opt_values *v) {
    mbs_err err;
    mbs_buf out = MBS_BUF_INIT;
    const mbs_plugin_info *list = NULL;
    int n = 0;
    mbs_err_clear(&err);
    mbs_registry *r = mbs_registry_new(NULL, 0, &err);
    mbs_status st = r ? mbs_registry_scan(r, &list, &n, &err) : err.status;
    if (st == MBS_OK) {
        int verbose = mbs_opt_told(v, MBS_OPT_VERBOSE);
        if (mbs_opt_told(v, MBS_OPT_JSON)) {
            list_json(r, list, n, &out);
        } else {
            list_words(list, n, verbose, &out);
            list_problems(list, n, &out);
            if (verbose || n == 0) {
                list_folders(r, &out);
            }
        }
        st = mbs_cli_print(&out, &err);
    }
    mbs_buf_free(&out);
    mbs_registry_free(r);
    return st == MBS_OK ? 0 : mbs_cli_fail(&err);
}

/* --- show --------------------------------------------------------------------------------------------------- */

static mbs_status show_model(int json, mbs_buf *out) {
    if (json) {
        mbs_buf_puts(out, "{\"plugins\": [{\"kind\": \"model\", \"params\": ");
        mbs_params_json(mbs_model_params, mbs_n_model_params, out);
        mbs_buf_puts(out, "}]}\n");
    } else {
        mbs_buf_puts(out, "the model stage of a pipeline\n\nparameters:\n");
        mbs_params_text(mbs_model_params, mbs_n_model_params, out);
    }
    return MBS_OK;
}

static void put_table(const char *path, const mbs_param *rows, uint32_t n, const char *about, int json, mbs_buf *out) {
    if (json) {
        mbs_buf_printf(out, "%s{\"kind\": \"recipe\", \"id\": \"%s\", \"params\": ",
                       strcmp(path, "model") == 0 ? "{\"plugins\": [" : ", ", path);
        mbs_params_json(rows, n, out);
        mbs_buf_putc(out, '}');
    } else {
        mbs_buf_printf(out, "\n%s: %s\n", path, about);
        mbs_params_text(rows, n, out);
    }
}

/* All the tables of a recipe. */
static mbs_status show_train(int json, mbs_buf *out) {
    mbs_buf_puts(out, json ? "" : "a recipe for training\n");
    put_table("model", mbs_recipe_model_params, mbs_n_recipe_model_params, "what to begin with", json, out);
    for (int i = 0; i < MBS_RECIPE_PARTS; i++) {
        const mbs_recipe_table *t = &mbs_recipe_tables[i];
        put_table(t->path, t->rows, t->n_rows, t->about, json, out);
    }
    mbs_buf_puts(out, json ? "]}\n" : "");
    return MBS_OK;
}

/* Why there is no such plugin: a library of that name that cannot be used, or the nearest name. */
static mbs_status not_there(const char *name, const char *kind, const mbs_plugin_info *list, int n, mbs_err *err) {
    mbs_nearest near;
    mbs_nearest_init(&near, name);
    for (int i = 0; i < n; i++) {
        char *base = mbs_path_base(list[i].path);
        size_t len = strlen(name);
        int named = base && strncmp(base, "mbsp_", 5) == 0 && strncmp(base + 5, name, len) == 0 &&
                    strcmp(base + 5 + len, ".so") == 0;
        mbs_free(base);
        if (list[i].desc) {
            mbs_nearest_offer(&near, list[i].desc->id);
        } else if (named) {
            return mbs_fail(err, MBS_ERR_UNAVAILABLE, list[i].path, "%s", list[i].problem);
        }
    }
    const char *what = kind ? kind : "plugin";
    for (int i = 0; i < n; i++) {
        if (list[i].desc && strcmp(list[i].desc->id, name) == 0) {
            return mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL, "there is no %s '%s', only a %s", what, name,
                            mbs_kind_name(list[i].desc->kind));
        }
    }
    if (near.at && strcmp(near.best, name) != 0) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL, "there is no %s '%s', did you mean '%s'?", what, name, near.best);
    } else {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL, "there is no %s '%s'", what, name);
    }
    mbs_err_fix(err, "'mambaseq plugin list -v' lists what there is and where it was searched");
    return MBS_ERR_UNAVAILABLE;
}

static void show_one(const mbs_descriptor *d, const mbs_plugin_info *list, int n, int json, int nth, mbs_buf *out) {
    const mbs_plugin_info *info = NULL;
    for (int i = 0; i < n && !info; i++) {
        info = list[i].desc == d ? &list[i] : NULL;
    }
    const char *path = info ? info->path : NULL;
    const char *library = info ? info->library : NULL;
    if (json) {
        mbs_buf_puts(out, nth ? ", " : "{\"plugins\": [");
        mbs_descriptor_json(d, path, library, out);
    } else {
        mbs_buf_puts(out, nth ? "\n" : "");
        mbs_descriptor_text(d, path, library, out);
    }
}

static mbs_status show(mbs_registry *r, const char *name, const char *kind, int json, mbs_buf *out, mbs_err *err) {
    const mbs_plugin_info *list = NULL;
    int n = 0;
    int shown = 0;
    mbs_err last;
    mbs_err_clear(&last);
    mbs_status st = mbs_registry_scan(r, &list, &n, err);
    if (st != MBS_OK) {
        return st;
    }
    for (int k = 0; k < N_KINDS; k++) {
        const mbs_descriptor *d = NULL;
        if (kind && strcmp(kind, mbs_kind_name(kinds[k])) != 0) {
            continue;
        }
        mbs_err_clear(&last);
        st = mbs_registry_find(r, kinds[k], name, &d, &last);
        if (st == MBS_OK) {
            show_one(d, list, n, json, shown++, out);
        } else if (st == MBS_ERR_MEMORY) {
            *err = last;
            return st;
        }
    }
    if (shown == 0) {
        if (strchr(name, '/')) {
            *err = last;
            return last.status;
        }
        return not_there(name, kind, list, n, err);
    }
    mbs_buf_puts(out, json ? "]}\n" : "");
    return MBS_OK;
}

int mbs_cmd_plugin_show(const mbs_opt_values *v) {
    mbs_err err;
    mbs_buf out = MBS_BUF_INIT;
    mbs_registry *r = NULL;
    const char *name = mbs_opt_operand(v, 0);
    const char *kind = mbs_opt_operand(v, 1);
    int json = mbs_opt_told(v, MBS_OPT_JSON);
    mbs_status st = MBS_OK;
    mbs_err_clear(&err);
    if (kind && strcmp(kind, "reader") != 0 && strcmp(kind, "codec") != 0 && strcmp(kind, "writer") != 0) {
        st = mbs_fail(&err, MBS_ERR_USAGE, "plugin show", "'%s' is not a kind, must be reader, codec or writer", kind);
    } else if (!kind && strcmp(name, "model") == 0) {
        st = show_model(json, &out);
    } else if (!kind && strcmp(name, "train") == 0) {
        st = show_train(json, &out);
    } else {
        r = mbs_registry_new(NULL, 0, &err);
        st = r ? show(r, name, kind, json, &out, &err) : err.status;
    }
    if (st == MBS_OK) {
        st = mbs_cli_print(&out, &err);
    }
    mbs_buf_free(&out);
    mbs_registry_free(r);
    return st == MBS_OK ? 0 : mbs_cli_fail(&err);
}
