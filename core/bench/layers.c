/* layers.c - the kernels at the sizes that a model of the shape calls them with. */
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "bench/impl.h"

#define ROWS 256
#define ROWS_REF 16 /* the plain-C level is the contract, not a way to work */
#define ROWS_DEVICE 16384
#define COPIES_BYTES (256e6) /* of a weight, for gemv, which reads one after the other as a model's layers do */
#define MOST_COPIES 64
#define MOST_BUFS 14

/* Buffers and weights of one piece of work. */
typedef struct piece {
    mbs_bench_env *e;
    mbk_buf *bufs[MOST_BUFS];
    int n_bufs;
    mbk_weight *weights[MOST_COPIES];
    int n_weights;
    int next;
    mbk_mat x, y;
    mbk_mat taps, bias, state;
    mbk_scan_args scan;
    mbk_ssd_args ssd;
    mbk_status st; /* of making it */
} piece;

static int64_t rows_of(const mbs_bench_env *e) {
    return e->on_device ? ROWS_DEVICE : e->o->level == MBK_LEVEL_REF ? ROWS_REF : ROWS;
}

static void drop(piece *p) {
    const mbk_ops *ops = p->e->ctx->ops;
    for (int i = 0; i < p->n_bufs; i++) {
        ops->buf_free(p->e->ctx, p->bufs[i]);
    }
    for (int i = 0; i < p->n_weights; i++) {
        ops->weight_free(p->e->ctx, p->weights[i]);
    }
}

/* n numbers between low and high; mbs_free. */
static float *numbers(int64_t n, double low, double high) {
    size_t bytes;
    if (n < 0 || mbs_mul_overflow((size_t)n, sizeof(float), &bytes)) {
        return NULL;
    }
    float *v = mbs_alloc(bytes);
    for (int64_t i = 0; v && i < n; i++) {
        v[i] = (float)(low + (high - low) * mbs_rng_uniform(1, 2, (uint64_t)(i & 0xFFFF)));
    }
    return v;
}

static mbk_mat matrix(piece *p, int64_t rows, int64_t cols, double low, double high) {
    mbk_mat m = {NULL, 0, rows, cols, cols};
    size_t bytes = (size_t)(rows * cols) * sizeof(float);
    float *v = numbers(rows * cols, low, high);
    if (p->st >= 0 && !v) {
        p->st = MBS_ERR_MEMORY;
    }
    if (p->st >= 0) {
        p->st = p->e->ctx->ops->buf_new(p->e->ctx, bytes, &m.buf);
    }
    if (p->st >= 0) {
        p->bufs[p->n_bufs++] = m.buf;
        p->st = p->e->ctx->ops->upload(p->e->ctx, m.buf, 0, v, bytes);
    }
    mbs_free(v);
    return m;
}

static mbs_status kernel_failed(const mbk_ctx *ctx, mbk_status st, const char *what, mbs_err *err) {
    if (mbk_why(ctx)) {
        mbs_fail(err, st, what, "%s", mbk_why(ctx));
    } else if (st == MBS_ERR_MEMORY) {
        mbs_fail(err, st, what, "there is not enough memory");
    } else {
        mbs_fail(err, st, what, "the kernels failed (%d)", (int)st);
    }
    if (st == MBS_ERR_MEMORY) {
        mbs_err_fix(err, "take a smaller --shape, or close what else uses the memory");
    }
    return st;
}

static mbs_status settle(void *arg, mbs_err *err) {
    const piece *p = arg;
    mbk_status st = p->e->ctx->ops->sync(p->e->ctx);
    return st < 0 ? kernel_failed(p->e->ctx, st, "sync", err) : MBS_OK;
}

