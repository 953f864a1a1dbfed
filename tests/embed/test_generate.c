/* Drawing through the library: the same values give the same tokens, in one call or in many. */
#include "kit.h"

#define N 60

static const uint8_t acgt[11] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1};

static mbs_lm_sampling how_of(int64_t n) {
    mbs_lm_sampling how = MBS_LM_SAMPLING_INIT;
    how.max_tokens = n;
    how.seed = 42;
    how.temperature = 0.8;
    how.allowed = acgt;
    how.n_allowed = sizeof acgt;
    return how;
}

static mbs_lm_stream *prompted(mbs_lm *lm) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    int32_t ids[40];
    mbs_lm_stream *s = kit_stream(lm);
    kit_ids(ids, 40);
    OK(mbs_lm_feed(s, ids, 40, NULL, &err));
    return s;
}

MBS_TEST(embed, a_sample_in_pieces_is_the_sample) {
    int32_t whole[N], pieces[N];
    float logprob[N], told[N];
    int64_t n = 0;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = prompted(lm);
    mbs_lm_stream *again = prompted(lm);
    mbs_lm_sampling how = how_of(N);
    OK(mbs_lm_generate(s, &how, whole, logprob, &n, &err));
    CHECK_INT(n, N);
    CHECK_INT(mbs_lm_tokens(s), 40 + N);
    how.max_tokens = 7;
    for (how.first = 0; how.first < N; how.first += 7) {
        how.max_tokens = N - (int64_t)how.first < 7 ? N - (int64_t)how.first : 7;
        OK(mbs_lm_generate(again, &how, pieces + how.first, NULL, &n, &err));
        CHECK_INT(n, how.max_tokens);
    }
    CHECK(memcmp(whole, pieces, sizeof whole) == 0);
    /* The log-probabilities are the model's own: feeding the tokens gives the same. */
    mbs_lm_stream_free(again);
    again = prompted(lm);
    kit_feed(again, whole, N, told);
    for (int i = 0; i < N; i++) {
        CHECK(fabsf(told[i] - logprob[i]) < 1e-5F, "token %d: %g, %g", i, (double)told[i], (double)logprob[i]);
    }
    /* Another seed, another sample of the seed: other tokens. */
    for (int k = 0; k < 2; k++) {
        mbs_lm_stream_free(again);
        again = prompted(lm);
        how = how_of(N);
        how.seed += k == 0;
        how.sample += k == 1;
        OK(mbs_lm_generate(again, &how, pieces, NULL, &n, &err));
        CHECK(memcmp(whole, pieces, sizeof whole) != 0);
    }
    mbs_lm_stream_free(s);
    mbs_lm_stream_free(again);
    mbs_lm_close(lm);
}

MBS_TEST(embed, temperature_zero_takes_the_most_likely) {
    int32_t ids[5];
    float logits[V];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = prompted(lm);
    for (int i = 0; i < 5; i++) {
        mbs_lm_sampling how = how_of(1);
        how.temperature = 0;
        how.allowed = NULL;
        how.n_allowed = 0;
        OK(mbs_lm_predict(s, logits, &err));
        OK(mbs_lm_generate(s, &how, ids, NULL, NULL, &err));
        for (int k = 0; k < V; k++) {
            CHECK(logits[k] <= logits[ids[0]]);
        }
    }
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}

MBS_TEST(embed, from_nothing_every_allowed_token_is_equally_likely) {
    int seen[V] = {0};
    float logprob = 0;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s;
    OK(mbs_lm_stream_new(lm, 1, &s, &err));
    for (int k = 0; k < 100; k++) {
        int32_t id = -1;
        mbs_lm_sampling how = how_of(1);
        how.sample = (uint64_t)k;
        OK(mbs_lm_reset(s, &err));
        OK(mbs_lm_generate(s, &how, &id, &logprob, NULL, &err));
        CHECK(id >= 7 && id <= 10);
        CHECK(fabsf(logprob + logf(4)) < 1e-6F);
        seen[id]++;
    }
    CHECK(seen[7] > 10 && seen[8] > 10 && seen[9] > 10 && seen[10] > 10);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}

