/* Gradients of every form that a net can have, and what stays when only a part is trained. */
#include "net_kit.h"
#include "support/test.h"

static const int64_t lengths[] = {17, 5, 1, 40, 0};

/* Every trained tensor against differences; returns how many are trained. */
static int check(const mbs_net_options *o, const char *const *set, const int64_t *len, int threads, double most) {
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(set);
    nkit k = nkit_fresh(&cfg, o, mbk_level_best(), threads);
    nkit_batch b = nkit_random(len, cfg.vocab_size, 5);
    mbs_net_sums sums = {0};
    size_t n;
    int trained = 0;
    cfg = *mbs_net_config(k.net);
    if (o->classes) {
        nkit_label(&b, o->classes);
    }
    nkit_name *t = nkit_names(&cfg, &n);
    nkit_stir(k.net, t, n);
    OK(mbs_net_gradients(k.net, &b.b, 0.25, &sums, &err), &err);
    double loss = nkit_loss(k.net, &b.b);
    CHECK(sums.loss / sums.weight == loss, "%.17g is not %.17g", sums.loss / sums.weight, loss);
    for (size_t i = 0; i < n; i++) {
        if (nkit_is_trained(k.net, &t[i])) {
            double off = nkit_off_along(k.net, &b.b, &t[i], sums.weight * 0.25);
            CHECK(off < most, "%s: off by %g", t[i].name, off);
            trained++;
        }
    }
    free(t);
    nkit_batch_free(&b);
    nkit_close(&k);
    return trained;
}

MBS_TEST(net_forms, biases_layer_norm_own_head) {
    static const char *const set[] = {"bias", "true", "norm", "layer", "tie_embeddings", "false", NULL};
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 2e-3), 1 + 2 * (2 + 11) + 2 + 1);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 0, 2e-3), 1 + 2 * (2 + 11) + 2 + 1);
}

MBS_TEST(net_forms, no_convolution_bias) {
    static const char *const set[] = {"conv_bias", "false", NULL};
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 2e-3), 1 + 2 * (1 + 8) + 1);
}

/* Layers of two kinds, each with an MLP behind a norm of its own; sequences in one pass and in pieces. */
MBS_TEST(net_forms, layers_that_differ_with_an_mlp) {
    static const char *const set[] = {
        "dt_rank",   "auto", "mixer", "mamba1, mamba2", "n_layer",        "3", "head_dim", "4", "mlp", "gated",
        "mlp_width", "10",   "norm",  "layer",          "mamba2.d_state", "3", NULL};
    static const int64_t longer[] = {20, 150, 64, 0};
    int trained = 1 + 2 * (2 + 9) + (2 + 8) + 3 * (2 + 2) + 2;
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 2e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, longer, 0, 2e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64, .train = "last_1"}, set, lengths, 1, 2e-2), 2 + 9 + 2 + 2 + 2);
}

/* Recurrent cells and state spaces: sequences in one pass, and in pieces. */
MBS_TEST(net_forms, cells) {
    static const char *const set[] = {"dt_rank", "auto", "mixer", "lstm, gru, mamba1", "n_layer", "3", NULL};
    static const int64_t longer[] = {20, 150, 64, 0};
    int trained = 1 + 2 * (1 + 5) + 10 + 1;
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 2e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, longer, 0, 2e-2), trained);
}

/* A time step a channel moves the loss little, f32 leaves few digits: test_lti.c holds the rest. */
MBS_TEST(net_forms, state_spaces) {
    static const char *const set[] = {"dt_rank", "auto", "mixer", "s4d, s4, mamba1", "d_state", "6",
                                      "n_layer", "3",    NULL};
    static const int64_t longer[] = {20, 150, 64, 0};
    static const char *const convolved[] = {
        "dt_rank", "auto", "mixer", "s4d, s4, mamba1", "d_state", "6", "n_layer", "3", "convolve", "150", NULL};
    int trained = 1 + (1 + 7) + (1 + 9) + 10 + 1;
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, convolved, longer, 1, 6e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 6e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, longer, 0, 6e-2), trained);
}

