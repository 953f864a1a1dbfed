/*
 * registry.h - finds, loads and checks plugin libraries.
 *
 * Search order: folders given by the pipeline (`plugins:`) > MAMBASEQ_PLUGIN_PATH (an empty item stands for the libdir,
 * a relative one is refused) >
 * ~/.local/lib/mambaseq/plugins > the libdir of the running binary. Never the current directory. Only what is named is
 * opened; the first match wins. Folders writable by anybody or owned by another non-root user are refused with the
 * reason, group-writable ones warn. Libraries stay loaded until the process ends.
 */
#ifndef MBS_PLUG_REGISTRY_H
#define MBS_PLUG_REGISTRY_H

#include "base/err.h"
#include "mambaseq/plugin.h"

typedef struct mbs_registry mbs_registry;

/* `dirs` go in front of the search path; may be NULL with n 0. */
mbs_registry *mbs_registry_new(const char *const *dirs, int n, mbs_err *err);
/* Adds a folder in front (pipeline's `plugins:`); a relative one is relative to the current directory. */
mbs_status mbs_registry_add_dir(mbs_registry *r, const char *dir, mbs_err *err);
/* A plugin linked into the program (tests): found before any folder. */
mbs_status mbs_registry_add_static(mbs_registry *r, const mbs_plugin_entry_table *entry, mbs_err *err);
void mbs_registry_free(mbs_registry *r);

/* `name` is an id ("fasta": mbsp_fasta.so) or, with a slash in it, a file ("./build/mbsp_x.so" gives its first
 * descriptor of that kind). MBS_ERR_UNAVAILABLE prints path, dlerror, places searched and the nearest names. The
 * descriptor lives as long as the process. */
mbs_status mbs_registry_find(mbs_registry *r, int32_t kind, const char *name, const mbs_descriptor **out, mbs_err *err);

/* Everything that is there, for `plugin list`: opens all libraries. Broken ones are listed with `problem`. */
typedef struct mbs_plugin_info {
    const mbs_descriptor *desc; /* NULL where the library could not be used */
    const char *path;           /* file; "(built in)" */
    const char *library;        /* what it wraps, or NULL */
    const char *problem;        /* why it cannot be used, or NULL */
    const char *shadowed_by;    /* path of the one that wins, or NULL */
} mbs_plugin_info;
mbs_status mbs_registry_scan(mbs_registry *r, const mbs_plugin_info **list, int *n, mbs_err *err);
/* Folders in the order of search with the reason why one is refused (NULL: used). */
int mbs_registry_dirs(const mbs_registry *r);
const char *mbs_registry_dir(const mbs_registry *r, int i, const char **refused);

/* Checks an entry and its descriptors (sizes, versions, tables complete, ids and keys well formed, defaults valid):
 * all that can be known without calling the plugin. `path` is for the message. */
mbs_status mbs_entry_check(const mbs_plugin_entry_table *entry, const char *path, mbs_err *err);

const char *mbs_kind_name(int32_t kind); /* "reader" */
int mbs_plugin_id_ok(const char *id);    /* well formed: [a-z0-9][a-z0-9_.-]* */

#endif
