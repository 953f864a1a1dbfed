#include "support/test.h"

#include "base/log.h"
#include "plug/params.h"
#include "support/tmp.h"

static const mbs_param rows[] = {
    MBS_PARAM_REQUIRED("path", MBS_PARAM_PATHS, NULL, "files to read"),
    MBS_PARAM("soft", MBS_PARAM_BOOL, "no", "keep a soft mask"),
    MBS_PARAM_RANGE("level", MBS_PARAM_INT, "6", -1, 9, NULL, "how hard to try"),
    {sizeof(mbs_param), MBS_PARAM_SIZE, MBS_PARAM_F_RANGE, 0, "flank", "1024", 0, 1e12, "all|none", "bases",
     "read before a region"},
    MBS_PARAM_RANGE("rate", MBS_PARAM_FLOAT, NULL, 1, 192000, "Hz", "sampling rate"),
    MBS_PARAM("name", MBS_PARAM_STRING, "x", "any text"),
    {sizeof(mbs_param), MBS_PARAM_PATH, 0, 0, "vocab", "auto", 0, 0, "auto|caduceus|songlab", NULL, "or a file"},
    MBS_PARAM_WORDS("policy", "unk", "unk|skip|error", "what to do with N"),
    MBS_PARAM("wait", MBS_PARAM_DURATION, "100ms", "how long"),
    {sizeof(mbs_param), MBS_PARAM_LIST, MBS_PARAM_F_RANGE, 0, "regions", "[a, b c]", 1, 3, NULL, NULL, "where"},
    MBS_PARAM_OUTPUT("out", "where it goes"),
    MBS_PARAM("offset", MBS_PARAM_SIZE, NULL, "no range told"),
};
#define N (uint32_t)(sizeof rows / sizeof rows[0])

static mbs_status set(mbs_params *p, const char *key, const char *text, mbs_buf *why) {
    mbs_buf_clear(why);
    return mbs_params_set(p, key, &text, 1, 0, why);
}

static void refuse(mbs_params *p, const char *key, const char *text, const char *words) {
    mbs_buf why = MBS_BUF_INIT;
    mbs_status rc = set(p, key, text, &why);
    CHECK(rc == MBS_ERR_CONFIG, "%s: %s gives %d", key, text, (int)rc);
    CHECK_STR(mbs_buf_str(&why), words);
    mbs_buf_free(&why);
}

static void accept(mbs_params *p, const char *key, const char *text) {
    mbs_buf why = MBS_BUF_INIT;
    CHECK(set(p, key, text, &why) == MBS_OK, "%s", mbs_buf_str(&why));
    CHECK(why.len == 0);
    mbs_buf_free(&why);
}

MBS_TEST(params, defaults_are_there) {
    mbs_params *p = mbs_params_new(rows, N);
    CHECK_INT(mbs_params_bool(p, "soft"), 0);
    CHECK_INT(mbs_params_int(p, "level"), 6);
    CHECK_INT(mbs_params_int(p, "flank"), 1024);
    CHECK(mbs_params_float(p, "wait") == 0.1);
    CHECK_STR(mbs_params_string(p, "policy"), "unk");
    CHECK_STR(mbs_params_string(p, "vocab"), "auto");
    CHECK_INT(mbs_params_count(p, "regions"), 2);
    CHECK_STR(mbs_params_item(p, "regions", 1), "b c");
    CHECK(mbs_params_is_set(p, "level") && !mbs_params_told(p, "level"));
    CHECK(!mbs_params_is_set(p, "rate"));
    CHECK_STR(mbs_params_missing(p), "path");
    mbs_params_free(p);
    mbs_params *none = mbs_params_new(NULL, 0);
    CHECK(mbs_params_missing(none) == NULL);
    mbs_params_free(none);
}

MBS_TEST(params, values_of_every_type) {
    mbs_params *p = mbs_params_new(rows, N);
    accept(p, "soft", "on");
    CHECK_INT(mbs_params_bool(p, "soft"), 1);
    accept(p, "level", "-1");
    CHECK_INT(mbs_params_int(p, "level"), -1);
    accept(p, "flank", "64Ki");
    CHECK_INT(mbs_params_int(p, "flank"), 65536);
    CHECK(mbs_params_string(p, "flank") == NULL);
    accept(p, "flank", "all");
    CHECK_STR(mbs_params_string(p, "flank"), "all");
    CHECK_INT(mbs_params_int(p, "flank"), 0);
    accept(p, "rate", "44.1k");
    CHECK(mbs_params_float(p, "rate") == 44100);
    accept(p, "name", "");
    CHECK_STR(mbs_params_string(p, "name"), "");
    accept(p, "vocab", "songlab");
    CHECK_STR(mbs_params_string(p, "vocab"), "songlab");
    accept(p, "wait", "2min");
    CHECK(mbs_params_float(p, "wait") == 120);
    accept(p, "regions", "chr1:1-5");
    CHECK_INT(mbs_params_count(p, "regions"), 1);
    const char *three[] = {"a", "b", "c"};
    CHECK(mbs_params_set(p, "regions", three, 3, 1, NULL) == MBS_OK);
    CHECK_STR(mbs_params_item(p, "regions", 2), "c");
    CHECK(mbs_params_item(p, "regions", 3) == NULL && mbs_params_item(p, "regions", -1) == NULL);
    CHECK(mbs_params_told(p, "regions"));
    accept(p, "path", "-");
    accept(p, "out", "-");
    CHECK_STR(mbs_params_string(p, "out"), "-");
    CHECK(mbs_params_missing(p) == NULL);
    mbs_params_free(p);
}

