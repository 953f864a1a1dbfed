/* mamba1.c - a whole layer of Mamba-1 for one row: the leaves of its operations one after the other, without what
 * operations ask and set up for any number of rows, which at width 64 is a fifteenth of the time. */
#include "cpu/cpu.h"

/* y = x W^T, or what is in y and that. */
static void multiply(const cpu_ctx *cpu, float *y, const float *x, const mbk_weight *w, float *words, int accumulate) {
    const mbk_product_way way = mbk_product_way_of(cpu, w);
    const gemm_job job = {
        .y = y,
        .ldy = w->n_out,
        .x = way.round ? words : x,
        .ldx = way.ld,
        .w = w,
        .depth = way.depth,
        .accumulate = accumulate,
    };
    if (way.round) {
        way.round(words, x, w->n_in);
    }
    way.leaf(&job, 0, 1, 0, w->panels);
}

/* Whether threads would share one of its operations, or streams the reading of its weights. */
static int shares(const cpu_ctx *cpu, const mbk_mamba1_args *s) {
    return s->streams > 1 || mbk_worth_threads(cpu, s->in_proj->panels * s->in_proj->n_in) ||
           mbk_worth_threads(cpu, s->x_proj->panels * s->x_proj->n_in) ||
           mbk_worth_threads(cpu, s->state.cols * (s->state.rows + 4));
}

static mbk_status mamba1(mbk_ctx *ctx, const mbk_mamba1_args *s) {
    cpu_ctx *cpu = cpu_of(ctx);
    const int64_t c = s->state.cols;
    const int64_t n = s->state.rows;
    const int64_t rank = s->dt_proj->n_in;
    if (s->in.rows != 1 || s->starts.n > 0 || shares(cpu, s)) {
        return MBS_END;
    }
    assert(s->in_proj->n_in == s->in.cols && s->in_proj->n_out == 2 * c && s->x_proj->n_in == c);
    assert(s->x_proj->n_out == rank + 2 * n && s->dt_proj->n_out == c && s->out_proj->n_in == c);
    assert(s->out_proj->n_out == s->out.cols && s->conv_state.rows == s->conv_w.rows);
    const int64_t widest = s->in.cols > c ? s->in.cols : c > rank ? c : rank;
    float *xz = cpu->scratch;
    float *u = xz + 2 * c;
    float *dt = u + c;
    float *p = dt + c;
    float *words = p + s->x_proj->n_out;
    if ((words + widest + 2 - xz) * (int64_t)sizeof *xz > (int64_t)cpu->scratch_size) {
        return MBS_END;
    }
    multiply(cpu, xz, at(&s->in), s->in_proj, words, 0);
    const conv_job conv = {
        .rows = 1,
        .width = s->conv_w.rows,
        .y = u,
        .ldy = c,
        .x = xz,
        .ldx = 2 * c,
        .w = at(&s->conv_w),
        .ldw = s->conv_w.ld,
        .bias = at(&s->conv_b),
        .state = at(&s->conv_state),
        .lds = s->conv_state.ld,
    };
    cpu->leaf.conv(&conv, 0, c);
    mbk_conv_carry(&conv, 0, c);
    multiply(cpu, p, u, s->x_proj, words, 0);
    multiply(cpu, dt, p, s->dt_proj, words, 0);
    const scan_job scan = {
        .rows = 1,
        .n = n,
        .y = u,
        .ldy = c,
        .u = u,
        .ldu = c,
        .dt = dt,
        .lddt = c,
        .b = p + rank,
        .ldb = n,
        .c = p + rank + n,
        .ldc = n,
        .z = xz + c,
        .ldz = 2 * c,
        .a = at(&s->a),
        .lda = s->a.ld,
        .state = at(&s->state),
        .lds = s->state.ld,
        .d = at(&s->d),
        .bias = at(&s->dt_bias),
    };
    cpu->leaf.scan(&scan, 0, c);
    multiply(cpu, at(&s->out), u, s->out_proj, words, 1);
    return MBS_OK;
}

void mbk_mamba1_ops(mbk_ops *ops) {
    ops->mamba1 = mamba1;
}
