/* net_tensors.c - where the tensors of a net lie, which of them are trained, and their values in and out. */
#include "base/mem.h"
#include "train/net_impl.h"

#include <inttypes.h>
#include <string.h>

/* Every tensor begins on a cache line. */
#define LINE 16

static const char *behind(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

static int is_head(const char *name) {
    return behind(name, "lm_head.") || behind(name, "score.");
}

#define LAYERS "backbone.layers."

/* The layer that a tensor belongs to, or -1. */
static int64_t layer_of(const char *name) {
    const char *rest = strstr(name, LAYERS); /* some layouts put a word before it */
    int64_t layer;
    rest = rest ? rest + strlen(LAYERS) : NULL;
    return rest && sscanf(rest, "%" SCNd64, &layer) == 1 ? layer : -1;
}

/* What `train` asks for: the first layer that is trained, whether the head alone is, or everything. */
typedef struct wish {
    int all, head_alone;
    int64_t first;
} wish;

static mbs_status parse_wish(const mbs_net *net, const char *train, wish *out, mbs_err *err) {
    int64_t layers = net->cfg.n_layer;
    int64_t last;
    char end;
    *out = (wish){.first = layers};
    if (!train || strcmp(train, "all") == 0) {
        *out = (wish){.all = 1};
        return MBS_OK;
    }
    if (strcmp(train, "head") == 0) {
        if (net->tied) {
            mbs_fail(err, MBS_ERR_CONFIG, "model.train", "'head', but the head of this model is its embedding");
            mbs_err_fix(err, "take all or last_K; with last_K a tied embedding stays as it is");
            return MBS_ERR_CONFIG;
        }
        out->head_alone = 1;
        return MBS_OK;
    }
    if (sscanf(train, "last_%" SCNd64 "%c", &last, &end) == 1 && last >= 1 && last <= layers) {
        out->first = layers - last;
        return MBS_OK;
    }
    mbs_fail(err, MBS_ERR_CONFIG, "model.train", "'%.40s' is none of all, head and last_1 to last_%" PRId64, train,
             layers);
    mbs_err_fix(err, "say which part of the model is to be trained");
    return MBS_ERR_CONFIG;
}

static int is_trained(const wish *w, const char *name) {
    int64_t layer = layer_of(name);
    if (w->all || is_head(name)) {
        return 1;
    }
    if (layer >= 0) {
        return layer >= w->first;
    }
    return !w->head_alone &&
           (strstr(name, "backbone.norm_f.") || strstr(name, "backbone.ln_f.")); /* what comes in stays */
}

static mbs_status measure(net_tensor *t, mbs_err *err) {
    const mbs_spec *s = &t->spec;
    int64_t rest = 1;
    for (int k = 1; k < s->ndim; k++) {
        if (mbs_mul_i64_overflow(rest, s->dims[k], &rest)) {
            rest = 0;
            break;
        }
    }
    if (rest < 1 || mbs_mul_i64_overflow(rest, s->dims[0], &t->n) || t->n > INT64_MAX / 64) {
        return mbs_fail(err, MBS_ERR_CONFIG, NULL, "tensor '%s' is too large", s->name);
    }
    t->rows = s->ndim == 1 ? 1 : s->turned ? rest : s->dims[0];
    t->cols = t->n / t->rows;
    return MBS_OK;
}

typedef enum part { DECAYS, PLAIN, SLOW, STAYS } part;

static part part_of(const net_tensor *t) {
    return !t->trained ? STAYS : t->spec.slow ? SLOW : t->spec.decay ? DECAYS : PLAIN;
}

/* The tensors of one part behind each other, from *at on. */
static void place(mbs_net *net, part which, int64_t *at) {
    for (int i = 0; i < net->n_tensors; i++) {
        net_tensor *t = &net->tensors[i];
        if (part_of(t) == which) {
            t->at = *at;
            *at += (t->n + LINE - 1) / LINE * LINE;
        }
    }
}

static mbs_status make_buffers(mbs_net *net, mbs_err *err) {
    const struct {
        mbk_buf **buf;
        int64_t floats;
    } wanted[] = {{&net->w, net->floats},
                  {&net->g, net->trained},
                  {&net->m, net->trained},
                  {&net->v, net->trained},
                  {&net->acc, 2}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        mbk_status st = net->ctx->ops->buf_new(net->ctx, (size_t)wanted[i].floats * sizeof(float), wanted[i].buf);
        if (st < 0) {
            return mbs_backend_fail(net->ctx, err, st, NULL, "making room for the weights");
        }
    }
    return MBS_OK;
}

mbs_status mbs_net_lay_out(mbs_net *net, const mbs_specs *specs, const char *train, mbs_err *err) {
    wish w;
    int64_t at = 0;
    net->tensors = mbs_calloc(specs->n, sizeof *net->tensors);
    if (!net->tensors) {
        return mbs_fail_memory(err, NULL, specs->n * sizeof *net->tensors);
    }
    net->n_tensors = (int)specs->n;
    mbs_status st = parse_wish(net, train, &w, err);
    for (size_t i = 0; i < specs->n && st >= 0; i++) {
        net_tensor *t = &net->tensors[i];
        t->spec = specs->items[i];
        st = measure(t, err);
        t->trained = is_trained(&w, t->spec.name);
        net->parameters += t->n;
        net->n_trained += t->trained ? t->n : 0;
    }
    if (st < 0) {
        return st;
    }
    net->n_blocks = net->cfg.n_layer * mbs_config_blocks(&net->cfg);
    net->first = w.all ? 0 : w.first * mbs_config_blocks(&net->cfg);
    place(net, DECAYS, &at);
    net->decayed = at;
    place(net, PLAIN, &at);
    net->quick = at;
    place(net, SLOW, &at);
    net->trained = at;
    place(net, STAYS, &at);
    net->floats = at;
    return make_buffers(net, err);
}

int mbs_net_find(const mbs_net *net, const char *name) {
    for (int i = 0; i < net->n_tensors; i++) {
        if (strcmp(net->tensors[i].spec.name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static mbk_mat view(const mbs_net *net, int tensor, mbk_buf *buf) {
    const net_tensor *t = &net->tensors[tensor];
    return (mbk_mat){buf, t->at, t->rows, t->cols, t->cols};
}

mbk_mat mbs_net_w(const mbs_net *net, int tensor) {
    return tensor < 0 ? (mbk_mat){0} : view(net, tensor, net->w);
}

mbk_mat mbs_net_g(const mbs_net *net, int tensor) {
    return tensor < 0 || !net->tensors[tensor].trained ? (mbk_mat){0} : view(net, tensor, net->g);
}

/* rows x cols becomes cols x rows. */
static void turn(const float *from, float *to, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < cols; c++) {
            to[c * rows + r] = from[r * cols + c];
        }
    }
}

mbs_status mbs_net_read(mbs_net *net, const net_tensor *t, mbk_buf *from, float *out, mbs_err *err) {
    size_t bytes = (size_t)t->n * sizeof *out;
    float *held = t->spec.turned ? mbs_alloc(bytes) : out;
    if (!held) {
        return mbs_fail_memory(err, NULL, bytes);
    }
    mbk_status st = net->ctx->ops->download(net->ctx, held, from, (size_t)t->at * sizeof *out, bytes);
    if (t->spec.turned) {
        if (st >= 0) {
            turn(held, out, t->rows, t->cols);
        }
        mbs_free(held);
    }
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, t->spec.name, "reading a tensor") : MBS_OK;
}

mbs_status mbs_net_write(mbs_net *net, const net_tensor *t, mbk_buf *to, const float *values, mbs_err *err) {
    size_t bytes = (size_t)t->n * sizeof *values;
    float *held = t->spec.turned ? mbs_alloc(bytes) : NULL;
    if (t->spec.turned && !held) {
        return mbs_fail_memory(err, NULL, bytes);
    }
    if (held) {
        turn(values, held, t->cols, t->rows);
    }
    mbk_status st = net->ctx->ops->upload(net->ctx, to, (size_t)t->at * sizeof *values, held ? held : values, bytes);
    mbs_free(held);
    return st < 0 ? mbs_backend_fail(net->ctx, err, st, t->spec.name, "writing a tensor") : MBS_OK;
}

static mbk_status refresh(mbs_net *net, int all) {
    const mbk_ops *ops = net->ctx->ops;
    const net_head *head = &net->head;
    mbk_status st = MBS_OK;
    if (all || net->tensors[net->table].trained) {
        st = ops->repack(net->ctx, net->table_w, mbs_net_w(net, net->table), 0);
    }
    if (st >= 0 && (all || net->tensors[head->weight].trained)) {
        mbk_mat w = mbs_net_w(net, head->weight);
        st = net->tied ? st : ops->repack(net->ctx, head->w, w, 0);
        st = st < 0 || !head->t ? st : ops->repack(net->ctx, head->t, w, 1);
        st = st < 0 || !head->rc ? st : mbs_net_rc_refresh(net);
    }
    for (int64_t i = 0; i < net->n_blocks && st >= 0; i++) {
        const net_layer *l = &net->layers[i];
        st = all || l->trained ? l->mixer->train->refresh(net->ctx, l->layer) : st;
        st = st >= 0 && l->reverse && (all || l->trained) ? l->mixer->train->refresh(net->ctx, l->reverse) : st;
    }
    return st;
}

mbk_status mbs_net_refresh(mbs_net *net, int all) {
    mbk_status st = refresh(net, all);
    return st < 0 || !net->twin.net ? st : refresh(net->twin.net, all);
}
