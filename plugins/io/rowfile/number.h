/*
 * number.h - numbers as text, the same on every machine and under every locale.
 */
#ifndef MBS_ROWFILE_NUMBER_H
#define MBS_ROWFILE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#define MBS_NUMBER_MAX 400 /* enough for any of these (a double with 6 decimals has up to 316) */

/* Each writes at `out` without a NUL and returns the length. "nan", "inf", "-inf" for what is not finite. */
size_t mbs_number_int(char *out, int64_t v);
/* The fewest digits that read back as the same float (at most 9), in the layout of %.9g. */
size_t mbs_number_f32(char *out, float v);
/* The same for a double, at most 17 digits, in the layout of %.17g. */
size_t mbs_number_f64(char *out, double v);
/* Six decimals, as %.6f; no "-0.000000". */
size_t mbs_number_fixed(char *out, double v);

#endif
