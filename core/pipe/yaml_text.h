/*
 * yaml_text.h - the text of a pipeline: which characters it may hold, its lines, and pieces of it put into quotes.
 */
#ifndef MBS_PIPE_YAML_TEXT_H
#define MBS_PIPE_YAML_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct mbs_yaml_text {
    const char *p; /* UTF-8, no byte order mark in front */
    size_t len;
} mbs_yaml_text;

/* Bytes of the character at p and its code; 0 where there is no valid UTF-8 (left > 0). */
size_t mbs_yaml_text_char(const char *p, size_t left, uint32_t *code);
/* The first character that a pipeline may not hold: its place, 1-based, in characters, and what is wrong in words
 * ("a NUL byte: this is not a text file"). 0 where there is none. */
int mbs_yaml_text_bad(mbs_yaml_text t, int *line, int *col, char *why, size_t size);
/* Line `line` (1-based) without its end; an empty text at the end where there is none. */
mbs_yaml_text mbs_yaml_text_line(mbs_yaml_text t, int line);
int mbs_yaml_text_columns(mbs_yaml_text line); /* characters */
/* Byte of the character in column `col` (1-based); len where the line is shorter. */
size_t mbs_yaml_text_offset(mbs_yaml_text line, int col);

/* Where the value that begins at byte `at` of a line ends: the end of the line or a comment; in a flow collection also
 * a comma or a bracket that was not opened inside. Blanks at the end do not belong to it. */
size_t mbs_yaml_text_value_end(mbs_yaml_text line, size_t at, int in_flow);
/* Appends the text as a quoted YAML scalar, in double quotes unless it holds some or a backslash. */
void mbs_yaml_text_quote(mbs_buf *out, const char *p, size_t len);

#endif
