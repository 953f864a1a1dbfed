#include "base/rng.h"
#include "support/test.h"

static void check_words(uint64_t seed, uint64_t stream, uint64_t position, const uint32_t want[4]) {
    uint32_t got[4];
    mbs_rng_words(seed, stream, position, got);
    for (int i = 0; i < 4; i++) {
        CHECK(got[i] == want[i], "word %d is %08x, not %08x", i, got[i], want[i]);
    }
}

/* The published known answers of Philox4x32-10: zeros, ones, digits of pi. */
MBS_TEST(rng, gives_the_published_words) {
    check_words(0, 0, 0, (const uint32_t[]){0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
    check_words(UINT64_MAX, UINT64_MAX, UINT64_MAX,
                (const uint32_t[]){0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
    check_words(0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u,
                (const uint32_t[]){0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

MBS_TEST(rng, uniform_is_flat_in_unit_interval) {
    double sum = 0;
    int low = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        double u = mbs_rng_uniform(7, 3, i);
        CHECK(u >= 0 && u < 1, "%g", u);
        sum += u;
        low += u < 0.1;
    }
    CHECK(fabs(sum / 20000 - 0.5) < 0.01, "mean %g", sum / 20000);
    CHECK(abs(low - 2000) < 200, "%d below 0.1", low);
}

MBS_TEST(rng, normal_has_mean_zero_and_variance_one) {
    double sum = 0;
    double squares = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        double x = mbs_rng_normal(7, 4, i);
        CHECK(isfinite(x));
        sum += x;
        squares += x * x;
    }
    CHECK(fabs(sum / 20000) < 0.03, "mean %g", sum / 20000);
    CHECK(fabs(squares / 20000 - 1) < 0.05, "variance %g", squares / 20000);
}

MBS_TEST(rng, seed_stream_and_position_each_matter) {
    CHECK(mbs_rng_uniform(1, 0, 0) != mbs_rng_uniform(2, 0, 0));
    CHECK(mbs_rng_uniform(1, 0, 0) != mbs_rng_uniform(1, 1, 0));
    CHECK(mbs_rng_uniform(1, 0, 0) != mbs_rng_uniform(1, 0, 1));
    CHECK(mbs_rng_uniform(1, 2, 3) == mbs_rng_uniform(1, 2, 3));
}
