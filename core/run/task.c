#include "run/task.h"

static const mbs_task_kind kinds[] = {
    [MBS_TASK_SCORE] = {mbs_task_rows_new, mbs_task_rows_free, mbs_task_rows_totals},
    [MBS_TASK_LOGITS] = {mbs_task_rows_new, mbs_task_rows_free, mbs_task_rows_totals},
    [MBS_TASK_EMBED] = {mbs_task_rows_new, mbs_task_rows_free, mbs_task_rows_totals},
    [MBS_TASK_CLASSIFY] = {mbs_task_rows_new, mbs_task_rows_free, mbs_task_rows_totals},
    [MBS_TASK_GENERATE] = {mbs_task_generate_new, mbs_task_generate_free, mbs_task_generate_totals},
    [MBS_TASK_VARIANT] = {mbs_task_variant_new, mbs_task_variant_free, mbs_task_variant_totals},
    [MBS_TASK_MUTATE] = {mbs_task_mutate_new, mbs_task_mutate_free, mbs_task_mutate_totals},
    [MBS_TASK_COMPRESS] = {mbs_task_compress_new, mbs_task_compress_free, mbs_task_compress_totals},
    [MBS_TASK_DECOMPRESS] = {mbs_task_decompress_new, mbs_task_decompress_free, mbs_task_decompress_totals},
    [MBS_TASK_IMPUTE] = {mbs_task_impute_new, mbs_task_impute_free, mbs_task_impute_totals},
};

_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == MBS_TASK_COUNT, "every task is somebody's");

const mbs_task_kind *mbs_task_kind_of(const mbs_plan *plan) {
    static const mbs_task_kind beside = {mbs_task_beside_new, mbs_task_beside_free, mbs_task_beside_totals};
    return plan->n_models > 1 ? &beside : &kinds[plan->task];
}
