/* A model that takes frames: the same bits however a recording is cut, and words for what it cannot take. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/init.h"
#include "model/shape.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define LEN 700
#define WIDTH 10
#define D 12

static mbs_model_config shape(const char *mixer) {
    const char *const set[] = {"d_model", "12",  "n_layer",     "2",
                               "d_state", "8",   "frame_width", "10",
                               "mixer",   mixer, "head_dim",    strcmp(mixer, "mamba2") == 0 ? "8" : NULL};
    mbs_err err = {0};
    mbs_shape s;
    mbs_shape_default(&s);
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i += 2) {
        if (set[i + 1]) {
            OK(mbs_shape_set(&s, set[i], set[i + 1], &err), &err);
        }
    }
    OK(mbs_shape_finish(&s, &err), &err);
    return s.cfg;
}

static float *frames(void) {
    float *x = malloc(LEN * WIDTH * sizeof *x);
    for (uint64_t i = 0; i < LEN * WIDTH; i++) {
        x[i] = (float)mbs_rng_normal(3, 1, i);
    }
    return x;
}

typedef struct rows {
    float hidden[LEN * D];
    double sum[D];
    int64_t n;
} rows;

static void run(mbs_session *s, const float *x, int64_t from, int64_t to, rows *r) {
    mbs_err err = {0};
    mbs_run_out out = {.hidden = r->hidden + from * D, .layer = -1, .sum = 1};
    OK(mbs_session_feed(s, &(mbs_feed){.frames = x + from * WIDTH}, to - from, &out, &err), &err);
}

static void check_same(const rows *a, const rows *b, const char *what) {
    CHECK(mkit_same(a->hidden, b->hidden, LEN * D), "%s: rows differ", what);
    CHECK(memcmp(a->sum, b->sum, sizeof a->sum) == 0 && a->n == b->n, "%s: sums differ", what);
}

/* All of it in calls of `cut`; at `broken`, the state goes through its bytes. */
static rows *all(mbk_level level, int test_backend, const mbs_model_config *c, const float *x, int64_t cut,
                 int64_t broken) {
    mbs_err err = {0};
    rows *r = calloc(1, sizeof *r);
    mkit k = {.ctx = mkit_open(level, test_backend)};
    OK(mbs_model_fresh(c, 5, k.ctx, &k.m, &err), &err);
    OK(mbs_session_new(k.m, cut, &k.s, &err), &err);
    for (int64_t at = 0; at < LEN; at += cut) {
        if (at == broken) {
            mbs_buf b = MBS_BUF_INIT;
            OK(mbs_session_save(k.s, &b, &err), &err);
            mbs_session_free(k.s);
            OK(mbs_session_new(k.m, cut, &k.s, &err), &err);
            OK(mbs_session_restore(k.s, b.data, b.len, &err), &err);
            mbs_buf_free(&b);
        }
        run(k.s, x, at, at + cut < LEN ? at + cut : LEN, r);
    }
    OK(mbs_session_sum(k.s, r->sum, &r->n, &err), &err);
    mkit_close(&k);
    return r;
}

MBS_TEST(front, cuts_and_saved_states_do_not_show) {
    static const int64_t cuts[] = {1, 7, 64, 333};
    static const char *const mixers[] = {"mamba1", "mamba2"};
    float *x = frames();
    for (int m = 0; m < 2; m++) {
        mbs_model_config c = shape(mixers[m]);
        EACH_LEVEL(level) {
            rows *want = all(level, 0, &c, x, LEN, -1);
            CHECK_INT(want->n, LEN);
            for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
                rows *got = all(level, i == 1, &c, x, cuts[i], cuts[i] * (LEN / cuts[i] / 2));
                check_same(got, want, mixers[m]);
                free(got);
            }
            free(want);
        }
    }
    free(x);
}

MBS_TEST(front, records_side_by_side_are_each_alone) {
    static const int32_t starts[] = {0, 1, 64, 300, LEN};
    mbs_model_config c = shape("mamba1");
    mbs_err err = {0};
    float *x = frames();
    rows *together = calloc(1, sizeof *together);
    rows *alone = calloc(1, sizeof *alone);
    mkit k = {.ctx = mkit_open(mbk_level_best(), 0)};
    OK(mbs_model_fresh(&c, 5, k.ctx, &k.m, &err), &err);
    OK(mbs_session_new(k.m, LEN, &k.s, &err), &err);
    mbs_run_out out = {.hidden = together->hidden, .layer = -1};
    OK(mbs_session_feed_many(k.s, &(mbs_feed){.frames = x}, starts, 4, &out, &err), &err);
    for (int i = 0; i < 4; i++) {
        OK(mbs_session_reset(k.s, &err), &err);
        run(k.s, x, starts[i], starts[i + 1], alone);
    }
    CHECK(mkit_same(together->hidden, alone->hidden, LEN * D));
    mkit_close(&k);
    free(together);
    free(alone);
    free(x);
}

