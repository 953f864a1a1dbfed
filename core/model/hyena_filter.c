/* hyena_filter.c - the implicit filter of Hyena (Poli et al. 2023), whatever the matrices of the model are held as: in
 * double for running, once; in f32 for training, at every step. */
#include <math.h>

#include "base/mem.h"
#include "model/hyena.h"

#define PI 3.14159265358979323846
#define F32 ((mbk_format){MBK_F32, MBK_MATH_F32})

static const int weights[4] = {F_W0, F_W2, F_W4, F_W6};
static const int biases[3] = {F_B0, F_B2, F_B4};

/* The stored numbers of the filter's positions and window, or NULL. */
typedef struct positions {
    const float *z, *t, *deltas;
} positions;

/* t / (longest - 1), then cos and -sin of 2 pi t / longest times frequencies from 1e-4 to bands - 1. */
static void features(const hyena_filter *f, const positions *p, int64_t t, double *z) {
    const int64_t bands = (f->features - 1) / 2;
    const double step = bands > 1 ? ((double)(bands - 1) - 1e-4) / (double)(bands - 1) : 0;
    for (int64_t k = 0; p->z && k < f->features; k++) {
        z[k] = (double)p->z[t * f->features + k];
    }
    if (p->z) {
        return;
    }
    z[0] = (double)t / (double)(f->longest - 1);
    for (int64_t k = 0; k < bands; k++) {
        const double angle = (1e-4 + (double)k * step) * 2 * PI * (double)t / (double)f->longest;
        z[1 + k] = cos(angle);
        z[1 + bands + k] = -sin(angle);
    }
}

/* What tap t of channel c of the network's is multiplied with. */
static double window(const hyena_filter *f, const positions *p, int64_t t, int64_t c) {
    const int64_t all = f->d * f->filters;
    const double slow = log(1e-2) / 1.5;
    const double fast = log(1e-2) / 0.3;
    double delta = all > 1 ? slow + (fast - slow) * (double)c / (double)(all - 1) : slow;
    delta = p->deltas ? (double)p->deltas[c] : delta;
    const double lag = p->t ? (double)p->t[t] : (double)t / (double)(f->longest - 1);
    return exp(-lag * fabs(delta)) + f->shift;
}

/* The stored numbers on the host, of which the first free ends the life; NULL where there is no memory. */
static mbs_status fetch(mbk_ctx *ctx, const hyena_filter *f, const mbs_held_item *t, float **room, positions *p,
                        mbs_err *err) {
    const float **out[HYENA_STORED] = {&p->z, &p->t, &p->deltas};
    const int64_t floats[HYENA_STORED] = {f->longest * f->features, f->longest, f->d * f->filters};
    int64_t all = 1;
    *p = (positions){0};
    for (int i = 0; i < HYENA_STORED; i++) {
        all += f->stored[i] >= 0 ? floats[i] : 0;
    }
    float *at = *room = mbs_alloc((size_t)all * sizeof **room);
    if (!at) {
        return mbs_fail_memory(err, NULL, (size_t)all * sizeof **room);
    }
    for (int i = 0; i < HYENA_STORED; i++) {
        if (f->stored[i] >= 0) {
            const mbk_mat *m = &t[f->stored[i]].p.w;
            const size_t bytes = (size_t)floats[i] * sizeof *at;
            mbk_status st = ctx->ops->download(ctx, at, m->buf, (size_t)m->off * sizeof *at, bytes);
            if (st < 0) {
                return mbs_backend_fail(ctx, err, st, NULL, "making the filter");
            }
            *out[i] = at;
            at += floats[i];
        }
    }
    return MBS_OK;
}

mbs_status mbs_hyena_filter_room(const mbs_model_config *cfg, int64_t index, mbk_ctx *ctx, hyena_filter *f,
                                 mbs_err *err) {
    const mbs_layer_sizes *z = mbs_config_sizes(cfg, index);
    f->longest = z->l_max;
    f->taps = z->reach > 0 && z->reach < z->l_max ? z->reach : z->l_max;
    f->d = cfg->d_model;
    f->width = z->filter_order;
    f->features = z->emb_dim;
    f->filters = z->hyena_order - 1;
    f->shift = z->filter_shift;
    for (int i = 0, next = F_MORE; i < HYENA_STORED; i++) {
        f->stored[i] = z->filter_stored >> i & 1 ? next++ : -1;
    }
    const int64_t each = mbs_kit_lines(f->taps * f->d);
    mbk_status made = ctx->ops->buf_new(ctx, (size_t)(each * f->filters) * sizeof(float), &f->made);
    for (int64_t j = 0; j < f->filters; j++) {
        f->w[j] = (mbk_mat){f->made, j * each, f->taps, f->d, f->d};
    }
    return made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making room for a filter") : MBS_OK;
}

