/* mixer_kit.c - what more than one mixer needs. */
#include "model/mixer_kit.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/rng.h"

int mbs_kit_has(const mbs_st_set *set, const char *layer, const char *name) {
    char full[MBS_NAME_ROOM];
    snprintf(full, sizeof full, "%s%s", layer, name);
    return mbs_st_set_find(set, full, NULL) != NULL;
}

mbk_status mbs_kit_norm(mbk_ctx *ctx, const mbs_model_config *c, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat b) {
    const float eps = (float)c->norm_eps;
    return c->norm == MBS_NORM_RMS ? ctx->ops->rmsnorm(ctx, y, x, w, eps) : ctx->ops->layernorm(ctx, y, x, w, b, eps);
}

mbk_status mbs_kit_norm_grad(mbk_ctx *ctx, const mbs_model_config *c, mbk_mat dx, mbk_mat dy, mbk_mat x,
                             const mbs_mixer_param *w, const mbs_mixer_param *b, int add) {
    const float eps = (float)c->norm_eps;
    return c->norm == MBS_NORM_RMS ? ctx->ops->rmsnorm_grad(ctx, dx, w->g, dy, x, w->w, eps, add)
                                   : ctx->ops->layernorm_grad(ctx, dx, w->g, b->g, dy, x, w->w, eps, add);
}

int mbs_kit_norms(const mbs_model_config *c, const mbs_mixer *block) {
    return block->bare ? 0 : c->norm == MBS_NORM_LAYER ? 2 : 1;
}

void mbs_kit_transpose(const float *from, float *to, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            to[c * rows + r] = from[r * cols + c];
        }
    }
}

mbs_status mbs_kit_load_transposed(mbs_loader *ld, const char *name, int64_t rows, int64_t cols, int negate_exp,
                                   mbk_buf **out) {
    const float *values;
    int64_t n;
    float *turned;
    size_t count = (size_t)(rows * cols);
    mbs_status st = mbs_loader_room(ld, count, &turned);
    if (st >= 0) {
        st = mbs_loader_values(ld, name, &values, &n);
    }
    if (st < 0) {
        return st;
    }
    if (n != rows * cols) {
        return mbs_fail(ld->err, MBS_ERR_INTERNAL, NULL, "tensor '%s%s' was not checked", ld->prefix, name);
    }
    mbs_kit_transpose(values, turned, rows, cols);
    for (size_t i = 0; negate_exp && i < count; i++) {
        turned[i] = (float)-exp((double)turned[i]);
        if (!isfinite(turned[i])) {
            return mbs_fail(ld->err, MBS_ERR_DATA, NULL, "tensor '%s%s': exp of its values overflows", ld->prefix,
                            name);
        }
    }
    return mbs_loader_upload(ld, turned, count, out);
}

mbs_status mbs_kit_adjust(mbs_loader *ld, mbk_mat values, double times, double plus) {
    const size_t n = (size_t)(values.rows * values.cols);
    float *v;
    mbs_status st = mbs_loader_room(ld, n, &v);
    if (st < 0) {
        return st;
    }
    mbk_status done = ld->ctx->ops->download(ld->ctx, v, values.buf, 0, n * sizeof *v);
    for (size_t i = 0; i < n && done >= 0; i++) {
        v[i] = (float)((double)v[i] * times + plus);
    }
    done = done < 0 ? done : ld->ctx->ops->upload(ld->ctx, values.buf, 0, v, n * sizeof *v);
    return done < 0 ? mbs_backend_fail(ld->ctx, ld->err, done, NULL, "loading the weights") : MBS_OK;
}

mbs_status mbs_kit_load_row(mbs_loader *ld, const char *name, int optional, int64_t cols, mbk_mat *out) {
    mbk_buf *buf = NULL;
    mbs_status st = mbs_loader_buf(ld, name, optional, &buf);
    *out = mbs_kit_matrix(buf, 1, cols);
    return st;
}

mbs_status mbs_kit_load_turned(mbs_loader *ld, const char *name, int64_t rows, int64_t cols, int negate_exp,
                               mbk_mat *out) {
    mbk_buf *buf = NULL;
    mbs_status st = mbs_kit_load_transposed(ld, name, rows, cols, negate_exp, &buf);
    *out = mbs_kit_matrix(buf, cols, rows);
    return st;
}

double mbs_kit_draw_dt_bias(const mbs_spec *spec, uint64_t seed, uint64_t stream, int64_t i) {
    (void)spec;
    double u = mbs_rng_uniform(seed, stream, (uint64_t)i);
    double dt = fmax(exp(log(1e-3) + u * (log(1e-1) - log(1e-3))), 1e-4);
    return dt + log(-expm1(-dt));
}

mbs_status mbs_kit_weight_room(mbk_ctx *ctx, int64_t n_out, int64_t n_in, mbk_format format, mbk_weight **out,
                               mbs_err *err) {
    float *zeros = mbs_calloc((size_t)n_out, (size_t)n_in * sizeof *zeros);
    if (!zeros) {
        return mbs_fail_memory(err, NULL, (size_t)(n_out * n_in) * sizeof *zeros);
    }
    mbk_status st = ctx->ops->prepare(ctx, zeros, n_out, n_in, format, out);
    mbs_free(zeros);
    return st < 0 ? mbs_backend_fail(ctx, err, st, NULL, "making room for the weights") : MBS_OK;
}

mbs_status mbs_kit_pair_room(mbk_ctx *ctx, mbk_format format, const mbs_mixer_param *p, mbk_weight **w,
                             mbk_weight **turned, mbs_err *err) {
    mbs_status st = mbs_kit_weight_room(ctx, p->w.rows, p->w.cols, format, w, err);
    return st < 0 || !p->g.buf ? st : mbs_kit_weight_room(ctx, p->w.cols, p->w.rows, format, turned, err);
}

mbk_status mbs_kit_pack(mbk_ctx *ctx, const mbs_mixer_param *p, mbk_weight *w, mbk_weight *turned) {
    mbk_status st = ctx->ops->repack(ctx, w, p->w, 0);
    return st < 0 || !turned ? st : ctx->ops->repack(ctx, turned, p->w, 1);
}

mbk_status mbs_kit_linear_grad(mbk_ctx *ctx, mbk_math math, const mbs_mixer_param *w, const mbs_mixer_param *bias,
                               mbk_mat dy, mbk_mat x) {
    mbk_status st = ctx->ops->weight_grad(ctx, w->g, dy, x, math);
    return st < 0 || !bias->g.buf ? st : ctx->ops->bias_grad(ctx, bias->g, dy);
}
