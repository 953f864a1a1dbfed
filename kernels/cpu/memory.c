/* memory.c - buffers of the CPU levels, and how work is cut into tasks. */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"

static mbk_status buf_new(mbk_ctx *ctx, size_t bytes, mbk_buf **out) {
    *out = NULL;
    mbk_buf *buf = calloc(1, sizeof *buf);
    if (!buf) {
        return MBS_ERR_MEMORY;
    }
    buf->data = mbk_zeroed(cpu_of(ctx)->pages, bytes);
    if (!buf->data) {
        free(buf);
        return MBS_ERR_MEMORY;
    }
    buf->head.bytes = bytes;
    *out = buf;
    return MBS_OK;
}

static void buf_free(mbk_ctx *ctx, mbk_buf *buf) {
    (void)ctx;
    if (buf) {
        mbk_give_back(buf->data, buf->head.bytes);
        free(buf);
    }
}

static mbk_status upload(mbk_ctx *ctx, mbk_buf *dst, size_t off, const void *src, size_t bytes) {
    (void)ctx;
    assert(off <= dst->head.bytes && bytes <= dst->head.bytes - off);
    if (bytes) {
        memcpy(dst->data + off, src, bytes);
    }
    return MBS_OK;
}

static mbk_status download(mbk_ctx *ctx, void *dst, mbk_buf *src, size_t off, size_t bytes) {
    (void)ctx;
    assert(off <= src->head.bytes && bytes <= src->head.bytes - off);
    if (bytes) {
        memcpy(dst, src->data + off, bytes);
    }
    return MBS_OK;
}

/* Rows are cut into strips, so that one long row is shared too. */
#define STRIP 4096

typedef struct move_run {
    float *to;
    const float *from; /* NULL: zeros */
    int64_t ldto, ldfrom, cols, strips;
} move_run;

static void move_range(void *arg, int64_t first, int64_t last) {
    const move_run *run = arg;
    for (int64_t i = first; i < last; i++) {
        const int64_t c = i % run->strips * STRIP;
        const size_t bytes = (size_t)(run->cols - c < STRIP ? run->cols - c : STRIP) * sizeof(float);
        float *to = run->to + i / run->strips * run->ldto + c;
        if (run->from) {
            memcpy(to, run->from + i / run->strips * run->ldfrom + c, bytes);
        } else {
            memset(to, 0, bytes);
        }
    }
}

static void move(mbk_ctx *ctx, const mbk_mat *dst, const float *from, int64_t ldfrom) {
    move_run run = {at(dst), from, dst->ld, ldfrom, dst->cols, (dst->cols + STRIP - 1) / STRIP};
    const int64_t grain = dst->cols < 512 ? 16 : 1;
    mbk_ranges(cpu_of(ctx), dst->rows * run.strips, grain, dst->rows * dst->cols / MBK_PANEL, move_range, &run);
}

static mbk_status copy(mbk_ctx *ctx, mbk_mat dst, mbk_mat src) {
    assert(dst.rows == src.rows && dst.cols == src.cols);
    move(ctx, &dst, at(&src), src.ld);
    return MBS_OK;
}

static mbk_status zero(mbk_ctx *ctx, mbk_mat dst) {
    move(ctx, &dst, NULL, 0);
    return MBS_OK;
}

static mbk_status sync_now(mbk_ctx *ctx) {
    (void)ctx;
    return MBS_OK;
}

/* The scratch of a context takes any number of rows in parts; it only grows for a row that it could not take. */
static mbk_status reserve(mbk_ctx *ctx, int64_t rows, int64_t cols) {
    (void)rows;
    cpu_ctx *cpu = cpu_of(ctx);
    if (cols < 0 || (uint64_t)cols > (SIZE_MAX - 64) / sizeof(float)) {
        return MBS_ERR_MEMORY;
    }
    size_t wanted = ((size_t)cols * sizeof(float) + 63) / 64 * 64;
    if (wanted <= cpu->scratch_size) {
        return MBS_OK;
    }
    void *larger = aligned_alloc(64, wanted);
    if (!larger) {
        return MBS_ERR_MEMORY;
    }
    free(cpu->scratch);
    cpu->scratch = larger;
    cpu->scratch_size = wanted;
    return MBS_OK;
}

void mbk_memory_ops(mbk_ops *ops) {
    ops->buf_new = buf_new;
    ops->buf_free = buf_free;
    ops->upload = upload;
    ops->download = download;
    ops->copy = copy;
    ops->zero = zero;
    ops->sync = sync_now;
    ops->reserve = reserve;
}

/* From about this many on, tasks are cut finer than threads. */
#define WORTH_MORE_TASKS 100000

int mbk_worth_threads(const cpu_ctx *ctx, int64_t work) {
    return ctx->par.run && ctx->par.threads > 1 && work >= MBK_WORTH_THREADS;
}

typedef struct range_job {
    range_fn fn;
    void *arg;
    int64_t units, step;
} range_job;

static void run_range(void *arg, int64_t task) {
    const range_job *job = arg;
    int64_t from = task * job->step;
    int64_t to = from + job->step < job->units ? from + job->step : job->units;
    job->fn(job->arg, from, to);
}

void mbk_ranges(cpu_ctx *ctx, int64_t units, int64_t grain, int64_t work, range_fn fn, void *arg) {
    if (units <= 0) {
        return;
    }
    if (!mbk_worth_threads(ctx, work) || units <= grain) {
        fn(arg, 0, units);
        return;
    }
    /* More tasks than threads, so that a thread which the system delays does not hold up the others for long. */
    int64_t wanted = (work < WORTH_MORE_TASKS ? 1 : 4) * (int64_t)ctx->par.threads;
    int64_t grains = (units + grain - 1) / grain;
    int64_t step = (grains + wanted - 1) / wanted * grain;
    range_job job = {fn, arg, units, step};
    ctx->par.run(ctx->par.pool, (units + step - 1) / step, run_range, &job);
}
