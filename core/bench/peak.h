/*
 * peak.h - loops that do nothing but what a machine can do at most: multiply-adds in registers, reading memory.
 */
#ifndef MBS_BENCH_PEAK_H
#define MBS_BENCH_PEAK_H

#include <stddef.h>
#include <stdint.h>

#include "mbk/mbk.h"

typedef struct mbs_peak {
    const char *with; /* the instructions: "avx512" */
    double flops;     /* of one step */
    /* Gives a number so that nothing can be left out. */
    float (*run)(int64_t steps);
} mbs_peak;

/* The best of this machine. */
const mbs_peak *mbs_peak_f32(void);
/* NULL where the machine has no dot product of bf16. */
const mbs_peak *mbs_peak_bf16(void);
/* Products of pairs of int16 and their sums; NULL where the machine has no such vectors. */
const mbs_peak *mbs_peak_i16(void);
/* The same of fours of int8. */
const mbs_peak *mbs_peak_i8(void);
/* That of one kernel level; NULL where it has no instructions of its own. */
const mbs_peak *mbs_peak_of(mbk_level level, mbk_math math);
/* Reads n floats (a multiple of 128, aligned to 64) once. */
float mbs_peak_read(const float *p, size_t n);

#endif
