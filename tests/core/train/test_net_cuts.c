/* What may not be seen in a gradient: how long sequences are cut, how many threads there are. */
#include "net_kit.h"
#include "support/test.h"

/* All gradients one after the other. */
static float *gradients(const mbs_model_config *cfg, const mbs_net_options *o, const int64_t *lengths, int threads,
                        size_t *count, mbs_net_sums *sums) {
    mbs_err err = {0};
    nkit k = nkit_fresh(cfg, o, mbk_level_best(), threads);
    nkit_batch b = nkit_random(lengths, cfg->vocab_size, 5);
    size_t n;
    mbs_model_config own = *mbs_net_config(k.net);
    nkit_name *t = nkit_names(&own, &n);
    if (o->classes) {
        nkit_label(&b, o->classes);
    }
    nkit_stir(k.net, t, n);
    *sums = (mbs_net_sums){0};
    OK(mbs_net_gradients(k.net, &b.b, 0.01, sums, &err), &err);
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

/* Sequences as whole passes, and in pieces of so many rows. */
static void in_pieces_of(int64_t rows, const int64_t *lengths, const char *const *set, mbs_net_options o,
                         const char *what) {
    mbs_model_config cfg = nkit_shape(set);
    mbs_net_sums sums[2];
    size_t n;
    o.rows = 4096;
    float *whole = gradients(&cfg, &o, lengths, 1, &n, &sums[0]);
    o.rows = rows;
    float *pieces = gradients(&cfg, &o, lengths, 1, &n, &sums[1]);
    double d = mkit_off(pieces, whole, (int64_t)n);
    CHECK(d <= 1e-5, "%s: off by %g", what, d);
    CHECK(fabs(sums[0].loss - sums[1].loss) <= 1e-9 * sums[0].loss, "%s: %.17g %.17g", what, sums[0].loss,
          sums[1].loss);
    CHECK(sums[0].scored == sums[1].scored && sums[0].right == sums[1].right);
    free(whole);
    free(pieces);
}

static void in_pieces(const char *const *set, mbs_net_options o, const char *what) {
    static const int64_t lengths[] = {700, 30, 129, 0};
    in_pieces_of(64, lengths, set, o, what);
}

MBS_TEST(net_cuts, pieces_are_the_whole) {
    static const char *const stages[] = {"n_layer", "1", "pool", "3, 2", NULL}; /* pieces end within groups */
    in_pieces(NULL, (mbs_net_options){0}, "language model");
    in_pieces(stages, (mbs_net_options){0}, "stages");
    in_pieces(NULL, (mbs_net_options){.classes = 2, .pool = MBS_NET_MEAN}, "mean");
    in_pieces(NULL, (mbs_net_options){.classes = 2, .pool = MBS_NET_LAST}, "last");
}

MBS_TEST(net_cuts, pieces_of_heads) {
    static const char *const h3[] = {"dt_rank", "auto", "mixer", "h3", "d_state", "6", "head_dim", "3", NULL};
    in_pieces(h3, (mbs_net_options){0}, "h3");
}

/* Whole, the long filters go by transforms; in pieces as short as these each tap meets each row. */
MBS_TEST(net_cuts, pieces_of_long_filters) {
    static const char *const hyena[] = {"dt_rank",     "auto", "mixer", "hyena, mamba1", "l_max", "1000",
                                        "hyena_order", "3",    NULL};
    static const char *const spaces[] = {"dt_rank", "auto",     "mixer", "s4d, s4", "d_state",
                                         "6",       "convolve", "1000",  NULL};
    in_pieces(hyena, (mbs_net_options){0}, "hyena");
    in_pieces(spaces, (mbs_net_options){0}, "state spaces");
}

/* Pieces whose work is held go through once, others twice: bits of either, and of one that is held among such. */
MBS_TEST(net_cuts, held_pieces_cannot_be_seen) {
    mbs_model_config cfg = nkit_shape(NULL);
    static const int64_t lengths[] = {530, 1800, 40, 1025, 0};
    const int64_t rows[] = {512, 1024, 2048}; /* of a Mamba-1 in passes of 512: one, two and four of them */
    mbs_net_sums sums[3];
    size_t n;
    float *g[3];
    for (int i = 0; i < 3; i++) {
        mbs_net_options o = {.rows = rows[i]};
        g[i] = gradients(&cfg, &o, lengths, 1, &n, &sums[i]);
        CHECK(mkit_same(g[i], g[0], (int64_t)n), "%lld rows", (long long)rows[i]);
        CHECK(sums[i].loss == sums[0].loss && sums[i].right == sums[0].right);
    }
    for (int i = 0; i < 3; i++) {
        free(g[i]);
    }
}

/* In pieces of many rows they go by transforms too, over the rows of the pieces before. */
MBS_TEST(net_cuts, long_pieces_of_long_filters) {
    static const char *const set[] = {"d_model", "8", "n_layer", "2",    "dt_rank",  "auto", "mixer", "hyena, s4d",
                                      "d_state", "4", "l_max",   "2600", "convolve", "2600", NULL};
    static const int64_t lengths[] = {2500, 600, 0};
    in_pieces_of(704, lengths, set, (mbs_net_options){0}, "hyena and s4d");
}

/* A truncated gradient is another one, with the same loss; truncated beyond the end it is the whole one. */
MBS_TEST(net_cuts, truncation) {
    mbs_model_config cfg = nkit_shape(NULL);
    static const int64_t lengths[] = {500, 0};
    mbs_net_sums sums[3];
    size_t n;
    float *g[3];
    const int64_t truncate[] = {0, 128, 512};
    for (int i = 0; i < 3; i++) {
        mbs_net_options o = {.rows = 64, .truncate = truncate[i]};
        g[i] = gradients(&cfg, &o, lengths, 1, &n, &sums[i]);
        CHECK(sums[i].loss == sums[0].loss);
    }
    CHECK(mkit_off(g[1], g[0], (int64_t)n) > 1e-4, "as if nothing was cut: %g", mkit_off(g[1], g[0], (int64_t)n));
    CHECK(mkit_off(g[1], g[0], (int64_t)n) < 0.5);
    CHECK(mkit_same(g[2], g[0], (int64_t)n));
    for (int i = 0; i < 3; i++) {
        free(g[i]);
    }
}

MBS_TEST(net_cuts, threads_cannot_be_seen) {
    static const char *const set[] = {"d_model", "48", "vocab", "300", NULL};
    mbs_model_config cfg = nkit_shape(set);
    static const int64_t lengths[] = {300, 130, 40, 513, 0};
    const char *const math[] = {"f32", "bf16"};
    for (int m = 0; m < 2; m++) {
        mbs_net_options o = {.rows = 256, .math = math[m]};
        mbs_net_sums sums[3];
        size_t n;
        float *g[3];
        for (int threads = 1; threads <= 3; threads++) {
            g[threads - 1] = gradients(&cfg, &o, lengths, threads, &n, &sums[threads - 1]);
        }
        for (int i = 1; i < 3; i++) {
            CHECK(mkit_same(g[i], g[0], (int64_t)n), "%s, %d threads", math[m], i + 1);
            CHECK(sums[i].loss == sums[0].loss);
        }
        for (int i = 0; i < 3; i++) {
            free(g[i]);
        }
    }
}

/* bf16 is f32 but for a few digits. */
MBS_TEST(net_cuts, bf16_is_near) {
    mbs_model_config cfg = nkit_shape(NULL);
    static const int64_t lengths[] = {100, 50, 0};
    mbs_net_sums sums[3];
    size_t n;
    const mbs_net_options o[] = {{0}, {.dtype = "bf16"}, {.math = "bf16"}};
    float *g[3];
    for (int i = 0; i < 3; i++) {
        g[i] = gradients(&cfg, &o[i], lengths, 1, &n, &sums[i]);
        double d = mkit_off(g[i], g[0], (int64_t)n);
        CHECK(i == 0 || (d > 0 && d < 0.05), "%d: %g", i, d);
        CHECK(fabs(sums[i].loss / sums[0].loss - 1) < 0.02, "%d: %g %g", i, sums[i].loss, sums[0].loss);
    }
    for (int i = 0; i < 3; i++) {
        free(g[i]);
    }
}
