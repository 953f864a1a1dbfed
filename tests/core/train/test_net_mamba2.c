/* Nets of Mamba-2 blocks: the gradient of a whole model against differences of its loss, in every form of the block,
 * and however the sequences are cut into passes. */
#include "net_kit.h"
#include "support/test.h"

static mbs_model_config shape(void) {
    static const char *const set[] = {"dt_rank", "auto", "mixer", "mamba2", "head_dim", "4", "n_groups", "2", NULL};
    return nkit_shape(set);
}

static void check_gradients(const mbs_model_config *cfg, mbk_level level, int threads, const char *what) {
    static const int64_t lengths[] = {17, 5, 1, 90, 0};
    const mbs_net_options o = {.rows = 64};
    mbs_err err = {0};
    nkit k = nkit_fresh(cfg, &o, level, threads);
    nkit_batch b = nkit_random(lengths, cfg->vocab_rows, 5);
    size_t n;
    nkit_name *t = nkit_names(cfg, &n);
    mbs_net_sums sums = {0};
    nkit_stir(k.net, t, n);
    OK(mbs_net_gradients(k.net, &b.b, 0.25, &sums, &err), &err);
    double loss = nkit_loss(k.net, &b.b);
    CHECK(sums.loss / sums.weight == loss, "%.17g is not %.17g", sums.loss / sums.weight, loss);
    for (size_t i = 0; i < n; i++) {
        double off = nkit_off_along(k.net, &b.b, &t[i], sums.weight * 0.25);
        /* A few numbers for each head move the loss little, f32 leaves few digits: the golden gradients hold the rest.
         */
        double limit = t[i].n >= 32 ? 2e-3 : cfg->gated_norm ? 2e-2 : 1e-1;
        CHECK(off < limit, "%s, %s, %s: off by %g", what, mbk_level_name(level), t[i].name, off);
    }
    free(t);
    nkit_batch_free(&b);
    nkit_close(&k);
}

MBS_TEST(net_mamba2, gradient_against_differences) {
    mbs_model_config cfg = shape();
    EACH_LEVEL(level) {
        check_gradients(&cfg, level, 1, "plain");
    }
    check_gradients(&cfg, mbk_level_best(), 0, "the backend of tests");
}

MBS_TEST(net_mamba2, every_form) {
    mbs_model_config cfg = shape();
    cfg.layout = MBS_LAYOUT_ORIGINAL;
    cfg.wide_d = 1;
    cfg.norm_first = 1;
    cfg.use_bias = 1;
    check_gradients(&cfg, mbk_level_best(), 1, "norm first");
    cfg.d_ssm = 16;
    cfg.norm_first = 0;
    cfg.norm_whole = 1;
    cfg.use_conv_bias = 0;
    check_gradients(&cfg, mbk_level_best(), 1, "d_ssm");
    cfg.gated_norm = 0;
    cfg.dt_min = 0.2;
    cfg.dt_max = 0.5;
    check_gradients(&cfg, mbk_level_best(), 1, "no norm, limited steps");
}

/* All gradients one after the other. */
static float *gradients(int64_t rows, int threads, size_t *count) {
    static const int64_t lengths[] = {300, 30, 129, 0};
    mbs_model_config cfg = shape();
    const mbs_net_options o = {.rows = rows};
    mbs_err err = {0};
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), threads);
    nkit_batch b = nkit_random(lengths, cfg.vocab_size, 5);
    size_t n;
    nkit_name *t = nkit_names(&cfg, &n);
    mbs_net_sums sums = {0};
    nkit_stir(k.net, t, n);
    OK(mbs_net_gradients(k.net, &b.b, 0.01, &sums, &err), &err);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        *count += t[i].n;
    }
    float *all = malloc(*count * sizeof *all);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        float *g = nkit_get(k.net, &t[i], 1);
        memcpy(all + at, g, t[i].n * sizeof *g);
        at += t[i].n;
        free(g);
    }
    free(t);
    nkit_batch_free(&b);
    nkit_close(&k);
    return all;
}

MBS_TEST(net_mamba2, cuts_and_threads) {
    size_t n;
    float *whole = gradients(512, 1, &n);
    float *threads = gradients(512, 3, &n);
    CHECK(mkit_same(whole, threads, (int64_t)n));
    static const int64_t rows[] = {64, 128, 192};
    for (int i = 0; i < 3; i++) {
        float *pieces = gradients(rows[i], 1, &n);
        double most = 0;
        double largest = 0;
        for (size_t k = 0; k < n; k++) {
            most = fmax(most, fabs((double)pieces[k] - (double)whole[k]));
            largest = fmax(largest, fabs((double)whole[k]));
        }
        CHECK(most <= 1e-5 * largest, "passes of %d rows: off by %g", (int)rows[i], most / largest);
        free(pieces);
    }
    free(whole);
    free(threads);
}
