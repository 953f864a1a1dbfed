/* cmd_model.c - `mambaseq model init`: a fresh model from a shape, which is a YAML file and what --set changes of it.
 */
#include "base/log.h"
#include "cli/cli.h"
#include "model/init.h"
#include "run/shape_file.h"

int mbs_cmd_model_init(const mbs_opt_values *v) {
    mbs_err err;
    mbs_shape shape;
    mbs_plan_set *sets = NULL;
    int n_sets = 0;
    const char *folder = mbs_opt_text(v, MBS_OPT_OUTPUT);
    int64_t seed = mbs_opt_number(v, MBS_OPT_SEED, 0);
    mbs_err_clear(&err);
    mbs_status st = mbs_cli_sets(v, &sets, &n_sets, &err);
    if (st == MBS_OK) {
        mbs_buf diags = MBS_BUF_INIT;
        st = mbs_shape_load(mbs_opt_operand(v, 0), sets, n_sets, &shape, &diags, &err);
        mbs_cli_diags(&diags);
        mbs_buf_free(&diags);
    }
    if (st == MBS_OK) {
        unsigned flags = (shape.dna ? MBS_INIT_DNA : 0u) | (mbs_opt_told(v, MBS_OPT_FORCE) ? MBS_INIT_FORCE : 0u);
        st = mbs_model_init(folder, &shape.cfg, (uint64_t)seed, flags, &err);
    }
    mbs_cli_sets_free(sets, n_sets);
    if (st != MBS_OK) {
        return mbs_cli_fail(&err);
    }
    mbs_log(MBS_LOG_INFO, "wrote %s: %lld layers of width %lld, seed %lld", folder, (long long)shape.cfg.n_layer,
            (long long)shape.cfg.d_model, (long long)seed);
    return 0;
}
