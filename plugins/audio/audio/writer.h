/*
 * writer.h - sound into a file: WAV and raw samples by ourselves (so that they stream and can be taken up again), FLAC
 * and OGG by libsndfile.
 */
#ifndef AU_WRITER_H
#define AU_WRITER_H

#include <sndfile.h>

#include "audio/dsp/sample.h"
#include "io/rowfile/spool.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/plugin.h"

#define AU_PIECE 4096 /* frames that libsndfile gets at once, whatever comes */
#define AU_WAV_ROOM 96

typedef enum au_container { AU_WAV, AU_RAW, AU_FLAC, AU_OGG } au_container;

typedef struct au_writer {
    const mbs_host *host;
    const mbs_params *params;
    const char *path;
    const char *temp; /* NULL: standard output */
    au_container container;
    au_format format;
    int dither;
    double gain, gap, quality;
    int64_t rate, channels;
    const mbs_stream_header *stream;
    mbs_spool out; /* WAV, raw */
    SNDFILE *sf;   /* FLAC, OGG */
    float *piece;  /* AU_PIECE frames */
    int *whole;    /* the same as integers, FLAC */
    unsigned char *bytes;
    int64_t filled; /* frames in piece */
    int opened, closed, restored;
    struct au_writer_place {
        int64_t version, length, samples, clipped, records;
    } at;
} au_writer;

extern const mbs_writer_vt au_writer_vt;

/* wav.c: the header of a file of `bytes` of samples, -1: not known (a stream). Gives its length, at most AU_WAV_ROOM.
 */
size_t au_wav_header(const au_writer *w, int64_t bytes, unsigned char to[AU_WAV_ROOM]);
/* What ran, as a chunk behind the samples. */
mbs_status au_wav_notes(au_writer *w);
/* encoded.c: FLAC and OGG. */
mbs_status au_encoded_open(au_writer *w);
mbs_status au_encoded_piece(au_writer *w, int64_t frames);
mbs_status au_encoded_close(au_writer *w);

#endif
