/*
 * config.h - config.json in both layouts, as one struct.
 */
#ifndef MBS_MODEL_CONFIG_H
#define MBS_MODEL_CONFIG_H

#include <stdint.h>

#include "base/err.h"

/* Far above every published model, far below where products of two could overflow. */
#define MBS_CONFIG_MAX_WIDTH ((int64_t)1 << 20)
#define MBS_FRAME_MAX_WIDTH 65536

typedef enum mbs_layout { MBS_LAYOUT_ORIGINAL = 0, MBS_LAYOUT_TRANSFORMERS = 1, MBS_LAYOUT_CADUCEUS = 2 } mbs_layout;
/* What becomes of what a layer finds reading forward and reading backward. */
typedef enum mbs_both { MBS_ONE_WAY = 0, MBS_BOTH_ADD = 1, MBS_BOTH_MULTIPLY = 2 } mbs_both;
/* Ids of a vocabulary with a complement. */
#define MBS_COMPLEMENT_MAX 256
typedef enum mbs_norm_kind { MBS_NORM_RMS = 0, MBS_NORM_LAYER = 1 } mbs_norm_kind;
/* What a classification head gets of a record's rows behind the last norm: their mean, or the last of them. */
typedef enum mbs_pooling { MBS_POOLING_MEAN = 0, MBS_POOLING_LAST = 1 } mbs_pooling;

typedef struct mbs_model_config {
    mbs_layout layout;
    char model_type[32]; /* "mamba" */
    int64_t d_model;
    int64_t n_layer;
    int64_t vocab_size; /* ids with a meaning, as the config says */
    int64_t vocab_rows; /* rows of the embedding: padded */
    /* Numbers of a frame: the model takes frames (model/front.h), and there is no vocabulary; 0: it takes ids. */
    int64_t frame_width;
    int64_t d_inner;
    int64_t d_state;
    int64_t d_conv;
    int64_t dt_rank; /* Mamba-1; 0 elsewhere */
    /* Mamba-2, 0 elsewhere. Heads: d_ssm / head_dim. */
    int64_t d_ssm; /* channels of d_inner that are mixed; the others are only gated */
    int64_t head_dim;
    int64_t n_groups;      /* of heads that share B and C */
    double dt_min, dt_max; /* of the time step; dt_max may be infinite */
    double gated_eps;
    int wide_d;     /* D for each channel, not each head */
    int gated_norm; /* RMS norm beside the gate, else the gate alone */
    int norm_first; /* the norm before the gate */
    int norm_whole; /* over all channels, not over those of a group */
    double norm_eps;
    mbs_norm_kind norm;
    int tie_embeddings;
    int use_bias; /* in_proj and out_proj: a hint only, the tensors decide */
    int use_conv_bias;
    int bos, eos, pad; /* -1: none */
    /* A classification head (model/classes.h). Whether a folder has one, and a language head beside it, its tensors
     * decide: mbs_config_parse gives the classes that are named, mbs_specs_of_set those that there are. */
    int64_t n_classes; /* 0: no such head */
    mbs_pooling pool;  /* where the config does not say: last, as transformers does it */
    int class_bias;    /* it has score.bias */
    int classifier;    /* the config says that this is one: without its tensors the folder is incomplete */
    int no_lm_head;    /* nothing predicts the next token */
    /* Models that read both ways (model/caduceus.h). */
    mbs_both both;
    int both_tied;                          /* in_proj and out_proj are the same both ways */
    int masked;                             /* row i predicts what stands at i, not what comes next */
    int rcps;                               /* a second stream reads the reverse complement with the same weights */
    int rc_swap;                            /* which every block exchanges with the first, before its norm */
    int16_t complement[MBS_COMPLEMENT_MAX]; /* of the ids below vocab_rows, with rcps */
} mbs_model_config;

/* Reads FOLDER/config.json. Unknown model types and unusable sizes are refused with what would be accepted. */
mbs_status mbs_config_load(const char *folder, mbs_model_config *out, mbs_err *err);
/* From memory; `where` for messages. */
mbs_status mbs_config_parse(const char *text, size_t len, const char *where, mbs_model_config *out, mbs_err *err);

const char *mbs_pooling_name(mbs_pooling pool); /* "mean", "last" */

#endif
