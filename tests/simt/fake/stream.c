/* Streams as queues, events as places in them. */
#include <stdlib.h>
#include <time.h>

#include "impl.h"

struct CUevent_st {
    struct CUevent_st *next;
    struct CUstream_st *stream; /* of the last record; NULL: none */
    uint64_t seq;
    struct CUgraph_st *graph; /* recorded while capturing */
    double at;
    int timed, alive;
};

static struct CUstream_st first = {.blocking = 1, .alive = 1}; /* the default stream; the others follow */
static struct CUevent_st *events;

struct CUstream_st *fake_stream(const char *who, cudaStream_t s) {
    for (struct CUstream_st *i = &first; i; i = i->next) {
        if ((i == s || (!s && i == &first)) && i->alive) {
            return i;
        }
    }
    fake_abuse("%s: no such stream", who);
}

static void need_event(const char *who, const struct CUevent_st *e) {
    for (const struct CUevent_st *i = events; i; i = i->next) {
        if (i == e && i->alive) {
            return;
        }
    }
    fake_abuse("%s: no such event", who);
}

/* --- running ------------------------------------------------------------------------------------------------------ */
static int runnable(const struct CUstream_st *s) {
    return s->head && (!s->head->wait_on || s->head->wait_on->done >= s->head->wait_seq);
}

void fake_op_free(fake_op *op) {
    if (op->drop) {
        op->drop(op->arg);
    }
    free(op);
}

static void run_head(struct CUstream_st *s) {
    fake_op *op = s->head;
    if (op->run) {
        op->run(op->arg);
    }
    if (op->stamp) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        op->stamp->at = (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
    }
    s->head = op->next;
    s->tail = s->head ? s->tail : NULL;
    s->done = op->seq;
    fake_op_free(op);
}

/* Any stream that can go on but `but`; NULL: none. */
static struct CUstream_st *any(const struct CUstream_st *but) {
    uint64_t n = 0;
    for (struct CUstream_st *s = &first; s; s = s->next) {
        n += s != but && runnable(s);
    }
    if (!n) {
        return NULL;
    }
    uint64_t pick = fake_chance() % n;
    for (struct CUstream_st *s = &first; s; s = s->next) {
        if (s != but && runnable(s) && pick-- == 0) {
            return s;
        }
    }
    return NULL;
}

/* What has to run next so that `s` gets on. */
static struct CUstream_st *next_for(struct CUstream_st *s) {
    for (int depth = 0; depth < 1000; depth++) {
        if (!s->head) {
            fake_abuse("a wait for work that was never queued");
        }
        if (runnable(s)) {
            return s;
        }
        s = s->head->wait_on;
    }
    fake_abuse("streams wait for each other");
}

static void drain_to(struct CUstream_st *s, uint64_t seq) {
    while (s->done < seq) {
        struct CUstream_st *needed = next_for(s);
        struct CUstream_st *other = NULL;
        if (fake_lazy() && (fake_manner() == 2 || (fake_manner() == 1 && fake_chance() % 2))) {
            other = any(needed);
        }
        run_head(other ? other : needed);
    }
}

void fake_drain(struct CUstream_st *s) {
    drain_to(s, s->issued);
}

void fake_drain_all(void) {
    for (struct CUstream_st *s = &first; s; s = s->next) {
        fake_drain(s);
    }
}

/* --- queueing ----------------------------------------------------------------------------------------------------- */
static void put(struct CUstream_st *s, fake_op *op) {
    op->seq = ++s->issued;
    if (s->tail) {
        s->tail->next = op;
    } else {
        s->head = op;
    }
    s->tail = op;
}

static void put_wait(struct CUstream_st *s, struct CUstream_st *on, uint64_t seq) {
    if (on == s || on->done >= seq) {
        return;
    }
    fake_op *op = fake_calloc(sizeof *op);
    op->wait_on = on;
    op->wait_seq = seq;
    put(s, op);
}

/* The default stream and the streams that block stand in one order. */
static void join_default(struct CUstream_st *s) {
    if (s == &first) {
        for (struct CUstream_st *i = first.next; i; i = i->next) {
            if (i->blocking) {
                put_wait(s, i, i->issued);
            }
        }
    } else if (s->blocking) {
        put_wait(s, &first, first.issued);
    }
}

