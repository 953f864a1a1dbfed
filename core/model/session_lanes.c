/*
 * session_lanes.c - many streams, one token each, in lock step. What has no memory (norms, products) takes the rows of
 * all streams at once; what has (convolutions, scans, attention) takes each with its own state. A row has the same bits
 * as in a call of its own, since no operation looks at the rows beside it.
 */
#include "model/mixer_kit.h"
#include "model/session_impl.h"

/* Where all streams stand; -1: at different places. */
static int64_t one_place(mbs_session *const *lanes, int64_t n) {
    for (int64_t k = 1; k < n; k++) {
        if (lanes[k]->tokens != lanes[0]->tokens) {
            return -1;
        }
    }
    return lanes[0]->tokens;
}

/* One block for all streams. */
static mbk_status run_block(mbs_session *room, int64_t i, mbs_session *const *lanes, int64_t n, int64_t place,
                            mbk_mat resid, mbk_mat normed) {
    const mbs_model *m = room->m;
    const mbs_layer *layer = &m->layers[i];
    mbk_buf *states[MBS_SESSION_LANES];
    mbs_mixer_call call = {
        .ctx = m->ctx,
        .out = resid,
        .in = normed,
        .state_at = layer->state_at,
        .scratch = room->scratch,
        .scratch_rows = room->tile,
    };
    mbk_status st = mbs_layer_input(m, layer, resid, &call.in);
    const mbk_mat in = call.in;
    for (int64_t k = 0; k < n; k++) {
        states[k] = lanes[k]->state;
    }
    if (layer->mixer->lanes == 1 || (layer->mixer->lanes == 2 && place >= 0)) {
        call.lanes = states;
        call.position = place >= 0 ? place : 0;
        return st < 0 ? st : layer->mixer->forward(layer->weights, &call);
    }
    for (int64_t k = 0; k < n && st >= 0; k++) {
        call.out = mbs_kit_row(resid, k);
        call.in = mbs_kit_row(in, k);
        call.state = states[k];
        call.position = lanes[k]->tokens;
        call.past = lanes[k]->past ? lanes[k]->past[i] : NULL;
        call.past_rows = lanes[k]->past ? lanes[k]->past_rows[i] : 0;
        st = layer->mixer->forward(layer->weights, &call);
    }
    return st;
}

static mbk_status run_head(mbs_session *room, int64_t n, float *logits, mbs_next *next) {
    mbk_ctx *ctx = room->m->ctx;
    const mbk_mat none = {0};
    const int64_t v = room->m->cfg.vocab_rows;
    mbk_status st = MBS_OK;
    for (int64_t from = 0; from < n && st >= 0; from += room->head_tile) {
        int64_t rows = n - from < room->head_tile ? n - from : room->head_tile;
        st = ctx->ops->gemm(ctx, session_rows(room->logits, 0, rows, v),
                            session_rows(room->normed, 1 + from, rows, room->m->cfg.d_model), room->m->head, none, 0);
        if (st >= 0 && logits) {
            st = ctx->ops->download(ctx, logits + from * v, room->logits, 0, (size_t)(rows * v) * sizeof *logits);
        }
        if (st >= 0 && next) {
            st = mbs_session_draw_rows(room, next + from, 0, rows);
        }
    }
    return st;
}

static mbk_status step(mbs_session *room, mbs_session *const *lanes, int64_t n, const int32_t *ids, float *logits,
                       mbs_next *next) {
    const mbs_model *m = room->m;
    mbk_ctx *ctx = m->ctx;
    const int64_t d = m->cfg.d_model;
    mbk_mat resid = session_rows(room->resid, 0, n, d);
    mbk_mat normed = session_rows(room->normed, 1, n, d);
    const int64_t place = one_place(lanes, n);
    mbk_status st = ctx->ops->upload(ctx, room->ids, 0, ids, (size_t)n * sizeof *ids);
    st = st < 0 ? st : ctx->ops->embed(ctx, resid, m->table, room->ids, 0);
    for (int64_t i = 0; i < m->n_blocks && st >= 0; i++) {
        st = run_block(room, i, lanes, n, place, resid, normed);
    }
    st = st < 0 ? st : mbs_model_norm(m, normed, resid, m->norm_w, m->norm_b);
    for (int64_t k = 0; k < n && st >= 0; k++) {
        st = ctx->ops->copy(ctx, session_rows(lanes[k]->normed, 0, 1, d), mbs_kit_row(normed, k));
        lanes[k]->tokens++;
    }
    return st < 0 ? st : run_head(room, n, logits, next);
}

mbs_status mbs_session_step_lanes(mbs_session *room, mbs_session *const *lanes, int64_t n, const int32_t *ids,
                                  float *logits, mbs_next *next, mbs_err *err) {
    const mbs_model *m = room->m;
    mbs_status ok = MBS_OK;
    if (!m->head || m->front || n < 1 || n > MBS_SESSION_LANES || n > room->tile) {
        return mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "%lld streams in lock step of a model that %s", (long long)n,
                        m->head && !m->front ? "takes fewer" : "predicts no tokens");
    }
    if (next && !mbs_session_draws(room)) {
        return mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "no sampler was given to the stream");
    }
    for (int64_t k = 0; k < n && ok >= 0; k++) {
        if (lanes[k]->m != m || lanes[k] == room || lanes[k]->broken || ids[k] < 0 || ids[k] >= m->cfg.vocab_rows) {
            return mbs_fail(err, MBS_ERR_INTERNAL, m->folder, "stream %lld cannot go in lock step", (long long)k);
        }
        ok = mbs_mixers_reach(&m->cfg, lanes[k]->tokens + 1, m->folder, err);
        ok = ok < 0 ? ok : mbs_session_past_reserve(lanes[k], lanes[k]->tokens + 1, err);
    }
    if (ok < 0) {
        return ok;
    }
    mbk_status st = MBS_OK;
    for (int64_t k = 0; k < n && st >= 0; k++) {
        st = mbs_later_settle(lanes[k]->later);
    }
    st = st < 0 ? st : step(room, lanes, n, ids, logits, next);
    for (int64_t k = 0; k < n && st < 0; k++) {
        lanes[k]->broken = 1;
    }
    return st < 0 ? mbs_backend_fail(m->ctx, err, st, m->folder, "running the model") : MBS_OK;
}
