/*
 * backend.h - the CPU backend on a pool of threads, as everything that runs a model opens it.
 */
#ifndef MBS_MODEL_BACKEND_H
#define MBS_MODEL_BACKEND_H

#include "base/err.h"
#include "base/thread.h"
#include "mbk/mbk.h"

typedef struct mbs_backend {
    mbs_pool *pool;
    mbk_ctx *ctx;
} mbs_backend;

/* The level that `name` says (which `told_by` gave, "--cpu"), or without a name MAMBASEQ_CPU, else the best.
 * MBS_ERR_UNAVAILABLE where this machine cannot run it. */
mbs_status mbs_backend_level(const char *name, const char *told_by, mbk_level *out, mbs_err *err);
/* threads 0: all that this process may use. On failure nothing is left open. */
mbs_status mbs_backend_open(mbs_backend *b, mbk_level level, int threads, mbs_err *err);
void mbs_backend_close(mbs_backend *b);

#endif