MBS_TEST(params, refusals_say_what_would_do) {
    mbs_params *p = mbs_params_new(rows, N);
    refuse(p, "pth", "x", "'pth' is not a parameter, did you mean 'path'?");
    refuse(p, "quite_else", "x", "'quite_else' is not a parameter");
    refuse(p, "soft", "maybe", "'soft' is 'maybe', must be true or false");
    refuse(p, "level", "10", "'level' is 10, must be -1..9");
    refuse(p, "flank", "-3", "'flank' is -3, must be 0..1e12 bases, or all or none");
    refuse(p, "flank", "al",
           "'flank' is 'al', must be a whole number such as 12, 64k or 4Mi, or all or none, did you mean 'all'?");
    refuse(p, "offset", "-3", "'offset' is -3, must be 0 or more");
    refuse(p, "rate", "0.5", "'rate' is 0.5, must be 1..192000 Hz");
    refuse(p, "policy", "skp", "'policy' is 'skp', must be unk, skip or error, did you mean 'skip'?");
    refuse(p, "wait", "soon", "'wait' is 'soon', must be a time such as 1.5, 100ms, 2s, 3min or 1h");
    refuse(p, "path", "", "'path' is empty, must be a file name");
    refuse(p, "level", "", "'level' is '', must be a whole number such as 12, 64k or 4Mi");
    const char *two[] = {"1", "2"};
    mbs_buf why = MBS_BUF_INIT;
    CHECK_INT(mbs_params_set(p, "level", two, 2, 1, &why), MBS_ERR_CONFIG);
    CHECK_STR(mbs_buf_str(&why), "'level' is a list, must be one whole number");
    mbs_buf_clear(&why);
    const char *four[] = {"1", "2", "3", "4"};
    CHECK_INT(mbs_params_set(p, "regions", four, 4, 1, &why), MBS_ERR_CONFIG);
    CHECK_STR(mbs_buf_str(&why), "'regions' has 4 items, must have 1..3");
    mbs_buf_clear(&why);
    CHECK_INT(mbs_params_set(p, "regions", four, 0, 1, &why), MBS_ERR_CONFIG);
    mbs_buf_free(&why);
    CHECK_INT(mbs_params_int(p, "level"), 6);
    CHECK_STR(mbs_params_string(p, "policy"), "unk");
    CHECK(!mbs_params_told(p, "policy"));
    mbs_params_free(p);
}

MBS_TEST(params, null_is_as_if_not_told) {
    mbs_params *p = mbs_params_new(rows, N);
    accept(p, "level", "3");
    accept(p, "rate", "5");
    CHECK(mbs_params_set(p, "level", NULL, 0, 0, NULL) == MBS_OK);
    CHECK(mbs_params_set(p, "rate", NULL, 0, 0, NULL) == MBS_OK);
    CHECK_INT(mbs_params_int(p, "level"), 6);
    CHECK(!mbs_params_told(p, "level") && !mbs_params_is_set(p, "rate"));
    accept(p, "path", "-");
    CHECK(mbs_params_set(p, "path", NULL, 0, 0, NULL) == MBS_OK);
    CHECK_STR(mbs_params_missing(p), "path");
    mbs_params_free(p);
}

MBS_TEST(params, a_glob_is_its_files_in_order) {
    char dir[256];
    test_tmp_enter(dir);
    test_tmp_write("b.fa", "");
    test_tmp_write("B.fa", "");
    test_tmp_write("a.fa", "");
    test_tmp_write("a.txt", "");
    test_tmp_write("odd[1].fa", "");
    mbs_params *p = mbs_params_new(rows, N);
    accept(p, "path", "[abB].fa");
    CHECK_INT(mbs_params_count(p, "path"), 3);
    CHECK_STR(mbs_params_item(p, "path", 0), "B.fa"); /* byte order, in any locale */
    CHECK_STR(mbs_params_item(p, "path", 2), "b.fa");
    accept(p, "path", "odd[1].fa"); /* a file of that very name */
    CHECK_INT(mbs_params_count(p, "path"), 1);
    CHECK_STR(mbs_params_item(p, "path", 0), "odd[1].fa");
    const char *both[] = {"a.txt", "?.fa"};
    CHECK(mbs_params_set(p, "path", both, 2, 1, NULL) == MBS_OK);
    CHECK_INT(mbs_params_count(p, "path"), 4);
    CHECK_STR(mbs_params_item(p, "path", 0), "a.txt");
    mbs_buf why = MBS_BUF_INIT;
    CHECK_INT(set(p, "path", "*.bam", &why), MBS_ERR_NOINPUT);
    CHECK_STR(mbs_buf_str(&why), "'path' is '*.bam': no file matches it");
    CHECK_INT(mbs_params_count(p, "path"), 4);
    mbs_buf_free(&why);
    accept(p, "out", "*.bam"); /* no glob: a name to write */
    CHECK_STR(mbs_params_string(p, "out"), "*.bam");
    mbs_params_free(p);
    test_tmp_leave(dir);
}

