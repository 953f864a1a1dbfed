#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/test.h"

#define MOST 4096

typedef struct tally {
    int hits[MOST]; /* not atomic on purpose: each item belongs to one thread, and run orders them for the caller */
    _Atomic int64_t sum;
} tally;

static void hit(void *arg, int64_t i) {
    tally *t = arg;
    t->hits[i]++;
    atomic_fetch_add(&t->sum, i);
}

MBS_TEST(thread, every_item_once) {
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 64, 1000, MOST};
    for (int threads = 1; threads <= 5; threads++) {
        mbs_pool *p = mbs_pool_new(threads);
        CHECK(p != NULL);
        CHECK_INT(mbs_pool_threads(p), threads);
        static tally t;
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            memset(&t, 0, sizeof t);
            mbs_pool_run(p, sizes[s], hit, &t);
            for (int64_t i = 0; i < MOST; i++) {
                CHECK(t.hits[i] == (i < sizes[s]), "%d threads: item %d of %d: %d", threads, (int)i, (int)sizes[s],
                      t.hits[i]);
            }
            CHECK_INT(t.sum, sizes[s] * (sizes[s] - 1) / 2);
        }
        mbs_pool_free(p);
    }
    mbs_pool_free(NULL);
}

/* Many short runs one after the other: a late worker must never act on the job of another run. */
MBS_TEST(thread, many_short_runs) {
    mbs_pool *p = mbs_pool_new(4);
    static tally t[2];
    memset(t, 0, sizeof t);
    uint64_t before = mbs_alloc_count();
    for (int r = 0; r < 20000; r++) {
        mbs_pool_run(p, 2 + r % 5, hit, &t[r % 2]);
        if (r % 4000 == 0) {
            struct timespec nap = {0, 2000000};
            nanosleep(&nap, NULL); /* lets the workers fall asleep */
        }
    }
    CHECK_INT(mbs_alloc_count(), before);
    CHECK_INT(t[0].hits[0] + t[1].hits[0], 20000);
    CHECK_INT(t[0].hits[5] + t[1].hits[5], 4000);
    CHECK_INT(t[0].hits[6] + t[1].hits[6], 0);
    mbs_pool_free(p);
}

typedef struct together {
    _Atomic int inside;
    _Atomic int most;
} together;

/* Each of two items waits (up to 10 s) for the other: only two threads at once get through. */
static void meet(void *arg, int64_t i) {
    together *g = arg;
    (void)i;
    int now = atomic_fetch_add(&g->inside, 1) + 1;
    if (now > atomic_load(&g->most)) {
        atomic_store(&g->most, now);
    }
    for (int k = 0; k < 10000 && atomic_load(&g->most) < 2; k++) {
        struct timespec nap = {0, 1000000};
        nanosleep(&nap, NULL);
    }
    atomic_fetch_sub(&g->inside, 1);
}

MBS_TEST(thread, items_run_side_by_side) {
    mbs_pool *p = mbs_pool_new(2);
    together g = {0, 0};
    struct timespec nap = {0, 5000000};
    nanosleep(&nap, NULL); /* the worker sleeps, so this also shows that it is woken */
    mbs_pool_run(p, 2, meet, &g);
    CHECK_INT(g.most, 2);
    mbs_pool_free(p);
}

typedef struct nested {
    mbs_pool *pool;
    tally inner[8];
} nested;

static void run_inner(void *arg, int64_t i) {
    nested *n = arg;
    mbs_pool_run(n->pool, 50, hit, &n->inner[i]);
}

MBS_TEST(thread, a_run_within_a_run_is_serial_not_a_deadlock) {
    static nested n;
    n.pool = mbs_pool_new(3);
    mbs_pool_run(n.pool, 8, run_inner, &n);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(n.inner[i].sum, 1225);
    }
    mbs_pool_free(n.pool);
}

static void *run_many(void *arg) {
    static tally other;
    for (int r = 0; r < 2000; r++) {
        mbs_pool_run(arg, 5, hit, &other);
    }
    return other.hits[4] == 2000 ? NULL : arg;
}

MBS_TEST(thread, two_callers_do_not_harm_each_other) {
    mbs_pool *p = mbs_pool_new(3);
    static tally t;
    pthread_t other;
    void *bad = NULL;
    CHECK(pthread_create(&other, NULL, run_many, p) == 0);
    for (int r = 0; r < 2000; r++) {
        mbs_pool_run(p, 5, hit, &t);
    }
    pthread_join(other, &bad);
    CHECK(bad == NULL);
    CHECK_INT(t.hits[4], 2000);
    mbs_pool_free(p);
}

typedef struct slow {
    together both;
    pthread_t caller;
    int done[2];
    int term_blocked;
    int segv_blocked;
} slow;

/* The worker's item takes longer than the caller's. */
static void lag(void *arg, int64_t i) {
    slow *s = arg;
    meet(&s->both, i);
    if (!pthread_equal(pthread_self(), s->caller)) {
        sigset_t mask;
        struct timespec nap = {0, 30000000};
        nanosleep(&nap, NULL);
        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        s->term_blocked = sigismember(&mask, SIGTERM);
        s->segv_blocked = sigismember(&mask, SIGSEGV);
    }
    s->done[i] = 1;
}

MBS_TEST(thread, run_waits_for_the_last_item) {
    mbs_pool *p = mbs_pool_new(2);
    slow s = {.caller = pthread_self()};
    mbs_pool_run(p, 2, lag, &s);
    CHECK(s.done[0] && s.done[1]);
    /* Signals interrupt the caller, which polls for them, and never a worker; a crash stays a crash. */
    CHECK_INT(s.term_blocked, 1);
    CHECK_INT(s.segv_blocked, 0);
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    CHECK_INT(sigismember(&mask, SIGTERM), 0);
    mbs_pool_free(p);
}

MBS_TEST(thread, affinity_bounds_the_default) {
    cpu_set_t all;
    cpu_set_t one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    int n = mbs_threads_available();
    CHECK(n >= 1 && n <= CPU_COUNT(&all), "%d of %d", n, CPU_COUNT(&all));
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all)) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK_INT(mbs_threads_available(), 1);
    sched_setaffinity(0, sizeof all, &all);
}
