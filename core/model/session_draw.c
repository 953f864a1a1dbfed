/*
 * session_draw.c - the next token, drawn on the device: the logits stay there, what comes back is an id and its
 * log-probability. The draw of a step is part of what is recorded of it.
 */
#include <string.h>

#include "base/mem.h"
#include "model/session_impl.h"

int mbs_session_draws(const mbs_session *s) {
    return s->flags != NULL;
}

void mbs_session_drop_sampler(mbs_session *s) {
    mbk_ctx *ctx = s->m->ctx;
    mbs_session_forget_steps(s); /* which hold its numbers and its flags */
    ctx->ops->buf_free(ctx, s->flags);
    ctx->ops->buf_free(ctx, s->draws);
    s->flags = s->draws = NULL;
    mbs_free(s->allowed);
    s->allowed = NULL;
}

static int same(const mbs_session *s, const mbs_sampler *b) {
    const mbs_sampler *a = &s->sampler;
    return s->flags && a->n_allowed == b->n_allowed && a->top_k == b->top_k &&
           memcmp(&a->temperature, &b->temperature, sizeof a->temperature) == 0 &&
           memcmp(&a->top_p, &b->top_p, sizeof a->top_p) == 0 &&
           memcmp(s->allowed, b->allowed, (size_t)a->n_allowed) == 0;
}

mbs_status mbs_session_set_sampler(mbs_session *s, const mbs_sampler *sampler, mbs_err *err) {
    mbk_ctx *ctx = s->m->ctx;
    if (!ctx->ops->draw || !s->m->head || sampler->n_allowed < 1 || same(s, sampler)) {
        return MBS_OK;
    }
    const size_t n = (size_t)sampler->n_allowed;
    mbs_session_drop_sampler(s);
    s->allowed = mbs_alloc(n);
    if (!s->allowed) {
        return mbs_fail_memory(err, s->m->folder, n);
    }
    memcpy(s->allowed, sampler->allowed, n);
    s->sampler = *sampler;
    mbk_status st = ctx->ops->buf_new(ctx, MBS_SESSION_LANES * (sizeof(double) + sizeof(mbk_drawn)), &s->draws);
    st = st < 0 ? st : ctx->ops->buf_new(ctx, n, &s->flags);
    st = st < 0 ? st : ctx->ops->upload(ctx, s->flags, 0, s->allowed, n);
    if (st < 0) {
        mbs_session_drop_sampler(s);
        return mbs_backend_fail(ctx, err, st, s->m->folder, "making room for a sampler");
    }
    return MBS_OK;
}

mbk_status mbs_session_put_places(mbs_session *s, const mbs_next *next, int64_t n) {
    double u[MBS_SESSION_LANES];
    for (int64_t i = 0; i < n; i++) {
        u[i] = next[i].u;
    }
    return s->m->ctx->ops->upload(s->m->ctx, s->draws, 0, u, (size_t)n * sizeof *u);
}

mbk_status mbs_session_queue_draw(mbs_session *s, int64_t from, int64_t n) {
    const mbk_draw_args a = {
        .logits = session_rows(s->logits, from, n, s->m->cfg.vocab_rows),
        .flags = s->flags,
        .n_allowed = s->sampler.n_allowed,
        .temperature = s->sampler.temperature,
        .top_p = s->sampler.top_p,
        .top_k = s->sampler.top_k,
        .draws = s->draws,
    };
    return s->m->ctx->ops->draw(s->m->ctx, &a);
}

mbk_status mbs_session_take_draws(mbs_session *s, mbs_next *next, int64_t n) {
    mbk_drawn drawn[MBS_SESSION_LANES];
    mbk_status st =
        s->m->ctx->ops->download(s->m->ctx, drawn, s->draws, (size_t)n * sizeof(double), (size_t)n * sizeof *drawn);
    for (int64_t i = 0; i < n && st >= 0; i++) {
        next[i].id = drawn[i].id;
        next[i].logprob = drawn[i].logprob;
    }
    return st;
}

mbk_status mbs_session_draw_rows(mbs_session *s, mbs_next *next, int64_t from, int64_t n) {
    mbk_status st = mbs_session_put_places(s, next, n);
    st = st < 0 ? st : mbs_session_queue_draw(s, from, n);
    return st < 0 ? st : mbs_session_take_draws(s, next, n);
}
