/* What a classifier says when it runs is what it said while it was trained. */
#include <math.h>

#include "net_kit.h"
#include "support/test.h"

/* Classes of a session's pooled row, as task classify makes them. */
static void run_one(mbs_model *m, const int32_t *ids, int64_t n, mbs_net_pool pool, float *prob) {
    mbs_err err = {0};
    mbs_session *s;
    float last[64];
    double sum[64];
    int64_t rows = 0;
    int64_t d = mbs_model_get_config(m)->d_model;
    OK(mbs_session_new(m, 32, &s, &err), &err);
    OK(mbs_session_reset(s, &err), &err);
    for (int64_t at = 0; at < n; at += 32) {
        int64_t k = n - at < 32 ? n - at : 32;
        mbs_run_out out = {.layer = -1, .sum = 1, .last_hidden = last};
        OK(mbs_session_run(s, ids + at, k, &out, &err), &err);
    }
    OK(mbs_session_sum(s, sum, &rows, &err), &err);
    for (int64_t j = 0; j < d && pool == MBS_NET_MEAN; j++) {
        last[j] = (float)(sum[j] / (double)rows);
    }
    mbs_model_classify(m, last, NULL, prob);
    mbs_session_free(s);
}

MBS_TEST(net_classify, running_gives_the_numbers_of_training) {
    static const int64_t lengths[] = {1, 2, 31, 64, 333, 0};
    for (int pool = MBS_NET_MEAN; pool <= MBS_NET_LAST; pool++) {
        mbs_err err = {0};
        mbs_model_config cfg = nkit_shape((const char *const[]){NULL});
        mbs_net_options o = {.rows = 64, .classes = 3, .pool = (mbs_net_pool)pool};
        nkit k = nkit_fresh(&cfg, &o, MBK_LEVEL_REF, 1);
        size_t n = 0;
        nkit_name *names = nkit_names(mbs_net_config(k.net), &n);
        nkit_stir(k.net, names, n);
        mbs_model *m;
        OK(mbs_net_model(k.net, &m, &err), &err);
        CHECK_INT(mbs_model_classes(m), 3);
        nkit_batch b = nkit_random(lengths, cfg.vocab_rows, 5);
        double apart = 0;
        for (int64_t i = 0; i < b.b.n_seq; i++) {
            float prob[3];
            const int32_t *ids = b.ids + b.starts[i];
            int64_t rows = b.starts[i + 1] - b.starts[i];
            run_one(m, ids, rows, (mbs_net_pool)pool, prob);
            for (int32_t truth = 0; truth < 3; truth++) {
                int64_t starts[2] = {0, rows};
                mbs_net_sums sums = {0};
                mbs_batch one = {.n_seq = 1, .starts = starts, .ids = ids, .targets = &truth};
                OK(mbs_net_loss(k.net, &one, &sums, &err), &err);
                double off = fabs(-log((double)prob[truth]) - sums.loss);
                CHECK(off < 1e-6, "pool %d, length %lld, class %d: %g", pool, (long long)rows, (int)truth, off);
                apart = fmax(apart, fabs(sums.loss - log(3)));
            }
        }
        CHECK(apart > 1e-3, "the head says nothing: %g", apart);
        nkit_batch_free(&b);
        mbs_model_close(m);
        free(names);
        nkit_close(&k);
    }
}
