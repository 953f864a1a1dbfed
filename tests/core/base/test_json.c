#include "base/json.h"

#include <locale.h>

#include "base/buf.h"
#include "support/test.h"
#include "support/tmp.h"

static mbs_json *parse(const char *text) {
    mbs_json *doc = NULL;
    mbs_err err = {0};
    mbs_json_parse("config.json", text, strlen(text), &doc, &err);
    CHECK(doc != NULL, "%s: %s", err.where, err.what);
    return doc;
}

MBS_TEST(json, config_getters) {
    mbs_json *doc =
        parse("{\"d_model\": 256, \"eps\": 1e-05, \"tie\": true, \"type\": \"mamba\", \"dt_rank\": \"auto\","
              " \"time_step_rank\": 16, \"pad\": null, \"archs\": [\"A\", null, 3], \"sub\": {\"n\": 2.0},"
              " \"limit\": [0.0, Infinity], \"neg\": -Infinity, \"nan\": NaN}");
    mbs_err err = {0};
    CHECK_INT(mbs_json_int(doc, "d_model", 0, &err), 256);
    CHECK_INT(mbs_json_int(doc, "none", 7, &err), 7);
    CHECK_INT(mbs_json_int(doc, "pad", 8, &err), 8); /* null is as missing */
    CHECK(mbs_json_has(doc, "pad") && !mbs_json_has(doc, "none"));
    CHECK_INT(mbs_json_int_in(doc, "d_model", 0, 1, 65536, &err), 256);
    CHECK_INT(mbs_json_int_auto(doc, "dt_rank", 0, 160, &err), 160);
    CHECK_INT(mbs_json_int_auto(doc, "time_step_rank", 0, 160, &err), 16);
    CHECK_INT(mbs_json_int_auto(doc, "none", 5, 160, &err), 5);
    CHECK(mbs_json_double(doc, "eps", 0, &err) == 1e-5);
    CHECK(mbs_json_double(doc, "d_model", 0, &err) == 256.0);
    CHECK(isinf(mbs_json_double(doc, "neg", 0, &err)) && mbs_json_double(doc, "neg", 0, &err) < 0);
    CHECK(isnan(mbs_json_double(doc, "nan", 0, &err)));
    CHECK_INT(mbs_json_bool(doc, "tie", 0, &err), 1);
    CHECK_STR(mbs_json_string(doc, "type", "", &err), "mamba");
    const mbs_json *limit = mbs_json_array(doc, "limit", &err);
    double d = 0;
    CHECK_INT(mbs_json_len(limit), 2);
    CHECK(mbs_json_as_double(mbs_json_at(limit, 1), &d) && isinf(d));
    CHECK(mbs_json_at(limit, 2) == NULL);
    const mbs_json *archs = mbs_json_array(doc, "archs", &err);
    CHECK_INT(mbs_json_kind_of(mbs_json_at(archs, 1)), MBS_JSON_NULL);
    CHECK_INT(mbs_json_kind_of(mbs_json_at(archs, 2)), MBS_JSON_INT);
    CHECK_INT(mbs_json_int(mbs_json_object(doc, "sub", &err), "n", 0, &err), 2);
    CHECK(mbs_json_object(doc, "none", &err) == NULL);
    CHECK_INT(mbs_json_need(doc, "type", &err), MBS_OK);
    CHECK_INT(err.status, MBS_OK);
    mbs_json_free(doc);
}

static void wrong(mbs_err *err, const char *want) {
    CHECK_INT(err->status, MBS_ERR_DATA);
    CHECK_STR(err->what, want);
    mbs_err_clear(err);
}

