/* mambaseq run PIPELINE */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/stop.h"
#include "cli/cli.h"
#include "run/run.h"

/* Seconds from the environment; anything that is not a positive number is the default. */
static double seconds_of(const char *name) {
    const char *text = getenv(name);
    double s = text ? strtod(text, NULL) : 0;
    return s > 0 ? s : 0;
}

static int ended_badly(const mbs_run_result *result, const mbs_err *err) {
    int code = mbs_cli_fail(err);
    /* A run that cannot be resumed, and any run that Ctrl-C ended, dies of the signal itself, so that shell loops stop.
     */
    if (result->stop_signal && (result->stop_signal == SIGINT || !result->resumable)) {
        mbs_stop_raise(result->stop_signal);
    }
    return code;
}

int mbs_cli_run(mbs_run_options *o, const mbs_opt_values *v) {
    mbs_err err;
    mbs_err_clear(&err);
    mbs_plan_set *sets = NULL;
    int n_sets = 0;
    o->force = mbs_opt_told(v, MBS_OPT_FORCE);
    o->threads = (int)mbs_opt_number(v, MBS_OPT_THREADS, 0);
    o->progress = mbs_cli_progress(v);
    o->worker = "/proc/self/exe";
    o->watch = seconds_of("MAMBASEQ_WATCH");
    mbs_status st = mbs_cli_sets(v, &sets, &n_sets, &err);
    if (st != MBS_OK) {
        return mbs_cli_fail(&err);
    }
    o->sets = sets;
    o->n_sets = n_sets;
    mbs_run_result result;
    st = mbs_run_pipeline(o, &result, &err);
    mbs_cli_diags(&result.diags);
    int code = 0;
    if (st == MBS_OK) {
        st = mbs_cli_print(&result.text, &err);
    }
    if (st != MBS_OK) {
        code = ended_badly(&result, &err);
    } else if (result.summary.len) {
        mbs_log(MBS_LOG_INFO, "%s", mbs_buf_str(&result.summary));
    }
    mbs_run_result_free(&result);
    mbs_cli_sets_free(sets, n_sets);
    return code;
}

int mbs_cmd_run(const mbs_opt_values *v) {
    mbs_run_options o = {
        .pipeline = mbs_opt_operand(v, 0),
        .resume = mbs_opt_told(v, MBS_OPT_RESUME),
        .keep_partial = mbs_opt_told(v, MBS_OPT_KEEP_PARTIAL),
        .dry_run = mbs_opt_told(v, MBS_OPT_DRY_RUN),
        .chunk = mbs_opt_number(v, MBS_OPT_CHUNK, 0),
        .journal_every = seconds_of("MAMBASEQ_JOURNAL_EVERY"),
        .shard = mbs_opt_text(v, MBS_OPT_SHARD),
    };
    return mbs_cli_run(&o, v);
}
