/* The Hyena operator against the golden one: whole, in pieces and row by row, at every level and on the backend of
 * tests; and what goes beyond its filter is refused. */
#include "model/mixer.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/vectors.h"

enum { BATCH = 2, L = 24, D = 6 };

/* The golden file's name of a tensor; the others are the same. */
static mbs_status values(void *ctx, const char *name, float *out, int64_t n, mbs_err *err) {
    static const char *const renamed[][2] = {{"filter_fn.bias", "bias"},
                                             {"filter_fn.implicit_filter.0.weight", "filter.0.weight"},
                                             {"filter_fn.implicit_filter.0.bias", "filter.0.bias"},
                                             {"filter_fn.implicit_filter.1.freq", "freq"},
                                             {"filter_fn.implicit_filter.2.weight", "filter.2.weight"},
                                             {"filter_fn.implicit_filter.2.bias", "filter.2.bias"},
                                             {"filter_fn.implicit_filter.4.weight", "filter.4.weight"},
                                             {"filter_fn.implicit_filter.4.bias", "filter.4.bias"},
                                             {"filter_fn.implicit_filter.6.weight", "filter.6.weight"}};
    (void)err;
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++) {
        name = strcmp(name, renamed[i][0]) == 0 ? renamed[i][1] : name;
    }
    CHECK_INT(vec_count(ctx, name), n);
    memcpy(out, vec_f32(ctx, name), (size_t)n * sizeof *out);
    return MBS_OK;
}

static double off(const vec_file *f, mbk_level level, int test_backend, int step) {
    const mbs_mixer *m = &mbs_mixer_hyena;
    mbs_err err = {0};
    mbs_model_config cfg = {.layout = MBS_LAYOUT_OWN, .d_model = D, .n_layer = 1, .n_kinds = 1};
    cfg.kind[0].mixer = m;
    cfg.kind[0].sizes =
        (mbs_layer_sizes){.l_max = L, .filter_order = 8, .emb_dim = 5, .filter_w = 10, .hyena_order = 2};
    mbk_ctx *ctx = mkit_open(level, test_backend);
    const mbk_ops *ops = ctx->ops;
    mbs_specs specs = {0};
    void *layer;
    m->declare(&cfg, 0, &specs);
    mbs_loader ld = {.fresh = &specs, .fill = values, .fill_ctx = (void *)(uintptr_t)f, .ctx = ctx, .err = &err};
    OK(m->load(&cfg, 0, &ld, &layer), &err);
    mbs_loader_free(&ld);
    mbs_specs_free(&specs);
    mbk_buf *buf[4];
    const int64_t floats[] = {L * D, L * D, m->state_floats(&cfg, 0), m->scratch_floats(&cfg, 0, L)};
    double most = 0;
    for (int i = 0; i < 4; i++) {
        CHECK(ops->buf_new(ctx, (size_t)floats[i] * 4, &buf[i]) >= 0);
    }
    for (int b = 0; b < BATCH; b++) {
        float out[L * D] = {0};
        CHECK(ops->upload(ctx, buf[0], 0, vec_f32(f, "u") + b * L * D, sizeof out) >= 0);
        CHECK(ops->upload(ctx, buf[1], 0, out, sizeof out) >= 0);
        for (int at = 0; at < L; at += step) {
            const int n = L - at < step ? L - at : step;
            const mbs_mixer_call call = {.ctx = ctx,
                                         .in = {buf[0], at * D, n, D, D},
                                         .out = {buf[1], at * D, n, D, D},
                                         .state = buf[2],
                                         .scratch = buf[3],
                                         .scratch_rows = L,
                                         .position = at};
            CHECK(m->forward(layer, &call) >= 0);
        }
        CHECK(ops->download(ctx, out, buf[1], 0, sizeof out) >= 0);
        most = fmax(most, vec_maxrel(out, vec_f64(f, "out") + b * L * D, L * D));
    }
    for (int i = 0; i < 4; i++) {
        ops->buf_free(ctx, buf[i]);
    }
    m->unload(ctx, layer);
    mbk_close(ctx);
    return most;
}

MBS_TEST(hyena, golden) {
    vec_file *f = vec_open("hyena");
    EACH_LEVEL(level) {
        static const int steps[] = {L, 7, 1};
        for (int i = 0; i < 3; i++) {
            const double d = off(f, level, i == 1, steps[i]);
            CHECK(d < 3e-6, "%s, %d rows at once: %g", mbk_level_name(level), steps[i], d);
        }
    }
    vec_close(f);
}
