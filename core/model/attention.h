/*
 * attention.h - what the files of the attention mixer share: attention.c runs it, attention_grad.c goes back through
 * it. Nobody else includes it.
 */
#ifndef MBS_MODEL_ATTENTION_H
#define MBS_MODEL_ATTENTION_H

#include "model/mixer.h"

typedef struct attention_sizes {
    int64_t d_model, heads, key_heads, head_dim;
    int64_t q, kv;   /* heads and key_heads times head_dim */
    int64_t qkv;     /* q + 2 kv: columns of the convolution */
    int64_t mlp;     /* columns of in_proj behind them: up, gate */
    int64_t in, out; /* rows of in_proj, columns of out_proj */
    int64_t d_conv;
    int64_t window, rotary;
    double rotary_base;
    int interleaved;
    float scale;
} attention_sizes;

attention_sizes mbs_attention_sizes(const mbs_model_config *c, int64_t index);

typedef struct attention {
    attention_sizes s;
    mbk_weight *in_proj;
    mbk_weight *out_proj;
    mbk_mat in_bias;  /* buf NULL: none */
    mbk_mat out_bias; /* likewise */
    mbk_mat conv_w;   /* (d_conv, qkv); buf NULL: no convolution */
    mbk_mat conv_b;   /* buf NULL: none */
} attention;

/* What the rows of a call go through. */
typedef struct attention_rows {
    mbk_mat p;     /* (L, in): q, k, v, up, gate */
    mbk_mat mixed; /* (L, qkv): q, k, v behind the convolution; without one the columns of p. q and k rotated */
    mbk_mat all;   /* (L, out): heads, then up silu(gate) */
    mbk_mat saved; /* (L, heads); kept only */
    mbk_mat ring;  /* (d_conv, qkv) of the convolution before the call; kept only */
} attention_rows;

/* In the scratch, or what a call keeps for backward. */
attention_rows mbs_attention_rows(const attention_sizes *z, const mbs_mixer_call *call);
/* The cache of a call: keys and values of a position side by side; buf NULL without. */
mbk_mat mbs_attention_cache(const attention_sizes *z, mbk_buf *past, int64_t at, int64_t rows, int values);

extern const mbs_mixer_train mbs_attention_train;

#endif
