/*
 * text.h - text from outside on its way to a terminal.
 */
#ifndef MBS_BASE_TEXT_H
#define MBS_BASE_TEXT_H

#include <stddef.h>

/* Copies `len` bytes of `text` to `out` with control bytes and anything that is not UTF-8 written as \xNN, so that the
 * contents of a file cannot drive a terminal. Always terminated (size > 0), cut where it does not fit, never inside an
 * escape or a character. Returns the bytes written without the NUL. */
size_t mbs_text_escape(char *out, size_t size, const char *text, size_t len);

#endif
