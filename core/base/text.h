/*
 * text.h - text from outside on its way to a terminal.
 */
#ifndef MBS_BASE_TEXT_H
#define MBS_BASE_TEXT_H

#include <stddef.h>

/* Bytes of the printable UTF-8 character at the start of `text`, 0 where there is none: controls (C0, DEL, C1),
 * overlong forms, surrogates, cut sequences. `len` is at least 1. */
size_t mbs_text_char(const char *text, size_t len);

/* Copies `len` bytes of `text` to `out` with control bytes and anything that is not UTF-8 written as \xNN, so that the
 * contents of a file cannot drive a terminal. Always terminated (size > 0), cut where it does not fit, never inside an
 * escape or a character. Returns the bytes written without the NUL. */
size_t mbs_text_escape(char *out, size_t size, const char *text, size_t len);

/* Whether a text ends with another. */
int mbs_text_ends(const char *text, const char *end);

#endif
