/* net.c - makes a net: of a shape or of a folder. */
#include "train/net.h"

#include <string.h>

#include "base/mem.h"
#include "model/caduceus.h"
#include "model/classes.h"
#include "model/format.h"
#include "model/front.h"
#include "model/mixer.h"
#include "model/mixer_kit.h"
#include "model/place.h"
#include "train/net_impl.h"

#define ROWS_DEFAULT 2048

static mbs_status parse_options(mbs_net *net, const mbs_net_options *o, mbs_err *err) {
    net->rows = o->rows ? o->rows : ROWS_DEFAULT;
    net->truncate = o->truncate;
    if (net->rows < MBS_NET_ROWS_UNIT || net->rows % MBS_NET_ROWS_UNIT || net->rows > ((int64_t)1 << 24)) {
        mbs_fail(err, MBS_ERR_CONFIG, "train.rows", "%lld rows at once", (long long)net->rows);
        mbs_err_fix(err, "take a multiple of %d", MBS_NET_ROWS_UNIT);
        return MBS_ERR_CONFIG;
    }
    if (net->truncate < 0 || net->truncate % net->rows) {
        mbs_fail(err, MBS_ERR_CONFIG, "train.truncate", "%lld is no multiple of the rows of a pass, %lld",
                 (long long)net->truncate, (long long)net->rows);
        mbs_err_fix(err, "take a multiple of train.rows, or 0 for gradients through whole sequences");
        return MBS_ERR_CONFIG;
    }
    mbs_model_options held = {.dtype = o->dtype ? o->dtype : "f32", .math = o->math};
    if (strcmp(held.dtype, "f32") != 0 && strcmp(held.dtype, "bf16") != 0) {
        mbs_fail(err, MBS_ERR_CONFIG, "model.dtype", "'%.40s' cannot be trained", held.dtype);
        mbs_err_fix(err, "take f32 or bf16");
        return MBS_ERR_CONFIG;
    }
    if (mbs_math_whole(held.math)) {
        mbs_fail(err, MBS_ERR_CONFIG, "model.math", "'%s' cannot be trained", held.math);
        mbs_err_fix(err, "take f32 or bf16");
        return MBS_ERR_CONFIG;
    }
    mbs_status st = mbs_format_resolve(&held, NULL, NULL, &net->format, err);
    if (st >= 0) {
        (void)snprintf(net->arithmetic, sizeof net->arithmetic, "%s/%s/%s", net->ctx->ops->device,
                       mbk_arithmetic(net->ctx, net->format.math), mbk_math_name(net->format.math));
    }
    return st;
}

static mbs_status check_mixers(const mbs_model_config *c, mbs_err *err) {
    mbs_status st = mbs_mixers_known(c, err);
    if (st < 0) {
        return st;
    }
    for (int64_t i = 0; i < c->n_layer; i++) {
        if (!mbs_mixer_of_layer(c, i)->train) {
            mbs_fail(err, MBS_ERR_UNAVAILABLE, NULL, "layers of kind '%s' run but cannot be trained",
                     mbs_mixer_of_layer(c, i)->name);
            mbs_err_fix(err, "train a model of another kind");
            return MBS_ERR_UNAVAILABLE;
        }
    }
    return mbs_mixers_fit_machine(c, err);
}

/* --- layers ---------------------------------------------------------------------------------------------------------
 */

static void block_prefix(const mbs_net *net, const net_layer *l, int reverse, char out[80]) {
    mbs_names names;
    char layer[64];
    mbs_names_of_config(&net->cfg, &names);
    if (net->whole) {
        mbs_caduceus_prefix(&names, l->index, reverse, layer);
        (void)snprintf(out, 80, "%s", layer);
    } else {
        mbs_names_layer(&names, l->index, layer);
        (void)snprintf(out, 80, "%s%s", layer, mbs_block_prefix(l->mixer));
    }
}

