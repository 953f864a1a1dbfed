/*
 * session_step.c - decoding: one row after the other. On a device a step is some hundred small operations, and queueing
 * them takes longer than running them; so each is recorded once and run again as one piece. What a step does may depend
 * on its place in a period (Mamba-2: in a block), so there is a tape for each place.
 */
#include "base/mem.h"
#include "model/session_impl.h"

/* Places in the period of a model with several mixers. */
#define MOST_PLACES 1024

/* The period of all layers together, 0 where one has none or it is too long. */
static int64_t period_of(const mbs_model *m) {
    int64_t period = 1;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        int64_t p = m->layers[i].mixer->period;
        if (p <= 0) {
            return 0;
        }
        int64_t a = period;
        for (int64_t b = p; b;) { /* the greatest common divisor */
            int64_t r = a % b;
            a = b;
            b = r;
        }
        period = period / a * p;
        if (period > MOST_PLACES) {
            return 0;
        }
    }
    return period;
}

void mbs_session_plan_steps(mbs_session *s) {
    s->period = s->m->ctx->ops->record ? period_of(s->m) : 0;
    s->tapes = s->period ? mbs_calloc((size_t)s->period, sizeof *s->tapes) : NULL;
    s->period = s->tapes ? s->period : 0;
}

void mbs_session_forget_steps(mbs_session *s) {
    mbk_ctx *ctx = s->m->ctx;
    for (int64_t i = 0; i < s->period; i++) {
        if (s->tapes[i]) {
            ctx->ops->tape_free(ctx, s->tapes[i]);
            s->tapes[i] = NULL;
        }
    }
}

void mbs_session_drop_steps(mbs_session *s) {
    mbs_session_forget_steps(s);
    mbs_free(s->tapes);
    s->tapes = NULL;
    s->period = 0;
}

/* NULL where it could not be; then nothing has been run. */
static mbk_tape *record(mbs_session *s, mbk_status (*body)(mbs_session *s)) {
    mbk_ctx *ctx = s->m->ctx;
    mbk_tape *tape = NULL;
    if (ctx->ops->record(ctx) < 0) {
        return NULL;
    }
    mbk_status did = body(s);
    mbk_status st = ctx->ops->recorded(ctx, &tape);
    if (tape && did < 0) {
        ctx->ops->tape_free(ctx, tape);
        tape = NULL;
    }
    return st < 0 ? NULL : tape;
}

mbk_status mbs_session_step(mbs_session *s, mbk_status (*body)(mbs_session *s)) {
    mbk_ctx *ctx = s->m->ctx;
    if (s->period == 0) {
        return body(s);
    }
    mbk_tape **tape = &s->tapes[s->tokens % s->period];
    mbk_status st = *tape ? ctx->ops->replay(ctx, *tape) : MBS_END;
    if (st != MBS_END) {
        return st;
    }
    if (*tape) {
        ctx->ops->tape_free(ctx, *tape);
    }
    *tape = record(s, body);
    if (!*tape) {
        mbs_session_drop_steps(s); /* and never again: step by step, as it is */
        return body(s);
    }
    st = ctx->ops->replay(ctx, *tape);
    return st == MBS_END ? MBS_ERR_INTERNAL : st;
}
