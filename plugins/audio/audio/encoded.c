/* FLAC and OGG Vorbis by libsndfile, in pieces of one size, so that no cut shows. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

/* libsndfile's own check looks at the channels alone. FLAC's frames hold a rate in Hz, or in tens of Hz; libvorbis
 * encodes no higher. */
static int holds_rate(const au_writer *w) {
    return w->container == AU_OGG ? w->rate <= 200000 : w->rate <= (w->rate % 10 ? 65535 : 655350);
}

/* errno is 0 before a call of libsndfile, which has words of its own for a full disk, or none. */
static mbs_status failed(au_writer *w, const char *what) {
    char words[200];
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT || errno == EIO || errno == EROFS || errno == EACCES) {
        int full = errno == ENOSPC || errno == EDQUOT;
        mbs_status st =
            w->host->fail(w->host, MBS_ERR_IO, "path", "cannot %s '%s': %s", what, w->path, strerror(errno));
        if (full) {
            w->host->hint(w->host, "free space on the disk of the output");
        }
        return st;
    }
    (void)snprintf(words, sizeof(words), "%s", sf_strerror(w->sf));
    size_t n = strlen(words);
    if (n > 0 && words[n - 1] == '.') {
        words[n - 1] = '\0';
    }
    return w->host->fail(w->host, MBS_ERR_IO, "path", "cannot %s '%s': %s", what, w->path, words);
}

mbs_status au_encoded_open(au_writer *w) {
    SF_INFO info;
    memset(&info, 0, sizeof(info));
    info.samplerate = (int)w->rate;
    info.channels = (int)w->channels;
    info.format = w->container == AU_OGG ? SF_FORMAT_OGG | SF_FORMAT_VORBIS
                                         : SF_FORMAT_FLAC | (w->format == AU_S24LE ? SF_FORMAT_PCM_24
                                                             : w->format == AU_S8  ? SF_FORMAT_PCM_S8
                                                                                   : SF_FORMAT_PCM_16);
    if (!sf_format_check(&info) || !holds_rate(w)) {
        return w->host->fail(w->host, MBS_ERR_CONFIG, "path", "%s holds no %lld channels at %lld Hz",
                             w->container == AU_OGG ? "OGG" : "FLAC", (long long)w->channels, (long long)w->rate);
    }
    errno = 0;
    int fd = open(w->temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    w->sf = fd >= 0 ? sf_open_fd(fd, SFM_WRITE, &info, SF_TRUE) : NULL;
    if (!w->sf) {
        return failed(w, "create");
    }
    if (w->container == AU_OGG) {
        (void)sf_command(w->sf, SFC_SET_VBR_ENCODING_QUALITY, &w->quality, sizeof(w->quality));
    }
    return MBS_OK;
}

mbs_status au_encoded_piece(au_writer *w, int64_t frames) {
    int64_t n = frames * w->channels;
    sf_count_t wrote;
    errno = 0;
    if (w->container == AU_OGG) {
        for (int64_t i = 0; i < n; i++) {
            float v = w->piece[i];
            w->at.clipped += v > 1.0f || v < -1.0f;
            w->piece[i] = v > 1.0f ? 1.0f : v < -1.0f ? -1.0f : v;
        }
        wrote = sf_writef_float(w->sf, w->piece, frames);
    } else {
        int bytes = au_format_bytes(w->format);
        w->at.clipped += au_encode(w->format, w->piece, w->bytes, n);
        for (int64_t i = 0; i < n; i++) { /* to the top of 32 bits, as libsndfile takes them */
            uint32_t v = 0;
            for (int k = 0; k < bytes; k++) {
                v |= (uint32_t)w->bytes[i * bytes + k] << (8 * (4 - bytes + k));
            }
            w->whole[i] = (int)v;
        }
        wrote = sf_writef_int(w->sf, w->whole, frames);
    }
    return wrote == frames ? MBS_OK : failed(w, "write");
}

/* ---- OGG pages get the number 1 as their stream's, which libsndfile draws from the clock ---- */

static uint32_t page_sum(const unsigned char *p, size_t n) {
    uint32_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint32_t)p[i] << 24;
        for (int k = 0; k < 8; k++) {
            crc = crc & 0x80000000u ? crc << 1 ^ 0x04c11db7u : crc << 1;
        }
    }
    return crc;
}

static mbs_status renumber(au_writer *w) {
    unsigned char page[27 + 255 + 255 * 255];
    errno = 0;
    int fd = open(w->temp, O_RDWR | O_CLOEXEC);
    int64_t at = 0;
    int bad = fd < 0;
    while (!bad) {
        ssize_t got = pread(fd, page, sizeof(page), (off_t)at);
        if (got == 0) {
            break;
        }
        size_t n = got >= 27 ? 27u + page[26] : SIZE_MAX;
        for (size_t i = 0; got >= 27 && (ssize_t)(27 + i) < got && i < page[26]; i++) {
            n += page[27 + i];
        }
        bad = got < 27 || memcmp(page, "OggS", 4) != 0 || n > (size_t)got;
        if (bad) {
            break;
        }
        memset(page + 14, 0, 4);
        page[14] = 1;
        memset(page + 22, 0, 4);
        uint32_t sum = page_sum(page, n);
        for (int i = 0; i < 4; i++) {
            page[22 + i] = (unsigned char)(sum >> (8 * i));
        }
        bad = pwrite(fd, page, 27, (off_t)at) != 27;
        at += (int64_t)n;
    }
    if (fd >= 0) {
        bad |= close(fd) != 0;
    }
    if (bad) { /* libsndfile tells of no page that found no room when it closes a file: then the last one is cut */
        mbs_status st = w->host->fail(w->host, MBS_ERR_IO, "path", "cannot complete '%s': %s", w->path,
                                      errno ? strerror(errno) : "its last page was cut short");
        w->host->hint(w->host, "look whether the disk of the output is full");
        return st;
    }
    return MBS_OK;
}

mbs_status au_encoded_close(au_writer *w) {
    mbs_status st = w->filled > 0 ? au_encoded_piece(w, w->filled) : MBS_OK;
    w->filled = 0;
    errno = 0;
    int code = sf_close(w->sf);
    w->sf = NULL;
    if (st == MBS_OK && code != 0) {
        st = failed(w, "complete");
    }
    return st == MBS_OK && w->container == AU_OGG ? renumber(w) : st;
}
