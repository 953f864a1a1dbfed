#include "base/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAME_NS 300000000

/* Lock-free, so that the handler may use them. */
static _Atomic int requested;
static _Atomic int64_t requested_at;
/* Inputs whose end the user may say, and whether it was said. */
static _Atomic int live;
static _Atomic int ended;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "a signal handler needs lock-free atomics");

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void mbs_stop_raise(int sig) {
    struct sigaction sa;
    sigset_t set;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = SIG_DFL;
    sigaction(sig, &sa, NULL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    /* Blocked in the handler; pending until then. */
    raise(sig);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + sig);
}

static void on_signal(int sig) {
    int saved = errno;
    int none = 0;
    int64_t now = now_ns();
    if (sig == SIGINT && atomic_load(&live) > 0 && !atomic_load(&requested) && !atomic_load(&ended)) {
        atomic_store(&ended, 1);
        atomic_store(&requested_at, now);
    } else if (sig == SIGINT && atomic_load(&ended) && now - atomic_load(&requested_at) <= SAME_NS) {
        errno = saved; /* the same one, to the process and to its group */
    } else if (atomic_compare_exchange_strong(&requested, &none, sig)) {
        atomic_store(&requested_at, now);
    } else if (now - atomic_load(&requested_at) > SAME_NS) {
        mbs_stop_raise(sig);
    }
    errno = saved;
}

static void handle(int sig) {
    struct sigaction sa;
    if (sigaction(sig, NULL, &sa) != 0 || sa.sa_handler == SIG_IGN) {
        return;
    }
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

void mbs_stop_install(void) {
    /* Opened the wrong way round, so that use of a closed stdin or stdout is still an error. */
    static const int modes[3] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
            (void)!open("/dev/null", modes[fd]);
        }
    }
    handle(SIGTERM);
    handle(SIGINT);
    handle(SIGHUP);
    signal(SIGXFSZ, SIG_IGN);
}

int mbs_stop_requested(void) {
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

void mbs_stop_request(int sig) {
    atomic_store(&requested_at, now_ns());
    atomic_store(&requested, sig);
}

void mbs_stop_live(int begins) {
    if (begins) {
        atomic_fetch_add(&live, 1);
    } else if (atomic_fetch_sub(&live, 1) == 1) {
        atomic_store(&ended, 0);
    }
}

int mbs_stop_input_ended(void) {
    return atomic_load_explicit(&ended, memory_order_relaxed);
}
