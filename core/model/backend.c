#include "model/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "model/device.h"

mbs_status mbs_backend_level(const char *name, const char *told_by, mbk_level *out, mbs_err *err) {
    int level = name ? mbk_level_parse(name) : mbk_level_from_env();
    if (level >= 0 && mbk_level_usable((mbk_level)level)) {
        *out = (mbk_level)level;
        return MBS_OK;
    }
    const char *told = name ? name : getenv("MAMBASEQ_CPU");
    int known = told && mbk_level_parse(told) >= 0;
    mbs_status st = known ? MBS_ERR_UNAVAILABLE : MBS_ERR_USAGE; /* as for a device */
    mbs_fail(err, st, name ? told_by : "MAMBASEQ_CPU",
             known ? "'%s' is not a level that this machine can run"
                   : "'%s' is none of the levels ref, avx2, avx512, avx512vnni and avx512bf16",
             told ? told : "");
    mbs_err_fix(err, "use ref, or leave it out for %s", mbk_level_name(mbk_level_best()));
    return st;
}

static mbs_status start_pool(mbs_backend *b, int threads, mbs_err *err) {
    memset(b, 0, sizeof *b);
    threads = threads > 0 ? threads : mbs_threads_available();
    b->pool = mbs_pool_new(threads);
    if (!b->pool) {
        mbs_fail(err, MBS_ERR_MEMORY, "threads", "cannot start %d threads", threads);
        mbs_err_fix(err, "take fewer threads");
        return MBS_ERR_MEMORY;
    }
    return MBS_OK;
}

mbs_status mbs_backend_open(mbs_backend *b, mbk_level level, int threads, mbs_err *err) {
    mbs_status st = start_pool(b, threads, err);
    if (st < 0) {
        return st;
    }
    b->level = level;
    mbk_parallel par = {b->pool, mbs_pool_threads(b->pool), mbs_pool_run};
    st = mbk_cpu_open(level, &par, &b->ctx);
    if (st != MBS_OK) {
        mbs_backend_close(b);
        return mbs_fail(err, st, "kernels", "the level '%s' cannot be opened", mbk_level_name(level));
    }
    return MBS_OK;
}

static mbs_status open_cuda(mbs_backend *b, const mbs_device_module *m, int32_t index, int threads, mbs_err *err) {
    mbs_status st = start_pool(b, threads, err);
    st = st < 0 ? st : mbs_device_open(m, index, &b->ctx, b->name, sizeof b->name, err);
    if (st < 0) {
        mbs_backend_close(b);
    }
    return st;
}

static mbs_status choose_cuda(mbs_backend *b, const mbs_device_choice *device, int threads, mbs_err *err) {
    mbs_device_module m;
    mbs_status st = mbs_device_find(&m, err);
    st = st < 0 ? st : mbs_device_load(&m, err);
    return st < 0 ? st : open_cuda(b, &m, device->index, threads, err);
}

/* Whether the first device serves; else one line says why not, unless nobody put a backend there. */
static int try_cuda(mbs_backend *b, int threads) {
    const mbs_device_choice first = {MBS_DEVICE_CUDA, 0};
    mbs_err err = {0};
    mbs_device_module m;
    if (mbs_device_find(&m, &err) < 0 && !m.path[0]) {
        return 0;
    }
    mbs_err_clear(&err);
    if (choose_cuda(b, &first, threads, &err) == MBS_OK) {
        return 1;
    }
    const char *path = err.where[0] == '/' ? err.where : "";
    const char *what = err.what;
    what += strncmp(what, MBS_DEVICE_NOT, strlen(MBS_DEVICE_NOT)) == 0 ? strlen(MBS_DEVICE_NOT) : 0;
    mbs_log(MBS_LOG_INFO, "computing on the CPU: %s%s%s", path, *path ? ": " : "", what);
    return 0;
}

mbs_status mbs_backend_choose(mbs_backend *b, const char *device, const char *level, const char *told_by, int threads,
                              mbs_err *err) {
    const char *named = getenv("MAMBASEQ_CPU");
    mbs_device_choice choice;
    mbk_level at = MBK_LEVEL_REF;
    memset(b, 0, sizeof *b);
    mbs_status st = mbs_device_parse(device, &choice, err);
    if (st >= 0 && choice.kind == MBS_DEVICE_AUTO && level) {
        choice.kind = MBS_DEVICE_CPU;
    } else if (st >= 0 && choice.kind == MBS_DEVICE_AUTO) {
        device = getenv("MAMBASEQ_DEVICE");
        st = mbs_device_parse(device && *device ? device : NULL, &choice, err);
        if (st < 0) {
            mbs_err_where(err, "MAMBASEQ_DEVICE");
        }
    }
    if (st < 0) {
        return st;
    }
    if (choice.kind == MBS_DEVICE_CUDA && level) {
        return mbs_fail(err, MBS_ERR_USAGE, told_by, "a level of the CPU does not go with device %s", device);
    }
    if (choice.kind == MBS_DEVICE_CUDA) {
        return choose_cuda(b, &choice, threads, err);
    }
    if (choice.kind == MBS_DEVICE_AUTO && !(named && *named) && try_cuda(b, threads)) {
        b->by_auto = 1;
        return MBS_OK;
    }
    st = mbs_backend_level(level, told_by, &at, err);
    return st < 0 ? st : mbs_backend_open(b, at, threads, err);
}

void mbs_backend_close(mbs_backend *b) {
    if (b->ctx) {
        mbk_close(b->ctx);
    }
    mbs_pool_free(b->pool);
    memset(b, 0, sizeof *b);
}

mbs_status mbs_backend_halves(const mbs_backend *b, mbs_backend halves[2], mbs_err *err) {
    memset(halves, 0, 2 * sizeof *halves);
    const int threads = mbs_pool_threads(b->pool);
    mbs_status st = MBS_OK;
    for (int i = 0; i < 2 && st >= 0; i++) {
        const int share = (threads + 1 - i) / 2;
        st = mbs_backend_open(&halves[i], b->level, share > 1 ? share : 1, err);
    }
    if (st < 0) {
        mbs_backend_close(&halves[0]);
        mbs_backend_close(&halves[1]);
    }
    return st;
}