/* Room for the transforms, with that for making them where `work` is wanted. */
static mbs_status far_room(mbk_ctx *ctx, int work, hyena_filter *f, mbs_err *err) {
    const int64_t each = mbk_fir_spectra_floats(f->taps, f->d);
    const int64_t more = work ? mbk_fir_work_floats(f->taps, f->d) : 0;
    int64_t at = 0;
    if (mbk_fir_levels(f->taps) == 0) {
        return MBS_OK;
    }
    const size_t bytes = (size_t)(f->filters * mbs_kit_lines(each) + more) * sizeof(float);
    mbk_status st = ctx->ops->buf_new(ctx, bytes, &f->far);
    for (int64_t j = 0; j < f->filters; j++) {
        f->spectra[j] = mbs_held_carve(f->far, &at, 1, each);
    }
    f->far_work = work ? mbs_held_carve(f->far, &at, 1, more) : (mbk_mat){0};
    return st < 0 ? mbs_backend_fail(ctx, err, st, NULL, "making room for a filter") : MBS_OK;
}

static mbk_status transform(mbk_ctx *ctx, hyena_filter *f, mbk_mat work) {
    mbk_status st = MBS_OK;
    for (int64_t j = 0; f->far && j < f->filters && st >= 0; j++) {
        st = ctx->ops->fir_spectra(ctx, f->spectra[j], f->w[j], work);
    }
    return st;
}

