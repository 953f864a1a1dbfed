/*
 * net_batch.c - a batch as passes: short sequences side by side, long ones in pieces.
 *
 * A long sequence is gone through forward first; the state before each piece is kept, and of the last ones all that
 * backward needs. Then piece by piece from its end: where it was not kept, the state is put back and the way forward
 * gone again; then backward, the gradient of the state going on.
 */
#include "base/mem.h"
#include "model/front.h"
#include "train/net_impl.h"

typedef struct job {
    mbs_net *net;
    const mbs_batch *batch;
    double scale;
    int back;
    mbs_net_sums *sums;
    mbs_err *err;
} job;

static mbs_status refuse(const char *what, int64_t at, int64_t id, int64_t most, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, NULL, "%s %lld of the batch is %lld, the model knows 0 to %lld", what, (long long)at,
             (long long)id, (long long)most - 1);
    mbs_err_fix(err, "use the vocabulary that belongs to the model");
    return MBS_ERR_DATA;
}

static mbs_status check(const mbs_net *net, const mbs_batch *b, mbs_err *err) {
    if (b->n_seq < 1 || b->starts[0] != 0) {
        return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "a batch without sequences");
    }
    for (int64_t k = 0; k < b->n_seq; k++) {
        if (b->starts[k + 1] <= b->starts[k]) {
            return mbs_fail(err, MBS_ERR_INTERNAL, NULL, "sequence %lld of a batch is empty", (long long)k);
        }
        mbs_status st = mbs_mixers_reach(&net->cfg, b->starts[k + 1] - b->starts[k], NULL, err);
        if (st < 0) {
            return st;
        }
    }
    int64_t n = b->starts[b->n_seq];
    int64_t width = net->cfg.frame_width;
    if (width > 0 ? !b->frames : !b->ids) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "the model takes %s", width > 0 ? "frames" : "tokens");
    }
    if (width > 0 && mbs_front_check(b->frames, n, width, 0, NULL, err) < 0) {
        return MBS_ERR_DATA;
    }
    for (int64_t i = 0; width == 0 && i < n; i++) {
        if (b->ids[i] < 0 || b->ids[i] >= net->cfg.vocab_rows) {
            return refuse("token", i, b->ids[i], net->cfg.vocab_rows, err);
        }
    }
    n = net->classes ? b->n_seq : n;
    for (int64_t i = 0; i < n; i++) {
        if (b->targets[i] < -1 || b->targets[i] >= net->head.outputs) {
            return refuse("target", i, b->targets[i], net->head.outputs, err);
        }
    }
    return MBS_OK;
}

static mbk_mat state_of(const mbs_net *net, mbk_buf *buf, int64_t i) {
    return mbs_net_rows(buf, i, 1, net->state_floats);
}

static mbs_status failed(const job *j, mbk_status st) {
    return st < 0 ? mbs_backend_fail(j->net->ctx, j->err, st, NULL, "training the model") : MBS_OK;
}

/* The losses of rows [from, from + n) of the batch, which `normed` holds. */
static mbs_status score(const job *j, const net_pass *pass, int64_t from, mbs_net_sums *sums) {
    mbs_net *net = j->net;
    const mbs_batch *b = j->batch;
    return mbs_net_score(net, net->room.normed, net->room.dnormed, pass->n, b->targets + from,
                         b->weights ? b->weights + from : NULL, j->scale, pass->keep, sums, j->err);
}

/* Rows [from, from + n) of the batch: forward and, where there are sums, the losses. */
static mbs_status forward(const job *j, const net_pass *pass, int64_t from, mbs_net_sums *sums) {
    mbs_status st = failed(j, mbs_net_forward(j->net, pass));
    return st < 0 || !sums || j->net->classes ? st : score(j, pass, from, sums);
}

