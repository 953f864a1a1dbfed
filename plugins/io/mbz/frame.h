/*
 * frame.h - the container of task compress.
 *
 *   8 bytes   magic
 *   u32       length of the header, then its lines "key: value", then their CRC-32
 *   frames    u32 length (1..65536), bytes, CRC-32 of the bytes; all but the last are full
 *   u32 0     the end, i64 how many bytes the frames held, CRC-32 of these 8 bytes
 *
 * All numbers little-endian. Nothing follows the end.
 */
#ifndef MZ_FRAME_H
#define MZ_FRAME_H

#include "mambaseq/plugin.h"

#define MZ_MAGIC "MBZ1\r\n\x1a\n"
#define MZ_MAGIC_BYTES 8
#define MZ_FRAME 65536
#define MZ_HEADER_MAX 16384

extern const mbs_reader_vt mz_reader_vt;
extern const mbs_writer_vt mz_writer_vt;

/* Of the header's attributes, those that a container holds; NULL behind the last. */
extern const char *const mz_keys[];

uint32_t mz_crc(const void *bytes, size_t n);
void mz_put_u32(uint8_t *to, uint32_t v);
uint32_t mz_get_u32(const uint8_t *from);
void mz_put_i64(uint8_t *to, int64_t v);
int64_t mz_get_i64(const uint8_t *from);

#endif
