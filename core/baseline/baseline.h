/*
 * baseline.h - what classical models make of the same tokens: tables of counts that a model's bits per token stand
 * beside. A baseline learns from the first tokens that it is given, is frozen by the first one that it scores, and
 * knows tokens only: their ids, how many there are, what complements what, and what the vocabulary is called.
 *
 *   order-K  one Markov table: the counts of each token behind the K before it, (count + a) / (all + n a). The a is the
 *            one of 1, 1/4 and 1/16 that would have coded what was learnt in the fewest bits.
 *   mix      the logarithms of up to 16 such tables (orders 1 to 24), weighted and added; the weights, one set for the
 *            longest context that was met before and one for the last tokens, are learnt on the way.
 *   lpc32    for sound: ids are cells of a line, on which each sample is predicted from the 32 before (baseline/lpc.h).
 *            It is not frozen: it goes on following the signal while it scores, as a decoder could.
 *
 * Where tokens have a complement every context is also counted on the other strand (inverted repeats). A table is exact
 * while its contexts fit, hashed without a check above: never more than 128 MiB, and no more cells than four for each
 * token that is learnt from (rounded up to a power of two). Counts have 16 bits; those of a cell are halved at 60,000.
 * The same tokens give the same numbers. No threads; one baseline may be used by one thread at a time.
 */
#ifndef MBS_BASELINE_BASELINE_H
#define MBS_BASELINE_BASELINE_H

#include "baseline/alphabet.h"

#define MBS_BASELINE_MAX_ORDER 24
#define MBS_BASELINE_MIX (-1)
#define MBS_BASELINE_LPC (-2)
#define MBS_BASELINE_MAX 16 /* of one list */

typedef struct mbs_baseline mbs_baseline;

/* The words of "order-6,mix" in their order, every one once: orders, MBS_BASELINE_MIX or MBS_BASELINE_LPC. `option` is
 * how messages call the list. MBS_ERR_USAGE for a word that is none. */
mbs_status mbs_baseline_list(const char *option, const char *list, int orders[MBS_BASELINE_MAX], int *n, mbs_err *err);
/* "order-6", "mix", "lpc32". */
void mbs_baseline_name(int order, char out[16]);

/* `letters` is borrowed. `tokens`: how many it will learn from, about. MBS_ERR_USAGE where so long a context of so many
 * kinds of token does not fit into 62 bits. */
mbs_status mbs_baseline_new(int order, const mbs_alphabet *letters, int64_t tokens, mbs_baseline **out, mbs_err *err);
void mbs_baseline_free(mbs_baseline *b);
int64_t mbs_baseline_bytes(const mbs_baseline *b); /* of its tables */

/* A record begins, or something stands here that is no letter: what came before is no context any more. */
void mbs_baseline_break(mbs_baseline *b);
/* The next letter (below letters->n), to learn from; not after the first score. */
void mbs_baseline_learn(mbs_baseline *b, int letter);
/* The next letter, of which only the context is wanted. */
void mbs_baseline_pass(mbs_baseline *b, int letter);
/* log P of the next letter, nats; always finite. */
double mbs_baseline_score(mbs_baseline *b, int letter);

#endif
