/*
 * folder.h - places where plugins lie, and whether they may be trusted: code is only taken from where nobody but this
 * user and root can have put it.
 */
#ifndef MBS_PLUG_FOLDER_H
#define MBS_PLUG_FOLDER_H

#include <stddef.h>

#include "base/buf.h"

typedef enum mbs_trust {
    MBS_TRUST_OK = 0,
    MBS_TRUST_WARN = 1,   /* usable: writable by its group */
    MBS_TRUST_REFUSED = 2 /* `why` says it */
} mbs_trust;

/* `why` gets words that follow the path: "is writable by anybody". */
mbs_trust mbs_trust_folder(const char *path, mbs_buf *why);
mbs_trust mbs_trust_file(const char *path, mbs_buf *why);

#define MBS_PLUGIN_PREFIX "mbsp_"
#define MBS_PLUGIN_SUFFIX ".so"

/* Ids of the libraries in a folder, from their file names alone, in byte order. put is called with each. A folder that
 * cannot be read holds none. Nonzero without memory. */
int mbs_folder_ids(const char *path, int (*put)(void *sink, const char *id), void *sink);

#endif
