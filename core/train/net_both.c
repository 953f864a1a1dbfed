/*
 * net_both.c - passes of models that take whole sequences: layers that read both ways, and two streams.
 *
 * Rows lie as whole_impl.h has them: with two streams row 2n - 1 - r belongs to row r, so reading backward is reading
 * all rows from the last, and the exchange of the streams before a block is a turn of all rows with their channels.
 * What is forward there is forward here, in the same order of operations. A block of a layer that reads both ways:
 *
 *   y = norm(x),  f = M_f(y),  r = turn(M_r(turn(y))),  out = x + (f + r)  or  x + f r
 *
 * so back: df = dout (times r), dr = turn(dout (times f)), dy = dM_f + turn(dM_r). Tied projections are one tensor, to
 * whose gradient both mixers add.
 */
#include <string.h>

#include "base/mem.h"
#include "train/net_impl.h"

/* Rows that are turned in host memory at once. */
#define TURN_ROWS 2048

/* --- room -----------------------------------------------------------------------------------------------------------
 */

mbs_status mbs_net_both_reserve(mbs_net *net, int64_t rows, int keeps, mbs_err *err) {
    net_room *r = &net->room;
    int64_t d = net->cfg.d_model;
    int64_t blocks = !keeps ? 0 : r->lean ? 1 : net->n_blocks - net->first;
    int64_t halves = net->cfg.both == MBS_BOTH_MULTIPLY ? 2 * blocks * rows * d : 0;
    const struct {
        mbk_buf **buf;
        int64_t floats;
    } wanted[] = {{&r->back, rows * d}, {&r->found, rows * d}, {&r->other, rows * d}, {&r->halves, halves + 1}};
    mbk_status st = MBS_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && st >= 0; i++) {
        st = net->ctx->ops->buf_new(net->ctx, (size_t)wanted[i].floats * sizeof(float), wanted[i].buf);
    }
    if (st < 0) {
        mbs_backend_fail(net->ctx, err, st, NULL, "making room for a pass");
        mbs_err_fix(err, "take shorter windows: a model that reads both ways takes whole sequences");
        return st;
    }
    r->turn_rows = rows < TURN_ROWS ? rows : TURN_ROWS;
    size_t bytes = 2 * (size_t)(r->turn_rows * d) * sizeof *r->host_turn;
    r->host_turn = mbs_alloc(bytes);
    return r->host_turn ? MBS_OK : mbs_fail_memory(err, NULL, bytes);
}

void mbs_net_both_free(mbs_net *net) {
    net_room *r = &net->room;
    mbk_buf *bufs[] = {r->back, r->found, r->other, r->halves};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        net->ctx->ops->buf_free(net->ctx, bufs[i]);
    }
    mbs_free(r->host_turn);
}

/* --- rows from the last ---------------------------------------------------------------------------------------------
 */

static void turn_rows(const float *from, float *to, int64_t n, int64_t d, int channels) {
    for (int64_t i = 0; i < n; i++) {
        const float *row = from + (n - 1 - i) * d;
        float *out = to + i * d;
        if (!channels) {
            memcpy(out, row, (size_t)d * sizeof *out);
            continue;
        }
        for (int64_t c = 0; c < d; c++) {
            out[c] = row[d - 1 - c];
        }
    }
}

mbk_status mbs_net_turn(mbs_net *net, mbk_buf *to, int64_t to_row, mbk_buf *from, int64_t from_row, int64_t n,
                        int channels) {
    const mbk_ops *ops = net->ctx->ops;
    net_room *r = &net->room;
    int64_t d = net->cfg.d_model;
    size_t row = (size_t)d * sizeof(float);
    float *turned = r->host_turn + r->turn_rows * d;
    mbk_status st = MBS_OK;
    for (int64_t at = 0; at < n && st >= 0; at += r->turn_rows) {
        int64_t m = n - at < r->turn_rows ? n - at : r->turn_rows;
        st = ops->download(net->ctx, r->host_turn, from, (size_t)(from_row + at) * row, (size_t)m * row);
        turn_rows(r->host_turn, turned, m, d, channels);
        st = st < 0 ? st : ops->upload(net->ctx, to, (size_t)(to_row + n - at - m) * row, turned, (size_t)m * row);
    }
    return st;
}

/* All rows and their channels, in place: the exchange of the streams. */
static mbk_status exchange(mbs_net *net, mbk_mat x) {
    net_room *r = &net->room;
    int64_t from = x.off / x.cols;
    mbk_status st = mbs_net_turn(net, r->back, 0, x.buf, from, x.rows, 1);
    return st < 0 ? st : net->ctx->ops->copy(net->ctx, x, mbs_net_rows(r->back, 0, x.rows, x.cols));
}

