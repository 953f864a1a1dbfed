/* A stream's numbers do not depend on how it is cut, saved, copied or where its memory is. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/weights.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define LEN 1200

/* How many of the tokens a level goes through: plain C takes fifteen times as long, and its loops know no tiles that
   only long calls fill. */
static int64_t length_at(mbk_level level) {
    return level == MBK_LEVEL_REF ? LEN / 5 : LEN;
}

/* All that a run can give for LEN tokens of ecoli-ref. */
typedef struct results {
    float lp[LEN];
    float logits[LEN * 16];
    float hidden[LEN * 128];
    double sum[128];
    int64_t sum_rows;
} results;

static void feed(mkit *k, const int32_t *ids, int64_t from, int64_t to, int layer, results *r) {
    mbs_err err = {0};
    mbs_run_out out = {.logprob = r->lp + from,
                       .logits = r->logits + from * 16,
                       .hidden = r->hidden + from * 128,
                       .layer = layer,
                       .sum = 1};
    OK(mbs_session_run(k->s, ids + from, to - from, &out, &err), &err);
}

static void finish(mkit *k, results *r) {
    mbs_err err = {0};
    OK(mbs_session_sum(k->s, r->sum, &r->sum_rows, &err), &err);
}

static void check_same(const results *a, const results *b, int64_t n, const char *what) {
    CHECK(mkit_same(a->lp, b->lp, n), "%s: log-probabilities differ", what);
    CHECK(mkit_same(a->logits, b->logits, n * 16), "%s: logits differ", what);
    CHECK(mkit_same(a->hidden, b->hidden, n * 128), "%s: hidden rows differ", what);
    CHECK(memcmp(a->sum, b->sum, sizeof a->sum) == 0 && a->sum_rows == b->sum_rows, "%s: sums differ", what);
}

static results *whole(mbk_level level, int test_backend, const int32_t *ids, int layer) {
    results *r = calloc(1, sizeof *r);
    mkit k = mkit_start(ECOLI_REF, level, test_backend, LEN);
    feed(&k, ids, 0, length_at(level), layer, r);
    finish(&k, r);
    mkit_close(&k);
    return r;
}

MBS_TEST(session, step_chunk_and_whole_are_the_same_bits) {
    int32_t *ids = mkit_random_ids(LEN);
    EACH_LEVEL(level) {
        results *want = whole(level, 0, ids, -1);
        results *got = calloc(1, sizeof *got);
        const int64_t n = length_at(level);
        const int64_t cuts[] = {1, 3, 64, 5 * n / 12, n - 1};
        CHECK_INT(want->sum_rows, n);
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c += 3 - MKIT_BACKENDS) {
            char what[64];
            snprintf(what, sizeof what, "%s in calls of %d", mbk_level_name(level), (int)cuts[c]);
            mkit k = mkit_start(ECOLI_REF, level, 0, cuts[c]);
            for (int64_t at = 0; at < n; at += cuts[c]) {
                feed(&k, ids, at, at + cuts[c] < n ? at + cuts[c] : n, -1, got);
            }
            finish(&k, got);
            check_same(got, want, n, what);
            mkit_close(&k);
        }
        free(got);
        free(want);
    }
    free(ids);
}

/* Memory that the host cannot read gives the same numbers: nothing here peeks. */
MBS_TEST(session, test_backend_gives_the_same_bits) {
    int32_t *ids = mkit_random_ids(LEN);
    EACH_LEVEL(level) {
        results *want = whole(level, 0, ids, 2);
        results *got = whole(level, 1, ids, 2);
        check_same(got, want, length_at(level), "test backend");
        free(got);
        free(want);
    }
    free(ids);
}

MBS_TEST(session, threads_give_the_same_bits) {
    int32_t *ids = mkit_random_ids(LEN);
    mbs_pool *pool = mbs_pool_new(3);
    mbk_parallel par = {pool, 3, mbs_pool_run};
    CHECK(pool);
    EACH_LEVEL(level) {
        mbs_err err = {0};
        results *want = whole(level, 0, ids, -1);
        results *got = calloc(1, sizeof *got);
        mkit k = {0};
        const int64_t n = length_at(level);
        CHECK(mbk_cpu_open(level, &par, &k.ctx) >= 0);
        OK(mbs_model_open(ECOLI_REF, k.ctx, &k.m, &err), &err);
        OK(mbs_session_new(k.m, LEN, &k.s, &err), &err);
        feed(&k, ids, 0, 3 * n / 4 + 1, -1, got);
        feed(&k, ids, 3 * n / 4 + 1, n, -1, got);
        finish(&k, got);
        check_same(got, want, n, mbk_level_name(level));
        mkit_close(&k);
        free(got);
        free(want);
    }
    mbs_pool_free(pool);
    free(ids);
}

