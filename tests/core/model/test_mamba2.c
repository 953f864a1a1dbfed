/* The Mamba-2 block against the golden block in all its variants, from a carried state, with the final states; the bits
 * of any cut; and its sizes in config.json. */
#include <math.h>

#include "model/mixer.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/vectors.h"

enum { L = 37, D = 16, DI = 32, P = 8, H = 4, G = 2, N = 8, W = 4, CONV = DI + 2 * G * N, Q = MBK_SSD_BLOCK };
enum { CONV_STATE = CONV * W, SSM_STATE = H * P * N, OPEN = H * Q * P + Q * G * N + 2 * Q * H };
enum { STATE = CONV_STATE + SSM_STATE + OPEN };

static mbs_model_config variant(const char *name) {
    mbs_model_config c = {.layout = MBS_LAYOUT_ORIGINAL,
                          .d_model = D,
                          .n_layer = 1,
                          .d_inner = DI,
                          .d_ssm = DI,
                          .d_state = N,
                          .d_conv = W,
                          .head_dim = P,
                          .n_groups = G,
                          .dt_max = INFINITY,
                          .gated_norm = 1,
                          .gated_eps = 1e-5,
                          .use_conv_bias = 1};
    c.norm_first = strcmp(name, "nbg.") == 0;
    c.norm_whole = strcmp(name, "ungrouped.") == 0;
    if (strcmp(name, "limit.") == 0) {
        c.dt_min = 0.05;
        c.dt_max = 0.5;
    }
    return c;
}

typedef struct block {
    mbs_model_config cfg;
    mbk_ctx *ctx;
    void *layer;
    mbk_buf *in, *out, *state, *scratch;
} block;

static block start(mbk_level level, int test_backend, const char *name) {
    mbs_err err = {0};
    block b = {.cfg = variant(name), .ctx = mkit_open(level, test_backend)};
    mbs_st *file;
    OK(mbs_st_open(MBS_SOURCE_DIR "/tests/data/reference/mamba2_block.safetensors", &file, &err), &err);
    mbs_st_set set = {.files = &file, .n_files = 1};
    mbs_loader ld = {.set = &set, .ctx = b.ctx, .err = &err};
    OK(mbs_mixer_mamba2.load(&b.cfg, 0, &ld, &b.layer), &err);
    mbs_loader_free(&ld);
    mbs_st_close(file);
    CHECK_INT(mbs_mixer_mamba2.state_floats(&b.cfg, 0), STATE);
    CHECK(b.ctx->ops->buf_new(b.ctx, L * D * 4, &b.in) >= 0);
    CHECK(b.ctx->ops->buf_new(b.ctx, L * D * 4, &b.out) >= 0);
    CHECK(b.ctx->ops->buf_new(b.ctx, STATE * 4, &b.state) >= 0);
    CHECK(b.ctx->ops->buf_new(b.ctx, (size_t)mbs_mixer_mamba2.scratch_floats(&b.cfg, 0, L) * 4, &b.scratch) >= 0);
    return b;
}

static void end(block *b) {
    mbs_mixer_mamba2.unload(b->ctx, b->layer);
    mbk_buf *bufs[] = {b->in, b->out, b->state, b->scratch};
    for (int i = 0; i < 4; i++) {
        b->ctx->ops->buf_free(b->ctx, bufs[i]);
    }
    mbk_close(b->ctx);
}

/* Runs one batch of the golden file from row `first` of its block on, in calls of `step` rows; `canonical` is the state
 * before and after. */
static void run(block *b, const float *in, float *out, float *canonical, int step) {
    const mbk_ops *ops = b->ctx->ops;
    float device[STATE];
    float zeros[L * D] = {0};
    mbs_mixer_mamba2.restore(&b->cfg, 0, canonical, device);
    CHECK(ops->upload(b->ctx, b->state, 0, device, sizeof device) >= 0);
    CHECK(ops->upload(b->ctx, b->in, 0, in, L * D * 4) >= 0);
    CHECK(ops->upload(b->ctx, b->out, 0, zeros, sizeof zeros) >= 0);
    for (int at = 0; at < L; at += step) {
        int n = L - at < step ? L - at : step;
        mbs_mixer_call call = {.ctx = b->ctx,
                               .out = {b->out, at * D, n, D, D},
                               .in = {b->in, at * D, n, D, D},
                               .state = b->state,
                               .scratch = b->scratch,
                               .scratch_rows = L,
                               .position = at};
        CHECK(mbs_mixer_mamba2.forward(b->layer, &call) >= 0);
    }
    CHECK(ops->download(b->ctx, out, b->out, 0, L * D * 4) >= 0);
    CHECK(ops->download(b->ctx, device, b->state, 0, sizeof device) >= 0);
    mbs_mixer_mamba2.save(&b->cfg, 0, device, canonical);
}