/* What the rows from `from` on are, in a pass. */
static void feed(const job *j, int64_t from, net_pass *pass) {
    const mbs_batch *b = j->batch;
    pass->ids = b->ids ? b->ids + from : NULL;
    pass->frames = b->frames ? b->frames + from * j->net->cfg.frame_width : NULL;
}

/* --- sequences that fit a pass --------------------------------------------------------------------------------------
 */

/* Where the rows of sequence k in the second stream begin. */
static int64_t other_rows(const int64_t *starts, int64_t n_seq, int64_t k) {
    return 2 * (starts[n_seq] - starts[0]) - (starts[k + 1] - starts[0]);
}

/* One row and one loss of each sequence of a pass. */
static mbs_status run_classes(const job *j, int64_t first, int64_t n_seq) {
    mbs_net *net = j->net;
    const int64_t *starts = j->batch->starts + first;
    mbk_status done = mbs_net_pool_begin(net);
    for (int64_t k = 0; k < n_seq && done >= 0; k++) {
        done = mbs_net_pool_add(net, k, starts[k] - starts[0], starts[k + 1] - starts[k]);
        if (done >= 0 && net->streams == 2) {
            done = mbs_net_pool_add(net, k, other_rows(starts, n_seq, k), starts[k + 1] - starts[k]);
        }
    }
    mbs_status st = failed(j, done);
    st = st < 0 ? st : mbs_net_pool_score(net, j->batch, first, n_seq, j->scale, j->back, j->sums, j->err);
    for (int64_t k = 0; k < n_seq && st >= 0 && j->back; k++) {
        int64_t n = starts[k + 1] - starts[k];
        st = failed(j, mbs_net_pool_spread(net, k, n, starts[k] - starts[0], n, 1));
        if (st >= 0 && net->streams == 2) {
            st = failed(j, mbs_net_pool_spread(net, k, n, other_rows(starts, n_seq, k), n, 1));
        }
    }
    return st;
}

static mbs_status run_short(const job *j, int64_t first, int64_t n_seq) {
    mbs_net *net = j->net;
    const mbs_batch *b = j->batch;
    int64_t from = b->starts[first];
    net_pass pass = {
        .n = b->starts[first + n_seq] - from, .starts = b->starts + first, .n_seq = n_seq, .keep = j->back};
    feed(j, from, &pass);
    mbk_status done = net->ctx->ops->zero(net->ctx, state_of(net, net->state, 0));
    done = done < 0 ? done : net->ctx->ops->zero(net->ctx, state_of(net, net->dstate, 0));
    mbs_status st = failed(j, done);
    st = st < 0 ? st : forward(j, &pass, from, j->sums);
    st = st < 0 || !net->classes ? st : run_classes(j, first, n_seq);
    return st < 0 || !j->back ? st : failed(j, mbs_net_backward(net, &pass));
}

/* --- longer ones ----------------------------------------------------------------------------------------------------
 */

static int64_t pieces_of(const mbs_net *net, const mbs_batch *b, int64_t k) {
    return (b->starts[k + 1] - b->starts[k] - 1) / net->rows + 1;
}

/* Rows of a piece: as even as may be, for a few rows alone cost more than their share. Truncated, whole passes. */
static int64_t piece_rows(const mbs_net *net, const mbs_batch *b, int64_t k) {
    const int64_t n = b->starts[k + 1] - b->starts[k];
    const int64_t pieces = pieces_of(net, b, k);
    const int64_t even = ((n + pieces - 1) / pieces + MBS_NET_ROWS_UNIT - 1) / MBS_NET_ROWS_UNIT * MBS_NET_ROWS_UNIT;
    return net->truncate || (pieces - 1) * even >= n ? net->rows : even;
}

/* How many pieces at the end of a sequence are held. */
static int64_t held_of(const mbs_net *net, int64_t pieces) {
    return pieces < net->held ? pieces : net->held;
}

