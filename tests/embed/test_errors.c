/* What a program that embeds the runtime can do wrong, and what can be wrong around it: an answer, never an end. */
#include "kit.h"
#include "support/child.h"
#include "support/tmp.h"

#define N 50

/* There under the address sanitizer only. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* A copy of the shipped model in the current folder, its weights cut to `keep` bytes (0: whole), and four bytes at
 * `at` from the end replaced by those of `value` (0: none). */
static void copy_model(const char *folder, long keep, long at, float value) {
    static const char *const names[] = {"config.json", "model.safetensors"};
    CHECK(mkdir(folder, 0755) == 0);
    for (int i = 0; i < 2; i++) {
        char from[512];
        char to[512];
        snprintf(from, sizeof from, ECOLI "/%s", names[i]);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        FILE *in = fopen(from, "rb");
        FILE *out = fopen(to, "wb");
        CHECK(in && out);
        static char bytes[4 << 20];
        size_t n = fread(bytes, 1, sizeof bytes, in);
        if (i == 1 && at > 0) {
            memcpy(bytes + n - at, &value, sizeof value);
        }
        n = i == 1 && keep > 0 ? (size_t)keep : n;
        CHECK(fwrite(bytes, 1, n, out) == n);
        fclose(in);
        fclose(out);
    }
}

MBS_TEST(embed, folders_that_are_no_models) {
    char dir[256];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    test_tmp_enter(dir);
    CHECK(mkdir("empty", 0755) == 0);
    copy_model("cut", 100000, 0, 0);
    copy_model("nan", 0, 400, (float)NAN);
    const struct {
        const char *folder;
        mbs_status status;
        const char *says;
    } cases[] = {
        {"nowhere\n", MBS_ERR_NOINPUT, "no such folder"},
        {"empty", MBS_ERR_NOINPUT, "config.json"},
        {"cut", MBS_ERR_DATA, "bytes"},
        {"nan", MBS_ERR_DATA, "backbone."}, /* names the tensor */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mbs_lm *lm = (mbs_lm *)&err;
        char line[2600];
        CHECK_INT(mbs_lm_open(cases[i].folder, NULL, &lm, &err), cases[i].status);
        CHECK(!lm && err.status == cases[i].status && err.where[0], "case %zu", i);
        mbs_lm_error_line(&err, line, sizeof line);
        CHECK(strstr(line, cases[i].says) && !strchr(line, '\n'), "%s", line);
        CHECK_INT(mbs_lm_open(cases[i].folder, NULL, &lm, NULL), cases[i].status);
    }
    test_tmp_leave(dir);
}

MBS_TEST(embed, options_that_cannot_be_had) {
    struct {
        mbs_lm_options o;
        uint64_t younger;
    } grown = {.o = MBS_LM_OPTIONS_INIT};
    mbs_lm *lm;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_options o[5];
    const mbs_status wanted[5] = {MBS_ERR_USAGE, MBS_ERR_USAGE, MBS_ERR_CONFIG, MBS_ERR_CONFIG, MBS_ERR_USAGE};
    for (int i = 0; i < 5; i++) {
        o[i] = (mbs_lm_options)MBS_LM_OPTIONS_INIT;
    }
    o[0].threads = -1;
    o[1].level = "avx1024";
    o[2].dtype = "f64";
    o[3].math = "f16";
    o[4].struct_size = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_INT(mbs_lm_open(ECOLI, &o[i], &lm, &err), wanted[i]);
        CHECK(!lm && err.what[0], "option %d", i);
    }
    /* A program of a younger header: fine while it does not use what this library does not know. */
    grown.o.struct_size = sizeof grown;
    grown.o.threads = 1;
    OK(mbs_lm_open(ECOLI, &grown.o, &lm, &err));
    mbs_lm_close(lm);
    grown.younger = 1;
    CHECK_INT(mbs_lm_open(ECOLI, &grown.o, &lm, &err), MBS_ERR_UNAVAILABLE);
    CHECK(strstr(err.what, mbs_lm_version()) && strstr(err.fix, "header"), "%s; %s", err.what, err.fix);
}

