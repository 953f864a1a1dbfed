/*
 * acgt.h - four bigWigs that are written side by side, a column each.
 */
#ifndef AC_ACGT_H
#define AC_ACGT_H

#include "genomics/bigwig/bigwig.h"

#define AC_LETTERS 4

typedef struct ac_writer {
    const mbs_host *host;
    char *path[AC_LETTERS];
    bw_writer *track[AC_LETTERS];
    int probability;
    int64_t column[AC_LETTERS]; /* of the logits */
    int next;                   /* a row predicts the base behind it */
    /* of the record at hand; goes into checkpoints */
    struct {
        int64_t there; /* the row before gave a prediction */
        float of[AC_LETTERS];
    } before;
} ac_writer;

extern const mbs_writer_vt ac_writer_vt;

#endif
