/* Layers at a lower rate: what goes down and comes up, when an input is seen, and what a config may say. */
#include <math.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/backend.h"
#include "model/config_impl.h"
#include "model/init.h"
#include "model/mixer.h"
#include "model/pool.h"
#include "model/session_impl.h"
#include "model/weights.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define LEN 40
#define VOCAB 16

static mbs_status parse(const char *layers, mbs_model_config *c, mbs_err *err) {
    char text[2048];
    snprintf(text, sizeof text,
             "{\"model_type\": \"mambaseq\", \"vocab_size\": 16, \"d_model\": 8, \"tie_embeddings\": false, "
             "\"layers\": [%s]}",
             layers);
    return mbs_config_parse(text, strlen(text), "config.json", c, err);
}

static mbs_model_config config(const char *layers) {
    mbs_err err = {0};
    mbs_model_config c;
    OK(parse(layers, &c, &err), &err);
    return c;
}

static void ids_of(int32_t *ids) {
    for (int i = 0; i < LEN; i++) {
        ids[i] = (i * 7 + i / 5) % VOCAB;
    }
}

static void hidden(mbs_model *m, const int32_t *ids, int layer, int64_t rows, float *out) {
    mbs_err err = {0};
    mbs_session *s;
    OK(mbs_session_new(m, LEN, &s, &err), &err);
    mbs_run_out o = {.hidden = out, .layer = layer};
    OK(mbs_session_run(s, ids, rows, &o, &err), &err);
    mbs_session_free(s);
}

/* An input is seen by its own output and, through the lower rate, from the next group on; by none before. */
MBS_TEST(pool, an_output_knows_nothing_of_later_inputs) {
    static float want[LEN * 8];
    static float got[LEN * 8];
    int32_t ids[LEN];
    for (int p = 2; p <= 5; p++) {
        char layers[256];
        mbs_err err = {0};
        mbs_model *m;
        snprintf(layers, sizeof layers, "{\"mixer\": \"pool\", \"pool\": %d, \"layers\": [{\"mixer\": \"mamba1\"}]}",
                 p);
        mbs_model_config c = config(layers);
        mbk_ctx *ctx = mkit_open(mbk_level_best(), p % 2);
        OK(mbs_model_fresh(&c, 3, ctx, &m, &err), &err);
        ids_of(ids);
        hidden(m, ids, 1, LEN, want);
        for (int at = 0; at < LEN; at++) {
            ids_of(ids);
            ids[at] = (ids[at] + 1) % VOCAB;
            hidden(m, ids, 1, LEN, got);
            for (int t = 0; t < LEN; t++) {
                int seen = t == at || t >= (at / p + 1) * p;
                int same = memcmp(got + t * 8L, want + t * 8L, 8 * sizeof(float)) == 0;
                CHECK(same != seen, "pool %d: input %d, output %d", p, at, t);
            }
        }
        mbs_model_close(m);
        mbk_close(ctx);
    }
}

/* Tensors of a model in memory: out_proj is zero, so that what is within does nothing; all else small and known. */
static double value(const char *name, int64_t i) {
    if (strstr(name, "mixer.layers") && strstr(name, "out_proj")) {
        return 0;
    }
    uint64_t h = 1469598103934665603u;
    for (; *name; name++) {
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    }
    return (double)(float)(((double)((h + (uint64_t)i * 2654435761u) % 1000) - 500) / 1000);
}

static mbs_status give(void *ctx, const char *name, float *out, int64_t n, mbs_err *err) {
    (void)ctx;
    (void)err;
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)value(name, i);
    }
    return MBS_OK;
}

static double embedding(const int32_t *ids, int64_t row, int64_t k) {
    return value("backbone.embedding.weight", ids[row] * 8 + k);
}

/* What comes up of group j at place s of it, channel k, by hand. */
static double lifted(const int32_t *ids, int64_t j, int64_t s, int64_t k) {
    const char *up = "backbone.layers.0.mixer.up.weight";
    double y = value("backbone.layers.0.mixer.up.bias", s * 8 + k);
    for (int64_t w = 0; w < 12; w++) {
        double x = value("backbone.layers.0.mixer.down.bias", w);
        for (int64_t i = 0; i < 24; i++) { /* the first row first */
            x += value("backbone.layers.0.mixer.down.weight", w * 24 + i) * embedding(ids, 3 * j + i / 8, i % 8);
        }
        y += value(up, (s * 8 + k) * 12 + w) * x;
    }
    return y;
}

