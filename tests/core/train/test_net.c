/* The gradient of a whole model against differences of its loss; its numbers against those of a running model. */
#include "net_kit.h"
#include "support/test.h"
#include "support/tmp.h"
#include "support/vectors.h"

static const int64_t lengths[] = {17, 5, 1, 40, 0};

static void check_gradients(const mbs_model_config *cfg, const mbs_net_options *o, mbk_level level, int threads) {
    mbs_err err = {0};
    nkit k = nkit_fresh(cfg, o, level, threads);
    nkit_batch b = nkit_random(lengths, cfg->vocab_rows, 5);
    size_t n;
    nkit_name *t = nkit_names(cfg, &n);
    mbs_net_sums sums = {0};
    nkit_stir(k.net, t, n);
    OK(mbs_net_gradients(k.net, &b.b, 0.25, &sums, &err), &err);
    double loss = nkit_loss(k.net, &b.b);
    CHECK(sums.loss / sums.weight == loss, "%.17g is not %.17g", sums.loss / sums.weight, loss);
    for (size_t i = 0; i < n; i++) {
        double off = nkit_off_along(k.net, &b.b, &t[i], sums.weight * 0.25);
        CHECK(off < 2e-3, "%s, %s: off by %g", mbk_level_name(level), t[i].name, off);
    }
    free(t);
    nkit_batch_free(&b);
    nkit_close(&k);
}

MBS_TEST(net, gradient_against_differences) {
    const mbs_net_options o = {.rows = 64};
    static const char *const plain[] = {NULL};
    mbs_model_config cfg = nkit_shape(plain);
    EACH_LEVEL(level) {
        check_gradients(&cfg, &o, level, 1);
    }
    check_gradients(&cfg, &o, mbk_level_best(), 0);
}

/* The golden language model as a net: its loss is that of the reference's logits. */
MBS_TEST(net, golden_language_model) {
    char dir[256];
    mbs_err err = {0};
    test_tmp_enter(dir);
    mkit_golden_folder("m", 0);
    vec_file *f = vec_open("mamba1_lm");
    int64_t shape[8];
    int dims = vec_shape(f, "input_ids", shape);
    int64_t count = vec_count(f, "input_ids");
    int64_t length = shape[dims - 1];
    const double *logits = vec_f64(f, "logits");
    int64_t vocab = vec_count(f, "logits") / count;
    int32_t *ids = mkit_ids(vec_i64(f, "input_ids"), count);
    int32_t *targets = malloc((size_t)count * sizeof *targets);
    int64_t starts[65] = {0};
    mbs_batch b = {.n_seq = count / length, .starts = starts, .ids = ids, .targets = targets};
    double want = 0;
    for (int64_t i = 0; i < count; i++) {
        targets[i] = i % length == length - 1 ? -1 : ids[i + 1];
        starts[i / length + 1] = (i / length + 1) * length;
        double sum = 0;
        for (int64_t v = 0; v < vocab; v++) {
            sum += exp(logits[i * vocab + v]);
        }
        want += targets[i] < 0 ? 0 : log(sum) - logits[i * vocab + targets[i]];
    }
    EACH_LEVEL(level) {
        mbk_ctx *ctx = mkit_open(level, 0);
        mbs_net_options o = {0};
        mbs_net *net;
        mbs_net_sums sums = {0};
        OK(mbs_net_open("m", 1, &o, ctx, &net, &err), &err);
        OK(mbs_net_loss(net, &b, &sums, &err), &err);
        CHECK(fabs(sums.loss - want) <= 3e-6 * want, "%s: %.9g is not %.9g", mbk_level_name(level), sums.loss, want);
        CHECK_INT(sums.scored, count - b.n_seq);
        mbs_net_free(net);
        mbk_close(ctx);
    }
    free(ids);
    free(targets);
    vec_close(f);
    test_tmp_leave(dir);
}

