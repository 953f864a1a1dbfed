/*
 * piece.h - a track of sums: log-probabilities of tokens, taken together over pieces of one length in time.
 *
 * Pieces begin at whole multiples of `every` behind the beginning of the record; a row belongs to the one that it
 * begins in, and a piece without rows does not exist. Sums are made in the order of the rows, so no cut shows in them.
 */
#ifndef MBS_ROWFILE_PIECE_H
#define MBS_ROWFILE_PIECE_H

#include <stdint.h>

#include "mambaseq/host.h"

/* Plain values: goes into checkpoints. */
typedef struct mbs_piece {
    int64_t every; /* units; 0: there are no pieces */
    int64_t start, due, end;
    int64_t rows, scored;
    double sum;
} mbs_piece;

/* `every` from the parameter of that name in seconds, `usual` where it is not told (0: no pieces). MBS_ERR_CONFIG where
 * that is less than a unit, or the stream has no rate. */
mbs_status mbs_piece_every(mbs_piece *p, const mbs_host *host, const mbs_params *params,
                           const mbs_stream_header *stream, double usual);
/* At the first row of a record. */
void mbs_piece_begin(mbs_piece *p, int64_t start);
/* Whether a row that begins at `start` is the first of another piece: what is there is taken away first, then next. */
int mbs_piece_over(const mbs_piece *p, int64_t start);
void mbs_piece_next(mbs_piece *p, int64_t start);
/* A row up to `end`; NaN counts as one that was not scored. */
void mbs_piece_add(mbs_piece *p, float logprob, int64_t end);
/* Of the piece at hand; NaN where nothing was scored. */
double mbs_piece_bits(const mbs_piece *p);

#endif
