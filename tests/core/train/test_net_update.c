/* Updates: what stops being finite is named and changes nothing; clipping; parts of a step add up. */
#include "net_kit.h"
#include "support/test.h"

static const int64_t lengths[] = {20, 33, 0};

typedef struct pair {
    nkit a, b;
    nkit_batch batch;
    nkit_name *names;
    size_t n;
} pair;

static pair start(const mbs_net_options *o) {
    mbs_model_config cfg = nkit_shape(NULL);
    pair p = {.a = nkit_fresh(&cfg, o, mbk_level_best(), 1), .b = nkit_fresh(&cfg, o, mbk_level_best(), 1)};
    p.batch = nkit_random(lengths, cfg.vocab_size, 3);
    p.names = nkit_names(&cfg, &p.n);
    return p;
}

static void end(pair *p) {
    free(p->names);
    nkit_batch_free(&p->batch);
    nkit_close(&p->a);
    nkit_close(&p->b);
}

/* Largest difference of all weights but one. */
static double apart(pair *p, const char *but) {
    double most = 0;
    for (size_t i = 0; i < p->n; i++) {
        float *x = nkit_get(p->a.net, &p->names[i], 0);
        float *y = nkit_get(p->b.net, &p->names[i], 0);
        for (size_t j = 0; j < p->names[i].n && strcmp(p->names[i].name, but) != 0; j++) {
            most = fmax(most, fabs((double)x[j] - (double)y[j]));
        }
        free(x);
        free(y);
    }
    return most;
}

MBS_TEST(net_update, a_gradient_that_is_not_finite_is_named) {
    static const char *const last = "backbone.layers.1.mixer.D";
    pair p = start(&(mbs_net_options){0});
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    float d[24];
    double norm;
    for (int i = 0; i < 24; i++) {
        d[i] = 1;
    }
    d[3] = NAN;
    OK(mbs_net_set(p.a.net, last, d, 24, &err), &err);
    OK(mbs_net_gradients(p.a.net, &p.batch.b, 0.1, &sums, &err), &err);
    CHECK(isnan(sums.loss));
    mbs_net_adamw how = {1e-3, 0.9, 0.95, 1e-8, 0.1, 1, 1};
    CHECK_INT(mbs_net_update(p.a.net, &how, &norm, &err), MBS_ERR_DATA);
    CHECK(strncmp(err.where, "backbone.", 9) == 0 && strstr(err.what, "gradient of this tensor is not finite"),
          "%s: %s", err.where, err.what);
    CHECK(apart(&p, last) == 0);
    mbs_model *m;
    mbs_err_clear(&err);
    CHECK_INT(mbs_net_model(p.a.net, &m, &err), MBS_ERR_DATA);
    CHECK_STR(err.where, last);
    end(&p);
}

/* The new values are too large for f32, or for bf16: the old ones come back, packed too. */
static void too_far(const mbs_net_options *o, double lr) {
    pair p = start(o);
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    double norm;
    OK(mbs_net_gradients(p.a.net, &p.batch.b, 0.1, &sums, &err), &err);
    mbs_net_adamw how = {lr, 0.9, 0.95, 1e-8, 0, 1, 1};
    CHECK_INT(mbs_net_update(p.a.net, &how, &norm, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "new value of this tensor") && strncmp(err.where, "backbone.", 9) == 0, "%s: %s", err.where,
          err.what);
    CHECK(apart(&p, "") == 0);
    CHECK(nkit_loss(p.a.net, &p.batch.b) == nkit_loss(p.b.net, &p.batch.b));
    end(&p);
}

MBS_TEST(net_update, weights_that_are_not_finite_are_taken_back) {
    too_far(&(mbs_net_options){0}, 1e39);
    too_far(&(mbs_net_options){.dtype = "bf16"}, 1e39);
}

