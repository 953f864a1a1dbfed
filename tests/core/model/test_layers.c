/* Models whose layers differ: from a shape to a folder, read back, and the laws of a stream. */
#include <math.h>

#include "base/buf.h"
#include "model/init.h"
#include "model/mixer.h"
#include "model/place.h"
#include "model/shape.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define LEN 1100 /* what attention keeps grows twice in it */

typedef struct form {
    const char *name;
    mbs_layout layout;
    const char *pairs[24]; /* keys and values of a shape */
} form;

static const form forms[] = {
    {"two kinds", MBS_LAYOUT_OWN, {"mixer", "mamba1, mamba2", "head_dim", "8", "mamba2.d_state", "5", "norm", "layer"}},
    {"with mlp", MBS_LAYOUT_OWN, {"mixer", "mamba1,mamba2,mamba1", "head_dim", "4", "mlp", "gated", "mlp_width", "24"}},
    {"attention",
     MBS_LAYOUT_OWN,
     {"mixer", "attention", "num_heads", "4", "num_heads_kv", "2", "rotary_emb_dim", "2", "norm", "layer"}},
    {"a hybrid of the original code",
     MBS_LAYOUT_ORIGINAL,
     {"mixer", "mamba1, attention", "num_heads", "2", "rotary_emb_dim", "4", "attention.d_conv", "4", "mlp_dim", "100",
      "qkv_proj_bias", "true", "out_proj_bias", "true"}},
    {"a window",
     MBS_LAYOUT_OWN,
     {"mlp", "gelu_tanh", "mixer", "attention, mamba2", "mamba2.head_dim", "8", "num_heads", "2", "window", "33",
      "rotary_emb_dim", "8", "rotary_emb_interleaved", "true"}},
    {"gelu", MBS_LAYOUT_OWN, {"mixer", "attention, mamba1", "num_heads", "4", "mlp", "gelu", "mlp_width", "20"}},
    {"original with mlp",
     MBS_LAYOUT_ORIGINAL,
     {"mixer", "mamba2", "head_dim", "8", "mlp", "gated", "mlp_width", "128"}},
    {"cells", MBS_LAYOUT_OWN, {"mixer", "lstm, gru", "expand", "1.5"}},
    {"hyena", MBS_LAYOUT_OWN, {"mixer", "hyena, mamba1", "l_max", "1100", "filter_order", "7", "emb_dim", "3"}},
    {"h3", MBS_LAYOUT_OWN, {"mixer", "h3, h3, gru", "h3.d_state", "6"}},
    {"h3 with heads", MBS_LAYOUT_OWN, {"mixer", "h3, gru", "h3.d_state", "6", "head_dim", "4"}},
    {"state spaces", MBS_LAYOUT_OWN, {"mixer", "s4d, s4, mamba1", "d_state", "8", "s4d.init", "lin"}},
    {"state spaces as convolutions",
     MBS_LAYOUT_OWN,
     {"mixer", "s4d, s4, mamba1", "d_state", "8", "s4d.init", "inv", "convolve", "1100"}},
    {"stages", MBS_LAYOUT_OWN, {"mixer", "mamba1, s4d", "pool", "4, 3", "s4d.d_state", "6", "norm", "layer"}},
    {"stages with mlp",
     MBS_LAYOUT_OWN,
     {"mixer", "s4, mamba2, gru", "pool", "5", "pool_down", "false", "pool.expand", "1.5", "mamba2.expand", "2",
      "head_dim", "8", "s4.d_state", "6", "gru.expand", "1", "mlp", "gated"}},
    {"stages as convolutions", MBS_LAYOUT_OWN, {"mixer", "s4d", "pool", "2", "d_state", "6", "convolve", "1100"}},
};
#define N_FORMS (sizeof forms / sizeof forms[0])

static void init(const form *f, const char *folder) {
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    OK(mbs_shape_set(&s, "d_model", "16", &err), &err);
    OK(mbs_shape_set(&s, "n_layer", "3", &err), &err);
    OK(mbs_shape_set(&s, "vocab", "21", &err), &err);
    for (const char *const *p = f->pairs; *p; p += 2) {
        OK(mbs_shape_set(&s, p[0], p[1], &err), &err);
    }
    OK(mbs_shape_finish(&s, &err), &err);
    CHECK(s.cfg.layout == f->layout, "%s is written in layout %d", f->name, (int)s.cfg.layout);
    OK(mbs_model_init(folder, &s.cfg, 5, MBS_INIT_FORCE, &err), &err);
}

static int32_t *random_ids(void) {
    int32_t *ids = mkit_random_ids(LEN);
    for (int i = 0; i < LEN; i++) {
        ids[i] = (ids[i] * 5 + i) % 21;
    }
    return ids;
}

