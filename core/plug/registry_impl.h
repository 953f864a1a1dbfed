/*
 * registry_impl.h - the inside of a registry, shared by search.c (the folders), registry.c (finding one) and scan.c
 * (listing all).
 */
#ifndef MBS_PLUG_REGISTRY_IMPL_H
#define MBS_PLUG_REGISTRY_IMPL_H

#include "base/mem.h"
#include "plug/folder.h"
#include "plug/registry.h"

typedef struct mbs_folder {
    char *path;    /* real path where there is one, else as named */
    char *refused; /* why, or NULL */
    int warn;      /* usable, with the words of `caution` once */
    char *caution;
} mbs_folder;

typedef struct mbs_library {
    char *path;
    const mbs_plugin_entry_table *entry;
} mbs_library;

struct mbs_registry {
    mbs_folder *folders;
    size_t n_folders, cap_folders;
    const mbs_plugin_entry_table **built_in;
    size_t n_built_in, cap_built_in;
    mbs_library *open;
    size_t n_open, cap_open;
    mbs_plugin_info *infos; /* last scan */
    size_t n_infos, cap_infos;
    mbs_arena *texts; /* of the infos */
};

void mbs_folder_free(mbs_folder *f);
/* Fills the search path from the environment. */
mbs_status mbs_registry_default_dirs(mbs_registry *r, mbs_err *err);
/* "DIR/mbsp_ID.so", allocated. */
char *mbs_registry_library_path(const char *dir, const char *id);
/* Refuses what another user could have put there, then opens, once for each path. */
mbs_status mbs_registry_open(mbs_registry *r, const char *path, const mbs_plugin_entry_table **out, mbs_err *err);

#endif
