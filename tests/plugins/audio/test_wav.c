/* The header of a WAV, where its sizes pass 32 bits. */
#include <string.h>

#include "audio/audio/writer.h"
#include "support/test.h"

static uint64_t little(const unsigned char *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

static size_t header_of(au_format format, int64_t bytes, int64_t behind, unsigned char *to) {
    au_writer w;
    memset(&w, 0, sizeof(w));
    w.format = format;
    w.rate = 16000;
    w.channels = 2;
    size_t n = au_wav_header(&w, -1, to);
    w.out.length = (int64_t)n + bytes + behind;
    CHECK_INT((long long)au_wav_header(&w, bytes, to), (long long)n); /* it goes where the first one stood */
    return n;
}

/* The last file whose sizes fit RIFF, and the first whose do not: the notes behind the samples count too. */
MBS_TEST(wav, rf64_begins_where_32_bits_end) {
    unsigned char p[AU_WAV_ROOM];
    static const au_format formats[] = {AU_S16LE, AU_F32LE};
    for (int f = 0; f < 2; f++) {
        size_t n = header_of(formats[f], 0, 0, p);
        int64_t most = (int64_t)0xffffffff + 8 - (int64_t)n;
        most -= most % 8;
        (void)header_of(formats[f], most, 0, p);
        CHECK(memcmp(p, "RIFF", 4) == 0 && memcmp(p + 12, "JUNK", 4) == 0);
        CHECK_INT((long long)little(p + 4, 4), (long long)most + (long long)n - 8);
        CHECK_INT((long long)little(p + n - 4, 4), most);
        static const int64_t behind[] = {0, 100};
        for (int k = 0; k < 2; k++) {
            int64_t bytes = k ? most : most + 8;
            (void)header_of(formats[f], bytes, behind[k], p);
            CHECK(memcmp(p, "RF64", 4) == 0 && memcmp(p + 12, "ds64", 4) == 0);
            CHECK_INT((long long)little(p + 4, 4), 0xffffffffLL);
            CHECK_INT((long long)little(p + 20, 8), (long long)n + bytes + behind[k] - 8);
            CHECK_INT((long long)little(p + 28, 8), bytes);
            CHECK_INT((long long)little(p + 36, 8), bytes / (f ? 8 : 4));
            CHECK(memcmp(p + n - 8, "data", 4) == 0);
            CHECK_INT((long long)little(p + n - 4, 4), 0xffffffffLL);
        }
    }
}
