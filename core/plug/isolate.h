/*
 * isolate.h - a reader or codec in a process of its own. To everything else it is an instance like any other: its
 * function table is one that asks the worker (worker.h) over a channel. See share/doc/isolation.md.
 */
#ifndef MBS_PLUG_ISOLATE_H
#define MBS_PLUG_ISOLATE_H

#include "plug/instance_impl.h"

/* The descriptor with the asking function table in the plugin's place; it lives in the instance. */
const mbs_descriptor *mbs_isolate_descriptor(mbs_instance *i, const mbs_descriptor *d);
/* The file that a descriptor lies in, for as long as it is loaded; NULL where it is part of the program. */
const char *mbs_isolate_library(const mbs_descriptor *d);

#endif
