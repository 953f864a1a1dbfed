/*
 * reader.h - one reader of sound: what it was asked for, the recordings in order, and the one that it stands in.
 */
#ifndef AU_READER_H
#define AU_READER_H

#include "audio/dsp/channel.h"
#include "audio/dsp/resample.h"
#include "input.h"
#include "mambaseq/ext/checkpoint.h"
#include "mambaseq/ext/inspect.h"
#include "mambaseq/plugin.h"

#define AU_STEP 4096       /* frames decoded at once, whatever is asked for */
#define AU_SECONDS_MAX 1e9 /* a start or a duration, so that frames can be counted */

/* One recording, or a piece of one. Texts are the host's. */
typedef struct au_item {
    int64_t source;                 /* index into r->sources */
    char *label;                    /* or NULL */
    char *speaker;                  /* or NULL */
    double start;                   /* seconds */
    double seconds;                 /* -1: up to the end */
    int64_t rate, channels, frames; /* of its file; frames -1: not known; rate 0: a stream, not looked at yet */
} au_item;

/* How copies of a recording differ from it, and the copy at hand. */
typedef struct au_vary {
    int64_t copies;
    uint64_t seed;
    double gain, speed, snr, band, channel, shift;
    float *made; /* n frames, room for more */
    int64_t n, room;
} au_vary;

typedef struct au_reader {
    const mbs_host *host;
    const mbs_params *params;
    au_layout layout;
    au_channels which;
    int64_t one;  /* channel, from 0 */
    int64_t rate; /* of what is given; 0 until open */
    int zero_nonfinite;
    int wait; /* ms that a partial block is held */
    int labels;
    double start, seconds;
    const char *background; /* class of what lies between labels, or NULL */

    char **paths; /* of the sources */
    mbs_source *sources;
    int64_t n_sources;
    au_item *items;
    int64_t n_items, room;
    mbs_attr attrs[1];
    char resampler_name[80];
    mbs_stream_header header;

    int64_t item; /* the one that is read */
    int64_t turn; /* its channel, for AU_EACH */
    au_input in;
    int is_open;
    int64_t stop; /* frame of the input to end before, -1: its end */
    au_resampler resampler;
    int resamples;      /* the open file has another rate */
    float *decoded;     /* AU_STEP frames of all channels */
    int64_t decoded_n;  /* floats that there is room for */
    float *chosen;      /* AU_STEP frames of those that are given */
    int64_t have, used; /* frames in `chosen` */
    int drained;        /* the input has no more */
    int inside, begun;
    int64_t position, length; /* frames given; of the record, -1: not known */
    mbs_record record;
    au_vary vary;
    int64_t copy;      /* which of the recording, 0: as it is */
    mbs_attr about[3]; /* of the record */
    char copy_text[24];
    char *original; /* what all copies of a recording have in common */
    char *name;
    int64_t replaced; /* samples that were no numbers */
    int said_rate, said_mix;
    void *saved;
    size_t saved_len;
} au_reader;

#define AU_LABEL_AUTO 0
#define AU_LABEL_FOLDER 1
#define AU_LABEL_NONE 2
#define AU_LABEL_TRACK 3

extern const mbs_reader_vt au_reader_vt;
extern const mbs_ext_inspect au_inspect; /* inspect.c */

/* files.c: from the paths to r->sources and r->items. */
mbs_status au_files_find(au_reader *r);
void au_files_free(au_reader *r);
/* manifest.c */
mbs_status au_manifest_read(au_reader *r, const char *path);
mbs_status au_files_add(au_reader *r, const char *path, const char *label, size_t label_len, double start,
                        double seconds);
/* Who the last recording that was added is of. */
mbs_status au_files_speaker(au_reader *r, const char *speaker, size_t len);
/* track.c: a label track by its name, that of a sound, one of a sound that is known. */
mbs_status au_track_alone(au_reader *r, const char *path);
mbs_status au_track_of_sound(au_reader *r, const char *sound);
mbs_status au_track_read(au_reader *r, const char *path, const char *sound);
/* place.c */
extern const mbs_ext_checkpoint au_checkpoint;
/* Brings a reader that was opened to the saved place. */
mbs_status au_place_restore(au_reader *r);
/* reader.c: opens the item's file at its first frame, or at output frame `position` of it. */
mbs_status au_enter(au_reader *r, int64_t position);
/* Up to `room` frames as they are given: MBS_OK, MBS_END, MBS_AGAIN after `wait` ms or an error. */
mbs_status au_pull(au_reader *r, float *to, int64_t room, int wait, int64_t *got);
/* vary.c: the parameters; the recording that was entered, varied, into r->vary.made. */
mbs_status au_vary_params(au_reader *r);
mbs_status au_vary_make(au_reader *r);
/* origin.c: of the record at hand, with one reference; NULL without memory. */
mbs_origin *au_origin_new(const au_reader *r);
mbs_status au_give_origin(au_reader *r);

#endif
