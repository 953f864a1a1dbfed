/* Capture into a graph, and its launches: the captured work in the order of its issue. Times that a launch is run. */
#include <stdlib.h>

#include "impl.h"

struct CUgraph_st {
    fake_op *head, *tail;
    int64_t users; /* the handle, instances, launches that wait */
    int broken, ended;
};

struct CUgraphExec_st {
    struct CUgraph_st *graph;
};

static int graphs; /* handles of graphs and of instances */

int fake_graph_count(void) {
    return graphs;
}

static void release(struct CUgraph_st *g) {
    if (--g->users > 0) {
        return;
    }
    for (fake_op *op = g->head; op;) {
        fake_op *next = op->next;
        fake_op_free(op);
        op = next;
    }
    free(g);
}

void fake_graph_append(struct CUgraph_st *g, fake_op *op) {
    if (g->tail) {
        g->tail->next = op;
    } else {
        g->head = op;
    }
    g->tail = op;
}

void fake_graph_break(struct CUgraph_st *g) {
    g->broken = 1;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    FAKE_CALL(cudaErrorLaunchFailure)
    (void)mode;
    struct CUstream_st *s = fake_stream(__func__, stream);
    if (!stream) {
        return fake_leave(cudaErrorStreamCaptureImplicit);
    }
    if (s->capture) {
        return fake_leave(cudaErrorIllegalState);
    }
    struct CUgraph_st *g = fake_calloc(sizeof *g);
    g->users = 1;
    s->capture = g;
    graphs++;
    return fake_leave(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out) {
    fake_lock();
    const int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    struct CUstream_st *s = fake_stream(__func__, stream);
    struct CUgraph_st *g = s->capture;
    *out = NULL;
    if (!g) {
        return fake_leave(asked ? (cudaError_t)asked : cudaErrorIllegalState);
    }
    fake_stream_uncapture(g); /* the capture ends, also where this call fails */
    if (asked || g->broken) {
        graphs--;
        release(g);
        return fake_leave(asked ? (cudaError_t)asked : cudaErrorStreamCaptureInvalidated);
    }
    *out = g;
    return fake_leave(cudaSuccess);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    FAKE_CALL(cudaErrorLaunchFailure)
    const struct CUgraph_st *g = fake_stream(__func__, stream)->capture;
    *status = !g          ? cudaStreamCaptureStatusNone
              : g->broken ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive;
    return fake_leave(cudaSuccess);
}

static cudaError_t instantiate(cudaGraphExec_t *out, cudaGraph_t g) {
    *out = NULL;
    if (fake_sticky()) {
        return cudaSuccess;
    }
    struct CUgraphExec_st *x = fake_calloc(sizeof *x);
    x->graph = g;
    g->users++;
    graphs++;
    *out = x;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long flags) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    (void)flags;
    return fake_leave(instantiate(out, g));
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long flags) {
    FAKE_CALL(cudaErrorMemoryAllocation)
    (void)flags;
    return fake_leave(instantiate(out, g));
}

static void run_graph(void *arg) {
    const struct CUgraph_st *g = arg;
    for (const fake_op *op = g->head; op; op = op->next) {
        op->run(op->arg);
    }
}

static void drop_graph(void *arg) {
    release(arg);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t stream) {
    FAKE_CALL(cudaErrorLaunchFailure)
    struct CUstream_st *s = fake_stream(__func__, stream);
    if (!fake_sticky()) {
        x->graph->users++;
        fake_issue(s, run_graph, drop_graph, x->graph);
    }
    return fake_leave(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x) {
    fake_lock();
    int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    release(x->graph);
    free(x);
    graphs--;
    return fake_leave((cudaError_t)asked);
}

cudaError_t cudaGraphDestroy(cudaGraph_t g) {
    fake_lock();
    int asked = fake_enter(__func__, cudaErrorLaunchFailure);
    release(g);
    graphs--;
    return fake_leave((cudaError_t)asked);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
    FAKE_CALL(cudaErrorLaunchFailure)
    *mode = cudaStreamCaptureModeGlobal;
    return fake_leave(cudaSuccess);
}
