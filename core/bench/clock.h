/*
 * clock.h - the median time of a call, within a budget.
 */
#ifndef MBS_BENCH_CLOCK_H
#define MBS_BENCH_CLOCK_H

#include "base/err.h"

typedef struct mbs_budget {
    int repeat;     /* repeats wanted */
    double seconds; /* for all of them; one is always made */
    double least;   /* a repeat is as many calls as take this long */
    /* Waits for what the calls have only queued; NULL: a call returns when it is done. */
    mbs_status (*settle)(void *arg, mbs_err *err);
    int cold_first; /* the first call takes longer than the others: it is not the figure where it took all the time */
} mbs_budget;

typedef struct mbs_timing {
    double median; /* seconds a call */
    double best;
    int repeats;
} mbs_timing;

/* Warms up with one call and measures. A status of `call` below zero ends it and is returned. */
mbs_status mbs_time_calls(const mbs_budget *b, mbs_status (*call)(void *arg, mbs_err *err), void *arg, mbs_timing *t,
                          mbs_err *err);

/* What others took of the CPUs between two looks. */
typedef struct mbs_busy {
    double all; /* CPU seconds of the machine, < 0: not known */
    double own;
    double at;
} mbs_busy;
mbs_busy mbs_busy_now(void);
double mbs_busy_others(const mbs_busy *since); /* in CPUs, negative: not known */

#endif
