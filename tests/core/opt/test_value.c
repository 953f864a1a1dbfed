#include "support/test.h"

#include <locale.h>

#include "opt/value.h"

static int64_t int_of(const char *text) {
    int64_t v = -12345;
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_value_int(text, &v, &why) == 0, "'%s' %s", text, mbs_buf_str(&why));
    mbs_buf_free(&why);
    return v;
}

static double float_of(const char *text) {
    double v = -12345;
    CHECK(mbs_value_float(text, &v, NULL) == 0, "'%s'", text);
    return v;
}

static double seconds_of(const char *text) {
    double v = -12345;
    CHECK(mbs_value_duration(text, &v, NULL) == 0, "'%s'", text);
    return v;
}

MBS_TEST(value, whole_numbers) {
    CHECK_INT(int_of("0"), 0);
    CHECK_INT(int_of("+12"), 12);
    CHECK_INT(int_of("-3"), -3);
    CHECK_INT(int_of("007"), 7);
    CHECK_INT(int_of("1_000_000"), 1000000);
    CHECK_INT(int_of("64k"), 64000);
    CHECK_INT(int_of("64K"), 64000);
    CHECK_INT(int_of("64Ki"), 65536);
    CHECK_INT(int_of("4M"), 4000000);
    CHECK_INT(int_of("4Mi"), 4194304);
    CHECK_INT(int_of("2Gi"), 2147483648LL);
    CHECK_INT(int_of("3T"), 3000000000000LL);
    CHECK_INT(int_of("1.5M"), 1500000);
    CHECK_INT(int_of("0.5Ki"), 512);
    CHECK_INT(int_of("1e6"), 1000000);
    CHECK_INT(int_of("2.50e1"), 25);
    CHECK_INT(int_of("5.000000000000000000000000"), 5);
    CHECK_INT(int_of("0e99999"), 0);
    CHECK_INT(int_of("9223372036854775807"), INT64_MAX);
    CHECK_INT(int_of("-9223372036854775808"), INT64_MIN);
}

MBS_TEST(value, not_whole_numbers) {
    static const char *const bad[] = {"",    " ",    "1 ",   " 1",   "x",   "1x",  "0x10", "1.5",         "1e-1",
                                      "--1", "_1",   "1_",   "1__0", ".",   "-",   "e5",   "1e",          "5m",
                                      "5kb", "5Kib", "1Ki2", "inf",  "nan", "1,5", "5 k",  "\xC2\xA0\x31"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t v = 77;
        mbs_buf why = MBS_BUF_INIT;
        CHECK(mbs_value_int(bad[i], &v, &why) == -1, "'%s' was taken as %lld", bad[i], (long long)v);
        CHECK_INT(v, 77);
        CHECK(strstr(mbs_buf_str(&why), "must be a whole number"), "%s", mbs_buf_str(&why));
        mbs_buf_free(&why);
    }
    static const char *const large[] = {
        "9223372036854775808", "-9223372036854775809", "1e19", "9e99999", "8Ti00000000000", "10000000Ti"};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        int64_t v = 77;
        CHECK(mbs_value_int(large[i], &v, NULL) == -1, "'%s' was taken as %lld", large[i], (long long)v);
    }
    int64_t v = 77;
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_value_size("-3", &v, &why) == -1);
    CHECK_STR(mbs_buf_str(&why), "is '-3', must be a whole number of 0 or more");
    mbs_buf_free(&why);
}

MBS_TEST(value, numbers) {
    CHECK(float_of("0.5") == 0.5);
    CHECK(float_of(".5") == 0.5);
    CHECK(float_of("5.") == 5.0);
    CHECK(float_of("-1e-3") == -1e-3);
    CHECK(float_of("44.1k") == 44100.0);
    CHECK(float_of("2Ki") == 2048.0);
    CHECK(float_of("0.1") == 0.1);
    CHECK(float_of("1_000.25") == 1000.25);
    CHECK(float_of("1e3k") == 1e6);
    static const char *const bad[] = {"", "inf", "nan", "0x1p3", "1e999", "1..2", "abc", "1,5", "1.5x", "Infinity"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double v = 77;
        CHECK(mbs_value_float(bad[i], &v, NULL) == -1 && v == 77, "'%s' was taken as %g", bad[i], v);
    }
    char longer[4000];
    memset(longer, '7', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    double v = 77;
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_value_float(longer, &v, &why) == -1);
    CHECK(why.len < 200, "a message repeats %zu bytes of junk", why.len);
    mbs_buf_free(&why);
}

