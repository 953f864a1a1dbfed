/*
 * whole_impl.h - what the files of whole records share. Nobody else includes it.
 *
 * The rows of a call are numbered 0..n-1. With rcps a second stream follows them, row 2n - 1 - r belonging to row r:
 * the reverse complement of the whole call, in which every sequence is the reverse complement of its own. So both
 * streams are rows of one kind, reading backward is reading all of them from the end, and the exchange of the streams
 * that some models do before each block is a turn of all rows with their channels. Nothing is moved for that: `turned`
 * tells which way the rows lie.
 */
#ifndef MBS_MODEL_WHOLE_IMPL_H
#define MBS_MODEL_WHOLE_IMPL_H

#include "model/impl.h"
#include "model/whole.h"

typedef struct whole_store {
    float *rows;
    size_t bytes;
    int mapped;
} whole_store;

/* Room for so many bytes, whose contents are lost; a file where `spill`. */
mbs_status mbs_whole_store_room(whole_store *s, size_t bytes, int spill, mbs_err *err);
void mbs_whole_store_free(whole_store *s);

typedef enum whole_pass { WHOLE_EMBED, WHOLE_FORWARD, WHOLE_REVERSE, WHOLE_DONE } whole_pass;

struct mbs_whole {
    mbs_model *m;
    int64_t max_memory;
    int64_t tile;      /* rows worked on at once */
    int64_t head_tile; /* rows of logits made at once */
    whole_store resid; /* (rows, d): the residual stream */
    whole_store half;  /* (rows, d): what reading forward found, until reading backward is done */
    int spilled;
    mbk_buf *x;       /* (tile, d) */
    mbk_buf *normed;  /* (tile, d) */
    mbk_buf *found;   /* (tile, d) */
    mbk_buf *scratch; /* of the mixers */
    mbk_buf *state;   /* of the layer with the largest */
    mbk_buf *past;    /* of the block that takes most (mbs_mixer_call.past), past_rows positions */
    int64_t past_rows;
    mbk_buf *logits;  /* (head_tile, vocab_rows) */
    mbk_buf *logprob; /* head_tile */
    mbk_buf *ids;     /* tile int32 */
    mbk_buf *starts;  /* tile int32 */
    float *stage;     /* (tile, d) on the host */
    int32_t *ints;    /* tile on the host */
    /* All rows of a sequence at once, for mixers that want them. */
    int64_t all_rows;
    mbk_buf *all_x, *all_normed, *all_scratch;
    /* The call. */
    int32_t *tokens;
    size_t cap_tokens;
    int64_t n;      /* rows of the call */
    int64_t rows;   /* with the other stream */
    int64_t *edges; /* where sequences begin among `rows`, and their end: n_edges + 1 */
    int64_t n_edges;
    size_t cap_edges;
    int final;      /* rows are wanted behind the last norm */
    int64_t layers; /* blocks to go through */
    /* So far. */
    whole_pass pass;
    int64_t layer;
    int64_t at; /* row, or sequence for a mixer that wants all rows */
    int turned;
};

/* whole_rows.c: rows [at, at + n) in the way that `backward` reads them, from the store and to it. */
mbk_status mbs_whole_get(mbs_whole *w, const whole_store *s, int turned, int backward, int64_t at, int64_t n,
                         mbk_buf *to, int64_t to_row);
mbk_status mbs_whole_put(mbs_whole *w, whole_store *s, int turned, int backward, int64_t at, int64_t n, mbk_buf *from,
                         int64_t from_row);

#endif
