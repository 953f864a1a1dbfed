#include "base/buf.h"

#include "base/mem.h"
#include "support/child.h"
#include "support/test.h"

MBS_TEST(buf, appends) {
    mbs_buf b = MBS_BUF_INIT;
    CHECK_STR(mbs_buf_str(&b), "");
    mbs_buf_puts(&b, "chr");
    mbs_buf_putc(&b, '2');
    mbs_buf_printf(&b, ":%d-%s", 10, "20");
    mbs_buf_append(&b, NULL, 0);
    CHECK_STR(mbs_buf_str(&b), "chr2:10-20");
    CHECK_INT(b.len, 10);
    mbs_buf_clear(&b);
    CHECK_STR(mbs_buf_str(&b), "");
    for (int i = 0; i < 10000; i++) {
        mbs_buf_printf(&b, "%d,", i % 10);
    }
    CHECK_INT(b.len, 20000);
    CHECK(!b.failed && b.data[19998] == '9' && b.data[b.len] == '\0');
    mbs_buf_free(&b);
    CHECK(b.data == NULL && b.len == 0);
}

MBS_TEST(buf, little_endian_round_trip) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_put_u32(&b, 0x01020304u);
    mbs_buf_put_i64(&b, -2);
    mbs_buf_put_f64(&b, -0.1);
    mbs_buf_put_bytes(&b, "abc", 3);
    mbs_buf_put_bytes(&b, NULL, 0);
    static const unsigned char want[12] = {4, 3, 2, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    CHECK(memcmp(b.data, want, 12) == 0);
    mbs_cursor c = {(const unsigned char *)b.data, b.len, 0};
    CHECK_INT(mbs_cursor_u32(&c), 0x01020304);
    CHECK_INT(mbs_cursor_i64(&c), -2);
    double f = mbs_cursor_f64(&c);
    double want_f = -0.1;
    CHECK(memcmp(&f, &want_f, sizeof f) == 0);
    size_t n;
    const void *p = mbs_cursor_bytes(&c, &n);
    CHECK(n == 3 && memcmp(p, "abc", 3) == 0);
    p = mbs_cursor_bytes(&c, &n);
    CHECK(p != NULL && n == 0 && !c.failed && c.left == 0);
    CHECK_INT(mbs_cursor_u32(&c), 0);
    CHECK(c.failed);
    mbs_buf_free(&b);
}

MBS_TEST(buf, a_cut_or_lying_blob_fails) {
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_put_bytes(&b, "abcdef", 6);
    for (size_t cut = 0; cut < b.len; cut++) {
        mbs_cursor c = {(const unsigned char *)b.data, cut, 0};
        size_t n = 99;
        CHECK(mbs_cursor_bytes(&c, &n) == NULL && n == 0 && c.failed, "cut at %zu", cut);
        CHECK_INT(mbs_cursor_i64(&c), 0);
    }
    mbs_buf_clear(&b);
    mbs_buf_put_i64(&b, -1);
    mbs_cursor c = {(const unsigned char *)b.data, b.len, 0};
    size_t n;
    CHECK(mbs_cursor_bytes(&c, &n) == NULL && c.failed);
    mbs_buf_free(&b);
}

static int no_memory(void *arg) {
    (void)arg;
    mbs_buf b = MBS_BUF_INIT;
    mbs_buf_puts(&b, "kept"); /* the first allocation */
    for (int i = 0; i < 100; i++) {
        mbs_buf_puts(&b, "0123456789");
    }
    mbs_buf_put_u32(&b, 1);
    int good = b.failed && strncmp(mbs_buf_str(&b), "kept", 4) == 0 && strlen(mbs_buf_str(&b)) == b.len;
    mbs_buf_clear(&b);
    mbs_buf_puts(&b, "again");
    good = good && !b.failed && strcmp(b.data, "again") == 0;
    mbs_buf_free(&b);
    return good ? 0 : 1;
}

MBS_TEST(buf, failure_keeps_what_was_there) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)mbs_alloc_count() + 2);
    if (mbs_alloc_count() != 0) {
        SKIP("the rule was read already in this process");
    }
    setenv("MBS_ALLOC_FAIL_FROM", text, 1);
    CHECK_INT(test_child(no_memory, NULL), 0);
}
