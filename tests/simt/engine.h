/*
 * engine.h - the state of the running launch, shared by the files of the runtime and by nothing else. All of it is in
 * arrays that are there before a kernel starts.
 */
#ifndef MBK_SIMT_ENGINE_H
#define MBK_SIMT_ENGINE_H

#include "simt/fiber.h"
#include "simt/runtime.h"

enum { SIMT_WARPS = SIMT_MAX_THREADS / SIMT_WARP, SIMT_COPIES = 64, SIMT_EXCHANGE_WORDS = 16 };

typedef enum simt_state { SIMT_READY, SIMT_AT_BARRIER, SIMT_AT_WARP_OP, SIMT_ENDED } simt_state;

struct simt_block;

typedef struct simt_thread_rec {
    simt_fiber fiber;
    int made;
    struct simt_block *block;
    simt_dim at; /* threadIdx */
    unsigned index;
    simt_state state;
    simt_site site; /* of what it waits in */
    /* its part of a warp operation */
    simt_warp_op op;
    unsigned mask;
    int arg, width, in_range;
    uint64_t value, result;
    uint32_t words[SIMT_EXCHANGE_WORDS];
    int n_words;
    uint32_t *all;
    /* cp.async: the queue is copies[copy_first .. copy_end) of `copies`, in groups */
    unsigned copy_first, copy_end, copy_group;
} simt_thread_rec;

typedef struct simt_warp_rec {
    unsigned exist, ended, waiting; /* lanes */
    unsigned phase;
    char key[2]; /* for TSan, by phase */
} simt_warp_rec;

/* A place where blocks run, one after the other: their threads' stacks and shared memory. For TSan, a block is ordered
 * after the one before it in its seat, so there are more seats than blocks at once. */
typedef struct simt_block {
    int seat;
    simt_dim at; /* blockIdx */
    simt_thread_rec *threads;
    unsigned live, arrived;
    simt_barrier_op op;
    simt_site site;
    unsigned first; /* thread that arrived first */
    unsigned any, all, count;
    int result;
    unsigned phase;
    char key[2];
    unsigned turn; /* blocks that were here before: the keys by which TSan orders one after the other alternate */
    char seat_key[2];
    unsigned char *shared;
    uint64_t shared_seen; /* variables that this block has touched */
    simt_warp_rec warps[SIMT_WARPS];
} simt_block;

typedef enum simt_order { SIMT_FIFO, SIMT_LIFO, SIMT_RANDOM } simt_order;

typedef struct simt_engine {
    int running; /* a launch */
    uint64_t launch;
    simt_call call;
    simt_thunk thunk;
    unsigned threads; /* of a block */
    int seats, resident;
    uint64_t blocks, blocks_begun, blocks_live;
    uint64_t block_step, block_first; /* block i of the order is (first + i * step) mod blocks */
    int next_seat;
    simt_order order;
    uint64_t random;
    simt_thread_rec *pool, *now;
    simt_fiber home;
    char begin_key, end_key; /* for TSan: the host before all threads, all threads before the host */
    simt_counts counts;
} simt_engine;
extern simt_engine simt_e;

/* engine.c */
void simt_ready(simt_thread_rec *t);
/* Goes on with another thread; returns when it is `me`'s turn again. */
void simt_next(simt_thread_rec *me);
uint64_t simt_random(void);
simt_thread_rec *simt_me(const char *what, simt_site site);

/* launch.c: the thunk of a call: the source's, or what simt_find_set put in its place */
simt_thunk simt_translated(const simt_call *call);

/* shared.c */
void simt_shared_launch(void);
void simt_shared_begin(simt_block *b);
void simt_shared_end(simt_block *b);

/* copy.c */
void simt_copy_check_end(simt_thread_rec *t);

/* report.c */
void simt_report_install(void);
void simt_report_stuck(void) __attribute__((noreturn));
int simt_same_site(simt_site a, simt_site b);
const char *simt_op_name(simt_warp_op op);

#endif
