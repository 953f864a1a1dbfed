/* cost.c - operations and bytes of the pieces of a model, and what they take on a machine that does nothing else. The
 * counts are those that bench.h tells. */
#include "bench/impl.h"

#define EXP 16.0

void mbs_bench_matrices(const mbs_model_config *c, mbs_bench_matrix out[MBS_BENCH_MATRICES]) {
    out[0] = (mbs_bench_matrix){"in_proj", 2 * c->d_inner, c->d_model, c->n_layer};
    out[1] = (mbs_bench_matrix){"x_proj", c->dt_rank + 2 * c->d_state, c->d_inner, c->n_layer};
    out[2] = (mbs_bench_matrix){"dt_proj", c->d_inner, c->dt_rank, c->n_layer};
    out[3] = (mbs_bench_matrix){"out_proj", c->d_model, c->d_inner, c->n_layer};
    out[4] = (mbs_bench_matrix){"head", c->vocab_rows, c->d_model, 1};
}

double mbs_bench_scan_ops(int64_t channels, int64_t states) {
    return (double)channels * ((double)states * (6 + EXP) + 3 * EXP + 9);
}

double mbs_bench_conv_ops(int64_t channels, int64_t taps) {
    return (double)channels * (2 * (double)taps + EXP + 4);
}

double mbs_bench_norm_ops(int64_t cols) {
    return 4 * (double)cols;
}

double mbs_bench_weight_bytes(const mbk_format *format) {
    return format->dtype == MBK_I8 ? 1 : format->dtype == MBK_BF16 || format->math == MBK_MATH_BF16 ? 2 : 4;
}

mbs_bench_cost mbs_bench_token(const mbs_model_config *c, double head, int alone, const mbk_format *format) {
    mbs_bench_matrix m[MBS_BENCH_MATRICES];
    mbs_bench_cost cost = {.rows = 1, .bf16 = format->math == MBK_MATH_BF16};
    double bytes = mbs_bench_weight_bytes(format);
    double layers = (double)c->n_layer;
    mbs_bench_matrices(c, m);
    for (int i = 0; i < MBS_BENCH_MATRICES; i++) {
        double weights = (double)m[i].n_out * (double)m[i].n_in * (double)m[i].count;
        double times = i == MBS_BENCH_MATRICES - 1 ? head : 1;
        cost.matrix += 2 * weights * times;
        cost.held += weights * bytes;
    }
    cost.vector = layers * (mbs_bench_scan_ops(c->d_inner, c->d_state) + mbs_bench_conv_ops(c->d_inner, c->d_conv) +
                            mbs_bench_norm_ops(c->d_model));
    cost.held += layers * 4 * ((double)c->d_inner * (double)(c->d_state + c->d_conv + 3) + (double)c->d_model);
    if (alone) {
        cost.bytes = cost.held + layers * 8 * (double)c->d_inner * (double)(c->d_state + c->d_conv);
    }
    return cost;
}

double mbs_bench_limit(const mbs_machine *m, const mbs_bench_cost *cost, int threads, const char **what) {
    int one = threads == 1;
    double f32 = one ? m->f32_1 : m->f32_n;
    double bf16 = one ? m->bf16_1 : m->bf16_n;
    int far = cost->held > (double)m->last_cache;
    double reach = far ? (one ? m->dram_1 : m->dram_n) : (one ? m->cache_1 : m->cache_n);
    *what = NULL;
    if (f32 <= 0 || reach <= 0) {
        return 0;
    }
    double matrix = cost->bf16 && bf16 > 0 ? bf16 : f32;
    double compute = (cost->matrix / matrix + cost->vector / f32) * 1e-9;
    double moving = cost->bytes / reach * 1e-9;
    *what = compute >= moving ? "compute" : far ? "memory" : "cache";
    return compute >= moving ? compute : moving;
}
