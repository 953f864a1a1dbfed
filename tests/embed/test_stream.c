/* A stream through the library: what it gives does not depend on how it is fed, and its state is a value. */
#include "kit.h"

#define N 300

static int same(const void *a, const void *b, size_t floats) {
    return memcmp(a, b, floats * sizeof(float)) == 0;
}

MBS_TEST(embed, what_comes_out_is_the_same_for_any_cut) {
    static float logprob[2][N], logits[2][N * V], hidden[2][N * D], last[V], row[D], next[V];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    int32_t ids[N];
    kit_ids(ids, N);
    for (int way = 0; way < 2; way++) {
        mbs_lm *lm = kit_open(1 + way);
        mbs_lm_stream *s;
        OK(mbs_lm_stream_new(lm, way ? 7 : 0, &s, &err)); /* rows that do not divide what is fed */
        for (int64_t at = 0; at < N;) {
            int64_t n = way ? (at % 50) + 1 : N;
            n = n < N - at ? n : N - at;
            mbs_lm_out out = MBS_LM_OUT_INIT;
            out.logprob = logprob[way] + at;
            out.logits = logits[way] + at * V;
            out.hidden = hidden[way] + at * D;
            out.last_logits = last;
            out.last_hidden = row;
            OK(mbs_lm_feed(s, ids + at, n, &out, &err));
            at += n;
            CHECK_INT(mbs_lm_tokens(s), at);
            CHECK(same(last, logits[way] + (at - 1) * V, V) && same(row, hidden[way] + (at - 1) * D, D));
            OK(mbs_lm_predict(s, next, &err));
            CHECK(same(next, last, V));
        }
        mbs_lm_stream_free(s);
        mbs_lm_close(lm);
    }
    CHECK(same(logprob[0], logprob[1], N) && same(logits[0], logits[1], N * V) && same(hidden[0], hidden[1], N * D));
    CHECK(isnan(logprob[0][0]));
    for (int t = 1; t < N; t++) { /* a token's log-probability is the softmax of the row before it */
        const float *x = logits[0] + (t - 1) * V;
        double sum = 0;
        for (int i = 0; i < V; i++) {
            sum += exp((double)x[i]);
        }
        CHECK(fabs((double)x[ids[t]] - log(sum) - (double)logprob[0][t]) < 1e-5, "token %d", t);
    }
}

MBS_TEST(embed, layers_can_be_chosen_and_nothing_is_fine) {
    static float at_0[N * D], at_4[N * D], last[D];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_out out = MBS_LM_OUT_INIT;
    int32_t ids[N];
    kit_ids(ids, N);
    ids[9] = ids[4];
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = kit_stream(lm);
    out.layer = 0;
    out.hidden = at_0;
    OK(mbs_lm_feed(s, ids, N, &out, &err));
    CHECK(same(at_0 + 9 * D, at_0 + 4 * D, D)); /* an embedding knows its token only */
    OK(mbs_lm_reset(s, &err));
    CHECK_INT(mbs_lm_tokens(s), 0);
    out.layer = 4;
    out.hidden = at_4;
    out.last_hidden = last;
    OK(mbs_lm_feed(s, ids, N, &out, &err));
    CHECK(!same(at_4 + 9 * D, at_4 + 4 * D, D) && same(last, at_4 + (N - 1) * D, D));
    OK(mbs_lm_feed(s, ids, 10, NULL, &err));
    OK(mbs_lm_feed(s, NULL, 0, NULL, &err));
    CHECK_INT(mbs_lm_tokens(s), N + 10);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}

MBS_TEST(embed, a_fork_goes_on_as_a_run_from_the_beginning) {
    float forked[N], whole[N], first[N];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_stream *fork;
    int32_t ids[N], other[N];
    kit_ids(ids, N);
    memcpy(other, ids, sizeof ids);
    other[120] = ids[120] == 7 ? 8 : 7;
    mbs_lm *lm = kit_open(2);
    mbs_lm_stream *s = kit_stream(lm);
    kit_feed(s, ids, 120, first);
    OK(mbs_lm_fork(s, &fork, &err));
    CHECK_INT(mbs_lm_tokens(fork), 120);
    kit_feed(s, ids + 120, N - 120, first + 120); /* what the one is fed, the other does not see */
    kit_feed(fork, other + 120, N - 120, forked + 120);
    mbs_lm_stream *again = kit_stream(lm);
    kit_feed(again, other, N, whole);
    CHECK(same(forked + 120, whole + 120, N - 120));
    CHECK(!same(first + 121, whole + 121, N - 121));
    /* The same into a stream that is there. */
    OK(mbs_lm_reset(again, &err));
    OK(mbs_lm_reset(s, &err));
    kit_feed(s, other, 200, first);
    OK(mbs_lm_copy(again, s, &err));
    OK(mbs_lm_copy(again, again, &err));
    kit_feed(again, other + 200, N - 200, forked + 200);
    CHECK(same(forked + 200, whole + 200, N - 200));
    /* What a fork came from may go, the model's handle too. */
    mbs_lm_stream_free(s);
    mbs_lm_stream_free(again);
    mbs_lm_close(lm);
    OK(mbs_lm_reset(fork, &err));
    kit_feed(fork, other, N, first);
    CHECK(same(first + 1, whole + 1, N - 1));
    mbs_lm_stream_free(fork);
}