/* The tensors of block i: the norm's, then the mixer's in the order of declare. */
static int bind_layer(mbs_net *net, int64_t i, int at) {
    net_layer *l = &net->layers[i];
    char prefix[80];
    l->index = i / mbs_config_blocks(&net->cfg);
    l->mixer = mbs_mixer_of_block(&net->cfg, i);
    block_prefix(net, l, 0, prefix);
    const int norms = mbs_kit_norms(&net->cfg, l->mixer);
    l->norm_w = norms > 0 ? at++ : -1;
    l->norm_b = norms > 1 ? at++ : -1;
    l->params = at;
    while (at < net->n_tensors && strncmp(net->tensors[at].spec.name, prefix, strlen(prefix)) == 0) {
        at++;
    }
    l->n_params = at - l->params;
    if (net->cfg.both != MBS_ONE_WAY) { /* those that are not the forward mixer's too */
        block_prefix(net, l, 1, prefix);
        while (at < net->n_tensors && strncmp(net->tensors[at].spec.name, prefix, strlen(prefix)) == 0) {
            at++;
        }
    }
    l->trained = i >= net->first;
    l->state_at = net->state_floats;
    l->state_floats = l->mixer->state_floats(&net->cfg, l->index);
    net->state_floats += l->state_floats;
    l->past_floats = l->mixer->past_floats ? l->mixer->past_floats(&net->cfg, l->index) : 0;
    l->past_before = net->past_floats;
    net->past_floats += l->past_floats;
    return at;
}

/* The tensors of the mixer that reads backward, in the order of the other's: tied ones are the other's. */
static void take_reverse(const mbs_net *net, const net_layer *l, mbs_mixer_param *params) {
    mbs_names names;
    char forward[64];
    char reverse[64];
    char full[96];
    mbs_names_of_config(&net->cfg, &names);
    mbs_caduceus_prefix(&names, l->index, 0, forward);
    mbs_caduceus_prefix(&names, l->index, 1, reverse);
    for (int k = 0; k < l->n_params; k++) {
        const char *name = net->tensors[l->params + k].spec.name + strlen(forward);
        (void)snprintf(full, sizeof full, "%s%.31s", reverse, name);
        int own = mbs_net_find(net, full);
        if (own >= 0) {
            params[k] = (mbs_mixer_param){mbs_net_w(net, own), mbs_net_g(net, own)};
        }
    }
}

static mbs_status make_layer(mbs_net *net, net_layer *l, mbs_err *err) {
    mbs_mixer_param *params = mbs_calloc((size_t)l->n_params + 1, sizeof *params);
    if (!params) {
        return mbs_fail_memory(err, NULL, (size_t)l->n_params * sizeof *params);
    }
    for (int k = 0; k < l->n_params; k++) {
        params[k] = (mbs_mixer_param){mbs_net_w(net, l->params + k), mbs_net_g(net, l->params + k)};
    }
    mbs_status st = l->mixer->train->make(&net->cfg, l->index, net->ctx, net->format, params, &l->layer, err);
    if (st >= 0 && net->cfg.both != MBS_ONE_WAY) {
        take_reverse(net, l, params);
        st = l->mixer->train->make(&net->cfg, l->index, net->ctx, net->format, params, &l->reverse, err);
    }
    mbs_free(params);
    return st;
}

static mbs_status make_layers(mbs_net *net, mbs_err *err) {
    int at = net->cfg.frame_width > 0 ? 2 : 1; /* behind the embedding, or the front end and its bias */
    net->layers = mbs_calloc((size_t)net->n_blocks, sizeof *net->layers);
    if (!net->layers) {
        return mbs_fail_memory(err, NULL, (size_t)net->n_blocks * sizeof *net->layers);
    }
    net->many = 1;
    mbs_status st = MBS_OK;
    for (int64_t i = 0; i < net->n_blocks && st >= 0; i++) {
        at = bind_layer(net, i, at);
        net->many &= net->layers[i].mixer->many;
        st = make_layer(net, &net->layers[i], err);
    }
    net->norm_w = at++;
    net->norm_b = net->cfg.norm == MBS_NORM_LAYER ? at++ : -1;
    net->head_at = at;
    net->head.weight = net->classes ? mbs_net_find(net, "score.weight") : net->tied ? 0 : at;
    net->head.bias = net->classes ? mbs_net_find(net, "score.bias") : -1;
    return st;
}