static void issue(struct CUstream_st *s, fake_op *op) {
    if (s->capture) {
        fake_graph_append(s->capture, op);
        return;
    }
    join_default(s);
    put(s, op);
    if (!fake_lazy()) {
        fake_drain(s);
    } else if (fake_manner() == 1 && fake_chance() % 8 == 0) {
        struct CUstream_st *some = any(NULL);
        if (some) {
            run_head(some);
        }
    }
}

void fake_issue(struct CUstream_st *s, void (*run)(void *), void (*drop)(void *), void *arg) {
    fake_op *op = fake_calloc(sizeof *op);
    op->run = run;
    op->drop = drop;
    op->arg = arg;
    issue(s, op);
}

int fake_idle(void) {
    for (const struct CUstream_st *s = &first; s; s = s->next) {
        if (s->head) {
            return 0;
        }
    }
    return 1;
}

void fake_stream_use(fake_use *use) {
    for (const struct CUstream_st *s = first.next; s; s = s->next) {
        use->streams += s->alive;
    }
    for (const struct CUevent_st *e = events; e; e = e->next) {
        use->events += e->alive;
    }
}

/* --- calls: streams ----------------------------------------------------------------------------------------------- */
static cudaError_t new_stream(cudaStream_t *out, unsigned flags) {
    *out = NULL;
    if (fake_sticky()) {
        return cudaSuccess;
    }
    struct CUstream_st *s = NULL;
    for (struct CUstream_st *i = first.next; i && !s; i = i->next) {
        s = i->alive ? NULL : i;
    }
    if (!s) {
        s = fake_calloc(sizeof *s);
        s->next = first.next;
        first.next = s;
    }
    s->alive = 1;
    s->blocking = !(flags & cudaStreamNonBlocking);
    *out = s;
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *out) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    return fake_leave(new_stream(out, 0));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    return fake_leave(new_stream(out, flags));
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    (void)priority;
    return fake_leave(new_stream(out, flags));
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    FAKE_CALL(cudaErrorLaunchFailure)
    *least = 0;
    *greatest = -5;
    return fake_leave(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    fake_lock();
    int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    struct CUstream_st *s = fake_stream(__func__, stream);
    if (s == &first) {
        fake_abuse("%s: the default stream", __func__);
    }
    fake_drain(s);
    s->alive = 0;
    s->capture = NULL;
    return fake_leave((cudaError_t)asked);
}

/* 0, or the error of a call that may not be made of a stream that captures. */
static cudaError_t not_capturing(struct CUstream_st *s) {
    if (s->capture) {
        fake_graph_break(s->capture);
        return cudaErrorStreamCaptureUnsupported;
    }
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    FAKE_CALL(cudaErrorLaunchFailure)
    if (fake_drops(__func__, __builtin_return_address(0))) {
        return fake_leave(cudaSuccess);
    }
    struct CUstream_st *s = fake_stream(__func__, stream);
    cudaError_t e = not_capturing(s);
    if (!e) {
        fake_drain(s);
    }
    return fake_leave(e);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    FAKE_CALL(cudaErrorLaunchFailure)
    struct CUstream_st *s = fake_stream(__func__, stream);
    struct CUstream_st *some = s->done < s->issued ? any(NULL) : NULL;
    if (some) {
        run_head(some);
    }
    return fake_leave(s->done < s->issued ? cudaErrorNotReady : cudaSuccess);
}

cudaError_t cudaDeviceSynchronize(void) {
    FAKE_CALL(cudaErrorLaunchFailure)
    if (fake_drops(__func__, __builtin_return_address(0))) {
        return fake_leave(cudaSuccess);
    }
    fake_drain_all();
    fake_memory_check_guards();
    return fake_leave(cudaSuccess);
}

typedef struct host_job {
    cudaHostFn_t fn;
    void *user;
} host_job;

