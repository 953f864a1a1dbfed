/* memory.c - buffers on the device, and the way of bytes there and back. */
#include <stdlib.h>
#include <string.h>

#include "cuda/context.h"

static mbk_status buf_new(mbk_ctx *ctx, size_t bytes, mbk_buf **out) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    *out = NULL;
    if (!c) {
        return st;
    }
    mbk_buf *buf = calloc(1, sizeof *buf);
    if (!buf) {
        return MBS_ERR_MEMORY;
    }
    buf->head.bytes = bytes;
    st = mbk_cuda_alloc(c, bytes, &buf->data);
    if (st >= 0) {
        st = mbk_cuda_check(c, cudaMemsetAsync(buf->data, 0, bytes ? bytes : 64, c->compute), "cudaMemset");
    }
    if (st < 0) {
        mbk_cuda_release(c, buf->data);
        free(buf);
        return st;
    }
    *out = buf;
    return MBS_OK;
}

static void buf_free(mbk_ctx *ctx, mbk_buf *buf) {
    if (buf) {
        mbk_cuda_release((cuda_ctx *)(void *)ctx, buf->data);
        free(buf);
    }
}

/* --- there ---------------------------------------------------------------------------------------------------------
 */

/* So little is on its way sooner than the second stream is told of it. */
#define LITTLE ((size_t)4 << 10)

static mbk_status send_little(cuda_ctx *c, void *dst, const void *src, size_t bytes) {
    cuda_piece *p = &c->up[c->next_up];
    c->next_up = !c->next_up;
    cudaError_t e = p->used ? cudaEventSynchronize(p->arrived) : cudaSuccess;
    if (e == cudaSuccess) {
        memcpy(p->host, src, bytes);
    }
    e = e ? e : cudaMemcpyAsync(dst, p->host, bytes, cudaMemcpyHostToDevice, c->compute);
    e = e ? e : cudaEventRecord(p->arrived, c->compute);
    e = e || p->used ? e : cudaEventRecord(p->taken, c->compute);
    p->used = 1;
    return mbk_cuda_check(c, e, "sending bytes to the device");
}

/* At most MBK_CU_PIECE bytes. */
static mbk_status send(cuda_ctx *c, void *dst, const void *src, size_t bytes) {
    cuda_piece *p = &c->up[c->next_up];
    c->next_up = !c->next_up;
    cudaError_t e = p->used ? cudaEventSynchronize(p->arrived) : cudaSuccess;
    if (e == cudaSuccess) {
        memcpy(p->host, src, bytes);
        e = p->used ? cudaStreamWaitEvent(c->copies, p->taken, 0) : cudaSuccess;
    }
    p->used = 1;
    e = e ? e : cudaMemcpyAsync(p->device, p->host, bytes, cudaMemcpyHostToDevice, c->copies);
    e = e ? e : cudaEventRecord(p->arrived, c->copies);
    e = e ? e : cudaStreamWaitEvent(c->compute, p->arrived, 0);
    e = e ? e : cudaMemcpyAsync(dst, p->device, bytes, cudaMemcpyDeviceToDevice, c->compute);
    e = e ? e : cudaEventRecord(p->taken, c->compute);
    return mbk_cuda_check(c, e, "sending bytes to the device");
}

mbk_status mbk_cuda_put(cuda_ctx *c, void *dst, const void *src, size_t bytes) {
    mbk_status st = MBS_OK;
    for (size_t at = 0; at < bytes && st >= 0; at += MBK_CU_PIECE) {
        size_t n = bytes - at < MBK_CU_PIECE ? bytes - at : MBK_CU_PIECE;
        st = bytes <= LITTLE ? send_little(c, dst, src, bytes) : send(c, (char *)dst + at, (const char *)src + at, n);
    }
    return st;
}

static mbk_status upload(mbk_ctx *ctx, mbk_buf *dst, size_t off, const void *src, size_t bytes) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    assert(off <= dst->head.bytes && bytes <= dst->head.bytes - off);
    return c ? mbk_cuda_put(c, (char *)dst->data + off, src, bytes) : st;
}

/* --- and back ------------------------------------------------------------------------------------------------------
 */

static mbk_status get_little(cuda_ctx *c, void *dst, const void *src, size_t bytes) {
    cudaError_t e = cudaMemcpyAsync(c->down[0].host, src, bytes, cudaMemcpyDeviceToHost, c->compute);
    e = e ? e : cudaStreamSynchronize(c->compute);
    if (e == cudaSuccess) {
        memcpy(dst, c->down[0].host, bytes);
    }
    return mbk_cuda_check(c, e, "waiting for results");
}

