#include "base/lock.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "support/child.h"
#include "support/test.h"
#include "support/tmp.h"

typedef struct shared {
    _Atomic int inside;
    _Atomic int won;
    int abandon; /* leave the lock behind by dying */
} shared;

/* Takes and leaves the lock for a while. Exit code 1: another one was inside too. */
static int contend(void *arg) {
    shared *s = arg;
    for (int i = 0; i < 1500; i++) {
        mbs_lock l;
        mbs_err err = {0};
        if (mbs_lock_take(&l, "lock", "out", &err) != MBS_OK) {
            sched_yield();
            continue;
        }
        if (atomic_fetch_add(&s->inside, 1) != 0) {
            return 1;
        }
        atomic_fetch_add(&s->won, 1);
        if (i % 2) {
            sched_yield();
        }
        atomic_fetch_sub(&s->inside, 1);
        if (s->abandon && i > 1000) {
            return 0;
        }
        mbs_lock_release(&l);
    }
    return 0;
}

static void exclude(int abandon) {
    char dir[256];
    test_tmp_enter(dir);
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    s->abandon = abandon;
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = test_child_start(contend, s);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_INT(test_child_wait(pids[i]), 0);
    }
    CHECK(s->won > 100, "%d", s->won);
    mbs_lock l;
    mbs_err err = {0};
    CHECK(mbs_lock_take(&l, "lock", "out", &err) == MBS_OK, "%s", err.what);
    mbs_lock_release(&l);
    mbs_lock_release(&l);
    CHECK_INT(test_tmp_count("."), 0);
    munmap(s, sizeof *s);
    test_tmp_leave(dir);
}

MBS_TEST(lock, one_at_a_time) {
    exclude(0);
}

MBS_TEST(lock, one_at_a_time_where_holders_die) {
    exclude(1);
}

MBS_TEST(lock, one_at_a_time_without_flock) {
    setenv("MBS_NO_FLOCK", "1", 1);
    exclude(0);
    unsetenv("MBS_NO_FLOCK");
}

MBS_TEST(lock, held_by_this_process_too) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_lock a;
    mbs_lock b;
    mbs_err err = {0};
    CHECK_INT(mbs_lock_take(&a, "lock", "out", &err), MBS_OK);
    CHECK_INT(mbs_lock_take(&b, "lock", "out", &err), MBS_ERR_CREATE);
    char want[64];
    snprintf(want, sizeof want, "another run is writing it: pid %ld on host ", (long)getpid());
    CHECK(strncmp(err.what, want, strlen(want)) == 0, "%s", err.what);
    CHECK_STR(err.where, "out");
    mbs_lock_release(&b);
    CHECK(access("lock", F_OK) == 0);
    mbs_lock_release(&a);
    CHECK(access("lock", F_OK) != 0);
    test_tmp_leave(dir);
}
