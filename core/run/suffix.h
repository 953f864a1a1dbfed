/*
 * suffix.h - -o sets the path of the first writer: a name of another format is likely not what was meant.
 */
#ifndef MBS_RUN_SUFFIX_H
#define MBS_RUN_SUFFIX_H

#include "pipe/plan.h"

/* A path whose ending is another writer's, which could write these rows: MBS_ERR_CONFIG with what to set. */
mbs_status mbs_suffixes_check(const mbs_plan *plan, mbs_registry *registry, mbs_err *err);
/* A line for each path whose ending is not its writer's. */
void mbs_suffixes_warn(const mbs_plan *plan);

#endif
