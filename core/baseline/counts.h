/*
 * counts.h - one table of a baseline: how often each letter stood behind each context of one order.
 */
#ifndef MBS_BASELINE_COUNTS_H
#define MBS_BASELINE_COUNTS_H

#include "baseline/alphabet.h"

#define MBS_COUNTS_MAX_BYTES ((int64_t)128 << 20)

typedef struct mbs_counts {
    const mbs_alphabet *letters;
    int order;
    int cell_bits; /* log2 of the cells */
    int hashed;
    uint64_t mask;   /* of a context: order letters */
    uint64_t ahead;  /* the last letters, the newest lowest */
    uint64_t behind; /* the same on the other strand: their complements, the newest highest */
    uint16_t *cells; /* letters->n counts each */
} mbs_counts;

mbs_status mbs_counts_init(mbs_counts *t, int order, const mbs_alphabet *letters, int64_t tokens, mbs_err *err);
void mbs_counts_free(mbs_counts *t);
int64_t mbs_counts_bytes(const mbs_counts *t);
void mbs_counts_break(mbs_counts *t);
/* The counts behind the present context. */
const uint16_t *mbs_counts_here(const mbs_counts *t);
/* Moves on by a letter; with `learn` it is counted, on both strands where there are two. */
void mbs_counts_move(mbs_counts *t, int letter, int learn);

#endif