/* A piece is copied out of its pinned buffer while the next one comes. */
mbk_status mbk_cuda_get(cuda_ctx *c, void *dst, const void *src, size_t bytes) {
    if (bytes <= LITTLE) {
        return get_little(c, dst, src, bytes);
    }
    size_t held[2] = {0, 0}; /* bytes on their way into a buffer */
    size_t given = 0;
    cudaError_t e = cudaEventRecord(c->computed, c->compute);
    e = e ? e : cudaStreamWaitEvent(c->copies, c->computed, 0);
    for (size_t at = 0, k = 0; e == cudaSuccess && given < bytes; k = !k) {
        cuda_piece *p = &c->down[k];
        if (held[k]) {
            e = cudaEventSynchronize(p->arrived);
            if (e == cudaSuccess) {
                memcpy((char *)dst + given, p->host, held[k]);
                given += held[k];
            }
            held[k] = 0;
        }
        if (e == cudaSuccess && at < bytes) {
            held[k] = bytes - at < MBK_CU_PIECE ? bytes - at : MBK_CU_PIECE;
            e = cudaMemcpyAsync(p->host, (const char *)src + at, held[k], cudaMemcpyDeviceToHost, c->copies);
            e = e ? e : cudaEventRecord(p->arrived, c->copies);
            at += held[k];
        }
    }
    return mbk_cuda_check(c, e, "waiting for results");
}

static mbk_status download(mbk_ctx *ctx, void *dst, mbk_buf *src, size_t off, size_t bytes) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    assert(off <= src->head.bytes && bytes <= src->head.bytes - off);
    return c && bytes ? mbk_cuda_get(c, dst, (const char *)src->data + off, bytes) : st;
}

/* --- on the device -------------------------------------------------------------------------------------------------
 */

static int whole(const mbk_mat *m) {
    return m->ld == m->cols || m->rows <= 1;
}

static mbk_status copy(mbk_ctx *ctx, mbk_mat dst, mbk_mat src) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    assert(dst.rows == src.rows && dst.cols == src.cols);
    if (!c || dst.rows == 0 || dst.cols == 0) {
        return st;
    }
    mbk_cu_view to = cuda_view(dst);
    mbk_cu_view from = cuda_view(src);
    if (whole(&dst) && whole(&src)) {
        size_t bytes = (size_t)(dst.rows * dst.cols) * sizeof(float);
        return mbk_cuda_check(c, cudaMemcpyAsync(to.p, from.p, bytes, cudaMemcpyDeviceToDevice, c->compute), "copy");
    }
    return mbk_cuda_check(c, (cudaError_t)mbk_cu_copy(&c->queue, to, from), "copy");
}

static mbk_status zero(mbk_ctx *ctx, mbk_mat dst) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    if (!c || dst.rows == 0 || dst.cols == 0) {
        return st;
    }
    mbk_cu_view to = cuda_view(dst);
    if (whole(&dst)) {
        size_t bytes = (size_t)(dst.rows * dst.cols) * sizeof(float);
        return mbk_cuda_check(c, cudaMemsetAsync(to.p, 0, bytes, c->compute), "zero");
    }
    return mbk_cuda_check(c, (cudaError_t)mbk_cu_zero(&c->queue, to), "zero");
}

static mbk_status sync_now(mbk_ctx *ctx) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    return c ? mbk_cuda_check(c, cudaStreamSynchronize(c->compute), "waiting for the device") : st;
}

/* A tile that is filled up. What else an operation needs it asks for itself, at its first call of a size. */
static mbk_status reserve(mbk_ctx *ctx, int64_t rows, int64_t cols) {
    mbk_status st;
    cuda_ctx *c = cuda_enter(ctx, &st);
    size_t bytes;
    if (!c) {
        return st;
    }
    if (cols < 0 ||
        __builtin_mul_overflow((size_t)cols, (rows > MBK_CU_FEW ? MBK_CU_ROWS : MBK_CU_FEW) * sizeof(float), &bytes)) {
        return MBS_ERR_MEMORY;
    }
    return mbk_cuda_scratch(c, bytes);
}

void mbk_cuda_memory_ops(mbk_ops *ops) {
    ops->buf_new = buf_new;
    ops->buf_free = buf_free;
    ops->upload = upload;
    ops->download = download;
    ops->copy = copy;
    ops->zero = zero;
    ops->sync = sync_now;
    ops->reserve = reserve;
}
