/*
 * sample.h - samples as bytes: the formats of raw PCM, to floats in [-1, 1) and back.
 *
 * Integers are divided by 2^(bits-1), as libsndfile does, so a file and the same file through a pipe give the same
 * bits.
 */
#ifndef AU_SAMPLE_H
#define AU_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

typedef enum au_format {
    AU_NONE = 0,
    AU_S8,
    AU_U8,
    AU_S16LE,
    AU_S16BE,
    AU_S24LE,
    AU_S24BE,
    AU_S32LE,
    AU_S32BE,
    AU_F32LE,
    AU_F32BE,
    AU_F64LE,
    AU_F64BE,
    AU_MULAW,
    AU_ALAW,
    AU_FORMATS
} au_format;

/* Their names, "a|b|c", as parameters list them. */
#define AU_FORMAT_WORDS "s8|u8|s16le|s16be|s24le|s24be|s32le|s32be|f32le|f32be|f64le|f64be|mulaw|alaw"

/* AU_NONE where `name` is none of them. */
au_format au_format_named(const char *name);
const char *au_format_name(au_format format);
/* Bytes of one sample. */
int au_format_bytes(au_format format);
/* Bits that an integer format keeps, 0 for floats. */
int au_format_bits(au_format format);

void au_decode(au_format format, const void *from, float *to, int64_t n);
/* Rounds to the nearest step, ties away from zero; what lies outside is held at the end of the range and counted.
 * `from` has the dither already. Gives how many samples were clipped. */
int64_t au_encode(au_format format, const float *from, void *to, int64_t n);

/* G.711: the 8-bit codes for a 16-bit sample, and back. */
uint8_t au_mulaw_code(int16_t sample);
int16_t au_mulaw_sample(uint8_t code);
uint8_t au_alaw_code(int16_t sample);
int16_t au_alaw_sample(uint8_t code);

#endif
