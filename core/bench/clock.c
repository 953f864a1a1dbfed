#include "bench/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define MOST_REPEATS 99

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static mbs_status several(const mbs_budget *b, mbs_status (*call)(void *arg, mbs_err *err), void *arg, long calls,
                          double *took, mbs_err *err) {
    double begin = mbs_clock();
    for (long i = 0; i < calls; i++) {
        mbs_status st = call(arg, err);
        if (st < 0) {
            return st;
        }
    }
    mbs_status st = b->settle ? b->settle(arg, err) : MBS_OK;
    *took = (mbs_clock() - begin) / (double)calls;
    return st;
}

mbs_status mbs_time_calls(const mbs_budget *b, mbs_status (*call)(void *arg, mbs_err *err), void *arg, mbs_timing *t,
                          mbs_err *err) {
    double times[MOST_REPEATS];
    int most = b->repeat < MOST_REPEATS ? b->repeat : MOST_REPEATS;
    int n = 0;
    double warm = 0;
    double begin = mbs_clock();
    mbs_status st = several(b, call, arg, 1, &warm, err);
    if (st >= 0 && warm >= b->seconds && !b->cold_first) {
        times[n++] = warm; /* there is no time for another */
    }
    double wanted = b->least < b->seconds ? b->least : b->seconds;
    long calls = warm > 0 && wanted > warm ? (long)(wanted / warm) + 1 : 1;
    while (st >= 0 && (n == 0 || (n < most && mbs_clock() - begin < b->seconds))) {
        st = several(b, call, arg, calls, &times[n], err);
        if (n == 0 && st >= 0 && times[0] * (double)calls < wanted / 2) {
            calls = (long)(wanted / (times[0] > 1e-9 ? times[0] : 1e-9)) + 1; /* the first call was a slow one */
            st = several(b, call, arg, calls, &times[n], err);
        }
        n++;
    }
    if (st < 0) {
        return st;
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    *t = (mbs_timing){n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2, times[0], n};
    return MBS_OK;
}

/* user, nice, system, irq, softirq: what was computed on this machine by anybody. */
static double machine_seconds(void) {
    FILE *f = fopen("/proc/stat", "re");
    unsigned long long v[7];
    double sum = -1;
    if (f &&
        fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]) == 7) {
        sum = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / (double)sysconf(_SC_CLK_TCK);
    }
    if (f) {
        fclose(f);
    }
    return sum;
}

mbs_busy mbs_busy_now(void) {
    return (mbs_busy){machine_seconds(), seconds_of(CLOCK_PROCESS_CPUTIME_ID), mbs_clock()};
}

double mbs_busy_others(const mbs_busy *since) {
    mbs_busy now = mbs_busy_now();
    double wall = now.at - since->at;
    if (now.all < 0 || since->all < 0 || wall < 0.1) {
        return -1;
    }
    double others = ((now.all - since->all) - (now.own - since->own)) / wall;
    return others > 0 ? others : 0;
}