/* Stages at lower rates; sequences one after the other, in pieces that end within groups. */
MBS_TEST(net_forms, stages) {
    static const char *const set[] = {"n_layer", "1", "pool", "3, 2", "pool.expand", "1.5", NULL};
    static const char *const up[] = {"dt_rank", "auto", "mixer", "s4d",  "d_state", "6",         "n_layer", "1", "pool",
                                     "5",       "mlp",  "gated", "norm", "layer",   "pool_down", "false",   NULL};
    static const int64_t longer[] = {20, 150, 64, 2, 0};
    int trained = 1 + 10 + (4 + 10 + (4 + 10) + 10) + 10 + 1;
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 2e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, longer, 0, 2e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64, .train = "last_1"}, set, lengths, 1, 2e-2), 10 + 1);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, up, longer, 1, 6e-2), 1 + (4 + 9 + 4) + (9 + 4) + 2);
}

/* An MLP with biases. */
MBS_TEST(net_forms, gelu) {
    static const char *const exact[] = {"mlp", "gelu", "mlp_width", "10", NULL};
    static const char *const tanh[] = {"mlp", "gelu_tanh", "norm", "layer", NULL};
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, exact, lengths, 1, 2e-2), 1 + 2 * (10 + 5) + 1);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, tanh, lengths, 0, 2e-2), 1 + 2 * (11 + 6) + 2);
}

/* Attention in all its forms; of long sequences keys and values are carried from piece to piece, and gradients back. */
MBS_TEST(net_forms, attention) {
    static const char *const plain[] = {"d_state",
                                        "5",
                                        "dt_rank",
                                        "auto",
                                        "mixer",
                                        "mamba1,attention",
                                        "num_heads",
                                        "4",
                                        "num_heads_kv",
                                        "2",
                                        "rotary_emb_dim",
                                        "2",
                                        "attention.d_conv",
                                        "3",
                                        "mlp_dim",
                                        "4",
                                        "qkv_proj_bias",
                                        "true",
                                        "out_proj_bias",
                                        "true",
                                        NULL};
    static const char *const window[] = {"dt_rank",
                                         "3",
                                         "mixer",
                                         "attention, mamba1",
                                         "num_heads",
                                         "2",
                                         "window",
                                         "70",
                                         "rotary_emb_dim",
                                         "6",
                                         "rotary_emb_interleaved",
                                         "true",
                                         "softmax_scale",
                                         "0.7",
                                         NULL};
    static const int64_t longer[] = {20, 200, 64, 130, 0};
    for (int threads = 0; threads < 2; threads++) {
        mbs_net_options o = {.rows = 64};
        CHECK_INT(check(&o, plain, lengths, threads, 2e-2), 1 + 10 + 7 + 1);
        CHECK_INT(check(&o, plain, longer, threads, 2e-2), 1 + 10 + 7 + 1);
        CHECK_INT(check(&o, window, longer, threads, 2e-2), 1 + 3 + 10 + 1);
        o.classes = 3;
        CHECK_INT(check(&o, plain, longer, threads, 2e-2), 1 + 10 + 7 + 1 + 2);
    }
}

MBS_TEST(net_forms, h3) {
    static const char *const set[] = {"dt_rank", "auto", "mixer", "h3, mamba1", "d_state", "6", "n_layer", "2", NULL};
    static const int64_t longer[] = {20, 150, 64, 0};
    int trained = 1 + (1 + 15) + 10 + 1;
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 6e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, longer, 0, 6e-2), trained);
    static const char *const heads[] = {"dt_rank", "auto", "mixer",    "h3, mamba1", "d_state", "6",
                                        "n_layer", "2",    "head_dim", "3",          NULL};
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, heads, longer, 1, 6e-2), trained);
}

