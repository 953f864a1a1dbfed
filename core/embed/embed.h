/*
 * embed.h - what the files of the library share: the two handles, how a call enters them, how it answers.
 */
#ifndef MBS_EMBED_EMBED_H
#define MBS_EMBED_EMBED_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "mambaseq/mambaseq.h"
#include "model/backend.h"
#include "model/model.h"

struct mbs_lm {
    pthread_mutex_t lock; /* one call at a time computes */
    _Atomic int64_t refs; /* the caller's handle and every stream */
    mbs_backend backend;
    mbs_model *model;
};

struct mbs_lm_stream {
    mbs_lm *lm;
    mbs_session *session;
    int64_t rows; /* the most tokens that a run of the session takes */
    _Atomic int busy;
};

/* Ends a public call: puts what `e` holds into the caller's struct, where there is one. Answers `st`. */
mbs_status mbs_lm_answer(mbs_lm_error *err, mbs_status st, const mbs_err *e);
/* "mbs_lm_feed: what: ..." with MBS_ERR_USAGE. */
static inline mbs_status mbs_lm_misuse(mbs_err *e, const char *function, const char *what) {
    (void)mbs_fail(e, MBS_ERR_USAGE, function, "%s", what);
    return MBS_ERR_USAGE;
}
/* Copies a struct of the caller into one of this library, which may be younger (its INIT value must be in *to: what the
 * caller's lacks keeps it) or older (then the rest must be zero). `least`: the size of the first version. */
mbs_status mbs_lm_take(void *to, size_t size, const void *from, size_t least, const char *name, mbs_err *e);

/* Sizes of the first version of each struct, told by its last field then: structs grow at their tail, and a program
 * that was built before keeps what it has. */
#define MBS_LM_UP_TO(type, field) (offsetof(type, field) + sizeof(((const type *)0)->field))
#define MBS_LM_LEAST_ERROR MBS_LM_UP_TO(mbs_lm_error, fix)
#define MBS_LM_LEAST_OPTIONS MBS_LM_UP_TO(mbs_lm_options, math)
#define MBS_LM_LEAST_FACTS MBS_LM_UP_TO(mbs_lm_facts, dtype)
#define MBS_LM_LEAST_OUT MBS_LM_UP_TO(mbs_lm_out, last_hidden)
#define MBS_LM_LEAST_SAMPLING MBS_LM_UP_TO(mbs_lm_sampling, arg)

/* Drops one reference; the last one frees. */
void mbs_lm_unref(mbs_lm *lm);

/* Claims a stream for a call and its model for computing; refused where the stream is in a call. */
mbs_status mbs_lm_enter(mbs_lm_stream *s, const char *function, mbs_err *e);
void mbs_lm_leave(mbs_lm_stream *s);
/* The claim alone, for a call that takes the model only now and then. */
mbs_status mbs_lm_claim(mbs_lm_stream *s, const char *function, mbs_err *e);
void mbs_lm_release(mbs_lm_stream *s);

#endif
