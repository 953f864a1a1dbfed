/* Batches in two halves: the gradient is that of the whole, its bits are those of any number of threads. */
#include "net_kit.h"
#include "support/test.h"

/* Weights behind two parts of a batch and a step, and the gradients of a third. */
typedef struct found {
    float *w, *g;
    size_t n;
    mbs_net_sums sums;
} found;

static void found_free(found *f) {
    free(f->w);
    free(f->g);
}

static void read_all(mbs_net *net, found *f) {
    size_t n;
    nkit_name *t = nkit_names(mbs_net_config(net), &n);
    for (size_t i = 0; i < n; i++) {
        f->n += t[i].n;
    }
    f->w = malloc(f->n * sizeof *f->w);
    f->g = calloc(f->n, sizeof *f->g);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        for (int gradient = 0; gradient < 2; gradient++) {
            if (!gradient || nkit_is_trained(net, &t[i])) {
                float *values = nkit_get(net, &t[i], gradient);
                memcpy((gradient ? f->g : f->w) + at, values, t[i].n * sizeof *values);
                free(values);
            }
        }
        at += t[i].n;
    }
    free(t);
}

/* `step` 0: gradients alone. */
static found train(const mbs_model_config *cfg, const mbs_net_options *o, const int64_t *lengths, int threads,
                   int halve, int step) {
    static const int64_t first[] = {40, 90, 64, 0};
    mbs_err err = {0};
    mbs_backend backend;
    mbs_net *net = NULL;
    found f = {0};
    OK(mbs_backend_open(&backend, mbk_level_best(), threads, &err), &err);
    OK(mbs_net_fresh(cfg, 7, o, backend.ctx, &net, &err), &err);
    if (halve) {
        OK(mbs_net_halve(net, &backend, &err), &err);
        CHECK(mbs_net_is_halved(net));
    }
    size_t n;
    nkit_name *t = nkit_names(mbs_net_config(net), &n);
    nkit_stir(net, t, n);
    free(t);
    nkit_batch b[2] = {nkit_random(first, cfg->vocab_size, 5), nkit_random(lengths, cfg->vocab_size, 6)};
    for (int i = 0; i < 2 && o->classes; i++) {
        nkit_label(&b[i], o->classes);
    }
    const mbs_net_adamw how = {1e-2, 0.9, 0.95, 1e-8, 0.1, 1, 1};
    for (int i = 0; i < 2 && step; i++) {
        OK(mbs_net_gradients(net, &b[i].b, 0.01, &f.sums, &err), &err);
    }
    double norm;
    if (step) {
        OK(mbs_net_update(net, &how, &norm, &err), &err);
    }
    OK(mbs_net_gradients(net, &b[1].b, 0.01, &f.sums, &err), &err);
    read_all(net, &f);
    nkit_batch_free(&b[0]);
    nkit_batch_free(&b[1]);
    mbs_net_free(net);
    mbs_backend_close(&backend);
    return f;
}

static void check(const char *const *set, mbs_net_options o, const char *what) {
    static const int64_t lengths[] = {70, 300, 129, 30, 1, 0}; /* some in pieces */
    mbs_model_config cfg = nkit_shape(set);
    o.rows = 128;
    found whole = train(&cfg, &o, lengths, 1, 0, 0);
    found halves = train(&cfg, &o, lengths, 1, 1, 0);
    double d = mkit_off(halves.g, whole.g, (int64_t)whole.n);
    CHECK(d <= 1e-5, "%s: off by %g", what, d);
    CHECK(fabs(halves.sums.loss - whole.sums.loss) <= 1e-9 * whole.sums.loss, "%s", what);
    CHECK(halves.sums.scored == whole.sums.scored && halves.sums.right == whole.sums.right, "%s", what);
    found_free(&whole);
    found_free(&halves);
    found one = train(&cfg, &o, lengths, 1, 1, 1);
    for (int threads = 2; threads <= 5; threads++) {
        found f = train(&cfg, &o, lengths, threads, 1, 1);
        CHECK(mkit_same(f.w, one.w, (int64_t)one.n), "%s: weights, %d threads", what, threads);
        CHECK(mkit_same(f.g, one.g, (int64_t)one.n), "%s: gradients, %d threads", what, threads);
        CHECK(f.sums.loss == one.sums.loss && f.sums.right == one.sums.right, "%s: %d threads", what, threads);
        found_free(&f);
    }
    found_free(&one);
}

