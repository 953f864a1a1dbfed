/* What a pipeline may not be: too large, too deep, too much, not text. Refused at once, with a place. */
#include "load.h"
#include "pipe/yaml.h"
#include "support/test.h"
#include "support/tmp.h"

/* Seconds of the processor. An ordinary build needs 0.04 at most; libyaml alone would need minutes. */
#if defined(__SANITIZE_ADDRESS__)
#define AT_ONCE 10.0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AT_ONCE 10.0
#endif
#endif
#ifndef AT_ONCE
#define AT_ONCE 1.0
#endif

static const char good[] = "mambaseq: 1\n"
                           "reader: {plugin: fasta, path: a.fa}\n"
                           "model: {path: m, task: score}\n"
                           "writer: {plugin: table, path: a.tsv}\n";

static char folder[256];
static mbs_registry *registry;

static void begin(void) {
    test_tmp_enter(folder);
    registry = test_registry();
    CHECK(registry != NULL, "no registry");
}

static void end(void) {
    mbs_registry_free(registry);
    test_tmp_leave(folder);
}

/* `unit` over and over, up to `bytes`, as one file that must be refused with `says` (NULL: whatever) at once. */
static void refused(const char *unit, size_t bytes, const char *says) {
    mbs_buf text = MBS_BUF_INIT;
    while (text.len < bytes) {
        mbs_buf_puts(&text, unit);
    }
    test_loaded l;
    test_load(registry, text.data, bytes, NULL, 0, &l);
    CHECK(l.status == MBS_ERR_CONFIG, "\"%.20s\"...: %d", unit, l.status);
    CHECK(l.seconds < AT_ONCE, "\"%.20s\"...: %.3f s", unit, l.seconds);
    CHECK(!says || strstr(mbs_buf_str(&l.diags), says), "\"%.20s\"...: %.300s", unit, mbs_buf_str(&l.diags));
    CHECK(l.diags.len < 64000, "%zu bytes of words", l.diags.len);
    test_loaded_free(&l);
    mbs_buf_free(&text);
}

static void says(const char *text, size_t len, const char *expected) {
    test_loaded l;
    test_load(registry, text, len, NULL, 0, &l);
    CHECK_STR(mbs_buf_str(&l.diags), expected);
    test_loaded_free(&l);
}

MBS_TEST(limits, brackets) {
    begin();
    refused("[", 160 << 10, "score.yaml:1:65: error: nested more than 64 deep");
    refused("{", 160 << 10, NULL);
    refused("[[[[[[[{a: ", 160 << 10, "nested more than 64 deep");
    refused("- ", 160 << 10, "nested more than 64 deep");
    refused("? ", 160 << 10, NULL);
    end();
}

/* A megabyte of whatever a scanner might be slow with. */
MBS_TEST(limits, repeats) {
    begin();
    static const char *const units[] = {"[",
                                        "]",
                                        "{",
                                        "a: ",
                                        "a: b\n",
                                        "a",
                                        "a ",
                                        "\n",
                                        "- a\n",
                                        "\"",
                                        "'",
                                        "\\",
                                        "!",
                                        "!a ",
                                        "&",
                                        "&a ",
                                        "*",
                                        "*a\n",
                                        "%",
                                        "#",
                                        "# a\n",
                                        "|",
                                        ">\n ",
                                        "\t",
                                        ",",
                                        ":",
                                        "---\n",
                                        "...\n",
                                        "@",
                                        "a:\n",
                                        "? a\n",
                                        "[a, b], ",
                                        "{a: b}, ",
                                        "\"a\" ",
                                        "a\n\n",
                                        "'a': 'b'\n",
                                        "\xe9\xbc\xa0",
                                        "- - - a\n"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        refused(units[i], 1 << 20, NULL);
    }
    end();
}

MBS_TEST(limits, size) {
    begin();
    mbs_buf text = MBS_BUF_INIT;
    mbs_buf_puts(&text, good);
    mbs_buf_puts(&text, "#");
    while (text.len < 1 << 20) {
        mbs_buf_putc(&text, 'x');
    }
    test_loaded l;
    test_load(registry, text.data, text.len, NULL, 0, &l);
    CHECK(l.status == MBS_OK, "1 MiB: %s", mbs_buf_str(&l.diags));
    test_loaded_free(&l);
    mbs_buf_putc(&text, 'x');
    says(text.data, text.len,
         "score.yaml:1:1: error: larger than 1 MiB: this is not a pipeline: a file of data goes behind -i, as in 'run "
         "PIPELINE.yaml -i score.yaml'\n");
    mbs_buf_free(&text);
    end();
}

