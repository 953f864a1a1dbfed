#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bench/impl.h"
#include "bench/machine.h"
#include "model/backend.h"
#include "model/format.h"

const char mbs_bench_works[] = "machine|gemm|scan|conv|norm|prefill|score|decode|train|along";

#define WHOLE (MBS_BENCH_PREFILL | MBS_BENCH_SCORE | MBS_BENCH_DECODE | MBS_BENCH_ALONG)

mbs_status mbs_bench_add(mbs_bench_env *e, const char *work, const char *part, const mbs_bench_cost *cost,
                         const mbs_timing *t, mbs_err *err) {
    mbs_bench *b = e->b;
    mbs_bench_result *grown = mbs_grow(b->results, &b->cap, b->n + 1, sizeof *grown);
    if (!grown) {
        return mbs_fail_memory(err, "bench", (b->n + 1) * sizeof *grown);
    }
    b->results = grown;
    double seconds = t->median > 1e-12 ? t->median : 1e-12;
    mbs_bench_result r = {
        .work = work,
        .part = part,
        .length = cost->rows,
        .repeats = t->repeats,
        .seconds = seconds,
        .tokens_per_s = (double)cost->rows / seconds,
        .gflops = (cost->matrix + cost->vector) / seconds * 1e-9,
        .gbytes_per_s = cost->bytes / seconds * 1e-9,
        .times = cost->times,
        .of_prefill = -1,
    };
    double least = mbs_bench_limit(&b->machine, cost, e->o->threads, &r.limit);
    if (r.limit) {
        r.limit_tokens_per_s = (double)cost->rows / least;
        r.share = least / seconds;
    }
    b->results[b->n++] = r;
    return MBS_OK;
}

/* What part of a prompt's time each kernel takes. */
static void place_in_prefill(mbs_bench *b) {
    const mbs_bench_result *longest = NULL;
    for (size_t i = 0; i < b->n; i++) {
        const mbs_bench_result *r = &b->results[i];
        if (strcmp(r->work, "prefill") == 0 && (!longest || r->length > longest->length)) {
            longest = r;
        }
    }
    for (size_t i = 0; longest && i < b->n; i++) {
        mbs_bench_result *r = &b->results[i];
        if (r->times > 0) {
            r->of_prefill = (double)r->times / r->tokens_per_s * longest->tokens_per_s;
        }
    }
}

/* The model whose shape is measured; made only where it is run. */
static mbs_status make_model(mbs_bench_env *e, mbs_err *err) {
    const mbs_bench_options *o = e->o;
    mbs_status st = MBS_OK;
    if (o->folder) {
        st = mbs_model_open_as(o->folder, &o->held, e->ctx, &e->model, err);
    } else if (o->works & WHOLE) {
        st = mbs_model_fresh_as(o->cfg, 1, &o->held, e->ctx, &e->model, err);
    }
    if (st >= 0) {
        e->cfg = e->model ? mbs_model_get_config(e->model) : o->cfg;
    }
    if (st >= 0 && e->cfg->frame_width > 0) {
        mbs_fail(err, MBS_ERR_UNAVAILABLE, o->folder, "models that take frames are not measured");
        mbs_err_fix(err, "take a model of tokens of the same d_model and n_layer: the layers are the same");
        return MBS_ERR_UNAVAILABLE;
    }
    return st;
}

/* What the words came to. */
static mbs_status take_format(mbs_bench_env *e, mbs_err *err) {
    mbs_bench *b = e->b;
    const mbs_model_options held = {.dtype = e->model ? mbs_model_dtype(e->model) : e->o->held.dtype,
                                    .math = e->model ? mbs_model_math(e->model) : e->o->held.math};
    mbs_status st = mbs_format_resolve(&held, NULL, NULL, &e->format, err);
    if (st < 0) {
        return st;
    }
    snprintf(b->dtype, sizeof b->dtype, "%s", mbk_dtype_name(e->format.dtype));
    snprintf(b->math, sizeof b->math, "%s", mbk_math_name(e->format.math));
    /* Not the arithmetic, which one level has of another where their bits are the same but not their speed. */
    snprintf(b->level, sizeof b->level, "%s",
             e->on_device ? mbk_arithmetic(e->ctx, e->format.math) : e->ctx->ops->name);
    return MBS_OK;
}

static mbs_status measure(mbs_bench_env *e, mbs_pool *pool, mbs_err *err) {
    const mbs_bench_options *o = e->o;
    mbs_bench *b = e->b;
    mbs_status st = make_model(e, err);
    st = st < 0 ? st : take_format(e, err);
    if (st < 0) {
        return st;
    }
    b->prefill = mbs_bench_token(e->cfg, 0, 0, 1, &e->format);
    b->look = mbs_bench_token(e->cfg, 0, 0, 2, &e->format).vector - b->prefill.vector;
    b->decode = mbs_bench_token(e->cfg, 1, 1, 16, &e->format);
    mbs_busy begin = mbs_busy_now();
    if (e->on_device && (o->works & MBS_BENCH_MACHINE)) {
        st = mbs_bench_copies(e, err);
    } else if (o->works & MBS_BENCH_MACHINE) {
        st = mbs_machine_measure(&b->machine, pool, o->repeat, o->seconds, err);
    }
    st = st < 0 ? st : mbs_bench_layers(e, err);
    st = st < 0 ? st : mbs_bench_whole(e, err);
    st = st < 0 ? st : mbs_bench_along(e, err);
    st = st < 0 ? st : mbs_bench_train(e, err);
    place_in_prefill(b);
    b->machine.others = mbs_busy_others(&begin);
    return st;
}

mbs_status mbs_bench_run(const mbs_bench_options *o, mbs_bench *b, mbs_err *err) {
    memset(b, 0, sizeof *b);
    mbs_bench_env e = {.o = o, .b = b};
    snprintf(b->shape, sizeof b->shape, "%s", o->shape);

    b->threads = o->threads;
    mbs_machine_look(&b->machine, o->threads);
    mbs_backend backend;
    mbs_status st = o->device ? mbs_backend_choose(&backend, o->device, NULL, NULL, o->threads, err)
                              : mbs_backend_open(&backend, o->level, o->threads, err);
    if (st == MBS_OK) {
        e.backend = &backend;
        e.ctx = backend.ctx;
        e.on_device = backend.name[0] != '\0';
        snprintf(b->machine.device, sizeof b->machine.device, "%s", backend.name);
        st = measure(&e, backend.pool, err);
        mbs_model_close(e.model);
    }
    mbs_backend_close(&backend);
    return st;
}

void mbs_bench_free(mbs_bench *b) {
    mbs_free(b->results);
    memset(b, 0, sizeof *b);
}
