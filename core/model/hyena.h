/* hyena.h - what the two files of Hyena share: hyena.c mixes, hyena_filter.c makes its long filter. Nobody else
 * includes it. */
#ifndef MBS_MODEL_HYENA_H
#define MBS_MODEL_HYENA_H

#include "model/mixer_held.h"

enum { IN_W, IN_B, SHORT_W, SHORT_B, OUT_W, OUT_B, F_BIAS, F_W0, F_B0, F_FREQ, F_W2, F_B2, F_W4, F_B4, F_W6, F_MORE };

/* Tensors that a folder may hold behind those, in this order: the features of the lags, the lags as parts of the
 * longest, and the paces of the window. Without them they are what the paper says. Training leaves them as they are. */
enum { HYENA_STORED_Z = 1, HYENA_STORED_T = 2, HYENA_STORED_DELTAS = 4, HYENA_STORED_ALIASES = 8 };
#define HYENA_STORED 3
#define HYENA_ORDER_MAX 8

/* The long filters: a small network of sines over features of the lag, times a window that falls off, a pace for each
 * channel. Of order o there are o - 1 of d channels each; the one that comes j-th has channels c (o - 1) + j of what
 * the network gives, and of the bias. */
typedef struct hyena_filter {
    int64_t longest; /* what positions are measured by */
    int64_t taps, d, width, features, filters;
    double shift;
    int stored[HYENA_STORED]; /* items of those tensors; -1: not there */
    int windows_made;
    mbk_buf *work, *made;
    mbk_mat z;                           /* (taps, features) */
    mbk_mat a[3], s[3];                  /* (taps, width): before and behind the sines */
    mbk_mat h;                           /* (taps, d) */
    mbk_mat window[HYENA_ORDER_MAX - 1]; /* (taps, d) */
    mbk_mat w[HYENA_ORDER_MAX - 1];      /* (taps, d): the filters, with `bias` in their first tap */
    mbk_buf *far; /* of a long filter: its transforms (mbk.h, mbk_fir_args), and in training room */
    mbk_mat spectra[HYENA_ORDER_MAX - 1];
    mbk_mat far_work;                 /* training only */
    mbk_mat dw[HYENA_ORDER_MAX - 1];  /* (taps, d): gradients of the filters, of all calls of a step; trained only */
    int64_t met[HYENA_ORDER_MAX - 1]; /* taps that met a row in this step */
    mbk_weight *m[3], *t[3];
    mbk_weight *last[HYENA_ORDER_MAX - 1], *last_t[HYENA_ORDER_MAX - 1];
} hyena_filter;

mbs_status mbs_hyena_filter_room(const mbs_model_config *cfg, int64_t index, mbk_ctx *ctx, hyena_filter *f,
                                 mbs_err *err);
/* What `make` works with; with `trained` also for the way back. */
mbs_status mbs_hyena_filter_train_room(mbk_ctx *ctx, int trained, hyena_filter *f, mbs_err *err);
void mbs_hyena_filter_free(mbk_ctx *ctx, hyena_filter *f);
/* The filter of the tensors `t`, as well as it can be known; and as training does it. */
mbs_status mbs_hyena_filter_exact(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, mbs_err *err);
mbk_status mbs_hyena_filter_make(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t);
/* From `dw` of all filters, which is zero then, to the gradients of the tensors, or, without `add`, nowhere; scratch of
 * mbs_hyena_filter_back_floats. */
mbk_status mbs_hyena_filter_back(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, mbk_buf *scratch, int add);
int64_t mbs_hyena_filter_back_floats(const mbs_layer_sizes *z);

#endif