static void run_host(void *arg) {
    const host_job *j = arg;
    j->fn(j->user);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *user) {
    FAKE_CALL(cudaErrorLaunchFailure)
    host_job *j = fake_calloc(sizeof *j);
    *j = (host_job){fn, user};
    fake_issue(fake_stream(__func__, stream), run_host, free, j);
    return fake_leave(cudaSuccess);
}

/* --- calls: events ------------------------------------------------------------------------------------------------ */
static cudaError_t new_event(cudaEvent_t *out, unsigned flags) {
    *out = NULL;
    if (fake_sticky()) {
        return cudaSuccess;
    }
    struct CUevent_st *e = fake_calloc(sizeof *e);
    e->timed = !(flags & cudaEventDisableTiming);
    e->alive = 1;
    e->next = events;
    events = e;
    *out = e;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    return fake_leave(new_event(out, 0));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    return fake_leave(new_event(out, flags));
}

cudaError_t cudaEventDestroy(cudaEvent_t e) {
    fake_lock();
    int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    need_event(__func__, e);
    e->alive = 0; /* a record of it may still be queued: never freed */
    return fake_leave((cudaError_t)asked);
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t stream) {
    FAKE_CALL(cudaErrorLaunchFailure)
    need_event(__func__, e);
    struct CUstream_st *s = fake_stream(__func__, stream);
    if (s->capture) {
        e->graph = s->capture;
        return fake_leave(cudaSuccess);
    }
    fake_op *op = fake_calloc(sizeof *op);
    op->stamp = e;
    e->graph = NULL;
    e->stream = s;
    join_default(s);
    e->seq = s->issued + 1;
    issue(s, op);
    return fake_leave(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t e, unsigned flags) {
    FAKE_CALL(cudaErrorLaunchFailure)
    (void)flags;
    if (fake_drops(__func__, __builtin_return_address(0))) {
        return fake_leave(cudaSuccess);
    }
    need_event(__func__, e);
    struct CUstream_st *s = fake_stream(__func__, stream);
    if (e->graph) {
        s->capture = e->graph; /* joins; within the graph the order of issue holds */
        return fake_leave(cudaSuccess);
    }
    if (s->capture) {
        fake_graph_break(s->capture);
        return fake_leave(cudaErrorStreamCaptureIsolation);
    }
    if (e->stream) {
        put_wait(s, e->stream, e->seq);
    }
    return fake_leave(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    FAKE_CALL(cudaErrorLaunchFailure)
    if (fake_drops(__func__, __builtin_return_address(0))) {
        return fake_leave(cudaSuccess);
    }
    need_event(__func__, e);
    if (e->stream) {
        drain_to(e->stream, e->seq);
    }
    return fake_leave(cudaSuccess);
}

cudaError_t cudaEventQuery(cudaEvent_t e) {
    FAKE_CALL(cudaErrorLaunchFailure)
    need_event(__func__, e);
    if (e->stream && e->stream->done < e->seq) {
        run_head(any(NULL));
    }
    return fake_leave(e->stream && e->stream->done < e->seq ? cudaErrorNotReady : cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    FAKE_CALL(cudaErrorLaunchFailure)
    need_event(__func__, from);
    need_event(__func__, to);
    if (!from->timed || !to->timed || !from->stream || !to->stream) {
        return fake_leave(cudaErrorInvalidResourceHandle);
    }
    if (from->stream->done < from->seq || to->stream->done < to->seq) {
        return fake_leave(cudaErrorNotReady);
    }
    *ms = (float)(to->at - from->at);
    return fake_leave(cudaSuccess);
}

/* --- capture ------------------------------------------------------------------------------------------------------ */
int fake_stream_break_captures(void) {
    int found = 0;
    for (struct CUstream_st *s = &first; s; s = s->next) {
        if (s->capture) {
            fake_graph_break(s->capture);
            found = 1;
        }
    }
    return found;
}

void fake_stream_uncapture(const struct CUgraph_st *g) {
    for (struct CUstream_st *s = &first; s; s = s->next) {
        s->capture = s->capture == g ? NULL : s->capture;
    }
    for (struct CUevent_st *e = events; e; e = e->next) {
        e->graph = e->graph == g ? NULL : e->graph;
    }
}
