/* What bench counts, how it takes medians, which limit it names. That whole runs work is tests/cli/cases/bench.t. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "bench/impl.h"
#include "bench/peak.h"
#include "model/shape.h"
#include "support/test.h"

static const mbk_format f32 = {MBK_F32, MBK_MATH_F32};
static const mbk_format bf16 = {MBK_BF16, MBK_MATH_BF16};
static const mbk_format int8 = {MBK_I8, MBK_MATH_F32};

static mbs_model_config shape(const char *d_model, const char *n_layer, const char *vocab) {
    mbs_shape s;
    mbs_err err = {0};
    mbs_shape_default(&s);
    mbs_shape_set(&s, "d_model", d_model, &err);
    mbs_shape_set(&s, "n_layer", n_layer, &err);
    mbs_shape_set(&s, "vocab", vocab, &err);
    CHECK(mbs_shape_finish(&s, &err) == MBS_OK, "%s", err.what);
    return s.cfg;
}

/* mamba-130m has 129,135,360 weights: 128.2 M of them in matrices. */
MBS_TEST(bench, the_cost_of_a_token_is_that_of_its_weights) {
    mbs_model_config c = shape("768", "24", "50280");
    mbs_bench_cost prompt = mbs_bench_token(&c, 0, 0, 1, &f32);
    mbs_bench_cost alone = mbs_bench_token(&c, 1, 1, 1, &f32);
    double layers = 24.0 * (768 * 3072 + 1536 * 80 + 48 * 1536 + 1536 * 768);
    double small = 24.0 * (1536 * 16 + 1536 * 4 + 3 * 1536 + 768); /* A, taps, biases, D, norm */
    double state = 24.0 * 1536 * (16 + 4);
    CHECK(prompt.matrix == 2 * layers, "%g", prompt.matrix);
    CHECK(alone.matrix == 2 * (layers + 50280.0 * 768), "%g", alone.matrix);
    CHECK(alone.bytes == 4 * (layers + 50280.0 * 768 + small + 2 * state), "%g", alone.bytes);
    CHECK(fabs(4 * 129135360.0 + 8 * state - alone.bytes) < 4 * 769, "but for the last norm: %g", alone.bytes);
    CHECK(prompt.bytes == 0);
    double scan = 1536.0 * (16 * 22 + 57);
    CHECK(prompt.vector == 24 * (scan + 1536 * 28.0 + 4 * 768), "%g", prompt.vector);
    /* Narrow weights are fewer bytes; everything else stays f32. */
    double half = mbs_bench_token(&c, 1, 1, 1, &bf16).bytes;
    double eighth = mbs_bench_token(&c, 1, 1, 1, &int8).bytes;
    CHECK(alone.bytes - half == 2 * (layers + 50280.0 * 768), "%g", half);
    CHECK(half - eighth == layers + 50280.0 * 768, "%g", eighth);
}

MBS_TEST(bench, the_nearest_limit_counts) {
    mbs_machine m = {.threads = 2, .f32_1 = 100, .f32_n = 200, .bf16_1 = 200, .bf16_n = 400, .last_cache = 1000};
    mbs_bench_cost c = {.rows = 1, .matrix = 200e9, .vector = 200e9, .bytes = 10e9, .held = 10e9};
    const char *what;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 0 && !what); /* reading was not measured */
    m.dram_1 = 10;
    m.dram_n = 20;
    m.cache_1 = 50;
    m.cache_n = 100;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 2 && strcmp(what, "compute") == 0, "%s", what);
    CHECK(mbs_bench_limit(&m, &c, 1, &what) == 4 && strcmp(what, "compute") == 0, "%s", what);
    c.math = MBK_MATH_BF16; /* only the matrices become faster */
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 1.5, "%g", mbs_bench_limit(&m, &c, 2, &what));
    c.math = MBK_MATH_I16;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 2); /* not measured: as f32 */
    m.i16_1 = m.i16_n = 800;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 1.25, "%g", mbs_bench_limit(&m, &c, 2, &what));
    c.math = MBK_MATH_I8;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 2);
    m.i8_1 = m.i8_n = 1600;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 1.125, "%g", mbs_bench_limit(&m, &c, 2, &what));
    c.math = MBK_MATH_BF16;
    m.bf16_1 = m.bf16_n = 0; /* no such instructions */
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 2);
    c.bytes = 100e9;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 5 && strcmp(what, "memory") == 0, "%s", what);
    c.held = 1000; /* stays in the cache */
    c.bytes = 400e9;
    CHECK(mbs_bench_limit(&m, &c, 2, &what) == 4 && strcmp(what, "cache") == 0, "%s", what);
}

