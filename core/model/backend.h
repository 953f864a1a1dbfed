/*
 * backend.h - what a model is computed with, as everything that runs one opens it: the CPU's kernels on a pool of
 * threads, or a CUDA device.
 */
#ifndef MBS_MODEL_BACKEND_H
#define MBS_MODEL_BACKEND_H

#include "base/err.h"
#include "base/thread.h"
#include "mbk/mbk.h"

typedef struct mbs_backend {
    mbs_pool *pool; /* also beside a device */
    mbk_ctx *ctx;
    char name[96];   /* of the device, in words; empty: the CPU */
    int by_auto;     /* a device, and nobody had asked for one */
    mbk_level level; /* of the CPU */
} mbs_backend;

/* The level that `name` says (which `told_by` gave, "--cpu"), or without a name MAMBASEQ_CPU, else the best.
 * MBS_ERR_UNAVAILABLE where this machine cannot run it. */
mbs_status mbs_backend_level(const char *name, const char *told_by, mbk_level *out, mbs_err *err);
/* The CPU. threads 0: all that this process may use. On failure nothing is left open. */
mbs_status mbs_backend_open(mbs_backend *b, mbk_level level, int threads, mbs_err *err);
/* What `device` says: cpu, cuda, cuda:N, or auto (NULL): what MAMBASEQ_DEVICE says, and where it says nothing or auto
 * too, the first CUDA device where there is one, else the CPU. auto says in one line on stderr why an installed CUDA
 * backend is not used; where none is installed, or a level of the CPU is named (`level`, MAMBASEQ_CPU), it is the CPU
 * without a word. A level beside cuda is MBS_ERR_USAGE. */
mbs_status mbs_backend_choose(mbs_backend *b, const char *device, const char *level, const char *told_by, int threads,
                              mbs_err *err);
void mbs_backend_close(mbs_backend *b);
/* Two backends on the CPU that share its threads, at least one each, to compute at the same time what b's pool runs as
 * two tasks. b is no device. The caller closes both before b. */
mbs_status mbs_backend_halves(const mbs_backend *b, mbs_backend halves[2], mbs_err *err);

#endif