MBS_TEST(net_update, parts_of_a_step_add_up) {
    pair p = start(&(mbs_net_options){0});
    mbs_err err = {0};
    double norm[2];
    mbs_net_adamw how = {1e-3, 0.9, 0.95, 1e-8, 0.1, 0, 1};
    for (int i = 0; i < 2; i++) {
        mbs_net *net = i ? p.b.net : p.a.net;
        mbs_net_sums sums = {0};
        mbs_batch first = p.batch.b;
        mbs_batch second = first;
        first.n_seq = i ? 2 : 1;
        OK(mbs_net_gradients(net, &first, 0.02, &sums, &err), &err);
        int64_t starts[] = {0, 33};
        second.n_seq = 1;
        second.starts = starts;
        second.ids += 20;
        second.targets += 20;
        second.weights += 20;
        if (!i) {
            OK(mbs_net_gradients(net, &second, 0.02, &sums, &err), &err);
        }
        OK(mbs_net_update(net, &how, &norm[i], &err), &err);
    }
    CHECK(fabs(norm[0] / norm[1] - 1) < 1e-6, "%g %g", norm[0], norm[1]);
    CHECK(apart(&p, "") < 1e-4, "%g", apart(&p, ""));
    end(&p);
}

/* With moments that forget at once a step is lr x sign(g), whatever the clip; without, clipping shrinks moments. */
MBS_TEST(net_update, clip_scales_the_gradient) {
    pair p = start(&(mbs_net_options){0});
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    double norm;
    mbs_net_adamw how = {1, 0, 0, 1e8, 0, 0, 1}; /* eps so large that a step is lr g / eps */
    OK(mbs_net_gradients(p.a.net, &p.batch.b, 1, &sums, &err), &err);
    OK(mbs_net_gradients(p.b.net, &p.batch.b, 1, &sums, &err), &err);
    const char *name = "backbone.norm_f.weight";
    float g[12];
    float w[2][12];
    OK(mbs_net_get(p.a.net, name, 1, g, 12, &err), &err);
    how.lr = 1e8;
    OK(mbs_net_update(p.a.net, &how, &norm, &err), &err);
    how.clip = norm / 4;
    OK(mbs_net_update(p.b.net, &how, &norm, &err), &err);
    OK(mbs_net_get(p.a.net, name, 0, w[0], 12, &err), &err);
    OK(mbs_net_get(p.b.net, name, 0, w[1], 12, &err), &err);
    for (int i = 0; i < 12; i++) {
        CHECK(fabs((1 - (double)w[0][i]) - (double)g[i]) < 1e-4 * (1 + fabs((double)g[i])));
        CHECK(fabs((1 - (double)w[1][i]) - (double)g[i] / 4) < 1e-4 * (1 + fabs((double)g[i])));
    }
    end(&p);
}