mbs_status mbs_hyena_filter_train_room(mbk_ctx *ctx, int trained, hyena_filter *f, mbs_err *err) {
    const int64_t floats = mbs_kit_lines(f->taps * f->features) + 6 * mbs_kit_lines(f->taps * f->width) +
                           (1 + (trained ? 2 : 1) * f->filters) * mbs_kit_lines(f->taps * f->d);
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
    mbs_status st = far_room(ctx, 1, f, err);
    for (int i = 0; i < 3 && st >= 0; i++) {
        const int64_t in = i > 0 ? f->width : f->features;
        st = mbs_kit_weight_room(ctx, f->width, in, F32, &f->m[i], err);
        st = st < 0 || !trained ? st : mbs_kit_weight_room(ctx, in, f->width, F32, &f->t[i], err);
    }
    for (int64_t j = 0; j < f->filters && st >= 0; j++) {
        f->window[j] = mbs_held_carve(f->work, &at, f->taps, f->d);
        if (trained) {
            f->dw[j] = mbs_held_carve(f->work, &at, f->taps, f->d);
            made = ctx->ops->zero(ctx, f->dw[j]);
            st = made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making room for a filter") : st;
        }
        st = mbs_kit_weight_room(ctx, f->d, f->width, F32, &f->last[j], err);
        st = st < 0 || !trained ? st : mbs_kit_weight_room(ctx, f->width, f->d, F32, &f->last_t[j], err);
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

/* The most numbers of a row of the network. */
static int64_t widest_row(const hyena_filter *f) {
    const int64_t wide = f->width > f->d * f->filters ? f->width : f->d * f->filters;
    return wide > f->features ? wide : f->features;
}

/* Row t of all filters, one after the other; `t[F_BIAS ...]` as host arrays; two rows of doubles of room. */
static void exact_tap(const hyena_filter *f, const positions *p, const float *const *host, int64_t t, double *room,
                      float *out) {
    double *in = room;
    double *next = room + widest_row(f);
    features(f, p, t, in);
    for (int i = 0; i < 3; i++) {
        linear(host[weights[i]], host[biases[i]], in, i ? f->width : f->features, f->width, next);
        for (int64_t k = 0; k < f->width; k++) {
            in[k] = sin((double)host[F_FREQ][k] * next[k]);
        }
    }
    linear(host[F_W6], NULL, in, f->width, f->d * f->filters, next);
    for (int64_t c = 0; c < f->d * f->filters; c++) {
        const double tap = next[c] * window(f, p, t, c) + (t == 0 ? (double)host[F_BIAS][c] : 0);
        out[c % f->filters * f->d + c / f->filters] = (float)tap;
    }
}

static mbs_status exact_taps(mbk_ctx *ctx, hyena_filter *f, const positions *p, const mbs_held_item *t, mbs_err *err) {
    const float *host[F_W6 + 1] = {0};
    const size_t doubles = (size_t)(2 * widest_row(f));
    size_t floats = (size_t)(f->d * f->filters);
    mbk_status st = MBS_OK;
    for (int i = F_BIAS; i <= F_W6; i++) {
        floats += (size_t)floats_of(&t[i].p.w);
    }
    double *room = mbs_alloc(doubles * sizeof *room + floats * sizeof(float));
    if (!room) {
        return mbs_fail_memory(err, NULL, doubles * sizeof *room + floats * sizeof(float));
    }
    float *row = (float *)(void *)(room + doubles);
    float *at = row + f->d * f->filters;
    for (int i = F_BIAS; i <= F_W6 && st >= 0; i++) {
        const size_t n = (size_t)floats_of(&t[i].p.w);
        st = ctx->ops->download(ctx, at, t[i].p.w.buf, (size_t)t[i].p.w.off * sizeof *at, n * sizeof *at);
        host[i] = at;
        at += n;
    }
    for (int64_t tap = 0; tap < f->taps && st >= 0; tap++) {
        const size_t bytes = (size_t)f->d * sizeof *row;
        exact_tap(f, p, host, tap, room, row);
        for (int64_t j = 0; j < f->filters && st >= 0; j++) {
            const size_t off = (size_t)f->w[j].off * sizeof *row + (size_t)tap * bytes;
            st = ctx->ops->upload(ctx, f->made, off, row + j * f->d, bytes);
        }
    }
    mbs_free(room);
    return st < 0 ? mbs_backend_fail(ctx, err, st, NULL, "making the filter") : MBS_OK;
}

mbs_status mbs_hyena_filter_exact(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, mbs_err *err) {
    float *room;
    positions p;
    mbs_status st = fetch(ctx, f, t, &room, &p, err);
    st = st < 0 ? st : exact_taps(ctx, f, &p, t, err);
    mbs_free(room);
    st = st < 0 ? st : far_room(ctx, 0, f, err);
    if (st >= 0 && f->far) {
        const int64_t floats = mbk_fir_work_floats(f->taps, f->d);
        mbk_mat work = {.rows = 1, .cols = floats, .ld = floats};
        mbk_status made = ctx->ops->buf_new(ctx, (size_t)work.cols * sizeof(float), &work.buf);
        made = made < 0 ? made : transform(ctx, f, work);
        ctx->ops->buf_free(ctx, work.buf);
        st = made < 0 ? mbs_backend_fail(ctx, err, made, NULL, "making the filter") : MBS_OK;
    }
    return st;
}

/* --- for training ---------------------------------------------------------------------------------------------------
 */

void mbs_hyena_filter_free(mbk_ctx *ctx, hyena_filter *f) {
    for (int i = 0; i < 3; i++) {
        ctx->ops->weight_free(ctx, f->m[i]);
        ctx->ops->weight_free(ctx, f->t[i]);
    }
    for (int64_t j = 0; j < f->filters; j++) {
        ctx->ops->weight_free(ctx, f->last[j]);
        ctx->ops->weight_free(ctx, f->last_t[j]);
    }
    ctx->ops->buf_free(ctx, f->far);
    ctx->ops->buf_free(ctx, f->work);
    ctx->ops->buf_free(ctx, f->made);
}

/* Features and windows do not change: they are made once, when the tensors are there. */
static mbk_status make_windows(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t) {
    float *stored;
    positions p;
    const size_t wide = (size_t)widest_row(f);
    mbk_status st = fetch(ctx, f, t, &stored, &p, NULL);
    double *row = st < 0 ? NULL : mbs_alloc(wide * (sizeof *row + sizeof(float)));
    if (st >= 0 && !row) {
        st = MBS_ERR_MEMORY;
    }
    float *host = (float *)(void *)(row + wide);
    for (int64_t i = 0; i < f->taps && st >= 0; i++) {
        features(f, &p, i, row);
        for (int64_t k = 0; k < f->features; k++) {
            host[k] = (float)row[k];
        }
        st = ctx->ops->upload(ctx, f->work, (size_t)(f->z.off + i * f->features) * sizeof *host, host,
                              (size_t)f->features * sizeof *host);
        for (int64_t j = 0; j < f->filters && st >= 0; j++) {
            for (int64_t c = 0; c < f->d; c++) {
                host[c] = (float)window(f, &p, i, c * f->filters + j);
            }
            st = ctx->ops->upload(ctx, f->work, (size_t)(f->window[j].off + i * f->d) * sizeof *host, host,
                                  (size_t)f->d * sizeof *host);
        }
    }
    mbs_free(row);
    mbs_free(stored);
    f->windows_made = st >= 0;
    return st;
}

/* What filter j has of a tensor whose first dimension is the network's channels: d rows. */
static mbk_mat part_of(const hyena_filter *f, mbk_mat m, int64_t j, int64_t cols) {
    return (mbk_mat){m.buf, m.off + j * cols, f->d, cols, f->filters * cols};
}

static mbk_mat some(mbk_mat m, int64_t rows) {
    m.rows = rows;
    return m;
}

/* The first tap as a column, which the bias of a filter is. */
static mbk_mat column(const hyena_filter *f, mbk_mat m) {
    return (mbk_mat){m.buf, m.off, f->d, 1, 1};
}

mbk_status mbs_hyena_filter_make(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t) {
    const mbk_ops *ops = ctx->ops;
    const mbk_mat none = {0};
    mbk_status st = f->windows_made ? MBS_OK : make_windows(ctx, f, t);
    for (int i = 0; i < 3 && st >= 0; i++) {
        st = ops->repack(ctx, f->m[i], t[weights[i]].p.w, 0);
        st = st < 0 || !f->t[i] ? st : ops->repack(ctx, f->t[i], t[weights[i]].p.w, 1);
        st = st < 0 ? st : ops->gemm(ctx, f->a[i], i ? f->s[i - 1] : f->z, f->m[i], t[biases[i]].p.w, 0);
        st = st < 0 ? st : ops->unary(ctx, f->s[i], f->a[i], t[F_FREQ].p.w, MBK_SIN);
    }
    for (int64_t j = 0; j < f->filters && st >= 0; j++) {
        const mbk_mat w = part_of(f, t[F_W6].p.w, j, f->width);
        const mbk_mat first = column(f, f->w[j]);
        st = ops->repack(ctx, f->last[j], w, 0);
        st = st < 0 || !f->last_t[j] ? st : ops->repack(ctx, f->last_t[j], w, 1);
        st = st < 0 ? st : ops->gemm(ctx, f->h, f->s[2], f->last[j], none, 0);
        st = st < 0 ? st : ops->mul(ctx, f->w[j], f->h, f->window[j]);
        st = st < 0 ? st : ops->add(ctx, first, first, part_of(f, t[F_BIAS].p.w, j, 1));
    }
    return st < 0 ? st : transform(ctx, f, f->far_work);
}

int64_t mbs_hyena_filter_back_floats(const mbs_layer_sizes *z) {
    return 2 * mbs_kit_lines(z->l_max * z->filter_order);
}

/* From dw, the gradient of the first dw.rows taps of filter j (which is used up), to those of the tensors. */
static mbk_status back_one(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, int64_t j, mbk_mat dw,
                           mbk_buf *scratch) {
    const mbk_ops *ops = ctx->ops;
    const int64_t n = dw.rows;
    const mbk_mat none = {0};
    const mbk_mat bias = part_of(f, t[F_BIAS].p.g, j, 1);
    int64_t at = 0;
    mbk_mat ds = mbs_held_carve(scratch, &at, n, f->width);
    mbk_mat da = mbs_held_carve(scratch, &at, n, f->width);
    mbk_status st = ops->add(ctx, bias, bias, column(f, dw));
    st = st < 0 ? st : ops->mul(ctx, dw, dw, some(f->window[j], n));
    st = st < 0 ? st : ops->weight_grad(ctx, part_of(f, t[F_W6].p.g, j, f->width), dw, some(f->s[2], n), MBK_MATH_F32);
    st = st < 0 ? st : ops->gemm(ctx, ds, dw, f->last_t[j], none, 0);
    for (int i = 2; i >= 0 && st >= 0; i--) {
        const mbk_mat in = some(i ? f->s[i - 1] : f->z, n);
        st = ops->unary_grad(ctx, da, t[F_FREQ].p.g, ds, some(f->a[i], n), t[F_FREQ].p.w, MBK_SIN);
        st = st < 0 ? st : ops->weight_grad(ctx, t[weights[i]].p.g, da, in, MBK_MATH_F32);
        st = st < 0 ? st : ops->bias_grad(ctx, t[biases[i]].p.g, da);
        st = st < 0 || i == 0 ? st : ops->gemm(ctx, ds, da, f->t[i], none, 0);
    }
    return st;
}

mbk_status mbs_hyena_filter_back(mbk_ctx *ctx, hyena_filter *f, const mbs_held_item *t, mbk_buf *scratch, int add) {
    mbk_status st = MBS_OK;
    for (int64_t j = f->filters - 1; j >= 0 && st >= 0; j--) {
        const mbk_mat dw = some(f->dw[j], f->met[j]);
        if (f->met[j] > 0) {
            st = add ? back_one(ctx, f, t, j, dw, scratch) : st;
            st = st < 0 ? st : ctx->ops->zero(ctx, dw);
            f->met[j] = 0;
        }
    }
    return st;
}
