/* cmd_inspect.c - `mambaseq inspect`: a model folder, or a file that some plugin knows. */
#include <string.h>

#include "base/hub.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/stop.h"
#include "cli/cli.h"
#include "cli/inspect.h"

/* Files that are somebody else's: what to type instead. */
static void advise(const char *shown, mbs_err *err) {
    static const struct {
        const char *suffix;
        const char *advice;
    } known[] = {
        {".safetensors", "name the folder of the model, not a file in it"},
        {"config.json", "name the folder of the model, not a file in it"},
        {".bin", "name the folder of the model, not a file in it"},
        {".yaml", "'mambaseq check' looks at pipelines"},
        {".yml", "'mambaseq check' looks at pipelines"},
    };
    size_t len = strlen(shown);
    for (size_t i = 0; i < sizeof known / sizeof known[0] && err->status == MBS_ERR_UNAVAILABLE; i++) {
        size_t n = strlen(known[i].suffix);
        if (len >= n && strcmp(shown + len - n, known[i].suffix) == 0) {
            err->fix[0] = '\0';
            mbs_err_fix(err, "%s", known[i].advice);
        }
    }
}

static mbs_status look(const char *shown, const mbs_opt_values *v, mbs_report *r, mbs_err *err) {
    const char *expect = mbs_opt_text(v, MBS_OPT_EXPECT);
    char *path = mbs_path_resolve(shown);
    char *expected = expect ? mbs_path_resolve(expect) : NULL;
    mbs_status st = MBS_OK;
    int format = mbs_opt_told(v, MBS_OPT_DTYPE) || mbs_opt_told(v, MBS_OPT_MATH);
    if (format && !expect) {
        st = mbs_fail(err, MBS_ERR_USAGE, shown, "--dtype and --math say how --expect runs the model");
        mbs_err_fix(err, "add --expect FILE.safetensors");
    } else if (!path || (expect && !expected)) {
        st = mbs_fail_memory(err, shown, 0);
    } else if (mbs_hub_is(path)) {
        st = mbs_hub_absent(path, err);
    } else if (!mbs_path_exists(path)) {
        st = mbs_fail(err, MBS_ERR_NOINPUT, shown, "there is no such file or folder");
        if (mbs_hub_comes_along(shown)) {
            mbs_err_fix(err, "did you mean 'share:models/%s'?", shown);
        }
    } else if (mbs_path_is_dir(path)) {
        mbs_report_text(r, "path", shown);
        mbs_inspect_options o = {
            .expect = expected,
            .format = {.dtype = mbs_opt_text(v, MBS_OPT_DTYPE), .math = mbs_opt_text(v, MBS_OPT_MATH)},
            .all = mbs_opt_told(v, MBS_OPT_VERBOSE),
        };
        st = mbs_inspect_model(path, &o, r, err);
    } else if (expect) {
        st = mbs_fail(err, MBS_ERR_USAGE, shown, "--expect compares a model, and this is not a folder");
    } else {
        mbs_report_text(r, "path", shown);
        st = mbs_inspect_file(path, r, err);
        advise(shown, err);
    }
    mbs_free(path);
    mbs_free(expected);
    return st;
}

int mbs_cmd_inspect(const mbs_opt_values *v) {
    mbs_err err;
    mbs_report r;
    mbs_err_clear(&err);
    mbs_report_begin(&r, mbs_opt_told(v, MBS_OPT_JSON));
    mbs_status st = look(mbs_opt_operand(v, 0), v, &r, &err);
    mbs_report_end(&r);
    if (st == MBS_OK) {
        st = mbs_cli_print(&r.out, &err);
    }
    mbs_report_free(&r);
    if (mbs_stop_requested()) {
        mbs_stop_raise(mbs_stop_requested());
    }
    return st == MBS_OK ? 0 : mbs_cli_fail(&err);
}