MBS_TEST(json, wrong_types_are_named) {
    mbs_json *doc = parse("{\"i\": \"12\", \"f\": 1.5, \"n\": 0, \"big\": 9223372036854775808, \"o\": {}, \"a\": [],"
                          "\"z\": \"a\\u0000b\", \"min\": -99999999999999999999}");
    mbs_err err = {0};
    CHECK_INT(mbs_json_int(doc, "i", 3, &err), 3);
    wrong(&err, "'i': an integer is wanted, not \"12\"");
    CHECK_INT(mbs_json_int(doc, "f", 3, &err), 3);
    wrong(&err, "'f': an integer is wanted, not 1.5");
    CHECK_INT(mbs_json_int(doc, "big", 3, &err), 3);
    CHECK_INT(err.status, MBS_ERR_DATA);
    mbs_err_clear(&err);
    CHECK_INT(mbs_json_int(doc, "min", 3, &err), 3);
    CHECK_INT(err.status, MBS_ERR_DATA);
    mbs_err_clear(&err);
    CHECK_INT(mbs_json_int_in(doc, "n", 3, 1, 9, &err), 3);
    wrong(&err, "'n': 0 is not in 1..9");
    CHECK_INT(mbs_json_int_auto(doc, "i", 3, 4, &err), 3);
    wrong(&err, "'i': an integer or \"auto\" is wanted, not \"12\"");
    mbs_json_bool(doc, "n", 0, &err);
    wrong(&err, "'n': true or false is wanted, not 0");
    mbs_json_double(doc, "o", 0, &err);
    wrong(&err, "'o': a number is wanted, not an object");
    CHECK(mbs_json_object(doc, "a", &err) == NULL);
    wrong(&err, "'a': an object is wanted, not a list");
    CHECK_STR(mbs_json_string(doc, "z", "dflt", &err), "dflt");
    CHECK_INT(err.status, MBS_ERR_DATA);
    mbs_err_clear(&err);
    mbs_json_need(doc, "gone", &err);
    wrong(&err, "'gone' is missing");
    mbs_json_free(doc);
}

static void refused(const char *text, size_t len, const char *where, const char *what) {
    mbs_json *doc = NULL;
    mbs_err err = {0};
    CHECK_INT(mbs_json_parse("c.json", text, len, &doc, &err), MBS_ERR_DATA);
    CHECK(doc == NULL);
    CHECK_STR(err.where, where);
    CHECK(strstr(err.what, what) != NULL, "%s", err.what);
}

#define REFUSED(TEXT, WHERE, WHAT) refused(TEXT, sizeof TEXT - 1, WHERE, WHAT)

MBS_TEST(json, bad_text_is_placed) {
    REFUSED("{\n  \"a\": 1\n  \"b\": 2}", "c.json:3:3", "not valid JSON: object value separator ',' expected");
    REFUSED("{\"a\": 1", "c.json:1:8", "ends in the middle");
    REFUSED("", "c.json:1:1", "empty");
    REFUSED("  \n", "c.json:2:1", "ends in the middle");
    REFUSED("null", "c.json", "nothing but null");
    REFUSED("{} x", "c.json:1:4", "not valid JSON");
    REFUSED("{\"a\": 1,}", "c.json:1:9", "not valid JSON");
    REFUSED("[1,]", "c.json:1:4", "not valid JSON");
    REFUSED("{\"a\":\0 1}", "c.json:1:6", "NUL");
    REFUSED("[\"\xff\"]", "c.json:1:3", "not valid JSON");
    REFUSED("['a']", "c.json:1:2", "not valid JSON");
}

MBS_TEST(json, depth_is_bounded) {
    static char text[200001];
    memset(text, '[', 200000);
    mbs_json *doc = NULL;
    mbs_err err = {0};
    CHECK_INT(mbs_json_parse("c.json", text, 200000, &doc, &err), MBS_ERR_DATA);
    CHECK(strstr(err.what, "nested too deep") != NULL, "%s", err.what);
    memset(text + 60, ']', 60);
    CHECK_INT(mbs_json_parse("c.json", text, 120, &doc, NULL), MBS_OK);
    mbs_json_free(doc);
}

