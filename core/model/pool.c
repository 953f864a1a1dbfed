/* pool.c - layers at a lower rate: running. */
#include "model/pool.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/later.h"
#include "model/place.h"

void mbs_pooled_inner(const mbs_model_config *c, int64_t index, mbs_model_config *out) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    *out = *c;
    out->d_model = z->d_inner;
    out->n_layer = z->within;
    memcpy(out->kind_of, c->nested + z->within_at, (size_t)z->within);
    out->d_mlp = (int64_t)((double)c->d_mlp * ((double)z->d_inner / (double)c->d_model));
    out->d_mlp = c->d_mlp > 0 && out->d_mlp < 1 ? 1 : out->d_mlp;
    out->frame_width = 0;
    out->n_classes = 0;
    for (int i = 0; i < out->n_kinds; i++) {
        out->kind[i].sizes.reach = 0; /* of layers at the model's own rate */
    }
}

static int64_t blocks_of(const mbs_model_config *inner) {
    return inner->n_layer * mbs_config_blocks(inner);
}

static int64_t layer_of(const mbs_model_config *inner, int64_t block) {
    return block / mbs_config_blocks(inner);
}

int64_t mbs_pooled_groups(const mbs_layer_sizes *z, int64_t rows) {
    return (rows + z->factor - 1) / z->factor;
}

/* --- tensors --------------------------------------------------------------------------------------------------------
 */

static mbs_status settle(const mbs_model_config *c, mbs_layer_sizes *z, mbs_err *err) {
    if (z->d_inner * z->factor > MBS_CONFIG_MAX_WIDTH || c->d_model * z->factor > MBS_CONFIG_MAX_WIDTH) {
        mbs_fail(err, MBS_ERR_CONFIG, NULL, "%" PRId64 " rows of width %" PRId64 " make one that is too wide",
                 z->factor, c->d_model);
        mbs_err_fix(err, "take a smaller 'pool' or 'expand'");
        return MBS_ERR_CONFIG;
    }
    return MBS_OK;
}

static void declare_inner(const mbs_model_config *inner, mbs_specs *s) {
    char prefix[sizeof s->prefix];
    memcpy(prefix, s->prefix, sizeof prefix);
    for (int64_t b = 0; b < blocks_of(inner); b++) {
        const mbs_mixer *block = mbs_mixer_of_block(inner, b);
        mbs_specs_below(s, prefix, layer_of(inner, b), "");
        mbs_specs_add_norm(s, block, "norm", inner);
        mbs_specs_below(s, prefix, layer_of(inner, b), mbs_block_prefix(block));
        block->declare(inner, layer_of(inner, b), s);
    }
    memcpy(s->prefix, prefix, sizeof prefix);
}

static void declare(const mbs_model_config *c, int64_t index, mbs_specs *s) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t wide = z->factor * c->d_model;
    const double in = 1 / sqrt((double)wide);
    const double out = 1 / sqrt((double)z->d_inner);
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    mbs_specs_add_matrix(s, "down.weight", mbs_draw_uniform, in, z->d_inner, wide);
    mbs_specs_add(s, "down.bias", mbs_draw_constant, 0, z->d_inner, 0, 0);
    mbs_specs_add_matrix(s, "up.weight", mbs_draw_uniform, out, wide, z->d_inner);
    mbs_specs_add(s, "up.bias", mbs_draw_constant, 0, wide, 0, 0);
    declare_inner(&inner, s);
}

/* --- a layer --------------------------------------------------------------------------------------------------------
 */

int64_t mbs_pooled_within(const mbs_model_config *inner, int64_t rows, int back) {
    int64_t most = 0;
    for (int64_t b = 0; b < blocks_of(inner); b++) {
        const mbs_mixer *block = mbs_mixer_of_block(inner, b);
        int64_t n = block->scratch_floats(inner, layer_of(inner, b), rows);
        most = n > most ? n : most;
        n = back ? block->train->scratch_floats(inner, layer_of(inner, b), rows) : 0;
        most = n > most ? n : most;
    }
    return mbs_kit_lines(most);
}

