/*
 * model.h - a model folder, its weights on a backend, and the state that a stream carries.
 *
 * A folder holds config.json and model.safetensors (also sharded with model.safetensors.index.json) as the original
 * Mamba code or transformers writes them. Everything is validated before anything large is allocated; every missing,
 * extra or misshapen tensor is listed in one message; NaN or infinite weights are an error that names the tensor.
 *
 * Sequence: mbs_model_open -> mbs_session_new -> {mbs_session_run}* ; a session holds one state and scratch for one
 * stream. Sessions of one model are independent but share its context: one thread at a time.
 */
#ifndef MBS_MODEL_MODEL_H
#define MBS_MODEL_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "mbk/mbk.h"
#include "model/classes.h"
#include "model/config.h"

typedef struct mbs_model mbs_model;
typedef struct mbs_session mbs_session;

#define MBS_RATE_SCALE_MIN 0.01
#define MBS_RATE_SCALE_MAX 100.0

/* How the matrices of a model are held and multiplied. All other tensors, states and sums are f32 in any case. */
typedef struct mbs_model_options {
    /* NULL or "auto": bf16 where every matrix of the folder is BF16, else f32. "f32", "bf16" (rounded to nearest even),
     * "int8" (a scale for each row of a matrix). */
    const char *dtype;
    /* NULL or "f32": what is held is multiplied as it is. "bf16": both inputs of a product are rounded to bf16. */
    const char *math;
    /* Bytes that layers may take whose memory follows from their longest sequence (Hyena): room is made for shorter
     * ones alone where it is too little, longer ones are refused. 0: no limit. */
    int64_t max_memory;
    /* Not 0: time steps are so many times as long, for rows that stand for as much more time (sound at a lower rate).
     * MBS_ERR_CONFIG for a model with layers that have no time step (mbs_mixer.rescales), or that takes frames. */
    double rate_scale;
} mbs_model_options;

/* Weights are read, checked and prepared on ctx, which must outlive the model. MBS_ERR_CONFIG for a word that is none
 * of the above, MBS_ERR_UNAVAILABLE for one that the backend has not. */
mbs_status mbs_model_open_as(const char *folder, const mbs_model_options *options, mbk_ctx *ctx, mbs_model **out,
                             mbs_err *err);
/* The same with dtype auto and math f32. */
mbs_status mbs_model_open(const char *folder, mbk_ctx *ctx, mbs_model **out, mbs_err *err);
/* The model that mbs_model_init would write for `cfg` and `seed`, made in memory: for timing a shape. It has no files.
 */
mbs_status mbs_model_fresh_as(const mbs_model_config *cfg, uint64_t seed, const mbs_model_options *options,
                              mbk_ctx *ctx, mbs_model **out, mbs_err *err);
mbs_status mbs_model_fresh(const mbs_model_config *cfg, uint64_t seed, mbk_ctx *ctx, mbs_model **out, mbs_err *err);
/* Gives the n values of a tensor, by its canonical name ("backbone.layers.0.mixer.D") and in its canonical layout. */
typedef mbs_status (*mbs_model_values)(void *ctx, const char *name, float *out, int64_t n, mbs_err *err);
/* The model of these values; it has no files. The bits of one whose folder holds them. */
mbs_status mbs_model_of_values(const mbs_model_config *cfg, mbs_model_values values, void *values_ctx,
                               const mbs_model_options *options, mbk_ctx *ctx, mbs_model **out, mbs_err *err);
void mbs_model_close(mbs_model *m);
const mbs_model_config *mbs_model_get_config(const mbs_model *m);
int64_t mbs_model_parameters(const mbs_model *m); /* tied weights counted once */
/* Whether something predicts the next token: without, there are neither logits nor log-probabilities. */
int mbs_model_has_lm_head(const mbs_model *m);
/* The classification head: its classes (0: there is none) and their names (NULL where they have only numbers). Which
 * rows of a record it is meant for says cfg.pool. */
