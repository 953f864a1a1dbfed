/*
 * session_impl.h - the inside of a session, shared by session.c (the way of a chunk), session_step.c (one row after the
 * other), session_draw.c (the token behind it) and session_state.c (the state as a value).
 */
#ifndef MBS_MODEL_SESSION_IMPL_H
#define MBS_MODEL_SESSION_IMPL_H

#include "model/impl.h"
#include "model/later.h"
#include "model/sample.h"

struct mbs_session {
    mbs_model *m;
    int64_t max_rows;
    int64_t tile;      /* rows worked on at once */
    int64_t head_tile; /* rows of logits made at once */
    int64_t tokens;    /* seen since reset */
    int64_t sum_rows;
    int broken; /* a call failed half-way: the state is of no use */
    mbk_buf *state;
    mbk_buf **past; /* of each block, past_rows rows of what earlier positions left; NULL where the block has none */
    int64_t *past_rows;
    mbk_buf *resid;   /* (tile, d) */
    mbk_buf *normed;  /* (tile + 1, d); row 0: the newest token of the call before */
    mbk_buf *scratch; /* of the mixers */
    mbs_later *later; /* settled before anybody but forward looks at the state; NULL: there is none, or no call */
    int stepped;      /* of a single row yet */
    mbk_buf *logits;  /* (head_tile, vocab_rows) */
    mbk_buf *logprob; /* (tile, 1) */
    /* Twice, so that those of the next tile travel while this one is computed: */
    mbk_buf *ids;     /* tile int32 */
    mbk_buf *frames;  /* or (tile, frame_width) */
    mbk_buf *targets; /* tile int32: as ids, but -1 for the first token of a sequence */
    mbk_buf *starts;  /* tile int32: rows of a tile at which a sequence begins */
    mbk_buf *sum;     /* d doubles */
    mbk_buf *flags;   /* of the sampler's ids; NULL: nothing is drawn here */
    mbk_buf *draws;   /* of at most MBS_SESSION_LANES rows: the doubles of all, behind them what was drawn */
    uint8_t *allowed; /* `flags` on the host */
    mbs_sampler sampler;
    /* One row after the other: what is done with each, recorded once for every place in a period. */
    mbk_tape **tapes; /* `period` */
    int64_t period;   /* 0: nothing is recorded */
    float *host;      /* the state and a row, for save, restore and copy */
    int32_t *row_ids; /* tile: what goes to targets and starts */
};

static inline int64_t session_floats(const mbs_session *s) {
    return s->m->state_floats;
}

static inline mbk_mat session_rows(mbk_buf *buf, int64_t from, int64_t rows, int64_t cols) {
    return (mbk_mat){buf, from * cols, rows, cols, cols};
}

/* --- session_past.c: what grows with a sequence */
/* The arrays, without a row. */
mbs_status mbs_session_past_new(mbs_session *s, mbs_err *err);
void mbs_session_past_free(mbs_session *s);
/* Room for a sequence of so many positions; what there is stays. */
mbs_status mbs_session_past_reserve(mbs_session *s, int64_t tokens, mbs_err *err);
/* Rows of a block that a sequence of so many tokens has left. */
int64_t mbs_past_used(const mbs_layer *layer, int64_t tokens);
int64_t mbs_model_past_bytes(const mbs_model *m, int64_t tokens);
/* dst continues where src stands; both of one model. */
mbs_status mbs_session_past_copy(mbs_session *dst, const mbs_session *src, mbs_err *err);
/* Appends mbs_model_past_bytes, and takes them back. */
mbs_status mbs_session_past_save(mbs_session *s, mbs_buf *out, mbs_err *err);
mbs_status mbs_session_past_restore(mbs_session *s, const unsigned char *bytes, mbs_err *err);

/* --- session_step.c */
/* Whether steps can be recorded here. Without memory they are not. */
void mbs_session_plan_steps(mbs_session *s);
void mbs_session_drop_steps(mbs_session *s);
void mbs_session_forget_steps(mbs_session *s); /* so that they are recorded anew */
/* A step of one row at s->tokens. `body` queues its operations, which are a function of the place in the period and of
 * what is on the device alone; they are run by way of a tape where that can be. */
mbk_status mbs_session_step(mbs_session *s, mbk_status (*body)(mbs_session *s));

/* --- session_draw.c; at most MBS_SESSION_LANES rows */
void mbs_session_drop_sampler(mbs_session *s);
mbk_status mbs_session_put_places(mbs_session *s, const mbs_next *next, int64_t n);
/* Of the rows of `logits` from there on; nothing but this is recorded. */
mbk_status mbs_session_queue_draw(mbs_session *s, int64_t from, int64_t n);
mbk_status mbs_session_take_draws(mbs_session *s, mbs_next *next, int64_t n);
/* All three. */
mbk_status mbs_session_draw_rows(mbs_session *s, mbs_next *next, int64_t from, int64_t n);

#endif