/* Piece p of sequence k; *from: its first row in the batch. */
static net_pass piece(const job *j, int64_t k, int64_t p, int keep, int64_t *from) {
    const mbs_batch *b = j->batch;
    const int64_t rows = piece_rows(j->net, b, k);
    int64_t left = b->starts[k + 1] - b->starts[k] - p * rows;
    *from = b->starts[k] + p * rows;
    net_pass pass = {.n = left < rows ? left : rows, .position = p * rows, .n_seq = 1, .keep = keep, .past = 1};
    feed(j, *from, &pass);
    return pass;
}

static mbs_status run_forward(const job *j, int64_t k) {
    mbs_net *net = j->net;
    int64_t pieces = pieces_of(net, j->batch, k);
    mbs_status st = failed(j, net->ctx->ops->zero(net->ctx, state_of(net, net->state, 0)));
    for (int64_t p = 0; p < pieces && st >= 0; p++) {
        int64_t from;
        mbs_net_sums part = {0}; /* of a piece, added whole: the numbers are those of the way back */
        net_pass pass = piece(j, k, p, 0, &from);
        st = forward(j, &pass, from, &part);
        mbs_net_add_sums(j->sums, &part);
    }
    return st;
}

/* Room for what the positions of sequence k leave behind. */
static mbs_status reserve_past(const job *j, int64_t k) {
    mbs_net *net = j->net;
    const mbk_ops *ops = net->ctx->ops;
    int64_t length = j->batch->starts[k + 1] - j->batch->starts[k];
    int64_t rows = length > net->past_rows ? length : net->past_rows;
    size_t bytes = 0;
    if (net->past_floats == 0 || (length <= net->past_rows && (!j->back || net->dpast))) {
        return MBS_OK;
    }
    ops->buf_free(net->ctx, net->past);
    ops->buf_free(net->ctx, net->dpast);
    net->past = net->dpast = NULL;
    net->past_rows = 0;
    mbk_status st = mbs_mul_overflow((size_t)rows, (size_t)net->past_floats * sizeof(float), &bytes)
                        ? MBS_ERR_MEMORY
                        : ops->buf_new(net->ctx, bytes, &net->past);
    st = st < 0 || !j->back ? st : ops->buf_new(net->ctx, bytes, &net->dpast);
    net->past_rows = st < 0 ? 0 : rows;
    return failed(j, st);
}

/* No gradient comes from behind: neither into the state nor into what was left. */
static mbk_status clear_gradient(const job *j) {
    mbs_net *net = j->net;
    mbk_status st = net->ctx->ops->zero(net->ctx, state_of(net, net->dstate, 0));
    return st < 0 || !net->dpast
               ? st
               : net->ctx->ops->zero(net->ctx, mbs_net_rows(net->dpast, 0, net->past_rows, net->past_floats));
}

static mbs_status reserve_edges(const job *j, int64_t n) {
    mbs_net *net = j->net;
    if (n <= net->n_edges) {
        return MBS_OK;
    }
    net->ctx->ops->buf_free(net->ctx, net->edges);
    net->edges = NULL;
    net->n_edges = 0;
    size_t bytes;
    mbk_status st = mbs_mul_overflow((size_t)n, (size_t)(net->state_floats + 1) * sizeof(float), &bytes)
                        ? MBS_ERR_MEMORY
                        : net->ctx->ops->buf_new(net->ctx, bytes, &net->edges);
    net->n_edges = st < 0 ? 0 : n;
    return failed(j, st);
}

