/* Numbers as text: shortest, exact, and the same under every locale. */
#include "io/rowfile/number.h"

#include <float.h>
#include <locale.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugins/io/rig.h"
#include "support/test.h"

static float float_of(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static const char *text_f32(float v) {
    static char text[MBS_NUMBER_MAX];
    text[mbs_number_f32(text, v)] = '\0';
    return text;
}

static const char *text_f64(double v) {
    static char text[MBS_NUMBER_MAX];
    text[mbs_number_f64(text, v)] = '\0';
    return text;
}

static const char *text_fixed(double v) {
    static char text[MBS_NUMBER_MAX];
    text[mbs_number_fixed(text, v)] = '\0';
    return text;
}

static const char *text_int(int64_t v) {
    static char text[MBS_NUMBER_MAX];
    text[mbs_number_int(text, v)] = '\0';
    return text;
}

/* The shortest precision of %g that reads back: what our own digits must be. */
static void expected_f32(float v, char *out, size_t size) {
    int n = 1;
    for (; n < 9; n++) {
        char digits[64];
        snprintf(digits, sizeof digits, "%.*e", n - 1, (double)v);
        if (strtof(digits, NULL) == v) {
            break;
        }
    }
    char short_form[64];
    snprintf(short_form, sizeof short_form, "%.*e", n - 1, (double)v);
    /* %.9g of the short decimal as a double gives it in the wanted layout: 9 digits are less than a double holds */
    snprintf(out, size, "%.9g", strtod(short_form, NULL));
}

MBS_TEST(number, known_floats) {
    CHECK_STR(text_f32(0.0f), "0");
    CHECK_STR(text_f32(-0.0f), "0");
    CHECK_STR(text_f32(1.0f), "1");
    CHECK_STR(text_f32(-1.5f), "-1.5");
    CHECK_STR(text_f32(0.1f), "0.1");
    CHECK_STR(text_f32(1.0f / 3.0f), "0.33333334");
    CHECK_STR(text_f32(100.0f), "100");
    CHECK_STR(text_f32(123456789.0f), "123456790");
    CHECK_STR(text_f32(999999999.0f), "1e+09");
    CHECK_STR(text_f32(16777216.0f), "16777216");
    CHECK_STR(text_f32(1e-4f), "0.0001");
    CHECK_STR(text_f32(1e-5f), "1e-05");
    CHECK_STR(text_f32(-1.3862944f), "-1.3862944");
    CHECK_STR(text_f32(FLT_MAX), "3.4028235e+38");
    CHECK_STR(text_f32(FLT_MIN), "1.1754944e-38");
    CHECK_STR(text_f32(float_of(1)), "1e-45");
    CHECK_STR(text_f32(NAN), "nan");
    CHECK_STR(text_f32(-NAN), "nan");
    CHECK_STR(text_f32(INFINITY), "inf");
    CHECK_STR(text_f32(-INFINITY), "-inf");
}

MBS_TEST(number, any_float_is_shortest_and_reads_back) {
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 300000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint32_t bits = (uint32_t)(x >> 16);
        if (i % 4 == 0) { /* small integers, powers of two and their neighbours are where shortcuts fail */
            bits = (bits & 0xff800000u) + (uint32_t)(i / 4 % 5) - 2u;
        } else if (i % 4 == 1) { /* the range that scores and activations live in */
            bits = (bits & 0x83ffffffu) | 0x3c000000u;
        }
        float v = float_of(bits);
        if (!isfinite(v) || v == 0) {
            continue;
        }
        char want[64];
        expected_f32(v, want, sizeof want);
        CHECK(strcmp(text_f32(v), want) == 0, "%08x: %s is not %s", (unsigned)bits, text_f32(v), want);
        CHECK(strtof(text_f32(v), NULL) == v, "%08x: %s does not read back", (unsigned)bits, text_f32(v));
    }
}

MBS_TEST(number, doubles_read_back) {
    uint64_t x = 1234567;
    CHECK_STR(text_f64(0.1), "0.1");
    CHECK_STR(text_f64(1e300), "1e+300");
    CHECK_STR(text_f64(-2.0), "-2");
    CHECK_STR(text_f64(DBL_MAX), "1.7976931348623157e+308");
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        double v;
        memcpy(&v, &x, sizeof v);
        CHECK(!isfinite(v) || strtod(text_f64(v), NULL) == v, "%s", text_f64(v));
    }
}

MBS_TEST(number, six_decimals) {
    CHECK_STR(text_fixed(0), "0.000000");
    CHECK_STR(text_fixed(-0.0), "0.000000");
    CHECK_STR(text_fixed(-1e-9), "0.000000");
    CHECK_STR(text_fixed(1.84999949), "1.849999");
    CHECK_STR(text_fixed(-12.5), "-12.500000");
    CHECK_STR(text_fixed(1e15), "1000000000000000.000000");
    CHECK_STR(text_fixed(NAN), "nan");
    CHECK(mbs_number_fixed((char[MBS_NUMBER_MAX]){0}, -DBL_MAX) < MBS_NUMBER_MAX);
}

MBS_TEST(number, integers) {
    CHECK_STR(text_int(0), "0");
    CHECK_STR(text_int(-7), "-7");
    CHECK_STR(text_int(INT64_MAX), "9223372036854775807");
    CHECK_STR(text_int(INT64_MIN), "-9223372036854775808");
}

/* German prints 1,5 and 1.000.000: none of it may reach a file. The locale is made here, where localedef is installed.
 */
MBS_TEST(number, german_locale) {
    char folder[512], target[600];
    rig_folder(folder, sizeof folder);
    snprintf(target, sizeof target, "%s/de_DE.UTF-8", folder);
    char *argv[] = {
        (char[]){"localedef"}, (char[]){"-i"}, (char[]){"de_DE"}, (char[]){"-f"}, (char[]){"UTF-8"}, target, NULL};
    pid_t pid;
    int status = -1;
    if (posix_spawnp(&pid, "localedef", NULL, NULL, argv, environ) == 0) {
        waitpid(pid, &status, 0);
    }
    setenv("LOCPATH", folder, 1);
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) {
        rig_folder_remove(folder);
        SKIP("the locale de_DE cannot be made here (Debian: locales)");
    }
    char check[32];
    snprintf(check, sizeof check, "%.1f", 1.5);
    CHECK_STR(check, "1,5");
    CHECK_STR(text_f32(1.5f), "1.5");
    CHECK_STR(text_f32(1.17549421e-38f), "1.1754942e-38");
    CHECK_STR(text_f32(float_of(1)), "1e-45");
    CHECK_STR(text_f64(0.1), "0.1");
    CHECK_STR(text_f64(1234567.25), "1234567.25");
    CHECK_STR(text_fixed(1234567.25), "1234567.250000");
}