typedef struct watch {
    mbs_lm_stream *s;
    mbs_status inside;
    int64_t calls;
    int32_t ids[N];
} watch;

static int32_t on_token(void *arg, int32_t id, float logprob) {
    watch *w = arg;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    w->inside = mbs_lm_feed(w->s, &id, 1, NULL, &err);
    w->ids[w->calls++] = id;
    return logprob <= 0 && w->calls == 9;
}

MBS_TEST(embed, a_callback_sees_each_token_and_can_end_it) {
    int32_t ids[N];
    int64_t n = 0;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm *lm = kit_open(1);
    watch w = {.s = prompted(lm)};
    mbs_lm_sampling how = how_of(N);
    how.on_token = on_token;
    how.arg = &w;
    OK(mbs_lm_generate(w.s, &how, ids, NULL, &n, &err));
    CHECK_INT(n, 9);
    CHECK_INT(w.calls, 9);
    CHECK(memcmp(ids, w.ids, 9 * sizeof ids[0]) == 0);
    CHECK_INT(w.inside, MBS_ERR_USAGE); /* the stream is in a call */
    CHECK_INT(mbs_lm_tokens(w.s), 49);
    mbs_lm_stream_free(w.s);
    mbs_lm_close(lm);
}

MBS_TEST(embed, a_stop_token_ends_and_is_not_given) {
    int32_t whole[N], ids[N];
    int64_t n = 0;
    int64_t before = 0;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = prompted(lm);
    mbs_lm_stream *again = prompted(lm);
    mbs_lm_sampling how = how_of(N);
    OK(mbs_lm_generate(s, &how, whole, NULL, &n, &err));
    while (before < N && whole[before] != whole[N - 1]) {
        before++;
    }
    how.stop = &whole[N - 1];
    how.n_stop = 1;
    OK(mbs_lm_generate(again, &how, ids, NULL, &n, &err));
    CHECK_INT(n, before);
    CHECK(memcmp(ids, whole, (size_t)n * sizeof ids[0]) == 0);
    CHECK_INT(mbs_lm_tokens(again), 40 + before);
    mbs_lm_stream_free(s);
    mbs_lm_stream_free(again);
    mbs_lm_close(lm);
}

MBS_TEST(embed, sampling_that_makes_no_sense_is_refused) {
    static const uint8_t none[11] = {0};
    static const int32_t beyond[1] = {V};
    int64_t n = 77;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = prompted(lm);
    mbs_lm_sampling bad[9];
    for (int i = 0; i < 9; i++) {
        bad[i] = how_of(5);
    }
    bad[0].max_tokens = 0;
    bad[1].temperature = -1;
    bad[2].temperature = (double)NAN;
    bad[3].top_p = 1.5;
    bad[4].top_k = -1;
    bad[5].n_allowed = V + 1;
    bad[6].n_stop = 1;
    bad[7].stop = beyond;
    bad[7].n_stop = 1;
    bad[8].struct_size = 8;
    for (int i = 0; i < 9; i++) {
        CHECK_INT(mbs_lm_generate(s, &bad[i], NULL, NULL, &n, &err), MBS_ERR_USAGE);
        CHECK(err.what[0] && n == 0, "case %d", i);
    }
    mbs_lm_sampling how = how_of(5);
    how.allowed = none;
    CHECK_INT(mbs_lm_generate(s, &how, NULL, NULL, &n, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "none is allowed"), "%s", err.what);
    CHECK_INT(mbs_lm_generate(s, NULL, NULL, NULL, &n, &err), MBS_ERR_USAGE);
    CHECK_INT(mbs_lm_generate(NULL, &how, NULL, NULL, &n, &err), MBS_ERR_USAGE);
    CHECK_INT(mbs_lm_tokens(s), 40);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}
