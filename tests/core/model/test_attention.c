/* The attention block against the golden one, with and without a convolution, whole and in pieces; hybrids as the
 * original code writes them. */
#include <math.h>

#include "base/path.h"
#include "model/init.h"
#include "model/mixer.h"
#include "model/shape.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"
#include "support/vectors.h"

#define B 2
#define L 13
#define D 16
#define PAST 64

static mbs_model_config block_config(int conv) {
    mbs_model_config c = {.d_model = D, .n_layer = 1};
    mbs_layer_sizes z;
    mbs_err err = {0};
    mbs_mixer_usual_sizes(&mbs_mixer_attention, &z);
    z.n_heads = 4;
    z.n_key_heads = 2;
    z.head_dim = 8;
    z.rotary = 4;
    z.d_conv = conv ? 4 : 0;
    c.n_layer = 0;
    OK(mbs_mixer_attention.settle(&c, &z, &err), &err);
    OK(mbs_config_add_layers(&c, &mbs_mixer_attention, &z, 1, &err), &err);
    return c;
}

/* Both batches of the file in calls of `step` rows. */
static double off_by(mbk_level level, int apart, int conv, int step) {
    const mbs_mixer *mixer = &mbs_mixer_attention;
    const mbs_model_config c = block_config(conv);
    mbs_err err = {0};
    mbk_ctx *ctx = mkit_open(level, apart);
    const mbk_ops *ops = ctx->ops;
    mbs_st *file;
    OK(mbs_st_open(MBS_SOURCE_DIR "/tests/data/reference/attention.safetensors", &file, &err), &err);
    mbs_st_set set = {.files = &file, .n_files = 1};
    mbs_loader ld = {.set = &set, .ctx = ctx, .err = &err};
    void *layer;
    OK(mixer->load(&c, 0, &ld, &layer), &err);
    mbs_loader_free(&ld);
    vec_file *v = vec_open("attention");
    const int64_t state = mixer->state_floats(&c, 0);
    const int64_t each = mixer->past_floats(&c, 0);
    mbk_buf *in;
    mbk_buf *out;
    mbk_buf *st;
    mbk_buf *past;
    mbk_buf *scratch;
    CHECK(ops->buf_new(ctx, L * D * 4, &in) >= 0 && ops->buf_new(ctx, L * D * 4, &out) >= 0);
    CHECK(ops->buf_new(ctx, (size_t)(state + 1) * 4, &st) >= 0);
    CHECK(ops->buf_new(ctx, (size_t)(PAST * each) * 4, &past) >= 0);
    CHECK(ops->buf_new(ctx, (size_t)mixer->scratch_floats(&c, 0, L) * 4, &scratch) >= 0);
    CHECK(ops->reserve(ctx, L, mixer->widest(&c, 0)) >= 0);
    static float got[B * L * D];
    for (int b = 0; b < B; b++) {
        CHECK(ops->zero(ctx, (mbk_mat){st, 0, 1, state, state}) >= 0);
        CHECK(ops->zero(ctx, (mbk_mat){out, 0, L, D, D}) >= 0);
        CHECK(ops->upload(ctx, in, 0, vec_f32(v, "u") + (ptrdiff_t)b * L * D, L * D * 4) >= 0);
        for (int at = 0; at < L; at += step) {
            int n = L - at < step ? L - at : step;
            mbs_mixer_call call = {.ctx = ctx,
                                   .out = {out, (int64_t)at * D, n, D, D},
                                   .in = {in, (int64_t)at * D, n, D, D},
                                   .state = st,
                                   .scratch = scratch,
                                   .scratch_rows = L,
                                   .position = at,
                                   .past = past,
                                   .past_rows = PAST};
            CHECK(mixer->forward(layer, &call) >= 0);
        }
        CHECK(ops->download(ctx, got + (ptrdiff_t)b * L * D, out, 0, L * D * 4) >= 0);
    }
    double off = vec_maxrel(got, vec_f64(v, conv ? "conv" : "plain"), (int64_t)B * L * D);
    vec_close(v);
    mixer->unload(ctx, layer);
    mbk_buf *bufs[] = {in, out, st, past, scratch};
    for (int i = 0; i < 5; i++) {
        ops->buf_free(ctx, bufs[i]);
    }
    mbs_st_close(file);
    mbk_close(ctx);
    return off;
}

