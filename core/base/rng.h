/*
 * rng.h - counter-based random numbers (Philox4x32-10, Salmon et al. 2011): a draw is a function of (seed, stream,
 * position) and of nothing else, so results do not depend on order, threads or where a run was stopped.
 */
#ifndef MBS_BASE_RNG_H
#define MBS_BASE_RNG_H

#include <stdint.h>

/* Four independent 32-bit words. */
void mbs_rng_words(uint64_t seed, uint64_t stream, uint64_t position, uint32_t out[4]);
/* Uniform in [0, 1) with 53 bits. */
double mbs_rng_uniform(uint64_t seed, uint64_t stream, uint64_t position);
/* Standard normal (Box-Muller over one block of words). */
double mbs_rng_normal(uint64_t seed, uint64_t stream, uint64_t position);

#endif