MBS_TEST(embed, a_null_is_refused_by_name) {
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_facts facts = {.struct_size = sizeof facts};
    mbs_lm_out out = MBS_LM_OUT_INIT;
    char bytes[8] = "";
    char sha[65];
    float row[V];
    size_t n = 0;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = kit_stream(lm);
    mbs_lm_stream *t = NULL;
    const int32_t id = 7;
#define REFUSED(CALL, FUNCTION, SAYS)                                                                                  \
    do {                                                                                                               \
        CHECK_INT(CALL, MBS_ERR_USAGE);                                                                                \
        CHECK_STR(err.where, FUNCTION);                                                                                \
        CHECK(strstr(err.what, SAYS), "%s: %s", FUNCTION, err.what);                                                   \
    } while (0)
    REFUSED(mbs_lm_open(NULL, NULL, &lm, &err), "mbs_lm_open", "folder is NULL");
    REFUSED(mbs_lm_open(ECOLI, NULL, NULL, &err), "mbs_lm_open", "out is NULL");
    CHECK(lm == NULL);
    REFUSED(mbs_lm_get_facts(NULL, &facts, &err), "mbs_lm_get_facts", "model is NULL");
    REFUSED(mbs_lm_sha256(NULL, sha, &err), "mbs_lm_sha256", "model is NULL");
    REFUSED(mbs_lm_stream_new(NULL, 0, &t, &err), "mbs_lm_stream_new", "model is NULL");
    REFUSED(mbs_lm_reset(NULL, &err), "mbs_lm_reset", "stream is NULL");
    REFUSED(mbs_lm_feed(NULL, &id, 1, NULL, &err), "mbs_lm_feed", "stream is NULL");
    REFUSED(mbs_lm_feed(s, NULL, 1, NULL, &err), "mbs_lm_feed", "ids is NULL");
    REFUSED(mbs_lm_feed(s, &id, -1, NULL, &err), "mbs_lm_feed", "negative");
    out.last_logits = row;
    REFUSED(mbs_lm_feed(s, &id, 0, &out, &err), "mbs_lm_feed", "mbs_lm_predict");
    out.layer = 5;
    REFUSED(mbs_lm_feed(s, &id, 1, &out, &err), "mbs_lm_feed", "no layer 5");
    REFUSED(mbs_lm_predict(s, NULL, &err), "mbs_lm_predict", "logits is NULL");
    REFUSED(mbs_lm_predict(s, row, &err), "mbs_lm_predict", "nothing was fed");
    REFUSED(mbs_lm_fork(NULL, &t, &err), "mbs_lm_fork", "stream is NULL");
    REFUSED(mbs_lm_fork(s, NULL, &err), "mbs_lm_fork", "out is NULL");
    REFUSED(mbs_lm_copy(s, NULL, &err), "mbs_lm_copy", "stream is NULL");
    REFUSED(mbs_lm_copy(NULL, s, &err), "mbs_lm_copy", "stream is NULL");
    REFUSED(mbs_lm_save(s, NULL, 8, &err), "mbs_lm_save", "bytes is NULL");
    REFUSED(mbs_lm_restore(NULL, bytes, 8, &err), "mbs_lm_restore", "stream is NULL");
    REFUSED(mbs_lm_read_state(s, 0, NULL, 5, &n, &err), "mbs_lm_read_state", "out is NULL");
    REFUSED(mbs_lm_read_state(s, 0, row, 5, NULL, &err), "mbs_lm_read_state", "n is NULL");
    CHECK_INT(mbs_lm_tokens(NULL), -1);
    mbs_lm_close(NULL);
    mbs_lm_stream_free(NULL);
    OK(mbs_lm_feed(s, &id, 1, NULL, &err)); /* after all that the stream is what it was, and the error gone */
    CHECK(err.where[0] == '\0' && err.what[0] == '\0' && mbs_lm_tokens(s) == 1);
    mbs_lm_stream_free(s);
}

