/*
 * direct.h - launchers of kernels/cuda called directly, on the emulator, beside the reference: tensors in emulated
 * device memory with canaries around every row, and results that must have the same bits under every schedule.
 */
#ifndef MBK_TEST_DIRECT_H
#define MBK_TEST_DIRECT_H

#include "cuda/launch.h"
#include "kernels/kit.h"

/* A (rows, cols) tensor; `pad` canaries follow every row. */
typedef struct direct_mat {
    mbk_cu_view v;
    int64_t pad;
} direct_mat;
direct_mat direct_new(int64_t rows, int64_t cols, int64_t pad);
direct_mat direct_of(int64_t rows, int64_t cols, int64_t pad, const float *dense);
int32_t *direct_ids(const int32_t *ids, int64_t n); /* free by simt_free */
void direct_free(direct_mat *m, int n);
float *direct_get(const direct_mat *m); /* dense copy, to be freed; canaries are checked */

/* A queue with exactly so much scratch, poisoned. */
mbk_cu_queue direct_queue(size_t scratch);
void direct_queue_free(mbk_cu_queue *q);

/* What a test's outputs were under the first schedule. */
enum { DIRECT_OUTS = 16 };
typedef struct direct_kept {
    float *of[DIRECT_OUTS];
    int64_t n[DIRECT_OUTS];
} direct_kept;
/* Keeps the outputs, or compares their bits with those kept. */
void direct_keep(direct_kept *k, const char *what, const direct_mat *out, int n);
/* Output i within `limit` of the largest of `want`, which is freed. */
void direct_near(const direct_kept *k, int i, const char *what, float *want, double limit);
void direct_kept_free(direct_kept *k);

/* How many random shapes, and about how large: MBS_CUDA_SHAPES and MBS_CUDA_BUDGET, else these; few and small where
 * races are looked for. */
int64_t direct_shapes(int64_t usual);
int64_t direct_budget(int64_t usual);

extern const char *const direct_schedules[];
#define EACH_SCHEDULE(S) for (int S = 0; direct_schedules[S] && simt_schedule(direct_schedules[S]) == 0; S++)

#endif
