/*
 * inspect.h - the two things that `mambaseq inspect` looks at.
 */
#ifndef MBS_CLI_INSPECT_H
#define MBS_CLI_INSPECT_H

#include "base/err.h"
#include "cli/report.h"

/* `path` is a file that exists. MBS_ERR_STOPPED where a signal asked for an end. */
mbs_status mbs_inspect_file(const char *path, mbs_report *r, mbs_err *err);
/* `path` is a folder; `expect` a file of logits to compare with, or NULL; `all`: every tensor too. */
mbs_status mbs_inspect_model(const char *path, const char *expect, int all, mbs_report *r, mbs_err *err);

#endif