typedef struct script {
    int calls;
    int fails_at;
    double seconds; /* of the first call; the others take none */
} script;

static mbs_status play(void *arg, mbs_err *err) {
    script *s = arg;
    s->calls++;
    if (s->calls == 1 && s->seconds > 0) {
        nanosleep(&(struct timespec){0, (long)(s->seconds * 1e9)}, NULL);
    }
    return s->calls == s->fails_at ? mbs_fail(err, MBS_ERR_DATA, "call", "it failed") : MBS_OK;
}

MBS_TEST(bench, repeats_keep_to_the_budget) {
    mbs_timing t;
    mbs_err err = {0};
    script quick = {0};
    mbs_budget b = {.repeat = 7, .seconds = 30, .least = 0};
    CHECK(mbs_time_calls(&b, play, &quick, &t, &err) == MBS_OK);
    CHECK_INT(t.repeats, 7);
    CHECK_INT(quick.calls, 8); /* one to warm up */
    CHECK(t.best <= t.median && t.median < 0.01, "%g", t.median);
    script slow = {.seconds = 0.02}; /* as long as there is time for: that one call is the figure */
    b.seconds = 0.01;
    CHECK(mbs_time_calls(&b, play, &slow, &t, &err) == MBS_OK);
    CHECK_INT(slow.calls, 1);
    CHECK_INT(t.repeats, 1);
    CHECK(t.median >= 0.02, "%g", t.median);
    script cold = {.seconds = 0.02}; /* but not where the first is known to be another thing */
    b.cold_first = 1;
    CHECK(mbs_time_calls(&b, play, &cold, &t, &err) == MBS_OK);
    CHECK_INT(cold.calls, 2);
    CHECK_INT(t.repeats, 1);
    b.cold_first = 0;
    script broken = {.fails_at = 3};
    b.seconds = 30;
    CHECK(mbs_time_calls(&b, play, &broken, &t, &err) == MBS_ERR_DATA);
    CHECK_INT(broken.calls, 3);
}

MBS_TEST(bench, short_calls_are_timed_many_at_once) {
    mbs_timing t;
    mbs_err err = {0};
    script quick = {0};
    mbs_budget b = {.repeat = 2, .seconds = 30, .least = 0.002};
    CHECK(mbs_time_calls(&b, play, &quick, &t, &err) == MBS_OK);
    CHECK(quick.calls > 100, "%d", quick.calls);
}

MBS_TEST(bench, peaks_do_what_they_count) {
    CHECK(isfinite(mbs_peak_f32()->run(1000)));
    CHECK(!mbs_peak_bf16() || isfinite(mbs_peak_bf16()->run(1000)));
    static _Alignas(64) float data[1024];
    for (int i = 0; i < 1024; i++) {
        data[i] = i < 896 ? 0 : 1;
    }
    CHECK(mbs_peak_read(data, 896) == 0);
    CHECK(mbs_peak_read(data, 1024) > 0); /* the last piece is read too */
}

MBS_TEST(bench, what_was_not_measured_is_null) {
    mbs_bench b = {.shape = "a \"shape\"", .dtype = "f32", .math = "f32", .level = "ref", .threads = 1};
    mbs_bench_result r = {.work = "norm", .part = "", .length = 4, .seconds = 0.123456789, .of_prefill = -1};
    mbs_buf text = MBS_BUF_INIT;
    mbs_json *root;
    mbs_err err = {0};
    b.machine.others = -1;
    b.results = &r;
    b.n = 1;
    mbs_bench_json(&b, &text);
    CHECK(mbs_json_parse("bench", text.data, text.len, &root, &err) == MBS_OK, "%s", err.what);
    const mbs_json *machine = mbs_json_object(root, "machine", &err);
    CHECK(mbs_json_has(machine, "others_cpus") && !mbs_json_get(machine, "others_cpus"));
    CHECK(mbs_json_has(machine, "bf16_gflops") && !mbs_json_get(machine, "bf16_gflops"));
    const mbs_json *first = mbs_json_at(mbs_json_array(root, "results", &err), 0);
    CHECK(mbs_json_has(first, "share") && !mbs_json_get(first, "share"));
    CHECK(mbs_json_double(first, "seconds", 0, &err) == 0.1235);
    CHECK(strcmp(mbs_json_string(first, "shape", "", &err), "a \"shape\"") == 0);
    mbs_json_free(root);
    mbs_buf_free(&text);
}
