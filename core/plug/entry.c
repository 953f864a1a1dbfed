/* What can be known of a plugin without calling it: sizes, versions, names, tables. */
#include <stdio.h>
#include <string.h>

#include "opt/value.h"
#include "plug/least.h"
#include "plug/params.h"
#include "plug/registry.h"
#include "plug/vt.h"

#define MAX_DESCRIPTORS 64u
#define MAX_PARAMS 256u
#define MAX_NAME 64u

/* Where a check stands, for its message. */
typedef struct site {
    const char *path;
    const mbs_descriptor *desc; /* NULL: the entry itself */
    mbs_err *err;
} site;

static mbs_status broken(const site *s, const char *what, const char *name) {
    if (s->desc && s->desc->id) {
        mbs_fail(s->err, MBS_ERR_UNAVAILABLE, s->path, "%s '%s' is malformed: %s%s%s", mbs_kind_name(s->desc->kind),
                 s->desc->id, what, name ? ": " : "", name ? name : "");
    } else {
        mbs_fail(s->err, MBS_ERR_UNAVAILABLE, s->path, "the plugin is malformed: %s%s%s", what, name ? ": " : "",
                 name ? name : "");
    }
    mbs_err_fix(s->err, "this is a mistake in the plugin, tell its author");
    return MBS_ERR_UNAVAILABLE;
}

const char *mbs_kind_name(int32_t kind) {
    static const char *const names[] = {"plugin", "reader", "codec", "writer", "filter"};
    return kind >= 1 && kind <= 4 ? names[kind] : names[0];
}

/* [a-z] first where `letter_first`, then [a-z0-9_] and what is in `also`. */
static int well_formed(const char *name, int letter_first, const char *also) {
    size_t n = 0;
    for (; name[n]; n++) {
        char c = name[n];
        int fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || strchr(also, c);
        if (!fine || n >= MAX_NAME) {
            return 0;
        }
    }
    return n > 0 && !strchr(also, name[0]) && name[0] != '_' && (!letter_first || name[0] < '0' || name[0] > '9');
}

int mbs_plugin_id_ok(const char *id) {
    return well_formed(id, 0, ".-") && !strstr(id, "..");
}

/* "bases/u8", "edits", or several with a blank between; "*" where `any`. */
static int types_ok(const char *types, int several, int any) {
    if (any && strcmp(types, "*") == 0) {
        return 1;
    }
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_/";
    int n = 0;
    for (const char *p = types; *p;) {
        size_t len = strcspn(p, " ");
        if (len == 0 || strspn(p, letters) < len || p[0] == '/' || p[len - 1] == '/') {
            return 0;
        }
        n++;
        p += len + (p[len] == ' ');
        if (p[-1] == ' ' && *p == '\0') {
            return 0;
        }
    }
    return several ? n > 0 : n == 1;
}

static mbs_status check_param(const site *s, const mbs_param *row) {
    if (!row->key || !well_formed(row->key, 1, "")) {
        return broken(s, "a parameter's key is not [a-z][a-z0-9_]*", row->key ? row->key : "(none)");
    }
    if (strcmp(row->key, "plugin") == 0 || strncmp(row->key, "isolate", 7) == 0) {
        return broken(s, "a parameter must not be called", row->key);
    }
    if (row->type < MBS_PARAM_BOOL || row->type > MBS_PARAM_PATHS) {
        return broken(s, "a parameter has a type that this program does not know", row->key);
    }
    if (!row->help || !row->help[0]) {
        return broken(s, "a parameter has no help", row->key);
    }
    size_t len = 0;
    if (row->type == MBS_PARAM_ENUM && (!mbs_words_at(row->words, 0, &len) || len == 0)) {
        return broken(s, "a parameter has no words to choose from", row->key);
    }
    if (row->flags & MBS_PARAM_F_REQUIRED && row->def) {
        return broken(s, "a required parameter has a default", row->key);
    }
    if (row->flags & MBS_PARAM_F_RANGE && !(row->min <= row->max)) {
        return broken(s, "a parameter's range is empty", row->key);
    }
    if (row->flags & MBS_PARAM_F_OUTPUT && row->type != MBS_PARAM_PATH) {
        return broken(s, "a parameter is an output but no path", row->key);
    }
    mbs_buf why = MBS_BUF_INIT;
    mbs_status rc = mbs_params_check_default(row, &why);
    if (rc == MBS_ERR_CONFIG) {
        char text[256];
        (void)snprintf(text, sizeof text, "%s %s", row->key, mbs_buf_str(&why));
        rc = broken(s, "a default is not a value of its parameter", text);
    } else if (rc == MBS_ERR_MEMORY) {
        mbs_fail_memory(s->err, s->path, sizeof *row);
    }
    mbs_buf_free(&why);
    return rc == MBS_ERR_NOINPUT ? MBS_OK : rc;
}