MBS_TEST(json, any_cut_is_refused) {
    static const char text[] =
        "{\"a\": [1, 2.5, -3e2, true, null, \"x\\u00e9\\n\"], \"b\": {\"c\": NaN, \"d\": -Infinity}}";
    for (size_t cut = 0; cut + 1 < sizeof text; cut++) {
        mbs_json *doc = NULL;
        mbs_err err = {0};
        CHECK_INT(mbs_json_parse("c", text, cut, &doc, &err), MBS_ERR_DATA);
        CHECK(doc == NULL && err.what[0]);
    }
}

MBS_TEST(json, members_in_order) {
    mbs_json *doc = parse("{\"z\": 1, \"a\": null, \"m\": \"x\"}");
    mbs_buf keys = MBS_BUF_INIT;
    int nulls = 0;
    for (mbs_json_iter it = mbs_json_first(doc); it.key; mbs_json_next(&it)) {
        mbs_buf_puts(&keys, it.key);
        nulls += it.value == NULL;
    }
    CHECK_STR(mbs_buf_str(&keys), "zam");
    mbs_buf_free(&keys);
    CHECK_INT(nulls, 1);
    CHECK_INT(mbs_json_len(doc), 3);
    CHECK(mbs_json_first(NULL).key == NULL && mbs_json_len(NULL) == 0 && mbs_json_get(NULL, "a") == NULL);
    mbs_json_free(doc);
}

MBS_TEST(json, numbers_ignore_the_locale) {
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) {
        SKIP("no locale with a decimal comma here");
    }
    mbs_json *doc = parse("{\"x\": 2.5}");
    CHECK(mbs_json_double(doc, "x", 0, NULL) == 2.5);
    mbs_json_free(doc);
    setlocale(LC_ALL, "C");
}

MBS_TEST(json, load_names_the_file) {
    char dir[256];
    test_tmp_enter(dir);
    mbs_json *doc;
    mbs_err err = {0};
    test_tmp_write("config.json", "{\"a\": 1}\n");
    CHECK_INT(mbs_json_load("config.json", MBS_JSON_MAX, &doc, &err), MBS_OK);
    CHECK_INT(mbs_json_int(doc, "a", 0, &err), 1);
    mbs_json_free(doc);
    CHECK_INT(mbs_json_load("config.json", 4, &doc, &err), MBS_ERR_DATA);
    mbs_err_clear(&err);
    CHECK_INT(mbs_json_load("gone.json", 4, &doc, &err), MBS_ERR_NOINPUT);
    CHECK_STR(err.where, "gone.json");
    test_tmp_leave(dir);
}

MBS_TEST(json, writing_reads_back) {
    mbs_buf b = MBS_BUF_INIT;
    static const double values[] = {0.1, 1e-5, 65536, 1.0 / 3, 5e-324, -1.7976931348623157e308, 256, 0};
    mbs_buf_puts(&b, "[");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        mbs_json_put_double(&b, values[i]);
        mbs_buf_puts(&b, ",");
    }
    CHECK(strncmp(b.data, "[0.1,1e-05,65536,", 17) == 0, "%s", b.data);
    mbs_json_put_string(&b, "a\"\\\n\x1f\xc3\xa9/");
    mbs_buf_puts(&b, ",");
    mbs_json_put_string(&b, "\xff");
    mbs_buf_puts(&b, ",");
    mbs_json_put_double(&b, (double)NAN);
    mbs_buf_puts(&b, "]");
    mbs_json *doc = parse(b.data);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        double d = 1;
        CHECK(mbs_json_as_double(mbs_json_at(doc, i), &d) && memcmp(&d, &values[i], sizeof d) == 0, "%zu: %g", i, d);
    }
    const char *s = "";
    CHECK(mbs_json_as_string(mbs_json_at(doc, 8), &s));
    CHECK_STR(s, "a\"\\\n\x1f\xc3\xa9/");
    CHECK(mbs_json_as_string(mbs_json_at(doc, 9), &s));
    CHECK_STR(s, "\xef\xbf\xbd");
    CHECK(mbs_json_at(doc, 10) == NULL);
    mbs_json_free(doc);
    mbs_buf_free(&b);
}
