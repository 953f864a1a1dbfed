/*
 * impl.h - what the files of core/bench share.
 */
#ifndef MBS_BENCH_IMPL_H
#define MBS_BENCH_IMPL_H

#include "bench/bench.h"
#include "bench/clock.h"
#include "model/backend.h"
#include "model/mixer.h"
#include "model/model.h"

typedef struct mbs_bench_env {
    const mbs_bench_options *o;
    mbs_bench *b;
    const mbs_model_config *cfg;
    const mbs_backend *backend;
    mbk_ctx *ctx;     /* its own */
    mbs_model *model; /* NULL where no work needs one */
    int on_device;
    mbk_format format;
} mbs_bench_env;

/* cost.c: what a shape's pieces cost. */
typedef struct mbs_bench_matrix {
    const char *name;
    int64_t n_out, n_in;
    int64_t count; /* in the model */
    int seldom;    /* not every token goes through it */
} mbs_bench_matrix;
#define MBS_BENCH_MATRICES (8 * MBS_MIXER_MATRICES + 1)
/* Those of all layers as their mixers tell them, each once with how often it is there, then the head; how many. */
int mbs_bench_matrices(const mbs_model_config *c, mbs_bench_matrix out[MBS_BENCH_MATRICES]);
/* Of one weight of a matrix: what math bf16 rounds is held as bf16. */
double mbs_bench_weight_bytes(const mbk_format *format);
double mbs_bench_conv_ops(int64_t channels, int64_t taps); /* a row */
double mbs_bench_norm_ops(int64_t cols);
/* One token: `head` predictions a token (0 where a prompt is long), all weights and the state if `alone`; it looks back
 * at `seen` positions, itself among them, where a layer does that. */
mbs_bench_cost mbs_bench_token(const mbs_model_config *c, double head, int alone, double seen,
                               const mbk_format *format);
/* Positions that a token of a sequence of so many looks back at, in the mean. */
double mbs_bench_seen(int64_t length);
/* Seconds that the machine takes at least, and what for; 0 and NULL where it was not measured. */
double mbs_bench_limit(const mbs_machine *m, const mbs_bench_cost *cost, int threads, const char **what);

/* Adds a result; `cost` is of one call. */
mbs_status mbs_bench_add(mbs_bench_env *e, const char *work, const char *part, const mbs_bench_cost *cost,
                         const mbs_timing *t, mbs_err *err);

/* device.c: the device's own copies, into e->b->machine. */
mbs_status mbs_bench_copies(mbs_bench_env *e, mbs_err *err);

/* layers.c, whole.c, along.c, train.c: the works among `o->works` that are theirs. */
mbs_status mbs_bench_layers(mbs_bench_env *e, mbs_err *err);
mbs_status mbs_bench_whole(mbs_bench_env *e, mbs_err *err);
mbs_status mbs_bench_along(mbs_bench_env *e, mbs_err *err);
mbs_status mbs_bench_train(mbs_bench_env *e, mbs_err *err);

#endif
