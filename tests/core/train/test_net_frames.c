/* A net that takes frames: gradients against differences, batches cut anywhere, what it learns is what runs. */
#include <string.h>

#include "base/rng.h"
#include "net_kit.h"
#include "support/test.h"

#define WIDTH 9

static mbs_model_config shape(void) {
    static const char *const set[] = {"d_model", "12",      "n_layer", "2",           "d_state",
                                      "5",       "dt_rank", "3",       "frame_width", "9"};
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i += 2) {
        OK(mbs_shape_set(&s, set[i], set[i + 1], &err), &err);
    }
    OK(mbs_shape_finish(&s, &err), &err);
    return s.cfg;
}

static float *with_frames(nkit_batch *b) {
    int64_t n = b->starts[b->b.n_seq] * WIDTH;
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)mbs_rng_normal(9, 4, (uint64_t)i);
    }
    b->b.ids = NULL;
    b->b.frames = x;
    b->b.weights = NULL;
    return x;
}

MBS_TEST(net_frames, gradients_are_those_of_differences) {
    static const int64_t lengths[] = {70, 3, 150, 0};
    mbs_model_config cfg = shape();
    for (int pool = MBS_NET_MEAN; pool <= MBS_NET_LAST; pool++) {
        mbs_net_options o = {.rows = 64, .classes = 3, .pool = (mbs_net_pool)pool};
        nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), pool);
        size_t n = 0;
        nkit_name *names = nkit_names(mbs_net_config(k.net), &n);
        nkit_stir(k.net, names, n);
        nkit_batch b = nkit_random(lengths, 8, 5);
        nkit_label(&b, 3);
        float *x = with_frames(&b);
        mbs_net_sums sums = {0};
        mbs_err err = {0};
        OK(mbs_net_gradients(k.net, &b.b, 1.0 / 3, &sums, &err), &err);
        int seen = 0;
        for (size_t i = 0; i < n; i++) {
            double off = nkit_off_along(k.net, &b.b, &names[i], 1);
            CHECK(off < 2e-2, "%s: %g", names[i].name, off);
            seen += strncmp(names[i].name, "backbone.frontend.", 18) == 0;
        }
        CHECK_INT(seen, 2);
        nkit_batch_free(&b);
        free(x);
        free(names);
        nkit_close(&k);
    }
}

/* The loss of a long recording in passes of 64 rows is that of one pass. */
MBS_TEST(net_frames, passes_do_not_show_in_the_loss) {
    static const int64_t lengths[] = {200, 5, 64, 0};
    mbs_model_config cfg = shape();
    double loss[2];
    for (int i = 0; i < 2; i++) {
        mbs_net_options o = {.rows = i ? 64 : 512, .classes = 3};
        nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
        nkit_batch b = nkit_random(lengths, 8, 5);
        nkit_label(&b, 3);
        float *x = with_frames(&b);
        loss[i] = nkit_loss(k.net, &b.b);
        x[3] = NAN;
        mbs_err err = {0};
        mbs_net_sums sums = {0};
        CHECK_INT(mbs_net_loss(k.net, &b.b, &sums, &err), MBS_ERR_DATA);
        CHECK_STR(err.what, "frame 0 holds a number that is none (NaN)");
        b.b.frames = NULL;
        CHECK_INT(mbs_net_loss(k.net, &b.b, &sums, &err), MBS_ERR_CONFIG);
        nkit_batch_free(&b);
        free(x);
        nkit_close(&k);
    }
    CHECK(memcmp(&loss[0], &loss[1], sizeof loss[0]) == 0, "%.17g is not %.17g", loss[0], loss[1]);
}

MBS_TEST(net_frames, a_language_model_of_frames_is_refused) {
    mbs_model_config cfg = shape();
    mbs_net_options o = {.rows = 64};
    mbs_err err = {0};
    mbs_net *net = NULL;
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    CHECK_INT(mbs_net_fresh(&cfg, 1, &o, ctx, &net, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "a model that takes frames predicts no tokens");
    CHECK(!net);
    mbk_close(ctx);
}