int64_t mbs_model_classes(const mbs_model *m);
const mbs_classes *mbs_model_class_names(const mbs_model *m);
const char *mbs_model_class_name(const mbs_model *m, int64_t k);
/* What the head makes of a pooled row behind the last norm (d_model): n outputs and their softmax; either may be NULL.
 * Host memory, sums in f64: the same numbers on every level. Any thread. */
void mbs_model_classify(const mbs_model *m, const float *row, float *outputs, float *prob);
/* The id that a record of this class begins with (model/start.h), NULL: of none in particular. -1: the model has no
 * such ids, or not for this class. */
int32_t mbs_model_start(const mbs_model *m, const char *class_name);
const mbs_classes *mbs_model_start_classes(const mbs_model *m);
const char *mbs_model_dtype(const mbs_model *m); /* how matrices are held: "f32", "bf16", "int8"; never "auto" */
const char *mbs_model_math(const mbs_model *m);  /* "f32", "bf16" */
/* Device, kernels and math, "cpu/avx512/f32": models of the same folder, dtype and arithmetic give the same bits. */
const char *mbs_model_arithmetic(const mbs_model *m);
int64_t mbs_model_weight_bytes(const mbs_model *m);
/* How its backend wants long calls cut. */
const mbk_pace *mbs_model_pace(const mbs_model *m); /* that all weights take on the backend */
/* SHA-256 over config.json and all weight files one after the other (shards by name), in hexadecimal; computed at the
 * first call. NULL on failure, also where a file was changed after it was loaded. */
const char *mbs_model_sha256(mbs_model *m, mbs_err *err);

/* `max_rows`: the most tokens that one run call may be given. Allocates everything that running needs. */
mbs_status mbs_session_new(mbs_model *m, int64_t max_rows, mbs_session **out, mbs_err *err);
void mbs_session_free(mbs_session *s);
/* The state of a sequence's beginning: zeros, nothing seen. */
mbs_status mbs_session_reset(mbs_session *s, mbs_err *err);
/* Makes dst continue where src stands (forking a prompt). Same model. */
mbs_status mbs_session_copy(mbs_session *dst, const mbs_session *src, mbs_err *err);
/* The state in a canonical form (f32: each layer's as its mixer lays it out, for mamba1 as the reference does, conv
 * (d_inner, W) then ssm (d_inner, N); the newest token's row after the last norm, which predicts the next), bit-exact
 * to restore on the same level, also with bytes behind it up to mbs_model_state_bytes. A state of other weights, of
 * another version or damaged is refused with MBS_ERR_DATA.
 */
mbs_status mbs_session_save(mbs_session *s, mbs_buf *out, mbs_err *err);
mbs_status mbs_session_restore(mbs_session *s, const void *bytes, size_t n, mbs_err *err);
/* Of a saved state, at most where it follows from the tokens so far (long filters); of a model with attention, whose
 * state grows with the stream, before the first token. */
size_t mbs_model_state_bytes(const mbs_model *m);
size_t mbs_session_state_bytes(const mbs_session *s); /* of this stream's, as it is now */
/* Bytes that each token adds to a stream's memory, 0 for a model whose memory is constant; how many tokens do so at
 * most (the largest window), 0: all. */
int64_t mbs_config_grows(const mbs_model_config *cfg, int64_t *most);
/* One layer's part of the state in the canonical form: `size` floats at most, of mbs_model_layer_floats. */
mbs_status mbs_session_layer_state(mbs_session *s, int64_t layer, float *out, size_t size, mbs_err *err);
int64_t mbs_model_layer_floats(const mbs_model *m, int64_t layer);

/* The token behind the last row of a call, drawn on the device, so that no logits come back. */
typedef struct mbs_next {
    double u;      /* in: uniform in [0, 1) */
    int32_t id;    /* as mbs_sampler_draw of the same logits */
    float logprob; /* within 1e-6 of its */
} mbs_next;
struct mbs_sampler;
/* How `next` is drawn from now on; numbers and flags are copied, and the same as before cost nothing. Does nothing
 * where the backend does not draw. */
