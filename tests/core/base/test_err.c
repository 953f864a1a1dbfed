#include "base/err.h"

#include <errno.h>

#include "base/text.h"
#include "support/test.h"

MBS_TEST(err, first_error_wins) {
    mbs_err err = {0};
    CHECK_INT(mbs_fail(&err, MBS_ERR_DATA, "reader 'fasta': a.fa:12", "not a record: line starts with '%c'", '%'), -65);
    CHECK_INT(mbs_fail(&err, MBS_ERR_IO, "later", "later"), -74);
    CHECK_INT(err.status, MBS_ERR_DATA);
    mbs_err_kept(&err, "%s was not touched", "out.h5");
    mbs_err_fix(&err, "check the path");
    mbs_err_fix(&err, "something else");
    char line[2048];
    mbs_err_line(&err, line, sizeof line);
    CHECK_STR(line,
              "reader 'fasta': a.fa:12: not a record: line starts with '%'; out.h5 was not touched; check the path");
}

MBS_TEST(err, where_is_put_in_front) {
    mbs_err err = {0};
    mbs_err_where(&err, "nothing to add to");
    CHECK_STR(err.where, "");
    mbs_fail(&err, MBS_ERR_DATA, NULL, "bad");
    mbs_err_where(&err, "a.fa:%d", 3);
    mbs_err_where(&err, "reader 'fasta'");
    char line[256];
    mbs_err_line(&err, line, sizeof line);
    CHECK_STR(line, "reader 'fasta': a.fa:3: bad");
}

MBS_TEST(err, errno_survives_a_long_text) {
    mbs_err err = {0};
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK_INT(mbs_fail_errno(&err, MBS_ERR_IO, ENOSPC, text, "%s", text), -74);
    CHECK_STR(err.what + strlen(err.what) - 26, "x: No space left on device");
    for (int i = 0; i < 9; i++) {
        mbs_err_where(&err, "%s", text);
    }
    CHECK_INT(strlen(err.where), sizeof err.where - 1);
    char small[16];
    mbs_err_line(&err, small, sizeof small);
    CHECK_INT(strlen(small), 15);
}

MBS_TEST(err, null_err_still_answers) {
    CHECK_INT(mbs_fail(NULL, MBS_ERR_USAGE, NULL, "x"), -64);
    CHECK_INT(mbs_fail_errno(NULL, MBS_ERR_IO, EIO, NULL, "x"), -74);
    mbs_err_fix(NULL, "x");
    mbs_err_kept(NULL, "x");
    mbs_err_where(NULL, "x");
    mbs_err_clear(NULL);
}

MBS_TEST(err, memory_and_exit_codes) {
    mbs_err err = {0};
    CHECK_INT(mbs_fail_memory(&err, "weights", 123), MBS_ERR_MEMORY);
    CHECK(strstr(err.what, "123 bytes") != NULL, "%s", err.what);
    CHECK(err.fix[0] != '\0');
    CHECK_INT(mbs_exit_code(MBS_ERR_MEMORY), 71);
    CHECK_INT(mbs_exit_code(MBS_OK), 0);
    CHECK_INT(mbs_exit_code(MBS_END), 0);
}

MBS_TEST(err, control_bytes_are_escaped) {
    mbs_err err = {0};
    mbs_fail(&err, MBS_ERR_DATA, "a\x1b[2J.fa", "record '\r\n\x7f'");
    char line[256];
    mbs_err_line(&err, line, sizeof line);
    CHECK_STR(line, "a\\x1b[2J.fa: record '\\x0d\\x0a\\x7f'");
}

static const char *escaped(const char *text, size_t len) {
    static char out[256];
    mbs_text_escape(out, sizeof out, text, len);
    return out;
}

MBS_TEST(text, utf8_passes_and_the_rest_does_not) {
    CHECK_STR(escaped("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xb5", 14), "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xb5");
    CHECK_STR(escaped("\xc2\x9b"
                      "2J",
                      4),
              "\\xc2\\x9b2J"); /* the C1 form of ESC [ */
    CHECK_STR(escaped("\x9b", 1), "\\x9b");
    CHECK_STR(escaped("\xc0\x9b", 2), "\\xc0\\x9b");          /* overlong */
    CHECK_STR(escaped("\xed\xa0\x80", 3), "\\xed\\xa0\\x80"); /* a surrogate */
    CHECK_STR(escaped("\xe2\x82", 2), "\\xe2\\x82");          /* cut */
    CHECK_STR(escaped("a\0b", 3), "a\\x00b");
}

MBS_TEST(text, cut_at_a_whole_escape) {
    char out[8];
    CHECK_INT(mbs_text_escape(out, sizeof out, "ab\x01\x02", 4), 6);
    CHECK_STR(out, "ab\\x01");
    CHECK_INT(mbs_text_escape(out, 1, "ab", 2), 0);
    CHECK_STR(out, "");
}