/* A first step is lr x sign(g), but for what decays: the numbers of a state space take 1e-3 at most and never decay. */
MBS_TEST(net_update, a_state_space_has_a_rate_of_its_own) {
    static const char *const set[] = {"dt_rank", "auto", "mixer", "s4, h3", "d_state", "6", NULL};
    static const char *const slow[] = {"log_dt", "A_imag", "log_A_real", "inv_A_real", "kernel.B", "kernel.P"};
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(set);
    nkit_batch b = nkit_random(lengths, cfg.vocab_size, 3);
    size_t n;
    nkit_name *t = nkit_names(&cfg, &n);
    int found = 0;
    for (int way = 0; way < 2; way++) {
        const double lr = way ? 5e-4 : 1e-2;
        nkit k = nkit_fresh(&cfg, &(mbs_net_options){0}, mbk_level_best(), 1);
        mbs_net_sums sums = {0};
        double norm;
        const mbs_net_adamw how = {lr, 0, 0, 1e-30, 0.5, 0, 1};
        OK(mbs_net_gradients(k.net, &b.b, 0.1, &sums, &err), &err);
        float **before = calloc(n, sizeof *before);
        float **g = calloc(n, sizeof *g);
        for (size_t i = 0; i < n; i++) {
            before[i] = nkit_get(k.net, &t[i], 0);
            g[i] = nkit_get(k.net, &t[i], 1);
        }
        OK(mbs_net_update(k.net, &how, &norm, &err), &err);
        for (size_t i = 0; i < n; i++) {
            float *after = nkit_get(k.net, &t[i], 0);
            int own = 0;
            for (size_t s = 0; s < sizeof slow / sizeof slow[0]; s++) {
                own |= strstr(t[i].name, slow[s]) != NULL;
            }
            const int decays = !own && (strstr(t[i].name, "kernel.C") || strstr(t[i].name, "proj.weight") ||
                                        strstr(t[i].name, "linear.weight") || strstr(t[i].name, "embedding"));
            const double rate = own ? fmin(lr, 1e-3) : lr;
            found += own;
            for (size_t j = 0; j < t[i].n; j++) {
                const double sign = g[i][j] > 0 ? 1 : g[i][j] < 0 ? -1 : 0;
                const double want = (double)before[i][j] * (decays ? 1 - lr * 0.5 : 1) - rate * sign;
                CHECK(fabs((double)after[j] - want) <= 1e-6 * (1 + fabs(want)), "%s: %g, not %g", t[i].name,
                      (double)after[j], want);
            }
            free(after);
            free(before[i]);
            free(g[i]);
        }
        free(before);
        free(g);
        nkit_close(&k);
    }
    CHECK_INT(found, 2 * (5 + 3));
    free(t);
    nkit_batch_free(&b);
}

/* Weights that are finite, and rows that are not any more behind them. */
MBS_TEST(net_update, the_layer_that_runs_over_is_named) {
    static const char *const none[] = {NULL};
    static const int64_t two[] = {30, 40, 0};
    static const char *const where[] = {"backbone.layers.0.mixer.out_proj.weight",
                                        "backbone.layers.1.mixer.out_proj.weight", "lm_head.weight"};
    for (int halves = 0; halves < 2; halves++) {
        for (int i = 0; i < 3; i++) {
            mbs_model_config cfg = nkit_shape(none);
            cfg.tie_embeddings = 0;
            mbs_err err = {0};
            mbs_backend backend;
            mbs_net *net = NULL;
            OK(mbs_backend_open(&backend, mbk_level_best(), 2, &err), &err);
            OK(mbs_net_fresh(&cfg, 7, &(mbs_net_options){0}, backend.ctx, &net, &err), &err);
            if (halves) {
                OK(mbs_net_halve(net, &backend, &err), &err);
            }
            size_t n;
            nkit_name *t = nkit_names(mbs_net_config(net), &n);
            for (size_t k = 0; k < n; k++) {
                if (strcmp(t[k].name, where[i]) == 0) {
                    float *huge = nkit_get(net, &t[k], 0);
                    for (size_t j = 0; j < t[k].n; j++) {
                        huge[j] = huge[j] < 0 ? -3e38f : 3e38f;
                    }
                    OK(mbs_net_set(net, t[k].name, huge, t[k].n, &err), &err);
                    free(huge);
                }
            }
            nkit_batch b = nkit_random(two, cfg.vocab_size, 5);
            mbs_net_sums sums = {0};
            OK(mbs_net_gradients(net, &b.b, 1, &sums, &err), &err);
            const char *name = mbs_net_stray(net);
            CHECK(!isfinite(sums.loss));
            CHECK(strncmp(name, where[i], i < 2 ? strlen("backbone.layers.0.") : strlen(where[i])) == 0, "%d: %s", i,
                  name);
            free(t);
            nkit_batch_free(&b);
            mbs_net_free(net);
            mbs_backend_close(&backend);
        }
    }
}

