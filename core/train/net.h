/*
 * net.h - a model whose gradients are wanted: f32 master weights with gradients and AdamW moments on a backend, the
 * matrices that products use packed from them, forward and backward passes over batches of sequences.
 *
 * Way of a step: mbs_net_gradients for each part of a batch (gradients add up) -> mbs_net_update (clips, AdamW, clears
 * the gradients, packs anew). The bits depend on the weights, the batches, `rows` and mbs_net_halve, never on threads.
 *
 * Memory: a pass holds activations of at most `rows` rows. A sequence that is longer is gone through forward first,
 * keeping only the states at every `rows`-th row; then piece by piece from its end: forward again with activations,
 * backward, the gradient of the state going on into the piece before. So the gradient is that of the whole sequence,
 * in memory of one state for each piece, plus one piece.
 */
#ifndef MBS_TRAIN_NET_H
#define MBS_TRAIN_NET_H

#include "model/backend.h"
#include "model/model.h"
#include "model/safetensors.h"

typedef struct mbs_net mbs_net;

typedef enum mbs_net_pool { MBS_NET_MEAN = 0, MBS_NET_LAST = 1 } mbs_net_pool;

typedef struct mbs_net_options {
    /* How matrices are held for products, and what products round their inputs to; NULL: f32. Masters, moments,
     * gradients and sums are f32 in any case. */
    const char *dtype; /* "f32", "bf16" */
    const char *math;  /* "f32", "bf16" */
    int64_t rows;      /* rows whose work is kept at once, a multiple of 64; 0: 2048 */
    int64_t truncate;  /* rows after which no gradient goes back (the state goes on); 0: never. A multiple of rows */
    const char *train; /* "all" (or NULL), "head", "last_K": the last K layers, the last norm and the head. A head that
                        * is the embedding (tied) is trained with "all" alone: "last_K" leaves it, "head" is refused */
    int64_t classes;   /* 0: a language model; else one linear head of so many outputs over the pooled last norm */
    mbs_net_pool pool; /* with classes */
} mbs_net_options;

/* The model that mbs_model_init would write for cfg and seed, with a head of classes where options say so.
 * MBS_ERR_CONFIG for options that cannot be, MBS_ERR_UNAVAILABLE for a mixer that runs but cannot be trained. */
mbs_status mbs_net_fresh(const mbs_model_config *cfg, uint64_t seed, const mbs_net_options *options, mbk_ctx *ctx,
                         mbs_net **out, mbs_err *err);
/* The model of a folder. A head of other classes, or none, is drawn anew from `seed`. A net with classes has no head
 * for tokens. */
mbs_status mbs_net_open(const char *folder, uint64_t seed, const mbs_net_options *options, mbk_ctx *ctx, mbs_net **out,
                        mbs_err *err);
void mbs_net_free(mbs_net *net);
/* From now on gradients of a batch of two sequences or more are computed in two halves at the same time, each with half
 * of b's threads. The bits are those of two halves for any number of threads, and differ from those of a net that was
 * not halved. A second set of gradients, packed matrices and activations takes memory. b is what the net's context
 * belongs to, and outlives the net. MBS_OK and nothing changes where b is a device, for models that read both ways (a
 * pass of these is whole windows), and for mixers that gather (Hyena: both halves would make the filters). */
mbs_status mbs_net_halve(mbs_net *net, const mbs_backend *b, mbs_err *err);
int mbs_net_is_halved(const mbs_net *net);
/* A number for the order in which the gradients of a step are summed, and for what the elementary functions round to:
 * raised with each change, for what goes on from a checkpoint of another order gets bits that no run from the beginning
 * has. */
#define MBS_NET_SUMS_ORDER 3
const mbs_model_config *mbs_net_config(const mbs_net *net);
int64_t mbs_net_parameters(const mbs_net *net);     /* tied ones once */
int64_t mbs_net_trained(const mbs_net *net);        /* those that change */
const char *mbs_net_arithmetic(const mbs_net *net); /* "cpu/avx512/f32" */

