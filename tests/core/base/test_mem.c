#include "base/mem.h"

#include "support/child.h"
#include "support/test.h"

MBS_TEST(mem, checked_arithmetic) {
    size_t n = 7;
    CHECK(mbs_mul_overflow(SIZE_MAX / 2 + 1, 2, &n));
    CHECK(mbs_add_overflow(SIZE_MAX, 1, &n));
    CHECK_INT(n, 7);
    CHECK(!mbs_mul_overflow(1 << 20, 1 << 20, &n));
    CHECK(n == (size_t)1 << 40);
    int64_t i = 7;
    /* The shape with which a checkpoint once made a reader allocate four elements. */
    CHECK(!mbs_mul_i64_overflow(4194305, 4194305, &i));
    CHECK(mbs_mul_i64_overflow(i, 211106198978564, &i));
    CHECK_INT(i, (int64_t)4194305 * 4194305);
    CHECK(mbs_add_i64_overflow(INT64_MIN, -1, &i));
}

MBS_TEST(mem, impossible_sizes_give_null) {
    CHECK(mbs_calloc(SIZE_MAX / 4, 8) == NULL);
    CHECK(mbs_alloc(SIZE_MAX) == NULL);
    CHECK(mbs_realloc(NULL, SIZE_MAX) == NULL);
    size_t cap = 4;
    void *p = mbs_alloc(32);
    CHECK(mbs_grow(p, &cap, SIZE_MAX / 4, 8) == NULL);
    CHECK_INT(cap, 4);
    mbs_free(p);
    void *zero = mbs_alloc(0);
    CHECK(zero != NULL);
    mbs_free(zero);
    zero = mbs_calloc(0, 8);
    CHECK(zero != NULL);
    mbs_free(zero);
}

MBS_TEST(mem, grow_doubles_and_keeps) {
    int *a = NULL;
    size_t cap = 0;
    uint64_t before = mbs_alloc_count();
    for (size_t i = 0; i < 100000; i++) {
        int *b = mbs_grow(a, &cap, i + 1, sizeof *a);
        CHECK(b != NULL);
        a = b;
        a[i] = (int)i;
    }
    CHECK(mbs_alloc_count() - before < 20, "%llu", (unsigned long long)(mbs_alloc_count() - before));
    for (int i = 0; i < 100000; i++) {
        CHECK(a[i] == i);
    }
    mbs_free(a);
}

MBS_TEST(mem, strings) {
    char *s = mbs_strdup("genome");
    CHECK_STR(s, "genome");
    mbs_free(s);
    s = mbs_strndup("genome", 3);
    CHECK_STR(s, "gen");
    mbs_free(s);
    s = mbs_strndup("ab", 10);
    CHECK_STR(s, "ab");
    mbs_free(s);
}

MBS_TEST(mem, arena_is_aligned_zeroed_and_stable) {
    mbs_arena *a = mbs_arena_new();
    char *first = mbs_arena_strdup(a, "first");
    unsigned char *p[300];
    for (size_t i = 0; i < 300; i++) {
        size_t size = (i * 997) % 40000;
        p[i] = mbs_arena_alloc(a, size);
        CHECK(p[i] != NULL && (uintptr_t)p[i] % 16 == 0);
        for (size_t k = 0; k < size; k++) {
            CHECK(p[i][k] == 0);
        }
        memset(p[i], (int)i, size);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t k = 0; k < (i * 997) % 40000; k++) {
            CHECK(p[i][k] == (unsigned char)i, "block %zu was written over", i);
        }
    }
    CHECK_STR(first, "first");
    CHECK(mbs_arena_alloc(a, SIZE_MAX) == NULL);
    CHECK(mbs_arena_alloc(a, SIZE_MAX - 20) == NULL);
    mbs_arena_free(a);
    mbs_arena_free(NULL);
}

/* The rule is read once, so each case is a process of its own. Exit code: a bit for each of five allocations made. */
static int five(void *arg) {
    (void)arg;
    int bits = 0;
    for (int i = 0; i < 5; i++) {
        void *p = mbs_alloc(1);
        bits |= (p != NULL) << i;
        mbs_free(p);
    }
    return bits;
}

MBS_TEST(mem, chosen_allocations_fail) {
    /* This process has made no allocation yet under Criterion; the count is what the rule is about. */
    char text[32];
    unsigned long long next = (unsigned long long)mbs_alloc_count() + 1;
    if (next != 1) {
        SKIP("the rule was read already in this process");
    }
    snprintf(text, sizeof text, "%llu", next + 1);
    setenv("MBS_ALLOC_FAIL_AT", text, 1);
    CHECK_INT(test_child(five, NULL), 0x1d);
    unsetenv("MBS_ALLOC_FAIL_AT");
    setenv("MBS_ALLOC_FAIL_FROM", text, 1);
    CHECK_INT(test_child(five, NULL), 0x01);
    setenv("MBS_ALLOC_FAIL_FROM", "0", 1);
    CHECK_INT(test_child(five, NULL), 0x1f);
}
