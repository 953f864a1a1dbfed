/* train.c - steps of training: forward, backward and update, with windows of several lengths. */
#include <string.h>

#include "base/mem.h"
#include "bench/impl.h"
#include "bench/machine.h"
#include "train/net.h"

#define STEP_TOKENS 16384

typedef struct step {
    mbs_net *net;
    mbs_batch batch;
    int64_t tokens, vocab;
    int64_t *starts;
    int32_t *ids; /* tokens + 1: targets are the ids behind */
    int64_t count;
} step;

/* As many windows as go into a step, at least one. */
static mbs_status make_batch(step *s, int64_t window, mbs_err *err) {
    int64_t n = window < STEP_TOKENS ? STEP_TOKENS / window : 1;
    s->tokens = n * window;
    s->starts = mbs_alloc((size_t)(n + 1) * sizeof *s->starts);
    s->ids = mbs_alloc((size_t)(s->tokens + 1) * sizeof *s->ids);
    if (!s->starts || !s->ids) {
        return mbs_fail_memory(err, "bench", (size_t)s->tokens * sizeof *s->ids);
    }
    for (int64_t i = 0; i <= n; i++) {
        s->starts[i] = i * window;
    }
    for (int64_t i = 0; i <= s->tokens; i++) {
        s->ids[i] = (int32_t)((i * 7919 + 13) % s->vocab);
    }
    s->batch = (mbs_batch){.n_seq = n, .starts = s->starts, .ids = s->ids, .targets = s->ids + 1};
    return MBS_OK;
}

static mbs_status call_step(void *arg, mbs_err *err) {
    step *s = arg;
    mbs_net_sums sums = {0};
    double norm;
    mbs_net_adamw how = {.lr = 1e-4, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1};
    how.step = ++s->count;
    mbs_status st = mbs_net_gradients(s->net, &s->batch, 1 / (double)s->tokens, &sums, err);
    return st < 0 ? st : mbs_net_update(s->net, &how, &norm, err);
}

/* Three products for each matrix; of them the gradient of the weights is f32 in any case. The scan's gradient makes the
 * states again, and 16 operations for each; that of the rest is twice the way forward. */
static mbs_bench_cost step_cost(const mbs_bench_env *e, int64_t tokens, int64_t window) {
    const mbs_model_config *c = e->cfg;
    mbs_bench_cost cost = mbs_bench_token(c, 1, 0, mbs_bench_seen(window), &e->format);
    double again = 0;
    for (int64_t i = 0; i < c->n_layer; i++) {
        again += (double)(mbs_config_sizes(c, i)->d_inner * mbs_config_sizes(c, i)->d_state) * 16;
    }
    cost.vector = cost.matrix + 3 * cost.vector + again;
    cost.matrix *= 2;
    cost.matrix *= (double)tokens;
    cost.vector *= (double)tokens;
    cost.rows = tokens;
    cost.bytes = cost.held;
    return cost;
}

static mbs_status windows(mbs_bench_env *e, step *s, int64_t window, mbs_err *err) {
    /* The first step makes room for all that is kept, and touches it. */
    mbs_budget budget = {.repeat = e->o->repeat, .seconds = e->o->seconds, .least = 0.2, .cold_first = 1};
    mbs_timing t;
    mbs_status st = make_batch(s, window, err);
    st = st < 0 ? st : mbs_time_calls(&budget, call_step, s, &t, err);
    if (st >= 0) {
        mbs_bench_cost cost = step_cost(e, s->tokens, window);
        st = mbs_bench_add(e, "train", "", &cost, &t, err);
    }
    if (st >= 0) {
        mbs_bench_result *r = &e->b->results[e->b->n - 1];
        r->length = window;
        r->peak = mbs_machine_peak();
    }
    mbs_free(s->starts);
    mbs_free(s->ids);
    s->starts = NULL;
    s->ids = NULL;
    return st;
}

mbs_status mbs_bench_train(mbs_bench_env *e, mbs_err *err) {
    if (!(e->o->works & MBS_BENCH_TRAIN)) {
        return MBS_OK;
    }
    if (e->format.dtype == MBK_I8) {
        mbs_fail(err, MBS_ERR_CONFIG, "--dtype", "int8 weights cannot be trained");
        mbs_err_fix(err, "take f32 or bf16");
        return MBS_ERR_CONFIG;
    }
    step s = {.vocab = e->cfg->vocab_rows};
    mbs_net_options how = {.dtype = mbk_dtype_name(e->format.dtype), .math = mbk_math_name(e->format.math)};
    mbs_status st = e->o->folder ? mbs_net_open(e->o->folder, 1, &how, e->ctx, &s.net, err)
                                 : mbs_net_fresh(e->cfg, 1, &how, e->ctx, &s.net, err);
    st = st < 0 ? st : mbs_net_halve(s.net, e->backend, err);
    for (int i = 0; i < e->o->n_lengths && st >= 0; i++) {
        st = windows(e, &s, e->o->lengths[i], err);
    }
    mbs_net_free(s.net);
    return st;
}
