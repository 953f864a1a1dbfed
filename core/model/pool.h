/*
 * pool.h - layers at a lower rate, as SaShiMi has them: `factor` rows become one of another width (down), which goes
 * through layers of its own, and what comes out becomes `factor` rows again (up), which are added to those that came.
 * The rows that group j gives go to group j + 1, so that an output knows nothing of later inputs; to the first group
 * nothing is added.
 *
 *   x_j = down (h_jp ... h_jp+p-1), the first row first;  y_j = layers(x_j);  h_jp+s += (up y_j-1)_s
 *
 * Neither what goes down nor what comes up is normed; the layers within have their norms as those of the model have.
 * A config holds the layers within in one list for all (mbs_model_config.nested), of which such a layer has a part.
 */
#ifndef MBS_MODEL_POOL_H
#define MBS_MODEL_POOL_H

#include "model/mixer_held.h"
#include "model/mlp.h"

/* How deep layers may stand within layers. */
#define MBS_POOL_DEPTH 4

/* A config of the layers within, as if they were a model of their own: for what asks for a config and an index. The
 * width of MLPs goes with that of the rows, 1 at least. */
void mbs_pooled_inner(const mbs_model_config *c, int64_t index, mbs_model_config *out);

/* --- shared by pool.c and pool_grad.c */

typedef struct mbs_pooled_block {
    const mbs_mixer *mixer;
    int64_t index; /* of the layer within */
    void *layer;
    mbs_mixer_param norm[2]; /* weight, bias; without a buffer where there is none */
    mbk_buf *own[2];         /* running: of those */
    int64_t state_at;        /* behind the pool's own part */
} mbs_pooled_block;

typedef struct mbs_pooled {
    mbs_model_config *cfg; /* of the layers within */
    int64_t d, width, factor;
    mbk_weight *down, *up;   /* (width, factor d), (factor d, width) */
    mbs_mixer_param bias[2]; /* of down, of up */
    mbk_buf *own[2];
    mbs_pooled_block *block;
    int64_t n;
    int64_t scratch_one; /* floats that the layers within take for one row */
} mbs_pooled;

/* Where a call stands among the groups. */
typedef struct mbs_pooled_at {
    int64_t begun;  /* rows of the open group before the call */
    int64_t groups; /* that are complete with it */
    int64_t rest;   /* rows of the open group behind it */
} mbs_pooled_at;

/* Rows of a call that completes groups. */
typedef struct mbs_pooled_rows {
    mbk_mat fed;    /* (begun + L, d): what goes down */
    mbk_mat x;      /* (groups, width): into the first layer within; kept: slots for what goes into each, */
    int64_t slot;   /* so many floats apart; 0: all are one */
    mbk_mat normed; /* (groups, width); scratch */
    mbk_mat lift;   /* (factor (groups + 1), d): what came up last, and what comes up; scratch */
    int64_t keep_at;
} mbs_pooled_rows;

mbs_pooled_at mbs_pooled_where(const mbs_pooled *m, const mbs_mixer_call *call);
mbs_pooled_rows mbs_pooled_rows_of(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_at *at);
/* The layers within over the group that the call has completed, all of it in the state's open group: what comes up is
 * the state's other part, and the open group is empty. */
mbk_status mbs_pooled_climb(const mbs_pooled *m, const mbs_mixer_call *call);
/* What block i within is called with; `keeps`: floats kept by those before it. */
mbs_mixer_call mbs_pooled_call(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_rows *r, int64_t i,
                               int64_t keeps);
/* Parts of a state: the rows of the open group (0), and what came up last (1); both (factor, d). */
mbk_mat mbs_pooled_part(const mbs_pooled *m, mbk_buf *state, int64_t state_at, int part);
/* n rows from row `from` on. */
mbk_mat mbs_pooled_some(mbk_mat m, int64_t from, int64_t n);
/* `factor` rows as one. */
mbk_mat mbs_pooled_joined(const mbs_pooled *m, mbk_mat rows);
/* Fills a zeroed one but for layers and weights, and frees what that made. */
mbs_status mbs_pooled_start(const mbs_model_config *c, int64_t index, mbs_pooled *m, mbs_err *err);
void mbs_pooled_end(mbs_pooled *m);
/* Groups that are complete with so many rows, at most. */
int64_t mbs_pooled_groups(const mbs_layer_sizes *z, int64_t rows);
/* Floats of scratch that serve every layer within; with `back` also backward. */
int64_t mbs_pooled_within(const mbs_model_config *inner, int64_t rows, int back);

extern const mbs_mixer_train mbs_pooled_train;

#endif