mbs_status mbs_session_set_sampler(mbs_session *s, const struct mbs_sampler *sampler, mbs_err *err);
/* Whether `next` may be asked for; where not, ask for logits and call mbs_sampler_draw. */
int mbs_session_draws(const mbs_session *s);

/* What a run call gives for its n tokens; NULL members are not computed. Host memory. */
typedef struct mbs_run_out {
    float *logprob;     /* n: ln P(token i | all before); NaN for the first token of the sequence */
    float *logits;      /* n x vocab_rows: row i is the prediction after token i */
    float *hidden;      /* n x d_model: see `layer` */
    int layer;          /* -1: after the last norm; k: residual stream after k blocks, 0 = embedding */
    int sum;            /* also add the rows of `layer` to the session's running sum (f64), for mean pooling */
    float *last_hidden; /* d_model: only the last row of `layer` */
    float *last_logits; /* vocab_rows: only the last row, for generation */
    mbs_next *next;     /* only where mbs_session_draws */
} mbs_run_out;

/* Feeds n tokens (0 <= id < vocab_rows, 1 <= n <= max_rows) and moves the state. The numbers do not depend on how a
 * sequence is cut into calls. */
mbs_status mbs_session_run(mbs_session *s, const int32_t *ids, int64_t n, const mbs_run_out *out, mbs_err *err);
/* The same for n rows of what the model takes: ids, or with cfg.frame_width frames (n x frame_width, finite numbers).
 * The other member is NULL. */
typedef struct mbs_feed {
    const int32_t *ids;
    const float *frames;
} mbs_feed;
mbs_status mbs_session_feed(mbs_session *s, const mbs_feed *feed, int64_t n, const mbs_run_out *out, mbs_err *err);
/* The prediction after the newest token (vocab_rows): what last_logits of the call that brought it would hold. */
mbs_status mbs_session_predict(mbs_session *s, float *logits, mbs_err *err);
/* What `next` of that call would hold. */
mbs_status mbs_session_draw_newest(mbs_session *s, mbs_next *next, mbs_err *err);
/* Whether every layer can take more than one sequence in a call. */
int mbs_model_takes_many(const mbs_model *m);
/* Whole sequences side by side, each from its beginning: sequence k is ids [starts[k], starts[k + 1]), at least one
 * token; starts[0] is 0, starts[n_seq] how many tokens there are (at most max_rows). Gives logprob, logits and hidden
 * of all tokens (the other members of `out` must be 0), the same numbers as a reset and a run of each sequence alone,
 * and leaves the session behind the last sequence. Needs mbs_model_takes_many. */
mbs_status mbs_session_run_many(mbs_session *s, const int32_t *ids, const int32_t *starts, int64_t n_seq,
                                const mbs_run_out *out, mbs_err *err);
mbs_status mbs_session_feed_many(mbs_session *s, const mbs_feed *feed, const int32_t *starts, int64_t n_seq,
                                 const mbs_run_out *out, mbs_err *err);
/* One token for each of n streams, in lock step: logits (n x vocab_rows) are the predictions behind them, `next` (n)
 * what the sampler of `room` draws from these; NULL: not wanted. The same bits as a call for each. `room` is a further
 * session of the same model, with max_rows of at least n, whose scratch is used and whose stream stays where it is. */
#define MBS_SESSION_LANES 16
mbs_status mbs_session_step_lanes(mbs_session *room, mbs_session *const *lanes, int64_t n, const int32_t *ids,
                                  float *logits, mbs_next *next, mbs_err *err);
/* The running sum of `sum` (d_model doubles) and how many rows it holds; cleared by reset, saved and restored. */
mbs_status mbs_session_sum(mbs_session *s, double *sum, int64_t *rows, mbs_err *err);
int64_t mbs_session_tokens(const mbs_session *s); /* seen since reset */

#endif
