/*
 * copy.c - cp.async: each thread's queue of copies. A copy is done when its group is waited for, which is as late as it
 * may be; under the random schedule, half of them at once, which is as early.
 */
#include "simt/engine.h"

typedef struct queued {
    simt_copy copy;
    unsigned group;
} queued;

static queued queues[SIMT_POOL][SIMT_COPIES]; /* of each thread of the pool */

static queued *at(const simt_thread_rec *t, unsigned i) {
    return &queues[t - simt_e.pool][i % SIMT_COPIES];
}

int simt_copy_add(const simt_copy *c) {
    simt_thread_rec *me = simt_me("cp.async", (simt_site){0});
    if (simt_e.order == SIMT_RANDOM && (simt_random() & 1)) {
        return 1;
    }
    if (me->copy_end - me->copy_first == SIMT_COPIES) {
        simt_fail((simt_site){0}, "more than %d copies in flight in thread %u", SIMT_COPIES, me->index);
    }
    queued *q = at(me, me->copy_end++);
    q->copy = *c;
    q->group = me->copy_group;
    return 0;
}

void simt_copy_commit(void) {
    simt_me("cp.async", (simt_site){0})->copy_group++;
}

int simt_copy_due(int keep, simt_copy *c) {
    simt_thread_rec *me = simt_me("cp.async", (simt_site){0});
    if (me->copy_first == me->copy_end) {
        return 0;
    }
    queued *q = at(me, me->copy_first);
    if (q->group + (unsigned)keep >= me->copy_group) {
        return 0;
    }
    *c = q->copy;
    me->copy_first++;
    return 1;
}

void simt_copy_check_end(simt_thread_rec *t) {
    if (t->copy_first != t->copy_end) {
        simt_fail((simt_site){0}, "thread %u returns with %u copies that nobody waited for", t->index,
                  t->copy_end - t->copy_first);
    }
}