/* What is asked for does not change what is given, and a call that asks for nothing still moves the state. */
MBS_TEST(session, outputs_do_not_disturb_each_other) {
    mbs_err err = {0};
    int32_t *ids = mkit_random_ids(LEN);
    mbk_level level = mbk_level_best();
    results *want = whole(level, 0, ids, -1);
    mkit k = mkit_start(ECOLI_REF, level, 0, LEN);
    float lp[LEN];
    float row[128];
    float last[16];
    mbs_run_out nothing = {.layer = -1};
    OK(mbs_session_run(k.s, ids, 700, &nothing, &err), &err);
    mbs_run_out only_lp = {.logprob = lp, .layer = -1};
    OK(mbs_session_run(k.s, ids + 700, 100, &only_lp, &err), &err);
    CHECK(mkit_same(lp, want->lp + 700, 100));
    mbs_run_out lasts = {.last_hidden = row, .last_logits = last, .layer = -1};
    OK(mbs_session_run(k.s, ids + 800, 399, &lasts, &err), &err);
    CHECK(mkit_same(row, want->hidden + 1198 * 128, 128));
    CHECK(mkit_same(last, want->logits + 1198 * 16, 16));
    OK(mbs_session_run(k.s, ids + 1199, 1, &only_lp, &err), &err);
    CHECK(mkit_same(lp, want->lp + 1199, 1), "the first token of a call is predicted by the call before");
    CHECK_INT(mbs_session_tokens(k.s), LEN);
    mkit_close(&k);
    free(want);
    free(ids);
}

/* Layer 0 is the embedding, layer k what k blocks leave, and the last layer before the norm differs from after it. */
MBS_TEST(session, layers_are_the_residual_stream) {
    mbs_err err = {0};
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, 8);
    static const int32_t ids[] = {7, 9, 7, 10};
    float h[6][4 * 128];
    for (int layer = -1; layer <= 4; layer++) {
        mbs_run_out out = {.hidden = h[layer + 1], .layer = layer};
        OK(mbs_session_reset(k.s, &err), &err);
        OK(mbs_session_run(k.s, ids, 4, &out, &err), &err);
    }
    CHECK(mkit_same(h[1], h[1] + 2 * 128, 128), "the embedding of one id is the same at every place");
    CHECK(!mkit_same(h[2], h[2] + 2 * 128, 128), "one block on it is not");
    for (int layer = 0; layer < 5; layer++) {
        CHECK(!mkit_same(h[layer], h[layer + 1], 128), "layers %d and %d", layer - 1, layer);
    }
    mbs_run_out out = {.hidden = h[0], .layer = 5};
    CHECK_INT(mbs_session_run(k.s, ids, 4, &out, &err), MBS_ERR_CONFIG);
    CHECK(strstr(err.what, "there is no layer 5"), "%s", err.what);
    mkit_close(&k);
}

MBS_TEST(session, saved_and_copied_streams_go_on_with_the_same_bits) {
    int32_t *ids = mkit_random_ids(LEN);
    EACH_LEVEL(level) {
        const int64_t n = length_at(level);
        const int64_t at = n / 4 + 33;
        results *want = whole(level, 0, ids, -1);
        for (int test_backend = 0; test_backend < MKIT_BACKENDS; test_backend++) {
            mbs_err err = {0};
            mbs_buf blob = MBS_BUF_INIT;
            mbs_session *fork;
            results *got = calloc(1, sizeof *got);
            mkit k = mkit_start(ECOLI_REF, level, test_backend, LEN);
            feed(&k, ids, 0, at, -1, got);
            OK(mbs_session_save(k.s, &blob, &err), &err);
            OK(mbs_session_new(k.m, LEN, &fork, &err), &err);
            OK(mbs_session_copy(fork, k.s, &err), &err);
            feed(&k, ids, at, 5 * n / 12, 0, got); /* leads astray: the saved state must not move */
            OK(mbs_session_restore(k.s, blob.data, blob.len, &err), &err);
            CHECK_INT(mbs_session_tokens(k.s), at);
            feed(&k, ids, at, n, -1, got);
            finish(&k, got);
            check_same(got, want, n, "restored");
            mbs_session *first = k.s;
            k.s = fork;
            feed(&k, ids, at, n, -1, got);
            finish(&k, got);
            check_same(got, want, n, "copied");
            mbs_session_free(first);
            mbs_buf_free(&blob);
            mkit_close(&k);
            free(got);
        }
        free(want);
    }
    free(ids);
}