MBS_TEST(embed, a_token_out_of_range_leaves_the_stream_alone) {
    float before[V];
    float after[V];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    int32_t ids[N];
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s;
    kit_ids(ids, N);
    OK(mbs_lm_stream_new(lm, 4, &s, &err));
    OK(mbs_lm_feed(s, ids, 20, NULL, &err));
    OK(mbs_lm_predict(s, before, &err));
    for (int k = 0; k < 2; k++) {
        ids[33] = k ? -1 : V;
        CHECK_INT(mbs_lm_feed(s, ids + 20, N - 20, NULL, &err), MBS_ERR_DATA);
        CHECK(strstr(err.what, k ? "token 33 of the sequence has id -1" : "has id 16, the model knows 0 to 15"), "%s",
              err.what);
        CHECK(strstr(err.fix, "vocabulary"), "%s", err.fix);
    }
    CHECK_INT(mbs_lm_tokens(s), 20);
    OK(mbs_lm_predict(s, after, &err));
    CHECK(memcmp(before, after, sizeof before) == 0);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}

MBS_TEST(embed, bytes_that_are_not_this_models_state) {
    char dir[256];
    float before[V];
    float after[V];
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_facts facts = {.struct_size = sizeof facts};
    int32_t ids[N];
    mbs_lm *other;
    mbs_lm *lm = kit_open(1);
    mbs_lm_stream *s = kit_stream(lm);
    kit_ids(ids, N);
    OK(mbs_lm_get_facts(lm, &facts, &err));
    size_t size = (size_t)facts.state_bytes;
    char *bytes = malloc(size);
    OK(mbs_lm_feed(s, ids, N, NULL, &err));
    OK(mbs_lm_save(s, bytes, size, &err));
    OK(mbs_lm_predict(s, before, &err));
    const struct {
        size_t at;
        size_t n;
        const char *says;
    } bad[] = {{0, size, "is not one"},    {8, size, "version"},      {12, size, "another model"},
               {5000, size, "is damaged"}, {size, size - 1, "bytes"}, {size, 0, "is not one"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (bad[i].at < size) {
            bytes[bad[i].at] = (char)(bytes[bad[i].at] ^ 1);
        }
        CHECK_INT(mbs_lm_restore(s, bytes, bad[i].n, &err), MBS_ERR_DATA);
        CHECK(strstr(err.what, bad[i].says), "%s", err.what);
        if (bad[i].at < size) {
            bytes[bad[i].at] = (char)(bytes[bad[i].at] ^ 1);
        }
        OK(mbs_lm_predict(s, after, &err));
        CHECK(memcmp(before, after, sizeof before) == 0 && mbs_lm_tokens(s) == N);
    }
    /* Weights that differ in one number are another model. */
    test_tmp_enter(dir);
    copy_model("changed", 0, 400, 0.125F);
    OK(mbs_lm_open("changed", NULL, &other, &err));
    test_tmp_leave(dir);
    mbs_lm_stream *stranger = kit_stream(other);
    CHECK_INT(mbs_lm_restore(stranger, bytes, size, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "another model") && err.fix[0], "%s", err.what);
    CHECK_INT(mbs_lm_copy(stranger, s, &err), MBS_ERR_USAGE);
    CHECK(strstr(err.what, "two models"), "%s", err.what);
    CHECK_INT(mbs_lm_tokens(stranger), 0);
    mbs_lm_stream_free(stranger);
    mbs_lm_close(other);
    /* So is one with another norm: the same weights give another state. */
    test_tmp_enter(dir);
    copy_model("norm", 0, 0, 0);
    FILE *config = fopen("norm/config.json", "r+");
    char text[4096] = "";
    CHECK(config && fread(text, 1, sizeof text - 1, config) > 0);
    char *eps = strstr(text, "1e-05");
    CHECK(eps);
    eps[0] = '2';
    rewind(config);
    CHECK(fputs(text, config) >= 0 && fclose(config) == 0);
    OK(mbs_lm_open("norm", NULL, &other, &err));
    test_tmp_leave(dir);
    stranger = kit_stream(other);
    CHECK_INT(mbs_lm_restore(stranger, bytes, size, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "another model"), "%s", err.what);
    mbs_lm_stream_free(stranger);
    mbs_lm_close(other);
    free(bytes);
    mbs_lm_stream_free(s);
    mbs_lm_close(lm);
}

MBS_TEST(embed, the_line_of_an_error_fits_anywhere) {
    char line[16];
    mbs_lm *lm;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    mbs_lm_error old = {.struct_size = 8};
    CHECK_STR(mbs_lm_error_line(&err, line, sizeof line), "");
    CHECK_INT(mbs_lm_open("nowhere", NULL, &lm, &err), MBS_ERR_NOINPUT);
    CHECK_STR(mbs_lm_error_line(&err, line, sizeof line), "nowhere: no suc");
    CHECK(mbs_lm_error_line(&err, NULL, 0) == NULL);
    CHECK_INT(mbs_lm_open("nowhere", NULL, &lm, &old), MBS_ERR_NOINPUT);
    CHECK(old.what[0] == '\0', "an error without its size was written");
}

/* --- every allocation fails once ---------------------------------------------------------------------------------- */

static mbs_status work(mbs_lm **lm, mbs_lm_stream **s, mbs_lm_stream **fork, mbs_lm_error *err) {
    static char bytes[1 << 20];
    int32_t ids[N];
    mbs_lm_options o = MBS_LM_OPTIONS_INIT;
    mbs_lm_sampling how = MBS_LM_SAMPLING_INIT;
    mbs_lm_facts facts = {.struct_size = sizeof facts};
    o.threads = 2;
    kit_ids(ids, N);
    mbs_status st = mbs_lm_open(ECOLI, &o, lm, err);
    st = st < 0 ? st : mbs_lm_get_facts(*lm, &facts, err);
    st = st < 0 ? st : mbs_lm_stream_new(*lm, 8, s, err);
    st = st < 0 ? st : mbs_lm_feed(*s, ids, N, NULL, err);
    st = st < 0 ? st : mbs_lm_fork(*s, fork, err);
    st = st < 0 ? st : mbs_lm_save(*s, bytes, sizeof bytes, err);
    st = st < 0 ? st : mbs_lm_restore(*fork, bytes, (size_t)facts.state_bytes, err);
    how.max_tokens = 2;
    return st < 0 ? st : mbs_lm_generate(*fork, &how, ids, NULL, NULL, err);
}

/* 0: all was done; 71: out of memory, said and cleaned up; else wrong. */
static int attempt(void *arg) {
    mbs_lm *lm = NULL;
    mbs_lm_stream *s = NULL;
    mbs_lm_stream *fork = NULL;
    mbs_lm_error err = MBS_LM_ERROR_INIT;
    setenv("MBS_ALLOC_FAIL_AT", arg, 1);
    mbs_status st = work(&lm, &s, &fork, &err);
    mbs_lm_stream_free(fork);
    mbs_lm_close(lm);
    mbs_lm_stream_free(s);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check()) {
        return 2;
    }
    int said = strstr(err.what, "memory") || strstr(err.what, "cannot start");
    return st == MBS_OK ? 0 : st == MBS_ERR_MEMORY && said ? 71 : 3;
}

MBS_TEST(embed, every_allocation_may_fail) {
    int refused = 0;
    int good = 0;
    for (int k = 1; good < 12; k++) { /* some can do without: that so many in a row do means that the last is behind */
        char text[16];
        snprintf(text, sizeof text, "%d", k);
        int code = test_child(attempt, text);
        CHECK(code == 0 || code == 71, "allocation %d: %d", k, code);
        good = code == 0 ? good + 1 : 0;
        refused += code == 71;
    }
    CHECK(refused > 60, "only %d allocations failed", refused);
}
