#include "core/train/train_kit.h"
#include "train/schedule.h"

#define NEAR(A, B) CHECK(fabs((A) - (B)) < 1e-12, "%.15g is not %.15g", (double)(A), (double)(B))

MBS_TEST(schedule, rises_and_falls) {
    mbs_train_recipe r = tkit_job(NULL).recipe;
    r.steps = 100;
    r.lr = 1;
    r.min_lr = 0.1;
    r.warmup = 0.1;
    NEAR(mbs_schedule_lr(&r, 1), 0.1);
    NEAR(mbs_schedule_lr(&r, 10), 1);
    NEAR(mbs_schedule_lr(&r, 55), 0.55);
    NEAR(mbs_schedule_lr(&r, 100), 0.1);
    r.decay = MBS_DECAY_LINEAR;
    NEAR(mbs_schedule_lr(&r, 55), 0.55);
    NEAR(mbs_schedule_lr(&r, 64), 0.46);
    NEAR(mbs_schedule_lr(&r, 100), 0.1);
    r.decay = MBS_DECAY_CONSTANT;
    r.warmup = 4;
    NEAR(mbs_schedule_lr(&r, 1), 0.25);
    NEAR(mbs_schedule_lr(&r, 5), 1);
    NEAR(mbs_schedule_lr(&r, 100), 1);
    r.decay = MBS_DECAY_COSINE;
    r.steps = 1;
    r.warmup = 0.03;
    NEAR(mbs_schedule_lr(&r, 1), 0.1);
    r.warmup = 1;
    NEAR(mbs_schedule_lr(&r, 1), 1);
}

MBS_TEST(schedule, windows_follow_shares_of_the_steps) {
    mbs_train_recipe r = tkit_job(NULL).recipe;
    r.steps = 10;
    r.batch_tokens = 120;
    r.n_windows = 3;
    r.window[0] = 10, r.window[1] = 20, r.window[2] = 40;
    r.window_from[1] = 0.3, r.window_from[2] = 0.6;
    const int64_t which[] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 2};
    int64_t before = 0;
    for (int64_t k = 1; k <= 10; k++) {
        CHECK_INT(mbs_schedule_window(&r, k), which[k - 1]);
        CHECK_INT(mbs_schedule_before(&r, k), before);
        CHECK_INT(mbs_schedule_sequences(&r, k), 120 / r.window[which[k - 1]]);
        before += mbs_schedule_sequences(&r, k);
    }
    CHECK_INT(before, 36 + 18 + 12);
    r.window_from[1] = 0.25; /* between two steps: the window holds once its share is over */
    CHECK_INT(mbs_schedule_first(&r, 1), 4);
    CHECK_INT(mbs_schedule_window(&r, 3), 0);
}
