/* Time steps of another length: a row that stands for two is taken as two of the same. */
#include <math.h>

#include "base/buf.h"
#include "model/init.h"
#include "model/shape.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define LEN 120 /* at the lower rate */
#define D 16

static void init(const char *mixer, const char *layers, const char *more, const char *value) {
    mbs_err err = {0};
    mbs_shape s;
    const char *pairs[] = {"d_model", "16", "n_layer", layers, "vocab", "32", "mixer", mixer, more, value};
    mbs_shape_default(&s);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0] && pairs[i]; i += 2) {
        OK(mbs_shape_set(&s, pairs[i], pairs[i + 1], &err), &err);
    }
    OK(mbs_shape_finish(&s, &err), &err);
    OK(mbs_model_init("m", &s.cfg, 3, MBS_INIT_FORCE, &err), &err);
}

static void run(double scale, const int32_t *ids, int64_t n, float *out) {
    mbs_err err = {0};
    mbs_model *m;
    mbs_session *s;
    mbs_model_options o = {.rate_scale = scale};
    mbs_run_out want = {.hidden = out, .layer = -1};
    mbk_ctx *ctx = mkit_open(mbk_level_best(), 0);
    OK(mbs_model_open_as("m", &o, ctx, &m, &err), &err);
    OK(mbs_session_new(m, 2L * LEN, &s, &err), &err);
    OK(mbs_session_run(s, ids, n, &want, &err), &err);
    mbs_session_free(s);
    mbs_model_close(m);
    mbk_close(ctx);
}

/* Mean error of outputs at the lower rate against every second of those at the higher, in their own size. */
static double off(double scale) {
    static float fine[2 * LEN * D];
    static float coarse[LEN * D];
    int32_t ids[2 * LEN];
    double error = 0;
    double size = 0;
    for (int i = 0; i < LEN; i++) { /* slow enough for the lower rate: each token twice */
        ids[2 * i] = ids[2 * i + 1] = (i / 12 * 11 + 5) % 32;
    }
    run(0, ids, 2L * LEN, fine);
    for (int i = 0; i < LEN; i++) {
        ids[i] = (i / 12 * 11 + 5) % 32;
    }
    run(scale, ids, LEN, coarse);
    for (int i = 0; i < LEN; i++) {
        for (int k = 0; k < D; k++) {
            const double want = (double)fine[(2 * i + 1) * D + k];
            error += fabs((double)coarse[i * D + k] - want);
            size += fabs(want);
        }
    }
    return error / size;
}

MBS_TEST(rate, two_rows_are_one_of_twice_the_time) {
    static const struct {
        const char *mixer, *layers, *key, *value;
        double most; /* a hold of zero order is exact; a layer behind another does not see the same twice */
    } forms[] = {
        {"s4d", "1", NULL, NULL, 1e-5},       {"s4d", "1", "convolve", "240", 1e-4}, {"s4d", "3", NULL, NULL, 0.1},
        {"s4", "1", NULL, NULL, 0.3}, /* bilinear, which is another thing for fast modes */
        {"mamba1", "1", "d_conv", "1", 0.05},
    };
    char dir[256];
    test_tmp_enter(dir);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        init(forms[i].mixer, forms[i].layers, forms[i].key, forms[i].value);
        double scaled = off(2);
        double plain = off(0);
        CHECK(scaled < forms[i].most && scaled < plain / 2, "%s, %s layers: off by %g, unscaled by %g", forms[i].mixer,
              forms[i].layers, scaled, plain);
    }
    test_tmp_leave(dir);
}

MBS_TEST(rate, what_has_no_time_step_is_refused) {
    char dir[256];
    mbs_err err = {0};
    mbs_model *m;
    test_tmp_enter(dir);
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    init("s4d, gru", "2", NULL, NULL);
    CHECK_INT(mbs_model_open_as("m", &(mbs_model_options){.rate_scale = 2}, ctx, &m, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "layers of mixer 'gru' have no time step to scale");
    init("s4d", "1", "pool", "2");
    err = (mbs_err){0};
    CHECK_INT(mbs_model_open_as("m", &(mbs_model_options){.rate_scale = 2}, ctx, &m, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "layers of mixer 'pool' have no time step to scale");
    err = (mbs_err){0};
    CHECK_INT(mbs_model_open_as("m", &(mbs_model_options){.rate_scale = NAN}, ctx, &m, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.where, "model.rate_scale");
    mbk_close(ctx);
    test_tmp_leave(dir);
}

/* A state belongs to its time steps. */
MBS_TEST(rate, a_state_of_other_steps_is_refused) {
    char dir[256];
    mbs_err err = {0};
    mbs_model *m[2];
    mbs_session *s[2];
    mbs_buf blob = MBS_BUF_INIT;
    test_tmp_enter(dir);
    init("mamba1", "1", NULL, NULL);
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    for (int i = 0; i < 2; i++) {
        OK(mbs_model_open_as("m", &(mbs_model_options){.rate_scale = i + 1}, ctx, &m[i], &err), &err);
        OK(mbs_session_new(m[i], 4, &s[i], &err), &err);
    }
    OK(mbs_session_save(s[0], &blob, &err), &err);
    CHECK_INT(mbs_session_restore(s[1], blob.data, blob.len, &err), MBS_ERR_DATA);
    mbs_buf_free(&blob);
    for (int i = 0; i < 2; i++) {
        mbs_session_free(s[i]);
        mbs_model_close(m[i]);
    }
    mbk_close(ctx);
    test_tmp_leave(dir);
}
