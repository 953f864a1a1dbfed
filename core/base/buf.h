/*
 * buf.h - a growing byte string. A failed append sets `failed` and keeps what was there: append freely, check once.
 */
#ifndef MBS_BASE_BUF_H
#define MBS_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct mbs_buf {
    char *data; /* always terminated by a NUL that is not counted, NULL while empty */
    size_t len;
    size_t cap;
    int failed;
} mbs_buf;

#define MBS_BUF_INIT                                                                                                   \
    { NULL, 0, 0, 0 }

void mbs_buf_append(mbs_buf *b, const void *data, size_t len);
void mbs_buf_puts(mbs_buf *b, const char *s);
void mbs_buf_putc(mbs_buf *b, char c);
void mbs_buf_printf(mbs_buf *b, const char *fmt, ...) MBS_PRINTF(2, 3);
void mbs_buf_clear(mbs_buf *b); /* empty and not failed; keeps the memory */
void mbs_buf_free(mbs_buf *b);
const char *mbs_buf_str(const mbs_buf *b); /* never NULL */

/* Little-endian fixed-width values, for journals and state blobs. */
void mbs_buf_put_u32(mbs_buf *b, uint32_t v);
void mbs_buf_put_i64(mbs_buf *b, int64_t v);
void mbs_buf_put_f64(mbs_buf *b, double v);
void mbs_buf_put_bytes(mbs_buf *b, const void *data, size_t len); /* i64 length, then the bytes */

/* Reads the same values back. Running past the end sets bit 0 of `failed` and gives zeros. */
typedef struct mbs_cursor {
    const unsigned char *p;
    size_t left;
    int failed;
} mbs_cursor;
uint32_t mbs_cursor_u32(mbs_cursor *c);
int64_t mbs_cursor_i64(mbs_cursor *c);
double mbs_cursor_f64(mbs_cursor *c);
/* Borrowed from the cursor's memory. */
const void *mbs_cursor_bytes(mbs_cursor *c, size_t *len);
/* Copies the next bytes where they are exactly `want`; else 0. */
int mbs_cursor_into(mbs_cursor *c, void *to, size_t want);

#endif
