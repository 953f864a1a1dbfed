/*
 * test.h - one way to write a test body for both runners: Criterion, and the plain runner (tests/support/runner.c) that
 * ThreadSanitizer needs, since Criterion 2.4.1 cannot start under it.
 *
 *   MBS_TEST(buf, grows) { CHECK(b.len == 3, "length %zu", b.len); }
 */
#ifndef MBS_TEST_H
#define MBS_TEST_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MBS_TEST_PLAIN

typedef struct mbs_test_case {
    const char *suite;
    const char *name;
    void (*body)(void);
    struct mbs_test_case *next;
} mbs_test_case;
void mbs_test_register(mbs_test_case *c);
void mbs_test_failed(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), noreturn));
void mbs_test_skip(const char *why) __attribute__((noreturn));

#define MBS_TEST(SUITE, NAME)                                                                                          \
    static void test_##SUITE##_##NAME(void);                                                                           \
    __attribute__((constructor)) static void register_##SUITE##_##NAME(void) {                                         \
        static mbs_test_case c = {#SUITE, #NAME, test_##SUITE##_##NAME, NULL};                                         \
        mbs_test_register(&c);                                                                                         \
    }                                                                                                                  \
    static void test_##SUITE##_##NAME(void)
#define CHECK(COND, ...) ((COND) ? (void)0 : mbs_test_failed(__FILE__, __LINE__, #COND, " " __VA_ARGS__))
#define SKIP(WHY) mbs_test_skip(WHY)

#else

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wredundant-decls"
#pragma GCC diagnostic ignored "-Wcast-qual"
#include <criterion/criterion.h>
#pragma GCC diagnostic pop
#define MBS_TEST(SUITE, NAME) Test(SUITE, NAME)
#define CHECK(COND, ...) cr_assert(COND, "" __VA_ARGS__)
#define SKIP(WHY) cr_skip_test(WHY)

#endif

#define CHECK_STR(A, B) CHECK(strcmp((A), (B)) == 0, "\"%s\" is not \"%s\"", (A), (B))
#define CHECK_INT(A, B) CHECK((long long)(A) == (long long)(B), "%lld is not %lld", (long long)(A), (long long)(B))

#endif
