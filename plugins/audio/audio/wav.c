/* WAV, and RF64 where it is longer than 4 GiB: room for the wide sizes is kept from the beginning. */
#include <string.h>

#include "writer.h"

static unsigned char *put(unsigned char *p, uint64_t v, int n) {
    for (int i = 0; i < n; i++) {
        *p++ = (unsigned char)(v >> (8 * i));
    }
    return p;
}

static unsigned char *word(unsigned char *p, const char *text) {
    memcpy(p, text, 4);
    return p + 4;
}

size_t au_wav_header(const au_writer *w, int64_t bytes, unsigned char to[AU_WAV_ROOM]) {
    int size = au_format_bytes(w->format);
    int is_float = w->format == AU_F32LE || w->format == AU_F64LE;
    int tag = is_float ? 3 : w->format == AU_ALAW ? 6 : w->format == AU_MULAW ? 7 : 1;
    int more = tag != 1; /* these have two bytes more of format, and a count of frames */
    size_t length = 12 + 36 + 8 + (size_t)(more ? 18 + 12 : 16) + 8;
    uint64_t riff = bytes < 0 ? 0 : (uint64_t)w->out.length - 8; /* of all that stands in the file */
    int wide = bytes >= 0 && riff > 0xffffffffu;
    uint64_t frames = bytes < 0 ? 0xffffffffu : (uint64_t)bytes / (uint64_t)(size * w->channels);
    unsigned char *p = word(to, wide ? "RF64" : "RIFF");
    p = put(p, bytes < 0 || wide ? 0xffffffffu : riff, 4);
    p = word(p, "WAVE");
    p = word(p, wide ? "ds64" : "JUNK");
    p = put(p, 28, 4);
    p = put(p, wide ? riff : 0, 8);
    p = put(p, wide ? (uint64_t)bytes : 0, 8);
    p = put(p, wide ? frames : 0, 8);
    p = put(p, 0, 4);
    p = word(p, "fmt ");
    p = put(p, more ? 18 : 16, 4);
    p = put(p, (uint64_t)tag, 2);
    p = put(p, (uint64_t)w->channels, 2);
    p = put(p, (uint64_t)w->rate, 4);
    p = put(p, (uint64_t)(w->rate * w->channels * size), 4);
    p = put(p, (uint64_t)(w->channels * size), 2);
    p = put(p, (uint64_t)(8 * size), 2);
    if (more) {
        p = put(p, 0, 2);
        p = word(p, "fact");
        p = put(p, 4, 4);
        p = put(p, frames > 0xffffffffu ? 0xffffffffu : frames, 4);
    }
    p = word(p, "data");
    p = put(p, bytes < 0 || wide ? 0xffffffffu : (uint64_t)bytes, 4);
    return p == to + length ? length : 0;
}

static const char *attr(const mbs_stream_header *h, const char *key) {
    for (int64_t i = 0; i < h->n_attrs; i++) {
        if (strcmp(h->attrs[i].key, key) == 0) {
            return h->attrs[i].value;
        }
    }
    return NULL;
}

/* One text of the chunk LIST/INFO, with a NUL and padded to an even length. */
static size_t note_bytes(const char *text) {
    return text ? 8 + ((strlen(text) + 2) & ~(size_t)1) : 0;
}

static mbs_status put_note(au_writer *w, const char *id, const char *text) {
    static const unsigned char zeros[2] = {0, 0};
    unsigned char head[8];
    if (!text) {
        return MBS_OK;
    }
    (void)put(word(head, id), strlen(text) + 1, 4);
    mbs_status st = mbs_spool_append(&w->out, head, 8);
    st = st < 0 ? st : mbs_spool_append(&w->out, text, strlen(text));
    return st < 0 ? st : mbs_spool_append(&w->out, zeros, note_bytes(text) - 8 - strlen(text));
}

mbs_status au_wav_notes(au_writer *w) {
    static const char *const ids[][2] = {{"ISFT", "mambaseq_version"}, {"ICMT", "pipeline"}, {"ISRC", "model_sha256"}};
    unsigned char head[12];
    size_t n = 4;
    mbs_status st = MBS_OK;
    if (w->out.length & 1) { /* the samples themselves are padded */
        st = mbs_spool_append(&w->out, "", 1);
    }
    for (int i = 0; i < 3; i++) {
        n += note_bytes(attr(w->stream, ids[i][1]));
    }
    (void)word(put(word(head, "LIST"), n, 4), "INFO");
    st = st < 0 ? st : mbs_spool_append(&w->out, head, 12);
    for (int i = 0; i < 3 && st >= 0; i++) {
        st = put_note(w, ids[i][0], attr(w->stream, ids[i][1]));
    }
    return st;
}