/* A blob of a fresh model object of the same folder is accepted, and by a session of another max_rows. */
MBS_TEST(session, state_survives_the_process) {
    mbs_err err = {0};
    mbs_buf blob = MBS_BUF_INIT;
    int32_t *ids = mkit_random_ids(LEN);
    results *want = whole(mbk_level_best(), 0, ids, -1);
    results *got = calloc(1, sizeof *got);
    mkit a = mkit_start(ECOLI_REF, mbk_level_best(), 0, 100);
    feed(&a, ids, 0, 100, -1, got);
    OK(mbs_session_save(a.s, &blob, &err), &err);
    mkit_close(&a);
    mkit b = mkit_start(ECOLI_REF, mbk_level_best(), 0, LEN);
    OK(mbs_session_restore(b.s, blob.data, blob.len, &err), &err);
    feed(&b, ids, 100, LEN, -1, got);
    finish(&b, got);
    check_same(got, want, LEN, "another process");
    mkit_close(&b);
    mbs_buf_free(&blob);
    free(got);
    free(want);
    free(ids);
}

MBS_TEST(session, reset_forgets_everything) {
    mbs_err err = {0};
    int32_t *ids = mkit_random_ids(LEN);
    results *want = whole(mbk_level_best(), 0, ids, -1);
    results *got = calloc(1, sizeof *got);
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, LEN);
    feed(&k, ids + 100, 0, 777, -1, got);
    OK(mbs_session_reset(k.s, &err), &err);
    CHECK_INT(mbs_session_tokens(k.s), 0);
    feed(&k, ids, 0, LEN, -1, got);
    finish(&k, got);
    check_same(got, want, LEN, "after reset");
    CHECK(isnan(got->lp[0]));
    mkit_close(&k);
    free(got);
    free(want);
    free(ids);
}

static void check_refused(mbs_session *s, const char *bytes, size_t n, const char *why) {
    mbs_err err = {0};
    CHECK_INT(mbs_session_restore(s, bytes, n, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, why), "\"%s\" does not say \"%s\"", err.what, why);
}

MBS_TEST(session, foreign_and_damaged_states_are_refused) {
    char dir[256];
    mbs_err err = {0};
    mbs_buf blob = MBS_BUF_INIT;
    mbs_buf foreign = MBS_BUF_INIT;
    test_tmp_enter(dir);
    mkit_golden_folder("golden", 0);
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, 10);
    mkit g = mkit_start("golden", mbk_level_best(), 0, 10);
    OK(mbs_session_save(k.s, &blob, &err), &err);
    OK(mbs_session_save(g.s, &foreign, &err), &err);
    check_refused(k.s, foreign.data, foreign.len, "belongs to another model");
    check_refused(k.s, blob.data, blob.len - 1, "bytes");
    check_refused(k.s, blob.data, 10, "is not one");
    check_refused(k.s, "", 0, "is not one");
    blob.data[blob.len / 2] ^= 1;
    check_refused(k.s, blob.data, blob.len, "is damaged");
    blob.data[blob.len / 2] ^= 1;
    blob.data[8] = 99;
    check_refused(k.s, blob.data, blob.len, "its format is 99");
    blob.data[8] = 1; /* the version before says the same of this model */
    blob.len -= 8;
    mbs_buf_put_i64(&blob, (int64_t)mbs_fingerprint(0, blob.data, blob.len));
    OK(mbs_session_restore(k.s, blob.data, blob.len, &err), &err);
    blob.data[8] = 2;
    check_refused(k.s, blob.data, blob.len, "is damaged");
    blob.len -= 8;
    mbs_buf_put_i64(&blob, (int64_t)mbs_fingerprint(0, blob.data, blob.len));
    blob.data[0] = 'X';
    check_refused(k.s, blob.data, blob.len, "is not one");
    blob.data[0] = 'M';
    OK(mbs_session_restore(k.s, blob.data, blob.len, &err), &err);
    CHECK(mbs_session_copy(k.s, g.s, &err) < 0, "a copy from another model");
    mbs_buf_free(&blob);
    mbs_buf_free(&foreign);
    mkit_close(&k);
    mkit_close(&g);
    test_tmp_leave(dir);
}

