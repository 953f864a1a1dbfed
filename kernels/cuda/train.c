/* train.c - the way back: handles become views, the kernel is queued. */
#include "cuda/context.h"

static mbk_status bias_grad(mbk_ctx *ctx, mbk_mat db, mbk_mat dy) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, dy.rows, &st);
    CUDA_QUEUE(mbk_cu_row_grad_scratch(dy.rows, dy.cols), "bias_grad",
               mbk_cu_bias_grad(&c->queue, cuda_view(db), cuda_view(dy)));
}

static mbk_status embed_grad(mbk_ctx *ctx, mbk_mat dtable, mbk_mat dy, mbk_buf *ids, int64_t ids_off) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, dy.rows, &st);
    CUDA_QUEUE(mbk_cu_embed_grad_scratch(dy.rows, dtable.rows, dy.cols), "embed_grad",
               mbk_cu_embed_grad(&c->queue, cuda_view(dtable), cuda_view(dy), cuda_ids(ids, ids_off)));
}

static mbk_status rmsnorm_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat w, float eps,
                               int32_t accumulate) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(mbk_cu_row_grad_scratch(x.rows, x.cols), "rmsnorm_grad",
               mbk_cu_rmsnorm_grad(&c->queue, cuda_view(dx), cuda_view(dw), cuda_view(dy), cuda_view(x), cuda_view(w),
                                   eps, accumulate));
}

static mbk_status layernorm_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dw, mbk_mat db, mbk_mat dy, mbk_mat x, mbk_mat w,
                                 float eps, int32_t accumulate) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(mbk_cu_row_grad_scratch(x.rows, x.cols), "layernorm_grad",
               mbk_cu_layernorm_grad(&c->queue, cuda_view(dx), cuda_view(dw), cuda_view(db), cuda_view(dy),
                                     cuda_view(x), cuda_view(w), eps, accumulate));
}

static mbk_status gate_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dy, mbk_mat x, mbk_mat z) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(0, "gate_grad",
               mbk_cu_gate_grad(&c->queue, cuda_view(dx), cuda_view(dz), cuda_view(dy), cuda_view(x), cuda_view(z)));
}

static mbk_status rmsnorm_gated_grad(mbk_ctx *ctx, mbk_mat dx, mbk_mat dz, mbk_mat dw, mbk_mat dy, mbk_mat x, mbk_mat z,
                                     mbk_mat w, float eps, int64_t group, int32_t norm_first) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    CUDA_QUEUE(mbk_cu_row_grad_scratch(x.rows, x.cols), "rmsnorm_gated_grad",
               mbk_cu_rmsnorm_gated_grad(&c->queue, cuda_view(dx), cuda_view(dz), cuda_view(dw), cuda_view(dy),
                                         cuda_view(x), cuda_view(z), cuda_view(w), eps, group, norm_first));
}

static mbk_status conv1d_silu_grad(mbk_ctx *ctx, const mbk_conv_grad_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->x.rows, &st);
    const mbk_cu_conv_grad a = {
        .dx = cuda_view(s->dx),
        .dw = cuda_view(s->dw),
        .dbias = cuda_view(s->dbias),
        .dstate = cuda_view(s->dstate),
        .dy = cuda_view(s->dy),
        .x = cuda_view(s->x),
        .w = cuda_view(s->w),
        .bias = cuda_view(s->bias),
        .state = cuda_view(s->state),
        .starts = cuda_starts(s->starts),
    };
    CUDA_QUEUE(mbk_cu_conv1d_silu_grad_scratch(&a), "conv1d_silu_grad", mbk_cu_conv1d_silu_grad(&c->queue, &a));
}

static mbk_status selective_scan_grad(mbk_ctx *ctx, const mbk_scan_grad_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->u.rows, &st);
    const mbk_cu_scan_grad a = {
        .du = cuda_view(s->du),
        .ddt = cuda_view(s->ddt),
        .dz = cuda_view(s->dz),
        .db = cuda_view(s->db),
        .dc = cuda_view(s->dc),
        .da = cuda_view(s->da),
        .dd = cuda_view(s->dd),
        .dbias = cuda_view(s->dbias),
        .dstate = cuda_view(s->dstate),
        .dy = cuda_view(s->dy),
        .u = cuda_view(s->u),
        .dt = cuda_view(s->dt),
        .b = cuda_view(s->b),
        .c = cuda_view(s->c),
        .z = cuda_view(s->z),
        .a = cuda_view(s->a),
        .d = cuda_view(s->d),
        .bias = cuda_view(s->bias),
        .saved = cuda_view(s->saved),
        .starts = cuda_starts(s->starts),
    };
    CUDA_QUEUE(mbk_cu_selective_scan_grad_scratch(&a), "selective_scan_grad",
               mbk_cu_selective_scan_grad(&c->queue, &a));
}

