/* Several models and streams from several threads: calls take turns, and nobody sees the others. */
#include <pthread.h>
#include <stdatomic.h>

#include "kit.h"

#define N 120

typedef struct job {
    mbs_lm *lm;
    int32_t ids[N];
    float logprob[N];
    int32_t drawn[5];
} job;

static void *work(void *arg) {
    job *j = arg;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_sampling how = MBS_LM_SAMPLING_INIT;
    mbs_lm_stream *s = kit_stream(j->lm);
    mbs_lm_stream *fork;
    for (int64_t at = 0; at < N; at += 30) {
        kit_feed(s, j->ids + at, 30, j->logprob + at);
    }
    OK(mbs_lm_fork(s, &fork, &err));
    mbs_lm_stream_free(s);
    how.max_tokens = 5;
    OK(mbs_lm_generate(fork, &how, j->drawn, NULL, NULL, &err));
    mbs_lm_stream_free(fork);
    return NULL;
}

MBS_TEST(embed, streams_of_two_models_in_four_threads) {
    static job alone[4], together[4];
    pthread_t ids[4];
    mbs_lm *lm[2] = {kit_open(2), kit_open(1)};
    for (int i = 0; i < 4; i++) {
        kit_ids(alone[i].ids, N);
        alone[i].ids[i] = 10;
        alone[i].ids[N / 2 + i] = 7;
        alone[i].lm = lm[i % 2];
        together[i] = alone[i];
        work(&alone[i]);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&ids[i], NULL, work, &together[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        CHECK(memcmp(alone[i].logprob + 1, together[i].logprob + 1, (N - 1) * sizeof(float)) == 0, "thread %d", i);
        CHECK(memcmp(alone[i].drawn, together[i].drawn, sizeof alone[i].drawn) == 0, "thread %d", i);
    }
    mbs_lm_close(lm[0]);
    mbs_lm_close(lm[1]);
}

typedef struct shared {
    mbs_lm_stream *s;
    _Atomic int64_t fed;
    _Atomic int wrong;
} shared;

static void *push(void *arg) {
    shared *h = arg;
    const int32_t ids[3] = {7, 8, 9};
    for (int i = 0; i < 100; i++) {
        mbs_status st;
        do { /* refused while the other one is at it, however long the scheduler leaves it there */
            st = mbs_lm_feed(h->s, ids, 3, NULL, NULL);
        } while (st == MBS_ERR_USAGE);
        if (st == MBS_OK) {
            atomic_fetch_add(&h->fed, 3);
        } else {
            atomic_store(&h->wrong, 1);
        }
    }
    return NULL;
}

/* A mistake, but one that is told rather than one that mixes two sequences. */
MBS_TEST(embed, one_stream_from_two_threads_is_refused_and_stays_whole) {
    pthread_t ids[2];
    mbs_lm *lm = kit_open(1);
    shared h = {.s = kit_stream(lm)};
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&ids[i], NULL, push, &h) == 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(ids[i], NULL);
    }
    CHECK(!h.wrong && h.fed == 600);
    CHECK_INT(mbs_lm_tokens(h.s), h.fed);
    mbs_lm_stream_free(h.s);
    mbs_lm_close(lm);
}