MBS_TEST(embed, saved_bytes_continue_elsewhere) {
    float whole[N], rest[N];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_facts facts = {.struct_size = sizeof facts};
    int32_t ids[N];
    kit_ids(ids, N);
    mbs_lm *lm = kit_open(1);
    mbs_lm *elsewhere = kit_open(2);
    mbs_lm_stream *s = kit_stream(lm);
    mbs_lm_stream *other = kit_stream(elsewhere);
    OK(mbs_lm_get_facts(lm, &facts, &err));
    size_t size = (size_t)facts.state_bytes;
    char *bytes = malloc(size + 1);
    kit_feed(s, ids, 100, whole);
    bytes[size] = 'x';
    OK(mbs_lm_save(s, bytes, size + 1, &err));
    CHECK(bytes[size] == 'x', "more than state_bytes was written");
    kit_feed(s, ids + 100, N - 100, whole + 100);
    kit_feed(other, ids, 33, rest);
    OK(mbs_lm_restore(other, bytes, size, &err));
    CHECK_INT(mbs_lm_tokens(other), 100);
    kit_feed(other, ids + 100, N - 100, rest + 100);
    CHECK(same(whole + 100, rest + 100, N - 100));
    CHECK(mbs_lm_save(s, bytes, size - 1, &err) == MBS_ERR_USAGE && strstr(err.what, "room for"));
    free(bytes);
    mbs_lm_stream_free(s);
    mbs_lm_stream_free(other);
    mbs_lm_close(lm);
    mbs_lm_close(elsewhere);
}

MBS_TEST(embed, a_layers_state_is_conv_then_ssm) {
    enum { CONV = 256 * 4, ALL = 256 * (4 + 16) };
    static float state[ALL], later[ALL];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    int32_t ids[N];
    size_t n = 0;
    kit_ids(ids, N);
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = kit_stream(lm);
    OK(mbs_lm_read_state(s, 3, NULL, 0, &n, &err));
    CHECK_INT(n, ALL);
    OK(mbs_lm_read_state(s, 3, state, ALL, &n, &err));
    for (int i = 0; i < ALL; i++) {
        CHECK(state[i] == 0.0F, "float %d of a beginning", i);
    }
    kit_feed(s, ids, 50, later);
    OK(mbs_lm_read_state(s, 3, state, ALL, &n, &err));
    kit_feed(s, ids + 50, 1, later);
    OK(mbs_lm_read_state(s, 3, later, ALL, &n, &err));
    for (int c = 0; c < 256; c++) { /* a token later every channel's window has moved by one */
        CHECK(same(state + c * 4 + 1, later + c * 4, 3), "channel %d", c);
    }
    CHECK(!same(state + CONV, later + CONV, ALL - CONV));
    memset(state, 0, sizeof state);
    OK(mbs_lm_read_state(s, 3, state, 5, &n, &err));
    CHECK(same(state, later, 5) && state[5] == 0.0F && n == ALL);
    CHECK(mbs_lm_read_state(s, 4, state, ALL, &n, &err) == MBS_ERR_USAGE);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}

MBS_TEST(embed, facts_are_those_of_the_folder) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_facts f = {.struct_size = sizeof f};
    char sha[65];
    mbs_lm *lm = kit_open(2);
    OK(mbs_lm_get_facts(lm, &f, &err));
    CHECK(f.threads == 2 && f.vocab_size == 16 && f.vocab_rows == V && f.d_model == D && f.n_layer == 4);
    CHECK(f.parameters == 468608 && f.bos == 2 && f.eos == 1 && f.pad == 4);
    CHECK_STR(f.model_type, "mamba");
    CHECK_STR(f.dtype, "f32");
    CHECK(strncmp(f.arithmetic, "cpu/", 4) == 0 && strstr(f.arithmetic, "/f32"), "%s", f.arithmetic);
    OK(mbs_lm_sha256(lm, sha, &err));
    CHECK_INT(strlen(sha), 64);
    mbs_lm_close(lm);
}

MBS_TEST(embed, weights_are_held_and_multiplied_as_told) {
    static const char *const ways[5][3] = {{"f32", "f32", "cpu/ref/f32"},
                                           {"auto", "f32", "cpu/ref/f32"},
                                           {"bf16", "f32", "cpu/ref/f32"},
                                           {"int8", "f32", "cpu/ref/f32"},
                                           {"bf16", "bf16", "cpu/ref/bf16"}};
    float logprob[5][N];
    int64_t bytes[5];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_facts f = {.struct_size = sizeof f};
    int32_t ids[N];
    kit_ids(ids, N);
    for (int i = 0; i < 5; i++) {
        mbs_lm *lm;
        mbs_lm_options o = MBS_LM_OPTIONS_INIT;
        o.level = "ref";
        o.dtype = ways[i][0];
        o.math = ways[i][1];
        OK(mbs_lm_open(ECOLI, &o, &lm, &err));
        OK(mbs_lm_get_facts(lm, &f, &err));
        CHECK_STR(f.arithmetic, ways[i][2]);
        CHECK_STR(f.dtype, i == 1 ? "f32" : ways[i][0]);
        bytes[i] = f.weight_bytes;
        mbs_lm_stream *s = kit_stream(lm);
        kit_feed(s, ids, N, logprob[i]);
        mbs_lm_stream_free(s);
        mbs_lm_close(lm);
    }
    CHECK(same(logprob[0] + 1, logprob[1] + 1, N - 1));
    CHECK(bytes[0] > bytes[2] * 3 / 2 && bytes[2] > bytes[3] && bytes[2] == bytes[4]);
    for (int i = 2; i < 5; i++) { /* other numbers, but near ones */
        CHECK(!same(logprob[0] + 1, logprob[i] + 1, N - 1));
        for (int t = 1; t < N; t++) {
            CHECK(fabsf(logprob[0][t] - logprob[i][t]) < 0.5F, "%s/%s, token %d", ways[i][0], ways[i][1], t);
        }
    }
}
