#include "audio/dsp/dither.h"

uint64_t au_mixed(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void au_dither(float *samples, int64_t n, uint64_t at, int bits) {
    double step = 1.0 / (double)(INT64_C(1) << (bits - 1));
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = au_mixed(at + (uint64_t)i);
        double a = (double)(word >> 40) / 16777216.0;
        double b = (double)(word >> 8 & 0xffffff) / 16777216.0;
        samples[i] = (float)((double)samples[i] + (a - b) * step);
    }
}
