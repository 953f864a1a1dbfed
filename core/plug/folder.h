/*
 * folder.h - the libraries in a folder of plugins. Whether it may be trusted: base/places.h.
 */
#ifndef MBS_PLUG_FOLDER_H
#define MBS_PLUG_FOLDER_H

#include <stddef.h>

#include "base/places.h"

#define MBS_PLUGIN_PREFIX "mbsp_"
#define MBS_PLUGIN_SUFFIX ".so"

/* Ids of the libraries in a folder, from their file names alone, in byte order. put is called with each. A folder that
 * cannot be read holds none. Nonzero without memory. */
int mbs_folder_ids(const char *path, int (*put)(void *sink, const char *id), void *sink);

#endif
