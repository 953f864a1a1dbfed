/* context.c - a device as a context: streams, cuBLAS, scratch, and what errors mean. */
#include "cuda/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- errors --------------------------------------------------------------------------------------------------------
 */

mbk_status mbk_cuda_status(cudaError_t e, int *lost) {
    *lost = 0;
    switch ((int)e) {
    case cudaSuccess:
        return MBS_OK;
    case cudaErrorMemoryAllocation:
        return MBS_ERR_MEMORY;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidPitchValue:
    case cudaErrorInvalidDevicePointer:
    case cudaErrorInvalidMemcpyDirection:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorMissingConfiguration:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureMerge:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorCapturedEvent:
    case cudaErrorStreamCaptureWrongThread:
    case cudaErrorGraphExecUpdateFailure:
        return MBS_ERR_INTERNAL; /* what was asked for is wrong; the device is not */
    default:
        *lost = 1;
        return MBS_ERR_UNAVAILABLE;
    }
}

/* "1.5 GiB" */
static const char *put_size(size_t bytes, char out[24]) {
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    double size = (double)bytes / 1024;
    int unit = 0;
    for (; size >= 1024 && unit < 2; unit++) {
        size /= 1024;
    }
    (void)snprintf(out, 24, "%.1f %s", size, units[unit]);
    return out;
}

static void say_memory(cuda_ctx *c, size_t asked) {
    size_t unused = 0;
    size_t all = 0;
    char text[3][24];
    (void)cudaGetLastError(); /* or the next call answers with it again */
    if (cudaMemGetInfo(&unused, &all) == cudaSuccess && asked) {
        (void)snprintf(c->why, sizeof c->why, "the device has not enough memory: %s asked, %s of %s free",
                       put_size(asked, text[0]), put_size(unused, text[1]), put_size(all, text[2]));
    } else {
        (void)cudaGetLastError();
        (void)snprintf(c->why, sizeof c->why, "the device has not enough memory");
    }
}

mbk_status mbk_cuda_check(cuda_ctx *c, cudaError_t e, const char *doing) {
    int lost = 0;
    if (e == cudaSuccess) {
        return MBS_OK;
    }
    mbk_status st = mbk_cuda_status(e, &lost);
    if (st == MBS_ERR_MEMORY) {
        say_memory(c, 0);
        return st;
    }
    (void)cudaGetLastError();
    (void)snprintf(c->why, sizeof c->why, "%s%s: %s (CUDA error %d)", lost ? "the device failed, " : "", doing,
                   cudaGetErrorString(e), (int)e);
    c->lost = lost ? st : c->lost;
    return st;
}

mbk_status mbk_cuda_check_blas(cuda_ctx *c, cublasStatus_t e, const char *doing) {
    if (e == CUBLAS_STATUS_SUCCESS) {
        return MBS_OK;
    }
    if (e == CUBLAS_STATUS_ALLOC_FAILED) {
        say_memory(c, 0);
        return MBS_ERR_MEMORY;
    }
    mbk_status st = mbk_cuda_check(c, cudaGetLastError(), doing);
    if (st < 0) {
        return st; /* the runtime knows more about it */
    }
    (void)snprintf(c->why, sizeof c->why, "%s: cuBLAS failed (status %d)", doing, (int)e);
    if (e == CUBLAS_STATUS_INVALID_VALUE || e == CUBLAS_STATUS_NOT_SUPPORTED) {
        return MBS_ERR_INTERNAL;
    }
    c->lost = MBS_ERR_UNAVAILABLE;
    return c->lost;
}

/* --- memory of the backend itself -----------------------------------------------------------------------------------
 */

mbk_status mbk_cuda_alloc(cuda_ctx *c, size_t bytes, void **out) {
    *out = NULL;
    cudaError_t e = cudaMalloc(out, bytes ? bytes : 64);
    if (e == cudaErrorMemoryAllocation) {
        *out = NULL;
        say_memory(c, bytes);
        return MBS_ERR_MEMORY;
    }
    return mbk_cuda_check(c, e, "cudaMalloc");
}

void mbk_cuda_release(cuda_ctx *c, void *p) {
    if (p) {
        (void)cudaSetDevice(c->device);
        (void)cudaStreamSynchronize(c->copies);
        (void)cudaStreamSynchronize(c->compute);
        (void)cudaFree(p);
    }
}