MBS_TEST(pool, rows_go_down_and_come_up) {
    static float got[LEN * 8];
    mbs_err err = {0};
    mbs_model *m;
    int32_t ids[LEN];
    mbs_model_config c =
        config("{\"mixer\": \"pool\", \"pool\": 3, \"expand\": 1.5, \"layers\": [{\"mixer\": \"mamba1\"}]}");
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 1);
    OK(mbs_model_of_values(&c, give, NULL, NULL, ctx, &m, &err), &err);
    ids_of(ids);
    hidden(m, ids, 1, LEN, got);
    for (int64_t t = 0; t < LEN; t++) {
        for (int64_t k = 0; k < 8; k++) {
            double want = embedding(ids, t, k) + (t < 3 ? 0 : lifted(ids, t / 3 - 1, t % 3, k));
            CHECK(fabs(want - (double)got[t * 8 + k]) < 1e-5, "row %d: %g %g", (int)t, want, (double)got[t * 8 + k]);
        }
    }
    mbs_model_close(m);
    mbk_close(ctx);
}

/* A state is one of its position, whatever the calls were; and streams in lock step are those alone. */
static void states_and_lanes(mbk_ctx *ctx) {
    mbs_err err = {0};
    mbs_model *m;
    mbs_session *s[4];
    int32_t ids[LEN];
    mbs_buf blob[2] = {MBS_BUF_INIT, MBS_BUF_INIT};
    static float alone[3][VOCAB];
    static float together[3 * VOCAB];
    mbs_model_config c =
        config("{\"mixer\": \"mamba1\"}, {\"mixer\": \"pool\", \"pool\": 3, \"layers\": [{\"mixer\": \"gru\"}, "
               "{\"mixer\": \"pool\", \"pool\": 2, \"layers\": [{\"mixer\": \"s4\", \"d_state\": 4}]}]}");
    mbs_run_out none = {.layer = -1};
    OK(mbs_model_fresh(&c, 3, ctx, &m, &err), &err);
    ids_of(ids);
    for (int i = 0; i < 4; i++) {
        OK(mbs_session_new(m, LEN, &s[i], &err), &err);
    }
    for (int64_t n = 1; n < 25; n++) {
        for (int i = 0; i < 2; i++) {
            mbs_buf_clear(&blob[i]);
            OK(mbs_session_reset(s[i], &err), &err);
            for (int64_t at = 0; at < n; at += i ? 1 : n) {
                OK(mbs_session_run(s[i], ids + at, i ? 1 : n, &none, &err), &err);
            }
            OK(mbs_session_save(s[i], &blob[i], &err), &err);
        }
        CHECK(blob[0].len == blob[1].len && memcmp(blob[0].data, blob[1].data, blob[0].len) == 0, "%d rows", (int)n);
    }
    for (int i = 0; i < 3; i++) { /* at places 5, 6 and 7 of their groups */
        mbs_run_out out = {.last_logits = alone[i], .layer = -1};
        OK(mbs_session_reset(s[3], &err), &err);
        OK(mbs_session_run(s[3], ids, i + 5, &none, &err), &err);
        OK(mbs_session_copy(s[i], s[3], &err), &err);
        OK(mbs_session_run(s[3], ids + 20, 1, &out, &err), &err);
    }
    const int32_t next[3] = {ids[20], ids[20], ids[20]};
    OK(mbs_session_step_lanes(s[3], s, 3, next, together, NULL, &err), &err);
    for (int i = 0; i < 3; i++) {
        CHECK(mkit_same(together + i * (long)VOCAB, alone[i], VOCAB), "lane %d", i);
    }
    for (int i = 0; i < 3; i++) { /* at one place, each with a past of its own */
        OK(mbs_session_reset(s[i], &err), &err);
        OK(mbs_session_run(s[i], ids + i, 4, &none, &err), &err);
    }
    for (int64_t t = 0; t < 15; t++) {
        const int32_t own[3] = {ids[t + 9], ids[t + 3], ids[t + 5]};
        for (int i = 0; i < 3; i++) {
            mbs_run_out out = {.last_logits = alone[i], .layer = -1};
            OK(mbs_session_copy(s[3], s[i], &err), &err);
            OK(mbs_session_run(s[3], &own[i], 1, &out, &err), &err);
        }
        OK(mbs_session_step_lanes(s[3], s, 3, own, together, NULL, &err), &err);
        for (int i = 0; i < 3; i++) {
            CHECK(mkit_same(together + i * (long)VOCAB, alone[i], VOCAB), "lane %d, step %d", i, (int)t);
        }
    }
    for (int i = 0; i < 4; i++) {
        mbs_session_free(s[i]);
    }
    mbs_buf_free(&blob[0]);
    mbs_buf_free(&blob[1]);
    mbs_model_close(m);
}

