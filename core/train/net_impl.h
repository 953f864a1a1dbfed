/*
 * net_impl.h - what the files of a net share. Nobody else includes it.
 *
 * Masters, gradients and both moments are one flat buffer each, in one order: tensors that are trained and decay, those
 * that are trained and do not, those of them with a rate of their own, those that stay. So an update is three calls at
 * most, and what stays has no gradient.
 */
#ifndef MBS_TRAIN_NET_IMPL_H
#define MBS_TRAIN_NET_IMPL_H

#include "model/mlp.h"
#include "train/net.h"

/* Rows at which sequences are cut are multiples of this, because a mixer may work in blocks at absolute positions. */
#define MBS_NET_ROWS_UNIT 64

typedef struct net_tensor {
    mbs_spec spec;      /* canonical name and shape */
    int64_t rows, cols; /* as held: turned where the spec says */
    int64_t n;          /* elements */
    int64_t at;         /* of the flat buffers, in floats */
    int trained;
} net_tensor;

/* A block: a norm, and a layer's mixer or MLP behind it. */
typedef struct net_layer {
    int64_t index; /* of the layer */
    const mbs_mixer *mixer;
    void *layer;
    void *reverse;      /* likewise, of the one that reads backward; NULL: there is none */
    int norm_w, norm_b; /* tensors; -1: none */
    int params, n_params;
    int64_t state_at, state_floats;
    int64_t keep_at, keep_reverse_at;
    int64_t past_floats, past_before; /* of a position: of the block, and of those before it */
    int trained;
} net_layer;

/* A matrix at the end of a net: the way forward and back. */
typedef struct net_head {
    int weight, bias; /* tensors; bias -1: none */
    int64_t outputs;
    mbk_weight *w;
    mbk_weight *t; /* transpose; NULL where no gradient goes through */
    mbk_math math; /* of its products */
    /* With two streams: the rows of `weight` at the complements, for the second; their gradient until it is added. */
    mbk_weight *rc, *rc_t;
    mbk_buf *rc_rows, *rc_grad; /* (outputs, d) */
} net_head;

/* Memory of a pass, for `rows` rows. */
typedef struct net_room {
    int64_t rows;
    int64_t held;        /* passes beside each other in resid, keep, ids and frames */
    int64_t keep_floats; /* of a pass */
    int64_t head_rows;   /* of which logits are made at once */
    int keeps;           /* there is room for what backward needs */
    mbk_buf *resid;      /* (rows, d) for each trained block and one more */
    mbk_buf *normed;     /* (rows, d) */
    mbk_buf *dnormed;    /* (rows, d) */
    mbk_buf *dresid;     /* (rows, d) */
    mbk_buf *scratch;
    mbk_buf *keep;
    mbk_buf *logits; /* (head_rows, outputs) */
    mbk_buf *loss;   /* rows */
    mbk_buf *hits;   /* rows */
    mbk_buf *weights;
    mbk_buf *ids;    /* int32 */
    mbk_buf *frames; /* or (rows, frame_width) */
    mbk_buf *targets;
    mbk_buf *starts;
    /* With classes, for `seqs` sequences. */
    int64_t seqs;
    mbk_buf *pool_sum; /* (seqs, d) doubles */
    mbk_buf *pooled;   /* (seqs, d) */
    mbk_buf *dpooled;
    double *host_pool;
    float *host_row; /* d */
    /* Of a net that takes whole sequences (net_both.c). */
    int lean;               /* what mixers keep is made again on the way back, one block at a time */
    mbk_buf *back;          /* (rows, d): rows read backward */
    mbk_buf *found, *other; /* (rows, d): what mixers found, and its gradients */
    mbk_buf *halves;        /* of layers that multiply: what both directions found, two for each trained block */
    int64_t turn_rows;
    float *host_turn; /* 2 turn_rows d */
    float *host_loss, *host_hits;
    int32_t *host_ints;
} net_room;

/* What computes one half of a batch beside a net that computes the other (net_twin.c). */
typedef struct net_twin {
    mbs_net *net;        /* its masters are the other's; gradients, packed matrices, states and room are its own */
    mbs_backend half[2]; /* what the two compute with at the same time */
    mbs_pool *pool;      /* runs both, borrowed */
} net_twin;