MBS_TEST(front, a_folder_holds_it) {
    const char *folder = "front-model";
    char dir[256];
    test_tmp_enter(dir);
    mbs_model_config c = shape("mamba1");
    mbs_err err = {0};
    float *x = frames();
    rows *want = all(mbk_level_best(), 0, &c, x, LEN, -1);
    rows *got = calloc(1, sizeof *got);
    OK(mbs_model_init(folder, &c, 5, 0, &err), &err);
    mkit k = mkit_start(folder, mbk_level_best(), 0, LEN);
    CHECK_INT(mbs_model_get_config(k.m)->frame_width, WIDTH);
    CHECK_INT(mbs_model_get_config(k.m)->vocab_rows, 0);
    CHECK(!mbs_model_has_lm_head(k.m));
    run(k.s, x, 0, LEN, got);
    OK(mbs_session_sum(k.s, got->sum, &got->n, &err), &err);
    check_same(got, want, "folder");
    mkit_close(&k);
    test_tmp_leave(dir);
    free(want);
    free(got);
    free(x);
}

MBS_TEST(front, what_it_cannot_take_is_told) {
    mbs_model_config c = shape("mamba1");
    mbs_err err = {0};
    float *x = frames();
    float logits[8];
    int32_t ids[1] = {1};
    mkit k = {.ctx = mkit_open(MBK_LEVEL_REF, 0)};
    OK(mbs_model_fresh(&c, 5, k.ctx, &k.m, &err), &err);
    OK(mbs_session_new(k.m, LEN, &k.s, &err), &err);
    mbs_run_out out = {.layer = -1};
    CHECK_INT(mbs_session_run(k.s, ids, 1, &out, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "the model takes frames, not tokens");
    x[5 * WIDTH + 3] = NAN;
    err = (mbs_err){0};
    CHECK_INT(mbs_session_feed(k.s, &(mbs_feed){.frames = x}, 9, &out, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "frame 5 holds a number that is none (NaN)");
    x[5 * WIDTH + 3] = INFINITY;
    err = (mbs_err){0};
    CHECK_INT(mbs_session_feed(k.s, &(mbs_feed){.frames = x}, 9, &out, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "frame 5 holds an infinite number");
    out.last_logits = logits;
    err = (mbs_err){0};
    CHECK_INT(mbs_session_feed(k.s, &(mbs_feed){.frames = x}, 4, &out, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "the model takes frames and is without a language head: it predicts no tokens");
    mkit_close(&k);
    free(x);

    mbs_shape s;
    mbs_shape_default(&s);
    OK(mbs_shape_set(&s, "d_model", "8", &err), &err);
    OK(mbs_shape_set(&s, "n_layer", "1", &err), &err);
    OK(mbs_shape_set(&s, "vocab", "8", &err), &err);
    OK(mbs_shape_set(&s, "frame_width", "8", &err), &err);
    err = (mbs_err){0};
    CHECK_INT(mbs_shape_finish(&s, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "'vocab' and 'frame_width' are both there: a model takes ids or frames");
    err = (mbs_err){0};
    mbs_shape_default(&s);
    OK(mbs_shape_set(&s, "d_model", "8", &err), &err);
    OK(mbs_shape_set(&s, "n_layer", "1", &err), &err);
    OK(mbs_shape_set(&s, "frame_width", "8", &err), &err);
    OK(mbs_shape_set(&s, "tie_embeddings", "true", &err), &err);
    CHECK_INT(mbs_shape_finish(&s, &err), MBS_ERR_CONFIG);
    CHECK_STR(err.what, "'tie_embeddings' means nothing with 'frame_width': there is no embedding");
    OK(mbs_shape_set(&s, "tie_embeddings", "false", &err), &err); /* as it is */
    OK(mbs_shape_finish(&s, &err), &err);
}
