/*
 * weights.h - which tensors a model has, whether a folder holds them, and how they get to the backend.
 *
 * A model is declared once, as a list of specs (name, shape, how a fresh one is drawn). The list serves three: the
 * check of a folder before anything large is allocated, the loader, and `model init`.
 */
#ifndef MBS_MODEL_WEIGHTS_H
#define MBS_MODEL_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mbk/mbk.h"
#include "model/config.h"
#include "model/model.h"
#include "model/safetensors.h"

typedef struct mbs_spec mbs_spec;
/* Element i of a fresh tensor; a function of its arguments and of nothing else. */
typedef double (*mbs_draw)(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i);

/* The largest learning rate of a state space's time steps, rates and inputs (Gu et al. 2022: min(1e-3, rate)). */
#define MBS_SLOW_LR 1e-3

/* Room for the name of a tensor, and for what those of a layer begin with: layers stand within layers
 * MBS_POOL_DEPTH deep (model/pool.h). */
#define MBS_NAME_ROOM 160
#define MBS_PREFIX_ROOM 112

struct mbs_spec {
    char name[MBS_NAME_ROOM];
    int ndim;
    int64_t dims[3];
    mbs_draw draw;
    double scale;    /* the draw's parameter */
    int tied;        /* a second copy of the embedding: not a parameter of its own */
    int matrix;      /* goes through `prepare`: held as model.dtype says; all else stays f32 */
    int turned;      /* training holds it with its first dimension last: (rest, dims[0]) */
    int decay;       /* training lets it decay: matrices, and what mbs_specs_decays says */
    int slow;        /* trained at MBS_SLOW_LR at most, what mbs_specs_slow says; never decays */
    int64_t repeats; /* a fresh one is these first elements again and again; 0: each is drawn */
    int whole;       /* integers beside the weights, which somebody else reads */
};

typedef struct mbs_specs {
    mbs_spec *items;
    size_t n;
    size_t cap;
    int failed; /* out of memory: check once, at the end */
    char prefix[MBS_PREFIX_ROOM];
} mbs_specs;

/* Adds prefix + name; dims of 0 end the shape. */
void mbs_specs_add(mbs_specs *s, const char *name, mbs_draw draw, double scale, int64_t d0, int64_t d1, int64_t d2);
/* The same for what mbs_loader_weight prepares: (n_out, n_in). */
void mbs_specs_add_matrix(mbs_specs *s, const char *name, mbs_draw draw, double scale, int64_t n_out, int64_t n_in);
/* What is more to say of the tensor that was added last. */
void mbs_specs_turned(mbs_specs *s);
void mbs_specs_decays(mbs_specs *s);
void mbs_specs_slow(mbs_specs *s);
void mbs_specs_repeats(mbs_specs *s, int64_t elements);
void mbs_specs_whole(mbs_specs *s);
void mbs_specs_again(mbs_specs *s); /* no parameter of its own, `tied` */
/* The norm before such a block (`mixers` as mbs_block_norm has it), where it has one. */
void mbs_specs_add_norm(mbs_specs *s, const struct mbs_mixer *block, const char *mixers, const mbs_model_config *cfg);
/* From here on below PREFIX "layers." INDEX "." REST. */
void mbs_specs_below(mbs_specs *s, const char *prefix, int64_t index, const char *rest);
void mbs_specs_free(mbs_specs *s);

/* Elements [from, from + n) of a fresh tensor. Its stream of random numbers is named by its name, so the values do not
 * depend on what else a model has. */
void mbs_spec_draw(const mbs_spec *spec, uint64_t seed, int64_t from, int64_t n, float *out);
double mbs_draw_constant(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i); /* scale */
double mbs_draw_uniform(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i);  /* within +-scale */
double mbs_draw_normal(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i);   /* deviation scale */

/* How a folder names its tensors. */
typedef struct mbs_names {
    char backbone[32];  /* "backbone.", "caduceus.backbone." or "" */
    char embedding[80]; /* full name of the table */
    char head[32];      /* full name of the language head */
    char norm[24];      /* "norm": of a layer, */
    char norm_f[24];    /* and behind the last */
    char mixer[24];     /* "mixer." or "mixer.submodule." */
    int twins;          /* tied projections stand there twice */
    char maps[2][80];   /* complement maps beside the weights; "": none */
} mbs_names;

