/*
 * whole.h - records gone through layer by layer, for models that cannot go through them row by row: layers that read
 * both ways (caduceus.h), and mixers that want all rows of a sequence at once (mbs_mixer.whole).
 *
 * Between two layers the rows of the record lie in host memory or, where they would take more than `max_memory`, in a
 * mapped file without a name in TMPDIR; each layer takes them in tiles. Both give the same bits: where rows lie decides
 * nothing. A reverse scan begins with the record's last row: nothing is ever padded. Whole short sequences go through
 * side by side, with the numbers that each would give alone.
 *
 * Sequence: mbs_whole_new -> {mbs_whole_begin -> mbs_whole_advance until done -> rows, as many as wanted}*. One thread
 * at a time, as with a session.
 */
#ifndef MBS_MODEL_WHOLE_H
#define MBS_MODEL_WHOLE_H

#include "model/model.h"

typedef struct mbs_whole mbs_whole;

/* Whether the model takes whole records: then mbs_session_new refuses it. */
int mbs_model_takes_whole(const mbs_model *m);
/* Floats of a row behind the layers: d_model, or with two streams twice as many, [a | b]. */
int64_t mbs_whole_width(const mbs_model *m);

/* `max_memory`: bytes that the rows of a call may take in memory, 0: half of the machine's. */
mbs_status mbs_whole_new(mbs_model *m, int64_t max_memory, mbs_whole **out, mbs_err *err);
void mbs_whole_free(mbs_whole *w);

/* Sequence k is ids [starts[k], starts[k + 1]), at least one token; starts[0] is 0. Copies both. `layers`: how many
 * blocks to go through, 0 to n_layer; -1: all of them, and rows are behind the last norm. MBS_ERR_DATA for ids that the
 * model has not; MBS_ERR_MEMORY where memory and file have no room, with how much would be needed. */
mbs_status mbs_whole_begin(mbs_whole *w, const int32_t *ids, const int64_t *starts, int64_t n_seq, int layers,
                           mbs_err *err);
/* Does a part of the work, some hundred rows through one layer (a mixer with mbs_mixer.whole: one sequence). */
mbs_status mbs_whole_advance(mbs_whole *w, int *done, mbs_err *err);
/* Both of the above. */
mbs_status mbs_whole_run(mbs_whole *w, const int32_t *ids, const int64_t *starts, int64_t n_seq, int layers,
                         mbs_err *err);

/* Of rows [from, from + n) of what was gone through; any order, as often as wanted. */
mbs_status mbs_whole_hidden(mbs_whole *w, int64_t from, int64_t n, float *out, mbs_err *err); /* n x width */
/* n x vocab_rows. A masked model: what stands at a row; else what comes behind it. */
mbs_status mbs_whole_logits(mbs_whole *w, int64_t from, int64_t n, float *out, mbs_err *err);
/* ln P of what stands at each row: of targets[i] instead of the own id where targets is given (-1: NaN). A model that
 * is not masked predicts it from the row before: NaN at the first row of a sequence. */
mbs_status mbs_whole_logprob(mbs_whole *w, int64_t from, int64_t n, const int32_t *targets, float *out, mbs_err *err);

/* Whether the rows of the call lie in a file, and how many bytes they take. */
int mbs_whole_spilled(const mbs_whole *w);
int64_t mbs_whole_bytes(const mbs_whole *w);

#endif
