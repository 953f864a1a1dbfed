/*
 * config.h - config.json in three layouts, as one struct: the original code's, transformers', and our own, for models
 * that neither knows. A config.json of our own (model_type "mambaseq"):
 *
 *   {"model_type": "mambaseq", "vocab_size": 12, "vocab_rows": 16, "d_model": 128,
 *    "layers": [{"mixer": "mamba1", "count": 3, "d_state": 16}, {"mixer": "mamba2"}],
 *    "mlp": {"kind": "gated", "width": 256}, "norm": "rms", "norm_eps": 1e-5, "tie_embeddings": true,
 *    "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 4}
 *
 * A layer says its mixer by the name that a shape has for it, and the sizes that the mixer's table (mbs_mixer.keys)
 * knows; `count` layers are like it. All but model_type, vocab_size, d_model and layers may be left out; a key that
 * nobody knows is refused. Tensors have the names of the original layout.
 */
#ifndef MBS_MODEL_CONFIG_H
#define MBS_MODEL_CONFIG_H

#include <stdint.h>

#include "base/err.h"

/* Far above every published model, far below where products of two could overflow. */
#define MBS_CONFIG_MAX_WIDTH ((int64_t)1 << 20)
#define MBS_FRAME_MAX_WIDTH 65536

typedef enum mbs_layout {
    MBS_LAYOUT_ORIGINAL = 0,
    MBS_LAYOUT_TRANSFORMERS = 1,
    MBS_LAYOUT_CADUCEUS = 2,
    MBS_LAYOUT_OWN = 3,
    MBS_LAYOUT_HYENADNA = 4
} mbs_layout;
/* What becomes of what a layer finds reading forward and reading backward. */
typedef enum mbs_both { MBS_ONE_WAY = 0, MBS_BOTH_ADD = 1, MBS_BOTH_MULTIPLY = 2 } mbs_both;
/* Ids of a vocabulary with a complement. */
#define MBS_COMPLEMENT_MAX 256
typedef enum mbs_norm_kind { MBS_NORM_RMS = 0, MBS_NORM_LAYER = 1 } mbs_norm_kind;
/* What a classification head gets of a record's rows behind the last norm: their mean, or the last of them. */
typedef enum mbs_pooling { MBS_POOLING_MEAN = 0, MBS_POOLING_LAST = 1 } mbs_pooling;
/* What stands behind a layer's mixer, with a norm of its own: nothing, or one of those in mlp.h. */
typedef enum mbs_mlp_kind { MBS_MLP_NONE = 0, MBS_MLP_GATED = 1, MBS_MLP_GELU = 2, MBS_MLP_GELU_TANH = 3 } mbs_mlp_kind;

/*
 * The sizes of a layer: what its mixer has beside the width of the model. A member means the same to every mixer that
 * has it; 0 is "not said" until the mixer's `settle`. A mixer that needs another size adds it here, at the end.
 */
#define MBS_LAYER_SIZES                                                                                                \
    int64_t d_inner;                                                                                                   \
    int64_t d_state;                                                                                                   \
    int64_t d_conv;  /* taps of the convolution; attention: 0 is none */                                               \
    int64_t dt_rank; /* Mamba-1; 0 elsewhere */                                                                        \
    /* Mamba-2, 0 elsewhere. Heads: d_ssm / head_dim. */                                                               \
    int64_t d_ssm;         /* channels of d_inner that are mixed; the others are only gated */                         \
    int64_t head_dim;      /* attention too */                                                                         \
    int64_t n_groups;      /* of heads that share B and C */                                                           \
    double dt_min, dt_max; /* of the time step; dt_max may be infinite */                                              \
    double gated_eps;                                                                                                  \
    double expand;  /* d_inner in units of d_model, where d_inner is 0 */                                              \
    int wide_d;     /* D for each channel, not each head */                                                            \
    int gated_norm; /* RMS norm beside the gate, else the gate alone */                                                \
    int norm_first; /* the norm before the gate */                                                                     \
    int norm_whole; /* over all channels, not over those of a group */                                                 \
    int use_bias;   /* in_proj and out_proj: a hint only, the tensors decide */                                        \
    int use_conv_bias;                                                                                                 \
    /* Attention, 0 elsewhere. */                                                                                      \
    int64_t n_heads;                                                                                                   \
    int64_t n_key_heads;                                                                                               \
    int64_t rotary;  /* channels of a head that are rotated */                                                         \
    int64_t window;  /* positions that a row sees, its own among them; 0: all */                                       \
    int64_t mlp_dim; /* of in_proj, gated and put beside the heads; 0: none */                                         \
    double rotary_base;                                                                                                \
    double softmax_scale; /* 0: 1 / sqrt(head_dim) */                                                                  \
    int rotary_interleaved;                                                                                            \
    int out_bias; /* of out_proj, where use_bias is that of in_proj alone */                                           \
    /* State spaces that do not change with time, long filters; 0 elsewhere. */                                        \
    int ssm_init;         /* of mbs_hippo: where modes begin */                                                        \
    int ssm_rule;         /* of mbk_rule: how time becomes steps */                                                    \
    int64_t l_max;        /* positions that a long filter has */                                                       \
    int64_t filter_order; /* Hyena: width of the filter's own network */                                               \
    int64_t emb_dim;      /* Hyena: features of a position, an odd number */                                           \
    double filter_w;      /* Hyena: the frequency that the sines begin with */                                         \
    double filter_shift;  /* Hyena: what is added to the window */                                                     \
    int64_t hyena_order;  /* Hyena: projections that are multiplied, one less are convolved */                         \
    int filter_stored;    /* Hyena: of HYENA_STORED_, what the tensors give of the filter's positions and window */    \
    /* Layers at a lower rate (model/pool.h); 0 elsewhere. */                                                          \
    int64_t factor;    /* rows that become one, of width d_inner */                                                    \
    int64_t within;    /* layers within, */                                                                            \
    int64_t within_at; /* of mbs_model_config.nested from here on */                                                   \
    int64_t reach;     /* opened under a limit of memory: positions of l_max that there is room for; 0: all */

