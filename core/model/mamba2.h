/*
 * mamba2.h - what the files of the Mamba-2 mixer share: mamba2.c runs it, mamba2_config.c reads and writes its sizes.
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

mamba2_sizes mbs_mamba2_sizes(const mbs_model_config *c);

void mbs_mamba2_read(const mbs_json *doc, const mbs_json *ssm, mbs_model_config *c, mbs_err *err);
mbs_status mbs_mamba2_settle(mbs_model_config *c, mbs_err *err);
void mbs_mamba2_write(const mbs_model_config *c, const char *indent, mbs_buf *out);

#endif
