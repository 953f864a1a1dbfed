/*
 * places.h - where libraries that are loaded at run time lie (plugins, backends), and whether a place may be trusted:
 * code is only taken from where nobody but this user and root can have put it.
 */
#ifndef MBS_BASE_PLACES_H
#define MBS_BASE_PLACES_H

#include "base/buf.h"
#include "base/err.h"

typedef enum mbs_trust {
    MBS_TRUST_OK = 0,
    MBS_TRUST_WARN = 1,   /* usable: writable by its group */
    MBS_TRUST_REFUSED = 2 /* `why` says it */
} mbs_trust;

/* `why` gets words that follow the path: "is writable by anybody". */
mbs_trust mbs_trust_folder(const char *path, mbs_buf *why);
mbs_trust mbs_trust_file(const char *path, mbs_buf *why);

/* Calls `take` for each folder in the order of search, as it is named: MAMBASEQ_PLUGIN_PATH (an empty item stands for
 * the libdir; a relative one is named too, and the caller's to refuse), ~/.local/lib/mambaseq/plugins, the libdir of
 * the running binary. Ends with the first status of `take` that is not MBS_OK. The environment of a program with raised
 * rights is not read. */
mbs_status mbs_places_each(mbs_status (*take)(void *arg, const char *folder, mbs_err *err), void *arg, mbs_err *err);

#endif
