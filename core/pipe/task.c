/* What is true of each task, said once; how it is done is core/run/task.c. */
#include "pipe/plan.h"

static const mbs_task_facts facts[] = {
    [MBS_TASK_NONE] = {.name = "none"},
    [MBS_TASK_SCORE] = {.name = "score",
                        .gives = "score/f32",
                        .beside = "scores/f32",
                        .own = "mode|mask_every",
                        .is = MBS_TASK_PREDICTS | MBS_TASK_STARTS | MBS_TASK_EVALS},
    [MBS_TASK_LOGITS] = {.name = "logits",
                         .gives = "logits/f32",
                         .is = MBS_TASK_PREDICTS | MBS_TASK_STARTS | MBS_TASK_BY_TOKEN},
    [MBS_TASK_EMBED] = {.name = "embed", .gives = "embedding/f32", .own = "layer|pool", .is = MBS_TASK_STARTS},
    [MBS_TASK_GENERATE] = {.name = "generate",
                           .own = "max_new_tokens|duration|class|num_samples|temperature|top_k|top_p|stop|count|guard|"
                                  "guard_bits|state|save_state|seed",
                           .is = MBS_TASK_PREDICTS | MBS_TASK_STARTS | MBS_TASK_DECODES | MBS_TASK_RESIZES |
                                 MBS_TASK_UNPROMPTED},
    [MBS_TASK_CLASSIFY] = {.name = "classify",
                           .gives = "class/f32",
                           .own = "every",
                           .is = MBS_TASK_STARTS | MBS_TASK_EVALS},
    [MBS_TASK_VARIANT] = {.name = "variant",
                          .gives = "variant/f32",
                          .own = "mode",
                          .window = "1000",
                          .is = MBS_TASK_PREDICTS | MBS_TASK_RESIZES},
    [MBS_TASK_COMPRESS] = {.name = "compress",
                           .gives = "code/u8",
                           .is = MBS_TASK_PREDICTS | MBS_TASK_DECODES | MBS_TASK_CAUSAL | MBS_TASK_UNDIVIDED},
    [MBS_TASK_DECOMPRESS] = {.name = "decompress",
                             .is = MBS_TASK_PREDICTS | MBS_TASK_DECODES | MBS_TASK_CAUSAL | MBS_TASK_UNDIVIDED |
                                   MBS_TASK_RESIZES},
    [MBS_TASK_MUTATE] = {.name = "mutate",
                         .gives = "mutate/f32",
                         .window = "1000",
                         .is = MBS_TASK_PREDICTS | MBS_TASK_CAUSAL | MBS_TASK_BY_TOKEN},
    [MBS_TASK_IMPUTE] = {.name = "impute",
                         .own = "fill|max_gap|search|candidates|seed",
                         .window = "250",
                         .is = MBS_TASK_PREDICTS | MBS_TASK_DECODES},
};
_Static_assert(sizeof facts / sizeof *facts == MBS_TASK_COUNT, "every task has its row");

const mbs_task_facts *mbs_task_facts_of(mbs_task task) {
    return &facts[task];
}

const char *mbs_task_name(mbs_task task) {
    return facts[task].name;
}
