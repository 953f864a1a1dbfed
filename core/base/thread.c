#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>

#include "base/cgroup.h"
#include "base/mem.h"
#include "base/thread_impl.h"

/* The state of the pool is one word: who may come in, and how many workers are inside. A run is
 *   0 -> CLAIMED          the caller owns the job's fields
 *   CLAIMED | OPEN        workers may enter (+1) and leave (-1)
 *   CLAIMED + inside      closed: nothing is left to hand out, the last ones finish
 *   0
 * so a run never waits for a worker that is still asleep, and a late one finds the door shut. */
#define CLAIMED (1u << 31)
#define OPEN (1u << 30)

/* Who has waited for that long goes on for a quarter of what the last run took, up to this: longer runs have longer
 * last items, and on a machine with others on it who sleeps may wait milliseconds for a CPU to come back to. */
#define PATIENCE_MOST 0.001

struct mbs_pool {
    int threads;
    int started; /* workers */
    int spins;
    _Atomic int quit;
    pthread_t *ids;

    void (*fn)(void *arg, int64_t i);
    void *arg;
    int64_t n;
    _Atomic int64_t patience; /* nanoseconds */

    alignas(MBS_CACHE_LINE) _Atomic int64_t next; /* item to hand out */
    alignas(MBS_CACHE_LINE) _Atomic uint32_t state;
    alignas(MBS_CACHE_LINE) _Atomic uint32_t epoch; /* changes with every run; workers sleep on it */
    _Atomic uint32_t sleepers;
};

/* Whether to wait awake once more, after `spin` times; *until is the waiting one's own. */
static int stays_awake(mbs_pool *p, int spin, int64_t *until) {
    if (spin == p->spins) {
        *until = mbs_nanoseconds() + atomic_load_explicit(&p->patience, memory_order_relaxed);
    }
    return spin < p->spins || (p->spins > 0 && (spin % MBS_LOOK != 0 || mbs_nanoseconds() < *until));
}

static void work(mbs_pool *p) {
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->n) {
            return;
        }
        p->fn(p->arg, i);
    }
}

/* Takes part in the open run, if there is one. */
static void join_run(mbs_pool *p) {
    uint32_t s = atomic_load_explicit(&p->state, memory_order_relaxed);
    while (s & OPEN) {
        if (atomic_compare_exchange_weak_explicit(&p->state, &s, s + 1, memory_order_acquire, memory_order_relaxed)) {
            work(p);
            if (atomic_fetch_sub_explicit(&p->state, 1, memory_order_release) == CLAIMED + 1) {
                mbs_futex_wake(&p->state, 1);
            }
            return;
        }
    }
}

/* Returns once the epoch is no longer `seen`. */
static uint32_t await_run(mbs_pool *p, uint32_t seen) {
    int64_t until = 0;
    for (int spin = 0;; spin++) {
        uint32_t now = atomic_load(&p->epoch);
        if (now != seen) {
            return now;
        }
        if (stays_awake(p, spin, &until)) {
            mbs_pause();
        } else {
            /* Counted before the kernel looks at the epoch once more, so that a run either sees the sleeper or is seen.
             */
            atomic_fetch_add(&p->sleepers, 1);
            mbs_futex_wait(&p->epoch, seen);
            atomic_fetch_sub(&p->sleepers, 1);
        }
    }
}

static void *worker(void *arg) {
    mbs_pool *p = arg;
    uint32_t seen = 0;
    for (;;) {
        seen = await_run(p, seen);
        if (atomic_load(&p->quit)) {
            return NULL;
        }
        join_run(p);
    }
}

static void announce(mbs_pool *p, int workers) {
    atomic_fetch_add(&p->epoch, 1);
    if (atomic_load(&p->sleepers) > 0) {
        mbs_futex_wake(&p->epoch, workers);
    }
}

static void close_run(mbs_pool *p) {
    uint32_t s = atomic_fetch_and_explicit(&p->state, ~OPEN, memory_order_acq_rel) & ~OPEN;
    int64_t until = 0;
    for (int spin = 0; s != CLAIMED; spin++) {
        if (stays_awake(p, spin, &until)) {
            mbs_pause();
        } else {
            mbs_futex_wait(&p->state, s);
        }
        s = atomic_load_explicit(&p->state, memory_order_acquire);
    }
    atomic_store_explicit(&p->state, 0, memory_order_release);
}

void mbs_pool_run(void *pool, int64_t n, void (*fn)(void *arg, int64_t i), void *arg) {
    mbs_pool *p = pool;
    uint32_t idle = 0;
    /* One item, no worker, or called from within a run: the caller does it all. */
    if (n <= 1 || !p || p->started == 0 ||
        !atomic_compare_exchange_strong_explicit(&p->state, &idle, CLAIMED, memory_order_acquire,
                                                 memory_order_relaxed)) {
        for (int64_t i = 0; i < n; i++) {
            fn(arg, i);
        }
        return;
    }
    const int64_t begun = mbs_nanoseconds();
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->state, CLAIMED | OPEN, memory_order_release);
    announce(p, n - 1 < p->started ? (int)(n - 1) : p->started);
    work(p);
    close_run(p);
    const int64_t took = mbs_nanoseconds() - begun;
    const int64_t most = (int64_t)(PATIENCE_MOST * 1e9);
    atomic_store_explicit(&p->patience, took / 4 < most ? took / 4 : most, memory_order_relaxed);
}

int mbs_thread_start(pthread_t *id, void *(*fn)(void *arg), void *arg) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t mask;
    sigset_t old;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        sigdelset(&mask, faults[i]);
    }
    pthread_sigmask(SIG_SETMASK, &mask, &old);
    const int started = pthread_create(id, NULL, fn, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

static void start_workers(mbs_pool *p, int count) {
    while (p->started < count && mbs_thread_start(&p->ids[p->started], worker, p)) {
        p->started++;
    }
}

mbs_pool *mbs_pool_new(int threads) {
    if (threads < 1) {
        threads = 1;
    }
    mbs_pool *p = mbs_calloc_aligned(MBS_CACHE_LINE, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->threads = threads;
    p->spins = threads <= mbs_threads_available() ? MBS_SPINS : 0;
    p->ids = mbs_calloc((size_t)threads, sizeof *p->ids);
    if (p->ids) {
        start_workers(p, threads - 1);
    }
    if (!p->ids || p->started < threads - 1) {
        mbs_pool_free(p);
        return NULL;
    }
    return p;
}

int mbs_pool_threads(const mbs_pool *p) {
    return p->threads;
}

void mbs_pool_free(mbs_pool *p) {
    if (!p) {
        return;
    }
    atomic_store(&p->quit, 1);
    announce(p, INT_MAX);
    for (int i = 0; i < p->started; i++) {
        pthread_join(p->ids[i], NULL);
    }
    mbs_free(p->ids);
    mbs_free(p);
}

/* CPUs in the affinity mask, 0 where it cannot be read. */
static int affinity(void) {
    for (size_t most = 1024; most <= (size_t)1 << 20; most *= 2) {
        size_t size = CPU_ALLOC_SIZE(most);
        cpu_set_t *set = mbs_calloc(1, size);
        if (!set) {
            return 0;
        }
        int n = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : -errno;
        mbs_free(set);
        if (n != -EINVAL) { /* EINVAL: the kernel's mask is longer */
            return n > 0 ? n : 0;
        }
    }
    return 0;
}

int mbs_threads_available(void) {
    int n = affinity();
    if (n == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 && online < INT_MAX ? (int)online : 1;
    }
    int quota = mbs_cgroup_cpus("");
    return quota > 0 && quota < n ? quota : n;
}