static mbs_status measure(piece *p, mbs_status (*call)(void *arg, mbs_err *err), const char *work, const char *part,
                          const mbs_bench_cost *cost, mbs_err *err) {
    mbs_timing t;
    mbs_budget budget = {p->e->o->repeat, p->e->o->seconds, 0.01, settle, 0};
    if (p->st < 0) {
        return kernel_failed(p->e->ctx, p->st, part[0] ? part : work, err);
    }
    mbs_status st = mbs_time_calls(&budget, call, p, &t, err);
    return st < 0 ? st : mbs_bench_add(p->e, work, part, cost, &t, err);
}

/* --- gemm and gemv ------------------------------------------------------------------------------------------------ */

static mbs_status call_gemm(void *arg, mbs_err *err) {
    piece *p = arg;
    mbk_mat none = {0};
    p->next = p->next + 1 < p->n_weights ? p->next + 1 : 0;
    mbk_status st = p->e->ctx->ops->gemm(p->e->ctx, p->y, p->x, p->weights[p->next], none, 0);
    return st < 0 ? kernel_failed(p->e->ctx, st, "gemm", err) : MBS_OK;
}

static void prepare(piece *p, const mbs_bench_matrix *m, int copies) {
    float *w = numbers(m->n_out * m->n_in, -0.1, 0.1);
    p->st = p->st >= 0 && !w ? MBS_ERR_MEMORY : p->st;
    for (int i = 0; i < copies && p->st >= 0; i++) {
        p->st = p->e->ctx->ops->prepare(p->e->ctx, w, m->n_out, m->n_in, p->e->format, &p->weights[i]);
        p->n_weights += p->st >= 0;
    }
    mbs_free(w);
}

static mbs_status bench_matrix(mbs_bench_env *e, const mbs_bench_matrix *m, int64_t rows, mbs_err *err) {
    piece p = {.e = e};
    double weight = (double)m->n_out * (double)m->n_in * mbs_bench_weight_bytes(&e->format);
    int copies = rows > 1 ? 1 : m->count < MOST_COPIES ? (int)m->count : MOST_COPIES;
    if (weight * copies > COPIES_BYTES) {
        copies = (int)(COPIES_BYTES / weight) + 1;
    }
    p.st = e->ctx->ops->reserve(e->ctx, rows, m->n_out > m->n_in ? m->n_out : m->n_in);
    p.x = matrix(&p, rows, m->n_in, -1, 1);
    p.y = matrix(&p, rows, m->n_out, 0, 0);
    prepare(&p, m, copies);
    mbs_bench_cost cost = {
        .rows = rows,
        .matrix = 2 * (double)rows * (double)m->n_out * (double)m->n_in,
        .bytes = weight + 4 * (double)rows * (double)(m->n_out + m->n_in),
        .held = weight * copies,
        .math = e->format.math,
        .times = rows > 1 && strcmp(m->name, "head") != 0 && !m->seldom ? m->count : 0,
    };
    mbs_status st = measure(&p, call_gemm, rows > 1 ? "gemm" : "gemv", m->name, &cost, err);
    drop(&p);
    return st;
}

static mbs_status bench_gemm(mbs_bench_env *e, mbs_err *err) {
    mbs_bench_matrix all[MBS_BENCH_MATRICES];
    mbs_status st = MBS_OK;
    int n = mbs_bench_matrices(e->cfg, all);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n && st >= 0; i++) {
            st = bench_matrix(e, &all[i], pass == 0 ? rows_of(e) : 1, err);
        }
    }
    return st;
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

static mbs_status call_scan(void *arg, mbs_err *err) {
    piece *p = arg;
    mbk_status st = p->e->ctx->ops->selective_scan(p->e->ctx, &p->scan);
    return st < 0 ? kernel_failed(p->e->ctx, st, "scan", err) : MBS_OK;
}

static mbs_status call_ssd(void *arg, mbs_err *err) {
    piece *p = arg;
    mbk_status st = p->e->ctx->ops->ssd(p->e->ctx, &p->ssd);
    return st < 0 ? kernel_failed(p->e->ctx, st, "scan", err) : MBS_OK;
}