mbs_status mbs_pooled_start(const mbs_model_config *c, int64_t index, mbs_pooled *m, mbs_err *err) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    m->d = c->d_model;
    m->width = z->d_inner;
    m->factor = z->factor;
    m->cfg = mbs_calloc(1, sizeof *m->cfg);
    if (m->cfg) {
        mbs_pooled_inner(c, index, m->cfg);
        m->block = mbs_calloc((size_t)blocks_of(m->cfg), sizeof *m->block);
    }
    if (!m->block) {
        return mbs_fail_memory(err, NULL, sizeof *m->cfg);
    }
    m->n = blocks_of(m->cfg);
    int64_t at = 0;
    for (int64_t b = 0; b < m->n; b++) {
        mbs_pooled_block *k = &m->block[b];
        k->index = layer_of(m->cfg, b);
        k->mixer = mbs_mixer_of_block(m->cfg, b);
        k->state_at = 2 * m->factor * m->d + at;
        at += k->mixer->state_floats(m->cfg, k->index);
    }
    m->scratch_one = mbs_pooled_within(m->cfg, 1, 0);
    return MBS_OK;
}

void mbs_pooled_end(mbs_pooled *m) {
    mbs_free(m->block);
    mbs_free(m->cfg);
}

static void unload(mbk_ctx *ctx, void *layer) {
    mbs_pooled *m = layer;
    if (!m) {
        return;
    }
    for (int64_t b = 0; b < m->n; b++) {
        mbs_pooled_block *k = &m->block[b];
        if (k->layer) {
            k->mixer->unload(ctx, k->layer);
        }
        ctx->ops->buf_free(ctx, k->own[0]);
        ctx->ops->buf_free(ctx, k->own[1]);
    }
    ctx->ops->weight_free(ctx, m->down);
    ctx->ops->weight_free(ctx, m->up);
    ctx->ops->buf_free(ctx, m->own[0]);
    ctx->ops->buf_free(ctx, m->own[1]);
    mbs_pooled_end(m);
    mbs_free(m);
}

static mbs_status load_row(mbs_loader *ld, const char *name, int64_t cols, mbs_mixer_param *p, mbk_buf **own) {
    mbs_status st = mbs_loader_buf(ld, name, 0, own);
    p->w = mbs_kit_matrix(*own, 1, cols);
    return st;
}

static mbs_status load_block(mbs_pooled *m, mbs_pooled_block *k, const char *prefix, mbs_loader *ld) {
    char name[32];
    mbs_status st = MBS_OK;
    mbs_loader_below(ld, prefix, k->index, "");
    for (int i = 0; i < mbs_kit_norms(m->cfg, k->mixer) && st >= 0; i++) {
        (void)snprintf(name, sizeof name, "%s.%s", mbs_block_norm(k->mixer, "norm"), i ? "bias" : "weight");
        st = load_row(ld, name, m->width, &k->norm[i], &k->own[i]);
    }
    mbs_loader_below(ld, prefix, k->index, mbs_block_prefix(k->mixer));
    return st < 0 ? st : k->mixer->load(m->cfg, k->index, ld, &k->layer);
}

static mbs_status load(const mbs_model_config *c, int64_t index, mbs_loader *ld, void **layer) {
    const int64_t wide = mbs_config_sizes(c, index)->factor * c->d_model;
    char prefix[sizeof ld->prefix];
    mbs_pooled *m = mbs_calloc(1, sizeof *m);
    if (!m) {
        return mbs_fail_memory(ld->err, NULL, sizeof *m);
    }
    memcpy(prefix, ld->prefix, sizeof prefix);
    mbs_status st = mbs_pooled_start(c, index, m, ld->err);
    st = st < 0 ? st : mbs_loader_weight(ld, "down.weight", m->width, wide, &m->down);
    st = st < 0 ? st : load_row(ld, "down.bias", m->width, &m->bias[0], &m->own[0]);
    st = st < 0 ? st : mbs_loader_weight(ld, "up.weight", wide, m->width, &m->up);
    st = st < 0 ? st : load_row(ld, "up.bias", wide, &m->bias[1], &m->own[1]);
    for (int64_t b = 0; st >= 0 && b < m->n; b++) {
        st = load_block(m, &m->block[b], prefix, ld);
    }
    memcpy(ld->prefix, prefix, sizeof prefix);
    if (st < 0) {
        unload(ld->ctx, m);
        return st;
    }
    *layer = m;
    return MBS_OK;
}