MBS_TEST(net_halves, language_models) {
    static const char *const tied[] = {"tie_embeddings", "true", NULL};
    static const char *const untied[] = {"tie_embeddings", "false", NULL};
    check(tied, (mbs_net_options){0}, "mamba1");
    check(untied, (mbs_net_options){.truncate = 128}, "truncated");
    check(untied, (mbs_net_options){.train = "last_1"}, "the last layer");
    check(tied, (mbs_net_options){.dtype = "bf16", .math = "bf16"}, "bf16");
}

MBS_TEST(net_halves, classifiers) {
    check(NULL, (mbs_net_options){.classes = 3, .pool = MBS_NET_MEAN}, "mean");
    check(NULL, (mbs_net_options){.classes = 3, .pool = MBS_NET_LAST, .train = "head"}, "the head");
}

MBS_TEST(net_halves, other_mixers) {
    static const char *const stages[] = {"n_layer", "1", "pool", "3, 2", NULL};
    static const char *const mixed[] = {"dt_rank", "auto",     "mixer", "s4d, mamba1", "d_state",
                                        "6",       "convolve", "400",   NULL};
    static const char *const cells[] = {"mixer", "gru, mamba1", NULL};
    check(stages, (mbs_net_options){0}, "stages");
    check(mixed, (mbs_net_options){0}, "mixed");
    check(cells, (mbs_net_options){0}, "cells");
}

static mbs_net *halved(const mbs_model_config *cfg, mbs_backend *backend) {
    mbs_err err = {0};
    mbs_net *net = NULL;
    OK(mbs_backend_open(backend, mbk_level_best(), 2, &err), &err);
    OK(mbs_net_fresh(cfg, 7, &(mbs_net_options){0}, backend->ctx, &net, &err), &err);
    OK(mbs_net_halve(net, backend, &err), &err);
    return net;
}

/* Filters of a step are made once, by all threads: such a net stays whole, with the bits of any number of them. */
MBS_TEST(net_halves, long_filters_go_as_one) {
    static const char *const set[] = {"dt_rank",     "auto", "mixer", "mamba1, hyena", "l_max", "400", "d_state", "6",
                                      "hyena_order", "3",    NULL};
    mbs_model_config cfg = nkit_shape(set);
    mbs_backend backend;
    mbs_net *net = halved(&cfg, &backend);
    CHECK(!mbs_net_is_halved(net));
    mbs_net_free(net);
    mbs_backend_close(&backend);
    static const int64_t lengths[] = {70, 300, 129, 30, 1, 0};
    const mbs_net_options o = {.rows = 128};
    found one = train(&cfg, &o, lengths, 1, 0, 1);
    found three = train(&cfg, &o, lengths, 3, 0, 1);
    CHECK(mkit_same(three.w, one.w, (int64_t)one.n) && mkit_same(three.g, one.g, (int64_t)one.n));
    found_free(&one);
    found_free(&three);
}

/* A number that no sequence of a half may have is refused, whichever half it is in, and nothing is taken. */
MBS_TEST(net_halves, refusals) {
    static const int64_t lengths[] = {20, 20, 0};
    mbs_model_config cfg = nkit_shape(NULL);
    mbs_err err = {0};
    mbs_backend backend;
    mbs_net *net = halved(&cfg, &backend);
    for (int half = 0; half < 2; half++) {
        nkit_batch b = nkit_random(lengths, cfg.vocab_size, 5);
        mbs_net_sums sums = {0};
        b.ids[20 * half + 3] = 1000;
        CHECK_INT(mbs_net_gradients(net, &b.b, 1, &sums, &err), MBS_ERR_DATA);
        CHECK(strstr(err.what, half ? "token 23 " : "token 3 ") != NULL, "%s", err.what);
        mbs_err_clear(&err);
        nkit_batch_free(&b);
    }
    mbs_net_free(net);
    mbs_backend_close(&backend);
}