/* Sequences side by side: sequence k is rows [starts[k], starts[k + 1]), starts[0] is 0. Host memory, borrowed. */
typedef struct mbs_batch {
    int64_t n_seq;
    const int64_t *starts;  /* n_seq + 1 */
    const int32_t *ids;     /* fed, 0 <= id < vocab_rows; NULL where the model takes frames: */
    const float *frames;    /* rows of cfg.frame_width finite numbers */
    const int32_t *targets; /* a language model: the id that the output of this row has to predict (causal: the next
                             * token; masked: what stood here), -1: none. With classes: n_seq class numbers */
    const float *weights;   /* of the losses, one for each target; NULL: all 1 */
} mbs_batch;

/* What a pass found, added up: zero it before a step. */
typedef struct mbs_net_sums {
    double loss;    /* sum of weight x -ln P, nats */
    double weight;  /* sum of weights of targets */
    int64_t scored; /* targets */
    int64_t right;  /* of these, those with the largest output; the first of equals */
    /* NULL, or room for all targets there will be: the number with the largest output, for each. mbs_net_loss alone
     * fills it. */
    int32_t *taken;
} mbs_net_sums;

/* Forward and backward; gradients of `scale` x loss are added to what is there. scale is 1 over the sum of weights of
 * the whole step, so that a step may come in parts. MBS_ERR_DATA for ids and targets out of range. */
mbs_status mbs_net_gradients(mbs_net *net, const mbs_batch *batch, double scale, mbs_net_sums *sums, mbs_err *err);
/* The loss alone; the same numbers. */
mbs_status mbs_net_loss(mbs_net *net, const mbs_batch *batch, mbs_net_sums *sums, mbs_err *err);

typedef struct mbs_net_adamw {
    double lr, beta1, beta2, eps, weight_decay;
    double clip;  /* largest norm of the gradient over all trained weights; 0: none */
    int64_t step; /* from 1 */
} mbs_net_adamw;

/* *norm: of the gradient before clipping. A gradient or a weight that is not finite: MBS_ERR_DATA naming the first such
 * tensor in `where`, and weights and moments are as they were before the call. Decay
 * goes where model-semantics has it: not to biases, norms, A_log, D, and log_dt, A, B and P of a state space, whose
 * rate is MBS_SLOW_LR at most. */
mbs_status mbs_net_update(mbs_net *net, const mbs_net_adamw *how, double *norm, mbs_err *err);
void mbs_net_clear(mbs_net *net); /* gradients to zero, as after an update */
/* After gradients whose loss was not finite: the name of the first tensor of the layer whose rows were the first that
 * were not, of those that the last passes kept; of the head where all were. */
const char *mbs_net_stray(mbs_net *net);

/* A model for running, made of the weights as they are now, held as f32 with f32 math: for evaluation by the very code
 * that runs it. No files. The caller closes it. */
mbs_status mbs_net_model(mbs_net *net, mbs_model **out, mbs_err *err);

/* Writes model.safetensors (canonical names and shapes; `dtype` f32 or bf16: of matrices, all else is f32) into a
 * folder that exists and has none yet. */
mbs_status mbs_net_write_weights(mbs_net *net, const char *folder, mbs_dtype dtype, mbs_err *err);
/* Everything that training goes on from (weights f32, moments), as a new safetensors file; read back bit for bit.
 * MBS_ERR_DATA where the file is damaged or of another model (names the tensor); then nothing was taken from it. */
mbs_status mbs_net_save(mbs_net *net, const char *path, mbs_err *err);
mbs_status mbs_net_load(mbs_net *net, const char *path, mbs_err *err);

/* For tests: tensor by canonical name; its values and its gradient in the canonical layout. n: elements that fit. */
mbs_status mbs_net_get(mbs_net *net, const char *name, int gradient, float *out, size_t n, mbs_err *err);
mbs_status mbs_net_set(mbs_net *net, const char *name, const float *values, size_t n, mbs_err *err);

#endif