/* --- the head of the second stream ----------------------------------------------------------------------------------
 */

static mbk_mat row_at(const mbs_net *net, mbk_mat m, int64_t i) {
    return (mbk_mat){m.buf, m.off + i * m.ld, 1, net->cfg.d_model, m.ld};
}

mbk_status mbs_net_rc_refresh(mbs_net *net) {
    const mbk_ops *ops = net->ctx->ops;
    net_head *h = &net->head;
    mbk_mat w = mbs_net_w(net, h->weight);
    mbk_mat rows = mbs_net_rows(h->rc_rows, 0, h->outputs, net->cfg.d_model);
    mbk_status st = MBS_OK;
    for (int64_t v = 0; v < h->outputs && st >= 0; v++) {
        st = ops->copy(net->ctx, row_at(net, rows, v), row_at(net, w, net->cfg.complement[v]));
    }
    st = st < 0 ? st : ops->repack(net->ctx, h->rc, rows, 0);
    return st < 0 || !h->rc_t ? st : ops->repack(net->ctx, h->rc_t, rows, 1);
}

mbk_status mbs_net_rc_collect(mbs_net *net) {
    const mbk_ops *ops = net->ctx->ops;
    net_head *h = &net->head;
    mbk_mat dw = mbs_net_g(net, h->weight);
    mbk_mat rows = mbs_net_rows(h->rc_grad, 0, h->outputs, net->cfg.d_model);
    mbk_status st = MBS_OK;
    for (int64_t v = 0; dw.buf && v < h->outputs && st >= 0; v++) {
        mbk_mat to = row_at(net, dw, net->cfg.complement[v]);
        st = ops->add(net->ctx, to, to, row_at(net, rows, v));
    }
    return st < 0 ? st : ops->zero(net->ctx, rows);
}

/* --- forward --------------------------------------------------------------------------------------------------------
 */

static int64_t rows_of(const mbs_net *net, const net_pass *pass) {
    return pass->n * net->streams;
}

static mbk_mat all(const mbs_net *net, const net_pass *pass, mbk_buf *buf) {
    return mbs_net_rows(buf, 0, rows_of(net, pass), net->cfg.d_model);
}

/* The rows at which sequences begin, in the order of reading, then in that of reading backward. */
static mbk_status upload_starts(mbs_net *net, const net_pass *pass) {
    net_room *r = &net->room;
    int64_t rows = rows_of(net, pass);
    int64_t n = pass->n_seq * net->streams;
    int32_t *at = r->host_ints;
    for (int64_t k = 0; k < pass->n_seq; k++) {
        int64_t begin = pass->starts[k] - pass->starts[0];
        int64_t end = pass->starts[k + 1] - pass->starts[0];
        at[k] = (int32_t)begin;
        if (net->streams == 2) {
            at[n - 1 - k] = (int32_t)(rows - end);
        }
        at[2 * n - 1 - k] = (int32_t)(rows - end);
        if (net->streams == 2) {
            at[n + k] = (int32_t)begin;
        }
    }
    return net->ctx->ops->upload(net->ctx, r->starts, 0, at, (size_t)(2 * n) * sizeof *at);
}

/* Ids as rows: those of the second stream are the complements, from the last. */
static mbk_status upload_ids(mbs_net *net, const net_pass *pass) {
    net_room *r = &net->room;
    int64_t rows = rows_of(net, pass);
    for (int64_t i = 0; i < rows; i++) {
        r->host_ints[i] = i < pass->n ? pass->ids[i] : net->cfg.complement[pass->ids[rows - 1 - i]];
    }
    return net->ctx->ops->upload(net->ctx, r->ids, 0, r->host_ints, (size_t)rows * sizeof *r->host_ints);
}

static mbs_mixer_call call_of(mbs_net *net, const net_pass *pass, int64_t i, int reverse, int keep) {
    const net_layer *l = &net->layers[i];
    net_room *r = &net->room;
    int64_t n = pass->n_seq * net->streams;
    return (mbs_mixer_call){
        .ctx = net->ctx,
        .out = all(net, pass, reverse ? r->other : r->found),
        .in = all(net, pass, reverse ? r->back : r->normed),
        .state = net->state,
        .state_at = l->state_at,
        .scratch = r->scratch,
        .scratch_rows = r->rows,
        .starts = {r->starts, reverse ? n : 0, n > 1 ? n : 0},
        .keep = keep && l->trained ? r->keep : NULL,
        .keep_at = reverse ? l->keep_reverse_at : l->keep_at,
    };
}