static void golden_state(const vec_file *f, int batch, float *state) {
    memset(state, 0, STATE * sizeof *state);
    memcpy(state, vec_f32(f, "conv_state") + batch * CONV_STATE, CONV_STATE * 4);
    memcpy(state + CONV_STATE, vec_f32(f, "ssm_state") + batch * SSM_STATE, SSM_STATE * 4);
}

/* The heads' state after the last row, of the canonical state: what the open block adds. */
static void ssm_now(const float *state, float *now) {
    const float *ssm = state + CONV_STATE;
    const float *x = ssm + SSM_STATE;
    const float *b = x + H * Q * P;
    const float *lam = b + Q * G * N;
    for (int h = 0; h < H; h++) {
        const float *l = lam + h * 2 * Q;
        double last = (double)l[L - 1] + (double)l[Q + L - 1];
        for (int p = 0; p < P; p++) {
            for (int n = 0; n < N; n++) {
                double sum = exp(last) * (double)ssm[(h * P + p) * N + n];
                for (int j = 0; j < L; j++) {
                    double weight = exp(last - (double)l[j] - (double)l[Q + j]);
                    sum += weight * (double)x[(h * Q + j) * P + p] * (double)b[(j * G + h / (H / G)) * N + n];
                }
                now[(h * P + p) * N + n] = (float)sum;
            }
        }
    }
}

static void check_variant(mbk_level level, int test_backend, const char *name, const char *final) {
    vec_file *f = vec_open("mamba2_block");
    block b = start(level, test_backend, name);
    float out[2 * L * D];
    float conv[2 * CONV_STATE];
    float ssm[2 * SSM_STATE];
    char tensor[32];
    for (int i = 0; i < 2; i++) {
        float state[STATE];
        golden_state(f, i, state);
        run(&b, vec_f32(f, "hidden") + i * L * D, out + i * L * D, state, L);
        memcpy(conv + i * CONV_STATE, state, CONV_STATE * 4);
        ssm_now(state, ssm + i * SSM_STATE);
    }
    const char *at = mbk_level_name(level);
    snprintf(tensor, sizeof tensor, "%sout", name);
    double off = vec_maxrel(out, vec_f64(f, tensor), 2 * L * D);
    double off_conv = vec_maxrel(conv, vec_f64(f, "out_conv_state"), 2 * CONV_STATE);
    CHECK(off <= 3e-6, "%s, '%s': output off by %g", at, name, off);
    CHECK(off_conv <= 3e-6, "%s, '%s': conv state off by %g", at, name, off_conv);
    double off_ssm = vec_maxrel(ssm, vec_f64(f, final), 2 * SSM_STATE);
    CHECK(off_ssm <= 3e-6, "%s, '%s': ssm state off by %g", at, name, off_ssm);
    end(&b);
    vec_close(f);
}

MBS_TEST(mamba2, golden_block) {
    EACH_LEVEL(level) {
        for (int test_backend = 0; test_backend < 2; test_backend++) {
            check_variant(level, test_backend, "", "out_ssm_state");
            check_variant(level, test_backend, "nbg.", "out_ssm_state");
            check_variant(level, test_backend, "ungrouped.", "out_ssm_state");
            check_variant(level, test_backend, "limit.", "limit.out_ssm_state");
        }
    }
}

MBS_TEST(mamba2, any_cut_gives_the_same_bits) {
    vec_file *f = vec_open("mamba2_block");
    EACH_LEVEL(level) {
        block b = start(level, 0, "");
        float whole[L * D];
        float whole_state[STATE];
        float begin[STATE];
        golden_state(f, 0, begin);
        memcpy(whole_state, begin, sizeof begin);
        run(&b, vec_f32(f, "hidden"), whole, whole_state, L);
        for (int step = 1; step < L; step += step < 8 ? 1 : 7) {
            float state[STATE];
            float out[L * D];
            memcpy(state, begin, sizeof state);
            run(&b, vec_f32(f, "hidden"), out, state, step);
            CHECK(mkit_same(out, whole, L * D), "%s: output in steps of %d", mbk_level_name(level), step);
            CHECK(mkit_same(state, whole_state, STATE), "%s: state in steps of %d", mbk_level_name(level), step);
        }
        end(&b);
    }
    vec_close(f);
}

/* The canonical layout is the reference's: conv (channel, tap), then heads (channel, state), then the open block. */
MBS_TEST(mamba2, canonical_state_is_channel_first) {
    float device[STATE];
    float canonical[STATE];
    float back[STATE];
    mbs_model_config cfg = variant("");
    for (int i = 0; i < STATE; i++) {
        device[i] = (float)i;
    }
    mbs_mixer_mamba2.save(&cfg, 0, device, canonical);
    CHECK(canonical[5 * W + 2] == device[2 * CONV + 5]);
    CHECK(canonical[CONV_STATE + (2 * P + 5) * N + 3] == device[CONV_STATE + (2 * N + 3) * P + 5]);
    CHECK(canonical[STATE - 7] == device[STATE - 7]);
    mbs_mixer_mamba2.restore(&cfg, 0, canonical, back);
    CHECK(mkit_same(back, device, STATE));
}

