/* tape.c - operations recorded as a CUDA graph, and run again as one launch. */
#include <stdlib.h>

#include "cuda/context.h"

struct mbk_tape {
    cudaGraphExec_t graph;
    int64_t scratch; /* which one its kernels use */
};

static mbk_status record(mbk_ctx *ctx) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    if (!c) {
        return st;
    }
    st = mbk_cuda_check(c, cudaStreamBeginCapture(c->compute, cudaStreamCaptureModeThreadLocal), "recording a step");
    c->recording = st >= 0;
    return st;
}

static mbk_status recorded(mbk_ctx *ctx, mbk_tape **out) {
    mbk_status st;
    cudaGraph_t graph = NULL;
    cuda_ctx *c = (cuda_ctx *)(void *)ctx;
    *out = NULL;
    /* Also on a device that failed meanwhile: while a stream records, nobody can wait for what it was given before. */
    cudaError_t ended = cudaStreamEndCapture(c->compute, &graph);
    c->recording = 0;
    st = cuda_enter(ctx, &st) ? mbk_cuda_check(c, ended, "recording a step") : st;
    mbk_tape *tape = st < 0 ? NULL : calloc(1, sizeof *tape);
    if (tape) {
        tape->scratch = c->scratch_made;
        st = mbk_cuda_check(c, cudaGraphInstantiate(&tape->graph, graph, 0), "recording a step");
    } else {
        st = st < 0 ? st : MBS_ERR_MEMORY;
    }
    if (graph) {
        (void)cudaGraphDestroy(graph);
    }
    if (st < 0) {
        free(tape);
        return st;
    }
    *out = tape;
    return MBS_OK;
}

static mbk_status replay(mbk_ctx *ctx, mbk_tape *tape) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    if (!c) {
        return st;
    }
    if (tape->scratch != c->scratch_made) {
        return MBS_END;
    }
    return mbk_cuda_check(c, cudaGraphLaunch(tape->graph, c->compute), "a step");
}

static void tape_free(mbk_ctx *ctx, mbk_tape *tape) {
    const cuda_ctx *c = (const cuda_ctx *)(const void *)ctx;
    (void)cudaSetDevice(c->device);
    (void)cudaGraphExecDestroy(tape->graph);
    free(tape);
}

void mbk_cuda_tape_ops(mbk_ops *ops) {
    ops->record = record;
    ops->recorded = recorded;
    ops->replay = replay;
    ops->tape_free = tape_free;
}
