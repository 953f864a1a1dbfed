#include "net_kit.h"

#include <math.h>
#include <stdio.h>
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
    mbs_names_of_config(cfg, &names);
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

/* Narrower steps drown in the rounding of f32, which differs between processors; wider ones bend. */
double nkit_off_along(mbs_net *net, const mbs_batch *b, const nkit_name *t, double mean_weight) {
    return nkit_off_by(net, b, t, mean_weight, 4e-3);
}

double nkit_off_by(mbs_net *net, const mbs_batch *b, const nkit_name *t, double mean_weight, double width) {
    mbs_err err = {0};
    float *w = nkit_get(net, t, 0);
    float *g = nkit_get(net, t, 1);
    float *moved = malloc(t->n * sizeof *moved);
    double length = 0;
    double size = 0;
    for (size_t i = 0; i < t->n; i++) {
        length += (double)g[i] * (double)g[i];
        size += (double)w[i] * (double)w[i];
    }
    length = sqrt(length);
    if (!(length > 0)) {
        fprintf(stderr, "%s has no gradient\n", t->name);
        exit(1);
    }
    /* along the gradient with some noise: the sum does not cancel, and each element takes part */
    double e = width * (sqrt(size) + 0.1);
    double loss[4];
    double along = 0;
    double norm = 0;
    float *r = malloc(t->n * sizeof *r);
    for (size_t i = 0; i < t->n; i++) {
        uint32_t h = (uint32_t)i * 2654435761u;
        r[i] = (float)((double)g[i] / length + ((double)(h >> 8) / 8388608.0 - 1) / sqrt((double)t->n));
        norm += (double)r[i] * (double)r[i];
    }
    for (size_t i = 0; i < t->n; i++) {
        r[i] = (float)((double)r[i] / sqrt(norm));
        along += (double)g[i] * (double)r[i];
    }
    for (int side = 0; side < 4; side++) {
        static const double steps[] = {-1, 1, -2, 2};
        for (size_t i = 0; i < t->n; i++) {
            moved[i] = (float)((double)w[i] + steps[side] * e * (double)r[i]);
        }
        OK(mbs_net_set(net, t->name, moved, t->n, &err), &err);
        loss[side] = nkit_loss(net, b);
    }
    OK(mbs_net_set(net, t->name, w, t->n, &err), &err);
    /* Richardson: two widths leave no curvature. */
    double difference = (8 * (loss[1] - loss[0]) - (loss[3] - loss[2])) / (12 * e) * mean_weight;
    double off = fabs(difference - along) / (fabs(along) + 0.02 * length);
    free(w);
    free(g);
    free(moved);
    free(r);
    return off;
}

void nkit_stir(mbs_net *net, const nkit_name *t, size_t n) {
    mbs_err err = {0};
    for (size_t k = 0; k < n; k++) {
        float *w = nkit_get(net, &t[k], 0);
        double scale = strstr(t[k].name, "embedding") ? 20 : strstr(t[k].name, "x_proj.weight") ? 4 : 1;
        int dt = strstr(t[k].name, "dt_proj.bias") || strstr(t[k].name, "dt_bias") || strstr(t[k].name, "log_dt");
        for (size_t i = 0; i < t[k].n; i++) {
            w[i] = (float)(dt ? -1 + 0.1 * (double)i : scale * (double)w[i] + 0.1 * mbs_rng_normal(3, k, i));
        }
        OK(mbs_net_set(net, t[k].name, w, t[k].n, &err), &err);
        free(w);
    }
}

void nkit_label(nkit_batch *b, int64_t classes) {
    for (int64_t k = 0; k < b->b.n_seq; k++) {
        b->targets[k] = (int32_t)(k % classes);
    }
}

int nkit_is_trained(mbs_net *net, const nkit_name *t) {
    mbs_err err = {0};
    float *out = malloc(t->n * sizeof *out);
    mbs_status st = mbs_net_get(net, t->name, 1, out, t->n, &err);
    free(out);
    return st >= 0;
}