static void feed(mkit *k, const int32_t *ids, int64_t from, int64_t to, float *lp) {
    mbs_err err = {0};
    mbs_run_out out = {.logprob = lp + from, .layer = -1};
    OK(mbs_session_run(k->s, ids + from, to - from, &out, &err), &err);
}

/* Whole, in chunks of 1, 7 and 300, with a state saved in the middle: the same bits. */
MBS_TEST(layers, a_stream_keeps_its_bits) {
    char dir[256];
    static float want[LEN];
    static float got[LEN];
    float unused[9];
    int32_t *ids = random_ids();
    test_tmp_enter(dir);
    for (size_t f = 0; f < N_FORMS; f++) {
        init(&forms[f], "m");
        mkit whole = mkit_start("m", mbk_level_best(), 0, LEN);
        feed(&whole, ids, 0, LEN, want);
        CHECK(isnan(want[0]) && want[LEN - 1] < 0, "%s", forms[f].name);
        static const int64_t steps[] = {1, 7, 300};
        for (int i = 0; i < 3; i++) {
            mbs_err err = {0};
            mkit k = mkit_start("m", mbk_level_best(), i == 1, steps[i]);
            mbs_buf blob = MBS_BUF_INIT;
            for (int64_t at = 0; at < LEN; at += steps[i]) {
                feed(&k, ids, at, at + steps[i] < LEN ? at + steps[i] : LEN, got);
                if (at / steps[i] % 40 == 1) { /* through a saved state into another session */
                    mkit other = mkit_start("m", mbk_level_best(), 0, 300);
                    mbs_buf_clear(&blob);
                    OK(mbs_session_save(k.s, &blob, &err), &err);
                    feed(&other, ids, 0, 9, unused);
                    OK(mbs_session_restore(other.s, blob.data, blob.len, &err), &err);
                    OK(mbs_session_reset(k.s, &err), &err);
                    OK(mbs_session_restore(k.s, blob.data, blob.len, &err), &err);
                    mkit_close(&other);
                }
            }
            CHECK(mkit_same(got + 1, want + 1, LEN - 1), "%s in chunks of %d", forms[f].name, (int)steps[i]);
            mbs_buf_free(&blob);
            mkit_close(&k);
        }
        mkit_close(&whole);
    }
    test_tmp_leave(dir);
    free(ids);
}

/* Runs the first `n` tokens under a limit of memory; 0 where there is no room for them. */
static int feed_limited(mkit *k, int64_t bytes, const int32_t *ids, int64_t n, float *lp) {
    mbs_err err = {0};
    mbs_model_options o = {.max_memory = bytes};
    *k = (mkit){.ctx = mkit_open(mbk_level_best(), 0)};
    mbs_status st = mbs_model_open_as("m", &o, k->ctx, &k->m, &err);
    st = st < 0 ? st : mbs_session_new(k->m, 256, &k->s, &err);
    for (int64_t at = 0; at < n && st >= 0; at += 256) {
        mbs_run_out out = {.logprob = lp + at, .layer = -1};
        st = mbs_session_run(k->s, ids + at, n - at < 256 ? n - at : 256, &out, &err);
    }
    CHECK(st >= 0 || st == MBS_ERR_MEMORY, "%s", err.what);
    return st >= 0;
}

/* A state made where there was room for 512 positions goes on where there is room for all, and is as large as one that
 * was made there: with 512 tokens the next level of the filters begins. */
