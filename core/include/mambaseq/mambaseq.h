/*
 * mambaseq.h - the runtime as a library: open a model, feed tokens, read predictions and states, fork, generate.
 *
 *   mbs_lm_error err = MBS_LM_ERROR_INIT;
 *   mbs_lm *lm;
 *   mbs_lm_stream *s;
 *   float logprob[3];
 *   mbs_lm_out out = MBS_LM_OUT_INIT;
 *   const int32_t ids[3] = {7, 8, 9};
 *   out.logprob = logprob;
 *   if (mbs_lm_open("share/models/ecoli-ref", NULL, &lm, &err) < 0 ||
 *       mbs_lm_stream_new(lm, 0, &s, &err) < 0 ||
 *       mbs_lm_feed(s, ids, 3, &out, &err) < 0) { ... err.where, err.what, err.fix ... }
 *   mbs_lm_stream_free(s);
 *   mbs_lm_close(lm);
 *
 * A model (mbs_lm) is a folder as transformers or the original Mamba code writes it: config.json and model.safetensors.
 * A stream (mbs_lm_stream) is one sequence on its way through it: a state of fixed size, however long the sequence. The
 * library knows tokens only; which letter is which id stands in the vocabulary of the folder, which the caller reads.
 *
 * Numbers. Tokens are int32 ids, 0 <= id < vocab_rows. Everything else that comes out is float32 in rows one behind
 * the other, natural logarithms. The numbers do not depend on how a sequence is cut into calls, on the number of
 * threads, or on other streams: bit for bit, for one arithmetic and dtype (mbs_lm_facts). On a device (`device` of
 * mbs_lm_options) that holds for cuts at multiples of 1,024 tokens; other cuts agree to 5e-6.
 *
 * Ownership. Arguments are borrowed for the call (an option's text too); what comes out through a `**out` belongs to
 * the caller and has a function that frees it. Streams keep what they need of their model: it may be closed first.
 *
 * Threads. Every function may be called from any thread. Calls on one model and its streams take turns (each uses all
 * threads of the model); models are independent of each other, also when they were opened from the same folder. One
 * stream is used by one thread at a time: a call on a stream that is in another call is refused with MBS_ERR_USAGE. A
 * child of fork() must not use what its parent opened.
 *
 * Errors. A call answers MBS_OK or a negative status of status.h, and tells the rest in *err, which may be NULL.
 * MBS_ERR_USAGE: the call is wrong (a NULL, a stream of another model). MBS_ERR_NOINPUT, _DATA: the folder or its
 * files. MBS_ERR_MEMORY, _UNAVAILABLE: the machine. *out is NULL after an error. Nothing is printed, no signal is
 * handled, the process is never ended.
 *
 * Growth. Structs begin with their size, so that a program built with this header works with a later library of the
 * same major (libmambaseq.so.0): set struct_size, leave what you do not use at its INIT value.
 */
#ifndef MAMBASEQ_MAMBASEQ_H
#define MAMBASEQ_MAMBASEQ_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MBS_LM_API __attribute__((visibility("default")))
#else
#define MBS_LM_API
#endif

typedef struct mbs_lm mbs_lm;
typedef struct mbs_lm_stream mbs_lm_stream;

/* "0.1.0", of the library that is running; MBS_VERSION of version.h is that of the headers. */
MBS_LM_API const char *mbs_lm_version(void);

/* --- errors --------------------------------------------------------------------------------------------------------
 */

/* Text is lower case, without a full stop, and without control bytes. */
typedef struct mbs_lm_error {
    uint32_t struct_size;
    mbs_status status; /* as the call answered; every call sets it */
    char where[512];   /* the file or function, "models/a/config.json"; may be empty */
    char what[1536];   /* "what happened: why" */
    char fix[512];     /* what to do about it; may be empty */
} mbs_lm_error;

#define MBS_LM_ERROR_INIT                                                                                              \
    { (uint32_t)sizeof(mbs_lm_error), MBS_OK, "", "", "" }

/* "where: what; fix" as one line without a line end, cut to `size`, always terminated. Answers out. */
MBS_LM_API const char *mbs_lm_error_line(const mbs_lm_error *err, char *out, size_t size);

/* --- models --------------------------------------------------------------------------------------------------------
 */

