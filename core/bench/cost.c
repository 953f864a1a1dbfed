/* cost.c - operations and bytes of the pieces of a model, and what they take on a machine that does nothing else. The
 * counts are those that bench.h tells. */
#include <string.h>

#include "bench/impl.h"
#include "model/mlp.h"

int mbs_bench_matrices(const mbs_model_config *c, mbs_bench_matrix out[MBS_BENCH_MATRICES]) {
    mbs_mixer_work work;
    const int64_t each = mbs_config_blocks(c);
    int n = 0;
    for (int64_t b = 0; b < c->n_layer * each; b++) { /* those of one name and size count together */
        mbs_mixer_of_block(c, b)->work(c, b / each, &work);
        for (int k = 0; k < work.matrices; k++) {
            mbs_bench_matrix m = {work.matrix[k].name, work.matrix[k].n_out, work.matrix[k].n_in, 1};
            int at = 0;
            while (at < n &&
                   (out[at].n_out != m.n_out || out[at].n_in != m.n_in || strcmp(out[at].name, m.name) != 0)) {
                at++;
            }
            if (at < n) {
                out[at].count++;
            } else if (n < MBS_BENCH_MATRICES - 1) {
                out[n++] = m;
            }
        }
    }
    out[n++] = (mbs_bench_matrix){"head", c->vocab_rows, c->d_model, 1};
    return n;
}

double mbs_bench_conv_ops(int64_t channels, int64_t taps) {
    return (double)channels * (2 * (double)taps + MBS_MIXER_EXP + 4);
}

double mbs_bench_norm_ops(int64_t cols) {
    return 4 * (double)cols;
}

double mbs_bench_weight_bytes(const mbk_format *format) {
    return format->dtype == MBK_I8 ? 1 : format->dtype == MBK_BF16 || format->math == MBK_MATH_BF16 ? 2 : 4;
}

double mbs_bench_seen(int64_t length) {
    return ((double)length + 1) / 2;
}

mbs_bench_cost mbs_bench_token(const mbs_model_config *c, double head, int alone, double seen,
                               const mbk_format *format) {
    mbs_bench_cost cost = {.rows = 1, .bf16 = format->math == MBK_MATH_BF16};
    double bytes = mbs_bench_weight_bytes(format);
    double moved = 0;
    const int64_t each = mbs_config_blocks(c);
    for (int64_t b = 0; b < c->n_layer * each; b++) {
        mbs_mixer_work work;
        mbs_mixer_of_block(c, b)->work(c, b / each, &work);
        for (int k = 0; k < work.matrices; k++) {
            double weights = (double)work.matrix[k].n_out * (double)work.matrix[k].n_in;
            cost.matrix += 2 * weights;
            cost.held += weights * bytes;
        }
        cost.vector += work.scan + mbs_bench_conv_ops(work.conv, mbs_config_sizes(c, b / each)->d_conv) +
                       mbs_bench_norm_ops(c->d_model);
        cost.held += 4 * (double)(work.small + c->d_model);
        double looked = work.window > 0 && (double)work.window < seen ? (double)work.window : seen;
        cost.vector += work.seen * looked;
        moved += 4 * (work.state + work.seen_state * looked);
    }
    double table = (double)c->vocab_rows * (double)c->d_model;
    cost.matrix += 2 * table * head;
    cost.held += table * bytes;
    if (alone) {
        cost.bytes = cost.held + moved;
    }
    return cost;
}

double mbs_bench_limit(const mbs_machine *m, const mbs_bench_cost *cost, int threads, const char **what) {
    int one = threads == 1;
    *what = m->copy > 0 ? "copy" : NULL;
    if (m->device[0]) {
        return m->copy > 0 ? cost->bytes / m->copy * 1e-9 : 0;
    }
    double f32 = one ? m->f32_1 : m->f32_n;
    double bf16 = one ? m->bf16_1 : m->bf16_n;
    int far = cost->held > (double)m->last_cache;
    double reach = far ? (one ? m->dram_1 : m->dram_n) : (one ? m->cache_1 : m->cache_n);
    if (f32 <= 0 || reach <= 0) {
        return 0;
    }
    double matrix = cost->bf16 && bf16 > 0 ? bf16 : f32;
    double compute = (cost->matrix / matrix + cost->vector / f32) * 1e-9;
    double moving = cost->bytes / reach * 1e-9;
    *what = compute >= moving ? "compute" : far ? "memory" : "cache";
    return compute >= moving ? compute : moving;
}
