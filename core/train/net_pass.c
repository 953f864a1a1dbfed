/* net_pass.c - rows through all layers, and back. */
#include <string.h>

#include "base/mem.h"
#include "model/mixer_kit.h"
#include "train/net_impl.h"

/* Floats of logits that are made at once. */
#define LOGIT_FLOATS ((int64_t)1 << 20)
#define HEAD_ROWS_MIN 64
/* Sequences that are pooled in one pass. */
#define SEQS_MAX 256

mbk_mat mbs_net_rows(mbk_buf *buf, int64_t from, int64_t rows, int64_t cols) {
    return (mbk_mat){buf, from * cols, rows, cols, cols};
}

/* --- room -----------------------------------------------------------------------------------------------------------
 */

void mbs_net_room_free(mbs_net *net) {
    net_room *r = &net->room;
    mbk_buf *bufs[] = {r->resid,  r->normed,   r->dnormed, r->dresid,  r->scratch, r->keep,
                       r->logits, r->loss,     r->weights, r->ids,     r->targets, r->starts,
                       r->hits,   r->pool_sum, r->pooled,  r->dpooled, r->frames};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        net->ctx->ops->buf_free(net->ctx, bufs[i]);
    }
    mbs_free(r->host_loss);
    mbs_free(r->host_hits);
    mbs_free(r->host_ints);
    mbs_free(r->host_pool);
    mbs_free(r->host_row);
    mbs_net_both_free(net);
    memset(r, 0, sizeof *r);
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* What backward needs of a block: of both mixers, where it has two. */
static int64_t place_kept(const mbs_net *net, net_layer *l, int64_t rows, int64_t at) {
    int64_t n = l->mixer->train->keep_floats(&net->cfg, l->index, rows);
    l->keep_at = at;
    l->keep_reverse_at = at + n;
    return l->reverse ? 2 * n : n;
}

/* Floats of scratch that serve every layer, and what is kept of all; also where each layer keeps. */
static void count_floats(mbs_net *net, int64_t rows, int keeps, int64_t *scratch, int64_t *keep, int64_t *widest) {
    *scratch = *keep = 0;
    *widest = most(most(net->cfg.vocab_rows, net->cfg.frame_width), most(net->cfg.d_model, net->head.outputs));
    for (int64_t i = 0; i < net->n_blocks; i++) {
        net_layer *l = &net->layers[i];
        *scratch = most(*scratch, l->mixer->scratch_floats(&net->cfg, l->index, rows));
        *widest = most(*widest, l->mixer->widest(&net->cfg, l->index));
        if (keeps && l->trained) {
            int64_t n = place_kept(net, l, rows, net->room.lean ? 0 : *keep);
            *keep = net->room.lean ? most(*keep, n) : *keep + n;
            *scratch = most(*scratch, l->mixer->train->scratch_floats(&net->cfg, l->index, rows));
        }
    }
}

static mbs_status make_host_room(net_room *r, int64_t rows, int64_t d, mbs_err *err) {
    r->host_loss = mbs_alloc((size_t)rows * sizeof *r->host_loss);
    r->host_hits = mbs_alloc((size_t)rows * sizeof *r->host_hits);
    r->host_ints = mbs_alloc(2 * (size_t)rows * sizeof *r->host_ints);
    r->host_pool = mbs_alloc((size_t)(r->seqs * d) * sizeof *r->host_pool);
    r->host_row = mbs_alloc((size_t)d * sizeof *r->host_row);
    int made = r->host_loss && r->host_hits && r->host_ints && r->host_pool && r->host_row;
    return made ? MBS_OK : mbs_fail_memory(err, NULL, (size_t)rows * 12);
}

static mbs_status make_room(mbs_net *net, int64_t rows, int keeps, int64_t held, mbs_err *err) {
    net_room *r = &net->room;
    mbk_ctx *ctx = net->ctx;
    int64_t d = net->cfg.d_model;
    int64_t slots = keeps ? net->n_blocks - net->first + 1 : 1;
    int64_t scratch;
    int64_t keep;
    int64_t widest;
    r->lean = net->whole && rows > net->rows;
    count_floats(net, rows, keeps, &scratch, &keep, &widest);
    r->keep_floats = keep;
    r->head_rows = most(LOGIT_FLOATS / net->head.outputs, HEAD_ROWS_MIN);
    r->head_rows = r->head_rows < rows ? r->head_rows : rows;
    r->seqs = !net->classes ? 1 : rows < SEQS_MAX ? rows : SEQS_MAX;
    const struct {
        mbk_buf **buf;
        int64_t floats;
    } wanted[] = {
        {&r->resid, held * slots * rows * d},
        {&r->normed, rows * d},
        {&r->dnormed, keeps ? rows * d : 1},
        {&r->dresid, keeps ? rows * d : 1},
        {&r->scratch, scratch},
        {&r->keep, most(held * keep, 1)},
        {&r->logits, r->head_rows * net->head.outputs},
        {&r->loss, rows},
        {&r->hits, rows},
        {&r->weights, rows},
        {&r->ids, held * rows},
        {&r->frames, most(held * rows * net->cfg.frame_width, 1)},
        {&r->targets, rows},
        {&r->starts, 2 * rows},
        {&r->pool_sum, 2 * r->seqs * d},
        {&r->pooled, r->seqs * d},
        {&r->dpooled, r->seqs * d},
    };
    mbk_status st = ctx->ops->reserve(ctx, rows, widest);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && st >= 0; i++) {
        st = ctx->ops->buf_new(ctx, (size_t)wanted[i].floats * sizeof(float), wanted[i].buf);
    }
    if (st < 0) {
        mbs_backend_fail(net->ctx, err, st, NULL, "making room for a pass");
        mbs_err_fix(err,
                    net->whole ? "take shorter windows: this model takes whole sequences" : "take fewer rows at once");
        return st;
    }
    mbs_status made = make_host_room(r, rows, d, err);
    return made < 0 || !net->whole ? made : mbs_net_both_reserve(net, rows, keeps, err);
}

