/* mambaseq train RECIPE */
#include <signal.h>

#include "base/log.h"
#include "base/stop.h"
#include "cli/cli.h"
#include "run/train.h"

int mbs_cmd_train(const mbs_opt_values *v) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_plan_set *sets = NULL;
    int n_sets = 0;
    mbs_train_options o = {
        .recipe = mbs_opt_operand(v, 0),
        .force = mbs_opt_told(v, MBS_OPT_FORCE),
        .resume = mbs_opt_told(v, MBS_OPT_RESUME),
        .dry_run = mbs_opt_told(v, MBS_OPT_DRY_RUN),
        .threads = (int)mbs_opt_number(v, MBS_OPT_THREADS, 0),
        .worker = "/proc/self/exe",
        .progress = mbs_cli_progress(v),
    };
    mbs_status st = mbs_cli_sets(v, &sets, &n_sets, &err);
    if (st != MBS_OK) {
        return mbs_cli_fail(&err);
    }
    o.sets = sets;
    o.n_sets = n_sets;
    mbs_train_report report;
    st = mbs_train_from_recipe(&o, &report, &err);
    mbs_cli_diags(&report.diags);
    st = st == MBS_OK ? mbs_cli_print(&report.text, &err) : st;
    int code = st == MBS_OK ? 0 : mbs_cli_fail(&err);
    if (st == MBS_OK && report.summary.len) {
        mbs_log(MBS_LOG_INFO, "%s", mbs_buf_str(&report.summary));
    }
    int signal = report.stop_signal;
    mbs_train_report_free(&report);
    mbs_cli_sets_free(sets, n_sets);
    /* A training that Ctrl-C ended dies of the signal itself, so that shell loops stop. */
    if (code != 0 && signal == SIGINT) {
        mbs_stop_raise(signal);
    }
    return code;
}