typedef struct mbs_lm_options {
    uint32_t struct_size;
    int32_t threads;    /* compute threads, the caller's included; 0: all that this process may use */
    const char *level;  /* kernels: "ref", "avx2", "avx512", "avx512vnni", "avx512bf16"; NULL: what MAMBASEQ_CPU names,
                         * else the best of this machine */
    const char *dtype;  /* how weights are held, as model.dtype of a pipeline; NULL: "auto" */
    const char *math;   /* what products are computed in, as model.math of a pipeline; NULL: "f32" */
    const char *device; /* "cpu", "cuda", "cuda:1", or "auto": a CUDA device where there is one, which says on stderr
                         * why an installed backend is not used; NULL: "cpu". Of a later version: old callers get cpu */
} mbs_lm_options;

#define MBS_LM_OPTIONS_INIT                                                                                            \
    { (uint32_t)sizeof(mbs_lm_options), 0, NULL, NULL, NULL, NULL }

/* Reads and checks the folder and starts the threads. options may be NULL. */
MBS_LM_API mbs_status mbs_lm_open(const char *folder, const mbs_lm_options *options, mbs_lm **out, mbs_lm_error *err);
/* Gives the model back; its streams may be freed later. NULL is fine. */
MBS_LM_API void mbs_lm_close(mbs_lm *lm);

typedef struct mbs_lm_facts {
    uint32_t struct_size;
    int32_t threads;
    int64_t vocab_size; /* ids with a meaning */
    int64_t vocab_rows; /* floats of a row of logits: the vocabulary and its padding */
    int64_t d_model;    /* floats of a hidden row */
    int64_t n_layer;
    int64_t parameters;   /* tied weights counted once */
    int64_t state_bytes;  /* of mbs_lm_save */
    int64_t weight_bytes; /* that the weights take in memory */
    int32_t bos;          /* ids as config.json has them, -1: none */
    int32_t eos;
    int32_t pad;
    int32_t reserved;
    char model_type[32]; /* "mamba" */
    char arithmetic[64]; /* device, kernels, math: "cpu/avx512/f32". The same and the same dtype: the same bits */
    char dtype[16];      /* how the matrices are held: "f32", "bf16", "int8" */
} mbs_lm_facts;

/* Set facts->struct_size; the rest is filled. */
MBS_LM_API mbs_status mbs_lm_get_facts(const mbs_lm *lm, mbs_lm_facts *facts, mbs_lm_error *err);
/* 64 hexadecimal digits and a NUL: SHA-256 over config.json and the weight files, as `model_sha256` of outputs. Reads
 * them again the first time; fails with MBS_ERR_DATA where a file is no longer what was loaded. */
MBS_LM_API mbs_status mbs_lm_sha256(mbs_lm *lm, char out[65], mbs_lm_error *err);

/* --- streams -------------------------------------------------------------------------------------------------------
 */

/* A stream at the beginning of a sequence. rows: how many tokens usually come at a time, for which scratch is made (1
 * for a stream that is only stepped or kept as a fork); 0: as many as run well. A call may feed any number whatever. */
MBS_LM_API mbs_status mbs_lm_stream_new(mbs_lm *lm, int64_t rows, mbs_lm_stream **out, mbs_lm_error *err);
/* NULL is fine. */
MBS_LM_API void mbs_lm_stream_free(mbs_lm_stream *s);
/* Back to the beginning of a sequence. */
MBS_LM_API mbs_status mbs_lm_reset(mbs_lm_stream *s, mbs_lm_error *err);
/* Tokens seen since the beginning; -1 for NULL. */
MBS_LM_API int64_t mbs_lm_tokens(const mbs_lm_stream *s);

/* Where the results of a feed go: memory of the caller, or NULL for what is not wanted (and then not computed). */
typedef struct mbs_lm_out {
    uint32_t struct_size;
    int32_t layer;  /* which hidden rows: -1 after the last norm; k the residual stream after k blocks, 0 = embedding */
    float *logprob; /* n: ln P(token i | all before it); NaN for the first token of the sequence */
    float *logits;  /* n x vocab_rows: row i predicts what follows token i */
    float *hidden;  /* n x d_model, of `layer` */
    float *last_logits; /* vocab_rows: only the row of the last token */
    float *last_hidden; /* d_model: likewise */
} mbs_lm_out;

#define MBS_LM_OUT_INIT                                                                                                \
    { (uint32_t)sizeof(mbs_lm_out), -1, NULL, NULL, NULL, NULL, NULL }

/* Feeds n >= 0 tokens (with 0 there is no last row to ask for). out may be NULL: the state moves, nothing is given.
 * After MBS_ERR_USAGE, or MBS_ERR_DATA for an id that the model does not have, the stream is where it was before; after
 * another error it must be reset, restored or copied to. */
