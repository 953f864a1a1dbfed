/* sha256.h - FIPS 180-4 SHA-256, for naming models, inputs and journal sections. */
#ifndef MBS_BASE_SHA256_H
#define MBS_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct mbs_sha256 {
    uint32_t h[8];
    uint64_t bytes;
    unsigned char block[64];
} mbs_sha256;

void mbs_sha256_init(mbs_sha256 *s);
void mbs_sha256_add(mbs_sha256 *s, const void *data, size_t len);
/* 64 lower-case hexadecimal digits and a NUL. Ends the sum: init before it is used again. */
void mbs_sha256_hex(mbs_sha256 *s, char out[65]);
void mbs_sha256_of(const void *data, size_t len, char out[65]);

/* `h` after `count` blocks of 64 bytes more: by the processor's own instructions where it has them, or in plain C. */
void mbs_sha256_blocks(uint32_t h[8], const unsigned char *p, size_t count);
void mbs_sha256_blocks_plain(uint32_t h[8], const unsigned char *p, size_t count);

#endif
