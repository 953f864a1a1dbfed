/* thread_impl.h - waiting for another thread, shared by thread.c and errand.c. */
#ifndef MBS_BASE_THREAD_IMPL_H
#define MBS_BASE_THREAD_IMPL_H

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

/* Pauses before sleeping, some tens of microseconds: decoding calls every few, and waking a sleeper costs as much. */
#define MBS_SPINS 2000
/* Pauses between looks at the clock. */
#define MBS_LOOK 64
#define MBS_CACHE_LINE 64

static inline void mbs_futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static inline void mbs_futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline int64_t mbs_nanoseconds(void) {
    return (int64_t)(mbs_clock() * 1e9);
}

static inline void mbs_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* A thread that no signal goes to but those that a fault raises: others are for the thread that polls for them.
 * 0 where there is none to be had. */
int mbs_thread_start(pthread_t *id, void *(*fn)(void *arg), void *arg);

#endif
