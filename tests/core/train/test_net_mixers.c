/* Mixers that can less: one that cannot be trained, one that takes one sequence at a time. A table of its own. */
#include "model/mixer.h"
#include "net_kit.h"
#include "support/test.h"

static mbs_mixer fixed; /* mamba1 without a way back */
static mbs_mixer alone; /* mamba1 without `many` */

const mbs_mixer *const mbs_mixers[] = {&mbs_mixer_mamba1, &fixed, &alone, NULL};

static void fill_table(void) {
    fixed = alone = mbs_mixer_mamba1;
    fixed.name = "fixed1";
    fixed.model_type = "fixed";
    fixed.original = NULL;
    fixed.train = NULL;
    alone.name = "alone1";
    alone.model_type = "alone";
    alone.original = NULL;
    alone.many = 0;
}

static mbs_model_config shape(const char *mixer) {
    const char *const set[] = {"mixer", mixer, NULL};
    fill_table();
    return nkit_shape(set);
}

MBS_TEST(net_mixers, what_cannot_be_trained_is_refused) {
    mbs_model_config cfg = shape("fixed1");
    mbs_net_options o = {0};
    mbs_err err = {0};
    mbs_net *net;
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    CHECK_INT(mbs_net_fresh(&cfg, 1, &o, ctx, &net, &err), MBS_ERR_UNAVAILABLE);
    CHECK_STR(err.what, "layers of kind 'fixed1' run but cannot be trained");
    CHECK(net == NULL);
    mbk_close(ctx);
}

/* Side by side or one after the other: the same loss, the same gradient but for rounding. */
MBS_TEST(net_mixers, one_sequence_at_a_time) {
    static const int64_t lengths[] = {40, 7, 150, 1, 0};
    float g[2][12];
    mbs_net_sums sums[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        mbs_model_config cfg = shape(i ? "alone1" : "mamba1");
        mbs_net_options o = {.rows = 128};
        mbs_err err = {0};
        nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
        nkit_batch b = nkit_random(lengths, cfg.vocab_size, 5);
        OK(mbs_net_gradients(k.net, &b.b, 0.1, &sums[i], &err), &err);
        OK(mbs_net_get(k.net, "backbone.norm_f.weight", 1, g[i], 12, &err), &err);
        nkit_batch_free(&b);
        nkit_close(&k);
    }
    CHECK(fabs(sums[0].loss - sums[1].loss) <= 1e-9 * sums[0].loss && sums[0].scored == sums[1].scored);
    for (int i = 0; i < 12; i++) {
        CHECK(fabsf(g[0][i] - g[1][i]) <= 1e-5f * (1 + fabsf(g[0][i])), "%g %g", (double)g[0][i], (double)g[1][i]);
    }
}
