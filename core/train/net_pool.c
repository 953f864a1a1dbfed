/* net_pool.c - a sequence as one row for a head of classes, its loss, and the gradient back to the sequence's rows. */
#include <string.h>

#include "train/net_impl.h"

static mbk_mat row_of(const mbs_net *net, mbk_buf *buf, int64_t k) {
    return mbs_net_rows(buf, k, 1, net->cfg.d_model);
}

mbk_status mbs_net_pool_begin(mbs_net *net) {
    return net->ctx->ops->zero(net->ctx, mbs_net_rows(net->room.pool_sum, 0, net->room.seqs, 2 * net->cfg.d_model));
}

mbk_status mbs_net_pool_add(mbs_net *net, int64_t k, int64_t from, int64_t n) {
    const mbk_ops *ops = net->ctx->ops;
    int64_t d = net->cfg.d_model;
    if (net->streams == 2 && net->cfg.pool == MBS_POOLING_LAST) {
        return ops->row_sum(net->ctx, net->room.pool_sum, k * d, row_of(net, net->room.normed, from + n - 1));
    }
    if (net->cfg.pool == MBS_POOLING_MEAN) {
        return ops->row_sum(net->ctx, net->room.pool_sum, k * d, mbs_net_rows(net->room.normed, from, n, d));
    }
    return ops->copy(net->ctx, row_of(net, net->room.pooled, k), row_of(net, net->room.normed, from + n - 1));
}

/* Rows of a sequence of `length` tokens that are pooled. */
static double pooled_rows(const mbs_net *net, int64_t length) {
    return (double)(net->streams * (net->cfg.pool == MBS_POOLING_MEAN ? length : 1));
}

/* Sums become means. */
static mbk_status divide(mbs_net *net, const int64_t *starts, int64_t n_seq) {
    int64_t d = net->cfg.d_model;
    double *sum = net->room.host_pool;
    float *mean = net->room.host_row;
    mbk_status st = net->ctx->ops->download(net->ctx, sum, net->room.pool_sum, 0, (size_t)(n_seq * d) * sizeof *sum);
    for (int64_t k = 0; k < n_seq && st >= 0; k++) {
        double n = pooled_rows(net, starts[k + 1] - starts[k]);
        for (int64_t c = 0; c < d; c++) {
            mean[c] = (float)(sum[k * d + c] / n);
        }
        st = net->ctx->ops->upload(net->ctx, net->room.pooled, (size_t)(k * d) * sizeof *mean, mean,
                                   (size_t)d * sizeof *mean);
    }
    return st;
}

mbs_status mbs_net_pool_score(mbs_net *net, const mbs_batch *b, int64_t first, int64_t n_seq, double scale, int back,
                              mbs_net_sums *sums, mbs_err *err) {
    int sums_up = net->cfg.pool == MBS_POOLING_MEAN || net->streams == 2;
    mbk_status st = sums_up ? divide(net, b->starts + first, n_seq) : MBS_OK;
    if (st < 0) {
        return mbs_backend_fail(net->ctx, err, st, NULL, "pooling");
    }
    return mbs_net_score(net, net->room.pooled, net->room.dpooled, n_seq, b->targets + first,
                         b->weights ? b->weights + first : NULL, scale, back, sums, err);
}

/* The first row n times, doubling what is there. */
static mbk_status repeat(mbs_net *net, mbk_buf *buf, int64_t from, int64_t n) {
    int64_t d = net->cfg.d_model;
    mbk_status st = MBS_OK;
    for (int64_t have = 1; have < n && st >= 0; have *= 2) {
        int64_t more = n - have < have ? n - have : have;
        st = net->ctx->ops->copy(net->ctx, mbs_net_rows(buf, from + have, more, d), mbs_net_rows(buf, from, more, d));
    }
    return st;
}

mbk_status mbs_net_pool_spread(mbs_net *net, int64_t k, int64_t length, int64_t from, int64_t n, int ends) {
    const mbk_ops *ops = net->ctx->ops;
    net_room *r = &net->room;
    int64_t d = net->cfg.d_model;
    if (!net->head.t) {
        return MBS_OK; /* the head alone is trained */
    }
    if (net->cfg.pool == MBS_POOLING_LAST && net->streams == 1) {
        mbk_status st = ops->zero(net->ctx, mbs_net_rows(r->dnormed, from, n, d));
        return st < 0 || !ends ? st
                               : ops->copy(net->ctx, row_of(net, r->dnormed, from + n - 1), row_of(net, r->dpooled, k));
    }
    size_t bytes = (size_t)d * sizeof(float);
    mbk_status st = ops->download(net->ctx, r->host_row, r->dpooled, (size_t)k * bytes, bytes);
    for (int64_t c = 0; c < d; c++) {
        r->host_row[c] = (float)((double)r->host_row[c] / pooled_rows(net, length));
    }
    if (net->cfg.pool == MBS_POOLING_LAST) {
        st = st < 0 ? st : ops->zero(net->ctx, mbs_net_rows(r->dnormed, from, n, d));
        size_t last = (size_t)(from + n - 1) * bytes;
        return st < 0 || !ends ? st : ops->upload(net->ctx, r->dnormed, last, r->host_row, bytes);
    }
    st = st < 0 ? st : ops->upload(net->ctx, r->dnormed, (size_t)from * bytes, r->host_row, bytes);
    return st < 0 ? st : repeat(net, r->dnormed, from, n);
}
