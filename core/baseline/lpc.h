/*
 * lpc.h - the baseline of sound: each id is a number (a level of mu-law or PCM), predicted from the 32 before it by
 * weights that follow the signal (recursive least squares), with a spread that follows what was missed. Nobody trains
 * it and nothing is sent along: a decoder does the same.
 */
#ifndef MBS_BASELINE_LPC_H
#define MBS_BASELINE_LPC_H

#include "baseline/alphabet.h"

typedef struct mbs_lpc mbs_lpc;

mbs_status mbs_lpc_new(const mbs_alphabet *letters, mbs_lpc **out, mbs_err *err);
void mbs_lpc_free(mbs_lpc *l);
int64_t mbs_lpc_bytes(void);
/* What came before is no context any more; the weights stay. */
void mbs_lpc_break(mbs_lpc *l);
/* log P of the next letter, nats; then weights and spread follow it. */
double mbs_lpc_score(mbs_lpc *l, int letter);
/* The next letter, of which only the context is wanted. */
void mbs_lpc_pass(mbs_lpc *l, int letter);

#endif
