#include "model/later.h"

#include "base/errand.h"
#include "base/mem.h"
#include "model/impl.h"

/* A layer, and the call whose group goes through the layers within. */
typedef struct group {
    const mbs_pooled *layer;
    mbs_mixer_call call;
    mbk_status status;
} group;

struct mbs_later {
    mbs_errands *errands; /* one a layer */
    mbk_ctx *ctx[2];      /* of the stream's thread; of the errands' own */
    mbk_buf *scratch[2];
    int n;
    group group[];
};

/* Layers at lower rates within `layer`, and itself, the outer before the inner; `out` NULL: how many. */
static int list(const mbs_pooled *layer, group *out) {
    int n = 1;
    if (out) {
        out->layer = layer;
    }
    for (int64_t i = 0; i < layer->n; i++) {
        if (layer->block[i].mixer == &mbs_mixer_pool) {
            n += list(layer->block[i].layer, out ? out + n : NULL);
        }
    }
    return n;
}

static int list_all(const mbs_model *m, group *out) {
    int n = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        if (m->layers[i].mixer == &mbs_mixer_pool) {
            n += list(m->layers[i].weights, out ? out + n : NULL);
        }
    }
    return n;
}

/* Whether threads share the products of a row at the model's own rate: then they have enough to do. */
static int shared(const mbs_model *m) {
    int64_t most = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        mbs_mixer_work w = {0};
        if (m->layers[i].mixer != &mbs_mixer_pool) {
            m->layers[i].mixer->work(&m->cfg, m->layers[i].index, &w);
        }
        for (int k = 0; k < w.matrices; k++) {
            const int64_t n = w.matrix[k].n_out * w.matrix[k].n_in;
            most = n > most ? n : most;
        }
    }
    return most >= m->ctx->ops->pace.shared;
}

static void run(void *arg, int i, int apart) {
    mbs_later *l = arg;
    group *g = &l->group[i];
    g->call.ctx = l->ctx[apart];
    g->call.scratch = l->scratch[apart];
    g->status = mbs_pooled_climb(g->layer, &g->call);
}

void mbs_later_free(mbs_later *l) {
    if (!l) {
        return;
    }
    mbs_errands_free(l->errands);
    l->ctx[0]->ops->buf_free(l->ctx[0], l->scratch[1]);
    if (l->ctx[1]) {
        mbk_close(l->ctx[1]);
    }
    mbs_free(l);
}

/* What the thread of its own computes with. */
static mbk_status make_room(mbs_later *l, const mbs_model *m) {
    int64_t floats = 0;
    int64_t widest = 0;
    for (int64_t i = 0; i < m->n_blocks; i++) {
        if (m->layers[i].mixer == &mbs_mixer_pool) {
            const int64_t n = mbs_mixer_pool.scratch_floats(&m->cfg, m->layers[i].index, 1);
            const int64_t w = mbs_mixer_pool.widest(&m->cfg, m->layers[i].index);
            floats = n > floats ? n : floats;
            widest = w > widest ? w : widest;
        }
    }
    mbk_status st = m->ctx->ops->beside(m->ctx, &l->ctx[1]);
    st = st < 0 ? st : l->ctx[1]->ops->reserve(l->ctx[1], 1, widest);
    return st < 0 ? st : m->ctx->ops->buf_new(m->ctx, (size_t)floats * sizeof(float), &l->scratch[1]);
}

void mbs_later_new(const mbs_model *m, mbk_buf *scratch, mbs_later **out) {
    const int n = list_all(m, NULL);
    *out = NULL;
    if (n == 0 || !m->ctx->ops->beside || m->ctx->ops->pace.shared == 0 || shared(m)) {
        return;
    }
    mbs_later *l = mbs_calloc(1, sizeof *l + (size_t)n * sizeof l->group[0]);
    if (!l) {
        return;
    }
    l->n = n;
    l->ctx[0] = m->ctx;
    l->scratch[0] = scratch;
    list_all(m, l->group);
    l->errands = make_room(l, m) < 0 ? NULL : mbs_errands_new(n, run, l);
    if (!l->errands) {
        mbs_later_free(l);
        return;
    }
    *out = l;
}

mbk_status mbs_later_settle(mbs_later *l) {
    mbk_status st = MBS_OK;
    for (int i = 0; l && i < l->n; i++) { /* the outer before the inner, which they may give */
        mbs_errands_need(l->errands, i);
        st = st < 0 ? st : l->group[i].status;
    }
    return st;
}

void mbs_later_forget(mbs_later *l) {
    (void)mbs_later_settle(l);
    for (int i = 0; l && i < l->n; i++) {
        l->group[i].status = MBS_OK;
    }
}

static int place_of(const mbs_later *l, const mbs_pooled *m) {
    int i = 0;
    while (l->group[i].layer != m) {
        i++;
    }
    return i;
}

void mbs_later_give(mbs_later *l, const mbs_pooled *m, const mbs_mixer_call *call) {
    const int i = place_of(l, m);
    l->group[i].call = *call;
    mbs_errands_give(l->errands, i);
}

mbk_status mbs_later_need(mbs_later *l, const mbs_pooled *m) {
    const int i = place_of(l, m);
    mbs_errands_need(l->errands, i);
    return l->group[i].status;
}
