/*
 * cli.h - the commands, one file each (cmd_NAME.c), and what they share. A command prints its own errors, its last line
 * with mbs_cli_fail, and returns the exit code; main.c does the rest.
 */
#ifndef MBS_CLI_CLI_H
#define MBS_CLI_CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/progress.h"
#include "opt/command.h"
#include "pipe/plan.h"
#include "run/run.h"

int mbs_cmd_run(const mbs_opt_values *v);
int mbs_cmd_check(const mbs_opt_values *v);
int mbs_cmd_train(const mbs_opt_values *v);
int mbs_cmd_bench(const mbs_opt_values *v);
int mbs_cmd_convert(const mbs_opt_values *v);
int mbs_cmd_eval(const mbs_opt_values *v);
int mbs_cmd_inspect(const mbs_opt_values *v);
int mbs_cmd_plugin_list(const mbs_opt_values *v);
int mbs_cmd_plugin_show(const mbs_opt_values *v);
int mbs_cmd_plugin_check(const mbs_opt_values *v);
int mbs_cmd_plugin_new(const mbs_opt_values *v);
int mbs_cmd_merge(const mbs_opt_values *v);
int mbs_cmd_model_init(const mbs_opt_values *v);
int mbs_cmd_version(const mbs_opt_values *v);

/* The last line on stderr, and the exit code that goes with it. */
int mbs_cli_fail(const mbs_err *err);
/* Text to standard output; what is still on its way then, main.c checks at the end. */
mbs_status mbs_cli_print(const mbs_buf *text, mbs_err *err);
mbs_status mbs_cli_stdout_failed(int errnum, mbs_err *err);
/* What mbs_plan_load said about a pipeline, to stderr. */
void mbs_cli_diags(const mbs_buf *diags);
/* auto, always, never or json, as --progress and -q say. */
mbs_progress_mode mbs_cli_progress(const mbs_opt_values *v);
/* -i, -m, -o, --chunk, --device and --set of the command line in their order, as a plan takes them; free with
 * mbs_cli_sets_free. */
mbs_status mbs_cli_sets(const mbs_opt_values *v, mbs_plan_set **sets, int *n, mbs_err *err);
void mbs_cli_sets_free(mbs_plan_set *sets, int n);
/* A pipeline or a merge with what the command line says of both, to its last line and exit code. */
int mbs_cli_run(mbs_run_options *o, const mbs_opt_values *v);

#endif
