/*
 * checkpoint_impl.h - what workplace.c (the folder) and checkpoint.c (what is in it) share.
 */
#ifndef MBS_TRAIN_CHECKPOINT_IMPL_H
#define MBS_TRAIN_CHECKPOINT_IMPL_H

#include "train/checkpoint.h"

/* Removes a file, or a folder of files. */
void mbs_workplace_sweep(const char *path);
/* N of "step-N", else 0. */
int64_t mbs_checkpoint_step(const char *name);
/* The newest checkpoint older than `below`; 0: none. */
int64_t mbs_checkpoint_before(const char *folder, int64_t below);

#endif