static mbk_mat state_of(mbk_buf *buf, const net_layer *l) {
    return (mbk_mat){buf, l->state_at, 1, l->state_floats, l->state_floats};
}

/* One of a layer's mixers: what it finds is added to call.out. */
static mbk_status mix(mbs_net *net, const net_layer *l, const mbs_mixer_call *call, int reverse) {
    mbk_status st = net->ctx->ops->zero(net->ctx, state_of(net->state, l));
    return st < 0 ? st : l->mixer->forward(reverse ? l->reverse : l->layer, call);
}

/* What both directions found of a trained block: `which` 0 forward, 1 backward, in the order of the rows. */
static mbk_mat half(const mbs_net *net, const net_pass *pass, int64_t i, int which) {
    int64_t slot = net->room.lean ? 0 : i - net->first;
    return mbs_net_rows(net->room.halves, (2 * slot + which) * net->room.rows, rows_of(net, pass), net->cfg.d_model);
}

/* Both mixers over `normed`: `found` and, of the one that reads backward, `back` in the order of the rows. */
static mbk_status mix_both(mbs_net *net, const net_pass *pass, int64_t i, int keep) {
    const mbk_ops *ops = net->ctx->ops;
    const net_layer *l = &net->layers[i];
    net_room *r = &net->room;
    int64_t n = rows_of(net, pass);
    mbs_mixer_call forward = call_of(net, pass, i, 0, keep);
    mbs_mixer_call reverse = call_of(net, pass, i, 1, keep);
    mbk_status st = ops->zero(net->ctx, forward.out);
    st = st < 0 ? st : mix(net, l, &forward, 0);
    st = st < 0 ? st : mbs_net_turn(net, r->back, 0, r->normed, 0, n, 0);
    st = st < 0 ? st : ops->zero(net->ctx, reverse.out);
    st = st < 0 ? st : mix(net, l, &reverse, 1);
    st = st < 0 ? st : mbs_net_turn(net, r->back, 0, r->other, 0, n, 0);
    if (st >= 0 && forward.keep && net->cfg.both == MBS_BOTH_MULTIPLY) {
        st = ops->copy(net->ctx, half(net, pass, i, 0), forward.out);
        st = st < 0 ? st : ops->copy(net->ctx, half(net, pass, i, 1), all(net, pass, r->back));
    }
    return st;
}

static mbk_status block(mbs_net *net, const net_pass *pass, int64_t i) {
    const mbk_ops *ops = net->ctx->ops;
    const net_layer *l = &net->layers[i];
    net_room *r = &net->room;
    int64_t n = rows_of(net, pass);
    int keep = pass->keep && !r->lean;
    mbk_mat x = mbs_net_resid(net, pass, i, n);
    mbk_mat out = mbs_net_resid(net, pass, i + 1, n);
    mbk_mat found = all(net, pass, r->found);
    mbk_mat back = all(net, pass, r->back);
    mbk_status st = net->cfg.rc_swap ? exchange(net, x) : MBS_OK;
    st = st < 0 ? st : mbs_net_norm(net, all(net, pass, r->normed), x, l->norm_w, l->norm_b);
    if (!l->reverse) {
        mbs_mixer_call call = call_of(net, pass, i, 0, keep);
        call.out = out;
        st = st < 0 || out.off == x.off ? st : ops->copy(net->ctx, out, x);
        return st < 0 ? st : mix(net, l, &call, 0);
    }
    st = st < 0 ? st : mix_both(net, pass, i, keep);
    if (st >= 0) {
        st = net->cfg.both == MBS_BOTH_ADD ? ops->add(net->ctx, found, found, back)
                                           : ops->mul(net->ctx, found, found, back);
    }
    return st < 0 ? st : ops->add(net->ctx, out, x, found);
}

mbk_status mbs_net_both_forward(mbs_net *net, const net_pass *pass) {
    int64_t n = rows_of(net, pass);
    mbk_status st = upload_ids(net, pass);
    st = st < 0 ? st : upload_starts(net, pass);
    st = st < 0 ? st : net->ctx->ops->embed(net->ctx, mbs_net_resid(net, pass, 0, n), net->table_w, net->room.ids, 0);
    for (int64_t i = 0; i < net->n_blocks && st >= 0; i++) {
        st = block(net, pass, i);
    }
    mbk_mat last = mbs_net_resid(net, pass, net->n_blocks, n);
    return st < 0 ? st : mbs_net_norm(net, all(net, pass, net->room.normed), last, net->norm_w, net->norm_b);
}

/* --- backward -------------------------------------------------------------------------------------------------------
 */