MBS_TEST(attention, golden) {
    static const int steps[] = {L, 5, 1};
    for (int conv = 0; conv < 2; conv++) {
        for (int i = 0; i < 3; i++) {
            EACH_LEVEL(level) {
                double off = off_by(level, 0, conv, steps[i]);
                CHECK(off < 3e-6, "%s, conv %d, %d rows: off by %g", mbk_level_name(level), conv, steps[i], off);
            }
            CHECK(off_by(mbk_level_best(), 1, conv, steps[i]) < 3e-6);
        }
    }
}

/* --- configs --------------------------------------------------------------------------------------------------------
 */

#define HYBRID(ATTN)                                                                                                   \
    "{\"d_model\": 32, \"n_layer\": 4, \"vocab_size\": 11, \"attn_layer_idx\": [1, 3], \"attn_cfg\": {" ATTN "}}"

static mbs_status parse(const char *text, mbs_model_config *c, mbs_err *err) {
    *err = (mbs_err){0};
    return mbs_config_parse(text, strlen(text), "m/config.json", c, err);
}

MBS_TEST(attention, the_hybrids_of_the_original_code) {
    mbs_model_config c;
    mbs_err err;
    OK(parse(HYBRID("\"causal\": true, \"d_conv\": 4, \"head_dim\": 16, \"num_heads\": 6, \"out_proj_bias\": false, "
                    "\"qkv_proj_bias\": false, \"rotary_emb_dim\": 8, \"num_heads_kv\": null"),
             &c, &err),
       &err);
    CHECK(c.n_layer == 4 && c.n_kinds == 2 && c.layout == MBS_LAYOUT_ORIGINAL);
    CHECK(mbs_mixer_of_layer(&c, 0) == &mbs_mixer_mamba1 && mbs_mixer_of_layer(&c, 3) == &mbs_mixer_attention);
    const mbs_layer_sizes *z = mbs_config_sizes(&c, 1);
    CHECK(z->n_heads == 6 && z->n_key_heads == 6 && z->head_dim == 16 && z->rotary == 8 && z->d_conv == 4);
    CHECK(mbs_config_sizes(&c, 2)->d_inner == 64 && mbs_config_sizes(&c, 2)->dt_rank == 2);
    int64_t most = -1;
    CHECK(mbs_config_grows(&c, &most) == 2 * 2 * 96 * 4 && most == 0);
}

MBS_TEST(attention, what_cannot_be_is_refused_by_name) {
    static const char *const bad[][2] = {
        {HYBRID("\"num_heads\": 4"), "'attn_cfg.causal' is not true"},
        {HYBRID("\"causal\": true, \"num_heads\": 5"), "'d_model' does not divide into 'num_heads'"},
        {HYBRID("\"causal\": true, \"num_heads\": 4, \"num_heads_kv\": 3"), "no multiple of 'num_heads_kv'"},
        {HYBRID("\"causal\": true, \"num_heads\": 4, \"rotary_emb_dim\": 3"), "'rotary_emb_dim' is odd"},
        {HYBRID("\"causal\": true, \"num_heads\": 4, \"rotary_emb_dim\": 10"), "more than 'head_dim'"},
        {HYBRID("\"causal\": true, \"num_heads\": 4, \"head_dim\": 600"), "'head_dim' is above 512"},
        {HYBRID("\"causal\": true, \"heads\": 4"), "'heads' is not a key of a layer of mixer 'attention'"},
        {"{\"d_model\": 32, \"n_layer\": 4, \"attn_layer_idx\": [1, 4], \"attn_cfg\": {\"causal\": true}}",
         "'attn_layer_idx' names no layer in its place 1"},
        {"{\"d_model\": 32, \"n_layer\": 4, \"attn_layer_idx\": [-1], \"attn_cfg\": {\"causal\": true}}",
         "in its place 0"},
        {"{\"d_model\": 32, \"n_layer\": 4, \"attn_layer_idx\": [0]}", "'attn_cfg.causal'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mbs_model_config c;
        mbs_err err;
        CHECK_INT(parse(bad[i][0], &c, &err), MBS_ERR_DATA);
        CHECK(strstr(err.what, bad[i][1]), "\"%s\" does not say \"%s\"", err.what, bad[i][1]);
        CHECK_STR(err.where, "m/config.json");
    }
}

/* --- a stream that grows --------------------------------------------------------------------------------------------
 */

static void init(const char *folder, const char *window) {
    static const char *const pairs[] = {"d_model",           "16",        "n_layer", "2", "vocab", "21", "mixer",
                                        "attention, mamba1", "num_heads", "2",       NULL};
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    for (const char *const *p = pairs; *p; p += 2) {
        OK(mbs_shape_set(&s, p[0], p[1], &err), &err);
    }
    OK(mbs_shape_set(&s, "window", window, &err), &err);
    OK(mbs_shape_finish(&s, &err), &err);
    OK(mbs_model_init(folder, &s.cfg, 5, MBS_INIT_FORCE, &err), &err);
}

static void feed(mbs_session *s, int64_t from, int64_t n, float *logits) {
    mbs_err err = {0};
    int32_t ids[512];
    mbs_run_out out = {.last_logits = logits, .layer = -1};
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (int32_t)((from + i) * 7 % 21);
    }
    OK(mbs_session_run(s, ids, n, &out, &err), &err);
}

