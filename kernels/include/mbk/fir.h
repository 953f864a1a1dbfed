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

#endif
