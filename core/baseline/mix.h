/*
 * mix.h - the baseline that mixes tables of many orders.
 */
#ifndef MBS_BASELINE_MIX_H
#define MBS_BASELINE_MIX_H

#include "baseline/alphabet.h"

typedef struct mbs_mix mbs_mix;

mbs_status mbs_mix_new(const mbs_alphabet *letters, int64_t tokens, mbs_mix **out, mbs_err *err);
void mbs_mix_free(mbs_mix *m);
int64_t mbs_mix_bytes(const mbs_mix *m);
void mbs_mix_break(mbs_mix *m);
/* log P of the next letter, nats; with `learn` counts and weights then follow it. `run`: letters since the break. */
double mbs_mix_score(mbs_mix *m, int64_t run, int letter, int learn);
void mbs_mix_pass(mbs_mix *m, int letter);

#endif