MBS_TEST(layers, a_state_does_not_tell_the_room) {
    static const int tokens[] = {512, 500};
    char dir[256];
    static float want[LEN];
    static float got[LEN];
    int32_t *ids = random_ids();
    test_tmp_enter(dir);
    for (size_t f = 0; f < N_FORMS; f++) {
        if (strcmp(forms[f].name, "hyena") != 0 && strcmp(forms[f].name, "state spaces as convolutions") != 0) {
            continue;
        }
        init(&forms[f], "m");
        mkit whole = mkit_start("m", mbk_level_best(), 0, LEN);
        feed(&whole, ids, 0, LEN, want);
        for (int i = 0; i < 2; i++) {
            mbs_err err = {0};
            mkit k;
            mbs_buf blob = MBS_BUF_INIT;
            int64_t bytes = 100000;
            for (; !feed_limited(&k, bytes, ids, tokens[i], got); bytes += 10000) {
                mkit_close(&k);
            }
            mbs_run_out out = {.logprob = got, .layer = -1};
            CHECK(tokens[i] < 512 || mbs_session_run(k.s, ids, 1, &out, &err) == MBS_ERR_MEMORY, "room for more");
            OK(mbs_session_save(k.s, &blob, &err), &err);
            CHECK_INT(blob.len, mbs_session_state_bytes(k.s));
            mkit_close(&k);
            OK(mbs_session_reset(whole.s, &err), &err);
            OK(mbs_session_restore(whole.s, blob.data, blob.len, &err), &err);
            CHECK_INT(blob.len, mbs_session_state_bytes(whole.s));
            CHECK(blob.len < mbs_model_state_bytes(whole.m));
            while (blob.len < mbs_model_state_bytes(whole.m)) { /* as mbs_lm_save fills it up */
                mbs_buf_putc(&blob, '\0');
            }
            OK(mbs_session_restore(whole.s, blob.data, blob.len, &err), &err);
            blob.data[8] = 1; /* of the version that held all there was room for */
            mbs_err_clear(&err);
            CHECK_INT(mbs_session_restore(whole.s, blob.data, blob.len, &err), MBS_ERR_DATA);
            CHECK(strstr(err.what, "another version") && err.fix[0], "%s", err.what);
            mbs_err_clear(&err);
            feed(&whole, ids, tokens[i], LEN, got);
            CHECK(mkit_same(got + 1, want + 1, LEN - 1), "%s after %d tokens", forms[f].name, tokens[i]);
            /* And one that has gone further than a limit allows is refused under it, not taken for damaged. */
            mbs_buf_clear(&blob);
            OK(mbs_session_save(whole.s, &blob, &err), &err);
            CHECK(feed_limited(&k, bytes, ids, 1, got));
            CHECK_INT(mbs_session_restore(k.s, blob.data, blob.len, &err), MBS_ERR_MEMORY);
            mkit_close(&k);
            mbs_buf_free(&blob);
        }
        mkit_close(&whole);
    }
    test_tmp_leave(dir);
    free(ids);
}

/* A device without the operations of a mixer says which, and what to do. */
MBS_TEST(layers, a_device_that_lacks_a_mixer) {
    static const char *const names[] = {"s4", "s4d", "h3", "hyena", "lstm", "gru", "pool"};
    const mbk_ops ops = {.name = "cuda", .device = "cuda"};
    mbk_ctx ctx = {&ops};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char want[80];
        mbs_err err = {0};
        mbs_model_config cfg = {.layout = MBS_LAYOUT_OWN, .n_layer = 1, .n_kinds = 1};
        cfg.kind[0].mixer = mbs_mixer_named(names[i]);
        snprintf(want, sizeof want, "'cuda' cannot compute layers of mixer '%s'", names[i]);
        CHECK_INT(mbs_model_runs_on(&cfg, &ctx, &err), MBS_ERR_UNAVAILABLE);
        CHECK_STR(err.what, want);
        CHECK_STR(err.fix, "take --device cpu");
    }
}

/* Short sequences side by side are those alone. */
MBS_TEST(layers, many_at_once) {
    char dir[256];
    static const int32_t starts[] = {0, 3, 4, 90, 160};
    static float want[160];
    static float got[160];
    int32_t *ids = random_ids();
    test_tmp_enter(dir);
    for (size_t f = 0; f < N_FORMS; f++) {
        mbs_err err = {0};
        init(&forms[f], "m");
        mkit k = mkit_start("m", mbk_level_best(), 0, 160);
        if (strstr(forms[f].name, "stages")) { /* groups of rows begin anew with a sequence: one at a time */
            CHECK(!mbs_model_takes_many(k.m));
            mkit_close(&k);
            continue;
        }
        CHECK(mbs_model_takes_many(k.m));
        for (int i = 0; i < 4; i++) {
            OK(mbs_session_reset(k.s, &err), &err);
            feed(&k, ids, starts[i], starts[i + 1], want);
        }
        mbs_run_out out = {.logprob = got, .layer = -1};
        OK(mbs_session_run_many(k.s, ids, starts, 4, &out, &err), &err);
        CHECK(mkit_same(got, want, 160), "%s", forms[f].name);
        mkit_close(&k);
    }
    test_tmp_leave(dir);
    free(ids);
}

/* Each level against the plain one, and a backend whose memory cannot be read between operations. */
MBS_TEST(layers, levels_agree) {
    char dir[256];
    static float want[LEN];
    static float got[LEN];
    int32_t *ids = random_ids();
    test_tmp_enter(dir);
    for (size_t f = 0; f < N_FORMS; f++) {
        init(&forms[f], "m");
        mkit ref = mkit_start("m", MBK_LEVEL_REF, 0, LEN);
        feed(&ref, ids, 0, LEN, want);
        for (int apart = 0; apart < 2; apart++) {
            mkit k = mkit_start("m", mbk_level_best(), apart, LEN);
            feed(&k, ids, 0, LEN, got);
            for (int i = 1; i < LEN; i++) {
                CHECK(fabsf(got[i] - want[i]) < 2e-5f, "%s: %g %g", forms[f].name, (double)got[i], (double)want[i]);
            }
            mkit_close(&k);
        }
        mkit_close(&ref);
    }
    test_tmp_leave(dir);
    free(ids);
}
