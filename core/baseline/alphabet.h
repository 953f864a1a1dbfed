/*
 * alphabet.h - the kinds of token that are counted, as letters 0..n-1: those ids that are scored anywhere in the input,
 * and their complements. Padding and special ids of a vocabulary are none, so a share of probability never goes there.
 */
#ifndef MBS_BASELINE_ALPHABET_H
#define MBS_BASELINE_ALPHABET_H

#include "base/err.h"
#include "mambaseq/codec.h"

#define MBS_ALPHABET_MAX 256 /* letters */

typedef struct mbs_alphabet {
    int n;
    int bits;         /* of a letter in a context, at least 1 */
    int32_t n_ids;    /* of the vocabulary */
    char vocab[32];   /* its name, cut where it is longer */
    int16_t *letters; /* of each id; -1: it is none */
    int complements;  /* whether there is a complement */
    uint8_t complement[MBS_ALPHABET_MAX];
} mbs_alphabet;

/* `seen`: a flag for each id of the vocabulary. MBS_ERR_DATA where nothing was seen or more than 256 kinds were. Free
 * it with mbs_alphabet_free in any case. */
mbs_status mbs_alphabet_make(const mbs_vocab *vocab, const uint8_t *seen, mbs_alphabet *out, mbs_err *err);
void mbs_alphabet_free(mbs_alphabet *a);
/* -1 where the id is no letter. */
int mbs_alphabet_letter(const mbs_alphabet *a, int32_t id);

#endif
