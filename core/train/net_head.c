/* net_head.c - outputs, losses and their gradients, a few rows at a time: never as many logits as rows x vocabulary. */
#include "base/mem.h"
#include "train/net_impl.h"

typedef struct part {
    mbk_mat x, dx, logits, loss, weight;
    mbk_mat twin, dtwin; /* of the second stream; buf NULL: there is none */
    int64_t from;
    double scale;
    int back;
    int32_t *taken; /* of all rows; NULL: nobody asks */
} part;

/* The largest of each row, the first of equals. */
static mbk_status take_largest(mbs_net *net, const part *p) {
    int64_t rows = p->logits.rows, n = p->logits.cols;
    float *logits = mbs_alloc((size_t)(rows * n) * sizeof *logits);
    if (!logits) {
        return MBS_ERR_MEMORY;
    }
    mbk_status st = net->ctx->ops->download(net->ctx, logits, p->logits.buf, 0, (size_t)(rows * n) * sizeof *logits);
    for (int64_t i = 0; i < rows && st >= 0; i++) {
        int64_t best = 0;
        for (int64_t k = 1; k < n; k++) {
            best = logits[i * n + k] > logits[i * n + best] ? k : best;
        }
        p->taken[p->from + i] = (int32_t)best;
    }
    mbs_free(logits);
    return st;
}

/* Logits, losses and, where wanted, gradients of one part; its logits become dlogits. */
static mbk_status score_part(mbs_net *net, const part *p) {
    const mbk_ops *ops = net->ctx->ops;
    const net_head *h = &net->head;
    mbk_mat none = {0};
    mbk_mat dw = mbs_net_g(net, h->weight);
    mbk_mat db = mbs_net_g(net, h->bias);
    mbk_mat dlogits = p->back ? p->logits : none;
    mbk_status st = ops->gemm(net->ctx, p->logits, p->x, h->w, mbs_net_w(net, h->bias), 0);
    st = st < 0 || !p->twin.buf ? st : ops->gemm(net->ctx, p->logits, p->twin, h->rc, none, 1);
    st = st < 0 ? st
                : ops->hits(net->ctx, mbs_net_rows(net->room.hits, p->from, p->x.rows, 1), p->logits, net->room.targets,
                            p->from);
    st = st < 0 ? st
                : ops->cross_entropy(net->ctx, p->loss, dlogits, p->logits, p->weight, net->room.targets, p->from,
                                     (float)p->scale);
    if (st >= 0 && p->taken) {
        st = take_largest(net, p);
    }
    if (st < 0 || !p->back) {
        return st;
    }
    st = dw.buf ? ops->weight_grad(net->ctx, dw, dlogits, p->x, h->math) : st;
    st = st < 0 || !db.buf ? st : ops->bias_grad(net->ctx, db, dlogits);
    if (st >= 0 && p->twin.buf) {
        mbk_mat rc = mbs_net_rows(h->rc_grad, 0, h->outputs, net->cfg.d_model);
        st = dw.buf ? ops->weight_grad(net->ctx, rc, dlogits, p->twin, h->math) : st;
        st = st < 0 || !h->rc_t ? st : ops->gemm(net->ctx, p->dtwin, dlogits, h->rc_t, none, 0);
    }
    return st < 0 || !h->t ? st : ops->gemm(net->ctx, p->dx, dlogits, h->t, none, 0);
}

static mbk_status score_rows(mbs_net *net, mbk_buf *x, mbk_buf *dx, int64_t n, int weighted, double scale, int back,
                             int32_t *taken) {
    net_room *r = &net->room;
    int64_t d = net->cfg.d_model;
    mbk_status st = MBS_OK;
    for (int64_t at = 0; at < n && st >= 0; at += r->head_rows) {
        int64_t rows = n - at < r->head_rows ? n - at : r->head_rows;
        part p = {
            .x = mbs_net_rows(x, at, rows, d),
            .dx = mbs_net_rows(dx, at, rows, d),
            .logits = mbs_net_rows(r->logits, 0, rows, net->head.outputs),
            .loss = mbs_net_rows(r->loss, at, rows, 1),
            .weight = weighted ? mbs_net_rows(r->weights, at, rows, 1) : (mbk_mat){0},
            .from = at,
            .scale = scale,
            .back = back,
            .taken = taken,
        };
        if (net->head.rc) {
            p.twin = mbs_net_rows(r->back, at, rows, d);
            p.dtwin = mbs_net_rows(r->found, at, rows, d);
        }
        st = score_part(net, &p);
    }
    return st;
}

/* --- few targets ----------------------------------------------------------------------------------------------------
 *
 * Where most rows have no target (synthetic tasks), those that have one move together to the front, and the gradients
 * move back: outputs are made for them alone. Rows move one by one, to places that are free by then.
 */

static mbk_status move(mbs_net *net, mbk_buf *buf, int64_t to, int64_t from) {
    int64_t d = net->cfg.d_model;
    return to == from ? MBS_OK
                      : net->ctx->ops->copy(net->ctx, mbs_net_rows(buf, to, 1, d), mbs_net_rows(buf, from, 1, d));
}

static mbk_status gather(mbs_net *net, mbk_buf *x, int64_t n, const int32_t *targets) {
    mbk_status st = MBS_OK;
    int64_t m = 0;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        if (targets[i] >= 0) {
            st = move(net, x, m++, i);
        }
    }
    return st;
}

