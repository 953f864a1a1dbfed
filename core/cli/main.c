/* main.c - from words on the command line to a command, and from its result to an exit code. */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/stop.h"
#include "cli/cli.h"
#include "mambaseq/version.h"
#include "opt/help.h"
#include "plug/fault.h"
#include "plug/worker.h"

/* In the order of mbs_command_id. */
static int (*const commands[MBS_CMD_COUNT])(const mbs_opt_values *v) = {
    [MBS_CMD_RUN] = mbs_cmd_run,
    [MBS_CMD_CHECK] = mbs_cmd_check,
    [MBS_CMD_TRAIN] = mbs_cmd_train,
    [MBS_CMD_EVAL] = mbs_cmd_eval,
    [MBS_CMD_INSPECT] = mbs_cmd_inspect,
    [MBS_CMD_CONVERT] = mbs_cmd_convert,
    [MBS_CMD_MERGE] = mbs_cmd_merge,
    [MBS_CMD_BENCH] = mbs_cmd_bench,
    [MBS_CMD_PLUGIN_LIST] = mbs_cmd_plugin_list,
    [MBS_CMD_PLUGIN_SHOW] = mbs_cmd_plugin_show,
    [MBS_CMD_PLUGIN_CHECK] = mbs_cmd_plugin_check,
    [MBS_CMD_PLUGIN_NEW] = mbs_cmd_plugin_new,
    [MBS_CMD_MODEL_INIT] = mbs_cmd_model_init,
    [MBS_CMD_VERSION] = mbs_cmd_version,
};

static int print_text(void (*make)(mbs_buf *out, const mbs_opt_values *v), const mbs_opt_values *v) {
    mbs_buf text = MBS_BUF_INIT;
    mbs_err err;
    mbs_err_clear(&err);
    make(&text, v);
    mbs_status st = mbs_cli_print(&text, &err);
    mbs_buf_free(&text);
    return st == MBS_OK ? 0 : mbs_cli_fail(&err);
}

static void make_help(mbs_buf *out, const mbs_opt_values *v) {
    if (v->command) {
        mbs_help_command(v->command, out);
    } else if (v->group) {
        mbs_help_group(v->group, out);
    } else {
        mbs_help_all(out);
    }
}

static void make_version(mbs_buf *out, const mbs_opt_values *v) {
    (void)v;
    mbs_buf_puts(out, "mambaseq " MBS_VERSION "\n");
}

static int nothing_asked(mbs_err *err) {
    mbs_buf text = MBS_BUF_INIT;
    mbs_help_short(&text);
    mbs_cli_diags(&text);
    mbs_buf_free(&text);
    mbs_fail(err, MBS_ERR_USAGE, NULL, "a command is missing");
    mbs_err_fix(err, "'mambaseq --help' lists them");
    return mbs_cli_fail(err);
}

static int dispatch(const mbs_opt_values *v, mbs_err *err) {
    switch (v->ask) {
    case MBS_ASK_NOTHING:
        return nothing_asked(err);
    case MBS_ASK_HELP:
        return print_text(make_help, v);
    case MBS_ASK_VERSION:
        return print_text(make_version, v);
    case MBS_ASK_COMMAND:
        break;
    }
    if (mbs_opt_told(v, MBS_OPT_QUIET)) {
        mbs_log_set_level(MBS_LOG_ERROR);
    } else if (mbs_opt_told(v, MBS_OPT_VERBOSE)) {
        mbs_log_set_level(MBS_LOG_DEBUG);
    }
    return commands[v->command->id](v);
}

/* What was printed counts only when it has arrived. */
static int close_stdout(int code) {
    mbs_err err;
    mbs_err_clear(&err);
    errno = 0;
    int bad = ferror(stdout);
    bad |= fclose(stdout);
    if (bad && code == 0) {
        mbs_cli_stdout_failed(errno, &err);
        return mbs_cli_fail(&err);
    }
    return code;
}

int main(int argc, char **argv) {
    mbs_opt_values values;
    mbs_err err;
    mbs_err_clear(&err);
    if (mbs_worker_wanted(argc, argv)) {
        return mbs_worker_main();
    }
    mbs_stop_install();
    mbs_fault_install();
    mbs_status st = mbs_opt_parse(argc, (const char *const *)argv, &values, &err);
    int code = st == MBS_OK ? dispatch(&values, &err) : mbs_cli_fail(&err);
    mbs_opt_values_free(&values);
    return close_stdout(code);
}
