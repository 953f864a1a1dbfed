/* device.c - the copies that a device makes of its own memory: what its kernels are held against. */
#include "bench/impl.h"

#define MOST_COPY ((size_t)1 << 30)

typedef struct copies {
    mbk_ctx *ctx;
    mbk_mat from, to;
} copies;

static mbs_status failed(const copies *c, mbk_status st, mbs_err *err) {
    const char *why = mbk_why(c->ctx);
    return mbs_fail(err, st, "device", "%s", why ? why : "it cannot copy");
}

static mbs_status call_copy(void *arg, mbs_err *err) {
    const copies *c = arg;
    mbk_status st = c->ctx->ops->copy(c->ctx, c->to, c->from);
    return st < 0 ? failed(c, st, err) : MBS_OK;
}

static mbs_status settle(void *arg, mbs_err *err) {
    const copies *c = arg;
    mbk_status st = c->ctx->ops->sync(c->ctx);
    return st < 0 ? failed(c, st, err) : MBS_OK;
}

/* A gibibyte, or an eighth of what is free. */
static size_t copy_bytes(mbk_ctx *ctx) {
    size_t unused = 0;
    size_t all = 0;
    if (!ctx->ops->memory || ctx->ops->memory(ctx, &unused, &all) < 0 || unused / 8 >= MOST_COPY) {
        return MOST_COPY;
    }
    return unused / 8 / 4096 * 4096;
}

mbs_status mbs_bench_copies(mbs_bench_env *e, mbs_err *err) {
    const mbk_ops *ops = e->ctx->ops;
    size_t bytes = copy_bytes(e->ctx);
    int64_t cols = (int64_t)(bytes / sizeof(float));
    copies c = {e->ctx, {NULL, 0, 1, cols, cols}, {NULL, 0, 1, cols, cols}};
    mbs_budget budget = {e->o->repeat, e->o->seconds, 0.05, settle, 0};
    mbs_timing t;
    mbk_status made = ops->buf_new(e->ctx, bytes, &c.from.buf);
    made = made < 0 ? made : ops->buf_new(e->ctx, bytes, &c.to.buf);
    mbs_status st = made < 0 ? failed(&c, made, err) : mbs_time_calls(&budget, call_copy, &c, &t, err);
    if (st >= 0) {
        e->b->machine.copied = (int64_t)bytes;
        e->b->machine.copy = 2 * (double)bytes / t.best * 1e-9;
    }
    ops->buf_free(e->ctx, c.from.buf);
    ops->buf_free(e->ctx, c.to.buf);
    return st;
}