MBS_TEST(pool, states_and_lanes) {
    mbs_err err = {0};
    mbs_backend b;
    mbk_ctx *ctx = mkit_open(mbk_level_best(), 0);
    states_and_lanes(ctx);
    mbk_close(ctx);
    for (int threads = 2; threads <= 3; threads++) {
        OK(mbs_backend_open(&b, mbk_level_best(), threads, &err), &err);
        states_and_lanes(b.ctx);
        mbs_backend_close(&b);
    }
}

/* What layers at a lower rate do on a thread of their own is there when somebody looks, and the same as without. */
MBS_TEST(pool, later) {
    mbs_err err = {0};
    mbs_backend b[2];
    mbs_model *m[2];
    mbs_session *s[2];
    mbs_session *other;
    int32_t ids[LEN];
    float logits[2][VOCAB];
    mbs_buf blob[2] = {MBS_BUF_INIT, MBS_BUF_INIT};
    mbs_model_config c = config("{\"mixer\": \"mamba1\"}, "
                                "{\"mixer\": \"pool\", \"pool\": 2, \"layers\": [{\"mixer\": \"mamba1\"}, "
                                "{\"mixer\": \"pool\", \"pool\": 3, \"layers\": [{\"mixer\": \"gru\"}]}, "
                                "{\"mixer\": \"pool\", \"pool\": 2, \"layers\": [{\"mixer\": \"gru\"}]}]}, "
                                "{\"mixer\": \"pool\", \"pool\": 3, \"layers\": [{\"mixer\": \"mamba1\"}]}");
    ids_of(ids);
    for (int i = 0; i < 2; i++) {
        OK(mbs_backend_open(&b[i], mbk_level_best(), 1 + i, &err), &err);
        OK(mbs_model_fresh(&c, 3, b[i].ctx, &m[i], &err), &err);
        OK(mbs_session_new(m[i], LEN, &s[i], &err), &err);
    }
    OK(mbs_session_new(m[1], LEN, &other, &err), &err);
    for (int64_t t = 0; t < LEN; t++) {
        for (int i = 0; i < 2; i++) {
            mbs_run_out out = {.last_logits = logits[i], .layer = -1};
            OK(mbs_session_run(s[i], ids + t, 1, &out, &err), &err);
            mbs_buf_clear(&blob[i]);
        }
        CHECK(mkit_same(logits[0], logits[1], VOCAB), "row %d", (int)t);
        if (t % 3 == 1) {
            continue; /* nobody looks */
        }
        for (int i = 0; i < 2; i++) {
            OK(mbs_session_save(s[i], &blob[i], &err), &err);
        }
        CHECK(blob[0].len == blob[1].len && memcmp(blob[0].data, blob[1].data, blob[0].len) == 0, "row %d", (int)t);
        if (t % 4 == 3) { /* the stream goes on as another one, which was under way itself */
            mbs_session *was = s[1];
            if (t % 8 == 3) {
                OK(mbs_session_restore(other, blob[1].data, blob[1].len, &err), &err);
            } else {
                OK(mbs_session_copy(other, was, &err), &err);
            }
            s[1] = other;
            other = was;
            mbs_run_out out = {.last_logits = logits[1], .layer = -1};
            OK(mbs_session_run(other, ids, 1 + t % 5, &out, &err), &err);
        }
    }
    CHECK(s[0]->later == NULL && s[1]->later != NULL && other->later != NULL);
    mbs_session_free(other);
    for (int i = 0; i < 2; i++) {
        mbs_session_free(s[i]);
        mbs_model_close(m[i]);
        mbs_backend_close(&b[i]);
        mbs_buf_free(&blob[i]);
    }
}