MBS_TEST(net_update, ids_out_of_range_are_refused) {
    pair p = start(&(mbs_net_options){0});
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    p.batch.ids[7] = 40;
    CHECK_INT(mbs_net_gradients(p.a.net, &p.batch.b, 1, &sums, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "token 7 of the batch is 40"), "%s", err.what);
    mbs_err_clear(&err);
    p.batch.ids[7] = 1;
    p.batch.targets[9] = -2;
    CHECK_INT(mbs_net_loss(p.a.net, &p.batch.b, &sums, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "target 9 of the batch is -2"), "%s", err.what);
    end(&p);
}

/* The gradient of a long filter waits for the end of the step: the same whatever the parts and threads, and forgotten
 * where the gradient is. */
MBS_TEST(net_update, what_waits_for_the_end_of_a_step) {
    static const char *const set[] = {"dt_rank",     "auto", "mixer", "hyena, mamba1", "n_layer", "2", "l_max", "200",
                                      "hyena_order", "3",    NULL};
    static const int64_t two[] = {150, 90, 0};
    static const int64_t one[] = {90, 0};
    mbs_err err = {0};
    const mbs_model_config cfg = nkit_shape(set);
    nkit_batch all = nkit_random(two, cfg.vocab_size, 3);
    const int64_t starts[] = {0, one[0]};
    mbs_batch first = all.b;
    mbs_batch second = all.b;
    first.n_seq = second.n_seq = 1;
    second.starts = starts;
    second.ids += two[0];
    second.targets += two[0];
    second.weights += two[0];
    size_t n;
    nkit_name *t = nkit_names(&cfg, &n);
    nkit k[3];
    for (int i = 0; i < 3; i++) {
        mbs_net_sums sums = {0};
        k[i] = nkit_fresh(&cfg, &(mbs_net_options){.rows = 64}, mbk_level_best(), i == 1 ? 3 : 1);
        if (i == 2) {
            OK(mbs_net_gradients(k[i].net, &first, 0.1, &sums, &err), &err);
        }
        OK(mbs_net_gradients(k[i].net, i == 2 ? &second : &all.b, 0.1, &sums, &err), &err);
    }
    for (size_t j = 0; j < n; j++) {
        float *g[3];
        double of = 0;
        double off = 0;
        for (int i = 0; i < 3; i++) {
            g[i] = nkit_get(k[i].net, &t[j], 1);
        }
        CHECK(memcmp(g[0], g[1], t[j].n * sizeof(float)) == 0, "%s: threads", t[j].name);
        for (size_t i = 0; i < t[j].n; i++) {
            of += (double)g[0][i] * (double)g[0][i];
            off += pow((double)g[0][i] - (double)g[2][i], 2);
        }
        CHECK(of > 0 && off <= 1e-10 * of, "%s: %g of %g", t[j].name, sqrt(off), sqrt(of));
        for (int i = 0; i < 3; i++) {
            free(g[i]);
        }
    }
    for (int i = 0; i < 2; i++) { /* cleared before anybody has looked; then one part alone, as of a net of its own */
        mbs_net_sums sums = {0};
        OK(mbs_net_gradients(k[i].net, &all.b, 1, &sums, &err), &err);
        mbs_net_clear(k[i].net);
        nkit_close(&k[2]);
        k[2] = nkit_fresh(&cfg, &(mbs_net_options){.rows = 64}, mbk_level_best(), 1);
        OK(mbs_net_gradients(k[i].net, &first, 0.1, &sums, &err), &err);
        OK(mbs_net_gradients(k[2].net, &first, 0.1, &sums, &err), &err);
        for (size_t j = 0; j < n; j++) {
            float *a = nkit_get(k[i].net, &t[j], 1);
            float *b = nkit_get(k[2].net, &t[j], 1);
            CHECK(memcmp(a, b, t[j].n * sizeof(float)) == 0, "%s: something lingers", t[j].name);
            free(a);
            free(b);
        }
    }
    for (int i = 0; i < 3; i++) {
        nkit_close(&k[i]);
    }
    free(t);
    nkit_batch_free(&all);
}
