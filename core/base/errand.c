#include "base/errand.h"

#include <limits.h>
#include <stdalign.h>

#include "base/mem.h"
#include "base/thread.h"
#include "base/thread_impl.h"

/* Nanoseconds that the thread stays awake for at most when there is nothing to do, and who needs what is under way: an
 * errand of a hundred microseconds is over before a sleeper is awake again. */
#define PATIENCE_MOST 1000000

/* What an errand's word says; who turns GIVEN into BEGUN does it. AWAITED: begun, and somebody sleeps until it ends. */
enum { IDLE, GIVEN, BEGUN, AWAITED };

typedef struct errand {
    alignas(MBS_CACHE_LINE) _Atomic uint32_t state;
} errand;

struct mbs_errands {
    void (*fn)(void *arg, int i, int apart);
    void *arg;
    int n;
    int spins;
    pthread_t id;
    _Atomic int quit;
    alignas(MBS_CACHE_LINE) _Atomic uint32_t epoch; /* changes with every errand given; the thread sleeps on it */
    _Atomic uint32_t sleeps;
    errand errand[];
};

/* Whether this thread was the one that began errand i, which has ended now. */
static int try_errand(mbs_errands *e, int i, int apart) {
    _Atomic uint32_t *state = &e->errand[i].state;
    uint32_t s = GIVEN;
    if (atomic_load_explicit(state, memory_order_relaxed) != GIVEN ||
        !atomic_compare_exchange_strong_explicit(state, &s, BEGUN, memory_order_acquire, memory_order_relaxed)) {
        return 0;
    }
    e->fn(e->arg, i, apart);
    if (atomic_exchange_explicit(state, IDLE, memory_order_release) == AWAITED) {
        mbs_futex_wake(state, INT_MAX);
    }
    return 1;
}

/* Returns once the epoch is no longer `seen`. The thread stays awake for twice as long as it waited last time, where
 * that was not long: waking it costs the giver more than many an errand takes. */
static void await_errand(mbs_errands *e, uint32_t seen, int64_t *patience) {
    const int64_t begun = mbs_nanoseconds();
    int64_t now = begun;
    for (int spin = 0; atomic_load(&e->epoch) == seen; spin++) {
        now = spin % MBS_LOOK == MBS_LOOK - 1 ? mbs_nanoseconds() : now;
        if (e->spins > 0 && (spin < e->spins || now - begun < *patience)) {
            mbs_pause();
        } else {
            /* Said before the kernel looks at the epoch once more, so that who gives sees it or is seen. */
            atomic_store(&e->sleeps, 1);
            mbs_futex_wait(&e->epoch, seen);
            atomic_store(&e->sleeps, 0);
        }
    }
    const int64_t took = mbs_nanoseconds() - begun;
    *patience = took <= PATIENCE_MOST / 2 ? 2 * took : 0;
}

static void *run_errands(void *arg) {
    mbs_errands *e = arg;
    int64_t patience = 0;
    for (;;) {
        const uint32_t seen = atomic_load(&e->epoch);
        int found = 0;
        for (int i = 0; i < e->n && !found; i++) { /* the first that is given: others wait for the outer ones */
            found = try_errand(e, i, 1);
        }
        if (!found && atomic_load(&e->quit)) {
            return NULL;
        }
        if (!found) {
            await_errand(e, seen, &patience);
        }
    }
}

static void announce(mbs_errands *e) {
    atomic_fetch_add(&e->epoch, 1);
    if (atomic_load(&e->sleeps)) {
        mbs_futex_wake(&e->epoch, 1);
    }
}

mbs_errands *mbs_errands_new(int n, void (*fn)(void *arg, int i, int apart), void *arg) {
    mbs_errands *e = mbs_calloc_aligned(MBS_CACHE_LINE, sizeof *e + (size_t)n * sizeof e->errand[0]);
    if (!e) {
        return NULL;
    }
    e->fn = fn;
    e->arg = arg;
    e->n = n;
    e->spins = mbs_threads_available() > 1 ? MBS_SPINS : 0;
    if (!mbs_thread_start(&e->id, run_errands, e)) {
        mbs_free(e);
        return NULL;
    }
    return e;
}

void mbs_errands_free(mbs_errands *e) {
    if (!e) {
        return;
    }
    atomic_store(&e->quit, 1);
    announce(e);
    pthread_join(e->id, NULL);
    mbs_free(e);
}

void mbs_errands_give(mbs_errands *e, int i) {
    atomic_store_explicit(&e->errand[i].state, GIVEN, memory_order_release);
    announce(e);
}

void mbs_errands_need(mbs_errands *e, int i) {
    _Atomic uint32_t *state = &e->errand[i].state;
    uint32_t s = atomic_load_explicit(state, memory_order_acquire);
    if (s == IDLE) {
        return;
    }
    const int apart = pthread_equal(pthread_self(), e->id) != 0; /* an errand may need another one */
    const int64_t begun = mbs_nanoseconds();
    int64_t now = begun;
    for (int spin = 0; s != IDLE; s = atomic_load_explicit(state, memory_order_acquire), spin++) {
        if (s == GIVEN && try_errand(e, i, apart)) {
            return;
        }
        now = spin % MBS_LOOK == MBS_LOOK - 1 ? mbs_nanoseconds() : now;
        if (e->spins > 0 && now - begun < PATIENCE_MOST) {
            mbs_pause();
        } else if (s == AWAITED ||
                   (s == BEGUN && atomic_compare_exchange_strong_explicit(state, &s, AWAITED, memory_order_relaxed,
                                                                          memory_order_relaxed))) {
            mbs_futex_wait(state, AWAITED);
        }
    }
}
