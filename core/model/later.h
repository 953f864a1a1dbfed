/*
 * later.h - layers at a lower rate on a thread of their own. What a group's layers give is added to the rows of the
 * next group alone, so they may still run while the model is at the rows of its own rate: the last one of the group on
 * its way up, and the first of the next on its way down. Every operation is the same as without, so are the bits.
 *
 *   own thread     row 3: down, up   row 4: down, +, up   row 5 ...
 *   this one              group 0 ----------^
 *
 * One stream has one; streams in lock step have none. Until mbs_later_settle nobody but forward may look at the state.
 */
#ifndef MBS_MODEL_LATER_H
#define MBS_MODEL_LATER_H

#include "model/pool.h"

struct mbs_model;
typedef struct mbs_later mbs_later;

/* `scratch`: of the stream's own thread, as mbs_mixer_call has it. *out stays NULL where nothing is to be gained: no
 * layers at a lower rate, one thread, products that the threads share already; or without memory or a thread. */
void mbs_later_new(const struct mbs_model *m, mbk_buf *scratch, mbs_later **out);
/* After mbs_later_settle; NULL is fine here and there. */
void mbs_later_free(mbs_later *l);
/* Ends what is under way. An error of layers whose rows nobody has asked for yet is the caller's. */
mbk_status mbs_later_settle(mbs_later *l);
/* The same for a state that nothing stays of, nor of its errors. */
void mbs_later_forget(mbs_later *l);

/* --- for pool.c */

/* The layers within `m` are to go over the group that `call` has completed in its state. */
void mbs_later_give(mbs_later *l, const mbs_pooled *m, const mbs_mixer_call *call);
/* Returns when what they gave is in the state. */
mbk_status mbs_later_need(mbs_later *l, const mbs_pooled *m);

#endif
