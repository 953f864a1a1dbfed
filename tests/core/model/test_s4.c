/* The layers S4 and S4D against golden outputs, as recurrences and as convolutions by transforms: every start, both
 * rules, and the dense kernel; both forms over records that are longer than the lowest level of the transforms. */
#include "model/hippo.h"
#include "model/mixer.h"
#include "model_kit.h"
#include "support/legs.h"
#include "support/test.h"
#include "support/vectors.h"

enum { GOLDEN = 64, LONG = 700, MOST = 4, STARTS = 4, MODES = 8 };
static const char *const starts[STARTS] = {"lin", "inv", "legs", "real"};

typedef struct space {
    const vec_file *f;
    const mbs_mixer *mixer;
    int start, rule;
    int64_t channels, modes;
    const float *c; /* (channels, modes, 2), where it is not the file's */
    float log_dt;   /* of the only channel */
} space;

/* Behind the space the layer is made a GELU: its linear map gives y and a gate that is open. */
static mbs_status values(void *ctx, const char *name, float *out, int64_t n, mbs_err *err) {
    const space *s = ctx;
    const int joint = s->mixer == &mbs_mixer_s4;
    char im[32];
    char re[32];
    (void)err;
    snprintf(re, sizeof re, "A_%s_re", starts[s->start]);
    snprintf(im, sizeof im, "A_%s_im", starts[s->start]);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = i / 2 % s->modes;
        if (strcmp(name, "output_linear.weight") == 0) {
            out[i] = i % (s->channels + 1) == 0 && i < s->channels * s->channels ? 1 : 0;
        } else if (strcmp(name, "output_linear.bias") == 0) {
            out[i] = i < s->channels ? 0 : 40;
        } else if (strcmp(name, "D") == 0) {
            out[i] = joint ? 0 : vec_f32(s->f, "D")[i];
        } else if (strcmp(name, "kernel.log_dt") == 0) {
            out[i] = joint ? s->log_dt : vec_f32(s->f, "log_dt")[i];
        } else if (strcmp(name, "kernel.log_A_real") == 0) {
            out[i] = (float)log(joint ? 0.5 : -(double)vec_f32(s->f, re)[i]);
        } else if (strcmp(name, "kernel.A_imag") == 0) {
            out[i] = joint ? (float)mbs_hippo_of(MBS_HIPPO_LEGS, s->modes, i).im : vec_f32(s->f, im)[i];
        } else if (strcmp(name, "kernel.C") == 0) {
            out[i] = joint ? s->c[i] : vec_f32(s->f, i % 2 ? "C_im" : "C_re")[i / 2];
        } else { /* kernel.B, kernel.P */
            const mbs_hippo_mode m = mbs_hippo_of(MBS_HIPPO_LEGS, s->modes, k);
            const double size = strcmp(name, "kernel.P") == 0 ? sqrt(0.5) : 1;
            out[i] = (float)((i % 2 ? m.b_im : m.b_re) * size);
        }
    }
    return MBS_OK;
}

/* What the layer makes of u (rows, channels): by a recurrence, or with taps > 0 by a convolution. */
static void run(const space *s, mbk_level level, int64_t taps, int64_t rows, int64_t step, const float *u, float *out) {
    const mbs_mixer *m = s->mixer;
    mbs_err err = {0};
    mbs_model_config cfg = {.layout = MBS_LAYOUT_OWN, .d_model = s->channels, .n_layer = 1, .n_kinds = 1};
    cfg.kind[0].mixer = m;
    cfg.kind[0].sizes =
        (mbs_layer_sizes){.d_state = 2 * s->modes, .l_max = taps, .ssm_rule = s->rule, .ssm_init = MBS_HIPPO_LEGS};
    mbk_ctx *ctx = mkit_open(level, 0);
    const mbk_ops *ops = ctx->ops;
    mbs_specs specs = {0};
    void *layer;
    m->declare(&cfg, 0, &specs);
    mbs_loader ld = {.fresh = &specs, .fill = values, .fill_ctx = (void *)(uintptr_t)s, .ctx = ctx, .err = &err};
    OK(m->load(&cfg, 0, &ld, &layer), &err);
    mbs_loader_free(&ld);
    mbs_specs_free(&specs);
    const int64_t d = s->channels;
    mbk_buf *buf[4];
    const int64_t floats[] = {rows * d, rows * d, m->state_floats(&cfg, 0), m->scratch_floats(&cfg, 0, rows)};
    for (int i = 0; i < 4; i++) {
        CHECK(ops->buf_new(ctx, (size_t)floats[i] * sizeof(float), &buf[i]) >= 0);
    }
    CHECK(ops->upload(ctx, buf[0], 0, u, (size_t)(rows * d) * sizeof *u) >= 0);
    for (int64_t at = 0; at < rows; at += step) {
        const int64_t n = rows - at < step ? rows - at : step;
        const mbs_mixer_call call = {.ctx = ctx,
                                     .in = {buf[0], at * d, n, d, d},
                                     .out = {buf[1], at * d, n, d, d},
                                     .state = buf[2],
                                     .scratch = buf[3],
                                     .scratch_rows = rows,
                                     .position = at};
        CHECK(m->forward(layer, &call) >= 0);
    }
    CHECK(ops->download(ctx, out, buf[1], 0, (size_t)(rows * d) * sizeof *out) >= 0);
    for (int i = 0; i < 4; i++) {
        ops->buf_free(ctx, buf[i]);
    }
    m->unload(ctx, layer);
    mbk_close(ctx);
}

