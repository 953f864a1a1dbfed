/*
 * mamba2.h - what the files of the Mamba-2 mixer share: mamba2.c runs it, mamba2_grad.c goes back through it,
 * mamba2_config.c reads and writes its sizes.
 * Nobody else includes it.
 */
#ifndef MBS_MODEL_MAMBA2_H
#define MBS_MODEL_MAMBA2_H

#include "model/mixer.h"

typedef struct mamba2_sizes {
    int64_t d_model, d_inner, d_conv;
    int64_t d_ssm;  /* channels that are mixed */
    int64_t d_gate; /* channels that are only gated: what is left of d_inner */
    int64_t heads, head_dim, groups, d_state;
    int64_t bc;      /* groups * d_state */
    int64_t conv;    /* channels of the convolution: x, B, C */
    int64_t in_rows; /* of in_proj: z0, x0 (d_gate each), z (d_ssm), x, B, C, dt */
    int wide_d, gated_norm, norm_first;
    int64_t norm_group; /* columns */
    float gated_eps, dt_min, dt_max;
} mamba2_sizes;

mamba2_sizes mbs_mamba2_sizes(const mbs_model_config *c, int64_t index);

typedef struct mamba2 {
    mamba2_sizes s;
    mbk_weight *in_proj;
    mbk_weight *out_proj;
    mbk_mat in_bias;  /* buf NULL: none */
    mbk_mat out_bias; /* likewise */
    mbk_mat conv_w;   /* (W, conv) */
    mbk_mat conv_b;   /* buf NULL: none */
    mbk_mat dt_bias;  /* (1, heads) */
    mbk_mat a;        /* (1, heads), -exp(A_log) */
    mbk_mat d;        /* (1, heads) or (1, d_ssm) */
    mbk_mat norm;     /* (1, d_ssm); buf NULL: the gate alone */
} mamba2;

/* The parts of a layer's state, at `at` floats of the buffer. */
typedef struct mamba2_state {
    mbk_mat conv, heads, open_x, open_b, open_lam;
} mamba2_state;

mamba2_state mbs_mamba2_state(const mamba2_sizes *z, mbk_buf *buf, int64_t *at);

/* What the rows of a call go through. */
typedef struct mamba2_rows {
    mbk_mat p;          /* (L, in_rows): z0, x0, z, x, B, C, dt */
    mbk_mat xbc;        /* (L, conv), after conv and silu */
    mbk_mat y;          /* (L, d_ssm), mixed */
    mbk_mat all;        /* (L, d_inner), gated: y may stand in it */
    mbk_mat saved;      /* states before blocks; buf NULL: not kept */
    mbk_mat conv_state; /* (W, conv) before the call; kept only */
} mamba2_rows;
/* What a call keeps for backward. */
mamba2_rows mbs_mamba2_kept(const mamba2_sizes *z, const mbs_mixer_call *call);

extern const mbs_mixer_train mbs_mamba2_train;

void mbs_mamba2_read(const mbs_json *doc, const mbs_json *ssm, mbs_model_config *c, mbs_err *err);
mbs_status mbs_mamba2_settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err);
void mbs_mamba2_write(const mbs_model_config *c, const mbs_layer_sizes *z, const char *indent, mbs_buf *out);
extern const mbs_mixer_key mbs_mamba2_keys[];

#endif