MBS_LM_API mbs_status mbs_lm_feed(mbs_lm_stream *s, const int32_t *ids, int64_t n, const mbs_lm_out *out,
                                  mbs_lm_error *err);
/* vocab_rows floats: the logits of what follows the newest token, the same as last_logits of the feed that ended with
 * it. MBS_ERR_USAGE where nothing was fed yet. */
MBS_LM_API mbs_status mbs_lm_predict(mbs_lm_stream *s, float *logits, mbs_lm_error *err);

/* --- the state as a value ------------------------------------------------------------------------------------------
 */

/* A second stream that stands where `from` stands; from then on they have nothing to do with each other. */
MBS_LM_API mbs_status mbs_lm_fork(mbs_lm_stream *from, mbs_lm_stream **out, mbs_lm_error *err);
/* The same into a stream of the same model that is there already; allocates nothing. */
MBS_LM_API mbs_status mbs_lm_copy(mbs_lm_stream *to, mbs_lm_stream *from, mbs_lm_error *err);
/* state_bytes bytes, from which a stream of the same model and dtype continues, also in another process and on another
 * machine. `size`: of the buffer, at least state_bytes. */
MBS_LM_API mbs_status mbs_lm_save(mbs_lm_stream *s, void *bytes, size_t size, mbs_lm_error *err);
/* Bytes of another model, cut short or changed are MBS_ERR_DATA; the stream is then where it was before. */
MBS_LM_API mbs_status mbs_lm_restore(mbs_lm_stream *s, const void *bytes, size_t size, mbs_lm_error *err);
/* What layer 0 <= layer < n_layer carries, as floats in the layout of the reference; for "mamba" first the convolution
 * (d_inner rows of the last d_conv inputs), then the recurrent state (d_inner rows of d_state); for "mamba2" the
 * convolution (x, B, C), the state of each head (head_dim rows of d_state) before the block of 64 tokens that is open,
 * and what the tokens of that block are about to add to it, as the kernels keep it. Writes up to `size` floats and sets
 * *n to how many the layer has: ask with size 0 first (out may then be NULL). */
MBS_LM_API mbs_status mbs_lm_read_state(mbs_lm_stream *s, int64_t layer, float *out, size_t size, size_t *n,
                                        mbs_lm_error *err);

/* --- generation ----------------------------------------------------------------------------------------------------
 */

/* Called with each token after it was drawn and fed, and with the model's own log-probability of it (before temperature
 * and cuts). Nonzero ends the generation behind this token. The stream is in a call: it must not be used in here. */
typedef int32_t (*mbs_lm_on_token)(void *arg, int32_t id, float logprob);

/*
 * How tokens are drawn. A draw depends on (seed, sample, place in the sample) and the prediction only, so the same
 * values give the same tokens as task `generate` of `mambaseq run`, there with sample = record * num_samples + number
 * of the sample, each from 0; and `first` lets a sample go on in a later call as if it had been one.
 */
typedef struct mbs_lm_sampling {
    uint32_t struct_size;
    uint32_t reserved;
    int64_t max_tokens; /* at least 1 */
    uint64_t seed;
    uint64_t sample;
    uint64_t first;         /* tokens of this sample that were drawn by earlier calls */
    double temperature;     /* 0: the most likely token each time; at most 1000 */
    double top_p;           /* 0 to 1: among the most likely tokens that have this much of the probability */
    int64_t top_k;          /* among so many of the most likely; 0: all */
    const uint8_t *allowed; /* n_allowed flags by id, ids behind are not allowed; NULL: every id below vocab_size */
    int64_t n_allowed;
    const int32_t *stop; /* n_stop ids that end the sample; may always be drawn, are neither fed nor given */
    int64_t n_stop;
    mbs_lm_on_token on_token; /* may be NULL */
    void *arg;                /* for on_token */
} mbs_lm_sampling;

#define MBS_LM_SAMPLING_INIT                                                                                           \
    { (uint32_t)sizeof(mbs_lm_sampling), 0u, 100, 0u, 0u, 0u, 1.0, 1.0, 0, NULL, 0, NULL, 0, NULL, NULL }

/* Continues the stream; without any token before, all allowed ids are equally likely as the first. ids and logprob have
 * room for max_tokens each, either may be NULL. *n: tokens given, also after an error; may be NULL. The state has seen
 * all of them. */
MBS_LM_API mbs_status mbs_lm_generate(mbs_lm_stream *s, const mbs_lm_sampling *how, int32_t *ids, float *logprob,
                                      int64_t *n, mbs_lm_error *err);

#ifdef __cplusplus
}
#endif
#endif
