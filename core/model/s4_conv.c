/*
 * s4_conv.c - S4 and S4D as convolutions: the answer of the recurrence to one impulse is a filter, which goes through
 * the rows by transforms (mbk.h, mbk_fir_args). Its state is that of a long filter.
 */
#include "base/mem.h"
#include "model/s4.h"

/* The filter's own impulse goes into its first row. */
static mbk_status put_impulse(mbk_ctx *ctx, mbk_mat m) {
    float *row = mbs_alloc((size_t)m.cols * sizeof *row);
    if (!row) {
        return MBS_ERR_MEMORY;
    }
    for (int64_t c = 0; c < m.cols; c++) {
        row[c] = 1;
    }
    mbk_status st = ctx->ops->zero(ctx, m);
    st = st < 0 ? st : ctx->ops->upload(ctx, m.buf, (size_t)m.off * sizeof *row, row, (size_t)m.cols * sizeof *row);
    mbs_free(row);
    return st;
}

mbs_status mbs_s4_conv_room(mbk_ctx *ctx, int train, s4 *m, mbs_err *err) {
    const int64_t rows = m->taps * m->d;
    const int64_t spectra = mbk_fir_spectra_floats(m->taps, m->d);
    const int64_t work = mbk_fir_work_floats(m->taps, m->d);
    const int64_t saved = train ? mbs_s4_saved_rows(m->taps, m->k.modes) : 0;
    mbs_s4_conv *v = &m->conv;
    int64_t at = 0;
    if (m->taps == 0) {
        return MBS_OK;
    }
    const int64_t held = mbs_kit_lines(rows) + mbs_kit_lines(spectra);
    const int64_t made =
        mbs_kit_lines(rows) + mbs_kit_lines(2 * m->k.modes * m->d) + mbs_kit_lines(work) + mbs_kit_lines(saved * m->d);
    mbk_status st = ctx->ops->buf_new(ctx, (size_t)held * sizeof(float), &v->held);
    st = st < 0 ? st : ctx->ops->buf_new(ctx, (size_t)made * sizeof(float), &v->making);
    v->filter = mbs_held_carve(v->held, &at, m->taps, m->d);
    v->spectra = mbs_held_carve(v->held, &at, 1, spectra);
    at = 0;
    v->impulse = mbs_held_carve(v->making, &at, m->taps, m->d);
    v->state = mbs_held_carve(v->making, &at, 2 * m->k.modes, m->d);
    v->work = mbs_held_carve(v->making, &at, 1, work);
    v->saved = train ? mbs_held_carve(v->making, &at, saved, m->d) : (mbk_mat){0};
    st = st < 0 ? st : put_impulse(ctx, v->impulse);
    return st < 0 ? mbs_backend_fail(ctx, err, st, NULL, "making room for a filter") : MBS_OK;
}

void mbs_s4_conv_free(mbk_ctx *ctx, s4 *m, int all) {
    ctx->ops->buf_free(ctx, m->conv.making);
    m->conv.making = NULL;
    if (all) {
        ctx->ops->buf_free(ctx, m->conv.held);
    }
}

mbk_status mbs_s4_conv_make(mbk_ctx *ctx, s4 *m) {
    const mbs_s4_conv *v = &m->conv;
    if (m->taps == 0) {
        return MBS_OK;
    }
    const mbk_lti_args args = {
        .y = v->filter,
        .u = v->impulse,
        .a = m->k.a,
        .b = m->k.b,
        .w = m->k.w,
        .f = m->k.f,
        .g = m->k.g,
        .d = m->t.item[S4_D].p.w,
        .state = v->state,
        .saved = v->saved,
    };
    mbk_status st = ctx->ops->zero(ctx, v->state);
    st = st < 0 ? st : ctx->ops->lti(ctx, &args);
    return st < 0 || mbk_fir_levels(m->taps) == 0 ? st : ctx->ops->fir_spectra(ctx, v->spectra, v->filter, v->work);
}

static mbk_mat ring_of(const s4 *m, mbk_buf *buf, int64_t at) {
    return (mbk_mat){buf, at, m->taps, m->d, m->d};
}

mbk_status mbs_s4_conv_forward(const s4 *m, const mbs_mixer_call *call, const s4_rows *r) {
    mbk_fir_args args = {
        .y = r->y,
        .x = call->in,
        .w = m->conv.filter,
        .ring = ring_of(m, call->state, call->state_at),
        .position = call->position,
        .starts = call->starts,
    };
    const int64_t ahead = mbk_fir_ahead_rows(m->taps);
    if (ahead > 0) {
        args.ahead = (mbk_mat){call->state, call->state_at + m->taps * m->d, ahead, m->d, m->d};
        args.spectra = m->conv.spectra;
        args.work = r->work;
    }
    mbk_status st = call->keep ? call->ctx->ops->copy(call->ctx, r->saved, args.ring) : MBS_OK;
    return st < 0 ? st : call->ctx->ops->fir(call->ctx, &args);
}

int64_t mbs_s4_conv_back_floats(int64_t taps, int64_t channels, int64_t modes) {
    return taps == 0 ? 0
                     : 2 * mbs_kit_lines(taps * channels) + mbs_kit_lines(2 * modes * channels) +
                           mbs_kit_lines(mbk_fir_grad_floats(taps, taps, channels));
}

mbk_status mbs_s4_conv_back(s4 *m, const mbs_mixer_back *back, const s4_rows *r, mbk_mat dy, int64_t at) {
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    mbk_mat dfilter = mbs_held_carve(back->call.scratch, &at, m->taps, m->d);
    mbk_mat unused = mbs_held_carve(back->call.scratch, &at, m->taps, m->d);
    mbk_mat dstate = mbs_held_carve(back->call.scratch, &at, 2 * m->k.modes, m->d);
    const int64_t room = mbk_fir_grad_floats(m->taps, m->taps, m->d);
    const mbk_fir_grad_args far = {
        .work = room > 0 ? mbs_held_carve(back->call.scratch, &at, 1, room) : (mbk_mat){0},
        .dx = back->din,
        .dw = dfilter,
        .dring = ring_of(m, back->dstate, back->dstate_at),
        .dy = dy,
        .x = back->call.in,
        .w = m->conv.filter,
        .ring = r->saved,
        .position = back->call.position,
        .starts = back->call.starts,
    };
    const mbs_s4_back kernel = {
        .dy = dfilter,
        .du = unused,
        .u = m->conv.impulse,
        .d = m->t.item[S4_D].p.w,
        .dd = m->t.item[S4_D].p.g,
        .saved = m->conv.saved,
        .dstate = dstate,
        .scratch = back->call.scratch,
        .at = at,
    };
    mbk_status st = ops->zero(ctx, dfilter);
    st = st < 0 ? st : ops->zero(ctx, dstate);
    st = st < 0 ? st : ops->fir_grad(ctx, &far);
    return st < 0 ? st : mbs_s4_kernel_back(ctx, &m->k, m->t.item + S4_KERNEL, &kernel);
}
