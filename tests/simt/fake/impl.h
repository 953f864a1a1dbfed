/* impl.h - what the files of the fake runtime share. Everything runs under one lock. */
#ifndef MBK_FAKE_IMPL_H
#define MBK_FAKE_IMPL_H

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#include "fake.h"

/* --- control.c: counting, failing, chance ------------------------------------------------------------------------- */
void fake_lock(void);
void fake_unlock(void);
/* The start of a call: the error that it shall end with, 0 to go on. `fallback` is what it most likely fails with. */
int fake_enter(const char *call, int fallback);
/* Notes a runtime error for cudaGetLastError, ruins the context where a real one would be. */
cudaError_t fake_error(cudaError_t e);
cudaError_t fake_sticky(void);
uint64_t fake_chance(void);
int fake_lazy(void);
/* How the seed wants streams to run: 0 only what is needed, 1 anything at any time, 2 others before what is needed. */
int fake_manner(void);
void fake_count_executed(void);
/* Whether the wait that `place` of the host code asks for is to be forgotten. */
int fake_drops(const char *call, const void *place);
_Noreturn void fake_abuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *fake_calloc(size_t bytes);

/* A call of the runtime: takes the lock, counts, fails where asked to. */
#define FAKE_CALL(FALLBACK)                                                                                            \
    fake_lock();                                                                                                       \
    int fake_asked = fake_enter(__func__, FALLBACK);                                                                   \
    if (fake_asked) {                                                                                                  \
        return fake_leave((cudaError_t)fake_asked);                                                                    \
    }
static inline cudaError_t fake_leave(cudaError_t e) {
    e = fake_error(e);
    fake_unlock();
    return e;
}

/* --- memory.c ----------------------------------------------------------------------------------------------------- */
typedef enum fake_kind { FAKE_PAGEABLE = 0, FAKE_DEVICE = 1, FAKE_PINNED = 2 } fake_kind;
/* The kind of memory that p points into, and the bytes from p to the end of its block. */
fake_kind fake_memory_kind(const void *p, size_t *left);
/* Ends the program unless [p, p + bytes) lies in one block of `kind`. */
void fake_memory_need(const char *who, const void *p, size_t bytes, fake_kind kind);
/* Ends the program where a kernel or a copy wrote beyond a block. */
void fake_memory_check_guards(void);
void fake_memory_use(fake_use *use);
void fake_memory_limit(size_t bytes);
size_t fake_memory_limit_now(void);

/* --- stream.c ----------------------------------------------------------------------------------------------------- */
typedef struct fake_op {
    struct fake_op *next;
    void (*run)(void *arg);
    void (*drop)(void *arg); /* frees arg; may be NULL */
    void *arg;
    struct CUstream_st *wait_on; /* not before that stream has done wait_seq */
    uint64_t wait_seq;
    struct CUevent_st *stamp;
    uint64_t seq;
} fake_op;

struct CUgraph_st;
struct CUstream_st {
    struct CUstream_st *next;
    fake_op *head, *tail;
    uint64_t issued, done;
    int blocking; /* waits for the default stream and is waited for by it */
    int alive;
    struct CUgraph_st *capture; /* what is issued goes there */
};
/* The stream of a handle: NULL is the default stream. Ends the program where it is none. */
struct CUstream_st *fake_stream(const char *who, cudaStream_t s);
/* Queues work (or notes it in the graph being captured). */
void fake_issue(struct CUstream_st *s, void (*run)(void *), void (*drop)(void *), void *arg);
void fake_op_free(fake_op *op);
/* Runs until `s` has done all, or everything has. */
void fake_drain(struct CUstream_st *s);
void fake_drain_all(void);
int fake_idle(void); /* nothing is queued */
void fake_stream_use(fake_use *use);
/* Breaks every capture that goes on, and says whether there was one: allocations may not be made then. */
int fake_stream_break_captures(void);
/* Ends the capture into g of every stream. */
void fake_stream_uncapture(const struct CUgraph_st *g);

/* --- graph.c ------------------------------------------------------------------------------------------------------ */
void fake_graph_append(struct CUgraph_st *g, fake_op *op);
void fake_graph_break(struct CUgraph_st *g);
int fake_graph_count(void);

int fake_handle_count(void); /* cublas.c */

#endif
