/*
 * config.h - config.json in both layouts, as one struct.
 */
#ifndef MBS_MODEL_CONFIG_H
#define MBS_MODEL_CONFIG_H

#include <stdint.h>

#include "base/err.h"

typedef enum mbs_layout { MBS_LAYOUT_ORIGINAL = 0, MBS_LAYOUT_TRANSFORMERS = 1 } mbs_layout;
typedef enum mbs_norm_kind { MBS_NORM_RMS = 0, MBS_NORM_LAYER = 1 } mbs_norm_kind;

typedef struct mbs_model_config {
    mbs_layout layout;
    char model_type[32]; /* "mamba" */
    int64_t d_model;
    int64_t n_layer;
    int64_t vocab_size; /* ids with a meaning, as the config says */
    int64_t vocab_rows; /* rows of the embedding: padded */
    int64_t d_inner;
    int64_t d_state;
    int64_t d_conv;
    int64_t dt_rank;
    double norm_eps;
    mbs_norm_kind norm;
    int tie_embeddings;
    int use_bias; /* in_proj and out_proj: a hint only, the tensors decide */
    int use_conv_bias;
    int bos, eos, pad; /* -1: none */
} mbs_model_config;

/* Reads FOLDER/config.json. Unknown model types and unusable sizes are refused with what would be accepted. */
mbs_status mbs_config_load(const char *folder, mbs_model_config *out, mbs_err *err);
/* From memory; `where` for messages. */
mbs_status mbs_config_parse(const char *text, size_t len, const char *where, mbs_model_config *out, mbs_err *err);

#endif