/* --- sizes ----------------------------------------------------------------------------------------------------------
 */

static int64_t state_floats(const mbs_model_config *c, int64_t index) {
    int64_t n = 2 * mbs_config_sizes(c, index)->factor * c->d_model;
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    for (int64_t b = 0; b < blocks_of(&inner); b++) {
        n += mbs_mixer_of_block(&inner, b)->state_floats(&inner, layer_of(&inner, b));
    }
    return n;
}

static int64_t scratch_floats(const mbs_model_config *c, int64_t index, int64_t rows) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t groups = mbs_pooled_groups(z, rows);
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    const int64_t one = mbs_pooled_within(&inner, groups, 0) + mbs_kit_lines((rows + z->factor - 1) * c->d_model) +
                        2 * mbs_kit_lines(groups * z->d_inner) + mbs_kit_lines((groups + 1) * z->factor * c->d_model);
    const int64_t n = rows < MBS_SESSION_LANES ? rows : MBS_SESSION_LANES;
    const int64_t lanes = mbs_pooled_within(&inner, n, 0) + 2 * mbs_kit_lines(n * z->factor * c->d_model) +
                          2 * mbs_kit_lines(n * z->d_inner);
    return one > lanes ? one : lanes;
}

static int64_t widest(const mbs_model_config *c, int64_t index) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    int64_t most = z->factor * c->d_model > z->d_inner ? z->factor * c->d_model : z->d_inner;
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    for (int64_t b = 0; b < blocks_of(&inner); b++) {
        int64_t n = mbs_mixer_of_block(&inner, b)->widest(&inner, layer_of(&inner, b));
        most = n > most ? n : most;
    }
    return most;
}

static int64_t longest(const mbs_model_config *c, int64_t index) {
    const int64_t reach = mbs_config_sizes(c, index)->l_max; /* as mbs_config_nest found it */
    return reach > 0 ? reach : INT64_MAX;
}

/* That of the layers within, for as many positions as they can take. */
static double room(const mbs_model_config *c, int64_t index, int64_t positions, double *shared) {
    double bytes = 0;
    mbs_model_config inner;
    (void)positions;
    mbs_pooled_inner(c, index, &inner);
    for (int64_t i = 0; i < inner.n_layer; i++) {
        const mbs_mixer *m = mbs_mixer_of_layer(&inner, i);
        double one = 0;
        bytes += m->room ? m->room(&inner, i, INT64_MAX, &one) : 0;
        *shared = one > *shared ? one : *shared;
    }
    return bytes;
}

static mbs_status fits(const mbs_model_config *c, int64_t index, const mbk_ctx *ctx, mbs_err *err) {
    (void)index;
    (void)c;
    return mbs_backend_cannot(ctx, err, "compute layers of mixer 'pool'");
}

/* --- running --------------------------------------------------------------------------------------------------------
 */

mbs_pooled_at mbs_pooled_where(const mbs_pooled *m, const mbs_mixer_call *call) {
    mbs_pooled_at at = {.begun = call->position % m->factor};
    at.groups = (at.begun + call->in.rows) / m->factor;
    at.rest = (at.begun + call->in.rows) % m->factor;
    return at;
}

mbk_mat mbs_pooled_part(const mbs_pooled *m, mbk_buf *state, int64_t state_at, int part) {
    return (mbk_mat){state, state_at + part * m->factor * m->d, m->factor, m->d, m->d};
}

mbk_mat mbs_pooled_some(mbk_mat m, int64_t from, int64_t n) {
    m.off += from * m.ld;
    m.rows = n;
    return m;
}

mbk_mat mbs_pooled_joined(const mbs_pooled *m, mbk_mat rows) {
    const int64_t cols = m->factor * m->d;
    return (mbk_mat){rows.buf, rows.off, rows.rows / m->factor, cols, cols};
}

