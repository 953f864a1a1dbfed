/*
 * rowcode.h - rows of a codec that can give every byte back, as bits: what is said of a row beside the model's own
 * prediction.
 *
 * A row is a token with a spelling (side channel "verbatim": which of the ways to write it), or no token and one byte.
 * The order of the two kinds is foreseen from how long the runs of each kind and the lines were (lines of one length
 * cost nothing), a spelling from the one before, a byte from the three before it and its place in the line.
 */
#ifndef MBS_RUN_ROWCODE_H
#define MBS_RUN_ROWCODE_H

#include "run/coder.h"

#define MBS_ROW_TOKEN 0
#define MBS_ROW_BYTE 1
#define MBS_ROW_END 2

#define MBS_ROWCODE_SLOTS (1 << 18)

typedef struct mbs_rowcode {
    int32_t kind;      /* of the newest row */
    int32_t spelling;  /* of the newest token */
    int64_t run;       /* rows of that kind so far */
    int64_t last[2];   /* length of the last whole run of each kind */
    uint32_t bytes;    /* the newest bytes, the newest lowest */
    int64_t line;      /* rows since a byte '\n' */
    int64_t last_line; /* of the line before */
    mbs_coder_bit kinds[2][2][2][4];
    mbs_coder_bit end;
    mbs_coder_bit same[4];
    mbs_coder_bit spellings[256];
    mbs_coder_bit near[256 * 256];        /* a byte after another */
    mbs_coder_bit far[MBS_ROWCODE_SLOTS]; /* a byte after three and its place in the run; slots are shared */
} mbs_rowcode;

/* What comes next; of a token its spelling is coded by the second call, behind the token. */
void mbs_rowcode_put_kind(mbs_rowcode *r, mbs_encoder *e, int kind, uint8_t byte);
void mbs_rowcode_put_spelling(mbs_rowcode *r, mbs_encoder *e, uint8_t spelling);
/* The same way back; *byte is set for MBS_ROW_BYTE. */
int mbs_rowcode_get_kind(mbs_rowcode *r, mbs_decoder *d, uint8_t *byte);
uint8_t mbs_rowcode_get_spelling(mbs_rowcode *r, mbs_decoder *d);

#endif
