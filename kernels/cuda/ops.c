/* ops.c - the way forward: handles become views, the kernel is queued. */
#include "cuda/context.h"

static mbk_status embed(mbk_ctx *ctx, mbk_mat y, const mbk_weight *table, mbk_buf *ids, int64_t ids_off) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, y.rows, &st);
    CUDA_QUEUE(0, "embed", mbk_cu_embed(&c->queue, cuda_view(y), &table->m, cuda_ids(ids, ids_off)));
}

static mbk_status rmsnorm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, float eps) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    const mbk_cu_view none = {0};
    CUDA_QUEUE(0, "rmsnorm", mbk_cu_rmsnorm(&c->queue, cuda_view(y), cuda_view(x), cuda_view(w), eps, none, none));
}

static mbk_status layernorm(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat b, float eps) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "layernorm",
               mbk_cu_layernorm(&c->queue, cuda_view(y), cuda_view(x), cuda_view(w), cuda_view(b), eps));
}

static mbk_status add(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "add", mbk_cu_add(&c->queue, cuda_view(y), cuda_view(x), cuda_view(r)));
}

static mbk_status mul(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat r) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "mul", mbk_cu_mul(&c->queue, cuda_view(y), cuda_view(x), cuda_view(r)));
}

static mbk_status gate(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "gate", mbk_cu_gate(&c->queue, cuda_view(y), cuda_view(x), cuda_view(z)));
}

static mbk_status neg_exp(mbk_ctx *ctx, mbk_mat y, mbk_mat x) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "neg_exp", mbk_cu_neg_exp(&c->queue, cuda_view(y), cuda_view(x)));
}

static mbk_status rmsnorm_gated(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat z, mbk_mat w, float eps, int64_t group,
                                int32_t norm_first) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "rmsnorm_gated",
               mbk_cu_rmsnorm_gated(&c->queue, cuda_view(y), cuda_view(x), cuda_view(z), cuda_view(w), eps, group,
                                    norm_first));
}

static mbk_status conv1d_silu(mbk_ctx *ctx, mbk_mat y, mbk_mat x, mbk_mat w, mbk_mat bias, mbk_mat state,
                              mbk_starts starts) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    const mbk_cu_conv a = {cuda_view(y),    cuda_view(x),     cuda_view(w),
                           cuda_view(bias), cuda_view(state), cuda_starts(starts)};
    CUDA_QUEUE(mbk_cu_conv1d_silu_scratch(&a), "conv1d_silu", mbk_cu_conv1d_silu(&c->queue, &a));
}

static mbk_status selective_scan(mbk_ctx *ctx, const mbk_scan_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->u.rows, &st);
    const mbk_cu_scan a = {
        .y = cuda_view(s->y),
        .u = cuda_view(s->u),
        .dt = cuda_view(s->dt),
        .z = cuda_view(s->z),
        .b = cuda_view(s->b),
        .c = cuda_view(s->c),
        .a = cuda_view(s->a),
        .d = cuda_view(s->d),
        .bias = cuda_view(s->bias),
        .state = cuda_view(s->state),
        .starts = cuda_starts(s->starts),
        .saved = cuda_view(s->saved),
    };
    CUDA_QUEUE(mbk_cu_selective_scan_scratch(&a), "selective_scan", mbk_cu_selective_scan(&c->queue, &a));
}

static mbk_status ssd(mbk_ctx *ctx, const mbk_ssd_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->x.rows, &st);
    const mbk_cu_ssd a = {
        .y = cuda_view(s->y),
        .x = cuda_view(s->x),
        .dt = cuda_view(s->dt),
        .b = cuda_view(s->b),
        .c = cuda_view(s->c),
        .a = cuda_view(s->a),
        .d = cuda_view(s->d),
        .bias = cuda_view(s->bias),
        .state = cuda_view(s->state),
        .open_x = cuda_view(s->open_x),
        .open_b = cuda_view(s->open_b),
        .open_lam = cuda_view(s->open_lam),
        .groups = s->groups,
        .position = s->position,
        .starts = cuda_starts(s->starts),
        .dt_min = s->dt_min,
        .dt_max = s->dt_max,
        .saved = cuda_view(s->saved),
    };
    CUDA_QUEUE(mbk_cu_ssd_scratch(&a), "ssd", mbk_cu_ssd_forward(&c->queue, &a));
}