mbs_pooled_rows mbs_pooled_rows_of(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_at *at) {
    const int64_t g = at->groups;
    const int64_t rows = at->begun + call->in.rows;
    int64_t free_at = g == 1 ? m->scratch_one : mbs_pooled_within(m->cfg, g, 0);
    mbs_pooled_rows r = {.keep_at = call->keep_at};
    mbk_buf *held = call->keep ? call->keep : call->scratch;
    int64_t *held_at = call->keep ? &r.keep_at : &free_at;
    r.fed = mbs_held_carve(held, held_at, rows, m->d);
    r.x = mbs_held_carve(held, held_at, g, m->width);
    r.slot = call->keep ? mbs_kit_lines(g * m->width) : 0;
    *held_at += m->n * r.slot;
    r.normed = mbs_held_carve(call->scratch, &free_at, g, m->width);
    r.lift = mbs_held_carve(call->scratch, &free_at, (g + 1) * m->factor, m->d);
    return r;
}

static mbk_mat slot_of(const mbs_pooled_rows *r, int64_t i) {
    mbk_mat x = r->x;
    x.off += i * r->slot;
    return x;
}

mbs_mixer_call mbs_pooled_call(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_rows *r, int64_t i,
                               int64_t keeps) {
    const mbs_pooled_block *k = &m->block[i];
    return (mbs_mixer_call){
        .ctx = call->ctx,
        .out = slot_of(r, i + 1),
        .in = k->mixer->bare ? slot_of(r, i) : r->normed,
        .state = call->state,
        .lanes = call->lanes,
        .state_at = call->state_at + k->state_at,
        .scratch = call->scratch,
        .scratch_rows = r->x.rows,
        .position = call->position / m->factor,
        .later = call->later,
        .keep = call->keep,
        .keep_at = r->keep_at + keeps,
    };
}

/* A block within; of streams in lock step one after the other where it cannot take them together. */
static mbk_status run_block(const mbs_pooled_block *k, const mbs_mixer_call *call) {
    if (!call->lanes || k->mixer->lanes) {
        return k->mixer->forward(k->layer, call);
    }
    mbk_status st = MBS_OK;
    for (int64_t i = 0; i < call->in.rows && st >= 0; i++) {
        mbs_mixer_call one = *call;
        one.lanes = NULL;
        one.state = call->lanes[i];
        one.in = mbs_kit_row(call->in, i);
        one.out = mbs_kit_row(call->out, i);
        st = k->mixer->forward(k->layer, &one);
    }
    return st;
}

/* Groups down, through the layers within, and up. */
static mbk_status climb(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_rows *r, mbk_mat fed,
                        mbk_mat y) {
    const mbk_ops *ops = call->ctx->ops;
    int64_t keeps = 0;
    mbk_status st = ops->gemm(call->ctx, r->x, fed, m->down, m->bias[0].w, 0);
    for (int64_t i = 0; i < m->n && st >= 0; i++) {
        const mbs_pooled_block *k = &m->block[i];
        const mbs_mixer_call own = mbs_pooled_call(m, call, r, i, keeps);
        const mbk_mat x = slot_of(r, i);
        if (!k->mixer->bare) {
            st = mbs_kit_norm(call->ctx, m->cfg, r->normed, x, k->norm[0].w, k->norm[1].w);
        }
        st = st < 0 || r->slot == 0 ? st : ops->copy(call->ctx, own.out, x);
        st = st < 0 ? st : run_block(k, &own);
        keeps += call->keep ? k->mixer->train->keep_floats(m->cfg, k->index, r->x.rows) : 0;
    }
    return st < 0 ? st : ops->gemm(call->ctx, y, slot_of(r, m->n), m->up, m->bias[1].w, 0);
}

mbk_status mbs_pooled_climb(const mbs_pooled *m, const mbs_mixer_call *call) {
    int64_t free_at = m->scratch_one;
    mbs_pooled_rows r = {.x = mbs_held_carve(call->scratch, &free_at, 1, m->width)};
    r.normed = mbs_held_carve(call->scratch, &free_at, 1, m->width);
    const mbk_mat open = mbs_pooled_part(m, call->state, call->state_at, 0);
    const mbk_mat last = mbs_pooled_part(m, call->state, call->state_at, 1);
    mbk_status st = climb(m, call, &r, mbs_pooled_joined(m, open), mbs_pooled_joined(m, last));
    return st < 0 ? st : call->ctx->ops->zero(call->ctx, open);
}

