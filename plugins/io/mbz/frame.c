#include "frame.h"

const char *const mz_keys[] = {"model_sha256", "arithmetic", "dtype", "codec", "vocab", NULL};

/* CRC-32 as gzip has it, four bits at a time. */
uint32_t mz_crc(const void *bytes, size_t n) {
    static const uint32_t nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const uint8_t *p = bytes;
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = nibble[c & 15] ^ c >> 4;
        c = nibble[c & 15] ^ c >> 4;
    }
    return ~c;
}

void mz_put_u32(uint8_t *to, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> 8 * i);
    }
}

uint32_t mz_get_u32(const uint8_t *from) {
    uint32_t v = 0;
    for (int i = 3; i >= 0; i--) {
        v = v << 8 | from[i];
    }
    return v;
}

void mz_put_i64(uint8_t *to, int64_t v) {
    mz_put_u32(to, (uint32_t)(uint64_t)v);
    mz_put_u32(to + 4, (uint32_t)((uint64_t)v >> 32));
}

int64_t mz_get_i64(const uint8_t *from) {
    return (int64_t)((uint64_t)mz_get_u32(from + 4) << 32 | mz_get_u32(from));
}
