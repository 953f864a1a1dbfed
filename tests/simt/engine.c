/*
 * engine.c - runs a launch: hands blocks to seats and turns to threads, and holds threads at block barriers.
 */
#include "simt/engine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

simt_engine simt_e;
/* What kernels read, set at each change of thread. */
simt_dim threadIdx, blockIdx, blockDim, gridDim;

enum { TSAN_FIBERS = 512, TSAN_SEATS = 16 };

static simt_thread_rec pool[SIMT_POOL];
static simt_block seats[SIMT_MAX_RESIDENT];
/* Threads that may go on: a ring, taken from either end or from within. */
static unsigned ring[SIMT_POOL];
static unsigned ring_head, ring_count;
static pthread_mutex_t one_launch = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int schedule; /* chosen */
    int resident; /* 0: not chosen */
} chosen;

uint64_t simt_random(void) {
    uint64_t z = simt_e.random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned *ring_at(unsigned i) {
    return &ring[(ring_head + i) % SIMT_POOL];
}

static void push(simt_thread_rec *t) {
    *ring_at(ring_count++) = (unsigned)(t - pool);
}

static void push_front(simt_thread_rec *t) {
    ring_head = (ring_head + SIMT_POOL - 1) % SIMT_POOL;
    ring[ring_head] = (unsigned)(t - pool);
    ring_count++;
}

static simt_thread_rec *pop(void) {
    unsigned got;
    if (simt_e.order == SIMT_FIFO) {
        got = ring[ring_head];
        ring_head = (ring_head + 1) % SIMT_POOL;
    } else if (simt_e.order == SIMT_LIFO) {
        got = *ring_at(ring_count - 1);
    } else {
        unsigned *at = ring_at((unsigned)(simt_random() % ring_count));
        got = *at;
        *at = *ring_at(ring_count - 1);
    }
    ring_count--;
    return &pool[got];
}

void simt_ready(simt_thread_rec *t) {
    t->state = SIMT_READY;
    push(t);
}

static void show(simt_thread_rec *t) {
    simt_e.now = t;
    threadIdx = t->at;
    blockIdx = t->block->at;
}

void simt_next(simt_thread_rec *me) {
    if (ring_count == 0) {
        if (simt_e.blocks_live > 0) {
            simt_report_stuck();
        }
        simt_fiber_switch(&me->fiber, &simt_e.home);
    } else {
        simt_thread_rec *to = pop();
        show(to); /* even where it is `me`, who may begin anew in another block */
        if (to != me) {
            simt_e.counts.switches++;
            simt_fiber_switch(&me->fiber, &to->fiber);
        }
    }
    show(me);
}

simt_thread_rec *simt_me(const char *what, simt_site site) {
    if (!simt_e.now) {
        simt_fail(site, "%s outside of a kernel", what);
    }
    return simt_e.now;
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */
static void thread_main(void);

static void begin_block(simt_block *b) {
    const simt_call *c = &simt_e.call;
    uint64_t i = (simt_e.block_first + simt_e.blocks_begun % simt_e.blocks * simt_e.block_step) % simt_e.blocks;
    uint64_t row = i / c->grid.x;
    b->at = (simt_dim){(unsigned)(i % c->grid.x), (unsigned)(row % c->grid.y), (unsigned)(row / c->grid.y)};
    b->live = simt_e.threads;
    b->arrived = 0;
    b->turn++;
    simt_e.blocks_begun++;
    simt_e.blocks_live++;
    simt_e.counts.blocks++;
    simt_e.counts.threads += b->live;
    simt_shared_begin(b);
    for (unsigned w = 0; w * SIMT_WARP < b->live; w++) {
        unsigned lanes = b->live - w * SIMT_WARP;
        b->warps[w].exist = lanes >= SIMT_WARP ? ~0u : (1u << lanes) - 1;
        b->warps[w].ended = b->warps[w].waiting = 0;
    }
    for (unsigned t = 0; t < b->live; t++) {
        simt_thread_rec *r = &b->threads[t];
        r->block = b;
        r->index = t;
        unsigned t_row = t / c->block.x;
        r->at = (simt_dim){t % c->block.x, t_row % c->block.y, t_row / c->block.y};
        r->copy_first = r->copy_end = r->copy_group = 0;
        simt_ready(r);
    }
}

static void begin_next_block(void) {
    if (simt_e.blocks_begun == simt_e.blocks) {
        return;
    }
    for (int i = 0; i < simt_e.seats; i++) {
        simt_block *b = &seats[simt_e.next_seat];
        simt_e.next_seat = (simt_e.next_seat + 1) % simt_e.seats;
        if (b->live == 0) {
            begin_block(b);
            return;
        }
    }
}

/* A thread's stack serves one CUDA thread after the other. */
static void thread_main(void) {
    simt_fiber_entered();
    for (;;) {
        simt_thread_rec *me = simt_e.now;
        simt_block *b = me->block;
        unsigned turn = b->turn;
        simt_acquire(&simt_e.begin_key);
        simt_acquire(&b->seat_key[~turn & 1]);
        simt_e.thunk(simt_e.call.function, simt_e.call.args);
        simt_copy_check_end(me);
        simt_release(&b->seat_key[turn & 1]);
        simt_release(&simt_e.end_key);
        me->state = SIMT_ENDED;
        b->warps[me->index / SIMT_WARP].ended |= 1u << me->index % SIMT_WARP;
        if (b->arrived > 0) {
            simt_fail(b->site, "thread %u returns while thread %u waits at this barrier: not all threads reach it",
                      me->index, b->first);
        }
        if (--b->live == 0) {
            simt_shared_end(b);
            simt_e.blocks_live--;
            begin_next_block();
        }
        simt_next(me);
    }
}

static void order_blocks(void) {
    uint64_t n = simt_e.blocks;
    simt_e.block_first = 0;
    simt_e.block_step = 1;
    if (simt_e.order == SIMT_LIFO) {
        simt_e.block_first = n - 1;
        simt_e.block_step = n > 1 ? n - 1 : 1;
    } else if (simt_e.order == SIMT_RANDOM && n > 1) {
        simt_e.block_first = simt_random() % n;
        for (;;) { /* a step without a common factor visits every block once */
            uint64_t a = simt_e.block_step = 1 + simt_random() % (n - 1), b = n;
            while (b) {
                uint64_t r = a % b;
                a = b;
                b = r;
            }
            if (a == 1) {
                break;
            }
        }
    }
}

/* What the environment says, 0 where it says nothing between 1 and the most. */
static int told(const char *name) {
    const char *value = getenv(name);
    int n = value ? atoi(value) : 0;
    return n >= 1 && n <= SIMT_MAX_RESIDENT ? n : 0;
}

static void seat_all(void) {
    int want = chosen.resident ? chosen.resident : told("MBK_SIMT_RESIDENT");
    if (want == 0) {
        want = simt_e.order == SIMT_RANDOM && simt_e.threads <= 256 ? 1 + (int)(simt_random() % 3) : 1;
    }
    int n = want;
    if (simt_has_tsan()) {
        int seats_told = told("MBK_SIMT_SEATS");
        n = seats_told ? seats_told : (int)(TSAN_FIBERS / simt_e.threads);
        n = n > TSAN_SEATS ? TSAN_SEATS : n < want ? want : n;
        n = n < 2 && !seats_told ? 2 : n; /* with one, each block is ordered after the one before */
        n = (uint64_t)n > simt_e.blocks ? (int)simt_e.blocks : n;
    }
    simt_e.resident = want < n ? want : n;
    simt_e.seats = n;
    simt_e.next_seat = 0;
    for (int i = 0; i < n; i++) {
        seats[i].seat = i;
        seats[i].live = 0;
        seats[i].threads = &pool[(unsigned)i * simt_e.threads];
    }
    for (unsigned i = 0; i < (unsigned)n * simt_e.threads; i++) { /* here: to TSan, who makes a fiber comes before it */
        if (!pool[i].made) {
            simt_fiber_make(&pool[i].fiber, i, thread_main);
            pool[i].made = 1;
        }
    }
}

void simt_run(const simt_call *call) {
    if (simt_e.now) {
        simt_fail((simt_site){0}, "a launch from within a kernel");
    }
    pthread_mutex_lock(&one_launch);
    if (!chosen.schedule && simt_schedule(NULL) != 0) {
        fprintf(stderr, "simt: MBK_SIMT_SCHEDULE is none of fifo, lifo, random:SEED\n");
        abort();
    }
    simt_e.pool = pool;
    simt_e.call = *call;
    simt_e.thunk = simt_translated(call);
    simt_e.threads = call->block.x * call->block.y * call->block.z;
    simt_e.blocks = (uint64_t)call->grid.x * call->grid.y * call->grid.z;
    simt_e.blocks_begun = simt_e.blocks_live = 0;
    simt_e.launch++;
    simt_e.counts.launches++;
    ring_head = ring_count = 0;
    blockDim = call->block;
    gridDim = call->grid;
    order_blocks();
    seat_all();
    simt_report_install();
    simt_shared_launch();
    simt_fiber_own(&simt_e.home);
    simt_release(&simt_e.begin_key);
    for (int i = 0; i < simt_e.resident; i++) {
        begin_next_block();
    }
    simt_thread_rec *first = pop();
    show(first);
    simt_fiber_switch(&simt_e.home, &first->fiber);
    simt_e.now = NULL;
    simt_acquire(&simt_e.end_key);
    pthread_mutex_unlock(&one_launch);
}

/* --- choices ------------------------------------------------------------------------------------------------------ */
int simt_schedule(const char *what) {
    what = what ? what : getenv("MBK_SIMT_SCHEDULE");
    what = what ? what : "fifo";
    char *end;
    if (strcmp(what, "fifo") == 0) {
        simt_e.order = SIMT_FIFO;
    } else if (strcmp(what, "lifo") == 0) {
        simt_e.order = SIMT_LIFO;
    } else if (strncmp(what, "random:", 7) == 0 && what[7] >= '0' && what[7] <= '9') {
        simt_e.random = strtoull(what + 7, &end, 10);
        if (*end) {
            return -1;
        }
        simt_e.order = SIMT_RANDOM;
    } else {
        return -1;
    }
    chosen.schedule = 1;
    return 0;
}

int simt_resident(int blocks) {
    if (blocks < 0 || blocks > SIMT_MAX_RESIDENT) {
        return -1;
    }
    chosen.resident = blocks;
    return 0;
}

simt_counts simt_counted(void) {
    return simt_e.counts;
}

int simt_thread(void) {
    return simt_e.now ? (int)simt_e.now->index : -1;
}

/* --- block barriers ----------------------------------------------------------------------------------------------- */
static void first_arrives(simt_block *b, simt_thread_rec *me, simt_barrier_op op, simt_site site) {
    b->op = op;
    b->site = site;
    b->first = me->index;
    b->any = 0;
    b->all = 1;
    b->count = 0;
}

int simt_barrier(simt_barrier_op op, int predicate, simt_site site) {
    simt_thread_rec *me = simt_me("__syncthreads", site);
    simt_block *b = me->block;
    if (b->arrived == 0) {
        first_arrives(b, me, op, site);
    } else if (b->op != op || !simt_same_site(b->site, site)) {
        simt_fail(site, "thread %u is at this barrier, thread %u at %s:%d: a barrier in a divergent branch", me->index,
                  b->first, b->site.file ? b->site.file : "?", b->site.line);
    }
    if (b->live < simt_e.threads) {
        simt_fail(site, "a barrier, after %u threads have returned", simt_e.threads - b->live);
    }
    unsigned phase = b->phase & 1;
    simt_release(&b->key[phase]);
    b->any |= predicate != 0;
    b->all &= predicate != 0;
    b->count += predicate != 0;
    me->state = SIMT_AT_BARRIER;
    me->site = site;
    if (++b->arrived == b->live) {
        b->result = op == SIMT_SYNC_OR ? (int)b->any : op == SIMT_SYNC_AND ? (int)b->all : (int)b->count;
        b->arrived = 0;
        b->phase++;
        simt_e.counts.barriers++;
        for (unsigned t = 0; t < b->live; t++) {
            b->threads[t].result = (uint64_t)b->result;
            simt_ready(&b->threads[t]);
        }
    }
    simt_next(me);
    simt_acquire(&b->key[phase]);
    return (int)me->result;
}

void simt_yield(void) {
    simt_thread_rec *me = simt_e.now;
    if (me) {
        simt_e.order == SIMT_LIFO ? push_front(me) : push(me);
        simt_next(me);
    }
}
