/* Tests of the life of an instance: orders of calls, many of them, and ends in the middle. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "base/stop.h"
#include "plug/check/rig.h"

#define MANY 1000
#define WARM 200          /* instances after which everything that is made once is made */
#define SMALL_GROWTH 4096 /* bytes of the C library's heap over all of them that are not called a leak */

/* Calls that one life is made of, in their order. */
typedef struct order {
    const char *name;
    int opens, steps, closes;
} order;

static void live_once(mbs_check *c, const order *o) {
    mbs_rig r;
    mbs_rig_how how = {.rows = 64};
    mbs_check_note(c, "%s", o->name);
    mbs_status st = mbs_rig_new(c, &how, &r);
    if (st == MBS_OK && o->opens) {
        st = mbs_rig_open(&r);
    }
    for (int i = 0; i < o->steps && st == MBS_OK; i++) {
        st = mbs_rig_step(&r);
    }
    if (st >= 0 && o->closes && c->desc->kind == MBS_KIND_WRITER) {
        r.feed.record = MBS_FEED_RECORDS; /* nothing comes: drain */
        st = mbs_rig_step(&r);
    }
    if (st >= 0 && o->closes) {
        st = mbs_rig_close(&r);
    }
    if (st < 0) {
        (void)mbs_check_fail(c, "%s: %s", o->name, mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
}

void mbs_check_life_order(mbs_check *c) {
    static const order all[] = {
        {"create, destroy", 0, 0, 0},
        {"create, open, destroy", 1, 0, 0},
        {"create, open, close, destroy, without a record", 1, 0, 1},
        {"create, open, one block, destroy", 1, 1, 0},
        {"all of a stream, after those that were left", 1, 1 << 30, 1},
    };
    if (!mbs_rig_ready(c)) {
        return;
    }
    for (size_t i = 0; !mbs_check_decided(c) && i < sizeof all / sizeof all[0]; i++) {
        live_once(c, &all[i]);
    }
}

typedef struct usage {
    int64_t pieces; /* of the host's memory */
    size_t heap;    /* bytes of the C library's */
    int fds, threads;
} usage;

static usage look(void) {
    usage u = {.pieces = mbs_rig_live(),
               .fds = mbs_check_count("/proc/self/fd"),
               .threads = mbs_check_count("/proc/self/task")};
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    u.heap = mallinfo2().uordblks;
#endif
    return u;
}

/* `n` instances after those that warm up. */
static void many(mbs_check *c, int n, int opens) {
    char path[4200];
    usage before = {0};
    (void)snprintf(path, sizeof path, "%s/absent", c->folder);
    mbs_rig_how how = {.path = opens ? NULL : path};
    int warm = n / (MANY / WARM);
    for (int i = 0; i < n; i++) {
        mbs_rig r;
        if (i == warm) {
            before = look();
        }
        mbs_check_note(c, "instance %d of %d", i + 1, n);
        mbs_status st = mbs_rig_new(c, &how, &r);
        if (st == MBS_OK && opens) {
            st = mbs_rig_open(&r);
        }
        if (st != MBS_OK) {
            (void)mbs_check_fail(c, "instance %d: %s", i + 1, mbs_rig_line(&r));
            mbs_rig_free(&r);
            return;
        }
        mbs_rig_free(&r);
    }
    usage after = look();
    const char *what = opens ? "opened and destroyed" : "created and destroyed";
    if (after.pieces > before.pieces) {
        (void)mbs_check_fail(c, "%d instances %s leave %lld pieces of the host's memory behind", n - warm, what,
                             (long long)(after.pieces - before.pieces));
    } else if (after.heap > before.heap + SMALL_GROWTH) {
        (void)mbs_check_fail(c, "%d instances %s leave %zu bytes of memory behind", n - warm, what,
                             after.heap - before.heap);
    } else if (after.fds > before.fds) {
        (void)mbs_check_fail(c, "%d instances %s leave %d files open", n - warm, what, after.fds - before.fds);
    } else if (after.threads > before.threads) {
        (void)mbs_check_fail(c, "%d instances %s leave %d threads behind", n - warm, what,
                             after.threads - before.threads);
    }
}

void mbs_check_life_many(mbs_check *c) {
    if (!mbs_rig_creatable(c)) {
        return;
    }
    many(c, MANY, 0);
    int opens = c->desc->kind != MBS_KIND_READER || c->o->sample;
    if (!mbs_check_decided(c) && opens && mbs_rig_ready(c)) {
        many(c, MANY / 10, 1);
    }
}

/* A life that is left after some blocks, maybe after the request to stop. */
static void leave(mbs_check *c, int steps, int stop) {
    mbs_rig r;
    mbs_rig_how how = {.rows = 7};
    mbs_check_note(c, "%s %d blocks", stop ? "asked to stop after" : "left after", steps);
    mbs_status st = mbs_rig_new(c, &how, &r);
    if (st == MBS_OK) {
        st = mbs_rig_open(&r);
    }
    for (int i = 0; i < steps && st == MBS_OK; i++) {
        st = mbs_rig_step(&r);
    }
    if (st == MBS_OK && stop) {
        mbs_stop_request(SIGTERM);
        st = mbs_rig_step(&r);
        mbs_stop_request(0);
    }
    if (st < 0 && st != MBS_ERR_STOPPED) {
        (void)mbs_check_fail(c, "%s", mbs_rig_line(&r));
    }
    mbs_rig_free(&r);
}

void mbs_check_life_cancel(mbs_check *c) {
    static const int after[] = {0, 1, 2, 5, 12};
    if (!mbs_rig_ready(c)) {
        return;
    }
    leave(c, 3, 0); /* what the library makes once is made */
    usage before = look();
    for (size_t i = 0; !mbs_check_decided(c) && i < sizeof after / sizeof after[0]; i++) {
        leave(c, after[i], 0);
        leave(c, after[i], 1);
    }
    usage now = look();
    if (now.pieces > before.pieces) {
        (void)mbs_check_fail(c, "streams that were left keep %lld pieces of the host's memory",
                             (long long)(now.pieces - before.pieces));
    } else if (now.fds > before.fds) {
        (void)mbs_check_fail(c, "streams that were left keep %d files open", now.fds - before.fds);
    } else if (now.threads > before.threads) {
        (void)mbs_check_fail(c, "streams that were left keep %d threads", now.threads - before.threads);
    }
}
