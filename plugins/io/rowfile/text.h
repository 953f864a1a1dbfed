/*
 * text.h - names as they come (any bytes) into text that is always valid UTF-8.
 */
#ifndef MBS_ROWFILE_TEXT_H
#define MBS_ROWFILE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "mambaseq/host.h"

/* Bytes of the valid UTF-8 sequence that begins at p, or 0 where there is none (overlong forms, surrogates and a cut
 * end included). n > 0. */
size_t mbs_utf8_length(const char *p, size_t n);
/* "\xNN": 4 characters, no NUL. */
void mbs_hex_escape(char out[4], unsigned char byte);

/* A growing string of the host's memory. A failed append sets `failed` and keeps what was there. */
typedef struct mbs_text {
    const mbs_host *host;
    char *data;
    size_t len, cap;
    int failed;
} mbs_text;

void mbs_text_append(mbs_text *t, const char *data, size_t n);
void mbs_text_free(mbs_text *t);
/* The text with every byte that is not part of valid UTF-8 as \xNN. */
void mbs_text_append_utf8(mbs_text *t, const char *data, size_t n);

#endif
