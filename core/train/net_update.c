/* net_update.c - the optimiser's step, or the name of the tensor that keeps it from being made. */
#include <math.h>

#include "train/net_impl.h"

static mbk_mat flat(mbk_buf *buf, int64_t from, int64_t to) {
    return (mbk_mat){buf, from, 1, to - from, to - from};
}

/* The sum of the squares of n floats from `at` on. */
static mbs_status squares(mbs_net *net, mbk_mat x, double *out, mbs_err *err) {
    const mbk_ops *ops = net->ctx->ops;
    mbk_status st = ops->zero(net->ctx, flat(net->acc, 0, 2));
    st = st < 0 ? st : ops->sum_squares(net->ctx, net->acc, 0, x);
    st = st < 0 ? st : ops->download(net->ctx, out, net->acc, 0, sizeof *out);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "measuring the gradient") : MBS_OK;
}

/* The first trained tensor whose numbers in `buf` are not finite; none: `otherwise`. */
static const char *culprit(mbs_net *net, mbk_buf *buf, const char *otherwise) {
    for (int i = 0; i < net->n_tensors; i++) {
        const net_tensor *t = &net->tensors[i];
        double sum = 0;
        if (t->trained && squares(net, flat(buf, t->at, t->at + t->n), &sum, NULL) >= 0 && !isfinite(sum)) {
            return t->spec.name;
        }
    }
    return otherwise;
}

static mbs_status diverged(const char *what, const char *tensor, mbs_err *err) {
    mbs_fail(err, MBS_ERR_DATA, tensor, "the %s of this tensor is not finite any more", what);
    mbs_err_fix(err, "take a lower learning rate, a longer warm-up or a lower clip");
    return MBS_ERR_DATA;
}

static mbk_status adamw(mbs_net *net, const mbs_net_adamw *how, int64_t from, int64_t to, double lr, double decay,
                        double scale) {
    mbk_adamw_args a = {
        .w = flat(net->w, from, to),
        .m = flat(net->m, from, to),
        .v = flat(net->v, from, to),
        .g = flat(net->g, from, to),
        .lr = lr,
        .beta1 = how->beta1,
        .beta2 = how->beta2,
        .eps = how->eps,
        .decay = decay,
        .scale = scale,
        .step = how->step,
    };
    return from == to ? MBS_OK : net->ctx->ops->adamw(net->ctx, &a);
}

/* Weights and moments as they were, until the new ones are known to be sound. */
static mbs_status remember(mbs_net *net, mbs_err *err) {
    mbk_status st = MBS_OK;
    if (!net->before) {
        st = net->ctx->ops->buf_new(net->ctx, 3 * (size_t)net->trained * sizeof(float), &net->before);
    }
    mbk_buf *const all[] = {net->w, net->m, net->v};
    for (int64_t i = 0; i < 3 && st >= 0; i++) {
        st = net->ctx->ops->copy(net->ctx, flat(net->before, i * net->trained, (i + 1) * net->trained),
                                 flat(all[i], 0, net->trained));
    }
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "making room for an update") : MBS_OK;
}

static mbs_status go_back(mbs_net *net, mbs_err *err) {
    const char *name = culprit(net, net->w, "backbone");
    mbk_buf *const all[] = {net->w, net->m, net->v};
    mbk_status st = MBS_OK;
    for (int64_t i = 0; i < 3 && st >= 0; i++) {
        st = net->ctx->ops->copy(net->ctx, flat(all[i], 0, net->trained),
                                 flat(net->before, i * net->trained, (i + 1) * net->trained));
    }
    st = st < 0 ? st : mbs_net_refresh(net, 0);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "taking an update back")
                  : diverged("new value", name, err);
}

mbs_status mbs_net_refresh_named(mbs_net *net, mbs_err *err) {
    mbk_status st = mbs_net_refresh(net, 1);
    if (st == MBS_ERR_DATA) {
        mbs_fail(err, st, culprit(net, net->w, "model"), "holds a number that %s cannot hold",
                 mbk_dtype_name(net->format.dtype));
        mbs_err_fix(err, "take model.dtype f32");
        return st;
    }
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "packing the weights") : MBS_OK;
}