/* The head of the second stream. */
static mbs_status make_rc(mbs_net *net, mbk_format format, mbs_err *err) {
    net_head *h = &net->head;
    size_t bytes = (size_t)(h->outputs * net->cfg.d_model) * sizeof(float);
    mbs_status st = mbs_kit_weight_room(net->ctx, h->outputs, net->cfg.d_model, format, &h->rc, err);
    if (st >= 0 && h->t) {
        st = mbs_kit_weight_room(net->ctx, net->cfg.d_model, h->outputs, format, &h->rc_t, err);
    }
    if (st < 0) {
        return st;
    }
    mbk_status made = net->ctx->ops->buf_new(net->ctx, bytes, &h->rc_rows);
    made = made < 0 ? made : net->ctx->ops->buf_new(net->ctx, bytes, &h->rc_grad);
    return made < 0 ? mbs_backend_fail(net->ctx, err, made, NULL, "making room for the weights") : MBS_OK;
}

static mbs_status make_ends(mbs_net *net, mbs_err *err) {
    const mbs_model_config *c = &net->cfg;
    net_head *h = &net->head;
    const mbk_format plain = {MBK_F32, MBK_MATH_F32}; /* as a model holds a head of classes */
    const mbk_format format = net->classes ? plain : net->format;
    h->outputs = net->tensors[h->weight].spec.dims[0];
    h->math = format.math;
    int frames = c->frame_width > 0;
    mbs_status st = mbs_kit_weight_room(net->ctx, frames ? c->d_model : c->vocab_rows,
                                        frames ? c->frame_width : c->d_model, net->format, &net->table_w, err);
    if (st >= 0 && net->tied) {
        h->w = net->table_w;
    } else if (st >= 0) {
        st = mbs_kit_weight_room(net->ctx, h->outputs, c->d_model, format, &h->w, err);
    }
    if (st >= 0 && net->tensors[net->norm_w].trained) {
        st = mbs_kit_weight_room(net->ctx, c->d_model, h->outputs, format, &h->t, err);
    }
    return st < 0 || !c->rcps || net->classes ? st : make_rc(net, format, err);
}

static mbs_status make_states(mbs_net *net, mbs_err *err) {
    size_t bytes = (size_t)(net->state_floats + 1) * sizeof(float);
    mbk_status st = net->ctx->ops->buf_new(net->ctx, bytes, &net->state);
    st = st < 0 ? st : net->ctx->ops->buf_new(net->ctx, bytes, &net->dstate);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "making room for the states") : MBS_OK;
}

/* --- values ---------------------------------------------------------------------------------------------------------
 */

static mbs_status draw(mbs_net *net, const net_tensor *t, mbs_loader *ld) {
    float *values;
    mbs_status st = mbs_loader_room(ld, (size_t)t->n, &values);
    if (st >= 0) {
        mbs_spec_draw(&t->spec, ld->seed, 0, t->n, values);
        st = mbs_net_write(net, t, net->w, values, ld->err);
    }
    return st;
}

/* Reads every tensor under its name in `names`, which has the order of the net's own; a head that is not there, or not
 * that of these classes, is drawn. */
static mbs_status load_values(mbs_net *net, mbs_loader *ld, const mbs_specs *names, int same_head) {
    mbs_status st = MBS_OK;
    for (int i = 0; i < net->n_tensors && st >= 0; i++) {
        const char *name = names->items[i].name;
        const float *values;
        int64_t n;
        if (i >= net->head_at && (!same_head || !mbs_loader_has(ld, name))) {
            st = draw(net, &net->tensors[i], ld);
            continue;
        }
        st = mbs_loader_values(ld, name, &values, &n);
        st = st < 0 ? st : mbs_net_write(net, &net->tensors[i], net->w, values, ld->err);
    }
    return st;
}

/* Sizes must not depend on columns that were not reserved yet. */
mbs_status mbs_net_reserve_columns(mbs_net *net, mbs_err *err) {
    int64_t most = net->cfg.vocab_rows > net->head.outputs ? net->cfg.vocab_rows : net->head.outputs;
    most = most > net->cfg.d_model ? most : net->cfg.d_model;
    most = most > net->cfg.frame_width ? most : net->cfg.frame_width;
    for (int64_t i = 0; i < net->n_blocks; i++) {
        int64_t n = net->layers[i].mixer->widest(&net->cfg, net->layers[i].index);
        most = n > most ? n : most;
    }
    mbk_status st = net->ctx->ops->reserve(net->ctx, MBS_NET_ROWS_UNIT, most);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "making room for the weights") : MBS_OK;
}

mbs_status mbs_net_make_parts(mbs_net *net, mbs_err *err) {
    mbs_status st = make_layers(net, err);
    st = st < 0 ? st : make_ends(net, err);
    st = st < 0 ? st : make_states(net, err);
    return st < 0 ? st : mbs_net_reserve_columns(net, err);
}

