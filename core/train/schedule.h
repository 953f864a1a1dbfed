/*
 * schedule.h - what a recipe says of step k (from 1): its learning rate, its window, how many sequences came before.
 */
#ifndef MBS_TRAIN_SCHEDULE_H
#define MBS_TRAIN_SCHEDULE_H

#include "train/train.h"

/* Rises in a line to `lr` over the warm-up, then falls to `min_lr`, which the last step has. */
double mbs_schedule_lr(const mbs_train_recipe *r, int64_t step);
/* Which of the windows the step has: the last whose share of the steps has begun. */
int64_t mbs_schedule_window(const mbs_train_recipe *r, int64_t step);
/* The first step of a window, from 1. */
int64_t mbs_schedule_first(const mbs_train_recipe *r, int64_t window);
/* Sequences of a step, and of all steps before it. */
int64_t mbs_schedule_sequences(const mbs_train_recipe *r, int64_t step);
int64_t mbs_schedule_before(const mbs_train_recipe *r, int64_t step);

#endif