/* Pieces [p0, p1) of sequence k, through which the gradient goes; the state goes on behind them. */
static mbs_status run_segment(const job *j, int64_t k, int64_t p0, int64_t p1, mbs_net_sums *parts) {
    mbs_net *net = j->net;
    const mbk_ops *ops = net->ctx->ops;
    int64_t from;
    const int64_t first = p1 - held_of(net, p1 - p0); /* of those that are held */
    mbk_mat now = state_of(net, net->state, 0);
    mbs_status st = MBS_OK;
    for (int64_t p = p0; p < p1 && st >= 0; p++) {
        net_pass pass = piece(j, k, p, p >= first, &from);
        pass.slot = p > first ? p - first : 0;
        st = failed(j, ops->copy(net->ctx, state_of(net, net->edges, p - p0), now));
        st = st < 0 ? st : forward(j, &pass, from, NULL);
    }
    st = st < 0 ? st : failed(j, ops->copy(net->ctx, state_of(net, net->edges, p1 - p0), now));
    st = st < 0 ? st : failed(j, clear_gradient(j));
    for (int64_t p = p1 - 1; p >= p0 && st >= 0; p--) {
        net_pass pass = piece(j, k, p, 1, &from);
        parts[p - p0] = (mbs_net_sums){0};
        if (p >= first) {
            pass.slot = p - first;
            st = p == p1 - 1 ? st : failed(j, mbs_net_last_norm(net, &pass));
        } else {
            st = failed(j, ops->copy(net->ctx, now, state_of(net, net->edges, p - p0)));
            st = st < 0 ? st : forward(j, &pass, from, NULL);
        }
        st = st < 0 ? st : score(j, &pass, from, &parts[p - p0]);
        st = st < 0 ? st : failed(j, mbs_net_backward(net, &pass));
    }
    for (int64_t p = p0; p < p1 && st >= 0; p++) {
        mbs_net_add_sums(j->sums, &parts[p - p0]);
    }
    return st < 0 ? st : failed(j, ops->copy(net->ctx, now, state_of(net, net->edges, p1 - p0)));
}

/* All pieces of sequence k for its one row; the state before each is kept where the way goes back. */
static mbs_status pool_pieces(const job *j, int64_t k, int64_t pieces) {
    mbs_net *net = j->net;
    const mbk_ops *ops = net->ctx->ops;
    mbk_mat now = state_of(net, net->state, 0);
    mbk_status done = ops->zero(net->ctx, now);
    mbs_status st = failed(j, done < 0 ? done : mbs_net_pool_begin(net));
    for (int64_t p = 0; p < pieces && st >= 0; p++) {
        int64_t from;
        net_pass pass = piece(j, k, p, j->back && p == pieces - 1, &from);
        st = j->back ? failed(j, ops->copy(net->ctx, state_of(net, net->edges, p), now)) : st;
        st = st < 0 ? st : forward(j, &pass, from, NULL);
        st = st < 0 ? st : failed(j, mbs_net_pool_add(net, 0, 0, pass.n));
    }
    return st < 0 ? st : mbs_net_pool_score(net, j->batch, k, 1, j->scale, j->back, j->sums, j->err);
}

static mbs_status run_long_class(const job *j, int64_t k) {
    mbs_net *net = j->net;
    const mbk_ops *ops = net->ctx->ops;
    int64_t pieces = pieces_of(net, j->batch, k);
    int64_t length = j->batch->starts[k + 1] - j->batch->starts[k];
    mbs_status st = j->back ? reserve_edges(j, pieces) : MBS_OK;
    st = st < 0 ? st : pool_pieces(j, k, pieces);
    for (int64_t p = pieces - 1; p >= 0 && st >= 0 && j->back; p--) {
        int64_t from;
        net_pass pass = piece(j, k, p, 1, &from);
        int last = p == pieces - 1;
        if (last || (net->truncate && (p + 1) * net->rows % net->truncate == 0)) {
            st = failed(j, clear_gradient(j));
        }
        if (!last && st >= 0) {
            st = failed(j, ops->copy(net->ctx, state_of(net, net->state, 0), state_of(net, net->edges, p)));
            st = st < 0 ? st : forward(j, &pass, from, NULL);
        }
        st = st < 0 ? st : failed(j, mbs_net_pool_spread(net, 0, length, 0, pass.n, last));
        st = st < 0 ? st : failed(j, mbs_net_backward(net, &pass));
    }
    return st;
}