/* The config of the net that is asked for, of that which the shape or the folder has. Returns whether a head of the
 * folder fits. */
static int choose_head(mbs_model_config *c, const mbs_net_options *o) {
    int same = c->n_classes == o->classes;
    /* Caduceus' own classifiers have none. */
    c->class_bias = o->classes > 0 && (same ? c->class_bias : c->layout != MBS_LAYOUT_CADUCEUS);
    c->n_classes = o->classes;
    c->classifier = o->classes > 0;
    c->no_lm_head = o->classes > 0 || c->frame_width > 0;
    c->pool = o->classes > 0 ? o->pool == MBS_NET_MEAN ? MBS_POOLING_MEAN : MBS_POOLING_LAST : c->pool;
    return same;
}

/* A pass has as many rows as all blocks like best, and so many passes are held as there was room for rows. */
static void choose_rows(mbs_net *net) {
    int64_t best = net->whole || net->classes || strcmp(net->ctx->ops->device, "cpu") != 0 ? 0 : net->rows;
    for (int64_t i = 0; i < mbs_config_blocks(&net->cfg) * net->cfg.n_layer; i++) {
        const int64_t rows = mbs_mixer_of_block(&net->cfg, i)->train->rows;
        best = rows < best ? rows : best;
    }
    net->held = 1;
    if (best > 0 && net->rows % best == 0) {
        net->held = net->rows / best;
        net->rows = best;
    }
}

/* `ld` gives the values, under the names of `names`. */
static mbs_status build(mbs_net *net, const mbs_net_options *options, mbs_loader *ld, const mbs_specs *own,
                        const mbs_specs *names, int same_head) {
    mbs_err *err = ld->err;
    net->whole = net->cfg.layout == MBS_LAYOUT_CADUCEUS;
    net->streams = net->cfg.rcps ? 2 : 1;
    if (net->cfg.frame_width > 0 && !net->classes) {
        mbs_fail(err, MBS_ERR_CONFIG, "train.loss", "a model that takes frames predicts no tokens");
        mbs_err_fix(err, "take loss: classify");
        return MBS_ERR_CONFIG;
    }
    if (net->whole && net->truncate > 0) {
        mbs_fail(err, MBS_ERR_CONFIG, "train.truncate", "a model that reads both ways takes whole sequences");
        mbs_err_fix(err, "leave truncate out");
        return MBS_ERR_CONFIG;
    }
    net->tied = net->cfg.tie_embeddings && !net->classes;
    choose_rows(net);
    mbs_status st = mbs_model_runs_on(&net->cfg, net->ctx, err);
    st = st < 0 ? st : mbs_net_lay_out(net, own, options->train, err);
    st = st < 0 ? st : mbs_net_make_parts(net, err);
    st = st < 0 ? st : load_values(net, ld, names, same_head);
    mbs_loader_free(ld);
    return st < 0 ? st : mbs_net_refresh_named(net, err);
}

static mbs_status start(const mbs_net_options *options, mbk_ctx *ctx, mbs_net **out, mbs_err *err) {
    *out = NULL;
    mbs_net *net = mbs_calloc(1, sizeof *net);
    if (!net) {
        return mbs_fail_memory(err, NULL, sizeof *net);
    }
    net->ctx = ctx;
    mbs_status st = parse_options(net, options, err);
    if (st >= 0 && (options->classes < 0 || options->classes > MBS_CLASSES_MAX)) {
        st = mbs_fail(err, MBS_ERR_CONFIG, "classes", "%lld classes, 0 to %d are possible", (long long)options->classes,
                      (int)MBS_CLASSES_MAX);
    }
    net->classes = options->classes > 0;
    if (st < 0) {
        mbs_net_free(net);
        return st;
    }
    *out = net;
    return MBS_OK;
}

static mbs_status finish(mbs_net *net, mbs_status st, mbs_net **out) {
    if (st < 0) {
        mbs_net_free(net);
        return st;
    }
    *out = net;
    return MBS_OK;
}

