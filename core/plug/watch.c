#include "plug/watch.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "plug/fault.h"
#include "plug/where.h"

/* Seconds that a plugin's call gets to come back after a request to stop; a worker process is killed before. */
#define DEAF 2.0
#define LOOK_EVERY 0.5

/* What was seen of one instance at the last look. */
typedef struct seen {
    const mbs_where *where;
    uint64_t calls;
    double since; /* this call is known to last */
    double due;   /* seconds after which to speak */
} seen;

struct mbs_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stop;
    double first;
    double asked; /* when a request to stop was first seen, 0: not yet */
    seen seen[MBS_WHERE_MAX];
};

static seen *seen_of(mbs_watch *w, const mbs_where *at) {
    seen *free_one = NULL;
    for (int i = 0; i < MBS_WHERE_MAX; i++) {
        if (w->seen[i].where == at) {
            return &w->seen[i];
        }
        if (!w->seen[i].where && !free_one) {
            free_one = &w->seen[i];
        }
    }
    if (!free_one) {
        free_one = &w->seen[0];
    }
    memset(free_one, 0, sizeof *free_one);
    free_one->where = at;
    return free_one;
}

/* A call is told from the one before by its number, so that calls pay nothing for being watched. */
static void look(void *ctx, mbs_where *at) {
    mbs_watch *w = ctx;
    seen *s = seen_of(w, at);
    uint64_t calls = atomic_load(&at->calls);
    const char *call = atomic_load(&at->call);
    double t = mbs_clock();
    if (!call || calls != s->calls) {
        s->calls = calls;
        s->since = t;
        s->due = w->first;
        return;
    }
    int sig = mbs_stop_requested();
    w->asked = !sig ? 0 : w->asked > 0 ? w->asked : t;
    if (sig && t - s->since >= DEAF && t - w->asked >= DEAF) {
        mbs_fault_deaf(at, sig);
    }
    if (t - s->since < s->due) {
        return;
    }
    char place[256];
    mbs_words words = {place, 0, sizeof place};
    place[0] = '\0';
    pthread_mutex_lock(&at->lock);
    mbs_where_put(at, &words);
    pthread_mutex_unlock(&at->lock);
    mbs_log(MBS_LOG_WARNING, "%s: plugin '%s' %s has been in %s for %.0f s, %s", at->label, at->id, at->version, call,
            t - s->since, place);
    s->due *= 2;
}

static void *watching(void *arg) {
    mbs_watch *w = arg;
    double pause = w->first / 4 < LOOK_EVERY ? w->first / 4 : LOOK_EVERY;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        double t = (double)until.tv_sec + 1e-9 * (double)until.tv_nsec + pause;
        until.tv_sec = (time_t)t;
        until.tv_nsec = (long)((t - (double)until.tv_sec) * 1e9);
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
        if (!w->stop) {
            mbs_where_each(look, w);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

mbs_watch *mbs_watch_start(double seconds) {
    mbs_watch *w = mbs_calloc(1, sizeof *w);
    pthread_condattr_t attr;
    if (!w || pthread_condattr_init(&attr) != 0) {
        mbs_free(w);
        return NULL;
    }
    w->first = seconds;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    /* Requests to stop must interrupt the thread that works, not this one. */
    sigset_t stops;
    sigset_t before;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &stops, &before);
    int bad = pthread_create(&w->thread, NULL, watching, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (bad) {
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        mbs_free(w);
        return NULL;
    }
    return w;
}

void mbs_watch_stop(mbs_watch *w) {
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->stop = 1;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    mbs_free(w);
}
