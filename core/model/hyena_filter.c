/* hyena_filter.c - the implicit filter of Hyena (Poli et al. 2023), whatever the matrices of the model are held as: in
 * double for running, once; in f32 for training, at every step. */
#include <math.h>

#include "base/mem.h"
#include "model/hyena.h"

#define PI 3.14159265358979323846
#define F32 ((mbk_format){MBK_F32, MBK_MATH_F32})

static const int weights[4] = {F_W0, F_W2, F_W4, F_W6};
static const int biases[3] = {F_B0, F_B2, F_B4};

/* t / (taps - 1), then cos and -sin of 2 pi t / taps times frequencies from 1e-4 to bands - 1. */
static void features(const hyena_filter *f, int64_t t, double *z) {
    const int64_t bands = (f->features - 1) / 2;
    const double step = bands > 1 ? ((double)(bands - 1) - 1e-4) / (double)(bands - 1) : 0;
    z[0] = (double)t / (double)(f->taps - 1);
    for (int64_t k = 0; k < bands; k++) {
        const double angle = (1e-4 + (double)k * step) * 2 * PI * (double)t / (double)f->taps;
        z[1 + k] = cos(angle);
        z[1 + bands + k] = -sin(angle);
    }
}

/* What tap t of channel c is multiplied with. */
static double window(const hyena_filter *f, int64_t t, int64_t c) {
    const double slow = log(1e-2) / 1.5;
    const double fast = log(1e-2) / 0.3;
    const double delta = f->d > 1 ? slow + (fast - slow) * (double)c / (double)(f->d - 1) : slow;
    return exp(-(double)t / (double)(f->taps - 1) * fabs(delta));
}

static void fill_positions(const hyena_filter *f, double *row, float *z, float *windows) {
    for (int64_t t = 0; t < f->taps; t++) {
        features(f, t, row);
        for (int64_t k = 0; k < f->features; k++) {
            z[t * f->features + k] = (float)row[k];
        }
        for (int64_t c = 0; c < f->d; c++) {
            windows[t * f->d + c] = (float)window(f, t, c);
        }
    }
}

static mbs_status positions(mbk_ctx *ctx, hyena_filter *f, mbs_err *err) {
    const size_t zs = (size_t)(f->taps * f->features);
    const size_t ws = (size_t)(f->taps * f->d);
    const size_t bytes = (size_t)f->features * sizeof(double) + (zs + ws) * sizeof(float);
    double *row = mbs_alloc(bytes);
    if (!row) {
        return mbs_fail_memory(err, NULL, bytes);
    }
    float *host = (float *)(void *)(row + f->features);
    fill_positions(f, row, host, host + zs);
    mbk_status st = ctx->ops->upload(ctx, f->work, (size_t)f->z.off * sizeof *host, host, zs * sizeof *host);
    if (st >= 0) {
        st = ctx->ops->upload(ctx, f->work, (size_t)f->window.off * sizeof *host, host + zs, ws * sizeof *host);
    }
    mbs_free(row);
    return st < 0 ? mbs_backend_fail(ctx, err, st, NULL, "making the filter") : MBS_OK;
}

mbs_status mbs_hyena_filter_room(const mbs_model_config *cfg, int64_t index, mbk_ctx *ctx, hyena_filter *f,
                                 mbs_err *err) {
    const mbs_layer_sizes *z = mbs_config_sizes(cfg, index);
    f->taps = z->l_max;
    f->d = cfg->d_model;
    f->width = z->filter_order;
    f->features = z->emb_dim;
    mbk_status made = ctx->ops->buf_new(ctx, (size_t)(f->taps * f->d) * sizeof(float), &f->made);
    f->w = mbs_kit_matrix(f->made, f->taps, f->d);
    return made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making room for a filter") : MBS_OK;
}

