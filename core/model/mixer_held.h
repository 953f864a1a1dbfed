/*
 * mixer_held.h - the tensors of a layer as its `declare` lists them, held for running or over the masters of training:
 * for mixers whose tensors are always the same, so that one enum names them. For the files of mixers and nobody else.
 */
#ifndef MBS_MODEL_MIXER_HELD_H
#define MBS_MODEL_MIXER_HELD_H

#include "model/mixer_kit.h"

#define MBS_HELD_MAX 24

typedef struct mbs_held_item {
    mbs_mixer_param p; /* running: p.w of what is no matrix; training: the master and its gradient */
    mbk_weight *w;     /* a matrix */
    mbk_weight *t;     /* its transpose, where it is trained */
    mbk_buf *own;      /* of p.w */
} mbs_held_item;

typedef struct mbs_held {
    int n;
    mbk_math math;
    mbs_held_item item[MBS_HELD_MAX];
} mbs_held;

/* Below ld->prefix. On failure what is held so far is freed by mbs_held_free. */
mbs_status mbs_held_load(const mbs_mixer *mixer, const mbs_model_config *cfg, int64_t index, mbs_loader *ld,
                         mbs_held *h);
mbs_status mbs_held_make(const mbs_mixer *mixer, const mbs_model_config *cfg, int64_t index, mbk_ctx *ctx,
                         mbk_format format, const mbs_mixer_param *params, mbs_held *h, mbs_err *err);
void mbs_held_free(mbk_ctx *ctx, mbs_held *h);
/* Packs the matrices anew. */
mbk_status mbs_held_refresh(mbk_ctx *ctx, mbs_held *h);

/* Gradients of tensors `w` and `bias` of y = x W^T + bias; bias < 0: none. dx (L, n_in) = dy W [+ dx] where it is not
 * NULL. */
mbk_status mbs_held_linear_back(mbk_ctx *ctx, const mbs_held *h, int w, int bias, mbk_mat dy, mbk_mat x,
                                const mbk_mat *dx, int accumulate);

/* `fits` of mixers whose operations a device may lack. */
mbs_status mbs_held_fits(const mbs_model_config *cfg, int64_t index, const mbk_ctx *ctx, mbs_err *err);

/* rows x cols of a buffer from *at on, which moves behind it. */
mbk_mat mbs_held_carve(mbk_buf *buf, int64_t *at, int64_t rows, int64_t cols);
/* A call whose parts are carved where it keeps, else in its scratch, and where they begin. */
mbs_mixer_call mbs_held_place(const mbs_mixer_call *call, int64_t *at);
#endif
