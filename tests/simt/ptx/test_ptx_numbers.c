/* What ptx.h makes of the instructions that C has no operator for: the PTX manual's words, as numbers. */
#include "simt/ptx/ptx.h"
#include "support/test.h"

/* ptx.h is made of functions that a translation calls; these are not called here. */
const struct ptx_host *ptx_host;
int ptx_profiling;

MBS_TEST(ptx_numbers, directed_rounding) {
    const float a = 1.0f, tiny = 0x1p-30f;
    CHECK(ptx_add_round(a, tiny, PTX_RZ) == 1.0f, "1 + tiny towards zero");
    CHECK(ptx_add_round(a, tiny, PTX_RP) == nextafterf(1.0f, 2.0f), "1 + tiny upwards");
    CHECK(ptx_add_round(a, -tiny, PTX_RM) == nextafterf(1.0f, 0.0f), "1 - tiny downwards");
    CHECK(ptx_add_round(-a, tiny, PTX_RZ) == nextafterf(-1.0f, 0.0f), "-1 + tiny towards zero");
    CHECK(ptx_fma_round(a, a, 0x1p-80f, PTX_RP) == nextafterf(1.0f, 2.0f), "what a double has no room for counts");
    CHECK(ptx_mul_round(3.0f, 1.0f / 3.0f, PTX_RM) <= 1.0f, "3 x third");
    CHECK(isinf(ptx_round(1e60, 0.0, PTX_RP)) && ptx_round(1e60, 0.0, PTX_RZ) == 0x1.fffffep127f, "beyond the largest");
}

MBS_TEST(ptx_numbers, floats) {
    CHECK(ptx_ftz(0x1p-127f) == 0.0f && signbit(ptx_ftz(-0x1p-127f)), "a small number and its sign");
    CHECK(ptx_sat(NAN) == 0.0f && ptx_sat(2.0f) == 1.0f && ptx_sat(-1.0f) == 0.0f, "saturated");
    CHECK(ptx_min(NAN, 1.0f) == 1.0f && ptx_max(1.0f, NAN) == 1.0f, "the number where one is not");
    CHECK(signbit(ptx_min(0.0f, -0.0f)) && !signbit(ptx_max(-0.0f, 0.0f)), "zeros are ordered");
    CHECK(isnan(ptx_min_nan(NAN, 1.0f)), "min.NaN");
    CHECK_INT(ptx_to_bf16(1.0f), 0x3f80);
    CHECK_INT(ptx_to_bf16(ptx_f32(0x3f808000)), 0x3f80); /* a tie, to the even one */
    CHECK_INT(ptx_to_bf16(ptx_f32(0x3f818000)), 0x3f82);
    CHECK_INT(ptx_to_bf16(NAN), 0x7fff);
    CHECK_INT(ptx_to_tf32(ptx_f32(0x3f801000), 1), 0x3f802000);
    CHECK_INT(ptx_to_tf32(ptx_f32(0x3f801000), 0), 0x3f800000);
}

MBS_TEST(ptx_numbers, conversions_saturate) {
    CHECK_INT((int32_t)ptx_to_s(3e9, 32, 1), INT32_MAX);
    CHECK_INT((int32_t)ptx_to_s(-3e9, 32, 1), INT32_MIN);
    CHECK_INT((int64_t)ptx_to_s(NAN, 32, 1), 0);
    CHECK(ptx_to_s(NAN, 64, 0) == UINT64_C(1) << 63, "not a number to 64 bits");
    CHECK_INT((int64_t)ptx_to_u(-1.0, 32, 1), 0);
    CHECK(ptx_to_u(1e30, 64, 0) == UINT64_MAX, "the largest");
    CHECK_INT(ptx_sat_s(300, 8, 0), 127);
    CHECK_INT(ptx_sat_s(-300, 8, 0), -128);
    CHECK_INT((int64_t)ptx_sat_u(-3, 8, 0), 0);
}

MBS_TEST(ptx_numbers, whole_numbers) {
    CHECK_INT(ptx_div_s32(INT32_MIN, -1), INT32_MIN);
    CHECK(ptx_div_u32(7, 0) == UINT32_MAX && ptx_rem_u32(7, 0) == 7, "by zero");
    CHECK(ptx_bfe(0xabcd, 4, 8, 32, 0) == 0xbc, "bfe");
    CHECK((uint32_t)ptx_bfe((uint64_t)(int64_t)(int32_t)0x80000000, 28, 4, 32, 1) == 0xfffffff8, "bfe keeps the sign");
    CHECK((uint32_t)ptx_bfe((uint64_t)(int64_t)(int32_t)0x80000000, 28, 16, 32, 1) == 0xfffffff8, "and beyond the top");
    CHECK(ptx_bfi(0xf, 0xffff0000, 4, 4, 32) == 0xffff00f0, "bfi");
    CHECK(ptx_prmt(0x33221100, 0x77665544, 0x7531) == 0x77553311, "prmt");
    CHECK(ptx_prmt(0x000000f0, 0, 0x8888) == 0xffffffff, "prmt copies a sign");
    CHECK(ptx_lop3(0xf0f0f0f0, 0xcccccccc, 0xaaaaaaaa, 0xe8) == 0xe8e8e8e8, "lop3 is its table");
    CHECK(ptx_dp4a(0xff010203, 0x01010101, 10, 1, 1) == 15, "dp4a");
    CHECK(ptx_clz(1, 32) == 31 && ptx_clz(0, 64) == 64, "clz");
    CHECK(ptx_bfind(0x10, 32) == 4 && ptx_bfind(0, 32) == UINT32_MAX, "bfind");
    CHECK(ptx_brev(1, 32) == 0x80000000u, "brev");
}
