/*
 * train_kit.h - a recipe with sound values and spools of a few records.
 */
#ifndef MBS_TEST_TRAIN_KIT_H
#define MBS_TEST_TRAIN_KIT_H

#include "support/test.h"
#include "support/tmp.h"
#include "train/train.h"

#define FINE(CALL) CHECK((CALL) == MBS_OK, "%s: %s; %s", err.where, err.what, err.fix)

/* A to T as 7 to 10. */
static const int32_t tkit_complement[16] = {0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15};

static inline mbs_train_job tkit_job(const mbs_spool *s) {
    mbs_train_job job = {0};
    job.recipe = (mbs_train_recipe){.n_windows = 1,
                                    .window = {10},
                                    .batch_tokens = 40,
                                    .steps = 20,
                                    .seed = 1,
                                    .rows = 64,
                                    .soft_mask = 1,
                                    .mask_rate = 0.15,
                                    .lr = 4e-3,
                                    .beta1 = 0.9,
                                    .beta2 = 0.95,
                                    .eps = 1e-8,
                                    .weight_decay = 0.1,
                                    .clip = 1,
                                    .min_lr = 1e-4,
                                    .checkpoint_seconds = 1e9};
    job.identity = "lr: 0.004\nsteps: 20\n";
    job.recipe_text = "mambaseq: 1\n";
    job.output = "model";
    job.spool = s;
    job.complement = tkit_complement;
    job.vocab_size = 12;
    job.unk = 6;
    job.mask = 3;
    job.unit = "base";
    job.write_dtype = MBS_DT_F32;
    job.progress = MBS_PROGRESS_NEVER;
    return job;
}

/* Records r0, r1, ... of these lengths; token i of all is 7 + (i + i / 7) % 4. `labels` may be NULL. */
static inline mbs_spool *tkit_spool(const int64_t *lengths, int n, const char *const *labels) {
    mbs_err err = {0};
    mbs_spool *s = NULL;
    FINE(mbs_spool_new(".", 12, &s, &err));
    int64_t at = 0;
    for (int k = 0; k < n; k++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", k);
        FINE(mbs_spool_record_begin(s, name, labels ? labels[k] : NULL, 0, &err));
        for (int64_t i = 0; i < lengths[k]; i++, at++) {
            int32_t id = 7 + (int32_t)((at + at / 7) % 4);
            FINE(mbs_spool_add(s, &id, 1, NULL, &err));
        }
    }
    FINE(mbs_spool_finish(s, &err));
    return s;
}

#endif