MBS_TEST(net_forms, hyena) {
    static const char *const set[] = {
        "dt_rank", "auto",    "mixer", "hyena, mamba1", "l_max", "150", "filter_order", "7", "emb_dim",
        "3",       "n_layer", "2",     "filter_w",      "2",     NULL};
    static const char *const third[] = {"dt_rank",
                                        "auto",
                                        "mixer",
                                        "hyena, mamba1",
                                        "l_max",
                                        "90",
                                        "filter_order",
                                        "5",
                                        "emb_dim",
                                        "3",
                                        "n_layer",
                                        "2",
                                        "filter_w",
                                        "2",
                                        "hyena_order",
                                        "3",
                                        "filter_shift",
                                        "0.05",
                                        NULL};
    static const int64_t longer[] = {20, 150, 64, 0};
    static const int64_t shorter[] = {20, 90, 64, 0};
    static const int64_t too_long[] = {20, 151, 0};
    int trained = 1 + (1 + 15) + 10 + 1;
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, lengths, 1, 6e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, set, longer, 0, 6e-2), trained);
    CHECK_INT(check(&(mbs_net_options){.rows = 64}, third, shorter, 1, 6e-2), trained);
    mbs_err err = {0};
    mbs_net_sums sums = {0};
    mbs_model_config cfg = nkit_shape(set);
    nkit k = nkit_fresh(&cfg, &(mbs_net_options){.rows = 64}, mbk_level_best(), 1);
    nkit_batch b = nkit_random(too_long, cfg.vocab_size, 5);
    CHECK_INT(mbs_net_gradients(k.net, &b.b, 1, &sums, &err), MBS_ERR_DATA);
    CHECK_STR(err.what, "a sequence of 151 positions or more: the layers of mixer 'hyena' reach 150");
    nkit_batch_free(&b);
    nkit_close(&k);
}

/* More logits than are made at once. */
MBS_TEST(net_forms, wide_vocabulary) {
    static const char *const set[] = {"vocab", "20000", "n_layer", "1", NULL};
    static const int64_t longer[] = {100, 20, 0};
    CHECK_INT(check(&(mbs_net_options){.rows = 128}, set, longer, 1, 3e-2), 1 + 10 + 1);
}

MBS_TEST(net_forms, classes) {
    mbs_net_options o = {.rows = 64, .classes = 3, .pool = MBS_NET_MEAN};
    CHECK_INT(check(&o, NULL, lengths, 1, 2e-3), 1 + 2 * 10 + 1 + 2);
    CHECK_INT(check(&o, NULL, lengths, 0, 2e-3), 1 + 2 * 10 + 1 + 2);
    o.pool = MBS_NET_LAST;
    CHECK_INT(check(&o, NULL, lengths, 1, 2e-3), 1 + 2 * 10 + 1 + 2);
    static const int64_t longer[] = {20, 200, 64, 65, 0}; /* some in pieces */
    CHECK_INT(check(&o, NULL, longer, 1, 2e-3), 1 + 2 * 10 + 1 + 2);
    o.pool = MBS_NET_MEAN;
    CHECK_INT(check(&o, NULL, longer, 1, 2e-3), 1 + 2 * 10 + 1 + 2);
}

MBS_TEST(net_forms, parts) {
    static const char *const own[] = {"tie_embeddings", "false", NULL};
    CHECK_INT(check(&(mbs_net_options){.train = "last_1"}, NULL, lengths, 1, 2e-3), 10 + 1);
    CHECK_INT(check(&(mbs_net_options){.train = "last_1"}, own, lengths, 1, 2e-3), 10 + 1 + 1);
    CHECK_INT(check(&(mbs_net_options){.train = "last_2"}, own, lengths, 1, 2e-3), 20 + 1 + 1);
    CHECK_INT(check(&(mbs_net_options){.train = "head"}, own, lengths, 1, 2e-3), 1);
    CHECK_INT(check(&(mbs_net_options){.train = "head", .classes = 2}, NULL, lengths, 1, 2e-3), 2);
    CHECK_INT(check(&(mbs_net_options){.train = "last_1", .classes = 2}, NULL, lengths, 1, 2e-3), 10 + 1 + 2);
}

/* What is not trained keeps its bits through updates. */
MBS_TEST(net_forms, the_rest_stays) {
    mbs_model_config cfg = nkit_shape(NULL);
    const mbs_net_options o = {.train = "last_1"};
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit start = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit_batch b = nkit_random(lengths, cfg.vocab_size, 5);
    size_t n;
    nkit_name *t = nkit_names(&cfg, &n);
    nkit_step(k.net, &b.b, 1e-2, 1);
    nkit_step(k.net, &b.b, 1e-2, 2);
    int64_t moved = 0;
    for (size_t i = 0; i < n; i++) {
        float *x = nkit_get(k.net, &t[i], 0);
        float *y = nkit_get(start.net, &t[i], 0);
        int same = mkit_same(x, y, (int64_t)t[i].n);
        CHECK(same == !nkit_is_trained(k.net, &t[i]), "%s", t[i].name);
        moved += same ? 0 : (int64_t)t[i].n;
        free(x);
        free(y);
    }
    CHECK_INT(moved, mbs_net_trained(k.net));
    CHECK(mbs_net_trained(k.net) < mbs_net_parameters(k.net));
    free(t);
    nkit_batch_free(&b);
    nkit_close(&start);
    nkit_close(&k);
}