/* `n` brackets around nothing, as the value of an unknown key. */
static void nest(int n, int deep) {
    mbs_buf text = MBS_BUF_INIT;
    mbs_buf_puts(&text, good);
    mbs_buf_puts(&text, "x: ");
    for (int i = 0; i < n; i++) {
        mbs_buf_putc(&text, '[');
    }
    for (int i = 0; i < n; i++) {
        mbs_buf_putc(&text, ']');
    }
    test_loaded l;
    test_load(registry, text.data, text.len, NULL, 0, &l);
    CHECK_INT(strstr(mbs_buf_str(&l.diags), "nested more than 64 deep") != NULL, deep);
    CHECK_INT(strstr(mbs_buf_str(&l.diags), "'x' is not a part of a pipeline") != NULL, !deep);
    test_loaded_free(&l);
    mbs_buf_free(&text);
}

MBS_TEST(limits, depth) {
    begin();
    nest(63, 0); /* the root mapping is the first level */
    nest(64, 1);
    end();
}

MBS_TEST(limits, nodes) {
    begin();
    for (int over = 0; over < 2; over++) {
        mbs_buf text = MBS_BUF_INIT;
        mbs_buf_puts(&text, "mambaseq: 1\nx: [");
        /* The root, two keys, a scalar and the list itself are five. */
        for (int i = 0; i < MBS_YAML_MAX_NODES - 5 + over; i++) {
            mbs_buf_puts(&text, "a,");
        }
        mbs_buf_puts(&text, "]\n");
        test_loaded l;
        test_load(registry, text.data, text.len, NULL, 0, &l);
        CHECK_INT(strstr(mbs_buf_str(&l.diags), "more than 10000 values") != NULL, over);
        CHECK(l.seconds < AT_ONCE, "%.3f s", l.seconds);
        test_loaded_free(&l);
        mbs_buf_free(&text);
    }
    end();
}

MBS_TEST(limits, many_keys) {
    begin();
    mbs_buf text = MBS_BUF_INIT;
    mbs_buf_puts(&text, good);
    for (int i = 0; i < 4900; i++) {
        mbs_buf_printf(&text, "key_%d: x\n", i);
    }
    test_loaded l;
    test_load(registry, text.data, text.len, NULL, 0, &l);
    CHECK(strstr(mbs_buf_str(&l.diags), "score.yaml: 4850 more errors\n") != NULL, "%s", mbs_buf_str(&l.diags));
    CHECK_STR(l.err.what, "4900 errors");
    CHECK(l.seconds < AT_ONCE, "%.3f s", l.seconds);
    test_loaded_free(&l);
    mbs_buf_free(&text);
    end();
}