struct mbs_net {
    mbs_model_config cfg;
    mbk_ctx *ctx;
    net_twin twin; /* net NULL: none */
    mbk_format format;
    int64_t rows, truncate;
    int64_t
        held; /* passes whose work is kept at once: what lies before the passes that are kept is gone through twice */
    char arithmetic[64];
    net_tensor *tensors;
    int n_tensors;
    int64_t parameters, n_trained;
    int64_t decayed, quick, trained, floats; /* of the flat buffers: where the parts end */
    mbk_buf *w, *g, *m, *v;
    mbk_buf *acc;      /* a double */
    mbk_buf *before;   /* weights and both moments before an update */
    net_layer *layers; /* blocks: with MLPs two a layer, else one */
    int64_t n_blocks;
    int64_t first; /* trained block; n_blocks: none */
    int many;      /* sequences may share a pass */
    int whole;     /* layers may read both ways: a pass has whole sequences, of any length (net_both.c) */
    int streams;   /* rows of a token: 2 where a second stream reads the other strand */
    int table;     /* tensor; where frames come in, the front end's matrix, whose bias is the next */
    mbk_weight *table_w;
    int norm_w, norm_b; /* the last norm */
    net_head head;      /* its w is table_w where they are tied */
    int head_at;        /* the first tensor of a head, n_tensors where it is the table */
    int tied;
    int classes; /* the head gets one row of a sequence */
    int64_t state_floats;
    mbk_buf *state, *dstate;
    /* What positions of a long sequence leave behind for later ones (mbs_mixer_call.past): past_rows rows of all
     * blocks, one block after the other, and its gradient. Nothing is put back for another piece: rows of a position
     * are the same whenever they are made. */
    mbk_buf *past, *dpast;
    int64_t past_rows, past_floats;
    mbk_buf *edges; /* states at the boundaries of long sequences */
    int64_t n_edges;
    net_room room;
};

/* --- tensors (net_tensors.c) */
/* Lays out what `specs` declares, and makes the flat buffers. `train` as in mbs_net_options. */
mbs_status mbs_net_lay_out(mbs_net *net, const mbs_specs *specs, const char *train, mbs_err *err);
int mbs_net_find(const mbs_net *net, const char *name); /* -1: no such tensor */
mbk_mat mbs_net_w(const mbs_net *net, int tensor);      /* buf NULL for -1 */
mbk_mat mbs_net_g(const mbs_net *net, int tensor);      /* buf NULL where it is not trained, and for -1 */
/* Elements of a flat buffer in the canonical layout, and back. */
mbs_status mbs_net_read(mbs_net *net, const net_tensor *t, mbk_buf *from, float *out, mbs_err *err);
mbs_status mbs_net_write(mbs_net *net, const net_tensor *t, mbk_buf *to, const float *values, mbs_err *err);
/* Packs anew what products use; `all`: also what is not trained. MBS_ERR_DATA: a number that the format cannot hold. */
mbk_status mbs_net_refresh(mbs_net *net, int all);
mbs_status mbs_net_refresh_named(mbs_net *net, mbs_err *err); /* all, with an error that names the tensor */

/* What layers have summed up, and then what a twin has, goes to the gradients: before anybody looks at them. */
mbs_status mbs_net_gather(mbs_net *net, mbs_err *err);

/* --- two halves (net_twin.c) */
/* Both halves of a batch of two sequences or more, at the same time; `run` computes one, and its sums. */
mbs_status mbs_net_twin_run(mbs_net *net, const mbs_batch *batch, double scale, mbs_net_sums *sums,
                            mbs_status (*run)(mbs_net *, const mbs_batch *, double, mbs_net_sums *, mbs_err *),
                            mbs_err *err);
/* The twin's gradients are added to those of the net, and are zero then. */
mbk_status mbs_net_twin_collect(mbs_net *net);
void mbs_net_twin_free(mbs_net *net);
/* What a net has beside its tensors, their masters and moments: gradients, layers, ends, states. */
mbs_status mbs_net_make_parts(mbs_net *net, mbs_err *err);
/* What the net's context needs for the widest rows. */
mbs_status mbs_net_reserve_columns(mbs_net *net, mbs_err *err);