/* Back through one of a layer's mixers. */
static mbk_status unmix(mbs_net *net, const net_pass *pass, int64_t i, int reverse, mbk_mat dout, mbk_mat din) {
    const net_layer *l = &net->layers[i];
    mbs_mixer_back back = {
        .call = call_of(net, pass, i, reverse, 1),
        .dout = dout,
        .din = din,
        .dstate = net->dstate,
        .dstate_at = l->state_at,
    };
    mbk_status st = net->ctx->ops->zero(net->ctx, state_of(net->dstate, l));
    return st < 0 ? st : l->mixer->train->backward(reverse ? l->reverse : l->layer, &back);
}

/* What the mixers keep, where forward could not keep it; they find into buffers that nobody needs. */
static mbk_status keep_again(mbs_net *net, const net_pass *pass, int64_t i) {
    const net_layer *l = &net->layers[i];
    if (l->reverse) {
        return mix_both(net, pass, i, 1);
    }
    mbs_mixer_call call = call_of(net, pass, i, 0, 1);
    mbk_status st = net->ctx->ops->zero(net->ctx, call.out);
    return st < 0 ? st : mix(net, l, &call, 0);
}

/* From the gradient of what was added to the rows to that of `normed`, in `dnormed`. */
static mbk_status unmix_both(mbs_net *net, const net_pass *pass, int64_t i) {
    const mbk_ops *ops = net->ctx->ops;
    net_room *r = &net->room;
    int64_t n = rows_of(net, pass);
    mbk_mat dout = all(net, pass, r->dresid);
    mbk_mat din = all(net, pass, r->dnormed);
    mbk_mat found = all(net, pass, r->found);
    mbk_mat other = all(net, pass, r->other);
    mbk_mat back = all(net, pass, r->back);
    int multiply = net->cfg.both == MBS_BOTH_MULTIPLY;
    mbk_status st = multiply ? ops->mul(net->ctx, found, dout, half(net, pass, i, 1)) : MBS_OK;
    st = st < 0 ? st : unmix(net, pass, i, 0, multiply ? found : dout, din);
    st = st < 0 || !multiply ? st : ops->mul(net->ctx, found, dout, half(net, pass, i, 0));
    st = st < 0 ? st : mbs_net_turn(net, r->other, 0, multiply ? r->found : r->dresid, 0, n, 0);
    st = st < 0 ? st : mbs_net_turn(net, r->back, 0, r->normed, 0, n, 0);
    st = st < 0 ? st : unmix(net, pass, i, 1, other, found);
    st = st < 0 ? st : mbs_net_turn(net, r->back, 0, r->found, 0, n, 0);
    return st < 0 ? st : ops->add(net->ctx, din, din, back);
}

static mbk_status unblock(mbs_net *net, const net_pass *pass, int64_t i) {
    const net_layer *l = &net->layers[i];
    net_room *r = &net->room;
    mbk_mat x = mbs_net_resid(net, pass, i, rows_of(net, pass));
    mbk_mat dresid = all(net, pass, r->dresid);
    mbk_mat dnormed = all(net, pass, r->dnormed);
    mbk_status st = mbs_net_norm(net, all(net, pass, r->normed), x, l->norm_w, l->norm_b);
    st = st < 0 || !r->lean ? st : keep_again(net, pass, i);
    if (st >= 0) {
        st = l->reverse ? unmix_both(net, pass, i) : unmix(net, pass, i, 0, dresid, dnormed);
    }
    st = st < 0 ? st : mbs_net_norm_grad(net, dresid, dnormed, x, l->norm_w, l->norm_b, 1);
    return st < 0 || !net->cfg.rc_swap ? st : exchange(net, dresid);
}

mbk_status mbs_net_both_backward(mbs_net *net, const net_pass *pass) {
    mbk_mat dresid = all(net, pass, net->room.dresid);
    mbk_mat last = mbs_net_resid(net, pass, net->n_blocks, dresid.rows);
    if (!net->tensors[net->norm_w].trained) {
        return MBS_OK; /* the head alone */
    }
    mbk_mat dnormed = all(net, pass, net->room.dnormed);
    mbk_status st = mbs_net_norm_grad(net, dresid, dnormed, last, net->norm_w, net->norm_b, 0);
    for (int64_t i = net->n_blocks - 1; i >= net->first && st >= 0; i--) {
        st = unblock(net, pass, i);
    }
    if (st >= 0 && net->tensors[net->table].trained) {
        st = net->ctx->ops->embed_grad(net->ctx, mbs_net_g(net, net->table), dresid, net->room.ids, 0);
    }
    return st;
}