mbk_status mbk_cuda_scratch(cuda_ctx *c, size_t bytes) {
    if (bytes <= c->queue.scratch_bytes) {
        return MBS_OK;
    }
    if (c->recording) {
        return MBS_ERR_INTERNAL; /* what is recorded runs later, and this would wait now */
    }
    /* The old one first: a device is often nearly full, and nothing in it is kept. */
    void *larger = NULL;
    mbk_cuda_release(c, c->queue.scratch);
    c->queue.scratch = NULL;
    c->queue.scratch_bytes = 0;
    bytes = cuda_lines(bytes);
    mbk_status st = mbk_cuda_alloc(c, bytes, &larger);
    if (st >= 0) {
        c->queue.scratch = larger;
        c->queue.scratch_bytes = bytes;
        c->scratch_made++;
    }
    return st;
}

/* --- opening and closing -------------------------------------------------------------------------------------------
 */

static void close_cuda(mbk_ctx *ctx) {
    cuda_ctx *c = (cuda_ctx *)(void *)ctx;
    (void)cudaSetDevice(c->device);
    if (c->copies) {
        (void)cudaStreamSynchronize(c->copies);
    }
    if (c->compute) {
        (void)cudaStreamSynchronize(c->compute);
    }
    if (c->handle) {
        (void)c->blas.destroy(c->handle);
    }
    cuda_piece *pieces[] = {&c->up[0], &c->up[1], &c->down[0], &c->down[1]};
    for (int i = 0; i < 4; i++) {
        (void)(pieces[i]->host ? cudaFreeHost(pieces[i]->host) : cudaSuccess);
        (void)(pieces[i]->device ? cudaFree(pieces[i]->device) : cudaSuccess);
        (void)(pieces[i]->arrived ? cudaEventDestroy(pieces[i]->arrived) : cudaSuccess);
        (void)(pieces[i]->taken ? cudaEventDestroy(pieces[i]->taken) : cudaSuccess);
    }
    void *memory[] = {c->queue.scratch, c->workspace, c->bad};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) {
        (void)(memory[i] ? cudaFree(memory[i]) : cudaSuccess);
    }
    (void)(c->computed ? cudaEventDestroy(c->computed) : cudaSuccess);
    (void)(c->copies ? cudaStreamDestroy(c->copies) : cudaSuccess);
    (void)(c->compute ? cudaStreamDestroy(c->compute) : cudaSuccess);
    (void)cudaGetLastError();
    free(c);
}

static const char *arithmetic(const mbk_ctx *ctx, mbk_math math) {
    return ((const cuda_ctx *)(const void *)ctx)->arithmetic[math == MBK_MATH_BF16];
}

static const char *why_of(const mbk_ctx *ctx) {
    const cuda_ctx *c = (const cuda_ctx *)(const void *)ctx;
    return c->why[0] ? c->why : NULL;
}

static mbk_status memory_of(mbk_ctx *ctx, size_t *unused, size_t *all) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    return c ? mbk_cuda_check(c, cudaMemGetInfo(unused, all), "cudaMemGetInfo") : st;
}

static mbk_status make_piece(cuda_ctx *c, cuda_piece *p, int up) {
    cudaError_t e = cudaMallocHost(&p->host, MBK_CU_PIECE);
    if (e == cudaErrorMemoryAllocation) {
        p->host = NULL;
        (void)cudaGetLastError();
        (void)snprintf(c->why, sizeof c->why, "there is no memory that the device can reach");
        return MBS_ERR_MEMORY;
    }
    mbk_status st = mbk_cuda_check(c, e, "cudaMallocHost");
    st = st < 0 || !up ? st : mbk_cuda_alloc(c, MBK_CU_PIECE, &p->device);
    if (st >= 0) {
        st = mbk_cuda_check(c, cudaEventCreateWithFlags(&p->arrived, cudaEventDisableTiming), "cudaEventCreate");
    }
    if (st >= 0) {
        st = mbk_cuda_check(c, cudaEventCreateWithFlags(&p->taken, cudaEventDisableTiming), "cudaEventCreate");
    }
    return st;
}

static mbk_status make_streams(cuda_ctx *c) {
    mbk_status st = mbk_cuda_check(c, cudaSetDevice(c->device), "cudaSetDevice");
    if (st >= 0) {
        st = mbk_cuda_check(c, cudaStreamCreateWithFlags(&c->compute, cudaStreamNonBlocking), "cudaStreamCreate");
    }
    if (st >= 0) {
        st = mbk_cuda_check(c, cudaStreamCreateWithFlags(&c->copies, cudaStreamNonBlocking), "cudaStreamCreate");
    }
    if (st >= 0) {
        st = mbk_cuda_check(c, cudaEventCreateWithFlags(&c->computed, cudaEventDisableTiming), "cudaEventCreate");
    }
    for (int i = 0; i < 2 && st >= 0; i++) {
        st = make_piece(c, &c->up[i], 1);
        st = st < 0 ? st : make_piece(c, &c->down[i], 0);
    }
    c->queue.stream = c->compute;
    return st;
}