/* --- a pass (net_pass.c) */
typedef struct net_pass {
    const int32_t *ids;
    const float *frames;
    int64_t n; /* rows */
    int64_t position;
    const int64_t *starts; /* n_seq + 1 rows of the batch, of which the first is row 0 of the pass; n_seq 1: the
                            * sequence goes on where the state stands */
    int64_t n_seq;
    int keep;
    int past;     /* a piece of a long sequence */
    int64_t slot; /* of those that are held */
} net_pass;

/* Room for passes of so many rows, with or without what backward needs, of so many passes at once. */
mbs_status mbs_net_reserve(mbs_net *net, int64_t rows, int keeps, int64_t held, mbs_err *err);
void mbs_net_room_free(mbs_net *net);
mbk_mat mbs_net_rows(mbk_buf *buf, int64_t from, int64_t rows, int64_t cols);
/* Through all layers and the last norm, into `normed`. */
mbk_status mbs_net_forward(mbs_net *net, const net_pass *pass);
mbk_status mbs_net_last_norm(mbs_net *net, const net_pass *pass); /* that alone, of a pass that was held */
/* From `dnormed` down to the first tensor that is trained. */
mbk_status mbs_net_backward(mbs_net *net, const net_pass *pass);
mbk_mat mbs_net_resid(const mbs_net *net, const net_pass *pass, int64_t block, int64_t rows); /* what goes into it */
mbk_status mbs_net_norm(const mbs_net *net, mbk_mat y, mbk_mat x, int w, int b);
mbk_status mbs_net_norm_grad(const mbs_net *net, mbk_mat dx, mbk_mat dy, mbk_mat x, int w, int b, int add);

/* --- a pass of whole sequences (net_both.c) */
/* Rows of `pass` tokens: with two streams those of the second follow, as whole_impl.h has them. */
mbs_status mbs_net_both_reserve(mbs_net *net, int64_t rows, int keeps, mbs_err *err);
void mbs_net_both_free(mbs_net *net);
mbk_status mbs_net_both_forward(mbs_net *net, const net_pass *pass);
mbk_status mbs_net_both_backward(mbs_net *net, const net_pass *pass);
/* Rows of `from` to `to`, another buffer, the last first; with `channels` each row too. */
mbk_status mbs_net_turn(mbs_net *net, mbk_buf *to, int64_t to_row, mbk_buf *from, int64_t from_row, int64_t n,
                        int channels);
/* The head of the second stream: packed anew, and its gradient to that of the weight. */
mbk_status mbs_net_rc_refresh(mbs_net *net);
mbk_status mbs_net_rc_collect(mbs_net *net);

/* --- losses (net_head.c) */
void mbs_net_add_sums(mbs_net_sums *to, const mbs_net_sums *part);
/* Losses of n rows of `x` at the head, added to sums; with `back` also gradients of the head, and of x into dx. */
mbs_status mbs_net_score(mbs_net *net, mbk_buf *x, mbk_buf *dx, int64_t n, const int32_t *targets, const float *weights,
                         double scale, int back, mbs_net_sums *sums, mbs_err *err);

/* --- a sequence as one row (net_pool.c) */
mbk_status mbs_net_pool_begin(mbs_net *net);
/* Rows [from, from + n) of `normed` are the next ones of sequence k of those that are pooled. With two streams both
 * are asked for. */
mbk_status mbs_net_pool_add(mbs_net *net, int64_t k, int64_t from, int64_t n);
/* Losses of sequences [first, first + n_seq) of the batch, which are all that were pooled. */
mbs_status mbs_net_pool_score(mbs_net *net, const mbs_batch *b, int64_t first, int64_t n_seq, double scale, int back,
                              mbs_net_sums *sums, mbs_err *err);
/* Rows [from, from + n) of `dnormed`, which belong to sequence k of `length` tokens; `ends`: the last row of its stream
 * is among them. */
mbk_status mbs_net_pool_spread(mbs_net *net, int64_t k, int64_t length, int64_t from, int64_t n, int ends);

#endif
