/*
 * thread.h - the pool of compute threads. --threads is one budget: the pool owns compute, plugins ask the host how many
 * helpers they may start.
 */
#ifndef MBS_BASE_THREAD_H
#define MBS_BASE_THREAD_H

#include <stdint.h>

/* Threads that this process may use: affinity mask and cgroup quota (v1 and v2), at least 1. */
int mbs_threads_available(void);

typedef struct mbs_pool mbs_pool;
/* `threads` counts the caller, so 1 starts none. NULL without memory or threads. */
mbs_pool *mbs_pool_new(int threads);
int mbs_pool_threads(const mbs_pool *p);
/* fn(arg, i) once for every i in [0, n), on any of the threads; returns when all are done. Not reentrant. Allocates
 * nothing. The signature is that of mbk_parallel.run. */
void mbs_pool_run(void *pool, int64_t n, void (*fn)(void *arg, int64_t i), void *arg);
void mbs_pool_free(mbs_pool *p);

#endif
