/* What headers of files promise: libsndfile takes what is there for what was meant. */
#include <string.h>
#include <unistd.h>

#include "input.h"

uint64_t au_little(const unsigned char *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

uint64_t au_big(const unsigned char *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

int64_t au_told_size(uint32_t size) {
    return size == 0 || size >= 0x7ff00000u ? -1 : (int64_t)size;
}

/* Lists of chunks: how a name and a size stand in them. */
typedef struct chunks {
    const char *data;    /* the one with the samples */
    int64_t first;       /* offset of the first chunk */
    int name, size;      /* bytes of both */
    int big;             /* endian */
    int own;             /* the size counts name and size as well */
    int64_t align, lead; /* chunks begin at multiples; bytes before the samples that the size counts */
} chunks;

static const chunks riff = {"data", 12, 4, 4, 0, 0, 2, 0};
static const chunks aiff = {"SSND", 12, 4, 4, 1, 0, 2, 8};
static const chunks wave64 = {"data", 40, 16, 8, 0, 1, 8, 0};
static const chunks caf = {"data", 8, 4, 8, 1, 0, 1, 4};

/* The name and size of the chunk at `at`, and where the next one is; 0 where there is none. */
static int chunk_at(int fd, const chunks *how, int64_t at, unsigned char p[64], int64_t *bytes, int64_t *next) {
    int head = how->name + how->size;
    memset(p, 0, 64);
    if (pread(fd, p, 64, (off_t)at) < head) {
        return 0;
    }
    uint64_t v = how->big ? au_big(p + how->name, how->size) : au_little(p + how->name, how->size);
    *bytes = v > (uint64_t)1 << 60 ? -1 : (int64_t)v - (how->own ? head : 0);
    *next = *bytes < 0 ? -1 : at + head + *bytes;
    *next += *bytes < 0 ? 0 : (how->align - *next % how->align) % how->align;
    return 1;
}

/* Whether chunks follow one another from `at` up to the end: then no samples lie there. */
static int only_chunks(int fd, int64_t at, int64_t size) {
    unsigned char p[64];
    int64_t bytes;
    while (at >= 0 && at + 8 <= size && chunk_at(fd, &riff, at, p, &bytes, &at)) {
        for (int i = 0; i < 4; i++) {
            if (p[i] < ' ' || p[i] > '~') {
                return 0;
            }
        }
    }
    return at >= size;
}

static void look_at_samples(int fd, int64_t size, const chunks *how, int64_t at, int64_t told, au_told *out) {
    int64_t here = at + how->name + how->size;
    if (told == 0 && how == &riff) {
        out->unfinished = size > here && !only_chunks(fd, here, size);
    } else if (told < 0 && how == &riff && size > here) {
        out->untold = size - here;
        /* Behind an odd number of bytes there is one more, which belongs to no sample. */
        out->untold -= out->frame > 1 && out->untold % 2 == 0 && out->untold % out->frame == 1;
    } else if (told > how->lead && told > size - here) {
        out->missing = told - (size > here ? size - here : 0);
    }
}

static void look_at_chunks(int fd, int64_t size, const chunks *how, int known, au_told *out) {
    unsigned char p[64];
    int64_t wide = -1;
    int64_t bytes;
    int64_t next;
    for (int64_t at = how->first; at >= 0 && at + how->name + how->size <= size; at = next) {
        if (!chunk_at(fd, how, at, p, &bytes, &next)) {
            return;
        }
        if (how == &riff && memcmp(p, "ds64", 4) == 0) {
            wide = (int64_t)au_little(p + 16, 8);
        }
        if (how == &riff && memcmp(p, "fmt ", 4) == 0) {
            out->channels = (int64_t)au_little(p + 10, 2);
            out->rate = (int64_t)au_little(p + 12, 4);
            int64_t whole = out->channels * (int64_t)((au_little(p + 22, 2) + 7) / 8);
            out->frame = whole == (int64_t)au_little(p + 20, 2) ? whole : 0;
        }
        if (memcmp(p, how->data, 4) == 0) {
            int64_t told = how->size == 8 ? bytes : bytes == 0xffffffff ? wide : bytes;
            told = how->size == 4 && bytes > 0 && bytes != 0xffffffff && !known ? au_told_size((uint32_t)bytes) : told;
            look_at_samples(fd, size, how, at, told, out);
            return;
        }
    }
}

/* The most that a page of an Ogg stream takes, and what is looked at for the last one: tags may stand behind it. */
#define PAGE_MOST (27 + 255 + 255 * 255)
#define PAGES_SEEN (2 * PAGE_MOST)

/* Whether the page at p, of which n bytes are there, is whole and the last of its stream. */
static int ends_stream(const unsigned char *p, int64_t n) {
    int64_t length = n < 27 ? n + 1 : 27 + p[26];
    for (int64_t i = 27; length <= n && i < 27 + p[26]; i++) {
        length += p[i];
    }
    return length <= n && (p[5] & 4) != 0;
}

/* Whether the stream of `serial` begins behind another: those of one piece of sound all begin at the file's start. */
static int begins_later(int fd, const unsigned char *serial) {
    unsigned char p[27 + 255];
    int64_t next;
    for (int64_t at = 0;; at = next) {
        ssize_t n = pread(fd, p, sizeof(p), (off_t)at);
        if (n < 27 || n < 27 + p[26] || memcmp(p, "OggS", 5) != 0 || (p[5] & 2) == 0) {
            return at > 0;
        }
        if (memcmp(p + 14, serial, 4) == 0) {
            return 0;
        }
        next = at + 27 + p[26];
        for (int i = 0; i < p[26]; i++) {
            next += p[27 + i];
        }
    }
}

/* How long a stream of pages is nobody tells before its end, but the last page says that it is the last. */
static void look_at_pages(int fd, int64_t size, au_told *out) {
    unsigned char tail[PAGES_SEEN];
    int64_t n = size < PAGES_SEEN ? size : PAGES_SEEN;
    if (pread(fd, tail, (size_t)n, (off_t)(size - n)) != (ssize_t)n) {
        return;
    }
    for (int64_t i = n - 5; i >= 0; i--) {
        if (memcmp(tail + i, "OggS\0", 5) == 0) {
            out->endless = !ends_stream(tail + i, n - i);
            out->chained = n - i >= 18 && begins_later(fd, tail + i + 14);
            out->last = n - i < 14 ? -1 : (int64_t)au_little(tail + i + 6, 8);
            return;
        }
    }
}

/* MP3: encoders put a frame of silence first that holds "Xing" or "Info", what is there of four numbers, and of these
 * the bytes of all frames as the second; behind tags of ID3, whose sizes are 7 bits a byte. */
static void look_at_mp3(int fd, int64_t size, au_told *out) {
    unsigned char p[48];
    int64_t at = 0;
    while (pread(fd, p, 10, (off_t)at) == 10 && memcmp(p, "ID3", 3) == 0) {
        int64_t tag = (int64_t)(p[6] & 127) << 21 | (p[7] & 127) << 14 | (p[8] & 127) << 7 | (p[9] & 127);
        at += 10 + tag + (p[5] & 16 ? 10 : 0);
    }
    if (pread(fd, p, sizeof(p), (off_t)at) != (ssize_t)sizeof(p) || p[0] != 0xff || (p[1] & 0xe6) != 0xe2) {
        return; /* no frame of layer 3 */
    }
    const int first = (p[1] & 8) != 0; /* MPEG 1, else 2 or 2.5 */
    const int mono = p[3] >> 6 == 3;
    const unsigned char *x = p + 4 + (first ? mono ? 17 : 32 : mono ? 9 : 17);
    unsigned char said[12];
    if ((memcmp(x, "Xing", 4) != 0 && memcmp(x, "Info", 4) != 0) ||
        pread(fd, said, sizeof(said), (off_t)(at + (x - p) + 4)) != (ssize_t)sizeof(said) || (said[3] & 2) == 0) {
        return;
    }
    int64_t bytes = (int64_t)au_big(said + (said[3] & 1 ? 8 : 4), 4);
    /* Some count the tags as well. */
    out->missing = bytes > size - at && bytes != size ? bytes - (size - at) : 0;
}

void au_tell(int fd, int64_t size, au_told *told) {
    unsigned char p[24];
    *told = (au_told){.rate = -1, .channels = -1, .untold = -1, .last = -1};
    if (pread(fd, p, sizeof(p), 0) != (ssize_t)sizeof(p)) {
        return;
    }
    if (memcmp(p, "RIFF", 4) == 0 || memcmp(p, "RF64", 4) == 0) {
        int known = p[1] == 'F' || au_told_size((uint32_t)au_little(p + 4, 4)) >= 0;
        if (memcmp(p + 8, "WAVE", 4) == 0) {
            look_at_chunks(fd, size, &riff, known, told);
        }
    } else if (memcmp(p, "FORM", 4) == 0 && memcmp(p + 8, "AIF", 3) == 0) {
        look_at_chunks(fd, size, &aiff, au_told_size((uint32_t)au_big(p + 4, 4)) >= 0, told);
    } else if (memcmp(p, "riff\x2e\x91\xcf\x11", 8) == 0) {
        look_at_chunks(fd, size, &wave64, 1, told);
    } else if (memcmp(p, "caff", 4) == 0) {
        look_at_chunks(fd, size, &caf, 1, told);
    } else if (memcmp(p, ".snd", 4) == 0) {
        int64_t bytes = au_told_size((uint32_t)au_big(p + 8, 4));
        int64_t there = size - (int64_t)au_big(p + 4, 4);
        told->missing = bytes > 0 && bytes > there ? bytes - (there > 0 ? there : 0) : 0;
        told->frame = au_code_bytes((uint32_t)au_big(p + 12, 4)) * (int64_t)au_big(p + 20, 4);
        told->untold = bytes < 0 && there > 0 ? there : -1;
    } else if (memcmp(p, "OggS", 4) == 0) {
        look_at_pages(fd, size, told);
    } else if (memcmp(p, "ID3", 3) == 0 || p[0] == 0xff) {
        look_at_mp3(fd, size, told);
    }
}
