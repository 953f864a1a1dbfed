/*
 * value.h - scalar values from text, the same for parameters, YAML and the command line, whatever the locale is.
 *
 * Every parser returns 0, or -1 and appends to `why` (may be NULL) words that follow the name of what was set:
 *   "is 'twelve', must be a whole number such as 12, 64k or 4Mi"
 * Nothing is trimmed: an empty text is never a value. *out is untouched on failure.
 */
#ifndef MBS_OPT_VALUE_H
#define MBS_OPT_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* true yes on, false no off, in any case. */
int mbs_value_bool(const char *text, int *out, mbs_buf *why);
/* 12, -3, 1_000_000, 64k, 1.5M, 1e6, 4Ki: k M G T are powers of 1000, Ki Mi Gi Ti of 1024. Must come out whole. */
int mbs_value_int(const char *text, int64_t *out, mbs_buf *why);
/* The same, 0 or more. */
int mbs_value_size(const char *text, int64_t *out, mbs_buf *why);
/* 0.5, -1e-3, 44.1k. Finite: no inf, no nan, no hexadecimal. */
int mbs_value_float(const char *text, double *out, mbs_buf *why);
/* Seconds, 0 or more: 1.5, 100ms, 20us, 2s, 3min, 1h. */
int mbs_value_duration(const char *text, double *out, mbs_buf *why);
/* *out is the index among `words`, "a|b|c". Words are taken exactly; a near one is suggested. */
int mbs_value_enum(const char *text, const char *words, int *out, mbs_buf *why);

/* Range checks with the same kind of words: "is -3, must be 0..1000 bases". `text` is what the user wrote; unit may be
 * NULL. Bounds are inclusive. */
int mbs_value_range(const char *text, double value, double min, double max, const char *unit, mbs_buf *why);

/* The i-th of "a|b|c" and its length (not terminated), NULL behind the last. */
const char *mbs_words_at(const char *words, int i, size_t *len);
/* Index of `text` among them, -1 where it is none. `words` may be NULL. */
int mbs_words_find(const char *words, const char *text);
/* "a, b or c" */
void mbs_words_list(const char *words, mbs_buf *out);

/* The shortest text that reads back as the same double, with a point whatever the locale says: "0.1", "1e+30". */
void mbs_value_put_float(mbs_buf *out, double v);
/* A bound for people: 1e12, not 1000000000000. */
void mbs_value_put_bound(mbs_buf *out, double v);
/* 'text', cut after 60 bytes with "...", for messages. */
void mbs_value_put_quoted(mbs_buf *out, const char *text);

#endif
