#include "net_kit.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/thread.h"
#include "model/weights.h"

mbs_model_config nkit_shape(const char *const *set) {
    static const char *const base[] = {"d_model", "12",      "n_layer", "2",     "vocab",  "11", "d_state",
                                       "5",       "dt_rank", "3",       "mixer", "mamba1", NULL};
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    for (const char *const *p = base; *p; p += 2) {
        OK(mbs_shape_set(&s, p[0], p[1], &err), &err);
    }
    for (const char *const *p = set; p && *p; p += 2) {
        OK(mbs_shape_set(&s, p[0], p[1], &err), &err);
    }
    OK(mbs_shape_finish(&s, &err), &err);
    return s.cfg;
}

nkit_batch nkit_random(const int64_t *lengths, int64_t vocab, uint64_t seed) {
    nkit_batch b = {.starts = calloc(65, sizeof(int64_t))};
    b.b.starts = b.starts;
    for (; lengths[b.b.n_seq]; b.b.n_seq++) {
        b.starts[b.b.n_seq + 1] = b.starts[b.b.n_seq] + lengths[b.b.n_seq];
    }
    int64_t n = b.starts[b.b.n_seq];
    b.ids = malloc((size_t)n * sizeof *b.ids);
    b.targets = malloc((size_t)n * sizeof *b.targets);
    b.weights = malloc((size_t)n * sizeof *b.weights);
    for (int64_t i = 0; i < n; i++) {
        b.ids[i] = (int32_t)(mbs_rng_uniform(seed, 1, (uint64_t)i) * (double)vocab);
        b.weights[i] = (float)(0.5 + mbs_rng_uniform(seed, 2, (uint64_t)i));
    }
    for (int64_t k = 0; k < b.b.n_seq; k++) {
        for (int64_t i = b.starts[k]; i < b.starts[k + 1]; i++) {
            int none = i + 1 == b.starts[k + 1] || mbs_rng_uniform(seed, 3, (uint64_t)i) < 0.2;
            b.targets[i] = none ? -1 : b.ids[i + 1];
        }
    }
    b.b.ids = b.ids;
    b.b.targets = b.targets;
    b.b.weights = b.weights;
    return b;
}

void nkit_batch_free(nkit_batch *b) {
    free(b->starts);
    free(b->ids);
    free(b->targets);
    free(b->weights);
}

mbk_ctx *nkit_open(mbk_level level, int threads, mbs_pool **pool) {
    mbk_ctx *ctx = NULL;
    *pool = NULL;
    if (threads <= 1) {
        return mkit_open(level, threads == 0);
    }
    *pool = mbs_pool_new(threads);
    mbk_parallel par = {*pool, mbs_pool_threads(*pool), mbs_pool_run};
    if (mbk_cpu_open(level, &par, &ctx) < 0) {
        exit(1);
    }
    return ctx;
}

nkit nkit_fresh(const mbs_model_config *cfg, const mbs_net_options *options, mbk_level level, int threads) {
    mbs_err err = {0};
    nkit k = {0};
    k.ctx = nkit_open(level, threads, &k.pool);
    OK(mbs_net_fresh(cfg, 7, options, k.ctx, &k.net, &err), &err);
    return k;
}

void nkit_close(nkit *k) {
    mbs_net_free(k->net);
    mbk_close(k->ctx);
    mbs_pool_free(k->pool);
}

nkit_name *nkit_names(const mbs_model_config *cfg, size_t *count) {
    mbs_err err = {0};
    mbs_names names;
    mbs_specs specs;
    mbs_names_of_layout(cfg->layout, &names);
    OK(mbs_specs_model(cfg, &names, 0, &specs, &err), &err);
    nkit_name *out = calloc(specs.n, sizeof *out);
    for (size_t i = 0; i < specs.n; i++) {
        memcpy(out[i].name, specs.items[i].name, sizeof out[i].name);
        out[i].n = 1;
        for (int k = 0; k < specs.items[i].ndim; k++) {
            out[i].n *= (size_t)specs.items[i].dims[k];
        }
    }
    *count = specs.n;
    mbs_specs_free(&specs);
    return out;
}

float *nkit_get(mbs_net *net, const nkit_name *t, int gradient) {
    mbs_err err = {0};
    float *out = malloc(t->n * sizeof *out);
    OK(mbs_net_get(net, t->name, gradient, out, t->n, &err), &err);
    return out;
}

double nkit_loss(mbs_net *net, const mbs_batch *b) {
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    OK(mbs_net_loss(net, b, &sums, &err), &err);
    return sums.loss / sums.weight;
}

double nkit_step(mbs_net *net, const mbs_batch *b, double lr, int64_t step) {
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    double weight = 0;
    double norm;
    for (int64_t i = 0; i < b->starts[b->n_seq]; i++) {
        weight += b->targets[i] < 0 ? 0 : b->weights ? (double)b->weights[i] : 1;
    }
    mbs_net_adamw how = {lr, 0.9, 0.95, 1e-8, 0.1, 1, step};
    OK(mbs_net_gradients(net, b, 1 / weight, &sums, &err), &err);
    OK(mbs_net_update(net, &how, &norm, &err), &err);
    return sums.loss / sums.weight;
}
