#include "writer.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "audio/dsp/dither.h"

#define VERSION 1

static void writer_destroy(void *self);

/* ---- what is asked for ---- */

static mbs_status choose_container(au_writer *w) {
    static const struct {
        const char *word, *ending;
        au_container as;
    } known[] = {{"wav", ".wav", AU_WAV},    {"wav", ".rf64", AU_WAV}, {"raw", ".raw", AU_RAW}, {"raw", ".pcm", AU_RAW},
                 {"flac", ".flac", AU_FLAC}, {"ogg", ".ogg", AU_OGG},  {"ogg", ".oga", AU_OGG}};
    const mbs_host *h = w->host;
    const char *word = h->param_string(w->params, "format");
    const char *dot = strrchr(w->path, '.');
    int told = strcmp(word, "auto") != 0;
    int known_ending = told || !dot || strchr(dot, '/') != NULL || strcmp(w->path, "-") == 0;
    w->container = AU_WAV;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (told ? strcmp(word, known[i].word) == 0 : dot && strcasecmp(dot, known[i].ending) == 0) {
            w->container = known[i].as;
            known_ending = 1;
        }
    }
    if (!known_ending) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "path", "'%s': '%s' is no format that is written", w->path, dot);
        h->hint(h,
                "end it with .wav, .flac, .ogg or .raw, or say format: wav; for others another program encodes: -o - | "
                "ffmpeg -i - '%s'",
                w->path);
        return st;
    }
    if (strcmp(w->path, "-") == 0 && (w->container == AU_FLAC || w->container == AU_OGG)) {
        mbs_status st =
            h->fail(h, MBS_ERR_CONFIG, "format", "standard output takes wav and raw, %s needs a file", word);
        h->hint(h, "write wav and let another program encode it: ... | flac - -o out.flac");
        return st;
    }
    return MBS_OK;
}

static int fits(au_container container, au_format f) {
    switch ((int)container) {
    case AU_WAV:
        return f == AU_U8 || f == AU_S16LE || f == AU_S24LE || f == AU_S32LE || f == AU_F32LE || f == AU_F64LE ||
               f == AU_MULAW || f == AU_ALAW;
    case AU_FLAC:
        return f == AU_S8 || f == AU_S16LE || f == AU_S24LE;
    default:
        return container == AU_RAW;
    }
}

static mbs_status choose_format(au_writer *w) {
    const mbs_host *h = w->host;
    const char *word = h->param_string(w->params, "encoding");
    const char *dither = h->param_string(w->params, "dither");
    int told = strcmp(word, "auto") != 0;
    w->format = told ? au_format_named(word) : AU_S16LE;
    w->dither = strcmp(dither, "tpdf") == 0;
    if (told && !fits(w->container, w->format)) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "encoding", "%s does not hold %s",
                                w->container == AU_WAV   ? "wav"
                                : w->container == AU_OGG ? "ogg"
                                                         : "flac",
                                word);
        h->hint(h, w->container == AU_WAV   ? "wav takes u8, s16le, s24le, s32le, f32le, f64le, mulaw and alaw"
                   : w->container == AU_OGG ? "ogg has a quality instead of an encoding"
                                            : "flac takes s8, s16le and s24le");
        return st;
    }
    int linear =
        w->container != AU_OGG && au_format_bits(w->format) > 0 && w->format != AU_MULAW && w->format != AU_ALAW;
    if (w->dither && !linear) {
        return h->fail(h, MBS_ERR_CONFIG, "dither", "it is noise of one step, and %s has no steps",
                       w->container == AU_OGG ? "ogg" : word);
    }
    int quality = h->param_is_set(w->params, "quality");
    w->quality = quality ? h->param_float(w->params, "quality") : 0.4;
    if (quality && w->container != AU_OGG) {
        return h->fail(h, MBS_ERR_CONFIG, "quality", "it is for ogg: other formats keep what they get");
    }
    return MBS_OK;
}

static mbs_status writer_create(const mbs_host *host, const mbs_params *params, void **self) {
    au_writer *w = host->alloc(host, sizeof(*w));
    if (!w) {
        return host->fail(host, MBS_ERR_MEMORY, NULL, "no memory for a writer");
    }
    memset(w, 0, sizeof(*w));
    w->host = host;
    w->params = params;
    w->path = host->param_string(params, "path");
    w->gain = host->param_float(params, "gain");
    w->gap = host->param_float(params, "gap");
    w->at.version = VERSION;
    mbs_status st = choose_container(w);
    st = st == MBS_OK ? choose_format(w) : st;
    st = st == MBS_OK ? host->output(host, w->path, MBS_OUTPUT_FILE, NULL, &w->temp) : st;
    mbs_spool_init(&w->out, host, w->temp, w->temp ? w->path : "standard output");
    if (st != MBS_OK) {
        writer_destroy(w);
        return st;
    }
    *self = w;
    return MBS_OK;
}

