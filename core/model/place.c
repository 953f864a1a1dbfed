#include "model/place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "model/format.h"
#include "model/mlp.h"

mbs_status mbs_backend_cannot(const mbk_ctx *ctx, mbs_err *err, const char *what, ...) {
    char text[192];
    va_list args;
    va_start(args, what);
    (void)vsnprintf(text, sizeof text, what, args);
    va_end(args);
    mbs_fail(err, MBS_ERR_UNAVAILABLE, "device", "'%s' cannot %s", ctx->ops->device, text);
    mbs_err_fix(err, "take --device cpu");
    return MBS_ERR_UNAVAILABLE;
}

mbs_status mbs_model_runs_on(const mbs_model_config *c, const mbk_ctx *ctx, mbs_err *err) {
    if (strcmp(ctx->ops->device, "cpu") == 0) {
        return MBS_OK;
    }
    if (c->layout == MBS_LAYOUT_CADUCEUS) {
        return mbs_backend_cannot(ctx, err, "compute models that read both ways");
    }
    if (c->frame_width > 0) {
        return mbs_backend_cannot(ctx, err, "compute models that take frames");
    }
    mbs_status st = mbs_mixers_known(c, err);
    for (int64_t b = 0; st >= 0 && b < c->n_layer * mbs_config_blocks(c); b++) {
        const mbs_mixer *m = mbs_mixer_of_block(c, b);
        st = m->fits ? m->fits(c, b / mbs_config_blocks(c), ctx, err) : MBS_OK;
    }
    return st;
}

mbs_status mbs_backend_suit(mbs_backend *b, const mbs_model_config *c, const char *math, int threads, mbs_err *err) {
    mbs_err why = {0};
    if (!b->by_auto) {
        return MBS_OK;
    }
    mbs_status st = mbs_math_whole(math) ? mbs_backend_cannot(b->ctx, &why, "compute in %s", math)
                                         : mbs_model_runs_on(c, b->ctx, &why);
    if (st != MBS_ERR_UNAVAILABLE) {
        return MBS_OK;
    }
    mbs_log(MBS_LOG_INFO, "computing on the CPU: %s %s", why.where, why.what);
    mbs_backend_close(b);
    return mbs_backend_choose(b, "cpu", NULL, NULL, threads, err);
}
