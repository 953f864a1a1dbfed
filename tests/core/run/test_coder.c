/* The arithmetic coder: what goes in comes out, carries included, and it takes what information theory says. */
#include "run/coder.h"
#include "run/rowcode.h"
#include "support/test.h"

static uint64_t state;
static uint32_t next(void) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

/* Distributions from flat to almost certain: pending bytes and carries happen in the latter. */
static uint32_t spread(uint32_t *counts, int n, uint32_t seed) {
    uint32_t total = 0;
    state = seed;
    for (int i = 0; i < n; i++) {
        counts[i] = i == (int)(seed % (uint32_t)n) ? 1u + next() % 4000000u : 1u + next() % (1u + (seed & 255u));
        total += counts[i];
    }
    return total;
}

MBS_TEST(coder, ranges_and_bits_come_back) {
    enum { N = 20000 };
    static uint8_t symbols[N];
    static int bits[N];
    mbs_encoder e;
    mbs_encoder_init(&e);
    mbs_coder_bit p[4] = {0};
    uint32_t counts[5];
    for (int i = 0; i < N; i++) {
        uint32_t total = spread(counts, 5, (uint32_t)i);
        uint32_t at = next() % total;
        int k = 0;
        uint32_t below = 0;
        while (below + counts[k] <= at) {
            below += counts[k++];
        }
        symbols[i] = (uint8_t)k;
        bits[i] = next() % 100 < (uint32_t)(i % 4) * 33;
        mbs_encode_range(&e, below, counts[k], total);
        mbs_encode_bit(&e, &p[i % 4], bits[i]);
    }
    mbs_encoder_flush(&e);
    CHECK(!e.out.failed);
    mbs_decoder d;
    mbs_decoder_init(&d);
    mbs_coder_bit q[4] = {0};
    int64_t fed = 0;
    for (int i = 0; i < N; i++) {
        if (!mbs_decoder_has_margin(&d)) {
            fed += mbs_decoder_feed(&d, (const uint8_t *)e.out.data + fed, (int64_t)e.out.len - fed);
        }
        uint32_t total = spread(counts, 5, (uint32_t)i);
        (void)next();
        (void)next();
        uint32_t at = mbs_decode_point(&d, total);
        int k = 0;
        uint32_t below = 0;
        while (below + counts[k] <= at) {
            below += counts[k++];
        }
        mbs_decode_range(&d, below, counts[k], total);
        CHECK_INT(k, symbols[i]);
        CHECK_INT(mbs_decode_bit(&d, &q[i % 4]), bits[i]);
    }
    CHECK_INT(d.missing, 0);
    CHECK_INT(fed - (d.n - d.at), (int64_t)e.out.len);
    mbs_encoder_free(&e);
}

MBS_TEST(coder, a_certain_bit_costs_almost_nothing) {
    mbs_encoder e;
    mbs_encoder_init(&e);
    mbs_coder_bit p = 0;
    for (int i = 0; i < 100000; i++) {
        mbs_encode_bit(&e, &p, 0);
    }
    mbs_encoder_flush(&e);
    CHECK(e.out.len < 20, "%zu bytes", e.out.len);
    mbs_encoder_free(&e);
}

MBS_TEST(coder, counts_are_the_softmax) {
    const float logits[6] = {1.5f, -2.0f, 0.25f, 30.0f, -80.0f, 1.5f};
    const uint8_t allowed[6] = {1, 1, 1, 0, 1, 1};
    uint32_t c[6];
    uint32_t total = mbs_coder_counts(logits, allowed, 6, c);
    double sum = 0;
    for (int i = 0; i < 6; i++) {
        sum += allowed[i] ? exp((double)logits[i]) : 0;
    }
    CHECK_INT(c[3], 0);
    CHECK_INT(c[4], 1);
    CHECK_INT(c[0], c[5]);
    for (int i = 0; i < 3; i++) {
        double want = exp((double)logits[i]) / sum;
        CHECK(fabs((double)c[i] / total - want) < 1e-5, "%d: %g, not %g", i, (double)c[i] / total, want);
    }
    CHECK(total <= 1u << 24);
    const float nan[2] = {NAN, 0};
    CHECK_INT(mbs_coder_counts(nan, allowed, 2, c), 0);
    CHECK_INT(mbs_coder_counts(NULL, allowed, 2, c), c[0] * 2);
}

/* Lines of one length, soft-masked stretches: after a few lines they are free. */
MBS_TEST(coder, lines_cost_nothing) {
    static mbs_rowcode r;
    mbs_encoder e;
    mbs_encoder_init(&e);
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 60; k++) {
            mbs_rowcode_put_kind(&r, &e, MBS_ROW_TOKEN, 0);
            mbs_rowcode_put_spelling(&r, &e, i > 500);
        }
        mbs_rowcode_put_kind(&r, &e, MBS_ROW_BYTE, '\n');
    }
    mbs_rowcode_put_kind(&r, &e, MBS_ROW_END, 0);
    mbs_encoder_flush(&e);
    CHECK(e.out.len < 60, "%zu bytes", e.out.len);
    mbs_encoder_free(&e);
}
