/* H3 against its formulas in double: heads of one channel and of several, whole, in pieces and row by row. */
#include <complex.h>

#include "model/mixer.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/vectors.h"

enum { L = 29, D = 12, N = 6 };

/* The tensors by name; values that a name and an index decide on. */
static double value(const char *name, int64_t i) {
    uint32_t h = 2166136261u;
    for (const char *c = name; *c; c++) {
        h = (h ^ (uint8_t)*c) * 16777619u;
    }
    h = (h ^ (uint32_t)i) * 2654435761u;
    h = (h ^ h >> 15) * 2246822519u;
    const double x = (double)((h ^ h >> 13) >> 8) / 8388608.0 - 1;
    if (strcmp(name, "kernel.kernel.log_dt") == 0) {
        return (double)(float)(-2 + 0.5 * x);
    }
    const int mode = strcmp(name, "kernel.kernel.A_imag") == 0;
    return (double)(float)(mode ? 3 * (x + 1.5) : strstr(name, "weight") ? 0.5 * x : x);
}

static mbs_status values(void *ctx, const char *name, float *out, int64_t n, mbs_err *err) {
    (void)ctx;
    (void)err;
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)value(name, i);
    }
    return MBS_OK;
}

static double input(int64_t t, int64_t c) {
    return value("input", t * D + c);
}

static void linear(const char *layer, double x[L][D], double y[L][D]) {
    char weight[32];
    char bias[32];
    snprintf(weight, sizeof weight, "%s.weight", layer);
    snprintf(bias, sizeof bias, "%s.bias", layer);
    for (int t = 0; t < L; t++) {
        for (int o = 0; o < D; o++) {
            y[t][o] = value(bias, o);
            for (int c = 0; c < D; c++) {
                y[t][o] += value(weight, o * D + c) * x[t][c];
            }
        }
    }
}

/* The diagonal space of one head, bilinear, over one product of channels. */
static void space(int head, const double u[L], double y[L]) {
    double _Complex s[N / 2] = {0};
    const double dt = exp(value("kernel.kernel.log_dt", head));
    for (int t = 0; t < L; t++) {
        y[t] = value("D", head) * u[t];
        for (int k = 0; k < N / 2; k++) {
            const int at = head * (N / 2) + k;
            const double _Complex a =
                -exp(value("kernel.kernel.inv_A_real", at)) + value("kernel.kernel.A_imag", at) * I;
            const double _Complex c = value("kernel.kernel.C", 2L * at) + value("kernel.kernel.C", 2L * at + 1) * I;
            s[k] = (1 + dt * a / 2) / (1 - dt * a / 2) * s[k] + dt / (1 - dt * a / 2) * u[t];
            y[t] += 2 * creal(c * s[k]);
        }
    }
}

static void naive(int p, double out[L][D]) {
    static double x[L][D], q[L][D], k[L][D], v[L][D], shifted[L][D], z[L][D];
    const int heads = D / p;
    for (int t = 0; t < L; t++) {
        for (int c = 0; c < D; c++) {
            x[t][c] = input(t, c);
        }
    }
    linear("q_proj", x, q);
    linear("k_proj", x, k);
    linear("v_proj", x, v);
    for (int t = 0; t < L; t++) {
        for (int c = 0; c < D; c++) {
            shifted[t][c] = value("ssm_k_D", c) * k[t][c];
            for (int lag = 0; lag < N && lag <= t; lag++) {
                shifted[t][c] += value("ssm_k_kernel.kernel.C", c * N + lag) * k[t - lag][c];
            }
        }
    }
    memset(z, 0, sizeof z);
    for (int n = 0; n < heads * p * p; n++) {
        double u[L];
        double y[L];
        const int h = n / (p * p);
        const int i = n / p % p;
        const int j = n % p;
        for (int t = 0; t < L; t++) {
            u[t] = shifted[t][h * p + i] * v[t][h * p + j];
        }
        space(h, u, y);
        for (int t = 0; t < L; t++) {
            z[t][j * heads + h] += q[t][h * p + i] * y[t];
        }
    }
    linear("output_linear", z, out);
}

static double off(int p, mbk_level level, int test_backend, int step, const double want[L][D]) {
    const mbs_mixer *m = &mbs_mixer_h3;
    mbs_err err = {0};
    mbs_model_config cfg = {.layout = MBS_LAYOUT_OWN, .d_model = D, .n_layer = 1, .n_kinds = 1};
    cfg.kind[0].mixer = m;
    cfg.kind[0].sizes = (mbs_layer_sizes){.d_state = N, .head_dim = p};
    mbk_ctx *ctx = mkit_open(level, test_backend);
    const mbk_ops *ops = ctx->ops;
    mbs_specs specs = {0};
    void *layer;
    m->declare(&cfg, 0, &specs);
    mbs_loader ld = {.fresh = &specs, .fill = values, .ctx = ctx, .err = &err};
    OK(m->load(&cfg, 0, &ld, &layer), &err);
    mbs_loader_free(&ld);
    mbs_specs_free(&specs);
    float x[L * D];
    float out[L * D] = {0};
    mbk_buf *buf[4];
    const int64_t floats[] = {L * D, L * D, m->state_floats(&cfg, 0), m->scratch_floats(&cfg, 0, L)};
    for (int i = 0; i < L * D; i++) {
        x[i] = (float)input(i / D, i % D);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(ops->buf_new(ctx, (size_t)floats[i] * sizeof *x, &buf[i]) >= 0);
    }
    CHECK(ops->upload(ctx, buf[0], 0, x, sizeof x) >= 0);
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
    for (int i = 0; i < 4; i++) {
        ops->buf_free(ctx, buf[i]);
    }
    m->unload(ctx, layer);
    mbk_close(ctx);
    return vec_maxrel(out, &want[0][0], L * D);
}

MBS_TEST(h3, heads_of_any_width) {
    static const int widths[] = {1, 2, 3, 12};
    static const int steps[] = {L, 7, 1};
    for (int w = 0; w < 4; w++) {
        double want[L][D];
        naive(widths[w], want);
        EACH_LEVEL(level) {
            for (int i = 0; i < 3; i++) {
                const double d = off(widths[w], level, i == 1, steps[i], want);
                CHECK(d < 3e-6, "%s, heads of %d, %d rows at once: %g", mbk_level_name(level), widths[w], steps[i], d);
            }
        }
    }
}
