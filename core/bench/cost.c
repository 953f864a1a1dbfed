/* cost.c - operations and bytes of the pieces of a model, and what they take on a machine that does nothing else. The
 * counts are those that bench.h tells. */
#include <string.h>

#include "bench/impl.h"
#include "model/mlp.h"
#include "model/pool.h"

/* Calls `visit` for each block, also for those within layers, with how often a token has it done. */
typedef void (*visit_fn)(void *arg, const mbs_model_config *c, int64_t block, double share);

static void each_block(const mbs_model_config *c, double share, visit_fn visit, void *arg) {
    const int64_t each = mbs_config_blocks(c);
    for (int64_t b = 0; b < c->n_layer * each; b++) {
        const mbs_mixer *mixer = mbs_mixer_of_block(c, b);
        visit(arg, c, b, share * (mixer->nests ? 1 / (double)mbs_config_sizes(c, b / each)->factor : 1));
        if (mixer->nests) {
            mbs_model_config inner;
            mbs_pooled_inner(c, b / each, &inner);
            each_block(&inner, share / (double)mbs_config_sizes(c, b / each)->factor, visit, arg);
        }
    }
}

typedef struct matrices {
    mbs_bench_matrix *out;
    int n;
} matrices;

static void add_matrices(void *arg, const mbs_model_config *c, int64_t block, double share) {
    matrices *all = arg;
    mbs_bench_matrix *out = all->out;
    mbs_mixer_work work;
    mbs_mixer_of_block(c, block)->work(c, block / mbs_config_blocks(c), &work);
    for (int k = 0; k < work.matrices; k++) { /* those of one name and size count together */
        mbs_bench_matrix m = {work.matrix[k].name, work.matrix[k].n_out, work.matrix[k].n_in, 1, share < 1};
        int at = 0;
        while (at < all->n && (out[at].n_out != m.n_out || out[at].n_in != m.n_in || out[at].seldom != m.seldom ||
                               strcmp(out[at].name, m.name) != 0)) {
            at++;
        }
        if (at < all->n) {
            out[at].count++;
        } else if (all->n < MBS_BENCH_MATRICES - 1) {
            out[all->n++] = m;
        }
    }
}

int mbs_bench_matrices(const mbs_model_config *c, mbs_bench_matrix out[MBS_BENCH_MATRICES]) {
    matrices all = {out, 0};
    each_block(c, 1, add_matrices, &all);
    out[all.n++] = (mbs_bench_matrix){"head", c->vocab_rows, c->d_model, 1, 0};
    return all.n;
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

typedef struct token_cost {
    mbs_bench_cost cost;
    double weight_bytes, seen;
    double moved; /* bytes of weights and states */
} token_cost;

static void add_block(void *arg, const mbs_model_config *c, int64_t block, double share) {
    token_cost *t = arg;
    const int64_t layer = block / mbs_config_blocks(c);
    mbs_mixer_work work;
    double held = 0;
    double vector = 0;
    mbs_mixer_of_block(c, block)->work(c, layer, &work);
    for (int k = 0; k < work.matrices; k++) {
        double weights = (double)work.matrix[k].n_out * (double)work.matrix[k].n_in;
        t->cost.matrix += 2 * weights * share;
        held += weights * t->weight_bytes;
    }
    vector +=
        work.scan + mbs_bench_conv_ops(work.conv, mbs_config_sizes(c, layer)->d_conv) + mbs_bench_norm_ops(c->d_model);
    held += 4 * (double)(work.small + c->d_model);
    double looked = work.window > 0 && (double)work.window < t->seen ? (double)work.window : t->seen;
    vector += work.seen * looked;
    t->cost.vector += vector * share;
    t->cost.held += held;
    t->moved += (held + 4 * (work.state + work.seen_state * looked)) * share;
}

mbs_bench_cost mbs_bench_token(const mbs_model_config *c, double head, int alone, double seen,
                               const mbk_format *format) {
    token_cost t = {
        .cost = {.rows = 1, .math = format->math}, .weight_bytes = mbs_bench_weight_bytes(format), .seen = seen};
    each_block(c, 1, add_block, &t);
    double table = (double)c->vocab_rows * (double)c->d_model;
    t.cost.matrix += 2 * table * head;
    t.cost.held += table * t.weight_bytes;
    if (alone) {
        t.cost.bytes = t.moved + table * t.weight_bytes;
    }
    return t.cost;
}

double mbs_bench_limit(const mbs_machine *m, const mbs_bench_cost *cost, int threads, const char **what) {
    int one = threads == 1;
    *what = m->copy > 0 ? "copy" : NULL;
    if (m->device[0]) {
        return m->copy > 0 ? cost->bytes / m->copy * 1e-9 : 0;
    }
    double f32 = one ? m->f32_1 : m->f32_n;
    double own = cost->math == MBK_MATH_F32    ? f32
                 : cost->math == MBK_MATH_BF16 ? (one ? m->bf16_1 : m->bf16_n)
                 : cost->math == MBK_MATH_I16  ? (one ? m->i16_1 : m->i16_n)
                                               : (one ? m->i8_1 : m->i8_n);
    int far = cost->held > (double)m->last_cache;
    double reach = far ? (one ? m->dram_1 : m->dram_n) : (one ? m->cache_1 : m->cache_n);
    if (f32 <= 0 || reach <= 0) {
        return 0;
    }
    double matrix = own > 0 ? own : f32;
    double compute = (cost->matrix / matrix + cost->vector / f32) * 1e-9;
    double moving = cost->bytes / reach * 1e-9;
    *what = compute >= moving ? "compute" : far ? "memory" : "cache";
    return compute >= moving ? compute : moving;
}