static mbk_status gather(mbs_net *net, int add) {
    mbk_status st = MBS_OK;
    for (int64_t i = net->first; i < net->n_blocks && st >= 0; i++) {
        const net_layer *l = &net->layers[i];
        if (l->trained && l->mixer->train->gather) {
            st = l->mixer->train->gather(net->ctx, l->layer, net->room.scratch, add);
            st = st < 0 || !l->reverse ? st : l->mixer->train->gather(net->ctx, l->reverse, net->room.scratch, add);
        }
    }
    return st;
}

mbs_status mbs_net_gather(mbs_net *net, mbs_err *err) {
    mbk_status st = gather(net, 1); /* a net whose layers do is never halved */
    st = st < 0 ? st : mbs_net_twin_collect(net);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, NULL, "adding up the gradients") : MBS_OK;
}

mbs_status mbs_net_update(mbs_net *net, const mbs_net_adamw *how, double *norm, mbs_err *err) {
    double sum;
    double after;
    mbs_status st = mbs_net_gather(net, err);
    st = st < 0 ? st : squares(net, flat(net->g, 0, net->trained), &sum, err);
    if (st < 0) {
        return st;
    }
    *norm = sqrt(sum);
    if (!isfinite(sum)) {
        return diverged("gradient", culprit(net, net->g, "backbone"), err);
    }
    double scale = how->clip > 0 && *norm > how->clip ? how->clip / *norm : 1;
    st = remember(net, err);
    if (st < 0) {
        return st;
    }
    const double slow = how->lr < MBS_SLOW_LR ? how->lr : MBS_SLOW_LR;
    mbk_status done = adamw(net, how, 0, net->decayed, how->lr, how->weight_decay, scale);
    done = done < 0 ? done : adamw(net, how, net->decayed, net->quick, how->lr, 0, scale);
    done = done < 0 ? done : adamw(net, how, net->quick, net->trained, slow, 0, scale);
    st = done < 0 ? mbs_backend_fail(net->ctx, err, done, NULL, "updating the weights")
                  : squares(net, flat(net->w, 0, net->trained), &after, err);
    if (st < 0) {
        return st;
    }
    done = isfinite(after) ? mbs_net_refresh(net, 0) : MBS_ERR_DATA;
    if (done == MBS_ERR_DATA) {
        return go_back(net, err);
    }
    if (done < 0) {
        return mbs_backend_fail(net->ctx, err, done, NULL, "packing the weights");
    }
    mbs_net_clear(net);
    return MBS_OK;
}

void mbs_net_clear(mbs_net *net) {
    (void)net->ctx->ops->zero(net->ctx, flat(net->g, 0, net->trained));
    (void)gather(net, 0);
    if (net->twin.net) {
        mbs_net_clear(net->twin.net);
    }
}

/* The block whose rows are the first that are not finite in the room of this net; n_blocks: none. Rows that no pass has
 * used are zeros or an earlier pass's. */
static int64_t first_stray(mbs_net *net) {
    const int64_t slots = net->n_blocks - net->first + 1;
    const int64_t n = net->room.rows * net->cfg.d_model;
    for (int64_t slot = 0; slot < slots && net->room.keeps; slot++) {
        for (int64_t held = 0; held < net->room.held; held++) {
            const int64_t at = (held * slots + slot) * n;
            double sum = 0;
            if (squares(net, flat(net->room.resid, at, at + n), &sum, NULL) >= 0 && !isfinite(sum)) {
                return net->first + (slot > 0 ? slot - 1 : 0);
            }
        }
    }
    return net->n_blocks;
}

const char *mbs_net_stray(mbs_net *net) {
    int64_t block = first_stray(net);
    if (net->twin.net) {
        const int64_t other = first_stray(net->twin.net);
        block = other < block ? other : block;
    }
    const int tensor = block < net->n_blocks ? net->layers[block].params : net->head.weight;
    return net->tensors[tensor].spec.name;
}