/* The state space dual form, without the gate and the norm behind it. */
static mbs_status bench_ssd(mbs_bench_env *e, const mbs_mixer_work *work, mbs_err *err) {
    const mbs_model_config *c = e->cfg;
    const mbs_layer_sizes *z = mbs_config_sizes(c, 0);
    int64_t rows = rows_of(e);
    int64_t heads = z->d_ssm / z->head_dim;
    int64_t bc = z->n_groups * z->d_state;
    piece p = {.e = e};
    p.st = e->ctx->ops->reserve(e->ctx, rows, work->conv);
    p.ssd = (mbk_ssd_args){
        .y = matrix(&p, rows, z->d_ssm, 0, 0),
        .x = matrix(&p, rows, z->d_ssm, -1, 1),
        .dt = matrix(&p, rows, heads, -4, 0),
        .b = matrix(&p, rows, bc, -1, 1),
        .c = matrix(&p, rows, bc, -1, 1),
        .a = matrix(&p, 1, heads, -16, -1),
        .d = matrix(&p, 1, heads, 1, 1),
        .state = matrix(&p, heads * z->d_state, z->head_dim, 0, 0),
        .open_x = matrix(&p, heads * MBK_SSD_BLOCK, z->head_dim, 0, 0),
        .open_b = matrix(&p, MBK_SSD_BLOCK, bc, 0, 0),
        .open_lam = matrix(&p, heads, 2L * MBK_SSD_BLOCK, 0, 0),
        .groups = z->n_groups,
        .dt_max = 1e9f,
    };
    mbs_bench_cost cost = {
        .rows = rows,
        .vector = (double)rows * work->scan,
        .bytes = 4 * (double)rows * (double)(2 * z->d_ssm + 2 * bc + heads),
        .held = 4 * (double)rows * (double)(2 * z->d_ssm + 2 * bc + heads),
        .times = c->n_layer,
    };
    mbs_status st = measure(&p, call_ssd, "scan", "", &cost, err);
    drop(&p);
    return st;
}

static mbs_status bench_scan(mbs_bench_env *e, mbs_err *err) {
    mbs_mixer_work work;
    const mbs_mixer *mixer = mbs_mixer_of_layer(e->cfg, 0);
    mixer->work(e->cfg, 0, &work);
    if (mixer == &mbs_mixer_mamba2) {
        return bench_ssd(e, &work, err);
    }
    if (mixer != &mbs_mixer_mamba1) {
        return MBS_OK; /* no recurrence that is known here */
    }
    const mbs_model_config *c = e->cfg;
    const mbs_layer_sizes *z = mbs_config_sizes(c, 0);
    int64_t rows = rows_of(e);
    piece p = {.e = e};
    p.st = e->ctx->ops->reserve(e->ctx, rows, 2 * z->d_inner);
    p.scan = (mbk_scan_args){
        .y = matrix(&p, rows, z->d_inner, 0, 0),
        .u = matrix(&p, rows, z->d_inner, -1, 1),
        .dt = matrix(&p, rows, z->d_inner, -4, 0),
        .b = matrix(&p, rows, z->d_state, -1, 1),
        .c = matrix(&p, rows, z->d_state, -1, 1),
        .z = matrix(&p, rows, z->d_inner, -1, 1),
        .a = matrix(&p, z->d_state, z->d_inner, -16, -1),
        .d = matrix(&p, 1, z->d_inner, 1, 1),
        .state = matrix(&p, z->d_state, z->d_inner, 0, 0),
    };
    mbs_bench_cost cost = {
        .rows = rows,
        .vector = (double)rows * work.scan,
        .bytes = 4 * (double)rows * (double)(4 * z->d_inner + 2 * z->d_state),
        .held = 4 * (double)rows * (double)(4 * z->d_inner + 2 * z->d_state),
        .times = c->n_layer,
    };
    mbs_status st = measure(&p, call_scan, "scan", "", &cost, err);
    drop(&p);
    return st;
}

