/*
 * context.h - the host side of the CUDA backend: what its files share.
 *
 *   context.c  device, streams, errors, scratch          gemm.c      matrix products through cuBLAS
 *   memory.c   buffers, and bytes in and out             ops.c       the way forward, one launcher each
 *   weight.c   matrices as they are held                 train.c     the way back
 *   mamba1.c   a layer whose rows are bf16 on their way
 *   tape.c     operations recorded, for decoding
 *   module.c   what the program sees of all this         blas_*.c    where cuBLAS comes from
 *
 * Everything that is computed is queued on one stream. Bytes from the host go through two pinned buffers on a second
 * stream into two buffers on the device, and from there, in the order of the first stream, to their place: what comes
 * next travels while what came before is computed. Only download, sync and the checks of numbers wait.
 *
 * Calls of the runtime, besides the launches of kernels: cudaGetDeviceCount, cudaDriverGetVersion,
 * cudaRuntimeGetVersion, cudaGetDeviceProperties, cudaSetDevice, cudaMemGetInfo, cudaMalloc, cudaFree, cudaMallocHost,
 * cudaFreeHost, cudaMemcpyAsync, cudaMemcpy2DAsync, cudaMemsetAsync, cudaStreamCreateWithFlags, cudaStreamDestroy,
 * cudaStreamSynchronize, cudaStreamWaitEvent, cudaEventCreateWithFlags, cudaEventRecord, cudaEventSynchronize,
 * cudaEventDestroy, cudaStreamBeginCapture, cudaStreamEndCapture, cudaGraphInstantiate, cudaGraphLaunch,
 * cudaGraphDestroy, cudaGraphExecDestroy, cudaGetLastError, cudaGetErrorString; of cuBLAS those of blas.h.
 */
#ifndef MBK_CUDA_CONTEXT_H
#define MBK_CUDA_CONTEXT_H

#include <assert.h>
#include <cuda_runtime_api.h>

#include "cuda/blas.h"
#include "cuda/launch.h"
#include "head.h"
#include "mambaseq/status.h"

/* Rows of every matrix product but those of few rows. cuBLAS chooses its code, and with it the order of summation, by
 * the shape; with one row count the bits of a row do not depend on how many ride along. The rows of a call are cut at
 * its own multiples of this, the last tile is filled up with zeros. Cuts of a sequence at multiples of it are the same
 * products: what mbk_pace.unit promises. Of weight_grad it is the rows that are summed at once. */
#ifndef MBK_CU_ROWS
#define MBK_CU_ROWS 1024
#endif
/* Rows that go through all layers at once, at most. */
#ifndef MBK_CU_MOST
#define MBK_CU_MOST (16 * MBK_CU_ROWS)
#endif
/* Tiles whose inputs are rounded to bf16 at once. */
#define MBK_CU_TILES 16
/* So few rows are decoding: mbk_cu_gemv, which reads the weights once and has an order of its own. */
#define MBK_CU_FEW 8

/* Bytes that travel at once. */
#ifndef MBK_CU_PIECE
#define MBK_CU_PIECE ((size_t)4 << 20)
#endif
/* What cuBLAS works in: what NVIDIA recommends for the largest devices. */
#ifndef MBK_CU_WORKSPACE
#define MBK_CU_WORKSPACE ((size_t)32 << 20)
#endif

typedef struct cuda_piece {
    void *host;          /* pinned */
    void *device;        /* of those that go up */
    cudaEvent_t arrived; /* on the stream of copies: `host` may be written again, `device` read */
    cudaEvent_t taken;   /* on the stream of computing: `device` may be written again */
    int used;
} cuda_piece;

typedef struct cuda_ctx {
    mbk_ctx base;
    int device;
    cudaStream_t compute, copies;
    cudaEvent_t computed; /* what a download waits for */
    cuda_piece up[2], down[2];
    int next_up;
    mbk_cuda_blas blas;
    cublasHandle_t handle;
    void *workspace;      /* of cuBLAS: the same at all times, so that it always chooses the same */
    int32_t *bad;         /* device: a number that a weight cannot hold */
    mbk_cu_queue queue;   /* the stream, and the scratch that the running operation has */
    int64_t scratch_made; /* how often: a tape knows its own */
    int recording;
    int tf32;
    mbk_status lost; /* what every call answers since the device failed */
    char why[256];
    char arithmetic[2][24]; /* of f32 and bf16 math */
} cuda_ctx;

struct mbk_buf {
    mbk_buf_head head;
    void *data; /* device */
};

struct mbk_weight {
    mbk_weight_head head;
    mbk_cu_matrix m;
    mbk_math math;
    void *data;   /* m.p */
    float *scale; /* m.scale */
};

/* --- context.c */
/* A context on a device that exists. On failure `why` has the reason. */
mbk_status mbk_cuda_open(int32_t index, mbk_ctx **out, char *why, size_t room);
/* The status of an error and, in ctx->why, its words; `doing` names the call. An error after which the device answers
 * nothing any more is kept. */