static mbk_status ssd_grad(mbk_ctx *ctx, const mbk_ssd_grad_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->x.rows, &st);
    const mbk_cu_ssd_grad a = {
        .dx = cuda_view(s->dx),
        .ddt = cuda_view(s->ddt),
        .db = cuda_view(s->db),
        .dc = cuda_view(s->dc),
        .da = cuda_view(s->da),
        .dd = cuda_view(s->dd),
        .dbias = cuda_view(s->dbias),
        .dstate = cuda_view(s->dstate),
        .dy = cuda_view(s->dy),
        .x = cuda_view(s->x),
        .dt = cuda_view(s->dt),
        .b = cuda_view(s->b),
        .c = cuda_view(s->c),
        .a = cuda_view(s->a),
        .d = cuda_view(s->d),
        .bias = cuda_view(s->bias),
        .saved = cuda_view(s->saved),
        .groups = s->groups,
        .position = s->position,
        .starts = cuda_starts(s->starts),
        .dt_min = s->dt_min,
        .dt_max = s->dt_max,
    };
    CUDA_QUEUE(mbk_cu_ssd_grad_scratch(&a), "ssd_grad", mbk_cu_ssd_backward(&c->queue, &a));
}

static mbk_status attention_grad(mbk_ctx *ctx, const mbk_attention_grad_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->q.rows, &st);
    const mbk_cu_attention_grad a = {
        .dq = cuda_view(s->dq),
        .dk = cuda_view(s->dk),
        .dv = cuda_view(s->dv),
        .dcache_k = cuda_view(s->dcache_k),
        .dcache_v = cuda_view(s->dcache_v),
        .dy = cuda_view(s->dy),
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
    CUDA_QUEUE(mbk_cu_attention_grad_scratch(&a), "attention_grad", mbk_cu_attention_backward(&c->queue, &a));
}

static mbk_status cross_entropy(mbk_ctx *ctx, mbk_mat loss, mbk_mat dlogits, mbk_mat logits, mbk_mat weight,
                                mbk_buf *ids, int64_t ids_off, float scale) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, logits.rows, &st);
    CUDA_QUEUE(0, "cross_entropy",
               mbk_cu_cross_entropy(&c->queue, cuda_view(loss), cuda_view(dlogits), cuda_view(logits),
                                    cuda_view(weight), cuda_ids(ids, ids_off), scale));
}

static mbk_status sum_squares(mbk_ctx *ctx, mbk_buf *acc, int64_t off, mbk_mat x) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, x.rows, &st);
    assert(off >= 0 && (uint64_t)(off + 1) * sizeof(double) <= acc->head.bytes);
    CUDA_QUEUE(mbk_cu_sum_squares_scratch(x.rows, x.cols), "sum_squares",
               mbk_cu_sum_squares(&c->queue, (double *)acc->data + off, cuda_view(x)));
}

static mbk_status adamw(mbk_ctx *ctx, const mbk_adamw_args *s) {
    mbk_status st;
    cuda_ctx *c = cuda_enter_for(ctx, s->w.rows, &st);
    const mbk_cu_adamw a = {
        .w = cuda_view(s->w),
        .m = cuda_view(s->m),
        .v = cuda_view(s->v),
        .g = cuda_view(s->g),
        .lr = s->lr,
        .beta1 = s->beta1,
        .beta2 = s->beta2,
        .eps = s->eps,
        .decay = s->decay,
        .scale = s->scale,
        .step = s->step,
    };
    CUDA_QUEUE(0, "adamw", mbk_cu_adamw_step(&c->queue, &a));
}

void mbk_cuda_train_ops(mbk_ops *ops) {
    ops->bias_grad = bias_grad;
    ops->embed_grad = embed_grad;
    ops->rmsnorm_grad = rmsnorm_grad;
    ops->layernorm_grad = layernorm_grad;
    ops->gate_grad = gate_grad;
    ops->rmsnorm_gated_grad = rmsnorm_gated_grad;
    ops->conv1d_silu_grad = conv1d_silu_grad;
    ops->selective_scan_grad = selective_scan_grad;
    ops->ssd_grad = ssd_grad;
    ops->attention_grad = attention_grad;
    ops->cross_entropy = cross_entropy;
    ops->sum_squares = sum_squares;
    ops->adamw = adamw;
}
