#include "base/rng.h"

#include <math.h>

/* The constants of Philox4x32: two multipliers, and what each round adds to the key. */
#define MUL0 0xD2511F53u
#define MUL1 0xCD9E8D57u
#define WEYL0 0x9E3779B9u
#define WEYL1 0xBB67AE85u
#define ROUNDS 10

void mbs_rng_words(uint64_t seed, uint64_t stream, uint64_t position, uint32_t out[4]) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t c[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t p0 = (uint64_t)MUL0 * c[0];
        uint64_t p1 = (uint64_t)MUL1 * c[2];
        uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ key[0], (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ key[1],
                            (uint32_t)p0};
        for (int i = 0; i < 4; i++) {
            c[i] = next[i];
        }
        key[0] += WEYL0;
        key[1] += WEYL1;
    }
    for (int i = 0; i < 4; i++) {
        out[i] = c[i];
    }
}

/* 53 bits of two words, in [0, 1). */
static double unit(uint32_t low, uint32_t high) {
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

double mbs_rng_uniform(uint64_t seed, uint64_t stream, uint64_t position) {
    uint32_t w[4];
    mbs_rng_words(seed, stream, position, w);
    return unit(w[0], w[1]);
}

double mbs_rng_normal(uint64_t seed, uint64_t stream, uint64_t position) {
    uint32_t w[4];
    mbs_rng_words(seed, stream, position, w);
    double radius = sqrt(-2.0 * log(1.0 - unit(w[0], w[1]))); /* 1 - u: never the logarithm of zero */
    return radius * cos(6.283185307179586 * unit(w[2], w[3]));
}
