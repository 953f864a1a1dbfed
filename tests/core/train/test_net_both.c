/* Gradients of models that read both ways, in all their forms; and that a net is the model that it makes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/model/caduceus_kit.h"
#include "model/whole.h"
#include "net_kit.h"
#include "support/test.h"

#define D 6
#define ROWS 16

/* Lengths 1 and 17 among them; in the last a sequence is longer than a pass. */
static const int64_t lengths[] = {17, 5, 1, 30, 0};
static const int64_t longer[] = {9, 75, 1, 33, 0};

static mbs_model_config config(const char *how) {
    mbs_err err = {0};
    mbs_model_config cfg;
    char text[2000];
    snprintf(text, sizeof text,
             "{\"model_type\": \"caduceus\", \"d_model\": %d, \"n_layer\": 2, \"vocab_size\": 12, \"ssm_cfg\": "
             "{\"d_state\": 3, \"d_conv\": 3, \"dt_rank\": 2%s}, \"complement_map\": %s%s}",
             D, strstr(how, "biases") ? ", \"bias\": true" : "", CADUCEUS_MAP, how);
    OK(mbs_config_parse(text, strlen(text), "config.json", &cfg, &err), &err);
    return cfg;
}

#define PS ", \"rcps\": true"
#define PLAIN ", \"fused_add_norm\": false"
#define TIMES ", \"bidirectional_strategy\": \"ew_multiply\""
#define UNTIED ", \"bidirectional_weight_tie\": false"
#define ONE_WAY ", \"bidirectional\": false"
#define OWN_HEAD ", \"tie_word_embeddings\": false"

static nkit_batch masked(const int64_t *len, uint64_t seed, int64_t classes) {
    nkit_batch b = nkit_random(len, 12, seed);
    for (int64_t i = 0; i < b.starts[b.b.n_seq]; i++) {
        int32_t stands = b.ids[i];
        int asked = mbs_rng_uniform(seed, 9, (uint64_t)i) < 0.4;
        b.targets[i] = asked ? stands : -1;
        b.ids[i] = asked ? 3 : stands;
    }
    if (classes) {
        nkit_label(&b, classes);
    }
    return b;
}

/* Weights with which every tensor moves the loss by more than f32 rounds away. */
static void stir(mbs_net *net, const nkit_name *t, size_t n) {
    mbs_err err = {0};
    for (size_t k = 0; k < n; k++) {
        float *w = nkit_get(net, &t[k], 0);
        const char *name = t[k].name;
        double mean = strstr(name, "norm") || strstr(name, ".D") ? 1 : strstr(name, "dt_proj.bias") ? -0.5 : 0;
        double scale = mean != 0 ? 0.3 : strstr(name, "A_log") ? 0.5 : strstr(name, "embedding") ? 1 : 0.4;
        for (size_t i = 0; i < t[k].n; i++) {
            w[i] = (float)(mean + scale * mbs_rng_normal(3, k, i));
        }
        OK(mbs_net_set(net, name, w, t[k].n, &err), &err);
        free(w);
    }
}

/* Where the last row alone is asked for, the last layer's way back has only begun: nothing has decayed. */
static int reached(const mbs_net_options *o, const char *name) {
    return !o->classes || o->pool != MBS_NET_LAST || !strstr(name, "layers.1.") || !strstr(name, "rev.A_log");
}

/* Wide steps see curvature, narrow ones rounding: the best of some. */
static double off_along(mbs_net *net, const mbs_batch *b, const nkit_name *t, double weight) {
    static const double widths[] = {2e-3, 7e-4, 2e-4, 6e-3};
    double least = INFINITY;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0] && least > 5e-3; i++) {
        least = fmin(least, nkit_off_by(net, b, t, weight, widths[i]));
    }
    return least;
}

/* Every trained tensor against differences; returns how many are trained. */
static int check(const mbs_model_config *cfg, const mbs_net_options *o, const int64_t *len, int threads) {
    mbs_err err = {0};
    nkit k = nkit_fresh(cfg, o, mbk_level_best(), threads);
    nkit_batch b = masked(len, 5, o->classes);
    mbs_net_sums sums = {0};
    size_t n;
    int trained = 0;
    nkit_name *t = nkit_names(mbs_net_config(k.net), &n);
    stir(k.net, t, n);
    OK(mbs_net_gradients(k.net, &b.b, 0.25, &sums, &err), &err);
    double loss = nkit_loss(k.net, &b.b);
    CHECK(sums.loss / sums.weight == loss, "%.17g is not %.17g", sums.loss / sums.weight, loss);
    for (size_t i = 0; i < n; i++) {
        if (nkit_is_trained(k.net, &t[i])) {
            double off = reached(o, t[i].name) ? off_along(k.net, &b.b, &t[i], sums.weight * 0.25) : 0;
            CHECK(off < 1e-2, "%s: off by %g", t[i].name, off);
            trained++;
        }
    }
    free(t);
    nkit_batch_free(&b);
    nkit_close(&k);
    return trained;
}

