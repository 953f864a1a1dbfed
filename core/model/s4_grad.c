/* s4_grad.c - back through S4 and S4D: a row keeps what is behind the state space and behind output_linear, and one
 * state in MBK_LTI_BLOCK. */
#include "model/s4.h"

int64_t mbs_s4_back_floats(int64_t channels, int64_t modes) {
    return 5 * mbs_kit_lines(2 * modes * channels) + mbs_kit_lines(MBK_LTI_WORK(modes) * channels);
}

mbk_status mbs_s4_kernel_back(mbk_ctx *ctx, const mbs_s4_kernel *k, const mbs_held_item *t, const mbs_s4_back *b) {
    const mbk_ops *ops = ctx->ops;
    const int64_t blocks = b->blocks > 0 ? b->blocks : 1;
    const int64_t channels = b->u.cols / blocks;
    int64_t at = b->at;
    mbk_mat part[5] = {{0}};
    mbk_status st = MBS_OK;
    for (int i = 0; i < (k->joint ? 5 : 3) && st >= 0; i++) {
        part[i] = mbs_held_carve(b->scratch, &at, 2 * k->modes, channels);
        st = ops->zero(ctx, part[i]);
    }
    mbk_lti_grad_args lti = {
        .da = part[0],
        .db = part[1],
        .dw = part[2],
        .df = part[3],
        .dg = part[4],
        .dd = b->dd,
        .dstate = b->dstate,
        .a = k->a,
        .b = k->b,
        .w = k->w,
        .f = k->f,
        .g = k->g,
        .d = b->d,
        .saved = b->saved,
        .work = mbs_held_carve(b->scratch, &at, MBK_LTI_WORK(k->modes), channels),
        .starts = b->starts,
    };
    const mbk_discretize_grad_args steps = {
        .of = mbs_s4_kernel_args(k, t),
        .da = part[0],
        .db = part[1],
        .dw = part[2],
        .df = part[3],
        .dg = part[4],
        .dlog_dt = t[S4_LOG_DT].p.g,
        .da_log = t[S4_LOG_A].p.g,
        .da_im = t[S4_A_IMAG].p.g,
        .din_c = t[S4_C].p.g,
        .din_b = k->joint ? t[S4_B].p.g : (mbk_mat){0},
        .dp = k->joint ? t[S4_P].p.g : (mbk_mat){0},
    };
    for (int64_t i = 0; i < blocks && st >= 0; i++) {
        lti.du = mbs_kit_columns(b->du, i * channels, channels);
        lti.dy = mbs_kit_columns(b->dy, i * channels, channels);
        lti.u = mbs_kit_columns(b->u, i * channels, channels);
        lti.saved.off = b->saved.off + i * b->saved.rows * b->saved.ld;
        lti.dstate.off = b->dstate.off + i * b->dstate.rows * b->dstate.ld;
        st = ops->lti_grad(ctx, &lti);
    }
    return st < 0 ? st : ops->discretize_grad(ctx, &steps);
}

static mbk_status refresh(mbk_ctx *ctx, void *layer) {
    s4 *m = layer;
    mbk_status st = mbs_held_refresh(ctx, &m->t);
    st = st < 0 ? st : mbs_s4_discretize(ctx, m);
    return st < 0 ? st : mbs_s4_conv_make(ctx, m);
}

static int64_t keep_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t saved = z->l_max > 0 ? z->l_max : mbs_s4_saved_rows(rows, z->d_state / 2);
    return mbs_kit_apart(rows, c->d_model) + mbs_kit_apart(rows, 2 * c->d_model) + mbs_kit_lines(saved * c->d_model);
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    return 3 * mbs_kit_apart(rows, c->d_model) + mbs_kit_apart(rows, 2 * c->d_model) +
           mbs_s4_back_floats(c->d_model, z->d_state / 2) +
           mbs_s4_conv_back_floats(z->l_max, c->d_model, z->d_state / 2);
}

static mbk_status backward(void *layer, const mbs_mixer_back *back) {
    s4 *m = layer;
    mbk_ctx *ctx = back->call.ctx;
    const mbk_ops *ops = ctx->ops;
    const mbk_mat none = {0};
    const s4_rows r = mbs_s4_rows(m, &back->call);
    int64_t at = 0;
    mbk_mat mid = mbs_kit_carve_apart(&back->call, &at, m->d);
    mbk_mat dy = mbs_kit_carve_apart(&back->call, &at, m->d);
    mbk_mat dp = mbs_kit_carve_apart(&back->call, &at, 2 * m->d);
    const mbs_s4_back space = {
        .dy = dy,
        .du = back->din,
        .u = back->call.in,
        .d = m->t.item[S4_D].p.w,
        .dd = m->t.item[S4_D].p.g,
        .saved = r.saved,
        .dstate = {back->dstate, back->dstate_at, 2 * m->k.modes, m->d, m->d},
        .starts = back->call.starts,
        .scratch = back->call.scratch,
        .at = at,
    };
    mbk_status st = ops->glu_grad(ctx, mbs_kit_columns(dp, 0, m->d), mbs_kit_columns(dp, m->d, m->d), back->dout,
                                  mbs_kit_columns(r.p, 0, m->d), mbs_kit_columns(r.p, m->d, m->d));
    st = st < 0 ? st : ops->unary(ctx, mid, r.y, none, MBK_GELU);
    st = st < 0 ? st : mbs_held_linear_back(ctx, &m->t, S4_OUT_W, S4_OUT_B, dp, mid, &dy, 0);
    st = st < 0 ? st : ops->unary_grad(ctx, dy, none, dy, r.y, none, MBK_GELU);
    if (m->taps > 0) {
        return st < 0 ? st : mbs_s4_conv_back(m, back, &r, dy, at);
    }
    return st < 0 ? st : mbs_s4_kernel_back(ctx, &m->k, m->t.item + S4_KERNEL, &space);
}

const mbs_mixer_train mbs_s4_train = {
    .make = mbs_s4_make,
    .unmake = mbs_s4_unload,
    .refresh = refresh,
    .keep_floats = keep_floats,
    .scratch_floats = scratch_floats,
    .backward = backward,
};
