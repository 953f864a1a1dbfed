/*
 * lpc.h - the baseline of sound. Each id is a part of the line from -1 to 1 (baseline/levels.h: the cells of mu-law and
 * of 8-bit PCM), in which the next sample is predicted linearly from the 32 before it, by four fits that forget at
 * different speeds (two of them look at 24 and 16 samples only). Around what each expects, and around what lies between
 * them, distributions of several widths that follow what was missed share out the probability: a cell has what lies
 * between its edges. Which are believed follows from how well they did lately. Nobody trains it and nothing is sent
 * along: a decoder does the same.
 *
 * All of it is in double, in some 50 kB whatever is heard.
 */
#ifndef MBS_BASELINE_LPC_H
#define MBS_BASELINE_LPC_H

#include "baseline/alphabet.h"

typedef struct mbs_lpc mbs_lpc;

/* `letters` is not needed afterwards. */
mbs_status mbs_lpc_new(const mbs_alphabet *letters, mbs_lpc **out, mbs_err *err);
void mbs_lpc_free(mbs_lpc *l);
int64_t mbs_lpc_bytes(void);
/* What came before is no context any more; the weights stay. */
void mbs_lpc_break(mbs_lpc *l);
/* log P of the next letter, nats; then weights and spreads follow it. */
double mbs_lpc_score(mbs_lpc *l, int letter);
/* The next letter, of which only the context is wanted. */
void mbs_lpc_pass(mbs_lpc *l, int letter);

#endif
