/* Whole records: the golden model, and that nothing that should not be seen is seen in the numbers. */
#include <math.h>

#include "base/thread.h"
#include "caduceus_kit.h"
#include "model/safetensors.h"
#include "model/whole.h"
#include "model_kit.h"
#include "support/test.h"
#include "support/tmp.h"

#define SMALL(MORE)                                                                                                    \
    "{\"model_type\": \"caduceus\", \"d_model\": 16, \"n_layer\": 3, \"vocab_size\": 12, \"ssm_cfg\": {\"d_state\": 4" \
    "}, \"complement_map\": " CADUCEUS_MAP ", " MORE "}"

static const char *const kinds[] = {
    SMALL("\"rcps\": true"),
    SMALL("\"rcps\": true, \"fused_add_norm\": false, \"bidirectional_weight_tie\": false"),
    SMALL("\"rcps\": false"),
    SMALL("\"rcps\": false, \"bidirectional_strategy\": \"ew_multiply\""),
    SMALL("\"rcps\": true, \"bidirectional_strategy\": \"ew_multiply\""),
    SMALL("\"rcps\": false, \"bidirectional\": false"),
    SMALL("\"rcps\": true, \"bidirectional\": false"),
};
#define KINDS (sizeof kinds / sizeof kinds[0])
static const char mamba2[] =
    "{\"model_type\": \"caduceus\", \"d_model\": 16, \"n_layer\": 2, \"vocab_size\": 12, \"ssm_cfg\": {\"layer\": "
    "\"Mamba2\", \"d_state\": 8, \"headdim\": 8}, \"complement_map\": " CADUCEUS_MAP ", \"rcps\": true}";

/* Logits and rows of one sequence (or several). */
typedef struct result {
    float *logits, *rows, *lp;
    int64_t n, width;
} result;

static result run(mbs_model *m, const int32_t *ids, const int64_t *starts, int64_t n_seq, int64_t memory) {
    mbs_err err = {0};
    mbs_whole *w;
    result r = {.n = starts[n_seq], .width = mbs_whole_width(m)};
    r.logits = calloc((size_t)r.n * 16, sizeof *r.logits);
    r.rows = calloc((size_t)(r.n * r.width), sizeof *r.rows);
    r.lp = calloc((size_t)r.n, sizeof *r.lp);
    OK(mbs_whole_new(m, memory, &w, &err), &err);
    OK(mbs_whole_run(w, ids, starts, n_seq, -1, &err), &err);
    CHECK_INT(mbs_whole_spilled(w), memory > 0 && mbs_whole_bytes(w) > memory);
    OK(mbs_whole_logits(w, 0, r.n, r.logits, &err), &err);
    OK(mbs_whole_hidden(w, 0, r.n, r.rows, &err), &err);
    OK(mbs_whole_logprob(w, 0, r.n, NULL, r.lp, &err), &err);
    mbs_whole_free(w);
    return r;
}

static result run_one(mbs_model *m, const int32_t *ids, int64_t n, int64_t memory) {
    int64_t starts[] = {0, n};
    return run(m, ids, starts, 1, memory);
}

static void drop(result *r) {
    free(r->logits);
    free(r->rows);
    free(r->lp);
}

static int same(const result *a, const result *b) {
    return mkit_same(a->logits, b->logits, a->n * 16) && mkit_same(a->rows, b->rows, a->n * a->width) &&
           mkit_same(a->lp, b->lp, a->n);
}

static double off(const mbs_st *st, const char *name, int64_t from, const float *got, int64_t n) {
    const mbs_st_tensor *t = mbs_st_find(st, name, strlen(name));
    double most = 0;
    double ref = 0;
    CHECK(t != NULL, "%s", name);
    for (int64_t i = 0; i < n; i++) {
        double want = mbs_st_number((mbs_dtype)t->dtype, mbs_st_data(st, t), from + i);
        most = fmax(most, fabs((double)got[i] - want));
        ref = fmax(ref, fabs(want));
    }
    return most / ref;
}

/* Both ways of the add-norm; the exchange of halves would be seen here, and nowhere else. */
MBS_TEST(whole, golden_caduceus) {
    mbs_err err = {0};
    mbs_st *st;
    char dir[256];
    test_tmp_enter(dir);
    caduceus_golden_folder("fused", caduceus_golden_fused);
    caduceus_golden_folder("plain", caduceus_golden_plain);
    OK(mbs_st_open(CADUCEUS_GOLDEN, &st, &err), &err);
    const mbs_st_tensor *t = mbs_st_find(st, "input_ids", 9);
    int64_t raw[28];
    memcpy(raw, mbs_st_data(st, t), sizeof raw);
    int32_t *ids = mkit_ids(raw, 28);
    EACH_LEVEL(level) {
        for (int fused = 0; fused < 2; fused++) {
            mbk_ctx *ctx = mkit_open(level, 0);
            mbs_model *m;
            OK(mbs_model_open(fused ? "fused" : "plain", ctx, &m, &err), &err);
            for (int64_t k = 0; k < 2; k++) {
                result r = run_one(m, ids + k * 14, 14, 0);
                double logits = off(st, fused ? "logits_fused" : "logits_plain", k * 14 * 16, r.logits, 14 * 16);
                double rows = off(st, fused ? "hidden_fused" : "hidden_plain", k * 14 * 16, r.rows, 14 * 16);
                CHECK(logits <= 3e-6 && rows <= 3e-6, "%s fused %d: logits %g, rows %g", mbk_level_name(level), fused,
                      logits, rows);
                drop(&r);
            }
            mbs_model_close(m);
            mbk_close(ctx);
        }
    }
    mbs_st_close(st);
    free(ids);
    test_tmp_leave(dir);
}

