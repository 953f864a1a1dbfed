/*
 * kit.h - what the kernel tests share: seeded random numbers, tensors with canary bytes around every row, contexts of
 * every usable level with one or more threads.
 */
#ifndef MBK_TEST_KIT_H
#define MBK_TEST_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "mbk/mbk.h"

/* Random numbers. The seed is MBS_TEST_SEED or a fixed one, and is printed once. */
uint64_t kit_next(void);
/* Begins anew with a seed; no two of 0 ... 2^64 - 2 are the same. */
void kit_seed(uint64_t seed);
int64_t kit_int(int64_t from, int64_t to); /* inclusive */
float kit_float(float from, float to);
/* In [1, most] by its logarithm, each end more often. */
int64_t kit_size(int64_t most);
/* What the environment says, as a number, or the usual. */
int64_t kit_setting(const char *name, int64_t usual);

/* A context of `level` on a pool of `threads` threads of its own, which kit_close ends. Levels from MBK_LEVEL_COUNT are
 * those of EACH_LEVEL in a build with KIT_CUDA: the CUDA backend, one context for the whole process. */
mbk_ctx *kit_open(mbk_level level, int threads);
void kit_close(mbk_ctx *ctx);

/* A (rows, cols) tensor inside a wider buffer of canaries. `pad` columns follow every row. */
typedef struct kit_mat {
    mbk_mat m;
    mbk_ctx *ctx;
} kit_mat;
kit_mat kit_new(mbk_ctx *ctx, int64_t rows, int64_t cols, int64_t pad);
void kit_free(kit_mat *t);
/* Uploads a dense rows x cols array, row by row. */
void kit_put(kit_mat *t, const float *dense);
/* Dense copy, to be freed. */
float *kit_get(const kit_mat *t);
/* 1 where every float outside the tensor still is the canary. */
int kit_canaries(const kit_mat *t);
/* Rows [from, to). */
mbk_mat kit_rows(const kit_mat *t, int64_t from, int64_t to);
/* Columns [from, to). */
mbk_mat kit_cols(const kit_mat *t, int64_t from, int64_t to);
extern const mbk_mat kit_none;
extern const mbk_starts kit_whole; /* one sequence */

/* kit_new and kit_put in one. */
kit_mat kit_of(mbk_ctx *ctx, int64_t rows, int64_t cols, int64_t pad, const float *dense);
/* Same bits (NaN equal to the same NaN). */
int kit_same(const float *a, const float *b, int64_t n);
/* max|a - b| / max|b|; infinite where one is NaN or infinite and the other is not. */
double kit_maxrel(const float *a, const float *b, int64_t n);
/* max|a - b| / max(max|b|, least): of a few sums whose terms cancel the largest says little of what may be rounded. */
double kit_maxoff(const float *a, const float *b, int64_t n, double least);

/* The highest level of EACH_LEVEL. */
mbk_level kit_level_best(void);

/* What f(rows) == f(some) then f(the rest) promises of this level where every piece but the last has `cut` rows (0:
 * whole): the same bits, or, on a device where segments are computed side by side, numbers within 5e-6. */
int kit_same_cut(mbk_level level, int64_t cut, const float *a, const float *b, int64_t n);

#ifdef KIT_CUDA
/* The same tests for the CUDA backend (tests/simt/backend/cuda_kit.h): a level is a schedule of the emulated device; a
 * real one has one. ref comes first. */
#include "simt/backend/cuda_kit.h"
#define EACH_LEVEL(L)                                                                                                  \
    for (mbk_level L = MBK_LEVEL_REF; (int)L < (int)MBK_LEVEL_COUNT + cuda_kit_schedules();                            \
         L = (mbk_level)(L ? L + 1 : MBK_LEVEL_COUNT))
#define mbk_level_name(L) cuda_kit_name(L)
#define KIT_SIZE(CPU, CUDA) (CUDA) /* an emulated device is slow */
#else
#define KIT_SIZE(CPU, CUDA) (CPU)
#define EACH_LEVEL(L)                                                                                                  \
    for (mbk_level L = MBK_LEVEL_REF; L < MBK_LEVEL_COUNT; L = (mbk_level)(L + 1))                                     \
        if (mbk_level_usable(L))
#endif

/* A new dense array of random numbers. */
float *kit_random(int64_t n, float from, float to);
/* A random matrix product; x, w, bias and the old y are dense. */
typedef struct kit_problem {
    int64_t rows, n_in, n_out;
    int with_bias, accumulate;
    float *x, *w, *bias, *y;
} kit_problem;
kit_problem kit_problem_new(int64_t rows, int64_t n_in, int64_t n_out);
void kit_problem_free(kit_problem *p);
/* The product at `level`, given to the table `cut` rows at a time (0: whole). Dense, to be freed. Ends the test
 * where it fails or writes outside y. */
float *kit_product(const kit_problem *p, mbk_format format, mbk_level level, int threads, int64_t cut);

/* A buffer holding n int32. */
mbk_buf *kit_ids(mbk_ctx *ctx, const int32_t *ids, int64_t n);

#endif
