/* cmd_version.c - `mambaseq version`. Opens no plugin: it must be quick, and work where nothing else does. */
#include <stdio.h>

#include <gnu/libc-version.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/thread.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "mambaseq/plugin.h"
#include "mambaseq/version.h"
#include "mbk/mbk.h"
#include "model/device.h"

static void kernels(mbs_report *r) {
    const char *usable[MBK_LEVEL_COUNT];
    int n = 0;
    for (int level = 0; level < MBK_LEVEL_COUNT; level++) {
        if (mbk_level_usable((mbk_level)level)) {
            usable[n++] = mbk_level_name((mbk_level)level);
        }
    }
    int in_use = mbk_level_from_env();
    if (in_use < 0) {
        mbs_log(MBS_LOG_WARNING, "MAMBASEQ_CPU names a kernel level that is not usable here: runs will refuse it");
    }
    mbs_report_text(r, "kernels", in_use < 0 ? "none" : mbk_level_name((mbk_level)in_use));
    mbs_report_list(r, "usable_here", usable, n);
}

/* Without loading it: where it is says nothing about a driver. */
static mbs_status cuda(mbs_report *r, mbs_err *err) {
    mbs_device_module m;
    mbs_err why = {0};
    mbs_status st = mbs_device_find(&m, &why);
    if (st == MBS_ERR_MEMORY) {
        *err = why;
        return st;
    }
    mbs_report_text(r, "cuda_backend", m.path[0] ? m.path : "not installed");
    if (st < 0 && m.path[0]) {
        mbs_log(MBS_LOG_WARNING, "%s: %s", m.path, why.what);
    }
    return MBS_OK;
}

static void libraries(mbs_report *r) {
    char libc[64];
    snprintf(libc, sizeof libc, "glibc %s", gnu_get_libc_version());
    const char *const list[] = {MBS_BUILD_YAML, MBS_BUILD_JSONC, libc};
    mbs_report_list(r, "libraries", list, 3);
}

int mbs_cmd_version(const mbs_opt_values *v) {
    mbs_err err;
    mbs_report r;
    char abi[32];
    mbs_err_clear(&err);
    snprintf(abi, sizeof abi, "%u.%u", MBS_ABI_MAJOR, MBS_ABI_MINOR);
    char *share = mbs_path_share("");
    char *plugins = mbs_path_plugins();
    if (!share || !plugins) {
        mbs_free(share);
        mbs_free(plugins);
        mbs_fail_memory(&err, NULL, 0);
        return mbs_cli_fail(&err);
    }
    mbs_report_begin(&r, mbs_opt_told(v, MBS_OPT_JSON));
    if (r.json) {
        mbs_report_text(&r, "version", MBS_VERSION);
    }
    mbs_report_title(&r, "mambaseq " MBS_VERSION);
    mbs_report_text(&r, "compiler", MBS_BUILD_COMPILER);
    mbs_report_text(&r, "build", MBS_BUILD_TYPE);
    mbs_report_text(&r, "flags", MBS_BUILD_FLAGS);
    libraries(&r);
    mbs_report_text(&r, "plugin_abi", abi);
    kernels(&r);
    mbs_status st = cuda(&r, &err);
    mbs_report_int(&r, "threads", mbs_threads_available());
    mbs_report_text(&r, "share", share);
    mbs_report_text(&r, "plugins", plugins);
    mbs_report_end(&r);
    st = st == MBS_OK ? mbs_cli_print(&r.out, &err) : st;
    mbs_report_free(&r);
    mbs_free(share);
    mbs_free(plugins);
    return st == MBS_OK ? 0 : mbs_cli_fail(&err);
}
