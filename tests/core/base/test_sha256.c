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

/* Whatever the processor has: the known sums above go one way, so that the other is held to it. */
MBS_TEST(sha256, plain_blocks_are_the_same) {
    unsigned char data[64 * 5 + 1];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof data; i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (unsigned char)(seed >> 24);
    }
    for (size_t count = 0; count <= 5; count++) {
        for (size_t shift = 0; shift < 2; shift++) {
            uint32_t fast[8];
            uint32_t plain[8];
            for (size_t i = 0; i < 8; i++) {
                seed = seed * 1664525 + 1013904223;
                fast[i] = plain[i] = seed ^ seed >> 16;
            }
            mbs_sha256_blocks(fast, data + shift, count);
            mbs_sha256_blocks_plain(plain, data + shift, count);
            CHECK(memcmp(fast, plain, sizeof fast) == 0);
        }
    }
    /* "abc" in one padded block, FIPS 180-4. */
    unsigned char abc[64] = {'a', 'b', 'c', 0x80, [63] = 24};
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static const uint32_t want[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                     0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    mbs_sha256_blocks_plain(h, abc, 1);
    CHECK(memcmp(h, want, sizeof h) == 0);
}
