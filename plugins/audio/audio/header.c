/* Headers of WAV and AU, as far as their samples can be decoded as they come. */
#include <string.h>

#include "input.h"

static uint32_t le(const unsigned char *p, int n) {
    return (uint32_t)au_little(p, n);
}

static uint32_t be32(const unsigned char *p) {
    return (uint32_t)au_big(p, 4);
}

static au_format wav_format(uint32_t tag, uint32_t bits) {
    switch (tag) {
    case 1:
        return bits == 8 ? AU_U8 : bits == 16 ? AU_S16LE : bits == 24 ? AU_S24LE : bits == 32 ? AU_S32LE : AU_NONE;
    case 3:
        return bits == 32 ? AU_F32LE : bits == 64 ? AU_F64LE : AU_NONE;
    case 6:
        return bits == 8 ? AU_ALAW : AU_NONE;
    case 7:
        return bits == 8 ? AU_MULAW : AU_NONE;
    default:
        return AU_NONE;
    }
}

static mbs_status damaged(au_input *in, const char *why) {
    if (au_ended(in)) {
        return au_no_sample(in);
    }
    return in->host->fail(in->host, MBS_ERR_DATA, "path", "%s: a damaged WAV header: %s", au_show(in->path), why);
}

static mbs_status take_fmt(au_input *in, const unsigned char *p, uint32_t size) {
    uint32_t tag = le(p, 2);
    in->channels = le(p + 2, 2);
    in->rate = le(p + 4, 4);
    if (tag == 0xfffe && size >= 26) {
        tag = le(p + 24, 2);
    }
    in->format = wav_format(tag, le(p + 14, 2));
    if (in->format != AU_NONE && le(p + 12, 2) != (uint32_t)(in->channels * au_format_bytes(in->format))) {
        in->format = AU_NONE; /* packed in a way of its own: libsndfile may know it */
    }
    return in->format == AU_NONE ? MBS_END : MBS_OK;
}

/* Behind "WAVE". What cannot be decoded here has taken nothing from the window, so all chunks up to the samples have to
 * fit it. */
static mbs_status wav_header(au_input *in, int64_t wide) {
    size_t at = 12;
    int have = 0;
    for (;;) {
        int got = au_need(in, at + 8);
        if (got != 1) {
            return got == AU_EOF ? damaged(in, "it ends before the samples") : au_read_failed(in);
        }
        const unsigned char *p = in->window + in->pos + at;
        uint32_t size = le(p + 4, 4);
        if (memcmp(p, "data", 4) == 0) {
            if (!have) {
                return damaged(in, "samples before the chunk 'fmt '");
            }
            in->left = size == 0xffffffffu && wide > 0 ? wide : au_told_size(size);
            in->unfinished = size == 0;
            in->even = 1;
            in->pos += at + 8;
            return MBS_OK;
        }
        if ((int64_t)at + 8 + size + 8 > AU_WINDOW - 16) {
            return MBS_END;
        }
        got = au_need(in, at + 8 + size);
        if (got != 1) {
            return got == AU_EOF ? damaged(in, "it ends within a chunk") : au_read_failed(in);
        }
        p = in->window + in->pos + at;
        if (memcmp(p, "fmt ", 4) == 0) {
            if (size < 16) {
                return damaged(in, "the chunk 'fmt ' is too short");
            }
            if (take_fmt(in, p + 8, size) != MBS_OK) {
                return MBS_END;
            }
            have = 1;
        } else if (memcmp(p, "ds64", 4) == 0 && size >= 16) {
            uint64_t v = (uint64_t)le(p + 16, 4) | (uint64_t)le(p + 20, 4) << 32;
            wide = v > 0 && v < (uint64_t)1 << 60 ? (int64_t)v : -1;
        }
        at += 8 + (size_t)size + (size & 1);
    }
}

static au_format code_format(uint32_t code) {
    static const au_format formats[] = {AU_NONE, AU_MULAW, AU_S8, AU_S16BE, AU_S24BE, AU_S32BE, AU_F32BE, AU_F64BE};
    return code < 8 ? formats[code] : code == 27 ? AU_ALAW : AU_NONE;
}

int64_t au_code_bytes(uint32_t code) {
    return code_format(code) == AU_NONE ? 0 : au_format_bytes(code_format(code));
}

static mbs_status au_file_header(au_input *in) {
    int got = au_need(in, 24);
    if (got != 1) {
        return got == AU_EOF ? MBS_END : au_read_failed(in);
    }
    const unsigned char *p = in->window + in->pos;
    uint32_t offset = be32(p + 4);
    in->format = code_format(be32(p + 12));
    if (in->format == AU_NONE || offset < 24 || offset > AU_WINDOW) {
        return MBS_END;
    }
    in->left = au_told_size(be32(p + 8));
    in->rate = be32(p + 16);
    in->channels = be32(p + 20);
    got = au_need(in, offset);
    if (got != 1) {
        return got == AU_EOF ? MBS_END : au_read_failed(in);
    }
    in->pos += offset;
    return MBS_OK;
}

mbs_status au_header(au_input *in) {
    int got = au_need(in, 12);
    if (got == AU_BROKEN) {
        return au_read_failed(in);
    }
    const unsigned char *p = in->window + in->pos;
    if (got == AU_EOF) {
        return MBS_END;
    }
    mbs_status st = MBS_END;
    const char *name = "WAV";
    if ((memcmp(p, "RIFF", 4) == 0 || memcmp(p, "RF64", 4) == 0) && memcmp(p + 8, "WAVE", 4) == 0) {
        st = wav_header(in, -1);
    } else if (memcmp(p, ".snd", 4) == 0) {
        st = au_file_header(in);
        name = "AU";
    }
    if (st == MBS_OK) {
        (void)memcpy(in->what, name, strlen(name) + 1);
    }
    return st;
}