mbs_status mbs_hyena_filter_train_room(mbk_ctx *ctx, int trained, hyena_filter *f, mbs_err *err) {
    const int64_t floats = mbs_kit_lines(f->taps * f->features) + 6 * mbs_kit_lines(f->taps * f->width) +
                           2 * mbs_kit_lines(f->taps * f->d);
    mbk_status made = ctx->ops->buf_new(ctx, (size_t)floats * sizeof(float), &f->work);
    if (made < 0) {
        return mbs_backend_fail(ctx, err, made, NULL, "making room for a filter");
    }
    int64_t at = 0;
    f->z = mbs_held_carve(f->work, &at, f->taps, f->features);
    for (int i = 0; i < 3; i++) {
        f->a[i] = mbs_held_carve(f->work, &at, f->taps, f->width);
        f->s[i] = mbs_held_carve(f->work, &at, f->taps, f->width);
    }
    f->h = mbs_held_carve(f->work, &at, f->taps, f->d);
    f->window = mbs_held_carve(f->work, &at, f->taps, f->d);
    mbs_status st = positions(ctx, f, err);
    for (int i = 0; i < 4 && st >= 0; i++) {
        const int64_t out = i < 3 ? f->width : f->d;
        const int64_t in = i > 0 ? f->width : f->features;
        st = mbs_kit_weight_room(ctx, out, in, F32, &f->m[i], err);
        st = st < 0 || !trained ? st : mbs_kit_weight_room(ctx, in, out, F32, &f->t[i], err);
    }
    return st;
}

/* --- for running, in double -----------------------------------------------------------------------------------------
 * Three layers of sines of high frequency carry an error of f32 to some 1e-5 of the filter. */

/* out (n_out) = W in + bias */
static void linear(const float *w, const float *bias, const double *in, int64_t n_in, int64_t n_out, double *out) {
    for (int64_t o = 0; o < n_out; o++) {
        double sum = bias ? (double)bias[o] : 0;
        for (int64_t k = 0; k < n_in; k++) {
            sum += (double)w[o * n_in + k] * in[k];
        }
        out[o] = sum;
    }
}

static int64_t floats_of(const mbk_mat *m) {
    return m->rows * m->cols;
}

/* `t[F_BIAS ...]` as host arrays; two rows of doubles of room. */
static void exact_tap(const hyena_filter *f, const float *const *host, int64_t t, double *room, float *out) {
    const int64_t wide = f->width > f->d ? f->width : f->d;
    const int64_t most = wide > f->features ? wide : f->features;
    double *in = room;
    double *next = room + most;
    features(f, t, in);
    for (int i = 0; i < 3; i++) {
        linear(host[weights[i]], host[biases[i]], in, i ? f->width : f->features, f->width, next);
        for (int64_t k = 0; k < f->width; k++) {
            in[k] = sin((double)host[F_FREQ][k] * next[k]);
        }
    }
    linear(host[F_W6], NULL, in, f->width, f->d, next);
    for (int64_t c = 0; c < f->d; c++) {
        out[c] = (float)(next[c] * window(f, t, c) + (t == 0 ? (double)host[F_BIAS][c] : 0));
    }
}

mbs_status mbs_hyena_filter_exact(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, mbs_err *err) {
    const float *host[F_W6 + 1] = {0};
    const int64_t wide = f->width > f->d ? f->width : f->d;
    const size_t doubles = (size_t)(2 * (wide > f->features ? wide : f->features));
    size_t floats = (size_t)f->d;
    mbk_status st = MBS_OK;
    for (int i = F_BIAS; i <= F_W6; i++) {
        floats += (size_t)floats_of(&t[i].p.w);
    }
    double *room = mbs_alloc(doubles * sizeof *room + floats * sizeof(float));
    if (!room) {
        return mbs_fail_memory(err, NULL, doubles * sizeof *room + floats * sizeof(float));
    }
    float *row = (float *)(void *)(room + doubles);
    float *at = row + f->d;
    for (int i = F_BIAS; i <= F_W6 && st >= 0; i++) {
        const size_t n = (size_t)floats_of(&t[i].p.w);
        st = ctx->ops->download(ctx, at, t[i].p.w.buf, (size_t)t[i].p.w.off * sizeof *at, n * sizeof *at);
        host[i] = at;
        at += n;
    }
    for (int64_t tap = 0; tap < f->taps && st >= 0; tap++) {
        const size_t bytes = (size_t)f->d * sizeof *row;
        exact_tap(f, host, tap, room, row);
        st = ctx->ops->upload(ctx, f->made, (size_t)tap * bytes, row, bytes);
    }
    mbs_free(room);
    return st < 0 ? mbs_backend_fail(ctx, err, st, NULL, "making the filter") : MBS_OK;
}

