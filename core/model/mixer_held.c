/* mixer_held.c - tensors in the order of `declare`. */
#include "model/mixer_held.h"

#include <string.h>

#include "base/mem.h"
#include "model/place.h"

/* As masters are held. */
static void shape_of(const mbs_spec *s, int64_t *rows, int64_t *cols) {
    int64_t rest = 1;
    for (int k = 1; k < s->ndim; k++) {
        rest *= s->dims[k];
    }
    *rows = s->ndim == 1 ? 1 : s->turned ? rest : s->dims[0];
    *cols = s->ndim == 1 || s->turned ? s->dims[0] : rest;
}

static mbs_status list(const mbs_mixer *mixer, const mbs_model_config *cfg, int64_t index, mbs_specs *specs,
                       mbs_held *h, mbs_err *err) {
    memset(specs, 0, sizeof *specs);
    mixer->declare(cfg, index, specs);
    if (specs->failed) {
        return mbs_fail_memory(err, NULL, sizeof(mbs_spec));
    }
    if (specs->n > MBS_HELD_MAX) {
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "too many tensors in a layer");
    }
    h->n = (int)specs->n; /* from here on mbs_held_free looks at them */
    return MBS_OK;
}

static mbs_status load_item(const mbs_spec *s, mbs_loader *ld, mbs_held_item *it) {
    int64_t rows;
    int64_t cols;
    shape_of(s, &rows, &cols);
    if (s->matrix) {
        return mbs_loader_weight(ld, s->name, rows, cols, &it->w);
    }
    mbs_status st = s->turned ? mbs_kit_load_transposed(ld, s->name, cols, rows, 0, &it->own)
                              : mbs_loader_buf(ld, s->name, 0, &it->own);
    it->p.w = mbs_kit_matrix(it->own, rows, cols);
    return st;
}

mbs_status mbs_held_load(const mbs_mixer *mixer, const mbs_model_config *cfg, int64_t index, mbs_loader *ld,
                         mbs_held *h) {
    mbs_specs specs;
    mbs_status st = list(mixer, cfg, index, &specs, h, ld->err);
    for (int i = 0; i < h->n && st >= 0; i++) {
        st = load_item(&specs.items[i], ld, &h->item[i]);
    }
    mbs_specs_free(&specs);
    return st;
}

mbs_status mbs_held_make(const mbs_mixer *mixer, const mbs_model_config *cfg, int64_t index, mbk_ctx *ctx,
                         mbk_format format, const mbs_mixer_param *params, mbs_held *h, mbs_err *err) {
    mbs_specs specs;
    mbs_status st = list(mixer, cfg, index, &specs, h, err);
    h->math = format.math;
    for (int i = 0; i < h->n && st >= 0; i++) {
        mbs_held_item *it = &h->item[i];
        it->p = params[i];
        if (specs.items[i].matrix) {
            st = mbs_kit_pair_room(ctx, format, &it->p, &it->w, &it->t, err);
        }
    }
    mbs_specs_free(&specs);
    return st;
}

void mbs_held_free(mbk_ctx *ctx, mbs_held *h) {
    for (int i = 0; i < h->n; i++) {
        ctx->ops->weight_free(ctx, h->item[i].w);
        ctx->ops->weight_free(ctx, h->item[i].t);
        ctx->ops->buf_free(ctx, h->item[i].own);
    }
    h->n = 0;
}

mbk_status mbs_held_refresh(mbk_ctx *ctx, mbs_held *h) {
    mbk_status st = MBS_OK;
    for (int i = 0; i < h->n && st >= 0; i++) {
        st = h->item[i].w ? mbs_kit_pack(ctx, &h->item[i].p, h->item[i].w, h->item[i].t) : st;
    }
    return st;
}

mbk_status mbs_held_linear_back(mbk_ctx *ctx, const mbs_held *h, int w, int bias, mbk_mat dy, mbk_mat x,
                                const mbk_mat *dx, int accumulate) {
    mbk_status st = ctx->ops->weight_grad(ctx, h->item[w].p.g, dy, x, h->math);
    if (st >= 0 && bias >= 0) {
        st = ctx->ops->bias_grad(ctx, h->item[bias].p.g, dy);
    }
    return st < 0 || !dx ? st : ctx->ops->gemm(ctx, *dx, dy, h->item[w].t, (mbk_mat){0}, accumulate);
}

mbs_status mbs_held_fits(const mbs_model_config *cfg, int64_t index, const mbk_ctx *ctx, mbs_err *err) {
    const mbk_ops *ops = ctx->ops;
    return ops->lti && ops->fir && ops->rnn && ops->unary
               ? MBS_OK
               : mbs_backend_cannot(ctx, err, "compute layers of mixer '%s'", mbs_mixer_of_layer(cfg, index)->name);
}

mbk_mat mbs_held_carve(mbk_buf *buf, int64_t *at, int64_t rows, int64_t cols) {
    mbk_mat m = {buf, *at, rows, cols, cols};
    *at += mbs_kit_lines(rows * cols);
    return m;
}

mbs_mixer_call mbs_held_place(const mbs_mixer_call *call, int64_t *at) {
    mbs_mixer_call place = *call;
    *at = call->keep ? call->keep_at : 0;
    place.scratch = call->keep ? call->keep : call->scratch;
    return place;
}