mbs_status mbs_net_reserve(mbs_net *net, int64_t rows, int keeps, int64_t held, mbs_err *err) {
    if (net->room.rows >= rows && net->room.keeps >= keeps && net->room.held >= held) {
        return MBS_OK;
    }
    rows = most(rows, net->room.rows);
    held = most(held, net->room.held);
    keeps = keeps || net->room.keeps;
    mbs_net_room_free(net);
    mbs_status st = make_room(net, rows, keeps, held, err);
    if (st < 0) {
        mbs_net_room_free(net);
        return st;
    }
    net->room.rows = rows;
    net->room.held = held;
    net->room.keeps = keeps;
    return MBS_OK;
}

/* --- forward --------------------------------------------------------------------------------------------------------
 */

mbk_status mbs_net_norm(const mbs_net *net, mbk_mat y, mbk_mat x, int w, int b) {
    return mbs_kit_norm(net->ctx, &net->cfg, y, x, mbs_net_w(net, w), mbs_net_w(net, b));
}

/* Which rows of `resid` go into block i: with keep one slot for each trained block of each pass that is held. */
mbk_mat mbs_net_resid(const mbs_net *net, const net_pass *pass, int64_t i, int64_t rows) {
    int64_t slot = pass->keep && i > net->first ? i - net->first : 0;
    slot += pass->slot * (net->n_blocks - net->first + 1);
    return mbs_net_rows(net->room.resid, slot * net->room.rows, rows, net->cfg.d_model);
}

static mbk_mat resid(const mbs_net *net, const net_pass *pass, int64_t i) {
    return mbs_net_resid(net, pass, i, pass->n);
}

static mbk_status upload_rows(mbs_net *net, const net_pass *pass) {
    net_room *r = &net->room;
    size_t row = (size_t)net->cfg.frame_width * sizeof *pass->frames;
    size_t id = sizeof *pass->ids;
    size_t from = (size_t)(pass->slot * r->rows), n = (size_t)pass->n;
    mbk_status st = row > 0 ? net->ctx->ops->upload(net->ctx, r->frames, from * row, pass->frames, n * row)
                            : net->ctx->ops->upload(net->ctx, r->ids, from * id, pass->ids, n * id);
    if (st >= 0 && pass->n_seq > 1) {
        for (int64_t k = 0; k < pass->n_seq; k++) {
            r->host_ints[k] = (int32_t)(pass->starts[k] - pass->starts[0]);
        }
        st = net->ctx->ops->upload(net->ctx, r->starts, 0, r->host_ints, (size_t)pass->n_seq * sizeof(int32_t));
    }
    return st;
}

static mbs_mixer_call call_of(mbs_net *net, const net_pass *pass, int64_t i) {
    const net_layer *l = &net->layers[i];
    net_room *r = &net->room;
    return (mbs_mixer_call){
        .ctx = net->ctx,
        .out = resid(net, pass, i + 1),
        .in = mbs_net_rows(r->normed, 0, pass->n, net->cfg.d_model),
        .state = net->state,
        .state_at = l->state_at,
        .scratch = r->scratch,
        .scratch_rows = r->rows,
        .position = pass->position,
        .starts = {r->starts, 0, pass->n_seq > 1 ? pass->n_seq : 0},
        .past = pass->past && l->past_floats ? net->past : NULL,
        .past_at = l->past_before * net->past_rows,
        .past_rows = net->past_rows,
        .keep = pass->keep && l->trained ? r->keep : NULL,
        .keep_at = l->keep_at + pass->slot * r->keep_floats,
    };
}

static mbk_mat frames_of(const mbs_net *net, const net_pass *pass) {
    return mbs_net_rows(net->room.frames, pass->slot * net->room.rows, pass->n, net->cfg.frame_width);
}

