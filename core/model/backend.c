#include "model/backend.h"

#include <stdlib.h>
#include <string.h>

mbs_status mbs_backend_level(const char *name, const char *told_by, mbk_level *out, mbs_err *err) {
    int level = name ? mbk_level_parse(name) : mbk_level_from_env();
    if (level >= 0 && mbk_level_usable((mbk_level)level)) {
        *out = (mbk_level)level;
        return MBS_OK;
    }
    const char *told = name ? name : getenv("MAMBASEQ_CPU");
    mbs_fail(err, MBS_ERR_UNAVAILABLE, name ? told_by : "MAMBASEQ_CPU", "'%s' is not a level that this machine can run",
             told ? told : "");
    mbs_err_fix(err, "use ref, or leave it out for %s", mbk_level_name(mbk_level_best()));
    return MBS_ERR_UNAVAILABLE;
}

mbs_status mbs_backend_open(mbs_backend *b, mbk_level level, int threads, mbs_err *err) {
    memset(b, 0, sizeof *b);
    threads = threads > 0 ? threads : mbs_threads_available();
    b->pool = mbs_pool_new(threads);
    if (!b->pool) {
        mbs_fail(err, MBS_ERR_MEMORY, "threads", "cannot start %d threads", threads);
        mbs_err_fix(err, "take fewer threads");
        return MBS_ERR_MEMORY;
    }
    mbk_parallel par = {b->pool, mbs_pool_threads(b->pool), mbs_pool_run};
    mbs_status st = mbk_cpu_open(level, &par, &b->ctx);
    if (st != MBS_OK) {
        mbs_backend_close(b);
        return mbs_fail(err, st, "kernels", "the level '%s' cannot be opened", mbk_level_name(level));
    }
    return MBS_OK;
}

void mbs_backend_close(mbs_backend *b) {
    if (b->ctx) {
        mbk_close(b->ctx);
    }
    mbs_pool_free(b->pool);
    memset(b, 0, sizeof *b);
}