MBS_TEST(params, share_is_resolved_and_remembered_as_written) {
    setenv("MAMBASEQ_SHARE", "/somewhere/share", 1);
    mbs_params *p = mbs_params_new(rows, N);
    accept(p, "vocab", "share:models/x/vocab.txt");
    CHECK_STR(mbs_params_string(p, "vocab"), "/somewhere/share/models/x/vocab.txt");
    mbs_buf out = MBS_BUF_INIT;
    mbs_params_canonical(p, 0, &out);
    CHECK(strstr(mbs_buf_str(&out), "vocab: share:models/x/vocab.txt"), "%s", mbs_buf_str(&out));
    mbs_buf_free(&out);
    mbs_params_free(p);
    unsetenv("MAMBASEQ_SHARE");
}

/* The same values give the same text however they were written: it is stored in results and compared on resume. */
MBS_TEST(params, canonical_form) {
    mbs_params *p = mbs_params_new(rows, N);
    mbs_params *q = mbs_params_new(rows, N);
    accept(p, "flank", "2k");
    accept(q, "flank", "2_000");
    accept(p, "path", "a.fa");
    const char *one[] = {"a.fa"};
    CHECK(mbs_params_set(q, "path", one, 1, 1, NULL) == MBS_OK);
    accept(p, "soft", "yes");
    accept(q, "soft", "TRUE");
    accept(p, "wait", "1min");
    accept(q, "wait", "60");
    accept(p, "rate", "16k");
    accept(q, "rate", "1.6e4");
    accept(p, "name", "a \"b\": #c");
    accept(q, "name", "a \"b\": #c");
    accept(p, "out", "one.tsv");
    accept(q, "out", "two.tsv");
    mbs_buf a = MBS_BUF_INIT;
    mbs_buf b = MBS_BUF_INIT;
    mbs_params_canonical(p, 0, &a);
    mbs_params_canonical(q, 0, &b);
    CHECK_STR(mbs_buf_str(&a), mbs_buf_str(&b));
    CHECK_STR(mbs_buf_str(&a), "path: [a.fa], soft: true, level: 6, flank: 2000, rate: 16000, "
                               "name: \"a \\\"b\\\": #c\", vocab: auto, policy: unk, wait: 60, regions: [a, \"b c\"]");
    mbs_buf_clear(&a);
    mbs_params_canonical(p, 1, &a);
    CHECK(strstr(mbs_buf_str(&a), ", out: one.tsv"), "%s", mbs_buf_str(&a));
    accept(p, "name", "null");
    accept(p, "flank", "all");
    mbs_buf_clear(&a);
    mbs_params_canonical(p, 0, &a);
    CHECK(strstr(mbs_buf_str(&a), "flank: all") && strstr(mbs_buf_str(&a), "name: \"null\""), "%s", mbs_buf_str(&a));
    mbs_buf_free(&a);
    mbs_buf_free(&b);
    mbs_params_free(p);
    mbs_params_free(q);
}

MBS_TEST(params, a_plugin_that_asks_wrongly_is_told) {
    mbs_buf log = MBS_BUF_INIT;
    mbs_log_capture(&log);
    mbs_params *p = mbs_params_new(rows, N);
    CHECK_INT(mbs_params_int(p, "levle"), 0);
    CHECK(strstr(mbs_buf_str(&log), "'levle'"), "%s", mbs_buf_str(&log));
    mbs_buf_clear(&log);
    CHECK(mbs_params_float(p, "level") == 0);
    CHECK(strstr(mbs_buf_str(&log), "'level' as a number"), "%s", mbs_buf_str(&log));
    mbs_buf_clear(&log);
    CHECK(mbs_params_string(p, "regions") == NULL);
    CHECK(log.len > 0);
    CHECK(mbs_params_string(NULL, "x") == NULL);
    mbs_log_capture(NULL);
    mbs_buf_free(&log);
    mbs_params_free(p);
}

/* A plugin of a newer minor has longer rows: struct_size is the stride. */
MBS_TEST(params, longer_rows_are_walked) {
    struct longer {
        mbs_param row;
        const char *since;
    } table[2] = {{rows[1], "9.9"}, {rows[2], "9.9"}};
    table[0].row.struct_size = table[1].row.struct_size = sizeof table[0];
    mbs_params *p = mbs_params_new(&table[0].row, 2);
    CHECK_INT(mbs_params_int(p, "level"), 6);
    accept(p, "level", "2");
    CHECK_INT(mbs_params_int(p, "level"), 2);
    mbs_params_free(p);
}