static mbk_status make_blas(cuda_ctx *c) {
    void *bad = NULL;
    mbk_status st = mbk_cuda_blas_load(&c->blas, c->why, sizeof c->why);
    st = st < 0 ? st : mbk_cuda_alloc(c, sizeof *c->bad, &bad);
    c->bad = bad;
    st = st < 0 ? st : mbk_cuda_alloc(c, MBK_CU_WORKSPACE, &c->workspace);
    st = st < 0 ? st : mbk_cuda_check_blas(c, c->blas.create(&c->handle), "cublasCreate");
    st = st < 0 ? st : mbk_cuda_check_blas(c, c->blas.set_stream(c->handle, c->compute), "cublasSetStream");
    if (st >= 0) {
        cublasStatus_t e = c->blas.set_workspace(c->handle, c->workspace, MBK_CU_WORKSPACE);
        st = mbk_cuda_check_blas(c, e, "cublasSetWorkspace");
    }
    if (st >= 0) {
        const int mode = CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
        st = mbk_cuda_check_blas(c, c->blas.set_math_mode(c->handle, (cublasMath_t)mode), "cublasSetMathMode");
    }
    return st;
}

static mbk_status look_at_device(cuda_ctx *c) {
    struct cudaDeviceProp p;
    mbk_status st = mbk_cuda_check(c, cudaGetDeviceProperties(&p, c->device), "cudaGetDeviceProperties");
    if (st >= 0 && p.major < 8) {
        (void)snprintf(c->why, sizeof c->why, "%s has compute capability %d.%d, and 8.0 is the least", p.name, p.major,
                       p.minor);
        return MBS_ERR_UNAVAILABLE;
    }
    if (st >= 0) {
        c->queue.multiprocessors = p.multiProcessorCount;
        (void)snprintf(c->arithmetic[0], sizeof c->arithmetic[0], "sm_%d%d%s", p.major, p.minor,
                       c->tf32 ? "+tf32" : "");
        (void)snprintf(c->arithmetic[1], sizeof c->arithmetic[1], "sm_%d%d", p.major, p.minor);
    }
    return st;
}

/* MAMBASEQ_CUDA=tf32: products of f32 numbers on tensor cores, which round them to 10 bits behind the point. */
static mbk_status read_wishes(cuda_ctx *c) {
    const char *wish = getenv("MAMBASEQ_CUDA");
    c->tf32 = wish && strcmp(wish, "tf32") == 0;
    if (wish && *wish && !c->tf32) {
        (void)snprintf(c->why, sizeof c->why, "MAMBASEQ_CUDA is '%.40s', and all it can be is tf32", wish);
        return MBS_ERR_UNAVAILABLE;
    }
    return MBS_OK;
}

/* A GiB of what the rows take; enough rows for the widest device, few enough that several calls of this size make one
 * of the program, so that what the next one needs travels while one is computed. */
static const mbk_pace pace = {
    .floats = (int64_t)1 << 28, .least = MBK_CU_ROWS, .most = MBK_CU_MOST, .unit = MBK_CU_ROWS, .halvings = 3};

static mbk_ops make_table(void) {
    mbk_ops ops = {
        .name = "cuda",
        .device = "cuda",
        .pace = pace,
        .scan_states = MBK_CU_SCAN_STATES,
        .close = close_cuda,
        .arithmetic = arithmetic,
        .why = why_of,
        .memory = memory_of,
    };
    mbk_cuda_memory_ops(&ops);
    mbk_cuda_weight_ops(&ops);
    mbk_cuda_gemm_ops(&ops);
    mbk_cuda_forward_ops(&ops);
    mbk_cuda_mamba1_ops(&ops);
    mbk_cuda_train_ops(&ops);
    mbk_cuda_tape_ops(&ops);
    return ops;
}

/* A context and the table that it points to. */
typedef struct cuda_whole {
    cuda_ctx ctx;
    mbk_ops table;
} cuda_whole;

mbk_status mbk_cuda_open(int32_t index, mbk_ctx **out, char *why, size_t room) {
    *out = NULL;
    cuda_whole *whole = calloc(1, sizeof *whole);
    if (!whole) {
        (void)snprintf(why, room, "there is not enough memory");
        return MBS_ERR_MEMORY;
    }
    cuda_ctx *c = &whole->ctx;
    whole->table = make_table();
    c->base.ops = &whole->table;
    c->device = index;
    mbk_status st = read_wishes(c);
    st = st < 0 ? st : look_at_device(c);
    st = st < 0 ? st : make_streams(c);
    st = st < 0 ? st : make_blas(c);
    if (st < 0) {
        (void)snprintf(why, room, "%s", c->why);
        close_cuda(&c->base);
        return st;
    }
    *out = &c->base;
    return MBS_OK;
}
