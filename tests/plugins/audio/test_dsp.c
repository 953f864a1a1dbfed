/* Samples as bytes, G.711, dither, channels. */
#include <math.h>

#include "audio/dsp/channel.h"
#include "audio/dsp/dither.h"
#include "audio/dsp/sample.h"
#include "support/test.h"

/* Every 8- and 16-bit code survives the way to a float and back. */
MBS_TEST(dsp, integers_survive) {
    static const au_format formats[] = {AU_S16LE, AU_S16BE};
    for (int f = 0; f < 2; f++) {
        for (int v = 0; v < 65536; v++) {
            unsigned char in[2] = {(unsigned char)v, (unsigned char)(v >> 8)};
            unsigned char out[2] = {0, 0};
            float x;
            au_decode(formats[f], in, &x, 1);
            CHECK_INT(au_encode(formats[f], &x, out, 1), 0);
            CHECK(memcmp(in, out, 2) == 0, "%d", v);
        }
    }
    unsigned char in[3] = {0x01, 0x80, 0xff};
    unsigned char out[3];
    float x;
    au_decode(AU_S24LE, in, &x, 1);
    CHECK(x == -32767.0f / 8388608.0f, "%g", (double)x);
    CHECK_INT(au_encode(AU_S24LE, &x, out, 1), 0);
    CHECK(memcmp(in, out, 3) == 0);
}

MBS_TEST(dsp, clipping_is_counted_and_never_wraps) {
    const float x[5] = {1.0f, 1.5f, -1.0f, -1.5f, NAN};
    int16_t y[5];
    CHECK_INT(au_encode(AU_S16LE, x, y, 5), 4);
    CHECK_INT(y[0], 32767);
    CHECK_INT(y[1], 32767);
    CHECK_INT(y[2], -32768);
    CHECK_INT(y[3], -32768);
    CHECK_INT(y[4], 0);
}

/* Values of the recommendation G.711 (16-bit scale): zero, the first steps, full scale. */
MBS_TEST(dsp, g711) {
    CHECK_INT(au_mulaw_code(0), 0xff);
    CHECK_INT(au_mulaw_sample(0xff), 0);
    CHECK_INT(au_mulaw_sample(0x7f), 0);
    CHECK_INT(au_mulaw_sample(0x80), 32124);
    CHECK_INT(au_mulaw_sample(0x00), -32124);
    CHECK_INT(au_mulaw_sample(0xfe), 8);
    CHECK_INT(au_alaw_code(0), 0xd5);
    CHECK_INT(au_alaw_sample(0xd5), 8);
    CHECK_INT(au_alaw_sample(0x55), -8);
    CHECK_INT(au_alaw_sample(0xaa), 32256);
    CHECK_INT(au_alaw_sample(0x2a), -32256);
    for (int c = 0; c < 256; c++) {
        CHECK_INT(au_alaw_code(au_alaw_sample((uint8_t)c)), c);
        CHECK_INT(au_mulaw_code(au_mulaw_sample((uint8_t)c)), c == 0x7f ? 0xff : c); /* there are two zeros */
    }
}

/* Mean 0, variance a sixth of a step squared for the sum of two uniform halves; the same wherever it is cut. */
MBS_TEST(dsp, dither_is_triangular_and_knows_no_cut) {
    enum { N = 100000 };
    static float a[N];
    static float b[N];
    double sum = 0;
    double square = 0;
    memset(a, 0, sizeof(a));
    memset(b, 0, sizeof(b));
    au_dither(a, N, 5, 8);
    for (int i = 0; i < N; i += 7) {
        au_dither(b + i, N - i < 7 ? N - i : 7, 5 + (uint64_t)i, 8);
    }
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    for (int i = 0; i < N; i++) {
        double v = (double)a[i] * 128;
        CHECK(v > -1 && v < 1);
        sum += v;
        square += v * v;
    }
    CHECK(fabs(sum / N) < 0.005, "%g", sum / N);
    CHECK(fabs(square / N - 1.0 / 6) < 0.003, "%g", square / N);
}

MBS_TEST(dsp, channels) {
    const float in[6] = {1, 2, 6, -1, 0, 4};
    float out[6];
    au_choose(AU_MIX, 0, in, 3, out, 2);
    CHECK(out[0] == 3.0f && out[1] == 1.0f);
    au_choose(AU_ONE, 2, in, 3, out, 2);
    CHECK(out[0] == 6.0f && out[1] == 4.0f);
    au_choose(AU_ALL, 0, in, 3, out, 2);
    CHECK(memcmp(in, out, sizeof(in)) == 0);
}