/* The call ends with the only group it completes: decoding. Rows go by way of the state alone. */
static mbk_status one_group(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_at *at, mbk_mat open,
                            mbk_mat last) {
    const mbk_ops *ops = call->ctx->ops;
    const int64_t n = call->in.rows;
    mbk_status st = ops->copy(call->ctx, mbs_pooled_some(open, at->begun, n), call->in);
    st = st < 0 ? st : ops->add(call->ctx, call->out, call->out, mbs_pooled_some(last, at->begun, n));
    if (st < 0 || !call->later) {
        return st < 0 ? st : mbs_pooled_climb(m, call);
    }
    mbs_later_give(call->later, m, call);
    return MBS_OK;
}

static mbk_status many_groups(const mbs_pooled *m, const mbs_mixer_call *call, const mbs_pooled_at *at, mbk_mat open,
                              mbk_mat last) {
    mbk_ctx *ctx = call->ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t n = call->in.rows;
    const int64_t full = at->groups * m->factor;
    const mbs_pooled_rows r = mbs_pooled_rows_of(m, call, at);
    mbk_status st = ops->copy(ctx, mbs_pooled_some(r.fed, at->begun, n), call->in);
    if (st >= 0 && at->begun > 0) {
        st = ops->copy(ctx, mbs_pooled_some(r.fed, 0, at->begun), mbs_pooled_some(open, 0, at->begun));
    }
    st = st < 0 ? st : ops->copy(ctx, mbs_pooled_some(r.lift, 0, m->factor), last);
    if (st >= 0) {
        st = climb(m, call, &r, mbs_pooled_joined(m, mbs_pooled_some(r.fed, 0, full)),
                   mbs_pooled_joined(m, mbs_pooled_some(r.lift, m->factor, full)));
    }
    st = st < 0 ? st : ops->add(ctx, call->out, call->out, mbs_pooled_some(r.lift, at->begun, n));
    st = st < 0 ? st : ops->copy(ctx, last, mbs_pooled_some(r.lift, full, m->factor));
    st = st < 0 ? st : ops->zero(ctx, open); /* a state is one of its position, however it was reached */
    if (st >= 0 && at->rest > 0) {
        st = ops->copy(ctx, mbs_pooled_some(open, 0, at->rest), mbs_pooled_some(r.fed, full, at->rest));
    }
    return st;
}

/* Streams in lock step, a row of each, all at one place of their groups. */
static mbk_status forward_lanes(const mbs_pooled *m, const mbs_mixer_call *call) {
    mbk_ctx *ctx = call->ctx;
    const mbk_ops *ops = ctx->ops;
    const int64_t n = call->in.rows;
    const int64_t place = call->position % m->factor;
    const int complete = place == m->factor - 1;
    int64_t free_at = complete ? mbs_pooled_within(m->cfg, n, 0) : 0;
    const mbk_mat fed = mbs_held_carve(call->scratch, &free_at, n, m->factor * m->d);
    const mbk_mat lift = mbs_held_carve(call->scratch, &free_at, n, m->factor * m->d);
    mbs_pooled_rows r = {.x = mbs_held_carve(call->scratch, &free_at, n, m->width)};
    r.normed = mbs_held_carve(call->scratch, &free_at, n, m->width);
    mbk_status st = MBS_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        const mbk_mat open = mbs_pooled_part(m, call->lanes[i], call->state_at, 0);
        const mbk_mat last = mbs_pooled_part(m, call->lanes[i], call->state_at, 1);
        const mbk_mat out = mbs_kit_row(call->out, i);
        st = ops->copy(ctx, mbs_pooled_some(open, place, 1), mbs_kit_row(call->in, i));
        st = st < 0 ? st : ops->add(ctx, out, out, mbs_pooled_some(last, place, 1));
        st = st < 0 || !complete ? st : ops->copy(ctx, mbs_kit_row(fed, i), mbs_pooled_joined(m, open));
    }
    st = st < 0 || !complete ? st : climb(m, call, &r, fed, lift);
    for (int64_t i = 0; i < n && st >= 0 && complete; i++) {
        const mbk_mat last = mbs_pooled_part(m, call->lanes[i], call->state_at, 1);
        st = ops->copy(ctx, mbs_pooled_joined(m, last), mbs_kit_row(lift, i));
        st = st < 0 ? st : ops->zero(ctx, mbs_pooled_part(m, call->lanes[i], call->state_at, 0));
    }
    return st;
}