static void refused(const mbs_net_options *o, mbs_status want, const char *text) {
    mbs_model_config cfg = nkit_shape(NULL);
    mbs_err err = {0};
    mbs_net *net;
    mbk_ctx *ctx = mkit_open(MBK_LEVEL_REF, 0);
    CHECK_INT(mbs_net_fresh(&cfg, 1, o, ctx, &net, &err), want);
    CHECK(strstr(err.what, text) && err.fix[0], "%s; %s", err.what, err.fix);
    mbk_close(ctx);
}

MBS_TEST(net_forms, refusals) {
    refused(&(mbs_net_options){.train = "last_3"}, MBS_ERR_CONFIG, "none of all, head and last_1 to last_2");
    refused(&(mbs_net_options){.train = "tail"}, MBS_ERR_CONFIG, "'tail'");
    refused(&(mbs_net_options){.train = "head"}, MBS_ERR_CONFIG, "is its embedding");
    refused(&(mbs_net_options){.dtype = "int8"}, MBS_ERR_CONFIG, "'int8'");
    refused(&(mbs_net_options){.math = "f16"}, MBS_ERR_CONFIG, "'f16'");
    refused(&(mbs_net_options){.rows = 100}, MBS_ERR_CONFIG, "100 rows");
    refused(&(mbs_net_options){.rows = 128, .truncate = 192}, MBS_ERR_CONFIG, "192");
}

/* The loss of a net with classes is that of the model that it makes, pooled by hand. */
static void class_of_model(mbs_net_pool pool) {
    mbs_err err = {0};
    mbs_model_config cfg = nkit_shape(NULL);
    const mbs_net_options o = {.classes = 3, .pool = pool};
    nkit k = nkit_fresh(&cfg, &o, mbk_level_best(), 1);
    nkit_batch b = nkit_random(lengths, cfg.vocab_size, 5);
    nkit_label(&b, 3);
    mbs_model *m;
    mbs_session *s;
    double want = 0;
    int64_t right = 0;
    OK(mbs_net_model(k.net, &m, &err), &err);
    OK(mbs_session_new(m, 64, &s, &err), &err);
    for (int64_t i = 0; i < b.b.n_seq; i++) {
        int64_t n = b.starts[i + 1] - b.starts[i];
        float rows[64 * 12];
        float row[12] = {0};
        float prob[3];
        mbs_run_out out = {.hidden = rows, .layer = -1};
        OK(mbs_session_reset(s, &err), &err);
        OK(mbs_session_run(s, b.ids + b.starts[i], n, &out, &err), &err);
        for (int64_t r = pool == MBS_NET_LAST ? n - 1 : 0; r < n; r++) {
            for (int c = 0; c < 12; c++) {
                row[c] += rows[r * 12 + c] / (pool == MBS_NET_LAST ? 1.0f : (float)n);
            }
        }
        mbs_model_classify(m, row, NULL, prob);
        want -= log((double)prob[b.targets[i]]) * (double)b.weights[i];
        right += prob[b.targets[i]] >= fmaxf(prob[0], fmaxf(prob[1], prob[2]));
    }
    mbs_net_sums sums = {0};
    OK(mbs_net_loss(k.net, &b.b, &sums, &err), &err);
    CHECK(fabs(sums.loss - want) <= 2e-6 * want, "%.9g is not %.9g", sums.loss, want);
    CHECK(sums.scored == b.b.n_seq && sums.right == right);
    mbs_session_free(s);
    mbs_model_close(m);
    nkit_batch_free(&b);
    nkit_close(&k);
}

MBS_TEST(net_forms, class_loss_is_that_of_the_model) {
    class_of_model(MBS_NET_MEAN);
    class_of_model(MBS_NET_LAST);
}