/* The same where groups take long enough to be under way when they are needed. */
MBS_TEST(pool, later_for_long) {
    enum { ROWS = 3000 };
    static float logits[2][ROWS][VOCAB];
    mbs_err err = {0};
    const char *eight = "{\"mixer\": \"mamba1\", \"count\": 8}";
    char layers[512];
    char text[1024];
    mbs_model_config c;
    snprintf(layers, sizeof layers,
             "%s, {\"mixer\": \"pool\", \"pool\": 4, \"layers\": [%s, {\"mixer\": \"pool\", \"pool\": 4, "
             "\"layers\": [%s]}, %s]}, %s",
             eight, eight, eight, eight, eight);
    snprintf(text, sizeof text, "{\"model_type\": \"mambaseq\", \"vocab_size\": 16, \"d_model\": 64, \"layers\": [%s]}",
             layers);
    OK(mbs_config_parse(text, strlen(text), "config.json", &c, &err), &err);
    for (int i = 0; i < 2; i++) {
        mbs_backend b;
        mbs_model *m;
        mbs_session *s;
        OK(mbs_backend_open(&b, mbk_level_best(), 1 + i, &err), &err);
        OK(mbs_model_fresh(&c, 3, b.ctx, &m, &err), &err);
        OK(mbs_session_new(m, 1, &s, &err), &err);
        for (int32_t t = 0; t < ROWS; t++) {
            const int32_t id = (t * 7 + t / 5) % VOCAB;
            mbs_run_out out = {.last_logits = logits[i][t], .layer = -1};
            OK(mbs_session_run(s, &id, 1, &out, &err), &err);
            CHECK(i == 0 || mkit_same(logits[0][t], logits[1][t], VOCAB), "row %d", (int)t);
        }
        mbs_session_free(s);
        mbs_model_close(m);
        mbs_backend_close(&b);
    }
}

/* The config is written as it was read, biases within are those of the tensors, and a folder comes back. */
MBS_TEST(pool, a_folder) {
    char dir[256];
    mbs_err err = {0};
    mbs_model *m;
    mbs_buf text = MBS_BUF_INIT;
    mbs_model_config c = config("{\"mixer\": \"pool\", \"pool\": 4, \"layers\": [{\"mixer\": \"mamba1\", \"count\": 2, "
                                "\"bias\": true}, {\"mixer\": \"s4d\"}]}, {\"mixer\": \"mamba1\"}");
    mbs_config_put_layers(&c, ", ", &text);
    CHECK_STR(mbs_buf_str(&text),
              " {\"mixer\": \"pool\", \"pool\": 4, \"expand\": 2, \"layers\": [{\"mixer\": \"mamba1\", \"count\": 2, "
              "\"d_state\": 16, \"expand\": 2, \"d_conv\": 4, \"dt_rank\": 1, \"bias\": true, \"conv_bias\": true}, "
              "{\"mixer\": \"s4d\", \"d_state\": 64, \"convolve\": \"none\", \"init\": \"legs\", \"rule\": \"zoh\"}]}, "
              "{\"mixer\": \"mamba1\", \"d_state\": 16, \"expand\": 2, \"d_conv\": 4, \"dt_rank\": 1, \"bias\": false, "
              "\"conv_bias\": true}");
    test_tmp_enter(dir);
    OK(mbs_model_init("m", &c, 1, 0, &err), &err);
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    OK(mbs_model_open("m", ctx, &m, &err), &err);
    mbs_buf again = MBS_BUF_INIT;
    mbs_config_put_layers(mbs_model_get_config(m), ", ", &again);
    CHECK_STR(mbs_buf_str(&again), mbs_buf_str(&text));
    mbs_model_close(m);
    mbk_close(ctx);
    mbs_buf_free(&text);
    mbs_buf_free(&again);
    test_tmp_leave(dir);
}