/* `in` may be `out`. */
static mbk_status forward(const void *layer, const mbs_mixer_call *call) {
    const mbs_pooled *m = layer;
    const mbk_ops *ops = call->ctx->ops;
    const int64_t n = call->in.rows;
    if (call->lanes) {
        return forward_lanes(m, call);
    }
    const mbk_status before = call->later ? mbs_later_need(call->later, m) : MBS_OK;
    if (before < 0) {
        return before;
    }
    const mbs_pooled_at at = mbs_pooled_where(m, call);
    const mbk_mat open = mbs_pooled_part(m, call->state, call->state_at, 0);
    const mbk_mat last = mbs_pooled_part(m, call->state, call->state_at, 1);
    if (at.groups == 0) {
        mbk_status st = ops->copy(call->ctx, mbs_pooled_some(open, at.begun, n), call->in);
        return st < 0 ? st : ops->add(call->ctx, call->out, call->out, mbs_pooled_some(last, at.begun, n));
    }
    return at.groups == 1 && at.rest == 0 && !call->keep ? one_group(m, call, &at, open, last)
                                                         : many_groups(m, call, &at, open, last);
}

/* --- states and words -----------------------------------------------------------------------------------------------
 */

/* Of the two products alone: whoever counts goes through the layers within. */
static void work(const mbs_model_config *c, int64_t index, mbs_mixer_work *w) {
    const mbs_layer_sizes *z = mbs_config_sizes(c, index);
    const int64_t wide = z->factor * c->d_model;
    *w = (mbs_mixer_work){
        .matrix = {{"down", z->d_inner, wide}, {"up", wide, z->d_inner}},
        .matrices = 2,
        .small = wide + z->d_inner,
        .state = 4 * (double)c->d_model,
    };
}

static void turn(const mbs_model_config *c, int64_t index, const float *from, float *to, int save) {
    int64_t at = 2 * mbs_config_sizes(c, index)->factor * c->d_model;
    mbs_model_config inner;
    mbs_pooled_inner(c, index, &inner);
    memcpy(to, from, (size_t)at * sizeof *to);
    for (int64_t b = 0; b < blocks_of(&inner); b++) {
        const mbs_mixer *block = mbs_mixer_of_block(&inner, b);
        (save ? block->save : block->restore)(&inner, layer_of(&inner, b), from + at, to + at);
        at += block->state_floats(&inner, layer_of(&inner, b));
    }
}

static void save(const mbs_model_config *c, int64_t index, const float *device, float *canonical) {
    turn(c, index, device, canonical, 1);
}

static void restore(const mbs_model_config *c, int64_t index, const float *canonical, float *device) {
    turn(c, index, canonical, device, 0);
}

static const mbs_mixer_key keys[] = {
    {"pool", MBS_KEY_INTEGER, MBS_SIZE_AT(factor), 2, 4096, 4, NULL, "pool: rows that become one"},
    MBS_KEY_EXPAND,
    {NULL, MBS_KEY_INTEGER, 0, 0, 0, 0, NULL, NULL},
};

const mbs_mixer mbs_mixer_pool = {
    .name = "pool",
    .lanes = 2,
    .bare = 1,
    .nests = 1,
    .keys = keys,
    .settle = settle,
    .declare = declare,
    .state_floats = state_floats,
    .scratch_floats = scratch_floats,
    .widest = widest,
    .longest = longest,
    .room = room,
    .fits = fits,
    .load = load,
    .unload = unload,
    .forward = forward,
    .work = work,
    .save = save,
    .restore = restore,
    .train = &mbs_pooled_train,
};
