/*
 * draw.h - the numbers that training draws: functions of the seed, what they are for, the step and a place in it.
 */
#ifndef MBS_TRAIN_DRAW_H
#define MBS_TRAIN_DRAW_H

#include <stdint.h>

#include "base/rng.h"

typedef enum mbs_draw_purpose {
    MBS_DRAW_WINDOW = 1, /* where a window begins, and its strand */
    MBS_DRAW_UNKNOWN = 2,
    MBS_DRAW_MASK = 3,
    MBS_DRAW_ORDER = 4,
    MBS_DRAW_SPLIT = 5,
    MBS_DRAW_HELD = 6, /* masks of the held-out part */
    MBS_DRAW_START = 7
} mbs_draw_purpose;

static inline uint64_t mbs_draw_stream(mbs_draw_purpose purpose, int64_t step) {
    return (uint64_t)purpose << 56 | (uint64_t)step;
}

/* Number k of sequence `index`. */
static inline uint64_t mbs_draw_position(int64_t index, int64_t k) {
    return (uint64_t)index << 40 | (uint64_t)k;
}

/* A word as a number in [0, 1). */
static inline double mbs_draw_share(uint32_t word) {
    return (double)word * 0x1p-32;
}

/* One of 0 .. n - 1, each as likely as the next but for 2^-64 of n. */
static inline int64_t mbs_draw_below(uint32_t high, uint32_t low, int64_t n) {
    uint64_t up = (uint64_t)n >> 32, down = (uint64_t)n & 0xFFFFFFFFu;
    uint64_t middle = high * down + (low * down >> 32);
    uint64_t carry = (middle & 0xFFFFFFFFu) + low * up;
    return (int64_t)(high * up + (middle >> 32) + (carry >> 32));
}

#endif
