/*
 * shape_file.h - a shape by name: a YAML file, or one of share:configs/model, and what --set changes of it.
 */
#ifndef MBS_RUN_SHAPE_FILE_H
#define MBS_RUN_SHAPE_FILE_H

#include "model/shape.h"
#include "pipe/plan.h"

/* Every mistake in the file goes to `diags`, lines for stderr. MBS_ERR_NOINPUT where there is no such file and no such
 * shape. */
mbs_status mbs_shape_load(const char *name, const mbs_plan_set *sets, int n_sets, mbs_shape *shape, mbs_buf *diags,
                          mbs_err *err);

#endif