/* A user in Germany: the decimal comma of the locale must neither be needed nor produced. */
MBS_TEST(value, do_not_depend_on_the_locale) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8"};
    int found = 0;
    for (size_t i = 0; i < 4 && !found; i++) {
        found = setlocale(LC_ALL, names[i]) != NULL;
    }
    if (!found) {
        SKIP("no locale with a decimal comma on this machine");
    }
    mbs_buf b = MBS_BUF_INIT;
    mbs_value_put_float(&b, 0.25);
    CHECK_STR(mbs_buf_str(&b), "0.25");
    CHECK(float_of("0.25") == 0.25);
    mbs_buf_free(&b);
    setlocale(LC_ALL, "C");
}

MBS_TEST(value, durations) {
    CHECK(seconds_of("1.5") == 1.5);
    CHECK(seconds_of("100ms") == 0.1);
    CHECK(seconds_of("20us") == 20e-6);
    CHECK(seconds_of("2s") == 2);
    CHECK(seconds_of("3min") == 180);
    CHECK(seconds_of("1h") == 3600);
    static const char *const bad[] = {"", "-1", "5m", "1h30", "s", "1 s", "1e400"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double v = 77;
        CHECK(mbs_value_duration(bad[i], &v, NULL) == -1 && v == 77, "'%s' was taken as %g", bad[i], v);
    }
}

MBS_TEST(value, truth) {
    int v = -1;
    static const char *const yes[] = {"true", "yes", "on", "TRUE", "Yes", "On"};
    static const char *const no[] = {"false", "no", "off", "False", "NO", "OFF"};
    for (int i = 0; i < 6; i++) {
        CHECK(mbs_value_bool(yes[i], &v, NULL) == 0 && v == 1);
        CHECK(mbs_value_bool(no[i], &v, NULL) == 0 && v == 0);
    }
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_value_bool("1", &v, &why) == -1);
    CHECK_STR(mbs_buf_str(&why), "is '1', must be true or false");
    mbs_buf_free(&why);
}

MBS_TEST(value, words) {
    int v = -1;
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_value_enum("none", "gzip|none", &v, &why) == 0);
    CHECK_INT(v, 1);
    CHECK(mbs_value_enum("lz4", "gzip|none|all", &v, &why) == -1);
    CHECK_STR(mbs_buf_str(&why), "is 'lz4', must be gzip, none or all");
    mbs_buf_clear(&why);
    CHECK(mbs_value_enum("gzp", "gzip|none", &v, &why) == -1);
    CHECK_STR(mbs_buf_str(&why), "is 'gzp', must be gzip or none, did you mean 'gzip'?");
    CHECK(mbs_value_enum("gzip|none", "gzip|none", &v, NULL) == -1);
    CHECK(mbs_value_enum("", "gzip|none", &v, NULL) == -1);
    CHECK_INT(mbs_words_find(NULL, "x"), -1);
    mbs_buf_free(&why);
}

MBS_TEST(value, ranges) {
    mbs_buf why = MBS_BUF_INIT;
    CHECK(mbs_value_range("5", 5, 0, 5, NULL, &why) == 0 && why.len == 0);
    CHECK(mbs_value_range("-3", -3, 0, 1000, "bases", &why) == -1);
    CHECK_STR(mbs_buf_str(&why), "is -3, must be 0..1000 bases");
    mbs_buf_clear(&why);
    CHECK(mbs_value_range("0", 0, 1, 9.3e18, NULL, &why) == -1);
    CHECK_STR(mbs_buf_str(&why), "is 0, must be 1 or more");
    mbs_buf_free(&why);
}

MBS_TEST(value, floats_read_back) {
    static const double values[] = {0.1, 1.0 / 3, 1e300, 5e-324, -2.5, 0, 1e12, 123456789.123456789};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        mbs_buf b = MBS_BUF_INIT;
        mbs_value_put_float(&b, values[i]);
        CHECK(float_of(mbs_buf_str(&b)) == values[i], "%s", mbs_buf_str(&b));
        mbs_buf_free(&b);
    }
    mbs_buf b = MBS_BUF_INIT;
    mbs_value_put_float(&b, 0.1);
    CHECK_STR(mbs_buf_str(&b), "0.1");
    mbs_buf_free(&b);
}