MBS_TEST(limits, billion_laughs) {
    begin();
    mbs_buf text = MBS_BUF_INIT;
    mbs_buf_puts(&text, "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for (char c = 'b'; c <= 'i'; c++) {
        mbs_buf_printf(&text, "%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c - 1, c - 1, c - 1,
                       c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    }
    test_loaded l;
    test_load(registry, text.data, text.len, NULL, 0, &l);
    CHECK(l.status == MBS_ERR_CONFIG, "%d", l.status);
    CHECK(strstr(mbs_buf_str(&l.diags), "score.yaml:1:4: error: '&' names an anchor in YAML") != NULL, "%s",
          mbs_buf_str(&l.diags));
    CHECK(strstr(mbs_buf_str(&l.diags), "score.yaml:2:8: error: '*' names an alias in YAML") != NULL, "%s",
          mbs_buf_str(&l.diags));
    CHECK(l.seconds < AT_ONCE, "%.3f s", l.seconds);
    test_loaded_free(&l);
    mbs_buf_free(&text);
    end();
}

#define SAYS(TEXT, EXPECTED) says(TEXT, sizeof(TEXT) - 1, EXPECTED)

MBS_TEST(limits, bytes_that_are_not_text) {
    begin();
    SAYS("mambaseq: 1\nreader: a\0b\n",
         "score.yaml:2:10: error: a NUL byte: this is not a text file\n    reader: a?b\n             ^\n");
    SAYS("mambaseq: 1\nx: \x1b[31m\n", "score.yaml:2:4: error: control byte 0x1b: delete it\n    x: ?[31m\n       ^\n");
    SAYS("x: a\x7f\n", "score.yaml:1:5: error: control byte 0x7f: delete it\n    x: a?\n        ^\n");
    SAYS("x: \xff\n", "score.yaml:1:4: error: byte 0xff is not UTF-8: save the file as UTF-8\n    x: ?\n       ^\n");
    SAYS("x: \xc0\x80\n",
         "score.yaml:1:4: error: byte 0xc0 is not UTF-8: save the file as UTF-8\n    x: ??\n       ^\n");
    SAYS("x: \xed\xa0\x80\n",
         "score.yaml:1:4: error: byte 0xed is not UTF-8: save the file as UTF-8\n    x: ???\n       ^\n");
    SAYS("x: \xe9\xbc", "score.yaml:1:4: error: byte 0xe9 is not UTF-8: save the file as UTF-8\n    x: ??\n       ^\n");
    SAYS("\xff\xfex\0:\0", "score.yaml:1:1: error: this looks like UTF-16: save it as UTF-8\n    ??x?:?\n    ^\n");
    SAYS("x: a\xc2\x85"
         "b\n",
         "score.yaml:1:5: error: invisible character U+0085: delete it\n    x: a?b\n        ^\n");
    SAYS("x: a\xe2\x80\xa8"
         "b\n",
         "score.yaml:1:5: error: invisible character U+2028: delete it\n    x: a\xe2\x80\xa8"
         "b\n        ^\n");
    SAYS("", "score.yaml:1:1: error: an empty pipeline: it begins with 'mambaseq: 1'\n");
    end();
}

MBS_TEST(limits, a_nul_byte_by_its_escape) {
    begin();
    static const char text[] = "mambaseq: 1\nreader: {plugin: fasta, path: \"a\\0b\"}\n"
                               "model: {path: m, task: score}\nwriter: {plugin: table, path: a.tsv}\n";
    says(text, sizeof text - 1,
         "score.yaml:2:31: error: a value cannot hold a NUL byte\n"
         "    reader: {plugin: fasta, path: \"a\\0b\"}\n                                  ^\n");
    end();
}

/* Escapes can bring control bytes into values: they are shown, never sent. */
MBS_TEST(limits, escapes_are_shown) {
    begin();
    static const char text[] = "mambaseq: 1\n\"a\\e[31m\": 1\n";
    test_loaded l;
    test_load(registry, text, sizeof text - 1, NULL, 0, &l);
    CHECK(strchr(mbs_buf_str(&l.diags), '\x1b') == NULL, "an escape byte came through");
    CHECK(strstr(mbs_buf_str(&l.diags), "'a\\x1b[31m' is not a part") != NULL, "%s", mbs_buf_str(&l.diags));
    test_loaded_free(&l);
    mbs_plan_set set = {"reader.path", "\x1b]0;x\x07", 0, "--set"};
    test_load(registry, good, sizeof good - 1, &set, 1, &l);
    CHECK(strchr(mbs_buf_str(&l.diags), '\x1b') == NULL, "an escape byte came through");
    CHECK(strstr(mbs_buf_str(&l.diags), "--set reader.path=\\x1b]0;x\\x07: error: control byte 0x1b") != NULL, "%s",
          mbs_buf_str(&l.diags));
    test_loaded_free(&l);
    end();
}

MBS_TEST(limits, line_ends_and_byte_order_mark) {
    begin();
    static const char dos[] = "\xef\xbb\xbfmambaseq: 1\r\nreader: {plugin: fasta, pth: a.fa}\r\n"
                              "model: {path: m, task: score}\r\nwriter: {plugin: table, path: a.tsv}\r\n";
    says(dos, sizeof dos - 1,
         "score.yaml:2:25: error: reader 'fasta': 'pth' is not a parameter, did you mean 'path'?\n"
         "    reader: {plugin: fasta, pth: a.fa}\n                            ^\n");
    end();
}