/* `m` rows at the front to where their targets are, zeros between them. */
static mbk_status scatter(mbs_net *net, mbk_buf *dx, int64_t n, int64_t m, const int32_t *targets) {
    mbk_status st = MBS_OK;
    int64_t zeros = 0; /* rows without target from i on */
    for (int64_t i = n - 1; i >= -1 && st >= 0; i--) {
        int has = i >= 0 && targets[i] >= 0;
        if (i >= 0 && !has) {
            zeros++;
            continue;
        }
        st = has ? move(net, dx, i, --m) : MBS_OK;
        if (st >= 0 && zeros > 0) {
            st = net->ctx->ops->zero(net->ctx, mbs_net_rows(dx, i + 1, zeros, net->cfg.d_model));
        }
        zeros = 0;
    }
    return st;
}

/* Targets and weights of those rows alone, into host_ints and host_loss; how many. */
static int64_t pack(net_room *r, int64_t n, const int32_t *targets, const float *weights) {
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++) {
        if (targets[i] >= 0) {
            r->host_ints[m] = targets[i];
            r->host_loss[m++] = weights ? weights[i] : 1.0f;
        }
    }
    return m;
}

static int is_sparse(int64_t n, const int32_t *targets) {
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++) {
        m += targets[i] >= 0;
    }
    return 4 * m <= n;
}

/* The outputs of rows [0, n) of x and what they cost: `weights` and `targets` are theirs. */
static mbs_status score_all(mbs_net *net, mbk_buf *x, mbk_buf *dx, int64_t n, const int32_t *targets,
                            const float *weights, double scale, int back, mbs_net_sums *sums, mbs_err *err) {
    net_room *r = &net->room;
    const mbk_ops *ops = net->ctx->ops;
    size_t bytes = (size_t)n * sizeof(float);
    int32_t *taken = sums->taken && !back ? mbs_alloc(bytes) : NULL;
    if (sums->taken && !back && !taken) {
        return mbs_fail_memory(err, NULL, bytes);
    }
    double weight = 0;
    for (int64_t i = 0; i < n; i++) { /* weights may lie in host_loss */
        weight += targets[i] < 0 ? 0 : weights ? (double)weights[i] : 1.0;
    }
    mbk_status st = ops->upload(net->ctx, r->targets, 0, targets, bytes);
    if (st >= 0 && weights) {
        st = ops->upload(net->ctx, r->weights, 0, weights, bytes);
    }
    st = st < 0 ? st : score_rows(net, x, dx, n, weights != NULL, scale, back, taken);
    st = st < 0 ? st : ops->download(net->ctx, r->host_loss, r->loss, 0, bytes);
    st = st < 0 ? st : ops->download(net->ctx, r->host_hits, r->hits, 0, bytes);
    for (int64_t i = 0; i < n && st >= 0; i++) {
        if (targets[i] >= 0) {
            if (taken) {
                sums->taken[sums->scored] = taken[i];
            }
            sums->loss += (double)r->host_loss[i];
            sums->scored++;
            sums->right += r->host_hits[i] > 0;
        }
    }
    sums->weight += st < 0 ? 0 : weight;
    mbs_free(taken);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "computing the loss") : MBS_OK;
}

/* Of one stream, or of the first with the second beside it in `back`, whose gradient goes to `found`. */
static mbs_status score_some(mbs_net *net, mbk_buf *x, mbk_buf *dx, int64_t n, const int32_t *targets,
                             const float *weights, double scale, int back, mbs_net_sums *sums, mbs_err *err) {
    net_room *r = &net->room;
    if (!is_sparse(n, targets)) {
        return score_all(net, x, dx, n, targets, weights, scale, back, sums, err);
    }
    int64_t m = pack(r, n, targets, weights);
    mbk_status moved = gather(net, x, n, targets);
    moved = moved < 0 || !net->head.rc ? moved : gather(net, r->back, n, targets);
    mbs_status st = moved < 0 ? mbs_backend_fail(net->ctx, err, moved, NULL, "computing the loss") : MBS_OK;
    if (st == MBS_OK && m > 0) {
        st = score_all(net, x, dx, m, r->host_ints, weights ? r->host_loss : NULL, scale, back, sums, err);
    }
    if (st == MBS_OK && back && net->head.t) {
        moved = scatter(net, dx, n, m, targets);
        moved = moved < 0 || !net->head.rc ? moved : scatter(net, r->found, n, m, targets);
        st = moved < 0 ? mbs_backend_fail(net->ctx, err, moved, NULL, "computing the loss") : MBS_OK;
    }
    return st;
}

mbs_status mbs_net_score(mbs_net *net, mbk_buf *x, mbk_buf *dx, int64_t n, const int32_t *targets, const float *weights,
                         double scale, int back, mbs_net_sums *sums, mbs_err *err) {
    net_room *r = &net->room;
    mbk_status turned = MBS_OK;
    if (!net->head.rc) {
        return score_some(net, x, dx, n, targets, weights, scale, back, sums, err);
    }
    turned = mbs_net_turn(net, r->back, 0, x, n, n, 0); /* beside the rows that they belong to */
    mbs_status st = turned < 0 ? MBS_OK : score_some(net, x, dx, n, targets, weights, scale, back, sums, err);
    if (turned >= 0 && st >= 0 && back) {
        turned = mbs_net_rc_collect(net);
        turned = turned < 0 || !net->head.t ? turned : mbs_net_turn(net, dx, n, r->found, 0, n, 0);
    }
    return turned < 0 ? mbs_backend_fail(net->ctx, err, turned, NULL, "computing the loss") : st;
}
