/* Names of the levels, the environment variable, and what opening one answers. */
#include "kit.h"
#include "support/test.h"

MBS_TEST(levels, names_parse_back) {
    for (int i = 0; i < MBK_LEVEL_COUNT; i++) {
        CHECK_INT(mbk_level_parse(mbk_level_name((mbk_level)i)), i);
    }
    CHECK_INT(mbk_level_parse("sse2"), -1);
    CHECK_INT(mbk_level_parse(""), -1);
    CHECK_INT(mbk_level_parse("avx512vnni"), MBK_LEVEL_AVX512VNNI);
    CHECK_INT(mbk_level_parse("avx512bf16"), MBK_LEVEL_AVX512BF16);
    CHECK_STR(mbk_level_name((mbk_level)77), "unknown");
}

MBS_TEST(levels, environment_lowers_the_best) {
    unsetenv("MAMBASEQ_CPU");
    CHECK_INT(mbk_level_from_env(), mbk_level_best());
    setenv("MAMBASEQ_CPU", "", 1);
    CHECK_INT(mbk_level_from_env(), mbk_level_best());
    setenv("MAMBASEQ_CPU", "ref", 1);
    CHECK_INT(mbk_level_from_env(), MBK_LEVEL_REF);
    setenv("MAMBASEQ_CPU", "AVX2", 1);
    CHECK_INT(mbk_level_from_env(), -1);
    for (int i = 0; i < MBK_LEVEL_COUNT; i++) {
        setenv("MAMBASEQ_CPU", mbk_level_name((mbk_level)i), 1);
        CHECK_INT(mbk_level_from_env(), mbk_level_usable((mbk_level)i) ? i : -1);
    }
    unsetenv("MAMBASEQ_CPU");
}

MBS_TEST(levels, best_is_the_highest_usable) {
    CHECK(mbk_level_usable(MBK_LEVEL_REF));
    CHECK(mbk_level_usable(mbk_level_best()));
    for (int i = (int)mbk_level_best() + 1; i < MBK_LEVEL_COUNT; i++) {
        CHECK(!mbk_level_usable((mbk_level)i));
    }
}

MBS_TEST(levels, open_names_the_level_or_refuses) {
    mbk_ctx *ctx = NULL;
    CHECK_INT(mbk_cpu_open((mbk_level)77, NULL, &ctx), -69);
    CHECK(ctx == NULL);
    CHECK_INT(mbk_test_open((mbk_level)77, &ctx), -69);
    for (int i = 0; i < MBK_LEVEL_COUNT; i++) {
        int st = mbk_cpu_open((mbk_level)i, NULL, &ctx);
        CHECK_INT(st, mbk_level_usable((mbk_level)i) ? 0 : -69);
        if (st == 0) {
            CHECK_STR(ctx->ops->name, mbk_level_name((mbk_level)i));
            const char *other = mbk_level_name((mbk_level)(i > MBK_LEVEL_AVX512 ? MBK_LEVEL_AVX512 : i));
            CHECK_STR(mbk_arithmetic(ctx, MBK_MATH_BF16),
                      i >= MBK_LEVEL_AVX512BF16 ? mbk_level_name((mbk_level)i) : other);
            CHECK_STR(mbk_arithmetic(ctx, MBK_MATH_F32), other);
            CHECK_STR(mbk_arithmetic(ctx, MBK_MATH_I16), other);
            CHECK_STR(mbk_arithmetic(ctx, MBK_MATH_I8), other);
        }
        mbk_close(ctx);
    }
}