mbk_status mbk_cuda_check(cuda_ctx *c, cudaError_t e, const char *doing);
mbk_status mbk_cuda_check_blas(cuda_ctx *c, cublasStatus_t e, const char *doing);
/* One mapping for all: also before there is a context. `words` may be NULL. */
mbk_status mbk_cuda_status(cudaError_t e, int *lost);
/* Memory that is not cleared; frees wait for what uses it. */
mbk_status mbk_cuda_alloc(cuda_ctx *c, size_t bytes, void **out);
void mbk_cuda_release(cuda_ctx *c, void *p);
/* At least `bytes` of scratch in ctx->queue. It grows at the first call of a size and is kept. */
mbk_status mbk_cuda_scratch(cuda_ctx *c, size_t bytes);

/* --- memory.c */
void mbk_cuda_memory_ops(mbk_ops *ops);
/* To and from any place of the device. */
mbk_status mbk_cuda_put(cuda_ctx *c, void *dst, const void *src, size_t bytes);
mbk_status mbk_cuda_get(cuda_ctx *c, void *dst, const void *src, size_t bytes);

/* --- weight.c, gemm.c, ops.c, train.c */
void mbk_cuda_weight_ops(mbk_ops *ops);
void mbk_cuda_gemm_ops(mbk_ops *ops);
void mbk_cuda_forward_ops(mbk_ops *ops);
void mbk_cuda_train_ops(mbk_ops *ops);
void mbk_cuda_tape_ops(mbk_ops *ops);

/* --- gemm.c: products under bf16 math of rows that are bf16 already, and of a weight that is. */
/* How many of the last rows of a call are few: those go by mbk_cuda_product_few. */
int64_t mbk_cuda_few(int64_t rows);
/* y = x W^T in bf16, or y += x W^T in f32. x and a y of bf16 have room for rows of whole tiles; what is in them beyond
 * x.rows is of no matter. `room` is on the device, of mbk_cuda_product_room bytes. */
mbk_status mbk_cuda_product(cuda_ctx *c, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x, void *room);
/* The same of up to MBK_CU_FEW rows; x may be f32. */
mbk_status mbk_cuda_product_few(cuda_ctx *c, const mbk_weight *w, mbk_cu_view y, mbk_cu_view x, void *room);
size_t mbk_cuda_product_room(const mbk_weight *w);
mbk_cu_view mbk_cuda_rows_of(const mbk_cu_view *v, int64_t from, int64_t rows);

/* --- mamba1.c */
void mbk_cuda_mamba1_ops(mbk_ops *ops);

/* The context for a call of this thread, or NULL with the status that the call answers. */
static inline cuda_ctx *cuda_enter(mbk_ctx *ctx, mbk_status *st) {
    cuda_ctx *c = (cuda_ctx *)(void *)ctx;
    *st = c->lost;
    if (*st >= 0) {
        c->why[0] = '\0';
        *st = mbk_cuda_check(c, cudaSetDevice(c->device), "cudaSetDevice");
    }
    return *st < 0 ? NULL : c;
}

/* As cuda_enter; a call of no rows is done already. */
static inline cuda_ctx *cuda_enter_for(mbk_ctx *ctx, int64_t rows, mbk_status *st) {
    *st = MBS_OK;
    return rows == 0 ? NULL : cuda_enter(ctx, st);
}

static inline int cuda_view_ok(const mbk_mat *m) {
    return m->rows >= 0 && m->cols >= 0 && m->ld >= m->cols && m->off >= 0 &&
           (m->rows == 0 || (uint64_t)(m->off + (m->rows - 1) * m->ld + m->cols) * sizeof(float) <= m->buf->head.bytes);
}

/* An absent view stays absent. */
static inline mbk_cu_view cuda_view(mbk_mat m) {
    mbk_cu_view v = {0};
    if (m.buf) {
        assert(cuda_view_ok(&m));
        v = (mbk_cu_view){(float *)m.buf->data + m.off, m.rows, m.cols, m.ld, MBK_CU_F32};
    }
    return v;
}

static inline const int32_t *cuda_ids(const mbk_buf *buf, int64_t off) {
    return (const int32_t *)buf->data + off;
}

static inline mbk_cu_starts cuda_starts(mbk_starts s) {
    mbk_cu_starts v = {0};
    if (s.n > 0) {
        v = (mbk_cu_starts){cuda_ids(s.buf, s.off), s.n};
    }
    return v;
}

/* Every part of the scratch begins where any kernel may read it. */
static inline size_t cuda_lines(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

/* The end of an operation whose context is c (NULL: nothing to do, or the failure st): asks for what the kernel needs
 * beside its arguments, then queues it. */
#define CUDA_QUEUE(SCRATCH, WHAT, LAUNCH)                                                                              \
    do {                                                                                                               \
        if (!c) {                                                                                                      \
            return st;                                                                                                 \
        }                                                                                                              \
        st = mbk_cuda_scratch(c, SCRATCH);                                                                             \
        return st < 0 ? st : mbk_cuda_check(c, (cudaError_t)(LAUNCH), WHAT);                                           \
    } while (0)

#endif
