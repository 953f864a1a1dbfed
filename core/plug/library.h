/*
 * library.h - one shared library: opened, its entry found and checked. Never closed: threads of the library it wraps
 * may still run, and descriptors live as long as the process.
 */
#ifndef MBS_PLUG_LIBRARY_H
#define MBS_PLUG_LIBRARY_H

#include "base/err.h"
#include "mambaseq/plugin.h"

/* `path` has a slash in it. MBS_ERR_UNAVAILABLE says what the dynamic loader said, and what that means. */
mbs_status mbs_library_open(const char *path, const mbs_plugin_entry_table **entry, mbs_err *err);

#endif
