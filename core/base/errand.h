/*
 * errand.h - work that another thread does while whoever gave it goes on. Who needs what comes of it and finds that
 * nobody has begun does it himself: nobody ever waits for a thread that sleeps.
 */
#ifndef MBS_BASE_ERRAND_H
#define MBS_BASE_ERRAND_H

typedef struct mbs_errands mbs_errands;

/* A thread for errands 0 to n - 1. fn(arg, i, apart) does errand i, `apart` in that thread, else in that of who needed
 * it; it may give and need other errands. NULL without memory or a thread. */
mbs_errands *mbs_errands_new(int n, void (*fn)(void *arg, int i, int apart), void *arg);
/* Does what was given and not begun, and ends the thread. */
void mbs_errands_free(mbs_errands *e);
/* Errand i is to be done; it is not under way, and neither this nor `need` is called for it by two threads at a time.
 * Neither allocates. */
void mbs_errands_give(mbs_errands *e, int i);
/* Returns when errand i is not under way; at once where it was never given. */
void mbs_errands_need(mbs_errands *e, int i);

#endif
