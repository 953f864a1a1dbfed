/*
 * inspect.h - the two things that `mambaseq inspect` looks at.
 */
#ifndef MBS_CLI_INSPECT_H
#define MBS_CLI_INSPECT_H

#include "base/err.h"
#include "cli/report.h"
#include "model/model.h"

/* `path` is a file that exists. MBS_ERR_STOPPED where a signal asked for an end. */
mbs_status mbs_inspect_file(const char *path, mbs_report *r, mbs_err *err);
typedef struct mbs_inspect_options {
    const char *expect;       /* a file of logits to compare with, or NULL */
    mbs_model_options format; /* for that */
    int all;                  /* every tensor too */
} mbs_inspect_options;

/* `path` is a folder. */
mbs_status mbs_inspect_model(const char *path, const mbs_inspect_options *o, mbs_report *r, mbs_err *err);

#endif