/* A net's loss is what the model that it makes gives the same tokens. */
MBS_TEST(net, loss_is_that_of_the_model) {
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(NULL);
    const mbs_net_options o = {0};
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    static const int64_t one[] = {50, 0};
    nkit_batch b = nkit_random(one, cfg.vocab_size, 3);
    nkit_step(k.net, &b.b, 1e-2, 1);
    b.b.weights = NULL;
    double loss = nkit_loss(k.net, &b.b);
    mbs_model *m;
    mbs_session *s;
    float lp[50];
    OK(mbs_net_model(k.net, &m, &err), &err);
    OK(mbs_session_new(m, 50, &s, &err), &err);
    OK(mbs_session_reset(s, &err), &err);
    mbs_run_out out = {.logprob = lp, .layer = -1};
    OK(mbs_session_run(s, b.ids, 50, &out, &err), &err);
    double sum = 0;
    int n = 0;
    for (int i = 0; i < 49; i++) {
        sum -= b.targets[i] < 0 ? 0 : (double)lp[i + 1];
        n += b.targets[i] >= 0;
    }
    CHECK(fabs(loss - sum / n) <= 1e-6, "%.9g is not %.9g", loss, sum / n);
    CHECK_INT(mbs_model_parameters(m), mbs_net_parameters(k.net));
    mbs_session_free(s);
    mbs_model_close(m);
    nkit_batch_free(&b);
    nkit_close(&k);
}

MBS_TEST(net, learns_a_repetition) {
    mbs_model_config cfg = nkit_shape(NULL);
    const mbs_net_options o = {0};
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    static const int64_t four[] = {32, 32, 32, 32, 0};
    nkit_batch b = nkit_random(four, 5, 9);
    for (int i = 0; i < 128; i++) {
        b.ids[i] = i % 4 + i / 64; /* known after two letters */
        b.targets[i] = i % 32 == 31 ? -1 : (i + 1) % 4 + i / 64;
    }
    double first = nkit_step(k.net, &b.b, 1e-2, 1);
    double last = first;
    for (int step = 2; step <= 100; step++) {
        last = nkit_step(k.net, &b.b, 1e-2, step);
    }
    CHECK(first > 2 && last < 0.1, "from %g to %g", first, last);
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    OK(mbs_net_loss(k.net, &b.b, &sums, &err), &err);
    CHECK(sums.scored == 124 && sums.right >= 120, "%lld of %lld", (long long)sums.right, (long long)sums.scored);
    nkit_batch_free(&b);
    nkit_close(&k);
}

/* Few targets: outputs are made for their rows alone, with the gradients that all rows would give. */
MBS_TEST(net, few_targets_are_like_many_without_weight) {
    static const int64_t cut[] = {23, 100, 1, 9, 0};
    static const char *const shapes[][3] = {{"tie_embeddings", "true", NULL}, {"tie_embeddings", "false", NULL}};
    for (int s = 0; s < 2; s++) {
        mbs_model_config cfg = nkit_shape(shapes[s]);
        const mbs_net_options o = {.rows = 64}; /* the second sequence in pieces, the last of them without targets */
        mbs_err err = {0};
        nkit few = nkit_fresh(&cfg, &o, mbk_level_best(), 0);
        nkit all = nkit_fresh(&cfg, &o, mbk_level_best(), 0);
        nkit_batch b = nkit_random(cut, cfg.vocab_size, 5);
        int32_t *some = malloc(133 * sizeof *some);
        int64_t count = 0;
        for (int i = 0; i < 133; i++) {
            int keep = i == 0 || i == 7 || i == 22 || i == 30 || i == 31 || i == 132;
            b.targets[i] = keep ? i % 11 : (b.targets[i] < 0 ? 0 : b.targets[i]);
            b.weights[i] = keep ? b.weights[i] : 0;
            some[i] = keep ? b.targets[i] : -1;
            count += keep;
        }
        mbs_batch sparse = b.b;
        sparse.targets = some;
        mbs_net_sums of_few = {0};
        mbs_net_sums of_all = {0};
        OK(mbs_net_gradients(few.net, &sparse, 0.3, &of_few, &err), &err);
        OK(mbs_net_gradients(all.net, &b.b, 0.3, &of_all, &err), &err);
        CHECK_INT(of_few.scored, count);
        CHECK(fabs(of_few.loss - of_all.loss) < 1e-6 * of_all.loss && of_few.weight == of_all.weight);
        size_t n;
        nkit_name *names = nkit_names(&cfg, &n);
        for (size_t t = 0; t < n; t++) {
            float *g = nkit_get(few.net, &names[t], 1);
            float *want = nkit_get(all.net, &names[t], 1);
            double most = 0;
            double off = 0;
            for (size_t i = 0; i < names[t].n; i++) {
                most = fmax(most, fabs((double)want[i]));
                off = fmax(off, fabs((double)g[i] - (double)want[i]));
            }
            CHECK(most > 0 && off <= 2e-6 * most, "%s: off by %g of %g", names[t].name, off, most);
            free(g);
            free(want);
        }
        free(names);
        free(some);
        nkit_batch_free(&b);
        nkit_close(&few);
        nkit_close(&all);
    }
}