static mbs_status run_long(const job *j, int64_t k) {
    mbs_net *net = j->net;
    int64_t pieces = pieces_of(net, j->batch, k);
    int64_t step = net->truncate ? net->truncate / net->rows : pieces;
    step = step < pieces ? step : pieces;
    mbs_net_sums *parts = mbs_calloc((size_t)step, sizeof *parts);
    if (!parts) {
        return mbs_fail_memory(j->err, NULL, (size_t)step * sizeof *parts);
    }
    mbs_status st = reserve_edges(j, step + 1);
    st = st < 0 ? st : failed(j, net->ctx->ops->zero(net->ctx, state_of(net, net->state, 0)));
    for (int64_t p = 0; p < pieces && st >= 0; p += step) {
        st = run_segment(j, k, p, p + step < pieces ? p + step : pieces, parts);
    }
    mbs_free(parts);
    return st;
}

/* --- batches --------------------------------------------------------------------------------------------------------
 */

void mbs_net_add_sums(mbs_net_sums *to, const mbs_net_sums *part) {
    to->loss += part->loss;
    to->weight += part->weight;
    to->scored += part->scored;
    to->right += part->right;
}

/* How many sequences from k on go through together; 0: k alone is longer than a pass, and goes in pieces. */
static int64_t together(const mbs_net *net, const mbs_batch *b, int64_t k) {
    int64_t most = !net->many ? 1 : net->classes ? net->room.seqs : b->n_seq;
    int64_t n = 0;
    while (n < most && k + n < b->n_seq && net->streams * (b->starts[k + n + 1] - b->starts[k]) <= net->rows) {
        n++;
    }
    return n == 0 && net->whole ? 1 : n;
}

/* A batch that was checked. */
static mbs_status run(const job *j) {
    mbs_net *net = j->net;
    const mbs_batch *b = j->batch;
    int64_t rows = net->streams * b->starts[b->n_seq] < net->rows ? net->streams * b->starts[b->n_seq] : net->rows;
    for (int64_t k = 0; net->whole && k < b->n_seq; k++) {
        int64_t n = net->streams * (b->starts[k + 1] - b->starts[k]);
        rows = n > rows ? n : rows;
    }
    int64_t held = 1;
    for (int64_t k = 0; j->back && k < b->n_seq; k++) {
        int64_t n = held_of(net, pieces_of(net, b, k));
        held = n > held ? n : held;
    }
    mbs_status st = mbs_net_reserve(net, rows, j->back, held, j->err);
    for (int64_t k = 0; k < b->n_seq && st >= 0;) {
        int64_t n = together(net, b, k);
        st = n ? st : reserve_past(j, k);
        if (st < 0) {
            break;
        }
        st = n              ? run_short(j, k, n)
             : net->classes ? run_long_class(j, k)
             : j->back      ? run_long(j, k)
                            : run_forward(j, k);
        k += n ? n : 1;
    }
    return st;
}

static mbs_status run_back(mbs_net *net, const mbs_batch *batch, double scale, mbs_net_sums *sums, mbs_err *err) {
    job j = {net, batch, scale, 1, sums, err};
    return run(&j);
}

mbs_status mbs_net_gradients(mbs_net *net, const mbs_batch *batch, double scale, mbs_net_sums *sums, mbs_err *err) {
    mbs_status st = check(net, batch, err);
    if (st < 0) {
        return st;
    }
    return net->twin.net && batch->n_seq > 1 ? mbs_net_twin_run(net, batch, scale, sums, run_back, err)
                                             : run_back(net, batch, scale, sums, err);
}

mbs_status mbs_net_loss(mbs_net *net, const mbs_batch *batch, mbs_net_sums *sums, mbs_err *err) {
    job j = {net, batch, 0, 0, sums, err};
    mbs_status st = check(net, batch, err);
    return st < 0 ? st : run(&j);
}
