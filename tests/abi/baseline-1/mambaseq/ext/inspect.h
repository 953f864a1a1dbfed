/*
 * ext/inspect.h - "mambaseq.inspect/1": says what a file of the plugin's format holds, for `mambaseq inspect FILE`.
 *
 * Needs no instance: the host asks get_extension with self == NULL. A plugin without it may ignore a NULL self by
 * returning NULL for every id.
 */
#ifndef MAMBASEQ_EXT_INSPECT_H
#define MAMBASEQ_EXT_INSPECT_H

#include "mambaseq/host.h"

#define MBS_EXT_INSPECT "mambaseq.inspect/1"

typedef struct mbs_ext_inspect {
    uint32_t struct_size;
    uint32_t reserved;
    /* [control] Tells the file's content as facts: put(sink, key, value), in the order of interest. Errors through
     * host->fail. A file of another format is MBS_ERR_DATA. */
    mbs_status (*describe)(const mbs_host *host, const char *path,
                           void (*put)(void *sink, const char *key, const char *value), void *sink);
} mbs_ext_inspect;

#endif