static mbs_status call_conv(void *arg, mbs_err *err) {
    piece *p = arg;
    mbk_status st = p->e->ctx->ops->conv1d_silu(p->e->ctx, p->y, p->x, p->taps, p->bias, p->state, (mbk_starts){0});
    return st < 0 ? kernel_failed(p->e->ctx, st, "conv", err) : MBS_OK;
}

static mbs_status bench_conv(mbs_bench_env *e, mbs_err *err) {
    const mbs_model_config *c = e->cfg;
    const mbs_layer_sizes *z = mbs_config_sizes(c, 0);
    int64_t rows = rows_of(e);
    mbs_mixer_work work;
    mbs_mixer_of_layer(c, 0)->work(c, 0, &work);
    int64_t channels = work.conv;
    if (channels == 0) {
        return MBS_OK; /* the first layer has none */
    }
    piece p = {.e = e};
    p.x = matrix(&p, rows, channels, -1, 1);
    p.y = matrix(&p, rows, channels, 0, 0);
    p.taps = matrix(&p, z->d_conv, channels, -1, 1);
    p.bias = matrix(&p, 1, channels, -1, 1);
    p.state = matrix(&p, z->d_conv, channels, 0, 0);
    mbs_bench_cost cost = {
        .rows = rows,
        .vector = (double)rows * mbs_bench_conv_ops(channels, z->d_conv),
        .bytes = 8 * (double)rows * (double)channels,
        .held = 8 * (double)rows * (double)channels,
        .times = c->n_layer,
    };
    mbs_status st = measure(&p, call_conv, "conv", "", &cost, err);
    drop(&p);
    return st;
}

static mbs_status call_norm(void *arg, mbs_err *err) {
    piece *p = arg;
    const mbk_ops *ops = p->e->ctx->ops;
    float eps = (float)p->e->cfg->norm_eps;
    mbk_status st = p->e->cfg->norm == MBS_NORM_RMS ? ops->rmsnorm(p->e->ctx, p->y, p->x, p->taps, eps)
                                                    : ops->layernorm(p->e->ctx, p->y, p->x, p->taps, p->bias, eps);
    return st < 0 ? kernel_failed(p->e->ctx, st, "norm", err) : MBS_OK;
}

static mbs_status bench_norm(mbs_bench_env *e, mbs_err *err) {
    int64_t rows = rows_of(e);
    int64_t cols = e->cfg->d_model;
    piece p = {.e = e};
    p.x = matrix(&p, rows, cols, -1, 1);
    p.y = matrix(&p, rows, cols, 0, 0);
    p.taps = matrix(&p, 1, cols, 1, 1);
    p.bias = matrix(&p, 1, cols, 0, 0);
    mbs_bench_cost cost = {
        .rows = rows,
        .vector = (double)rows * mbs_bench_norm_ops(cols),
        .bytes = 8 * (double)rows * (double)cols,
        .held = 8 * (double)rows * (double)cols,
        .times = e->cfg->n_layer,
    };
    mbs_status st = measure(&p, call_norm, "norm", "", &cost, err);
    drop(&p);
    return st;
}

mbs_status mbs_bench_layers(mbs_bench_env *e, mbs_err *err) {
    static const struct {
        unsigned bit;
        mbs_status (*run)(mbs_bench_env *e, mbs_err *err);
    } works[] = {{MBS_BENCH_GEMM, bench_gemm},
                 {MBS_BENCH_SCAN, bench_scan},
                 {MBS_BENCH_CONV, bench_conv},
                 {MBS_BENCH_NORM, bench_norm}};
    mbs_status st = MBS_OK;
    for (size_t i = 0; i < sizeof works / sizeof works[0] && st >= 0; i++) {
        st = e->o->works & works[i].bit ? works[i].run(e, err) : MBS_OK;
    }
    return st;
}