/* The state is as long as what was seen, up to the window; a fork and a restored stream go on as the first. */
MBS_TEST(attention, the_state_grows_with_what_was_seen) {
    char dir[256];
    test_tmp_enter(dir);
    for (int w = 0; w < 2; w++) {
        mbs_err err = {0};
        float want[24];
        float got[24];
        mbs_buf blob = MBS_BUF_INIT;
        mbs_session *fork;
        init("m", w ? "100" : "0");
        mkit k = mkit_start("m", mbk_level_best(), 0, 512);
        OK(mbs_session_new(k.m, 512, &fork, &err), &err);
        size_t empty = mbs_model_state_bytes(k.m);
        CHECK(mbs_session_state_bytes(k.s) == empty);
        feed(k.s, 0, 90, want);
        CHECK(mbs_session_state_bytes(k.s) == empty + (size_t)90 * 2 * 16 * 4);
        feed(k.s, 90, 410, want);
        CHECK(mbs_session_state_bytes(k.s) == empty + (size_t)(w ? 99 : 500) * 2 * 16 * 4);
        OK(mbs_session_save(k.s, &blob, &err), &err);
        CHECK(blob.len == mbs_session_state_bytes(k.s));
        feed(fork, 5, 300, got);
        OK(mbs_session_copy(fork, k.s, &err), &err);
        feed(k.s, 500, 33, want);
        feed(fork, 500, 33, got);
        CHECK(mkit_same(got, want, 21), "a fork");
        OK(mbs_session_reset(fork, &err), &err);
        feed(fork, 3, 10, got);
        OK(mbs_session_restore(fork, blob.data, blob.len, &err), &err);
        feed(fork, 500, 33, got);
        CHECK(mkit_same(got, want, 21), "a restored stream");
        CHECK_INT(mbs_session_restore(fork, blob.data, blob.len - 4, &err), MBS_ERR_DATA);
        blob.data[20] = (char)0xFF; /* the tokens */
        blob.data[27] = (char)0xFF;
        CHECK_INT(mbs_session_restore(fork, blob.data, blob.len, &err), MBS_ERR_DATA);
        mbs_buf_free(&blob);
        mbs_session_free(fork);
        mkit_close(&k);
    }
    test_tmp_leave(dir);
}

/* Many megabytes a token: what was saved comes back. */
MBS_TEST(attention, a_large_past_is_restored) {
    static const char *const pairs[] = {"d_model",   "2",    "n_layer",  "1",   "vocab",  "21", "mixer", "attention",
                                        "num_heads", "1024", "head_dim", "512", "window", "4",  NULL};
    mbs_err err = {0};
    mbs_shape s;
    mbs_buf blob = MBS_BUF_INIT;
    float want[24];
    float got[24];
    mbs_shape_default(&s);
    for (const char *const *p = pairs; *p; p += 2) {
        OK(mbs_shape_set(&s, p[0], p[1], &err), &err);
    }
    OK(mbs_shape_finish(&s, &err), &err);
    mkit k = {.ctx = mkit_open(mbk_level_best(), 0)};
    OK(mbs_model_fresh(&s.cfg, 5, k.ctx, &k.m, &err), &err);
    OK(mbs_session_new(k.m, 3, &k.s, &err), &err);
    feed(k.s, 0, 3, want);
    OK(mbs_session_save(k.s, &blob, &err), &err);
    CHECK(blob.len == mbs_model_state_bytes(k.m) + (size_t)3 * 4 * 1048576);
    feed(k.s, 3, 1, want);
    OK(mbs_session_reset(k.s, &err), &err);
    OK(mbs_session_restore(k.s, blob.data, blob.len, &err), &err);
    feed(k.s, 3, 1, got);
    CHECK(mkit_same(got, want, 21), "a restored stream");
    mbs_buf_free(&blob);
    mkit_close(&k);
}
