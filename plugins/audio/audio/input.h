/*
 * input.h - one recording as frames of floats: a file that libsndfile reads, raw PCM with a told layout, or a stream.
 *
 * A stream (a pipe, a terminal, a socket) of raw PCM or WAV is decoded as it comes. Of anything else libsndfile wants
 * to seek: it goes to a file without a name first.
 */
#ifndef AU_INPUT_H
#define AU_INPUT_H

#include <sndfile.h>
#include <stdint.h>

#include "audio/dsp/sample.h"
#include "mambaseq/host.h"

#define AU_WINDOW 65536
#define AU_RATE_MAX 100000000
#define AU_CHANNELS_MAX 1024

/* What the parameters say of input without a header. format AU_NONE: there is one. */
typedef struct au_layout {
    au_format format;
    int64_t rate, channels;
} au_layout;

typedef struct au_input {
    const mbs_host *host;
    const char *path; /* borrowed */
    int fd;
    int regular; /* can be read twice */
    int live;    /* its end is not known: SIGINT may say it */
    int seeks;   /* a frame can be gone to exactly */
    int64_t rate, channels;
    int64_t frames; /* -1: not known */
    SNDFILE *sf;    /* or: */
    au_format format;
    int64_t first;  /* offset of the first sample */
    int64_t left;   /* bytes of samples still to come, -1: up to the end */
    int unfinished; /* the header says 0 bytes: whoever wrote it was stopped, maybe within a sample */
    int even;       /* behind an odd number of bytes of samples there is one more, as in RIFF */
    unsigned char *window;
    size_t pos, len;
    int eof;
    int64_t at;    /* frames given */
    char what[96]; /* "WAV (Microsoft), Signed 16 bit PCM" */
} au_input;

/* What a message calls the file. */
const char *au_show(const char *path);
/* Opens `path` ("-": standard input) up to its first sample. The host was told of a failure. */
mbs_status au_input_open(au_input *in, const mbs_host *host, const char *path, const au_layout *layout);
/* *got >= 1 frames, MBS_END, MBS_AGAIN when nothing came for `wait` milliseconds (streams), or an error. */
mbs_status au_input_read(au_input *in, float *to, int64_t frames, int wait, int64_t *got);
/* Goes to a frame, by seeking or by reading up to it. Only forward on a stream. */
mbs_status au_input_goto(au_input *in, int64_t frame, float *scratch, int64_t room);
void au_input_close(au_input *in);

/* stream.c: the bytes below. fill: 1: there are some; 0: nothing for `wait` ms; AU_EOF; AU_BROKEN. */
#define AU_EOF (-1)
#define AU_BROKEN (-2)
int au_fill(au_input *in, int wait);
/* Makes at least n bytes stand in the window (n <= AU_WINDOW): 1, AU_EOF or AU_BROKEN. Waits. */
int au_need(au_input *in, size_t n);
/* Whether the user said that the input is over. */
int au_ended(const au_input *in);
/* All that is left of a stream to a file without a name, which takes its place. */
mbs_status au_spool(au_input *in);
mbs_status au_read_failed(au_input *in);
/* That there is nothing in it, or was not yet when the user said that it is over. */
mbs_status au_no_sample(const au_input *in);

/* header.c: looks at the beginning of a stream: MBS_OK with rate, channels, format and left set; MBS_END where it is
 * nothing that can be decoded as it comes. */
mbs_status au_header(au_input *in);

/* told.c: what the header of a file says, beside what the file holds. */
typedef struct au_told {
    int64_t rate, channels; /* of a WAV; -1: it does not say so */
    int64_t missing;        /* bytes of samples that it promises and does not hold */
    int unfinished;         /* a WAV that says 0 bytes of samples and holds some: whoever wrote it was stopped */
    int64_t frame;          /* bytes of a frame of samples that are not packed; 0: not known */
    int64_t untold;         /* bytes of samples where the header leaves their number open; -1: it does not */
    int endless;            /* an Ogg stream whose last page is cut or does not say that it is the last */
    int chained;            /* an Ogg file whose last page is of a stream that begins behind another one */
    int64_t last;           /* the sample of its stream that this page says it goes up to; -1: it does not */
} au_told;
void au_tell(int fd, int64_t size, au_told *told);
/* Bytes of a sample of this encoding of AU; 0: packed, or none of those that are decoded here. */
int64_t au_code_bytes(uint32_t code);
uint64_t au_little(const unsigned char *p, int n);
uint64_t au_big(const unsigned char *p, int n);
/* Bytes of samples that a header tells; -1 for what writers put where they cannot know it yet: 0, and the greatest that
 * fit (sox: 0x7ffff000 and less its header, ffmpeg: 0xffffffff). */
int64_t au_told_size(uint32_t size);

#endif