static void check_all(const char *how, int mixers) {
    mbs_model_config cfg = config(how);
    const mbs_net_options o = {.rows = 64};
    int own = strstr(how, OWN_HEAD) != NULL;
    CHECK_INT(check(&cfg, &o, lengths, 1), 1 + 2 * (1 + mixers) + 1 + own);
}

MBS_TEST(net_both, added) {
    check_all(PS, 9 + 7);
    check_all(PS PLAIN UNTIED OWN_HEAD, 9 + 9);
    check_all(PS UNTIED, 9 + 9);
    check_all("", 9 + 7);
    check_all(UNTIED OWN_HEAD, 9 + 9);
}

MBS_TEST(net_both, multiplied) {
    check_all(PS TIMES, 9 + 7);
    check_all(PS TIMES PLAIN UNTIED, 9 + 9);
    check_all(TIMES OWN_HEAD, 9 + 7);
    check_all(TIMES UNTIED, 9 + 9);
}

MBS_TEST(net_both, one_way) {
    check_all(PS ONE_WAY, 9);
    check_all(PS ONE_WAY PLAIN, 9);
    check_all(ONE_WAY, 9);
}

/* Biases of the projections; layer norm, which one stream alone can have. */
MBS_TEST(net_both, biases_and_layer_norm) {
    mbs_model_config cfg = config(", \"rms_norm\": false");
    cfg.every.use_bias = 1;
    CHECK_INT(check(&cfg, &(mbs_net_options){.rows = 64}, lengths, 1), 1 + 2 * (2 + 11 + 7) + 2);
}

/* A sequence of more rows than a pass: what the way back needs is made again. */
MBS_TEST(net_both, long_sequences) {
    static const char *const forms[] = {PS, PS TIMES, TIMES UNTIED, PS ONE_WAY};
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        mbs_model_config cfg = config(forms[f]);
        check(&cfg, &(mbs_net_options){.rows = 64}, longer, (int)f % 2);
        check(&cfg, &(mbs_net_options){.rows = 64, .train = "last_1"}, longer, 1);
    }
}

MBS_TEST(net_both, classes) {
    static const char *const forms[] = {PS, PS TIMES UNTIED PLAIN, "", TIMES};
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        mbs_model_config cfg = config(forms[f]);
        mbs_net_options o = {.rows = 64, .classes = 3, .pool = f % 2 ? MBS_NET_LAST : MBS_NET_MEAN};
        int mixers = strstr(forms[f], UNTIED) ? 18 : 16;
        CHECK_INT(check(&cfg, &o, lengths, 1), 1 + 2 * (1 + mixers) + 1 + 1);
        o.pool = f % 2 ? MBS_NET_MEAN : MBS_NET_LAST;
        CHECK_INT(check(&cfg, &o, longer, 0), 1 + 2 * (1 + mixers) + 1 + 1);
        o.train = "head";
        CHECK_INT(check(&cfg, &o, lengths, 1), 1);
    }
}

MBS_TEST(net_both, parts) {
    mbs_model_config tied = config(PS);
    mbs_model_config own = config(PS TIMES OWN_HEAD);
    CHECK_INT(check(&tied, &(mbs_net_options){.rows = 64, .train = "last_1"}, lengths, 1), 17 + 1);
    CHECK_INT(check(&own, &(mbs_net_options){.rows = 64, .train = "last_2"}, lengths, 0), 34 + 1 + 1);
    CHECK_INT(check(&own, &(mbs_net_options){.rows = 64, .train = "head"}, lengths, 1), 1);
}

/* --- the net and the model that it makes ---------------------------------------------------------------------------
 */

static nkit stirred(const char *how, int64_t classes, int threads) {
    mbs_model_config cfg = config(how);
    nkit k = nkit_fresh(&cfg, &(mbs_net_options){.rows = 64, .classes = classes}, mbk_level_best(), threads);
    size_t n;
    nkit_name *t = nkit_names(mbs_net_config(k.net), &n);
    stir(k.net, t, n);
    free(t);
    return k;
}

static double loss_of_logits(const float *logits, int32_t target) {
    double sum = 0;
    for (int v = 0; v < ROWS; v++) {
        sum += exp((double)logits[v]);
    }
    return log(sum) - (double)logits[target];
}

