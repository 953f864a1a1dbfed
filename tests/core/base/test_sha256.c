#include "base/sha256.h"

#include "support/test.h"

static void check_of(const char *text, const char *want) {
    char hex[65];
    mbs_sha256_of(text, strlen(text), hex);
    CHECK_STR(hex, want);
}

/* FIPS 180-4's own examples. */
MBS_TEST(sha256, known_sums) {
    check_of("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_of("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
             "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
             "nopqrstu",
             "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

MBS_TEST(sha256, a_million_in_pieces) {
    static char a[1000];
    memset(a, 'a', sizeof a);
    mbs_sha256 s;
    mbs_sha256_init(&s);
    size_t left = 1000000;
    for (size_t n = 0; left > 0; n = (n * 7 + 1) % 1000) {
        size_t take = n < left ? n : left;
        mbs_sha256_add(&s, a, take);
        left -= take;
    }
    mbs_sha256_add(&s, NULL, 0);
    char hex[65];
    mbs_sha256_hex(&s, hex);
    CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the block and padding edges, whole and byte by byte. */
MBS_TEST(sha256, pieces_do_not_matter) {
    unsigned char data[200];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * 31 + 7);
    }
    for (size_t len = 0; len <= sizeof data; len++) {
        char whole[65];
        char bytes[65];
        mbs_sha256_of(data, len, whole);
        mbs_sha256 s;
        mbs_sha256_init(&s);
        for (size_t i = 0; i < len; i++) {
            mbs_sha256_add(&s, data + i, 1);
        }
        mbs_sha256_hex(&s, bytes);
        CHECK_STR(bytes, whole);
    }
}