/* logits(RC x) are the reversed, complemented logits of x. */
MBS_TEST(whole, reverse_complement_equivariance) {
    enum { N = 333 };
    static int32_t ids[N], rc[N];
    caduceus_bases(ids, N, 1);
    caduceus_rc(ids, rc, N);
    mbk_ctx *ctx = mkit_open(mbk_level_best(), 0);
    for (size_t k = 0; k <= KINDS; k++) {
        const char *config = k < KINDS ? kinds[k] : mamba2;
        mbs_model *m = caduceus_drawn(config, ctx);
        if (mbs_model_get_config(m)->rcps) {
            result a = run_one(m, ids, N, 0);
            result b = run_one(m, rc, N, 0);
            double most = 0;
            double ref = 0;
            for (int64_t i = 0; i < N; i++) {
                for (int v = 0; v < 16; v++) {
                    int c = v >= 7 && v <= 10 ? 17 - v : v;
                    double want = (double)a.logits[(N - 1 - i) * 16 + c];
                    most = fmax(most, fabs((double)b.logits[i * 16 + v] - want));
                    ref = fmax(ref, fabs(want));
                }
            }
            CHECK(most <= 1e-5 * ref, "kind %zu: %g of %g", k, most, ref);
            drop(&a);
            drop(&b);
        }
        mbs_model_close(m);
    }
    mbk_close(ctx);
}

/* Rows in a file, a record of many tiles, other threads, memory that nobody may look into: the same bits. */
MBS_TEST(whole, where_rows_lie_cannot_be_seen) {
    enum { N = 5000 };
    static int32_t ids[N];
    caduceus_bases(ids, N, 2);
    for (size_t k = 0; k <= KINDS; k++) {
        const char *config = k < KINDS ? kinds[k] : mamba2;
        mbk_ctx *ctx = mkit_open(mbk_level_best(), 0);
        mbs_model *m = caduceus_drawn(config, ctx);
        result want = run_one(m, ids, N, 0);
        result spilled = run_one(m, ids, N, 4096);
        CHECK(same(&want, &spilled), "kind %zu: a spilled run differs", k);
        mbs_model_close(m);
        mbk_close(ctx);
        mbs_pool *pool = mbs_pool_new(3);
        mbk_parallel par = {pool, 3, mbs_pool_run};
        CHECK(mbk_cpu_open(mbk_level_best(), &par, &ctx) == MBS_OK);
        m = caduceus_drawn(config, ctx);
        result threads = run_one(m, ids, N, 0);
        CHECK(same(&want, &threads), "kind %zu: threads show", k);
        mbs_model_close(m);
        mbk_close(ctx);
        mbs_pool_free(pool);
        ctx = mkit_open(mbk_level_best(), 1);
        m = caduceus_drawn(config, ctx);
        result hidden = run_one(m, ids, 300, 0);
        hidden.n = 1; /* the first rows of another length are other rows: only that it runs */
        CHECK(isfinite(hidden.logits[0]));
        mbs_model_close(m);
        mbk_close(ctx);
        drop(&want);
        drop(&spilled);
        drop(&threads);
        drop(&hidden);
    }
}

/* Sequences of every length, also 1, side by side: the numbers of each alone. */
MBS_TEST(whole, company_cannot_be_seen) {
    static const int64_t starts[] = {0, 1, 2, 40, 41, 700, 701, 1500};
    enum { SEQS = 7, N = 1500 };
    static int32_t ids[N];
    caduceus_bases(ids, N, 3);
    mbk_ctx *ctx = mkit_open(mbk_level_best(), 0);
    for (size_t k = 0; k <= KINDS; k++) {
        mbs_model *m = caduceus_drawn(k < KINDS ? kinds[k] : mamba2, ctx);
        result all = run(m, ids, starts, SEQS, 0);
        for (int64_t s = 0; s < SEQS; s++) {
            int64_t n = starts[s + 1] - starts[s];
            result one = run_one(m, ids + starts[s], n, 0);
            CHECK(mkit_same(all.logits + starts[s] * 16, one.logits, n * 16), "kind %zu: sequence %d", k, (int)s);
            CHECK(mkit_same(all.rows + starts[s] * all.width, one.rows, n * one.width), "kind %zu", k);
            drop(&one);
        }
        drop(&all);
        mbs_model_close(m);
    }
    mbk_close(ctx);
}