mbs_status mbs_net_fresh(const mbs_model_config *cfg, uint64_t seed, const mbs_net_options *options, mbk_ctx *ctx,
                         mbs_net **out, mbs_err *err) {
    mbs_names names;
    mbs_specs own = {0};
    mbs_net *net;
    *out = NULL;
    mbs_status st = start(options, ctx, &net, err);
    if (st < 0) {
        return st;
    }
    net->cfg = *cfg;
    (void)choose_head(&net->cfg, options);
    mbs_names_of_config(cfg, &names);
    st = check_mixers(cfg, err);
    st = st < 0 ? st : mbs_specs_model(&net->cfg, &names, 0, &own, err);
    if (st >= 0) {
        mbs_loader ld = {.fresh = &own, .seed = seed, .ctx = ctx, .err = err};
        st = build(net, options, &ld, &own, &own, 1);
    }
    mbs_specs_free(&own);
    return finish(net, st, out);
}

/* The folder's tensors may have other names than those that are written. */
static mbs_status open_set(mbs_net *net, mbs_st_set *set, const mbs_net_options *options, uint64_t seed, mbs_err *err) {
    mbs_names found;
    mbs_names ours;
    mbs_specs checked = {0};
    mbs_specs names = {0};
    mbs_specs own = {0};
    mbs_status st = check_mixers(&net->cfg, err);
    st = st < 0 ? st : mbs_specs_of_set(set, &net->cfg, &found, &checked, err);
    st = st < 0 ? st : mbs_both_check_twins(set, &net->cfg, &found, err);
    int same = choose_head(&net->cfg, options);
    found.twins = 0; /* read once, as we hold them; complements are in the config */
    found.maps[0][0] = found.maps[1][0] = '\0';
    st = st < 0 ? st : mbs_specs_model(&net->cfg, &found, 0, &names, err);
    mbs_names_of_config(&net->cfg, &ours);
    st = st < 0 ? st : mbs_specs_model(&net->cfg, &ours, 0, &own, err);
    if (st >= 0) {
        mbs_loader ld = {.set = set, .seed = seed, .ctx = net->ctx, .err = err};
        st = build(net, options, &ld, &own, &names, same);
    }
    mbs_specs_free(&checked);
    mbs_specs_free(&names);
    mbs_specs_free(&own);
    return st;
}

mbs_status mbs_net_open(const char *folder, uint64_t seed, const mbs_net_options *options, mbk_ctx *ctx, mbs_net **out,
                        mbs_err *err) {
    mbs_st_set set;
    mbs_net *net;
    *out = NULL;
    mbs_status st = start(options, ctx, &net, err);
    if (st < 0) {
        return st;
    }
    st = mbs_config_load(folder, &net->cfg, err);
    if (st >= 0) {
        st = mbs_st_set_open(folder, &set, err);
        if (st >= 0) {
            st = open_set(net, &set, options, seed, err);
            mbs_st_set_close(&set);
        }
    }
    return finish(net, st, out);
}

void mbs_net_free(mbs_net *net) {
    if (!net) {
        return;
    }
    mbs_net_twin_free(net);
    const mbk_ops *ops = net->ctx->ops;
    for (int64_t i = 0; net->layers && i < net->n_blocks; i++) {
        if (net->layers[i].layer) {
            net->layers[i].mixer->train->unmake(net->ctx, net->layers[i].layer);
        }
        if (net->layers[i].reverse) {
            net->layers[i].mixer->train->unmake(net->ctx, net->layers[i].reverse);
        }
    }
    ops->weight_free(net->ctx, net->head.w == net->table_w ? NULL : net->head.w);
    ops->weight_free(net->ctx, net->head.t);
    ops->weight_free(net->ctx, net->head.rc);
    ops->weight_free(net->ctx, net->head.rc_t);
    ops->weight_free(net->ctx, net->table_w);
    mbs_net_room_free(net);
    mbk_buf *bufs[] = {net->w,     net->g,      net->m,    net->v,     net->acc,          net->state,       net->dstate,
                       net->edges, net->before, net->past, net->dpast, net->head.rc_rows, net->head.rc_grad};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++) {
        ops->buf_free(net->ctx, bufs[i]);
    }
    mbs_free(net->layers);
    mbs_free(net->tensors);
    mbs_free(net);
}

const mbs_model_config *mbs_net_config(const mbs_net *net) {
    return &net->cfg;
}

int64_t mbs_net_parameters(const mbs_net *net) {
    return net->parameters;
}

int64_t mbs_net_trained(const mbs_net *net) {
    return net->n_trained;
}

const char *mbs_net_arithmetic(const mbs_net *net) {
    return net->arithmetic;
}
