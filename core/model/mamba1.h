/*
 * mamba1.h - what the two files of the Mamba-1 mixer share: mamba1.c runs it, mamba1_grad.c goes back through it.
 * Nobody else includes it.
 */
#ifndef MBS_MODEL_MAMBA1_H
#define MBS_MODEL_MAMBA1_H

#include "model/mixer.h"

typedef struct mamba1 {
    int64_t d_model, d_inner, d_state, d_conv, dt_rank;
    mbk_weight *in_proj;
    mbk_weight *x_proj;
    mbk_weight *dt_proj;
    mbk_weight *out_proj;
    mbk_mat in_bias;  /* buf NULL: none */
    mbk_mat out_bias; /* likewise */
    mbk_mat conv_w;   /* (W, C) */
    mbk_mat conv_b;   /* buf NULL: none */
    mbk_mat dt_bias;
    mbk_mat a; /* (N, C), -exp(A_log) */
    mbk_mat d;
} mamba1;

/* What the rows of a call go through. */
typedef struct mamba1_rows {
    mbk_mat xz;         /* (L, 2 C) */
    mbk_mat u;          /* (L, C), after conv and silu */
    mbk_mat dt;         /* (L, C) */
    mbk_mat p;          /* (L, R + 2 N): dt, B, C */
    mbk_mat y;          /* (L, C) */
    mbk_mat saved;      /* states of the scan; buf NULL: not kept */
    mbk_mat conv_state; /* (W, C) before the call; kept only */
} mamba1_rows;

/* Columns of a row of p. */
static inline int64_t mbs_mamba1_p_cols(int64_t dt_rank, int64_t d_state) {
    return dt_rank + 2 * d_state;
}

void mbs_mamba1_sizes(const mbs_model_config *c, int64_t index, mamba1 *m);
/* What a call keeps for backward. */
mamba1_rows mbs_mamba1_kept(const mamba1 *m, const mbs_mixer_call *call);

extern const mbs_mixer_train mbs_mamba1_train;

#endif