/* ---- writing ---- */

static mbs_status choose_rate(au_writer *w) {
    const mbs_host *h = w->host;
    int told = h->param_is_set(w->params, "rate");
    int64_t rate = told ? h->param_int(w->params, "rate") : 0;
    int64_t known = (int64_t)(w->stream->rate + 0.5);
    if (told && known > 0 && rate != known) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "rate", "rate is %lld Hz, and what comes has %lld Hz",
                                (long long)rate, (long long)known);
        h->hint(h, "leave it out here: reader audio resamples (its rate), this writer does not");
        return st;
    }
    w->rate = known > 0 ? known : rate;
    w->channels = w->stream->channels;
    if (w->rate < 1) {
        mbs_status st = h->fail(h, MBS_ERR_CONFIG, "rate", "nothing says how many samples make a second");
        h->hint(h, "rate: 16000, say; with a reader of sound it is known");
        return st;
    }
    return MBS_OK;
}

static mbs_status make_room(au_writer *w) {
    size_t n = (size_t)(AU_PIECE * w->channels);
    w->piece = w->host->alloc(w->host, n * sizeof(float));
    w->bytes = w->host->alloc(w->host, n * 8);
    w->whole = w->host->alloc(w->host, n * sizeof(int));
    return w->piece && w->bytes && w->whole
               ? MBS_OK
               : w->host->fail(w->host, MBS_ERR_MEMORY, NULL, "no memory for %d frames", AU_PIECE);
}

static mbs_status writer_open(void *self, const mbs_stream_header *header) {
    au_writer *w = self;
    w->stream = header;
    mbs_status st = choose_rate(w);
    st = st == MBS_OK ? make_room(w) : st;
    if (st != MBS_OK) {
        return st;
    }
    if (w->container == AU_FLAC || w->container == AU_OGG) {
        return au_encoded_open(w);
    }
    st = mbs_spool_open(&w->out, w->restored ? w->at.length : 0);
    w->opened = st >= 0;
    if (st >= 0 && w->container == AU_WAV && !w->restored) {
        unsigned char head[AU_WAV_ROOM];
        st = mbs_spool_append(&w->out, head, au_wav_header(w, -1, head));
    }
    return st < 0 ? st : MBS_OK;
}

/* The frames of `piece` go to the file. */
static mbs_status put_piece(au_writer *w) {
    int64_t frames = w->filled;
    if (w->sf) {
        w->filled = 0;
        return frames > 0 ? au_encoded_piece(w, frames) : MBS_OK;
    }
    int64_t n = frames * w->channels;
    w->filled = 0;
    w->at.clipped += au_encode(w->format, w->piece, w->bytes, n);
    return mbs_spool_append(&w->out, w->bytes, (size_t)(n * au_format_bytes(w->format)));
}

/* `from` NULL: silence. */
static mbs_status put_frames(au_writer *w, const float *from, int64_t frames) {
    mbs_status st = MBS_OK;
    while (frames > 0 && st >= 0) {
        int64_t n = AU_PIECE - w->filled < frames ? AU_PIECE - w->filled : frames;
        float *to = w->piece + w->filled * w->channels;
        for (int64_t i = 0; i < n * w->channels; i++) {
            to[i] = from ? (float)((double)from[i] * w->gain) : 0.0f;
        }
        if (w->dither) {
            au_dither(to, n * w->channels, (uint64_t)w->at.samples, au_format_bits(w->format));
        }
        w->at.samples += n * w->channels;
        w->filled += n;
        frames -= n;
        from = from ? from + n * w->channels : NULL;
        st = w->filled == AU_PIECE ? put_piece(w) : st;
    }
    return st;
}

static mbs_status writer_write(void *self, const mbs_block *b) {
    au_writer *w = self;
    const mbs_host *h = w->host;
    if (b->dtype != MBS_F32 || b->ndim != 2 || b->shape[1] != w->channels) {
        return h->fail(h, MBS_ERR_INTERNAL, NULL, "record '%s': blocks of %lld channels where %lld were told",
                       b->record->name, (long long)b->shape[1], (long long)w->channels);
    }
    mbs_status st = MBS_OK;
    if (b->flags & MBS_SEQ_START) {
        st = w->at.records > 0 ? put_frames(w, NULL, (int64_t)floor(w->gap * (double)w->rate + 0.5)) : MBS_OK;
        w->at.records++;
        if (w->at.records == 2 && w->temp && w->gap == 0) { /* a gap says that it is wanted */
            h->log(h, MBS_LOGLEVEL_WARNING, "several recordings go into one file, one behind the other");
        }
    }
    st = st < 0 ? st : put_frames(w, b->data, b->shape[0]);
    if (st >= 0 && !w->sf) {
        st = put_piece(w);
        st = st >= 0 && !w->temp ? mbs_spool_flush(&w->out) : st; /* who listens hears it now */
    }
    return st < 0 ? st : MBS_OK;
}