MBS_TEST(session, ids_outside_the_table_are_refused_before_the_state_moves) {
    mbs_err err = {0};
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, 10);
    float lp[10];
    mbs_run_out out = {.logprob = lp, .layer = -1};
    OK(mbs_session_run(k.s, (const int32_t[]){7, 8, 9}, 3, &out, &err), &err);
    CHECK_INT(mbs_session_run(k.s, (const int32_t[]){7, 16}, 2, &out, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "token 4 of the sequence has id 16, the model knows 0 to 15"), "%s", err.what);
    mbs_err_clear(&err);
    CHECK_INT(mbs_session_run(k.s, (const int32_t[]){-1}, 1, &out, &err), MBS_ERR_DATA);
    CHECK_INT(mbs_session_tokens(k.s), 3);
    mbs_err_clear(&err);
    CHECK(mbs_session_run(k.s, (const int32_t[]){7}, 0, &out, &err) < 0);
    mbs_err_clear(&err);
    OK(mbs_session_run(k.s, (const int32_t[]){7}, 1, &out, &err), &err);
    mkit_close(&k);
}

MBS_TEST(session, running_allocates_nothing) {
    mbs_err err = {0};
    int32_t *ids = mkit_random_ids(LEN);
    results *r = calloc(1, sizeof *r);
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, LEN);
    uint64_t before = mbs_alloc_count();
    feed(&k, ids, 0, 1000, 1, r);
    OK(mbs_session_reset(k.s, &err), &err);
    feed(&k, ids, 0, 1, -1, r);
    CHECK_INT(mbs_alloc_count() - before, 0);
    mkit_close(&k);
    free(r);
    free(ids);
}

/* Sequences of every length from 1 on, side by side in tiles and across them, against each of them alone. */
MBS_TEST(session, many_sequences_have_the_bits_of_each_alone) {
    int32_t *ids = mkit_random_ids(LEN);
    int32_t starts[LEN + 1] = {0};
    EACH_LEVEL(level) {
        const int32_t len = (int32_t)length_at(level);
        int64_t n_seq = 0;
        for (int32_t at = 0; at < len; n_seq++) {
            static const int32_t lengths[] = {1, 2, 3, 1, 150, 5, 40, 4, 1, 301, 17};
            int32_t n = lengths[(size_t)n_seq % (sizeof lengths / sizeof lengths[0])];
            at += n < len - at ? n : len - at;
            starts[n_seq + 1] = at;
        }
        for (int test_backend = 0; test_backend < MKIT_BACKENDS; test_backend++) {
            mbs_err err = {0};
            results *want = calloc(1, sizeof *want);
            results *got = calloc(1, sizeof *got);
            mkit k = mkit_start(ECOLI_REF, level, test_backend, LEN);
            for (int layer = -1; layer < 3; layer += 3) {
                for (int64_t i = 0; i < n_seq; i++) {
                    OK(mbs_session_reset(k.s, &err), &err);
                    feed(&k, ids, starts[i], starts[i + 1], layer, want);
                }
                finish(&k, want);
                feed(&k, ids, 0, 77, layer, got); /* what was before does not matter */
                mbs_run_out out = {.logprob = got->lp, .logits = got->logits, .hidden = got->hidden, .layer = layer};
                OK(mbs_session_run_many(k.s, ids, starts, n_seq, &out, &err), &err);
                CHECK_INT(mbs_session_tokens(k.s), starts[n_seq] - starts[n_seq - 1]);
                memcpy(got->sum, want->sum, sizeof got->sum);
                got->sum_rows = want->sum_rows;
                check_same(got, want, len, mbk_level_name(level));
                CHECK(isnan(got->lp[0]) && isnan(got->lp[1]) && !isnan(got->lp[2]));
                /* It stands behind the last sequence. */
                float next[2][16];
                mbs_run_out one = {.last_logits = next[0], .layer = -1};
                OK(mbs_session_run(k.s, ids, 1, &one, &err), &err);
                OK(mbs_session_reset(k.s, &err), &err);
                feed(&k, ids, starts[n_seq - 1], len, layer, want);
                one.last_logits = next[1];
                OK(mbs_session_run(k.s, ids, 1, &one, &err), &err);
                CHECK(mkit_same(next[0], next[1], 16), "what follows the last sequence");
            }
            mkit_close(&k);
            free(got);
            free(want);
        }
    }
    free(ids);
}

