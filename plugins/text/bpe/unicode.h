/*
 * unicode.h - what the pre-tokeniser and NFC know of characters; the tables are generated (make_tables.py).
 */
#ifndef BP_UNICODE_H
#define BP_UNICODE_H

#include <stddef.h>
#include <stdint.h>

typedef struct bp_range {
    uint32_t first, last;
} bp_range;
typedef struct bp_class {
    uint32_t first, last, ccc; /* canonical combining class, not 0 */
} bp_class;
typedef struct bp_pair {
    uint32_t a, b, c; /* apart: a is b c, or b alone where c is 0; together: a and b make c */
} bp_pair;

extern const bp_range bp_letters[], bp_numbers[];
extern const bp_class bp_classes[];
extern const bp_pair bp_apart[], bp_together[];
extern const int bp_letters_n, bp_numbers_n, bp_classes_n, bp_apart_n, bp_together_n;

typedef enum bp_kind { BP_LETTER, BP_NUMBER, BP_SPACE, BP_OTHER } bp_kind;
bp_kind bp_kind_of(uint32_t c);

/* The character at p (at least one byte up to end) and its length; 0 where it is not UTF-8, -1 where it is cut. */
int bp_utf8(const unsigned char *p, const unsigned char *end, uint32_t *c);
int bp_put_utf8(uint32_t c, unsigned char out[4]);

/* Composes n characters in place as NFC does; returns how many they are then (room for 3n + 8). */
size_t bp_nfc(uint32_t *c, size_t n, size_t room);
/* Whether a text may be cut in front of this character without changing what NFC makes of it. */
int bp_nfc_starts(uint32_t c);

#endif