/* What comes in as rows of the residual stream. */
static mbk_status first_rows(mbs_net *net, const net_pass *pass) {
    const mbk_ops *ops = net->ctx->ops;
    return net->cfg.frame_width > 0
               ? ops->gemm(net->ctx, resid(net, pass, 0), frames_of(net, pass), net->table_w,
                           mbs_net_w(net, net->table + 1), 0)
               : ops->embed(net->ctx, resid(net, pass, 0), net->table_w, net->room.ids, pass->slot * net->room.rows);
}

mbk_status mbs_net_last_norm(mbs_net *net, const net_pass *pass) {
    mbk_mat normed = mbs_net_rows(net->room.normed, 0, pass->n, net->cfg.d_model);
    return mbs_net_norm(net, normed, resid(net, pass, net->n_blocks), net->norm_w, net->norm_b);
}

mbk_status mbs_net_forward(mbs_net *net, const net_pass *pass) {
    const mbk_ops *ops = net->ctx->ops;
    if (net->whole) {
        return mbs_net_both_forward(net, pass);
    }
    mbk_status st = upload_rows(net, pass);
    st = st < 0 ? st : first_rows(net, pass);
    for (int64_t i = 0; i < net->n_blocks && st >= 0; i++) {
        const net_layer *l = &net->layers[i];
        mbs_mixer_call call = call_of(net, pass, i);
        mbk_mat x = resid(net, pass, i);
        if (l->mixer->bare) {
            call.in = x;
        } else {
            st = mbs_net_norm(net, call.in, x, l->norm_w, l->norm_b);
        }
        if (st >= 0 && call.out.off != x.off) {
            st = ops->copy(net->ctx, call.out, x);
        }
        st = st < 0 ? st : l->mixer->forward(l->layer, &call);
    }
    return st < 0 ? st : mbs_net_last_norm(net, pass);
}

/* --- backward -------------------------------------------------------------------------------------------------------
 */

mbk_status mbs_net_norm_grad(const mbs_net *net, mbk_mat dx, mbk_mat dy, mbk_mat x, int w, int b, int add) {
    const mbs_mixer_param weight = {mbs_net_w(net, w), mbs_net_g(net, w)};
    const mbs_mixer_param bias = {mbs_net_w(net, b), mbs_net_g(net, b)};
    return mbs_kit_norm_grad(net->ctx, &net->cfg, dx, dy, x, &weight, &bias, add);
}

/* The gradient of what makes the first rows. */
static mbk_status first_grad(mbs_net *net, const net_pass *pass, mbk_mat dresid) {
    const mbk_ops *ops = net->ctx->ops;
    if (net->cfg.frame_width == 0) {
        return ops->embed_grad(net->ctx, mbs_net_g(net, net->table), dresid, net->room.ids,
                               pass->slot * net->room.rows);
    }
    mbk_status st =
        ops->weight_grad(net->ctx, mbs_net_g(net, net->table), dresid, frames_of(net, pass), net->format.math);
    return st < 0 ? st : ops->bias_grad(net->ctx, mbs_net_g(net, net->table + 1), dresid);
}

mbk_status mbs_net_backward(mbs_net *net, const net_pass *pass) {
    int64_t d = net->cfg.d_model;
    if (net->whole) {
        return mbs_net_both_backward(net, pass);
    }
    mbk_mat dresid = mbs_net_rows(net->room.dresid, 0, pass->n, d);
    mbk_mat dnormed = mbs_net_rows(net->room.dnormed, 0, pass->n, d);
    if (!net->tensors[net->norm_w].trained) {
        return MBS_OK; /* the head alone */
    }
    mbk_status st =
        mbs_net_norm_grad(net, dresid, dnormed, resid(net, pass, net->n_blocks), net->norm_w, net->norm_b, 0);
    for (int64_t i = net->n_blocks - 1; i >= net->first && st >= 0; i--) {
        const net_layer *l = &net->layers[i];
        mbk_mat x = resid(net, pass, i);
        mbs_mixer_back back = {
            .call = call_of(net, pass, i),
            .dout = dresid,
            .din = dnormed,
            .dstate = net->dstate,
            .dstate_at = l->state_at,
            .dpast = pass->past && l->past_floats ? net->dpast : NULL,
        };
        if (l->mixer->bare) {
            back.call.in = x;
            st = l->mixer->train->backward(l->layer, &back);
            st = st < 0 ? st : net->ctx->ops->add(net->ctx, dresid, dresid, dnormed);
            continue;
        }
        st = mbs_net_norm(net, back.call.in, x, l->norm_w, l->norm_b);
        st = st < 0 ? st : l->mixer->train->backward(l->layer, &back);
        st = st < 0 ? st : mbs_net_norm_grad(net, dresid, dnormed, x, l->norm_w, l->norm_b, 1);
    }
    if (st >= 0 && net->tensors[net->table].trained) {
        st = first_grad(net, pass, dresid);
    }
    return st;
}
