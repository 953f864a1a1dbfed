/*
 * nearest.h - did you mean? Candidates are offered one after the other; the nearest one within a distance that grows
 * with the length of the word wins, the first of equals. Case and '-' against '_' cost nothing, neighbours swapped cost
 * one.
 */
#ifndef MBS_OPT_NEAREST_H
#define MBS_OPT_NEAREST_H

#include <stddef.h>

#define MBS_NEAREST_MAX 63 /* longer words are neither looked for nor suggested */

typedef struct mbs_nearest {
    const char *word;
    size_t len;
    int distance;
    const char *at;                 /* the winner as it was offered, NULL: none */
    char best[MBS_NEAREST_MAX + 1]; /* its text, "" : none */
} mbs_nearest;

/* `word` is borrowed. */
void mbs_nearest_init(mbs_nearest *n, const char *word);
void mbs_nearest_offer(mbs_nearest *n, const char *candidate);
void mbs_nearest_offer_n(mbs_nearest *n, const char *candidate, size_t len);
/* Every word of "a|b|c"; NULL is fine. */
void mbs_nearest_offer_words(mbs_nearest *n, const char *words);

#endif
