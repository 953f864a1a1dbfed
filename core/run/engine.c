#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plug/params.h"
#include "run/stages.h"

static mbs_status check_device(const mbs_plan *plan, mbs_err *err) {
    const char *device = mbs_params_string(plan->model, "device");
    if (device && strncmp(device, "cuda", 4) == 0) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, "model", "device '%s' is not available: this build has no CUDA backend",
                 device);
        mbs_err_fix(err, "use --device cpu or auto");
        return MBS_ERR_UNAVAILABLE;
    }
    return MBS_OK;
}

mbs_status mbs_engine_load(mbs_engine *e, const mbs_plan *plan, int threads, mbs_err *err) {
    if (!plan->model || e->model) {
        return MBS_OK;
    }
    mbs_status st = check_device(plan, err);
    if (st != MBS_OK) {
        return st;
    }
    mbk_status level = mbk_level_from_env();
    if (level < 0) {
        const char *told = getenv("MAMBASEQ_CPU");
        mbs_fail(err, MBS_ERR_UNAVAILABLE, "MAMBASEQ_CPU", "'%s' is not a level that this machine can run",
                 told ? told : "");
        mbs_err_fix(err, "use ref, or unset it for %s", mbk_level_name(mbk_level_best()));
        return MBS_ERR_UNAVAILABLE;
    }
    threads = threads > 0 ? threads : mbs_threads_available();
    e->pool = mbs_pool_new(threads);
    if (!e->pool) {
        return mbs_fail(err, MBS_ERR_MEMORY, "run", "cannot start %d threads", threads);
    }
    mbk_parallel par = {e->pool, mbs_pool_threads(e->pool), mbs_pool_run};
    st = mbk_cpu_open((mbk_level)level, &par, &e->ctx);
    if (st != MBS_OK) {
        return mbs_fail(err, st, "model", "cannot open the %s kernels", mbk_level_name((mbk_level)level));
    }
    mbs_model_options options = {mbs_params_string(plan->model, "dtype"), mbs_params_string(plan->model, "math")};
    st = mbs_engine_model(e, plan, &options, &e->model, err);
    if (st == MBS_OK) {
        (void)snprintf(e->arithmetic, sizeof(e->arithmetic), "%s", mbs_model_arithmetic(e->model));
    }
    return st;
}

mbs_status mbs_engine_model(mbs_engine *e, const mbs_plan *plan, const mbs_model_options *options, mbs_model **out,
                            mbs_err *err) {
    return mbs_model_open_as(mbs_params_string(plan->model, "path"), options, e->ctx, out, err);
}

void mbs_engine_free(mbs_engine *e) {
    mbs_model_close(e->model);
    if (e->ctx) {
        mbk_close(e->ctx);
    }
    mbs_pool_free(e->pool);
    memset(e, 0, sizeof(*e));
}
