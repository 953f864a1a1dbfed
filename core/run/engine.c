#include <string.h>

#include "model/place.h"
#include "plug/params.h"
#include "run/stages.h"

/* A model of a plan, held and multiplied as `options` say. */
static mbs_status open_model(mbs_engine *e, const mbs_params *params, const mbs_model_options *options, mbs_model **out,
                             mbs_err *err) {
    mbs_model_options own = *options;
    own.max_memory = mbs_params_told(params, "max_memory") ? mbs_params_int(params, "max_memory") : 0;
    own.rate_scale = mbs_model_rate_scale(params);
    return mbs_model_open_as(mbs_params_string(params, "path"), &own, e->backend.ctx, out, err);
}

mbs_status mbs_engine_load(mbs_engine *e, const mbs_plan *plan, int threads, mbs_err *err) {
    if (!plan->models[0] || e->models[0]) {
        return MBS_OK;
    }
    const char *device = mbs_params_string(plan->models[0], "device");
    mbs_status st = mbs_backend_choose(&e->backend, device, NULL, NULL, threads, err);
    if (st < 0) {
        return st;
    }
    mbs_model_config cfg;
    for (int i = 0; i < plan->n_models && e->backend.by_auto && st >= 0; i++) {
        st = mbs_config_load(mbs_params_string(plan->models[i], "path"), &cfg, err);
        const char *math = e->whole ? e->whole : mbs_params_string(plan->models[i], "math");
        st = st < 0 ? st : mbs_backend_suit(&e->backend, &cfg, math, threads, err);
    }
    for (int i = 0; i < plan->n_models && st >= 0; i++) {
        const mbs_params *params = plan->models[i];
        const mbs_model_options options = {.dtype = mbs_params_string(params, "dtype"),
                                           .math = mbs_params_string(params, "math")};
        st = open_model(e, params, &options, &e->models[i], err);
    }
    return st;
}

mbs_status mbs_engine_model(mbs_engine *e, const mbs_plan *plan, const mbs_model_options *options, mbs_model **out,
                            mbs_err *err) {
    return open_model(e, plan->models[0], options, out, err);
}

int64_t mbs_engine_chunk(const mbs_engine *e, const mbs_plan *plan) {
    int64_t chunk = mbs_params_int(plan->models[0], "chunk");
    const mbk_pace *p = mbs_model_pace(e->models[0]);
    return p->halvings > 0 ? (chunk + p->unit - 1) / p->unit * p->unit : chunk;
}

void mbs_engine_free(mbs_engine *e) {
    for (int i = 0; i < MBS_PLAN_MODELS; i++) {
        mbs_model_close(e->models[i]);
    }
    mbs_backend_close(&e->backend);
    memset(e, 0, sizeof(*e));
}
