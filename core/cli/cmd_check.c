/* cmd_check.c - `mambaseq check`: a pipeline or recipe is right, or what is wrong with it. Opens no input and makes no
 * output. */
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/plugin_text.h"
#include "plug/registry.h"

/* Every line of diagnostics that is not a quoted piece of the file. */
static void diagnostics_json(const mbs_buf *diags, mbs_buf *out) {
    mbs_buf line = MBS_BUF_INIT;
    const char *between = "";
    mbs_buf_puts(out, ", \"diagnostics\": [");
    for (const char *p = mbs_buf_str(diags); *p;) {
        size_t n = strcspn(p, "\n");
        if (n > 0 && *p != ' ') {
            mbs_buf_clear(&line);
            mbs_buf_append(&line, p, n);
            mbs_buf_puts(out, between);
            mbs_json_put_string(out, mbs_buf_str(&line));
            between = ", ";
        }
        p += n + (p[n] == '\n');
    }
    mbs_buf_putc(out, ']');
    out->failed |= line.failed;
    mbs_buf_free(&line);
}

static void result_json(const char *file, const mbs_plan *plan, const mbs_buf *diags, const mbs_err *err,
                        mbs_buf *out) {
    mbs_buf text = MBS_BUF_INIT;
    char message[4096];
    mbs_buf_printf(out, "{\"ok\": %s", plan ? "true" : "false");
    mbs_json_member(out, "pipeline", file);
    mbs_buf_printf(out, ", \"exit_code\": %d", mbs_exit_code(err->status));
    diagnostics_json(diags, out);
    if (plan) {
        mbs_plan_canonical(plan, &text);
        mbs_json_member(out, "canonical", mbs_buf_str(&text));
    } else {
        mbs_err_line(err, message, sizeof message);
        mbs_json_member(out, "error", message);
    }
    mbs_buf_puts(out, "}\n");
    out->failed |= text.failed;
    mbs_buf_free(&text);
}

static void result_words(const char *file, const mbs_plan *plan, mbs_buf *out) {
    mbs_buf_printf(out, "%s: ok\n", file);
    mbs_plan_print(plan, out);
}

int mbs_cmd_check(const mbs_opt_values *v) {
    mbs_err err;
    mbs_err print_err;
    mbs_buf diags = MBS_BUF_INIT;
    mbs_buf out = MBS_BUF_INIT;
    mbs_plan_set *sets = NULL;
    int n_sets = 0;
    mbs_plan *plan = NULL;
    mbs_registry *registry = NULL;
    const char *file = mbs_opt_operand(v, 0);
    int json = mbs_opt_told(v, MBS_OPT_JSON);
    int quiet = mbs_opt_told(v, MBS_OPT_QUIET);
    mbs_err_clear(&err);
    mbs_err_clear(&print_err);
    mbs_status st = mbs_cli_sets(v, &sets, &n_sets, &err);
    if (st == MBS_OK) {
        registry = mbs_registry_new(NULL, 0, &err);
        st = registry ? mbs_plan_load_as(MBS_PLAN_EITHER, file, sets, n_sets, registry, &plan, &diags, &err)
                      : err.status;
    }
    if (st != MBS_OK || (!quiet && !json)) {
        mbs_cli_diags(&diags);
    }
    if (json) {
        result_json(file, plan, &diags, &err, &out);
    } else if (plan && !quiet) {
        result_words(file, plan, &out);
    }
    mbs_status printed = mbs_cli_print(&out, &print_err);
    mbs_buf_free(&out);
    mbs_buf_free(&diags);
    mbs_plan_free(plan);
    mbs_registry_free(registry);
    mbs_cli_sets_free(sets, n_sets);
    if (st != MBS_OK) {
        return mbs_cli_fail(&err);
    }
    return printed == MBS_OK ? 0 : mbs_cli_fail(&print_err);
}
