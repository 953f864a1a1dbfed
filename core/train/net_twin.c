/*
 * net_twin.c - two halves of a batch at the same time.
 *
 * Operations that threads share meet at their ends: some hundred meetings for a pass, each as late as the slowest
 * thread, and rows that one wrote are read by another. Halves of a batch meet once. What they sum stays apart until
 * the update, so that the order of all additions, and with it every bit, is the same for one thread and for many.
 */
#include <string.h>

#include "base/mem.h"
#include "train/net_impl.h"

void mbs_net_twin_free(mbs_net *net) {
    mbs_net *twin = net->twin.net;
    if (twin) {
        twin->w = NULL; /* these are the net's */
        twin->tensors = NULL;
        mbs_net_free(twin);
    }
    mbs_backend_close(&net->twin.half[0]);
    mbs_backend_close(&net->twin.half[1]);
    net->twin = (net_twin){0};
}

/* All that is not a matter of one half is the same. */
static mbs_status make_twin(mbs_net *net, mbk_ctx *ctx, mbs_err *err) {
    mbs_net *twin = mbs_calloc(1, sizeof *twin);
    if (!twin) {
        return mbs_fail_memory(err, "train", sizeof *twin);
    }
    twin->cfg = net->cfg;
    twin->ctx = ctx;
    twin->format = net->format;
    twin->rows = net->rows;
    twin->truncate = net->truncate;
    twin->held = net->held;
    twin->tensors = net->tensors;
    twin->n_tensors = net->n_tensors;
    twin->parameters = net->parameters;
    twin->n_trained = net->n_trained;
    twin->decayed = net->decayed;
    twin->quick = net->quick;
    twin->trained = net->trained;
    twin->floats = net->floats;
    twin->w = net->w;
    twin->n_blocks = net->n_blocks;
    twin->first = net->first;
    twin->whole = net->whole;
    twin->streams = net->streams;
    twin->tied = net->tied;
    twin->classes = net->classes;
    net->twin.net = twin;
    mbk_status made = ctx->ops->buf_new(ctx, (size_t)net->trained * sizeof(float), &twin->g);
    made = made < 0 ? made : ctx->ops->buf_new(ctx, sizeof(double), &twin->acc);
    if (made < 0) {
        return mbs_backend_fail(ctx, err, made, NULL, "making room for the gradients");
    }
    return mbs_net_make_parts(twin, err);
}

static mbs_status make_halves(mbs_net *net, const mbs_backend *b, mbs_err *err) {
    mbk_ctx *const ctx = net->ctx;
    net->twin.pool = b->pool;
    mbs_status st = mbs_backend_halves(b, net->twin.half, err);
    if (st >= 0) {
        net->ctx = net->twin.half[0].ctx;
        st = mbs_net_reserve_columns(net, err);
        net->ctx = ctx;
    }
    st = st < 0 ? st : make_twin(net, net->twin.half[1].ctx, err);
    return st < 0 ? st : mbs_net_refresh_named(net, err);
}

mbs_status mbs_net_halve(mbs_net *net, const mbs_backend *b, mbs_err *err) {
    int made = 0; /* what takes long to make for a step is made by all threads, once: long filters */
    for (int64_t i = 0; i < net->n_blocks; i++) {
        made |= net->layers[i].mixer->train->gather != NULL;
    }
    if (net->whole || b->name[0] || made) {
        return MBS_OK;
    }
    mbs_status st = make_halves(net, b, err);
    if (st < 0) {
        mbs_net_twin_free(net);
    }
    return st;
}

int mbs_net_is_halved(const mbs_net *net) {
    return net->twin.net != NULL;
}

/* --- a batch --------------------------------------------------------------------------------------------------------
 */

typedef struct half {
    mbs_net *net;
    mbs_batch batch;
    int64_t *starts; /* of the second */
    double scale;
    mbs_net_sums sums;
    mbs_status (*run)(mbs_net *, const mbs_batch *, double, mbs_net_sums *, mbs_err *);
    mbs_status st;
    mbs_err err;
} half;

static void run_half(void *arg, int64_t i) {
    half *h = (half *)arg + i;
    h->st = h->run(h->net, &h->batch, h->scale, &h->sums, &h->err);
}

/* The first sequence of the second half: the rows of both are as even as may be. */
static int64_t middle(const mbs_batch *b) {
    const int64_t n = b->starts[b->n_seq];
    int64_t k = 1;
    while (k + 1 < b->n_seq && b->starts[k] + b->starts[k + 1] <= n) {
        k++;
    }
    return k;
}

/* Sequences from k on. */
static mbs_status second_half(const mbs_net *net, const mbs_batch *b, int64_t k, half *out, mbs_err *err) {
    const int64_t from = b->starts[k];
    const int64_t targets = net->classes ? k : from;
    out->batch.n_seq = b->n_seq - k;
    out->starts = mbs_alloc((size_t)(out->batch.n_seq + 1) * sizeof *out->starts);
    if (!out->starts) {
        return mbs_fail_memory(err, "train", (size_t)(out->batch.n_seq + 1) * sizeof *out->starts);
    }
    for (int64_t i = 0; i <= out->batch.n_seq; i++) {
        out->starts[i] = b->starts[k + i] - from;
    }
    out->batch.starts = out->starts;
    out->batch.ids = b->ids ? b->ids + from : NULL;
    out->batch.frames = b->frames ? b->frames + from * net->cfg.frame_width : NULL;
    out->batch.targets = b->targets + targets;
    out->batch.weights = b->weights ? b->weights + targets : NULL;
    return MBS_OK;
}

mbs_status mbs_net_twin_run(mbs_net *net, const mbs_batch *batch, double scale, mbs_net_sums *sums,
                            mbs_status (*run)(mbs_net *, const mbs_batch *, double, mbs_net_sums *, mbs_err *),
                            mbs_err *err) {
    const int64_t k = middle(batch);
    half halves[2] = {{.net = net, .batch = *batch, .scale = scale, .run = run},
                      {.net = net->twin.net, .scale = scale, .run = run}};
    mbk_ctx *const ctx = net->ctx;
    halves[0].batch.n_seq = k;
    mbs_status st = second_half(net, batch, k, &halves[1], err);
    if (st < 0) {
        return st;
    }
    net->ctx = net->twin.half[0].ctx;
    mbs_pool_run(net->twin.pool, 2, run_half, halves);
    net->ctx = ctx;
    for (int i = 0; i < 2 && st >= 0; i++) {
        st = halves[i].st;
        mbs_net_add_sums(sums, &halves[i].sums);
        if (st < 0) {
            *err = halves[i].err;
        }
    }
    mbs_free(halves[1].starts);
    return st;
}

mbk_status mbs_net_twin_collect(mbs_net *net) {
    mbs_net *twin = net->twin.net;
    if (!twin) {
        return MBS_OK;
    }
    const mbk_mat g = {net->g, 0, 1, net->trained, net->trained};
    const mbk_mat other = {twin->g, 0, 1, net->trained, net->trained};
    mbk_status st = net->ctx->ops->add(net->ctx, g, g, other);
    return st < 0 ? st : net->ctx->ops->zero(net->ctx, other);
}