static mbs_status check_params(const site *s) {
    const mbs_descriptor *d = s->desc;
    if (d->n_params > MAX_PARAMS) {
        return broken(s, "too many parameters", NULL);
    }
    if (d->n_params > 0 && !d->params) {
        return broken(s, "parameters are promised and not there", NULL);
    }
    for (uint32_t i = 0; i < d->n_params; i++) {
        const mbs_param *row = mbs_param_row(d->params, d->n_params, i);
        if (row->struct_size != d->params->struct_size || row->struct_size < MBS_LEAST_PARAM ||
            row->struct_size % sizeof(void *) != 0) {
            return broken(s, "a parameter's struct_size is wrong", NULL);
        }
        mbs_status rc = check_param(s, row);
        if (rc != MBS_OK) {
            return rc;
        }
        if (mbs_param_find(d->params, i, row->key)) {
            return broken(s, "a parameter is there twice", row->key);
        }
    }
    return MBS_OK;
}

static mbs_status check_texts(const site *s) {
    const mbs_descriptor *d = s->desc;
    if (!d->id || !mbs_plugin_id_ok(d->id)) {
        return broken(s, "an id is not [a-z0-9][a-z0-9_.-]*", d->id ? d->id : "(none)");
    }
    if (!d->version || !d->version[0] || !d->licence || !d->licence[0] || !d->summary || !d->summary[0]) {
        return broken(s, "version, licence or summary is missing", NULL);
    }
    if (d->kind != MBS_KIND_READER && (!d->accepts || !types_ok(d->accepts, 1, 1))) {
        return broken(s, "what it accepts is missing or no type name", d->accepts);
    }
    if (d->kind != MBS_KIND_WRITER && (!d->produces || !types_ok(d->produces, 0, 0))) {
        return broken(s, "what it produces is missing or no type name", d->produces);
    }
    if (d->kind == MBS_KIND_CODEC && d->decodes && !types_ok(d->decodes, 0, 0)) {
        return broken(s, "what it decodes is no type name", d->decodes);
    }
    return MBS_OK;
}

static mbs_status check_descriptor(const site *s) {
    const char *missing = NULL;
    mbs_status rc = check_texts(s);
    if (rc == MBS_OK) {
        rc = check_params(s);
    }
    if (rc == MBS_OK && !s->desc->vt) {
        return broken(s, "it has no function table", NULL);
    }
    if (rc == MBS_OK && !mbs_vt_complete(s->desc, &missing)) {
        return broken(s, "a function is missing", missing);
    }
    return rc;
}

static mbs_status check_version(const site *s, const mbs_plugin_entry_table *e) {
    if (e->abi_major != MBS_ABI_MAJOR) {
        mbs_fail(s->err, MBS_ERR_UNAVAILABLE, s->path, "the plugin speaks plugin interface %u.%u, this program %u.%u",
                 e->abi_major, e->abi_minor, MBS_ABI_MAJOR, MBS_ABI_MINOR);
        mbs_err_fix(s->err, "%s",
                    e->abi_major > MBS_ABI_MAJOR
                        ? "install a newer mambaseq, or build the plugin with the headers of this one"
                        : "build the plugin with the headers of this mambaseq");
        return MBS_ERR_UNAVAILABLE;
    }
    if (e->min_host_minor > MBS_ABI_MINOR) {
        mbs_fail(s->err, MBS_ERR_UNAVAILABLE, s->path,
                 "the plugin needs plugin interface %u.%u, this program has %u.%u", e->abi_major, e->min_host_minor,
                 MBS_ABI_MAJOR, MBS_ABI_MINOR);
        mbs_err_fix(s->err, "install a newer mambaseq, or an older release of the plugin");
        return MBS_ERR_UNAVAILABLE;
    }
    return MBS_OK;
}

mbs_status mbs_entry_check(const mbs_plugin_entry_table *entry, const char *path, mbs_err *err) {
    site s = {.path = path, .err = err};
    if (entry->struct_size < offsetof(mbs_plugin_entry_table, n_descriptors)) {
        return broken(&s, "its entry's struct_size is too small", NULL);
    }
    mbs_status rc = check_version(&s, entry);
    if (rc != MBS_OK) {
        return rc;
    }
    /* A larger one comes from a newer header and is fine. */
    if (entry->struct_size < MBS_LEAST_ENTRY) {
        return broken(&s, "its entry's struct_size is too small", NULL);
    }
    if (entry->n_descriptors == 0 || !entry->descriptors) {
        return broken(&s, "it offers nothing", NULL);
    }
    if (entry->n_descriptors > MAX_DESCRIPTORS) {
        return broken(&s, "too many descriptors", NULL);
    }
    for (uint32_t i = 0; i < entry->n_descriptors; i++) {
        const mbs_descriptor *d = entry->descriptors[i];
        s.desc = NULL;
        if (!d) {
            return broken(&s, "a descriptor is NULL", NULL);
        }
        if (d->struct_size < MBS_LEAST_DESCRIPTOR) {
            return broken(&s, "a descriptor's struct_size is too small", NULL);
        }
        if (d->kind < MBS_KIND_READER || d->kind > MBS_KIND_WRITER) {
            continue; /* of a kind that a newer host knows: never found here, and no reason to refuse the rest */
        }
        s.desc = d;
        rc = check_descriptor(&s);
        for (uint32_t j = 0; j < i && rc == MBS_OK; j++) {
            if (entry->descriptors[j]->kind == d->kind && strcmp(entry->descriptors[j]->id, d->id) == 0) {
                rc = broken(&s, "it is there twice", NULL);
            }
        }
        if (rc != MBS_OK) {
            return rc;
        }
    }
    return MBS_OK;
}
