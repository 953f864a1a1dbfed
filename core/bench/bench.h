/*
 * bench.h - how fast this machine is, how fast the kernels are on it, and how fast a whole model.
 *
 *   mbs_bench_run(&options, &bench, &err) -> mbs_bench_json or mbs_bench_table into a text -> mbs_bench_free
 *
 * Every figure is the median of several repeats; the limits of the machine are the best of several, since they are what
 * nothing should exceed. Rates are wall time: a machine that does other things gives other figures, so what others took
 * meanwhile is measured too.
 *
 * What is counted as work, per row (token): a matrix 2 operations a weight; the scan 6 and an exponential for each
 * channel and state, and 57 for each channel (softplus, gate, D); the state space dual form 4 for each channel and
 * state, and what a row of a block meets of it (mbs_mixer_work); the convolution 2 for each tap and 20 for silu; a norm
 * 4 for each element. An exponential counts as 16 operations. A row of training three times as much, and
 * 16 more for each channel and state.
 */
#ifndef MBS_BENCH_BENCH_H
#define MBS_BENCH_BENCH_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "mbk/mbk.h"
#include "model/model.h"

/* Bits of mbs_bench_options.works, in the order of mbs_bench_works. */
#define MBS_BENCH_MACHINE 1u
#define MBS_BENCH_GEMM 2u /* also with one row: gemv */
#define MBS_BENCH_SCAN 4u
#define MBS_BENCH_CONV 8u
#define MBS_BENCH_NORM 16u
#define MBS_BENCH_PREFILL 32u /* the prediction after the last token */
#define MBS_BENCH_SCORE 64u   /* the log-probability of every token */
#define MBS_BENCH_DECODE 128u /* one token after the other */
#define MBS_BENCH_TRAIN 256u  /* steps of about 16384 tokens: forward, backward, update */
#define MBS_BENCH_ALONG 512u  /* the log-probability of every token of a record, in turn with short records */
#define MBS_BENCH_USUAL                                                                                                \
    (MBS_BENCH_MACHINE | MBS_BENCH_GEMM | MBS_BENCH_SCAN | MBS_BENCH_CONV | MBS_BENCH_NORM | MBS_BENCH_PREFILL |       \
     MBS_BENCH_DECODE)
/* "machine|gemm|scan|..." */
extern const char mbs_bench_works[];

typedef struct mbs_bench_options {
    const char *shape;           /* what results call it */
    const char *folder;          /* a model to open, or NULL: random weights of `cfg` */
    const mbs_model_config *cfg; /* may be NULL with a folder */
    mbs_model_options held;      /* how matrices are held and multiplied; auto is f32 but for a folder of BF16 */
    const char *device;          /* "cuda", "cuda:1" or "auto"; NULL: the CPU at `level` */
    mbk_level level;
    int threads; /* at least 1 */
    unsigned works;
    const int64_t *lengths; /* of prefill, score, along and the windows of train, in tokens */
    int n_lengths;
    int repeat;     /* repeats of a figure, if they fit into ... */
    double seconds; /* ... this time; one is always made */
    double rate;    /* tokens in a second of what a token is made of (sound), for real_time; 0: not known */
} mbs_bench_options;

/* What the machine does at most. A figure is 0 where it was not measured or the machine has no such instructions. Of a
 * device only its own copies are measured, which is what the kernels are held against. */
typedef struct mbs_machine {
    char cpu[64];
    char device[96]; /* empty: the CPU is measured */
    double copy;     /* GB/s that the device reads and writes while it copies */
    int64_t copied;  /* bytes of such a copy */
    int threads;
    const char *f32_with; /* "avx512" */
    double f32_1, f32_n;  /* GFLOP/s of multiply-adds, one thread and all */
    double bf16_1, bf16_n;
    double i16_1, i16_n;     /* of pairs of int16, each product and each sum an operation */
    double i8_1, i8_n;       /* of fours of int8 */
    double dram_1, dram_n;   /* GB/s read from memory */
    double cache_1, cache_n; /* from a buffer that fits into the last cache */
    int64_t last_cache;      /* bytes */
    double others;           /* CPUs that other processes used while all this was measured; negative: not known */
} mbs_machine;

/* What one call of a piece of work does. */
typedef struct mbs_bench_cost {
    int64_t rows;
    double matrix; /* operations that run at the rate of the math */
    double vector; /* operations that are f32 in any case */
    double bytes;  /* that must be read or written at least once */
    double held;   /* bytes that come round again: beyond the last cache they come from memory */
    mbk_math math; /* the matrices' */
    int64_t times; /* that a token of a prompt has this done to it; 0: this is no part of a prompt */
} mbs_bench_cost;

typedef struct mbs_bench_result {
    const char *work;
    const char *part; /* "in_proj"; "" where the work is one thing */
    int64_t length;   /* rows of a call; of train: the window */
    int repeats;
    double seconds; /* a call, the median */
    double tokens_per_s, gflops, gbytes_per_s;
    const char *limit; /* "compute", "memory", "cache", "copy" (of a device); NULL: the machine was not measured */
    double limit_tokens_per_s;
    double share;      /* of that limit */
    int64_t times;     /* see mbs_bench_cost */
    double of_prefill; /* of the time of the longest prompt; negative: not known */
    int64_t peak;      /* bytes that the process has held at most, of train; 0: not known */
    double real_time;  /* seconds that a second of sound takes, of decode; 0: not known */
    double to_short,
        to_short_end; /* a token's time to that in a record of 1,024, of along: all, the last eighth; or 0 */
} mbs_bench_result;

typedef struct mbs_bench {
    mbs_machine machine;
    char shape[128];
    char dtype[8], math[8], level[16]; /* of the kernels; of a device its architecture */
    int threads;
    mbs_bench_cost prefill, decode; /* one token, of the shape */
    double look; /* operations that each position more costs a token which looks back at it; 0: none does */
    mbs_bench_result *results;
    size_t n, cap;
} mbs_bench;

/* MBS_ERR_UNAVAILABLE for a level that this machine cannot run. Free the bench in any case. */
mbs_status mbs_bench_run(const mbs_bench_options *o, mbs_bench *b, mbs_err *err);
void mbs_bench_free(mbs_bench *b);
void mbs_bench_json(const mbs_bench *b, mbs_buf *out);
void mbs_bench_table(const mbs_bench *b, mbs_buf *out);

#endif
