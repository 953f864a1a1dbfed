/* The block itself, against the golden block: from a carried state and from zero, with the final states. */
#include "model/mixer.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/vectors.h"

#define L 37
#define D 16
#define DI 32
#define N 8
#define W 4
#define STATE (DI * (W + N))

static const mbs_model_config cfg = {
    .d_model = D, .n_layer = 1, .d_inner = DI, .d_state = N, .d_conv = W, .dt_rank = 3, .use_conv_bias = 1};

typedef struct block {
    mbk_ctx *ctx;
    void *layer;
    mbk_buf *in, *out, *state, *scratch;
} block;

static block start(mbk_level level, int test_backend) {
    mbs_err err = {0};
    block b = {.ctx = mkit_open(level, test_backend)};
    mbs_st *file;
    OK(mbs_st_open(MBS_SOURCE_DIR "/tests/data/reference/mamba1_block.safetensors", &file, &err), &err);
    mbs_st_set set = {.files = &file, .n_files = 1};
    mbs_loader ld = {.set = &set, .ctx = b.ctx, .err = &err};
    OK(mbs_mixer_mamba1.load(&cfg, 0, &ld, &b.layer), &err);
    mbs_loader_free(&ld);
    mbs_st_close(file);
    CHECK_INT(mbs_mixer_mamba1.state_floats(&cfg, 0), STATE);
    CHECK(b.ctx->ops->buf_new(b.ctx, L * D * 4, &b.in) >= 0);
    CHECK(b.ctx->ops->buf_new(b.ctx, L * D * 4, &b.out) >= 0);
    CHECK(b.ctx->ops->buf_new(b.ctx, STATE * 4, &b.state) >= 0);
    CHECK(b.ctx->ops->buf_new(b.ctx, (size_t)mbs_mixer_mamba1.scratch_floats(&cfg, 0, L) * 4, &b.scratch) >= 0);
    return b;
}

static void end(block *b) {
    mbs_mixer_mamba1.unload(b->ctx, b->layer);
    mbk_buf *bufs[] = {b->in, b->out, b->state, b->scratch};
    for (int i = 0; i < 4; i++) {
        b->ctx->ops->buf_free(b->ctx, bufs[i]);
    }
    mbk_close(b->ctx);
}

/* Runs one batch of the golden file in calls of `step` rows; `canonical` is the state before and after. */
static void run(block *b, const float *in, float *out, float *canonical, int step) {
    const mbk_ops *ops = b->ctx->ops;
    float device[STATE];
    float zeros[L * D] = {0};
    mbs_mixer_mamba1.restore(&cfg, 0, canonical, device);
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
        CHECK(mbs_mixer_mamba1.forward(b->layer, &call) >= 0);
    }
    CHECK(ops->download(b->ctx, out, b->out, 0, L * D * 4) >= 0);
    CHECK(ops->download(b->ctx, device, b->state, 0, sizeof device) >= 0);
    mbs_mixer_mamba1.save(&cfg, 0, device, canonical);
}

static void check_case(mbk_level level, int test_backend, int zero_state) {
    vec_file *f = vec_open("mamba1_block");
    block b = start(level, test_backend);
    float out[2 * L * D];
    float state[2][STATE];
    float conv[2 * DI * W];
    float ssm[2 * DI * N];
    for (int i = 0; i < 2; i++) {
        memcpy(state[i], vec_f32(f, "conv_state") + i * DI * W, DI * W * 4);
        memcpy(state[i] + DI * W, vec_f32(f, "ssm_state") + i * DI * N, DI * N * 4);
        if (zero_state) {
            memset(state[i], 0, sizeof state[i]);
        }
        run(&b, vec_f32(f, "hidden") + i * L * D, out + i * L * D, state[i], L);
        memcpy(conv + i * DI * W, state[i], DI * W * 4);
        memcpy(ssm + i * DI * N, state[i] + DI * W, DI * N * 4);
    }
    const char *name = mbk_level_name(level);
    double off = vec_maxrel(out, vec_f64(f, zero_state ? "out_zero_state" : "out"), 2 * L * D);
    double off_conv = vec_maxrel(conv, vec_f64(f, zero_state ? "out_zero_conv_state" : "out_conv_state"), 2 * DI * W);
    double off_ssm = vec_maxrel(ssm, vec_f64(f, zero_state ? "out_zero_ssm_state" : "out_ssm_state"), 2 * DI * N);
    CHECK(off <= 3e-6, "%s, state %d: output off by %g", name, !zero_state, off);
    CHECK(off_conv <= 3e-6, "%s, state %d: conv state off by %g", name, !zero_state, off_conv);
    CHECK(off_ssm <= 3e-6, "%s, state %d: ssm state off by %g", name, !zero_state, off_ssm);
    end(&b);
    vec_close(f);
}

MBS_TEST(mamba1, golden_block) {
    EACH_LEVEL(level) {
        for (int test_backend = 0; test_backend < 2; test_backend++) {
            check_case(level, test_backend, 0);
            check_case(level, test_backend, 1);
        }
    }
}

MBS_TEST(mamba1, any_cut_gives_the_same_bits) {
    vec_file *f = vec_open("mamba1_block");
    EACH_LEVEL(level) {
        block b = start(level, 0);
        float whole[L * D];
        float whole_state[STATE];
        memcpy(whole_state, vec_f32(f, "conv_state"), DI * W * 4);
        memcpy(whole_state + DI * W, vec_f32(f, "ssm_state"), DI * N * 4);
        float state[STATE];
        float out[L * D];
        float begin[STATE];
        memcpy(begin, whole_state, sizeof begin);
        run(&b, vec_f32(f, "hidden"), whole, whole_state, L);
        for (int step = 1; step < L; step += step < 8 ? 1 : 7) {
            memcpy(state, begin, sizeof state);
            run(&b, vec_f32(f, "hidden"), out, state, step);
            CHECK(mkit_same(out, whole, L * D), "%s: output in steps of %d", mbk_level_name(level), step);
            CHECK(mkit_same(state, whole_state, STATE), "%s: state in steps of %d", mbk_level_name(level), step);
        }
        end(&b);
    }
    vec_close(f);
}

/* The canonical layout is the reference's: conv (channel, tap), then ssm (channel, state). */
MBS_TEST(mamba1, canonical_state_is_channel_first) {
    float device[STATE];
    float canonical[STATE];
    float back[STATE];
    for (int i = 0; i < STATE; i++) {
        device[i] = (float)i;
    }
    mbs_mixer_mamba1.save(&cfg, 0, device, canonical);
    CHECK(canonical[5 * W + 2] == device[2 * DI + 5]);
    CHECK(canonical[DI * W + 5 * N + 3] == device[DI * W + 3 * DI + 5]);
    mbs_mixer_mamba1.restore(&cfg, 0, canonical, back);
    CHECK(mkit_same(back, device, STATE));
}
