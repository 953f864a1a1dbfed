#include "base/errand.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/mem.h"
#include "support/test.h"

#define N 3

typedef struct diary {
    mbs_errands *errands;
    int64_t done[N]; /* not atomic on purpose: give and need order them */
    int64_t inner;
    _Atomic int64_t apart;
    pthread_t giver;
    _Atomic int64_t misled; /* errands told that they are in the other thread than they are in */
} diary;

static void rest(long nanoseconds) {
    struct timespec nap = {0, nanoseconds};
    nanosleep(&nap, NULL);
}

/* Errand 0 gives errand 1, whose last time it needs first; errand 2 takes its time. */
static void go(void *arg, int i, int apart) {
    diary *d = arg;
    d->done[i]++;
    atomic_fetch_add(&d->apart, apart);
    atomic_fetch_add(&d->misled, apart == (pthread_equal(pthread_self(), d->giver) != 0));
    if (i == 0) {
        mbs_errands_need(d->errands, 1);
        d->inner = d->done[1];
        mbs_errands_give(d->errands, 1);
    }
    if (i == 2) {
        rest(1000000);
    }
}

MBS_TEST(errand, each_is_done_once_and_before_its_need) {
    diary d = {.giver = pthread_self()};
    d.errands = mbs_errands_new(N, go, &d);
    CHECK(d.errands != NULL);
    mbs_errands_need(d.errands, 0); /* never given */
    const uint64_t before = mbs_alloc_count();
    for (int64_t t = 1; t <= 20000; t++) {
        mbs_errands_give(d.errands, 0);
        for (int spin = 0; t % 3 && spin < t % 3000; spin++) {
            atomic_thread_fence(memory_order_seq_cst);
        }
        if (t % 2500 == 0) {
            rest(3000000); /* the thread falls asleep */
        }
        mbs_errands_need(d.errands, 0);
        CHECK_INT(d.done[0], t);
        CHECK_INT(d.inner, t - 1);
    }
    mbs_errands_need(d.errands, 1);
    CHECK_INT(d.done[1], 20000);
    CHECK_INT(mbs_alloc_count(), before);
    mbs_errands_free(d.errands);
}

MBS_TEST(errand, the_other_thread_does_them_while_one_sleeps) {
    diary d = {.giver = pthread_self()};
    d.errands = mbs_errands_new(N, go, &d);
    CHECK(d.errands != NULL);
    for (int t = 0; t < 100 && atomic_load(&d.apart) == 0; t++) {
        mbs_errands_give(d.errands, 0);
        rest(5000000);
        mbs_errands_need(d.errands, 0);
    }
    CHECK(atomic_load(&d.apart) > 0);
    mbs_errands_need(d.errands, 1);
    for (int t = 1; t <= 5; t++) { /* and who needs one that takes long sleeps until it ends */
        mbs_errands_give(d.errands, 2);
        rest(200000);
        mbs_errands_need(d.errands, 2);
        CHECK_INT(d.done[2], t);
    }
    mbs_errands_free(d.errands);
}

/* Each thread has scratch of its own, also of an errand that another one needs before anybody has begun it. */
MBS_TEST(errand, one_that_an_errand_needs_is_told_where_it_is) {
    diary d = {.giver = pthread_self()};
    d.errands = mbs_errands_new(N, go, &d);
    CHECK(d.errands != NULL);
    for (int t = 0; t < 20; t++) {
        mbs_errands_give(d.errands, 2); /* the thread is busy, and then takes 0 first */
        rest(300000);
        mbs_errands_give(d.errands, 1);
        mbs_errands_give(d.errands, 0);
        rest(3000000);
        for (int i = 0; i < N; i++) {
            mbs_errands_need(d.errands, i);
        }
    }
    CHECK(atomic_load(&d.apart) > 0);
    CHECK_INT(atomic_load(&d.misled), 0);
    mbs_errands_free(d.errands);
}

MBS_TEST(errand, the_end_waits_for_what_was_given) {
    diary d = {.giver = pthread_self()};
    d.errands = mbs_errands_new(N, go, &d);
    CHECK(d.errands != NULL);
    mbs_errands_give(d.errands, 2);
    mbs_errands_give(d.errands, 0);
    mbs_errands_free(d.errands);
    CHECK_INT(d.done[0], 1);
    CHECK_INT(d.done[1], 1);
    CHECK_INT(d.done[2], 1);
    mbs_errands_free(NULL);
}
