/*
 * dither.h - noise of triangular density, one step wide on each side, added before a sample is rounded: quantisation
 * becomes noise instead of distortion. A value follows from its place alone, so no cut can be seen in it.
 */
#ifndef AU_DITHER_H
#define AU_DITHER_H

#include <stdint.h>

/* A mix of 64 bits in which every bit of the count reaches every bit of the result (splitmix64's finisher). */
uint64_t au_mixed(uint64_t x);
/* Adds it to n samples, the first of which is number `at` of its stream. */
void au_dither(float *samples, int64_t n, uint64_t at, int bits);

#endif
