/*
 * report.h - one page of HTML: what a recording looks and sounds like, and what the model made of it.
 */
#ifndef RP_REPORT_H
#define RP_REPORT_H

#include "io/rowfile/span.h"
#include "io/rowfile/spool.h"
#include "io/rowfile/text.h"
#include "mambaseq/plugin.h"

#define RP_COLUMNS 1200
#define RP_BANDS 128   /* rows of a spectrogram */
#define RP_PLACES 2400 /* of probabilities, at most */
#define RP_CLASSES_SHOWN 8

/* What is drawn of a recording. */
typedef struct rp_sound {
    int64_t rate, frames; /* of the piece, at the file's rate */
    float low[RP_COLUMNS], high[RP_COLUMNS];
    unsigned char level[RP_BANDS][RP_COLUMNS]; /* 0: -100 dB and below, 255: 0 dB */
    unsigned char *flac;
    size_t flac_bytes;
    double heard; /* seconds of it */
} rp_sound;

typedef struct rp_writer {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    const char *temp;
    const mbs_stream_header *stream;
    const char *labels; /* names with tabs between, or NULL */
    int said_no_sound;
    double rate;  /* units per second */
    double audio; /* seconds that may still be played */
    int64_t n_classes;
    float *top;    /* RP_PLACES x n_classes: the highest of each place */
    double *until; /* RP_PLACES: where each ends, in units */
    int64_t n_places, rows_each, rows_in;
    int64_t begin; /* of the record, in units; -1: none is open */
    int64_t end;
    mbs_text line;
    mbs_spool out;
} rp_writer;

/* sound.c: looks through `path` from `begin` on for `seconds` (-1: to its end) and encodes the first `audio` seconds.
 */
mbs_status rp_sound_look(const mbs_host *host, const char *path, double begin, double seconds, double audio,
                         rp_sound *out);
void rp_sound_free(const mbs_host *host, rp_sound *s);
/* picture.c: pieces of the page, appended to `line`. */
void rp_put(mbs_text *line, const char *text);
void rp_put_escaped(mbs_text *line, const char *text, size_t n);
void rp_put_base64(mbs_text *line, const unsigned char *bytes, size_t n);
void rp_picture_wave(mbs_text *line, const rp_sound *s, double seconds);
mbs_status rp_picture_spectrogram(const mbs_host *host, mbs_text *line, const rp_sound *s, double seconds);
void rp_picture_classes(const rp_writer *w, mbs_text *line);
/* The name of class k, not terminated. */
size_t rp_class_name(const rp_writer *w, int64_t k, const char **name, char number[24]);

extern const mbs_writer_vt rp_writer_vt;

#endif