static double gelu(double x) {
    return 0.5 * x * (1 + erf(x * 0.70710678118654752));
}

/* The golden output (channels, GOLDEN), whole and in pieces, and both forms beside each other over a longer record. */
static void both_forms(const space *s, const float *u, const double *golden, const char *what) {
    static const int64_t taps[] = {0, GOLDEN, LONG};
    static float out[LONG * MOST];
    static float other[LONG * MOST];
    static float noise[LONG * MOST];
    double want[GOLDEN * MOST];
    const int64_t d = s->channels;
    for (int64_t i = 0; i < GOLDEN * d; i++) {
        want[i] = gelu(golden[i % d * GOLDEN + i / d]);
    }
    for (int64_t i = 0; i < LONG * d; i++) {
        noise[i] = (float)((double)((uint32_t)i * 2654435761u >> 8) / 8388608.0 - 1);
    }
    EACH_LEVEL(level) {
        for (int i = 0; i < 3; i++) {
            run(s, level, taps[i], GOLDEN, i % 2 ? 9 : GOLDEN, u, out);
            const double off = vec_maxrel(out, want, GOLDEN * d);
            CHECK(off < 3e-6, "%s, %s, %d taps: %g", what, mbk_level_name(level), (int)taps[i], off);
        }
        run(s, level, 0, LONG, LONG, noise, out);
        run(s, level, LONG, LONG, 100, noise, other);
        CHECK(mkit_off(other, out, LONG * d) < 5e-6, "%s, %s: the forms are %g apart", what, mbk_level_name(level),
              mkit_off(other, out, LONG * d));
    }
}

static void diagonal(int start) {
    static float u[GOLDEN * MOST];
    vec_file *f = vec_open("s4d");
    for (int i = 0; i < GOLDEN * MOST; i++) {
        u[i] = vec_f32(f, "u")[i % MOST * GOLDEN + i / MOST];
    }
    for (int rule = 0; rule < 2; rule++) {
        char name[32];
        const space s = {.f = f,
                         .mixer = &mbs_mixer_s4d,
                         .start = start,
                         .rule = rule ? MBK_BILINEAR : MBK_ZOH,
                         .channels = MOST,
                         .modes = MODES};
        snprintf(name, sizeof name, "y_%s_%s", starts[start], rule ? "bilinear" : "zoh");
        both_forms(&s, u, vec_f64(f, name), name);
    }
    vec_close(f);
}

MBS_TEST(s4, lin) {
    diagonal(0);
}

MBS_TEST(s4, inv) {
    diagonal(1);
}

MBS_TEST(s4, legs) {
    diagonal(2);
}

MBS_TEST(s4, real) {
    diagonal(3);
}

/* S4 itself: what an impulse gives is the kernel that was made from the dense matrices. */
MBS_TEST(s4, dense_kernel) {
    enum { N = 8 };
    vec_file *f = vec_open("s4d");
    float u[GOLDEN] = {1};
    float c[N];
    space s = {.f = f, .mixer = &mbs_mixer_s4, .channels = 1, .modes = N / 2, .c = c, .log_dt = logf(0.05f)};
    for (int i = 0; i < N / 2; i++) {
        double _Complex v[N];
        double _Complex sum = 0;
        double im = legs_mode(N, i, v);
        CHECK(fabs(mbs_hippo_of(MBS_HIPPO_LEGS, N / 2, i).im - im) < 1e-9 * im, "mode %d is another one", i);
        for (int k = 0; k < N; k++) {
            sum += (double)vec_f32(f, "dense_C")[k] * v[k];
        }
        c[2 * i] = (float)creal(sum);
        c[2 * i + 1] = (float)cimag(sum);
    }
    both_forms(&s, u, vec_f64(f, "dense_K"), "dense kernel");
    vec_close(f);
}