MBS_TEST(net_both, loss_is_that_of_the_model) {
    static const char *const forms[] = {PS, PS PLAIN TIMES, UNTIED, PS ONE_WAY OWN_HEAD};
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        mbs_err err = {0};
        nkit k = stirred(forms[f], 0, 1);
        nkit_batch b = masked(longer, 3, 0);
        mbs_model *m;
        mbs_whole *w;
        mbs_net_sums sums = {0};
        float logits[200 * ROWS];
        double want = 0;
        OK(mbs_net_model(k.net, &m, &err), &err);
        OK(mbs_whole_new(m, 0, &w, &err), &err);
        OK(mbs_whole_run(w, b.ids, b.starts, b.b.n_seq, -1, &err), &err);
        OK(mbs_whole_logits(w, 0, b.starts[b.b.n_seq], logits, &err), &err);
        for (int64_t i = 0; i < b.starts[b.b.n_seq]; i++) {
            want += b.targets[i] < 0 ? 0 : (double)b.weights[i] * loss_of_logits(logits + i * ROWS, b.targets[i]);
        }
        OK(mbs_net_loss(k.net, &b.b, &sums, &err), &err);
        CHECK(fabs(sums.loss - want) <= 2e-6 * want, "%s: %.9g is not %.9g", forms[f], sums.loss, want);
        mbs_whole_free(w);
        mbs_model_close(m);
        nkit_batch_free(&b);
        nkit_close(&k);
    }
}

/* Any threads, and any way of putting sequences into passes but for rounding. */
MBS_TEST(net_both, same_bits_for_any_threads) {
    float *g[2];
    size_t n = 0;
    nkit_name *t = NULL;
    for (int i = 0; i < 2; i++) {
        mbs_err err = {0};
        nkit k = stirred(PS TIMES, 0, 1 + 2 * i);
        nkit_batch b = masked(longer, 3, 0);
        mbs_net_sums sums = {0};
        OK(mbs_net_gradients(k.net, &b.b, 1, &sums, &err), &err);
        free(t);
        t = nkit_names(mbs_net_config(k.net), &n);
        size_t all = 0;
        for (size_t j = 0; j < n; j++) {
            all += t[j].n;
        }
        g[i] = malloc(all * sizeof(float));
        all = 0;
        for (size_t j = 0; j < n; j++) {
            OK(mbs_net_get(k.net, t[j].name, 1, g[i] + all, t[j].n, &err), &err);
            all += t[j].n;
        }
        if (i) {
            CHECK(mkit_same(g[0], g[1], (int64_t)all));
        }
        nkit_batch_free(&b);
        nkit_close(&k);
    }
    free(t);
    free(g[0]);
    free(g[1]);
}

/* What a step changes keeps the symmetry: logits of the reverse complement are the reversed, complemented logits. */
MBS_TEST(net_both, equivariant_after_training) {
    static const char *const forms[] = {PS, PS PLAIN TIMES UNTIED OWN_HEAD};
    for (size_t f = 0; f < 2; f++) {
        mbs_err err = {0};
        mbs_model_config cfg = config(forms[f]);
        nkit k = nkit_fresh(&cfg, &(mbs_net_options){.rows = 64}, mbk_level_best(), 1);
        nkit_batch b = masked(lengths, 4, 0);
        double before = nkit_loss(k.net, &b.b);
        for (int step = 1; step <= 20; step++) {
            nkit_step(k.net, &b.b, 2e-2, step);
        }
        CHECK(nkit_loss(k.net, &b.b) < 0.8 * before, "%g to %g", before, nkit_loss(k.net, &b.b));
        int32_t ids[2][41];
        int64_t starts[] = {0, 41};
        float logits[2][41 * ROWS];
        mbs_model *m;
        mbs_whole *w;
        caduceus_bases(ids[0], 41, 6);
        caduceus_rc(ids[0], ids[1], 41);
        OK(mbs_net_model(k.net, &m, &err), &err);
        OK(mbs_whole_new(m, 0, &w, &err), &err);
        for (int s = 0; s < 2; s++) {
            OK(mbs_whole_run(w, ids[s], starts, 1, -1, &err), &err);
            OK(mbs_whole_logits(w, 0, 41, logits[s], &err), &err);
        }
        double most = 0, off = 0;
        for (int i = 0; i < 41; i++) {
            for (int v = 0; v < ROWS; v++) {
                double a = (double)logits[0][i * ROWS + v];
                double c = (double)logits[1][(40 - i) * ROWS + cfg.complement[v]];
                most = fmax(most, fabs(a));
                off = fmax(off, fabs(a - c));
            }
        }
        CHECK(off <= 1e-5 * most, "%s: off by %g of %g", forms[f], off, most);
        mbs_whole_free(w);
        mbs_model_close(m);
        nkit_batch_free(&b);
        nkit_close(&k);
    }
}

MBS_TEST(net_both, refusals) {
    mbs_err err = {0};
    mbs_model_config cfg = config(PS);
    mbs_net *net;
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    CHECK_INT(mbs_net_fresh(&cfg, 1, &(mbs_net_options){.rows = 64, .truncate = 128}, ctx, &net, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.where, "train.truncate");
    CHECK(strstr(err.what, "whole sequences"), "%s", err.what);
    mbk_close(ctx);
}