static mbk_status attention(mbk_ctx *ctx, const mbk_attention_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->q.rows, &st);
    const mbk_cu_attention a = {
        .y = cuda_view(s->y),
        .q = cuda_view(s->q),
        .k = cuda_view(s->k),
        .v = cuda_view(s->v),
        .cache_k = cuda_view(s->cache_k),
        .cache_v = cuda_view(s->cache_v),
        .saved = cuda_view(s->saved),
        .heads = s->heads,
        .key_heads = s->key_heads,
        .position = s->position,
        .window = s->window,
        .rotary = s->rotary,
        .rotary_base = s->rotary_base,
        .interleaved = s->interleaved,
        .scale = s->scale,
        .starts = cuda_starts(s->starts),
    };
    if (c && !MBK_ATTENTION_FITS(s->q.cols / s->heads)) {
        return MBS_ERR_MEMORY;
    }
    CUDA_QUEUE(mbk_cu_attention_scratch(&a), "attention", mbk_cu_attention_forward(&c->queue, &a));
}

static mbk_status logprob(mbk_ctx *ctx, mbk_mat lp, mbk_mat logits, mbk_buf *ids, int64_t ids_off) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, logits.rows, &st);
    CUDA_QUEUE(0, "logprob", mbk_cu_logprob(&c->queue, cuda_view(lp), cuda_view(logits), cuda_ids(ids, ids_off)));
}

static mbk_status hits(mbk_ctx *ctx, mbk_mat hit, mbk_mat logits, mbk_buf *ids, int64_t ids_off) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, logits.rows, &st);
    CUDA_QUEUE(0, "hits", mbk_cu_hits(&c->queue, cuda_view(hit), cuda_view(logits), cuda_ids(ids, ids_off)));
}

static mbk_status draw(mbk_ctx *ctx, const mbk_draw_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->logits.rows, &st);
    assert((uint64_t)s->n_allowed <= s->flags->head.bytes && (uint64_t)s->logits.rows * 16 <= s->draws->head.bytes);
    double *u = (double *)s->draws->data;
    const mbk_cu_draw a = {
        .logits = cuda_view(s->logits),
        .allowed = (const uint8_t *)s->flags->data,
        .n_allowed = s->n_allowed,
        .temperature = s->temperature,
        .top_p = s->top_p,
        .top_k = s->top_k,
        .u = u,
        .drawn = (mbk_drawn *)(void *)(u + s->logits.rows),
    };
    CUDA_QUEUE(0, "draw", mbk_cu_draw_rows(&c->queue, &a));
}

static mbk_status row_sum(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    assert(off >= 0 && (uint64_t)(off + x.cols) * sizeof(double) <= acc->head.bytes);
    CUDA_QUEUE(mbk_cu_row_sum_scratch(x.rows, x.cols), "row_sum",
               mbk_cu_row_sum(&c->queue, (double *)acc->data + off, cuda_view(x)));
}

void mbk_cuda_forward_ops(mbk_ops *ops) {
    ops->embed = embed;
    ops->rmsnorm = rmsnorm;
    ops->layernorm = layernorm;
    ops->add = add;
    ops->mul = mul;
    ops->gate = gate;
    ops->neg_exp = neg_exp;
    ops->rmsnorm_gated = rmsnorm_gated;
    ops->conv1d_silu = conv1d_silu;
    ops->selective_scan = selective_scan;
    ops->ssd = ssd;
    ops->attention = attention;
    ops->logprob = logprob;
    ops->hits = hits;
    ops->draw = draw;
    ops->row_sum = row_sum;
}