MBS_TEST(pool, what_a_config_may_not_say) {
    static const struct {
        const char *layers, *what;
    } bad[] = {
        {"{\"mixer\": \"pool\"}", "layers[0]: 'layers' names no layer within this one"},
        {"{\"mixer\": \"mamba1\", \"layers\": []}", "layers[0]: 'layers' is not a key of a layer of mixer 'mamba1'"},
        {"{\"mixer\": \"pool\", \"pool\": 1, \"layers\": [{\"mixer\": \"gru\"}]}",
         "layers[0]: 'pool' is an integer from 2 to 4096, not '1'"},
        {"{\"mixer\": \"pool\", \"layers\": [{\"mixer\": \"gru\", \"d_conv\": 4}]}",
         "layers[0]: layers[0]: 'd_conv' is not a key of a layer of mixer 'gru'"},
        {"{\"mixer\": \"pool\", \"layers\": [{\"mixer\": \"attention\", \"num_heads\": 2}]}",
         "layers[0]: layers of mixer 'attention' cannot stand within others"},
        {"{\"mixer\": \"pool\", \"layers\": [{\"mixer\": \"hyena\", \"l_max\": 9}]}",
         "layers[0]: layers of mixer 'hyena' cannot stand within others"},
        {"{\"mixer\": \"pool\", \"layers\": [{\"mixer\": \"gru\", \"count\": 513}]}",
         "layers[0]: more than 512 layers within one"},
        {"{\"mixer\": \"pool\", \"pool\": 4096, \"expand\": 1000, \"layers\": [{\"mixer\": \"gru\"}]}",
         "layers[0]: 4096 rows of width 8 make one that is too wide"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mbs_err err = {0};
        mbs_model_config c;
        CHECK_INT(parse(bad[i].layers, &c, &err), MBS_ERR_DATA);
        CHECK_STR(err.what, bad[i].what);
    }
    char deep[1024] = "{\"mixer\": \"gru\"}";
    for (int i = 0; i < 5; i++) {
        char inner[1024];
        snprintf(inner, sizeof inner, "%s", deep);
        snprintf(deep, sizeof deep, "{\"mixer\": \"pool\", \"pool\": 2, \"expand\": 1, \"layers\": [%.900s]}", inner);
        mbs_err err = {0};
        mbs_model_config c;
        CHECK_INT(parse(deep, &c, &err), i < 4 ? MBS_OK : MBS_ERR_DATA);
    }
}

/* Every tensor has a name of its own, as deep as layers may stand within layers. */
MBS_TEST(pool, names_of_the_deepest) {
    char dir[256];
    mbs_err err = {0};
    mbs_model *m;
    mbs_st_set set;
    char deep[1024] = "{\"mixer\": \"s4d\", \"d_state\": 2, \"count\": 2}";
    for (int i = 0; i < 4; i++) {
        char inner[1024];
        snprintf(inner, sizeof inner, "%s", deep);
        snprintf(deep, sizeof deep,
                 "{\"mixer\": \"gru\", \"count\": 99}, {\"mixer\": \"pool\", \"pool\": 2, \"expand\": 1, "
                 "\"layers\": [%.800s]}",
                 inner);
    }
    mbs_model_config c = config(deep);
    test_tmp_enter(dir);
    OK(mbs_model_init("m", &c, 1, 0, &err), &err);
    OK(mbs_st_set_open("m", &set, &err), &err);
    CHECK(mbs_st_set_find(&set,
                          "backbone.layers.99.mixer.layers.99.mixer.layers.99.mixer.layers.99.mixer.layers.1.mixer."
                          "output_linear.weight",
                          NULL) != NULL);
    mbs_st_set_close(&set);
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    OK(mbs_model_open("m", ctx, &m, &err), &err);
    mbs_model_close(m);
    mbk_close(ctx);
    test_tmp_leave(dir);
}

MBS_TEST(pool, an_mlp_within_has_a_width) {
    mbs_model_config inner;
    mbs_model_config c =
        config("{\"mixer\": \"pool\", \"pool\": 2, \"expand\": 0.125, \"layers\": [{\"mixer\": \"gru\"}]}");
    mbs_pooled_inner(&c, 0, &inner);
    CHECK_INT(inner.d_mlp, 0);
    c.mlp = MBS_MLP_GATED;
    c.d_mlp = 4;
    mbs_pooled_inner(&c, 0, &inner);
    CHECK_INT(inner.d_mlp, 1);
}

/* A convolution within has as many groups as it has taps. */
MBS_TEST(pool, the_longest_sequence) {
    mbs_err err = {0};
    mbs_model_config c =
        config("{\"mixer\": \"pool\", \"pool\": 3, \"layers\": [{\"mixer\": \"s4d\", \"convolve\": 10}]}");
    OK(mbs_mixers_reach(&c, 30, "x", &err), &err);
    CHECK_INT(mbs_mixers_reach(&c, 31, "x", &err), MBS_ERR_DATA);
}
