/* cmd_convert.c - `mambaseq convert`: a model folder as one safetensors file with all that belongs to it. */
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "cli/cli.h"
#include "model/convert.h"

int mbs_cmd_convert(const mbs_opt_values *v) {
    mbs_err err;
    mbs_convert_report r;
    const char *shown = mbs_opt_operand(v, 0);
    const char *out = mbs_opt_text(v, MBS_OPT_OUTPUT);
    mbs_err_clear(&err);
    char *folder = mbs_path_resolve(shown);
    mbs_status st = folder ? mbs_model_convert(folder, out, mbs_opt_text(v, MBS_OPT_DTYPE),
                                               mbs_opt_told(v, MBS_OPT_FORCE), &r, &err)
                           : mbs_fail_memory(&err, shown, 0);
    mbs_free(folder);
    if (st != MBS_OK) {
        return mbs_cli_fail(&err);
    }
    mbs_log(MBS_LOG_INFO, "wrote %s: %lld tensors, %lld bytes of weights, %d other files%s", out, (long long)r.tensors,
            (long long)r.bytes, r.files, r.dropped ? "; the head is the embedding and was written once" : "");
    return 0;
}
