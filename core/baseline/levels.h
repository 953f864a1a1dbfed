/*
 * levels.h - the part of the line from -1 to 1 that each id of a codec of sound stands for.
 */
#ifndef MBS_BASELINE_LEVELS_H
#define MBS_BASELINE_LEVELS_H

#include "baseline/alphabet.h"

typedef struct mbs_levels {
    int n;                          /* levels: the letters, from the lowest to the highest */
    uint8_t rank[MBS_ALPHABET_MAX]; /* of each letter: its level */
    double value[MBS_ALPHABET_MAX]; /* of each level: the middle of its cell */
    double width[MBS_ALPHABET_MAX]; /* of each level: that of its cell */
    double edge[MBS_ALPHABET_MAX];  /* between a level and the next one: the middle of what lies between their cells */
} mbs_levels;

/* By the name of the vocabulary: mulaw-sashimi, mulaw-torchaudio, mulaw-g711 (mu-law); any other (pcm-8) has its ids in
 * even steps from -1 to 1. */
void mbs_levels_make(const mbs_alphabet *letters, mbs_levels *out);

#endif