typedef struct mbs_layer_sizes {
    MBS_LAYER_SIZES
} mbs_layer_sizes;

/* Layers with the same mixer and the same sizes. */
typedef struct mbs_layer_kind {
    const struct mbs_mixer *mixer;
    mbs_layer_sizes sizes;
} mbs_layer_kind;

#define MBS_CONFIG_KINDS 32
#define MBS_CONFIG_MAX_LAYERS 4096
#define MBS_CONFIG_MAX_NESTED 512

/* A value: copied by assignment. */
typedef struct mbs_model_config {
    mbs_layout layout;
    char model_type[32]; /* "mamba"; "mambaseq" in our own layout */
    int64_t d_model;
    int64_t n_layer;
    int64_t vocab_size; /* ids with a meaning, as the config says */
    int64_t vocab_rows; /* rows of the embedding: padded */
    /* Numbers of a frame: the model takes frames (model/front.h), and there is no vocabulary; 0: it takes ids. */
    int64_t frame_width;
    /* The sizes of all layers, or, where layers differ (n_kinds > 0), of none in particular: then
     * mbs_config_sizes(cfg, layer) alone tells. Both names are the same memory. */
    union {
        mbs_layer_sizes every;
        struct {
            MBS_LAYER_SIZES
        };
    };
    int64_t n_kinds; /* 0: every layer has the mixer of model_type */
    mbs_layer_kind kind[MBS_CONFIG_KINDS];
    uint8_t kind_of[MBS_CONFIG_MAX_LAYERS];
    uint8_t nested[MBS_CONFIG_MAX_NESTED]; /* kinds of layers within layers, of which each has a part (model/pool.h) */
    int64_t n_nested;
    mbs_mlp_kind mlp;
    int64_t d_mlp; /* width between fc1 and fc2 */
    double norm_eps;
    mbs_norm_kind norm;
    int tie_embeddings;
    int bos, eos, pad; /* -1: none */
    /* A classification head (model/classes.h). Whether a folder has one, and a language head beside it, its tensors
     * decide: mbs_config_parse gives the classes that are named, mbs_specs_of_set those that there are. */
    int64_t n_classes; /* 0: no such head */
    mbs_pooling pool;  /* where the config does not say: last, as transformers does it */
    int class_bias;    /* it has score.bias */
    int classifier;    /* the config says that this is one: without its tensors the folder is incomplete */
    int no_lm_head;    /* nothing predicts the next token */
    int64_t start;     /* id that a record begins with (model/start.h), 0: none */
    int64_t n_start;   /* classes that have one of their own behind it */
    /* Models that read both ways (model/caduceus.h). */
    mbs_both both;
    int both_tied;                          /* in_proj and out_proj are the same both ways */
    int masked;                             /* row i predicts what stands at i, not what comes next */
    int rcps;                               /* a second stream reads the reverse complement with the same weights */
    int rc_swap;                            /* which every block exchanges with the first, before its norm */
    int16_t complement[MBS_COMPLEMENT_MAX]; /* of the ids below vocab_rows, with rcps */
} mbs_model_config;

/* The sizes of a layer. */
static inline const mbs_layer_sizes *mbs_config_sizes(const mbs_model_config *c, int64_t layer) {
    return c->n_kinds > 0 ? &c->kind[c->kind_of[layer]].sizes : &c->every;
}

/* Reads FOLDER/config.json. Unknown model types and unusable sizes are refused with what would be accepted. */
mbs_status mbs_config_load(const char *folder, mbs_model_config *out, mbs_err *err);
/* From memory; `where` for messages. */
mbs_status mbs_config_parse(const char *text, size_t len, const char *where, mbs_model_config *out, mbs_err *err);

/* For those who put a config together (config_layers.c). Layers that differ: each is added in its order, settled
 * first; c->n_layer counts them. More than MBS_CONFIG_KINDS kinds are refused with MBS_ERR_CONFIG. */
mbs_status mbs_config_add_layers(mbs_model_config *c, const struct mbs_mixer *mixer, const mbs_layer_sizes *sizes,
                                 int64_t count, mbs_err *err);
/* The kind of such layers, added where there is none yet. */
mbs_status mbs_config_add_kind(mbs_model_config *c, const struct mbs_mixer *mixer, const mbs_layer_sizes *sizes,
                               uint8_t *kind, mbs_err *err);
/* Gives a layer that nests (settled) the layers within, by their kinds; refuses those that cannot stand there. */
mbs_status mbs_config_nest(mbs_model_config *c, const uint8_t *kinds, int64_t n, mbs_layer_sizes *sizes, mbs_err *err);
/* Fills and checks sizes of a layer with what its mixer says, d_inner first. */
mbs_status mbs_config_settle(const mbs_model_config *c, const struct mbs_mixer *mixer, mbs_layer_sizes *sizes,
                             mbs_err *err);

const char *mbs_pooling_name(mbs_pooling pool); /* "mean", "last" */

#endif
