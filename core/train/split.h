/*
 * split.h - which tokens of a spool are for training and which are held out: by a share at the end, by the regions of
 * BED files, or (classify) by record.
 */
#ifndef MBS_TRAIN_SPLIT_H
#define MBS_TRAIN_SPLIT_H

#include "train/train.h"

/* Tokens of one record without a border between them. */
typedef struct mbs_stretch {
    int64_t begin, end;
    int64_t record;
} mbs_stretch;

typedef struct mbs_split {
    mbs_stretch *train, *held; /* in the order of the input */
    int64_t n_train, n_held;
    int64_t train_tokens, held_tokens;
} mbs_split;

/* How many of `tokens` lie before the cut when the share `before` of them does: the same for --split of eval. */
int64_t mbs_split_cut(double before, int64_t tokens);

/* MBS_ERR_DATA where a part that was asked for would be empty, for a BED file that is none, and for one whose regions
 * have nothing of the input. */
mbs_status mbs_split_make(const mbs_train_recipe *r, const mbs_spool *s, mbs_split *out, mbs_err *err);
void mbs_split_free(mbs_split *split);

/* Tokens [begin, end), one range behind the other. */
typedef struct mbs_ranges {
    struct mbs_range {
        int64_t begin, end;
    } * items;
    size_t n, cap;
} mbs_ranges;

mbs_status mbs_ranges_add(mbs_ranges *r, int64_t begin, int64_t end, mbs_err *err);
/* The regions of a BED file (0-based, half-open) as tokens, sorted, those that overlap as one. */
mbs_status mbs_regions_load(const char *path, const mbs_spool *s, mbs_ranges *out, mbs_err *err);

#endif