/* The names that the layout asks for, or those of the embedding that is there. */
void mbs_names_of_config(const mbs_model_config *cfg, mbs_names *names);
void mbs_names_find(const mbs_st_set *set, const mbs_model_config *cfg, mbs_names *names);
/* "backbone.layers.3." */
void mbs_names_layer(const mbs_names *names, int64_t layer, char out[64]);

/* The whole model. `stored_head`: with tied embeddings, also the copy of the table as lm_head.weight. With n_classes
 * the classification head too, beside the language head or, with no_lm_head, instead of it. */
mbs_status mbs_specs_model(const mbs_model_config *cfg, const mbs_names *names, int stored_head, mbs_specs *out,
                           mbs_err *err);
/* Number of elements, tied ones once. */
int64_t mbs_specs_parameters(const mbs_specs *s);
/* One message with every missing, misshapen and extra tensor. */
mbs_status mbs_specs_check(const mbs_specs *s, const mbs_st_set *set, const char *where, mbs_err *err);

/* All of the above for an open folder: finds the names, lets the tensors decide about biases and heads, checks. */
mbs_status mbs_specs_of_set(const mbs_st_set *set, mbs_model_config *cfg, mbs_names *names, mbs_specs *out,
                            mbs_err *err);

/* Reads checked tensors as f32, or draws fresh ones. NaN and infinite values are an error. */
typedef struct mbs_loader {
    const mbs_st_set *set;
    const mbs_specs *fresh; /* not NULL: there is no set, values are drawn from these specs with `seed`, */
    uint64_t seed;
    mbs_model_values fill; /* or, where it is not NULL, given by it */
    void *fill_ctx;
    mbk_ctx *ctx;
    mbk_format format; /* of matrices */
    int64_t bytes;     /* that the backend holds so far */
    char prefix[MBS_PREFIX_ROOM];
    char twin[64]; /* not empty: in_proj and out_proj are those below this prefix */
    float *stage;  /* widened values */
    size_t stage_cap;
    float *room; /* see mbs_loader_room */
    size_t room_cap;
    uint64_t fingerprint; /* of all values read so far */
    double rate_scale;    /* mbs_model_options.rate_scale; 0: time steps are as they are */
    mbs_err *err;
} mbs_loader;

int mbs_loader_has(const mbs_loader *ld, const char *name);
/* As mbs_specs_below. */
void mbs_loader_below(mbs_loader *ld, const char *prefix, int64_t index, const char *rest);
/* The values of prefix + name, valid until the next call. */
mbs_status mbs_loader_values(mbs_loader *ld, const char *name, const float **out, int64_t *n);
/* `values` (n_out, n_in) of the tensor prefix + name, prepared. */
mbs_status mbs_loader_prepare(mbs_loader *ld, const char *name, const float *values, int64_t n_out, int64_t n_in,
                              mbk_weight **out);
/* A prepared matrix. */
mbs_status mbs_loader_weight(mbs_loader *ld, const char *name, int64_t n_out, int64_t n_in, mbk_weight **out);
/* A buffer with the values as they stand; *out stays NULL where an optional tensor is not there. */
mbs_status mbs_loader_buf(mbs_loader *ld, const char *name, int optional, mbk_buf **out);
/* A buffer with values that the caller made. */
mbs_status mbs_loader_upload(mbs_loader *ld, const float *values, size_t n, mbk_buf **out);
/* Room for n floats, for values made from a tensor's; valid until the next call of this function. */
mbs_status mbs_loader_room(mbs_loader *ld, size_t n, float **out);
void mbs_loader_free(mbs_loader *ld);

/* A status of the backend as an error. */
mbs_status mbs_backend_fail(const mbk_ctx *ctx, mbs_err *err, mbk_status st, const char *where, const char *doing);
/* Mixes `bytes` of memory into a 64-bit sum; for telling blobs and models apart, not against an enemy. */
uint64_t mbs_fingerprint(uint64_t sum, const void *data, size_t bytes);

#endif
