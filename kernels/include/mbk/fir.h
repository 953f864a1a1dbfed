/* fir.h - sizes of what a long filter needs; mbk.h (mbk_fir_args) says what it is. */
#ifndef MBK_FIR_H
#define MBK_FIR_H

#include <stdint.h>

#define MBK_FIR_BASE 64
/* Channels that are transformed together. */
#define MBK_FIR_UNIT 32
static inline int64_t mbk_fir_levels(int64_t taps) {
    int64_t levels = 0;
    while (((int64_t)MBK_FIR_BASE << levels) + MBK_FIR_BASE < taps) {
        levels++;
    }
    return levels;
}
/* Rows of `ahead`; 0: the filter is not long. */
static inline int64_t mbk_fir_ahead_rows(int64_t taps) {
    return ((int64_t)MBK_FIR_BASE << mbk_fir_levels(taps)) - MBK_FIR_BASE;
}
/* Rows of `ahead` that mean something behind the first `rows` rows of a sequence. */
static inline int64_t mbk_fir_ahead_used(int64_t taps, int64_t rows) {
    int64_t levels = 0;
    while (levels < mbk_fir_levels(taps) && (int64_t)MBK_FIR_BASE << levels < rows) {
        levels++;
    }
    return ((int64_t)MBK_FIR_BASE << levels) - MBK_FIR_BASE;
}
/* The most numbers of a transform, 0 where there is none. */
static inline int64_t mbk_fir_most(int64_t taps) {
    return mbk_fir_levels(taps) > 0 ? (int64_t)MBK_FIR_BASE << mbk_fir_levels(taps) : 0;
}
static inline int64_t mbk_fir_work_floats(int64_t taps, int64_t cols) {
    return (cols + MBK_FIR_UNIT - 1) / MBK_FIR_UNIT * MBK_FIR_UNIT * mbk_fir_most(taps);
}
/* Of all levels of a unit; then of all units, behind roots of one. */
static inline int64_t mbk_fir_unit_floats(int64_t taps) {
    return 2 * MBK_FIR_UNIT * (mbk_fir_ahead_rows(taps) + mbk_fir_levels(taps));
}
static inline int64_t mbk_fir_spectra_floats(int64_t taps, int64_t cols) {
    return 2 * mbk_fir_most(taps) + (cols + MBK_FIR_UNIT - 1) / MBK_FIR_UNIT * mbk_fir_unit_floats(taps);
}

/* Gradients by transforms: channels that go together, and how many such groups at once. */
#define MBK_FIR_GRAD_UNIT 16
#define MBK_FIR_GRAD_LANES 4
/* The numbers of a transform in which `rows` rows, and `before` rows of the ring, meet a filter: as many as keep what
 * wraps round off the taps and rows that are asked for. */
static inline int64_t mbk_fir_grad_size(int64_t taps, int64_t before, int64_t rows) {
    const int64_t all = before + rows;
    const int64_t met = taps < all ? taps : all;
    int64_t n = 1;
    while (n < rows + met - 1 || n < all) {
        n *= 2;
    }
    return n;
}
/* Of `work`, where no sequence has more than `rows` rows together with those of the ring that it meets; 0: the filter
 * is not long. */
static inline int64_t mbk_fir_grad_floats(int64_t taps, int64_t rows, int64_t cols) {
    const int64_t units = (cols + MBK_FIR_GRAD_UNIT - 1) / MBK_FIR_GRAD_UNIT;
    const int64_t lanes = units < MBK_FIR_GRAD_LANES ? units : MBK_FIR_GRAD_LANES;
    const int64_t n = mbk_fir_grad_size(taps, 0, rows);
    return mbk_fir_levels(taps) == 0 ? 0 : 2 * n + lanes * 4 * MBK_FIR_GRAD_UNIT * n;
}

#endif