/* --- for training ---------------------------------------------------------------------------------------------------
 */

void mbs_hyena_filter_free(mbk_ctx *ctx, hyena_filter *f) {
    for (int i = 0; i < 4; i++) {
        ctx->ops->weight_free(ctx, f->m[i]);
        ctx->ops->weight_free(ctx, f->t[i]);
    }
    ctx->ops->buf_free(ctx, f->work);
    ctx->ops->buf_free(ctx, f->made);
}

mbk_status mbs_hyena_filter_make(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t) {
    const mbk_ops *ops = ctx->ops;
    mbk_status st = MBS_OK;
    mbk_mat first = f->w;
    first.rows = 1;
    for (int i = 0; i < 4 && st >= 0; i++) {
        st = ops->repack(ctx, f->m[i], t[weights[i]].p.w, 0);
        st = st < 0 || !f->t[i] ? st : ops->repack(ctx, f->t[i], t[weights[i]].p.w, 1);
    }
    for (int i = 0; i < 3 && st >= 0; i++) {
        st = ops->gemm(ctx, f->a[i], i ? f->s[i - 1] : f->z, f->m[i], t[biases[i]].p.w, 0);
        st = st < 0 ? st : ops->unary(ctx, f->s[i], f->a[i], t[F_FREQ].p.w, MBK_SIN);
    }
    st = st < 0 ? st : ops->gemm(ctx, f->h, f->s[2], f->m[3], (mbk_mat){0}, 0);
    st = st < 0 ? st : ops->mul(ctx, f->w, f->h, f->window);
    return st < 0 ? st : ops->add(ctx, first, first, t[F_BIAS].p.w);
}

static mbk_mat some(mbk_mat m, int64_t rows) {
    m.rows = rows;
    return m;
}

mbk_status mbs_hyena_filter_back(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, mbk_mat dw, mbk_buf *scratch,
                                 int64_t at) {
    const mbk_ops *ops = ctx->ops;
    const int64_t n = dw.rows;
    const mbk_mat none = {0};
    mbk_mat ds = mbs_held_carve(scratch, &at, n, f->width);
    mbk_mat da = mbs_held_carve(scratch, &at, n, f->width);
    mbk_status st = ops->add(ctx, t[F_BIAS].p.g, t[F_BIAS].p.g, some(dw, 1));
    st = st < 0 ? st : ops->mul(ctx, dw, dw, some(f->window, n));
    st = st < 0 ? st : ops->weight_grad(ctx, t[F_W6].p.g, dw, some(f->s[2], n), MBK_MATH_F32);
    st = st < 0 ? st : ops->gemm(ctx, ds, dw, f->t[3], none, 0);
    for (int i = 2; i >= 0 && st >= 0; i--) {
        const mbk_mat in = some(i ? f->s[i - 1] : f->z, n);
        st = ops->unary_grad(ctx, da, t[F_FREQ].p.g, ds, some(f->a[i], n), t[F_FREQ].p.w, MBK_SIN);
        st = st < 0 ? st : ops->weight_grad(ctx, t[weights[i]].p.g, da, in, MBK_MATH_F32);
        st = st < 0 ? st : ops->bias_grad(ctx, t[biases[i]].p.g, da);
        st = st < 0 || i == 0 ? st : ops->gemm(ctx, ds, da, f->t[i], none, 0);
    }
    return st;
}