/* --- config ---------------------------------------------------------------------------------------------------------
 */

static mbs_status parse(const char *text, mbs_model_config *c, mbs_err *err) {
    mbs_err_clear(err);
    return mbs_config_parse(text, strlen(text), "c", c, err);
}

MBS_TEST(mamba2, config_of_transformers) {
    mbs_model_config c;
    mbs_err err = {0};
    OK(parse("{\"model_type\": \"mamba2\"}", &c, &err), &err);
    CHECK(c.d_model == 4096 && c.n_layer == 64 && c.vocab_rows == 32768 && c.d_inner == 8192 && c.d_state == 128);
    CHECK(c.head_dim == 64 && c.n_groups == 8 && !c.tie_embeddings && c.bos == 0 && c.eos == 2 && c.pad == 1);
    CHECK(c.dt_min == 0 && isinf(c.dt_max) && c.gated_norm && !c.norm_first && !c.norm_whole && c.dt_rank == 0);
    OK(parse("{\"model_type\": \"mamba2\", \"hidden_size\": 32, \"num_heads\": 8, \"head_dim\": 8, \"n_groups\": 2,"
             " \"state_size\": 16, \"layer_norm_epsilon\": 1e-3, \"time_step_limit\": [0.001, Infinity],"
             " \"mambaseq_norm_group\": \"whole\", \"norm_before_gate\": true}",
             &c, &err),
       &err);
    CHECK(c.d_ssm == 64 && c.dt_min == 0.001 && isinf(c.dt_max) && c.norm_whole && c.gated_eps == 1e-3);
    CHECK(!c.norm_first, "transformers knows no such key");
    OK(parse("{\"model_type\": \"mamba\"}", &c, &err), &err);
    CHECK(c.d_model == 768 && c.d_state == 16 && c.dt_rank == 48 && c.head_dim == 0 && c.tie_embeddings);
}

MBS_TEST(mamba2, config_of_the_original) {
    mbs_model_config c;
    mbs_err err = {0};
    OK(parse("{\"d_model\": 768, \"n_layer\": 24, \"vocab_size\": 50277, \"ssm_cfg\": {\"layer\": \"Mamba2\"},"
             " \"pad_vocab_size_multiple\": 16}",
             &c, &err),
       &err);
    CHECK_STR(c.model_type, "mamba2");
    CHECK(c.vocab_rows == 50288 && c.d_state == 128 && c.n_groups == 1 && c.d_ssm == 1536 && c.head_dim == 64);
    CHECK(c.gated_norm && !c.wide_d && !c.norm_first && c.gated_eps == 1e-5);
    OK(parse("{\"d_model\": 16, \"ssm_cfg\": {\"layer\": \"Mamba2\", \"d_ssm\": 24, \"headdim\": 4, \"ngroups\": 3,"
             " \"rmsnorm\": false, \"norm_before_gate\": true, \"dt_limit\": [0.01, 2], \"D_has_hdim\": true}}",
             &c, &err),
       &err);
    CHECK(c.d_inner == 32 && c.d_ssm == 24 && c.head_dim == 4 && c.n_groups == 3 && !c.gated_norm && c.norm_first);
    CHECK(c.wide_d && c.dt_min == 0.01 && c.dt_max == 2);
}

MBS_TEST(mamba2, sizes_that_contradict_are_refused) {
    static const char *const bad[][2] = {
        {"{\"model_type\": \"mamba2\", \"hidden_size\": 32}",
         "'num_heads' 128 times 'head_dim' 64 is not the inner width 64"},
        {"{\"d_model\": 768, \"ssm_cfg\": {\"layer\": \"Mamba2\", \"headdim\": 100}}",
         "the 1536 channels do not divide into heads of 100"},
        {"{\"d_model\": 768, \"ssm_cfg\": {\"layer\": \"Mamba2\", \"ngroups\": 5}}",
         "the 24 heads do not divide into 5 groups"},
        {"{\"d_model\": 768, \"ssm_cfg\": {\"layer\": \"Mamba2\", \"dt_limit\": [1]}}",
         "'dt_limit' is not a pair of numbers, the first from 0, the second above it"},
        {"{\"d_model\": 768, \"ssm_cfg\": {\"layer\": \"Mamba2\", \"dt_limit\": [2, 1]}}",
         "'dt_limit' is not a pair of numbers, the first from 0, the second above it"},
        {"{\"d_model\": 768, \"ssm_cfg\": {\"layer\": \"Mamba2\", \"mambaseq_norm_group\": \"some\"}}",
         "'mambaseq_norm_group' is 'some', which is not supported"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mbs_model_config c;
        mbs_err err = {0};
        CHECK_INT(parse(bad[i][0], &c, &err), MBS_ERR_DATA);
        CHECK_STR(err.what, bad[i][1]);
    }
}