MBS_TEST(session, many_threads_and_small_sessions_change_nothing) {
    int32_t *ids = mkit_random_ids(LEN);
    int32_t starts[41];
    for (int32_t i = 0; i <= 40; i++) {
        starts[i] = i * 30;
    }
    mbs_pool *pool = mbs_pool_new(3);
    mbk_parallel par = {pool, 3, mbs_pool_run};
    mbs_err err = {0};
    float *lp[2] = {calloc(LEN, sizeof(float)), calloc(LEN, sizeof(float))};
    mkit k = mkit_start(ECOLI_REF, mbk_level_best(), 0, LEN);
    mbs_run_out out = {.logprob = lp[0], .layer = -1};
    OK(mbs_session_run_many(k.s, ids, starts, 40, &out, &err), &err);
    mkit_close(&k);
    mkit t = {0};
    CHECK(pool && mbk_cpu_open(mbk_level_best(), &par, &t.ctx) >= 0);
    OK(mbs_model_open(ECOLI_REF, t.ctx, &t.m, &err), &err);
    OK(mbs_session_new(t.m, 90, &t.s, &err), &err);
    for (int64_t i = 0; i < 40; i += 3) {
        int64_t n = i + 3 <= 40 ? 3 : 40 - i;
        out.logprob = lp[1] + i * 30;
        OK(mbs_session_run_many(t.s, ids + i * 30, starts, n, &out, &err), &err);
    }
    CHECK(mkit_same(lp[0], lp[1], LEN));
    int32_t empty[] = {0, 3, 3, 5};
    CHECK(mbs_session_run_many(t.s, ids, empty, 3, &out, &err) < 0, "a sequence without tokens");
    mbs_err_clear(&err);
    int32_t much[] = {0, 91};
    CHECK(mbs_session_run_many(t.s, ids, much, 1, &out, &err) < 0, "more than was agreed");
    mkit_close(&t);
    mbs_pool_free(pool);
    free(lp[0]);
    free(lp[1]);
    free(ids);
}

/* Many streams in lock step: what each would be alone, whatever stands beside it and however long it is already. */
static void check_lanes(const char *folder, mbk_level level) {
    enum { LANES = 5, STEPS = 7 };
    mbs_err err = {0};
    mkit k = mkit_start(folder, level, 0, 64);
    const int64_t v = mbs_model_get_config(k.m)->vocab_rows;
    mbs_session *lanes[LANES], *alone[LANES];
    float *got = calloc((size_t)(LANES * v), sizeof *got);
    float *want = calloc((size_t)v, sizeof *want);
    int32_t *ids = mkit_random_ids(LANES * 32);
    const mbs_run_out none = {.layer = -1};
    OK(mbs_session_run(k.s, ids, 3, &none, &err), &err);
    for (int i = 0; i < LANES; i++) {
        OK(mbs_session_new(k.m, 8, &lanes[i], &err), &err);
        OK(mbs_session_new(k.m, 8, &alone[i], &err), &err);
        OK(mbs_session_run(lanes[i], ids, i + 1, &none, &err), &err); /* each at a place of its own */
        OK(mbs_session_copy(alone[i], lanes[i], &err), &err);
    }
    for (int t = 0; t < STEPS; t++) {
        int32_t next[LANES];
        for (int i = 0; i < LANES; i++) {
            next[i] = ids[t * LANES + i];
        }
        OK(mbs_session_step_lanes(k.s, lanes, LANES, next, got, NULL, &err), &err);
        for (int i = 0; i < LANES; i++) {
            mbs_run_out o = {.layer = -1, .last_logits = want};
            OK(mbs_session_run(alone[i], &next[i], 1, &o, &err), &err);
            CHECK(mkit_same(want, got + i * v, v), "%s: lane %d differs at step %d", folder, i, t);
        }
    }
    CHECK_INT(mbs_session_tokens(k.s), 3);
    CHECK(mbs_session_step_lanes(k.s, &k.s, 1, ids, got, NULL, &err) < 0, "a stream that is its own room");
    for (int i = 0; i < LANES; i++) {
        mbs_session_free(lanes[i]);
        mbs_session_free(alone[i]);
    }
    mkit_close(&k);
    free(got);
    free(want);
    free(ids);
}

MBS_TEST(session, lanes_in_lock_step_are_streams_alone) {
    EACH_LEVEL(level) {
        check_lanes(ECOLI_REF, level);
    }
}