/* The header again, with the sizes that are known now. */
static mbs_status complete(au_writer *w, int notes) {
    unsigned char head[AU_WAV_ROOM];
    size_t n = au_wav_header(w, -1, head);
    int64_t bytes = w->out.length - (int64_t)n;
    mbs_status st = notes ? au_wav_notes(w) : MBS_OK;
    st = st < 0 ? st : mbs_spool_flush(&w->out);
    n = au_wav_header(w, bytes, head);
    if (st >= 0 && w->out.regular && pwrite(w->out.fd, head, n, 0) != (ssize_t)n) {
        return w->host->fail(w->host, MBS_ERR_IO, "path", "cannot write '%s': %s", w->path, strerror(errno));
    }
    return st;
}

static mbs_status writer_drain(void *self) {
    au_writer *w = self;
    mbs_status st = MBS_OK;
    if (w->sf) {
        st = au_encoded_close(w);
    } else if (w->container == AU_WAV && w->temp) {
        st = complete(w, 1);
    } else {
        st = mbs_spool_flush(&w->out);
    }
    if (st >= 0 && w->at.clipped > 0) {
        w->host->log(w->host, MBS_LOGLEVEL_WARNING, "%lld sample%s clipped: a gain below %g would keep %s whole",
                     (long long)w->at.clipped, w->at.clipped == 1 ? " was" : "s were", w->gain,
                     w->at.clipped == 1 ? "it" : "them");
    }
    return st < 0 ? st : MBS_OK;
}

static mbs_status writer_close(void *self) {
    au_writer *w = self;
    w->closed = 1;
    mbs_status st = w->opened ? mbs_spool_close(&w->out) : MBS_OK;
    return st < 0 ? st : MBS_OK;
}

static void writer_destroy(void *self) {
    au_writer *w = self;
    const mbs_host *h = w->host;
    if (w->sf) {
        (void)sf_close(w->sf);
    }
    if (w->opened && !w->closed && w->container == AU_WAV && w->temp) {
        (void)complete(w, 0); /* where what was made is kept, it can be listened to */
    }
    mbs_spool_drop(&w->out);
    h->free(h, w->piece);
    h->free(h, w->bytes);
    h->free(h, w->whole);
    h->free(h, w);
}

/* ---- a place to continue from ---- */

static mbs_status save(void *self, mbs_status (*put)(void *sink, const void *bytes, size_t n), void *sink) {
    au_writer *w = self;
    mbs_status st = mbs_spool_sync(&w->out);
    if (st < 0) {
        return st;
    }
    w->at.length = w->out.length;
    st = put(sink, &w->at, sizeof(w->at));
    return st < 0 ? st : MBS_OK;
}

static mbs_status restore(void *self, const void *bytes, size_t n) {
    au_writer *w = self;
    struct au_writer_place at;
    if (n != sizeof(at)) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is cut short", w->path);
    }
    memcpy(&at, bytes, n);
    if (at.version != VERSION || at.length < 0 || at.samples < 0 || at.clipped < 0 || at.records < 0) {
        return w->host->fail(w->host, MBS_ERR_DATA, NULL, "the checkpoint of '%s' is damaged", w->path);
    }
    w->at = at;
    w->restored = 1;
    return MBS_OK;
}

static const mbs_ext_checkpoint checkpoint = {
    .struct_size = (uint32_t)sizeof(mbs_ext_checkpoint),
    .save = save,
    .restore = restore,
};

static const void *extension(void *self, const char *id) {
    au_writer *w = self;
    int resumable = w && w->temp && (w->container == AU_WAV || w->container == AU_RAW);
    return resumable && strcmp(id, MBS_EXT_CHECKPOINT) == 0 ? &checkpoint : NULL;
}

const mbs_writer_vt au_writer_vt = {
    .struct_size = (uint32_t)sizeof(mbs_writer_vt),
    .create = writer_create,
    .open = writer_open,
    .write = writer_write,
    .drain = writer_drain,
    .close = writer_close,
    .destroy = writer_destroy,
    .get_extension = extension,
};
